//! One table of abuse: what each protocol answers to requests that are wrong, too large, hostile or
//! never end, and whether the connection lives on. The page in `docs/` is made from it.
//!
//! Each request comes whole and in pieces, on a listener bound to the protocol and, where its first
//! bytes tell the protocol, on one that speaks all. Nothing of it may touch the records that are
//! there, and nothing hidden in it may be carried out.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod running;
mod support;

use hakone::{Kind, limits};
use hakone_server::{Limits, Protocol};
use hakone_wire::Detected;
use running::Running;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use support::{Server, request};

use After::{Closes, Lives, Waits};
use Protocol::{Http, Memcached, Resp, Tycoon, Tyrant};

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It takes the next request.
    Lives,
    /// It is closed.
    Closes,
    /// It waits for the rest of the request.
    Waits,
}

/// What one protocol does.
struct Cell {
    bytes: Vec<u8>,
    /// As [`told`] tells it.
    answer: &'static str,
    after: After,
}

/// A kind of abuse.
struct Abuse {
    name: &'static str,
    how: How,
}

enum How {
    /// Bytes to each protocol, in the order of [`COLUMNS`]. `None`: it has no such thing.
    Bytes(Vec<Option<Cell>>),
    /// Something that takes more than one connection or one request: the same for all protocols.
    Check(fn(Protocol), &'static str, After),
}

const COLUMNS: [Protocol; 5] = [Tyrant, Tycoon, Memcached, Http, Resp];

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands beside `None` in the table"
)]
fn cell(bytes: impl AsRef<[u8]>, answer: &'static str, after: After) -> Option<Cell> {
    Some(Cell {
        bytes: bytes.as_ref().to_vec(),
        answer,
        after,
    })
}

fn check(name: &'static str, check: fn(Protocol), answer: &'static str, after: After) -> Abuse {
    Abuse {
        name,
        how: How::Check(check, answer, after),
    }
}

fn kind(name: &'static str, cells: [Option<Cell>; 5]) -> Abuse {
    Abuse {
        name,
        how: How::Bytes(cells.into()),
    }
}

/// A request of Tyrant's: its numbers, then its strings.
fn tyrant(verb: u8, numbers: &[u32], strings: &[&[u8]]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
    [[0xc8, verb].to_vec(), numbers.collect(), strings.concat()].concat()
}

/// Tyrant's put.
fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    tyrant(0x10, &[size(key), size(value)], &[key, value])
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// Tycoon's set_bulk of one record.
fn set_bulk(key: &[u8], value: &[u8]) -> Vec<u8> {
    set_bulk_of(size(key), size(value), &[key, value].concat())
}

/// One that says these sizes.
fn set_bulk_of(key_bytes: u32, value_bytes: u32, bytes: &[u8]) -> Vec<u8> {
    let head = [
        &[0xb8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0][..],
        &key_bytes.to_be_bytes(),
    ];
    let rest = [
        &value_bytes.to_be_bytes()[..],
        &i64::MAX.to_be_bytes(),
        bytes,
    ];
    [head.concat(), rest.concat()].concat()
}

/// Tycoon's get_bulk of one key.
fn get_bulk(database: u16, key: &[u8]) -> Vec<u8> {
    let head = [0xba, 0, 0, 0, 0, 0, 0, 0, 1];
    [
        &head[..],
        &database.to_be_bytes(),
        &size(key).to_be_bytes(),
        key,
    ]
    .concat()
}

/// memcached's set.
fn set(key: &[u8], value: &[u8]) -> Vec<u8> {
    let size = format!(" 0 0 {}\r\n", value.len());
    [b"set ", key, size.as_bytes(), value, b"\r\n"].concat()
}

/// A request over HTTP with these headers, then a body of any bytes.
fn http(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{line}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// A put over HTTP.
fn http_put(key: &str, value: &[u8]) -> Vec<u8> {
    let line = format!("PUT /{key} HTTP/1.1");
    http(
        &line,
        &format!("Content-Length: {}\r\n", value.len()),
        value,
    )
}

/// A request that each protocol would carry out: it writes the record `smuggled`.
fn smuggled(protocol: Protocol) -> Vec<u8> {
    match protocol {
        Tyrant => put(b"smuggled", b"1"),
        Tycoon => set_bulk(b"smuggled", b"1"),
        Memcached => set(b"smuggled", b"1"),
        Http => http_put("smuggled", b"1"),
        _ => request(&[b"SET", b"smuggled", b"1"]),
    }
}

/// A plain read of the record `canary`, and what it brings.
fn probe(protocol: Protocol) -> (Vec<u8>, &'static str) {
    match protocol {
        Tyrant => (tyrant(0x30, &[6], &[b"canary"]), "`00 00 00 00 01 31`"),
        Tycoon => (
            get_bulk(0, b"canary"),
            "`ba 00 00 00 01 00 00 00 00 00 06 00 00 00 01 00 00 00 ff ff ff ff ff 63 61 6e 61 72 79 31`",
        ),
        Memcached => (b"get canary\r\n".to_vec(), "`VALUE canary 0 1` `1` `END`"),
        Http => (http("GET /canary HTTP/1.1", "", b""), "`200`"),
        _ => (request(&[b"GET", b"canary"]), "`$1` `1`"),
    }
}

/// A reply as the page tells it: HTTP's by its status and the reason in its body, lines as they are,
/// bytes by their digits.
fn told(protocol: Protocol, reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply);
    if reply.is_empty() {
        return "nothing".to_owned();
    }
    if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
        let (head, body) = rest.split_once("\r\n\r\n").unwrap();
        let mut told = format!("`{}`", &head[..3]);
        if let Some(line) = body.strip_suffix('\n') {
            let _ = write!(told, " {}", line.replace('\t', " "));
        }
        return told;
    }
    if matches!(protocol, Tyrant | Tycoon) {
        let digits: Vec<String> = reply.iter().map(|byte| format!("{byte:02x}")).collect();
        return format!("`{}`", digits.join(" "));
    }
    let lines = reply
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines: Vec<String> = lines
        .map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.escape_ascii().to_string().replace("\\'", "'");
            format!("`{}`", line.trim_end())
        })
        .collect();
    lines.join(" ")
}

fn table() -> Vec<Abuse> {
    let long_key = vec![b'k'; limits::KEY_BYTES_MAX + 1];
    let long_text = String::from_utf8(long_key.clone()).unwrap();
    let large = vec![b'v'; limits::VALUE_BYTES_MAX + 1];
    let endless = vec![b'a'; 1 << 20];
    let many = |count: usize, word: &str| word.repeat(count).into_bytes();
    let line = |text: &str| text.as_bytes().to_vec();
    let rubbish: Vec<u8> = (1..200_u32)
        .map(|n| ((n * n * 31) >> 3).to_le_bytes()[0])
        .collect();
    let rubbish = |first: &[u8]| [first, &rubbish, b"\r\n\r\n"].concat();
    let chunked = |body: &[u8]| http("PUT /a HTTP/1.1", "Transfer-Encoding: chunked\r\n", body);
    let page = |body: Vec<u8>| {
        let headers =
            "Host: localhost\r\nOrigin: http://example.com\r\nContent-Type: text/plain\r\n";
        let length = format!("{headers}Content-Length: {}\r\n", body.len());
        http("POST / HTTP/1.1", &length, &body)
    };
    vec![
        kind(
            "a command that there is not",
            [
                cell(tyrant(0xee, &[], &[]), "nothing", Closes),
                cell([0xb7, 0, 0, 0, 0], "nothing", Closes),
                cell("bogus a\r\n", "`ERROR`", Lives),
                cell(http("BREW /a HTTP/1.1", "", b""), "`501`", Lives),
                cell(
                    request(&[b"BOGUS", b"a"]),
                    "`-ERR unknown command 'BOGUS', with args beginning with: 'a'`",
                    Lives,
                ),
            ],
        ),
        kind(
            "too few words",
            [
                None,
                None,
                cell("set smuggled 0 0\r\n", "`ERROR`", Lives),
                cell(
                    "GET /\r\n\r\n",
                    "`400` the request line is not a method, a target and a version",
                    Closes,
                ),
                cell(
                    request(&[b"GET"]),
                    "`-ERR wrong number of arguments for 'get' command`",
                    Lives,
                ),
            ],
        ),
        kind(
            "too many words",
            [
                None,
                None,
                cell("incr smuggled 1 2 3 4 5\r\n", "`ERROR`", Lives),
                cell(
                    "GET /a b HTTP/1.1\r\n\r\n",
                    "`505` the version is neither 1.0 nor 1.1",
                    Closes,
                ),
                cell(
                    request(&[b"GET", b"a", b"b"]),
                    "`-ERR wrong number of arguments for 'get' command`",
                    Lives,
                ),
            ],
        ),
        kind(
            "an empty request",
            [
                None,
                cell([0xba, 0, 0, 0, 0, 0, 0, 0, 0], "`ba 00 00 00 00`", Lives),
                cell("\r\n", "`ERROR`", Lives),
                cell("\r\n\r\n", "`400` there is no request line", Closes),
                cell("\r\n*0\r\n", "nothing", Lives),
            ],
        ),
        kind(
            "an empty key",
            [
                cell(tyrant(0x30, &[0], &[]), "`01`", Lives),
                cell(get_bulk(0, b""), "`ba 00 00 00 00`", Lives),
                cell("get \r\n", "`ERROR`", Lives),
                cell("GET / HTTP/1.1\r\n\r\n", "`404`", Lives),
                cell(request(&[b"GET", b""]), "`$-1`", Lives),
            ],
        ),
        kind(
            "a key that is a byte too long, to be written",
            [
                cell(put(&long_key, b"1"), "`01`", Lives),
                cell(set_bulk(&long_key, b"1"), "`bf`", Closes),
                cell(
                    set(&long_key[..251], b"1"),
                    "`CLIENT_ERROR bad command line format`",
                    Lives,
                ),
                cell(http_put(&long_text, b"1"), "`414`", Lives),
                cell(
                    request(&[b"SET", &long_key, b"1"]),
                    "`-ERR key of 65537 bytes is larger than the limit of 65536`",
                    Lives,
                ),
            ],
        ),
        kind(
            "a value that is a byte too large",
            [
                cell(put(b"a", &large), "`01`", Lives),
                cell(set_bulk(b"a", &large), "`bf`", Closes),
                cell(
                    set(b"a", &large),
                    "`SERVER_ERROR object too large for cache`",
                    Lives,
                ),
                cell(http_put("a", &large), "`413` the body is too large", Closes),
                cell(
                    request(&[b"SET", b"a", &large]),
                    "`-ERR string exceeds maximum allowed size (proto-max-bulk-len)`",
                    Lives,
                ),
            ],
        ),
        kind(
            "a value of 256 MiB that never comes",
            [
                cell(tyrant(0x10, &[1, 256 << 20], &[b"a"]), "nothing", Waits),
                cell(set_bulk_of(1, 256 << 20, b"a"), "`bf`", Closes),
                cell("set a 0 0 268435456\r\n", "nothing", Waits),
                cell(
                    http("PUT /a HTTP/1.1", "Content-Length: 268435456\r\n", b""),
                    "`413` the body is too large",
                    Closes,
                ),
                cell(
                    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$268435456\r\n",
                    "nothing",
                    Waits,
                ),
            ],
        ),
        kind(
            "a negative size",
            [
                cell(tyrant(0x10, &[u32::MAX, 1], &[b"a"]), "nothing", Closes),
                cell(set_bulk_of(u32::MAX, 1, b"a"), "`bf`", Closes),
                cell(
                    "set a 0 0 -1\r\n",
                    "`CLIENT_ERROR bad command line format`",
                    Lives,
                ),
                cell(
                    http("PUT /a HTTP/1.1", "Content-Length: -1\r\n", b""),
                    "`400` the Content-Length is no number",
                    Closes,
                ),
                cell(
                    "*2\r\n$3\r\nGET\r\n$-1\r\n",
                    "`-ERR Protocol error: invalid bulk length`",
                    Closes,
                ),
            ],
        ),
        kind(
            "a size that no number holds",
            [
                None,
                None,
                cell(
                    "set a 0 0 99999999999999999999\r\n",
                    "`CLIENT_ERROR bad command line format`",
                    Lives,
                ),
                cell(
                    http(
                        "PUT /a HTTP/1.1",
                        "Content-Length: 99999999999999999999\r\n",
                        b"",
                    ),
                    "`413` the body is too large",
                    Closes,
                ),
                cell(
                    "*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n",
                    "`-ERR Protocol error: invalid bulk length`",
                    Closes,
                ),
            ],
        ),
        kind(
            "a size that is no number",
            [
                None,
                None,
                cell(
                    "set a 0 0 1x\r\n",
                    "`CLIENT_ERROR bad command line format`",
                    Lives,
                ),
                cell(
                    http("PUT /a HTTP/1.1", "Content-Length: 1x\r\n", b"a"),
                    "`400` the Content-Length is no number",
                    Closes,
                ),
                cell(
                    "*2\r\n$3\r\nGET\r\n$1x\r\n",
                    "`-ERR Protocol error: invalid bulk length`",
                    Closes,
                ),
            ],
        ),
        kind(
            "two sizes for one value",
            [
                None,
                None,
                None,
                cell(
                    http(
                        "PUT /a HTTP/1.1",
                        "Content-Length: 1\r\nContent-Length: 40\r\n",
                        &smuggled(Http),
                    ),
                    "`400` there is more than one Content-Length",
                    Closes,
                ),
                None,
            ],
        ),
        kind(
            "a size and chunks",
            [
                None,
                None,
                None,
                cell(
                    http(
                        "PUT /a HTTP/1.1",
                        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                        &[b"0\r\n\r\n", &smuggled(Http)[..]].concat(),
                    ),
                    "`400` the body has a length and chunks",
                    Closes,
                ),
                None,
            ],
        ),
        kind(
            "a value that does not end where it says",
            [
                None,
                None,
                cell(
                    [b"set a 0 0 1\r\n12345\r\n", &b""[..]].concat(),
                    "`CLIENT_ERROR bad data chunk`",
                    Lives,
                ),
                cell(
                    chunked(b"1\r\n12345\r\n0\r\n\r\n"),
                    "`400` a chunk is longer than it says",
                    Closes,
                ),
                None,
            ],
        ),
        kind(
            "a line without end",
            [
                None,
                None,
                cell(&endless, "`CLIENT_ERROR line too long`", Closes),
                cell(&endless, "`414` the request line is too long", Closes),
                cell(
                    &endless,
                    "`-ERR Protocol error: too big inline request`",
                    Closes,
                ),
            ],
        ),
        kind(
            "headers without end",
            [
                None,
                None,
                None,
                cell(
                    http(
                        "GET /a HTTP/1.1",
                        &format!("A: {}", "b".repeat(20_000)),
                        b"",
                    ),
                    "`431` the headers are too large",
                    Closes,
                ),
                None,
            ],
        ),
        kind(
            "arguments without number",
            [
                cell(tyrant(0x31, &[(1 << 20) + 1], &[]), "nothing", Closes),
                cell([0xba, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "nothing", Waits),
                cell(
                    [b"get".to_vec(), many(65_537, " a"), line("\r\n")].concat(),
                    "`CLIENT_ERROR too many keys in one line`",
                    Lives,
                ),
                cell(
                    http("GET /a HTTP/1.1", &"A: b\r\n".repeat(65), b""),
                    "`431` the headers are too large",
                    Closes,
                ),
                cell(
                    "*2147483647\r\n",
                    "`-ERR Protocol error: invalid multibulk length`",
                    Closes,
                ),
            ],
        ),
        kind(
            "something in something",
            [
                None,
                None,
                None,
                cell(
                    http(
                        "PUT /a HTTP/1.1",
                        "Transfer-Encoding: chunked, chunked\r\n",
                        b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
                    ),
                    "`501` the transfer coding is not known",
                    Closes,
                ),
                cell(
                    "*2\r\n*1\r\n*1\r\n$4\r\nPING\r\n",
                    "`-ERR Protocol error: expected '$', got '*'`",
                    Closes,
                ),
            ],
        ),
        kind(
            "another first byte",
            [
                cell([0xc9, 0x10], "nothing", Closes),
                cell([0x80, 0], "nothing", Closes),
                cell(b"\x80\x01\r\n", "`ERROR`", Lives),
                cell(
                    b"\x80GET / HTTP/1.1\r\n\r\n",
                    "`400` the request line is not a method, a target and a version",
                    Closes,
                ),
                cell(
                    b"\x80PING\r\n",
                    "`-ERR unknown command '\\x80PING', with args beginning with:`",
                    Lives,
                ),
            ],
        ),
        kind(
            "bytes that nobody meant",
            [
                cell(rubbish(b"\xc8"), "nothing", Closes),
                cell(rubbish(b"\xb5"), "nothing", Closes),
                cell(rubbish(b"get"), "`ERROR` `ERROR`", Lives),
                cell(
                    rubbish(b"GET "),
                    "`400` the request line is not a method, a target and a version",
                    Closes,
                ),
                cell(
                    rubbish(b"*"),
                    "`-ERR Protocol error: invalid multibulk length`",
                    Closes,
                ),
            ],
        ),
        kind(
            "zero bytes in a key",
            [
                cell(tyrant(0x30, &[3], &[b"a\0b"]), "`01`", Lives),
                cell(get_bulk(0, b"a\0b"), "`ba 00 00 00 00`", Lives),
                cell(
                    b"get a\0b\r\n",
                    "`CLIENT_ERROR bad command line format`",
                    Lives,
                ),
                cell("GET /a%00b HTTP/1.1\r\n\r\n", "`404`", Lives),
                cell(request(&[b"GET", b"a\0b"]), "`$-1`", Lives),
            ],
        ),
        kind(
            "a carriage return alone",
            [
                None,
                None,
                cell(b"get a\rget b\r\n", "`END`", Lives),
                cell(
                    http("GET /a HTTP/1.1", "A: b\rGET /smuggled HTTP/1.1\r\n", b""),
                    "`400` a header's value has bytes that none may have",
                    Closes,
                ),
                cell(
                    b"GET a\rb\r\n",
                    "`-ERR wrong number of arguments for 'get' command`",
                    Lives,
                ),
            ],
        ),
        kind(
            "control bytes in a word",
            [
                None,
                None,
                cell(b"get a\x01b\r\n", "`END`", Lives),
                cell(
                    http("GET /a HTTP/1.1", "A: b\x01\r\n", b""),
                    "`400` a header's value has bytes that none may have",
                    Closes,
                ),
                cell(b"GET a\x01b\r\n", "`$-1`", Lives),
            ],
        ),
        kind(
            "a folded line",
            [
                None,
                None,
                None,
                cell(
                    http("GET /a HTTP/1.1", "A: b\r\n c\r\n", b""),
                    "`400` a header's name is not one",
                    Closes,
                ),
                None,
            ],
        ),
        kind(
            "a quote or an escape that is not whole",
            [
                None,
                None,
                None,
                cell("GET /%zz HTTP/1.1\r\n\r\n", "`400` bad escape", Lives),
                cell(
                    "GET \"a\r\n",
                    "`-ERR Protocol error: unbalanced quotes in request`",
                    Closes,
                ),
            ],
        ),
        kind(
            "a request hidden in a value",
            [
                cell(put(b"a", &smuggled(Tyrant)), "`00`", Lives),
                cell(set_bulk(b"a", &smuggled(Tycoon)), "`b8 00 00 00 01`", Lives),
                cell(set(b"a", &smuggled(Memcached)), "`STORED`", Lives),
                cell(http_put("a", &smuggled(Http)), "`201`", Lives),
                cell(request(&[b"SET", b"a", &smuggled(Resp)]), "`+OK`", Lives),
            ],
        ),
        kind(
            "a request behind one that ends the connection",
            [
                cell(
                    [tyrant(0xee, &[], &[]), smuggled(Tyrant)].concat(),
                    "nothing",
                    Closes,
                ),
                cell([vec![0xb7], smuggled(Tycoon)].concat(), "nothing", Closes),
                cell(
                    [line("quit\r\n"), smuggled(Memcached)].concat(),
                    "nothing",
                    Closes,
                ),
                cell(
                    [line("GET /a HTTP/1.0\r\n\r\n"), smuggled(Http)].concat(),
                    "`404`",
                    Closes,
                ),
                cell(
                    [request(&[b"QUIT"]), smuggled(Resp)].concat(),
                    "`+OK`",
                    Closes,
                ),
            ],
        ),
        kind(
            "a request hidden in what is passed over",
            [
                cell(
                    tyrant(
                        0x10,
                        &[70_000, 19],
                        &[&many(70_000, "k"), &smuggled(Tyrant)],
                    ),
                    "`01`",
                    Lives,
                ),
                cell(
                    [set_bulk_of(1 << 29, 1, b""), smuggled(Tycoon)].concat(),
                    "`bf`",
                    Closes,
                ),
                cell(
                    [line("set a b 0 23\r\n"), smuggled(Memcached), line("\r\n")].concat(),
                    "`CLIENT_ERROR bad command line format`",
                    Lives,
                ),
                cell(
                    http(
                        "POST /a HTTP/1.1",
                        &format!("Content-Length: {}\r\n", smuggled(Http).len()),
                        &smuggled(Http),
                    ),
                    "`501`",
                    Lives,
                ),
                cell(
                    request(&[b"GET", b"a", &smuggled(Resp)]),
                    "`-ERR wrong number of arguments for 'get' command`",
                    Lives,
                ),
            ],
        ),
        kind(
            "a page in a browser",
            [
                cell(page(smuggled(Tyrant)), "nothing", Closes),
                cell(page(smuggled(Tycoon)), "nothing", Closes),
                cell(page(smuggled(Memcached)), "nothing", Closes),
                cell(page(smuggled(Http)), "`403` the Origin is another", Closes),
                cell(page(smuggled(Resp)), "nothing", Closes),
            ],
        ),
        kind(
            "a name of another machine",
            [
                None,
                None,
                None,
                cell(
                    http("GET /canary HTTP/1.1", "Host: example.com\r\n", b""),
                    "`403` the Host is no name of this machine",
                    Closes,
                ),
                cell("Host: example.com\r\n", "nothing", Closes),
            ],
        ),
        kind(
            "a version that there is not",
            [
                None,
                None,
                None,
                cell(
                    "GET /a HTTP/1.7\r\n\r\n",
                    "`505` the version is neither 1.0 nor 1.1",
                    Closes,
                ),
                cell(
                    request(&[b"HELLO", b"9"]),
                    "`-NOPROTO unsupported protocol version`",
                    Lives,
                ),
            ],
        ),
        kind(
            "a database that there is not",
            [
                None,
                cell(get_bulk(999, b"canary"), "`ba 00 00 00 00`", Lives),
                None,
                cell(
                    "GET /999/canary HTTP/1.1\r\n\r\n",
                    "`400` no such database",
                    Lives,
                ),
                cell(
                    request(&[b"SELECT", b"999"]),
                    "`-ERR DB index is out of range`",
                    Lives,
                ),
            ],
        ),
        kind(
            "a time that is none",
            [
                None,
                None,
                cell(
                    "set a 0 soon 1\r\n1\r\n",
                    "`CLIENT_ERROR bad command line format`",
                    Lives,
                ),
                cell(
                    http(
                        "PUT /a HTTP/1.1",
                        "X-Kt-Xt: soon\r\nContent-Length: 1\r\n",
                        b"1",
                    ),
                    "`201`",
                    Lives,
                ),
                cell(
                    request(&[b"SET", b"a", b"1", b"EX", b"soon"]),
                    "`-ERR value is not an integer or out of range`",
                    Lives,
                ),
            ],
        ),
        kind(
            "a sum of what is no number",
            [
                cell(tyrant(0x60, &[4, 1], &[b"word"]), "`01`", Lives),
                None,
                cell(
                    "incr word 1\r\n",
                    "`CLIENT_ERROR cannot increment or decrement non-numeric value`",
                    Lives,
                ),
                cell(
                    "GET /rpc/increment?key=word&num=1 HTTP/1.1\r\n\r\n",
                    "`450` ERROR DB: 8: logical inconsistency: logical inconsistency",
                    Lives,
                ),
                cell(
                    request(&[b"INCR", b"word"]),
                    "`-ERR value is not an integer or out of range`",
                    Lives,
                ),
            ],
        ),
        kind(
            "half a request",
            [
                cell(half(Tyrant), "nothing", Waits),
                cell(half(Tycoon), "nothing", Waits),
                cell(half(Memcached), "nothing", Waits),
                cell(&smuggled(Http)[..40], "nothing", Waits),
                cell(half(Resp), "nothing", Waits),
            ],
        ),
        check(
            "half a request, and then nothing",
            never_ends,
            "nothing",
            Closes,
        ),
        check("half a request, and then the end", ends, "nothing", Closes),
        check(
            "a thousand requests at once",
            thousand,
            "every answer, in order",
            Lives,
        ),
        check(
            "requests without reading the answers",
            reads_late,
            "every answer, in order, as they are read; others are served meanwhile",
            Lives,
        ),
        check(
            "requests of all protocols on one connection",
            mixed,
            "every answer, in order, each in its protocol",
            Lives,
        ),
        check("one connection too many", one_too_many, "nothing", Closes),
    ]
}

/// The record that must stay as it is, and one that is no number.
const RECORDS: &[u8] = b"SET canary 1\r\nSET word abc\r\n";

/// Half of a request that would write.
fn half(protocol: Protocol) -> Vec<u8> {
    let request = smuggled(protocol);
    request[..request.len() - 3].to_vec()
}

/// Asks for the record over a socket.
fn ask(mut stream: &TcpStream, protocol: Protocol) {
    let (asks, answer) = probe(protocol);
    stream.write_all(&asks).unwrap();
    let mut reply = vec![0; answer_bytes(protocol)];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(told(protocol, &reply), answer);
}

/// Bytes of the answer to a probe.
fn answer_bytes(protocol: Protocol) -> usize {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    connection.send(RECORDS);
    connection.send(&probe(protocol).0).len()
}

/// The server, holding the records, with these limits.
fn running(change: impl FnOnce(&mut Limits)) -> Running {
    let there = Running::with(|_, limits| change(limits));
    let mut stream = there.connect();
    stream.write_all(RECORDS).unwrap();
    running::expect(&stream, b"+OK\r\n+OK\r\n");
    there
}

fn expect_no_smuggling(there: &Running) {
    let mut stream = there.connect();
    stream.write_all(b"EXISTS smuggled\r\n").unwrap();
    running::expect(&stream, b":0\r\n");
}

fn never_ends(protocol: Protocol) {
    let there = running(|limits| limits.request_time_max = Duration::from_millis(150));
    let mut stream = there.connect();
    stream.write_all(&half(protocol)).unwrap();
    running::expect_last(&stream, b"");
    expect_no_smuggling(&there);
}

fn ends(protocol: Protocol) {
    let there = running(|_| ());
    let mut stream = there.connect();
    stream.write_all(&half(protocol)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    running::expect_last(&stream, b"");
    expect_no_smuggling(&there);
}

fn thousand(protocol: Protocol) {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    connection.send(RECORDS);
    let (asks, _) = probe(protocol);
    let answer = connection.send(&asks);
    for piece in [usize::MAX, 1000, 7] {
        let asks = asks.repeat(1000);
        let replies = connection.send_pieces(&asks, piece.min(asks.len()));
        assert!(replies == answer.repeat(1000));
    }
    assert!(!connection.closed);
}

fn reads_late(protocol: Protocol) {
    let there = running(|limits| limits.output_bytes_max = 256 << 10);
    let value = vec![b'v'; 100_000];
    let mut greedy = there.connect();
    greedy
        .write_all(&request(&[b"SET", b"large", &value]))
        .unwrap();
    running::expect(&greedy, b"+OK\r\n");
    let asks = match protocol {
        Tyrant => tyrant(0x30, &[5], &[b"large"]),
        Tycoon => get_bulk(0, b"large"),
        Memcached => b"get large\r\n".to_vec(),
        Http => http("GET /large HTTP/1.1", "", b""),
        _ => request(&[b"GET", b"large"]),
    };
    // More than what the sockets of both ends take in.
    let count = 150;
    greedy.write_all(&asks.repeat(count)).unwrap();
    let modest = there.connect();
    for _ in 0..10 {
        ask(&modest, protocol);
    }
    // But for the date, this is what each answer must be.
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    connection.send(&request(&[b"SET", b"large", &value]));
    let answer = connection.send(&asks);
    let rest = answer.len() - value.len();
    for _ in 0..count {
        let mut reply = vec![0; answer.len()];
        greedy.read_exact(&mut reply).unwrap();
        assert!(reply[..8] == answer[..8] && reply[rest..] == answer[rest..]);
    }
    ask(&greedy, protocol);
}

fn mixed(protocol: Protocol) {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    connection.send(RECORDS);
    let order = [protocol].into_iter().chain(COLUMNS).chain([protocol]);
    let (mut asks, mut answers) = (Vec::new(), Vec::new());
    for protocol in order {
        let (bytes, answer) = probe(protocol);
        let reply = server.connect().send(&bytes);
        assert_eq!(told(protocol, &reply), answer);
        asks.extend(bytes);
        answers.extend(reply);
    }
    for piece in [usize::MAX, 1] {
        let replies = connection.send_pieces(&asks, piece.min(asks.len()));
        assert_eq!(
            replies.escape_ascii().to_string(),
            answers.escape_ascii().to_string()
        );
    }
    assert!(!connection.closed);
}

fn one_too_many(protocol: Protocol) {
    let there = Running::with(|_, limits| limits.connections_max = 1);
    let mut first = there.connect();
    first.write_all(RECORDS).unwrap();
    running::expect(&first, b"+OK\r\n+OK\r\n");
    let mut second = there.connect();
    // It may be closed before or after these are sent.
    let _ = second.write_all(&smuggled(protocol));
    let mut reply = Vec::new();
    let _ = second.read_to_end(&mut reply);
    assert_eq!(reply, b"");
    ask(&first, protocol);
    first.write_all(b"EXISTS smuggled\r\n").unwrap();
    running::expect(&first, b":0\r\n");
}

/// Sends the bytes whole and in pieces, on a listener of this protocol or of all.
fn play(server: &mut Server, name: &str, protocol: Protocol, bound: bool, cell: &Cell) {
    for piece in [usize::MAX, 1, 100] {
        if piece == 1 && cell.bytes.len() > 100_000 {
            continue;
        }
        let piece = if cell.bytes.len() > 100_000 {
            piece.max(64 << 10)
        } else {
            piece
        };
        let what = format!("{name}: {protocol:?}, bound: {bound}, in pieces of {piece}");
        server.renew();
        server.connect().send(RECORDS);
        let mut connection = server.connect_to(bound.then_some(protocol));
        let reply = connection.send_pieces(&cell.bytes, piece.min(cell.bytes.len()));
        assert_eq!(told(protocol, &reply), cell.answer, "{what}");
        assert_eq!(connection.closed, cell.after == Closes, "{what}");
        match cell.after {
            Closes => {}
            Waits => assert!(connection.unconsumed() <= cell.bytes.len(), "{what}"),
            Lives => {
                assert_eq!(connection.unconsumed(), 0, "{what}");
                let (asks, answer) = probe(protocol);
                let reply = connection.send(&asks);
                assert_eq!(told(protocol, &reply), answer, "{what}: the next request");
            }
        }
        drop(connection);
        let records = server
            .connect()
            .send(b"GET canary\r\nGET word\r\nEXISTS smuggled\r\n");
        let records = String::from_utf8(records).unwrap();
        assert_eq!(records, "$1\r\n1\r\n$3\r\nabc\r\n:0\r\n", "{what}");
    }
}

#[test]
fn each_protocol_answers_each_abuse_as_the_table_says() {
    let mut server = Server::new(Kind::Hash, true);
    for abuse in table() {
        match abuse.how {
            How::Check(check, ..) => COLUMNS.iter().for_each(|&protocol| check(protocol)),
            How::Bytes(cells) => {
                for (protocol, cell) in COLUMNS.into_iter().zip(cells) {
                    let Some(cell) = cell else { continue };
                    play(&mut server, abuse.name, protocol, true, &cell);
                    if Protocol::detect(&cell.bytes) == Detected::Protocol(protocol) {
                        play(&mut server, abuse.name, protocol, false, &cell);
                    }
                }
            }
        }
    }
}

/// The page as it must be.
fn page() -> String {
    let mut page = String::from(
        "# Abuse\n\nWhat each protocol answers to requests that are wrong, too large, hostile or never \
         end, and what becomes of\nthe connection. On a port that speaks all protocols the first bytes \
         decide which of these it is. Nothing hidden\nin such a request is carried out, and no record \
         changes. A dash: the protocol has no such thing. This page is\nchecked against \
         `crates/hakone-server/tests/abuse.rs`, which plays all of it.\n\n",
    );
    let names = COLUMNS.map(Protocol::name).join(" | ");
    let _ = writeln!(page, "| what | {names} |");
    let _ = writeln!(page, "|---|{}", "---|".repeat(COLUMNS.len()));
    for abuse in table() {
        let after = |after| match after {
            Lives => "lives on",
            Closes => "closes",
            Waits => "waits",
        };
        let told = |answer: &str, then: After| match (answer, then) {
            ("nothing", Waits) => "waits".to_owned(),
            (answer, then) => format!("{answer}; {}", after(then)),
        };
        let cells = match abuse.how {
            How::Check(_, answer, then) => vec![told(answer, then); COLUMNS.len()],
            How::Bytes(cells) => cells
                .iter()
                .map(|cell| match cell {
                    Some(cell) => told(cell.answer, cell.after),
                    None => "\u{2013}".to_owned(),
                })
                .collect(),
        };
        let _ = writeln!(page, "| {} | {} |", abuse.name, cells.join(" | "));
    }
    page
}

#[test]
fn the_page_tells_the_whole_table() {
    assert!(table().len() >= 24, "{} kinds", table().len());
    let there = include_str!("../../../docs/abuse.md");
    assert!(there == page(), "docs/abuse.md must read:\n{}", page());
}
