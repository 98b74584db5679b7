//! The few bytes of each protocol that the load needs: get and set, with as little work as can be.

use super::workload::{Ask, KEY_BYTES, Workload};
use std::io::Write;

/// What a server is spoken to with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Protocol {
    /// Redis' protocol, version 2
    #[value(alias = "resp")]
    Redis,
    /// Memcached text
    Memcached,
    /// Tokyo Tyrant binary
    Tyrant,
    /// Kyoto Tycoon binary, one record in each get_bulk and set_bulk
    Tycoon,
    /// REST over HTTP, GET and PUT
    Http,
}

/// What the bytes at hand begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// No whole reply yet.
    Partial,
    /// A reply, and how many bytes it takes.
    Whole(Answer<'a>, usize),
    /// Something that is no reply to what was asked.
    Malformed,
}

/// A reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    Value(&'a [u8]),
    Missing,
    Stored,
    /// An error, in the server's words.
    Refused(&'a [u8]),
}

impl Protocol {
    /// The protocol that `name` says, as it stands before `://` in an address.
    pub(super) fn from_scheme(name: &str) -> Option<Protocol> {
        match name {
            "resp" | "redis" => Some(Protocol::Redis),
            "memcached" => Some(Protocol::Memcached),
            "tyrant" => Some(Protocol::Tyrant),
            "tycoon" => Some(Protocol::Tycoon),
            "http" => Some(Protocol::Http),
            _ => None,
        }
    }

    /// Appends a request.
    pub(super) fn write(self, ask: Ask, workload: &Workload, out: &mut Vec<u8>) {
        match (self, ask) {
            (Protocol::Redis, Ask::Get(number)) => {
                out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
                out.extend_from_slice(&Workload::key(number));
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Redis, Ask::Set(number)) => {
                out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$16\r\n");
                out.extend_from_slice(&Workload::key(number));
                out.extend_from_slice(b"\r\n$");
                decimal(workload.value_bytes(), out);
                out.extend_from_slice(b"\r\n");
                workload.write_value(number, out);
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Memcached, Ask::Get(number)) => {
                out.extend_from_slice(b"get ");
                out.extend_from_slice(&Workload::key(number));
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Memcached, Ask::Set(number)) => {
                out.extend_from_slice(b"set ");
                out.extend_from_slice(&Workload::key(number));
                out.extend_from_slice(b" 0 0 ");
                decimal(workload.value_bytes(), out);
                out.extend_from_slice(b"\r\n");
                workload.write_value(number, out);
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Tyrant, Ask::Get(number)) => {
                out.extend_from_slice(&[0xc8, 0x30, 0, 0, 0, KEY_BYTES as u8]);
                out.extend_from_slice(&Workload::key(number));
            }
            (Protocol::Tyrant, Ask::Set(number)) => {
                out.extend_from_slice(&[0xc8, 0x10, 0, 0, 0, KEY_BYTES as u8]);
                let bytes = u32::try_from(workload.value_bytes()).unwrap_or(u32::MAX);
                out.extend_from_slice(&bytes.to_be_bytes());
                out.extend_from_slice(&Workload::key(number));
                workload.write_value(number, out);
            }
            (Protocol::Tycoon, Ask::Get(number)) => {
                // No flags, one record, of database 0.
                out.extend_from_slice(&[0xba, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
                out.extend_from_slice(&[0, 0, 0, KEY_BYTES as u8]);
                out.extend_from_slice(&Workload::key(number));
            }
            (Protocol::Tycoon, Ask::Set(number)) => {
                out.extend_from_slice(&[0xb8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
                out.extend_from_slice(&[0, 0, 0, KEY_BYTES as u8]);
                let bytes = u32::try_from(workload.value_bytes()).unwrap_or(u32::MAX);
                out.extend_from_slice(&bytes.to_be_bytes());
                // It never expires.
                out.extend_from_slice(&i64::MAX.to_be_bytes());
                out.extend_from_slice(&Workload::key(number));
                workload.write_value(number, out);
            }
            (Protocol::Http, Ask::Get(number)) => {
                out.extend_from_slice(b"GET /");
                out.extend_from_slice(&Workload::key(number));
                out.extend_from_slice(b" HTTP/1.1\r\nHost: localhost\r\n\r\n");
            }
            (Protocol::Http, Ask::Set(number)) => {
                out.extend_from_slice(b"PUT /");
                out.extend_from_slice(&Workload::key(number));
                out.extend_from_slice(b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: ");
                decimal(workload.value_bytes(), out);
                out.extend_from_slice(b"\r\n\r\n");
                workload.write_value(number, out);
            }
        }
    }

    /// Reads the reply to `ask` at the beginning of `input`.
    pub(super) fn parse(self, ask: Ask, input: &[u8]) -> Parsed<'_> {
        let parsed = match self {
            Protocol::Redis => resp(input),
            Protocol::Memcached => memcached(input),
            Protocol::Tyrant => return tyrant(ask, input),
            Protocol::Tycoon => return tycoon(ask, input),
            Protocol::Http => return http(ask, input),
        };
        match (&parsed, ask) {
            (Parsed::Whole(Answer::Stored, _), Ask::Get(_))
            | (Parsed::Whole(Answer::Value(_) | Answer::Missing, _), Ask::Set(_)) => {
                Parsed::Malformed
            }
            _ => parsed,
        }
    }
}

fn decimal(number: usize, out: &mut Vec<u8>) {
    write!(out, "{number}").unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
}

/// The first line without its end, and where the rest begins.
fn line(input: &[u8]) -> Option<(&[u8], usize)> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    Some((
        input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]),
        end + 1,
    ))
}

fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0_usize, |sum, &digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + usize::from(digit - b'0'))
    })
}

fn resp(input: &[u8]) -> Parsed<'_> {
    let Some((line, at)) = line(input) else {
        return Parsed::Partial;
    };
    match line.split_first() {
        Some((b'+', b"OK")) => Parsed::Whole(Answer::Stored, at),
        Some((b'$', b"-1") | (b'_', b"")) => Parsed::Whole(Answer::Missing, at),
        Some((b'-', text)) => Parsed::Whole(Answer::Refused(text), at),
        Some((b'$', digits)) => match number(digits) {
            None => Parsed::Malformed,
            Some(bytes) => match input[at..].get(..bytes + 2) {
                None => Parsed::Partial,
                Some(value) => Parsed::Whole(Answer::Value(&value[..bytes]), at + bytes + 2),
            },
        },
        _ => Parsed::Malformed,
    }
}

fn memcached(input: &[u8]) -> Parsed<'_> {
    const END: &[u8] = b"\r\nEND\r\n";
    let Some((line, at)) = line(input) else {
        return Parsed::Partial;
    };
    match line {
        b"STORED" => Parsed::Whole(Answer::Stored, at),
        b"END" => Parsed::Whole(Answer::Missing, at),
        _ if line.starts_with(b"VALUE ") => {
            let digits = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
            let Some(bytes) = number(digits) else {
                return Parsed::Malformed;
            };
            match input[at..].get(..bytes + END.len()) {
                None => Parsed::Partial,
                Some(rest) if rest.ends_with(END) => {
                    Parsed::Whole(Answer::Value(&rest[..bytes]), at + bytes + END.len())
                }
                Some(_) => Parsed::Malformed,
            }
        }
        _ if line.starts_with(b"SERVER_ERROR") || line.ends_with(b"ERROR") => {
            Parsed::Whole(Answer::Refused(line), at)
        }
        _ => Parsed::Malformed,
    }
}

fn tyrant(ask: Ask, input: &[u8]) -> Parsed<'_> {
    match (ask, input) {
        (_, []) => Parsed::Partial,
        (Ask::Set(_), [0, ..]) => Parsed::Whole(Answer::Stored, 1),
        (Ask::Set(_), [1, ..]) => Parsed::Whole(Answer::Refused(b"status 1"), 1),
        (Ask::Get(_), [1, ..]) => Parsed::Whole(Answer::Missing, 1),
        (Ask::Get(_), [0, rest @ ..]) => {
            let Some((bytes, rest)) = rest.split_first_chunk::<4>() else {
                return Parsed::Partial;
            };
            let bytes = u32::from_be_bytes(*bytes) as usize;
            match rest.get(..bytes) {
                None => Parsed::Partial,
                Some(value) => Parsed::Whole(Answer::Value(value), 5 + bytes),
            }
        }
        _ => Parsed::Malformed,
    }
}

fn tycoon(ask: Ask, input: &[u8]) -> Parsed<'_> {
    // The head is the magic of the request, or of an error, and how many records follow.
    let magic = match ask {
        Ask::Get(_) => 0xba,
        Ask::Set(_) => 0xb8,
    };
    let count = match input {
        [] => return Parsed::Partial,
        [0xbf, ..] => return Parsed::Whole(Answer::Refused(b"reply BF"), 1),
        [first, ..] if *first != magic => return Parsed::Malformed,
        [_, rest @ ..] => match rest.split_first_chunk::<4>() {
            None => return Parsed::Partial,
            Some((count, _)) => u32::from_be_bytes(*count),
        },
    };
    match (ask, count) {
        (Ask::Get(_), 0) => return Parsed::Whole(Answer::Missing, 5),
        (Ask::Set(_), 0) => return Parsed::Whole(Answer::Refused(b"nothing stored"), 5),
        (Ask::Set(_), 1) => return Parsed::Whole(Answer::Stored, 5),
        (Ask::Get(_), 1) => {}
        _ => return Parsed::Malformed,
    }
    // Database, sizes of key and value, expiry, key, value.
    let number = |at: usize| Some(u32::from_be_bytes(*input.get(at..)?.first_chunk()?) as usize);
    let (Some(key_bytes), Some(value_bytes)) = (number(7), number(11)) else {
        return Parsed::Partial;
    };
    let Some(value_at) = 23_usize.checked_add(key_bytes) else {
        return Parsed::Malformed;
    };
    match input
        .get(value_at..)
        .and_then(|rest| rest.get(..value_bytes))
    {
        None => Parsed::Partial,
        Some(value) => Parsed::Whole(Answer::Value(value), value_at + value_bytes),
    }
}

/// Bytes of the head of a reply: those of the servers have some 200.
const HEAD_BYTES_MAX: usize = 4096;

fn http(ask: Ask, input: &[u8]) -> Parsed<'_> {
    const BEGINNING: &[u8] = b"HTTP/1.1 ";
    let compared = input.len().min(BEGINNING.len());
    if input[..compared] != BEGINNING[..compared] {
        return Parsed::Malformed;
    }
    let searched = &input[..input.len().min(HEAD_BYTES_MAX)];
    let Some(end) = searched.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if searched.len() < HEAD_BYTES_MAX {
            Parsed::Partial
        } else {
            Parsed::Malformed
        };
    };
    let mut lines = input[..end].split(|&byte| byte == b'\n');
    let status = lines.next().unwrap_or_default();
    let length = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| number(value.trim_ascii()))
    });
    let (body_at, Some(body_bytes)) = (end + 4, length.unwrap_or(Some(0))) else {
        return Parsed::Malformed;
    };
    let Some(body) = input[body_at..].get(..body_bytes) else {
        return Parsed::Partial;
    };
    let answer = match (status.get(BEGINNING.len()..BEGINNING.len() + 3), ask) {
        (Some(b"200"), Ask::Get(_)) => Answer::Value(body),
        (Some(b"404"), Ask::Get(_)) => Answer::Missing,
        (Some(b"200" | b"201" | b"204"), Ask::Set(_)) => Answer::Stored,
        _ => Answer::Refused(status.trim_ascii_end()),
    };
    Parsed::Whole(answer, body_at + body_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::ValueEnum;

    #[test]
    fn requests_are_those_of_the_protocols() {
        let workload = Workload::new(3);
        let key = String::from_utf8(Workload::key(1).to_vec()).unwrap();
        let mut value = Vec::new();
        workload.write_value(1, &mut value);
        let value = value.escape_ascii().to_string();
        for (protocol, get, set) in [
            (
                Protocol::Redis,
                format!(r"*2\r\n$3\r\nGET\r\n$16\r\n{key}\r\n"),
                format!(r"*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n$3\r\n{value}\r\n"),
            ),
            (
                Protocol::Memcached,
                format!(r"get {key}\r\n"),
                format!(r"set {key} 0 0 3\r\n{value}\r\n"),
            ),
            (
                Protocol::Tyrant,
                format!(r"\xc80\x00\x00\x00\x10{key}"),
                format!(r"\xc8\x10\x00\x00\x00\x10\x00\x00\x00\x03{key}{value}"),
            ),
            (
                Protocol::Tycoon,
                format!(r"\xba\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x10{key}"),
                format!(
                    r"\xb8\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x10\x00\x00\x00\x03\x7f\xff\xff\xff\xff\xff\xff\xff{key}{value}"
                ),
            ),
            (
                Protocol::Http,
                format!(r"GET /{key} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                format!(
                    r"PUT /{key} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n{value}"
                ),
            ),
        ] {
            for (ask, expected) in [(Ask::Get(1), get), (Ask::Set(1), set)] {
                let mut out = Vec::new();
                protocol.write(ask, &workload, &mut out);
                assert_eq!(out.escape_ascii().to_string(), expected);
            }
        }
    }

    #[test]
    fn replies_are_read_once_they_are_whole() {
        let (get, set) = (Ask::Get(1), Ask::Set(1));
        for (protocol, ask, input, answer) in [
            (
                Protocol::Redis,
                get,
                &b"$4\r\na\r\nb\r\n"[..],
                Answer::Value(b"a\r\nb"),
            ),
            (Protocol::Redis, get, b"$0\r\n\r\n", Answer::Value(b"")),
            (Protocol::Redis, get, b"$-1\r\n", Answer::Missing),
            (Protocol::Redis, get, b"_\r\n", Answer::Missing),
            (Protocol::Redis, set, b"+OK\r\n", Answer::Stored),
            (
                Protocol::Redis,
                set,
                b"-OOM x\r\n",
                Answer::Refused(b"OOM x"),
            ),
            (
                Protocol::Memcached,
                get,
                b"VALUE k 0 2\r\nab\r\nEND\r\n",
                Answer::Value(b"ab"),
            ),
            (Protocol::Memcached, get, b"END\r\n", Answer::Missing),
            (Protocol::Memcached, set, b"STORED\r\n", Answer::Stored),
            (
                Protocol::Memcached,
                set,
                b"SERVER_ERROR x\r\n",
                Answer::Refused(b"SERVER_ERROR x"),
            ),
            (
                Protocol::Tyrant,
                get,
                b"\0\0\0\0\x02ab",
                Answer::Value(b"ab"),
            ),
            (Protocol::Tyrant, get, b"\x01", Answer::Missing),
            (Protocol::Tyrant, set, b"\0", Answer::Stored),
            (Protocol::Tyrant, set, b"\x01", Answer::Refused(b"status 1")),
            (
                Protocol::Tycoon,
                get,
                b"\xba\0\0\0\x01\0\0\0\0\0\x02\0\0\0\x03\0\0\0\xff\xff\xff\xff\xffb1one",
                Answer::Value(b"one"),
            ),
            (Protocol::Tycoon, get, b"\xba\0\0\0\0", Answer::Missing),
            (Protocol::Tycoon, set, b"\xb8\0\0\0\x01", Answer::Stored),
            (
                Protocol::Tycoon,
                set,
                b"\xb8\0\0\0\0",
                Answer::Refused(b"nothing stored"),
            ),
            (Protocol::Tycoon, get, b"\xbf", Answer::Refused(b"reply BF")),
            (
                Protocol::Http,
                get,
                b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 5\r\n\r\nparis",
                Answer::Value(b"paris"),
            ),
            (
                Protocol::Http,
                get,
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                Answer::Missing,
            ),
            (
                Protocol::Http,
                set,
                b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nDate: x\r\n\r\n",
                Answer::Stored,
            ),
            (
                Protocol::Http,
                set,
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
                Answer::Refused(b"HTTP/1.1 403 Forbidden"),
            ),
        ] {
            let more = [input, b"next"].concat();
            assert_eq!(
                protocol.parse(ask, &more),
                Parsed::Whole(answer, input.len())
            );
            for cut in 0..input.len() {
                assert_eq!(protocol.parse(ask, &input[..cut]), Parsed::Partial, "{cut}");
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_told() {
        let endless = [b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; HEAD_BYTES_MAX][..]].concat();
        for &protocol in Protocol::value_variants() {
            for (ask, input) in [
                (Ask::Get(1), &b"\x02?\r\n"[..]),
                (Ask::Get(1), b"HTTP/1.0 400 Bad Request\r\n"),
                (Ask::Get(1), b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
                (Ask::Get(1), b"\xba\0\0\0\x02"),
                (Ask::Get(1), b"\xb8\0\0\0\x01"),
                (Ask::Set(1), b"$2\r\nab\r\n"),
                (Ask::Set(1), b"VALUE k 0 2\r\nab\r\nEND\r\n"),
                (Ask::Get(1), b"STORED\r\n"),
                (Ask::Get(1), b"+OK\r\n"),
                (Ask::Get(1), b"$99999999999\r\n"),
                (Ask::Get(1), b"VALUE k 0 2\r\nabcdefghi"),
                (Ask::Get(1), &endless),
            ] {
                // A line may still end, where there is none yet.
                let is_line = matches!(protocol, Protocol::Redis | Protocol::Memcached);
                if is_line && !input.contains(&b'\n') {
                    continue;
                }
                let shown = input.escape_ascii();
                assert_eq!(
                    protocol.parse(ask, input),
                    Parsed::Malformed,
                    "{protocol:?} {shown}"
                );
            }
        }
    }
}
