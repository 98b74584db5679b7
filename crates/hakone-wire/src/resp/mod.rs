//! Redis' protocol: requests are arrays of byte strings, or lines typed by a person; replies are of
//! version 2 until a client asks for version 3.

mod encode;
mod frame;
mod glob;
mod inline;
mod reply;
mod table;
mod translate;

pub use encode::Writer;
pub use frame::{Decoder, Frame, ProtocolError};
pub use glob::Glob;
pub use inline::{is_http, split};
pub use reply::{Shape, TimeLeft, encode, store_error};
pub use table::{ROWS, Row, Verb, lookup};
pub use translate::{Client, Failure, Request, Scan, translate, unknown_command};
