//! Bytes of replies: what both dialects and remote calls have in common, and each one's form.

use super::{Request, date};
use hakone_command::Millis;
use std::io::Write;

/// What is answered to bytes that are no request, before the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// Why, in words.
    pub why: &'static str,
}

impl Refusal {
    pub(super) const TARGET_TOO_LONG: Refusal = Refusal::new(414, "the request line is too long");
    pub(super) const HEADERS_TOO_LARGE: Refusal = Refusal::new(431, "the headers are too large");
    pub(super) const BODY_TOO_LARGE: Refusal = Refusal::new(413, "the body is too large");
    pub(super) const EXPECTATION: Refusal = Refusal::new(417, "what is expected is not known");
    pub(super) const CODING: Refusal = Refusal::new(501, "the transfer coding is not known");
    pub(super) const VERSION: Refusal = Refusal::new(505, "the version is neither 1.0 nor 1.1");

    const fn new(status: u16, why: &'static str) -> Refusal {
        Refusal { status, why }
    }

    pub(super) const fn bad(why: &'static str) -> Refusal {
        Refusal::new(400, why)
    }
}

/// The words that go with a status.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        413 => "Request Entity Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        450 => "Logical Inconsistency",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// Writing to memory can't fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        let _ = write!($out, $($arguments)*);
    };
}

fn status_line(status: u16, out: &mut Vec<u8>) {
    put!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
}

/// Tells a client that waits for it to send the body.
pub fn go_on(out: &mut Vec<u8>) {
    status_line(100, out);
    out.extend_from_slice(b"\r\n");
}

/// A refusal in words, after which the connection closes.
pub fn refuse(refusal: Refusal, out: &mut Vec<u8>) {
    let Refusal { status, why } = refusal;
    status_line(status, out);
    let bytes = why.len() + 1;
    put!(
        out,
        "Content-Type: text/plain\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n{why}\n"
    );
}

/// Tyrant's reply without a value: its body is the words of the status.
pub fn tyrant_status(status: u16, out: &mut Vec<u8>) {
    let words = reason(status);
    tyrant_head(status, "text/plain", words.len() + 1, out);
    put!(out, "{words}\n");
}

/// The head of Tyrant's reply with a body of so many bytes.
pub fn tyrant_head(status: u16, content_type: &str, bytes: usize, out: &mut Vec<u8>) {
    status_line(status, out);
    put!(
        out,
        "Content-Type: {content_type}\r\nContent-Length: {bytes}\r\n\r\n"
    );
}

/// The server that Tycoon's replies name, as its clients know it.
pub const TYCOON_SERVER: &str = "KyotoTycoon/0.9.56b";

/// The head of a reply as Tycoon writes it.
#[derive(Clone, Copy, Debug)]
pub struct TycoonHead<'a> {
    /// The status.
    pub status: u16,
    /// The time.
    pub now: Millis,
    /// Whether the connection closes after it.
    pub close: bool,
    /// Bytes of the body; `None` leaves the header out, as replies to a remote call by HEAD do.
    pub bytes: Option<usize>,
    /// Further headers: in Tycoon's replies they stand in the order of their names.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> TycoonHead<'a> {
    /// With a body of so many bytes, in answer to this request.
    pub fn new(request: &Request<'_>, status: u16, bytes: usize, now: Millis) -> TycoonHead<'a> {
        TycoonHead {
            status,
            now,
            close: !request.keep_alive,
            bytes: Some(bytes),
            headers: &[],
        }
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        status_line(self.status, out);
        let date = date::http(self.now);
        put!(out, "Server: {TYCOON_SERVER}\r\nDate: {date}\r\n");
        if self.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        if let Some(bytes) = self.bytes {
            put!(out, "Content-Length: {bytes}\r\n");
        }
        for (name, value) in self.headers {
            put!(out, "{name}: ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
