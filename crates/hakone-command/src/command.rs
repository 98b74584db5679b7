//! What can be asked of a database.

use crate::{Decimal, Fixed, Millis, Version};
use std::ops::Bound;

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
    /// Read records from a position on: in key order on a tree or an array, in hash order on a
    /// hash. Answers `Page`. Where records are visited that do not count, a page may be empty and
    /// yet not be the last.
    Scan {
        /// Where to begin.
        from: Position<'a>,
        /// Which keys count. A hash visits every record, whatever the range.
        range: Range<'a>,
        /// Which way to go. A hash goes forward.
        direction: Direction,
        /// Which of the keys in the range count.
        filter: Filter<'a>,
        /// At most about so many records a page.
        limit: usize,
        /// Whether values are part of the page.
        values: bool,
    },
    /// How many records there are in a range, expired ones included until they are reclaimed.
    /// Trees and arrays. Answers `Number`.
    CountRange {
        /// Which keys count.
        range: Range<'a>,
    },
    /// Remove the records of a range from its start on, as one atomic batch. Trees and arrays.
    /// Answers `Number`, how many were removed: fewer than the limit if none is left.
    RemoveRange {
        /// Which keys.
        range: Range<'a>,
        /// At most so many records.
        limit: usize,
    },
    /// Write one more record of a key, whether it has some or none. Trees with duplicates. Answers
    /// `Stored`.
    PutDuplicate {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// Before the first or after the last record of the key.
        end: End,
        /// The expiry; 0 means never.
        expiry: Millis,
        /// Opaque flags kept with the record.
        flags: u32,
    },
    /// Write at the place of a record, or a duplicate of its key beside it. Trees and arrays.
    /// Answers `Placed`, or `Missing` where there is no such record any more.
    PutAt {
        /// The position of the record, as a page told it.
        position: &'a [u8],
        /// Where. `Before` and `After` need a tree with duplicates.
        place: Place,
        /// The value.
        value: &'a [u8],
        /// The expiry from then on.
        expiry: ExpirySet,
        /// Opaque flags kept with the record.
        flags: u32,
    },
    /// Remove the record at a position. Trees and arrays. Answers `Done` or `Missing`.
    RemoveAt {
        /// The position of the record, as a page told it.
        position: &'a [u8],
    },
}

/// A set of keys that are neighbours in a tree's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range<'a> {
    /// All keys.
    All,
    /// Keys that begin with these bytes. In an order other than that of bytes they are found by
    /// visiting all keys.
    Prefix(&'a [u8]),
    /// Keys from one bound to another, in the order of the database, the lesser first whatever the
    /// direction. None where they are the wrong way round.
    Between(Bound<&'a [u8]>, Bound<&'a [u8]>),
}

/// Which keys of a range a scan tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter<'a> {
    /// All of them.
    All,
    /// Those in which the POSIX extended regular expression matches somewhere.
    Regex(&'a [u8]),
    /// Those that so many edits at the most turn into a word: insertions, removals and
    /// substitutions (Levenshtein).
    Similar {
        /// The word.
        to: &'a [u8],
        /// How many edits.
        distance: u32,
        /// Whether characters of UTF-8 are edited, or bytes.
        utf8: bool,
    },
}

/// A way through a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first record to the last.
    Forward,
    /// From the last record to the first.
    Backward,
}

/// Where a `PutAt` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In place of the record.
    Current,
    /// A duplicate before it.
    Before,
    /// A duplicate after it.
    After,
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

/// Where a `Scan` begins, in the direction that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position<'a> {
    /// At the first record of the range; backward, at the last.
    Start,
    /// At this key or the next one. Trees and arrays only.
    At(&'a [u8]),
    /// Beyond this key. Trees and arrays only.
    After(&'a [u8]),
    /// Beyond this position, which a page told ([`crate::Page::position`]). Trees and arrays only.
    Resume(&'a [u8]),
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
            Command::CountRange { .. } => 18,
            Command::RemoveRange { .. } => 19,
            Command::PutDuplicate { .. } => 20,
            Command::PutAt { .. } => 21,
            Command::RemoveAt { .. } => 22,
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
            | Command::Touch { key, .. }
            | Command::PutDuplicate { key, .. } => Some(key),
            _ => None,
        }
    }
}
