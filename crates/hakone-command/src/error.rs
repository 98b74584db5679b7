//! What can go wrong in a store.

use std::fmt;

/// The result of an operation that may fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed. Each says what, where, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The key is longer than [`crate::limits::KEY_BYTES_MAX`].
    KeyTooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
    /// The value is longer than [`crate::limits::VALUE_BYTES_MAX`].
    ValueTooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
    /// The records of one batch are larger together than [`crate::limits::BATCH_BYTES_MAX`].
    BatchTooLarge {
        /// Their size in bytes.
        bytes: u64,
    },
    /// The disk is full: writes are refused until there is room, reads go on.
    Full(String),
    /// An earlier sync failed: writes are refused until the cabinet is opened again, reads go on.
    Poisoned(String),
    /// The disk gave an error.
    Io(String),
    /// Bytes on the disk are not what was written there.
    Corrupt(String),
    /// Another process has the cabinet open.
    Locked(String),
    /// The cabinet or database was not opened or made the way it is used.
    Invalid(String),
    /// Something that a transaction has read was changed by others before its commit: nothing of it
    /// was done.
    Conflict(String),
    /// The operation is not one of this kind of database.
    Unsupported(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
        match self {
            Error::KeyTooLarge { bytes } => {
                write!(
                    f,
                    "key of {bytes} bytes is larger than the limit of {KEY_BYTES_MAX}"
                )
            }
            Error::ValueTooLarge { bytes } => {
                write!(
                    f,
                    "value of {bytes} bytes is larger than the limit of {VALUE_BYTES_MAX}"
                )
            }
            Error::BatchTooLarge { bytes } => {
                write!(
                    f,
                    "batch of {bytes} bytes is larger than the limit of {BATCH_BYTES_MAX}"
                )
            }
            Error::Full(what) => write!(
                f,
                "disk full, writes are refused until there is room: {what}"
            ),
            Error::Poisoned(what) => {
                write!(
                    f,
                    "writes are refused until the cabinet is reopened: {what}"
                )
            }
            Error::Io(what)
            | Error::Corrupt(what)
            | Error::Locked(what)
            | Error::Invalid(what)
            | Error::Conflict(what) => f.write_str(what),
            Error::Unsupported(what) => write!(f, "not supported by this kind of database: {what}"),
        }
    }
}

impl std::error::Error for Error {}
