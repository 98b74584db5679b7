//! Whether what several threads were answered about one record can have happened in some order.
//!
//! A history is **linearizable** if each operation can be put at a moment between its begin and its
//! end, so that one after the other they answer what was answered. The search goes through the
//! orders that are possible, depth first, and never twice through the same set of operations with
//! the same outcome (Wing and Gong's algorithm, with Lowe's memory of where it has been).

use super::ask::said;
use crate::ops::{self, Effect, Scratch, decide};
use hakone_command::{Command, Millis, Record};
use std::collections::HashSet;

/// An operation on one record, and what was answered.
#[derive(Clone, Debug)]
pub(super) struct Operation<'a> {
    pub(super) command: Command<'a>,
    /// Its own time.
    pub(super) now: Millis,
    pub(super) said: String,
    /// Moments of a clock that all threads share.
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// The record, if there is one: value, expiry, flags.
type State = Option<(Vec<u8>, Millis, u32)>;

/// What becomes of the record if the operation comes next; `None`: it would answer otherwise.
fn next(state: &State, operation: &Operation<'_>) -> Option<State> {
    let old = state.as_ref().map(|(value, expiry, flags)| Record {
        value,
        value_bytes: value.len() as u64,
        expiry: *expiry,
        flags: *flags,
        version: 0,
    });
    let mut scratch = Scratch::default();
    let decided = decide(&operation.command, old, operation.now, &mut scratch);
    let (effect, outcome) = decided.expect("operations keep the limits");
    if said(ops::reply(outcome, 0)) != operation.said {
        return None;
    }
    Some(match effect {
        Effect::Keep => state.clone(),
        Effect::Put {
            value,
            expiry,
            flags,
        } => Some(([value.head, value.tail].concat(), expiry, flags)),
        Effect::Remove => None,
    })
}

/// The begins and ends of operations that are not in order yet, linked in the order of time.
struct Moments {
    /// The operation of each, and whether it begins there.
    of: Vec<(usize, bool)>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Where each operation ends.
    ends: Vec<usize>,
}

impl Moments {
    /// The first of them has number 1; 0 is before all.
    fn new(history: &[Operation<'_>]) -> Moments {
        let mut times: Vec<(u64, usize, bool)> = Vec::new();
        for (i, operation) in history.iter().enumerate() {
            times.push((operation.begin, i, true));
            times.push((operation.end, i, false));
        }
        times.sort_unstable();
        let mut ends = vec![0; history.len()];
        let mut of = vec![(usize::MAX, false)];
        for (_, i, is_begin) in times {
            if !is_begin {
                ends[i] = of.len();
            }
            of.push((i, is_begin));
        }
        let count = of.len();
        Moments {
            of,
            next: (1..=count).collect(),
            previous: (0..=count).map(|i: usize| i.saturating_sub(1)).collect(),
            ends,
        }
    }

    fn first(&self) -> usize {
        self.next[0]
    }

    fn is_end(&self, moment: usize) -> bool {
        moment == self.of.len()
    }

    fn unlink(&mut self, moment: usize) {
        let (previous, next) = (self.previous[moment], self.next[moment]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn link(&mut self, moment: usize) {
        let (previous, next) = (self.previous[moment], self.next[moment]);
        self.next[previous] = moment;
        self.previous[next] = moment;
    }

    /// Takes out an operation that begins at this moment.
    fn lift(&mut self, begin: usize) {
        self.unlink(begin);
        self.unlink(self.ends[self.of[begin].0]);
    }

    /// Gives back the operation that was taken out last.
    fn put_back(&mut self, begin: usize) {
        self.link(self.ends[self.of[begin].0]);
        self.link(begin);
    }
}

/// Whether the operations on a record that was absent at first are linearizable.
pub(super) fn is_linearizable(history: &[Operation<'_>]) -> bool {
    let mut moments = Moments::new(history);
    let mut state: State = None;
    let mut done = vec![0u64; history.len().div_ceil(64)];
    let mut been = HashSet::new();
    let mut order: Vec<(usize, State)> = Vec::new();
    let mut at = moments.first();
    while !moments.is_end(moments.first()) {
        let (i, is_begin) = moments.of[at];
        if is_begin {
            if let Some(then) = next(&state, &history[i]) {
                done[i / 64] |= 1 << (i % 64);
                if been.insert((done.clone(), then.clone())) {
                    order.push((at, std::mem::replace(&mut state, then)));
                    moments.lift(at);
                    at = moments.first();
                    continue;
                }
                done[i / 64] &= !(1 << (i % 64));
            }
            at = moments.next[at];
        } else {
            // This one has ended before any other could come first: the last choice was wrong.
            let Some((begin, before)) = order.pop() else {
                return false;
            };
            let i = moments.of[begin].0;
            done[i / 64] &= !(1 << (i % 64));
            state = before;
            moments.put_back(begin);
            at = moments.next[begin];
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use hakone_command::{Amount, Condition, ExpirySet};

    fn put(value: &'static [u8]) -> Command<'static> {
        Command::Put {
            key: b"k",
            value,
            condition: Condition::Always,
            expiry: ExpirySet::At(0),
            flags: 0,
            want_old: false,
        }
    }

    fn get() -> Command<'static> {
        Command::Get { key: b"k" }
    }

    fn add() -> Command<'static> {
        Command::Add {
            key: b"k",
            amount: Amount::Decimal(1),
            absent: Some(Amount::Decimal(0)),
            expiry: ExpirySet::Keep,
        }
    }

    /// Operations as (begin, end, command, answer).
    fn check(history: &[(u64, u64, Command<'static>, &str)], expected: bool) {
        let history: Vec<_> = history
            .iter()
            .map(|(begin, end, command, said)| Operation {
                command: command.clone(),
                now: 1,
                said: (*said).to_owned(),
                begin: *begin,
                end: *end,
            })
            .collect();
        assert_eq!(is_linearizable(&history), expected, "{history:?}");
    }

    const A: &str = "1 bytes 61 expiry 0 flags 0";
    const B: &str = "1 bytes 62 expiry 0 flags 0";

    #[test]
    fn a_read_tells_of_a_write_that_has_ended() {
        check(&[(1, 2, put(b"a"), "Stored"), (3, 4, get(), A)], true);
        check(
            &[(1, 2, put(b"a"), "Stored"), (3, 4, get(), "Missing")],
            false,
        );
        check(
            &[(1, 4, put(b"a"), "Stored"), (2, 3, get(), "Missing")],
            true,
        );
        check(&[(1, 4, put(b"a"), "Stored"), (2, 3, get(), A)], true);
        check(&[(1, 2, get(), A), (3, 4, put(b"a"), "Stored")], false);
    }

    #[test]
    fn reads_never_go_back() {
        let writes = [(1, 2, put(b"a"), "Stored"), (3, 10, put(b"b"), "Stored")];
        let history = |first, second| {
            let reads = [(4, 5, get(), first), (6, 7, get(), second)];
            [&writes[..], &reads].concat()
        };
        check(&history(A, A), true);
        check(&history(A, B), true);
        check(&history(B, B), true);
        check(&history(B, A), false);
    }

    #[test]
    fn no_update_is_lost() {
        let both = |first, second| [(1, 4, add(), first), (2, 3, add(), second)];
        check(&both("Number(1)", "Number(2)"), true);
        check(&both("Number(2)", "Number(1)"), true);
        check(&both("Number(1)", "Number(1)"), false);
        check(&both("Number(2)", "Number(3)"), false);
    }
}
