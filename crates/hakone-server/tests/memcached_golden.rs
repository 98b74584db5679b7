//! Exchanges captured from memcached 1.6.18, and from Tokyo Tyrant and Kyoto Tycoon, which spoke some
//! of its words: played whole, cut at every byte, byte by byte, and over a socket. Of the old
//! servers' every vector is played, or stands here with the reason why not.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod exchanges;
mod running;
mod support;

use exchanges::{exchanges, fill, mask, show};
use hakone::Kind;
use hakone_server::Protocol;
use running::Running;
use std::io::{Read, Write};
use std::net::Shutdown;
use support::Server;

/// A request and its answer.
type Exchange = (Vec<u8>, Vec<u8>);

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect()
}

/// Asks each request with `ask`, and compares.
fn check(what: &str, all: &[Exchange], ask: &mut dyn FnMut(&[u8]) -> Vec<u8>) {
    let mut cas = b"7".to_vec();
    for (request, expected) in all {
        let mut answer = ask(&fill(request, &cas));
        if let Some(last) = mask(&mut answer) {
            cas = last;
        }
        assert_eq!(show(&answer), show(expected), "{what}: {}", show(request));
    }
}

/// Plays exchanges to the service, a connection each, cut before byte `cut`; 0 is every byte alone.
fn play(all: &[Exchange], kind: Kind, protocol: Option<Protocol>, cut: usize) {
    let there = Server::new(kind, true);
    check(&format!("{kind:?} cut at {cut}"), all, &mut |request| {
        let mut connection = there.connect_to(protocol);
        match cut {
            0 => connection.send_pieces(request, 1),
            cut => {
                let (head, tail) = request.split_at(cut.min(request.len()));
                [connection.send(head), connection.send(tail)].concat()
            }
        }
    });
}

fn play_in_every_way(all: &[Exchange], protocol: Option<Protocol>) {
    let longest = all.iter().map(|(request, _)| request.len()).max().unwrap();
    for kind in [Kind::Hash, Kind::Tree] {
        play(all, kind, protocol, usize::MAX);
        play(all, kind, protocol, 0);
    }
    // A cas unique has more digits than its place in the file.
    for cut in 1..longest + 20 {
        play(all, Kind::Hash, protocol, cut);
    }
    for piece in [usize::MAX, 1] {
        let there = Running::with(|config, _| {
            let listen = if protocol.is_some() {
                "memcached://127.0.0.1:0"
            } else {
                "127.0.0.1:0"
            };
            config.listen = vec![listen.parse().unwrap()];
        });
        check("over a socket", all, &mut |request| {
            let mut stream = there.connect();
            // Where the server closes before all is sent, the rest of it fails.
            let sent = request
                .chunks(piece)
                .all(|piece| stream.write_all(piece).is_ok());
            let _ = sent && stream.shutdown(Shutdown::Write).is_ok();
            let mut response = Vec::new();
            let _ = stream.read_to_end(&mut response);
            response
        });
    }
}

#[test]
fn exchanges_play_in_every_way() {
    let all = exchanges();
    assert_eq!(all.len(), 171);
    play_in_every_way(&all, Some(Protocol::Memcached));
    // Where the first bytes tell, lines without a known verb are Redis'.
    let known = all.into_iter().filter(|(_, answer)| answer != b"ERROR\r\n");
    play_in_every_way(&known.collect::<Vec<_>>(), None);
}

#[test]
fn exchanges_play_pipelined_on_one_connection() {
    // What closes would end it, and a cas unique is known only once it was answered.
    let plain = exchanges()
        .into_iter()
        .filter(|(request, _)| !request.starts_with(b"quit") && !show(request).contains("cas"));
    let requests: Vec<Vec<u8>> = plain.map(|(request, _)| request).collect();
    let there = Server::new(Kind::Hash, true);
    let ask = |request: &Vec<u8>| {
        let mut connection = there.connect_to(Some(Protocol::Memcached));
        connection.send(request)
    };
    let mut expected = requests.iter().map(ask).collect::<Vec<_>>().concat();
    mask(&mut expected);
    let requests = requests.concat();
    for piece in [requests.len(), 1, 7, 64] {
        let there = Server::new(Kind::Hash, true);
        let mut connection = there.connect_to(Some(Protocol::Memcached));
        let mut answer = connection.send_pieces(&requests, piece);
        mask(&mut answer);
        assert_eq!(show(&answer), show(&expected), "in pieces of {piece}");
        assert!(answer == expected, "in pieces of {piece}");
    }
}

/// Why a vector of the old servers is not played. What real memcached says holds.
type Unplayed = (&'static str, &'static str);

const TYCOON_UNPLAYED: &[Unplayed] = &[
    ("get", "flags are kept without an option"),
    ("gets", "there is a cas unique"),
    ("incr-text", "text is no number"),
    ("set-short", "ERROR, as memcached says"),
    ("version", "the version is ours"),
    ("get-e", "a negative time has passed"),
    ("get-none", "ERROR, as memcached says"),
    ("append", "it is a verb here"),
    ("touch", "it is a verb here"),
    ("set-lf", "a block ends in CR LF"),
    ("set-bad-length", "an error, and the connection lives on"),
    ("q/set", "queues are not served yet"),
    ("q/set2", "queues are not served yet"),
    ("q/get", "queues are not served yet"),
    ("q/get2", "queues are not served yet"),
    ("q/get-empty", "queues are not served yet"),
    ("q/delete", "queues are not served yet"),
    ("q/delete2", "queues are not served yet"),
    ("q/delete3", "queues are not served yet"),
];

const TYRANT_UNPLAYED: &[Unplayed] = &[
    ("mc_get", "flags are kept"),
    ("mc_gets", "there is a cas unique"),
    ("mc_get_nokey", "ERROR, as memcached says"),
    ("mc_incr_text", "text is no number"),
    ("mc_incr_negative", "no number without a sign"),
    (
        "mc_set_bad_terminator",
        "an error, and the connection lives on",
    ),
    ("mc_set_few_args", "ERROR, as memcached says"),
    ("mc_unknown", "touch is a verb here"),
    ("mc_cas", "it is a verb here"),
    ("mc_version", "the version is ours"),
    ("mc_stats", "its numbers are of the moment"),
    ("mc_flush_noreply", "the version is ours"),
    ("masked_mc_set", "commands can't be masked yet"),
];

/// The vectors of a file that are in memcached's words, but those that are not played. All of
/// these must be there.
fn vectors(file: &str, of: &str, unplayed: &[Unplayed]) -> Vec<Exchange> {
    let mut left: Vec<&str> = unplayed.iter().map(|(name, _)| *name).collect();
    let mut all = Vec::new();
    for line in file.lines() {
        let fields: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| fields[name].as_str().unwrap();
        let name = text("name");
        if !name.contains(of) || name == "_meta" {
            continue;
        }
        if let Some(at) = left.iter().position(|there| *there == name) {
            left.remove(at);
        } else {
            all.push((unhex(text("request_hex")), unhex(text("response_hex"))));
        }
    }
    assert!(left.is_empty(), "no such vectors: {left:?}");
    all
}

#[test]
fn vectors_of_the_old_servers_play_in_every_way() {
    let tycoon = include_str!("data/tycoon_memcached.jsonl");
    let tycoon = vectors(tycoon, "", TYCOON_UNPLAYED);
    let tyrant = vectors(include_str!("data/tyrant.jsonl"), "mc_", TYRANT_UNPLAYED);
    for (name, why) in TYCOON_UNPLAYED.iter().chain(TYRANT_UNPLAYED) {
        println!("not played: {name}: {why}");
    }
    assert_eq!((tycoon.len(), tyrant.len()), (18, 22));
    play_in_every_way(&tycoon, Some(Protocol::Memcached));
    play_in_every_way(&tyrant, None);
}
