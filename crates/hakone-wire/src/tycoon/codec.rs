//! The encodings of columns: what each byte string looks like in a line of names and values.

use crate::base64;

/// How names and values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// URL encoding.
    Url,
    /// Base64.
    Base64,
    /// Quoted-printable: read, never written.
    Quoted,
}

/// Bytes of a name or value that decide on the encoding of a reply.
const LOOKED_AT: usize = 255;

impl Encoding {
    /// The encoding that the parameter `colenc` of a content type names.
    pub fn of_content_type(content_type: &[u8]) -> Encoding {
        for parameter in content_type.split(|&byte| byte == b';' || byte <= b' ') {
            let Some((name, value)) = parameter.split_at_checked(b"colenc=".len()) else {
                continue;
            };
            if !name.eq_ignore_ascii_case(b"colenc=") {
                continue;
            }
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            return match value.first().map(u8::to_ascii_lowercase) {
                Some(b'u') => Encoding::Url,
                Some(b'b') => Encoding::Base64,
                Some(b'q') => Encoding::Quoted,
                _ => Encoding::Raw,
            };
        }
        Encoding::Raw
    }

    /// The content type of columns that are encoded like this.
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Raw => "text/tab-separated-values",
            Encoding::Url => "text/tab-separated-values; colenc=U",
            Encoding::Base64 => "text/tab-separated-values; colenc=B",
            Encoding::Quoted => "text/tab-separated-values; colenc=Q",
        }
    }

    /// The encoding that Tycoon chooses for a reply of these names and values: raw unless one of
    /// them is long or has a control byte, else the one it estimates to be shorter.
    pub fn of_reply<'a, S: Iterator<Item = &'a [u8]>>(strings: impl Fn() -> S) -> Encoding {
        let is_plain = |string: &[u8]| {
            string.len() <= LOOKED_AT && !string.iter().any(|&byte| byte < b' ' || byte == 0x7f)
        };
        if strings().all(is_plain) {
            return Encoding::Raw;
        }
        let (mut base64_bytes, mut url_bytes) = (0, 0);
        for string in strings() {
            let seen = &string[..string.len().min(LOOKED_AT)];
            base64_bytes += seen.len() * 6 / 4 + 3;
            url_bytes += seen
                .iter()
                .map(|&byte| if is_short(byte) { 1 } else { 3 })
                .sum::<usize>();
        }
        if base64_bytes < url_bytes {
            Encoding::Base64
        } else {
            Encoding::Url
        }
    }

    /// Appends `text` encoded.
    pub(super) fn encode(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Encoding::Url => encode_url(text, out),
            Encoding::Base64 => base64::encode(text, out),
            Encoding::Raw | Encoding::Quoted => out.extend_from_slice(text),
        }
    }

    /// Appends `text` decoded: at most 2 bytes more than it has.
    pub(super) fn decode(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Encoding::Raw => out.extend_from_slice(text),
            Encoding::Url => decode_url(text, out),
            Encoding::Base64 => decode_base64(text, out),
            Encoding::Quoted => decode_quoted(text, out),
        }
    }
}

/// The bytes that the estimate counts once. Fewer stay as they are.
fn is_short(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.!~*'()".contains(&byte)
}

fn encode_url(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"_-.~".contains(&byte) {
            out.push(byte);
        } else {
            let (high, low) = (byte >> 4, byte & 15);
            out.extend_from_slice(&[b'%', DIGITS[high as usize], DIGITS[low as usize]]);
        }
    }
}

/// Appends a URL-encoded text decoded: `+` is a blank, raw blanks and control bytes are dropped, a
/// `%` without two digits stays.
pub(super) fn decode_url(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'%' => match hex(text, at) {
                Some(byte) => {
                    out.push(byte);
                    at += 2;
                }
                None => out.push(b'%'),
            },
            b'+' => out.push(b' '),
            0..=b' ' | 0x7f => {}
            _ => out.push(byte),
        }
    }
}

/// The byte that two hexadecimal digits at `at` say.
fn hex(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
}

/// Bytes that are not of the alphabet are passed over, and padding ends the text. A last group
/// without padding stands for three bytes, its digits for the lowest bits, as in Tycoon.
fn decode_base64(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut digits) = (0_u32, 0);
    for &byte in text {
        if byte == b'=' {
            let [_, high, middle, _] = (bits << (6 * (4 - digits))).to_be_bytes();
            match digits {
                2 => out.push(high),
                3 => out.extend_from_slice(&[high, middle]),
                _ => {}
            }
            return;
        }
        let Some(value) = base64::sextet(byte) else {
            continue;
        };
        bits = bits << 6 | value;
        digits += 1;
        if digits == 4 {
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, digits) = (0, 0);
        }
    }
    if digits > 0 {
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
}

fn decode_quoted(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'=' {
            out.push(byte);
        } else if let Some(byte) = hex(text, at) {
            out.push(byte);
            at += 2;
        } else if text[at..].starts_with(b"\r\n") {
            at += 2;
        } else if text[at..].starts_with(b"\n") {
            at += 1;
        } else {
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encoding.decode(text, &mut out);
        out
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in 0..=all.len() {
            for encoding in [Encoding::Url, Encoding::Base64] {
                let mut text = Vec::new();
                encoding.encode(&all[..bytes], &mut text);
                assert!(text.iter().all(|byte| byte.is_ascii_graphic()));
                assert_eq!(decoded(encoding, &text), &all[..bytes]);
            }
        }
    }

    #[test]
    fn broken_encodings_are_read_leniently() {
        for (encoding, text, bytes) in [
            (Encoding::Url, &b"a%"[..], &b"a%"[..]),
            (Encoding::Url, b"%4", b"%4"),
            (Encoding::Url, b"%4g%41", b"%4gA"),
            (Encoding::Url, b"a \t\x7fb+c", b"ab c"),
            (Encoding::Base64, b"YQ ==", b"a"),
            (Encoding::Base64, b"YQ==YQ==", b"a"),
            (Encoding::Base64, b"=", b""),
            (Encoding::Base64, b"q", b"\0\0\x2a"),
            (Encoding::Base64, b"Y!W\xffJj", b"abc"),
            (Encoding::Quoted, b"a=3Db=\nc=\r\nd=zz=", b"a=bcd=zz="),
        ] {
            assert_eq!(decoded(encoding, text), bytes, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_content_type_names_the_encoding() {
        for (text, encoding) in [
            ("text/tab-separated-values", Encoding::Raw),
            ("text/tab-separated-values; colenc=U", Encoding::Url),
            ("text/tab-separated-values;COLENC=\"b\"", Encoding::Base64),
            ("text/tab-separated-values colenc=quoted", Encoding::Quoted),
            ("text/tab-separated-values; xcolenc=B", Encoding::Raw),
            ("text/tab-separated-values; colenc=", Encoding::Raw),
        ] {
            assert_eq!(
                Encoding::of_content_type(text.as_bytes()),
                encoding,
                "{text}"
            );
        }
    }
}
