mod alike;

use super::*;
use crate::io::sim::SimDisk;
use crate::keeper::Tuning;
use crate::log::LogOptions;
use crate::{Amount, DatabaseOptions, End, Kind, Pair};
use std::sync::Arc;
use std::time::Duration;

/// When the tests are, in milliseconds.
const NOW: Millis = 1_800_000_000_000;

/// A cabinet on a simulated disk, with one database of each kind.
fn cabinet() -> (SimDisk, Cabinet, [Database; 4]) {
    let disk = SimDisk::new(1);
    disk.set_micros(NOW * 1000);
    let log = LogOptions {
        segment_bytes_min: 64 << 10,
        segment_bytes_max: 64 << 20,
        resident_bytes_max: u64::MAX,
    };
    let tuning = Tuning {
        log,
        interval: Duration::from_secs(1),
        background: false,
    };
    let cabinet = Cabinet::open_on(None, Arc::new(disk.clone()), tuning).unwrap();
    let databases = [
        ("hash", Kind::Hash, false),
        ("tree", Kind::Tree, false),
        ("hash in memory", Kind::Hash, true),
        ("tree in memory", Kind::Tree, true),
    ];
    let databases = databases.map(|(name, kind, memory)| {
        let options = DatabaseOptions {
            memory,
            ..DatabaseOptions::new(kind)
        };
        cabinet.create(name, options).unwrap()
    });
    (disk, cabinet, databases)
}

fn begin(cabinet: &Cabinet) -> Transaction {
    cabinet.begin(TransactionOptions::default())
}

fn is_conflict<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Conflict(_)))
}

#[test]
fn writes_appear_together_at_the_commit() {
    let (_, cabinet, databases) = cabinet();
    let mut tx = begin(&cabinet);
    for database in &databases {
        database.put(b"gone", b"soon").unwrap();
        tx.put(database, b"k", b"new").unwrap();
        assert_eq!(tx.remove(database, b"gone"), Ok(true));
        assert_eq!(
            tx.get(database, b"k").unwrap().as_deref(),
            Some(&b"new"[..])
        );
        assert_eq!(tx.get(database, b"gone"), Ok(None));
        assert_eq!(tx.count(database), Ok(1));
        assert_eq!(database.get(b"k"), Ok(None), "nobody else sees it");
        assert!(database.get(b"gone").unwrap().is_some());
    }
    let before = cabinet.written();
    let lsn = tx.commit().unwrap();
    assert!(lsn > before && lsn <= cabinet.written());
    for database in &databases {
        assert_eq!(database.get(b"k").unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(database.get(b"gone"), Ok(None));
    }
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let (_, cabinet, [database, ..]) = cabinet();
    let before = cabinet.written();
    for end in [drop::<Transaction>, Transaction::rollback] {
        let mut tx = begin(&cabinet);
        tx.put(&database, b"k", b"v").unwrap();
        end(tx);
    }
    assert_eq!((database.get(b"k"), cabinet.written()), (Ok(None), before));
}

/// What a transaction asks before another writer changes the record "k", and whether its commit
/// conflicts with that.
#[test]
fn a_commit_conflicts_with_changes_of_what_was_read_alone() {
    let (_, cabinet, databases) = cabinet();
    let remove = Command::Remove {
        key: b"k",
        want_old: false,
    };
    let put_many = |if_none_exist| Command::PutMany {
        pairs: vec![
            Pair {
                key: b"k",
                value: b"many",
            },
            Pair {
                key: b"l",
                value: b"many",
            },
        ],
        if_none_exist,
        expiry: 0,
    };
    let put = |condition, expiry, want_old| Command::Put {
        key: b"k",
        value: b"put",
        condition,
        expiry,
        flags: 0,
        want_old,
    };
    let always = Condition::Always;
    let reads = [
        (Command::Get { key: b"k" }, true),
        (Command::Describe { key: b"k" }, true),
        (Command::Get { key: b"other" }, false),
        (
            Command::GetMany {
                keys: vec![b"a", b"k"],
            },
            true,
        ),
        (Command::Exists { keys: vec![b"k"] }, true),
        (remove, true),
        (Command::RemoveMany { keys: vec![b"k"] }, true),
        (put(always, ExpirySet::At(0), false), false),
        (put(always, ExpirySet::At(NOW + 9), false), false),
        (put(always, ExpirySet::Keep, false), true),
        (put(always, ExpirySet::At(0), true), true),
        (put(Condition::IfAbsent, ExpirySet::At(0), false), true),
        (put_many(false), false),
        (put_many(true), true),
        (
            Command::Add {
                key: b"k",
                amount: Amount::Decimal(1),
                absent: Some(Amount::Decimal(0)),
                expiry: ExpirySet::Keep,
            },
            true,
        ),
        (
            Command::Append {
                key: b"k",
                value: b"x",
                end: End::Back,
                width: None,
                condition: always,
                expiry: ExpirySet::Keep,
            },
            true,
        ),
        (
            Command::Copy {
                key: b"other",
                to: b"k",
                replace: false,
                remove: false,
            },
            false,
        ),
        (
            Command::Copy {
                key: b"k",
                to: b"other",
                replace: true,
                remove: false,
            },
            true,
        ),
        (Command::Count, false),
        (Command::Clear, false),
    ];
    for database in &databases {
        for (was, is) in [
            (Some(&b"1"[..]), Some(&b"2"[..])),
            (Some(b"1"), None),
            (None, Some(b"2")),
        ] {
            for (command, conflicts) in &reads {
                let set = |value: Option<&[u8]>| match value {
                    Some(value) => database.put(b"k", value).unwrap(),
                    None => drop(database.remove(b"k").unwrap()),
                };
                let what = format!("{}: {command:?}, {was:?} {is:?}", database.name());
                set(was);
                let mut tx = begin(&cabinet);
                tx.call(database, command, NOW, &mut |_| {}).unwrap();
                tx.put(database, b"written", b"too").unwrap();
                set(is);
                let conflicts = match command {
                    Command::Count | Command::Clear => was.is_some() != is.is_some(),
                    _ => *conflicts,
                };
                let committed = tx.commit_at(NOW);
                assert_eq!(is_conflict(&committed), conflicts, "{what}: {committed:?}");
                let is_written = database.get(b"written").unwrap().is_some();
                assert_eq!(is_written, !conflicts, "{what}");
                database.call(&Command::Clear, NOW, &mut |_| {}).unwrap();
            }
        }
    }
}

#[test]
fn a_conflict_says_what_has_changed_and_what_to_do() {
    let (_, cabinet, [database, ..]) = cabinet();
    let mut tx = begin(&cabinet);
    tx.get(&database, b"k\0").unwrap();
    database.put(b"k\0", b"v").unwrap();
    let told = tx.commit().unwrap_err().to_string();
    assert_eq!(
        told,
        "record 'k\\x00' of hash was changed by others since the transaction read it, nothing was \
         done: begin it again"
    );
}

#[test]
fn a_record_that_changes_between_two_reads_is_a_conflict_at_once() {
    let (_, cabinet, databases) = cabinet();
    for database in &databases {
        let mut tx = begin(&cabinet);
        tx.get(database, b"k").unwrap();
        assert_eq!(tx.check(), Ok(()));
        database.put(b"k", b"v").unwrap();
        assert!(is_conflict(&tx.get(database, b"k")));
        assert!(is_conflict(&tx.get(database, b"other")), "it is over");
        assert!(is_conflict(&tx.check()));
        assert!(is_conflict(&tx.commit()));
    }
}

/// Two doctors may each leave if the other stays: one of two transactions must fail.
#[test]
fn write_skew_is_refused() {
    let (_, cabinet, [hash, tree, ..]) = cabinet();
    for (first, second) in [(&hash, &hash), (&hash, &tree), (&tree, &tree)] {
        first.put(b"ann", b"stays").unwrap();
        second.put(b"ben", b"stays").unwrap();
        let leave = |tx: &mut Transaction, own: (&Database, &[u8]), other: (&Database, &[u8])| {
            if tx.get(other.0, other.1)?.is_some() {
                tx.remove(own.0, own.1)?;
            }
            Ok::<_, Error>(())
        };
        let (ann, ben) = ((first, &b"ann"[..]), (second, &b"ben"[..]));
        let (mut one, mut two) = (begin(&cabinet), begin(&cabinet));
        leave(&mut one, ann, ben).unwrap();
        leave(&mut two, ben, ann).unwrap();
        one.commit().unwrap();
        assert!(is_conflict(&two.commit()));
        assert!(second.get(b"ben").unwrap().is_some());
    }
}

#[test]
fn a_record_that_expires_before_the_commit_is_a_conflict() {
    let (_, cabinet, databases) = cabinet();
    for database in &databases {
        let put = |key, expiry| Command::Put {
            key,
            value: b"v",
            condition: Condition::Always,
            expiry: ExpirySet::At(expiry),
            flags: 0,
            want_old: false,
        };
        for (key, expiry) in [(&b"short"[..], NOW + 5), (b"gone", NOW - 5)] {
            let put = put(key, expiry.max(NOW + 1));
            database.call(&put, NOW, &mut |_| {}).unwrap();
        }
        let conflicts = |key: &[u8], read: Millis, commit: Millis| {
            let mut tx = begin(&cabinet);
            let get = Command::Get { key };
            tx.call(database, &get, read, &mut |_| {}).unwrap();
            is_conflict(&tx.commit_at(commit))
        };
        assert!(!conflicts(b"short", NOW, NOW + 4));
        assert!(conflicts(b"short", NOW, NOW + 5));
        assert!(!conflicts(b"gone", NOW + 2, NOW + 3));
        // Reclaimed or not, an expired record is absent.
        let mut tx = begin(&cabinet);
        let get = Command::Get { key: b"gone" };
        tx.call(database, &get, NOW + 2, &mut |_| {}).unwrap();
        cabinet.keeper().reclaim(NOW + 1000).unwrap();
        let mut is_there = false;
        let see = &mut |_: hakone_command::Record<'_>| is_there = true;
        database.store().peek(b"gone", see).unwrap();
        assert!(!is_there);
        assert!(tx.commit_at(NOW + 1000).is_ok());
    }
}

#[test]
fn savepoints_nest_and_stay_usable() {
    let (_, cabinet, [hash, tree, ..]) = cabinet();
    let mut tx = begin(&cabinet);
    tx.put(&hash, b"k", b"0").unwrap();
    let outer = tx.savepoint();
    tx.put(&hash, b"k", b"1").unwrap();
    let inner = tx.savepoint();
    tx.put(&hash, b"k", b"2").unwrap();
    tx.put(&tree, b"k", b"2").unwrap();
    tx.rollback_to(inner).unwrap();
    assert_eq!(tx.get(&hash, b"k").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(tx.get(&tree, b"k"), Ok(None));
    for again in [b"3", b"4"] {
        tx.put(&hash, b"k", again).unwrap();
        tx.rollback_to(outer).unwrap();
        assert_eq!(tx.get(&hash, b"k").unwrap().as_deref(), Some(&b"0"[..]));
    }
    assert!(matches!(tx.rollback_to(inner), Err(Error::Invalid(_))));
    let foreign = begin(&cabinet).savepoint();
    assert!(matches!(tx.rollback_to(foreign), Err(Error::Invalid(_))));
    tx.commit().unwrap();
    assert_eq!(hash.get(b"k").unwrap().as_deref(), Some(&b"0"[..]));
}

#[test]
fn what_was_read_before_a_rollback_still_counts() {
    let (_, cabinet, [hash, ..]) = cabinet();
    let mut tx = begin(&cabinet);
    let savepoint = tx.savepoint();
    tx.get(&hash, b"k").unwrap();
    tx.rollback_to(savepoint).unwrap();
    hash.put(b"k", b"v").unwrap();
    assert!(is_conflict(&tx.commit()));
}

#[test]
fn a_refused_command_leaves_the_transaction_as_it_was() {
    let (_, cabinet, [hash, tree, ..]) = cabinet();
    let mut tx = begin(&cabinet);
    tx.put(&hash, b"k", b"v").unwrap();
    let long = vec![0; crate::limits::KEY_BYTES_MAX + 1];
    let refused = tx.put(&hash, &long, b"v");
    assert!(matches!(refused, Err(Error::KeyTooLarge { .. })));
    let refused = tx.call(&tree, &Command::Bytes, NOW, &mut |_| {});
    assert!(matches!(refused, Err(Error::Unsupported(_))));
    tx.commit().unwrap();
    assert_eq!(hash.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn too_large_a_transaction_commits_nothing_but_what_a_savepoint_saves() {
    let (_, cabinet, [hash, ..]) = cabinet();
    let large = vec![0; crate::limits::VALUE_BYTES_MAX];
    for goes_back in [false, true] {
        let mut tx = begin(&cabinet);
        tx.put(&hash, b"small", b"v").unwrap();
        let savepoint = tx.savepoint();
        tx.put(&hash, b"a", &large).unwrap();
        let refused = tx.put(&hash, b"b", &large);
        assert!(matches!(refused, Err(Error::BatchTooLarge { .. })));
        if goes_back {
            tx.rollback_to(savepoint).unwrap();
            tx.commit().unwrap();
        } else {
            let refused = tx.commit();
            assert!(matches!(refused, Err(Error::BatchTooLarge { .. })));
        }
        assert_eq!(hash.get(b"small").unwrap().is_some(), goes_back);
        assert_eq!(hash.get(b"a"), Ok(None));
    }
}

#[test]
fn a_durable_commit_is_on_the_disk_when_it_returns() {
    let (disk, cabinet, [hash, tree, ..]) = cabinet();
    let mut tx = cabinet.begin(TransactionOptions::durable());
    tx.put(&hash, b"k", b"v").unwrap();
    tx.put(&tree, b"k", b"v").unwrap();
    let lsn = tx.commit().unwrap();
    assert!(lsn <= cabinet.durable());
    let syncs = cabinet.stat().syncs;
    cabinet.sync_to(lsn).unwrap();
    assert_eq!(
        cabinet.stat().syncs,
        syncs,
        "what is durable is not synced again"
    );
    // What only read waits for what it has read.
    hash.put(b"k", b"w").unwrap();
    let mut tx = cabinet.begin(TransactionOptions::durable());
    tx.get(&hash, b"k").unwrap();
    let lsn = tx.commit().unwrap();
    assert_eq!((lsn, cabinet.durable()), (cabinet.written(), lsn));
    drop(disk);
}

#[test]
fn databases_of_another_cabinet_and_closed_ones_are_refused() {
    let (_, cabinet, [hash, ..]) = cabinet();
    let (_, other, [foreign, ..]) = self::cabinet();
    let mut tx = begin(&cabinet);
    assert!(matches!(tx.get(&foreign, b"k"), Err(Error::Invalid(_))));
    tx.put(&hash, b"k", b"v").unwrap();
    cabinet.close().unwrap();
    assert!(matches!(tx.get(&hash, b"k"), Err(Error::Invalid(_))));
    assert!(matches!(tx.commit(), Err(Error::Invalid(_))));
    other.close().unwrap();
}

#[test]
fn work_is_done_again_until_nobody_is_in_its_way() {
    let (_, cabinet, [hash, ..]) = cabinet();
    let mut attempts = 0;
    let counted = cabinet.transact(|tx| {
        attempts += 1;
        let read = tx.get(&hash, b"k")?;
        if attempts < 4 {
            hash.put(b"k", attempts.to_string().as_bytes())?;
        }
        if attempts == 2 {
            // An error that rests on what has changed meanwhile is none.
            return Err(Error::Invalid("as it seems".to_owned()));
        }
        Ok(read)
    });
    assert_eq!((counted, attempts), (Ok(Some(b"3".to_vec())), 4));
    let failed: Result<()> = cabinet.transact(|tx| {
        tx.put(&hash, b"k", b"never")?;
        Err(Error::Invalid("stop".to_owned()))
    });
    assert_eq!(failed, Err(Error::Invalid("stop".to_owned())));
    assert_eq!(hash.get(b"k").unwrap().as_deref(), Some(&b"3"[..]));
    let options = TransactionOptions {
        attempts: 3,
        ..TransactionOptions::default()
    };
    let mut attempts = 0;
    let given_up = cabinet.transact_with(options, |tx| {
        attempts += 1;
        tx.get(&hash, b"k")?;
        hash.put(b"k", b"again")
    });
    assert!(is_conflict(&given_up));
    assert_eq!(attempts, 3);
}

/// Puts records "a" to "i" and a gap after each.
fn letters(database: &Database) {
    for letter in b'a'..=b'i' {
        database.put(&[letter], b"v").unwrap();
    }
}

/// A scan of "c" to "g", from one of its ends, and whether a commit conflicts with what others do
/// to a key meanwhile.
#[test]
fn phantoms_are_conflicts() {
    let (_, cabinet, [_, file, _, memory]) = cabinet();
    let put: fn(&Database, &[u8]) = |database, key| database.put(key, b"w").unwrap();
    let remove: fn(&Database, &[u8]) = |database, key| assert!(database.remove(key).unwrap());
    let all = usize::MAX;
    for database in [&file, &memory] {
        for (direction, limit, key, other, conflicts) in [
            (Direction::Forward, all, &b"c"[..], put, true),
            (Direction::Forward, all, b"d1", put, true),
            (Direction::Forward, all, b"f1", put, true),
            (Direction::Forward, all, b"d", remove, true),
            (Direction::Forward, all, b"b1", put, false),
            (Direction::Forward, all, b"g", put, false),
            (Direction::Forward, all, b"g", remove, false),
            (Direction::Backward, all, b"f1", put, true),
            (Direction::Backward, all, b"b1", put, false),
            // A page of two reads one more, to know that it is not the last.
            (Direction::Forward, 2, b"c1", put, true),
            (Direction::Forward, 2, b"d1", put, true),
            (Direction::Forward, 2, b"e1", put, false),
            (Direction::Forward, 2, b"f", remove, false),
            (Direction::Backward, 2, b"e1", put, true),
            (Direction::Backward, 2, b"d", remove, true),
            (Direction::Backward, 2, b"c1", put, false),
        ] {
            letters(database);
            let mut tx = begin(&cabinet);
            let range = Range::Between(Bound::Included(b"c"), Bound::Excluded(b"g"));
            let found = tx.scan(database, range, direction, limit).unwrap();
            assert_eq!(found.len(), limit.min(4));
            tx.put(database, b"z", b"v").unwrap();
            other(database, key);
            let committed = tx.commit();
            let key = String::from_utf8_lossy(key);
            let what = format!("{direction:?} {limit} {key}: {committed:?}");
            assert_eq!(is_conflict(&committed), conflicts, "{what}");
            if let Err(error) = committed {
                assert!(error.to_string().contains(&format!("'{key}'")), "{what}");
            }
            database.call(&Command::Clear, NOW, &mut |_| {}).unwrap();
        }
    }
}

/// Two transactions each count a group and add to the other: one of them must fail.
#[test]
fn write_skew_over_ranges_is_refused() {
    let (_, cabinet, [_, tree, ..]) = cabinet();
    let find = |tx: &mut Transaction, prefix: &[u8]| {
        tx.scan(&tree, Range::Prefix(prefix), Direction::Forward, 10)
            .unwrap();
    };
    let (mut one, mut two) = (begin(&cabinet), begin(&cabinet));
    find(&mut one, b"a/");
    one.put(&tree, b"b/1", b"v").unwrap();
    find(&mut two, b"b/");
    two.put(&tree, b"a/1", b"v").unwrap();
    one.commit().unwrap();
    assert!(is_conflict(&two.commit()));
    assert_eq!(tree.get(b"a/1"), Ok(None));
}

#[test]
fn what_is_scanned_below_own_writes_alone_conflicts() {
    let (_, cabinet, [_, tree, ..]) = cabinet();
    letters(&tree);
    let mut tx = begin(&cabinet);
    tx.call(&tree, &Command::Clear, NOW, &mut |_| {}).unwrap();
    // Only the number of records was read below.
    tx.put(&tree, b"c", b"v").unwrap();
    assert_eq!(tx.count(&tree), Ok(1));
    tree.put(b"d", b"w").unwrap();
    tx.commit().unwrap();
    assert_eq!(tree.get(b"d"), Ok(None));
}
