//! Cursors, iterators and ranges, alone and while others write.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use hakone::{
    Cabinet, Comparator, Database, DatabaseOptions, Direction, End, Error, Kind, Options, Range,
    Seek,
};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A cabinet in a directory that goes with it.
struct Scratch {
    cabinet: Cabinet,
    directory: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> Scratch {
        let directory = std::env::temp_dir().join(format!("hakone-{name}-{}", std::process::id()));
        let cabinet = Cabinet::open(&directory, Options::default()).unwrap();
        Scratch { cabinet, directory }
    }

    fn create(&self, name: &str, options: DatabaseOptions) -> Database {
        self.cabinet.create(name, options).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.cabinet.close().unwrap();
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn tree() -> DatabaseOptions {
    DatabaseOptions::new(Kind::Tree)
}

fn duplicates() -> DatabaseOptions {
    DatabaseOptions {
        duplicates: true,
        ..tree()
    }
}

fn ordered(comparator: Comparator) -> DatabaseOptions {
    DatabaseOptions {
        comparator,
        ..tree()
    }
}

fn array() -> DatabaseOptions {
    DatabaseOptions::new(Kind::Array)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All records of a range as text.
fn all(database: &Database, range: Range<'_>, direction: Direction) -> String {
    let records = database.range(range, direction).map(|record| {
        let (key, value) = record.unwrap();
        format!("{}={}", text(&key), text(&value))
    });
    records.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_cursor_goes_both_ways_and_seeks() {
    let scratch = Scratch::new("seeks");
    let check = |options: DatabaseOptions, keys: [&str; 4], absent: &str| {
        let name = format!("{options}");
        let database = scratch.create(&name, options);
        for key in keys {
            database.put(key.as_bytes(), b"v").unwrap();
        }
        let mut cursor = database.cursor();
        let mut at = |how, key: &str| {
            let found = cursor.seek(how, key.as_bytes()).unwrap();
            assert_eq!(found, cursor.key().is_some());
            cursor.key().map(text)
        };
        let some = |key: &str| Some(key.to_owned());
        assert_eq!(at(Seek::Equal, keys[1]), some(keys[1]), "{name}");
        assert_eq!(at(Seek::AtOrAfter, keys[1]), some(keys[1]));
        assert_eq!(at(Seek::AtOrBefore, keys[1]), some(keys[1]));
        // Between the second and the third.
        assert_eq!(at(Seek::Equal, absent), None);
        assert_eq!(at(Seek::AtOrAfter, absent), some(keys[2]), "{name}");
        assert_eq!(at(Seek::AtOrBefore, absent), some(keys[1]), "{name}");

        assert!(!cursor.seek(Seek::Equal, absent.as_bytes()).unwrap());
        assert!(!cursor.next().unwrap() && !cursor.previous().unwrap());
        let mut seen = Vec::new();
        assert!(cursor.first().unwrap());
        loop {
            seen.push(text(cursor.key().unwrap()));
            if !cursor.next().unwrap() {
                break;
            }
        }
        assert_eq!(seen, keys, "{name}");
        assert!(cursor.last().unwrap());
        loop {
            assert_eq!(seen.pop().as_deref(), cursor.key().map(text).as_deref());
            if !cursor.previous().unwrap() {
                break;
            }
        }
        assert!(seen.is_empty());
    };
    check(tree(), ["", "a", "c", "d"], "b");
    check(duplicates(), ["a", "a\0", "c", "d"], "b");
    check(ordered(Comparator::BytesReverse), ["d", "c", "a", ""], "b");
    check(
        ordered(Comparator::Decimal),
        ["-3", "x2", "10", "5000"],
        "9",
    );
    check(array(), ["1", "9", "11", "9223372036854775807"], "10");
}

#[test]
fn a_cursor_writes_where_it_stands() {
    let scratch = Scratch::new("writes");
    for comparator in [Comparator::Bytes, Comparator::DecimalReverse] {
        let options = DatabaseOptions {
            comparator,
            ..duplicates()
        };
        let database = scratch.create(comparator.name(), options);
        for (key, value) in [("1", "a"), ("1", "d"), ("2", "z")] {
            database
                .put_duplicate(key.as_bytes(), value.as_bytes(), End::Back)
                .unwrap();
        }
        let mut cursor = database.cursor();
        assert!(cursor.put(b"nowhere").is_err());
        assert!(cursor.seek(Seek::Equal, b"1").unwrap());
        assert!(cursor.put_after(b"b").unwrap() && cursor.put_after(b"c").unwrap());
        assert_eq!(cursor.value(), Some(&b"c"[..]));
        assert!(cursor.seek(Seek::Equal, b"1").unwrap());
        assert!(cursor.put_before(b"_").unwrap());
        assert!(cursor.previous().unwrap() == comparator.name().ends_with("reverse"));
        assert!(cursor.seek(Seek::AtOrBefore, b"1").unwrap());
        assert!(cursor.put(b"D").unwrap());
        let only = Range::Prefix(b"1");
        assert_eq!(
            all(&database, only, Direction::Forward),
            "1=_ 1=a 1=b 1=c 1=D"
        );
        assert_eq!(
            all(&database, only, Direction::Backward),
            "1=D 1=c 1=b 1=a 1=_"
        );
        assert!(cursor.seek(Seek::Equal, b"1").unwrap() && cursor.remove().unwrap());
        assert_eq!(cursor.value(), Some(&b"a"[..]));
        assert!(database.remove(b"1").unwrap());
        assert!(!cursor.put(b"gone").unwrap() && !cursor.put_after(b"gone").unwrap());
        assert!(cursor.next().unwrap());
        assert_eq!(cursor.value(), Some(&b"b"[..]));
        assert_eq!(database.get(b"1").unwrap(), Some(b"b".to_vec()));
    }
    let plain = scratch.create("plain", tree());
    plain.put(b"k", b"v").unwrap();
    let mut cursor = plain.cursor();
    assert!(cursor.first().unwrap());
    assert!(matches!(cursor.put_after(b"w"), Err(Error::Unsupported(_))));
    assert!(cursor.put(b"w").unwrap() && cursor.remove().unwrap());
    assert_eq!(cursor.key(), None);
    let hash = scratch.create("hash", DatabaseOptions::new(Kind::Hash));
    assert!(matches!(hash.cursor().first(), Err(Error::Unsupported(_))));
}

#[test]
fn the_values_of_a_key_are_a_list() {
    let scratch = Scratch::new("values");
    let database = scratch.create("tree", duplicates());
    database.put_duplicate(b"k", b"2", End::Back).unwrap();
    database.put_duplicate(b"k", b"3", End::Back).unwrap();
    database.put_duplicate(b"k", b"1", End::Front).unwrap();
    database.put(b"k\0", b"other").unwrap();
    assert_eq!(database.count_of(b"k").unwrap(), 3);
    assert_eq!(database.get(b"k").unwrap(), Some(b"1".to_vec()));
    database.put(b"k", b"one").unwrap();
    let values = [b"one".to_vec(), b"2".to_vec(), b"3".to_vec()];
    assert_eq!(database.get_all(b"k").unwrap(), values);
    assert!(database.remove(b"k").unwrap());
    assert_eq!(database.get_all(b"k").unwrap(), values[1..]);
    assert_eq!(database.remove_all(b"k").unwrap(), 2);
    assert_eq!(database.get(b"k").unwrap(), None);
    assert_eq!(all(&database, Range::All, Direction::Forward), "k\0=other");
    let plain = scratch.create("plain", tree());
    let refused = plain.put_duplicate(b"k", b"v", End::Back);
    assert!(refused.unwrap_err().to_string().contains("duplicates=true"));
}

#[test]
fn ranges_are_read_counted_and_removed() {
    let scratch = Scratch::new("ranges");
    let check = |options: DatabaseOptions, low, high, expected: &[u32]| {
        let database = scratch.create(&format!("{options}"), options);
        for id in 1..=30_u32 {
            database.put(id.to_string().as_bytes(), b"").unwrap();
        }
        let range = Range::Between(low, high);
        let read = |direction| -> Vec<u32> {
            let keys = database
                .range(range, direction)
                .map(|record| record.unwrap().0);
            keys.map(|key| text(&key).parse().unwrap()).collect()
        };
        assert_eq!(read(Direction::Forward), expected, "{options}");
        let mut backward = read(Direction::Backward);
        backward.reverse();
        assert_eq!(backward, expected, "{options}");
        let count = expected.len() as u64;
        assert_eq!(database.count_range(range).unwrap(), count);
        assert_eq!(database.remove_range(range).unwrap(), count);
        assert_eq!(database.count_range(range).unwrap(), 0);
        assert_eq!(database.count().unwrap(), 30 - count);
    };
    check(tree(), Included(b"2"), Excluded(b"22"), &[2, 20, 21]);
    check(duplicates(), Excluded(b"2"), Included(b"22"), &[20, 21, 22]);
    check(
        ordered(Comparator::Decimal),
        Included(b"8"),
        Included(b"11"),
        &[8, 9, 10, 11],
    );
    let reverse = ordered(Comparator::DecimalReverse);
    check(reverse, Included(b"11"), Excluded(b"8"), &[11, 10, 9]);
    check(
        ordered(Comparator::BytesReverse),
        Unbounded,
        Excluded(b"7"),
        &[9, 8],
    );
    check(array(), Included(b"min"), Excluded(b"4"), &[1, 2, 3]);
    check(array(), Excluded(b"29"), Included(b"max"), &[30]);
    let wrong_way = ordered(Comparator::Int64);
    check(wrong_way, Included(b"2"), Excluded(b"1"), &[]);
}

#[test]
fn an_array_knows_its_ends_and_its_width() {
    let scratch = Scratch::new("array");
    let options = DatabaseOptions {
        width: 4,
        ..array()
    };
    let database = scratch.create("array", options);
    assert!(database.put(b"min", b"v").is_err());
    for value in ["1", "2", "3"] {
        database.put(b"next", value.as_bytes()).unwrap();
    }
    database.put(b"10", b"10").unwrap();
    database.put(b"010", b"ten").unwrap();
    assert_eq!(
        all(&database, Range::All, Direction::Forward),
        "1=1 2=2 3=3 10=ten"
    );
    assert!(database.remove(b"min").unwrap());
    database.put(b"prev", b"0").unwrap();
    assert_eq!(database.get(b"1").unwrap(), Some(b"0".to_vec()));
    assert_eq!(database.get(b"max").unwrap(), Some(b"ten".to_vec()));
    assert_eq!(database.get(b"next").unwrap(), None);
    let refused = database.append(b"10", b"th").unwrap_err();
    assert!(refused.to_string().contains("width is 4"), "{refused}");
    assert!(database.put(b"ten", b"").is_err() && database.get(b"0").is_err());
    assert_eq!(database.append(b"10", b"!").unwrap(), 4);
}

#[test]
fn orders_and_widths_are_kept_when_a_cabinet_is_opened_again() {
    let directory = std::env::temp_dir().join(format!("hakone-orders-{}", std::process::id()));
    let mut kinds = vec![DatabaseOptions {
        width: 3,
        ..array()
    }];
    for (_, comparator) in Comparator::ALL {
        for duplicates in [false, true] {
            kinds.push(DatabaseOptions {
                duplicates,
                ..ordered(*comparator)
            });
        }
    }
    let name = |options: &DatabaseOptions| format!("{options}");
    let keys = ["10", "9", "1", "100"];
    let mut expected = Vec::new();
    for round in 0..3 {
        let cabinet = Cabinet::open(&directory, Options::default()).unwrap();
        for (i, options) in kinds.iter().enumerate() {
            let database = cabinet.create(&name(options), *options).unwrap();
            assert_eq!(database.options(), *options);
            if round == 0 {
                for key in keys {
                    database.put(key.as_bytes(), b"old").unwrap();
                    database.put(key.as_bytes(), b"v").unwrap();
                    if options.duplicates {
                        database
                            .put_duplicate(key.as_bytes(), b"w", End::Back)
                            .unwrap();
                    }
                }
                expected.push(all(&database, Range::All, Direction::Forward));
            }
            assert_eq!(
                all(&database, Range::All, Direction::Forward),
                expected[i],
                "{options}"
            );
            let other = DatabaseOptions {
                duplicates: !options.duplicates,
                ..tree()
            };
            assert!(matches!(
                cabinet.create(&name(options), other),
                Err(Error::Invalid(_))
            ));
        }
        if round == 1 {
            cabinet.checkpoint().unwrap();
            cabinet.compact().unwrap();
        }
        cabinet.close().unwrap();
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(expected[0], "1=v 9=v 10=v 100=v");
    assert_eq!(expected[1], "1=v 10=v 100=v 9=v");
    let orders: std::collections::BTreeSet<_> = expected.iter().collect();
    assert!(orders.len() >= 8, "{orders:?}");
}

/// Runs `walk` some times while two threads call `write` with rising numbers.
fn beside_writers(rounds: usize, write: impl Fn(u64) + Sync, mut walk: impl FnMut()) {
    /// Stops all when one of them panics.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let turns = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _stop = Stop(&stop);
                while !stop.load(Ordering::Relaxed) {
                    write(turns.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        let _stop = Stop(&stop);
        for _ in 0..rounds {
            let before = turns.load(Ordering::Relaxed);
            walk();
            // So that something was written beside each walk.
            while turns.load(Ordering::Relaxed) == before && !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
    });
}

#[test]
fn a_cursor_comes_by_all_that_stays_once_and_in_order() {
    /// Keys of the records that stay; those between come and go.
    const STEP: u64 = 8;
    const STAY: u64 = 500;
    let scratch = Scratch::new("beside");
    let reverse = Comparator::DecimalReverse;
    for options in [
        tree(),
        ordered(reverse),
        array(),
        duplicates(),
        DatabaseOptions {
            comparator: reverse,
            ..duplicates()
        },
    ] {
        let database = scratch.create(&format!("{options}"), options);
        let key = |n: u64| format!("{:06}", n + 1);
        for n in 0..STAY {
            database.put(key(n * STEP).as_bytes(), b"stays").unwrap();
        }
        let write = |turn: u64| {
            let n = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (STAY * STEP);
            let at = key(n);
            let stays = n.is_multiple_of(STEP);
            if options.duplicates {
                let end = [End::Front, End::Back][(turn % 2) as usize];
                let mut cursor = database.cursor();
                let there = cursor.seek(Seek::Equal, at.as_bytes()).unwrap();
                if there && cursor.value() != Some(b"stays") && turn % 4 < 2 {
                    cursor.remove().unwrap();
                } else {
                    database.put_duplicate(at.as_bytes(), b"goes", end).unwrap();
                }
            } else if stays {
                database.put(at.as_bytes(), b"stays").unwrap();
            } else if turn.is_multiple_of(2) {
                database.put(at.as_bytes(), b"goes").unwrap();
            } else {
                database.remove(at.as_bytes()).unwrap();
            }
        };
        let forward = options.comparator != reverse;
        let walk = || {
            for direction in [Direction::Forward, Direction::Backward] {
                let mut cursor = database.cursor();
                let mut seen = Vec::new();
                let mut keys = Vec::new();
                let mut there = match direction {
                    Direction::Forward => cursor.first().unwrap(),
                    Direction::Backward => cursor.last().unwrap(),
                };
                while there {
                    let n: u64 = text(cursor.key().unwrap()).parse().unwrap();
                    keys.push(n);
                    if cursor.value() == Some(b"stays") {
                        seen.push(n - 1);
                    }
                    there = match direction {
                        Direction::Forward => cursor.next().unwrap(),
                        Direction::Backward => cursor.previous().unwrap(),
                    };
                }
                if forward != (direction == Direction::Forward) {
                    seen.reverse();
                    keys.reverse();
                }
                assert!(
                    seen.into_iter().eq((0..STAY).map(|n| n * STEP)),
                    "{options}"
                );
                assert!(keys.is_sorted(), "{options}");
                let pages: Vec<_> = database
                    .range(Range::All, direction)
                    .map(Result::unwrap)
                    .filter(|(_, value)| value == b"stays")
                    .collect();
                assert_eq!(pages.len() as u64, STAY, "{options}");
            }
        };
        beside_writers(5, write, walk);
    }
}

#[test]
fn an_iterator_over_a_hash_gives_all_that_stays_once() {
    const STAY: u64 = 3000;
    let scratch = Scratch::new("hash");
    let database = scratch.create("hash", DatabaseOptions::new(Kind::Hash));
    for n in 0..STAY {
        database.put(format!("stays {n}").as_bytes(), b"").unwrap();
    }
    // Grows the tables to many times their size, then empties them, and again.
    let write = |turn: u64| {
        let goes = format!("goes {}", turn % 40_000);
        if (turn / 40_000).is_multiple_of(2) {
            database.put(goes.as_bytes(), b"").unwrap();
        } else {
            database.remove(goes.as_bytes()).unwrap();
        }
    };
    let walk = || {
        let mut seen: Vec<u64> = database
            .iter()
            .filter_map(|record| {
                text(&record.unwrap().0)
                    .strip_prefix("stays ")?
                    .parse()
                    .ok()
            })
            .collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..STAY));
    };
    beside_writers(20, write, walk);
    let with: Vec<_> = database
        .range(Range::Prefix(b"stays 1"), Direction::Forward)
        .collect();
    assert_eq!(with.len(), 1111);
    let backward = database.range(Range::All, Direction::Backward).next();
    assert!(matches!(backward, Some(Err(Error::Unsupported(_)))));
}
