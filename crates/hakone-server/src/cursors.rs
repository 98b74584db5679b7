//! Positions that clients hold: `SCAN` cursors on trees, and Tyrant's one iterator of a database.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Bytes of the keys that cursors stand for: 16 MiB, tens of thousands of scans at once with keys of
/// the usual size.
const BYTES_MAX: usize = 16 << 20;
/// Cursors that are kept, so that many short keys are bounded too.
const COUNT_MAX: usize = 64 << 10;

/// The keys that cursors of scans stand for, since a cursor is a number and a key is not. When there
/// are too many, the oldest is forgotten; a scan that comes back with it begins again, which the
/// protocol allows: keys may be returned twice.
#[derive(Debug)]
pub(crate) struct Cursors(Mutex<Table>);

#[derive(Debug)]
struct Table {
    /// The cursor of the oldest key.
    first: u64,
    keys: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Cursors {
    /// `seed` keeps the cursors of one start of the server apart from those of another.
    pub(crate) fn new(seed: u64) -> Cursors {
        // 2^53 is where the numbers of some clients end: seconds of 2^31 and 2^21 cursors each.
        let first = ((seed / 1000) % (1 << 31)) << 21;
        Cursors(Mutex::new(Table {
            first: first.max(1),
            keys: VecDeque::new(),
            bytes: 0,
        }))
    }

    /// A cursor that stands for `key`; never 0.
    pub(crate) fn hold(&self, key: &[u8]) -> u64 {
        let mut table = self.table();
        table.bytes += key.len();
        table.keys.push_back(key.into());
        let cursor = table.first + (table.keys.len() - 1) as u64;
        while table.bytes > BYTES_MAX || table.keys.len() > COUNT_MAX {
            if let Some(key) = table.keys.pop_front() {
                table.bytes -= key.len();
                table.first += 1;
            }
        }
        cursor
    }

    /// The key that `cursor` stands for, if it is not forgotten.
    pub(crate) fn key(&self, cursor: u64) -> Option<Vec<u8>> {
        let table = self.table();
        let index = usize::try_from(cursor.checked_sub(table.first)?).ok()?;
        table.keys.get(index).map(|key| key.to_vec())
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        // No call below can leave the table half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A position in a scan that outlives the bytes it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the first record.
    #[default]
    Start,
    /// After this key.
    After(Vec<u8>),
    /// Where the page of a hash ended.
    Cursor(u64),
    /// Behind the last record.
    End,
}

/// Tyrant's iterator of a database: one for all connections.
#[derive(Debug, Default)]
pub(crate) struct Iteration {
    /// Where the keys after those in `ahead` come from; `None` before the first `iterinit`.
    pub(crate) place: Option<Place>,
    /// Keys that were read ahead.
    pub(crate) ahead: VecDeque<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_stands_for_its_key_until_it_is_forgotten() {
        let cursors = Cursors::new(1_700_000_000_000);
        let first = cursors.hold(b"a");
        let second = cursors.hold(b"b");
        assert_ne!(first, second);
        assert_eq!(cursors.key(first).as_deref(), Some(&b"a"[..]));
        assert_eq!(cursors.key(second).as_deref(), Some(&b"b"[..]));
        assert_eq!(cursors.key(second + 1), None);
        assert_eq!(cursors.key(0), None);
        let large = vec![0; BYTES_MAX / 4];
        let last = (0..5).map(|_| cursors.hold(&large)).last().unwrap();
        assert_eq!(cursors.key(first), None);
        assert_eq!(cursors.key(last).map(|key| key.len()), Some(large.len()));
        assert!(last < 1 << 53);
    }

    #[test]
    fn no_cursor_is_zero() {
        assert_ne!(Cursors::new(0).hold(b""), 0);
    }
}
