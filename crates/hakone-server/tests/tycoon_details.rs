//! What the captured exchanges do not show of Tycoon's protocols, played to the service.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;
mod ways;

use hakone::{Durability, Kind};
use support::{Connection, NOW, Server};
use ways::call;

const NEVER: i64 = i64::MAX;
const NEVER_READ: &[u8] = b"\0\0\0\xff\xff\xff\xff\xff";

fn head(magic: u8, flags: u32, count: u32) -> Vec<u8> {
    let mut out = vec![magic];
    out.extend(flags.to_be_bytes());
    out.extend(count.to_be_bytes());
    out
}

fn set(database: u16, key: &[u8], value: &[u8], xt: i64) -> Vec<u8> {
    let mut out = database.to_be_bytes().to_vec();
    out.extend(u32::try_from(key.len()).unwrap().to_be_bytes());
    out.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
    out.extend(xt.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    out
}

fn ask(database: u16, key: &[u8]) -> Vec<u8> {
    let mut out = database.to_be_bytes().to_vec();
    out.extend(u32::try_from(key.len()).unwrap().to_be_bytes());
    out.extend_from_slice(key);
    out
}

fn found(database: u16, key: &[u8], xt: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = database.to_be_bytes().to_vec();
    out.extend(u32::try_from(key.len()).unwrap().to_be_bytes());
    out.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
    out.extend_from_slice(xt);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    out
}

fn answer(magic: u8, hits: u32) -> Vec<u8> {
    let mut out = vec![magic];
    out.extend(hits.to_be_bytes());
    out
}

fn both(check: impl Fn(&Server, &mut Connection<'_>)) {
    for kind in [Kind::Hash, Kind::Tree] {
        let databases = [("zero", kind, true), ("one", kind, true)];
        let server = Server::with(&databases, Durability::Process);
        let mut connection = server.connect();
        check(&server, &mut connection);
    }
}

#[test]
fn a_long_bulk_request_is_carried_out_as_it_comes() {
    const COUNT: u32 = 20_000;
    both(|_, connection| {
        let keys: Vec<String> = (0..COUNT).map(|number| format!("key {number}")).collect();
        let mut written = head(0xb8, 0, COUNT);
        let mut read = head(0xba, 0, COUNT);
        let mut expected = answer(0xba, COUNT);
        for (number, key) in keys.iter().enumerate() {
            let database = u16::try_from(number % 2).unwrap();
            written.extend(set(database, key.as_bytes(), b"value", NEVER));
            read.extend(ask(database, key.as_bytes()));
            expected.extend(found(database, key.as_bytes(), NEVER_READ, b"value"));
        }
        let mut replies = Vec::new();
        for piece in written.chunks(60_000) {
            replies.extend(connection.send(piece));
            // No more than a record is kept.
            assert!(connection.unconsumed() < 40);
        }
        assert_eq!(replies, answer(0xb8, COUNT));
        for piece in [read.len(), 10_007, 61] {
            assert_eq!(connection.send_pieces(&read, piece), expected);
        }
        let mut removed = head(0xb9, 0, COUNT);
        removed.extend(keys.iter().flat_map(|key| ask(1, key.as_bytes())));
        assert_eq!(
            connection.send_pieces(&removed, 9_001),
            answer(0xb9, COUNT / 2)
        );
    });
}

#[test]
fn the_largest_value_comes_in_pieces_and_goes_back() {
    both(|_, connection| {
        let value = vec![7; 32 << 20];
        let request = [head(0xb8, 0, 1), set(0, b"k", &value, NEVER)].concat();
        let turns = connection.turns;
        assert_eq!(connection.send_pieces(&request, 64 << 10), answer(0xb8, 1));
        assert!(connection.turns - turns <= 4, "looked at in every piece");
        let request = [head(0xba, 0, 1), ask(0, b"k")].concat();
        let expected = [answer(0xba, 1), found(0, b"k", NEVER_READ, &value)].concat();
        assert!(connection.send(&request) == expected);
    });
}

#[test]
fn what_the_store_does_not_take_fails_and_closes() {
    for (request, expected) in [
        (
            [
                head(0xb8, 0, 2),
                set(0, b"a", b"1", NEVER),
                set(0, &vec![0; 65_537], b"", NEVER),
            ],
            &b"\xbf"[..],
        ),
        (
            [
                head(0xb8, 0, 2),
                set(0, b"a", b"1", NEVER),
                set(0, b"k", &vec![0; (32 << 20) + 1], NEVER),
            ],
            b"\xbf",
        ),
        (
            [head(0xb9, 0, 2), ask(0, b"a"), ask(0, &vec![0; 65_537])],
            b"\xb9\0\0\0\0",
        ),
        (
            [head(0xba, 0, 2), ask(0, b"a"), ask(0, &vec![0; 65_537])],
            b"\xba\0\0\0\0",
        ),
    ] {
        let server = Server::new(Kind::Hash, true);
        let mut connection = server.connect();
        let writes = request[0][0] == 0xb8;
        assert_eq!(connection.send_pieces(&request.concat(), 1 << 20), expected);
        assert_eq!(connection.closed, writes);
        // What came before has been written.
        let reply = server.connect().send(b"EXISTS a\r\n");
        assert_eq!(reply, if writes { b":1\r\n" } else { b":0\r\n" });
    }
}

#[test]
fn an_answer_that_is_too_large_fails_and_closes() {
    both(|_, connection| {
        let value = vec![7; 32 << 20];
        connection.send(&[head(0xb8, 1, 1), set(0, b"k", &value, NEVER)].concat());
        for pieces in [1 << 20, 20] {
            let request = [head(0xba, 0, 9), ask(0, b"k").repeat(9)].concat();
            let mut other = connection.server.connect();
            assert_eq!(other.send_pieces(&request, pieces), b"\xbf");
            assert!(other.closed);
        }
    });
}

#[test]
fn an_expiry_is_the_last_second_of_a_record() {
    both(|server, connection| {
        let now = NOW + 700;
        let second = i64::try_from(NOW / 1000).unwrap();
        let request = [
            head(0xb8, 0, 4),
            set(0, b"zero", b"", 0),
            set(0, b"one", b"", 1),
            set(0, b"past", b"", -(second - 1)),
            set(0, b"absolute", b"", -(second + 1)),
        ];
        assert_eq!(connection.send_at(now, &request.concat()), answer(0xb8, 4));
        let keys: [&[u8]; 4] = [b"zero", b"one", b"past", b"absolute"];
        let mut read = head(0xba, 0, 4);
        read.extend(keys.iter().flat_map(|key| ask(0, key)));
        for (now, there) in [
            (now, &keys[..]),
            (NOW + 999, &keys[..]),
            (NOW + 1000, &keys[1..]),
            (NOW + 1999, &keys[1..]),
            (NOW + 2000, &[]),
        ] {
            let there: Vec<_> = there.iter().filter(|key| ***key != *b"past").collect();
            let mut expected = answer(0xba, u32::try_from(there.len()).unwrap());
            for key in there {
                let xt = second + i64::from(**key != *b"zero");
                expected.extend(found(0, key, &xt.to_be_bytes(), b""));
            }
            assert_eq!(server.connect().send_at(now, &read), expected, "{now}");
        }
    });
}

#[test]
fn a_bulk_request_goes_on_after_a_turn_is_full() {
    both(|_, connection| {
        let value = vec![7; 1 << 20];
        connection.send(&[head(0xb8, 1, 1), set(0, b"large", &value, NEVER)].concat());
        // The answer of the first request fills a turn, whatever was decoded of the second by then.
        let first = [head(0xba, 0, 1), ask(0, b"large")].concat();
        let mut second = head(0xb8, 0, 1000);
        for number in 0..1000 {
            let key = format!("key {number}");
            second.extend(set(0, key.as_bytes(), b"v", NEVER));
        }
        let expected = [
            [answer(0xba, 1), found(0, b"large", NEVER_READ, &value)].concat(),
            answer(0xb8, 1000),
        ];
        for cut in [0, 1, 9, 500, 5000] {
            let requests = [first.clone(), second[..cut].to_vec()].concat();
            let mut replies = connection.send(&requests);
            replies.extend(connection.send(&second[cut..]));
            assert!(replies == expected.concat(), "cut at {cut}");
        }
    });
}

#[test]
fn a_turn_may_end_within_a_bulk_request() {
    // An answer to Tyrant's `fwmkeys` that takes a turn of its own, and fills the next one.
    both(|_, connection| {
        let mut keys = head(0xb8, 1, 32);
        for number in 0..32 {
            let bytes = if number == 0 { 65_527 } else { 65_532 };
            keys.extend(set(0, &vec![b'A' + number; bytes], b"", NEVER));
        }
        connection.send(&keys);
        let mut requests = b"\xc8\x58\0\0\0\0\xff\xff\xff\xff".to_vec();
        requests.extend(head(0xb8, 0, 1000));
        for number in 0..1000 {
            let key = format!("key {number}");
            requests.extend(set(1, key.as_bytes(), b"v", NEVER));
        }
        let replies = connection.send(&requests);
        assert_eq!(replies.len(), (2 << 20) + 5);
        assert_eq!(replies[2 << 20..], answer(0xb8, 1000));
        assert_eq!(
            connection.send(b"SELECT 1\r\nDBSIZE\r\n"),
            b"+OK\r\n:1000\r\n"
        );
    });
}

#[test]
fn requests_of_other_protocols_follow_one_another() {
    both(|_, connection| {
        let bulk = [head(0xb8, 0, 1), set(1, b"k", b"v", NEVER)].concat();
        let requests = [&bulk[..], b"SELECT 1\r\nGET k\r\n", b"\xc8\x80", &bulk[..]].concat();
        let expected = [
            &answer(0xb8, 1)[..],
            b"+OK\r\n$1\r\nv\r\n",
            b"\0\0\0\0\0\0\0\0\0",
            &answer(0xb8, 1)[..],
        ];
        for pieces in [requests.len(), 1, 5] {
            let replies = connection.send_pieces(&requests, pieces);
            assert_eq!(replies, expected.concat());
        }
    });
}

#[test]
fn scripts_are_refused_and_the_connection_lives_on() {
    both(|_, connection| {
        let script = b"\0\0\0\x04\0\0\0\x01name\0\0\0\x01\0\0\0\x02kvv";
        let ask = [head(0xba, 0, 1), ask(0, b"none")].concat();
        for (flags, expected) in [(0, &b"\xbf\xba\0\0\0\0"[..]), (1, b"\xba\0\0\0\0")] {
            let mut requests = vec![0xb4];
            requests.extend(u32::to_be_bytes(flags));
            requests.extend_from_slice(script);
            requests.extend_from_slice(&ask);
            for pieces in [requests.len(), 1, 7] {
                assert_eq!(connection.send_pieces(&requests, pieces), expected);
            }
        }
    });
}

/// A call with these parameters: the status, and the lines of the answer.
fn lines(connection: &mut Connection<'_>, call: &str, body: &str) -> (u16, Vec<String>) {
    let request = format!(
        "POST /rpc/{call} HTTP/1.1\r\nContent-Type: text/tab-separated-values\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let reply = String::from_utf8(connection.send(request.as_bytes())).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.lines().map(str::to_owned).collect())
}

fn check_calls(connection: &mut Connection<'_>, calls: &[(&str, &str, u16, &[&str])]) {
    for (name, body, status, expected) in calls {
        let (got, lines) = lines(connection, name, body);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!((got, &lines[..]), (*status, *expected), "{name} {body:?}");
    }
}

#[test]
fn calls_are_answered_as_the_original_does() {
    const ILLOGICAL: &[&str] = &["ERROR\tDB: 8: logical inconsistency: logical inconsistency"];
    both(|_, connection| {
        check_calls(
            connection,
            &[
                // The database is looked at before the parameters.
                ("get", "DB\t7\n", 400, &["ERROR\tno such database"]),
                (
                    "get",
                    "DB\tnone\nkey\tk\n",
                    400,
                    &["ERROR\tno such database"],
                ),
                ("void", "DB\t7\n", 200, &[]),
                ("status", "DB\t7\n", 400, &["ERROR\tno such database"]),
                // A signal finds nobody, whatever becomes of the call.
                (
                    "get",
                    "key\tk\nSIGNAL\t\n",
                    450,
                    &["ERROR\tDB: 7: no record: no record", "SIGNALED\t0"],
                ),
                (
                    "match_prefix",
                    "prefix\t\nSIGNAL\tx\n",
                    200,
                    &["SIGNALED\t0", "num\t0"],
                ),
                ("set_bulk", "SIGNAL\tx\n", 200, &["SIGNALED\t0", "num\t0"]),
                ("get", "WAIT\tx\n", 501, &["ERROR\tnot implemented: WAIT"]),
                (
                    "cur_jump",
                    "CUR\t1\n",
                    501,
                    &["ERROR\tnot implemented: cur_jump"],
                ),
                (
                    "play_script",
                    "name\tx\n",
                    501,
                    &["ERROR\tthe scripting extention is disabled"],
                ),
                // Counters.
                (
                    "increment",
                    "key\tn\nnum\t9223372036854775807\n",
                    200,
                    &["num\t9223372036854775807"],
                ),
                // The least integer is stored, and answered as an error.
                ("increment", "key\tn\nnum\t1\n", 450, ILLOGICAL),
                (
                    "increment",
                    "key\tn\nnum\t1\n",
                    200,
                    &["num\t-9223372036854775807"],
                ),
                ("increment", "key\tn\nnum\t7\norig\tset\n", 200, &["num\t7"]),
                ("increment", "key\tm\nnum\t7\norig\t-1x\n", 200, &["num\t6"]),
                ("increment_double", "key\td\nnum\tinf\n", 200, &["num\tinf"]),
                ("increment_double", "key\td\nnum\t-inf\n", 450, ILLOGICAL),
                (
                    "increment_double",
                    "key\td\nnum\t-1.5\norig\tset\n",
                    200,
                    &["num\t-1.500000"],
                ),
                ("increment_double", "key\tn\nnum\t1\n", 450, ILLOGICAL),
                ("increment", "key\td\nnum\t1\n", 450, ILLOGICAL),
                // A comparison with what is not there.
                (
                    "cas",
                    "key\tc\noval\t\nnval\t1\n",
                    450,
                    &["ERROR\tDB: 8: logical inconsistency: status conflict"],
                ),
                ("cas", "key\tc\nnval\t\n", 200, &[]),
                (
                    "cas",
                    "key\tc\nnval\t2\n",
                    450,
                    &["ERROR\tDB: 8: logical inconsistency: status conflict"],
                ),
                ("cas", "key\tc\noval\t\n", 200, &[]),
                (
                    "check",
                    "key\tc\n",
                    450,
                    &["ERROR\tDB: 7: no record: no record"],
                ),
                // Bulk calls, at once or one after the other.
                (
                    "set_bulk",
                    "_\tempty\n_a\t1\na\tno\n`\tno\n",
                    200,
                    &["num\t2"],
                ),
                ("set_bulk", "_b\t2\natomic\t\n", 200, &["num\t1"]),
                (
                    "get_bulk",
                    "_\t\n_a\t\n_none\t\n",
                    200,
                    &["_\tempty", "_a\t1", "num\t2"],
                ),
                (
                    "get_bulk",
                    "_b\t\n_none\t\natomic\t\n",
                    200,
                    &["_b\t2", "num\t1"],
                ),
                ("remove_bulk", "_\t\n_none\t\n", 200, &["num\t1"]),
                (
                    "remove_bulk",
                    "_a\t\n_b\t\n_none\t\natomic\tfalse\n",
                    200,
                    &["num\t2"],
                ),
            ],
        );
    });
}

#[test]
fn what_the_store_does_not_take_is_told_and_the_connection_lives_on() {
    both(|_, connection| {
        let long = "k".repeat(65_537);
        let error =
            "ERROR\tDB: 2: invalid operation: key of 65537 bytes is larger than the limit of 65536";
        for (name, body) in [
            ("set", format!("key\t{long}\nvalue\tv\n")),
            ("set_bulk", format!("_{long}\tv\n")),
            ("set_bulk", format!("_{long}\tv\natomic\t\n")),
        ] {
            assert_eq!(
                lines(connection, name, &body),
                (500, vec![error.to_owned()]),
                "{name}"
            );
        }
        let missing = "ERROR\tDB: 7: no record: no record".to_owned();
        let body = format!("key\t{long}\n");
        assert_eq!(lines(connection, "get", &body), (450, vec![missing]));
    });
}

#[test]
fn a_call_takes_so_many_parameters() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let body = "a\t\n".repeat((1 << 20) + 1);
    let error = vec!["ERROR\ttoo many parameters".to_owned()];
    assert_eq!(lines(&mut connection, "set_bulk", &body), (400, error));
    assert_eq!(lines(&mut connection, "echo", &body[3..]).0, 200);
}

#[test]
fn long_calls_take_several_turns_and_answers_stay_in_order() {
    const COUNT: usize = 10_000;
    both(|_, connection| {
        let names: Vec<String> = (0..COUNT)
            .map(|number| format!("_key{number:05}"))
            .collect();
        let written = names.join("\tv\n") + "\tv\n";
        let turns = connection.turns;
        let answer = vec![format!("num\t{COUNT}")];
        assert_eq!(
            lines(connection, "set_bulk", &written),
            (200, answer.clone())
        );
        assert!(connection.turns - turns >= COUNT / 1024, "in slices");
        let turns = connection.turns;
        let (status, found) = lines(connection, "get_bulk", &written);
        assert_eq!((status, found.len()), (200, COUNT + 1));
        assert!(connection.turns - turns >= COUNT / 1024, "in slices");
        // Three calls and a request of another protocol at once; the second call closes nothing.
        let requests = "GET /rpc/match_prefix?prefix=key0 HTTP/1.1\r\n\r\n\
             GET /rpc/match_regex?regex=7%24 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
             PING\r\n\
             HEAD /rpc/match_similar?origin=key00000&range=2 HTTP/1.1\r\nConnection: close\r\n\r\n\
             PING\r\n";
        let mut other = connection.server.connect();
        let replies = String::from_utf8(other.send(requests.as_bytes())).unwrap();
        assert!(other.turns >= 4, "in slices");
        assert!(other.closed);
        let parts: Vec<&str> = replies.split("HTTP/1.1 200 OK\r\n").collect();
        let [_, prefix, regex, similar] = parts[..] else {
            panic!("{} replies", parts.len() - 1);
        };
        assert!(prefix.ends_with(&format!("\nnum\t{COUNT}\n")));
        assert!(regex.ends_with(&format!("\nnum\t{}\n+PONG\r\n", COUNT / 10)));
        assert!(similar.contains("Connection: close") && similar.ends_with("\r\n\r\n"));
        assert!(!similar.contains("Content-Length"));
    });
}

#[test]
fn matches_are_ranked() {
    both(|server, connection| {
        let (status, _) = lines(
            connection,
            "set_bulk",
            "_tokyo\t\n_tokio\t\n_kyoto\t\n_t\t\n_\t\n",
        );
        assert_eq!(status, 200);
        let ranked = |connection: &mut Connection<'_>, name: &str, body: &str| {
            let (status, lines) = lines(connection, name, body);
            assert_eq!(status, 200, "{name} {body}");
            let mut ranks: Vec<(u32, String)> = lines
                .iter()
                .filter_map(|line| line.strip_prefix('_')?.split_once('\t'))
                .map(|(key, rank)| (rank.parse().unwrap(), key.to_owned()))
                .collect();
            ranks.sort();
            assert_eq!(lines.last(), Some(&format!("num\t{}", ranks.len())));
            ranks.into_iter().map(|(_, key)| key).collect::<Vec<_>>()
        };
        let near = "origin\ttokyo\nrange\t";
        for (range, expected) in [
            ("0", &["tokyo"][..]),
            ("1", &["tokyo", "tokio"]),
            ("-9", &["tokyo", "tokio"]),
            ("3\nmax\t2", &["tokyo", "tokio"]),
            ("4", &["tokyo", "tokio", "kyoto", "t"]),
            ("99999999999\nmax\t0", &[]),
        ] {
            let found = ranked(connection, "match_similar", &format!("{near}{range}\n"));
            assert_eq!(found, expected, "{range}");
        }
        let all = ranked(connection, "match_similar", &format!("{near}99\n"));
        assert_eq!(all.len(), 5);
        assert_eq!(all[4], "");
        if server.cabinet.databases()[0].options().kind == Kind::Tree {
            let found = ranked(connection, "match_prefix", "prefix\tt\nmax\t2\n");
            assert_eq!(found, ["t", "tokio"]);
            let found = ranked(connection, "match_regex", "regex\to.$|^$\nmax\t2\n");
            assert_eq!(found, ["", "tokio"].map(str::to_owned)[..1]);
        }
    });
}

#[test]
fn expired_records_do_not_match() {
    both(|_, connection| {
        lines(connection, "set_bulk", "_a\t\nxt\t1\n");
        lines(connection, "set_bulk", "_b\t\n");
        for (name, parameter) in [
            ("match_prefix", "prefix"),
            ("match_regex", "regex"),
            ("match_similar", "origin"),
        ] {
            for (now, found) in [(NOW, b"2"), (NOW + 2000, b"1")] {
                let parameters = [(parameter, &b""[..])];
                let mut other = connection.server.connect();
                let (status, count) = call(&mut other, now, name, &parameters, "num");
                assert_eq!((status, count.unwrap()), (200, found.to_vec()), "{name}");
            }
        }
    });
}

#[test]
fn reports_count_what_was_asked() {
    both(|_, connection| {
        lines(connection, "set", "key\tk\nvalue\tv\n");
        lines(connection, "add", "key\tk\nvalue\tv\n");
        lines(connection, "seize", "key\tk\n");
        lines(connection, "remove", "key\tk\n");
        lines(connection, "void", "");
        connection.send(&[head(0xba, 0, 2), ask(0, b"k"), ask(1, b"k")].concat());
        let (_, report) = lines(connection, "report", "");
        for line in [
            "cnt_get\t3",
            "cnt_get_misses\t2",
            "cnt_misc\t1",
            "cnt_remove\t2",
            "cnt_remove_misses\t1",
            "cnt_set\t2",
            "cnt_set_misses\t1",
            "db_1\tcount=0 size=0 path=one",
            "db_total_count\t0",
        ] {
            assert!(
                report.iter().any(|there| there == line),
                "{line} in {report:?}"
            );
        }
    });
}

#[test]
fn databases_that_are_not_configured_are_none() {
    both(|_, connection| {
        // Made by a client of another protocol.
        connection.send(b"SELECT 3\r\nSET k v\r\n");
        let none = vec!["ERROR\tno such database".to_owned()];
        for name in ["3", "redis-3"] {
            let found = lines(connection, "get", &format!("DB\t{name}\nkey\tk\n"));
            assert_eq!(found, (400, none.clone()));
        }
        let bulk = [head(0xba, 0, 1), ask(3, b"k")].concat();
        assert_eq!(connection.send(&bulk), answer(0xba, 0));
        let (_, found) = lines(connection, "report", "");
        assert!(!found.iter().any(|line| line.starts_with("db_3")));
    });
}

#[test]
fn synchronize_is_answered_when_all_is_durable_at_any_level() {
    let databases = [("default", Kind::Hash, false)];
    let server = Server::with(&databases, Durability::Process);
    let mut connection = server.connect();
    // The connection waits for what the turn asks to wait for.
    let set_and_synchronize = "GET /rpc/set?key=k&value=v HTTP/1.1\r\n\r\n\
        GET /rpc/synchronize HTTP/1.1\r\n\r\n";
    let replies = connection.send(set_and_synchronize.as_bytes());
    assert!(replies.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(server.cabinet.durable() >= server.cabinet.written());
    assert!(server.cabinet.written() > 0);
}

#[test]
fn a_match_asks_for_no_more_than_can_be_told_in_time() {
    both(|_, connection| {
        lines(connection, "set", "key\tk\nvalue\tv\n");
        let invalid = vec!["ERROR\tinvalid parameters".to_owned()];
        let origin = |bytes: usize| format!("origin\t{}\nrange\t9999999999\n", "o".repeat(bytes));
        assert_eq!(
            lines(connection, "match_similar", &origin(1025)),
            (400, invalid)
        );
        // The range counts as 1024, so the key of one byte is as near as can be.
        let found = vec!["_k\t0".to_owned(), "num\t1".to_owned()];
        assert_eq!(
            lines(connection, "match_similar", &origin(1024)),
            (200, found)
        );
        let pattern = format!("regex\t{}\n", "k*".repeat(2049));
        let failed = vec!["ERROR\tDB: 8: logical inconsistency: compilation failed".to_owned()];
        assert_eq!(lines(connection, "match_regex", &pattern), (450, failed));
    });
}
