//! Pins: which moments of the past are still read.
//!
//! A snapshot holds a pin from before it is made. What compaction retires may be given free once no
//! pin is left that is older: a newer snapshot leads to the copies.

use super::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The pins of one log.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// How often something was retired: the moment that a pin made now holds.
    now: u64,
    /// How many pins hold each moment.
    moments: BTreeMap<u64, u64>,
}

/// A moment that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    pins: Arc<Pins>,
    moment: u64,
}

impl Pins {
    /// Holds what is there now.
    pub(crate) fn pin(self: &Arc<Pins>) -> Pin {
        let mut held = lock(&self.held);
        let moment = held.now;
        *held.moments.entry(moment).or_default() += 1;
        Pin {
            pins: Arc::clone(self),
            moment,
        }
    }

    /// Something is retired: nothing made from now on leads to it. Gives the moment until which
    /// pins may.
    pub(crate) fn retire(&self) -> u64 {
        let mut held = lock(&self.held);
        held.now += 1;
        held.now - 1
    }

    /// Whether a pin may lead to what was retired at this moment.
    pub(crate) fn hold(&self, retired: u64) -> bool {
        let held = lock(&self.held);
        let oldest = held.moments.first_key_value();
        oldest.is_some_and(|(moment, _)| *moment <= retired)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = lock(&self.pins.held);
        if let Some(count) = held.moments.get_mut(&self.moment) {
            *count -= 1;
            if *count == 0 {
                held.moments.remove(&self.moment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_holds_what_is_retired_after_it_and_nothing_else() {
        let pins = Arc::new(Pins::default());
        let before = pins.retire();
        let (first, second) = (pins.pin(), pins.pin());
        let between = pins.retire();
        let third = pins.pin();
        let after = pins.retire();
        let holds = |pins: &Pins| [before, between, after].map(|moment| pins.hold(moment));
        assert_eq!(holds(&pins), [false, true, true]);
        drop(first);
        assert_eq!(holds(&pins), [false, true, true]);
        drop(second);
        assert_eq!(holds(&pins), [false, false, true]);
        drop(third);
        assert_eq!(holds(&pins), [false, false, false]);
    }
}
