//! The exchanges captured from the original Kyoto Tycoon, played to the service: whole, cut at every
//! byte, and over a socket. Every exchange is played, or said to wait.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod running;
mod support;

use hakone::{DatabaseOptions, Durability, Kind};
use hakone_server::config::DatabaseSpec;
use running::Running;
use std::io::{Read, Write};
use std::net::Shutdown;
use support::Server;

struct Vector {
    name: String,
    request: Vec<u8>,
    response: Vec<u8>,
    closed: bool,
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn vectors() -> Vec<Vector> {
    include_str!("data/tycoon.jsonl")
        .lines()
        .skip(1)
        .map(|line| {
            let fields: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| fields[name].as_str().unwrap().to_owned();
            Vector {
                name: text("name"),
                // On a loopback listener another host is refused.
                request: replaced(
                    unhex(&text("request_hex")),
                    b"Host: x\r\n",
                    b"Host: localhost\r\n",
                ),
                response: unhex(&text("response_hex")),
                closed: fields["closed"].as_bool().unwrap(),
            }
        })
        .collect()
}

fn replaced(bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes,
    }
}

/// How an exchange is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    /// Byte for byte, the date and the port aside.
    Exact,
    /// We answer that the method is allowed, since OPTIONS is always Tyrant's.
    Options,
    /// On a port that speaks everything it is a request of another protocol.
    Other(&'static str),
}

/// Those that are played, in the order of the file.
const PLAYED: &[(&str, Compare)] = &[
    ("rest/put", Compare::Exact),
    ("rest/get", Compare::Exact),
    ("rest/head", Compare::Exact),
    ("rest/get-missing", Compare::Exact),
    ("rest/head-missing", Compare::Exact),
    ("rest/put-db1", Compare::Exact),
    ("rest/get-db-name", Compare::Exact),
    ("rest/get-db-plus", Compare::Exact),
    ("rest/get-query-ignored", Compare::Exact),
    ("rest/get-bad-db", Compare::Exact),
    ("rest/get-extra-slash", Compare::Exact),
    ("rest/put-add-dup", Compare::Exact),
    ("rest/put-add", Compare::Exact),
    ("rest/put-replace-missing", Compare::Exact),
    ("rest/put-mode-unknown", Compare::Exact),
    ("rest/put-xt-rfc1123", Compare::Exact),
    ("rest/get-xt", Compare::Exact),
    ("rest/head-xt", Compare::Exact),
    ("rest/put-xt-decimal", Compare::Exact),
    ("rest/get-xt2", Compare::Exact),
    ("rest/put-xt-w3c", Compare::Exact),
    ("rest/get-xt3", Compare::Exact),
    ("rest/put-xt-hex", Compare::Exact),
    ("rest/get-xt4", Compare::Exact),
    ("rest/put-xt-bad", Compare::Exact),
    ("rest/get-xt5", Compare::Exact),
    ("rest/put-empty", Compare::Exact),
    ("rest/get-empty", Compare::Exact),
    ("rest/put-no-length", Compare::Exact),
    ("rest/put-chunked", Compare::Exact),
    ("rest/get-chunked", Compare::Exact),
    ("rest/delete", Compare::Exact),
    ("rest/delete-missing", Compare::Exact),
    ("rest/post", Compare::Exact),
    ("rest/options", Compare::Options),
    ("rest/get-root", Compare::Exact),
    ("rest/get-rpc-prefix", Compare::Exact),
    ("rest/put-value-with-gets", Compare::Exact),
    ("rest/get-html", Compare::Exact),
    ("http/bad-version", Compare::Exact),
    ("http/no-version", Compare::Other("$-1\r\n")),
];

fn played() -> Vec<(Vector, Compare)> {
    let mut vectors = vectors().into_iter();
    let found = PLAYED.iter().map(|(name, compare)| {
        let vector = vectors.find(|vector| vector.name == *name);
        let vector = vector.unwrap_or_else(|| panic!("{name} comes in this order"));
        (vector, *compare)
    });
    found.collect()
}

/// The reply with every date and port made the same.
fn plain(reply: &[u8]) -> String {
    let mut text = reply.escape_ascii().to_string();
    let mut from = 0;
    while let Some(at) = text[from..].find("Date: ") {
        let start = from + at + "Date: ".len();
        text.replace_range(start..start + 29, "TODAY");
        from = start;
    }
    let mut from = 0;
    while let Some(at) = text[from..].find("http://localhost:") {
        let start = from + at + "http://localhost:".len();
        let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
        text.replace_range(start..start + digits, "PORT");
        from = start;
    }
    text
}

/// Plays everything; `ask` gives the reply, and whether the connection was closed if it can tell.
fn check(what: &str, mut ask: impl FnMut(&[u8]) -> (Vec<u8>, Option<bool>)) {
    for (vector, compare) in played() {
        let (response, closed) = ask(&vector.request);
        let what = format!("{} {what}", vector.name);
        match compare {
            Compare::Exact => assert_eq!(plain(&response), plain(&vector.response), "{what}"),
            Compare::Other(expected) => {
                assert_eq!(String::from_utf8_lossy(&response), expected, "{what}");
            }
            Compare::Options => {
                let text = String::from_utf8(response).unwrap();
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAllow: OPTIONS, GET, ";
                assert!(text.starts_with(head), "{what}: {text}");
            }
        }
        let closes = vector.closed && !matches!(compare, Compare::Other(_));
        assert_eq!(closed.unwrap_or(closes), closes, "{what}");
    }
}

/// The databases of the original server.
const DATABASES: &[(&str, Kind, bool)] = &[("*", Kind::Hash, true), ("%", Kind::Tree, true)];

fn server() -> Server {
    Server::with(DATABASES, Durability::Process)
}

/// Plays everything, each request cut before byte `cut`; 0 is every byte alone.
fn play(server: &mut Server, cut: usize) {
    server.renew();
    check(&format!("cut at {cut}"), |request| {
        let mut connection = server.connect();
        let response = match cut {
            0 => connection.send_pieces(request, 1),
            cut => {
                let (head, tail) = request.split_at(cut.min(request.len()));
                [connection.send(head), connection.send(tail)].concat()
            }
        };
        assert!(connection.closed || connection.unconsumed() == 0);
        (response, Some(connection.closed))
    });
}

#[test]
fn every_exchange_is_played_or_waits() {
    let (all, played) = (vectors(), played());
    let waiting: Vec<_> = all
        .iter()
        .filter(|vector| !PLAYED.iter().any(|(name, _)| vector.name == *name))
        .collect();
    for vector in &waiting {
        println!("{} waits", vector.name);
    }
    assert_eq!((all.len(), played.len(), waiting.len()), (220, 41, 179));
}

#[test]
fn exchanges_play_whole_and_byte_by_byte() {
    let mut server = server();
    play(&mut server, usize::MAX);
    play(&mut server, 0);
}

#[test]
fn exchanges_play_cut_at_every_byte() {
    let mut server = server();
    let played = played();
    let longest = played.iter().map(|(vector, _)| vector.request.len()).max();
    for cut in 1..longest.unwrap() {
        play(&mut server, cut);
    }
}

#[test]
fn exchanges_play_over_a_socket() {
    for piece in [usize::MAX, 1] {
        let there = Running::with(|config, _| {
            config.databases = DATABASES
                .iter()
                .map(|&(name, kind, memory)| DatabaseSpec {
                    name: name.to_owned(),
                    options: DatabaseOptions { kind, memory },
                })
                .collect();
        });
        check(&format!("in pieces of {piece}"), |request| {
            let mut stream = there.connect();
            let sent = request
                .chunks(piece)
                .all(|piece| stream.write_all(piece).is_ok());
            // The end of what is asked ends what is answered.
            let _ = sent && stream.shutdown(Shutdown::Write).is_ok();
            let mut response = Vec::new();
            let _ = stream.read_to_end(&mut response);
            (response, None)
        });
    }
}
