//! What a transaction has read, to be checked when it commits.

use hakone_command::limits::TRANSACTION_READ_BYTES_MAX;
use hakone_command::{Error, Result, Version};
use std::collections::HashMap;
use std::ops::Bound;

/// The reads of a transaction, by database.
#[derive(Debug, Default)]
pub(super) struct Reads {
    databases: Vec<Found>,
    /// Bytes of memory that they take, about.
    bytes: usize,
}

/// What was found in one database.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Of each stored key.
    pub(super) keys: HashMap<Vec<u8>, Seen>,
    pub(super) ranges: Vec<RangeFound>,
    /// How many records there were.
    pub(super) count: Option<u64>,
}

/// What was found under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its version; 0: there was no record, or one that had expired.
    pub(super) version: Version,
    /// Whether the index led to a record, expired or not.
    pub(super) is_indexed: bool,
}

/// The records that were found between two stored keys, in their order, the expired ones left out.
#[derive(Debug)]
pub(super) struct RangeFound {
    pub(super) from: Bound<Vec<u8>>,
    pub(super) to: Bound<Vec<u8>>,
    pub(super) records: Vec<(Vec<u8>, Version)>,
}

/// Bytes that a remembered key takes beside itself.
const ENTRY_BYTES: usize = 64;

impl Reads {
    /// Makes room for one more database.
    pub(super) fn add_database(&mut self) {
        self.databases.push(Found::default());
    }

    pub(super) fn of(&self, at: usize) -> &Found {
        &self.databases[at]
    }

    /// Notes what was found under a key. Returns false if something else was found before.
    pub(super) fn note_key(&mut self, at: usize, key: &[u8], seen: Seen) -> Result<bool> {
        let keys = &mut self.databases[at].keys;
        if let Some(before) = keys.get(key) {
            return Ok(before.version == seen.version);
        }
        keys.insert(key.to_vec(), seen);
        self.grow(key.len() + ENTRY_BYTES)?;
        Ok(true)
    }

    /// Notes how many records there were. Returns false if it was another number before.
    pub(super) fn note_count(&mut self, at: usize, count: u64) -> bool {
        *self.databases[at].count.get_or_insert(count) == count
    }

    /// Notes what was found in a range.
    pub(super) fn note_range(&mut self, at: usize, range: RangeFound) -> Result<()> {
        let each = range.records.iter().map(|(key, _)| key.len() + ENTRY_BYTES);
        let bytes = ENTRY_BYTES + each.sum::<usize>();
        self.databases[at].ranges.push(range);
        self.grow(bytes)
    }

    fn grow(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.bytes > TRANSACTION_READ_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "the transaction remembers {} bytes of what it has read, more than the limit of \
                 {TRANSACTION_READ_BYTES_MAX}: read less in one transaction, or from a snapshot",
                self.bytes
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut reads = Reads::default();
        reads.add_database();
        let seen = Seen {
            version: 1,
            is_indexed: true,
        };
        let fits = (TRANSACTION_READ_BYTES_MAX / (60_000 + ENTRY_BYTES)) as u32;
        let mut key = vec![0; 60_000];
        for i in 0..=fits {
            key[..4].copy_from_slice(&i.to_le_bytes());
            let noted = reads.note_key(0, &key, seen);
            assert_eq!(noted.is_ok(), i < fits, "{i} of {fits}");
        }
    }

    #[test]
    fn a_record_that_has_changed_since_is_noticed() {
        let mut reads = Reads::default();
        reads.add_database();
        let seen = |version| Seen {
            version,
            is_indexed: version != 0,
        };
        assert_eq!(reads.note_key(0, b"k", seen(7)), Ok(true));
        assert_eq!(reads.note_key(0, b"k", seen(7)), Ok(true));
        assert_eq!(reads.note_key(0, b"k", seen(8)), Ok(false));
        assert_eq!(reads.of(0).keys[&b"k"[..]], seen(7), "the first one counts");
    }
}
