//! Single records, and several by key: the everyday face of a database. Each method is one
//! [`Command`], carried out at the time of the real clock.

use crate::{Database, now};
use hakone_command::{
    Amount, Command, Condition, Error, ExpiryCondition, ExpirySet, Millis, Pair, Record, Reply,
    Result, Version,
};

/// A record, copied out of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The value.
    pub value: Vec<u8>,
    /// When it expires, in milliseconds since the Unix epoch; 0 means never.
    pub expiry: Millis,
    /// The flags kept with it.
    pub flags: u32,
    /// Its version: rises with every write of the key.
    pub version: Version,
}

impl From<Record<'_>> for OwnedRecord {
    fn from(record: Record<'_>) -> OwnedRecord {
        OwnedRecord {
            value: record.value.to_vec(),
            expiry: record.expiry,
            flags: record.flags,
            version: record.version,
        }
    }
}

/// How a record is written, beyond its key and value: see [`Database::put_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// When to write.
    pub condition: Condition,
    /// The expiry from then on: kept, cleared (`At(0)`) or set, in milliseconds since the epoch.
    pub expiry: ExpirySet,
    /// Opaque flags kept with the record.
    pub flags: u32,
}

impl Default for PutOptions {
    /// Always, without expiry or flags.
    fn default() -> PutOptions {
        PutOptions {
            condition: Condition::Always,
            expiry: ExpirySet::At(0),
            flags: 0,
        }
    }
}

/// Single records and several by key, at the time of the real clock. What is written survives the
/// death of the process when a method returns, and a power cut after
/// [`Cabinet::sync`](crate::Cabinet::sync) or the interval of [`Options`](crate::Options).
///
/// A write fails with an [`Error`] that says what to do: a key or value over the limits, a key that
/// the database cannot have, a full disk, a log that an earlier failure has stopped. A read fails
/// where the disk does. What failed changed nothing.
///
/// ```
/// # use hakone::{Cabinet, Condition, DatabaseOptions, ExpirySet, Kind, Options, PutOptions};
/// # let directory = std::env::temp_dir().join(format!("hakone-records-{}", std::process::id()));
/// # let cabinet = Cabinet::open(&directory, Options::default())?;
/// # let visits = cabinet.create("visits", DatabaseOptions::new(Kind::Hash))?;
/// assert_eq!(visits.add(b"ann", 2)?, 2);
/// assert_eq!(visits.add(b"ann", -3)?, -1);
/// assert!(visits.compare_swap(b"ann", Some(b"-1"), Some(b"gone"))?);
/// assert!(visits.add(b"ann", 1).is_err(), "no number any more");
///
/// let in_a_minute = ExpirySet::At(hakone::now() + 60_000);
/// let once = PutOptions { condition: Condition::IfAbsent, expiry: in_a_minute, ..PutOptions::default() };
/// assert!(visits.put_with(b"bob", b"1", &once)?);
/// assert!(!visits.put_with(b"bob", b"2", &once)?, "there is one now");
/// assert_eq!(visits.get_many(&[b"bob", b"eve"])?, [Some(b"1".to_vec()), None]);
/// # cabinet.close()?;
/// # std::fs::remove_dir_all(directory).unwrap();
/// # Ok::<(), hakone::Error>(())
/// ```
impl Database {
    /// The value of `key`; `None` if it has no record. Costs a copy of the value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.record(key)?.map(|record| record.value))
    }

    /// The record of `key`, with expiry, flags and version.
    pub fn record(&self, key: &[u8]) -> Result<Option<OwnedRecord>> {
        let mut found = None;
        self.call(&Command::Get { key }, now(), &mut |reply| {
            if let Reply::Record(record) = reply {
                found = Some(record.into());
            }
        })?;
        Ok(found)
    }

    /// The values of several keys as of one moment, in their order. Their cache misses overlap: a
    /// batch costs much less than as many single reads.
    pub fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut values = Vec::with_capacity(keys.len());
        let command = Command::GetMany {
            keys: keys.to_vec(),
        };
        self.call(&command, now(), &mut |reply| {
            if let Reply::Records(records) = reply {
                let value = |record: &Option<Record<'_>>| record.map(|it| it.value.to_vec());
                values.extend(records.iter().map(value));
            }
        })?;
        Ok(values)
    }

    /// Whether `key` has a record.
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        Ok(self.number(&Command::Exists { keys: vec![key] })? == 1)
    }

    /// Gives `key` this value, without expiry or flags, whatever was there.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(key, value, &PutOptions::default())
            .map(|_| ())
    }

    /// Gives `key` this value, if the condition holds. Returns whether it did. An expiry that has
    /// passed stores nothing and removes what was there.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: &PutOptions) -> Result<bool> {
        let command = Command::Put {
            key,
            value,
            condition: options.condition,
            expiry: options.expiry,
            flags: options.flags,
            want_old: false,
        };
        let stored = |reply: Reply<'_>| matches!(reply, Reply::Stored(_));
        self.ask(&command, stored)
    }

    /// Writes several records as one atomic batch, without expiry or flags. Of a repeated key the
    /// last value stays.
    pub fn put_many(&self, pairs: &[(&[u8], &[u8])]) -> Result<()> {
        let pair = |&(key, value)| Pair { key, value };
        let command = Command::PutMany {
            pairs: pairs.iter().map(pair).collect(),
            if_none_exist: false,
            expiry: 0,
        };
        self.ask(&command, |_| ())
    }

    /// Adds bytes at the back of a value; keeps expiry and flags. An absent record counts as empty.
    /// Returns the new size in bytes.
    pub fn append(&self, key: &[u8], value: &[u8]) -> Result<u64> {
        let command = Command::Append {
            key,
            value,
            end: hakone_command::End::Back,
            width: None,
            condition: Condition::Always,
            expiry: ExpirySet::Keep,
        };
        self.number(&command)
    }

    /// Adds to a number in decimal text; keeps expiry and flags. An absent record counts as 0.
    /// Returns the sum.
    ///
    /// # Errors
    /// `Invalid` if the value is no integer of 64 bits or the sum does not fit; nothing is changed.
    /// Other forms of numbers are added by [`Command::Add`].
    pub fn add(&self, key: &[u8], amount: i64) -> Result<i64> {
        let command = Command::Add {
            key,
            amount: Amount::Decimal(amount),
            absent: Some(Amount::Decimal(0)),
            expiry: ExpirySet::Keep,
        };
        self.ask(&command, |reply| match reply {
            Reply::Number(sum) => Ok(sum),
            Reply::Overflow => Err(Error::Invalid(format!(
                "adding {amount} to the value of {:?} does not fit 64 bits",
                String::from_utf8_lossy(key)
            ))),
            _ => Err(Error::Invalid(format!(
                "the value of {:?} is not an integer in decimal: nothing can be added to it",
                String::from_utf8_lossy(key)
            ))),
        })?
    }

    /// Replaces a value by another if it is the expected one; `None` stands for no record. The new
    /// record has neither expiry nor flags. Returns whether it was the expected one.
    pub fn compare_swap(&self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool> {
        let command = Command::CompareSwap {
            key,
            old,
            new,
            expiry: ExpirySet::At(0),
        };
        self.ask(&command, |reply| reply != Reply::Refused)
    }

    /// Changes a record's expiry, in milliseconds since the Unix epoch; 0 means never. Returns
    /// whether there is a record.
    pub fn touch(&self, key: &[u8], expiry: Millis) -> Result<bool> {
        let command = Command::Touch {
            key,
            expiry,
            condition: ExpiryCondition::Always,
            want: false,
        };
        self.ask(&command, |reply| reply != Reply::Missing)
    }

    /// Removes the record of `key`. Returns whether there was one.
    pub fn remove(&self, key: &[u8]) -> Result<bool> {
        let command = Command::Remove {
            key,
            want_old: false,
        };
        self.ask(&command, |reply| reply == Reply::Done)
    }

    /// Removes the records of several keys as one atomic batch. Returns how many there were.
    pub fn remove_many(&self, keys: &[&[u8]]) -> Result<u64> {
        self.number(&Command::RemoveMany {
            keys: keys.to_vec(),
        })
    }

    /// Removes all records at once. Returns how many there were.
    pub fn clear(&self) -> Result<u64> {
        self.number(&Command::Clear)
    }

    /// How many records there are; expired ones count until they are reclaimed.
    pub fn count(&self) -> Result<u64> {
        self.number(&Command::Count)
    }

    /// How many bytes the keys and values take.
    pub fn bytes(&self) -> Result<u64> {
        self.number(&Command::Bytes)
    }

    /// Carries out a command whose answer is a count.
    pub(crate) fn number(&self, command: &Command<'_>) -> Result<u64> {
        self.ask(command, |reply| match reply {
            Reply::Number(number) => u64::try_from(number).unwrap_or(0),
            _ => 0,
        })
    }

    /// Carries out a command and takes from the reply what is wanted of it.
    pub(crate) fn ask<T>(&self, command: &Command<'_>, want: impl Fn(Reply<'_>) -> T) -> Result<T> {
        let mut wanted = None;
        self.call(command, now(), &mut |reply| wanted = Some(want(reply)))?;
        let Some(wanted) = wanted else {
            unreachable!("a command that does not fail is answered")
        };
        Ok(wanted)
    }
}
