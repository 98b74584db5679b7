//! When records expire: addresses by time, so that reclaiming reads nothing that has not expired.

use crate::log::{Address, lock};
use hakone_command::Millis;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Milliseconds that share a list: the lag that this adds to reclaiming.
const BUCKET_MILLIS: u64 = 64;

/// The addresses of records with an expiry. An address may be stale: whoever reclaims asks the
/// index. Eight bytes a record.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Mutex<BTreeMap<u64, Vec<Address>>>);

impl Deadlines {
    /// Notes that the record at `address` expires then.
    pub(crate) fn add(&self, expiry: Millis, address: Address) {
        lock(&self.0)
            .entry(expiry / BUCKET_MILLIS)
            .or_default()
            .push(address);
    }

    /// Takes out about `limit` addresses of records that have expired at `now`.
    pub(crate) fn take_due(&self, now: Millis, limit: usize) -> Vec<Address> {
        let mut buckets = lock(&self.0);
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(first) = buckets.first_entry()
            && (first.key() + 1) * BUCKET_MILLIS <= now
        {
            due.append(&mut first.remove());
        }
        due
    }

    /// The expiry of the record that is due next, or a little later.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        let buckets = lock(&self.0);
        let (first, _) = buckets.first_key_value()?;
        Some((first + 1) * BUCKET_MILLIS)
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// All of them, for a checkpoint: the expiry may be told a little late.
    pub(crate) fn all(&self) -> Vec<(Millis, Address)> {
        let buckets = lock(&self.0);
        let each = |(bucket, list): (&u64, &Vec<Address>)| {
            let expiry = (bucket + 1) * BUCKET_MILLIS - 1;
            list.iter()
                .map(move |address| (expiry, *address))
                .collect::<Vec<_>>()
        };
        buckets.iter().flat_map(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_once_and_nothing_comes_early() {
        let deadlines = Deadlines::default();
        for expiry in 1..1000 {
            deadlines.add(expiry, expiry);
        }
        let mut seen = Vec::new();
        for now in (0..1200).step_by(7) {
            let due = deadlines.take_due(now, 10);
            assert!(due.iter().all(|expiry| *expiry <= now), "{now}: {due:?}");
            seen.extend(due);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(1..1000));
    }
}
