//! What is answered.

use crate::{Millis, Version};

/// The answer to one command. Borrows values from the log, so that they are copied once, by the
/// encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// It was done.
    Done,
    /// It was written, and the record now has this version (0 where several were written, or
    /// where an expiry in the past left no record).
    Stored(Version),
    /// There is no such record.
    Missing,
    /// A condition did not hold; nothing was changed.
    Refused,
    /// A count, a size or a sum.
    Number(i64),
    /// The sum as the record holds it now.
    Value(&'a [u8]),
    /// The value is not a number in the form asked for; nothing was changed.
    NotANumber,
    /// The sum does not fit; nothing was changed.
    Overflow,
    /// A record.
    Record(Record<'a>),
    /// Several records, absent ones as `None`.
    Records(&'a [Option<Record<'a>>]),
    /// The answer to a `Put` with `want_old`.
    Swapped {
        /// Whether the condition held and the new record was written.
        stored: bool,
        /// What was there before.
        old: Option<Record<'a>>,
    },
    /// A page of a scan.
    Page(&'a Page),
    /// The answer to a `PutAt`.
    Placed {
        /// The version of the record that was written.
        version: Version,
        /// Its position.
        position: &'a [u8],
    },
}

/// A record as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The value; may be empty where only a description was asked for.
    pub value: &'a [u8],
    /// The size of the value in bytes.
    pub value_bytes: u64,
    /// When it expires; 0 means never.
    pub expiry: Millis,
    /// The flags kept with it.
    pub flags: u32,
    /// Its version.
    pub version: Version,
}

impl Record<'_> {
    /// Whether the record has expired at `now`.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expiry != 0 && self.expiry <= now
    }
}

/// Where the next page of a scan begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is no next page.
    End,
    /// Beyond the position that [`Page::resume`] tells (trees and arrays), by
    /// [`crate::Position::Resume`].
    Resume,
    /// At this cursor (hashes).
    Cursor(u64),
}

/// A page of records, copied out of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Where the next page begins, if not after the last record of this one.
    resume: Vec<u8>,
    /// Where the next page begins.
    pub next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    start: usize,
    key_bytes: usize,
    /// 0: the position is the key.
    position_bytes: usize,
    value_kept: usize,
    value_bytes: u64,
    expiry: Millis,
    flags: u32,
    version: Version,
}

impl Page {
    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and records in scan order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Record<'_>)> + DoubleEndedIterator {
        self.entries.iter().map(|e| {
            let (key, rest) = self.bytes[e.start + e.position_bytes..].split_at(e.key_bytes);
            let record = Record {
                value: &rest[..e.value_kept],
                value_bytes: e.value_bytes,
                expiry: e.expiry,
                flags: e.flags,
                version: e.version,
            };
            (key, record)
        })
    }

    /// The position of the record at `index`: what finds it again and, among records of one key,
    /// tells it from the others. Opaque; on trees in the order of bytes without duplicates it is
    /// the key.
    ///
    /// # Panics
    /// If the page holds fewer records.
    pub fn position(&self, index: usize) -> &[u8] {
        let e = &self.entries[index];
        let bytes = match e.position_bytes {
            0 => e.key_bytes,
            bytes => bytes,
        };
        &self.bytes[e.start..e.start + bytes]
    }

    /// The position beyond which the next page begins, where `next` is [`Next::Resume`].
    pub fn resume(&self) -> Option<&[u8]> {
        match (self.next, self.len().checked_sub(1)) {
            (Next::End | Next::Cursor(_), _) => None,
            (Next::Resume, Some(last)) if self.resume.is_empty() => Some(self.position(last)),
            (Next::Resume, _) => Some(&self.resume),
        }
    }
}

/// Collects a [`Page`].
#[derive(Debug)]
pub struct PageBuilder(Page);

impl Default for PageBuilder {
    fn default() -> Self {
        PageBuilder(Page {
            bytes: Vec::new(),
            entries: Vec::new(),
            resume: Vec::new(),
            next: Next::End,
        })
    }
}

impl PageBuilder {
    /// Adds a record; the value as it is in `record`.
    pub fn push(&mut self, key: &[u8], record: &Record<'_>) {
        self.push_at(&[], key, record);
    }

    /// Adds a record whose position is not its key.
    pub fn push_at(&mut self, position: &[u8], key: &[u8], record: &Record<'_>) {
        let page = &mut self.0;
        page.entries.push(Entry {
            start: page.bytes.len(),
            key_bytes: key.len(),
            position_bytes: position.len(),
            value_kept: record.value.len(),
            value_bytes: record.value_bytes,
            expiry: record.expiry,
            flags: record.flags,
            version: record.version,
        });
        page.bytes.extend_from_slice(position);
        page.bytes.extend_from_slice(key);
        page.bytes.extend_from_slice(record.value);
    }

    /// How many records it holds so far.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether it holds none so far.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// How many bytes of keys and values it holds so far.
    pub fn bytes(&self) -> usize {
        self.0.bytes.len()
    }

    /// The page, going on beyond this position: for one that ends with records that do not count.
    pub fn finish_at(mut self, position: &[u8]) -> Page {
        self.0.resume.extend_from_slice(position);
        self.0.next = Next::Resume;
        self.0
    }

    /// The page, going on at `next`.
    pub fn finish(mut self, next: Next) -> Page {
        self.0.next = next;
        self.0
    }
}
