//! How a tree grows and shrinks: leaves are split, merged and rebuilt, and inner nodes follow.
//!
//! A leaf that is full is split in the middle by bytes, but at the place of the insert where keys
//! come in ascending or descending order, so that sorted inserts leave full leaves. A leaf that is
//! less than a quarter full goes together with a neighbour under the same parent if both then fill
//! at most three quarters, so that the next insert does not split them again.
//!
//! Invariants: an inner node has at least two children; only the root may be the only node of its
//! level.

use super::Tree;
use super::entry::Put;
use super::inner::{FAN, Inner, common};
use super::leaf::{Leaf, PAGE_BYTES, entry_bytes};
use super::nodes::Nodes;
use super::page::Pages;

/// A leaf without that much room once its holes are closed is split rather than rebuilt, so that
/// puts into an almost full leaf don't rebuild it again and again.
const ROOM_BYTES_MIN: usize = PAGE_BYTES / 16;

const SPARSE_BYTES: usize = PAGE_BYTES / 4;
const MERGED_BYTES_MAX: usize = PAGE_BYTES / 4 * 3;

/// As with leaves: an inner node with fewer children goes together with a neighbour, unless both
/// have more than that.
const SPARSE_CHILDREN: usize = FAN / 4;
const JOINED_CHILDREN_MAX: usize = FAN / 4 * 3;

/// Whether a leaf should go together with another one, or into a smaller page.
#[inline]
pub(super) fn is_sparse(leaf: &Leaf) -> bool {
    leaf.live_bytes() < SPARSE_BYTES
        || leaf.page_bytes() > PAGE_BYTES && leaf.live_bytes() <= MERGED_BYTES_MAX
}

/// The way from the root to a leaf: each inner node with the index of the child taken.
#[derive(Clone, Debug)]
struct Path {
    steps: Vec<Step>,
    leaf: u32,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    inner: u32,
    child: usize,
}

/// The entries of a leaf with a new one among them.
struct Crowd<'a> {
    leaf: &'a Leaf,
    /// Index of the new one.
    at: usize,
    suffix: &'a [u8],
    body: &'a [u8],
}

impl<'a> Crowd<'a> {
    fn count(&self) -> usize {
        self.leaf.count() + 1
    }

    fn pair(&self, index: usize) -> (&'a [u8], &'a [u8]) {
        if index == self.at {
            return (self.suffix, self.body);
        }
        let index = if index < self.at { index } else { index - 1 };
        (self.leaf.suffix(index), self.leaf.body(index))
    }

    fn bytes(&self, index: usize) -> usize {
        let (suffix, body) = self.pair(index);
        entry_bytes(suffix.len(), body.len())
    }

    /// How many go left when the leaf is split: at least one, and not all.
    fn cut(&self) -> usize {
        let (count, at, last) = (self.leaf.count(), self.at, self.leaf.last());
        if self.leaf.page_bytes() == PAGE_BYTES && self.bytes(at) < PAGE_BYTES / 8 {
            if at == last.wrapping_add(1) && at >= count.div_ceil(2) {
                return at;
            }
            if at == last && at < count / 2 {
                return at + 1;
            }
        }
        let half = (0..=count).map(|index| self.bytes(index)).sum::<usize>() / 2;
        let mut sum = 0;
        for index in 0..=count {
            let bytes = self.bytes(index);
            if sum + bytes / 2 >= half {
                return index.clamp(1, count);
            }
            sum += bytes;
        }
        count
    }

    /// The fence between what goes left and what goes right.
    fn separator(&self, cut: usize) -> Box<[u8]> {
        separator(self.leaf.prefix(), self.pair(cut - 1).0, self.pair(cut).0)
    }

    /// A leaf of the entries in `range`, all of which begin with `prefix`.
    fn build(&self, range: std::ops::Range<usize>, prefix: &[u8], pages: &mut Pages) -> Leaf {
        let cut = prefix.len() - self.leaf.prefix().len();
        let bytes = |index| {
            let (suffix, body) = self.pair(index);
            entry_bytes(suffix.len() - cut, body.len())
        };
        let mut leaf = Leaf::new(prefix, range.clone().map(bytes).sum(), pages);
        for index in range.clone() {
            let (suffix, body) = self.pair(index);
            leaf.push(&[], &suffix[cut..], body);
        }
        if range.contains(&self.at) {
            leaf.set_last(self.at - range.start);
        }
        leaf
    }
}

/// The shortest key that is above `below` and not above `above`, both of which follow `prefix`.
fn separator(prefix: &[u8], below: &[u8], above: &[u8]) -> Box<[u8]> {
    let bytes = common(below, above) + 1;
    [prefix, &above[..bytes]].concat().into()
}

/// The lower fence of the child that the steps end in: no key in it is below. None at the left end.
fn low<'a>(inners: &'a Nodes<Inner>, steps: &[Step]) -> Option<&'a [u8]> {
    let step = steps.iter().rev().find(|step| step.child > 0)?;
    let inner = &inners[step.inner];
    Some(&inner.separators()[step.child - 1])
}

/// The upper fence of the child that the steps end in: all keys in it are below. None at the right
/// end.
fn high<'a>(inners: &'a Nodes<Inner>, steps: &[Step]) -> Option<&'a [u8]> {
    steps.iter().rev().find_map(|step| {
        let separators = inners[step.inner].separators();
        separators.get(step.child).map(|fence| &**fence)
    })
}

impl Tree {
    /// Inserts `key` at `index` of a leaf that has no room for it as it is.
    #[cold]
    pub(super) fn make_room(&mut self, key: &[u8], id: u32, index: usize, put: &Put<'_>) {
        let leaf = self.leaves.change(id);
        let suffix = &key[leaf.prefix().len()..];
        let need = entry_bytes(suffix.len(), put.body_bytes());
        let live = leaf.live_bytes();
        if leaf.count() == 0 || live + need + ROOM_BYTES_MIN <= leaf.page_bytes() {
            let before = leaf.memory_bytes();
            leaf.rebuild(need, &mut self.pages);
            leaf.insert(index, suffix, put);
            self.node_bytes = self.node_bytes + leaf.memory_bytes() as u64 - before as u64;
            return;
        }
        if leaf.end_of_run() == Some(index) && self.shift(key, need) {
            let leaf = self.leaves.change(id);
            leaf.insert(leaf.count(), &key[leaf.prefix().len()..], put);
            return;
        }
        let mut body = vec![0; put.body_bytes()];
        put.write(&mut body);
        self.split(key, index, &body);
    }

    fn split(&mut self, key: &[u8], at: usize, body: &[u8]) {
        let path = self.path(key);
        let leaf = &self.leaves[path.leaf];
        let crowd = Crowd {
            leaf,
            at,
            suffix: &key[leaf.prefix().len()..],
            body,
        };
        let cut = crowd.cut();
        let separator = crowd.separator(cut);
        let shared = |fence: Option<&[u8]>| fence.map_or(0, |fence| common(fence, &separator));
        let left_prefix = &separator[..shared(low(&self.inners, &path.steps))];
        let right_prefix = &separator[..shared(high(&self.inners, &path.steps))];
        let left = crowd.build(0..cut, left_prefix, &mut self.pages);
        let right = crowd.build(cut..crowd.count(), right_prefix, &mut self.pages);
        self.set_leaf(path.leaf, left);
        let right_id = self.add_leaf(right);
        self.node_bytes += separator.len() as u64;
        self.insert_separator(path, separator, right_id);
    }

    /// Makes room for `need` bytes at the end of the leaf of `key`, which is full: moves entries from
    /// its start to the neighbour on its left, if there is enough room. There is in a run of
    /// ascending keys: only when a leaf is split it gets an upper fence, and with it a longer prefix
    /// and smaller entries.
    fn shift(&mut self, key: &[u8], need: usize) -> bool {
        let mut path = self.path(key);
        let Some(step) = path.steps.last_mut() else {
            return false;
        };
        let Some(child) = step.child.checked_sub(1) else {
            return false;
        };
        let inner = step.inner;
        let high = high(&self.inners, &path.steps);
        if let Some(step) = path.steps.last_mut() {
            step.child = child;
        }
        let low = low(&self.inners, &path.steps).unwrap_or_default();
        let left_id = self.inners[inner].children()[child];
        let (left, right) = (&self.leaves[left_id], &self.leaves[path.leaf]);
        if left.page_bytes().max(right.page_bytes()) > PAGE_BYTES {
            return false;
        }
        // The separator will be below the last key: what that shares with the lower fence, the
        // separator does too.
        let last = [right.prefix(), right.suffix(right.count() - 1)].concat();
        let shared = common(low, &last);
        let grow = match left.prefix().len().saturating_sub(shared) {
            0 => 0,
            more => more + 4,
        };
        let mut left_bytes = left.live_bytes() + left.count() * grow;
        let mut moved_bytes = 0;
        let mut count = 0;
        while count + 1 < right.count() {
            let (suffix, body) = (right.suffix(count), right.body(count));
            let key_bytes = right.prefix().len() + suffix.len();
            left_bytes += entry_bytes(key_bytes - shared.min(key_bytes), body.len());
            if left_bytes > PAGE_BYTES {
                break;
            }
            moved_bytes += entry_bytes(suffix.len(), body.len());
            count += 1;
        }
        if moved_bytes < need.max(ROOM_BYTES_MIN) {
            return false;
        }
        let separator = separator(right.prefix(), right.suffix(count - 1), right.suffix(count));
        let mut new_left = Leaf::new(
            &separator[..common(low, &separator)],
            left_bytes.min(PAGE_BYTES),
            &mut self.pages,
        );
        new_left.copy(left, 0..left.count());
        new_left.copy(right, 0..count);
        let right_prefix = high.map_or(0, |high| common(&separator, high));
        let mut new_right = Leaf::new(&separator[..right_prefix], 0, &mut self.pages);
        new_right.copy(right, count..right.count());
        new_right.set_last(new_right.count() - 1);
        self.set_leaf(left_id, new_left);
        self.set_leaf(path.leaf, new_right);
        self.node_bytes += separator.len() as u64;
        let old = self.inners.change(inner).replace(child, separator);
        self.node_bytes -= old.len() as u64;
        true
    }

    /// The child that `path` ends in has been split; what is not below `separator` is in `right`.
    fn insert_separator(&mut self, path: Path, mut separator: Box<[u8]>, mut right: u32) {
        for step in path.steps.into_iter().rev() {
            let inner = self.inners.change(step.inner);
            if !inner.insert(step.child, separator, right) {
                return;
            }
            // At an end, as with leaves: keys in ascending or descending order leave full nodes.
            let count = inner.children().len();
            let keep = match step.child {
                0 => 2,
                child if child + 2 == count => count - 2,
                _ => count / 2,
            };
            let upper;
            (separator, upper) = inner.split_off(keep);
            right = self.inners.add(upper);
        }
        let root = Inner::new(vec![separator], vec![self.root, right]);
        self.root = self.inners.add(root);
        self.height += 1;
    }

    /// After a removal of `key`: merges its leaf with neighbours as long as it is sparse.
    #[cold]
    pub(super) fn shrink(&mut self, key: &[u8]) {
        loop {
            let mut path = self.path(key);
            let leaf = self.leaves.change(path.leaf);
            if leaf.page_bytes() > PAGE_BYTES && leaf.live_bytes() <= MERGED_BYTES_MAX {
                let before = leaf.memory_bytes();
                leaf.rebuild(0, &mut self.pages);
                self.node_bytes = self.node_bytes + leaf.memory_bytes() as u64 - before as u64;
            }
            if leaf.live_bytes() >= SPARSE_BYTES {
                return;
            }
            let Some(child) = path.steps.last().map(|step| step.child) else {
                return;
            };
            let merged = (child.saturating_sub(1)..=child).any(|left| self.merge(&mut path, left));
            if !merged {
                return;
            }
        }
    }

    /// Merges the children at `left` and `left + 1` of the last inner node of `path`. False, with
    /// nothing changed, if they are too large for it, or not there.
    fn merge(&mut self, path: &mut Path, left: usize) -> bool {
        let Some(depth) = path.steps.len().checked_sub(1) else {
            return false;
        };
        let children = self.inners[path.steps[depth].inner].children();
        let Some(&[left_id, right_id]) = children.get(left..left + 2) else {
            return false;
        };
        path.steps[depth].child = left;
        let low = low(&self.inners, &path.steps);
        path.steps[depth].child = left + 1;
        let high = high(&self.inners, &path.steps);
        let prefix = match (low, high) {
            (Some(low), Some(high)) => &low[..common(low, high)],
            _ => &[],
        };
        let (left_leaf, right_leaf) = (&self.leaves[left_id], &self.leaves[right_id]);
        let bytes = |leaf: &Leaf| {
            // A suffix may become long enough to need four bytes for its size.
            let more = match leaf.prefix().len() - prefix.len() {
                0 => 0,
                more => more + 4,
            };
            leaf.live_bytes() + leaf.count() * more
        };
        let bytes = bytes(left_leaf) + bytes(right_leaf);
        if bytes > MERGED_BYTES_MAX {
            return false;
        }
        let mut leaf = Leaf::new(prefix, bytes, &mut self.pages);
        leaf.copy(left_leaf, 0..left_leaf.count());
        leaf.copy(right_leaf, 0..right_leaf.count());
        self.set_leaf(left_id, leaf);
        let right_leaf = self.leaves.remove(right_id);
        self.node_bytes -= right_leaf.memory_bytes() as u64;
        right_leaf.recycle(&mut self.pages);
        self.remove_separator(&path.steps, left);
        true
    }

    /// The children at `index` and `index + 1` of the last inner node have become one.
    fn remove_separator(&mut self, steps: &[Step], mut index: usize) {
        for (depth, step) in steps.iter().enumerate().rev() {
            let inner = self.inners.change(step.inner);
            let separator = inner.remove(index);
            self.node_bytes -= separator.len() as u64;
            let count = inner.children().len();
            let Some(above) = depth.checked_sub(1).map(|above| steps[above]) else {
                if count == 1 {
                    self.root = inner.children()[0];
                    self.height -= 1;
                    self.inners.remove(step.inner);
                }
                return;
            };
            if count >= SPARSE_CHILDREN {
                return;
            }
            index = above.child.saturating_sub(1);
            if !self.join(above.inner, index) {
                return;
            }
        }
    }

    /// Makes one node of the inner nodes at `index` and `index + 1` of `parent`, but for the
    /// separator in the parent: true. If that were too full, evens them out instead: false.
    fn join(&mut self, parent: u32, index: usize) -> bool {
        let children = self.inners[parent].children();
        let (left_id, right_id) = (children[index], children[index + 1]);
        let right = self.inners.replace(right_id, Inner::default());
        let separator = self.inners[parent].separators()[index].clone();
        self.node_bytes += separator.len() as u64;
        let left = self.inners.change(left_id);
        left.append(separator, right);
        let count = left.children().len();
        if count <= JOINED_CHILDREN_MAX {
            self.inners.remove(right_id);
            return true;
        }
        let (separator, right) = left.split_off(count / 2);
        self.inners.replace(right_id, right);
        let old = self.inners.change(parent).replace(index, separator);
        self.node_bytes -= old.len() as u64;
        false
    }

    fn path(&self, key: &[u8]) -> Path {
        let mut steps = Vec::with_capacity(self.height as usize);
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = &self.inners[node];
            let child = inner.child_of(key);
            steps.push(Step { inner: node, child });
            node = inner.children()[child];
        }
        Path { steps, leaf: node }
    }

    fn add_leaf(&mut self, leaf: Leaf) -> u32 {
        self.node_bytes += leaf.memory_bytes() as u64;
        self.leaves.add(leaf)
    }

    fn set_leaf(&mut self, number: u32, leaf: Leaf) {
        self.node_bytes += leaf.memory_bytes() as u64;
        let old = self.leaves.replace(number, leaf);
        self.node_bytes -= old.memory_bytes() as u64;
        old.recycle(&mut self.pages);
    }
}
