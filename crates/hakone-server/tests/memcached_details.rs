//! memcached's words where one exchange does not show it: times, limits, lists, reports, and what
//! the other protocols make of its records.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod running;
mod support;

use hakone::{Durability, Kind};
use running::Running;
use std::io::{BufRead, BufReader, Read, Write};
use support::{Connection, NOW, Server, request};

/// Sends a line or more, and returns what comes back as text.
fn ask(connection: &mut Connection<'_>, line: &str) -> String {
    ask_at(connection, NOW, line)
}

fn ask_at(connection: &mut Connection<'_>, now: u64, line: &str) -> String {
    String::from_utf8(connection.send_at(now, format!("{line}\r\n").as_bytes())).unwrap()
}

#[test]
fn a_delayed_flush_takes_all_that_was_stored_before_its_moment() {
    for (kind, memory) in [(Kind::Hash, true), (Kind::Tree, false)] {
        let server = Server::new(kind, memory);
        let (mut one, mut other) = (server.connect(), server.connect());
        assert_eq!(ask(&mut one, "set a 0 0 1\r\n1"), "STORED\r\n");
        assert_eq!(ask(&mut one, "flush_all 10"), "OK\r\n");
        assert_eq!(
            ask_at(&mut one, NOW + 5000, "set b 0 0 1\r\n2"),
            "STORED\r\n"
        );
        let both = "VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n";
        assert_eq!(ask_at(&mut other, NOW + 9999, "get a b"), both);
        // Whoever comes first finds nothing, in whatever protocol, and what is stored then stays.
        let set = request(&[b"SET", b"c", b"3"]);
        assert_eq!(
            other.send_at(NOW + 10_000, &request(&[b"DBSIZE"])),
            b":0\r\n"
        );
        assert_eq!(other.send_at(NOW + 10_000, &set), b"+OK\r\n");
        let rest = "VALUE c 0 1\r\n3\r\nEND\r\n";
        assert_eq!(ask_at(&mut one, NOW + 10_001, "get a b c"), rest);
        assert_eq!(ask_at(&mut one, NOW + 99_999, "get a b c"), rest);
    }
}

#[test]
fn a_later_flush_takes_the_place_of_one_to_come() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    for (second, gone_at) in [("flush_all 20", 20_000), ("flush_all 5", 5000)] {
        let lines = format!("flush_all 10\r\nset a 0 0 1\r\n1\r\n{second}");
        assert_eq!(ask(&mut connection, &lines), "OK\r\nSTORED\r\nOK\r\n");
        let there = "VALUE a 0 1\r\n1\r\nEND\r\n";
        assert_eq!(ask_at(&mut connection, NOW + gone_at - 1, "get a"), there);
        assert_eq!(ask_at(&mut connection, NOW + gone_at, "get a"), "END\r\n");
    }
    ask(
        &mut connection,
        "flush_all 10\r\nflush_all\r\nset a 0 0 1\r\n1",
    );
    assert_ne!(ask_at(&mut connection, NOW + 10_000, "get a"), "END\r\n");
    // A time of the calendar, as any other of the protocol.
    let soon = NOW / 1000 + 7;
    assert_eq!(ask(&mut connection, &format!("flush_all {soon}")), "OK\r\n");
    assert_ne!(ask_at(&mut connection, NOW + 6999, "get a"), "END\r\n");
    assert_eq!(ask_at(&mut connection, NOW + 7000, "get a"), "END\r\n");
}

#[test]
fn records_expire_to_the_millisecond() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let day = 24 * 60 * 60;
    let calendar = NOW / 1000 + 40 * day;
    for (time, ms) in [
        ("1".to_owned(), 1000),
        ((30 * day).to_string(), 30 * day * 1000),
        (calendar.to_string(), 40 * day * 1000),
    ] {
        for how in ["set", "touch", "gat"] {
            let line = match how {
                "set" => format!("set a 0 {time} 1\r\n1"),
                "touch" => format!("set a 0 0 1\r\n1\r\ntouch a {time}"),
                _ => format!("set a 0 0 1\r\n1\r\ngat {time} a"),
            };
            ask(&mut connection, &line);
            let there = ask_at(&mut connection, NOW + ms - 1, "get a");
            assert_eq!(there, "VALUE a 0 1\r\n1\r\nEND\r\n", "{how} {time}");
            assert_eq!(
                ask_at(&mut connection, NOW + ms, "get a"),
                "END\r\n",
                "{how} {time}"
            );
        }
    }
    // What is added to a record leaves its time as it is.
    let lines = "set n 7 1 1\r\n5\r\nincr n 1\r\nappend n 0 0 1\r\n0\r\nprepend n 0 0 1\r\n1";
    assert_eq!(
        ask(&mut connection, lines),
        "STORED\r\n6\r\nSTORED\r\nSTORED\r\n"
    );
    let there = "VALUE n 7 3\r\n160\r\nEND\r\n";
    assert_eq!(ask_at(&mut connection, NOW + 999, "get n"), there);
    assert_eq!(ask_at(&mut connection, NOW + 1000, "get n"), "END\r\n");
    // A touch with 0 makes it stay.
    ask(&mut connection, "set a 0 1 1\r\n1\r\ntouch a 0");
    assert_ne!(ask_at(&mut connection, NOW + 2000, "get a"), "END\r\n");
}

const VALUE_BYTES_MAX: usize = 32 << 20;

#[test]
fn the_largest_value_is_kept_and_a_larger_one_is_passed_over() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let value = vec![b'v'; VALUE_BYTES_MAX];
    connection.send(format!("set a 0 0 {VALUE_BYTES_MAX}\r\n").as_bytes());
    connection.send(&value);
    assert_eq!(connection.send(b"\r\n"), b"STORED\r\n");
    // One byte more is not kept while it comes, and takes the old value along.
    assert_eq!(
        connection.send(format!("set a 0 0 {}\r\n", VALUE_BYTES_MAX + 1).as_bytes()),
        b""
    );
    for piece in value.chunks(1 << 20) {
        assert_eq!(connection.send(piece), b"");
        assert_eq!(connection.unconsumed(), 0);
    }
    assert_eq!(
        connection.send(b"v\r\n"),
        b"SERVER_ERROR object too large for cache\r\n"
    );
    assert_eq!(ask(&mut connection, "get a"), "END\r\n");
    // Any length that can be announced is passed over.
    let head = "set a 0 0 18446744073709551615";
    assert_eq!(ask(&mut connection, head), "");
    for piece in value.chunks(1 << 20) {
        assert_eq!(connection.send(piece), b"");
        assert_eq!(connection.unconsumed(), 0);
    }
}

#[test]
fn an_answer_that_is_too_large_is_an_error() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let value = vec![b'v'; VALUE_BYTES_MAX];
    connection.send(format!("set a 0 0 {VALUE_BYTES_MAX}\r\n").as_bytes());
    connection.send(&value);
    connection.send(b"\r\n");
    let error = "SERVER_ERROR the reply would be larger than 256 MiB, ask for fewer keys\r\n";
    let keys = " a".repeat(9);
    for verb in ["get", "gat 0"] {
        assert_eq!(ask(&mut connection, &format!("{verb}{keys}")), error);
    }
    let larger = "append a 0 0 1\r\n1";
    let error = "SERVER_ERROR object too large for cache\r\n";
    assert_eq!(ask(&mut connection, larger), error);
    assert_eq!(
        connection.send(b"get a\r\n").len(),
        20 + VALUE_BYTES_MAX + 7
    );
}

#[test]
fn a_dump_goes_in_slices_and_what_follows_waits() {
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, true);
        let mut connection = server.connect();
        let sets = (0..20_000).map(|n| format!("set {n} 0 100 1 noreply\r\n1\r\n"));
        assert_eq!(connection.send(sets.collect::<String>().as_bytes()), b"");
        connection.turns = 0;
        let text = ask(&mut connection, "lru_crawler metadump all\r\nversion");
        assert!(connection.turns >= 5, "{}", connection.turns);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        assert_eq!(lines.len(), 20_002);
        assert_eq!(lines[20_000..], ["END\r\n", "VERSION 1.6.18\r\n"]);
        let exp = (NOW + 100_000) / 1000;
        let mut keys = Vec::new();
        for line in &lines[..20_000] {
            let (key, rest) = line.split_once(' ').unwrap();
            keys.push(key.strip_prefix("key=").unwrap().parse::<u32>().unwrap());
            let words: Vec<&str> = rest.strip_suffix('\n').unwrap().split(' ').collect();
            let names: Vec<&str> = words
                .iter()
                .map(|word| word.split_once('=').unwrap().0)
                .collect();
            assert_eq!(names, ["exp", "la", "cas", "fetch", "cls", "size"]);
            assert_eq!(words[0], format!("exp={exp}"));
        }
        keys.sort_unstable();
        assert!(keys.iter().copied().eq(0..20_000));
        // Nothing that has expired.
        let later = ask_at(&mut connection, NOW + 100_000, "lru_crawler metadump all");
        assert_eq!(later, "END\r\n");
    }
}

#[test]
fn a_cachedump_names_keys_that_a_line_can_hold() {
    let server = Server::new(Kind::Tree, true);
    let mut connection = server.connect();
    ask(
        &mut connection,
        "set a 0 0 3\r\nabc\r\nset b 0 100 5\r\nabcde\r\nset c 0 0 0\r\n",
    );
    for key in [&b""[..], b"a b", b"x\r\nEND", &[b'k'; 251]] {
        connection.send(&request(&[b"SET", key, b"1"]));
    }
    let (a, c) = ("ITEM a [3 b; 0 s]\r\n", "ITEM c [0 b; 0 s]\r\n");
    let b = format!("ITEM b [5 b; {} s]\r\n", NOW / 1000 + 100);
    for (limit, expected) in [
        ("0", format!("{a}{b}{c}END\r\n")),
        ("1", format!("{a}END\r\n")),
        ("2", format!("{a}{b}END\r\n")),
        ("99999999999", format!("{a}{b}{c}END\r\n")),
    ] {
        let answer = ask(&mut connection, &format!("stats cachedump 1 {limit}"));
        assert_eq!(answer, expected, "{limit}");
    }
    // Two MiB, whatever is asked for.
    let sets = (0..200_000).map(|n| format!("set {n} 0 0 0 noreply\r\n\r\n"));
    connection.send(sets.collect::<String>().as_bytes());
    let bytes = ask(&mut connection, "stats cachedump 1 0").len();
    assert!((2_000_000..=(2 << 20) + 5).contains(&bytes), "{bytes}");
}

fn stat(report: &str, name: &str) -> String {
    let begin = format!("STAT {name} ");
    let line = report.lines().find_map(|line| line.strip_prefix(&begin));
    line.unwrap_or_else(|| panic!("no {name} in {report}"))
        .to_owned()
}

#[test]
fn stats_has_what_tools_read() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let first = "set a 0 0 2\r\n10\r\nadd a 0 0 1\r\n1\r\nget a b a\r\ndelete b\r\nincr a 1\r\n\
                 incr b 1\r\ndecr b 1\r\ntouch a 0\r\ngat 0 a b\r\ncas b 0 0 1 1\r\n1\r\n\
                 cas a 0 0 1 1\r\n1\r\nflush_all 100";
    ask(&mut connection, first);
    let report = ask(&mut connection, "stats");
    for (name, value) in [
        ("cmd_get", "3"),
        ("get_hits", "2"),
        ("get_misses", "1"),
        ("cmd_set", "4"),
        ("cmd_flush", "1"),
        ("cmd_touch", "3"),
        ("touch_hits", "2"),
        ("touch_misses", "1"),
        ("delete_hits", "0"),
        ("delete_misses", "1"),
        ("incr_hits", "1"),
        ("incr_misses", "1"),
        ("decr_hits", "0"),
        ("decr_misses", "1"),
        ("cas_hits", "0"),
        ("cas_misses", "1"),
        ("cas_badval", "1"),
        ("get_expired", "0"),
        ("get_flushed", "0"),
        ("store_too_large", "0"),
        ("auth_cmds", "0"),
        ("auth_errors", "0"),
        ("evictions", "0"),
        ("reclaimed", "0"),
        ("curr_items", "1"),
        ("total_items", "4"),
        ("curr_connections", "1"),
        ("total_connections", "1"),
        ("max_connections", "1000"),
        ("accepting_conns", "1"),
        ("threads", "1"),
        ("version", "1.6.18"),
        ("pointer_size", "64"),
        ("limit_maxbytes", "8796093022208"),
        ("bytes_read", &(first.len() + 2).to_string()),
        ("time", &(NOW / 1000).to_string()),
    ] {
        assert_eq!(stat(&report, name), value, "{name}");
    }
    for name in ["pid", "bytes", "bytes_written"] {
        assert!(stat(&report, name).parse::<u64>().unwrap() > 0, "{name}");
    }
    for name in ["uptime", "rusage_user", "rusage_system"] {
        assert!(stat(&report, name).parse::<f64>().is_ok(), "{name}");
    }
    // Since a reset; what is there is not counted, but looked at.
    assert_eq!(ask(&mut connection, "stats reset"), "RESET\r\n");
    let report = ask(&mut connection, "stats");
    for name in [
        "cmd_get",
        "cmd_set",
        "get_hits",
        "cas_badval",
        "total_items",
    ] {
        assert_eq!(stat(&report, name), "0", "{name}");
    }
    assert_eq!(stat(&report, "curr_items"), "1");
    assert_eq!(
        stat(&ask(&mut connection, "get a\r\nstats"), "get_hits"),
        "1"
    );
    // The other reports.
    let settings = ask(&mut connection, "stats settings");
    assert_eq!(
        stat(&settings, "item_size_max"),
        VALUE_BYTES_MAX.to_string()
    );
    assert_eq!(stat(&settings, "tcpport"), "1978");
    assert_eq!(stat(&settings, "detail_enabled"), "no");
    let items = ask(&mut connection, "stats items");
    assert_eq!(stat(&items, "items:1:number"), "1");
    let slabs = ask(&mut connection, "stats slabs");
    assert_eq!(stat(&slabs, "1:used_chunks"), "1");
    assert_eq!(stat(&slabs, "active_slabs"), "1");
    let conns = ask(&mut connection, "stats conns");
    assert_eq!(stat(&conns, "1:addr"), "tcp:127.0.0.1:50000");
    for report in [report, settings, items, slabs, conns] {
        let lines: Vec<&str> = report
            .strip_suffix("END\r\n")
            .unwrap()
            .split_terminator("\r\n")
            .collect();
        assert!(
            lines.iter().all(|line| line.split(' ').count() == 3),
            "{report}"
        );
    }
}

#[test]
fn what_one_protocol_writes_the_others_read() {
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::with(&[("default", kind, true)], Durability::Process);
        let mut connection = server.connect();
        // Bytes and expiry.
        ask(&mut connection, "set a 77 100 3\r\n\0\r\n");
        assert_eq!(
            connection.send(&request(&[b"GET", b"a"])),
            b"$3\r\n\0\r\n\r\n"
        );
        assert_eq!(connection.send(&request(&[b"PTTL", b"a"])), b":100000\r\n");
        let tyrant_get = [&[0xc8, 0x30, 0, 0, 0, 1], &b"a"[..]].concat();
        assert_eq!(connection.send(&tyrant_get), b"\0\0\0\0\x03\0\r\n");
        connection.send(&request(&[b"SET", b"b", b"xyz", b"EX", b"50"]));
        assert_eq!(
            ask(&mut connection, "get b"),
            "VALUE b 0 3\r\nxyz\r\nEND\r\n"
        );
        assert_eq!(ask_at(&mut connection, NOW + 50_000, "get b"), "END\r\n");
        // Flags: kept by what adds, dropped by what overwrites without knowing them.
        connection.send(&request(&[b"APPEND", b"a", b"!"]));
        assert_eq!(
            ask(&mut connection, "get a"),
            "VALUE a 77 4\r\n\0\r\n!\r\nEND\r\n"
        );
        connection.send(&request(&[b"SET", b"a", b"1"]));
        assert_eq!(ask(&mut connection, "get a"), "VALUE a 0 1\r\n1\r\nEND\r\n");
        connection.send(&request(&[
            b"HAKONE",
            b"PUT",
            b"a",
            b"1",
            b"FLAGS",
            b"4294967295",
        ]));
        assert_eq!(
            ask(&mut connection, "get a"),
            "VALUE a 4294967295 1\r\n1\r\nEND\r\n"
        );
        // Counters are decimal text here as with Redis, four bytes with Tyrant.
        assert_eq!(
            connection.send(&request(&[b"INCRBY", b"n", b"41"])),
            b":41\r\n"
        );
        assert_eq!(ask(&mut connection, "incr n 1"), "42\r\n");
        assert_eq!(connection.send(&request(&[b"INCR", b"n"])), b":43\r\n");
        assert_eq!(ask(&mut connection, "decr n 100"), "0\r\n");
        assert_eq!(connection.send(&request(&[b"DECR", b"n"])), b":-1\r\n");
        let none = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
        assert_eq!(ask(&mut connection, "incr n 1"), none);
        ask(&mut connection, "set n 0 0 20\r\n18446744073709551615");
        assert!(
            connection
                .send(&request(&[b"INCR", b"n"]))
                .starts_with(b"-ERR value is not")
        );
        let addint = [&[0xc8, 0x60, 0, 0, 0, 1, 0, 0, 0, 5], &b"i"[..]].concat();
        assert_eq!(connection.send(&addint), b"\0\0\0\0\x05");
        assert_eq!(ask(&mut connection, "incr i 1"), none);
        // Versions: any other write makes a cas unique old.
        let gets = ask(&mut connection, "gets a");
        let cas = gets
            .lines()
            .next()
            .unwrap()
            .rsplit_once(' ')
            .unwrap()
            .1
            .to_owned();
        connection.send(&request(&[b"SET", b"a", b"1"]));
        let line = format!("cas a 0 0 1 {cas}\r\n2");
        assert_eq!(ask(&mut connection, &line), "EXISTS\r\n");
        connection.send(&request(&[b"DEL", b"a"]));
        assert_eq!(ask(&mut connection, &line), "NOT_FOUND\r\n");
        // A touch is a write too, unlike with memcached.
        let gets = ask(&mut connection, "set a 0 0 1\r\n1\r\ngets a");
        let cas = gets
            .lines()
            .nth(1)
            .unwrap()
            .rsplit_once(' ')
            .unwrap()
            .1
            .to_owned();
        let line = format!("touch a 100\r\ncas a 0 0 1 {cas}\r\n2");
        assert_eq!(ask(&mut connection, &line), "TOUCHED\r\nEXISTS\r\n");
        // flush_all is about database 0 alone.
        let select = [request(&[b"SELECT", b"3"]), request(&[b"SET", b"z", b"1"])].concat();
        connection.send(&select);
        assert_eq!(ask(&mut connection, "flush_all\r\nget z"), "OK\r\nEND\r\n");
        assert_eq!(connection.send(&request(&[b"DBSIZE"])), b":1\r\n");
    }
}

#[test]
fn one_of_many_that_swap_at_once_wins() {
    const THREADS: usize = 4;
    const TIMES: usize = 100;
    let server = Running::with(|config, _| config.threads = Some(2));
    let line = |stream: &mut BufReader<std::net::TcpStream>| {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let mut stream = BufReader::new(server.connect());
    stream.get_mut().write_all(b"set n 0 0 1\r\n0\r\n").unwrap();
    assert_eq!(line(&mut stream), "STORED");
    let count = || {
        let mut stream = BufReader::new(server.connect());
        let mut lost = 0;
        let mut done = 0;
        while done < TIMES {
            stream.get_mut().write_all(b"gets n\r\n").unwrap();
            let head = line(&mut stream);
            let cas = head.rsplit_once(' ').unwrap().1.to_owned();
            let number: usize = line(&mut stream).parse().unwrap();
            assert_eq!(line(&mut stream), "END");
            let next = (number + 1).to_string();
            let swap = format!("cas n 0 0 {} {cas}\r\n{next}\r\n", next.len());
            stream.get_mut().write_all(swap.as_bytes()).unwrap();
            match line(&mut stream).as_str() {
                "STORED" => done += 1,
                "EXISTS" => lost += 1,
                other => panic!("{other}"),
            }
        }
        lost
    };
    let lost: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(count)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    println!("{lost} swaps came too late");
    stream.get_mut().write_all(b"get n\r\nquit\r\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(
        rest,
        format!("VALUE n 0 3\r\n{}\r\nEND\r\n", THREADS * TIMES)
    );
}
