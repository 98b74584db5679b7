//! Latencies, counted in buckets a sixty-fourth of their value wide.

/// Buckets of one power of two.
const STEPS: u64 = 64;

/// Powers of two above [`STEPS`]: up to 2^42 ns, over an hour. What is longer counts as that.
const POWERS: u64 = 36;

/// How often each latency was seen.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(super) fn new() -> Histogram {
        Histogram {
            counts: vec![0; (STEPS * (POWERS + 1)) as usize],
            total: 0,
        }
    }

    pub(super) fn record(&mut self, nanos: u64) {
        let index = bucket(nanos).min(self.counts.len() - 1);
        self.counts[index] += 1;
        self.total += 1;
    }

    /// The latency in ns that so many of 1000 do not exceed; 0 where nothing was recorded.
    pub(super) fn permille(&self, permille: u64) -> u64 {
        let wanted = (self.total * permille).div_ceil(1000);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return highest(index as u64);
            }
        }
        0
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let power = u64::from(nanos.ilog2()) - u64::from(STEPS.ilog2());
    ((power + 1) * STEPS + (nanos >> power) - STEPS) as usize
}

/// The highest latency that a bucket counts.
fn highest(index: u64) -> u64 {
    if index < STEPS {
        return index;
    }
    let power = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_close_to_what_they_count() {
        for nanos in (0..100_000).chain((1..42).map(|i| (1 << i) - 1)) {
            let high = highest(bucket(nanos) as u64);
            assert!(
                high >= nanos && high - nanos <= nanos / STEPS,
                "{nanos}: {high}"
            );
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.permille(500), 0);
        for nanos in 1..=1000 {
            histogram.record(nanos);
        }
        histogram.record(u64::MAX);
        for (permille, low, high) in [
            (500, 500, 512),
            (990, 990, 1008),
            (1000, (1 << 42) - 1, u64::MAX),
        ] {
            let nanos = histogram.permille(permille);
            assert!((low..=high).contains(&nanos), "{permille}: {nanos}");
        }
    }
}
