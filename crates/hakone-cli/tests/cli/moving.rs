//! Records from and to servers of other kinds: real ones where this machine has them, and Hakone
//! over the same protocols.

use crate::support::{Folder, HAKONE, Peer, Place, lines, run};
use std::fmt::Write;
use std::io::Read;
use std::process::{Command, Stdio};

/// A time in 2036, which every server can tell, in ms. Not a whole second.
const LATER_MS: u64 = 2_114_380_799_500;

/// What a protocol carries of a record.
#[derive(Clone, Copy)]
struct Carries {
    /// The expiry is a multiple of so many ms; 0 where there is none.
    expiry_step_ms: u64,
    flags: bool,
    /// Only keys without blanks and control characters.
    only_words: bool,
}

const REDIS: Carries = Carries {
    expiry_step_ms: 1,
    flags: false,
    only_words: false,
};
const MEMCACHED: Carries = Carries {
    expiry_step_ms: 1000,
    flags: true,
    only_words: false,
};
const TYCOON: Carries = Carries {
    expiry_step_ms: 1000,
    flags: false,
    only_words: false,
};
const TYRANT: Carries = Carries {
    expiry_step_ms: 0,
    flags: false,
    only_words: false,
};

/// Lines of TSV with keys and values of all bytes, with or without an expiry and flags, as they are
/// after a way that carries so much. In key order.
fn records(carries: Carries) -> String {
    let mut lines = String::new();
    for byte in 0..=255_u8 {
        let shown = match byte {
            b'\t' => "\\t".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        let mut line = format!("{shown}key{shown}\tvalue{shown}");
        let expiry_ms = match carries.expiry_step_ms {
            0 => 0,
            step => LATER_MS.div_ceil(step) * step,
        };
        match (byte % 4, expiry_ms, carries.flags) {
            (1, 1.., _) | (3, 1.., false) => write!(line, "\t{expiry_ms}"),
            (2, _, true) => write!(line, "\t0\t4294967295"),
            (3, _, true) => write!(line, "\t{expiry_ms}\t7"),
            _ => Ok(()),
        }
        .unwrap();
        line.push('\n');
        if !carries.only_words || (byte > b' ' && byte != 0x7f) {
            lines.push_str(&line);
        }
    }
    lines
}

/// All that a place can hold.
const ALL: Carries = Carries {
    expiry_step_ms: 1,
    flags: true,
    only_words: false,
};

fn at_rest() -> Place {
    let place = Place::at_rest();
    place.feed(&["import"], records(ALL).as_bytes()).with(0);
    place
}

/// There and back, through a server that is empty.
fn check(url: &str, carries: Carries, told: &[&str]) {
    let expected = records(carries);
    let count = expected.lines().count();
    let status = i32::from(count < 256);
    let exported = at_rest().run(&["export", url]).with(status);
    let beginning = format!("exported {count} records in ");
    assert!(exported.error.starts_with(&beginning), "{}", exported.error);
    let said: Vec<&str> = exported.error.lines().skip(1).collect();
    assert_eq!(said, told, "{url}");

    let back = Place::at_rest();
    let imported = back.run(&["import", url]).with(0);
    let beginning = format!("imported {count} records in ");
    assert!(imported.error.starts_with(&beginning), "{}", imported.error);
    assert_eq!(back.run(&["export"]).with(0).text(), expected, "{url}");

    // From the server to a file, with a prefix; and from that server to itself.
    let hakone = |words: &[&str]| run(Command::new(HAKONE).args(words), b"");
    let some = hakone(&["export", "--server", url, "--prefix", "*k"]).with(0);
    let star = expected.lines().find(|line| line.starts_with('*')).unwrap();
    assert_eq!(some.text(), format!("{star}\n"), "{url}");
    let again = hakone(&["import", url, "--server", url]).with(0);
    assert!(again.error.starts_with(&beginning), "{}", again.error);
}

#[test]
fn records_go_to_a_redis_and_back() {
    let folder = Folder::new();
    let redis = Peer::redis(&folder);
    check(
        redis.url(),
        REDIS,
        &["hakone: 128 records not whole: flags are lost"],
    );
}

#[test]
fn records_go_to_a_memcached_and_back() {
    let folder = Folder::new();
    let memcached = Peer::memcached(&folder);
    check(
        memcached.url(),
        MEMCACHED,
        &["hakone: 128 records not whole: expiry is rounded up to whole seconds"],
    );
}

#[test]
fn records_go_to_hakone_over_each_protocol_and_back() {
    let flags_lost = "hakone: 128 records not whole: flags are lost";
    let seconds = "hakone: 128 records not whole: expiry is rounded up to whole seconds";
    let unspeakable =
        "hakone: left out 34 records: keys cannot be said in memcached's text protocol";
    let rounded = "hakone: 111 records not whole: expiry is rounded up to whole seconds";
    let words = Carries {
        only_words: true,
        ..MEMCACHED
    };
    let expiry_lost = "hakone: 128 records not whole: expiry is lost: Tyrant has none";
    for kind in ["tree", "hash"] {
        for (scheme, carries, told) in [
            ("hakone", ALL, &[][..]),
            ("redis", REDIS, &[flags_lost]),
            ("memcached", words, &[unspeakable, rounded]),
            ("tyrant", TYRANT, &[expiry_lost, flags_lost]),
            ("tycoon", TYCOON, &[seconds, flags_lost]),
            ("http", TYCOON, &[seconds, flags_lost]),
        ] {
            let place = Place::server(&[&format!("default={kind}")]);
            let address = format!("unix:{}", place.folder().join("socket"));
            let url = format!("{scheme}://{address}");
            check(&url, carries, told);
            // What another protocol makes of it.
            let there = run(
                Command::new(HAKONE).args(["export", "-", "--server", &address]),
                b"",
            );
            let mut lines: Vec<&str> = there.text().lines().collect();
            lines.sort_unstable();
            let expected = records(carries);
            let mut expected: Vec<&str> = expected.lines().collect();
            expected.sort_unstable();
            assert_eq!(lines, expected, "{url}");
        }
    }
}

#[test]
fn many_records_pass_in_bounded_batches() {
    let lines = lines(20_000);
    let folder = Folder::new();
    let (redis, memcached) = (Peer::redis(&folder), Peer::memcached(&folder));
    let server = Place::server(&["default=hash"]);
    server.feed(&["import"], lines.as_bytes()).with(0);
    let tyrant = format!("tyrant://unix:{}", server.folder().join("socket"));
    let back = Place::at_rest();
    // Round through all of them.
    let hops = [
        [tyrant.as_str(), redis.url()],
        [redis.url(), memcached.url()],
    ];
    for [from, to] in hops {
        let hop = ["import", from, "--server", to];
        run(Command::new(HAKONE).args(hop), b"").with(0);
    }
    back.run(&["import", memcached.url()]).with(0);
    assert!(back.run(&["export"]).with(0).text() == lines);
}

#[test]
fn large_values_pass() {
    let folder = Folder::new();
    let redis = Peer::redis(&folder);
    let server = Place::server(&["default=tree"]);
    let tyrant = format!("tyrant://unix:{}", server.folder().join("socket"));
    let value = "x".repeat(30 << 20);
    for key in ["a", "b", "c"] {
        server.feed(&["set", key, "-"], value.as_bytes()).with(0);
    }
    let hop = |from: &str, to: &str| {
        run(
            Command::new(HAKONE).args(["import", from, "--server", to]),
            b"",
        )
        .with(0);
    };
    hop(&tyrant, redis.url());
    server.run(&["delete", "a", "b", "c"]).with(0);
    hop(redis.url(), &tyrant);
    assert!(server.run(&["get", "b"]).with(0).text() == value);
    for (from, to) in [
        ("memcached", "tycoon"),
        ("tycoon", "http"),
        ("http", "memcached"),
    ] {
        let url = |scheme: &str| tyrant.replace("tyrant", scheme);
        hop(&url(from), &url(to));
        assert!(server.run(&["get", "c"]).with(0).text() == value);
    }
}

#[test]
fn databases_are_reached_by_number_and_by_name() {
    let server = Place::server(&["first=hash", "second=tree"]);
    let socket = server.folder().join("socket");
    let hakone = |words: &[&str], input: &str| {
        run(Command::new(HAKONE).args(words), input.as_bytes()).with(0)
    };
    for (scheme, database) in [
        ("redis", "1"),
        ("tycoon", "1"),
        ("tycoon", "second"),
        ("http", "1"),
        ("http", "second"),
        ("hakone", "1"),
        ("hakone", "second"),
    ] {
        let url = format!("{scheme}://unix:{socket}?db={database}");
        let line = format!("{scheme}\t{database}\n");
        hakone(&["import", "--server", &url], &line);
        let there = server.run(&["get", "-d", "second", scheme]).with(0);
        assert_eq!(there.text(), database, "{url}");
        let listed = hakone(&["export", "--server", &url, "--prefix", scheme], "");
        assert_eq!(listed.text(), line, "{url}");
    }
    assert_eq!(server.run(&["scan", "-d", "first"]).with(0).text(), "");
    for scheme in ["tycoon", "http", "hakone"] {
        let url = format!("{scheme}://unix:{socket}?db=third");
        let import = ["import", "--server", &url];
        run(Command::new(HAKONE).args(import), b"a\t1\n").with(2);
    }
}

#[test]
fn what_redis_has_beside_strings_is_counted() {
    let folder = Folder::new();
    let redis = Peer::redis(&folder);
    redis.tell(
        b"SET a 1\r\nRPUSH l1 1\r\nRPUSH l2 1\r\nSADD s 1\r\nHSET h f 1\r\nPING\r\n",
        "+PONG\r\n",
    );
    let place = Place::at_rest();
    let imported = place.run(&["import", redis.url()]).with(1);
    let said: Vec<&str> = imported.error.lines().skip(1).collect();
    assert_eq!(
        said,
        [
            "hakone: left out 1 record: type hash, not string",
            "hakone: left out 2 records: type list, not string",
            "hakone: left out 1 record: type set, not string",
        ]
    );
    assert_eq!(place.run(&["scan"]).with(0).text(), "a\t1\n");
    place.run(&["import", "--skip-errors", redis.url()]).with(0);
}

#[test]
fn databases_of_a_redis_are_told_apart_and_passwords_used() {
    let folder = Folder::new();
    let redis = Peer::redis(&folder);
    redis.tell(
        b"SET a 0\r\nSELECT 3\r\nSET a 3\r\nCONFIG SET requirepass s3cret@\r\nPING\r\n",
        "+PONG\r\n",
    );
    let place = Place::at_rest();
    let refused = place.run(&["import", redis.url()]).with(2);
    assert!(refused.error.contains("NOAUTH"), "{}", refused.error);
    let url = redis.url().replace("redis://", "redis://:s3cret%40@");
    for (database, value) in [("", "0"), ("?db=3", "3")] {
        place.run(&["import", &format!("{url}{database}")]).with(0);
        assert_eq!(place.run(&["get", "a"]).with(0).text(), value);
    }
}

#[test]
fn what_a_memcached_cannot_hold_is_counted() {
    let folder = Folder::new();
    let memcached = Peer::memcached(&folder);
    let place = Place::at_rest();
    let mut lines = String::new();
    let (key, value) = ("k".repeat(251), "v".repeat(2 << 20));
    write!(
        lines,
        "\tempty\n{key}\t1\nlarge\t{value}\nok\t1\nfar\t1\t4102444800000\n"
    )
    .unwrap();
    place.feed(&["import"], lines.as_bytes()).with(0);
    let exported = place.run(&["export", memcached.url()]).with(1);
    assert!(
        exported.error.starts_with("exported 2 records in "),
        "{}",
        exported.error
    );
    let said: Vec<&str> = exported.error.lines().skip(1).collect();
    assert_eq!(
        said,
        [
            "hakone: left out 1 record: keys are longer than memcached takes",
            "hakone: left out 1 record: keys cannot be said in memcached's text protocol",
            "hakone: left out 1 record: values are larger than the server takes",
            "hakone: 1 record not whole: expiry after 2038 becomes none",
        ]
    );
    let back = Place::at_rest();
    back.run(&["import", memcached.url()]).with(0);
    assert_eq!(back.run(&["scan"]).with(0).text(), "far\t1\nok\t1\n");
}

#[test]
fn a_memcached_serves_others_while_its_records_are_not_taken() {
    let folder = Folder::new();
    let memcached = Peer::memcached(&folder);
    let lines = lines(100_000);
    let import = ["import", "--server", memcached.url()];
    run(Command::new(HAKONE).args(import), lines.as_bytes()).with(0);
    let mut export = Command::new(HAKONE)
        .args(["export", "--server", memcached.url()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It has begun, and stands still: its pipe is full.
    let mut first = [0; 1];
    let mut said = export.stdout.take().unwrap();
    said.read_exact(&mut first).unwrap();
    for part in 0..1000 {
        let keys = (0..100).fold(String::new(), |mut keys, number| {
            write!(keys, " key{:08}", part * 100 + number).unwrap();
            keys
        });
        memcached.tell(format!("get{keys}\r\n").as_bytes(), "END\r\n");
    }
    export.kill().unwrap();
    export.wait().unwrap();
}

#[test]
fn records_whose_time_has_passed_are_not_written() {
    let folder = Folder::new();
    let redis = Peer::redis(&folder);
    let hakone = |words: &[&str], input: &[u8]| run(Command::new(HAKONE).args(words), input);
    hakone(
        &["import", "--server", redis.url()],
        b"gone\t1\t1000\nhere\t1\n",
    )
    .with(0);
    let left = hakone(&["export", "--server", redis.url()], b"").with(0);
    assert_eq!(left.text(), "here\t1\n");
}

#[test]
fn what_cannot_be_moved_is_told() {
    let folder = Folder::new();
    let redis = Peer::redis(&folder);
    let (_, socket) = redis.url().split_once("unix:").unwrap();
    let data = folder.join("data");
    for (words, said) in [
        (
            vec!["import".to_owned(), format!("memcached://unix:{socket}")],
            "does not speak memcached's text protocol as it should",
        ),
        (
            vec!["import".to_owned(), "gopher://h".to_owned()],
            "gopher:// is no protocol that records come from or go to",
        ),
        (
            vec!["import".to_owned(), "memcached://h/3".to_owned()],
            "memcached:// reaches only the first database",
        ),
        (
            vec!["import".to_owned(), "redis://unix:/none".to_owned()],
            "cannot reach unix:/none: No such file",
        ),
    ] {
        let ended = run(
            Command::new(HAKONE).args(&words).args(["--data", &data]),
            b"",
        )
        .with(2);
        assert!(ended.error.contains(said), "{words:?}: {}", ended.error);
    }
    let twice = ["export", "--server", redis.url(), "--database", "1"];
    let ended = run(Command::new(HAKONE).args(twice), b"").with(2);
    assert_eq!(
        ended.error,
        "hakone: the database of a URL stands in it: redis://.../1 in place of --database\n"
    );
}
