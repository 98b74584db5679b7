//! Removing what nothing leads to any more, some at a time.

use super::{ELEMENT, GARBAGE};
use crate::store::Store;
use hakone_command::{Command, Direction, Filter, Millis, Position, Range, Reply, Result};
use std::sync::atomic::Ordering;

/// Elements removed at a time: the tree is locked for so many removals, some tenths of a
/// millisecond.
const SLICE: usize = 256;

/// Removes elements that garbage records tell of, in up to so many slices. Returns how many went;
/// 0 if there are none. Others may read and write between slices; after a crash the garbage record
/// is still there, or nothing is left that it tells of.
pub(crate) fn collect(store: &Store, slices: usize, now: Millis) -> Result<u64> {
    let Some(hidden) = &store.hidden else {
        return Ok(0);
    };
    // Before the look, so that what comes after it is looked for again.
    if !hidden.has_garbage.swap(false, Ordering::AcqRel) {
        return Ok(0);
    }
    let collected = collect_slices(store, slices, now);
    if !matches!(collected, Ok((_, true))) {
        hidden.has_garbage.store(true, Ordering::Release);
    }
    collected.map(|(count, _)| count)
}

/// Returns how many elements went, and whether no garbage is left.
fn collect_slices(store: &Store, slices: usize, now: Millis) -> Result<(u64, bool)> {
    let mut count = 0;
    for _ in 0..slices {
        let Some(garbage) = first(store, now)? else {
            return Ok((count, true));
        };
        let mut elements = garbage.clone();
        if let Some(kind) = elements.first_mut() {
            *kind = ELEMENT;
        }
        let remove = Command::RemoveRange {
            range: Range::Prefix(&elements),
            limit: SLICE,
        };
        let mut removed = 0;
        store.call(&remove, now, &mut |reply| {
            if let Reply::Number(number) = reply {
                removed = number;
            }
        })?;
        count += removed.unsigned_abs();
        if removed.unsigned_abs() < SLICE as u64 {
            let remove = Command::Remove {
                key: &garbage,
                want_old: false,
            };
            store.call(&remove, now, &mut |_| {})?;
        }
    }
    Ok((count, first(store, now)?.is_none()))
}

/// The key of the first garbage record.
fn first(store: &Store, now: Millis) -> Result<Option<Vec<u8>>> {
    let scan = Command::Scan {
        from: Position::Start,
        range: Range::Prefix(&[GARBAGE]),
        direction: Direction::Forward,
        filter: Filter::All,
        limit: 1,
        values: false,
    };
    let mut found = None;
    store.call(&scan, now, &mut |reply| {
        if let Reply::Page(page) = reply {
            found = page.iter().next().map(|(key, _)| key.to_vec());
        }
    })?;
    Ok(found)
}
