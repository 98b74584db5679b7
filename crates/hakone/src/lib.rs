//! Hakone: a key-value database on one crash-safe log.
//!
//! A [`Cabinet`] is a directory with one log and the databases in it. A [`Database`] is a named key
//! space, indexed by hash or as a B+ tree. Every write is one record appended to the log; indices
//! are derived from it.

#![expect(
    clippy::cast_possible_truncation,
    reason = "usize has 64 bits, and what is cut is an offset in a segment, a tag or a length"
)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("hakone needs a machine of 64 bits: logs are larger than 4 GiB");

mod checkpoint;
mod compaction;
mod index;
mod io;
mod keeper;
mod log;
#[cfg(test)]
mod model;
mod ops;
mod recovery;
mod store;
#[cfg(test)]
mod torture;

pub use hakone_command::{
    Command, Condition, Error, ExpiryCondition, ExpirySet, Form, Kind, Lsn, Millis, Next, Page,
    Pair, Position, Record, Reply, Result, Version, limits,
};

mod cabinet;
pub use cabinet::{Cabinet, CabinetStat, Database, DatabaseOptions, Durability, Options, now};
