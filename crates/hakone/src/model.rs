//! The reference model: a plain map under the same `decide`. Tests compare databases with it.
#![expect(clippy::cast_possible_wrap, reason = "a test has few records")]

use crate::ops::{self, Effect, Scratch, check_limits, decide};
use hakone_command::{
    Command, Millis, Next, PageBuilder, Position, Range, Record, Reply, Result, Version,
};
use std::collections::BTreeMap;
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

/// A database as a plain map. Its versions count from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    records: BTreeMap<Vec<u8>, Owned>,
    version: Version,
}

impl Model {
    pub(crate) fn call(
        &mut self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        check_limits(command)?;
        match command {
            Command::GetMany { keys } => {
                let found: Vec<_> = keys.iter().map(|key| self.live(key, now)).collect();
                answer(Reply::Records(&found));
            }
            Command::Exists { keys } => {
                let count = keys
                    .iter()
                    .filter(|key| self.live(key, now).is_some())
                    .count();
                answer(Reply::Number(count as i64));
            }
            Command::PutMany {
                pairs,
                if_none_exist,
                expiry,
            } => {
                if *if_none_exist && pairs.iter().any(|pair| self.live(pair.key, now).is_some()) {
                    answer(Reply::Refused);
                    return Ok(());
                }
                for pair in pairs {
                    if *expiry != 0 && *expiry <= now {
                        if self.live(pair.key, now).is_some() {
                            self.records.remove(pair.key);
                        }
                    } else {
                        self.put(pair.key, pair.value.to_vec(), *expiry, 0);
                    }
                }
                answer(Reply::Stored(0));
            }
            Command::RemoveMany { keys } => {
                let mut count = 0;
                for key in keys {
                    if self.live(key, now).is_some() {
                        self.records.remove(*key);
                        count += 1;
                    }
                }
                answer(Reply::Number(count));
            }
            Command::Copy {
                key,
                to,
                replace,
                remove,
            } => {
                let Some(record) = self.live(key, now) else {
                    answer(Reply::Missing);
                    return Ok(());
                };
                let (value, expiry, flags) = (record.value.to_vec(), record.expiry, record.flags);
                if !replace && self.live(to, now).is_some() {
                    answer(Reply::Refused);
                    return Ok(());
                }
                if key != to {
                    self.put(to, value, expiry, flags);
                    if *remove {
                        self.records.remove(*key);
                    }
                }
                answer(Reply::Done);
            }
            Command::Clear => {
                let count = self.records.len();
                self.records.clear();
                answer(Reply::Number(count as i64));
            }
            Command::Count => answer(Reply::Number(self.records.len() as i64)),
            Command::Bytes => {
                let bytes: usize = self
                    .records
                    .iter()
                    .map(|(k, r)| k.len() + r.value.len())
                    .sum();
                answer(Reply::Number(bytes as i64));
            }
            Command::Scan {
                from,
                range,
                limit,
                values,
                ..
            } => {
                let prefix = match range {
                    Range::Prefix(prefix) => prefix,
                    _ => &[][..],
                };
                let page = self.scan(*from, prefix, *limit, *values, now);
                answer(Reply::Page(&page));
            }
            _ => self.one(command, now, answer)?,
        }
        Ok(())
    }

    fn live(&self, key: &[u8], now: Millis) -> Option<Record<'_>> {
        self.records
            .get(key)
            .map(Owned::view)
            .filter(|record| !record.is_expired(now))
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>, expiry: Millis, flags: u32) -> Version {
        self.version += 1;
        let version = self.version;
        self.records.insert(
            key.to_vec(),
            Owned {
                value,
                expiry,
                flags,
                version,
            },
        );
        version
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
        let mut scratch = Scratch::default();
        let old = self.records.get(key).cloned();
        let (effect, outcome) = decide(command, old.as_ref().map(Owned::view), now, &mut scratch)?;
        let version = match effect {
            Effect::Keep => 0,
            Effect::Put {
                value,
                expiry,
                flags,
            } => self.put(key, [value.head, value.tail].concat(), expiry, flags),
            Effect::Remove => {
                self.records.remove(key);
                0
            }
        };
        answer(ops::reply(outcome, version));
        Ok(())
    }

    fn scan(
        &self,
        from: Position<'_>,
        prefix: &[u8],
        limit: usize,
        values: bool,
        now: Millis,
    ) -> hakone_command::Page {
        let from = match from {
            Position::At(key) if key > prefix => Bound::Included(key),
            Position::After(key) | Position::Resume(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        let mut page = PageBuilder::default();
        let range = self.records.range::<[u8], _>((from, Bound::Unbounded));
        for (key, owned) in range.take_while(|(key, _)| key.starts_with(prefix)) {
            let mut record = owned.view();
            if record.is_expired(now) {
                continue;
            }
            if page.len() >= limit {
                return page.finish(Next::Resume);
            }
            if !values {
                record.value = &[];
            }
            page.push(key, &record);
        }
        page.finish(Next::End)
    }
}
