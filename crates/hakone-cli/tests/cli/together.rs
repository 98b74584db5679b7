//! Transactions and lists, on a server and on a cabinet at rest alike.

use crate::support::Place;

/// Feeds scripts to `hakone transaction`, one after the other, and compares what each prints, its
/// exit status, and what it says of a failure.
fn check(scripts: &[(&str, i32, &str, &str)]) {
    for kind in ["tree", "hash"] {
        for place in Place::both_of(kind) {
            for (script, status, printed, said) in scripts {
                let ended = place
                    .feed(&["transaction"], script.as_bytes())
                    .with(*status);
                assert_eq!(ended.text(), *printed, "{kind}: {script}");
                assert!(ended.error.contains(said), "{script}: {}", ended.error);
            }
        }
    }
}

#[test]
fn all_steps_of_a_transaction_are_done_or_none() {
    check(&[
        (
            "# the first\nset a 1\n\nset b two words\\t\nget a\nget c\ncount\n",
            0,
            "a\t1\n\n2\n",
            "",
        ),
        (
            "get b\nadd a 41\nappend c x\ndelete b\ndelete b\n",
            0,
            "b\ttwo words\\t\n42\n1\n1\n0\n",
            "",
        ),
        ("expect a 42\nset a 43\nexpect b\nget a\n", 0, "a\t43\n", ""),
        (
            "set a 44\nexpect c y\nset d 1\n",
            1,
            "",
            "line 2: c is not as expected",
        ),
        (
            "set a 44\nexpect a\n",
            1,
            "",
            "line 2: a is not as expected",
        ),
        ("set a 44\nadd c 1\n", 2, "", "nothing can be added to c"),
        ("get a\nget d\n", 0, "a\t43\n\n", ""),
        (
            "set a 1\nsavepoint s\nset a 2\nset b 2\nrollback s\nget a\nset c 3\n",
            0,
            "a\t1\n",
            "",
        ),
        ("get a\nget b\nget c\n", 0, "a\t1\n\nc\t3\n", ""),
        ("set a 5\nrollback\nget a\n", 0, "a\t1\n", ""),
        // What was committed stays.
        ("set a 6\ncommit\nset a 7\nexpect a 8\n", 1, "", "line 4"),
        ("get a\n", 0, "a\t6\n", ""),
        ("rollback s\n", 2, "", "no savepoint s"),
        ("set a\n", 2, "", "line 1"),
        ("use elsewhere\n", 2, "", "no database elsewhere"),
        ("", 0, "", ""),
    ]);
}

#[test]
fn a_transaction_is_of_several_databases() {
    let at_rest = Place::at_rest();
    at_rest.run(&["set", "-d", "first", "k", "0"]).with(0);
    let form = ["import", "-d", "second", "--kind", "tree,comparator=int64"];
    at_rest.run(&form).with(0);
    let server = Place::server(&["first=tree", "second=tree,comparator=int64"]);
    for place in [at_rest, server] {
        let script = b"set k 1\nuse second\nset k 2\nuse 0\nget k\nuse 1\nget k\n";
        let ended = place.feed(&["transaction"], script).with(0);
        assert_eq!(ended.text(), "k\t1\nk\t2\n");
        assert_eq!(place.run(&["get", "-d", "second", "k"]).with(0).text(), "2");
    }
}

#[test]
fn lists_are_pushed_popped_and_read() {
    let steps: &[(&[&str], i32, &str)] = &[
        (&["list", "length", "todo"], 0, "0\n"),
        (&["list", "push", "todo", "a", "b"], 0, "2\n"),
        (
            &["list", "push", "todo", "--end", "front", "c", "d\t"],
            0,
            "4\n",
        ),
        (&["list", "range", "todo"], 0, "d\\t\nc\na\nb\n"),
        (&["list", "range", "todo", "1", "-2"], 0, "c\na\n"),
        (&["list", "range", "todo", "-1", "-1"], 0, "b\n"),
        (&["list", "range", "todo", "9"], 0, ""),
        (&["list", "pop", "todo"], 0, "d\\t\n"),
        (
            &["list", "pop", "todo", "--end", "back", "--count", "2"],
            0,
            "b\na\n",
        ),
        (&["list", "length", "todo"], 0, "1\n"),
        // A name of a list is no key.
        (&["get", "todo"], 1, ""),
        (&["count"], 0, "0\n"),
        (&["list", "push", "other", "-5"], 0, "1\n"),
        (&["list", "clear", "todo"], 0, "1\n"),
        (&["list", "clear", "todo"], 1, "0\n"),
        (&["list", "pop", "todo"], 1, ""),
        (&["list", "range", "other"], 0, "-5\n"),
        (&["list", "range", "other", "first"], 2, ""),
    ];
    for kind in ["tree", "hash"] {
        for place in Place::both_of(kind) {
            for (arguments, status, printed) in steps {
                let words = if arguments[0] == "list" { 2 } else { 1 };
                let (verb, rest) = arguments.split_at(words);
                let ended = place.run_below(verb, rest).with(*status);
                assert_eq!(ended.text(), *printed, "{kind}: {arguments:?}");
            }
            // More than one answer holds.
            let elements: Vec<String> = (0..2500).map(|n| n.to_string()).collect();
            let mut push = vec!["long"];
            push.extend(elements.iter().map(String::as_str));
            let pushed = place.run_below(&["list", "push"], &push).with(0);
            assert_eq!(pushed.text(), "2500\n");
            let ranged = place.run_below(&["list", "range"], &["long"]).with(0);
            assert!(ranged.text().lines().eq(&elements));
            let popped = place.run_below(&["list", "pop"], &["long", "--count", "3000"]);
            assert!(popped.with(0).text().lines().eq(&elements));
        }
    }
}
