//! The protocols of Hakone, each a folder: bytes to requests, replies to bytes. Pure: no sockets, no
//! stores, no clocks, no threads; nothing here blocks.

#![forbid(unsafe_code)]

mod protocol;

pub use protocol::Protocol;
