//! What a transaction has written, over the records of its databases, and how to undo it.

use crate::store::batch::{HEADER_BYTES, What};
use hakone_command::limits::BATCH_BYTES_MAX;
use hakone_command::{Error, Millis, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is to become true of a key.
#[derive(Clone, Debug)]
pub(super) enum Written {
    Put {
        value: Vec<u8>,
        expiry: Millis,
        flags: u32,
    },
    Remove,
}

/// The writes of a transaction, by database and stored key.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    layers: Vec<Layer>,
    /// Bytes that they take in the log, about.
    bytes: usize,
    /// What gives older writes back, oldest first.
    undo: Vec<Undo>,
    undo_bytes: usize,
    /// The newest savepoint that can be rolled back to; 0: none.
    savepoint: u64,
}

/// The writes to one database.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) writes: BTreeMap<Vec<u8>, Entry>,
    /// All records that were there before are removed.
    pub(super) cleared: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) written: Written,
    /// The newest savepoint when it was written.
    savepoint: u64,
}

#[derive(Debug)]
enum Undo {
    Write {
        at: usize,
        key: Vec<u8>,
        before: Option<Entry>,
    },
    Clear {
        at: usize,
        before: Layer,
    },
}

impl From<What<'_>> for Written {
    fn from(what: What<'_>) -> Written {
        match what {
            What::Put {
                value,
                expiry,
                flags,
            } => Written::Put {
                value: value.into_owned(),
                expiry,
                flags,
            },
            What::Remove => Written::Remove,
        }
    }
}

impl Written {
    pub(super) fn what(&self) -> What<'_> {
        match self {
            Written::Put {
                value,
                expiry,
                flags,
            } => What::Put {
                value: Cow::Borrowed(value),
                expiry: *expiry,
                flags: *flags,
            },
            Written::Remove => What::Remove,
        }
    }
}

fn bytes_of(key: &[u8], entry: &Entry) -> usize {
    let value = match &entry.written {
        Written::Put { value, .. } => value.len(),
        Written::Remove => 0,
    };
    key.len() + value + HEADER_BYTES
}

impl Layer {
    fn bytes(&self) -> usize {
        let writes = self.writes.iter();
        writes.map(|(key, entry)| bytes_of(key, entry)).sum()
    }
}

impl Overlay {
    /// Makes room for one more database.
    pub(super) fn add_database(&mut self) {
        self.layers.push(Layer::default());
    }

    pub(super) fn layer(&self, at: usize) -> &Layer {
        &self.layers[at]
    }

    /// What the transaction has made of a key; `None`: nothing.
    pub(super) fn get(&self, at: usize, key: &[u8]) -> Option<&Written> {
        Some(&self.layers[at].writes.get(key)?.written)
    }

    /// Notes what is to become true of a key.
    ///
    /// # Errors
    /// `BatchTooLarge` if all of it, or what savepoints give back, is more than one batch.
    pub(super) fn set(&mut self, at: usize, key: Vec<u8>, written: Written) -> Result<()> {
        let savepoint = self.savepoint;
        let entry = Entry { written, savepoint };
        self.bytes += bytes_of(&key, &entry);
        let before = self.layers[at].writes.insert(key.clone(), entry);
        if let Some(before) = &before {
            self.bytes -= bytes_of(&key, before);
        }
        // What was written since the newest savepoint is undone by what it has replaced itself.
        let is_new = before.as_ref().is_none_or(|b| b.savepoint != savepoint);
        if savepoint != 0 && is_new {
            self.undo_bytes += HEADER_BYTES + key.len();
            self.undo_bytes += before.as_ref().map_or(0, |before| bytes_of(&key, before));
            self.undo.push(Undo::Write { at, key, before });
        }
        self.check()
    }

    /// Notes that the database is to have no records.
    pub(super) fn clear(&mut self, at: usize) -> Result<()> {
        let cleared = Layer {
            writes: BTreeMap::new(),
            cleared: true,
        };
        let before = std::mem::replace(&mut self.layers[at], cleared);
        let bytes = before.bytes();
        self.bytes -= bytes;
        if self.savepoint != 0 {
            self.undo_bytes += bytes + HEADER_BYTES;
            self.undo.push(Undo::Clear { at, before });
        }
        self.check()
    }

    fn check(&self) -> Result<()> {
        let bytes = self.bytes.max(self.undo_bytes);
        if bytes > BATCH_BYTES_MAX {
            let bytes = bytes as u64;
            return Err(Error::BatchTooLarge { bytes });
        }
        Ok(())
    }

    /// Makes a savepoint, the newest from now on. Returns its place for [`Overlay::roll_back`].
    pub(super) fn mark(&mut self, savepoint: u64) -> usize {
        self.savepoint = savepoint;
        self.undo.len()
    }

    /// Undoes what was written since the savepoint at this place, which is the newest then.
    pub(super) fn roll_back(&mut self, savepoint: u64, place: usize) {
        for undo in self.undo.drain(place..).rev() {
            match undo {
                Undo::Write { at, key, before } => {
                    self.undo_bytes -= HEADER_BYTES + key.len();
                    let gone = self.layers[at].writes.remove(&key);
                    self.bytes -= gone.map_or(0, |gone| bytes_of(&key, &gone));
                    if let Some(before) = before {
                        let bytes = bytes_of(&key, &before);
                        self.undo_bytes -= bytes;
                        self.bytes += bytes;
                        self.layers[at].writes.insert(key, before);
                    }
                }
                Undo::Clear { at, before } => {
                    let bytes = before.bytes();
                    self.undo_bytes -= bytes + HEADER_BYTES;
                    self.bytes += bytes;
                    let gone = std::mem::replace(&mut self.layers[at], before);
                    self.bytes -= gone.bytes();
                }
            }
        }
        self.savepoint = savepoint;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::chance::Chance;

    /// The writes as they are seen: of each key its value, or none.
    type Seen = Vec<(bool, Vec<(Vec<u8>, Option<Vec<u8>>)>)>;

    fn seen(overlay: &Overlay) -> Seen {
        let each = overlay.layers.iter().map(|layer| {
            let writes = layer.writes.iter().map(|(key, entry)| {
                let value = match &entry.written {
                    Written::Put { value, .. } => Some(value.clone()),
                    Written::Remove => None,
                };
                (key.clone(), value)
            });
            (layer.cleared, writes.collect())
        });
        each.collect()
    }

    fn bytes(overlay: &Overlay) -> usize {
        overlay.layers.iter().map(Layer::bytes).sum()
    }

    /// Savepoints are made and rolled back to at random; what is seen then is what was seen when
    /// they were made.
    #[test]
    fn a_rollback_gives_back_what_was_there_at_its_savepoint() {
        for seed in 0..300 {
            let mut chance = Chance::new(seed);
            let mut overlay = Overlay::default();
            (0..2).for_each(|_| overlay.add_database());
            let mut savepoints: Vec<(u64, usize, Seen)> = Vec::new();
            for step in 1..60 {
                let at = chance.index(2);
                let key = vec![b'0' + chance.below(4) as u8];
                match chance.below(12) {
                    0..=1 => savepoints.push((step, overlay.mark(step), seen(&overlay))),
                    2..=3 if !savepoints.is_empty() => {
                        savepoints.truncate(1 + chance.index(savepoints.len()));
                        let (savepoint, place, expected) = savepoints.last().unwrap();
                        overlay.roll_back(*savepoint, *place);
                        assert_eq!(seen(&overlay), *expected, "seed {seed}, step {step}");
                    }
                    4 => overlay.clear(at).unwrap(),
                    5..=6 => overlay.set(at, key, Written::Remove).unwrap(),
                    _ => {
                        let value = vec![0; chance.index(9)];
                        let (expiry, flags) = (0, 0);
                        let put = Written::Put {
                            value,
                            expiry,
                            flags,
                        };
                        overlay.set(at, key, put).unwrap();
                    }
                }
                assert_eq!(overlay.bytes, bytes(&overlay), "seed {seed}, step {step}");
            }
            overlay.roll_back(0, 0);
            assert_eq!(overlay.undo_bytes, 0, "seed {seed}");
        }
    }

    #[test]
    fn more_than_a_batch_is_refused() {
        let mut overlay = Overlay::default();
        overlay.add_database();
        let put = || Written::Put {
            value: vec![0; 10 << 20],
            expiry: 0,
            flags: 0,
        };
        for i in 0..20 {
            let is_one_key = i % 2 == 0;
            let key = if is_one_key { vec![0] } else { vec![i] };
            let set = overlay.set(0, key, put());
            assert_eq!(set.is_ok(), i < 11, "{i}");
            if set.is_err() {
                break;
            }
        }
        // What savepoints give back is bounded too.
        let mut overlay = Overlay::default();
        overlay.add_database();
        let refused = (1..20).find(|savepoint| {
            overlay.mark(*savepoint);
            overlay.set(0, vec![0], put()).is_err()
        });
        assert_eq!(refused, Some(8));
    }
}
