//! Snapshots against copies of the map: made and given back at random between random steps, each
//! compared whole with what the map was when it was made.

use super::super::snapshot::SnapshotId;
use super::*;

/// A tree with a map, and what snapshots of it must show.
#[derive(Default)]
struct Held {
    pair: Pair,
    snapshots: Vec<(SnapshotId, BTreeMap<Vec<u8>, Owned>)>,
}

impl Held {
    fn snapshot(&mut self) {
        let id = self.pair.tree.snapshot();
        self.snapshots.push((id, self.pair.map.clone()));
    }

    fn release(&mut self, at: usize) {
        let (id, _) = self.snapshots.swap_remove(at);
        drop(self.pair.tree.release(id));
    }

    fn clear(&mut self) {
        drop(self.pair.tree.clear());
        self.pair.map.clear();
    }

    /// A copy of a record in the log is the same record: snapshots may lead to either.
    fn relocate(&mut self, key: &[u8], to: Address) {
        let Some(from) = self.pair.map.get(key).map(|record| record.address) else {
            return;
        };
        self.pair.relocate(key, from, to);
        for (id, map) in &mut self.snapshots {
            let Some(record) = map.get_mut(key) else {
                continue;
            };
            let entry = self.pair.tree.as_of(*id).get(key);
            let address = entry
                .expect("it was there when the snapshot was made")
                .address;
            assert!(address == record.address || record.address == from && address == to);
            record.address = address;
        }
    }

    fn check(&self, random: &mut Random, keys: &[Vec<u8>]) {
        self.pair.check();
        for (id, map) in &self.snapshots {
            check_view(self.pair.tree.as_of(*id), map, random, keys, 2);
        }
    }
}

fn check_steps(kind: usize, seed: u64) {
    let random = &mut Random::new(seed);
    let keys = keys(kind, random);
    let mut held = Held::default();
    for (puts, removes) in [(9, 1), (5, 5), (1, 9), (8, 2), (0, 10), (10, 1)] {
        for _ in 0..6 {
            for _ in 0..keys.len() / 6 {
                let key = &keys[random.below(keys.len())];
                let step = random.below(puts + removes + 1);
                if step < puts {
                    held.pair.put(key, Owned::random(random, 100), 0);
                } else if step < puts + removes {
                    held.pair.remove(key);
                } else {
                    held.relocate(key, random.next() & ((1 << 40) - 1));
                }
            }
            if random.one_in(12) {
                held.clear();
            }
            // Up to two more or fewer, several at the same moment too.
            for _ in 0..random.below(3) {
                held.snapshot();
            }
            for _ in 0..random.below(3) {
                if !held.snapshots.is_empty() {
                    held.release(random.below(held.snapshots.len()));
                }
            }
            held.check(random, &keys);
        }
    }
    while !held.snapshots.is_empty() {
        held.release(random.below(held.snapshots.len()));
        held.check(random, &keys);
    }
    let tree = &held.pair.tree;
    assert_eq!(tree.inners.kept_count() + tree.leaves.kept_count(), 0);
    assert!(tree.past.is_empty());
}

#[test]
fn snapshots_equal_copies_of_a_map_over_random_keys() {
    (0..6).for_each(|seed| check_steps(0, seed));
}

#[test]
fn snapshots_equal_copies_of_a_map_over_keys_that_are_prefixes_of_one_another() {
    (20..32).for_each(|seed| check_steps(2, seed));
}

#[test]
fn snapshots_equal_copies_of_a_map_over_the_largest_keys() {
    (60..72).for_each(|seed| check_steps(5, seed));
}

#[test]
fn snapshots_equal_copies_of_a_map_over_groups_of_keys() {
    (90..96).for_each(|seed| check_steps(6, seed));
}

#[test]
fn snapshots_stay_while_levels_come_and_go() {
    let mut held = Held::default();
    let count = 4000;
    let record = || Owned {
        value: Vec::new(),
        address: 1,
        version: 1,
        expiry: 0,
        flags: 0,
    };
    let short = |number: u64| wide(number)[..5000].to_vec();
    for number in 0..count {
        if number % 800 == 0 {
            held.snapshot();
        }
        held.pair.put(&short(number), record(), 0);
    }
    assert!(held.pair.tree.height >= 2);
    for number in 0..count {
        if number % 800 == 0 {
            held.snapshot();
        }
        held.pair.remove(&short(number));
    }
    assert_eq!(held.pair.tree.height, 0);
    let random = &mut Random::new(1);
    let keys: Vec<_> = (0..count).step_by(50).map(short).collect();
    while !held.snapshots.is_empty() {
        held.check(random, &keys);
        held.release(random.below(held.snapshots.len()));
    }
}

#[test]
fn a_snapshot_keeps_what_changes_and_no_more() {
    let mut tree = fill(0..20_000);
    let key = |number: u64| format!("{number:016x}").into_bytes();
    let (first, second) = (tree.snapshot(), tree.snapshot());
    let kept = |tree: &Tree| (tree.inners.kept_count(), tree.leaves.kept_count());
    assert!(tree.relocate(&key(7), 1, 2));
    assert_eq!(tree.remove(b"no such key"), None);
    assert_eq!(kept(&tree), (0, 0));
    for number in 0..10 {
        tree.put(&key(number), &record(b"new"));
    }
    assert_eq!(kept(&tree), (0, 1));
    // What the newer one kept, the older one needs.
    drop(tree.release(second));
    assert_eq!(kept(&tree), (0, 1));
    tree.put(&key(3), &record(b"two"));
    assert_eq!(kept(&tree), (0, 1));
    let value = |entry: Option<Entry<'_>>| entry.and_then(|entry| entry.value).map(<[u8]>::to_vec);
    assert_eq!(value(tree.as_of(first).get(&key(3))), Some(vec![7; 100]));
    assert_eq!(value(tree.get(&key(3))), Some(b"two".to_vec()));
    drop(tree.release(first));
    assert_eq!(kept(&tree), (0, 0));
}
