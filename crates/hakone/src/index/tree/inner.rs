//! An inner node: separators, and the children between them.
//!
//! The separators' common prefix is compared once; then eight-byte heads decide, and whole
//! separators only where heads are equal.

use crate::io::prefetch;
use std::cmp::Ordering;

/// The most children of an inner node: 256 heads are 2 KiB, which stay in the cache nearest to the
/// processor for the upper levels.
pub(super) const FAN: usize = 256;

/// Children are inner nodes or leaves, by level. Child `i` holds the keys from separator `i - 1` to
/// below separator `i`.
#[derive(Clone, Debug, Default)]
pub(super) struct Inner {
    /// How many bytes all separators begin with alike.
    skip: usize,
    /// The eight bytes of each separator after those.
    heads: Vec<u64>,
    separators: Vec<Box<[u8]>>,
    children: Vec<u32>,
}

/// The first eight bytes as a number that orders as they do, padded with zeros.
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => bytes
            .iter()
            .rev()
            .fold(0, |head, byte| (head >> 8) | (*byte as u64) << 56),
    }
}

/// How many bytes both begin with alike.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Inner {
    pub(super) fn new(separators: Vec<Box<[u8]>>, children: Vec<u32>) -> Inner {
        let mut inner = Inner {
            skip: 0,
            heads: Vec::with_capacity(FAN),
            separators,
            children,
        };
        inner.separators.reserve_exact(FAN - inner.separators.len());
        inner.children.reserve_exact(FAN + 1 - inner.children.len());
        inner.restore_heads();
        inner
    }

    pub(super) fn children(&self) -> &[u32] {
        &self.children
    }

    pub(super) fn separators(&self) -> &[Box<[u8]>] {
        &self.separators
    }

    /// Bytes of memory it occupies, its separators' not counted.
    pub(super) const MEMORY_BYTES: usize =
        size_of::<Inner>() + FAN * (8 + size_of::<Box<[u8]>>()) + (FAN + 1) * 4;

    fn restore_heads(&mut self) {
        self.skip = match (self.separators.first(), self.separators.last()) {
            (Some(first), Some(last)) => common(first, last),
            _ => 0,
        };
        self.heads.clear();
        let heads = self
            .separators
            .iter()
            .map(|separator| head(&separator[self.skip..]));
        self.heads.extend(heads);
    }

    /// The index of the child whose range holds `key`: how many separators are not above it.
    #[inline]
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        let skip = self.skip;
        if skip > 0 {
            match key[..skip.min(key.len())].cmp(&self.separators[0][..skip]) {
                Ordering::Less => return 0,
                Ordering::Greater => return self.heads.len(),
                Ordering::Equal => {}
            }
        }
        let head = head(&key[skip..]);
        let low = self.heads.partition_point(|other| *other < head);
        if self.heads.get(low) != Some(&head) {
            return low;
        }
        let equal = self.heads[low..].partition_point(|other| *other == head);
        low + self.separators[low..low + equal].partition_point(|separator| **separator <= *key)
    }

    /// The child whose range holds `key`.
    #[inline]
    pub(super) fn descend(&self, key: &[u8]) -> u32 {
        self.children[self.child_of(key)]
    }

    /// Asks for the heads that [`Inner::child_of`] reads first.
    #[inline]
    pub(super) fn prefetch(&self) {
        let count = self.heads.len();
        for index in [count / 2, count / 4, count / 4 * 3] {
            if let Some(head) = self.heads.get(index) {
                prefetch(head);
            }
        }
    }

    /// Splits the child at `index` by `separator`; what is not below it is in `right`. True if the
    /// node has become too large.
    pub(super) fn insert(&mut self, index: usize, separator: Box<[u8]>, right: u32) -> bool {
        self.separators.insert(index, separator);
        self.children.insert(index + 1, right);
        self.mend(index, |heads, head| heads.insert(index, head));
        self.children.len() > FAN
    }

    /// The right child of the separator at `index` has gone into the left one.
    pub(super) fn remove(&mut self, index: usize) -> Box<[u8]> {
        let separator = self.separators.remove(index);
        self.children.remove(index + 1);
        self.restore_heads();
        separator
    }

    /// Puts another separator in place of the one at `index`.
    pub(super) fn replace(&mut self, index: usize, separator: Box<[u8]>) -> Box<[u8]> {
        let old = std::mem::replace(&mut self.separators[index], separator);
        self.restore_heads();
        old
    }

    fn mend(&mut self, index: usize, with: impl FnOnce(&mut Vec<u64>, u64)) {
        let last = self.separators.len() - 1;
        if common(&self.separators[0], &self.separators[last]) == self.skip {
            with(&mut self.heads, head(&self.separators[index][self.skip..]));
        } else {
            self.restore_heads();
        }
    }

    /// Keeps the first `count` children; gives the separator after them and the rest.
    pub(super) fn split_off(&mut self, count: usize) -> (Box<[u8]>, Inner) {
        let separators = self.separators.split_off(count);
        let children = self.children.split_off(count);
        let separator = self.separators.pop().expect("both halves have children");
        self.restore_heads();
        (separator, Inner::new(separators, children))
    }

    /// Takes the children of its right neighbour, which `separator` separates from its own.
    pub(super) fn append(&mut self, separator: Box<[u8]>, right: Inner) {
        self.separators.push(separator);
        self.separators.extend(right.separators);
        self.children.extend(right.children);
        self.restore_heads();
    }
}

#[cfg(test)]
impl Inner {
    /// Checks the order of separators, and what is derived from them.
    pub(super) fn check(&self) {
        assert!(self.separators.is_sorted_by(|a, b| a < b));
        let (skip, heads) = (self.skip, self.heads.clone());
        let mut other = Inner::new(self.separators.clone(), self.children.clone());
        other.restore_heads();
        assert_eq!((skip, heads), (other.skip, other.heads));
    }
}
