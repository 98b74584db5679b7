//! Tab-separated values: KEY, VALUE and, where they are set, EXPIRY in ms and FLAGS.
//!
//! Tabs, line ends and backslashes within a field are written as `\t \n \r \\`; other control
//! characters, and bytes that are not UTF-8, as `\xHH`. So a file is text, and any bytes pass.

use hakone_client::transfer::Record;
use std::io::Write;

/// Appends `entry`, without a line end.
pub(super) fn write(entry: &Record, out: &mut Vec<u8>) {
    escape(&entry.key, out);
    out.push(b'\t');
    escape(&entry.value, out);
    if entry.expiry_ms != 0 || entry.flags != 0 {
        number(entry.expiry_ms, out);
    }
    if entry.flags != 0 {
        number(entry.flags.into(), out);
    }
}

fn number(number: u64, out: &mut Vec<u8>) {
    write!(out, "\t{number}").unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
}

/// Appends a field.
pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        escape_controls(chunk.valid().as_bytes(), out);
        for &byte in chunk.invalid() {
            hex(byte, out);
        }
    }
}

fn escape_controls(mut text: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| *byte < b' ' || *byte == b'\\' || *byte == 0x7f;
    while let Some(at) = text.iter().position(special) {
        out.extend_from_slice(&text[..at]);
        match text[at] {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            byte => hex(byte, out),
        }
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
    out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
}

/// Appends a record of a scan with its line end: its key, and its value where it is wanted.
pub(crate) fn line(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    escape(key, out);
    if let Some(value) = value {
        out.push(b'\t');
        escape(value, out);
    }
    out.push(b'\n');
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Record, String> {
    let mut fields = line.split(|&byte| byte == b'\t');
    let key = unescape(fields.next().unwrap_or_default())?;
    let Some(value) = fields.next() else {
        return Err("no tab between key and value".to_owned());
    };
    let value = unescape(value)?;
    let expiry_ms = match fields.next() {
        None => 0,
        Some(field) => parse(field).ok_or_else(|| not_a_number("expiry", field))?,
    };
    let flags = match fields.next() {
        None => 0,
        Some(field) => parse(field).ok_or_else(|| not_a_number("flags", field))?,
    };
    if fields.next().is_some() {
        return Err("more than four fields: a tab within a field is written \\t".to_owned());
    }
    Ok(Record {
        key,
        value,
        expiry_ms,
        flags,
    })
}

fn parse<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn not_a_number(what: &str, field: &[u8]) -> String {
    let field: String = String::from_utf8_lossy(field).chars().take(30).collect();
    format!("{what} {field:?} is not a number that fits")
}

/// Reads a field.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub(crate) fn unescape(field: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let escape = &rest[at + 1..];
        let (byte, taken) = match escape {
            [b't', ..] => (b'\t', 1),
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', high, low, ..] => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => return Err("\\x is not followed by two hexadecimal digits".to_owned()),
            },
            [b'x', ..] => return Err("\\x is not followed by two hexadecimal digits".to_owned()),
            [] => return Err("a field ends with a single backslash".to_owned()),
            [other, ..] => {
                return Err(format!(
                    "unknown escape \\{}: a backslash is written \\\\",
                    other.escape_ascii()
                ));
            }
        };
        out.push(byte);
        rest = &escape[taken..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped_where_they_must_be() {
        let entry = |key: &[u8], value: &[u8], expiry_ms, flags| Record {
            key: key.to_vec(),
            value: value.to_vec(),
            expiry_ms,
            flags,
        };
        for (entry, line) in [
            (entry(b"", b"", 0, 0), "\t"),
            (
                entry("tea \u{e9}".as_bytes(), b"a b", 0, 0),
                "tea \u{e9}\ta b",
            ),
            (
                entry(b"\t\n\r\\", b"\x00\x1f\x7f", 0, 0),
                "\\t\\n\\r\\\\\t\\x00\\x1f\\x7f",
            ),
            (entry(b"\xff", b"a\xc3", 0, 0), "\\xff\ta\\xc3"),
            (entry(b"k", b"v", 12, 0), "k\tv\t12"),
            (entry(b"k", b"v", 0, 7), "k\tv\t0\t7"),
        ] {
            let mut out = Vec::new();
            write(&entry, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), line);
            assert_eq!(read(line.as_bytes()), Ok(entry));
        }
    }

    #[test]
    fn other_spellings_of_bytes_are_read() {
        let entry = read(b"\\x41\\xfF\t\xff\r").unwrap();
        assert_eq!(
            (&entry.key[..], &entry.value[..]),
            (&b"A\xff"[..], &b"\xff\r"[..])
        );
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, what) in [
            ("key", "no tab between key and value"),
            (
                "k\tv\t1\t2\t3",
                "more than four fields: a tab within a field is written \\t",
            ),
            ("k\tv\t", "expiry \"\" is not a number that fits"),
            ("k\tv\t-1", "expiry \"-1\" is not a number that fits"),
            ("k\tv\tsoon", "expiry \"soon\" is not a number that fits"),
            (
                "k\tv\t0\t4294967296",
                "flags \"4294967296\" is not a number that fits",
            ),
            ("k\\q\tv", "unknown escape \\q: a backslash is written \\\\"),
            ("k\tv\\", "a field ends with a single backslash"),
            ("k\\\tv", "a field ends with a single backslash"),
            ("k\tv\\x1", "\\x is not followed by two hexadecimal digits"),
            ("k\t\\x1g", "\\x is not followed by two hexadecimal digits"),
        ] {
            assert_eq!(read(line.as_bytes()), Err(what.to_owned()), "{line:?}");
        }
    }
}
