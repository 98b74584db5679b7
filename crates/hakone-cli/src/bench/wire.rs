//! The few bytes of each protocol that the load needs: get and set, with as little work as can be.

use super::workload::{Ask, KEY_BYTES, Workload};
use std::io::Write;

/// What a server is spoken to with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Protocol {
    /// RESP2, as Redis speaks it
    Resp,
    /// Memcached text
    Memcached,
    /// Tokyo Tyrant binary
    Tyrant,
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
            "resp" | "redis" => Some(Protocol::Resp),
            "memcached" => Some(Protocol::Memcached),
            "tyrant" => Some(Protocol::Tyrant),
            _ => None,
        }
    }

    /// Appends a request.
    pub(super) fn write(self, ask: Ask, workload: &Workload, out: &mut Vec<u8>) {
        match (self, ask) {
            (Protocol::Resp, Ask::Get(number)) => {
                out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n");
                out.extend_from_slice(&Workload::key(number));
                out.extend_from_slice(b"\r\n");
            }
            (Protocol::Resp, Ask::Set(number)) => {
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
        }
    }

    /// Reads the reply to `ask` at the beginning of `input`.
    pub(super) fn parse(self, ask: Ask, input: &[u8]) -> Parsed<'_> {
        let parsed = match self {
            Protocol::Resp => resp(input),
            Protocol::Memcached => memcached(input),
            Protocol::Tyrant => return tyrant(ask, input),
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

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOLS: [Protocol; 3] = [Protocol::Resp, Protocol::Memcached, Protocol::Tyrant];

    #[test]
    fn requests_are_those_of_the_protocols() {
        let workload = Workload::new(3);
        let key = String::from_utf8(Workload::key(1).to_vec()).unwrap();
        let mut value = Vec::new();
        workload.write_value(1, &mut value);
        let value = value.escape_ascii().to_string();
        for (protocol, get, set) in [
            (
                Protocol::Resp,
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
                Protocol::Resp,
                get,
                &b"$4\r\na\r\nb\r\n"[..],
                Answer::Value(b"a\r\nb"),
            ),
            (Protocol::Resp, get, b"$0\r\n\r\n", Answer::Value(b"")),
            (Protocol::Resp, get, b"$-1\r\n", Answer::Missing),
            (Protocol::Resp, get, b"_\r\n", Answer::Missing),
            (Protocol::Resp, set, b"+OK\r\n", Answer::Stored),
            (
                Protocol::Resp,
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
        for protocol in PROTOCOLS {
            for (ask, input) in [
                (Ask::Get(1), &b"\x02?\r\n"[..]),
                (Ask::Get(1), b"HTTP/1.1 400 Bad Request\r\n"),
                (Ask::Set(1), b"$2\r\nab\r\n"),
                (Ask::Set(1), b"VALUE k 0 2\r\nab\r\nEND\r\n"),
                (Ask::Get(1), b"STORED\r\n"),
                (Ask::Get(1), b"+OK\r\n"),
                (Ask::Get(1), b"$99999999999\r\n"),
                (Ask::Get(1), b"VALUE k 0 2\r\nabcdefghi"),
            ] {
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
