//! Arrays, and trees in other orders or with duplicates, over every protocol: what fits them works,
//! what does not is refused in the protocol's own words.
#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

mod support;

use hakone::{Comparator, DatabaseOptions, Kind};
use support::{Connection, Server, request};

fn text(reply: Vec<u8>) -> String {
    String::from_utf8(reply).unwrap()
}

fn redis(connection: &mut Connection<'_>, line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    text(connection.send(&request(&words)))
}

/// A request of Tyrant's about one key, its value beside it.
fn tyrant(verb: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut request = vec![0xC8, verb];
    for part in parts {
        request.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
    }
    request.extend(parts.concat());
    request
}

#[test]
fn an_array_takes_ids_over_every_protocol_and_refuses_other_keys() {
    let server = Server::of(&[("default", DatabaseOptions::new(Kind::Array))]);
    let mut connection = server.connect();
    // Redis.
    assert_eq!(redis(&mut connection, "SET 10 ten"), "+OK\r\n");
    assert_eq!(redis(&mut connection, "SET next eleven"), "+OK\r\n");
    assert_eq!(redis(&mut connection, "GET 11"), "$6\r\neleven\r\n");
    assert_eq!(
        redis(&mut connection, "MGET 10 12"),
        "*2\r\n$3\r\nten\r\n$-1\r\n"
    );
    for line in [
        "SET tea green",
        "GET tea",
        "DEL tea",
        "INCR 0",
        "MSET 1 a tea b",
    ] {
        let reply = redis(&mut connection, line);
        assert!(
            reply.starts_with("-ERR ") && reply.contains("array"),
            "{line}: {reply}"
        );
    }
    assert_eq!(
        redis(&mut connection, "SCAN 0"),
        "*2\r\n$1\r\n0\r\n*2\r\n$2\r\n10\r\n$2\r\n11\r\n"
    );
    assert_eq!(
        redis(&mut connection, "KEYS 1?"),
        "*2\r\n$2\r\n10\r\n$2\r\n11\r\n"
    );
    assert_eq!(redis(&mut connection, "DBSIZE"), ":2\r\n");
    assert!(redis(&mut connection, "RANDOMKEY").contains("\r\n1"));
    // memcached.
    assert_eq!(
        text(connection.send(b"set 12 0 0 3\r\nabc\r\n")),
        "STORED\r\n"
    );
    assert_eq!(
        text(connection.send(b"get 12\r\n")),
        "VALUE 12 0 3\r\nabc\r\nEND\r\n"
    );
    let refused = text(connection.send(b"set tea 0 0 3\r\nabc\r\n"));
    assert!(refused.starts_with("SERVER_ERROR "), "{refused}");
    // Tyrant: put, get, iterinit, iternext, fwmkeys.
    assert_eq!(connection.send(&tyrant(0x10, &[b"9", b"nine"])), [0]);
    assert_eq!(connection.send(&tyrant(0x30, &[b"9"])), b"\0\0\0\0\x04nine");
    assert_eq!(connection.send(&tyrant(0x10, &[b"tea", b"x"])), [1]);
    assert_eq!(connection.send(&tyrant(0x30, &[b"tea"])), [1]);
    assert_eq!(connection.send(b"\xC8\x50"), [0]);
    for key in ["9", "10", "11", "12"] {
        let next = connection.send(b"\xC8\x51");
        assert_eq!(&next[5..], key.as_bytes());
    }
    assert_eq!(connection.send(b"\xC8\x51"), [1]);
    let listed = connection.send(b"\xC8\x58\0\0\0\x01\0\0\0\x021");
    assert_eq!(listed, b"\0\0\0\0\x02\0\0\0\x0210\0\0\0\x0211");
    // HTTP.
    let got = text(connection.send(b"GET /12 HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(
        got.starts_with("HTTP/1.1 200 ") && got.ends_with("abc"),
        "{got}"
    );
    let refused = text(connection.send(b"GET /tea HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert!(refused.starts_with("HTTP/1.1 "), "{refused}");
    assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
}

#[test]
fn trees_of_other_orders_are_listed_in_them() {
    let options = DatabaseOptions {
        comparator: Comparator::DecimalReverse,
        duplicates: true,
        ..DatabaseOptions::new(Kind::Tree)
    };
    let server = Server::of(&[("default", options)]);
    let mut connection = server.connect();
    for line in ["MSET 9 a 10 b -1 c", "HAKONE PUT_DUPLICATE 9 d", "SET 9 e"] {
        assert!(!redis(&mut connection, line).starts_with('-'), "{line}");
    }
    // All pages of two keys.
    let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
    loop {
        let reply = redis(&mut connection, &format!("SCAN {cursor} COUNT 2"));
        let lines: Vec<&str> = reply
            .split("\r\n")
            .filter(|l| !l.starts_with(['*', '$']))
            .collect();
        cursor = lines[0].to_owned();
        keys.extend(lines[1..lines.len() - 1].iter().map(|&key| key.to_owned()));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(keys, ["10", "9", "9", "-1"]);
    assert_eq!(redis(&mut connection, "GET 9"), "$1\r\ne\r\n");
    assert_eq!(redis(&mut connection, "DEL 9 10"), ":2\r\n");
    assert_eq!(redis(&mut connection, "GET 9"), "$1\r\nd\r\n");
    let all = connection.send(b"\xC8\x58\0\0\0\0\0\0\0\x09");
    assert_eq!(all, b"\0\0\0\0\x02\0\0\0\x019\0\0\0\x02-1");
}
