//! What scripts have done, to be printed.

use super::subject::Chore;
use crate::io::sim;
use std::collections::BTreeMap;
use std::fmt;

/// What was done, to be printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) operations: u64,
    pub(super) images: BTreeMap<sim::Step, u64>,
    pub(super) second_cuts: u64,
    pub(super) reopened: u64,
    /// How often a chore found something to do.
    pub(super) chores: BTreeMap<Chore, u64>,
    /// How many operations an image had lost.
    pub(super) lost: BTreeMap<usize, u64>,
}

impl Tally {
    pub(super) fn all_images(&self) -> u64 {
        self.images.values().sum::<u64>() + self.second_cuts
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.operations += other.operations;
        self.second_cuts += other.second_cuts;
        self.reopened += other.reopened;
        for (step, images) in &other.images {
            *self.images.entry(*step).or_default() += images;
        }
        for (chore, times) in &other.chores {
            *self.chores.entry(*chore).or_default() += times;
        }
        for (lost, images) in &other.lost {
            *self.lost.entry(*lost).or_default() += images;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.lost.get(&0).copied().unwrap_or(0);
        let most = self.lost.keys().next_back().copied().unwrap_or(0);
        write!(
            f,
            "after {:?}; {} second cuts while opening; {whole} images had lost nothing, one {most} \
             operations that were not durable; chores that had work: {:?}",
            self.images, self.second_cuts, self.chores
        )
    }
}
