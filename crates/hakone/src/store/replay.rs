//! Taking changes in that are read from the log again: the highest version of a key wins, whatever
//! the order.

use super::{Index, Store};
use crate::log::Address;
use crate::log::format::{Frame, FrameKind, u64_at};
use hakone_command::{Lsn, Result, Version};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// The ends of keys that were read from survivors: older puts of theirs may still come. From
/// changes, which come in their order, nothing need be remembered.
#[derive(Debug, Default)]
pub(crate) struct Graves(HashMap<(u32, Vec<u8>), Version>);

impl Graves {
    fn dig(&mut self, database: u32, key: &[u8], version: Version) {
        let grave = self.0.entry((database, key.to_vec())).or_default();
        *grave = version.max(*grave);
    }

    fn holds(&self, database: u32, key: &[u8], version: Version) -> bool {
        if self.0.is_empty() {
            return false;
        }
        self.0
            .get(&(database, key.to_vec()))
            .is_some_and(|grave| *grave >= version)
    }
}

impl Store {
    /// Takes in a change of a record. Returns whether its frame counts from now on, as a record or
    /// as the end of one.
    pub(crate) fn replay(
        &self,
        frame: &Frame<'_>,
        address: Address,
        lsn: Lsn,
        is_survivor: bool,
        graves: &mut Graves,
    ) -> Result<bool> {
        if frame.version <= self.cleared.load(Ordering::Relaxed) {
            return Ok(false);
        }
        Ok(match frame.kind {
            FrameKind::Put | FrameKind::PutPacked => {
                let counts = !graves.holds(self.id, frame.key, frame.version)
                    && match &self.index {
                        Index::Hash(index) => index.replay_put(self, frame, address, lsn)?,
                        Index::Tree(index) => index.replay_put(self, frame, address, lsn)?,
                    };
                if counts && frame.expiry != 0 {
                    self.deadlines.add(frame.expiry, address);
                }
                counts
            }
            FrameKind::Remove | FrameKind::Expire => {
                let version = match frame.kind {
                    FrameKind::Expire => u64_at(frame.value, 0).unwrap_or(0),
                    _ => frame.version,
                };
                self.log
                    .ends
                    .fetch_add(frame.bytes as u64, Ordering::Relaxed);
                if is_survivor {
                    graves.dig(self.id, frame.key, version);
                }
                match &self.index {
                    Index::Hash(index) => index.replay_remove(self, frame.key, version, lsn)?,
                    Index::Tree(index) => index.replay_remove(self, frame.key, version, lsn),
                }
                true
            }
            FrameKind::Clear => {
                match &self.index {
                    Index::Hash(index) => index.replay_clear(),
                    Index::Tree(index) => index.replay_clear(),
                }
                self.deadlines.clear();
                self.cleared.store(frame.version, Ordering::Relaxed);
                self.needs_recount.store(true, Ordering::Relaxed);
                true
            }
            _ => true,
        })
    }
}
