//! What the captured exchanges do not show of Tycoon's protocols, played to the service.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use hakone::{Durability, Kind};
use support::{Connection, NOW, Server};

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
