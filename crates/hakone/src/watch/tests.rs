use super::*;
use crate::io::Disk;
use crate::io::chance::Chance;
use crate::io::sim::SimDisk;
use crate::keeper::Tuning;
use crate::log::LogOptions;
use crate::{Cabinet, Database, DatabaseOptions, Step};
use hakone_command::{Command, Condition, ExpirySet, Kind, Millis, Pair, Reply};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const NOW: Millis = 1_800_000_000_000;

fn cabinet() -> (Cabinet, SimDisk) {
    let disk = SimDisk::new(1);
    disk.set_micros(NOW * 1000);
    let tuning = Tuning {
        log: LogOptions {
            segment_bytes_min: 4 << 10,
            segment_bytes_max: 64 << 10,
            resident_bytes_max: u64::MAX,
        },
        interval: Duration::from_millis(1),
        background: false,
    };
    let on: Arc<dyn Disk> = Arc::new(disk.clone());
    (Cabinet::open_on(None, on, tuning).unwrap(), disk)
}

/// A database of each kind, on disk and in memory.
fn databases(cabinet: &Cabinet) -> Vec<Database> {
    let all = [
        ("hash", Kind::Hash, false),
        ("tree", Kind::Tree, false),
        ("hash in memory", Kind::Hash, true),
        ("tree in memory", Kind::Tree, true),
    ];
    let make = |(name, kind, memory)| {
        let options = DatabaseOptions {
            memory,
            ..DatabaseOptions::new(kind)
        };
        cabinet.create(name, options).unwrap()
    };
    all.map(make).into()
}

fn put(database: &Database, key: &[u8], value: &[u8], expiry: Millis) {
    let command = Command::Put {
        key,
        value,
        condition: Condition::Always,
        expiry: ExpirySet::At(expiry),
        flags: 0,
        want_old: false,
    };
    database.call(&command, NOW, &mut |_| {}).unwrap();
}

fn call(database: &Database, command: &Command<'_>) {
    database.call(command, NOW, &mut |_| {}).unwrap();
}

fn number(database: &Database, key: &[u8]) -> u64 {
    let mut number = 0;
    let get = Command::Get { key };
    let answer = &mut |reply: Reply<'_>| {
        if let Reply::Record(record) = reply {
            number = u64::from_le_bytes(record.value.try_into().unwrap());
        }
    };
    database.call(&get, NOW, answer).unwrap();
    number
}

/// A watcher, and what hears its bell.
fn watcher(events_max: usize) -> (Watcher, Receiver<()>) {
    let (bell, rung) = channel();
    let wake = move || bell.send(()).unwrap_or_default();
    (Watcher::new(events_max, wake), rung)
}

fn events(watcher: &Watcher) -> Vec<Event> {
    match watcher.take() {
        Mail::Events(events) => events,
        Mail::Cut => panic!("the mailbox was cut"),
    }
}

/// What a watcher was told, as text.
fn told(watcher: &Watcher) -> String {
    let one = |event: Event| format!("{:?} {}", event.kind, String::from_utf8_lossy(&event.key));
    let all: Vec<_> = events(watcher).into_iter().map(one).collect();
    all.join(", ")
}

#[test]
fn each_interest_is_told_what_it_covers_and_nothing_else() {
    let (cabinet, _) = cabinet();
    for database in databases(&cabinet) {
        let interests = [
            Interest::Key(b"aa"),
            Interest::Prefix(b"a"),
            Interest::Prefix(b"abc"),
            Interest::All,
        ];
        let watchers = interests.map(|interest| {
            let (watcher, _) = watcher(100);
            database.watch(interest, &watcher).unwrap();
            watcher
        });
        let check = |what: &str, expected: [&str; 4]| {
            let told = watchers.each_ref().map(told);
            assert_eq!(told, expected, "{}: {what}", database.name());
        };
        put(&database, b"aa", b"1", 0);
        put(&database, b"abcd", b"1", 0);
        put(&database, b"", b"1", 0);
        put(&database, b"b", b"1", NOW + 5);
        check(
            "puts",
            [
                "Put aa",
                "Put aa, Put abcd",
                "Put abcd",
                "Put aa, Put abcd, Put , Put b",
            ],
        );
        let refused = Command::Put {
            key: b"aa",
            value: b"2",
            condition: Condition::IfAbsent,
            expiry: ExpirySet::Keep,
            flags: 0,
            want_old: false,
        };
        call(&database, &refused);
        call(&database, &Command::Get { key: b"aa" });
        database.remove(b"abs").unwrap();
        check("what changes nothing", ["", "", "", ""]);
        let append = Command::Append {
            key: b"aa",
            value: b"2",
            end: hakone_command::End::Back,
            width: None,
            condition: Condition::Always,
            expiry: ExpirySet::Keep,
        };
        call(&database, &append);
        database.remove(b"aa").unwrap();
        let both = "Put aa, Remove aa";
        check("an append and a removal", [both, both, "", both]);
        cabinet.keeper().reclaim(NOW + 1000).unwrap();
        check("an expiry", ["", "", "", "Expire b"]);
        let pairs = [b"aa", b"ab"].map(|key| Pair { key, value: b"1" });
        let many = Command::PutMany {
            pairs: pairs.into(),
            if_none_exist: false,
            expiry: 0,
        };
        call(&database, &many);
        check(
            "a batch",
            ["Put aa", "Put aa, Put ab", "", "Put aa, Put ab"],
        );
        call(&database, &Command::Clear);
        check("a clear", ["Clear ", "Clear ", "Clear ", "Clear "]);
        put(&database, b"aa", b"1", 0);
        let steps = [
            Command::Remove {
                key: b"aa",
                want_old: false,
            },
            Command::Clear,
            Command::Add {
                key: b"a",
                amount: hakone_command::Amount::Decimal(1),
                absent: Some(hakone_command::Amount::Decimal(0)),
                expiry: ExpirySet::Keep,
            },
        ];
        let steps: Vec<_> = steps
            .into_iter()
            .map(|command| Step {
                database: &database,
                command,
            })
            .collect();
        cabinet.batch(&[], &steps, NOW, &mut |_, _| {}).unwrap();
        check(
            "a clear in a batch",
            [
                "Put aa, Clear ",
                "Put aa, Clear , Put a",
                "Clear ",
                "Put aa, Clear , Put a",
            ],
        );
        database.unwatch(Interest::Key(b"a"), &watchers[1]);
        database.unwatch(Interest::Prefix(b"a"), &watchers[1]);
        database.unwatch(Interest::Key(b"aa"), &watchers[0]);
        put(&database, b"aa", b"1", 0);
        check("what is watched no more", ["", "", "", "Put aa"]);
        drop(watchers);
        assert_eq!(database.store().watched.len(), 0);
    }
}

#[test]
fn interests_that_overlap_tell_a_change_once() {
    let (cabinet, _) = cabinet();
    let databases = databases(&cabinet);
    let (watcher, rung) = watcher(100);
    for database in &databases[..2] {
        for interest in [
            Interest::All,
            Interest::All,
            Interest::Prefix(b""),
            Interest::Prefix(b"k"),
            Interest::Key(b"key"),
        ] {
            database.watch(interest, &watcher).unwrap();
        }
        put(database, b"key", b"1", 0);
    }
    let told = events(&watcher);
    assert_eq!(rung.try_iter().count(), 1, "rung once for both");
    let names: Vec<_> = told.iter().map(|event| &*event.database).collect();
    assert_eq!(names, ["hash", "tree"]);
    assert!(told[0].lsn < told[1].lsn && told[0].version < told[1].version);
    call(&databases[0], &Command::Clear);
    assert_eq!((events(&watcher).len(), rung.try_iter().count()), (1, 1));
}

#[test]
fn what_is_told_can_be_read_when_the_bell_rings() {
    let (cabinet, _) = cabinet();
    let all = databases(&cabinet);
    for database in &all {
        let seen = Arc::new(AtomicU64::new(0));
        let wake = {
            let (seen, all) = (Arc::clone(&seen), all.clone());
            move || {
                // The keys' locks are free, and the batch is there in all databases.
                let held = all.iter().map(|database| number(database, b"key")).min();
                seen.store(held.unwrap(), Ordering::Relaxed);
            }
        };
        let watcher = Watcher::new(10, wake);
        database.watch(Interest::Key(b"key"), &watcher).unwrap();
        for round in 1..4_u64 {
            let value = round.to_le_bytes();
            let steps: Vec<_> = all
                .iter()
                .map(|database| Step {
                    database,
                    command: Command::Put {
                        key: b"key",
                        value: &value,
                        condition: Condition::Always,
                        expiry: ExpirySet::Keep,
                        flags: 0,
                        want_old: false,
                    },
                })
                .collect();
            cabinet.batch(&[], &steps, NOW, &mut |_, _| {}).unwrap();
            assert_eq!(seen.load(Ordering::Relaxed), round, "{}", database.name());
            events(&watcher);
        }
    }
}

#[test]
fn a_mailbox_that_overflows_is_cut_and_forgotten() {
    let (cabinet, _) = cabinet();
    let databases = databases(&cabinet);
    let (slow, rung) = watcher(3);
    let (fast, _) = watcher(100);
    for database in &databases {
        database.watch(Interest::All, &slow).unwrap();
        database.watch(Interest::Key(b"k"), &slow).unwrap();
        database.watch(Interest::All, &fast).unwrap();
    }
    for _ in 0..3 {
        put(&databases[1], b"k", b"1", 0);
    }
    assert_eq!(events(&slow).len(), 3, "three fit");
    for _ in 0..5 {
        put(&databases[1], b"k", b"1", 0);
    }
    assert_eq!(slow.take(), Mail::Cut);
    assert_eq!(slow.take(), Mail::Cut);
    assert_eq!(
        rung.try_iter().count(),
        3,
        "two for events, one for the cut"
    );
    for database in &databases {
        assert_eq!(database.store().watched.len(), 1, "{}", database.name());
    }
    let refused = databases[0].watch(Interest::All, &slow);
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(events(&fast).len(), 8, "others are told all");
}

#[test]
fn compaction_and_opening_again_tell_nothing() {
    let (cabinet, disk) = cabinet();
    let all = databases(&cabinet);
    let (watcher, _) = watcher(100_000);
    for round in 0..400_u32 {
        for database in &all[..2] {
            // Some records stay, so that there is something to copy.
            let key = if round % 8 == 0 { round } else { round % 8 };
            let key = key.to_le_bytes();
            put(database, &key, &[1; 200], NOW + 1_000_000);
        }
    }
    for database in &all {
        database.watch(Interest::All, &watcher).unwrap();
    }
    cabinet.sync().unwrap();
    cabinet.compact().unwrap();
    assert!(cabinet.stat().compaction_copied_bytes > 0);
    drop((cabinet, all));
    assert_eq!(events(&watcher), []);
    let tuning = Tuning::new(&crate::Options::default());
    let tuning = Tuning {
        background: false,
        ..tuning
    };
    Cabinet::open_on(None, Arc::new(disk), tuning).unwrap();
    assert_eq!(events(&watcher), []);
}

/// Threads count up in a few keys, each step only when the key's watcher has seen the one before. A
/// watcher registers, then reads, and then waits if there is nothing new, so that a wake-up that is
/// lost leaves both waiting.
#[test]
fn who_registers_then_reads_then_waits_misses_nothing() {
    const ROUNDS: u64 = 3000;
    const KEYS: [&[u8]; 3] = [b"apple", b"pear", b"fig"];
    let (cabinet, _) = cabinet();
    for database in &databases(&cabinet) {
        std::thread::scope(|scope| {
            for key in KEYS {
                let (seen, next) = channel();
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        put(database, key, &round.to_le_bytes(), 0);
                        assert_eq!(next.recv_timeout(PATIENCE), Ok(round), "not seen");
                    }
                });
                scope.spawn(move || follow(database, key, ROUNDS, &seen));
            }
        });
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Follows a key until it has counted to `last`, one by one.
fn follow(database: &Database, key: &[u8], last: u64, seen: &Sender<u64>) {
    let mut chance = Chance::new(last);
    let mut known = 0;
    while known < last {
        let (watcher, rung) = watcher(usize::MAX);
        let interest = if chance.one_in(2) {
            Interest::Key(key)
        } else {
            Interest::Prefix(&key[..=chance.index(key.len())])
        };
        database.watch(interest, &watcher).unwrap();
        let mut version = 0;
        for _ in 0..chance.below(5) {
            let read = number(database, key);
            if read > known {
                assert_eq!(read, known + 1);
                known = read;
                seen.send(read).unwrap();
                continue;
            }
            if known == last {
                break;
            }
            let heard = rung.recv_timeout(PATIENCE);
            assert!(heard.is_ok(), "a wake-up was lost after {known}");
            for event in events(&watcher) {
                assert_eq!(&*event.key, key);
                assert!(event.version > version, "events out of order");
                version = event.version;
            }
            let mut found = 0;
            let describe = Command::Describe { key };
            let answer = &mut |reply: Reply<'_>| {
                if let Reply::Record(record) = reply {
                    found = record.version;
                }
            };
            database.call(&describe, NOW, answer).unwrap();
            assert!(found >= version, "an event came before its change");
        }
    }
}

/// Several threads change one key; its events are its changes, in their order.
#[test]
fn the_events_of_a_key_come_in_the_order_of_its_changes() {
    let (cabinet, _) = cabinet();
    for database in &databases(&cabinet) {
        let (watcher, _rung) = watcher(usize::MAX);
        database.watch(Interest::Key(b"key"), &watcher).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..500_u64 {
                        put(database, b"key", &round.to_le_bytes(), 0);
                    }
                });
            }
        });
        let told = events(&watcher);
        assert_eq!(told.len(), 2000);
        assert!(told.is_sorted_by_key(|event| (event.version, event.lsn)));
    }
}
