//! The exchanges captured from the original server, played to the service: whole, cut at every
//! byte, pipelined, and over a socket. Every vector is played, or its name stands here with the reason why not.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a failing test may panic"
)]

mod running;
mod support;

use hakone::Kind;
use hakone_server::config::HttpDialect;
use running::Running;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use support::Server;

struct Vector {
    name: String,
    server: String,
    request: Vec<u8>,
    response: Vec<u8>,
    closes: bool,
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

/// The request with a host that is a name of this machine: on a loopback listener any other is
/// refused.
fn local(request: Vec<u8>) -> Vec<u8> {
    if !is_http(&request) {
        return request;
    }
    let text = String::from_utf8(request).unwrap();
    let text = text.replace("Host: h\r\n", "Host: localhost\r\n");
    text.replace("http://h:1978/", "http://localhost:1978/")
        .into_bytes()
}

fn is_http(request: &[u8]) -> bool {
    let line = request.split(|&byte| byte == b'\r').next().unwrap();
    line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0")
}

fn vectors() -> Vec<Vector> {
    include_str!("data/tyrant.jsonl")
        .lines()
        .skip(1)
        .map(|line| {
            let fields: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| fields[name].as_str().unwrap().to_owned();
            Vector {
                name: text("name"),
                server: text("server"),
                request: local(unhex(&text("request_hex"))),
                response: unhex(&text("response_hex")),
                closes: fields["closes"].as_bool().unwrap(),
            }
        })
        .collect()
}

/// How a vector is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    /// Byte for byte.
    Exact,
    /// Both are one answer of `iternext` or `fwmkeys`, whose order is the old hash's: the keys are
    /// members of the same set, and there are as many.
    Member,
    /// The first so many bytes: a status, or a status and a size that is ours.
    Shape,
    /// We close where the original goes on: it parses what follows a bad request as the next one.
    Closes,
    /// We close after the same bytes.
    ExactAndClose,
    /// The original answers something else, or nothing and closes; we answer this and go on.
    Ours(&'static str),
}

/// The vectors that are played, in file order, by server.
const PLAYED: &[(&str, &[(&str, Compare)])] = &[
    (
        "mem",
        &[
            ("put", Compare::Exact),
            ("put_overwrite", Compare::Exact),
            ("put_empty_value", Compare::Exact),
            ("put_empty_key", Compare::Exact),
            ("get", Compare::Exact),
            ("get_empty_value", Compare::Exact),
            ("get_empty_key", Compare::Exact),
            ("get_miss", Compare::Exact),
            ("putkeep_new", Compare::Exact),
            ("putkeep_exists", Compare::Exact),
            ("putcat_existing", Compare::Exact),
            ("putcat_new", Compare::Exact),
            ("get_after_putcat", Compare::Exact),
            ("putshl_new", Compare::Exact),
            ("get_after_putshl_new", Compare::Exact),
            ("putshl_shift", Compare::Exact),
            ("get_after_putshl", Compare::Exact),
            ("putnr_then_get_pipelined", Compare::Exact),
            ("pipeline_three", Compare::Exact),
            ("vsiz", Compare::Exact),
            ("vsiz_miss", Compare::Exact),
            ("mget", Compare::Exact),
            ("mget_none", Compare::Exact),
            ("mget_all_miss", Compare::Exact),
            ("addint_new", Compare::Exact),
            ("addint_neg", Compare::Exact),
            ("addint_zero", Compare::Exact),
            ("get_addint_value", Compare::Exact),
            ("addint_wrong_width", Compare::Exact),
            ("adddouble_new", Compare::Exact),
            ("adddouble_neg", Compare::Exact),
            ("get_adddouble_value", Compare::Exact),
            ("adddouble_wrong_width", Compare::Exact),
            ("adddouble_inf", Compare::Exact),
            ("adddouble_nan", Compare::Exact),
            ("out", Compare::Exact),
            ("out_miss", Compare::Exact),
            ("rnum", Compare::Exact),
            ("iterinit", Compare::Exact),
            ("iternext_0", Compare::Member),
            ("iternext_1", Compare::Member),
            ("iternext_2", Compare::Member),
            ("fwmkeys_prefix", Compare::Exact),
            ("fwmkeys_max1", Compare::Member),
            ("fwmkeys_max0", Compare::Exact),
            ("fwmkeys_none", Compare::Exact),
            ("sync", Compare::Exact),
            ("stat", Compare::Shape),
            ("size", Compare::Shape),
            ("unknown_command", Compare::ExactAndClose),
            ("unknown_then_valid", Compare::Closes),
            ("negative_size", Compare::ExactAndClose),
            ("huge_size", Compare::ExactAndClose),
            ("repl_ts0", Compare::ExactAndClose),
            ("repl_no_ulog", Compare::ExactAndClose),
            ("vanish", Compare::Exact),
            ("rnum_after_vanish", Compare::Exact),
            ("http_put", Compare::Exact),
            ("http_get", Compare::Exact),
            ("http_get_absolute_uri", Compare::Exact),
            ("http_get_10", Compare::ExactAndClose),
            ("http_get_10_keepalive", Compare::Exact),
            ("http_get_close", Compare::ExactAndClose),
            ("http_get_miss", Compare::Exact),
            ("http_get_query", Compare::Exact),
            ("http_head", Compare::Exact),
            ("http_head_miss", Compare::Exact),
            ("http_put_keep_conflict", Compare::Exact),
            ("http_put_cat", Compare::Exact),
            ("http_put_no_length", Compare::Exact),
            // A body in chunks is understood.
            ("http_put_chunked", Compare::Ours(CREATED)),
            // A client that waits is told to go on; the original's silence was the stall of PUT.
            ("http_expect_header_only", Compare::Ours(CONTINUE)),
            ("http_expect_with_body", Compare::Exact),
            ("http_delete", Compare::Exact),
            ("http_delete_miss", Compare::Exact),
            ("http_post_ext_fail", Compare::Exact),
            ("http_post_misc_fail", Compare::Exact),
            ("http_post_plain", Compare::Exact),
            ("http_options", Compare::Shape),
            // A client learns why.
            ("http_unknown_method", Compare::Ours(NOT_IMPLEMENTED)),
            ("http_pipeline", Compare::Exact),
            // The version is that of the memcached whose words these are.
            ("mixed_protocols", Compare::Ours(MIXED)),
        ],
    ),
    (
        "hash",
        &[
            ("hash_put", Compare::Exact),
            ("hash_iterinit", Compare::Exact),
            ("hash_iternext_0", Compare::Member),
            ("hash_iternext_1", Compare::Member),
            ("hash_iternext_2", Compare::Member),
            ("hash_iternext_3", Compare::Exact),
            ("hash_putcat", Compare::Exact),
            ("hash_get", Compare::Exact),
            ("hash_size", Compare::Shape),
        ],
    ),
    (
        "tree",
        &[
            ("tree_get", Compare::Exact),
            ("tree_mget", Compare::Exact),
            ("tree_vsiz", Compare::Exact),
            ("tree_fwmkeys", Compare::Exact),
            ("tree_iterinit", Compare::Exact),
            ("tree_iternext_0", Compare::Exact),
            ("tree_iternext_1", Compare::Exact),
            ("tree_putcat", Compare::Exact),
        ],
    ),
];

const CREATED: &str =
    "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nCreated\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const MIXED: &str = "VERSION 1.6.18\r\n\0\0\0\0\x06hello!HTTP/1.1 404 Not Found\r\n\
                     Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nNot Found\n";
const NOT_IMPLEMENTED: &str = "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain\r\n\
                               Content-Length: 16\r\n\r\nNot Implemented\n";

/// A key and a value.
type Record = (&'static [u8], &'static [u8]);

/// What commands that are not served yet have left behind on the original server before a vector:
/// records that plain puts make here.
const SEEDS: &[(&str, &[Record])] = &[
    ("hash_iterinit", &[(b"k2", b"v2"), (b"k3", b"v3")]),
    ("tree_get", &[(b"a", b"y"), (b"b", b"0"), (b"c", b"z")]),
];

/// Whether the vector is of a part that is not served yet, told by its request.
fn waits(vector: &Vector) -> Option<&'static str> {
    let other_server = ["fixed", "table", "masked", "ulog"];
    if other_server.contains(&vector.server.as_str()) {
        return Some("a kind or an option that is not served yet");
    }
    match vector.request.as_slice() {
        [0xc8, 0x90, ..] => Some("misc"),
        [0xc8, 0x68, ..] => Some("ext"),
        [0xc8, 0x71 | 0x73 | 0x74 | 0x78, ..] => Some("optimize, copy, restore, setmst"),
        [0xc8, ..] if NEEDS_DUPLICATES.contains(&vector.name.as_str()) => Some("duplicates"),
        [0xc8, ..] => None,
        request if is_http(request) => match vector.name.as_str() {
            "http_post_ext" => Some("ext"),
            "http_post_misc" | "http_post_misc_two" => Some("misc"),
            _ => None,
        },
        _ if vector.name == "mixed_protocols" => None,
        _ => Some("memcached on the same port: memcached_golden.rs"),
    }
}

/// These need records with one key and several values, which `misc` makes.
const NEEDS_DUPLICATES: &[&str] = &[
    "tree_rnum",
    "tree_iternext_2",
    "tree_iternext_3",
    "tree_iternext_4",
    "tree_iternext_5",
    "tree_iternext_6",
    "tree_out",
    "tree_put_over_dup",
    "tree_get_gone",
];

/// The vectors of one server that are played, with how they are compared.
fn played(server: &str) -> Vec<(Vector, Compare)> {
    let (_, names) = PLAYED.iter().find(|(name, _)| *name == server).unwrap();
    let mut names = names.iter();
    let mut found = Vec::new();
    for vector in vectors() {
        if vector.server != server || waits(&vector).is_some() {
            continue;
        }
        let (name, compare) = names.next().expect("a vector that the list does not name");
        assert_eq!(vector.name, *name, "the list and the file agree in order");
        found.push((vector, *compare));
    }
    assert_eq!(
        names.next(),
        None,
        "the list names vectors that the file lacks"
    );
    found
}

fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![0xc8, 0x10];
    out.extend((key.len() as u32).to_be_bytes());
    out.extend((value.len() as u32).to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    out
}

/// The keys that `iternext` or `fwmkeys` has answered.
fn keys_of(request: &[u8], response: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(response[0], 0);
    let mut rest = if request[1] == 0x51 {
        &response[1..]
    } else {
        &response[5..]
    };
    let mut keys = Vec::new();
    while let [a, b, c, d, after @ ..] = rest {
        let (key, after) = after.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        keys.push(key.to_vec());
        rest = after;
    }
    keys
}

/// What came back for a request on a connection of its own, and whether the server closed it.
struct Answer {
    response: Vec<u8>,
    closed: Option<bool>,
}

/// Plays the vectors of one server to the service, each request cut before byte `cut`; 0 is every
/// byte alone.
fn play(server: &str, kind: Kind, memory: bool, cut: usize) {
    let mut there = Server::new(kind, memory);
    there.set_http(HttpDialect::Tyrant);
    let what = format!("{kind:?} cut at {cut}");
    check(server, &what, &mut |request| {
        let mut connection = there.connect();
        let response = match cut {
            0 => connection.send_pieces(request, 1),
            cut => {
                let (head, tail) = request.split_at(cut.min(request.len()));
                [connection.send(head), connection.send(tail)].concat()
            }
        };
        // Of a request whose body does not come, the head stays.
        let whole = !request.windows(7).any(|word| word == b"Expect:");
        assert!(
            connection.closed || connection.unconsumed() == 0 || !whole,
            "{what}"
        );
        let closed = Some(connection.closed);
        Answer { response, closed }
    });
}

/// Plays the vectors of one server over sockets, in pieces of this size.
fn play_over_a_socket(server: &str, database: &str, piece: usize) {
    let there = Running::with(|config, _| {
        config.databases = vec![database.parse().unwrap()];
        config.http = HttpDialect::Tyrant;
    });
    check(server, database, &mut |request| {
        let mut stream = there.connect();
        // Where the server closes before all is sent, the rest of it fails.
        let sent = request
            .chunks(piece)
            .all(|piece| stream.write_all(piece).is_ok());
        // The end of what is asked ends what is answered.
        let _ = sent && stream.shutdown(Shutdown::Write).is_ok();
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        let closed = None;
        Answer { response, closed }
    });
}

fn check(server: &str, what: &str, ask: &mut dyn FnMut(&[u8]) -> Answer) {
    let mut all = BTreeSet::new();
    let mut seen = Vec::new();
    for (vector, compare) in &played(server) {
        for (name, records) in SEEDS {
            for (key, value) in records.iter().filter(|_| vector.name == *name) {
                assert_eq!(ask(&put(key, value)).response, [0]);
            }
        }
        if vector.request.starts_with(&[0xc8, 0x50]) {
            let listed = ask(&unhex("c85800000000ffffffff")).response;
            all = keys_of(&[0xc8, 0x58], &listed).into_iter().collect();
            seen.clear();
        }
        let Answer {
            mut response,
            closed,
        } = ask(&vector.request);
        if vector.name == "http_expect_with_body" && response.starts_with(CONTINUE.as_bytes()) {
            // It was cut before its body.
            response.drain(..CONTINUE.len());
        }
        let what = format!("{} on {what}", vector.name);
        let mut closes = vector.closes;
        match compare {
            Compare::Exact | Compare::ExactAndClose => {
                assert_eq!(response, vector.response, "{what}");
                assert_eq!(*compare == Compare::ExactAndClose, vector.closes, "{what}");
            }
            Compare::Member => {
                let expected = keys_of(&vector.request, &vector.response);
                let keys = keys_of(&vector.request, &response);
                assert_eq!(keys.len(), expected.len(), "{what}");
                for key in keys.iter().chain(&expected) {
                    assert!(all.contains(key), "{what}: {key:?} is not in {all:?}");
                }
                if vector.request[1] == 0x51 {
                    assert!(!seen.contains(&keys[0]), "{what}: a key comes twice");
                    seen.extend(keys);
                }
            }
            Compare::Ours(expected) => {
                let text = String::from_utf8_lossy(&response);
                assert_eq!(text, *expected, "{what}");
                closes = false;
            }
            Compare::Shape if vector.name == "http_options" => {
                let names = |response: &[u8]| -> Vec<String> {
                    let text = String::from_utf8(response.to_vec()).unwrap();
                    let names = text.lines().map(|line| line.split(':').next().unwrap());
                    names.map(str::to_owned).collect()
                };
                assert_eq!(names(&response), names(&vector.response), "{what}");
            }
            Compare::Shape if vector.name == "stat" => {
                let names = |response: &[u8]| -> Vec<String> {
                    let text = String::from_utf8(response[5..].to_vec()).unwrap();
                    let names = text.lines().map(|line| line.split_once('\t').unwrap().0);
                    names.map(str::to_owned).collect()
                };
                let (ours, theirs) = (names(&response), names(&vector.response));
                assert_eq!(ours[..theirs.len()], theirs, "{what}");
            }
            Compare::Shape => assert_eq!(
                (response[0], response.len()),
                (vector.response[0], vector.response.len()),
                "{what}"
            ),
            Compare::Closes => {
                assert_eq!(response, b"", "{what}");
                closes = true;
            }
        }
        assert_eq!(closed.unwrap_or(closes), closes, "{what}");
    }
}

fn longest(server: &str) -> usize {
    let vectors = played(server);
    vectors
        .iter()
        .map(|(vector, _)| vector.request.len())
        .max()
        .unwrap()
}

#[test]
fn every_vector_is_played_or_named() {
    let all = vectors();
    let waiting: Vec<_> = all
        .iter()
        .filter_map(|v| Some((&v.name, waits(v)?)))
        .collect();
    let played: usize = ["mem", "hash", "tree"]
        .iter()
        .map(|s| played(s).len())
        .sum();
    println!("{played} vectors are played, {} wait:", waiting.len());
    for (name, reason) in &waiting {
        println!("  {name}: {reason}");
    }
    assert_eq!((all.len(), played, waiting.len()), (286, 99, 187));
}

#[test]
fn vectors_play_whole() {
    let whole = usize::MAX;
    play("mem", Kind::Hash, true, whole);
    play("mem", Kind::Hash, false, whole);
    play("mem", Kind::Tree, true, whole);
    play("mem", Kind::Tree, false, whole);
    play("hash", Kind::Hash, false, whole);
    play("hash", Kind::Tree, false, whole);
    play("tree", Kind::Tree, false, whole);
}

#[test]
fn vectors_play_byte_by_byte() {
    play("mem", Kind::Hash, true, 0);
    play("mem", Kind::Tree, false, 0);
    play("hash", Kind::Hash, false, 0);
    play("tree", Kind::Tree, false, 0);
}

#[test]
fn vectors_play_cut_at_every_byte() {
    for cut in 1..longest("mem") {
        play("mem", Kind::Hash, true, cut);
        play("mem", Kind::Tree, true, cut);
    }
    for cut in 1..longest("hash") {
        play("hash", Kind::Hash, true, cut);
    }
    for cut in 1..longest("tree") {
        play("tree", Kind::Tree, true, cut);
    }
}

#[test]
fn vectors_play_pipelined_on_one_connection() {
    for piece in [usize::MAX, 1, 7, 64] {
        let mut there = Server::new(Kind::Hash, true);
        there.set_http(HttpDialect::Tyrant);
        let (mut requests, mut expected) = (Vec::new(), Vec::new());
        for (vector, compare) in played("mem") {
            for (name, records) in SEEDS {
                for (key, value) in records.iter().filter(|_| vector.name == *name) {
                    requests.extend(put(key, value));
                    expected.push(0);
                }
            }
            // Where the first one is cut decides whether it is told to go on; the second needs it.
            let waits = ["http_expect_with_body", "http_delete"].contains(&vector.name.as_str());
            if compare == Compare::Exact && !waits {
                requests.extend(&vector.request);
                expected.extend(&vector.response);
            }
        }
        let mut connection = there.connect();
        let response = connection.send_pieces(&requests, piece.min(requests.len()));
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(text(&response), text(&expected));
    }
}

#[test]
fn vectors_play_over_a_socket() {
    for piece in [usize::MAX, 1] {
        play_over_a_socket("mem", "default=hash,memory=true", piece);
        play_over_a_socket("mem", "default=tree", piece);
        play_over_a_socket("hash", "default=hash", piece);
        play_over_a_socket("tree", "default=tree", piece);
    }
}
