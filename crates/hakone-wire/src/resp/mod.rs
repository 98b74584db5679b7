//! Redis' protocol: requests are arrays of byte strings, or lines typed by a person; replies are of
//! version 2 until a client asks for version 3.

mod client;
mod encode;
mod failure;
mod frame;
mod glob;
mod inline;
mod options;
mod reply;
mod server;
mod subcommands;
mod table;
mod translate;
pub mod verbs;

pub use client::{Client, Clients, Replies};
pub use encode::Writer;
pub use failure::{Failure, unknown_command};
pub use frame::{Decoder, Frame, ProtocolError};
pub use glob::Glob;
pub use inline::split;
pub use reply::{Shape, TimeLeft, encode, store_error};
pub use server::Filter;
pub use subcommands::{Subcommand, check, is_transactional, subcommands};
pub use table::{ROWS, Row, Verb, lookup};
pub use translate::{Constant, Request, Scan, translate};
