//! The reference model: a plain list under the same `decide`. Tests compare databases with it.
//!
//! It keeps records in the order of a database and knows nothing of stored keys: what is first, next
//! or between is found by comparing users' keys, one by one.
#![expect(clippy::cast_possible_wrap, reason = "a test has few records")]

use crate::DatabaseOptions;
use crate::ops::{self, Effect, Scratch, check_limits, decide};
use hakone_command::{
    Command, Comparator, Direction, End, Error, ExpirySet, Kind, Millis, Next, Page, PageBuilder,
    Place, Position, Range, Record, Reply, Result, Version,
};
use std::cmp::Ordering;
use std::ops::Bound;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    value: Vec<u8>,
    expiry: Millis,
    flags: u32,
    version: Version,
}

impl Owned {
    fn view(&self) -> Record<'_> {
        Record {
            value: &self.value,
            value_bytes: self.value.len() as u64,
            expiry: self.expiry,
            flags: self.flags,
            version: self.version,
        }
    }
}

/// A record in its place.
#[derive(Clone, Debug)]
struct Item {
    key: Vec<u8>,
    /// Tells it from all others, ever: its position.
    number: u64,
    owned: Owned,
}

impl Item {
    fn is_live(&self, now: Millis) -> bool {
        !self.owned.view().is_expired(now)
    }
}

/// A database as a plain list. Its versions count from 1.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    options: DatabaseOptions,
    /// In the order of the database; values of one key in theirs.
    items: Vec<Item>,
    version: Version,
}

impl Default for Model {
    fn default() -> Model {
        Model::new(DatabaseOptions::new(Kind::Tree))
    }
}

/// How a comparator compares two keys, in words as plain as can be.
pub(crate) fn compare(comparator: Comparator, a: &[u8], b: &[u8]) -> Ordering {
    let number = |key: &[u8]| -> i128 {
        let begin = |bytes: usize| {
            let mut bytes: Vec<u8> = key.iter().copied().take(bytes).collect();
            bytes.resize(8, 0);
            bytes
        };
        match comparator {
            Comparator::Int32 | Comparator::Int32Reverse => {
                i32::from_le_bytes(begin(4)[..4].try_into().unwrap()).into()
            }
            Comparator::Int64 | Comparator::Int64Reverse => {
                i64::from_le_bytes(begin(8).try_into().unwrap()).into()
            }
            Comparator::Decimal | Comparator::DecimalReverse => {
                let text: String = key.iter().map(|byte| char::from(*byte)).collect();
                let text = text.trim_start_matches(|c| c <= ' ' || c == '\u{7f}');
                let positive = text.strip_prefix('-');
                let text = positive.unwrap_or(text);
                let is_digit = |c: char| c.is_ascii_digit();
                let end = text.find(|c| !is_digit(c)).unwrap_or(text.len());
                let (integer, rest) = text.split_at(end);
                let integer = format!("0{integer}").parse::<i128>().unwrap_or(i128::MAX);
                let fraction = rest.strip_prefix('.').unwrap_or("");
                let end = fraction.find(|c| !is_digit(c)).unwrap_or(fraction.len());
                let fraction = format!("{}{}", &fraction[..end], "0".repeat(16));
                let fraction: i128 = fraction[..16].parse().unwrap();
                let number = integer.min(i64::MAX.into()) * 10_i128.pow(16) + fraction;
                if positive.is_some() { -number } else { number }
            }
            _ => 0,
        }
    };
    let order = number(a).cmp(&number(b)).then_with(|| a.cmp(b));
    if comparator.name().ends_with("reverse") {
        order.reverse()
    } else {
        order
    }
}

fn refuse<T>() -> Result<T> {
    Err(Error::Invalid("a model says no more".to_owned()))
}

const UNSUPPORTED: Error = Error::Unsupported("a model says no more");

impl Model {
    pub(crate) fn new(options: DatabaseOptions) -> Model {
        Model {
            options,
            items: Vec::new(),
            version: 0,
        }
    }

    /// As it is when all that has expired is reclaimed.
    pub(crate) fn without_expired(&self, now: Millis) -> Model {
        let mut model = self.clone();
        model.items.retain(|item| item.is_live(now));
        model
    }

    pub(crate) fn call(
        &mut self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        check_limits(command)?;
        match command {
            Command::GetMany { keys } => {
                let mut found = Vec::new();
                for key in keys {
                    found.push(self.live(key, now)?.map(|i| self.items[i].owned.view()));
                }
                answer(Reply::Records(&found));
            }
            Command::Exists { keys } => {
                let mut count = 0;
                for key in keys {
                    count += i64::from(self.live(key, now)?.is_some());
                }
                answer(Reply::Number(count));
            }
            Command::PutMany {
                pairs,
                if_none_exist,
                expiry,
            } => {
                let mut exists = false;
                for pair in pairs {
                    self.check_width(pair.value.len())?;
                    self.named(pair.key, true, now)?;
                    exists |= self.live(pair.key, now)?.is_some();
                }
                if *if_none_exist && exists {
                    answer(Reply::Refused);
                    return Ok(());
                }
                let mut then = self.clone();
                for pair in pairs {
                    if *expiry != 0 && *expiry <= now {
                        if let Some(i) = then.live(pair.key, now)? {
                            then.items.remove(i);
                        }
                    } else {
                        then.put(pair.key, pair.value, *expiry, now)?;
                    }
                }
                *self = then;
                answer(Reply::Stored(0));
            }
            Command::RemoveMany { keys } => {
                let mut then = self.clone();
                let mut count = 0;
                for key in keys {
                    if let Some(i) = then.live(key, now)? {
                        then.items.remove(i);
                        count += 1;
                    }
                }
                *self = then;
                answer(Reply::Number(count));
            }
            Command::Copy {
                key,
                to,
                replace,
                remove,
            } => {
                let (from, there) = (self.live(key, now)?, self.live(to, now)?);
                self.named(to, true, now)?;
                let Some(from) = from else {
                    answer(Reply::Missing);
                    return Ok(());
                };
                let number = self.items[from].number;
                let owned = self.items[from].owned.clone();
                if !replace && there.is_some() {
                    answer(Reply::Refused);
                    return Ok(());
                }
                if there != Some(from) {
                    let i = self.put(to, &owned.value, owned.expiry, now)?;
                    self.items[i].owned.flags = owned.flags;
                    if *remove {
                        self.items.retain(|item| item.number != number);
                    }
                }
                answer(Reply::Done);
            }
            Command::Clear => {
                let count = self.items.len();
                self.items.clear();
                answer(Reply::Number(count as i64));
            }
            Command::Count => answer(Reply::Number(self.items.len() as i64)),
            Command::Scan {
                from,
                range,
                direction,
                limit,
                values,
                ..
            } => {
                let page = self.scan(*from, *range, *direction, *limit, *values, now)?;
                answer(Reply::Page(&page));
            }
            Command::CountRange { .. }
            | Command::RemoveRange { .. }
            | Command::PutDuplicate { .. }
            | Command::PutAt { .. }
            | Command::RemoveAt { .. }
                if self.options.kind == Kind::Hash =>
            {
                return Err(UNSUPPORTED);
            }
            Command::CountRange { range } => {
                let mut count = 0;
                for item in &self.items {
                    count += i64::from(self.is_in(&item.key, *range, now)?);
                }
                answer(Reply::Number(count));
            }
            Command::RemoveRange { range, limit } => {
                let mut gone = Vec::new();
                for item in &self.items {
                    if gone.len() < *limit
                        && item.is_live(now)
                        && self.is_in(&item.key, *range, now)?
                    {
                        gone.push(item.number);
                    }
                }
                self.items.retain(|item| !gone.contains(&item.number));
                answer(Reply::Number(gone.len() as i64));
            }
            Command::PutDuplicate {
                key,
                value,
                end,
                expiry,
                flags,
            } => {
                if !self.options.duplicates {
                    return Err(UNSUPPORTED);
                }
                if *expiry == 0 || *expiry > now {
                    let at = self.beside(key, *end);
                    let i = self.insert(at, key, value, *expiry);
                    self.items[i].owned.flags = *flags;
                }
                answer(Reply::Stored(self.version));
            }
            Command::PutAt {
                position,
                place,
                value,
                expiry,
                flags,
            } => {
                let Some(here) = self.at(position, now) else {
                    answer(Reply::Missing);
                    return Ok(());
                };
                if *place != Place::Current && !self.options.duplicates {
                    return Err(UNSUPPORTED);
                }
                self.check_width(value.len())?;
                let expiry = match (expiry, place) {
                    (ExpirySet::At(expiry), _) => *expiry,
                    (ExpirySet::Keep, Place::Current) => self.items[here].owned.expiry,
                    (ExpirySet::Keep, _) => 0,
                };
                let counts = expiry == 0 || expiry > now;
                let key = self.items[here].key.clone();
                match place {
                    Place::Current if counts => {
                        self.write(here, value, expiry);
                        self.items[here].owned.flags = *flags;
                    }
                    Place::Current => drop(self.items.remove(here)),
                    Place::Before | Place::After if counts => {
                        let at = here + usize::from(*place == Place::After);
                        let i = self.insert(at, &key, value, expiry);
                        self.items[i].owned.flags = *flags;
                    }
                    Place::Before | Place::After => {}
                }
                answer(Reply::Placed {
                    version: self.version,
                    position: &[],
                });
            }
            Command::RemoveAt { position } => match self.at(position, now) {
                Some(here) => {
                    self.items.remove(here);
                    answer(Reply::Done);
                }
                None => answer(Reply::Missing),
            },
            _ => self.one(command, now, answer)?,
        }
        Ok(())
    }

    fn order(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.options.kind == Kind::Array {
            // Numbers without leading zeros.
            return a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        }
        compare(self.options.comparator, a, b)
    }

    fn check_width(&self, bytes: usize) -> Result<()> {
        match self.options.width as usize {
            0 => Ok(()),
            width if bytes <= width => Ok(()),
            _ => refuse(),
        }
    }

    /// What a key says: of an array the id that is there or, to be written, that is not.
    fn named(&self, key: &[u8], writes: bool, now: Millis) -> Result<Option<Vec<u8>>> {
        if self.options.kind != Kind::Array {
            return Ok(Some(key.to_vec()));
        }
        let mut live = self.items.iter().filter(|item| item.is_live(now));
        let id = |item: Option<&Item>| -> Option<u64> {
            item.map(|item| str::from_utf8(&item.key).unwrap().parse().unwrap())
        };
        let id = match key {
            b"min" => id(live.next()),
            b"max" => id(live.next_back()),
            b"prev" => id(live.next()).map(|id| id - 1),
            b"next" => id(live.next_back()).map(|id| id + 1),
            _ => {
                let digits = !key.is_empty() && key.iter().all(u8::is_ascii_digit);
                let text = str::from_utf8(key).unwrap_or("");
                match text.parse() {
                    Ok(id) if digits && (1..=i64::MAX.cast_unsigned()).contains(&id) => Some(id),
                    _ => return refuse(),
                }
            }
        };
        match id {
            Some(id) if writes && !(1..=i64::MAX.cast_unsigned()).contains(&id) => refuse(),
            None if writes && matches!(key, b"prev" | b"next") => Ok(Some(b"1".to_vec())),
            None if writes => refuse(),
            id => Ok(id.map(|id| id.to_string().into_bytes())),
        }
    }

    /// The first record of a key that has not expired.
    fn live(&self, key: &[u8], now: Millis) -> Result<Option<usize>> {
        let Some(key) = self.named(key, false, now)? else {
            return Ok(None);
        };
        let is_it = |item: &Item| item.key == key && item.is_live(now);
        Ok(self.items.iter().position(is_it))
    }

    /// The record at a position.
    fn at(&self, position: &[u8], now: Millis) -> Option<usize> {
        let is_it = |item: &Item| item.number.to_le_bytes() == position && item.is_live(now);
        self.items.iter().position(is_it)
    }

    /// Where one more record of a key goes.
    fn beside(&self, key: &[u8], end: End) -> usize {
        self.items.partition_point(|item| {
            let order = self.order(&item.key, key);
            order == Ordering::Less || order == Ordering::Equal && end == End::Back
        })
    }

    /// Writes the first record of a key, or makes one. Returns its index.
    fn put(&mut self, key: &[u8], value: &[u8], expiry: Millis, now: Millis) -> Result<usize> {
        let Some(key) = self.named(key, true, now)? else {
            return refuse();
        };
        let duplicates = self.options.duplicates;
        let is_it = |item: &Item| item.key == key && (!duplicates || item.is_live(now));
        let there = self.items.iter().position(is_it);
        Ok(if let Some(there) = there {
            self.write(there, value, expiry);
            there
        } else {
            let at = self.beside(&key, End::Back);
            self.insert(at, &key, value, expiry)
        })
    }

    fn write(&mut self, at: usize, value: &[u8], expiry: Millis) {
        self.version += 1;
        self.items[at].owned = Owned {
            value: value.to_vec(),
            expiry,
            flags: 0,
            version: self.version,
        };
    }

    fn insert(&mut self, at: usize, key: &[u8], value: &[u8], expiry: Millis) -> usize {
        let number = self.version;
        let item = Item {
            key: key.to_vec(),
            number,
            owned: Owned {
                value: Vec::new(),
                expiry: 0,
                flags: 0,
                version: 0,
            },
        };
        self.items.insert(at, item);
        self.write(at, value, expiry);
        at
    }

    fn one(
        &mut self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        let Some(key) = command.key() else {
            unreachable!("decided above: {command:?}")
        };
        let makes_one = match command {
            Command::CompareSwap { new, .. } => new.is_some(),
            Command::Get { .. }
            | Command::Describe { .. }
            | Command::Remove { .. }
            | Command::Touch { .. } => false,
            _ => true,
        };
        let named = self.named(key, makes_one, now)?;
        let is_it = |item: &Item| Some(&item.key) == named.as_ref() && item.is_live(now);
        let there = self.items.iter().position(is_it);
        let mut scratch = Scratch::default();
        let old = there.map(|i| self.items[i].owned.clone());
        let (effect, outcome) = decide(command, old.as_ref().map(Owned::view), now, &mut scratch)?;
        let version = match (effect, named, there) {
            (
                Effect::Put {
                    value,
                    expiry,
                    flags,
                },
                Some(named),
                _,
            ) => {
                self.check_width(value.len())?;
                let value = [value.head, value.tail].concat();
                let i = self.put(&named, &value, expiry, now)?;
                self.items[i].owned.flags = flags;
                self.version
            }
            (Effect::Remove, _, Some(i)) => {
                self.items.remove(i);
                0
            }
            _ => 0,
        };
        answer(ops::reply(outcome, version));
        Ok(())
    }

    /// Whether a key is in a range.
    fn is_in(&self, key: &[u8], range: Range<'_>, now: Millis) -> Result<bool> {
        let (low, high) = match range {
            Range::All => return Ok(true),
            Range::Prefix(prefix) => return Ok(key.starts_with(prefix)),
            Range::Between(low, high) => (low, high),
        };
        let order = |bound: &[u8]| -> Result<Option<Ordering>> {
            let bound = self.named(bound, false, now)?;
            Ok(bound.map(|bound| self.order(key, &bound)))
        };
        let is_above = match low {
            Bound::Unbounded => true,
            Bound::Included(low) => order(low)?.is_some_and(Ordering::is_ge),
            Bound::Excluded(low) => order(low)?.is_some_and(Ordering::is_gt),
        };
        let is_below = match high {
            Bound::Unbounded => true,
            Bound::Included(high) => order(high)?.is_some_and(Ordering::is_le),
            Bound::Excluded(high) => order(high)?.is_some_and(Ordering::is_lt),
        };
        Ok(is_above && is_below)
    }

    fn scan(
        &self,
        from: Position<'_>,
        range: Range<'_>,
        direction: Direction,
        limit: usize,
        values: bool,
        now: Millis,
    ) -> Result<Page> {
        let named = match from {
            Position::At(key) | Position::After(key) => self.named(key, false, now)?,
            _ => None,
        };
        let resume = match from {
            Position::Resume(position) => self
                .items
                .iter()
                .position(|item| item.number.to_le_bytes() == position),
            _ => None,
        };
        let mut all: Vec<(usize, &Item)> = self.items.iter().enumerate().collect();
        if direction == Direction::Backward {
            all.reverse();
        }
        let mut page = PageBuilder::default();
        for (i, item) in all {
            let order = |key: &[u8]| match direction {
                Direction::Forward => self.order(&item.key, key),
                Direction::Backward => self.order(&item.key, key).reverse(),
            };
            let is_behind = match from {
                Position::At(_) => named.as_ref().is_some_and(|key| order(key).is_ge()),
                Position::After(_) => named.as_ref().is_some_and(|key| order(key).is_gt()),
                Position::Resume(_) => resume.is_some_and(|here| match direction {
                    Direction::Forward => i > here,
                    Direction::Backward => i < here,
                }),
                _ => true,
            };
            if !is_behind || !item.is_live(now) || !self.is_in(&item.key, range, now)? {
                continue;
            }
            if page.len() >= limit {
                return Ok(page.finish(Next::Resume));
            }
            let mut record = item.owned.view();
            if !values {
                record.value = &[];
            }
            page.push_at(&item.number.to_le_bytes(), &item.key, &record);
        }
        Ok(page.finish(Next::End))
    }
}
