//! What one protocol writes the others read: every protocol writes for every one, itself included.
//! The rules are those of `docs/protocols/values.md`.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;
mod ways;

use hakone::Kind;
use support::{Connection, NOW, Server, request};
use ways::{Told, WAYS, Way, call};

/// Does this for every ordered pair of ways, on a hash and on a tree, each time from nothing.
fn crosswise(mut check: impl FnMut(&Server, Way, Way)) {
    for kind in [Kind::Hash, Kind::Tree] {
        let mut server = Server::new(kind, true);
        for from in WAYS {
            for to in WAYS {
                server.renew();
                check(&server, from, to);
            }
        }
    }
}

#[test]
fn bytes_are_read_as_they_were_written() {
    let every: Vec<u8> = (0..=255).collect();
    let large = every.repeat(400);
    let long = [b'k'; 300];
    let keys: [&[u8]; 7] = [
        b"key",
        "schl\u{fc}ssel".as_bytes(),
        b"%+&=?/#:\xff\x80",
        b"",
        b"a b\tc\r\nd\0e",
        &every,
        &long,
    ];
    let values: [&[u8]; 6] = [b"value", b"", b"\r\n", b"0123", &every, &large];
    let mut pairs = 0;
    crosswise(|server, from, to| {
        pairs += 1;
        let (mut writer, mut reader) = (server.connect(), server.connect());
        for key in keys.iter().filter(|key| from.takes(key) && to.takes(key)) {
            for value in values {
                from.put(&mut writer, NOW, key, value);
                let read = to.read(&mut reader, NOW, key);
                let expected = Some((value.to_vec(), Told::of(to, 0)));
                assert_eq!(read, expected, "{from:?} to {to:?} {}", key.escape_ascii());
            }
            assert!(from.remove(&mut writer, NOW, key), "{from:?} {to:?}");
            assert_eq!(to.get(&mut reader, NOW, key), None);
            assert!(!to.remove(&mut reader, NOW, key), "{from:?} {to:?}");
        }
    });
    assert_eq!(pairs, 2 * 49);
}

#[test]
fn an_expiry_is_the_same_moment_for_all() {
    let gone = NOW + 100_000;
    crosswise(|server, from, to| {
        let what = format!("{from:?} to {to:?}");
        let mut writer = server.connect();
        let set = from.put_until(&mut writer, NOW + 700, b"k", b"v", gone);
        let says = !matches!(from, Way::Tyrant | Way::TyrantRest);
        assert_eq!(set, if says { gone } else { 0 });
        let read = |now| to.read(&mut server.connect(), now, b"k");
        let there = Some((b"v".to_vec(), Told::of(to, set)));
        assert_eq!(read(NOW), there, "{what}");
        assert_eq!(read(gone - 1), there, "{what}");
        let after = if set == 0 { there } else { None };
        assert_eq!(read(gone), after, "{what}");
        // What is written without an expiry has none, whatever was there.
        to.put(&mut server.connect(), NOW, b"k", b"w");
        let there = Some((b"w".to_vec(), Told::of(from, 0)));
        assert_eq!(
            from.read(&mut server.connect(), gone, b"k"),
            there,
            "{what}"
        );
    });
}

#[test]
fn an_expiry_that_has_passed_leaves_no_record() {
    crosswise(|server, from, to| {
        let mut connection = server.connect();
        to.put(&mut connection, NOW, b"k", b"v");
        let set = from.put_until(&mut connection, NOW, b"k", b"w", NOW);
        let read = to.get(&mut connection, NOW, b"k");
        let there = (set == 0).then(|| b"w".to_vec());
        assert_eq!(read, there, "{from:?} to {to:?}");
    });
}

#[test]
fn times_within_a_second_are_rounded_to_its_end_where_seconds_are_told() {
    let second = NOW / 1000;
    for (set, gone) in [
        (&b"SET k v PX 300\r\n"[..], NOW + 1000),
        (b"SET k v PX 1300\r\n", NOW + 2000),
        (b"SET k v EX 10\r\n", NOW + 10_700),
        (b"set k 0 10 1\r\nv\r\n", NOW + 10_700),
        (
            b"\xb8\0\0\0\0\0\0\0\x01\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x0akv",
            NOW + 11_000,
        ),
        (
            b"GET /rpc/set?key=k&value=v&xt=10 HTTP/1.1\r\n\r\n",
            NOW + 11_000,
        ),
    ] {
        let server = Server::new(Kind::Hash, true);
        let now = NOW + 700;
        server.connect().send_at(now, set);
        let what = set.escape_ascii();
        for way in WAYS {
            let (_, told) = way.read(&mut server.connect(), now, b"k").unwrap();
            assert_eq!(told, Told::of(way, gone), "{way:?} {what}");
            let gone_for = |now| way.get(&mut server.connect(), now, b"k").is_none();
            assert!(!gone_for(gone - 1) && gone_for(gone), "{way:?} {what}");
        }
        assert!(gone > second * 1000);
    }
}

#[test]
fn an_append_keeps_the_expiry_but_for_tycoons() {
    crosswise(|server, from, to| {
        let gone = NOW + 100_000;
        let mut connection = server.connect();
        let set = from.put_until(&mut connection, NOW, b"k", b"v", gone);
        if !to.append(&mut connection, NOW, b"k", b"\0w") {
            return;
        }
        let kept = if to == Way::TycoonRpc { 0 } else { set };
        let read = from.read(&mut connection, NOW, b"k");
        let expected = (b"v\0w".to_vec(), Told::of(from, kept));
        assert_eq!(read, Some(expected), "{from:?} then {to:?}");
        let there = Way::Tyrant.get(&mut server.connect(), gone, b"k");
        assert_eq!(there.is_some(), kept == 0, "{from:?} then {to:?}");
    });
}

/// The flags of a record, as memcached reads them.
fn flags(connection: &mut Connection<'_>) -> String {
    let reply = connection.send(b"get k\r\n");
    let reply = String::from_utf8_lossy(&reply).into_owned();
    reply.split(' ').nth(2).unwrap().to_owned()
}

#[test]
fn flags_go_with_an_overwrite_and_stay_with_what_adds() {
    crosswise(|server, from, to| {
        let mut connection = server.connect();
        connection.send(b"set k 4294967295 0 1\r\n1\r\n");
        assert_eq!(from.get(&mut connection, NOW, b"k").unwrap(), b"1");
        assert_eq!(flags(&mut connection), "4294967295");
        if from.append(&mut connection, NOW, b"k", b"2") {
            assert_eq!(flags(&mut connection), "4294967295", "{from:?}");
        }
        to.put(&mut connection, NOW, b"k", b"3");
        assert_eq!(flags(&mut connection), "0", "{to:?}");
    });
}

#[test]
fn every_write_gives_a_new_version() {
    crosswise(|server, from, to| {
        let mut connection = server.connect();
        from.put(&mut connection, NOW, b"k", b"1");
        let unique = |connection: &mut Connection<'_>| {
            let reply = String::from_utf8(connection.send(b"gets k\r\n")).unwrap();
            let line = reply.lines().next().unwrap().to_owned();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        let first = unique(&mut connection);
        // Reading is no write.
        to.get(&mut connection, NOW, b"k");
        assert_eq!(unique(&mut connection), first, "{to:?}");
        to.put(&mut connection, NOW, b"k", b"1");
        assert_ne!(unique(&mut connection), first, "{to:?}");
        let mut swap = |unique: &str| {
            let line = format!("cas k 0 0 1 {unique}\r\n2\r\n");
            connection.send(line.as_bytes())
        };
        assert_eq!(swap(&first), b"EXISTS\r\n", "{from:?} then {to:?}");
        let now = unique(&mut server.connect());
        assert_eq!(swap(&now), b"STORED\r\n", "{from:?} then {to:?}");
        assert_eq!(to.get(&mut connection, NOW, b"k").unwrap(), b"2");
    });
}

#[test]
fn a_transaction_depends_on_the_writes_of_all() {
    crosswise(|server, from, to| {
        let mut connection = server.connect();
        let mut other = server.connect();
        let mut exec = |between: &mut dyn FnMut()| {
            assert_eq!(connection.send(b"WATCH k\r\n"), b"+OK\r\n");
            between();
            connection.send(b"MULTI\r\nEXISTS k\r\nEXEC\r\n")
        };
        from.put(&mut other, NOW, b"k", b"1");
        let reply = exec(&mut || {
            to.get(&mut other, NOW, b"k");
        });
        assert_eq!(reply, b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n", "{to:?} reads");
        let reply = exec(&mut || to.put(&mut other, NOW, b"k", b"1"));
        assert_eq!(
            reply, b"+OK\r\n+QUEUED\r\n*-1\r\n",
            "{from:?}, {to:?} writes"
        );
        let reply = exec(&mut || assert!(to.remove(&mut other, NOW, b"k")));
        assert_eq!(
            reply, b"+OK\r\n+QUEUED\r\n*-1\r\n",
            "{from:?}, {to:?} removes"
        );
    });
}

/// A way to count.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    Addint,
    Adddouble,
    Increment,
    IncrementDouble,
    Incr,
    IncrBy,
}

const COUNTS: [Count; 6] = [
    Count::Addint,
    Count::Adddouble,
    Count::Increment,
    Count::IncrementDouble,
    Count::Incr,
    Count::IncrBy,
];

impl Count {
    /// How a record holds the number.
    fn bytes(self, number: u8) -> Vec<u8> {
        match self {
            Count::Addint => vec![number, 0, 0, 0],
            Count::Adddouble => f64::from(number).to_le_bytes().to_vec(),
            Count::Increment => vec![0, 0, 0, 0, 0, 0, 0, number],
            Count::IncrementDouble => [&[0; 7][..], &[number], &[0; 8]].concat(),
            Count::Incr | Count::IncrBy => number.to_string().into_bytes(),
        }
    }

    /// Adds to the record; the sum, `None` where it is no number to this way.
    fn add(self, connection: &mut Connection<'_>, number: u8) -> Option<u8> {
        let text = number.to_string();
        let parameters = [("key", &b"k"[..]), ("num", text.as_bytes())];
        let of_text = |text: Vec<u8>| String::from_utf8(text).unwrap();
        match self {
            Count::Addint => {
                let request = [b"\xc8\x60\0\0\0\x01\0\0\0".as_slice(), &[number], b"k"].concat();
                let reply = connection.send(&request);
                (reply[0] == 0).then(|| reply[4])
            }
            Count::Adddouble => {
                let head = b"\xc8\x61\0\0\0\x01\0\0\0\0\0\0\0".as_slice();
                let request = [head, &[number], &[0; 8], b"k"].concat();
                let reply = connection.send(&request);
                (reply[0] == 0).then(|| reply[8])
            }
            Count::Increment => {
                let (status, sum) = call(connection, NOW, "increment", &parameters, "num");
                (status == 200).then(|| of_text(sum.unwrap()).parse().unwrap())
            }
            Count::IncrementDouble => {
                let (status, sum) = call(connection, NOW, "increment_double", &parameters, "num");
                let whole = |text: String| text.strip_suffix(".000000").unwrap().parse().unwrap();
                (status == 200).then(|| whole(of_text(sum.unwrap())))
            }
            Count::Incr => {
                let reply = of_text(connection.send(format!("incr k {number}\r\n").as_bytes()));
                reply.trim_end().parse().ok()
            }
            Count::IncrBy => {
                let words: [&[u8]; 3] = [b"INCRBY", b"k", text.as_bytes()];
                let reply = of_text(connection.send(&request(&words)));
                reply.trim_end().strip_prefix(':')?.parse().ok()
            }
        }
    }
}

#[test]
fn counters_of_one_form_are_shared_and_others_are_refused() {
    for kind in [Kind::Hash, Kind::Tree] {
        let mut server = Server::new(kind, true);
        for first in COUNTS {
            for second in COUNTS {
                server.renew();
                let what = format!("{first:?} then {second:?}");
                let mut connection = server.connect();
                // memcached's can't begin one.
                if first == Count::Incr {
                    connection.send(b"set k 0 0 1\r\n5\r\n");
                } else {
                    assert_eq!(first.add(&mut connection, 5), Some(5), "{what}");
                }
                for way in WAYS {
                    let value = way.get(&mut connection, NOW, b"k");
                    assert_eq!(value, Some(first.bytes(5)), "{first:?} read by {way:?}");
                }
                let same = first.bytes(5) == second.bytes(5);
                // Eight bytes are a number to both, though not the same one.
                if !same && first.bytes(5).len() == second.bytes(5).len() {
                    continue;
                }
                let sum = second.add(&mut connection, 3);
                assert_eq!(sum, same.then_some(8), "{what}");
                let expected = first.bytes(if same { 8 } else { 5 });
                for way in WAYS {
                    let value = way.get(&mut connection, NOW, b"k");
                    assert_eq!(value, Some(expected.clone()), "{what} read by {way:?}");
                }
            }
        }
    }
}

#[test]
fn a_number_of_bytes_is_all_that_tells_a_binary_counter() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    connection.send(b"SET k 1000\r\n");
    let reply = connection.send(b"\xc8\x60\0\0\0\x01\0\0\0\x01k");
    assert_eq!(reply, b"\0\x30\x30\x30\x32");
    assert_eq!(connection.send(b"GET k\r\n"), b"$4\r\n2000\r\n");
    connection.send(b"SET k 12345678\r\n");
    let parameters = [("key", &b"k"[..]), ("num", b"0")];
    let sum = call(&mut connection, NOW, "increment", &parameters, "num");
    let number = i64::from_be_bytes(*b"12345678").to_string();
    assert_eq!(sum, (200, Some(number.into_bytes())));
}

#[test]
fn decimal_text_is_shared_where_both_can_count_so_far() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let mut check = |request: &str, expected: &str| {
        let reply = connection.send(request.as_bytes());
        assert_eq!(String::from_utf8_lossy(&reply), expected, "{request}");
    };
    check("SET k 9223372036854775807\r\n", "+OK\r\n");
    check("incr k 1\r\n", "9223372036854775808\r\n");
    check(
        "INCR k\r\n",
        "-ERR value is not an integer or out of range\r\n",
    );
    check("decr k 1\r\n", "9223372036854775807\r\n");
    check("DECR k\r\n", ":9223372036854775806\r\n");
    check("SET k -1\r\n", "+OK\r\n");
    let error = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
    check("incr k 1\r\n", error);
    check("INCRBY k 3\r\n", ":2\r\n");
    check("decr k 5\r\n", "0\r\n");
    check("GET k\r\n", "$1\r\n0\r\n");
}

#[test]
fn counting_keeps_the_expiry_but_for_tycoons() {
    for count in COUNTS {
        let server = Server::new(Kind::Tree, true);
        let mut connection = server.connect();
        let gone = NOW + 100_000;
        Way::Resp.put_until(&mut connection, NOW, b"k", &count.bytes(5), gone);
        assert_eq!(count.add(&mut connection, 3), Some(8), "{count:?}");
        let (_, told) = Way::Resp.read(&mut connection, NOW, b"k").unwrap();
        let tycoons = matches!(count, Count::Increment | Count::IncrementDouble);
        let kept = if tycoons {
            Told::Never
        } else {
            Told::Gone(gone)
        };
        assert_eq!(told, kept, "{count:?}");
        // Adding nothing to a binary counter only reads it.
        if tycoons {
            Way::Resp.put_until(&mut connection, NOW, b"k", &count.bytes(5), gone);
            assert_eq!(count.add(&mut connection, 0), Some(5), "{count:?}");
            let (_, told) = Way::Resp.read(&mut connection, NOW, b"k").unwrap();
            assert_eq!(told, Told::Gone(gone), "{count:?}");
        }
    }
}
