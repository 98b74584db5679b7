//! What can be asked of a database.

use crate::{Decimal, Fixed, Millis, Version};

/// One request to one database. Borrows its bytes from the input it was decoded from.
///
/// Each variant has a row of the same order and name in [`crate::COMMANDS`].
#[derive(Clone, Debug, PartialEq)]
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
        /// The expiry of all of them; 0 means never.
        expiry: Millis,
    },
    /// Add bytes at an end of a value; keeps the flags. Answers `Number`, the new size, or
    /// `Refused` where the condition does not hold. An absent record counts as empty.
    Append {
        /// The key.
        key: &'a [u8],
        /// What to add.
        value: &'a [u8],
        /// Where.
        end: End,
        /// Keep only so many bytes at the back. A record that was absent is stored whole.
        width: Option<u32>,
        /// When to write.
        condition: Condition,
        /// The expiry from then on.
        expiry: ExpirySet,
    },
    /// Write bytes into a value from an offset on, zeros before them where it is shorter; keeps
    /// expiry and flags. Answers `Number`, the new size. No bytes change nothing.
    WriteAt {
        /// The key; an absent record counts as empty.
        key: &'a [u8],
        /// Where in the value, in bytes.
        offset: usize,
        /// What to write.
        value: &'a [u8],
    },
    /// Replace a value if it is the expected one. Answers `Stored`; `Done` where no record is
    /// wanted and there is none now; `Refused` where another value is there. Sets flags to 0.
    CompareSwap {
        /// The key.
        key: &'a [u8],
        /// The value that is expected; `None`: no record.
        old: Option<&'a [u8]>,
        /// The value that is wanted; `None`: no record.
        new: Option<&'a [u8]>,
        /// The expiry from then on.
        expiry: ExpirySet,
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
    /// Add to a number; keeps the flags. Answers `Number`, the sum, or `Value`, the sum as the
    /// record holds it (see [`Amount`]); `NotANumber` where the value is none; `Overflow` where the
    /// sum does not fit; `Missing` where an absent record does not count as a number.
    Add {
        /// The key.
        key: &'a [u8],
        /// What to add, and how the value holds it.
        amount: Amount,
        /// What an absent record counts as, in the same form; `None`: it is not made.
        absent: Option<Amount>,
        /// The expiry from then on.
        expiry: ExpirySet,
    },
    /// Change a record's expiry, which gives it a new version. Answers `Done`, or `Record` as it
    /// is then; `Missing`; or `Refused` where the condition does not hold. An expiry that has
    /// passed removes the record.
    Touch {
        /// The key.
        key: &'a [u8],
        /// The new expiry; 0 means never.
        expiry: Millis,
        /// When to change it.
        condition: ExpiryCondition,
        /// Whether the record is the reply.
        want: bool,
    },
    /// Give the value, expiry and flags of one record to another key. Answers `Done`; `Missing`
    /// where there is nothing to copy; `Refused` where `to` has a record that is not to be
    /// replaced.
    Copy {
        /// The key to copy from.
        key: &'a [u8],
        /// The key to copy to.
        to: &'a [u8],
        /// Whether a record of `to` is replaced.
        replace: bool,
        /// Whether the record of `key` is removed, all in one batch.
        remove: bool,
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

/// An end of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Before its first byte.
    Front,
    /// After its last byte.
    Back,
}

/// What is added to a number, and how its value holds it. With the binary forms, adding zero to a
/// record that is there only reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Four bytes, little-endian; sums wrap. Answers `Number`.
    Int32(i32),
    /// Eight bytes, big-endian; sums wrap. Answers `Number`.
    Int64(i64),
    /// Decimal text of an i64; sums must fit. Answers `Number`.
    Decimal(i64),
    /// Decimal text of a u64, blanks behind it allowed; sums wrap. Answers `Value`.
    Up(u64),
    /// As `Up`, but subtracted, and never below 0. Answers `Value`.
    Down(u64),
    /// Eight bytes of an IEEE 754 double, little-endian. Answers `Value`.
    Double(f64),
    /// Sixteen bytes, see [`Fixed`]; a sum that is not a number is not stored. Answers `Value`.
    Fixed(Fixed),
    /// Decimal text with a fraction; the sum must be finite. Answers `Value`.
    Float(Decimal),
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
    /// Anywhere: each number picks a place, and random numbers pick all records about alike. There
    /// may be none from there on, though there are others before.
    Random(u64),
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
            Command::WriteAt { .. } => 7,
            Command::CompareSwap { .. } => 8,
            Command::Remove { .. } => 9,
            Command::RemoveMany { .. } => 10,
            Command::Add { .. } => 11,
            Command::Touch { .. } => 12,
            Command::Copy { .. } => 13,
            Command::Clear => 14,
            Command::Count => 15,
            Command::Bytes => 16,
            Command::Scan { .. } => 17,
        }
    }

    /// The key, where the command is about exactly one.
    pub fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Command::Get { key }
            | Command::Describe { key }
            | Command::Put { key, .. }
            | Command::Append { key, .. }
            | Command::WriteAt { key, .. }
            | Command::CompareSwap { key, .. }
            | Command::Remove { key, .. }
            | Command::Add { key, .. }
            | Command::Touch { key, .. } => Some(key),
            _ => None,
        }
    }
}
