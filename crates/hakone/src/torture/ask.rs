//! Commands that own their bytes, made at random, and replies as text that two stores can agree on.

use crate::io::chance::Chance;
use hakone_command::{
    Amount, Command, Condition, Decimal, Direction, End, ExpiryCondition, ExpirySet, Filter, Fixed,
    Kind, Millis, Pair, Place, Position, Range, Record, Reply, Version,
};
use std::fmt::Write as _;
use std::ops::Bound;

/// A command about the records of one database.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Get(Vec<u8>),
    Describe(Vec<u8>),
    GetMany(Vec<Vec<u8>>),
    Exists(Vec<Vec<u8>>),
    Put(Put),
    PutMany(Vec<(Vec<u8>, Vec<u8>)>, bool, Millis),
    Append(Append),
    WriteAt(Vec<u8>, usize, Vec<u8>),
    CompareSwap(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
    Remove(Vec<u8>, bool),
    RemoveMany(Vec<Vec<u8>>),
    Add(Vec<u8>, Amount, Option<Amount>),
    Touch(Vec<u8>, Millis, ExpiryCondition, bool),
    Copy(Vec<u8>, Vec<u8>, bool, bool),
    Clear,
    Count,
    Scan(Scan),
    CountRange(Keys),
    RemoveRange(Keys, usize),
    PutDuplicate(Vec<u8>, Vec<u8>, End, Millis, u32),
    /// At a record of those that are there, by its number.
    PutAt(usize, Place, Vec<u8>, ExpirySet),
    RemoveAt(usize),
}

/// A scan of all, in pages.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// From a key on, or behind it; else from the start.
    pub(super) from: Option<(Vec<u8>, bool)>,
    pub(super) range: Keys,
    pub(super) direction: Direction,
    /// Records of a page.
    pub(super) limit: usize,
}

/// A range that owns its bytes.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Prefix(Vec<u8>),
    Between(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

impl Keys {
    pub(super) fn range(&self) -> Range<'_> {
        match self {
            Keys::Prefix(prefix) if prefix.is_empty() => Range::All,
            Keys::Prefix(prefix) => Range::Prefix(prefix),
            Keys::Between(low, high) => Range::Between(
                low.as_ref().map(Vec::as_slice),
                high.as_ref().map(Vec::as_slice),
            ),
        }
    }
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

#[derive(Clone, Debug)]
pub(super) struct Append {
    key: Vec<u8>,
    value: Vec<u8>,
    end: End,
    width: Option<u32>,
    condition: Condition,
    expiry: ExpirySet,
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
    pub(super) fn random(chance: &mut Chance, sizes: Sizes, kind: Kind, now: Millis) -> Ask {
        let key = |chance: &mut Chance| match kind {
            Kind::Array => random_id(chance, sizes.keys),
            _ => random_key(chance, sizes.keys),
        };
        if kind != Kind::Hash && chance.one_in(6) {
            return Ask::random_in_order(chance, sizes, kind, now);
        }
        let keys = |chance: &mut Chance| -> Vec<Vec<u8>> {
            (0..chance.below(6)).map(|_| key(chance)).collect()
        };
        match chance.below(44) {
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
                let expiry = if chance.one_in(4) {
                    random_expiry(chance, now)
                } else {
                    0
                };
                Ask::PutMany(pairs, chance.one_in(4), expiry)
            }
            18..=20 => Ask::Append(Append {
                key: key(chance),
                value: random_value(chance, sizes),
                end: [End::Back, End::Back, End::Front][chance.index(3)],
                width: [None, Some(0), Some(3), Some(50)][chance.index(4)],
                condition: match chance.below(6) {
                    0 => Condition::IfAbsent,
                    1 => Condition::IfPresent,
                    _ => Condition::Always,
                },
                expiry: match chance.below(6) {
                    0 => ExpirySet::At(random_expiry(chance, now)),
                    _ => ExpirySet::Keep,
                },
            }),
            21..=24 => Ask::Remove(key(chance), chance.one_in(3)),
            25 => Ask::RemoveMany(keys(chance)),
            26..=28 => {
                let (amount, absent) = random_amount(chance);
                let name = format!("number {}", chance.below(4)).into_bytes();
                let on = if kind == Kind::Array || chance.one_in(4) {
                    key(chance)
                } else {
                    name
                };
                Ask::Add(on, amount, absent)
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
                let expiry = random_expiry(chance, now);
                Ask::Touch(key(chance), expiry, condition, chance.one_in(2))
            }
            40 => {
                let offset = [0, 3, 40, sizes.value_bytes][chance.index(4)];
                let mut value = random_value(chance, sizes);
                value.truncate(sizes.value_bytes);
                Ask::WriteAt(key(chance), offset, value)
            }
            41 => {
                let mut side = || match chance.below(3) {
                    0 => None,
                    _ => Some(vec![b'0' + chance.below(2) as u8]),
                };
                let (old, new) = (side(), side());
                Ask::CompareSwap(format!("swapped {}", chance.below(3)).into(), old, new)
            }
            42 | 43 => {
                let (from, to) = (key(chance), key(chance));
                Ask::Copy(from, to, chance.one_in(2), chance.one_in(2))
            }
            31 if chance.one_in(2) => Ask::Clear,
            32 => Ask::Count,
            33 => Ask::GetMany(keys(chance)),
            34 => Ask::Exists(keys(chance)),
            35 => Ask::Describe(key(chance)),
            36 => {
                let from = kind != Kind::Hash && chance.one_in(2);
                let mut prefix = key(chance);
                prefix.truncate(chance.index(4));
                Ask::Scan(Scan {
                    from: from.then(|| (key(chance), chance.one_in(2))),
                    range: Keys::Prefix(prefix),
                    direction: Direction::Forward,
                    limit: [1, 2, 7, 1000][chance.index(4)],
                })
            }
            _ => Ask::Get(key(chance)),
        }
    }

    /// Some command about the order of keys, or about several values of one.
    fn random_in_order(chance: &mut Chance, sizes: Sizes, kind: Kind, now: Millis) -> Ask {
        let key = |chance: &mut Chance| match kind {
            Kind::Array => random_id(chance, sizes.keys),
            _ => random_key(chance, sizes.keys),
        };
        let bound = |chance: &mut Chance| match chance.below(4) {
            0 => Bound::Unbounded,
            1 => Bound::Excluded(key(chance)),
            _ => Bound::Included(key(chance)),
        };
        let range = |chance: &mut Chance| match chance.below(6) {
            0 => {
                let mut prefix = key(chance);
                prefix.truncate(chance.index(4));
                Keys::Prefix(prefix)
            }
            1 => {
                let only = key(chance);
                Keys::Between(Bound::Included(only.clone()), Bound::Included(only))
            }
            _ => Keys::Between(bound(chance), bound(chance)),
        };
        match chance.below(16) {
            0..=2 => {
                let from = chance.one_in(2);
                Ask::Scan(Scan {
                    from: from.then(|| (key(chance), chance.one_in(2))),
                    range: range(chance),
                    direction: [Direction::Forward, Direction::Backward][chance.index(2)],
                    limit: [1, 2, 7, 1000][chance.index(4)],
                })
            }
            3 => Ask::CountRange(range(chance)),
            4 => Ask::RemoveRange(range(chance), [0, 1, 3, 8][chance.index(4)]),
            5..=10 => {
                let expiry = if chance.one_in(6) {
                    random_expiry(chance, now)
                } else {
                    0
                };
                let value = random_value(chance, sizes);
                let end = [End::Back, End::Back, End::Front][chance.index(3)];
                let flags = [0, 9][chance.index(2)];
                Ask::PutDuplicate(key(chance), value, end, expiry, flags)
            }
            11..=14 => {
                let place = [Place::Current, Place::Before, Place::After][chance.index(3)];
                let value = random_value(chance, sizes);
                let expiry = random_expiry_set(chance, now);
                Ask::PutAt(chance.index(1000), place, value, expiry)
            }
            _ => Ask::RemoveAt(chance.index(1000)),
        }
    }

    /// Whether it may be part of a batch or a transaction.
    pub(super) fn is_for_batches(&self) -> bool {
        !matches!(
            self,
            Ask::Scan(_)
                | Ask::CountRange(_)
                | Ask::RemoveRange(..)
                | Ask::PutDuplicate(..)
                | Ask::PutAt(..)
                | Ask::RemoveAt(_)
        )
    }

    /// Whether it is answered with a count in which expired records may be, or not.
    pub(super) fn counts_expired(&self) -> bool {
        matches!(self, Ask::Count | Ask::Clear | Ask::CountRange(_))
    }

    /// The number of the record that it addresses by position.
    pub(super) fn placed(&self) -> Option<usize> {
        match self {
            Ask::PutAt(number, ..) | Ask::RemoveAt(number) => Some(*number),
            _ => None,
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
        self.command_at(version, &[])
    }

    /// As [`Ask::command`], for a store in which the record of `placed` has this position.
    pub(super) fn command_at<'a>(&'a self, version: Version, position: &'a [u8]) -> Command<'a> {
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
            Ask::PutMany(pairs, if_none_exist, expiry) => Command::PutMany {
                pairs: pairs
                    .iter()
                    .map(|(key, value)| Pair { key, value })
                    .collect(),
                if_none_exist: *if_none_exist,
                expiry: *expiry,
            },
            Ask::Append(append) => Command::Append {
                key: &append.key,
                value: &append.value,
                end: append.end,
                width: append.width,
                condition: append.condition,
                expiry: append.expiry,
            },
            Ask::WriteAt(key, offset, value) => Command::WriteAt {
                key,
                offset: *offset,
                value,
            },
            Ask::CompareSwap(key, old, new) => Command::CompareSwap {
                key,
                old: old.as_deref(),
                new: new.as_deref(),
                expiry: ExpirySet::At(0),
            },
            Ask::Remove(key, want_old) => Command::Remove {
                key,
                want_old: *want_old,
            },
            Ask::RemoveMany(keys) => Command::RemoveMany { keys: slices(keys) },
            Ask::Add(key, amount, absent) => Command::Add {
                key,
                amount: *amount,
                absent: *absent,
                expiry: ExpirySet::Keep,
            },
            Ask::Touch(key, expiry, condition, want) => Command::Touch {
                key,
                expiry: *expiry,
                condition: *condition,
                want: *want,
            },
            Ask::Copy(key, to, replace, remove) => Command::Copy {
                key,
                to,
                replace: *replace,
                remove: *remove,
            },
            Ask::Clear => Command::Clear,
            Ask::Count => Command::Count,
            Ask::Scan(scan) => Command::Scan {
                from: match &scan.from {
                    None => Position::Start,
                    Some((key, true)) => Position::At(key),
                    Some((key, false)) => Position::After(key),
                },
                range: scan.range.range(),
                direction: scan.direction,
                filter: Filter::All,
                limit: scan.limit,
                values: true,
            },
            Ask::CountRange(range) => Command::CountRange {
                range: range.range(),
            },
            Ask::RemoveRange(range, limit) => Command::RemoveRange {
                range: range.range(),
                limit: *limit,
            },
            Ask::PutDuplicate(key, value, end, expiry, flags) => Command::PutDuplicate {
                key,
                value,
                end: *end,
                expiry: *expiry,
                flags: *flags,
            },
            Ask::PutAt(_, place, value, expiry) => Command::PutAt {
                position,
                place: *place,
                value,
                expiry: *expiry,
                flags: 3,
            },
            Ask::RemoveAt(_) => Command::RemoveAt { position },
        }
    }
}

fn slices(keys: &[Vec<u8>]) -> Vec<&[u8]> {
    keys.iter().map(Vec::as_slice).collect()
}

/// Ids that lie together and apart, words, and now and then none.
fn random_id(chance: &mut Chance, keys: u64) -> Vec<u8> {
    let words = [
        "min",
        "max",
        "prev",
        "next",
        "0",
        "x",
        "9223372036854775807",
    ];
    match chance.below(8) {
        0 if chance.one_in(4) => words[chance.index(7)].into(),
        0 => words[chance.index(4)].into(),
        1 => (1_u64 << chance.below(40)).to_string().into(),
        _ => (1 + chance.below(keys)).to_string().into(),
    }
}

/// Keys with long common beginnings, an empty one, numbers, and some of a few hundred bytes.
fn random_key(chance: &mut Chance, keys: u64) -> Vec<u8> {
    match chance.below(keys) {
        0 => Vec::new(),
        1 => vec![0],
        2 => vec![0xff; 3],
        n if n % 5 == 0 => format!("{}.{}", n.cast_signed() - 30, n % 3).into_bytes(),
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
    if chance.one_in(2) {
        chance.fill(&mut value);
    } else {
        // What can be packed.
        let word = format!("{{\"name\":\"value {:02}\"}}", chance.below(100));
        value = word.into_bytes().into_iter().cycle().take(bytes).collect();
    }
    value
}

/// An addition of some form, and what an absent record counts as.
fn random_amount(chance: &mut Chance) -> (Amount, Option<Amount>) {
    let delta = [1, -1, 1000, i64::MAX, 0][chance.index(5)];
    #[expect(clippy::cast_possible_truncation, reason = "any i32 will do")]
    let small = delta as i32;
    let unsigned = delta.unsigned_abs();
    let half = f64::from(small) / 2.0;
    let (amount, zero) = match chance.below(7) {
        0 => (Amount::Int32(small), Amount::Int32(0)),
        1 => (Amount::Int64(delta), Amount::Int64(5)),
        2 => (Amount::Up(unsigned), Amount::Up(7)),
        3 => (Amount::Down(unsigned), Amount::Down(7)),
        4 => (Amount::Double(half), Amount::Double(0.5)),
        5 => (
            Amount::Fixed(Fixed::from_f64(half)),
            Amount::Fixed(Fixed::ZERO),
        ),
        _ => (Amount::Decimal(delta), Amount::Decimal(0)),
    };
    let amount = match Decimal::parse(half.to_string().as_bytes()) {
        Some(decimal) if chance.one_in(8) => Amount::Float(decimal),
        _ => amount,
    };
    let zero = match amount {
        Amount::Float(_) => Amount::Float(Decimal::ZERO),
        _ => zero,
    };
    (amount, (!chance.one_in(4)).then_some(zero))
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
        Reply::Placed { .. } => "Placed".to_owned(),
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
