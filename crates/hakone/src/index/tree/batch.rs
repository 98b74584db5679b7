//! Many keys at once: each step is done for a group of keys before the next one, and asks for the
//! memory that the next one reads, so that the cache misses of the group overlap.

use super::leaf::Leaf;
use super::{Entry, Tree};

/// Keys in a group. The processor follows some 12 to 16 misses at a time; more keys than that only
/// push one another's lines out.
const GROUP: usize = 16;

/// How far a group of keys has come: the leaf of each, and where in it the search goes on.
struct Group<'t> {
    leaves: [Option<&'t Leaf>; GROUP],
    firsts: [usize; GROUP],
}

impl Tree {
    /// Looks all `keys` up and calls `found` for each in turn, with its index. Measured at a
    /// quarter of as many [`Tree::get`], in groups of 8 or more.
    pub(crate) fn get_many<'t>(
        &'t self,
        keys: &[&[u8]],
        mut found: impl FnMut(usize, Option<Entry<'t>>),
    ) {
        for (number, keys) in keys.chunks(GROUP).enumerate() {
            let group = self.approach(keys);
            for (index, key) in keys.iter().enumerate() {
                let entry = group.leaves[index].and_then(|leaf| {
                    let suffix = &key[leaf.prefix().len()..];
                    let index = leaf.search_from(group.firsts[index], suffix).ok()?;
                    Some(leaf.entry(index))
                });
                found(number * GROUP + index, entry);
            }
        }
    }

    /// Brings what [`Tree::get`], [`Tree::put`] and [`Tree::remove`] of these keys will read into
    /// the processor's cache. For some hundred keys at a time.
    pub(crate) fn prefetch(&self, keys: &[&[u8]]) {
        for keys in keys.chunks(GROUP) {
            self.approach(keys);
        }
    }

    /// Goes to the leaves of a group of keys and to the slots that may be theirs, and asks for the
    /// entries there.
    fn approach<'t>(&'t self, keys: &[&[u8]]) -> Group<'t> {
        let mut nodes = [self.root; GROUP];
        for level in (0..self.height).rev() {
            for (node, key) in nodes.iter_mut().zip(keys) {
                *node = self.inners[*node].descend(key);
                if level > 0 {
                    self.inners[*node].prefetch();
                } else {
                    super::prefetch(&self.leaves[*node]);
                }
            }
        }
        let mut group = Group {
            leaves: [None; GROUP],
            firsts: [0; GROUP],
        };
        for (index, _) in keys.iter().enumerate() {
            let leaf = &self.leaves[nodes[index]];
            leaf.prefetch_slots();
            group.leaves[index] = Some(leaf);
        }
        for (index, key) in keys.iter().enumerate() {
            if let Some(leaf) = group.leaves[index] {
                let first = leaf.search_heads(&key[leaf.prefix().len()..]);
                leaf.prefetch_entry(first);
                group.firsts[index] = first;
            }
        }
        group
    }
}
