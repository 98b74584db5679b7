//! Large requests, large answers and long commands: what is too large is refused and the connection
//! lives on, nothing holds up others, and pieces cost no more than the whole.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use hakone::{Durability, Kind, limits};
use hakone_server::{Peer, Ready};
use support::{NOW, Server, request};

const MIB: usize = 1 << 20;

fn tyrant(verb: u8, sizes: &[usize], strings: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0xc8, verb];
    for &size in sizes {
        out.extend(u32::try_from(size).unwrap().to_be_bytes());
    }
    for string in strings {
        out.extend_from_slice(string);
    }
    out
}

#[test]
fn the_largest_value_comes_in_pieces_and_goes_back() {
    let server = Server::new(Kind::Hash, true);
    let value: Vec<u8> = (0..limits::VALUE_BYTES_MAX)
        .map(|i| ((i * 31) >> 8).to_le_bytes()[0])
        .collect();
    let mut connection = server.connect();
    let put = tyrant(0x10, &[1, value.len()], &[b"k", &value]);
    assert_eq!(connection.send_pieces(&put, 16 << 10), [0]);
    // The decoder says how much it needs, so that the pieces are not looked at one by one.
    assert!(connection.turns <= 4, "{} turns", connection.turns);
    let set = request(&[b"SET", b"k2", &value]);
    assert_eq!(connection.send_pieces(&set, 16 << 10), b"+OK\r\n");
    assert!(connection.turns <= 12, "{} turns", connection.turns);
    let reply = connection.send(&request(&[b"GET", b"k"]));
    let head = format!("${}\r\n", value.len());
    assert!(reply.starts_with(head.as_bytes()) && reply[head.len()..].starts_with(&value));
    let reply = connection.send(&tyrant(0x30, &[2], &[b"k2"]));
    assert!(reply.len() == 5 + value.len() && reply.ends_with(&value));
}

#[test]
fn many_arguments_come_in_small_pieces() {
    let server = Server::new(Kind::Hash, true);
    let count = 200_000;
    let keys: Vec<Vec<u8>> = (0..count).map(|n: u32| n.to_be_bytes().to_vec()).collect();
    let mut words: Vec<&[u8]> = vec![b"EXISTS"];
    words.extend(keys.iter().map(Vec::as_slice));
    let exists = request(&words);
    let mut connection = server.connect();
    assert_eq!(connection.send_pieces(&exists, 64), b":0\r\n");
    let mut mget = tyrant(0x31, &[keys.len()], &[]);
    for key in &keys {
        mget.extend(4_u32.to_be_bytes());
        mget.extend_from_slice(key);
    }
    assert_eq!(connection.send_pieces(&mget, 64), [0, 0, 0, 0, 0]);
    let line = [vec![b' '; 60_000], b"PING\r\n".to_vec()].concat();
    assert_eq!(connection.send_pieces(&line, 1), b"+PONG\r\n");
}

#[test]
fn what_is_too_large_is_skipped_and_the_connection_lives_on() {
    let large = vec![b'x'; limits::VALUE_BYTES_MAX + 1];
    let key = vec![b'k'; limits::KEY_BYTES_MAX + 1];
    for piece in [usize::MAX, 100_000] {
        let server = Server::new(Kind::Tree, true);
        let mut connection = server.connect();
        let mut check = |bytes: &[u8], expected: &[u8]| {
            let reply = connection.send_pieces(bytes, piece.min(bytes.len()));
            assert_eq!(
                reply.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
            assert!(!connection.closed);
            assert_eq!(connection.unconsumed(), 0);
            assert_eq!(connection.send(b"PING\r\n"), b"+PONG\r\n");
        };
        let too_large = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
        check(&request(&[b"SET", b"k", &large]), too_large);
        check(
            &request(&[b"MSET", b"a", &large, b"b", &large, b"c", b"1"]),
            too_large,
        );
        check(&request(&[b"GET", b"c"]), b"$-1\r\n");
        let error = b"-ERR key of 65537 bytes is larger than the limit of 65536\r\n";
        check(&request(&[b"SET", &key, b"v"]), error);
        check(&request(&[b"GET", &key]), b"$-1\r\n");
        check(&request(&[b"EXISTS", &key, b"c"]), b":0\r\n");
        check(&tyrant(0x10, &[1, large.len()], &[b"k", &large]), &[1]);
        check(&tyrant(0x10, &[key.len(), 1], &[&key, b"v"]), &[1]);
        check(&tyrant(0x18, &[1, large.len()], &[b"k", &large]), &[]);
        check(&tyrant(0x30, &[key.len()], &[&key]), &[1]);
        check(&tyrant(0x58, &[key.len(), 9], &[&key]), &[0, 0, 0, 0, 0]);
        check(
            &tyrant(0x12, &[1, limits::VALUE_BYTES_MAX], &[b"a", &large[1..]]),
            &[0],
        );
        check(&tyrant(0x12, &[1, 1], &[b"a", b"x"]), &[1]);
        check(&request(&[b"APPEND", b"a", b"x"]), too_large);
        check(&request(&[b"STRLEN", b"a"]), b":33554432\r\n");
    }
}

#[test]
fn a_skipped_request_is_not_kept() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let piece = vec![b'x'; MIB];
    let mut send = |bytes: &[u8]| {
        let reply = connection.send(bytes);
        assert!(connection.unconsumed() < 16, "{}", connection.unconsumed());
        reply
    };
    // 256 MiB, the most that the protocol allows.
    assert_eq!(send(&tyrant(0x10, &[3, 256 * MIB], &[b"key"])), b"");
    for _ in 0..255 {
        assert_eq!(send(&piece), b"");
    }
    assert_eq!(send(&piece), [1]);
    assert_eq!(send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n"), b"");
    for _ in 0..512 {
        assert_eq!(send(&piece), b"");
    }
    assert!(send(b"\r\n").starts_with(b"-ERR string exceeds"));
    assert_eq!(send(b"PING\r\n"), b"+PONG\r\n");
}

#[test]
fn verbs_that_are_not_served_are_refused_and_the_connection_lives_on() {
    let server = Server::new(Kind::Hash, true);
    let get = tyrant(0x30, &[1], &[b"k"]);
    let (n, long) = (vec![0; 8], vec![b'a'; 200_000]);
    let requests: &[(Vec<u8>, &[u8])] = &[
        (
            tyrant(0x68, &[2, 0, 3, 200_000], &[b"fn", b"key", &long]),
            &[1],
        ),
        (tyrant(0x71, &[8], &[b"bnum=123"]), &[1]),
        (tyrant(0x73, &[4], &[b"/tmp"]), &[1]),
        (tyrant(0x74, &[4], &[&n, b"\0\0\0\0", b"/tmp"]), &[1]),
        (tyrant(0x78, &[4, 1978], &[&n, b"\0\0\0\0", b"host"]), &[1]),
        (tyrant(0x90, &[3, 0, 0], &[b"foo"]), &[1, 0, 0, 0, 0]),
        (
            tyrant(
                0x90,
                &[3, 0, 2],
                &[b"put", b"\0\0\0\x01k", b"\0\x03\x0d\x40", &long],
            ),
            &[1, 0, 0, 0, 0],
        ),
    ];
    for (bytes, expected) in requests {
        for piece in [bytes.len(), 1000, 3] {
            let mut connection = server.connect();
            let all = [bytes.clone(), get.clone()].concat();
            let reply = connection.send_pieces(&all, piece);
            assert_eq!(reply, [expected, &[1][..]].concat(), "{}", bytes[1]);
            assert!(!connection.closed);
        }
    }
}

#[test]
fn sizes_over_the_protocols_own_limits_end_the_connection() {
    let server = Server::new(Kind::Hash, true);
    let over = 256 * MIB + 1;
    for bytes in [
        tyrant(0x10, &[over, 0], &[]),
        tyrant(0x10, &[0, over], &[]),
        tyrant(0x13, &[0, 0, 1 << 31], &[]),
        tyrant(0x31, &[(1 << 20) + 1], &[]),
        tyrant(0x31, &[1, over], &[]),
        tyrant(0x90, &[3, 0, (1 << 20) + 1], &[]),
        tyrant(0x90, &[1024, 0, 0], &[]),
        tyrant(0x90, &[3, 0, 1], &[b"put", &[0xff; 4]]),
        tyrant(0x68, &[1024, 0, 0, 0], &[]),
    ] {
        let mut connection = server.connect();
        let bytes = [bytes, tyrant(0x80, &[], &[])].concat();
        assert_eq!(connection.send(&bytes), b"", "{:?}", &bytes[..6]);
        assert!(connection.closed, "{:?}", &bytes[..6]);
    }
}

#[test]
fn a_turn_gives_each_connection_a_share_of_output() {
    let server = Server::new(Kind::Hash, true);
    let value = vec![b'v'; 300_000];
    let mut writer = server.connect();
    writer.send(&request(&[b"SET", b"k", &value]));
    let mut gets = request(&[b"GET", b"k"]).repeat(20);
    let peer = || Peer {
        address: "a".to_owned(),
        protocol: None,
        loopback: true,
    };
    let mut greedy = server.service.connect(peer(), NOW);
    let mut modest = server.service.connect(peer(), NOW);
    let (mut out, mut out2) = (Vec::new(), Vec::new());
    let mut ready = [
        Ready::new(&mut greedy, &gets, &mut out),
        Ready::new(&mut modest, b"PING\r\n", &mut out2),
    ];
    server.service.turn(NOW, &mut ready);
    assert!(ready[0].more && !ready[1].more);
    let consumed = ready[0].consumed;
    assert_eq!(consumed, gets.len() / 20 * 4, "four replies are over 1 MiB");
    assert_eq!(out2, b"+PONG\r\n");
    let mut ready = [Ready::new(&mut greedy, &gets[consumed..], &mut out)];
    server.service.turn(NOW, &mut ready);
    assert_eq!(ready[0].consumed, consumed);
    // A request that is not whole was looked at behind those that have to wait, and is forgotten.
    gets.extend(b"*2\r\n$4\r\nECHO\r\n$2\r\nh");
    let mut consumed = 2 * consumed;
    for _ in 0..4 {
        let mut ready = [Ready::new(&mut greedy, &gets[consumed..], &mut out)];
        server.service.turn(NOW, &mut ready);
        consumed += ready[0].consumed;
    }
    gets.extend(b"i\r\n");
    out.clear();
    let mut ready = [Ready::new(&mut greedy, &gets[consumed..], &mut out)];
    server.service.turn(NOW, &mut ready);
    assert_eq!(out, b"$2\r\nhi\r\n");
    server.service.disconnect(greedy);
    server.service.disconnect(modest);
}

#[test]
fn a_long_list_of_keys_takes_several_turns_and_answers_stay_in_order() {
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, true);
        let mut connection = server.connect();
        let pairs: Vec<Vec<u8>> = (0..120_000).map(|n| format!("key{n:08}").into()).collect();
        for keys in pairs.chunks(10_000) {
            let mut words: Vec<&[u8]> = vec![b"MSET"];
            words.extend(keys.iter().flat_map(|key| [key.as_slice(), b"v"]));
            assert_eq!(connection.send(&request(&words)), b"+OK\r\n");
        }
        let before = connection.turns;
        let list = [
            tyrant(0x58, &[3, u32::MAX as usize], &[b"key"]),
            b"PING\r\n".to_vec(),
        ];
        let reply = connection.send(&list.concat());
        assert!(
            connection.turns - before > 20,
            "{}",
            connection.turns - before
        );
        let (head, rest) = reply.split_at(5);
        assert_eq!(head, [&[0][..], &120_000_u32.to_be_bytes()].concat());
        let (keys, pong) = rest.split_at(120_000 * 15);
        assert_eq!(pong, b"+PONG\r\n");
        let mut keys: Vec<&[u8]> = keys.chunks(15).map(|key| &key[4..]).collect();
        keys.sort_unstable();
        assert!(keys.iter().eq(pairs.iter()));
        let few = connection.send(&tyrant(0x58, &[3, 5], &[b"key"]));
        assert_eq!(few.len(), 5 + 5 * 15);
    }
}

#[test]
fn the_iterator_passes_over_what_was_removed() {
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, true);
        let mut connection = server.connect();
        let keys: Vec<Vec<u8>> = (0..20_000).map(|n| format!("{n:05}").into()).collect();
        let mut words: Vec<&[u8]> = vec![b"MSET"];
        words.extend(keys.iter().flat_map(|key| [key.as_slice(), b""]));
        connection.send(&request(&words));
        assert_eq!(connection.send(&[0xc8, 0x51]), [1], "no iterinit yet");
        assert_eq!(connection.send(&[0xc8, 0x50]), [0]);
        let first = connection.send(&[0xc8, 0x51]);
        assert_eq!(first.len(), 10);
        let mut words: Vec<&[u8]> = vec![b"DEL"];
        let kept = [&first[5..], &keys[15_000]];
        words.extend(
            keys.iter()
                .map(Vec::as_slice)
                .filter(|key| !kept.contains(key)),
        );
        connection.send(&request(&words));
        if kept[0] != kept[1] {
            assert_eq!(connection.send(&[0xc8, 0x51])[5..], keys[15_000]);
        }
        // Another connection goes on with the same iterator.
        assert_eq!(server.connect().send(&[0xc8, 0x51]), [1]);
    }
}

#[test]
fn a_transaction_is_bounded_in_commands_and_bytes() {
    let server = Server::new(Kind::Tree, true);
    let mut connection = server.connect();
    let set = request(&[b"SET", b"k", b"v"]);
    connection.send(&request(&[b"MULTI"]));
    let queued = connection.send(&set.repeat(256 << 10));
    assert_eq!(queued, b"+QUEUED\r\n".repeat(256 << 10));
    assert_eq!(
        connection.send(&set),
        b"-ERR the transaction has more than 262144 commands\r\n"
    );
    let aborted = b"-EXECABORT Transaction discarded because of previous errors.\r\n";
    assert_eq!(connection.send(&request(&[b"EXEC"])), aborted);

    let large = request(&[b"SET", b"k", &vec![b'x'; 20 * MIB]]);
    connection.send(&request(&[b"MULTI"]));
    let replies = connection.send(&large.repeat(4));
    let error = "-ERR the transaction is larger than 64 MiB\r\n";
    assert_eq!(
        String::from_utf8(replies).unwrap(),
        "+QUEUED\r\n".repeat(3) + error
    );
    assert_eq!(connection.send(&request(&[b"EXEC"])), aborted);
    let too_large = request(&[b"SET", b"k", &vec![b'x'; 33 * MIB]]);
    connection.send(&request(&[b"MULTI"]));
    connection.send(&too_large);
    assert_eq!(connection.send(&request(&[b"EXEC"])), aborted);
    assert_eq!(connection.send(b"GET k\r\n"), b"$-1\r\n");
}

#[test]
fn a_transaction_that_no_segment_holds_changes_nothing() {
    let server = Server::new(Kind::Hash, false);
    let mut connection = server.connect();
    let value = vec![b'x'; 32 * MIB - 1000];
    let mut requests = request(&[b"MULTI"]);
    requests.extend(request(&[b"SET", b"a", &value]));
    requests.extend(request(&[b"SET", b"b", &value]));
    requests.extend(request(&[b"EXEC"]));
    let replies = String::from_utf8(connection.send(&requests)).unwrap();
    let error = "+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR batch of ";
    assert!(replies.starts_with(error), "{replies:.100}");
    assert_eq!(connection.send(b"EXISTS a b\r\n"), b":0\r\n");
    assert_eq!(connection.send(b"SET a 1\r\n"), b"+OK\r\n");
}

#[test]
fn watched_keys_are_bounded() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let key = vec![b'k'; 60 << 10];
    let watch = request(&[b"WATCH", &key]);
    let replies = connection.send(&watch.repeat(274));
    let expected = "+OK\r\n".repeat(273) + "-ERR too many keys are watched\r\n";
    assert_eq!(String::from_utf8(replies).unwrap(), expected);
    assert_eq!(connection.send(b"UNWATCH\r\n"), b"+OK\r\n");
    assert_eq!(connection.send(&watch), b"+OK\r\n");
}

#[test]
fn at_the_level_commit_replies_wait_for_the_disk() {
    let databases = [("default", Kind::Hash, false)];
    let server = Server::with(&databases, Durability::Commit);
    let peer = Peer {
        address: "a".to_owned(),
        protocol: None,
        loopback: true,
    };
    let mut session = server.service.connect(peer, NOW);
    let mut out = Vec::new();
    let mut ready = [Ready::new(&mut session, b"SET a 1\r\n", &mut out)];
    server.service.turn(NOW, &mut ready);
    let wait = ready[0].wait;
    // A cabinet whose disk was quicker than this line has nothing left to wait for.
    assert!(wait.is_some() || server.cabinet.written() <= server.cabinet.durable());
    server.cabinet.sync().unwrap();
    assert!(wait.unwrap_or(0) <= server.cabinet.durable());
    let mut ready = [Ready::new(&mut session, b"GET a\r\n", &mut out)];
    server.service.turn(NOW, &mut ready);
    assert_eq!(ready[0].wait, None);
    server.service.disconnect(session);
}

#[test]
fn answers_that_are_too_large_are_refused() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let value = vec![b'v'; limits::VALUE_BYTES_MAX];
    assert_eq!(
        connection.send(&request(&[b"SET", b"k", &value])),
        b"+OK\r\n"
    );
    let keys = [&b"k"[..]; 9];
    let reply = connection.send(&request(&[&[&b"MGET"[..]], &keys[..]].concat()));
    assert_eq!(
        reply,
        b"-ERR the reply would be larger than 256 MiB, ask for fewer keys\r\n"
    );
    // In a transaction the replies to all its commands are looked at together.
    let half = request(&[&[&b"MGET"[..]], &keys[..5]].concat());
    let halves = [half.clone(), half].concat();
    let exec = [request(&[b"MULTI"]), halves, request(&[b"EXEC"])].concat();
    let reply = connection.send(&exec);
    let error = b"-ERR the reply would be larger than 256 MiB, ask for fewer keys\r\n";
    assert!(reply.ends_with(error) && reply.len() > 160 * MIB && reply.len() < 161 * MIB);
    let mget = [tyrant(0x31, &[9], &[]), b"\0\0\0\x01k".repeat(9)].concat();
    assert_eq!(connection.send(&mget), b"");
    assert!(connection.closed);
    let mut connection = server.connect();
    assert_eq!(connection.send(&tyrant(0x31, &[1, 129 * MIB], &[])), b"");
    assert!(connection.closed);
}

#[test]
fn requests_that_are_too_large_as_a_whole_are_skipped() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let value = vec![b'v'; 30 * MIB];
    let mut words: Vec<&[u8]> = vec![b"MSET"];
    for key in [b"a", b"b", b"c", b"d", b"e"] {
        words.extend([&key[..], &value]);
    }
    let reply = connection.send_pieces(&request(&words), 4 * MIB);
    assert!(reply.starts_with(b"-ERR string exceeds maximum allowed size"));
    assert_eq!(connection.send(b"EXISTS a b c d e\r\n"), b":0\r\n");
    // This is received whole, and more than one batch of the store.
    let reply = connection.send_pieces(&request(&words[..7]), 4 * MIB);
    assert!(
        reply.starts_with(b"-ERR batch of "),
        "{}",
        reply.escape_ascii()
    );
    assert_eq!(connection.send(b"EXISTS a b c d e\r\n"), b":0\r\n");
}

#[test]
fn lines_and_numbers_without_end_are_refused_however_they_are_cut() {
    let long = [vec![b'1'; 70_000], b"\r\n".to_vec()].concat();
    let check = |bytes: &[u8], what: &str| {
        for piece in [usize::MAX, 7000, 1] {
            let server = Server::new(Kind::Hash, true);
            let mut connection = server.connect();
            let reply = connection.send_pieces(bytes, piece.min(bytes.len()));
            let expected = format!("-ERR Protocol error: {what}\r\n");
            assert_eq!(String::from_utf8(reply).unwrap(), expected);
            assert!(connection.closed);
        }
    };
    check(&long, "too big inline request");
    check(&[b"*", &long[..]].concat(), "invalid multibulk length");
    check(&[b"*1\r\n$", &long[..]].concat(), "invalid bulk length");
    check(b"*4194305\r\n", "invalid multibulk length");
    check(b"*2\r\n$3\r\nGET\r\n$536870913\r\n", "invalid bulk length");
    // Also while a request is being skipped.
    let skipped = [
        &b"*3\r\n$3\r\nSET\r\n$33554433\r\n"[..],
        &vec![b'k'; limits::VALUE_BYTES_MAX + 1],
        b"\r\nxyz",
    ];
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let reply = connection.send_pieces(&skipped.concat(), MIB);
    assert_eq!(reply, b"-ERR Protocol error: expected '$', got 'x'\r\n");
    assert!(connection.closed);
}

#[test]
fn a_turn_takes_so_many_requests_of_one_connection() {
    let server = Server::new(Kind::Hash, true);
    for ping in [request(&[b"PING"]), b"PING\r\n".to_vec()] {
        let mut connection = server.connect();
        let reply = connection.send(&ping.repeat(20_000));
        assert_eq!(reply, b"+PONG\r\n".repeat(20_000));
        assert!((10..13).contains(&connection.turns), "{}", connection.turns);
    }
}
