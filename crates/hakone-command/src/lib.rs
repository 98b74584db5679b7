//! What is asked of a database ([`Command`]), what became true ([`Change`]) and what is answered
//! ([`Reply`]), with the limits and errors that go with them.
//!
//! Every protocol, the command line and the embedded library are translated into these types and
//! back from them. Nothing here knows a file, a socket, a clock or a protocol.

mod change;
mod command;
mod decimal;
mod error;
mod fixed;
pub mod limits;
mod reply;
mod table;

pub use change::{Change, Value};
pub use command::{Amount, Command, Condition, End, ExpiryCondition, ExpirySet, Pair, Position};
pub use decimal::{Decimal, format_integer, format_unsigned, parse_integer};
pub use error::{Error, Result};
pub use fixed::Fixed;
pub use reply::{Next, Page, PageBuilder, Record, Reply};
pub use table::{COMMANDS, CommandClass, CommandInfo};

/// Milliseconds since the Unix epoch. Zero as an expiry means that the record never expires.
pub type Millis = u64;

/// A record's version: a hybrid logical clock, microseconds since the epoch in the upper 52 bits
/// and a counter in the lower 12. It rises with every write of a key. Zero is no version.
pub type Version = u64;

/// A place in the order of a cabinet: an epoch in the upper 16 bits, a counter in the lower 48.
pub type Lsn = u64;

/// What a database is indexed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// By hash: the fastest single reads and writes, no order.
    Hash,
    /// By key order: ranges, prefixes and cursors.
    Tree,
}

impl Kind {
    /// The word for it in options, catalogues and reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Hash => "hash",
            Kind::Tree => "tree",
        }
    }

    /// The kind that `name` says.
    pub fn from_name(name: &str) -> Option<Kind> {
        match name {
            "hash" => Some(Kind::Hash),
            "tree" => Some(Kind::Tree),
            _ => None,
        }
    }
}
