//! A tree as it is, or as it was when a snapshot was made.

use super::inner::Inner;
use super::leaf::Leaf;
use super::{Entry, Tree};

/// What reads of a tree see. All nodes are found through it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'t> {
    pub(super) tree: &'t Tree,
    /// Which snapshot, counted from the oldest; `None`: the tree as it is.
    pub(super) at: Option<usize>,
    pub(super) root: u32,
    pub(super) height: u32,
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl<'t> View<'t> {
    /// The tree as it is.
    pub(super) fn live(tree: &'t Tree) -> View<'t> {
        View {
            tree,
            at: None,
            root: tree.root,
            height: tree.height,
            count: tree.count,
            bytes: tree.bytes,
        }
    }

    #[inline]
    pub(super) fn inner(&self, number: u32) -> &'t Inner {
        match self.at {
            None => &self.tree.inners[number],
            Some(at) => self.tree.inners.as_of(at, number),
        }
    }

    #[inline]
    pub(super) fn leaf(&self, number: u32) -> &'t Leaf {
        match self.at {
            None => &self.tree.leaves[number],
            Some(at) => self.tree.leaves.as_of(at, number),
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

    /// The record of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry<'t>> {
        let mut node = self.root;
        for _ in 0..self.height {
            node = self.inner(node).descend(key);
        }
        let leaf = self.leaf(node);
        leaf.prefetch_slots();
        let index = leaf.search(&key[leaf.prefix().len()..]).ok()?;
        Some(leaf.entry(index))
    }

    /// The key at a place that the number picks; `None` if there is none there. Of a tree with keys
    /// in every leaf there is one, and random numbers pick all of them about alike.
    pub(crate) fn pick(&self, number: u64) -> Option<Vec<u8>> {
        let mut rest = number;
        let mut below = |count: usize| {
            // The higher half of the product is a number below `count`, the lower one what is left.
            let product = u128::from(rest) * count as u128;
            rest = product as u64;
            (product >> 64) as usize
        };
        let mut node = self.root;
        for _ in 0..self.height {
            let children = self.inner(node).children();
            node = children[below(children.len())];
        }
        let leaf = self.leaf(node);
        if leaf.count() == 0 {
            return None;
        }
        let suffix = leaf.suffix(below(leaf.count()));
        Some([leaf.prefix(), suffix].concat())
    }
}
