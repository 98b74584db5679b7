//! What can be asked of a database.

use crate::{Millis, Version};

/// One request to one database. Borrows its bytes from the input it was decoded from.
///
/// Each variant has a row of the same order and name in [`crate::COMMANDS`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Read a record. Answers `Record` or `Missing`.
    Get {
        /// The key.
        key: &'a [u8],
    },
    /// Read several records as of one moment. Answers `Records`, one entry a key, in order.
    GetMany {
        /// The keys; a repeated one is answered as often.
        keys: Vec<&'a [u8]>,
    },
    /// Read a record's size, expiry, flags and version: as `Get`, but the reply's value may be
    /// left empty. Answers `Record` (trust `value_bytes`) or `Missing`.
    Describe {
        /// The key.
        key: &'a [u8],
    },
    /// How many of these keys have a record; a repeated key counts as often. Answers `Number`.
    Exists {
        /// The keys.
        keys: Vec<&'a [u8]>,
    },
    /// Write a record. Answers `Stored`, or `Refused` where the condition does not hold; with
    /// `want_old`, `Swapped`.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// When to write.
        condition: Condition,
        /// The expiry from then on.
        expiry: ExpirySet,
        /// Opaque flags kept with the record.
        flags: u32,
        /// Whether the record that was there is part of the reply.
        want_old: bool,
    },
    /// Write several records as one atomic batch. Answers `Stored`, or `Refused` (and writes
    /// nothing) if `if_none_exist` and one of them exists.
    PutMany {
        /// Keys and values; of a repeated key the last value stays.
        pairs: Vec<Pair<'a>>,
        /// Write only if none of the keys has a record.
        if_none_exist: bool,
    },
    /// Add bytes at the end of a value, creating the record if absent; keeps expiry and flags.
    /// Answers `Number`, the new size.
    Append {
        /// The key.
        key: &'a [u8],
        /// What to add.
        value: &'a [u8],
        /// Keep only so many bytes at the end. A record that was absent is stored whole.
        width: Option<u32>,
    },
    /// Remove a record. Answers `Done` or `Missing`; with `want_old`, `Record` or `Missing`.
    Remove {
        /// The key.
        key: &'a [u8],
        /// Whether the removed record is the reply.
        want_old: bool,
    },
    /// Remove several records as one atomic batch. Answers `Number`, how many there were.
    RemoveMany {
        /// The keys.
        keys: Vec<&'a [u8]>,
    },
    /// Add to an integer; keeps expiry and flags. Answers `Number`, the sum; `NotANumber` where
    /// the value is none; `Overflow` where the sum does not fit. An absent record counts as 0.
    Add {
        /// The key.
        key: &'a [u8],
        /// What to add.
        delta: i64,
        /// How the value holds the integer.
        form: Form,
    },
    /// Change a record's expiry. Answers `Done`, `Missing`, or `Refused` where the condition does
    /// not hold. An expiry that has passed removes the record.
    Touch {
        /// The key.
        key: &'a [u8],
        /// The new expiry; 0 means never.
        expiry: Millis,
        /// When to change it.
        condition: ExpiryCondition,
    },
    /// Remove all records. Answers `Number`, how many there were.
    Clear,
    /// How many records there are. Answers `Number`.
    Count,
    /// How many bytes the live records take. Answers `Number`.
    Bytes,
    /// Read records from a position on: in key order on a tree, in hash order on a hash. Answers
    /// `Page`.
    Scan {
        /// Where to begin.
        from: Position<'a>,
        /// Only keys that begin with this. On a hash every record is visited, so a page may be
        /// empty and yet not be the last.
        prefix: &'a [u8],
        /// At most about so many records a page.
        limit: usize,
        /// Whether values are part of the page.
        values: bool,
    },
}

/// A key and the value to be written for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

/// When a `Put` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever is there.
    Always,
    /// If there is no record.
    IfAbsent,
    /// If there is a record.
    IfPresent,
    /// If the record's version is this one.
    IfVersion(Version),
}

/// Which expiry a written record gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpirySet {
    /// The one of the record that is overwritten, none if there is none.
    Keep,
    /// This one; 0 means never. One that has passed stores nothing and removes what was there.
    At(Millis),
}

/// When a `Touch` changes the expiry. A record without expiry counts as expiring never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryCondition {
    /// Always.
    Always,
    /// If the record has no expiry.
    IfNone,
    /// If the record has an expiry.
    IfSome,
    /// If the new one is later.
    IfLater,
    /// If the new one is earlier.
    IfEarlier,
    /// If the record has an expiry and the new one is earlier.
    IfSomeEarlier,
}

/// How a value holds an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Four bytes, little-endian; sums wrap. Adding 0 to a record changes nothing.
    Int32,
    /// Decimal text of an i64; sums must fit.
    Decimal,
}

/// Where a `Scan` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position<'a> {
    /// At the first record.
    Start,
    /// At this key or the first one after it. Trees only.
    At(&'a [u8]),
    /// After this key. Trees only.
    After(&'a [u8]),
    /// Where an earlier page of a hash ended ([`crate::Next::Cursor`]).
    Cursor(u64),
}

impl<'a> Command<'a> {
    /// This command's row in [`crate::COMMANDS`].
    pub fn index(&self) -> usize {
        match self {
            Command::Get { .. } => 0,
            Command::GetMany { .. } => 1,
            Command::Describe { .. } => 2,
            Command::Exists { .. } => 3,
            Command::Put { .. } => 4,
            Command::PutMany { .. } => 5,
            Command::Append { .. } => 6,
            Command::Remove { .. } => 7,
            Command::RemoveMany { .. } => 8,
            Command::Add { .. } => 9,
            Command::Touch { .. } => 10,
            Command::Clear => 11,
            Command::Count => 12,
            Command::Bytes => 13,
            Command::Scan { .. } => 14,
        }
    }

    /// The key, where the command is about exactly one.
    pub fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Command::Get { key }
            | Command::Describe { key }
            | Command::Put { key, .. }
            | Command::Append { key, .. }
            | Command::Remove { key, .. }
            | Command::Add { key, .. }
            | Command::Touch { key, .. } => Some(key),
            _ => None,
        }
    }
}
