//! A flush to come: carried out at the beginning of the first turn after its moment, before anything
//! else of any connection. Between the moment and that turn nobody has read or written, so it is as
//! if it had been carried out at the moment. A restart forgets it.

use hakone::Millis;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// When all records are to be removed; 0 is never.
#[derive(Debug, Default)]
pub(in crate::service) struct Flush {
    /// Raised and lowered under the lock; looked at without it.
    at: AtomicU64,
    lock: Mutex<()>,
}

impl Flush {
    /// At this moment, in place of any other.
    pub(super) fn set(&self, at: Millis) {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // SeqCst, here and below: a worker that answers after this must find it, and it is rare.
        self.at.store(at, Ordering::SeqCst);
    }

    /// Never.
    pub(super) fn forget(&self) {
        self.set(0);
    }

    /// Whether it is to be carried out now.
    pub(in crate::service) fn is_due(&self, now: Millis) -> bool {
        let at = self.at.load(Ordering::SeqCst);
        at != 0 && at <= now
    }

    /// Calls `clear` if it is due, and forgets it if that has succeeded. Other workers wait
    /// meanwhile: what they do next comes after the moment.
    pub(super) fn carry_out(&self, now: Millis, clear: impl FnOnce() -> bool) {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_due(now) && clear() {
            self.at.store(0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_carried_out_once_when_it_is_due() {
        let flush = Flush::default();
        let carried_out = |now| {
            let mut done = false;
            flush.carry_out(now, || {
                done = true;
                true
            });
            done
        };
        assert!(!carried_out(u64::MAX));
        flush.set(100);
        assert!(!carried_out(99));
        assert!(carried_out(100));
        assert!(!carried_out(101));
        flush.set(100);
        flush.forget();
        assert!(!carried_out(100));
    }

    #[test]
    fn it_stays_due_until_it_has_succeeded() {
        let flush = Flush::default();
        flush.set(100);
        flush.carry_out(100, || false);
        assert!(flush.is_due(100));
    }
}
