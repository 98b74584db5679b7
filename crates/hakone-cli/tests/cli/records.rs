//! The verbs on single records and scans, on a server and on a cabinet at rest alike.

use crate::support::{Folder, HAKONE, Place, Server, lines, run};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

#[test]
fn records_are_written_read_and_removed() {
    for place in Place::both() {
        place.run(&["set", "tea", "green"]).with(0);
        let got = place.run(&["get", "tea"]).with(0);
        assert_eq!((got.text(), got.error.as_str()), ("green", ""));
        let got = place.run(&["get", "coffee"]).with(1);
        assert_eq!((got.text(), got.error.as_str()), ("", ""));

        let value: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        place.feed(&["set", "bytes", "-"], &value).with(0);
        assert_eq!(place.run(&["get", "bytes"]).with(0).out, value);
        place.feed(&["set", "empty", "-"], b"").with(0);
        assert_eq!(place.run(&["get", "empty"]).with(0).text(), "");
        place.run(&["set", "below zero", "-5"]).with(0);
        assert_eq!(place.run(&["get", "below zero"]).with(0).text(), "-5");

        let deleted = place.run(&["delete", "tea", "coffee", "bytes"]).with(0);
        assert_eq!(deleted.text(), "2\n");
        assert_eq!(place.run(&["delete", "tea"]).with(1).text(), "0\n");
        place.run(&["get", "tea"]).with(1);
    }
}

#[test]
fn keys_are_any_bytes() {
    let place = Place::at_rest();
    let data = place.folder().join("data");
    let key = OsStr::from_bytes(b"\xff\t\n");
    let hakone = |verb: &str, rest: &[&OsStr]| {
        run(
            Command::new(HAKONE)
                .args([verb, "--data", &data])
                .args(rest),
            b"",
        )
    };
    hakone("set", &[key, OsStr::from_bytes(b"\xfe")]).with(0);
    assert_eq!(hakone("get", &[key]).with(0).out, b"\xfe");
    assert_eq!(hakone("scan", &[]).with(0).text(), "\\xff\\t\\n\t\\xfe\n");
}

#[test]
fn a_scan_takes_a_prefix_a_beginning_and_a_limit() {
    for place in Place::both() {
        for (key, value) in [("a", "1"), ("b:1", "2"), ("b:2", "3\t"), ("c", "4")] {
            place.run(&["set", key, value]).with(0);
        }
        for (arguments, lines) in [
            (&["scan"][..], "a\t1\nb:1\t2\nb:2\t3\\t\nc\t4\n"),
            (&["scan", "--keys"], "a\nb:1\nb:2\nc\n"),
            (&["scan", "--prefix", "b:"], "b:1\t2\nb:2\t3\\t\n"),
            (&["scan", "--from", "b:2", "--keys"], "b:2\nc\n"),
            (
                &["scan", "--from", "b:10", "--keys", "--limit", "1"],
                "b:2\n",
            ),
            (
                &["scan", "--from", "b:2", "--prefix", "b:", "--keys"],
                "b:2\n",
            ),
            (&["scan", "--limit", "2", "--keys"], "a\nb:1\n"),
            (&["scan", "--limit", "0"], ""),
            (&["scan", "--prefix", "x"], ""),
        ] {
            assert_eq!(place.run(arguments).with(0).text(), lines, "{arguments:?}");
        }
    }
}

#[test]
fn a_scan_of_many_pages_gives_every_record_once() {
    let lines = lines(3500);
    for kind in ["tree", "hash"] {
        let at_rest = Place::at_rest();
        let import = ["import", "--kind", kind];
        at_rest.feed(&import, lines.as_bytes()).with(0);
        let server = Place::server(&[&format!("default={kind}")]);
        server.feed(&["import"], lines.as_bytes()).with(0);
        for place in [at_rest, server] {
            let scanned = place.run(&["scan"]).with(0);
            let mut seen: Vec<&str> = scanned.text().split_inclusive('\n').collect();
            if kind == "hash" {
                seen.sort_unstable();
            }
            assert!(seen.concat() == lines, "{kind}: {} lines", seen.len());
        }
    }
}

#[test]
fn a_hash_is_scanned_but_not_from_a_key() {
    let server = Place::server(&["default=hash"]);
    server.run(&["set", "a", "1"]).with(0);
    assert_eq!(
        server.run(&["scan", "--prefix", "a"]).with(0).text(),
        "a\t1\n"
    );
    server.run(&["scan", "--from", "a"]).with(2);
}

#[test]
fn databases_are_told_apart_by_name_and_number() {
    let server = Place::server(&["first=hash", "second=tree"]);
    server.run(&["set", "k", "1"]).with(0);
    server.run(&["set", "-d", "second", "k", "2"]).with(0);
    for (database, value) in [("0", "1"), ("first", "1"), ("1", "2"), ("second", "2")] {
        let got = server.run(&["get", "--database", database, "k"]).with(0);
        assert_eq!(got.text(), value, "{database}");
    }
    let missing = server.run(&["get", "--database", "third", "k"]).with(2);
    assert!(
        missing.error.starts_with("hakone: the server refused: "),
        "{}",
        missing.error
    );

    let at_rest = Place::at_rest();
    at_rest.run(&["set", "-d", "first", "k", "1"]).with(0);
    at_rest.run(&["set", "-d", "second", "k", "2"]).with(0);
    for (database, value) in [("0", "1"), ("first", "1"), ("1", "2"), ("second", "2")] {
        let got = at_rest.run(&["get", "--database", database, "k"]).with(0);
        assert_eq!(got.text(), value, "{database}");
    }
    for (database, verb) in [("third", "get"), ("2", "get"), ("2", "delete")] {
        let missing = at_rest.run(&[verb, "--database", database, "k"]).with(2);
        let data = at_rest.folder().join("data");
        assert_eq!(
            missing.error,
            format!("hakone: there is no database {database} in {data}; it has: first, second\n")
        );
    }
}

#[test]
fn what_cannot_be_reached_is_told() {
    let folder = Folder::new();
    let hakone = |arguments: &[&str]| {
        let mut command = Command::new(HAKONE);
        command
            .args(arguments)
            .env("HAKONE_SERVER", format!("unix:{}", folder.join("none")));
        run(&mut command, b"").with(2).error
    };
    let none = folder.join("none");
    assert_eq!(
        hakone(&["get", "k"]),
        format!(
            "hakone: cannot reach unix:{none}: no such socket; is the server running? start it \
             with: hakone serve --listen unix:{none}\n"
        )
    );
    assert_eq!(
        hakone(&["get", "--data", &none, "k"]),
        format!("hakone: there is no cabinet in {none}\n")
    );
    assert!(!folder.path().join("none").exists(), "a read makes nothing");
    assert!(
        hakone(&["get", "--data", &none, "--server", "x", "k"]).contains("cannot be used with")
    );
    assert!(hakone(&["get"]).contains("<KEY>"));
}

#[test]
fn a_cabinet_that_a_server_has_open_is_told() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["default=tree"]);
    let data = folder.join("data");
    for verb in [&["get", "k"][..], &["set", "k", "v"], &["stat"]] {
        let mut command = Command::new(HAKONE);
        let ended = run(command.args(verb).args(["--data", &data]), b"").with(2);
        assert!(
            ended
                .error
                .starts_with(&format!("hakone: {data} is in use: ")),
            "{}",
            ended.error
        );
        assert!(
            ended
                .error
                .ends_with("use --server ADDR in place of --data\n"),
            "{}",
            ended.error
        );
    }
    drop(server);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for place in Place::both() {
        place.feed(&["set", "k", "-"], &vec![b'v'; 4 << 20]).with(0);
        let target = if place.is_server() {
            [
                "--server".to_owned(),
                format!("unix:{}", place.folder().join("socket")),
            ]
        } else {
            ["--data".to_owned(), place.folder().join("data")]
        };
        for verb in [&["get", "k"][..], &["scan"], &["export"]] {
            let mut child = Command::new(HAKONE)
                .args(verb)
                .args(&target)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut first = [0; 1];
            child.stdout.take().unwrap().read_exact(&mut first).unwrap();
            let ended = child.wait_with_output().unwrap();
            let error = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(
                (ended.status.code(), error.as_str()),
                (Some(0), ""),
                "{verb:?}"
            );
        }
    }
}

#[test]
fn values_are_packed_otherwise_and_the_log_is_rewritten() {
    for place in Place::both() {
        let lines = lines(2000);
        place.feed(&["import"], lines.as_bytes()).with(0);
        for method in ["zstd", "none", "lz4"] {
            let altered = place.run(&["alter", "--compression", method]).with(0);
            assert_eq!(altered.text(), "");
            let stat = place.run(&["stat"]).with(0);
            let line = format!("database.0.compression\t{method}");
            assert!(stat.text().lines().any(|there| there == line), "{line}");
            let freed = place.run(&["compact"]).with(0);
            assert!(freed.text().trim().parse::<u64>().is_ok());
            assert!(place.run(&["scan"]).with(0).text() == lines, "{method}");
        }
        place.run(&["alter", "--compression", "gzip"]).with(2);
    }
}

#[test]
fn stat_tells_of_every_database() {
    for place in [
        Place::server(&["default=tree", "sessions=hash"]),
        Place::at_rest(),
    ] {
        place.run(&["set", "-d", "default", "k", "v"]).with(0);
        if place.is_server() {
            place.run(&["set", "-d", "sessions", "k", "v"]).with(0);
        } else {
            let kind = ["import", "-d", "sessions", "--kind", "hash"];
            place.feed(&kind, b"k\tv\n").with(0);
        }
        let stat = place.run(&["stat"]).with(0);
        let lines: Vec<&str> = stat.text().lines().collect();
        for line in [
            "database.0.name\tdefault",
            "database.0.kind\ttree",
            "database.0.count\t1",
            "database.1.name\tsessions",
            "database.1.kind\thash",
            "database.1.count\t1",
        ] {
            assert!(lines.contains(&line), "{line} in {lines:?}");
        }
        assert!(
            lines.iter().any(|line| line.starts_with("log_bytes\t")),
            "{lines:?}"
        );
    }
}
