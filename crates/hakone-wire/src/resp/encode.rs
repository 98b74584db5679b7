//! The elements of replies, in version 2 or 3 of the protocol.

use hakone_command::format_integer;

/// Appends elements of replies to a buffer.
#[derive(Debug)]
pub struct Writer<'o> {
    /// The buffer.
    pub out: &'o mut Vec<u8>,
    /// Whether the client asked for version 3.
    pub resp3: bool,
}

impl Writer<'_> {
    /// A status like `OK`.
    pub fn simple(&mut self, text: &str) {
        self.out.push(b'+');
        self.line(text.as_bytes());
    }

    /// An error. Line ends in it become blanks.
    pub fn error(&mut self, text: &[u8]) {
        self.out.push(b'-');
        self.line(text);
    }

    fn line(&mut self, text: &[u8]) {
        let clean = |byte: &u8| {
            if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                *byte
            }
        };
        self.out.extend(text.iter().map(clean));
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    pub fn integer(&mut self, number: i64) {
        self.head(b':', number);
    }

    /// A byte string.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 24);
        self.count(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Text for people: version 3 says so.
    pub fn verbatim(&mut self, text: &str) {
        if self.resp3 {
            self.count(b'=', text.len() + 4);
            self.out.extend_from_slice(b"txt:");
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// No byte string.
    pub fn null(&mut self) {
        self.out
            .extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No array.
    pub fn null_array(&mut self) {
        self.out
            .extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The head of so many elements.
    pub fn array(&mut self, count: usize) {
        self.count(b'*', count);
    }

    /// The head of so many pairs of name and value.
    pub fn map(&mut self, count: usize) {
        if self.resp3 {
            self.count(b'%', count);
        } else {
            self.count(b'*', count * 2);
        }
    }

    /// The head of so many elements without an order.
    pub fn set(&mut self, count: usize) {
        self.count(if self.resp3 { b'~' } else { b'*' }, count);
    }

    fn count(&mut self, sign: u8, count: usize) {
        self.head(sign, i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn head(&mut self, sign: u8, number: i64) {
        self.out.push(sign);
        if let Ok(digit @ 0..=9) = u8::try_from(number) {
            self.out.extend_from_slice(&[b'0' + digit, b'\r', b'\n']);
        } else {
            self.out
                .extend_from_slice(format_integer(number, &mut [0; 20]));
            self.out.extend_from_slice(b"\r\n");
        }
    }
}
