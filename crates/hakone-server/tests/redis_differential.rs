//! The same requests to a real redis-server and to the service: the same bytes must come back. What
//! differs on purpose is not asked here, but stands in `docs/protocols/resp.md`.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod peer;
mod random;
mod support;

use hakone::Kind;
use peer::Peer;
use random::Random;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Connection, Server, request};

/// A redis-server of Debian, gone when dropped.
struct Redis(Peer);

impl Redis {
    /// Starts one, `None` where there is none to start.
    fn start(name: &str) -> Option<Redis> {
        let mut peer = Peer::start(&format!("redis-{name}"), |directory| {
            let mut command = Command::new("redis-server");
            command
                .args(["--port", "0", "--save", "", "--appendonly", "no"])
                .arg("--unixsocket")
                .arg(directory.join("socket"))
                .arg("--dir")
                .arg(directory)
                .stdout(Stdio::piped());
            command
        })?;
        let mut lines = BufReader::new(peer.child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.unwrap().contains("ready to accept connections"));
        // What it says later has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        assert!(ready, "redis-server ended before it was ready");
        Some(Redis(peer))
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.0.socket()).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
    }
}

/// Where the first reply in `bytes` ends, if it is whole.
fn reply_end(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let number = || {
        str::from_utf8(&bytes[1..line])
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    let mut end = line + 2;
    match bytes[0] {
        b'$' | b'=' if number() >= 0 => end += usize::try_from(number()).unwrap() + 2,
        b'*' | b'~' | b'%' | b'>' if number() > 0 => {
            let count = number() * if bytes[0] == b'%' { 2 } else { 1 };
            for _ in 0..count {
                end += reply_end(&bytes[end..])?;
            }
        }
        _ => {}
    }
    (end <= bytes.len()).then_some(end)
}

/// Both servers, and one connection to each.
struct Both<'s> {
    redis: UnixStream,
    ours: Connection<'s>,
    count: usize,
}

impl Both<'_> {
    fn ask(&mut self, words: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let request = request(words);
        self.redis.write_all(&request).unwrap();
        let mut theirs = Vec::new();
        while reply_end(&theirs) != Some(theirs.len()) {
            let mut piece = [0; 4096];
            let bytes = self.redis.read(&mut piece).unwrap();
            assert!(bytes > 0, "redis closed after {}", show(words));
            theirs.extend_from_slice(&piece[..bytes]);
        }
        let ours = self.ours.send_at(hakone::now(), &request);
        self.count += 1;
        (theirs, ours)
    }

    fn check(&mut self, words: &[&[u8]]) {
        let (theirs, ours) = self.ask(words);
        // Milliseconds until expiry are read a moment apart.
        if words[0].eq_ignore_ascii_case(b"pttl") && theirs != ours {
            let number = |reply: &[u8]| -> i64 {
                let text = str::from_utf8(&reply[1..reply.len() - 2]).unwrap();
                text.parse().unwrap()
            };
            let (theirs, ours) = (number(&theirs), number(&ours));
            assert!(
                (theirs - ours).abs() < 2000,
                "{theirs} {ours} {}",
                show(words)
            );
            return;
        }
        assert_eq!(
            ours.escape_ascii().to_string(),
            theirs.escape_ascii().to_string(),
            "number {}: {}",
            self.count,
            show(words)
        );
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        self.check(&words);
    }
}

fn show(words: &[&[u8]]) -> String {
    let words: Vec<_> = words
        .iter()
        .map(|word| word.escape_ascii().to_string())
        .collect();
    words.join(" ")
}

/// Requests worth asking once each, in this order.
const LINES: &str = include_str!("data/redis.txt");

#[test]
fn lines_are_answered_as_redis_answers_them() {
    let Some(redis) = Redis::start("lines") else {
        println!("SKIPPED: there is no redis-server on this machine to compare with");
        return;
    };
    let mut count = 0;
    for (kind, memory) in [(Kind::Hash, true), (Kind::Tree, false)] {
        for version in ["2", "3"] {
            let server = Server::new(kind, memory);
            let mut both = Both {
                redis: redis.connect(),
                ours: server.connect(),
                count: 0,
            };
            both.line("FLUSHALL");
            let (theirs, ours) = both.ask(&[b"HELLO", version.as_bytes()]);
            let mask = |reply: &[u8]| {
                let text = reply.escape_ascii().to_string();
                let (before, after) = text.split_once("$2\\r\\nid\\r\\n:").unwrap();
                format!("{before}{}", after.split_once("$4").unwrap().1)
            };
            assert_eq!(mask(&ours), mask(&theirs));
            for line in LINES.lines().map(str::trim).filter(|line| !line.is_empty()) {
                both.line(line);
                if line == "RESET" {
                    both.ask(&[b"HELLO", version.as_bytes()]);
                }
            }
            // Bytes that no line can hold, and texts that are cut.
            let long = vec![b'x'; 300];
            let requests: &[&[&[u8]]] = &[
                &[b"SET", b"\0\r\n", b"\r\n\0\xff"],
                &[b"GET", b"\0\r\n"],
                &[b"SET", b"", b""],
                &[b"GET", b""],
                &[b"DEL", b""],
                &[b""],
                &[b"no\r\nsuch", b"a\r\nb"],
                &[&long, &long, &long],
                &[b"nosuch", &long],
                &[b"nosuch", b"a", &long[..100], &long, b"b"],
                &[b"CLIENT", &long],
                &[b"CLIENT", b"SETNAME", b"a b"],
                &[b"CLIENT", b"SETNAME", b"a\nb"],
                &[b"CLIENT", b"SETNAME", b"ok"],
                &[b"CLIENT", b"GETNAME"],
                &[b"CLIENT", b"SETNAME", b""],
                &[b"CLIENT", b"GETNAME"],
                &[b"HELLO", version.as_bytes(), b"SETNAME", b"a b"],
                &[b"EXPIRE", b"x", b"1", b"a b"],
                &[b"SET", b"n", b" 1"],
                &[b"INCR", b"n"],
                &[b"SET", b"n", b""],
                &[b"INCR", b"n"],
                &[b"INCRBY", b"n", b""],
                &[b"SELECT", b""],
            ];
            for words in requests {
                both.check(words);
            }
            both.line("QUIT");
            count += both.count;
        }
    }
    println!("{count} requests compared");
    assert!(count > 1000);
}

#[test]
fn random_requests_are_answered_as_redis_answers_them() {
    let Some(redis) = Redis::start("random") else {
        println!("SKIPPED: there is no redis-server on this machine to compare with");
        return;
    };
    let keys = ["a", "b", "c", "d", "e"];
    let values = ["1", "-7", "abc", "", "9223372036854775800", "0", "12"];
    let times = [
        "1000",
        "100",
        "5000",
        "0",
        "-1",
        "4000000000",
        "x",
        "9223372036854775807",
    ];
    let offsets = ["0", "1", "3", "-1", "-3", "x"];
    for (seed, kind) in [
        (1, Kind::Hash),
        (2, Kind::Tree),
        (3, Kind::Hash),
        (4, Kind::Tree),
    ] {
        let server = Server::new(kind, seed % 2 == 0);
        let mut both = Both {
            redis: redis.connect(),
            ours: server.connect(),
            count: 0,
        };
        both.line("FLUSHALL");
        let mut random = Random::of(seed, 0x9e37_79b9_7f4a_7c15);
        if seed > 2 {
            both.ask(&[b"HELLO", b"3"]);
        }
        for _ in 0..2000 {
            let r = &mut random;
            let (key, value, time) = (r.word(&keys), r.word(&values), r.word(&times));
            let mut words = match r.below(32) {
                0..=2 => vec!["GET", key],
                3..=4 => {
                    let mut words = vec!["SET", key, value];
                    for _ in 0..r.below(4) {
                        let option = r.word(&["NX", "XX", "GET", "KEEPTTL", "EX", "PXAT", "EXAT"]);
                        words.push(option);
                        if option.len() > 2 && option.ends_with("AT") {
                            words.push(r.word(&["40000000000", "1", "x", "4000000000"]));
                        } else if option == "EX" {
                            words.push(time);
                        }
                    }
                    words
                }
                5 => vec![r.word(&["INCR", "DECR"]), key],
                6 => vec![r.word(&["INCRBY", "DECRBY"]), key, value],
                7 => vec![r.word(&["APPEND", "GETSET", "SETNX"]), key, value],
                8 => vec![r.word(&["STRLEN", "TYPE", "GETDEL", "PERSIST"]), key],
                9 => vec![r.word(&["DEL", "UNLINK", "EXISTS", "MGET"]), key],
                10 => {
                    let verb = r.word(&["DEL", "UNLINK", "EXISTS", "MGET", "TOUCH"]);
                    vec![verb, key, r.word(&keys), r.word(&keys)]
                }
                11 => {
                    let verb = r.word(&["MSET", "MSETNX"]);
                    vec![verb, key, value, r.word(&keys), r.word(&values)]
                }
                12..=14 => {
                    let verb = r.word(&["EXPIRE", "EXPIREAT"]);
                    let mut words = vec![verb, key, time];
                    match r.below(7) {
                        0 => words.push("NX"),
                        1 => words.push("XX"),
                        2 => words.push("GT"),
                        3 => words.push("LT"),
                        4 => words.extend(["XX", "GT"]),
                        5 => words.extend(["XX", "LT"]),
                        _ => {}
                    }
                    words
                }
                15..=17 => vec![r.word(&["TTL", "EXPIRETIME"]), key],
                18 => vec!["SETEX", key, time, value],
                19 => [&["EXISTS"][..], &keys].concat(),
                20 => vec!["SELECT", r.word(&["0", "0", "1", "2"])],
                21 => vec!["SCAN", "0", "COUNT", "1000", "MATCH", key],
                22 => vec!["PTTL", key],
                23 => vec!["GETRANGE", key, r.word(&offsets), r.word(&offsets)],
                24 => vec!["SETRANGE", key, r.word(&offsets), value],
                25 => vec![r.word(&["RENAME", "RENAMENX"]), key, r.word(&keys)],
                26 => {
                    let mut words = vec!["COPY", key, r.word(&keys)];
                    words.extend([&[][..], &["REPLACE"], &["DB", "1"]][r.below(3)]);
                    words
                }
                27 => vec!["MOVE", key, r.word(&["0", "1", "2"])],
                28 => {
                    let mut words = vec!["GETEX", key];
                    match r.below(3) {
                        0 => words.push("PERSIST"),
                        1 => words.extend(["EX", time]),
                        _ => {}
                    }
                    words
                }
                29 => vec!["INCRBYFLOAT", key, r.word(&["10", "abc", "-7"])],
                30 => vec![r.word(&["KEYS", "EXISTS"]), key],
                _ => vec![r.word(&["PING", "ECHO", "NOSUCH"]), value],
            };
            if words.len() > 1 && r.below(40) == 0 {
                words.pop();
            }
            // It counts seconds from now, so that what is read of it may differ in the last.
            let words: Vec<&[u8]> = words.into_iter().map(str::as_bytes).collect();
            let from_now = words[0].eq_ignore_ascii_case(b"EXPIRETIME");
            let (theirs, ours) = both.ask(&words);
            let near = |a: &[u8], b: &[u8]| {
                let number = |reply: &[u8]| -> Option<i64> {
                    str::from_utf8(reply.get(1..reply.len() - 2)?)
                        .ok()?
                        .parse()
                        .ok()
                };
                let within = if words[0] == b"PTTL" { 2000 } else { 1 };
                matches!((number(a), number(b)), (Some(a), Some(b)) if (a - b).abs() <= within)
            };
            if (from_now || matches!(words[0], b"TTL" | b"PTTL")) && near(&theirs, &ours) {
                continue;
            }
            assert_eq!(
                ours.escape_ascii().to_string(),
                theirs.escape_ascii().to_string(),
                "seed {seed}, number {}: {}",
                both.count,
                show(&words)
            );
        }
        println!("seed {seed}: {} requests compared", both.count);
    }
}

#[test]
fn random_transactions_are_answered_as_redis_answers_them() {
    let Some(redis) = Redis::start("transactions") else {
        println!("SKIPPED: there is no redis-server on this machine to compare with");
        return;
    };
    let keys = ["a", "b", "c", "d"];
    let values = ["1", "-7", "abc", "12"];
    for (seed, kind) in [
        (1, Kind::Hash),
        (2, Kind::Tree),
        (3, Kind::Hash),
        (4, Kind::Tree),
    ] {
        let server = Server::new(kind, seed % 2 == 0);
        let both = || Both {
            redis: redis.connect(),
            ours: server.connect(),
            count: 0,
        };
        let (mut own, mut other) = (both(), both());
        own.line("FLUSHALL");
        if seed > 2 {
            own.ask(&[b"HELLO", b"3"]);
        }
        let mut random = Random::of(seed, 0x2545_f491_4f6c_dd1d);
        let (mut carried, mut held_off) = (0, 0);
        for _ in 0..400 {
            let r = &mut random;
            // An absent key that is made and removed again counts as unchanged with us.
            for _ in 0..r.below(3) {
                let key = r.word(&keys);
                own.line(&format!("SETNX {key} 0"));
                own.line(&format!("WATCH {key} {key}"));
            }
            let mut writes = |both: &mut Both<'_>, most| {
                for _ in 0..r.below(most) {
                    let (key, value, to) = (r.word(&keys), r.word(&values), r.word(&keys));
                    let line = match r.below(22) {
                        0..=3 => format!("SET {key} {value}"),
                        4 => format!("INCRBY {key} {value}"),
                        5 => format!("APPEND {key} {value}"),
                        6 => format!("DEL {key}"),
                        7 => format!("DEL {key} {to}"),
                        8 => format!("RENAME {key} {to}"),
                        9 => format!("COPY {key} {to} REPLACE"),
                        10 => format!("MSET {key} 1 {to} 2"),
                        11 => format!("MSETNX {key} 1 {to} 2"),
                        12 => format!("GETSET {key} {value}"),
                        13 => format!("SETRANGE {key} 2 {value}"),
                        14 => format!("EXPIRE {key} 1000 XX"),
                        15 => format!("SELECT {}", r.below(2)),
                        16 if r.below(20) == 0 => "FLUSHDB".to_owned(),
                        17 => format!("SET {key} {value} XX GET"),
                        18 => format!("MGET {key} {to} nokey"),
                        19 if r.below(20) == 0 => "NOSUCH".to_owned(),
                        20 => "DBSIZE".to_owned(),
                        _ => format!("GET {key}"),
                    };
                    both.line(&line);
                }
            };
            if seed % 2 == 0 {
                writes(&mut own, 2);
            }
            writes(&mut other, 6);
            own.line("MULTI");
            writes(&mut own, 12);
            writes(&mut other, 2);
            if r.below(10) == 0 {
                own.line("DISCARD");
            } else {
                let (theirs, ours) = own.ask(&[b"EXEC"]);
                let text = |reply: &[u8]| reply.escape_ascii().to_string();
                assert_eq!(
                    text(&ours),
                    text(&theirs),
                    "seed {seed}, number {}",
                    own.count
                );
                if ours.starts_with(b"*-1") || ours.starts_with(b"_") {
                    held_off += 1;
                } else {
                    carried += 1;
                }
            }
        }
        println!("seed {seed}: {carried} transactions carried out, {held_off} held off");
        assert!(carried > 50 && held_off > 30);
    }
}

#[test]
fn bytes_that_are_no_request_are_answered_as_redis_answers_them() {
    let Some(redis) = Redis::start("bytes") else {
        println!("SKIPPED: there is no redis-server on this machine to compare with");
        return;
    };
    let bytes: &[&[u8]] = &[
        b"*abc\r\n",
        b"*-5\r\n*1\r\n$4\r\nPING\r\n",
        b"*0\r\nPING\r\n",
        b"*-1\r\nPING\r\n",
        b"*99999999999999999999\r\n",
        b"*3000000000\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$abc\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$999999999999\r\n",
        b"*1\r\n$536870913\r\n",
        b"*2\r\n$4\r\nECHO\r\n$3\r\nabcXY*1\r\n$4\r\nPING\r\n",
        b"*+1\r\n$4\r\nPING\r\n",
        b"*01\r\n$4\r\nPING\r\n",
        b"*\r\n",
        b"* 1\r\n",
        b"PING\r\n",
        b"PING\n",
        b"\r\n\r\nPING\r\n",
        b"   \r\nPING\r\n",
        b"  ping  \r\n",
        b"SET a \"b c\"\r\nGET a\r\n",
        b"SET a 'b c'\r\nGET a\r\n",
        b"SET a \"\\x41\\n\\q\"\r\nGET a\r\n",
        b"SET a \"b\r\n",
        b"SET a \"b\"c\r\n",
        b"SET a 'b\r\n",
        b"GET a b c\r\n",
        b"nosuch\r\nPING\r\n",
        b"POST / x\r\nHost: a\r\n\r\n",
        b"post\r\n",
        b"Host: a\r\n",
        b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
    ];
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, true);
        for bytes in bytes {
            // What follows tells whether the connection lives on, and ends it if so.
            let bytes = [bytes, &b"\r\n*1\r\n$4\r\nQUIT\r\n"[..]].concat();
            let mut stream = redis.connect();
            let _ = stream.write_all(&bytes);
            let mut theirs = Vec::new();
            let _ = stream.read_to_end(&mut theirs);
            for piece in [bytes.len(), 1] {
                let mut ours = server.connect();
                let replies = ours.send_pieces(&bytes, piece);
                let what = &bytes[..bytes.len().min(60)].escape_ascii().to_string();
                assert_eq!(
                    replies.escape_ascii().to_string(),
                    theirs.escape_ascii().to_string(),
                    "{what} in pieces of {piece}"
                );
                assert!(ours.closed, "{what}");
            }
        }
    }
}

#[test]
fn a_scan_finds_what_redis_finds() {
    let Some(redis) = Redis::start("scan") else {
        println!("SKIPPED: there is no redis-server on this machine to compare with");
        return;
    };
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, true);
        let mut both = Both {
            redis: redis.connect(),
            ours: server.connect(),
            count: 0,
        };
        both.line("FLUSHALL");
        for number in 0..500 {
            both.line(&format!("SET user:{number} {number}"));
            both.line(&format!("SET item:{number} {number}"));
        }
        for pattern in ["*", "user:*", "*:1?", "item:[0-3]*", "none*"] {
            let mut found = Vec::new();
            for ours in [false, true] {
                let (mut cursor, mut keys, mut pages) = ("0".to_owned(), Vec::new(), 0);
                loop {
                    let (theirs, our) = both.ask(&[
                        b"SCAN",
                        cursor.as_bytes(),
                        b"MATCH",
                        pattern.as_bytes(),
                        b"COUNT",
                        b"37",
                    ]);
                    let reply = String::from_utf8(if ours { our } else { theirs }).unwrap();
                    let words: Vec<&str> = reply
                        .split("\r\n")
                        .filter(|word| !word.starts_with(['*', '$']) && !word.is_empty())
                        .collect();
                    keys.extend(words[1..].iter().map(|&key| key.to_owned()));
                    cursor = words[0].to_owned();
                    pages += 1;
                    if cursor == "0" {
                        break;
                    }
                    assert!(pages < 1000, "a scan without end");
                }
                keys.sort();
                keys.dedup();
                found.push(keys);
            }
            assert_eq!(found[0], found[1], "{pattern} on {kind:?}");
        }
    }
}
