//! A mark that rises, between threads: who sees it at a place sees all that was done before it was
//! raised to there. `tests/loom.rs` tries every order in which threads can meet at it.

use super::atomics::{AtomicU64, Ordering};

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Watermark(AtomicU64);

impl Watermark {
    /// Where it stands. Acquires what was released by whoever raised it.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Where it stands, for the only one who raises it: its own work needs no acquiring.
    #[inline]
    pub(crate) fn own(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Raises it, for the only one who does. Releases what was done before.
    #[inline]
    pub(crate) fn set(&self, to: u64) {
        self.0.store(to, Ordering::Release);
    }

    /// Raises it unless it stands higher already, whoever does. Releases what was done before, and
    /// acquires what was done before it stood where it did.
    #[inline]
    pub(crate) fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::AcqRel);
    }
}
