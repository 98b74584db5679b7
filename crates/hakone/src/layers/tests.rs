#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a test has few records"
)]

use super::*;
use crate::io::chance::Chance;
use crate::io::sim::{NameCut, SimDisk};
use crate::keeper::Tuning;
use crate::log::LogOptions;
use crate::{Cabinet, Mail, Step};
use hakone_command::{Condition, End, ExpirySet};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

fn open(disk: &SimDisk) -> Cabinet {
    let tuning = Tuning {
        log: LogOptions {
            segment_bytes_min: 4 << 10,
            segment_bytes_max: 64 << 10,
            resident_bytes_max: u64::MAX,
        },
        interval: Duration::from_millis(1),
        background: false,
    };
    Cabinet::open_on(None, Arc::new(disk.clone()), tuning).unwrap()
}

fn create(cabinet: &Cabinet, name: &str, kind: Kind, memory: bool) -> Database {
    let options = DatabaseOptions {
        memory,
        ..DatabaseOptions::new(kind)
    };
    cabinet.create(name, options).unwrap()
}

fn number(store: &Store, command: &Command<'_>) -> i64 {
    let mut number = -1;
    let answer = &mut |reply: Reply<'_>| {
        if let Reply::Number(count) = reply {
            number = count;
        }
    };
    store.call(command, crate::now(), answer).unwrap();
    number
}

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Command<'a> {
    Command::Put {
        key,
        value,
        condition: Condition::Always,
        expiry: ExpirySet::At(0),
        flags: 0,
        want_old: false,
    }
}

fn put_raw(store: &Store, key: &[u8], value: &[u8]) {
    store
        .call(&put(key, value), crate::now(), &mut |_| {})
        .unwrap();
}

/// The hidden tree of a database's lists.
fn hidden(database: &Database) -> Arc<Store> {
    Arc::clone(database.store().layers().next().unwrap())
}

/// All elements, page by page.
fn all(list: &List) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    loop {
        let page = list.range(values.len() as i64, -1, 7).unwrap();
        assert_eq!(page.list_len, list.len().unwrap());
        if page.values.is_empty() {
            return values;
        }
        assert_eq!(page.first, values.len() as u64);
        values.extend(page.values);
    }
}

fn random_value(chance: &mut Chance) -> Vec<u8> {
    // Some of them are not in the leaf.
    let bytes = if chance.one_in(20) { 2000 } else { 20 };
    let mut value = vec![0; chance.index(bytes)];
    chance.fill(&mut value);
    value
}

/// Some change or reading of a list, on the list and on the model.
fn step(list: &List, model: &mut VecDeque<Vec<u8>>, chance: &mut Chance) {
    let end = [End::Front, End::Back][chance.index(2)];
    match chance.below(12) {
        0..=4 => {
            let values: Vec<_> = (0..chance.below(6)).map(|_| random_value(chance)).collect();
            let len = list.push(end, &values).unwrap();
            for value in values {
                match end {
                    End::Front => model.push_front(value),
                    End::Back => model.push_back(value),
                }
            }
            assert_eq!(len, model.len() as u64);
        }
        5..=7 => {
            let count = chance.index(6);
            let popped = list.pop(end, count).unwrap();
            let expected = (0..count).map_while(|_| match end {
                End::Front => model.pop_front(),
                End::Back => model.pop_back(),
            });
            assert_eq!(popped, expected.collect::<Vec<_>>());
        }
        8 | 9 => {
            let index = chance.below(30) as i64 - 15;
            let at = if index < 0 {
                model.len().checked_sub(index.unsigned_abs() as usize)
            } else {
                Some(index as usize)
            };
            let there = at.and_then(|at| model.get_mut(at));
            assert_eq!(list.get(index).unwrap(), there.as_deref().cloned());
            let value = random_value(chance);
            assert_eq!(list.set(index, &value).unwrap(), there.is_some());
            if let Some(there) = there {
                *there = value;
            }
        }
        10 if chance.one_in(4) => {
            assert_eq!(list.clear().unwrap(), model.len() as u64);
            model.clear();
        }
        _ => {
            let (first, last) = (chance.index(20), chance.index(20));
            let page = list.range(first as i64, last as i64, usize::MAX).unwrap();
            let count = (last + 1).saturating_sub(first);
            let expected: Vec<_> = model.iter().skip(first).take(count).cloned().collect();
            assert_eq!(page.values, expected);
        }
    }
}

/// Lists of all kinds of databases against a plain model, through garbage collection, checkpoints,
/// compaction, closing and dying.
#[test]
fn a_list_is_as_a_plain_deque() {
    for seed in 0..6 {
        let mut chance = Chance::new(seed);
        let mut disk = SimDisk::new(seed);
        let mut cabinet = open(&disk);
        let mut models: BTreeMap<(usize, &[u8]), VecDeque<Vec<u8>>> = BTreeMap::new();
        let kinds = [
            ("hash", Kind::Hash, false),
            ("tree", Kind::Tree, false),
            ("hash in memory", Kind::Hash, true),
            ("tree in memory", Kind::Tree, true),
        ];
        for round in 0..1500 {
            let at = chance.index(kinds.len());
            let (name, kind, memory) = kinds[at];
            let database = create(&cabinet, name, kind, memory);
            let name = [&b""[..], b"a", b"list"][chance.index(3)];
            let list = database.list(name).unwrap();
            step(&list, models.entry((at, name)).or_default(), &mut chance);
            match chance.below(300) {
                0 => {
                    database.clear().unwrap();
                    models.retain(|(of, _), _| *of != at);
                }
                1..=3 => drop(cabinet.keeper().collect(1).unwrap()),
                4 => cabinet.checkpoint().unwrap(),
                5..=7 => {
                    cabinet.keeper().recount().unwrap();
                    cabinet.compact().unwrap();
                }
                8 | 9 => {
                    if chance.one_in(2) {
                        cabinet.close().unwrap();
                    } else {
                        cabinet.sync().unwrap();
                        disk = disk.power_cut(chance.next(), NameCut::Prefix);
                    }
                    cabinet = open(&disk);
                    models.retain(|(at, _), _| !kinds[*at].2);
                }
                _ => continue,
            }
            for (at, (name, kind, memory)) in kinds.into_iter().enumerate() {
                let database = create(&cabinet, name, kind, memory);
                for name in [&b""[..], b"a", b"list"] {
                    let list = database.list(name).unwrap();
                    let model = models.entry((at, name)).or_default();
                    assert_eq!(
                        VecDeque::from(all(&list)),
                        *model,
                        "seed {seed}, round {round}"
                    );
                }
            }
        }
        // When all garbage is collected, the hidden trees hold what the lists do.
        while cabinet.keeper().collect(100).unwrap() > 0 {}
        for (at, (name, kind, memory)) in kinds.into_iter().enumerate() {
            let database = create(&cabinet, name, kind, memory);
            let its = models.iter().filter(|((of, _), _)| *of == at);
            let lens = its.map(|(_, model)| model.len() + usize::from(!model.is_empty()));
            let count = number(&hidden(&database), &Command::Count);
            assert_eq!(count, lens.sum::<usize>() as i64, "seed {seed}, {name}");
        }
    }
}

#[test]
fn hidden_trees_are_not_among_the_databases() {
    let disk = SimDisk::new(1);
    let mut cabinet = open(&disk);
    for (name, kind) in [("hash", Kind::Hash), ("tree", Kind::Tree)] {
        let database = create(&cabinet, name, kind, false);
        database.put(b"list", b"a record").unwrap();
        let list = database.list(b"list").unwrap();
        list.push(End::Back, &[b"one", b"two"]).unwrap();
    }
    for _ in 0..3 {
        let names: Vec<_> = cabinet
            .databases()
            .iter()
            .map(|d| d.name().to_owned())
            .collect();
        assert_eq!(names, ["hash", "tree"]);
        assert!(cabinet.database("list").is_none());
        for database in cabinet.databases() {
            assert_eq!(number(database.store(), &Command::Count), 1);
            assert_eq!(number(database.store(), &Command::Bytes), 12);
            assert_eq!(database.get(b"list").unwrap().unwrap(), b"a record");
            assert_eq!(all(&database.list(b"list").unwrap()), [b"one", b"two"]);
        }
        cabinet.checkpoint().unwrap();
        cabinet.close().unwrap();
        cabinet = open(&disk);
    }
    // A database that is made later gets an id of its own.
    let later = create(&cabinet, "later", Kind::Hash, false);
    later.put(b"key", b"value").unwrap();
    let there = cabinet.database("tree").unwrap().list(b"list").unwrap();
    assert_eq!(there.len().unwrap(), 2);
}

#[test]
fn clearing_a_database_clears_its_lists_in_the_same_batch() {
    let disk = SimDisk::new(1);
    let cabinet = open(&disk);
    let database = create(&cabinet, "hash", Kind::Hash, false);
    let other = create(&cabinet, "other", Kind::Tree, false);
    let list = database.list(b"list").unwrap();
    let kept = other.list(b"list").unwrap();
    kept.push(End::Back, &[b"kept"]).unwrap();
    for way in 0..3 {
        database.put(b"key", b"value").unwrap();
        list.push(End::Back, &[b"one", b"two"]).unwrap();
        cabinet.sync().unwrap();
        let steps_before = cabinet.written();
        if way == 2 {
            cabinet
                .transact(|transaction| {
                    let now = crate::now();
                    transaction.call(&database, &Command::Clear, now, &mut |_| {})?;
                    Ok(())
                })
                .unwrap();
        } else if way == 1 {
            let step = |database, command| Step { database, command };
            let steps = [
                step(&other, Command::Count),
                step(&database, Command::Clear),
                step(&database, Command::Count),
            ];
            let mut said = Vec::new();
            let mut answer = |_, reply: Result<Reply<'_>>| said.push(format!("{reply:?}"));
            cabinet.batch(&[], &steps, 1, &mut answer).unwrap();
            assert_eq!(said, ["Ok(Number(0))", "Ok(Number(1))", "Ok(Number(0))"]);
        } else {
            assert_eq!(number(database.store(), &Command::Clear), 1);
        }
        assert_eq!((list.len().unwrap(), kept.len().unwrap()), (0, 1));
        assert_eq!(number(&hidden(&database), &Command::Count), 0);
        assert!(cabinet.written() > steps_before);
        // At any moment of the sync, both are there or none.
        let cut = disk.power_cut(way, NameCut::Prefix);
        let after = open(&cut);
        let database = after.database("hash").unwrap();
        let len = database.list(b"list").unwrap().len().unwrap();
        let is_there = database.get(b"key").unwrap().is_some();
        assert_eq!(is_there, len == 2, "{len}");
    }
    list.push(End::Front, &[b"new"]).unwrap();
    assert_eq!(all(&list), [b"new"]);
}

#[test]
fn what_a_clear_leaves_is_collected_after_a_restart() {
    let mut disk = SimDisk::new(1);
    let mut cabinet = open(&disk);
    let database = create(&cabinet, "hash", Kind::Hash, false);
    let list = database.list(b"list").unwrap();
    let values = vec![b"value"; 2000];
    list.push(End::Back, &values).unwrap();
    let before = cabinet.written();
    assert_eq!(list.clear().unwrap(), 2000);
    assert!(cabinet.written() - before < 5, "a clear writes two records");
    assert_eq!((list.len().unwrap(), list.is_empty().unwrap()), (0, true));
    list.push(End::Back, &[b"new"]).unwrap();
    assert_eq!(number(&hidden(&database), &Command::Count), 2003);
    let mut left = 2000;
    while left > 0 {
        let gone = cabinet.keeper().collect(2).unwrap();
        assert!(gone > 0, "{left} are left and nothing is collected");
        left -= gone;
        cabinet.sync().unwrap();
        disk = disk.power_cut(left, NameCut::Prefix);
        cabinet = open(&disk);
        let database = cabinet.database("hash").unwrap();
        assert_eq!(all(&database.list(b"list").unwrap()), [b"new"]);
        // The garbage record goes last.
        let rest = number(&hidden(&database), &Command::Count);
        assert!([left + 2, left + 3].contains(&(rest as u64)), "{rest}");
    }
    assert_eq!(cabinet.keeper().collect(100).unwrap(), 0);
    let database = cabinet.database("hash").unwrap();
    assert_eq!(number(&hidden(&database), &Command::Count), 2);
    // A new list's elements are apart from all that were there.
    let list = database.list(b"another").unwrap();
    list.push(End::Back, &[b"x"]).unwrap();
    assert_eq!(all(&database.list(b"list").unwrap()), [b"new"]);
}

#[test]
fn indices_count_from_either_end_and_stop_at_the_ends() {
    let cabinet = open(&SimDisk::new(1));
    let list = create(&cabinet, "hash", Kind::Hash, true)
        .list(b"l")
        .unwrap();
    list.push(End::Back, &["a", "b", "c", "d", "e"]).unwrap();
    let text = |values: Vec<Vec<u8>>| String::from_utf8(values.concat()).unwrap();
    let table = [
        (0, -1, "abcde"),
        (0, 0, "a"),
        (-1, -1, "e"),
        (1, 3, "bcd"),
        (-3, -2, "cd"),
        (3, 1, ""),
        (5, 9, ""),
        (4, 9, "e"),
        (-9, 1, "ab"),
        (-9, -6, ""),
        (-9, -5, "a"),
        (0, -6, ""),
        (i64::MIN, i64::MAX, "abcde"),
        (i64::MAX, i64::MIN, ""),
        (i64::MIN, i64::MIN, ""),
        (i64::MAX, i64::MAX, ""),
    ];
    for (first, last, expected) in table {
        let page = list.range(first, last, usize::MAX).unwrap();
        assert_eq!(text(page.values), expected, "{first} to {last}");
    }
    let page = list.range(1, -1, 2).unwrap();
    assert_eq!(
        (page.first, page.list_len, text(page.values)),
        (1, 5, "bc".to_owned())
    );
    for (index, expected) in [
        (0, Some("a")),
        (4, Some("e")),
        (5, None),
        (-5, Some("a")),
        (-6, None),
        (i64::MIN, None),
        (i64::MAX, None),
    ] {
        let got = list.get(index).unwrap();
        assert_eq!(got.as_deref(), expected.map(str::as_bytes), "{index}");
        assert_eq!(list.set(index, b"x").unwrap(), expected.is_some());
        if let Some(expected) = expected {
            list.set(index, expected.as_bytes()).unwrap();
        }
    }
    assert_eq!(list.pop(End::Back, usize::MAX).unwrap().len(), 5);
    assert_eq!(list.pop(End::Back, 1).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_range_ends_after_a_mebibyte_and_a_pop_that_fits_no_batch_is_refused() {
    let cabinet = open(&SimDisk::new(1));
    let tree = create(&cabinet, "tree", Kind::Tree, true);
    let list = tree.list(b"large").unwrap();
    let value = vec![7; 40 << 10];
    for _ in 0..40 {
        list.push(End::Back, &[&value]).unwrap();
    }
    let page = list.range(0, -1, 100).unwrap();
    assert_eq!(page.values.len(), 26, "26 times 40 KiB are just over 1 MiB");
    assert_eq!(list.pop(End::Front, 40).unwrap().len(), 40);
    // A list of a million, without writing them.
    let numbers = [5, 0, 1_000_000_u64].map(u64::to_le_bytes).concat();
    let record = [&[1], &numbers[..]].concat();
    put_raw(&hidden(&tree), &named(b"long"), &record);
    let list = tree.list(b"long").unwrap();
    let refused = list.pop(End::Back, usize::MAX);
    assert!(
        matches!(refused, Err(Error::BatchTooLarge { .. })),
        "{refused:?}"
    );
    let refused = list.push(End::Back, &[vec![0; 33 << 20]]);
    assert!(
        matches!(refused, Err(Error::ValueTooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(list.len().unwrap(), 1_000_000);
}

#[test]
fn what_is_no_list_is_told_as_damage() {
    let cabinet = open(&SimDisk::new(1));
    let database = create(&cabinet, "hash", Kind::Hash, false);
    let list = database.list(b"list").unwrap();
    list.push(End::Back, &["a", "b"]).unwrap();
    let store = hidden(&database);
    let good = Layer::open(&database, "list").unwrap();
    let good = good.get(&named(b"list")).unwrap().unwrap().value;
    let mut records = vec![
        Vec::new(),
        vec![1],
        good[..24].to_vec(),
        [&good[..], b"x"].concat(),
    ];
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        records.push(bad);
    }
    for (i, record) in records.into_iter().enumerate() {
        put_raw(&store, &named(b"list"), &record);
        let all = [
            list.push(End::Back, &["c"]).map(drop),
            list.pop(End::Front, 1).map(drop),
            list.get(0).map(drop),
            list.range(0, -1, 10).map(drop),
        ];
        let told = all
            .iter()
            .any(|done| matches!(done, Err(Error::Corrupt(_))));
        assert!(told, "record {i}: {record:?}: {all:?}");
        put_raw(&store, &named(b"list"), &good);
    }
}

#[test]
fn a_layers_batch_changes_its_tree_and_the_database_or_neither() {
    let cabinet = open(&SimDisk::new(1));
    let database = create(&cabinet, "hash", Kind::Hash, false);
    let layer = Layer::open(&database, "test").unwrap();
    let both = [
        (To::Layer, put(b"Mrow", b"1")),
        (To::Database, put(b"row", b"1")),
    ];
    assert!(layer.batch(&[(b"Mrow", 0)], &both).unwrap().is_some());
    let version = layer.get(b"Mrow").unwrap().unwrap().version;
    assert!(
        layer.batch(&[(b"Mrow", 0)], &both).unwrap().is_none(),
        "it is there now"
    );
    let long = vec![0; hakone_command::limits::KEY_BYTES_MAX + 1];
    let refused = [
        (To::Layer, put(b"Mrow", b"2")),
        (To::Database, put(&long, b"2")),
    ];
    let error = layer.batch(&[(b"Mrow", version)], &refused);
    assert!(matches!(error, Err(Error::KeyTooLarge { .. })), "{error:?}");
    let row = layer.get(b"Mrow").unwrap().unwrap();
    assert_eq!((row.value, row.version), (b"1".to_vec(), version));
    assert_eq!(database.get(b"row").unwrap().unwrap(), b"1");
    // Two layers of a database are two trees, and both are cleared.
    database
        .list(b"row")
        .unwrap()
        .push(End::Back, &["x"])
        .unwrap();
    assert_eq!(database.store().layers().count(), 2);
    database.clear().unwrap();
    assert!(layer.get(b"Mrow").unwrap().is_none());
    assert!(database.list(b"row").unwrap().is_empty().unwrap());
}

#[test]
fn watchers_of_a_list_are_told_of_its_changes() {
    let cabinet = open(&SimDisk::new(1));
    let database = create(&cabinet, "hash", Kind::Hash, false);
    let list = database.list(b"list").unwrap();
    let rings = Arc::new(AtomicUsize::new(0));
    let rung = Arc::clone(&rings);
    let watcher = Watcher::new(100, move || {
        rung.fetch_add(1, Ordering::Relaxed);
    });
    list.watch(&watcher).unwrap();
    list.push(End::Back, &["a", "b"]).unwrap();
    list.set(0, b"c").unwrap();
    list.pop(End::Front, 1).unwrap();
    database.put(b"list", b"a record").unwrap();
    database
        .list(b"another")
        .unwrap()
        .push(End::Back, &["a"])
        .unwrap();
    list.pop(End::Front, 1).unwrap();
    list.push(End::Back, &["a"]).unwrap();
    list.clear().unwrap();
    cabinet.keeper().collect(10).unwrap();
    database.clear().unwrap();
    list.unwatch(&watcher);
    list.push(End::Back, &["a"]).unwrap();
    let Mail::Events(events) = watcher.take() else {
        panic!("they fit")
    };
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event.layer.as_deref(), Some("list"));
            assert_eq!(&*event.database, "hash");
            format!("{:?} {}", event.kind, String::from_utf8_lossy(&event.key))
        })
        .collect();
    assert_eq!(
        told.join(", "),
        "Put list, Put list, Put list, Remove list, Put list, Remove list, Clear "
    );
    assert_eq!(rings.load(Ordering::Relaxed), 1);
}

/// Every value that is pushed is popped once, or is there at the end; at each end, a thread's own
/// values come in an order that its pushes allow.
#[test]
fn threads_at_both_ends_lose_and_double_nothing() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 400;
    let cabinet = open(&SimDisk::new(1));
    for (name, kind, memory) in [("hash", Kind::Hash, false), ("tree", Kind::Tree, true)] {
        let database = create(&cabinet, name, kind, memory);
        let list = database.list(b"list").unwrap();
        let work = |thread: usize| {
            let mut chance = Chance::new(thread as u64);
            let mut popped = Vec::new();
            for round in 0..ROUNDS {
                let end = [End::Front, End::Back][chance.index(2)];
                let value = |half| format!("{thread} {round} {half}");
                list.push(end, &[value(0), value(1)]).unwrap();
                let end = [End::Front, End::Back][chance.index(2)];
                popped.extend(list.pop(end, chance.index(4)).unwrap());
                let page = list.range(0, -1, 5).unwrap();
                assert!(page.values.len() as u64 == page.list_len.min(5));
            }
            popped
        };
        let popped = std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (0..THREADS).map(|i| scope.spawn(move || work(i))).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        let rest = all(&list);
        let count = popped.len() + rest.len();
        let seen: HashSet<_> = popped.into_iter().chain(rest).collect();
        assert_eq!(
            (count, seen.len()),
            (THREADS * ROUNDS * 2, THREADS * ROUNDS * 2)
        );
    }
}

/// Pushes go on while the database is cleared: a list is never torn.
#[test]
fn a_clear_of_the_database_among_pushes_tears_no_list() {
    let cabinet = open(&SimDisk::new(1));
    let database = create(&cabinet, "hash", Kind::Hash, false);
    let list = database.list(b"list").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..500 {
                    list.push(End::Back, &["a", "b", "c"]).unwrap();
                    let popped = list.pop(End::Front, 2).unwrap();
                    assert!(popped.len() <= 2);
                    let page = list.range(0, -1, 10).unwrap();
                    assert_eq!(page.values.len() as u64, page.list_len.min(10));
                    list.get(-1).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                database.clear().unwrap();
            }
        });
    });
    let elements = all(&list).len() as i64;
    let count = number(&hidden(&database), &Command::Count);
    assert_eq!(count, elements + i64::from(elements > 0));
}
