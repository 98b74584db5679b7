//! What 8 threads are answered about single records, while segments are sealed, compacted,
//! checkpointed and reclaimed under them: each record's history must be linearizable.

use super::ask::said;
use super::linear::{Operation, is_linearizable};
use super::seeds;
use super::subject::{Chore, Subject};
use crate::io::chance::Chance;
use crate::io::sim::SimDisk;
use crate::model::Model;
use crate::{Database, DatabaseOptions};
use hakone_command::{
    Amount, Command, Condition, End, ExpiryCondition, ExpirySet, Kind, Millis, Reply,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};

const THREADS: usize = 8;

/// Operations of a thread.
const OPERATIONS: u64 = 2000;

/// Keys of each database. The last is asked for rarely, so that its record is there to be reclaimed
/// once it has expired.
const KEYS: u64 = 6;

const BEGIN: Millis = 1_800_000_000_000;

/// Values that a history of any length can name: of each thread so many.
type Values = Vec<[u8; 3]>;

/// What is asked and answered, by database and key.
type Histories<'v> = BTreeMap<(usize, u64), Vec<Operation<'v>>>;

/// A store that threads share.
trait Shared: Sync {
    fn call(&self, at: usize, command: &Command<'_>, now: Millis, said: &mut String);
}

impl Shared for Vec<Database> {
    fn call(&self, at: usize, command: &Command<'_>, now: Millis, text: &mut String) {
        let mut answer = |reply: Reply<'_>| *text = said(reply);
        let called = self[at].call(command, now, &mut answer);
        called.unwrap_or_else(|e| panic!("{}: {command:?}: {e}", self[at].name()));
    }
}

/// The clock that all threads share, and what each of them takes for the time.
#[derive(Default)]
struct Clock {
    moments: AtomicU64,
    times: [AtomicU64; THREADS],
}

impl Clock {
    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// The time of a thread's next operation.
    fn time(&self, thread: usize) -> Millis {
        let now = BEGIN + self.moments.load(Ordering::SeqCst) / 8;
        self.times[thread].store(now, Ordering::SeqCst);
        now
    }

    /// A time that no operation is before.
    fn oldest(&self) -> Millis {
        let times = self.times.iter().map(|time| time.load(Ordering::SeqCst));
        times.min().unwrap_or(0)
    }
}

/// Some operation on a record.
fn random<'v>(chance: &mut Chance, key: &'v [u8], values: &'v Values, now: Millis) -> Command<'v> {
    let value = |chance: &mut Chance| &values[chance.index(values.len())][..];
    let expiry = match chance.below(6) {
        0 => now + chance.below(30),
        _ => 0,
    };
    match chance.below(16) {
        0..=3 => Command::Get { key },
        4..=6 => Command::Put {
            key,
            value: value(chance),
            condition: [Condition::Always, Condition::Always, Condition::IfAbsent][chance.index(3)],
            expiry: ExpirySet::At(expiry),
            flags: chance.below(3) as u32,
            want_old: chance.one_in(2),
        },
        7 | 8 => Command::Remove {
            key,
            want_old: chance.one_in(2),
        },
        9 | 10 => Command::Append {
            key,
            value: value(chance),
            end: End::Back,
            width: Some(9),
            condition: Condition::Always,
            expiry: ExpirySet::Keep,
        },
        11 | 12 => Command::Add {
            key,
            amount: Amount::Decimal(1),
            absent: Some(Amount::Decimal(0)),
            expiry: ExpirySet::Keep,
        },
        13 | 14 => {
            let old = (!chance.one_in(4)).then(|| value(chance));
            let new = (!chance.one_in(4)).then(|| value(chance));
            Command::CompareSwap {
                key,
                old,
                new,
                expiry: ExpirySet::At(0),
            }
        }
        _ => Command::Touch {
            key,
            expiry: now + chance.below(40),
            condition: ExpiryCondition::Always,
            want: chance.one_in(2),
        },
    }
}

/// Lets the threads ask a store of so many databases, and `beside` do what it does until they are
/// done. Returns what they were answered.
fn record<'v>(
    store: &dyn Shared,
    databases: usize,
    seed: u64,
    keys: &'v [Vec<u8>],
    values: &'v Values,
    beside: impl FnOnce(&Clock, &AtomicBool) + Send,
) -> Histories<'v> {
    let clock = Clock::default();
    for thread in 0..THREADS {
        clock.time(thread);
    }
    let histories = Mutex::new(Histories::new());
    let is_over = AtomicBool::new(false);
    let all_are_there = Barrier::new(THREADS);
    let ask = |thread: usize| {
        let mut chance = Chance::new(seed * 100 + thread as u64);
        let mut own = Vec::new();
        // Few cores take turns: others are let in at every place where they may come.
        let let_others = |chance: &mut Chance| {
            if chance.one_in(6) {
                std::thread::yield_now();
            }
        };
        all_are_there.wait();
        for _ in 0..OPERATIONS {
            let at = chance.index(databases);
            let number = if chance.one_in(50) {
                KEYS - 1
            } else {
                chance.below(KEYS - 1)
            };
            let now = clock.time(thread);
            let key = &keys[usize::try_from(number).unwrap_or(0)];
            let command = random(&mut chance, key, values, now);
            let mut said = String::new();
            let begin = clock.moment();
            let_others(&mut chance);
            store.call(at, &command, now, &mut said);
            let_others(&mut chance);
            let end = clock.moment();
            let operation = Operation {
                command,
                now,
                said,
                begin,
                end,
            };
            own.push(((at, number), operation));
        }
        let mut histories = histories.lock().unwrap();
        for (record, operation) in own {
            histories.entry(record).or_default().push(operation);
        }
    };
    std::thread::scope(|scope| {
        let chores = scope.spawn(|| beside(&clock, &is_over));
        let ask = &ask;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || ask(thread)))
            .collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        for thread in ended {
            thread.unwrap();
        }
        chores.join().unwrap();
    });
    histories.into_inner().unwrap()
}

fn keys() -> Vec<Vec<u8>> {
    (0..KEYS)
        .map(|key| format!("key {key}").into_bytes())
        .collect()
}

/// Few, so that expected values are met.
fn values() -> Values {
    (0..4).map(|i| [b'0' + i, b'x', b'y']).collect()
}

fn databases(subject: &Subject) -> Vec<Database> {
    let kinds = [
        ("hash", Kind::Hash, false),
        ("tree", Kind::Tree, false),
        ("hash in memory", Kind::Hash, true),
        ("tree in memory", Kind::Tree, true),
    ];
    let each = kinds.map(|(name, kind, memory)| {
        let options = DatabaseOptions {
            memory,
            ..DatabaseOptions::new(kind)
        };
        subject.create(name, options).unwrap()
    });
    each.to_vec()
}

#[test]
fn what_threads_are_told_of_a_record_can_have_happened_in_some_order() {
    let (keys, values) = (keys(), values());
    let (mut operations, mut done) = (0, BTreeMap::<Chore, u64>::new());
    for seed in seeds(2) {
        let disk = SimDisk::new(seed);
        disk.set_micros((BEGIN + seed) * 1000);
        let subject = Subject::open(&disk).unwrap();
        let databases = databases(&subject);
        let chores = |clock: &Clock, is_over: &AtomicBool| {
            let mut chance = Chance::new(seed);
            while !is_over.load(Ordering::SeqCst) {
                let chore = [
                    Chore::Sync,
                    Chore::Prepare,
                    Chore::Settle,
                    Chore::Checkpoint,
                    Chore::Compact,
                    Chore::Reclaim,
                ][chance.index(6)];
                if subject.chore(chore, clock.oldest()).unwrap() > 0 {
                    *done.entry(chore).or_default() += 1;
                }
            }
        };
        let histories = record(&databases, databases.len(), seed, &keys, &values, chores);
        for ((at, key), history) in &histories {
            operations += history.len();
            let name = databases[*at].name();
            assert!(
                is_linearizable(history),
                "seed {seed}, {name}, key {key}: {history:#?}"
            );
        }
    }
    println!("histories: {operations} operations of {THREADS} threads, beside {done:?}");
    assert!(done.contains_key(&Chore::Compact) && done.contains_key(&Chore::Checkpoint));
}

/// A store that reads and writes a record under two locks, one after the other.
struct Careless(Vec<Mutex<Model>>);

impl Shared for Careless {
    fn call(&self, at: usize, command: &Command<'_>, now: Millis, text: &mut String) {
        let mut answer = |reply: Reply<'_>| *text = said(reply);
        let mut copy = self.0[at].lock().unwrap().clone();
        std::thread::yield_now();
        copy.call(command, now, &mut answer).unwrap();
        *self.0[at].lock().unwrap() = copy;
    }
}

/// The checker finds what it is there for: a store that loses updates.
#[test]
fn a_store_that_loses_updates_is_found_out() {
    let (keys, values) = (keys(), values());
    let store = Careless((0..4).map(|_| Mutex::default()).collect());
    let histories = record(&store, 4, 1, &keys, &values, |_, _| {});
    assert!(histories.values().any(|history| !is_linearizable(history)));
}
