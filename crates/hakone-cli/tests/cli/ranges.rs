//! Ranges, directions, duplicates, cursors and arrays, on a server and on a cabinet at rest alike.

use crate::support::Place;

/// Runs verbs one after the other on databases of this form, and compares what each prints and its
/// exit status: on a server and at rest the same.
fn check(form: &str, steps: &[(&[&str], i32, &str)]) {
    for place in Place::both_of(form) {
        for (arguments, status, printed) in steps {
            let ended = place.run(arguments).with(*status);
            assert_eq!(ended.text(), *printed, "{form}: {arguments:?}");
        }
    }
}

/// Sets `a` to `e` to the numbers from 1 to 5.
const LETTERS: [(&[&str], i32, &str); 5] = [
    (&["set", "a", "1"], 0, ""),
    (&["set", "b", "2"], 0, ""),
    (&["set", "c", "3"], 0, ""),
    (&["set", "d", "4"], 0, ""),
    (&["set", "e", "5"], 0, ""),
];

#[test]
fn ranges_have_two_bounds_and_two_directions() {
    let mut steps = LETTERS.to_vec();
    steps.extend::<[(&[&str], i32, &str); 14]>([
        (
            &["scan", "--from", "b", "--to", "d", "--keys"],
            0,
            "b\nc\nd\n",
        ),
        (
            &["scan", "--above", "b", "--below", "d", "--keys"],
            0,
            "c\n",
        ),
        (&["range", "--interval", "[b,d)", "--keys"], 0, "b\nc\n"),
        (&["range", "--interval", "(b,]", "--keys"], 0, "c\nd\ne\n"),
        (&["scan", "--reverse", "--limit", "2"], 0, "e\t5\nd\t4\n"),
        (
            &["scan", "--reverse", "--from", "b", "--below", "d", "--keys"],
            0,
            "c\nb\n",
        ),
        (&["scan", "--from", "d", "--to", "b"], 0, ""),
        (&["scan", "--reverse", "--prefix", "c"], 0, "c\t3\n"),
        (&["count"], 0, "5\n"),
        (&["count", "--interval", "[b,e)"], 0, "3\n"),
        (&["count", "--prefix", "x"], 0, "0\n"),
        (&["scan", "--interval", "b,d"], 2, ""),
        (&["scan", "--prefix", "a", "--to", "b"], 2, ""),
        (&["scan", "--from", "a", "--above", "b"], 2, ""),
    ]);
    check("tree", &steps);
}

#[test]
fn keys_are_found_by_what_they_look_like() {
    for kind in ["tree", "hash"] {
        check(
            kind,
            &[
                (&["set", "green", "1"], 0, ""),
                (&["set", "gr\u{fc}n", "2"], 0, ""),
                (&["set", "black", "3"], 0, ""),
                (&["scan", "--regex", "^b"], 0, "black\t3\n"),
                (&["count", "--regex", "r"], 0, "2\n"),
                (
                    &["count", "--regex", "^(green|black)$", "--prefix", "g"],
                    0,
                    "1\n",
                ),
                (&["scan", "--similar", "grun", "--keys"], 0, "gr\u{fc}n\n"),
                (&["scan", "--similar", "grun", "--keys", "--bytes"], 0, ""),
                (&["count", "--similar", "grun", "--distance", "2"], 0, "2\n"),
                (&["scan", "--regex", "("], 2, ""),
            ],
        );
    }
}

#[test]
fn a_range_is_removed() {
    let mut steps = LETTERS.to_vec();
    steps.extend::<[(&[&str], i32, &str); 6]>([
        (&["delete", "--above", "a", "--to", "c"], 0, "2\n"),
        (&["delete", "--above", "a", "--to", "c"], 1, "0\n"),
        (&["scan", "--keys"], 0, "a\nd\ne\n"),
        (&["delete", "a", "--prefix", "d"], 2, ""),
        (&["delete"], 2, ""),
        (&["delete", "--prefix", ""], 0, "3\n"),
    ]);
    check("tree", &steps);
    // More than a slice.
    let lines = crate::support::lines(3500);
    for place in Place::both() {
        place.feed(&["import"], lines.as_bytes()).with(0);
        let removed = place.run(&["delete", "--prefix", "key"]).with(0);
        assert_eq!(removed.text(), "3500\n");
        assert_eq!(place.run(&["count"]).with(0).text(), "0\n");
    }
}

#[test]
fn orders_are_those_of_comparators() {
    check(
        "tree,comparator=decimal",
        &[
            (&["set", "10", "a"], 0, ""),
            (&["set", "9", "b"], 0, ""),
            (&["set", "-1.5", "c"], 0, ""),
            (&["scan", "--keys"], 0, "-1.5\n9\n10\n"),
            (&["scan", "--keys", "--from", "0"], 0, "9\n10\n"),
            (&["count", "--below", "10"], 0, "2\n"),
            (
                &["cursor", "last", "previous", "seek 5"],
                0,
                "10\ta\n9\tb\n9\tb\n",
            ),
        ],
    );
    check(
        "tree,comparator=bytes-reverse",
        &[
            (&["set", "a", "1"], 0, ""),
            (&["set", "b", "2"], 0, ""),
            (&["scan"], 0, "b\t2\na\t1\n"),
            (&["scan", "--reverse"], 0, "a\t1\nb\t2\n"),
        ],
    );
}

#[test]
fn a_key_has_several_values() {
    check(
        "tree,duplicates=true",
        &[
            (&["set", "tea", "green"], 0, ""),
            (&["set", "tea", "white", "--duplicate", "back"], 0, ""),
            (&["set", "tea", "black", "--duplicate", "front"], 0, ""),
            (&["set", "teapot", "1"], 0, ""),
            (&["get", "tea"], 0, "black"),
            (&["get", "--all", "tea"], 0, "black\ngreen\nwhite\n"),
            (&["get", "--all", "te"], 1, ""),
            (&["count", "--interval", "[tea,tea]"], 0, "3\n"),
            (&["set", "tea", "red"], 0, ""),
            (
                &["scan"],
                0,
                "tea\tred\ntea\tgreen\ntea\twhite\nteapot\t1\n",
            ),
            (&["delete", "tea"], 0, "1\n"),
            (&["get", "--all", "tea"], 0, "green\nwhite\n"),
            (&["delete", "--from", "tea", "--to", "tea"], 0, "2\n"),
            (&["scan"], 0, "teapot\t1\n"),
        ],
    );
    check(
        "tree",
        &[(&["set", "tea", "green", "--duplicate", "back"], 2, "")],
    );
    // They come along when records are moved, in their order.
    for place in Place::both_of("tree,duplicates=true") {
        let lines = b"k\t2\nk\t1\nl\t3\n";
        place.feed(&["import", "--duplicates"], lines).with(0);
        assert_eq!(place.run(&["export"]).with(0).out, lines);
    }
}

#[test]
fn a_cursor_walks_and_changes() {
    let mut steps = LETTERS.to_vec();
    steps.extend::<[(&[&str], i32, &str); 9]>([
        (
            &["cursor", "first", "next", "next", "previous"],
            0,
            "a\t1\nb\t2\nc\t3\nb\t2\n",
        ),
        (&["cursor", "last", "next", "get"], 1, "e\t5\n\ne\t5\n"),
        (
            &["cursor", "seek bb", "seek-before bb", "find b"],
            0,
            "c\t3\nb\t2\nb\t2\n",
        ),
        (&["cursor", "find bb"], 1, "\n"),
        (
            &["cursor", "seek c", "put three", "get"],
            0,
            "c\t3\nc\tthree\nc\tthree\n",
        ),
        (
            &["cursor", "seek c", "remove", "get", "next"],
            1,
            "c\tthree\nc\tthree\n\nd\t4\n",
        ),
        (
            &["cursor", "seek d", "remove", "previous"],
            0,
            "d\t4\nd\t4\nb\t2\n",
        ),
        (&["cursor", "next"], 2, ""),
        (&["cursor", "first", "hop"], 2, ""),
    ]);
    check("tree", &steps);
    check(
        "tree,duplicates=true",
        &[
            (&["set", "k", "2"], 0, ""),
            (
                &[
                    "cursor",
                    "first",
                    "put-before 1",
                    "next",
                    "put-after 3",
                    "put 4\\t",
                ],
                0,
                "k\t2\nk\t1\nk\t2\nk\t3\nk\t4\\t\n",
            ),
            (&["scan"], 0, "k\t1\nk\t2\nk\t4\\t\n"),
            (
                &["cursor", "first", "next", "remove", "next", "previous"],
                0,
                "k\t1\nk\t2\nk\t2\nk\t4\\t\nk\t1\n",
            ),
        ],
    );
    check(
        "hash",
        &[(&["set", "a", "1"], 0, ""), (&["cursor", "last"], 2, "")],
    );
    for place in Place::both() {
        place.run(&["set", "k", "v"]).with(0);
        let walked = place.feed(&["cursor"], b"first\nnext\nput w\n").with(1);
        assert_eq!(walked.text(), "k\tv\n\nk\tw\n");
    }
}

#[test]
fn an_array_has_numbers_for_keys() {
    check(
        "array,width=5",
        &[
            (&["set", "10", "ten"], 0, ""),
            (&["set", "next", "more"], 0, ""),
            (&["set", "9223372036854775807", "most"], 0, ""),
            (&["set", "prev", "less"], 0, ""),
            (&["get", "min"], 0, "less"),
            (&["get", "max"], 0, "most"),
            (&["scan", "--keys"], 0, "9\n10\n11\n9223372036854775807\n"),
            (&["scan", "--interval", "[min,11)"], 0, "9\tless\n10\tten\n"),
            (
                &["scan", "--interval", "(9,max)", "--reverse"],
                0,
                "11\tmore\n10\tten\n",
            ),
            (&["count", "--below", "11"], 0, "2\n"),
            (
                &["cursor", "seek 10", "put X", "next", "remove"],
                0,
                "10\tten\n10\tX\n11\tmore\n11\tmore\n",
            ),
            (&["set", "10", "longer"], 2, ""),
            (&["set", "0", "none"], 2, ""),
            (&["set", "tea", "none"], 2, ""),
            (&["get", "tea"], 2, ""),
            (&["delete", "min", "10"], 0, "2\n"),
            (&["scan"], 0, "9223372036854775807\tmost\n"),
        ],
    );
}

#[test]
fn stat_tells_the_options() {
    for place in Place::both_of("tree,comparator=int64,duplicates=true,compression=none") {
        let stat = place.run(&["stat"]).with(0);
        for line in [
            "database.0.comparator\tint64",
            "database.0.duplicates\ttrue",
            "database.0.compression\tnone",
        ] {
            assert!(stat.text().lines().any(|there| there == line), "{line}");
        }
    }
}
