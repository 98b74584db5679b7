//! Reclaiming what has expired, in slices, and how long that took to come.

use crate::store::Store;
use crate::store::deadlines::Alarm;
use hakone_command::{Millis, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Records of a database that are reclaimed at a time at the most: a millisecond.
const SLICE: usize = 1024;

/// Records that are reclaimed under one lock of a tree: 5 us, as long as a put waits anyway.
const GROUP: usize = 8;

/// As many where reclaiming is late: who gets the lock too seldom takes more of it. On a machine with
/// six times as much to do as it can, 128 of them were not enough to keep up.
const GROUP_MAX: usize = SLICE;

/// The lateness that doubles the group: that of a slice in time is less.
const LATE_MILLIS: Millis = 20;

/// The pause between slices: what shares a wake-up, and most of the lag.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest wait, in case the clock jumps.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The wait after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The bounds of the buckets of [`LagHistogram`], in milliseconds.
pub const LAG_BOUNDS: [Millis; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// How long after their expiry records were reclaimed, since the cabinet was opened. For what
/// expired before that, the time since the opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagHistogram {
    /// How many took at most as long as the bound of the same place in [`LAG_BOUNDS`] says, and
    /// longer than the one before it; the last: how many took longer than all.
    pub counts: [u64; LAG_BOUNDS.len() + 1],
    /// The sum of all lags, in milliseconds.
    pub sum: Millis,
}

impl LagHistogram {
    /// The bound below which the lag of this share of the records lies (0.99: of 99 in a hundred);
    /// `None` if it lies above all bounds, 0 if nothing was reclaimed.
    pub fn quantile(&self, share: f64) -> Option<Millis> {
        let all: u64 = self.counts.iter().sum();
        if all == 0 {
            return Some(0);
        }
        let mut seen = 0;
        for (bound, count) in LAG_BOUNDS.iter().zip(&self.counts) {
            seen += count;
            #[expect(clippy::cast_precision_loss, reason = "a share of a count")]
            if seen as f64 >= all as f64 * share {
                return Some(*bound);
            }
        }
        None
    }
}

/// A [`LagHistogram`] that counts.
#[derive(Debug, Default)]
struct Lags {
    counts: [AtomicU64; LAG_BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl Lags {
    fn note(&self, lag: Millis) {
        let place = LAG_BOUNDS.partition_point(|bound| *bound < lag);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(lag, Ordering::Relaxed);
    }
}

/// What reclaims, and what it has done.
#[derive(Debug)]
pub(crate) struct Reclaimer {
    /// Wakes whoever reclaims.
    pub(crate) alarm: Arc<Alarm>,
    lags: Lags,
    /// When the cabinet was opened.
    opened: Millis,
}

/// What a slice has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    /// How many deadlines had passed.
    pub(crate) due: u64,
    /// How many records were reclaimed.
    pub(crate) reclaimed: u64,
    /// Whether more are due.
    is_full: bool,
}

impl Reclaimer {
    pub(crate) fn new(opened: Millis) -> Reclaimer {
        Reclaimer {
            alarm: Arc::default(),
            lags: Lags::default(),
            opened,
        }
    }

    /// Reclaims some of the records that have expired at `now`, of each database alike.
    ///
    /// # Errors
    /// Those of the log; what was not reclaimed is due again.
    pub(crate) fn slice(
        &self,
        stores: &[Arc<Store>],
        now: Millis,
        clock: impl Fn() -> Millis,
    ) -> Result<Slice> {
        let mut slice = Slice::default();
        for store in stores {
            let due = store.deadlines.take_due(now, SLICE);
            slice.due += due.len() as u64;
            slice.is_full |= due.len() == SLICE;
            let mut tell = |expiry: Millis| {
                slice.reclaimed += 1;
                let since = expiry.max(self.opened);
                self.lags.note(clock().saturating_sub(since));
            };
            let Some((oldest, _)) = due.first() else {
                continue;
            };
            let late = now.saturating_sub(*oldest) / LATE_MILLIS;
            let size = (GROUP << late.min(8)).min(GROUP_MAX);
            for (i, group) in due.chunks(size).enumerate() {
                let addresses: Vec<_> = group.iter().map(|(_, address)| *address).collect();
                if let Err(error) = store.reclaim(&addresses, now, &mut tell) {
                    for (by, address) in &due[i * size..] {
                        store.deadlines.add(by - 1, *address);
                    }
                    return Err(error);
                }
            }
        }
        Ok(slice)
    }

    /// Waits until something is due. After a slice at least so long that others go on meanwhile:
    /// where much is due, as long as the slice took, or 10 ms.
    pub(crate) fn rest(
        &self,
        now: Millis,
        last: &Result<Slice>,
        took: Duration,
        next: impl FnOnce() -> Option<Millis>,
    ) {
        let at_least = match last {
            // It took long because the processor was elsewhere, perhaps.
            Ok(slice) if slice.is_full => took.min(PAUSE),
            Ok(slice) if slice.due > 0 => PAUSE,
            Ok(_) => Duration::from_millis(1),
            Err(_) => PAUSE_AFTER_FAILURE,
        };
        self.alarm.wait(now, at_least, PAUSE_MAX, next);
    }

    pub(crate) fn reclaimed(&self) -> u64 {
        self.lags().counts.iter().sum()
    }

    pub(crate) fn lags(&self) -> LagHistogram {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LagHistogram {
            counts: self.lags.counts.each_ref().map(count),
            sum: count(&self.lags.sum),
        }
    }
}

/// When the record that expires first may be reclaimed.
pub(crate) fn next(stores: &[Arc<Store>]) -> Option<Millis> {
    let next = |store: &Arc<Store>| store.deadlines.next();
    stores.iter().filter_map(next).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;
    use crate::io::sim::SimDisk;
    use crate::keeper::Tuning;
    use crate::{Cabinet, DatabaseOptions, Options};
    use hakone_command::{Command, Condition, ExpirySet, Kind};

    fn put(database: &Database, key: &[u8], expiry: Millis) {
        let command = Command::Put {
            key,
            value: b"value",
            condition: Condition::Always,
            expiry: ExpirySet::At(expiry),
            flags: 0,
            want_old: false,
        };
        database.call(&command, 1, &mut |_| {}).unwrap();
    }

    #[test]
    fn only_the_last_deadline_of_a_key_is_kept_and_reclaimed() {
        let tuning = Tuning {
            background: false,
            ..Tuning::new(&Options::default())
        };
        let disk = Arc::new(SimDisk::new(1));
        let cabinet = Cabinet::open_on(None, disk, tuning).unwrap();
        for kind in [Kind::Hash, Kind::Tree] {
            let options = DatabaseOptions::new(kind);
            let database = cabinet.create(kind.name(), options).unwrap();
            for expiry in 1000..2000 {
                put(&database, b"kept", expiry);
                put(&database, b"removed", expiry);
                put(&database, b"lasting", expiry);
            }
            put(&database, b"lasting", 0);
            let remove = Command::Remove {
                key: b"removed",
                want_old: false,
            };
            database.call(&remove, 1, &mut |_| {}).unwrap();
            assert_eq!(database.store().deadlines.page(0).0.len(), 1, "{kind:?}");
            assert_eq!(cabinet.keeper().reclaim(1999).unwrap(), 0);
            assert_eq!(cabinet.keeper().reclaim(2003).unwrap(), 1);
            assert_eq!(next(&cabinet.keeper().stores()), None);
        }
        assert_eq!(cabinet.stat().reclaimed, 2);
    }

    #[test]
    fn lags_are_counted_below_their_bounds() {
        let lags = Lags::default();
        for lag in [0, 1, 2, 3, 100, 101, 10_000, 10_001] {
            lags.note(lag);
        }
        let reclaimer = Reclaimer {
            lags,
            ..Reclaimer::new(0)
        };
        let lags = reclaimer.lags();
        assert_eq!(lags.counts, [2, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1]);
        assert_eq!(lags.sum, 20_208);
        assert_eq!(reclaimer.reclaimed(), 8);
        assert_eq!(lags.quantile(0.5), Some(5));
        assert_eq!(lags.quantile(0.6), Some(100));
        assert_eq!(lags.quantile(1.0), None);
        assert_eq!(LagHistogram::default().quantile(0.99), Some(0));
    }
}
