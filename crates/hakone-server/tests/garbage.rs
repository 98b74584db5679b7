//! Bytes that nobody meant: random ones, and requests with bytes changed, doubled, cut out or in
//! another order. Nothing may panic or go on without end, and however the bytes are cut, the same
//! replies come back.

mod support;

use hakone::Kind;
use support::{Server, request};

/// A generator of pseudo-random numbers from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }
}

/// Requests to begin with, of every verb.
fn seeds() -> Vec<Vec<u8>> {
    let captured = [
        include_str!("data/tyrant.jsonl"),
        include_str!("data/tycoon.jsonl"),
    ];
    let mut all: Vec<Vec<u8>> = captured
        .iter()
        .flat_map(|file| file.lines().skip(1))
        .filter_map(|line| {
            let (_, rest) = line.split_once("\"request_hex\": \"")?;
            let (hex, _) = rest.split_once('"')?;
            let digits: Vec<u8> = hex
                .bytes()
                .map(|digit| {
                    if digit > b'9' {
                        digit - b'a' + 10
                    } else {
                        digit - b'0'
                    }
                })
                .collect();
            Some(
                digits
                    .chunks(2)
                    .map(|pair| pair[0] * 16 + pair[1])
                    .collect(),
            )
        })
        .collect();
    for line in [
        "PING",
        "SET a 1",
        "SET a 1 EX 100 NX GET",
        "GET a",
        "INCR a",
        "MSET a 1 b 2",
        "MGET a b c",
        "DEL a b",
        "SCAN 0 MATCH a* COUNT 2",
        "EXPIRE a 100 NX",
        "TTL a",
        "HELLO 3",
        "RESET",
        "SELECT 3",
        "APPEND a b",
        "FLUSHDB",
        "CLIENT SETNAME x",
        "COMMAND COUNT",
        "QUIT",
        "HAKONE SCAN a 5 PREFIX a",
        "CONFIG GET *",
        "NOSUCH x",
        "MULTI",
        "MULTI",
        "EXEC",
        "EXEC",
        "DISCARD",
        "WATCH a b",
        "UNWATCH",
        "GETEX a EX 100",
        "GETRANGE a 0 -2",
        "SETRANGE a 3 xyz",
        "INCRBYFLOAT a 1.5",
        "RENAME a b",
        "COPY a b REPLACE",
        "COPY a b DB 2",
        "MOVE a 1",
        "KEYS *",
        "OBJECT ENCODING a",
        "MEMORY USAGE a SAMPLES 5",
        "CLIENT REPLY SKIP",
        "CLIENT REPLY OFF",
        "CLIENT REPLY ON",
        "CLIENT LIST TYPE normal",
        "CLIENT KILL ID 1 SKIPME no",
        "COMMAND GETKEYS MSET a 1 b 2",
        "CONFIG SET save 1",
        "SAVE",
        "FLUSHALL",
    ] {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        all.push(request(&words));
        all.push(format!("{line}\r\n").into_bytes());
    }
    all.push(b"SET a \"b\\x41 c\" \r\n".to_vec());
    all
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.byte(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => {
                bytes.remove(at);
            }
            3 => bytes.insert(at, random.byte()),
            4 => bytes.truncate(at),
            _ => {
                let end = (at + random.below(8)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// What comes back for these bytes in pieces of at most this size, and whether the connection is
/// closed then.
fn replies(
    bytes: &[u8],
    server: &mut Server,
    piece_max: usize,
    random: &mut Random,
) -> (Vec<u8>, bool) {
    server.renew();
    let mut connection = server.connect();
    let mut replies = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + random.below(piece_max)).min(rest.len()));
        replies.extend(connection.send(piece));
        rest = after;
    }
    (replies, connection.closed)
}

/// What came back as text, without the one thing that does depend on how a request is cut: a client
/// of HTTP is told to send the body if it has not begun to.
fn plain(replies: &[u8]) -> String {
    let text = replies.escape_ascii().to_string();
    text.replace(r"HTTP/1.1 100 Continue\r\n\r\n", "")
}

fn check(bytes: &[u8], server: &mut Server, seed: u64, random: &mut Random) {
    let whole = replies(bytes, server, usize::MAX, &mut Random(0));
    // These tell of the process, which goes on between two questions, or of versions, which rise.
    let text = String::from_utf8_lossy(&whole.0).to_lowercase();
    let asked = String::from_utf8_lossy(bytes);
    if [
        "loadavg",
        "used_memory",
        "resident_bytes",
        "rusage_user",
        "sys_mem_rss",
    ]
    .iter()
    .any(|word| text.contains(word))
        || ["gets", "gats", "metadump"]
            .iter()
            .any(|word| asked.contains(word))
    {
        return;
    }
    for piece_max in [1, 5, 50] {
        let pieces = replies(bytes, server, piece_max, random);
        assert_eq!(
            (plain(&pieces.0), pieces.1),
            (plain(&whole.0), whole.1),
            "seed {seed}, pieces of {piece_max}: {}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn mutated_requests_are_answered_alike_however_they_are_cut() {
    let seeds = seeds();
    let mut servers = [Kind::Hash, Kind::Tree].map(|kind| Server::new(kind, true));
    for seed in 0..1500 {
        let mut random = Random(seed);
        let mut bytes = Vec::new();
        for _ in 0..=random.below(6) {
            let mut request = seeds[random.below(seeds.len())].clone();
            if random.below(2) == 0 {
                mutate(&mut request, &mut random);
            }
            bytes.extend(request);
        }
        let [hash, tree] = &mut servers;
        let server = if seed % 2 == 0 { hash } else { tree };
        check(&bytes, server, seed, &mut random);
    }
}

#[test]
fn random_bytes_are_answered_alike_however_they_are_cut() {
    let signs = b"*$:+-\r\n0123456789 \"'\\xSETGETPING\xc8\x10\x30\x31\x90\0\0\0\0\x01\x02\xff";
    let mut server = Server::new(Kind::Hash, true);
    for seed in 0..1000 {
        let mut random = Random(seed);
        let length = 1 + random.below(200);
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| match random.below(4) {
                0 => random.byte(),
                _ => signs[random.below(signs.len())],
            })
            .collect();
        bytes[0] = [b'*', 0xc8, b'S', b'"', 0xb8, 0xba][random.below(6)];
        check(&bytes, &mut server, seed, &mut random);
    }
}
