//! Databases that pack their values: random writes, alterations back and forth, compaction and
//! reopening leave what a plain map holds.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that fails panics"
)]

use hakone::{Cabinet, Compression, Database, DatabaseOptions, Error, Kind, Options};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("hakone-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Dir(path)
    }

    fn open(&self, memory_bytes: u64) -> Cabinet {
        let options = Options {
            memory_bytes,
            ..Options::default()
        };
        Cabinet::open(&self.0, options).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ mixed >> 27
}

/// A record as programs keep them, of some dozen bytes to some thousand.
fn json(number: u64) -> Vec<u8> {
    let one = |number: u64| {
        let town = ["Hakone", "Takarazuka", "Kyoto"][number as usize % 3];
        format!(
            "{{\"id\":{number},\"town\":\"{town}\",\"mark\":\"{:016x}\"}},",
            mixed(number)
        )
    };
    let lines = [1, 1, 1, 3, 20, 60][mixed(number) as usize % 6];
    let text: String = (0..lines).map(|line| one(number + line)).collect();
    text.into_bytes()
}

fn check(database: &Database, map: &BTreeMap<Vec<u8>, Vec<u8>>, when: &str) {
    for (key, value) in map {
        let there = database.get(key).unwrap();
        assert_eq!(there.as_ref(), Some(value), "{when}: {key:?}");
    }
    let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
    let count = database.count().unwrap();
    assert_eq!(count, map.len() as u64, "{when}");
    assert_eq!(database.bytes().unwrap(), bytes as u64, "{when}: unpacked");
}

fn with(kind: Kind, memory: bool, compression: Compression) -> DatabaseOptions {
    DatabaseOptions {
        memory,
        compression,
        ..DatabaseOptions::new(kind)
    }
}

#[test]
fn altering_back_and_forth_keeps_every_record() {
    let dir = Dir::new("altered");
    let mut maps: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
    let all = [
        ("hash", Kind::Hash, false),
        ("tree", Kind::Tree, false),
        ("hash in memory", Kind::Hash, true),
        ("tree in memory", Kind::Tree, true),
    ];
    let mut number = 0;
    for round in 0..8 {
        // In memory whole, in part, not at all.
        let cabinet = dir.open([u64::MAX, 0, 1 << 20][round % 3]);
        for (name, kind, memory) in all {
            let compression = Compression::ALL[(round * 3 + 1) % 4].1;
            let options = with(kind, memory, compression);
            let database = match cabinet.database(name) {
                Some(there) => there,
                None => cabinet.create(name, options).unwrap(),
            };
            let map = maps.entry(name.to_owned()).or_default();
            if memory {
                map.clear();
            }
            check(&database, map, &format!("{name}, opened for round {round}"));
            cabinet.alter(name, options).unwrap();
            assert_eq!(database.options(), options);
            for _ in 0..700 {
                number += 1;
                let key = format!("key {}", mixed(number) % 500).into_bytes();
                if mixed(number + 1).is_multiple_of(5) {
                    assert_eq!(database.remove(&key).unwrap(), map.remove(&key).is_some());
                } else {
                    database.put(&key, &json(number)).unwrap();
                    map.insert(key, json(number));
                }
            }
            check(&database, map, &format!("{name}, {compression:?}"));
            if round % 2 == 1 {
                cabinet.compact_all().unwrap();
                check(
                    &database,
                    map,
                    &format!("{name}, {compression:?}, rewritten"),
                );
            }
        }
        cabinet.close().unwrap();
        let cabinet = dir.open(u64::MAX);
        for (name, kind, _) in all.iter().filter(|(.., memory)| !memory) {
            let compression = Compression::ALL[(round * 3 + 1) % 4].1;
            let there = cabinet.database(name).unwrap().options();
            assert_eq!(there, with(*kind, false, compression), "{name}");
        }
    }
}

#[test]
fn rewriting_packs_what_is_there_and_unpacks_it_again() {
    let dir = Dir::new("rewritten");
    let cabinet = dir.open(u64::MAX);
    let database = cabinet.create("hash", DatabaseOptions::new(Kind::Hash));
    let database = database.unwrap();
    for number in 0..5000_u64 {
        database.put(&number.to_le_bytes(), &json(number)).unwrap();
    }
    let mut live = BTreeMap::new();
    for (word, compression) in Compression::ALL {
        let options = with(Kind::Hash, false, *compression);
        cabinet.alter("hash", options).unwrap();
        cabinet.compact_all().unwrap();
        live.insert(*word, cabinet.stat().live_bytes);
    }
    let none = live["none"];
    assert!(live["lz4"] < none * 9 / 10, "{live:?}");
    assert!(live["zstd"] < none * 9 / 10, "{live:?}");
    assert!(live["zstd-dictionary"] < none * 6 / 10, "{live:?}");
    cabinet
        .alter("hash", DatabaseOptions::new(Kind::Hash))
        .unwrap();
    cabinet.compact_all().unwrap();
    for number in 0..5000_u64 {
        let value = database.get(&number.to_le_bytes()).unwrap();
        assert_eq!(value, Some(json(number)));
    }
    assert!(cabinet.stat().live_bytes > none * 98 / 100);
}

#[test]
fn only_the_compression_can_be_altered() {
    let dir = Dir::new("unaltered");
    let cabinet = dir.open(u64::MAX);
    let made = cabinet.create("there", DatabaseOptions::new(Kind::Hash));
    made.unwrap();
    for (name, options) in [
        ("there", DatabaseOptions::new(Kind::Tree)),
        ("there", with(Kind::Hash, true, Compression::Zstd)),
        ("elsewhere", DatabaseOptions::new(Kind::Hash)),
    ] {
        let refused = cabinet.alter(name, options);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    // Whoever makes sure that it is there need not know what it was altered to.
    cabinet
        .alter("there", with(Kind::Hash, false, Compression::Lz4))
        .unwrap();
    let there = cabinet.create("there", DatabaseOptions::new(Kind::Hash));
    assert_eq!(there.unwrap().options().compression, Compression::Lz4);
}
