//! Replies of the server: RESP3, read with limits before allocation.

use crate::input::{self, Fault};
use hakone_command::limits::VALUE_BYTES_MAX;
use std::io::BufRead;

/// Bytes of a line (a type, a number, a short text): an error text is the longest.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of one reply with all that is in it: eight of the largest values. Pages of a scan are far
/// smaller.
const REPLY_BYTES_MAX: usize = 8 * VALUE_BYTES_MAX;

/// Bytes that each element counts towards [`REPLY_BYTES_MAX`] beside its content, so that a reply
/// of many tiny elements is bounded in memory too.
const ELEMENT_BYTES: usize = 32;

/// Arrays within arrays. Nothing that the server sends goes deeper than 4.
const DEPTH_MAX: usize = 16;

/// What the server answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A short text, such as `OK`.
    Text(String),
    /// An error inside a larger reply: its code and text.
    Error(String),
    /// An integer.
    Number(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Nothing: a record that is not there.
    Missing,
    /// A string of any bytes.
    Bytes(Vec<u8>),
    /// Several replies in order; sets and pushes too.
    Array(Vec<Reply>),
    /// Pairs.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    /// The bytes of a string, or `None` if this is something else.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Reply::Bytes(bytes) => Some(bytes),
            Reply::Text(text) => Some(text.into_bytes()),
            _ => None,
        }
    }

    /// The elements of an array, or `None` if this is something else.
    pub fn into_array(self) -> Option<Vec<Reply>> {
        match self {
            Reply::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The number, also where it was sent as a string, or `None` if this is something else.
    pub fn as_number(&self) -> Option<i64> {
        match self {
            Reply::Number(number) => Some(*number),
            Reply::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            Reply::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Reads one reply, blocking as `input` blocks. Memory grows with the bytes that have come, not
/// with the lengths that they announce.
pub(crate) fn read(input: &mut impl BufRead) -> Result<Reply, Fault> {
    let mut budget = REPLY_BYTES_MAX;
    element(input, &mut budget, 0)
}

/// A string that was asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Missing,
    Bytes(Vec<u8>),
    /// It is larger than any value that Hakone keeps.
    TooLarge,
    Error(String),
}

/// Reads a reply that is a string, nothing or an error.
pub(crate) fn read_value(input: &mut impl BufRead) -> Result<Value, Fault> {
    let line = line(input)?;
    Ok(match line.split_first() {
        Some((b'$', b"-1") | (b'_', b"")) => Value::Missing,
        Some((b'$', digits)) => {
            let bytes = length(digits)?;
            if bytes > VALUE_BYTES_MAX {
                input::skip(input, bytes as u64 + 2)?;
                return Ok(Value::TooLarge);
            }
            Value::Bytes(bulk(input, bytes, &mut VALUE_BYTES_MAX.clone())?)
        }
        Some((b'-', rest)) => Value::Error(text(rest)),
        _ => {
            let shown: String = text(&line).chars().take(60).collect();
            return Err(malformed(format!("it sent {shown:?} for a string")));
        }
    })
}

fn element(input: &mut impl BufRead, budget: &mut usize, depth: usize) -> Result<Reply, Fault> {
    if depth > DEPTH_MAX {
        return Err(malformed(format!("arrays nest deeper than {DEPTH_MAX}")));
    }
    spend(budget, ELEMENT_BYTES)?;
    let line = line(input)?;
    let Some((&kind, rest)) = line.split_first() else {
        return Err(malformed("a reply begins with an empty line".to_owned()));
    };
    Ok(match kind {
        b'+' => Reply::Text(text(rest)),
        b'-' => Reply::Error(text(rest)),
        b':' => Reply::Number(number(rest)?),
        b',' => Reply::Double(double(rest)?),
        b'(' => Reply::Bytes(rest.to_vec()),
        b'#' => match rest {
            b"t" => Reply::Boolean(true),
            b"f" => Reply::Boolean(false),
            _ => return Err(malformed(format!("{:?} is no boolean", text(rest)))),
        },
        b'_' => Reply::Missing,
        b'$' | b'*' if rest == b"-1" => Reply::Missing,
        b'$' => Reply::Bytes(bulk(input, length(rest)?, budget)?),
        b'!' => Reply::Error(text(&bulk(input, length(rest)?, budget)?)),
        b'=' => {
            let mut bytes = bulk(input, length(rest)?, budget)?;
            // Verbatim strings begin with a type of three letters and a colon.
            if bytes.get(3) != Some(&b':') {
                return Err(malformed("a verbatim string has no type".to_owned()));
            }
            bytes.drain(..4);
            Reply::Bytes(bytes)
        }
        b'*' | b'~' | b'>' => {
            let count = length(rest)?;
            let mut elements = Vec::new();
            for _ in 0..count {
                elements.push(element(input, budget, depth + 1)?);
            }
            Reply::Array(elements)
        }
        b'%' => {
            let count = length(rest)?;
            let mut pairs = Vec::new();
            for _ in 0..count {
                let key = element(input, budget, depth + 1)?;
                pairs.push((key, element(input, budget, depth + 1)?));
            }
            Reply::Map(pairs)
        }
        _ => {
            let shown: String = text(&line).chars().take(60).collect();
            return Err(malformed(format!("it sent {shown:?}")));
        }
    })
}

fn malformed(what: String) -> Fault {
    Fault::Malformed(what)
}

fn spend(budget: &mut usize, bytes: usize) -> Result<(), Fault> {
    *budget = budget
        .checked_sub(bytes)
        .ok_or_else(|| malformed(format!("a reply is larger than {REPLY_BYTES_MAX} bytes")))?;
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(bytes: &[u8]) -> Result<i64, Fault> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed(format!("{:?} is no number", text(bytes))))
}

fn double(bytes: &[u8]) -> Result<f64, Fault> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed(format!("{:?} is no number", text(bytes))))
}

fn length(bytes: &[u8]) -> Result<usize, Fault> {
    let plain = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(bytes)
        .ok()
        .filter(|_| plain)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed(format!("{:?} is no length", text(bytes))))
}

fn line(input: &mut impl BufRead) -> Result<Vec<u8>, Fault> {
    let mut line = input::line(input, LINE_BYTES_MAX)?;
    if line.pop() != Some(b'\r') {
        return Err(malformed("a line ends without CR".to_owned()));
    }
    Ok(line)
}

fn bulk(input: &mut impl BufRead, bytes: usize, budget: &mut usize) -> Result<Vec<u8>, Fault> {
    spend(budget, bytes)?;
    // A first guess of at most 16 KiB: the rest is allocated as it comes.
    let mut bulk = Vec::with_capacity(bytes.min(16 << 10));
    input::take(input, bytes, &mut bulk)?;
    let mut end = Vec::with_capacity(2);
    input::take(input, 2, &mut end)?;
    if end != b"\r\n" {
        return Err(malformed("a string is longer than it says".to_owned()));
    }
    Ok(bulk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, BufReader};

    fn parse(bytes: &[u8]) -> Result<Reply, Fault> {
        read(&mut BufReader::with_capacity(7, bytes))
    }

    fn bytes(text: &str) -> Reply {
        Reply::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn every_type_is_read() {
        let nested = Reply::Array(vec![Reply::Number(1), Reply::Array(vec![])]);
        let map = Reply::Map(vec![(bytes("k"), Reply::Missing)]);
        for (input, reply) in [
            ("+OK\r\n", Reply::Text("OK".to_owned())),
            ("-ERR no\r\n", Reply::Error("ERR no".to_owned())),
            ("!6\r\nERR no\r\n", Reply::Error("ERR no".to_owned())),
            (":-12\r\n", Reply::Number(-12)),
            (",3.5\r\n", Reply::Double(3.5)),
            (",-inf\r\n", Reply::Double(f64::NEG_INFINITY)),
            ("(123456789012345678901\r\n", bytes("123456789012345678901")),
            ("#t\r\n", Reply::Boolean(true)),
            ("#f\r\n", Reply::Boolean(false)),
            ("_\r\n", Reply::Missing),
            ("$-1\r\n", Reply::Missing),
            ("*-1\r\n", Reply::Missing),
            ("$0\r\n\r\n", bytes("")),
            ("$4\r\na\r\nb\r\n", bytes("a\r\nb")),
            ("=8\r\ntxt:info\r\n", bytes("info")),
            ("*2\r\n:1\r\n~0\r\n", nested),
            ("%1\r\n$1\r\nk\r\n_\r\n", map),
        ] {
            assert_eq!(parse(input.as_bytes()).unwrap(), reply, "{input:?}");
            for cut in 0..input.len() {
                let fault = parse(&input.as_bytes()[..cut]).unwrap_err();
                assert!(
                    matches!(&fault, Fault::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof),
                    "{input:?} cut at {cut}: {fault:?}"
                );
            }
        }
    }

    #[test]
    fn hostile_bytes_are_refused_without_allocation() {
        let deep = "*1\r\n".repeat(1000);
        let long = format!("+{}\r\n", "x".repeat(LINE_BYTES_MAX));
        for input in [
            "\r\n",
            "?\r\n",
            "+OK\n",
            ":x\r\n",
            ":\r\n",
            ",x\r\n",
            "#x\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$+1\r\n",
            "*\r\n",
            "$1\r\nab\r\n",
            "=2\r\nab\r\n",
            "$99999999999\r\n",
            "$99999999999999999999999\r\n",
            "ERROR\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            &deep,
            &long,
        ] {
            let fault = parse(input.as_bytes()).unwrap_err();
            assert!(
                matches!(fault, Fault::Malformed(_)),
                "{input:.40}: {fault:?}"
            );
        }
        // Announced, but never sent: memory is not taken for it, the end is noticed.
        for input in ["*99999999\r\n", "%99999999\r\n", "$200000000\r\n"] {
            assert!(
                matches!(parse(input.as_bytes()), Err(Fault::Io(_))),
                "{input}"
            );
        }
        let many = [b"*99999999999\r\n".to_vec(), b"_\r\n".repeat(9_000_000)].concat();
        assert!(matches!(parse(&many), Err(Fault::Malformed(_))));
    }
}
