//! The verbs that write one record, on a server and on a cabinet at rest alike.

use crate::support::Place;

/// Runs verbs one after the other on every kind of database, and compares what each prints and its
/// exit status: on a server and at rest the same.
fn check(steps: &[(&[&str], i32, &str)]) {
    for kind in ["tree", "hash"] {
        for place in Place::both_of(kind) {
            for (arguments, status, printed) in steps {
                let ended = place.run(arguments).with(*status);
                assert_eq!(ended.text(), *printed, "{kind}: {arguments:?}");
            }
        }
    }
}

#[test]
fn a_record_is_set_only_where_it_is_or_is_not() {
    check(&[
        (&["set", "tea", "green", "--if-present"], 1, ""),
        (&["set", "tea", "green", "--if-absent"], 0, ""),
        (&["set", "tea", "black", "--if-absent"], 1, ""),
        (&["get", "tea"], 0, "green"),
        (&["set", "tea", "black", "--if-present"], 0, ""),
        (&["get", "tea"], 0, "black"),
    ]);
}

#[test]
fn numbers_are_added_to() {
    check(&[
        (&["add", "n"], 0, "1\n"),
        (&["add", "n", "41"], 0, "42\n"),
        (&["add", "n", "-50"], 0, "-8\n"),
        (&["add", "n", "0.25"], 0, "-7.75\n"),
        (&["add", "n", "1"], 2, ""),
        (&["add", "n", "2.0"], 0, "-5.75\n"),
        (&["add", "n", "many"], 2, ""),
        (&["set", "n", "9223372036854775807"], 0, ""),
        (&["add", "n"], 2, ""),
        (&["get", "n"], 0, "9223372036854775807"),
    ]);
}

#[test]
fn bytes_are_added_at_both_ends() {
    check(&[
        (&["append", "tea", "green"], 0, "5\n"),
        (&["append", "tea", "-ish"], 0, "9\n"),
        (&["append", "--front", "tea", "very "], 0, "14\n"),
        (&["get", "tea"], 0, "very green-ish"),
    ]);
}

#[test]
fn a_value_is_swapped_if_it_is_the_expected_one() {
    check(&[
        (&["swap", "tea", "--old", "green", "--new", "black"], 1, ""),
        (&["swap", "tea", "--new", "green"], 0, ""),
        (&["swap", "tea", "--new", "white"], 1, ""),
        (&["swap", "tea", "--old", "green", "--new", "black"], 0, ""),
        (&["get", "tea"], 0, "black"),
        (&["swap", "tea", "--old", "green"], 1, ""),
        (&["swap", "tea", "--old", "black"], 0, ""),
        (&["get", "tea"], 1, ""),
        (&["swap", "tea"], 2, ""),
    ]);
}

#[test]
fn records_expire_when_they_are_told_to() {
    const LATE: &str = "@1900000000000";
    check(&[
        (&["touch", "tea", "60"], 1, ""),
        (&["set", "tea", "green", "--expire", LATE], 0, ""),
        (&["export"], 0, "tea\tgreen\t1900000000000\n"),
        // What only adds keeps the expiry, and so does what says so.
        (&["append", "tea", "!"], 0, "6\n"),
        (&["set", "tea", "black", "--expire", "keep"], 0, ""),
        (&["export"], 0, "tea\tblack\t1900000000000\n"),
        (&["set", "tea", "black"], 0, ""),
        (&["export"], 0, "tea\tblack\n"),
        (&["touch", "tea", "@1900000000001"], 0, ""),
        (&["export"], 0, "tea\tblack\t1900000000001\n"),
        (&["touch", "tea", "never"], 0, ""),
        (&["export"], 0, "tea\tblack\n"),
        (
            &[
                "swap", "tea", "--old", "black", "--new", "white", "--expire", LATE,
            ],
            0,
            "",
        ),
        (&["export"], 0, "tea\twhite\t1900000000000\n"),
        (&["touch", "tea", "0"], 0, ""),
        (&["get", "tea"], 1, ""),
        (&["set", "tea", "green", "--expire", "3600"], 0, ""),
        (&["get", "tea"], 0, "green"),
        (&["set", "tea", "green", "--expire", "soon"], 2, ""),
    ]);
}
