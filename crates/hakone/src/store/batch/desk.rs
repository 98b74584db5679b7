//! What a command means over records that others before it may have changed: the same for a batch,
//! which reads under its locks, and for a transaction, which reads ahead of them.

use crate::log::Held;
use crate::ops::{self, Effect, Scratch, check_limits, decide};
use crate::store::{number, record, tree::View};
use hakone_command::{
    Command, Condition, Error, ExpirySet, Millis, Record, Reply, Result, Version,
};
use std::borrow::Cow;

/// Where commands are decided one after the other: the records as the earlier ones have left them.
/// `at` is a database's place among those that take part; keys are stored keys.
pub(crate) trait Desk<'a> {
    /// The time of all that is decided.
    fn now(&self) -> Millis;

    /// The key under which the database keeps the records of a user's key.
    fn stored(&self, at: usize, key: &'a [u8]) -> Result<Cow<'a, [u8]>>;

    /// The record of a key, unless it has expired.
    fn live(&self, at: usize, key: &[u8]) -> Result<Option<There<'_>>>;

    /// Notes what is to become true of a key.
    fn set(&mut self, at: usize, key: Cow<'a, [u8]>, what: What<'a>) -> Result<()>;

    /// How many records there are, those included that have expired and are not yet reclaimed.
    fn count(&self, at: usize) -> Result<u64>;

    /// Notes that the database is to have no records.
    fn clear(&mut self, at: usize) -> Result<()>;
}

/// What is to become true of a key.
pub(crate) enum What<'a> {
    Put {
        value: Cow<'a, [u8]>,
        expiry: Millis,
        flags: u32,
    },
    Remove,
}

/// A record as a command sees it.
pub(crate) enum There<'b> {
    /// Made by an earlier command: it has no version yet.
    Changed {
        value: &'b [u8],
        expiry: Millis,
        flags: u32,
    },
    Held(Held),
    Leaf(View<'b>),
    Copied(Copied),
}

/// A record that was copied out of the store.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub(crate) value: Vec<u8>,
    pub(crate) expiry: Millis,
    pub(crate) flags: u32,
    pub(crate) version: Version,
}

impl Copied {
    pub(crate) fn of(record: &Record<'_>) -> Copied {
        Copied {
            value: record.value.to_vec(),
            expiry: record.expiry,
            flags: record.flags,
            version: record.version,
        }
    }

    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            value: &self.value,
            value_bytes: self.value.len() as u64,
            expiry: self.expiry,
            flags: self.flags,
            version: self.version,
        }
    }
}

impl There<'_> {
    pub(crate) fn record(&self) -> Result<Record<'_>> {
        Ok(match self {
            There::Changed {
                value,
                expiry,
                flags,
            } => Record {
                value,
                value_bytes: value.len() as u64,
                expiry: *expiry,
                flags: *flags,
                version: 0,
            },
            There::Held(held) => record(&held.frame()?),
            There::Leaf(view) => view.record()?,
            There::Copied(copied) => copied.record(),
        })
    }
}

/// Decides a command. An error is the store's; what is wrong with the command alone is answered,
/// and leaves all as it was. Versions in the replies of commands that write are 0.
pub(crate) fn step<'a>(
    desk: &mut impl Desk<'a>,
    at: usize,
    command: &Command<'a>,
    answer: &mut dyn FnMut(Result<Reply<'_>>),
) -> Result<()> {
    if let Err(refused) = check(desk, at, command) {
        answer(Err(refused));
        return Ok(());
    }
    match command {
        Command::GetMany { keys } => get_many(desk, at, keys, answer),
        command => {
            if let Some(key) = command.key() {
                return one(desk, at, command, key, answer);
            }
            let reply = several(desk, at, command)?;
            answer(Ok(reply));
            Ok(())
        }
    }
}

/// Refuses what can't be part of a batch, keys that the database can't have, and what is too large.
pub(super) fn check<'a>(desk: &impl Desk<'a>, at: usize, command: &Command<'a>) -> Result<()> {
    if !is_for_batches(command) {
        return Err(Error::Unsupported("this command in a batch"));
    }
    check_limits(command)?;
    let mut checked = Ok(());
    each_key(command, &mut |key| {
        if checked.is_ok() {
            checked = desk.stored(at, key).map(|_| ());
        }
    });
    checked
}

fn is_for_batches(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::Get { .. }
            | Command::GetMany { .. }
            | Command::Describe { .. }
            | Command::Exists { .. }
            | Command::Put { .. }
            | Command::PutMany { .. }
            | Command::Append { .. }
            | Command::WriteAt { .. }
            | Command::CompareSwap { .. }
            | Command::Remove { .. }
            | Command::RemoveMany { .. }
            | Command::Add { .. }
            | Command::Touch { .. }
            | Command::Copy { .. }
            | Command::Clear
            | Command::Count
    )
}

/// The keys that a command names.
pub(super) fn each_key<'a>(command: &Command<'a>, each: &mut dyn FnMut(&'a [u8])) {
    match command {
        Command::GetMany { keys } | Command::Exists { keys } | Command::RemoveMany { keys } => {
            keys.iter().copied().for_each(each);
        }
        Command::PutMany { pairs, .. } => pairs.iter().map(|pair| pair.key).for_each(each),
        Command::Copy { key, to, .. } => [*key, *to].into_iter().for_each(each),
        command => command.key().into_iter().for_each(each),
    }
}

/// Whether a command writes the same whatever is there, and its answer does not tell.
fn is_blind(command: &Command<'_>, now: Millis) -> bool {
    matches!(
        command,
        Command::Put {
            condition: Condition::Always,
            expiry: ExpirySet::At(expiry),
            want_old: false,
            ..
        } if *expiry == 0 || *expiry > now
    )
}

fn get_many<'a>(
    desk: &impl Desk<'a>,
    at: usize,
    keys: &[&'a [u8]],
    answer: &mut dyn FnMut(Result<Reply<'_>>),
) -> Result<()> {
    let mut there = Vec::with_capacity(keys.len());
    for key in keys {
        there.push(desk.live(at, &desk.stored(at, key)?)?);
    }
    let mut records = Vec::with_capacity(there.len());
    for there in &there {
        records.push(match there {
            Some(there) => Some(there.record()?),
            None => None,
        });
    }
    answer(Ok(Reply::Records(&records)));
    Ok(())
}

/// Decides a command about one key.
fn one<'a>(
    desk: &mut impl Desk<'a>,
    at: usize,
    command: &Command<'a>,
    key: &'a [u8],
    answer: &mut dyn FnMut(Result<Reply<'_>>),
) -> Result<()> {
    let mut scratch = Scratch::default();
    let key = desk.stored(at, key)?;
    let there = if is_blind(command, desk.now()) {
        None
    } else {
        desk.live(at, &key)?
    };
    let old = match &there {
        Some(there) => Some(there.record()?),
        None => None,
    };
    let (effect, outcome) = match decide(command, old, desk.now(), &mut scratch) {
        Ok(decided) => decided,
        Err(refused) => {
            answer(Err(refused));
            return Ok(());
        }
    };
    let what = match (effect, command) {
        (Effect::Keep, _) => None,
        (Effect::Remove, _) => Some(What::Remove),
        (Effect::Put { expiry, flags, .. }, Command::Put { value, .. }) => Some(What::Put {
            value: Cow::Borrowed(*value),
            expiry,
            flags,
        }),
        (
            Effect::Put {
                value,
                expiry,
                flags,
            },
            _,
        ) => Some(What::Put {
            value: Cow::Owned([value.head, value.tail].concat()),
            expiry,
            flags,
        }),
    };
    answer(Ok(ops::reply(outcome, 0)));
    drop(there);
    match what {
        Some(what) => desk.set(at, key, what),
        None => Ok(()),
    }
}

/// Decides a command about several keys, or none.
pub(super) fn several<'a>(
    desk: &mut impl Desk<'a>,
    at: usize,
    command: &Command<'a>,
) -> Result<Reply<'static>> {
    match command {
        Command::PutMany {
            pairs,
            if_none_exist,
            expiry,
        } => {
            if *if_none_exist {
                for pair in pairs {
                    if is_there(desk, at, pair.key)? {
                        return Ok(Reply::Refused);
                    }
                }
            }
            let expired = *expiry != 0 && *expiry <= desk.now();
            for pair in pairs {
                if expired && !is_there(desk, at, pair.key)? {
                    continue;
                }
                let what = if expired {
                    What::Remove
                } else {
                    What::Put {
                        value: Cow::Borrowed(pair.value),
                        expiry: *expiry,
                        flags: 0,
                    }
                };
                desk.set(at, desk.stored(at, pair.key)?, what)?;
            }
            Ok(Reply::Stored(0))
        }
        Command::RemoveMany { keys } => {
            let mut count = 0;
            for key in keys {
                if is_there(desk, at, key)? {
                    desk.set(at, desk.stored(at, key)?, What::Remove)?;
                    count += 1;
                }
            }
            Ok(number(count))
        }
        Command::Exists { keys } => {
            let mut count = 0;
            for key in keys {
                count += u64::from(is_there(desk, at, key)?);
            }
            Ok(number(count))
        }
        Command::Copy {
            key,
            to,
            replace,
            remove,
        } => copy(desk, at, key, to, *replace, *remove),
        Command::Clear => {
            let count = desk.count(at)?;
            desk.clear(at)?;
            Ok(number(count))
        }
        Command::Count => Ok(number(desk.count(at)?)),
        _ => Err(Error::Unsupported("this command in a batch")),
    }
}

fn is_there<'a>(desk: &impl Desk<'a>, at: usize, key: &'a [u8]) -> Result<bool> {
    Ok(desk.live(at, &desk.stored(at, key)?)?.is_some())
}

fn copy<'a>(
    desk: &mut impl Desk<'a>,
    at: usize,
    key: &'a [u8],
    to: &'a [u8],
    replace: bool,
    remove: bool,
) -> Result<Reply<'static>> {
    let (key, to) = (desk.stored(at, key)?, desk.stored(at, to)?);
    let Some(there) = desk.live(at, &key)? else {
        return Ok(Reply::Missing);
    };
    if !replace && desk.live(at, &to)?.is_some() {
        return Ok(Reply::Refused);
    }
    if key == to {
        return Ok(Reply::Done);
    }
    let record = there.record()?;
    let what = What::Put {
        value: Cow::Owned(record.value.to_vec()),
        expiry: record.expiry,
        flags: record.flags,
    };
    drop(there);
    desk.set(at, to, what)?;
    if remove {
        desk.set(at, key, What::Remove)?;
    }
    Ok(Reply::Done)
}
