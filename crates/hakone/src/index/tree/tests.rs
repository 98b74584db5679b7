//! The tree against a plain map: the same random steps on both, over key sets made to be awkward.
//! After each group of steps all counters, scans from random bounds, reads in batches and the whole
//! structure are compared.
#![expect(
    clippy::cast_possible_truncation,
    reason = "random numbers are cut to what is needed"
)]

mod snapshots;

use super::entry::INLINE_BYTES_MAX;
use super::leaf::PAGE_BYTES;
use super::scan::Bounds;
use super::*;
use hakone_command::Direction;
use hakone_command::Value;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Owned {
    value: Vec<u8>,
    address: Address,
    version: u64,
    expiry: u64,
    flags: u32,
}

impl Owned {
    fn random(random: &mut Random, value_bytes_max: usize) -> Owned {
        let bytes = match random.below(8) {
            0 => 0,
            1 => INLINE_BYTES_MAX + random.below(2),
            2 => INLINE_BYTES_MAX + 1 + random.below(3000),
            _ => random.below(value_bytes_max + 1),
        };
        let fill = random.next() as u8;
        Owned {
            value: (0..bytes)
                .map(|index| fill.wrapping_add(index as u8))
                .collect(),
            address: random.next() & ((1 << 40) - 1),
            version: random.next() << 16 | random.next(),
            expiry: if random.one_in(3) { random.next() } else { 0 },
            flags: if random.one_in(3) {
                random.next() as u32
            } else {
                0
            },
        }
    }

    fn put(&self, split: usize) -> Put<'_> {
        let (head, tail) = self.value.split_at(split);
        Put {
            value: Value { head, tail },
            address: self.address,
            version: self.version,
            expiry: self.expiry,
            flags: self.flags,
        }
    }

    fn entry(&self) -> Entry<'_> {
        let value = &self.value[..];
        Entry {
            value: (value.len() <= INLINE_BYTES_MAX).then_some(value),
            value_bytes: value.len() as u32,
            address: self.address,
            version: self.version,
            expiry: self.expiry,
            flags: self.flags,
        }
    }
}

/// A tree and the map that it must equal.
#[derive(Default)]
struct Pair {
    tree: Tree,
    map: BTreeMap<Vec<u8>, Owned>,
}

impl Pair {
    fn put(&mut self, key: &[u8], record: Owned, split: usize) {
        let displaced = self.tree.put(key, &record.put(split));
        let old = self.map.insert(key.to_vec(), record);
        assert_eq!(displaced, old.map(|old| old.entry().displaced()));
    }

    fn remove(&mut self, key: &[u8]) {
        let displaced = self.tree.remove(key);
        let old = self.map.remove(key);
        assert_eq!(displaced, old.map(|old| old.entry().displaced()));
    }

    fn relocate(&mut self, key: &[u8], from: Address, to: Address) {
        let moved = self.tree.relocate(key, from, to);
        let record = self
            .map
            .get_mut(key)
            .filter(|record| record.address == from);
        assert_eq!(moved, record.is_some());
        if let Some(record) = record {
            record.address = to;
        }
    }

    fn check(&self) {
        let (tree, map) = (&self.tree, &self.map);
        assert_eq!(tree.len(), map.len() as u64);
        let bytes = map
            .iter()
            .map(|(key, record)| key.len() + record.value.len());
        assert_eq!(tree.bytes(), bytes.sum::<usize>() as u64);
        tree.check();
    }

    /// Scans and reads around keys that are there and keys that are not.
    fn check_reads(&self, random: &mut Random, keys: &[Vec<u8>]) {
        check_view(self.tree.now(), &self.map, random, keys, 40);
        let keys: Vec<_> = (0..random.below(100))
            .map(|_| &keys[random.below(keys.len())][..])
            .collect();
        self.tree.prefetch(&keys);
        let mut next = 0;
        self.tree.get_many(&keys, |index, entry| {
            assert_eq!(index, next);
            assert_eq!(entry, self.map.get(keys[index]).map(Owned::entry));
            assert_eq!(entry, self.tree.get(keys[index]));
            next += 1;
        });
        assert_eq!(next, keys.len());
    }
}

/// Scans and reads what a view shows, around keys that are there and keys that are not.
fn check_view(
    view: View<'_>,
    map: &BTreeMap<Vec<u8>, Owned>,
    random: &mut Random,
    keys: &[Vec<u8>],
    ranges: usize,
) {
    assert_eq!(view.len(), map.len() as u64);
    let bytes = map
        .iter()
        .map(|(key, record)| key.len() + record.value.len());
    assert_eq!(view.bytes(), bytes.sum::<usize>() as u64);
    check_scan(view, map, (Bound::Unbounded, Bound::Unbounded), usize::MAX);
    for _ in 0..ranges {
        let (low, high) = (near(random, keys), near(random, keys));
        assert_eq!(view.get(&low), map.get(&low).map(Owned::entry));
        let range = (bound(random, &low), bound(random, &high));
        check_scan(view, map, range, random.below(200));
        let range = (bound(random, &low), bound(random, &low));
        check_scan(view, map, range, usize::MAX);
        if let Some(key) = view.pick(random.next() << 16) {
            assert!(map.contains_key(&key));
        }
    }
}

/// Scans a range in both directions, up to `limit` records, and counts it.
fn check_scan(view: View<'_>, map: &BTreeMap<Vec<u8>, Owned>, range: Bounds<'_>, limit: usize) {
    let expected: Vec<_> = if is_ordered(range) {
        map.range::<[u8], _>(range).collect()
    } else {
        Vec::new()
    };
    for direction in [Direction::Forward, Direction::Backward] {
        let mut visited = 0;
        view.scan(range, direction, |key, entry| {
            assert!(visited < expected.len(), "{range:?} ends later");
            let (other, record) = match direction {
                Direction::Forward => expected[visited],
                Direction::Backward => expected[expected.len() - 1 - visited],
            };
            assert_eq!((key, entry), (&other[..], record.entry()));
            visited += 1;
            visited < limit
        });
        let wanted = expected.len().min(limit.max(1));
        assert_eq!(visited, wanted, "{range:?} {direction:?}");
    }
    assert_eq!(view.count_range(range), expected.len() as u64);
}

/// A key of the set, or one beside it.
fn near(random: &mut Random, keys: &[Vec<u8>]) -> Vec<u8> {
    let mut key = keys[random.below(keys.len())].clone();
    match random.below(4) {
        0 => key.push(random.next() as u8),
        1 => drop(key.pop()),
        _ => {}
    }
    key
}

fn bound<'a>(random: &mut Random, key: &'a [u8]) -> Bound<&'a [u8]> {
    match random.below(5) {
        0 | 1 => Bound::Included(key),
        2 | 3 => Bound::Excluded(key),
        _ => Bound::Unbounded,
    }
}

/// Whether a map takes this range: it panics where ours is empty.
fn is_ordered(range: Bounds<'_>) -> bool {
    match range {
        (Bound::Excluded(low), Bound::Excluded(high)) => low < high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low <= high,
        _ => true,
    }
}

impl Tree {
    /// Checks order, fences, levels and accounts of the whole tree.
    fn check(&self) {
        let mut order = Vec::new();
        let mut inners = 0;
        let mut separator_bytes = 0;
        // Nodes to visit: number, level, fences. The leftmost is on top.
        let mut nodes = vec![(self.root, self.height, None::<&[u8]>, None::<&[u8]>)];
        while let Some((node, level, low, high)) = nodes.pop() {
            if level == 0 {
                order.push((node, low, high));
                continue;
            }
            inners += 1;
            let inner = &self.inners[node];
            let (separators, children) = (inner.separators(), inner.children());
            assert!(children.len() >= 2 && children.len() <= inner::FAN);
            assert_eq!(separators.len() + 1, children.len());
            inner.check();
            separator_bytes += separators
                .iter()
                .map(|separator| separator.len())
                .sum::<usize>();
            for (index, child) in children.iter().enumerate().rev() {
                let low = match index {
                    0 => low,
                    index => Some(&*separators[index - 1]),
                };
                let high = separators.get(index).map(|high| &**high).or(high);
                if let (Some(low), Some(high)) = (low, high) {
                    assert!(low < high);
                }
                nodes.push((*child, level - 1, low, high));
            }
        }
        assert_eq!(inners, self.inners.count());
        assert_eq!(order.len(), self.leaves.count());
        let mut count = 0;
        let mut memory = separator_bytes;
        for (id, low, high) in &order {
            let leaf = &self.leaves[*id];
            let prefix = match (low, high) {
                (Some(low), Some(high)) => &low[..inner::common(low, high)],
                _ => &[],
            };
            assert_eq!(leaf.prefix(), prefix);
            leaf.check();
            for index in [0, leaf.count().wrapping_sub(1)] {
                if index < leaf.count() {
                    let key = [leaf.prefix(), leaf.suffix(index)].concat();
                    assert!(low.is_none_or(|low| low <= &key[..]));
                    assert!(high.is_none_or(|high| &key[..] < high));
                }
            }
            count += leaf.count() as u64;
            memory += leaf.memory_bytes();
        }
        assert_eq!(count, self.len());
        assert_eq!(memory as u64, self.node_bytes);
    }

    /// Bytes of entries and slots in percent of those of pages.
    fn occupancy(&self) -> usize {
        let live: usize = self.leaves.all().iter().map(|leaf| leaf.live_bytes()).sum();
        let pages: usize = self.leaves.all().iter().map(|leaf| leaf.page_bytes()).sum();
        live * 100 / pages
    }
}

/// Keys that differ in what trees get wrong.
fn keys(kind: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = match kind {
        // Random, 16 bytes, over several levels of leaves.
        0 => (0..6000)
            .map(|_| format!("{:016x}", random.next() << 16).into_bytes())
            .collect(),
        // Very short: every string of two letters, and the empty one.
        1 => (0..65_536)
            .step_by(7)
            .map(|n: u32| n.to_be_bytes()[2..].to_vec())
            .collect(),
        // Each the prefix of the next, zeros that equal the padding of heads.
        2 => (0..600).map(|n| vec![0; n]).collect(),
        // A long common prefix, numbers at the end.
        3 => (0..3000)
            .map(|n| format!("{}{n:07}", "a common prefix of some length/".repeat(4)).into_bytes())
            .collect(),
        // A few bytes of an alphabet of two, so that heads are equal.
        4 => (0..3000)
            .map(|_| {
                (0..random.below(24))
                    .map(|_| random.below(2) as u8 * 255)
                    .collect()
            })
            .collect(),
        // The largest keys, alike but for their ends, among short ones.
        5 => (0..120)
            .map(|n: usize| match n % 4 {
                0 => vec![n as u8; n],
                1 => [vec![7; 65_533], vec![0, n as u8, 1]].concat(),
                2 => [vec![7; random.below(65_000)], vec![n as u8]].concat(),
                _ => [vec![7; 4090 + n % 10], vec![n as u8]].concat(),
            })
            .collect(),
        // Groups under prefixes of different lengths.
        _ => (0..4000)
            .map(|_| {
                let group = random.below(20);
                [
                    vec![group as u8; group * 40],
                    random.next().to_be_bytes().to_vec(),
                ]
                .concat()
            })
            .collect(),
    };
    keys.push(Vec::new());
    keys
}

/// Random steps over a key set; how many there are of each kind changes, so that trees grow, stay
/// and shrink. Before them most trees get their keys in ascending or descending order.
fn check_steps(kind: usize, seed: u64) {
    let random = &mut Random::new(seed);
    let keys = keys(kind, random);
    let value_bytes_max = [10, 100, 1024][random.below(3)];
    let mut pair = Pair::default();
    let mut sorted = keys.clone();
    sorted.sort();
    if seed % 3 == 2 {
        sorted.reverse();
    }
    for key in sorted.iter().filter(|_| !seed.is_multiple_of(3)) {
        let value_bytes_max = value_bytes_max.min(100);
        pair.put(key, Owned::random(random, value_bytes_max), 0);
    }
    pair.check();
    for (puts, removes) in [(9, 1), (5, 5), (1, 9), (8, 2), (0, 10), (10, 0)] {
        for _ in 0..4 {
            for _ in 0..keys.len() / 4 {
                let key = &keys[random.below(keys.len())];
                let step = random.below(puts + removes + 2);
                if step < puts {
                    let record = Owned::random(random, value_bytes_max);
                    let split = random.below(record.value.len() + 1);
                    pair.put(key, record, split);
                } else if step < puts + removes {
                    pair.remove(key);
                } else {
                    let address = pair.map.get(key).map_or(0, |record| record.address);
                    let from = address + u64::from(random.one_in(2));
                    pair.relocate(key, from, random.next() & ((1 << 40) - 1));
                }
            }
            pair.check();
            pair.check_reads(random, &keys);
        }
    }
    let mut rest: Vec<_> = pair.map.keys().cloned().collect();
    while !rest.is_empty() {
        let key = rest.swap_remove(random.below(rest.len()));
        pair.remove(&key);
        if random.one_in(300) {
            pair.check();
        }
    }
    pair.check();
    assert_eq!(pair.tree.memory_bytes(), Tree::new().memory_bytes());
}

#[test]
fn equals_a_map_over_random_keys() {
    (0..4).for_each(|seed| check_steps(0, seed));
}

#[test]
fn equals_a_map_over_short_keys() {
    (10..13).for_each(|seed| check_steps(1, seed));
}

#[test]
fn equals_a_map_over_keys_that_are_prefixes_of_one_another() {
    (20..32).for_each(|seed| check_steps(2, seed));
}

#[test]
fn equals_a_map_over_keys_with_a_long_common_prefix() {
    (40..46).for_each(|seed| check_steps(3, seed));
}

#[test]
fn equals_a_map_over_keys_with_equal_heads() {
    (50..58).for_each(|seed| check_steps(4, seed));
}

#[test]
fn equals_a_map_over_the_largest_keys() {
    (60..72).for_each(|seed| check_steps(5, seed));
}

#[test]
fn equals_a_map_over_groups_of_keys() {
    (90..94).for_each(|seed| check_steps(6, seed));
}

fn record(value: &[u8]) -> Put<'_> {
    Put {
        value: Value::whole(value),
        address: 1,
        version: 1,
        expiry: 0,
        flags: 0,
    }
}

fn fill(numbers: impl Iterator<Item = u64>) -> Tree {
    let mut tree = Tree::new();
    for number in numbers {
        tree.put(format!("{number:016x}").as_bytes(), &record(&[7; 100]));
    }
    tree.check();
    tree
}

#[test]
fn inserts_in_order_leave_leaves_full() {
    let ascending = fill(0..50_000).occupancy();
    let descending = fill((0..50_000).rev()).occupancy();
    // Two runs that take turns, in the middle of others' keys.
    let turns = (0..50_000).map(|number| (number % 2) << 40 | number);
    let turns = fill([1 << 50, 1].into_iter().chain(turns)).occupancy();
    assert!(ascending >= 97, "{ascending}");
    // The first leaf has no lower fence: it is split before a prefix has made it smaller.
    assert!(descending >= 89, "{descending}");
    assert!(turns >= 89, "{turns}");
}

#[test]
fn random_inserts_leave_leaves_two_thirds_full_and_random_removals_a_third() {
    let random = &mut Random::new(5);
    let numbers: Vec<_> = (0..60_000).map(|_| random.next()).collect();
    let mut tree = fill(numbers.iter().copied());
    let full = tree.occupancy();
    assert!(full >= 62, "{full}");
    for number in &numbers[3000..] {
        tree.remove(format!("{number:016x}").as_bytes());
    }
    tree.check();
    let sparse = tree.occupancy();
    assert!(sparse >= 33, "{sparse}");
}

#[test]
fn levels_come_and_go() {
    // Keys that share nothing and fill leaves quickly: three levels with few records.
    let mut tree = Tree::new();
    let count = 80_000;
    for number in 0..count {
        tree.put(&wide(number), &record(b""));
    }
    tree.check();
    check_scan_of_keys(&tree, count);
    assert!(tree.height >= 3, "{}", tree.height);
    for number in 0..count - 1 {
        tree.remove(&wide(number));
        if number % 20_000 == 0 {
            tree.check();
        }
    }
    tree.check();
    assert_eq!(tree.leaves.count(), 1);
    assert_eq!(tree.height, 0);
    assert!(tree.get(&wide(count - 1)).is_some());
}

/// Scans the whole tree in both directions, over the ends of inner nodes of several levels.
fn check_scan_of_keys(tree: &Tree, count: u64) {
    let mut keys: Vec<_> = (0..count)
        .map(|number| wide(number)[..8].to_vec())
        .collect();
    keys.sort();
    for direction in [Direction::Forward, Direction::Backward] {
        let mut seen = Vec::with_capacity(keys.len());
        let all = (Bound::Unbounded, Bound::Unbounded);
        tree.now().scan(all, direction, |key, _| {
            seen.push(key[..8].to_vec());
            true
        });
        assert!(seen == keys, "{direction:?}");
        keys.reverse();
    }
}

/// Two records a leaf, so that few of them make several inner nodes.
fn wide(number: u64) -> Vec<u8> {
    let mut key = number
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_be_bytes()
        .to_vec();
    key.resize(7000, 1);
    key
}

#[test]
fn inner_nodes_even_out_when_one_end_is_removed() {
    for reverse in [false, true] {
        let mut tree = Tree::new();
        let mut keys: Vec<_> = (0..3000).map(wide).collect();
        for key in &keys {
            tree.put(key, &record(b""));
        }
        keys.sort();
        if reverse {
            keys.reverse();
        }
        for (number, key) in keys.iter().enumerate() {
            assert!(tree.remove(key).is_some());
            if number % 25 == 0 {
                tree.check();
            }
        }
    }
}

#[test]
fn inserts_in_order_leave_inner_nodes_full() {
    for reverse in [false, true] {
        let mut keys: Vec<_> = (0..4000).map(wide).collect();
        keys.sort();
        if reverse {
            keys.reverse();
        }
        let mut tree = Tree::new();
        for key in &keys {
            tree.put(key, &record(b""));
        }
        tree.check();
        assert!(
            tree.inners.all().len() <= tree.leaves.count() / 250 + 2,
            "{}",
            tree.inners.all().len()
        );
    }
}

#[test]
fn emptying_a_tree_from_either_end_gives_its_memory_back() {
    for reverse in [false, true] {
        let mut tree = fill(0..20_000);
        let full = tree.memory_bytes();
        for number in 0..20_000 {
            let number = if reverse { 19_999 - number } else { number };
            assert!(tree.remove(format!("{number:016x}").as_bytes()).is_some());
            let left = tree.len() * 160 + 200_000;
            assert!(tree.memory_bytes() <= full.min(left), "{}", tree.len());
        }
        assert_eq!(tree.memory_bytes(), Tree::new().memory_bytes());
    }
}

#[test]
fn a_record_of_16_byte_key_and_100_byte_value_costs_at_most_130_bytes() {
    let tree = fill(0..100_000);
    let bytes = tree.memory_bytes() / 100_000;
    assert!(bytes <= 130, "{bytes}");
}

#[test]
fn a_page_shrinks_when_its_largest_key_goes() {
    let mut tree = Tree::new();
    tree.put(&vec![5; 60_000], &record(b"large"));
    tree.put(b"a", &record(b"small"));
    tree.put(b"b", &record(b"small"));
    tree.remove(&vec![5; 60_000]);
    tree.check();
    let pages: usize = tree.leaves.all().iter().map(|leaf| leaf.page_bytes()).sum();
    assert_eq!(pages, PAGE_BYTES);
}
