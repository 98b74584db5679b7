//! The tree index: a B+ tree in memory whose leaves hold keys, small values and log addresses.
//!
//! [`entry`] is what a leaf holds of one record, [`leaf`] a [`page`] of them, [`inner`] the way to
//! the leaves; [`reshape`] splits and merges, [`batch`] looks many keys up at once. [`nodes`]
//! keeps what [`snapshot`]s need, a [`view`] is a tree as of now or of one of them, and [`scan`] goes
//! over ranges of it.
//!
//! It knows no lock, file or clock, and no expiry: an expired record is there until it is removed.

mod batch;
mod entry;
mod inner;
mod leaf;
mod nodes;
mod page;
mod reshape;
mod scan;
mod snapshot;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use entry::{Displaced, Entry, INLINE_BYTES_MAX, Put};
pub(crate) use snapshot::{Garbage, SnapshotId};
pub(crate) use view::View;

use crate::io::prefetch;
use crate::log::Address;
use inner::Inner;
use leaf::Leaf;
use nodes::Nodes;
use page::Pages;
use snapshot::Moment;

/// Keys in byte order, each with its record.
///
/// A lookup costs a few cache misses: the lower inner nodes, a leaf's slots and the entry. A put
/// costs a lookup and a copy of the record; one in fifty or so splits a leaf. Memory is about 24
/// bytes a record more than key suffix and inline value, and leaves are full after sorted inserts,
/// about 65 % full after random ones.
#[derive(Debug)]
pub(crate) struct Tree {
    inners: Nodes<Inner>,
    leaves: Nodes<Leaf>,
    pages: Pages,
    /// An inner node, or a leaf if the height is 0.
    root: u32,
    /// How many levels of inner nodes there are.
    height: u32,
    count: u64,
    bytes: u64,
    /// Memory of leaves in use and of separators.
    node_bytes: u64,
    /// Those that are held, the oldest first.
    snapshots: Vec<Moment>,
    /// How many have been made, of the trees before this one too.
    snapshots_made: u64,
    /// Trees that stood here until they were cleared, and of which snapshots are held.
    past: Vec<Tree>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

impl Tree {
    /// A tree without keys. It has one leaf.
    pub(crate) fn new() -> Tree {
        let mut pages = Pages::new();
        let leaf = Leaf::new(&[], 0, &mut pages);
        let node_bytes = leaf.memory_bytes() as u64;
        let mut leaves = Nodes::new();
        let root = leaves.add(leaf);
        Tree {
            inners: Nodes::new(),
            leaves,
            pages,
            root,
            height: 0,
            count: 0,
            bytes: 0,
            node_bytes,
            snapshots: Vec::new(),
            snapshots_made: 0,
            past: Vec::new(),
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Bytes of all keys and values, of large values too.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory it occupies, the allocator's own and what snapshots keep not counted.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for the store's report of its memory")
    )]
    pub(crate) fn memory_bytes(&self) -> u64 {
        let inners = self.inners.count() * Inner::MEMORY_BYTES;
        let vacant = self.leaves.vacant_count() * size_of::<Leaf>();
        self.node_bytes + (self.pages.spare_bytes() + inners + vacant) as u64
    }

    /// The record of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        let leaf = &self.leaves[self.leaf_of(key)];
        leaf.prefetch_slots();
        let index = leaf.search(&key[leaf.prefix().len()..]).ok()?;
        Some(leaf.entry(index))
    }

    /// Gives `key` this record. Returns what it displaced.
    ///
    /// # Panics
    /// If the address has more than 40 bits.
    pub(crate) fn put(&mut self, key: &[u8], put: &Put<'_>) -> Option<Displaced> {
        let id = self.leaf_of(key);
        let leaf = self.leaves.change(id);
        leaf.prefetch_slots();
        let suffix = &key[leaf.prefix().len()..];
        let found = match leaf.end_of_run() {
            Some(end) if leaf.suffix(end - 1) < suffix => Err(end),
            _ => leaf.search(suffix),
        };
        let displaced = match found {
            Ok(index) => {
                let displaced = leaf.entry(index).displaced();
                self.bytes -= displaced.value_bytes as u64;
                if !leaf.overwrite(index, suffix, put) {
                    leaf.remove(index);
                    self.make_room(key, id, index, put);
                }
                Some(displaced)
            }
            Err(index) => {
                if leaf.free_bytes() >= leaf::entry_bytes(suffix.len(), put.body_bytes()) {
                    leaf.insert(index, suffix, put);
                } else {
                    self.make_room(key, id, index, put);
                }
                self.count += 1;
                self.bytes += key.len() as u64;
                None
            }
        };
        self.bytes += put.value.len() as u64;
        displaced
    }

    /// Takes `key` out. Returns its record's remains.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Displaced> {
        let id = self.leaf_of(key);
        let leaf = &self.leaves[id];
        leaf.prefetch_slots();
        let index = leaf.search(&key[leaf.prefix().len()..]).ok()?;
        let leaf = self.leaves.change(id);
        let displaced = leaf.entry(index).displaced();
        leaf.remove(index);
        let is_sparse = reshape::is_sparse(leaf);
        self.count -= 1;
        self.bytes -= key.len() as u64 + displaced.value_bytes as u64;
        if self.count == 0 {
            // Little is left of it.
            drop(self.clear());
        } else if is_sparse {
            self.shrink(key);
        }
        Some(displaced)
    }

    /// A record has been copied in the log: if `key` still has the address `from`, it now has `to`.
    /// So a record is live exactly if this is true of its address.
    pub(crate) fn relocate(&mut self, key: &[u8], from: Address, to: Address) -> bool {
        let id = self.leaf_of(key);
        // A snapshot may see the copy, too: it is the same record.
        let leaf = self.leaves.change_for_all(id);
        match leaf.search(&key[leaf.prefix().len()..]) {
            Ok(index) => leaf.relocate(index, from, to),
            Err(_) => false,
        }
    }

    /// The tree as it is.
    pub(crate) fn now(&self) -> View<'_> {
        View::live(self)
    }

    /// The leaf whose range holds `key`. The key begins with the leaf's prefix.
    #[inline]
    fn leaf_of(&self, key: &[u8]) -> u32 {
        let mut node = self.root;
        for _ in 0..self.height {
            node = self.inners[node].descend(key);
        }
        node
    }
}
