//! Bytes of replies: what both dialects and remote calls have in common, and each one's form.

use super::{Method, Request, date};
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

/// Tyrant's reply where only the head is asked for and there is nothing to tell of: the status.
pub fn tyrant_bare(status: u16, out: &mut Vec<u8>) {
    status_line(status, out);
    out.extend_from_slice(b"\r\n");
}

/// The head of Tyrant's reply with a body of so many bytes.
pub fn tyrant_head(status: u16, content_type: &str, bytes: usize, out: &mut Vec<u8>) {
    status_line(status, out);
    put!(
        out,
        "Content-Type: {content_type}\r\nContent-Length: {bytes}\r\n\r\n"
    );
}

/// Tyrant's reply to OPTIONS: what may be asked, and the named values that tell of the server.
pub fn tyrant_options<'a>(values: impl Iterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    status_line(200, out);
    out.extend_from_slice(b"Content-Length: 0\r\n");
    out.extend_from_slice(b"Allow: OPTIONS, GET, HEAD, PUT, POST, DELETE\r\n");
    for (name, value) in values {
        put!(out, "X-TT-{}: {value}\r\n", name.to_ascii_uppercase());
    }
    out.extend_from_slice(b"\r\n");
}

/// The server that Tycoon's replies name, as its clients know it.
pub const TYCOON_SERVER: &str = "KyotoTycoon/0.9.56b";

/// What a reply depends on beside what it says. May outlive its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responder {
    /// Only the head of the reply is asked for.
    pub head_only: bool,
    /// The connection closes after the reply.
    pub close: bool,
}

impl Responder {
    /// For the reply to this request.
    pub fn of(request: &Request<'_>) -> Responder {
        Responder {
            head_only: request.method == Method::Head,
            close: !request.keep_alive,
        }
    }

    /// The head of a reply as Tycoon writes it, for a body of so many bytes; `None` says nothing of
    /// a body, as replies to remote calls do if only the head is asked for. Tycoon puts further
    /// headers in the order of their names.
    pub fn tycoon(
        self,
        status: u16,
        bytes: Option<usize>,
        headers: &[(&str, &[u8])],
        now: Millis,
        out: &mut Vec<u8>,
    ) {
        status_line(status, out);
        let date = date::http(now);
        put!(out, "Server: {TYCOON_SERVER}\r\nDate: {date}\r\n");
        if self.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        if let Some(bytes) = bytes {
            put!(out, "Content-Length: {bytes}\r\n");
        }
        for (name, value) in headers {
            put!(out, "{name}: ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}
