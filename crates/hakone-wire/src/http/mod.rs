//! HTTP/1: requests with their bodies, strictly read, and the replies to them.
//!
//! [`Decoder`] gives whole [`Message`]s: a [`Request`], or a [`Refusal`] after which the connection
//! closes. What a request means is not its business.

mod browser;
mod chunks;
pub mod date;
mod decode;
mod head;
pub mod reply;
pub mod rest;
mod target;

pub use browser::{foreign, is_http};
pub use decode::{Decoder, Message, Request};
pub use head::{Header, Method};
pub use reply::{Refusal, Responder};
pub use target::{origin_and_path, percent_decode};

use crate::REQUEST_BYTES_MAX;
use hakone_command::limits;

/// Bytes of a request line: 200 KiB, since the longest key, every byte of it escaped, takes 192 KiB.
/// Longer ones are answered 414.
pub const LINE_BYTES_MAX: usize = 200 << 10;

/// Bytes of all header lines together, and of all trailers: 16 KiB, what web servers commonly take.
/// More is answered 431.
pub const HEADER_BYTES_MAX: usize = 16 << 10;

/// Header lines of a request, and trailers: 64; clients send about ten. More is answered 431.
pub const HEADERS_MAX: usize = 64;

/// Bytes of the line before a chunk, its extensions included: 256; there are none that anyone uses.
/// Longer ones are answered 400.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Bytes of a body: 32 MiB, the largest value of the store. More is answered 413.
pub const BODY_BYTES_MAX: usize = limits::VALUE_BYTES_MAX;

/// Bytes of the body of a remote call: 127 MiB, what is left of the largest request; its values may
/// be encoded. More is answered 413.
pub const CALL_BYTES_MAX: usize = REQUEST_BYTES_MAX - (1 << 20);

/// What the path of a remote call begins with.
pub const CALL_PREFIX: &[u8] = b"/rpc/";
