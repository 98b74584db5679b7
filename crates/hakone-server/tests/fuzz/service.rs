//! A whole service with all protocols on one port: the same answers come back however the input is
//! cut, and others are served after it.

use crate::engine::Shapes;
use crate::mutate::{cuts, pieces};
use crate::random::Random;
use crate::support::Server;
use hakone::Kind;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Two services, as their kinds of databases differ.
pub struct Subject([Server; 2]);

/// What came back, and whether the connection was closed.
type Answer = (Vec<u8>, bool);

impl Subject {
    pub fn new() -> Subject {
        Subject([Kind::Hash, Kind::Tree].map(|kind| Server::new(kind, true)))
    }

    /// Feeds one input whole and in pieces, each to a service as new.
    pub fn check(&mut self, input: &[u8], random: &mut Random) -> Shapes {
        let server = &mut self.0[random.below(2)];
        let whole = answer(server, &[input]);
        let plain = plain(&whole.0);
        if is_steady(input) {
            let cuts = cuts(input, random);
            let cut = answer(server, &pieces(input, &cuts));
            let cut = (self::plain(&cut.0), cut.1);
            let whole = (plain.clone(), whole.1);
            assert!(cut == whole, "cut at {cuts:?}: {cut:?} for {whole:?}");
        }
        // The words of each line, not their numbers, and how it ends.
        let lines = plain.split(r"\r\n").map(|line| {
            let letters = |char: &char| char.is_ascii_alphabetic();
            line.chars().filter(letters).take(60).collect::<String>()
        });
        let lines: Vec<String> = lines.collect();
        let end = hash(&(lines.last(), whole.1));
        lines.iter().map(hash).chain([end]).collect()
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What comes back for these pieces; another connection is answered then.
fn answer(server: &mut Server, pieces: &[&[u8]]) -> Answer {
    server.renew();
    let server = &*server;
    let mut connection = server.connect();
    let mut answer = Vec::new();
    for piece in pieces {
        answer.extend(connection.send(piece));
        if connection.closed {
            break;
        }
    }
    assert_eq!(
        server.connect().send(b"PING\r\n"),
        b"+PONG\r\n",
        "others are served"
    );
    (answer, connection.closed)
}

/// As text, without the one thing that does depend on how a request is cut: a client of HTTP is told
/// to send the body if it has not begun to.
fn plain(answer: &[u8]) -> String {
    let text = answer.escape_ascii().to_string();
    text.replace(r"HTTP/1.1 100 Continue\r\n\r\n", "")
}

/// Whether the same is answered at any time: not where a request may ask for what the process does
/// meanwhile, or for versions and places, which rise from one run to the next.
fn is_steady(input: &[u8]) -> bool {
    let text = input.to_ascii_lowercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    const ASKS: &[&[u8]] = &[
        b"\xc8\x88",
        b"stat",
        b"info",
        b"options",
        b"gets",
        b"gats",
        b"metadump",
        b"memory",
        b"time",
        b"client",
        b"hello",
        b"scan",
        b"randomkey",
        b"report",
        b"object",
    ];
    !ASKS.iter().any(|word| has(word))
}
