//! Nodes by number: those that are live, and those that snapshots keep.
//!
//! A snapshot costs a bit for each node when it is made. Before a node is changed for the first time
//! since the newest snapshot, a copy of it is kept there. So a snapshot finds a node in what it keeps
//! itself, else in what the next newer one keeps that has it, else among the live ones.

use std::collections::BTreeMap;
use std::ops::Index;

/// Nodes of one sort.
#[derive(Debug)]
pub(super) struct Nodes<T> {
    live: Vec<T>,
    /// Numbers of nodes that hold nothing.
    vacant: Vec<u32>,
    /// What each snapshot keeps, the oldest first.
    kept: Vec<Kept<T>>,
}

/// What a snapshot keeps.
#[derive(Debug)]
struct Kept<T> {
    /// How many numbers there were when it was made: higher ones are no business of its.
    count: usize,
    /// A bit for each number: changed, given up or taken again before the next newer snapshot.
    changed: Vec<u64>,
    /// Nodes as they were before that. Of a number that was vacant there is none.
    nodes: BTreeMap<u32, T>,
}

impl<T> Kept<T> {
    fn new(count: usize) -> Kept<T> {
        Kept {
            count,
            changed: vec![0; count.div_ceil(64)],
            nodes: BTreeMap::new(),
        }
    }

    fn has_changed(&self, number: u32) -> bool {
        let word = self.changed.get(number as usize / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Notes that a node changes. True the first time, if it concerns this snapshot at all.
    fn note(&mut self, number: u32) -> bool {
        if number as usize >= self.count || self.has_changed(number) {
            return false;
        }
        self.changed[number as usize / 64] |= 1 << (number % 64);
        true
    }

    /// Takes what the next newer snapshot keeps and this one needs; gives what neither needs.
    fn merge(&mut self, mut newer: Kept<T>) -> Vec<T> {
        let later = newer.nodes.split_off(&(self.count as u32));
        let mut rest: Vec<T> = later.into_values().collect();
        if newer.nodes.len() > self.nodes.len() {
            std::mem::swap(&mut newer.nodes, &mut self.nodes);
            for (number, node) in newer.nodes {
                rest.extend(self.nodes.insert(number, node));
            }
        } else {
            for (number, node) in newer.nodes {
                if self.has_changed(number) {
                    rest.push(node);
                } else {
                    self.nodes.insert(number, node);
                }
            }
        }
        for (word, newer) in self.changed.iter_mut().zip(newer.changed) {
            *word |= newer;
        }
        rest
    }
}

impl<T: Clone + Default> Nodes<T> {
    pub(super) fn new() -> Nodes<T> {
        Nodes {
            live: Vec::new(),
            vacant: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// How many live nodes hold something.
    pub(super) fn count(&self) -> usize {
        self.live.len() - self.vacant.len()
    }

    /// How many live nodes hold nothing.
    pub(super) fn vacant_count(&self) -> usize {
        self.vacant.len()
    }

    /// Adds a node; gives its number.
    pub(super) fn add(&mut self, node: T) -> u32 {
        if let Some(number) = self.vacant.pop() {
            if let Some(newest) = self.kept.last_mut() {
                newest.note(number);
            }
            self.live[number as usize] = node;
            return number;
        }
        let number = u32::try_from(self.live.len());
        self.live.push(node);
        number.expect("4 billion nodes are more than memory holds")
    }

    /// A node that is about to change.
    #[inline]
    pub(super) fn change(&mut self, number: u32) -> &mut T {
        if !self.kept.is_empty() {
            self.keep(number);
        }
        &mut self.live[number as usize]
    }

    /// A node that is about to change in a way that snapshots may see.
    pub(super) fn change_for_all(&mut self, number: u32) -> &mut T {
        &mut self.live[number as usize]
    }

    /// Puts another node in the place of one; gives that.
    pub(super) fn replace(&mut self, number: u32, node: T) -> T {
        std::mem::replace(self.change(number), node)
    }

    /// Gives a node up.
    pub(super) fn remove(&mut self, number: u32) -> T {
        self.vacant.push(number);
        self.replace(number, T::default())
    }

    #[cold]
    fn keep(&mut self, number: u32) {
        if let Some(newest) = self.kept.last_mut()
            && newest.note(number)
        {
            let node = self.live[number as usize].clone();
            newest.nodes.insert(number, node);
        }
    }

    /// Makes a snapshot, the newest one.
    pub(super) fn snapshot(&mut self) {
        self.kept.push(Kept::new(self.live.len()));
    }

    /// Gives the snapshot up that is the `at`-th, counted from the oldest. Returns nodes that nobody
    /// needs any more.
    pub(super) fn release(&mut self, at: usize) -> Vec<T> {
        let gone = self.kept.remove(at);
        match at.checked_sub(1) {
            Some(older) => self.kept[older].merge(gone),
            None => gone.nodes.into_values().collect(),
        }
    }

    /// A node as it was when the `at`-th snapshot was made.
    pub(super) fn as_of(&self, at: usize, number: u32) -> &T {
        let kept = self.kept[at..].iter();
        match kept.into_iter().find(|kept| kept.has_changed(number)) {
            Some(kept) => &kept.nodes[&number],
            None => &self.live[number as usize],
        }
    }
}

impl<T> Index<u32> for Nodes<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        &self.live[number as usize]
    }
}

#[cfg(test)]
impl<T> Nodes<T> {
    /// All live nodes, those that hold nothing too.
    pub(super) fn all(&self) -> &[T] {
        &self.live
    }

    /// How many nodes snapshots keep.
    pub(super) fn kept_count(&self) -> usize {
        self.kept.iter().map(|kept| kept.nodes.len()).sum()
    }
}
