//! Transfers between accounts in several databases, by several threads at once: no money comes or
//! goes, whoever looks and however.

use super::seeds;
use super::subject::Subject;
use crate::io::chance::Chance;
use crate::io::sim::SimDisk;
use crate::{Cabinet, Database, DatabaseOptions, Transaction, TransactionOptions};
use hakone_command::{Command, Error, Kind, Record, Reply, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WRITERS: usize = 4;

/// Transfers of a writer.
const TRANSFERS: u64 = 150;

/// Accounts in each database.
const ACCOUNTS: u64 = 6;

/// What each holds at first.
const MONEY: i64 = 100;

/// The record that counts transfers, in the first database.
const TRANSFERRED: &[u8] = b"transferred";

fn account(number: u64) -> Vec<u8> {
    format!("account {number}").into_bytes()
}

fn amount(value: &[u8]) -> i64 {
    let text = std::str::from_utf8(value).expect("amounts are text");
    text.parse().expect("amounts are numbers")
}

fn read(tx: &mut Transaction, database: &Database, key: &[u8]) -> Result<i64> {
    let value = tx.get(database, key)?;
    Ok(value.map_or(0, |value| amount(&value)))
}

fn write(tx: &mut Transaction, database: &Database, key: &[u8], money: i64) -> Result<()> {
    tx.put(database, key, money.to_string().as_bytes())
}

/// Moves money within each of two databases.
fn transfer(tx: &mut Transaction, databases: &[Database], chance: &mut Chance) -> Result<()> {
    for _ in 0..2 {
        let database = &databases[chance.index(databases.len())];
        let [from, to] = [0; 2].map(|_| account(chance.below(ACCOUNTS)));
        let money = chance.below(20).cast_signed();
        let held = read(tx, database, &from)?;
        write(tx, database, &from, held - money)?;
        let held = read(tx, database, &to)?;
        write(tx, database, &to, held + money)?;
    }
    let count = read(tx, &databases[0], TRANSFERRED)?;
    write(tx, &databases[0], TRANSFERRED, count + 1)
}

/// The money of a database as one command reads it.
fn at_once(database: &Database) -> i64 {
    let keys: Vec<_> = (0..ACCOUNTS).map(account).collect();
    let keys = keys.iter().map(Vec::as_slice).collect();
    let mut sum = 0;
    let called = database.call(&Command::GetMany { keys }, 1, &mut |reply| {
        let Reply::Records(records) = reply else {
            panic!("{reply:?}")
        };
        sum = records
            .iter()
            .flatten()
            .map(|r: &Record<'_>| amount(r.value))
            .sum();
    });
    called.unwrap();
    sum
}

/// The money of all databases as a transaction reads it.
fn in_transaction(tx: &mut Transaction, databases: &[Database]) -> Result<i64> {
    let mut sum = 0;
    for database in databases {
        for number in 0..ACCOUNTS {
            sum += read(tx, database, &account(number))?;
        }
    }
    Ok(sum)
}

/// The money of a tree as a snapshot shows it.
fn in_snapshot(database: &Database) -> i64 {
    let snapshot = database.snapshot().unwrap();
    let records = snapshot.iter().map(|record| record.unwrap());
    records.map(|(_, value)| amount(&value)).sum()
}

/// What readers have seen while the writers were at work.
#[derive(Debug, Default)]
struct Seen {
    at_once: AtomicU64,
    in_snapshots: AtomicU64,
    in_transactions: AtomicU64,
    conflicts: AtomicU64,
}

fn look(cabinet: &Cabinet, databases: &[Database], seen: &Seen, is_over: &AtomicBool) {
    let held = ACCOUNTS.cast_signed() * MONEY;
    let add = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        for database in databases {
            assert_eq!(at_once(database), held, "{}", database.name());
            add(&seen.at_once);
            if database.options().kind == Kind::Tree {
                assert_eq!(in_snapshot(database), held, "{}", database.name());
                add(&seen.in_snapshots);
            }
        }
        let mut tx = cabinet.begin(TransactionOptions::default());
        let sum = in_transaction(&mut tx, databases);
        match sum.and_then(|sum| tx.commit().map(|_| sum)) {
            Ok(sum) => {
                let total: i64 = databases.iter().map(|_| held).sum();
                assert_eq!(sum, total);
                add(&seen.in_transactions);
            }
            Err(Error::Conflict(_)) => {
                add(&seen.conflicts);
            }
            Err(e) => panic!("{e}"),
        }
        if was_over {
            return;
        }
    }
}

#[test]
fn transfers_neither_make_nor_lose_money_nor_updates() {
    for seed in seeds(2) {
        let disk = SimDisk::new(seed);
        let subject = Subject::open_with_threads(&disk).unwrap();
        let kinds = [
            ("hash", Kind::Hash, false),
            ("tree", Kind::Tree, false),
            ("tree in memory", Kind::Tree, true),
        ];
        let databases = kinds.map(|(name, kind, memory)| {
            let options = DatabaseOptions {
                memory,
                ..DatabaseOptions::new(kind)
            };
            let database = subject.create(name, options).unwrap();
            for number in 0..ACCOUNTS {
                let money = MONEY.to_string();
                database.put(&account(number), money.as_bytes()).unwrap();
            }
            database
        });
        let (databases, cabinet) = (&databases, &subject.0);
        let (seen, is_over) = (&Seen::default(), &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| look(cabinet, databases, seen, is_over));
            let writers: Vec<_> = (0..WRITERS as u64)
                .map(|writer| {
                    scope.spawn(move || {
                        for round in 0..TRANSFERS {
                            let again = seed << 32 | writer << 16 | round;
                            cabinet
                                .transact(|tx| transfer(tx, databases, &mut Chance::new(again)))
                                .unwrap();
                        }
                    })
                })
                .collect();
            let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            is_over.store(true, Ordering::SeqCst);
            for writer in ended {
                writer.unwrap();
            }
            reader.join().unwrap();
        });
        let count = databases[0].get(TRANSFERRED).unwrap();
        let expected = TRANSFERS * WRITERS as u64;
        assert_eq!(
            count,
            Some(expected.to_string().into_bytes()),
            "seed {seed}"
        );
        println!("bank: {expected} transfers of {WRITERS} writers; {seen:?}");
        cabinet.close().unwrap();
    }
}
