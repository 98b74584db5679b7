//! Each call to the disk fails once, in each way that it can.

use super::ask::Sizes;
use super::run::Run;
use super::seeds;
use super::subject::Chore;
use crate::io::sim::Fault;
use hakone_command::Error;
use std::ops::RangeInclusive;

const SIZES: Sizes = Sizes {
    keys: 30,
    value_bytes: 200,
    value_bytes_max: 2000,
};

/// Operations of a script.
const OPERATIONS: usize = 150;

/// An error that says that it was the disk.
fn assert_clear(error: &Error, what: &str) {
    let clear = matches!(error, Error::Io(_) | Error::Full(_) | Error::Poisoned(_));
    assert!(clear, "{what}: {error:?}");
}

/// A script in which these calls fail. Returns whether there was one that could.
fn script(seed: u64, calls: RangeInclusive<u64>, fault: Fault) -> Option<bool> {
    let what = format!("seed {seed}, calls {calls:?}: {fault:?}");
    let first = *calls.start();
    let mut run = Run::new(seed, SIZES);
    run.disk().fail(calls, fault);
    if let Err(e) = run.open() {
        assert_clear(&e, &what);
        run.open_again(&what);
        return Some(true);
    }
    for step in 0..OPERATIONS {
        let result = match step {
            50 => run.chore(Chore::Prepare),
            70 => run.chore(Chore::Checkpoint),
            100 | 130 => run.chore(Chore::Compact),
            _ => run.step(),
        };
        if let Err(e) = result {
            assert_clear(&e, &what);
        }
    }
    if run.disk().faults_hit() > 0 {
        run.check_open(&what);
        run.check_disk(&what);
    }
    if let Err(e) = run.try_to_close() {
        assert_clear(&e, &what);
    }
    if run.disk().calls() <= first {
        return None;
    }
    let hit = run.disk().faults_hit() > 0;
    if hit {
        run.check_disk(&format!("{what}, closed"));
    }
    Some(hit)
}

/// Scripts in which, for every call, `more` calls from it on fail.
fn every_call(fault: Fault, more: u64) {
    let mut hits = 0;
    let mut calls = 0;
    for seed in seeds(5) {
        let mut call = 0;
        while let Some(hit) = script(seed, call..=call.saturating_add(more), fault) {
            hits += u64::from(hit);
            call += 1;
        }
        calls += call;
    }
    let after = if more > 0 { " and all after it" } else { "" };
    println!("faults: {fault:?} at each of {calls} calls{after}; {hits} failed");
    assert!(hits > 0);
}

#[test]
fn no_failed_call_loses_anything() {
    every_call(Fault::Eio, 0);
}

#[test]
fn a_disk_that_dies_loses_nothing() {
    every_call(Fault::Eio, u64::MAX);
}

#[test]
fn a_full_disk_loses_nothing() {
    every_call(Fault::Enospc, 0);
}

#[test]
fn a_short_write_loses_nothing() {
    every_call(Fault::ShortWrite, 0);
}

#[test]
fn a_failed_sync_loses_nothing() {
    every_call(Fault::FailedSync, 0);
}

#[test]
fn writes_go_on_when_a_full_disk_has_room_again() {
    let mut refused = 0;
    for seed in seeds(6) {
        let what = format!("seed {seed}, full");
        let mut run = Run::new(seed, SIZES);
        run.disk().set_capacity(Some(20 << 10));
        run.open().unwrap();
        for _ in 0..OPERATIONS {
            if let Err(e) = run.step() {
                assert!(matches!(e, Error::Full(_)), "{what}: {e:?}");
                refused += 1;
            }
        }
        run.check_open(&what);
        run.disk().set_capacity(None);
        run.check_disk(&what);
        for _ in 0..OPERATIONS {
            run.step().unwrap();
        }
        run.try_to_close().unwrap();
        run.check_disk(&format!("{what}, closed"));
    }
    println!("full disk: {refused} operations refused");
    assert!(refused > 0);
}
