//! The power fails after every step of every operation, and again while the cabinet is opened.

use super::ask::Sizes;
use super::images_wanted;
use super::run::{Run, Tally};
use super::subject::Chore;
use crate::io::sim::Step;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const SIZES: Sizes = Sizes {
    keys: 40,
    value_bytes: 300,
    value_bytes_max: 2000,
};

/// Operations of a script.
const OPERATIONS: usize = 300;

/// One script of 300 operations, cut at each of its steps.
fn script(seed: u64) -> Tally {
    let mut run = Run::new(seed, SIZES);
    run.cut_at_each_step();
    run.open().unwrap();
    for _ in 0..OPERATIONS {
        run.step().unwrap();
    }
    run.tally
}

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let begin = Instant::now();
    let wanted = images_wanted();
    let total = Mutex::new(Tally::default());
    let seeds = AtomicU64::new(0);
    let work = || {
        while total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .all_images()
            < wanted
        {
            let tally = script(seeds.fetch_add(1, Ordering::Relaxed));
            total
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(&tally);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let total = total.into_inner().unwrap();
    println!(
        "power cuts: {} images over {} scripts of {OPERATIONS} operations in {:.1} s: {total}",
        total.all_images(),
        seeds.into_inner(),
        begin.elapsed().as_secs_f64(),
    );
    // Files keep their size, so there is nothing to cut short.
    for step in [
        Step::Create,
        Step::Rename,
        Step::Remove,
        Step::SyncNames,
        Step::Write,
        Step::Append,
        Step::Sync,
    ] {
        assert!(total.images.contains_key(&step), "no cut after {step:?}");
    }
    assert!(total.second_cuts > 0);
    for chore in [Chore::Checkpoint, Chore::Compact, Chore::Reclaim] {
        assert!(total.chores.contains_key(&chore), "no {chore:?}");
    }
}
