//! How long commands take, by protocol and command: histograms, kept without a lock.

use hakone_command::COMMANDS;
use hakone_wire::Protocol;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Nanoseconds of the first bucket's upper bound; each bound is twice the one before it.
const FIRST_NANOS: u64 = 256;

/// Buckets with a bound: up to 2.1 s. What is longer is counted beyond them.
const BUCKETS: usize = 24;

const ROWS: usize = Protocol::ALL.len() * COMMANDS.len();

/// The times of all commands that were timed.
#[derive(Debug)]
pub(crate) struct Timings(Box<[Histogram]>);

impl Default for Timings {
    fn default() -> Timings {
        Timings((0..ROWS).map(|_| Histogram::new()).collect())
    }
}

/// How often something took how long.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// Those up to each bound and above the one before it; then those beyond the last.
    buckets: [AtomicU64; BUCKETS + 1],
    nanos: AtomicU64,
}

impl Timings {
    /// Notes the time of a command, by its row in the command table.
    pub(crate) fn note(&self, protocol: Protocol, row: usize, time: Duration) {
        self.0[protocol as usize * COMMANDS.len() + row].note(time);
    }

    /// The times of a command.
    pub(crate) fn of(&self, protocol: Protocol, row: usize) -> &Histogram {
        &self.0[protocol as usize * COMMANDS.len() + row]
    }
}

impl Histogram {
    fn new() -> Histogram {
        Histogram {
            buckets: [const { AtomicU64::new(0) }; BUCKETS + 1],
            nanos: AtomicU64::new(0),
        }
    }

    fn note(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = nanos.saturating_sub(1) / FIRST_NANOS;
        let bucket = bucket.checked_ilog2().map_or(0, |log| log as usize + 1);
        // Relaxed, here and below: counts order nothing.
        self.buckets[bucket.min(BUCKETS)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The bounds in seconds with how many took at most so long; then how many there are.
    pub(crate) fn cumulative(&self) -> (Vec<(f64, u64)>, u64) {
        let mut count = 0;
        let mut bounds = Vec::with_capacity(BUCKETS);
        for (i, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if i < BUCKETS {
                let bound = Duration::from_nanos(FIRST_NANOS << i);
                bounds.push((bound.as_secs_f64(), count));
            }
        }
        (bounds, count)
    }

    /// The sum of all times.
    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_up_to_its_bound() {
        let histogram = Histogram::new();
        for nanos in [0, 1, 256, 257, 512, 513, 1 << 40, u64::MAX] {
            histogram.note(Duration::from_nanos(nanos));
        }
        let (bounds, count) = histogram.cumulative();
        assert_eq!(count, 8);
        assert_eq!(bounds[0], (0.000_000_256, 3));
        assert_eq!(bounds[1], (0.000_000_512, 5));
        assert_eq!(bounds[2], (0.000_001_024, 6));
        assert_eq!(bounds[BUCKETS - 1].1, 6);
    }
}
