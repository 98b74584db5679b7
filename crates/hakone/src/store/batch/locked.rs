//! The locks of a batch: databases in the order of their ids, then keys in the index's order, so
//! that no two batches wait for each other.

use super::Old;
use super::desk::There;
use crate::index::tree::Tree;
use crate::store::hash::{HashStore, WriteLocked};
use crate::store::keys::Span;
use crate::store::tree::{TreeStore, View, described, way};
use crate::store::{Index, Store};
use hakone_command::{Lsn, Millis, Result};
use std::borrow::Cow;
use std::sync::RwLockWriteGuard;

/// What of a database is to be locked.
pub(super) struct Wanted<'a> {
    pub(super) store: &'a Store,
    /// Stored keys.
    pub(super) keys: Vec<Cow<'a, [u8]>>,
    /// Everything, whatever the keys.
    pub(super) all: bool,
}

/// What of several databases is to be locked.
#[derive(Default)]
pub(super) struct Plan<'a>(Vec<Wanted<'a>>);

/// A database with the locks of the batch's keys.
pub(super) struct Locked<'a> {
    pub(super) store: &'a Store,
    pub(super) index: LockedIndex<'a>,
    keys: Vec<Cow<'a, [u8]>>,
    all: bool,
    /// Whether a step has removed all records.
    pub(super) cleared: bool,
}

pub(super) enum LockedIndex<'a> {
    Hash(&'a HashStore, WriteLocked<'a>),
    Tree(&'a TreeStore, RwLockWriteGuard<'a, Tree>),
}

impl<'a> Plan<'a> {
    /// What is wanted of a database so far.
    pub(super) fn of(&mut self, store: &'a Store) -> &mut Wanted<'a> {
        let there = self.0.iter().position(|there| there.store.id == store.id);
        let at = there.unwrap_or_else(|| {
            self.0.push(Wanted {
                store,
                keys: Vec::new(),
                all: false,
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Wants all of a database that is to be cleared, and of its hidden trees.
    pub(super) fn want_all(&mut self, store: &'a Store) {
        self.of(store).all = true;
        for layer in store.layers() {
            self.of(layer).all = true;
        }
    }

    /// Locks it all.
    pub(super) fn lock(mut self) -> Vec<Locked<'a>> {
        self.0.sort_by_key(|wanted| wanted.store.id);
        self.0.into_iter().map(Locked::new).collect()
    }
}

impl<'a> Wanted<'a> {
    /// Adds the records of a user's key.
    pub(super) fn add(&mut self, key: &'a [u8]) {
        match self.store.codec().group_of(key) {
            Some(group) => self.keys.push(group),
            None => self.all = true,
        }
    }
}

impl<'a> Locked<'a> {
    fn new(wanted: Wanted<'a>) -> Locked<'a> {
        let Wanted { store, keys, all } = wanted;
        let index = match &store.index {
            Index::Hash(hash) if all => LockedIndex::Hash(hash, WriteLocked::all(hash)),
            Index::Hash(hash) => {
                let keys = keys.iter().map(|key| &**key);
                LockedIndex::Hash(hash, WriteLocked::new(hash, keys))
            }
            Index::Tree(tree) => LockedIndex::Tree(tree, tree.write()),
        };
        Locked {
            store,
            index,
            keys,
            all,
            cleared: false,
        }
    }

    /// The record that the index leads to, expired or not.
    pub(super) fn there(&self, key: &[u8]) -> Result<Option<There<'_>>> {
        Ok(match &self.index {
            _ if self.cleared => None,
            LockedIndex::Hash(hash, locked) => match hash.held(self.store, locked, key)? {
                Some((_, held)) => Some(There::Held(self.store.packing.open(held)?)),
                None => None,
            },
            LockedIndex::Tree(_, tree) => match tree.get(key) {
                Some(entry) => Some(There::Leaf(View::new(self.store, entry)?)),
                None => None,
            },
        })
    }

    /// What a change of this key replaces.
    pub(super) fn old(&self, key: &[u8]) -> Result<Old> {
        Ok(match &self.index {
            _ if self.cleared => Old::Absent,
            LockedIndex::Hash(hash, locked) => match hash.held(self.store, locked, key)? {
                Some((address, held)) => Old::Hash(address, held),
                None => Old::Absent,
            },
            LockedIndex::Tree(_, tree) => match tree.get(key) {
                Some(_) => Old::Tree,
                None => Old::Absent,
            },
        })
    }

    /// The lowest stored key in a span that is left in and has not expired, or the highest.
    pub(super) fn edge(
        &self,
        span: &Span<'_>,
        highest: bool,
        now: Millis,
        is_left_out: &dyn Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let LockedIndex::Tree(_, tree) = &self.index else {
            return None;
        };
        if self.cleared {
            return None;
        }
        let mut edge = None;
        tree.now().scan(span.bounds(), way(highest), |key, entry| {
            if !described(&entry).is_expired(now) && !is_left_out(key) {
                edge = Some(key.to_vec());
            }
            edge.is_none()
        });
        edge
    }

    /// How many records the index holds.
    pub(super) fn count(&self) -> u64 {
        match &self.index {
            _ if self.cleared => 0,
            LockedIndex::Hash(_, locked) => locked.count(),
            LockedIndex::Tree(_, tree) => tree.len(),
        }
    }

    /// The highest lsn that was written or read.
    pub(super) fn last(&self) -> Lsn {
        match &self.index {
            _ if self.store.log.is_in_memory() => 0,
            LockedIndex::Hash(_, locked) => locked.last(),
            LockedIndex::Tree(tree, _) if self.all => tree.last(),
            LockedIndex::Tree(tree, _) => {
                let lasts = self.keys.iter().map(|key| tree.last_of(&[&**key]));
                lasts.max().unwrap_or(0)
            }
        }
    }
}
