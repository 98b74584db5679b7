//! Where a transaction's commands are decided: over its own writes, and what it reads below them.

use super::conflict;
use super::overlay::{Overlay, Written};
use super::reads::{Reads, Seen};
use crate::Database;
use crate::store::Store;
use crate::store::batch::{Copied, Desk, There, What};
use crate::store::keys::Span;
use hakone_command::{Millis, Result};
use std::borrow::Cow;
use std::cell::RefCell;

pub(super) struct Seat<'t> {
    pub(super) databases: &'t [Database],
    pub(super) overlay: &'t mut Overlay,
    /// In a cell, for a read is remembered.
    pub(super) reads: RefCell<&'t mut Reads>,
    pub(super) now: Millis,
}

impl Seat<'_> {
    /// Reads a record below the transaction's writes, and remembers what was there.
    fn read(&self, at: usize, key: &[u8]) -> Result<(Option<Copied>, Seen)> {
        let mut copied = None;
        let store = self.databases[at].store();
        store.peek(key, &mut |record| copied = Some(Copied::of(&record)))?;
        let is_indexed = copied.is_some();
        let live = copied.filter(|copied| !copied.record().is_expired(self.now));
        let version = live.as_ref().map_or(0, |live| live.version);
        let seen = Seen {
            version,
            is_indexed,
        };
        if !self.reads.borrow_mut().note_key(at, key, seen)? {
            return Err(conflict(&self.databases[at], Some(key)));
        }
        Ok((live, seen))
    }

    /// Whether the index leads to a record of this key, expired or not.
    fn is_indexed(&self, at: usize, key: &[u8]) -> Result<bool> {
        let seen = self.reads.borrow().of(at).keys.get(key).copied();
        Ok(match seen {
            Some(seen) => seen.is_indexed,
            None => self.read(at, key)?.1.is_indexed,
        })
    }
}

impl<'a> Desk<'a> for Seat<'_> {
    fn now(&self) -> Millis {
        self.now
    }

    fn store(&self, at: usize) -> &Store {
        self.databases[at].store()
    }

    fn edge(&self, at: usize, span: &Span<'_>, highest: bool) -> Result<Option<Vec<u8>>> {
        let mut edge = None;
        self.walk(at, span.clone(), highest, false, &mut |key, _| {
            edge = Some(key.to_vec());
            Ok(false)
        })?;
        Ok(edge)
    }

    fn live(&self, at: usize, key: &[u8]) -> Result<Option<There<'_>>> {
        Ok(match self.overlay.get(at, key) {
            Some(Written::Put {
                value,
                expiry,
                flags,
            }) => {
                let there = There::Changed {
                    value,
                    expiry: *expiry,
                    flags: *flags,
                };
                let expired = there.record()?.is_expired(self.now);
                (!expired).then_some(there)
            }
            Some(Written::Remove) => None,
            None if self.overlay.layer(at).cleared => None,
            None => self.read(at, key)?.0.map(There::Copied),
        })
    }

    fn set(&mut self, at: usize, key: Cow<'a, [u8]>, what: What<'a>) -> Result<()> {
        self.overlay.set(at, key.into_owned(), Written::from(what))
    }

    fn count(&self, at: usize) -> Result<u64> {
        let layer = self.overlay.layer(at);
        let mut count = 0;
        if !layer.cleared {
            count = self.databases[at].store().count()?;
            if !self.reads.borrow_mut().note_count(at, count) {
                return Err(conflict(&self.databases[at], None));
            }
        }
        for (key, entry) in &layer.writes {
            let was_there = !layer.cleared && self.is_indexed(at, key)?;
            match (&entry.written, was_there) {
                (Written::Put { .. }, false) => count += 1,
                // Where it was removed by others since it was counted, the commit finds that out.
                (Written::Remove, true) => count = count.saturating_sub(1),
                _ => {}
            }
        }
        Ok(count)
    }

    fn clear(&mut self, at: usize) -> Result<()> {
        self.overlay.clear(at)
    }
}
