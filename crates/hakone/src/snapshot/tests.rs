//! Snapshots of databases against frozen copies of a map, under compaction, checkpoints and clears;
//! and of accounts that writers move amounts between, whose sum must never change.

use super::Snapshot;
use crate::io::Disk;
use crate::io::chance::Chance;
use crate::io::sim::SimDisk;
use crate::keeper::Tuning;
use crate::log::LogOptions;
use crate::{Cabinet, Database, DatabaseOptions, Step};
use hakone_command::{
    Amount, Command, Comparator, Compression, Condition, Direction, Error, ExpirySet, Kind, Millis,
    Range,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const START: Millis = 1_700_000_000_000;

/// Values and expiries by key.
type Map = BTreeMap<Vec<u8>, (Vec<u8>, Millis)>;

/// A cabinet with threads or without, whose small segments are read from the disk.
fn open(disk: &SimDisk, background: bool) -> Cabinet {
    let log = LogOptions {
        segment_bytes_min: 4 << 10,
        segment_bytes_max: 32 << 10,
        resident_bytes_max: 0,
    };
    let tuning = Tuning {
        log,
        interval: Duration::from_millis(1),
        background,
    };
    Cabinet::open_on(None, Arc::new(disk.clone()), tuning).unwrap()
}

/// A database, the map that it must equal, and snapshots with the maps that they must equal.
struct Case {
    database: Database,
    map: Map,
    snapshots: Vec<(Snapshot, Map)>,
}

impl Case {
    fn key(&self, chance: &mut Chance) -> Vec<u8> {
        match self.database.options().kind {
            Kind::Array => (1 + chance.below(200)).to_string().into_bytes(),
            _ => format!("{:03}", chance.below(200)).into_bytes(),
        }
    }

    /// Live records in the order of the database: keys of an array are shorter if they are less.
    fn order(&self, map: &Map, now: Millis) -> Vec<(Vec<u8>, Vec<u8>)> {
        let live = map
            .iter()
            .filter(|(_, (_, expiry))| *expiry == 0 || *expiry > now);
        let mut live: Vec<_> = live
            .map(|(key, (value, _))| (key.clone(), value.clone()))
            .collect();
        if self.database.options().kind == Kind::Array {
            live.sort_by_key(|(key, _)| (key.len(), key.clone()));
        }
        if self.database.options().comparator == Comparator::BytesReverse {
            live.reverse();
        }
        live
    }

    fn put(&mut self, chance: &mut Chance, now: Millis) {
        let key = self.key(chance);
        let bytes = match chance.below(4) {
            0 => 1025 + chance.index(3000),
            _ => chance.index(100),
        };
        let value = vec![chance.next() as u8; bytes];
        let expiry = if chance.one_in(4) {
            now + 1 + chance.below(3000)
        } else {
            0
        };
        let put = Command::Put {
            key: &key,
            value: &value,
            condition: Condition::Always,
            expiry: ExpirySet::At(expiry),
            flags: 0,
            want_old: false,
        };
        self.database.call(&put, now, &mut |_| {}).unwrap();
        self.map.insert(key, (value, expiry));
    }

    fn remove(&mut self, chance: &mut Chance, now: Millis) {
        let key = self.key(chance);
        let (key_ref, want_old) = (&key[..], false);
        let remove = Command::Remove {
            key: key_ref,
            want_old,
        };
        self.database.call(&remove, now, &mut |_| {}).unwrap();
        self.map.remove(&key);
    }

    fn check(&self, chance: &mut Chance) {
        for (snapshot, map) in &self.snapshots {
            let mut expected = self.order(map, snapshot.now());
            for direction in [Direction::Forward, Direction::Backward] {
                let records = snapshot.range(Range::All, direction);
                assert_eq!(records.collect::<Result<Vec<_>, _>>().unwrap(), expected);
                expected.reverse();
            }
            let at = |index: usize| expected.get(index).map(|(key, _)| &key[..]);
            let (low, high) = (expected.len() / 4, expected.len() / 2);
            if let (Some(first), Some(end)) = (at(low), at(high)) {
                let range = Range::Between(Bound::Included(first), Bound::Excluded(end));
                let found = snapshot.range(range, Direction::Forward);
                let found: Vec<_> = found.map(Result::unwrap).collect();
                assert_eq!(found, expected[low..high]);
                assert!(snapshot.count_range(range).unwrap() >= (high - low) as u64);
            }
            assert!(snapshot.count().unwrap() >= expected.len() as u64);
            let key = self.key(chance);
            let value = expected.iter().find(|(other, _)| *other == key);
            assert_eq!(
                snapshot.get(&key).unwrap(),
                value.map(|(_, value)| value.clone())
            );
        }
    }
}

fn check_steps(seed: u64) -> u64 {
    let chance = &mut Chance::new(seed);
    let disk = SimDisk::new(seed);
    let cabinet = open(&disk, false);
    let mut now = START;
    let mut held_bytes_max = 0;
    let case = |(name, options)| {
        let database = cabinet.create(name, options).unwrap();
        let (map, snapshots) = (Map::new(), Vec::new());
        Case {
            database,
            map,
            snapshots,
        }
    };
    let tree = DatabaseOptions::new(Kind::Tree);
    let in_memory = DatabaseOptions {
        memory: true,
        ..tree
    };
    let reverse = DatabaseOptions {
        comparator: Comparator::BytesReverse,
        compression: Compression::Lz4,
        ..tree
    };
    let cases = [
        ("tree", tree),
        ("memory", in_memory),
        ("array", DatabaseOptions::new(Kind::Array)),
        ("reverse and packed", reverse),
    ];
    let mut cases = cases.map(case);
    for _ in 0..60 {
        for case in &mut cases {
            for _ in 0..30 {
                match chance.below(5) {
                    0 => case.remove(chance, now),
                    _ => case.put(chance, now),
                }
            }
            if chance.one_in(20) {
                case.database
                    .call(&Command::Clear, now, &mut |_| {})
                    .unwrap();
                case.map.clear();
            }
            if chance.one_in(3) {
                let snapshot = case.database.snapshot_at(now).unwrap();
                if !case.database.options().memory {
                    assert_eq!(snapshot.lsn(), cabinet.written());
                }
                case.snapshots.push((snapshot, case.map.clone()));
            }
            if !case.snapshots.is_empty() && chance.one_in(4) {
                case.snapshots
                    .swap_remove(chance.index(case.snapshots.len()));
            }
        }
        match chance.below(3) {
            0 => now += chance.below(2000),
            1 => drop(cabinet.keeper().reclaim(now).unwrap()),
            _ => cabinet.sync().unwrap(),
        }
        cabinet.keeper().recount().unwrap();
        cabinet.compact().unwrap();
        held_bytes_max = held_bytes_max.max(cabinet.stat().held_bytes);
        for case in &cases {
            case.check(chance);
        }
    }
    for case in &mut cases {
        case.snapshots.clear();
    }
    cabinet.compact().unwrap();
    assert_eq!(cabinet.stat().held_bytes, 0);
    held_bytes_max
}

#[test]
fn snapshots_equal_frozen_copies_while_the_log_is_compacted() {
    let held: u64 = (0..4).map(check_steps).sum();
    assert!(held > 100_000, "segments wait for snapshots: {held}");
}

#[test]
fn segments_held_by_a_snapshot_go_at_the_next_opening() {
    let disk = SimDisk::new(1);
    disk.set_micros(START * 1000);
    let cabinet = open(&disk, false);
    let tree = cabinet
        .create("tree", DatabaseOptions::new(Kind::Tree))
        .unwrap();
    let value = |round: u8| vec![round; 2000];
    let mut snapshot = None;
    for round in 0..40 {
        for key in 0..10 {
            tree.put(&[key], &value(round)).unwrap();
        }
        cabinet.sync().unwrap();
        cabinet.compact().unwrap();
        if round == 3 {
            snapshot = Some(tree.snapshot().unwrap());
        }
    }
    let snapshot = snapshot.unwrap();
    assert_eq!(snapshot.get(&[7]).unwrap(), Some(value(3)));
    let held = cabinet.stat().held_bytes;
    assert!(held > 0);
    let files = disk.list().unwrap().len();
    let disk = disk.copy();
    let cabinet = open(&disk, false);
    assert_eq!(cabinet.stat().held_bytes, 0);
    assert!(disk.list().unwrap().len() < files);
    let tree = cabinet.database("tree").unwrap();
    assert_eq!(tree.get(&[7]).unwrap(), Some(value(39)));
}

#[test]
fn snapshots_are_of_trees_and_only_read() {
    let disk = SimDisk::new(1);
    let cabinet = open(&disk, false);
    let hash = cabinet
        .create("hash", DatabaseOptions::new(Kind::Hash))
        .unwrap();
    assert!(matches!(hash.snapshot(), Err(Error::Unsupported(_))));
    let tree = cabinet
        .create("tree", DatabaseOptions::new(Kind::Tree))
        .unwrap();
    let snapshot = tree.snapshot().unwrap();
    let refused = snapshot.call(&Command::Clear, &mut |_| {});
    assert!(matches!(refused, Err(Error::Unsupported(_))));
    cabinet.close().unwrap();
    assert!(matches!(snapshot.get(b"a"), Err(Error::Invalid(_))));
    assert!(matches!(tree.snapshot(), Err(Error::Invalid(_))));
}

/// More than the records of two pages, which are read without a lock between them.
const ACCOUNTS: u64 = 2500;
const AMOUNT: i64 = 1000;

/// Moves amounts between accounts by batches, and writes and removes large values beside them.
fn write(cabinet: &Cabinet, tree: &Database, seed: u64) {
    let chance = &mut Chance::new(seed);
    for _ in 0..1500 {
        let account = |chance: &mut Chance| format!("account {}", chance.below(ACCOUNTS));
        let (from, to) = (account(chance), account(chance));
        let amount = chance.below(100).cast_signed();
        let steps = [(&from, -amount), (&to, amount)].map(|(key, amount)| Step {
            database: tree,
            command: Command::Add {
                key: key.as_bytes(),
                amount: Amount::Decimal(amount),
                absent: None,
                expiry: ExpirySet::Keep,
            },
        });
        cabinet.batch(&[], &steps, START, &mut |_, _| {}).unwrap();
        let key = format!("noise {}", chance.below(2000)).into_bytes();
        if chance.one_in(3) {
            tree.remove(&key).unwrap();
        } else {
            tree.put(&key, &vec![1; chance.index(3000)]).unwrap();
        }
    }
}

/// The sum of all accounts, and how many there are.
fn sum(snapshot: &Snapshot, direction: Direction) -> (i64, u64) {
    let (mut sum, mut count) = (0, 0);
    for record in snapshot.range(Range::Prefix(b"account "), direction) {
        let text = String::from_utf8(record.unwrap().1).unwrap();
        sum += text.parse::<i64>().unwrap();
        count += 1;
    }
    (sum, count)
}

#[test]
fn the_sum_of_accounts_holds_in_every_snapshot() {
    let cabinet = open(&SimDisk::new(1), true);
    let tree = cabinet
        .create("tree", DatabaseOptions::new(Kind::Tree))
        .unwrap();
    for account in 0..ACCOUNTS {
        let key = format!("account {account}");
        tree.put(key.as_bytes(), AMOUNT.to_string().as_bytes())
            .unwrap();
    }
    let whole = (AMOUNT * ACCOUNTS.cast_signed(), ACCOUNTS);
    let is_done = AtomicBool::new(false);
    let read = |reader: usize| {
        let mut older: Vec<Snapshot> = Vec::new();
        let mut round = reader;
        while !is_done.load(Ordering::Relaxed) || round < 20 {
            round += 1;
            let snapshot = tree.snapshot().unwrap();
            assert_eq!(sum(&snapshot, Direction::Forward), whole);
            older.push(snapshot);
            let again = &older[round % older.len()];
            assert_eq!(sum(again, Direction::Backward), whole);
            if older.len() > 5 {
                older.swap_remove(round % 5);
            }
        }
    };
    thread::scope(|scope| {
        let writers = [1, 2].map(|seed| {
            let (cabinet, tree) = (&cabinet, &tree);
            scope.spawn(move || write(cabinet, tree, seed))
        });
        for reader in 0..2 {
            scope.spawn(move || read(reader));
        }
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    let last = tree.snapshot().unwrap();
    assert_eq!(sum(&last, Direction::Forward), whole);
}
