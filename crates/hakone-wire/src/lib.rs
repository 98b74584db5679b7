//! The protocols of Hakone, each a folder: bytes to requests, replies to bytes. Pure: no sockets, no
//! stores, no clocks, no threads; nothing here blocks.
//!
//! A new protocol is a folder and a line in [`Protocol`].

#![forbid(unsafe_code)]

pub mod base64;
pub mod http;
pub mod memcached;
pub mod resp;
pub mod tycoon;
pub mod tyrant;

mod protocol;
mod step;

pub use protocol::{Detected, Detector, Protocol};
pub use step::{REQUEST_BYTES_MAX, Step};
