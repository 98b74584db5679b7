//! A cabinet on a real disk: what is written is there, also after closing and opening again.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that fails panics"
)]

use hakone::{
    Cabinet, Command, Condition, Database, DatabaseOptions, Direction, Error, ExpirySet, Filter,
    Kind, Next, Options, Position, Range, Reply, now,
};
use std::path::PathBuf;

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("hakone-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Dir(path)
    }

    fn open(&self) -> Cabinet {
        Cabinet::open(&self.0, Options::default()).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const KINDS: [Kind; 2] = [Kind::Hash, Kind::Tree];

fn on_file(kind: Kind) -> DatabaseOptions {
    DatabaseOptions::new(kind)
}

fn put(database: &Database, key: &[u8], value: &[u8]) {
    let (condition, expiry) = (Condition::Always, ExpirySet::At(0));
    let put = Command::Put {
        key,
        value,
        condition,
        expiry,
        flags: 0,
        want_old: false,
    };
    let mut stored = false;
    database
        .call(&put, now(), &mut |reply| {
            stored = matches!(reply, Reply::Stored(_));
        })
        .unwrap();
    assert!(stored);
}

#[test]
fn large_values_of_a_tree_are_read_from_the_log_wherever_it_is() {
    let dir = Dir::new("large");
    for round in 0..3 {
        let cabinet = dir.open();
        let database = cabinet.create("d", on_file(Kind::Tree)).unwrap();
        for i in 0..200 {
            let size = 500 * i as usize;
            if round == 0 {
                put(&database, &key(i), &vec![i as u8; size]);
            }
            assert_eq!(get(&database, &key(i)).unwrap(), vec![i as u8; size]);
        }
        cabinet.close().unwrap();
    }
}

fn get(database: &Database, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    let get = Command::Get { key };
    database
        .call(&get, now(), &mut |reply| {
            if let Reply::Record(record) = reply {
                value = Some(record.value.to_vec());
            }
        })
        .unwrap();
    value
}

fn number(database: &Database, command: &Command<'_>) -> i64 {
    let mut number = -1;
    database
        .call(command, now(), &mut |reply| {
            if let Reply::Number(n) = reply {
                number = n;
            }
        })
        .unwrap();
    number
}

fn key(i: u64) -> Vec<u8> {
    format!("key-{}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).into_bytes()
}

fn value(i: u64, round: u64) -> Vec<u8> {
    let len = (i * 7 + round * 31) % 300 + if i.is_multiple_of(97) { 5000 } else { 0 };
    vec![(i + round) as u8; len as usize]
}

#[test]
fn records_are_there_after_closing_and_opening() {
    for kind in KINDS {
        let dir = Dir::new(&format!("reopen-{}", kind.name()));
        for round in 0..4 {
            let cabinet = dir.open();
            let database = cabinet.create("d", on_file(kind)).unwrap();
            for i in 0..20_000 {
                if round > 0 {
                    let expected = (i % 5 != 3 || round < 2).then(|| value(i, round - 1));
                    assert_eq!(get(&database, &key(i)), expected, "{kind:?} {i} {round}");
                }
                put(&database, &key(i), &value(i, round));
            }
            if round > 0 {
                for i in (3..20_000).step_by(5) {
                    let gone = key(i);
                    let remove = Command::Remove {
                        key: &gone,
                        want_old: false,
                    };
                    database.call(&remove, now(), &mut |_| {}).unwrap();
                }
            }
            let expected = if round > 0 { 16_000 } else { 20_000 };
            assert_eq!(number(&database, &Command::Count), expected);
            cabinet.close().unwrap();
            assert!(database.call(&Command::Count, now(), &mut |_| {}).is_err());
        }
    }
}

#[test]
fn a_second_opening_is_refused_with_the_owner() {
    let dir = Dir::new("lock");
    let cabinet = dir.open();
    let Err(Error::Locked(text)) = Cabinet::open(&dir.0, Options::default()) else {
        panic!()
    };
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    drop(cabinet);
    dir.open();
}

#[test]
fn overwriting_for_ever_keeps_the_disk_bounded() {
    for kind in KINDS {
        let dir = Dir::new(&format!("bounded-{}", kind.name()));
        let cabinet = dir.open();
        let database = cabinet.create("d", on_file(kind)).unwrap();
        for round in 0..60 {
            for i in 0..10_000 {
                put(&database, &key(i), &[round; 200]);
            }
            // As the background does it, but now.
            cabinet.sync().unwrap();
            cabinet.compact().unwrap();
        }
        let stat = cabinet.stat();
        assert!(stat.log_bytes < 10_000 * 250 * 4, "{stat:?}");
        drop((database, cabinet));
        let cabinet = dir.open();
        let database = cabinet.database("d").unwrap();
        for i in 0..10_000 {
            assert_eq!(get(&database, &key(i)).unwrap(), [59; 200]);
        }
    }
}

#[test]
fn a_hash_is_scanned_whole_in_pages() {
    let dir = Dir::new("scan");
    let cabinet = dir.open();
    let database = cabinet.create("d", on_file(Kind::Hash)).unwrap();
    for i in 0..5000 {
        put(&database, &key(i), b"v");
    }
    let mut seen = Vec::new();
    let mut from = Position::Start;
    loop {
        let scan = Command::Scan {
            from,
            range: Range::Prefix(b"key-1"),
            direction: Direction::Forward,
            filter: Filter::All,
            limit: 10,
            values: true,
        };
        let mut next = Next::End;
        database
            .call(&scan, now(), &mut |reply| {
                let Reply::Page(page) = reply else {
                    panic!("{reply:?}")
                };
                seen.extend(page.iter().map(|(key, _)| key.to_vec()));
                next = page.next;
            })
            .unwrap();
        match next {
            Next::Cursor(cursor) => from = Position::Cursor(cursor),
            _ => break,
        }
    }
    let mut expected: Vec<_> = (0..5000)
        .map(key)
        .filter(|k| k.starts_with(b"key-1"))
        .collect();
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
}

#[test]
fn random_positions_reach_every_record() {
    for kind in KINDS {
        let dir = Dir::new(&format!("random-{}", kind.name()));
        let cabinet = dir.open();
        let database = cabinet.create("d", on_file(kind)).unwrap();
        let pick = |number: u64| {
            let scan = Command::Scan {
                from: Position::Random(number),
                range: Range::All,
                direction: Direction::Forward,
                filter: Filter::All,
                limit: 1,
                values: false,
            };
            let mut found = None;
            database
                .call(&scan, now(), &mut |reply| {
                    let Reply::Page(page) = reply else {
                        panic!("{reply:?}")
                    };
                    found = page.iter().next().map(|(key, _)| key.to_vec());
                })
                .unwrap();
            found
        };
        assert_eq!(pick(7), None, "there is no record yet");
        for i in 0..2000 {
            put(&database, &key(i), b"v");
        }
        let mut times = std::collections::HashMap::new();
        let mut number = 1_u64;
        for _ in 0..40_000 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // At the end of a hash there is nothing: the first is as good as any.
            let found = pick(number ^ (number >> 32)).unwrap_or_else(|| pick(0).unwrap());
            *times.entry(found).or_insert(0) += 1;
        }
        // A record behind a wide gap of a hash is met more often.
        let met = times.len();
        assert!(met > if kind == Kind::Tree { 1999 } else { 1700 }, "{met}");
        let most = times.values().max().unwrap();
        assert!(*most < 400, "{kind:?}: one in {} times", 40_000 / most);
    }
}

/// Two threads write their own keys and read each other's while the background compacts; segments
/// are small, so that tails and survivors are begun all the time.
#[test]
fn writers_readers_and_compaction_agree() {
    const KEYS: u64 = 2000;
    const ROUNDS: u64 = 40;
    for kind in KINDS {
        let dir = Dir::new(&format!("threads-{}", kind.name()));
        let cabinet = dir.open();
        let database = cabinet.create("d", on_file(kind)).unwrap();
        let name = |thread: u64, i: u64| key(thread << 32 | i);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let database = &database;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        for i in 0..KEYS {
                            put(database, &name(thread, i), &[round as u8; 300]);
                            let read = get(database, &name(thread, i)).unwrap();
                            assert_eq!(read, [round as u8; 300]);
                            if let Some(other) = get(database, &name(1 - thread, i)) {
                                assert!(other.iter().all(|byte| *byte == other[0]));
                            }
                            if (i + round).is_multiple_of(9) {
                                assert!(database.remove(&name(thread, i)).unwrap());
                            }
                        }
                    }
                });
            }
        });
        let check = |database: &Database| {
            for (thread, i) in (0..2).flat_map(|t| (0..KEYS).map(move |i| (t, i))) {
                let is_there = !(i + ROUNDS - 1).is_multiple_of(9);
                let expected = is_there.then(|| vec![ROUNDS as u8 - 1; 300]);
                assert_eq!(
                    get(database, &name(thread, i)),
                    expected,
                    "{kind:?} {thread} {i}"
                );
            }
        };
        check(&database);
        cabinet.close().unwrap();
        drop((database, cabinet));
        check(&dir.open().database("d").unwrap());
    }
}

#[test]
fn what_expires_is_reclaimed_by_itself() {
    let dir = Dir::new("reclaimed");
    let cabinet = dir.open();
    let databases = KINDS.map(|kind| cabinet.create(kind.name(), on_file(kind)).unwrap());
    for number in 0..1000_u32 {
        for database in &databases {
            let put = Command::Put {
                key: &number.to_le_bytes(),
                value: b"value",
                condition: Condition::Always,
                expiry: ExpirySet::At(now() + 1 + u64::from(number % 50)),
                flags: 0,
                want_old: false,
            };
            database.call(&put, now(), &mut |_| {}).unwrap();
        }
    }
    let started = now();
    let left = |database: &Database| {
        let mut left = 0;
        let count = &mut |reply: Reply<'_>| {
            if let Reply::Number(number) = reply {
                left = number;
            }
        };
        database.call(&Command::Count, now(), count).unwrap();
        left
    };
    while databases.iter().any(|database| left(database) > 0) {
        assert!(now() < started + 60_000, "nothing reclaims");
        std::thread::yield_now();
    }
    let stat = cabinet.stat();
    assert_eq!((stat.reclaimed, stat.expiry_waiting), (2000, 0));
    assert_eq!(stat.expiry_lags.counts.iter().sum::<u64>(), 2000);
}
