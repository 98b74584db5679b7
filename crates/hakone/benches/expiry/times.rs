//! Times of operations, and their quantiles.

use std::time::Instant;

/// Times of operations, in buckets of a 16th of their power of two.
pub(super) struct Times(Vec<u64>);

impl Times {
    pub(super) fn new() -> Times {
        Times(vec![0; 64 * 16])
    }

    pub(super) fn time<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = operation();
        let nanos = started.elapsed().as_nanos() as u64 | 16;
        let power = nanos.ilog2();
        self.0[power as usize * 16 + (nanos >> (power - 4) & 15) as usize] += 1;
        done
    }

    /// In microseconds.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let all: u64 = self.0.iter().sum();
        let mut seen = 0;
        let place = self.0.iter().position(|count| {
            seen += count;
            seen as f64 >= all as f64 * share
        });
        let place = place.unwrap_or(0);
        (16 + place % 16) as f64 * ((1_u64 << (place / 16)) as f64) / 16_000.0
    }

    pub(super) fn text(&self) -> String {
        let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| self.quantile(share));
        format!("p50 {half:.2} p99 {most:.2} p99.9 {nearly_all:.2}")
    }
}
