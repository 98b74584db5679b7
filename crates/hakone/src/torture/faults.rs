//! Each call to the disk fails once, in each way that it can.

use super::ask::Sizes;
use super::run::Run;
use super::subject::Chore;
use crate::io::sim::Fault;
use hakone_command::Error;

const SIZES: Sizes = Sizes {
    keys: 30,
    value_bytes: 200,
    value_bytes_max: 2000,
};

/// Operations of a script.
const OPERATIONS: usize = 80;

/// An error that says that it was the disk.
fn assert_clear(error: &Error, what: &str) {
    let clear = matches!(error, Error::Io(_) | Error::Full(_) | Error::Poisoned(_));
    assert!(clear, "{what}: {error:?}");
}

/// A script in which the call number `call` fails. Returns whether there was one that could.
fn script(seed: u64, call: u64, fault: Fault) -> Option<bool> {
    let what = format!("seed {seed}, call {call}: {fault:?}");
    let mut run = Run::new(seed, SIZES);
    run.disk().fail(call..=call, fault);
    if let Err(e) = run.open() {
        assert_clear(&e, &what);
        run.open_again(&what);
        return Some(true);
    }
    for step in 0..OPERATIONS {
        let result = match step {
            40 => run.chore(Chore::Checkpoint),
            60 => run.chore(Chore::Compact),
            _ => run.step(),
        };
        if let Err(e) = result {
            assert_clear(&e, &what);
        }
    }
    if run.disk().calls() <= call {
        return None;
    }
    let hit = run.disk().faults_hit() > 0;
    if hit {
        run.check_all_ends(&what);
    }
    Some(hit)
}

fn every_call(fault: Fault) {
    let mut hits = 0;
    let mut calls = 0;
    for seed in 0..2 {
        let mut call = 0;
        while let Some(hit) = script(seed, call, fault) {
            hits += u64::from(hit);
            call += 1;
        }
        calls += call;
    }
    println!("faults: {fault:?} hit {hits} of {calls} calls");
    assert!(hits > 0);
}

#[test]
fn no_failed_call_loses_anything() {
    every_call(Fault::Eio);
}

#[test]
fn a_full_disk_loses_nothing() {
    every_call(Fault::Enospc);
}

#[test]
fn a_short_write_loses_nothing() {
    every_call(Fault::ShortWrite);
}

#[test]
fn a_failed_sync_loses_nothing() {
    every_call(Fault::FailedSync);
}
