//! Commands that own their bytes, made at random, and replies as text that two stores can agree on.

use crate::io::chance::Chance;
use hakone_command::{
    Command, Condition, ExpiryCondition, ExpirySet, Form, Millis, Pair, Position, Record, Reply,
    Version,
};
use std::fmt::Write as _;

/// A command about the records of one database.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Get(Vec<u8>),
    Describe(Vec<u8>),
    GetMany(Vec<Vec<u8>>),
    Exists(Vec<Vec<u8>>),
    Put(Put),
    PutMany(Vec<(Vec<u8>, Vec<u8>)>, bool),
    Append(Vec<u8>, Vec<u8>, Option<u32>),
    Remove(Vec<u8>, bool),
    RemoveMany(Vec<Vec<u8>>),
    Add(Vec<u8>, i64, Form),
    Touch(Vec<u8>, Millis, ExpiryCondition),
    Clear,
    Count,
    /// Scans all, in pages of so many records, from a key on (trees) or from the start.
    Scan(Option<(Vec<u8>, bool)>, Vec<u8>, usize),
}

#[derive(Clone, Debug)]
pub(super) struct Put {
    key: Vec<u8>,
    value: Vec<u8>,
    condition: When,
    expiry: ExpirySet,
    flags: u32,
    want_old: bool,
}

/// A condition, the version not yet known.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    IfAbsent,
    IfPresent,
    /// If the version is the one the record has.
    IfItsVersion,
    /// If the version is one it never had.
    IfAnotherVersion,
}

/// How values are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Keys are drawn from so many.
    pub(super) keys: u64,
    /// A value has mostly up to so many bytes,
    pub(super) value_bytes: usize,
    /// now and then up to this.
    pub(super) value_bytes_max: usize,
}

impl Ask {
    /// A plain put.
    pub(super) fn put(key: &[u8], value: &[u8]) -> Ask {
        Ask::Put(Put {
            key: key.to_vec(),
            value: value.to_vec(),
            condition: When::Always,
            expiry: ExpirySet::At(0),
            flags: 0,
            want_old: false,
        })
    }

    /// Some command. `now` is the time, of which expiries are made.
    pub(super) fn random(chance: &mut Chance, sizes: Sizes, is_tree: bool, now: Millis) -> Ask {
        let key = |chance: &mut Chance| random_key(chance, sizes.keys);
        let keys = |chance: &mut Chance| -> Vec<Vec<u8>> {
            (0..chance.below(6)).map(|_| key(chance)).collect()
        };
        match chance.below(40) {
            0..=15 => Ask::Put(Put {
                key: key(chance),
                value: random_value(chance, sizes),
                condition: match chance.below(10) {
                    0 => When::IfAbsent,
                    1 => When::IfPresent,
                    2 => When::IfItsVersion,
                    3 => When::IfAnotherVersion,
                    _ => When::Always,
                },
                expiry: random_expiry_set(chance, now),
                flags: [0, 0, 7, u32::MAX][chance.index(4)],
                want_old: chance.one_in(4),
            }),
            16 | 17 => {
                let mut pairs: Vec<_> = (0..chance.below(8))
                    .map(|_| (key(chance), random_value(chance, sizes)))
                    .collect();
                if let Some(again) = pairs.first().cloned()
                    && chance.one_in(4)
                {
                    pairs.push((again.0, b"again".to_vec()));
                }
                Ask::PutMany(pairs, chance.one_in(4))
            }
            18..=20 => {
                let width = [None, Some(0), Some(3), Some(50)][chance.index(4)];
                Ask::Append(key(chance), random_value(chance, sizes), width)
            }
            21..=24 => Ask::Remove(key(chance), chance.one_in(3)),
            25 => Ask::RemoveMany(keys(chance)),
            26..=28 => {
                let delta = [1, -1, 1000, i64::MAX, 0][chance.index(5)];
                let form = [Form::Decimal, Form::Int32][chance.index(2)];
                let name = format!("number {}", chance.below(4)).into_bytes();
                let on = if chance.one_in(4) { key(chance) } else { name };
                Ask::Add(on, delta, form)
            }
            29 | 30 => {
                let condition = [
                    ExpiryCondition::Always,
                    ExpiryCondition::IfNone,
                    ExpiryCondition::IfSome,
                    ExpiryCondition::IfLater,
                    ExpiryCondition::IfEarlier,
                    ExpiryCondition::IfSomeEarlier,
                ][chance.index(6)];
                Ask::Touch(key(chance), random_expiry(chance, now), condition)
            }
            31 if chance.one_in(2) => Ask::Clear,
            32 => Ask::Count,
            33 => Ask::GetMany(keys(chance)),
            34 => Ask::Exists(keys(chance)),
            35 => Ask::Describe(key(chance)),
            36 => {
                let from = (is_tree && chance.one_in(2)).then(|| (key(chance), chance.one_in(2)));
                let mut prefix = key(chance);
                prefix.truncate(chance.index(4));
                Ask::Scan(from, prefix, [1, 2, 7, 1000][chance.index(4)])
            }
            _ => Ask::Get(key(chance)),
        }
    }

    /// The key whose version must be known before.
    pub(super) fn versioned_key(&self) -> Option<&[u8]> {
        match self {
            Ask::Put(put) if matches!(put.condition, When::IfItsVersion) => Some(&put.key),
            _ => None,
        }
    }

    /// The command, for a store in which the record of `versioned_key` has this version; the first
    /// page of it for a scan.
    pub(super) fn command(&self, version: Version) -> Command<'_> {
        match self {
            Ask::Get(key) => Command::Get { key },
            Ask::Describe(key) => Command::Describe { key },
            Ask::GetMany(keys) => Command::GetMany { keys: slices(keys) },
            Ask::Exists(keys) => Command::Exists { keys: slices(keys) },
            Ask::Put(put) => Command::Put {
                key: &put.key,
                value: &put.value,
                condition: match put.condition {
                    When::Always => Condition::Always,
                    When::IfAbsent => Condition::IfAbsent,
                    When::IfPresent => Condition::IfPresent,
                    When::IfItsVersion => Condition::IfVersion(version),
                    When::IfAnotherVersion => Condition::IfVersion(Version::MAX),
                },
                expiry: put.expiry,
                flags: put.flags,
                want_old: put.want_old,
            },
            Ask::PutMany(pairs, if_none_exist) => Command::PutMany {
                pairs: pairs
                    .iter()
                    .map(|(key, value)| Pair { key, value })
                    .collect(),
                if_none_exist: *if_none_exist,
            },
            Ask::Append(key, value, width) => Command::Append {
                key,
                value,
                width: *width,
            },
            Ask::Remove(key, want_old) => Command::Remove {
                key,
                want_old: *want_old,
            },
            Ask::RemoveMany(keys) => Command::RemoveMany { keys: slices(keys) },
            Ask::Add(key, delta, form) => Command::Add {
                key,
                delta: *delta,
                form: *form,
            },
            Ask::Touch(key, expiry, condition) => Command::Touch {
                key,
                expiry: *expiry,
                condition: *condition,
            },
            Ask::Clear => Command::Clear,
            Ask::Count => Command::Count,
            Ask::Scan(from, prefix, limit) => Command::Scan {
                from: match from {
                    None => Position::Start,
                    Some((key, true)) => Position::At(key),
                    Some((key, false)) => Position::After(key),
                },
                prefix,
                limit: *limit,
                values: true,
            },
        }
    }
}

fn slices(keys: &[Vec<u8>]) -> Vec<&[u8]> {
    keys.iter().map(Vec::as_slice).collect()
}

/// Keys with long common beginnings, an empty one, and some of a few hundred bytes.
fn random_key(chance: &mut Chance, keys: u64) -> Vec<u8> {
    match chance.below(keys) {
        0 => Vec::new(),
        1 => vec![0],
        2 => vec![0xff; 3],
        n if n % 11 == 0 => format!("{n}").repeat(150).into_bytes(),
        n if n % 2 == 0 => format!("key {n:03}").into_bytes(),
        n => format!("other key {}", n * 7919).into_bytes(),
    }
}

fn random_value(chance: &mut Chance, sizes: Sizes) -> Vec<u8> {
    let bytes = match chance.below(12) {
        0 => 0,
        1 => chance.index(sizes.value_bytes_max + 1),
        2 => chance.index(10),
        _ => chance.index(sizes.value_bytes),
    };
    let mut value = vec![0; bytes];
    chance.fill(&mut value);
    value
}

fn random_expiry(chance: &mut Chance, now: Millis) -> Millis {
    match chance.below(5) {
        0 => 0,
        1 => now.saturating_sub(chance.below(50)).max(1),
        2 => now + 1_000_000,
        _ => now + chance.below(300),
    }
}

fn random_expiry_set(chance: &mut Chance, now: Millis) -> ExpirySet {
    match chance.below(8) {
        0 => ExpirySet::Keep,
        1 | 2 => ExpirySet::At(random_expiry(chance, now)),
        _ => ExpirySet::At(0),
    }
}

/// A reply as text, without the versions: each store gives its own.
pub(super) fn said(reply: Reply<'_>) -> String {
    match reply {
        Reply::Stored(_) => "Stored".to_owned(),
        Reply::Record(record) => record_text(&record),
        Reply::Records(records) => {
            let texts = records.iter().map(|record| match record {
                Some(record) => record_text(record),
                None => "-".to_owned(),
            });
            texts.collect::<Vec<_>>().join("; ")
        }
        Reply::Swapped { stored, old } => {
            format!("stored {stored}, old {:?}", old.as_ref().map(record_text))
        }
        other => format!("{other:?}"),
    }
}

fn record_text(record: &Record<'_>) -> String {
    let mut text = format!("{} bytes ", record.value_bytes);
    for byte in record.value {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    let _ = write!(text, " expiry {} flags {}", record.expiry, record.flags);
    text
}
