//! Hakone: a key-value database on one crash-safe log.
//!
//! A [`Cabinet`] is a directory with one log and the databases in it. A [`Database`] is a named key
//! space, indexed by hash or as a B+ tree. Every write is one record appended to the log; indices
//! are derived from it.
//!
//! ```
//! use hakone::{Cabinet, DatabaseOptions, Kind, Options};
//!
//! # let directory = std::env::temp_dir().join(format!("hakone-doc-{}", std::process::id()));
//! let cabinet = Cabinet::open(&directory, Options::default())?;
//! let options = DatabaseOptions::new(Kind::Tree);
//! let towns = cabinet.create("towns", options)?;
//! towns.put(b"hakone", b"kanagawa")?;
//! assert_eq!(towns.get(b"hakone")?.as_deref(), Some(&b"kanagawa"[..]));
//! assert!(towns.remove(b"hakone")?);
//! cabinet.close()?;
//! # std::fs::remove_dir_all(directory).unwrap();
//! # Ok::<(), hakone::Error>(())
//! ```
//!
//! Everything that a method does is a [`Command`], carried out by [`Database::call`]; there are more
//! commands than methods.

#![expect(
    clippy::cast_possible_truncation,
    reason = "usize has 64 bits, and what is cut is an offset in a segment, a tag or a length"
)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("hakone needs a machine of 64 bits: logs are larger than 4 GiB");

mod alter;
mod checkpoint;
mod compaction;
mod cursor;
mod index;
mod io;
mod keeper;
mod layers;
mod log;
pub mod matching;
#[cfg(test)]
mod model;
mod ops;
mod packing;
mod ranges;
mod reclaim;
mod records;
mod recovery;
mod snapshot;
mod store;
#[cfg(test)]
mod torture;
mod watch;

pub use hakone_command::{
    Amount, Command, Comparator, Compression, Condition, Decimal, Direction, End, Error,
    ExpiryCondition, ExpirySet, Filter, Fixed, Kind, Lsn, Millis, Next, Page, Pair, Place,
    Position, Range, Record, Reply, Result, Version, limits,
};
pub use reclaim::{LAG_BOUNDS, LagHistogram};

pub use cursor::{Cursor, Seek};
pub use ranges::Records;
pub use records::{OwnedRecord, PutOptions};
pub use snapshot::Snapshot;

mod cabinet;
mod transaction;
pub use cabinet::{
    Cabinet, CabinetStat, Database, DatabaseOptions, Durability, Guard, Options, Step, now,
};
pub use layers::{Elements, List};
pub use transaction::{Savepoint, Transaction, TransactionOptions};
pub use watch::{Event, EventKind, Interest, Mail, Watcher};
