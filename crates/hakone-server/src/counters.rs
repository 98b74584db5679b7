//! How often each protocol has asked for what. Counted in the turn, added up once a turn.

use crate::service::{Asked, Tally};
use hakone_command::COMMANDS;
use hakone_wire::{Protocol, memcached, resp, tyrant};
use std::sync::atomic::{AtomicU64, Ordering};

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// A command that a protocol has asked a database for, by its row in the command table.
    Command(Protocol, usize),
    /// A verb of Tyrant's.
    Tyrant(tyrant::Verb),
    /// A verb of memcached's.
    Memcached(memcached::Verb),
    /// What memcached counts beside its verbs.
    Tally(Tally),
    /// A verb of Redis'.
    Resp(resp::Verb),
    /// A put of Tyrant's that failed.
    PutMiss,
    /// A removal of Tyrant's that failed.
    OutMiss,
    /// A read of Tyrant's that failed.
    GetMiss,
    /// What Tycoon's `report` counts.
    Tycoon(Asked),
    /// A single record was asked for by Redis' protocol, and was there.
    Hit,
    /// A single record was asked for by Redis' protocol, and was not there.
    Miss,
    /// A request that was answered with an error by Redis' protocol.
    Error,
}

const PROTOCOLS: usize = Protocol::ALL.len();
const COMMAND_CELLS: usize = PROTOCOLS * COMMANDS.len();
const TYRANT_FROM: usize = COMMAND_CELLS;
const MEMCACHED_FROM: usize = TYRANT_FROM + tyrant::Verb::ALL.len();
const TALLY_FROM: usize = MEMCACHED_FROM + memcached::Verb::ALL.len();
const RESP_FROM: usize = TALLY_FROM + Tally::ALL.len();
const ASKED_FROM: usize = RESP_FROM + resp::ROWS.len();
const REST_FROM: usize = ASKED_FROM + Asked::ALL.len();
const CELLS: usize = REST_FROM + 6;

impl Counter {
    fn cell(self) -> usize {
        match self {
            Counter::Command(protocol, row) => protocol as usize * COMMANDS.len() + row,
            Counter::Tyrant(verb) => TYRANT_FROM + verb as usize,
            Counter::Memcached(verb) => MEMCACHED_FROM + verb as usize,
            Counter::Tally(tally) => TALLY_FROM + tally as usize,
            Counter::Resp(verb) => RESP_FROM + verb as usize,
            Counter::Tycoon(asked) => ASKED_FROM + asked as usize,
            Counter::PutMiss => REST_FROM,
            Counter::OutMiss => REST_FROM + 1,
            Counter::GetMiss => REST_FROM + 2,
            Counter::Hit => REST_FROM + 3,
            Counter::Miss => REST_FROM + 4,
            Counter::Error => REST_FROM + 5,
        }
    }
}

/// The counts of all turns.
#[derive(Debug)]
pub(crate) struct Counters {
    cells: [AtomicU64; CELLS],
    /// What they were when a client last asked to count anew.
    forgotten: [AtomicU64; CELLS],
}

impl Default for Counters {
    fn default() -> Self {
        let zeros = || [const { AtomicU64::new(0) }; CELLS];
        Counters {
            cells: zeros(),
            forgotten: zeros(),
        }
    }
}

impl Counters {
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        // Relaxed, here and below: counts order nothing.
        self.cells[counter.cell()].load(Ordering::Relaxed)
    }

    /// The count since a client last asked to count anew.
    pub(crate) fn since_forgotten(&self, counter: Counter) -> u64 {
        let forgotten = self.forgotten[counter.cell()].load(Ordering::Relaxed);
        self.get(counter).saturating_sub(forgotten)
    }

    /// Counts anew, for those who ask by [`Counters::since_forgotten`].
    pub(crate) fn forget(&self) {
        for (cell, forgotten) in self.cells.iter().zip(&self.forgotten) {
            forgotten.store(cell.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// The counts of one turn.
#[derive(Debug)]
pub(crate) struct Counts {
    cells: [u32; CELLS],
    /// Which cells are not 0, a bit each.
    touched: [u64; CELLS.div_ceil(64)],
    /// Commands that have passed the door in this turn.
    commands: u32,
}

impl Counts {
    pub(crate) fn new() -> Counts {
        Counts {
            cells: [0; CELLS],
            touched: [0; CELLS.div_ceil(64)],
            commands: 0,
        }
    }

    /// Whether the next command is one of those whose time is taken: the first of a turn and every
    /// 16th after it, so that reading the clock costs a pipeline little.
    pub(crate) fn is_timed(&mut self) -> bool {
        let number = self.commands;
        self.commands = number.wrapping_add(1);
        number.is_multiple_of(16)
    }

    pub(crate) fn count(&mut self, counter: Counter) {
        self.count_many(counter, 1);
    }

    pub(crate) fn count_many(&mut self, counter: Counter, count: usize) {
        let cell = counter.cell();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.cells[cell] = self.cells[cell].saturating_add(count);
        self.touched[cell / 64] |= 1 << (cell % 64);
    }

    /// Adds these counts to those of all turns, and begins again at 0.
    pub(crate) fn add_to(&mut self, all: &Counters) {
        for (word, touched) in self.touched.iter_mut().enumerate() {
            while *touched != 0 {
                let cell = word * 64 + touched.trailing_zeros() as usize;
                *touched &= *touched - 1;
                let count = std::mem::take(&mut self.cells[cell]);
                all.cells[cell].fetch_add(u64::from(count), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_cell_of_its_own() {
        let mut all = vec![
            Counter::PutMiss,
            Counter::OutMiss,
            Counter::GetMiss,
            Counter::Hit,
            Counter::Miss,
            Counter::Error,
        ];
        for &protocol in Protocol::ALL {
            all.extend((0..COMMANDS.len()).map(|row| Counter::Command(protocol, row)));
        }
        all.extend(tyrant::Verb::ALL.iter().map(|&verb| Counter::Tyrant(verb)));
        let verbs = memcached::Verb::ALL.iter();
        all.extend(verbs.map(|&verb| Counter::Memcached(verb)));
        all.extend(Tally::ALL.iter().map(|&tally| Counter::Tally(tally)));
        all.extend(Asked::ALL.iter().map(|&asked| Counter::Tycoon(asked)));
        all.extend(resp::ROWS.iter().map(|row| Counter::Resp(row.verb)));
        assert_eq!(all.len(), CELLS);
        let counters = Counters::default();
        let mut counts = Counts::new();
        for &counter in &all {
            counts.count(counter);
        }
        counts.add_to(&counters);
        counts.add_to(&counters);
        assert!(all.iter().all(|&counter| counters.get(counter) == 1));
    }
}
