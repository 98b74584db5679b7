//! Writes that address a record by its position, and those beside it.

use super::{Live, TreeStore};
use crate::index::tree::Tree;
use crate::store::{Store, version_at};
use crate::watch::{EventKind, Rings};
use hakone_command::{
    Command, Error, ExpirySet, Lsn, Millis, Place, Reply, Result, Value, Version,
};
use std::sync::atomic::Ordering;

/// A record to be written.
struct Written<'a> {
    key: &'a [u8],
    value: &'a [u8],
    expiry: Millis,
    flags: u32,
}

impl TreeStore {
    /// Carries out a `PutDuplicate`, `PutAt` or `RemoveAt`.
    pub(super) fn write_beside(
        &self,
        store: &Store,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        let mut rings = Rings::default();
        match *command {
            Command::PutDuplicate {
                key,
                value,
                end,
                expiry,
                flags,
            } => {
                let mut tree = self.write();
                let live = Live::new(&tree, now);
                let stored = self.codec.duplicate(key, end, &live)?;
                let written = Written {
                    key: &stored,
                    value,
                    expiry,
                    flags,
                };
                let version = self.put_stored(store, &mut tree, &written, now, &mut rings)?;
                answer(Reply::Stored(version));
                Ok(self.stripe(&stored).load(Ordering::Relaxed))
            }
            Command::PutAt {
                position,
                place,
                value,
                expiry,
                flags,
            } => {
                let mut tree = self.write();
                let live = Live::new(&tree, now);
                let last = || self.stripe(position).load(Ordering::Relaxed);
                let Some(there) = live.get(position) else {
                    answer(Reply::Missing);
                    return Ok(last());
                };
                let stored = self.codec.beside(position, place, &live)?;
                let written = Written {
                    key: &stored,
                    value,
                    expiry: match expiry {
                        ExpirySet::At(expiry) => expiry,
                        ExpirySet::Keep if place == Place::Current => there.expiry,
                        ExpirySet::Keep => 0,
                    },
                    flags,
                };
                let version = self.put_stored(store, &mut tree, &written, now, &mut rings)?;
                answer(Reply::Placed {
                    version,
                    position: &stored,
                });
                Ok(last())
            }
            Command::RemoveAt { position } => {
                let mut tree = self.write();
                let there = Live::new(&tree, now).get(position);
                if there.is_some() {
                    let placed = store.log_remove(position, now)?;
                    answer(Reply::Done);
                    self.unpublish(store, &mut tree, position, placed);
                    store.tell(&mut rings, EventKind::Remove, position, placed);
                } else {
                    answer(Reply::Missing);
                }
                Ok(self.stripe(position).load(Ordering::Relaxed))
            }
            _ => Err(Error::Unsupported("this command")),
        }
    }

    /// Puts a record under a stored key; none, where its expiry has passed. Returns its version.
    fn put_stored(
        &self,
        store: &Store,
        tree: &mut Tree,
        written: &Written<'_>,
        now: Millis,
        rings: &mut Rings,
    ) -> Result<Version> {
        let Written {
            key,
            value,
            expiry,
            flags,
        } = *written;
        store.check_width(value.len())?;
        if expiry == 0 || expiry > now {
            let value = Value::whole(value);
            let packed = store.packing.pack(value);
            let draft = store.put_draft(key, &packed, expiry, flags);
            let placed = store.log.append(draft, version_at(now))?;
            self.publish(store, tree, key, value, expiry, flags, placed);
            store.tell(rings, EventKind::Put, key, placed);
            return Ok(placed.version);
        }
        if tree.get(key).is_some() {
            let placed = store.log_remove(key, now)?;
            self.unpublish(store, tree, key, placed);
            store.tell(rings, EventKind::Remove, key, placed);
        }
        Ok(0)
    }
}
