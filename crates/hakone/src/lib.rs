//! Hakone: a key-value database on one crash-safe log.
//!
//! A [`Cabinet`] is a directory with one log and the databases in it. A [`Database`] is a named key
//! space, indexed by hash or as a B+ tree. Every write is one record appended to the log; indices
//! are derived from it.

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

pub use hakone_command::{
    Command, Condition, Error, ExpiryCondition, ExpirySet, Form, Kind, Lsn, Millis, Next, Page,
    Pair, Position, Record, Reply, Result, Version, limits,
};

mod cabinet;
pub use cabinet::{Cabinet, CabinetStat, Database, DatabaseOptions, Durability, Options, now};
