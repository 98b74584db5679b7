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
mod kind;
pub mod limits;
mod reply;
mod table;

pub use change::{Change, Value};
pub use command::{
    Amount, Command, Condition, Direction, End, ExpiryCondition, ExpirySet, Filter, Pair, Place,
    Position, Range,
};
pub use decimal::{Decimal, format_integer, format_unsigned, parse_integer};
pub use error::{Error, Result};
pub use fixed::Fixed;
pub use kind::{Comparator, Compression, Kind};
pub use reply::{Next, Page, PageBuilder, Record, Reply};
pub use table::{COMMANDS, CommandClass, CommandInfo};

/// Milliseconds since the Unix epoch. Zero as an expiry means that the record never expires.
pub type Millis = u64;

/// A record's version: a hybrid logical clock, microseconds since the epoch in the upper 52 bits
/// and a counter in the lower 12. It rises with every write of a key. Zero is no version.
pub type Version = u64;

/// A place in the order of a cabinet: an epoch in the upper 16 bits, a counter in the lower 48.
pub type Lsn = u64;
