//! Snapshots of a tree: made at once, read as long as they are held, given back.
//!
//! A tree that is cleared while snapshots of it are held is put aside whole, and the live tree begins
//! anew.

use super::inner::Inner;
use super::leaf::Leaf;
use super::{Tree, View};

/// A snapshot's name. Never used again by the same tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotId(u64);

/// The tree when a snapshot was made, but for its nodes.
#[derive(Debug)]
pub(super) struct Moment {
    id: SnapshotId,
    root: u32,
    height: u32,
    count: u64,
    bytes: u64,
}

/// What nobody needs any more. Taking it apart may take long: drop it where nobody waits.
#[derive(Debug, Default)]
#[must_use = "it is to be dropped without the tree's lock"]
#[expect(
    dead_code,
    reason = "what is in it is dropped with it, and that is all"
)]
pub(crate) struct Garbage {
    inners: Vec<Inner>,
    leaves: Vec<Leaf>,
    tree: Option<Tree>,
}

impl Tree {
    /// Makes a snapshot: from now on until it is released, [`Tree::as_of`] shows the tree as it is
    /// now. Costs a bit of memory for each node, and a copy of each node that is changed later.
    pub(crate) fn snapshot(&mut self) -> SnapshotId {
        self.snapshots_made += 1;
        let id = SnapshotId(self.snapshots_made);
        self.inners.snapshot();
        self.leaves.snapshot();
        self.snapshots.push(Moment {
            id,
            root: self.root,
            height: self.height,
            count: self.count,
            bytes: self.bytes,
        });
        id
    }

    /// Gives a snapshot back.
    ///
    /// # Panics
    /// If it has been released before.
    pub(crate) fn release(&mut self, id: SnapshotId) -> Garbage {
        let Ok(at) = self.position(id) else {
            let is_in = |tree: &Tree| tree.position(id).is_ok();
            let past = self.past.iter().position(is_in);
            let past = past.expect("a snapshot is released once");
            let mut garbage = self.past[past].release(id);
            if self.past[past].snapshots.is_empty() {
                garbage.tree = Some(self.past.remove(past));
            }
            return garbage;
        };
        self.snapshots.remove(at);
        Garbage {
            inners: self.inners.release(at),
            leaves: self.leaves.release(at),
            tree: None,
        }
    }

    /// The tree as it was when a snapshot was made. A lookup in it costs about as much as in the
    /// live tree while few snapshots are held: it asks each newer one for each node.
    ///
    /// # Panics
    /// If it has been released.
    pub(crate) fn as_of(&self, id: SnapshotId) -> View<'_> {
        let Ok(at) = self.position(id) else {
            let past = self.past.iter().find(|tree| tree.position(id).is_ok());
            return past
                .expect("a snapshot is there until it is released")
                .as_of(id);
        };
        let Moment {
            root,
            height,
            count,
            bytes,
            ..
        } = self.snapshots[at];
        View {
            tree: self,
            at: Some(at),
            root,
            height,
            count,
            bytes,
        }
    }

    /// Takes all keys out.
    pub(crate) fn clear(&mut self) -> Garbage {
        let mut old = std::mem::take(self);
        self.snapshots_made = old.snapshots_made;
        self.past = std::mem::take(&mut old.past);
        if old.snapshots.is_empty() {
            return Garbage {
                tree: Some(old),
                ..Garbage::default()
            };
        }
        self.past.push(old);
        Garbage::default()
    }

    fn position(&self, id: SnapshotId) -> Result<usize, usize> {
        self.snapshots.binary_search_by_key(&id, |moment| moment.id)
    }
}
