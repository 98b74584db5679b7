//! The exchanges captured from the original Kyoto Tycoon, played to the service: whole, cut at
//! every byte, and over a socket. Every vector is played, or its name stands here with the reason
//! why not.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a failing test may panic"
)]

mod running;
mod support;

use hakone::{DatabaseOptions, Durability, Kind};
use hakone_server::config::DatabaseSpec;
use running::Running;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use support::{Connection, Server};

struct Vector {
    name: String,
    /// The connection that it shares with others of this name; `new` is its own.
    connection: String,
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

/// The vectors, as a server on this port answers them: the answer to a PUT names it.
fn vectors(port: u16) -> Vec<Vector> {
    include_str!("data/tycoon.jsonl")
        .lines()
        .skip(1)
        .map(|line| {
            let fields: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| fields[name].as_str().unwrap().to_owned();
            let port = format!("localhost:{port}/");
            let response = unhex(&text("response_hex"));
            // On a loopback listener another host is refused.
            let request = unhex(&text("request_hex"));
            let request = replace(&request, b"Host: x\r\n", b"Host: localhost\r\n");
            let response = replace(&response, b"localhost:21978/", port.as_bytes());
            Vector {
                name: text("name"),
                connection: text("conn"),
                request,
                response,
                closes: fields["closed"].as_bool().unwrap(),
            }
        })
        .collect()
}

/// How a vector is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    /// Byte for byte, but for dates.
    Exact,
    /// The ranks are those of the old hash's order: as many keys are found.
    Ranks,
    /// The status line, and the names that we have in common: numbers are our own.
    Report,
    /// We answer what is allowed, since OPTIONS is always Tyrant's.
    Options,
    /// On a port that speaks everything it is a request of another protocol, answered like this.
    Other(&'static str),
}

/// How the vector is compared, or why it is not played.
fn compare(vector: &Vector) -> Result<Compare, &'static str> {
    let name = vector.name.as_str();
    if let Some((_, reason)) = NOT_PLAYED.iter().find(|(there, _)| is(name, there)) {
        return Err(reason);
    }
    Ok(match name {
        "rpc/match_prefix" | "rpc/match_prefix-max" | "rpc/match_regex" => Compare::Ranks,
        "rpc/status" | "rpc/report" => Compare::Report,
        "rest/options" => Compare::Options,
        "http/no-version" => Compare::Other("$-1\r\n"),
        _ => Compare::Exact,
    })
}

/// Whether a vector has this name, or begins with it where it ends in a line or a slash.
fn is(name: &str, there: &str) -> bool {
    name == there || (there.ends_with(['-', '/']) && name.starts_with(there))
}

/// The names of vectors that are not played, or what they begin with, and why.
const NOT_PLAYED: &[(&str, &str)] = &[
    ("rpc/cursor/", "cursors are not served yet"),
    ("rpc/script-", "scripts are not served yet"),
    ("bin/play_script", "scripts are not served yet"),
    ("rpc/wait-timeout", "WAIT is not served yet"),
];

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|there| there == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Takes the dates out, and with them what no two runs have in common.
fn without_dates(mut response: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let date = b"\r\nDate: ";
    while let Some(at) = response.windows(date.len()).position(|there| there == date) {
        let (before, after) = response.split_at(at + date.len());
        out.extend_from_slice(before);
        // Sat, 21 Nov 2026 21:02:02 GMT
        response = &after[29..];
    }
    out.extend_from_slice(response);
    out
}

/// The names and values of a reply that is not encoded.
fn columns(response: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(response.to_vec()).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    body.lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn check(vector: &Vector, compare: Compare, response: &[u8], closed: Option<bool>, what: &str) {
    let what = format!("{} {what}", vector.name);
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let ours = without_dates(response);
    let theirs = without_dates(&vector.response);
    match compare {
        Compare::Exact => assert_eq!(shown(&ours), shown(&theirs), "{what}"),
        Compare::Ranks => {
            let (ours, theirs) = (columns(&ours), columns(&theirs));
            let ranks = |columns: &BTreeMap<String, String>| {
                let mut ranks: Vec<String> = columns.values().cloned().collect();
                ranks.sort();
                ranks
            };
            assert_eq!(ranks(&ours), ranks(&theirs), "{what}");
            if !vector.name.ends_with("-max") {
                assert!(ours.keys().eq(theirs.keys()), "{what}");
            }
        }
        Compare::Report => {
            let (ours, theirs) = (columns(&ours), columns(&theirs));
            let missing: Vec<_> = theirs
                .keys()
                .filter(|name| !ours.contains_key(*name))
                .collect();
            for name in missing {
                let left_out = LEFT_OUT.iter().any(|there| name.starts_with(there));
                assert!(left_out, "{what}: {name}");
            }
            for name in [
                "path",
                "type",
                "realtype",
                "ktopts",
                "ktcapcnt",
                "conf_kt_version",
            ] {
                assert_eq!(ours.get(name), theirs.get(name), "{what}: {name}");
            }
        }
        Compare::Options => {
            let head = "HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nAllow: OPTIONS, GET, ";
            assert!(shown(&ours).starts_with(head), "{what}");
        }
        Compare::Other(expected) => assert_eq!(ours, expected.as_bytes(), "{what}"),
    }
    let closes = vector.closes && !matches!(compare, Compare::Other(_));
    assert_eq!(closed.unwrap_or(closes), closes, "{what}");
}

/// What begins the names of reports that stand for parts of the original which we don't have.
const LEFT_OUT: &[&str] = &[
    // `status`: the layout of the original's database.
    "bnum",
    "capcnt",
    "capsiz",
    "chksum",
    "cusage",
    "first",
    "fmtver",
    "icnt",
    "last",
    "lcnt",
    "librev",
    "libver",
    "opts",
    "pccap",
    "pnum",
    "psiz",
    "rcomp",
    "recovered",
    "reorganized",
    "root",
    // `report`: features of a build, threads of a pool, memory of the whole machine.
    "conf_kc_features",
    "conf_kt_features",
    "serv_thread_count",
    "sys_mem_",
];

/// The original's databases: a cache and a tree of the memory.
const DATABASES: &[(&str, Kind, bool)] = &[("*", Kind::Hash, true), ("%", Kind::Tree, true)];

fn server() -> Server {
    Server::with(DATABASES, Durability::Process)
}

/// Plays all vectors to the service, each request cut before byte `cut`; 0 is every byte alone.
fn play(server: &mut Server, cut: usize) {
    server.renew();
    let mut shared: BTreeMap<String, Connection<'_>> = BTreeMap::new();
    for vector in vectors(1978) {
        let Ok(compare) = compare(&vector) else {
            continue;
        };
        let mut own = server.connect();
        let connection = match vector.connection.as_str() {
            "new" => &mut own,
            name => shared
                .entry(name.to_owned())
                .or_insert_with(|| server.connect()),
        };
        let request = &vector.request;
        let response = match cut {
            0 => connection.send_pieces(request, 1),
            cut => {
                let (head, tail) = request.split_at(cut.min(request.len()));
                [connection.send(head), connection.send(tail)].concat()
            }
        };
        let what = format!("cut at {cut}");
        let closed = Some(connection.closed);
        check(&vector, compare, &response, closed, &what);
        assert!(connection.closed || connection.unconsumed() == 0, "{what}");
    }
}

#[test]
fn every_vector_is_played_or_named() {
    let all = vectors(1978);
    let waiting: Vec<_> = all
        .iter()
        .filter_map(|vector| Some((&vector.name, compare(vector).err()?)))
        .collect();
    let played = all.len() - waiting.len();
    println!("{played} vectors are played, {} are not:", waiting.len());
    for (name, reason) in &waiting {
        println!("  {name}: {reason}");
    }
    for (start, _) in NOT_PLAYED {
        let named = waiting.iter().any(|(name, _)| is(name, start));
        assert!(named, "there is no {start}");
    }
    assert_eq!((all.len(), played), (220, 160));
}

#[test]
fn vectors_play_whole() {
    play(&mut server(), usize::MAX);
}

#[test]
fn vectors_play_byte_by_byte() {
    play(&mut server(), 0);
}

#[test]
fn vectors_play_cut_at_every_byte() {
    let longest = vectors(1978)
        .iter()
        .map(|vector| vector.request.len())
        .max();
    let mut server = server();
    for cut in 1..longest.unwrap() {
        play(&mut server, cut);
    }
}

#[test]
fn vectors_play_over_a_socket() {
    for piece in [usize::MAX, 1] {
        let there = Running::with(|config, _| {
            config.databases = DATABASES
                .iter()
                .map(|&(name, kind, memory)| DatabaseSpec {
                    name: name.to_owned(),
                    options: DatabaseOptions {
                        memory,
                        ..DatabaseOptions::new(kind)
                    },
                })
                .collect();
        });
        for vector in vectors(there.address().port()) {
            let Ok(compare) = compare(&vector) else {
                continue;
            };
            let mut stream = there.connect();
            // Where the server closes before all is sent, the rest of it fails.
            let sent = vector
                .request
                .chunks(piece)
                .all(|piece| stream.write_all(piece).is_ok());
            // The end of what is asked ends what is answered.
            let _ = sent && stream.shutdown(Shutdown::Write).is_ok();
            let mut response = Vec::new();
            let _ = stream.read_to_end(&mut response);
            check(&vector, compare, &response, None, "over a socket");
        }
    }
}
