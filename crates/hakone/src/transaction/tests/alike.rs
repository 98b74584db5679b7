//! Commands mean the same in a transaction, in a batch and one by one, whatever the order of a
//! database's keys is: three databases of each sort are asked the same at random.

use super::{NOW, begin, cabinet};
use crate::io::chance::Chance;
use crate::{
    Amount, Cabinet, Command, Comparator, Condition, Database, DatabaseOptions, Direction, End,
    Error, ExpirySet, Filter, Kind, Pair, Position, Range, Reply, Result, Step,
};
use std::ops::Bound;

/// A command that owns its keys.
#[derive(Clone, Debug)]
enum Ask {
    Get(Vec<u8>),
    GetMany(Vec<Vec<u8>>),
    Exists(Vec<Vec<u8>>),
    Put(Vec<u8>, Vec<u8>, Condition, bool),
    PutMany(Vec<(Vec<u8>, Vec<u8>)>),
    Append(Vec<u8>, Vec<u8>),
    Add(Vec<u8>),
    Swap(Vec<u8>, Option<Vec<u8>>),
    Remove(Vec<u8>),
    RemoveMany(Vec<Vec<u8>>),
    Touch(Vec<u8>),
    Copy(Vec<u8>, Vec<u8>, bool, bool),
    Count,
    Clear,
    Scan(Option<Vec<u8>>, [Option<Vec<u8>>; 2], Direction, usize),
}

impl Ask {
    fn random(chance: &mut Chance, keys: &[&str], scans: bool) -> Ask {
        let key = |chance: &mut Chance| keys[chance.index(keys.len())].as_bytes().to_vec();
        let some =
            |chance: &mut Chance| -> Vec<_> { (0..chance.below(4)).map(|_| key(chance)).collect() };
        let value = |chance: &mut Chance| vec![b'0' + chance.below(3) as u8; chance.index(6)];
        match chance.below(if scans { 20 } else { 17 }) {
            0 | 1 => Ask::Get(key(chance)),
            2 => Ask::GetMany(some(chance)),
            3 => Ask::Exists(some(chance)),
            4..=6 => {
                let conditions = [
                    Condition::Always,
                    Condition::Always,
                    Condition::IfAbsent,
                    Condition::IfPresent,
                ];
                let condition = conditions[chance.index(4)];
                Ask::Put(key(chance), value(chance), condition, chance.one_in(3))
            }
            7 => {
                // One by one they would be there up to the first that has no place.
                let has_place = |key: &Vec<u8>| !matches!(&key[..], b"next" | b"prev");
                let keys = some(chance).into_iter().filter(has_place);
                Ask::PutMany(keys.map(|key| (key, b"many".to_vec())).collect())
            }
            8 => Ask::Append(key(chance), value(chance)),
            9 => Ask::Add(key(chance)),
            10 => Ask::Swap(key(chance), (!chance.one_in(2)).then(|| value(chance))),
            11 | 12 => Ask::Remove(key(chance)),
            13 => Ask::RemoveMany(some(chance)),
            14 => Ask::Touch(key(chance)),
            15 => {
                let (from, to) = (key(chance), key(chance));
                Ask::Copy(from, to, chance.one_in(2), chance.one_in(2))
            }
            16 if chance.one_in(4) => Ask::Clear,
            16 => Ask::Count,
            _ => {
                let mut maybe = || chance.one_in(2).then(|| key(chance));
                let (from, low, high) = (maybe(), maybe(), maybe());
                let direction = [Direction::Forward, Direction::Backward][chance.index(2)];
                Ask::Scan(from, [low, high], direction, [1, 2, 100][chance.index(3)])
            }
        }
    }

    fn command(&self) -> Command<'_> {
        match self {
            Ask::Get(key) => Command::Get { key },
            Ask::GetMany(keys) => Command::GetMany { keys: slices(keys) },
            Ask::Exists(keys) => Command::Exists { keys: slices(keys) },
            Ask::Put(key, value, condition, want_old) => Command::Put {
                key,
                value,
                condition: *condition,
                expiry: ExpirySet::At(0),
                flags: 7,
                want_old: *want_old,
            },
            Ask::PutMany(pairs) => Command::PutMany {
                pairs: pairs
                    .iter()
                    .map(|(key, value)| Pair { key, value })
                    .collect(),
                if_none_exist: false,
                expiry: 0,
            },
            Ask::Append(key, value) => Command::Append {
                key,
                value,
                end: End::Back,
                width: None,
                condition: Condition::Always,
                expiry: ExpirySet::Keep,
            },
            Ask::Add(key) => Command::Add {
                key,
                amount: Amount::Decimal(1),
                absent: Some(Amount::Decimal(0)),
                expiry: ExpirySet::Keep,
            },
            Ask::Swap(key, new) => Command::CompareSwap {
                key,
                old: Some(b"many"),
                new: new.as_deref(),
                expiry: ExpirySet::At(0),
            },
            Ask::Remove(key) => Command::Remove {
                key,
                want_old: true,
            },
            Ask::RemoveMany(keys) => Command::RemoveMany { keys: slices(keys) },
            Ask::Touch(key) => Command::Touch {
                key,
                expiry: NOW + 1_000_000,
                condition: crate::ExpiryCondition::Always,
                want: true,
            },
            Ask::Copy(key, to, replace, remove) => Command::Copy {
                key,
                to,
                replace: *replace,
                remove: *remove,
            },
            Ask::Count => Command::Count,
            Ask::Clear => Command::Clear,
            Ask::Scan(from, [low, high], direction, limit) => Command::Scan {
                from: from.as_deref().map_or(Position::Start, Position::At),
                range: Range::Between(bound(low.as_ref()), bound(high.as_ref())),
                direction: *direction,
                filter: Filter::All,
                limit: *limit,
                values: true,
            },
        }
    }
}

fn slices(keys: &[Vec<u8>]) -> Vec<&[u8]> {
    keys.iter().map(Vec::as_slice).collect()
}

fn bound(key: Option<&Vec<u8>>) -> Bound<&[u8]> {
    key.map_or(Bound::Unbounded, |key| Bound::Included(key))
}

/// A reply as text, without versions: batches and transactions do not know them.
fn said(reply: Reply<'_>) -> String {
    let record = |record: &crate::Record<'_>| {
        let value = record.value.escape_ascii();
        format!("{value} {} {}", record.expiry, record.flags)
    };
    match reply {
        Reply::Stored(_) => "stored".to_owned(),
        Reply::Record(there) => record(&there),
        Reply::Records(records) => {
            let each = records.iter().map(|there| there.as_ref().map(record));
            format!("{:?}", each.collect::<Vec<_>>())
        }
        Reply::Swapped { stored, old } => format!("{stored} {:?}", old.as_ref().map(record)),
        Reply::Page(page) => {
            let each = page.iter().enumerate().map(|(i, (key, there))| {
                let position = page.position(i).escape_ascii();
                format!("{} {position}: {}", key.escape_ascii(), record(&there))
            });
            format!("{:?} {:?}", each.collect::<Vec<_>>(), page.next)
        }
        other => format!("{other:?}"),
    }
}

fn call(database: &Database, command: &Command<'_>) -> Result<String> {
    let mut text = String::new();
    database.call(command, NOW, &mut |reply| text = said(reply))?;
    Ok(text)
}

/// Asks with commands about one key each, as far as there are such.
fn one_by_one(database: &Database, ask: &Ask) -> Result<String> {
    match ask {
        Ask::PutMany(pairs) => {
            for (key, _) in pairs {
                call(database, &Command::Get { key })?;
            }
            for (key, value) in pairs {
                let flags = 0;
                let put = Command::Put {
                    key,
                    value,
                    condition: Condition::Always,
                    expiry: ExpirySet::At(0),
                    flags,
                    want_old: false,
                };
                call(database, &put)?;
            }
            Ok("stored".to_owned())
        }
        Ask::RemoveMany(keys) => {
            for key in keys {
                call(database, &Command::Get { key })?;
            }
            let mut count = 0;
            for key in keys {
                count += i64::from(database.remove(key)?);
            }
            Ok(said(Reply::Number(count)))
        }
        ask => call(database, &ask.command()),
    }
}

fn all(database: &Database) -> String {
    let scan = Ask::Scan(None, [None, None], Direction::Forward, usize::MAX);
    call(database, &scan.command()).unwrap()
}

/// So many random rounds on databases with these options.
fn check(options: DatabaseOptions, keys: &[&str], rounds: u64) {
    let (_, cabinet, _) = cabinet();
    let make = |name: &str| {
        cabinet
            .create(&format!("{options} {name}"), options)
            .unwrap()
    };
    let [single, batch, transaction] = ["single", "batch", "transaction"].map(make);
    let is_tree = options.kind != Kind::Hash;
    for round in 0..rounds {
        let what = format!("{options}, round {round}");
        let mut chance = Chance::new(round);
        if options.duplicates {
            let end = [End::Front, End::Back][chance.index(2)];
            let put = Command::PutDuplicate {
                key: keys[chance.index(keys.len())].as_bytes(),
                value: &round.to_le_bytes(),
                end,
                expiry: 0,
                flags: 0,
            };
            for database in [&single, &batch, &transaction] {
                call(database, &put).unwrap();
            }
        }
        let mut asks: Vec<Ask> = Vec::new();
        for _ in 0..chance.below(8) {
            asks.push(Ask::random(&mut chance, keys, is_tree));
        }
        let in_transaction = transact(&cabinet, &transaction, &asks, keys, &mut chance);
        let in_batch = in_batch(&cabinet, &batch, &asks);
        for ((ask, in_transaction), in_batch) in asks.iter().zip(in_transaction).zip(in_batch) {
            let expected = one_by_one(&single, ask);
            assert_eq!(in_transaction, expected, "{what}, transaction: {ask:?}");
            if !matches!(ask, Ask::Scan(..)) {
                assert_eq!(in_batch, expected, "{what}, batch: {ask:?}");
            }
        }
        if is_tree {
            assert_eq!(all(&batch), all(&single), "{what}, batch: {asks:?}");
            assert_eq!(
                all(&transaction),
                all(&single),
                "{what}, transaction: {asks:?}"
            );
        }
    }
}

/// Asks in one transaction, with others between them that are undone.
fn transact(
    cabinet: &Cabinet,
    database: &Database,
    asks: &[Ask],
    keys: &[&str],
    chance: &mut Chance,
) -> Vec<Result<String>> {
    let mut tx = begin(cabinet);
    let mut answers = Vec::new();
    for ask in asks {
        if chance.one_in(4) {
            let savepoint = tx.savepoint();
            for _ in 0..chance.below(4) {
                let ask = Ask::random(chance, keys, false);
                let done = tx.call(database, &ask.command(), NOW, &mut |_| {});
                assert!(matches!(done, Ok(()) | Err(Error::Invalid(_))), "{done:?}");
            }
            tx.rollback_to(savepoint).unwrap();
        }
        let mut text = String::new();
        let done = tx.call(database, &ask.command(), NOW, &mut |reply| {
            text = said(reply);
        });
        answers.push(done.map(|()| text));
    }
    tx.commit_at(NOW).unwrap();
    answers
}

fn in_batch(cabinet: &Cabinet, database: &Database, asks: &[Ask]) -> Vec<Result<String>> {
    let commands = asks.iter().map(Ask::command);
    let steps: Vec<_> = commands.map(|command| Step { database, command }).collect();
    let mut answers = Vec::new();
    let done = cabinet.batch(&[], &steps, NOW, &mut |_, reply| {
        answers.push(reply.map(said));
    });
    assert!(done.unwrap().is_some());
    answers
}

#[test]
fn commands_mean_the_same_in_transactions_batches_and_one_by_one() {
    let words = ["", "a", "b", "b\0", "bb", "c"];
    let numbers = ["-3", "1", "1.5", "01", "20", "abc"];
    let ids = ["1", "2", "3", "7", "9", "min", "max", "next", "prev", "x"];
    let hash = DatabaseOptions::new(Kind::Hash);
    let tree = DatabaseOptions::new(Kind::Tree);
    let ordered = |comparator, duplicates| DatabaseOptions {
        comparator,
        duplicates,
        ..tree
    };
    let array = DatabaseOptions {
        width: 4,
        ..DatabaseOptions::new(Kind::Array)
    };
    let memory = true;
    for (options, keys) in [
        (hash, &words[..]),
        (tree, &words),
        (DatabaseOptions { memory, ..tree }, &words),
        (ordered(Comparator::BytesReverse, false), &words),
        (ordered(Comparator::Decimal, false), &numbers),
        (ordered(Comparator::Int32Reverse, false), &words),
        (ordered(Comparator::Bytes, true), &words),
        (ordered(Comparator::DecimalReverse, true), &numbers),
        (array, &ids),
    ] {
        check(options, keys, 300);
    }
}
