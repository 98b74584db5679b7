//! What the captured exchanges do not show of Tyrant's protocol, played to the service.

mod support;

use hakone::{Durability, Kind};
use support::Server;

fn check(exchanges: &[(&[u8], &[u8])]) {
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, false);
        let mut connection = server.connect();
        for (request, expected) in exchanges {
            let reply = connection.send(request);
            assert_eq!(reply, *expected, "{}", request.escape_ascii());
        }
        assert!(!connection.closed);
    }
}

#[test]
fn the_least_sum_is_stored_and_answered_as_a_failure() {
    check(&[
        (
            b"\xc8\x60\0\0\0\x01\x7f\xff\xff\xffn",
            b"\0\x7f\xff\xff\xff",
        ),
        (b"\xc8\x60\0\0\0\x01\0\0\0\x01n", b"\x01"),
        (b"\xc8\x30\0\0\0\x01n", b"\0\0\0\0\x04\0\0\0\x80"),
        (b"\xc8\x60\0\0\0\x01\0\0\0\x01n", b"\0\x80\0\0\x01"),
    ]);
}

#[test]
fn adding_nothing_makes_a_record() {
    check(&[
        (b"\xc8\x60\0\0\0\x01\0\0\0\0n", b"\0\0\0\0\0"),
        (b"\xc8\x38\0\0\0\x01n", b"\0\0\0\0\x04"),
    ]);
}

#[test]
fn an_overwrite_takes_the_expiry_away_and_an_append_keeps_it() {
    check(&[
        (b"SET k v EX 100\r\n", b"+OK\r\n"),
        (b"\xc8\x12\0\0\0\x01\0\0\0\x01kw", b"\0"),
        (b"TTL k\r\n", b":100\r\n"),
        (b"\xc8\x10\0\0\0\x01\0\0\0\x01kw", b"\0"),
        (b"TTL k\r\n", b":-1\r\n"),
        (b"SET k v EXAT 1800000000\r\n", b"+OK\r\n"),
        (b"\xc8\x30\0\0\0\x01k", b"\x01"),
        (b"\xc8\x11\0\0\0\x01\0\0\0\x01kw", b"\0"),
    ]);
}

#[test]
fn a_width_of_nothing_keeps_nothing() {
    check(&[
        (b"\xc8\x13\0\0\0\x01\0\0\0\x02\0\0\0\0kab", b"\0"),
        (b"\xc8\x38\0\0\0\x01k", b"\0\0\0\0\x02"),
        (b"\xc8\x13\0\0\0\x01\0\0\0\x02\0\0\0\0kab", b"\0"),
        (b"\xc8\x38\0\0\0\x01k", b"\0\0\0\0\0"),
    ]);
}

#[test]
fn sync_is_answered_when_all_is_durable_at_any_level() {
    let server = Server::with(&[("default", Kind::Hash, false)], Durability::Process);
    let mut connection = server.connect();
    let put_and_sync = b"\xc8\x10\0\0\0\x01\0\0\0\x01kv\xc8\x70";
    // The connection waits for what the turn asks to wait for.
    assert_eq!(connection.send(put_and_sync), [0, 0]);
    assert!(server.cabinet.durable() >= server.cabinet.written());
    assert!(server.cabinet.written() > 0);
}

#[test]
fn vanish_and_the_counts_are_about_database_0() {
    let databases = [("zero", Kind::Hash, true), ("one", Kind::Tree, true)];
    let server = Server::with(&databases, Durability::Process);
    let mut connection = server.connect();
    connection.send(b"SET a 1\r\nSELECT 1\r\nSET a 1\r\nSET b 1\r\n");
    let one = [0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(connection.send(b"\xc8\x80"), one);
    assert_eq!(connection.send(b"\xc8\x72"), [0]);
    assert_eq!(connection.send(b"\xc8\x80"), [0; 9]);
    assert_eq!(connection.send(b"DBSIZE\r\n"), b":2\r\n");
}
