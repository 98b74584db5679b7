//! A small blocking client of the Hakone server, over RESP3 on TCP or a Unix socket; and
//! [`transfer`], which moves records from and to servers of other kinds.
//!
//! [`Client::call`] sends one request and waits for its reply. [`Client::send`] and
//! [`Client::receive`] pipeline: send several, then receive as many, in the same order.
//!
//! ```no_run
//! use hakone_client::{Address, Client, Reply};
//!
//! let address: Address = "127.0.0.1:1978".parse()?;
//! let mut client = Client::connect(&address)?;
//! client.call(&[b"SET", b"tea", b"green"])?;
//! assert_eq!(client.call(&[b"GET", b"tea"])?, Reply::Bytes(b"green".to_vec()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod client;
mod command;
mod connection;
mod error;
mod input;
mod reply;
pub mod transfer;
mod url;

pub use address::{Address, BadAddress, PORT_DEFAULT};
pub use client::Client;
pub use connection::TIMEOUT_DEFAULT;
pub use error::{Error, Result};
pub use hakone_wire::base64;
pub use reply::Reply;
pub use url::{BadUrl, Scheme, ServerUrl};
