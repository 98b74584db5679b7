//! What a transaction has found and what it wants, as one batch.

use super::Batch;
use super::desk::{Desk, What};
use super::locked::{Locked, LockedIndex, Plan};
use crate::store::Store;
use crate::store::tree::described;
use hakone_command::{Direction, Lsn, Millis, Result, Version};
use std::borrow::Cow;
use std::ops::Bound;

/// One database's share in a transaction. Keys are stored keys.
pub(crate) struct Share<'a> {
    pub(crate) store: &'a Store,
    /// The versions that records had; 0: there was none, or an expired one.
    pub(crate) keys: Vec<(&'a [u8], Version)>,
    pub(crate) ranges: Vec<RangeRead<'a>>,
    /// How many records there were, if that was asked.
    pub(crate) count: Option<u64>,
    /// All records are removed before the writes.
    pub(crate) clear: bool,
    pub(crate) writes: Vec<(&'a [u8], What<'a>)>,
}

/// The records that there were between two keys.
pub(crate) struct RangeRead<'a> {
    pub(crate) from: Bound<&'a [u8]>,
    pub(crate) to: Bound<&'a [u8]>,
    /// In the order of keys; the expired ones left out.
    pub(crate) records: &'a [(Vec<u8>, Version)],
}

/// What is not as a transaction has found it.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The number of the share.
    pub(crate) share: usize,
    /// The record; `None`: how many there are.
    pub(crate) key: Option<Vec<u8>>,
}

/// Makes true what the shares want, if all is as they have found it. Returns the highest lsn that
/// was written or read.
pub(crate) fn commit(
    shares: Vec<Share<'_>>,
    now: Millis,
) -> Result<std::result::Result<Lsn, Changed>> {
    let mut batch = lock(&shares, now);
    if let Some(changed) = find_changed(&batch, &shares)? {
        return Ok(Err(changed));
    }
    for share in shares {
        let at = batch.position(share.store);
        if share.clear {
            batch.clear(at)?;
        }
        for (key, what) in share.writes {
            batch.set(at, Cow::Borrowed(key), what)?;
        }
    }
    batch.commit()?;
    Ok(Ok(batch.last()))
}

/// What is not as the shares have found it, if anything.
pub(crate) fn check(shares: &[Share<'_>], now: Millis) -> Result<Option<Changed>> {
    find_changed(&lock(shares, now), shares)
}

fn lock<'a>(shares: &[Share<'a>], now: Millis) -> Batch<'a> {
    let mut plan = Plan::default();
    for share in shares {
        if share.clear {
            plan.want_all(share.store);
        }
        let wanted = plan.of(share.store);
        wanted.all |= share.count.is_some() || !share.ranges.is_empty();
        let read = share.keys.iter().map(|(key, _)| *key);
        let written = share.writes.iter().map(|(key, _)| *key);
        wanted.keys.extend(read.chain(written).map(Cow::Borrowed));
    }
    Batch::new(plan, now)
}

fn find_changed(batch: &Batch<'_>, shares: &[Share<'_>]) -> Result<Option<Changed>> {
    for (i, share) in shares.iter().enumerate() {
        let at = batch.position(share.store);
        let changed = |key| Ok(Some(Changed { share: i, key }));
        for (key, version) in &share.keys {
            if !batch.holds(at, key, *version)? {
                return changed(Some(key.to_vec()));
            }
        }
        let locked = &batch.databases[at];
        for range in &share.ranges {
            if let Some(key) = changed_in(locked, range, batch.now) {
                return changed(Some(key));
            }
        }
        if share.count.is_some_and(|count| count != locked.count()) {
            return changed(None);
        }
    }
    Ok(None)
}

/// The first key of a range whose record is not as it was found.
fn changed_in(locked: &Locked<'_>, range: &RangeRead<'_>, now: Millis) -> Option<Vec<u8>> {
    let LockedIndex::Tree(_, tree) = &locked.index else {
        unreachable!("ranges are read from trees")
    };
    let mut expected = range.records.iter();
    let mut changed = None;
    let bounds = (range.from, range.to);
    tree.now().scan(bounds, Direction::Forward, |key, entry| {
        if described(&entry).is_expired(now) {
            return true;
        }
        let found = expected.next();
        changed = match found {
            Some((found, version)) if found == key && *version == entry.version => None,
            Some((found, _)) if **found < *key => Some(found.clone()),
            _ => Some(key.to_vec()),
        };
        changed.is_none()
    });
    changed.or_else(|| expected.next().map(|(key, _)| key.clone()))
}
