//! What a command means over records that others before it may have changed: the same for a batch,
//! which reads under its locks, and for a transaction, which reads ahead of them.

use crate::ops::{self, Effect, Scratch, check_limits, decide};
use crate::packing::Opened;
use crate::store::keys::{Codec, Neighbours, Span, Stored};
use crate::store::tree::{View, makes_record};
use crate::store::{Store, number};
use hakone_command::{
    Command, Condition, Error, ExpirySet, Millis, Record, Reply, Result, Version,
};
use std::borrow::Cow;
use std::cell::Cell;

/// Where commands are decided one after the other: the records as the earlier ones have left them.
/// `at` is a database's place among those that take part; keys are stored keys.
pub(crate) trait Desk<'a> {
    /// The time of all that is decided.
    fn now(&self) -> Millis;

    fn store(&self, at: usize) -> &Store;

    /// The lowest stored key in the span that has a record which has not expired, or the highest.
    fn edge(&self, at: usize, span: &Span<'_>, highest: bool) -> Result<Option<Vec<u8>>>;

    /// The record of a key, unless it has expired.
    fn live(&self, at: usize, key: &[u8]) -> Result<Option<There<'_>>>;

    /// Notes what is to become true of a key.
    fn set(&mut self, at: usize, key: Cow<'a, [u8]>, what: What<'a>) -> Result<()>;

    /// How many records there are, those included that have expired and are not yet reclaimed.
    fn count(&self, at: usize) -> Result<u64>;

    /// Notes that the database is to have no records.
    fn clear(&mut self, at: usize) -> Result<()>;
}

/// A database's records, for a codec whose keys depend on them.
pub(crate) struct Around<'d, D> {
    desk: &'d D,
    at: usize,
    /// What went wrong while it was asked.
    failure: Cell<Option<Error>>,
}

impl<'d, D> Around<'d, D> {
    pub(crate) fn new(desk: &'d D, at: usize) -> Around<'d, D> {
        let failure = Cell::new(None);
        Around { desk, at, failure }
    }

    /// What a codec has made of the answers, unless one of them failed.
    pub(crate) fn or_failed<T>(&self, made: Result<T>) -> Result<T> {
        self.failure.take().map_or(made, Err)
    }
}

impl<'a, D: Desk<'a>> Neighbours for Around<'_, D> {
    fn edge(&self, span: &Span<'_>, highest: bool) -> Option<Vec<u8>> {
        let edge = self.desk.edge(self.at, span, highest);
        edge.unwrap_or_else(|e| {
            self.failure.set(Some(e));
            None
        })
    }
}

/// Asks a database's codec for a stored key, by the records as they are now.
fn stored<'a, 'k, D: Desk<'a>>(
    desk: &D,
    at: usize,
    ask: impl FnOnce(Codec, &dyn Neighbours) -> Result<Option<Stored<'k>>>,
) -> Result<Option<Stored<'k>>> {
    let around = Around::new(desk, at);
    around.or_failed(ask(desk.store(at).codec(), &around))
}

/// The stored key of the record that a command reads or removes; `None`: there is none.
pub(super) fn find<'a>(
    desk: &impl Desk<'a>,
    at: usize,
    key: &'a [u8],
) -> Result<Option<Stored<'a>>> {
    if desk.store(at).codec().is_plain() {
        return Ok(Some(Cow::Borrowed(key)));
    }
    stored(desk, at, |codec, there| codec.find(key, there))
}

/// The stored key of the record that a command writes.
fn place<'a>(desk: &impl Desk<'a>, at: usize, key: &'a [u8]) -> Result<Stored<'a>> {
    let placed = stored(desk, at, |codec, there| codec.place(key, there).map(Some))?;
    let Some(placed) = placed else {
        unreachable!("every place has a key")
    };
    Ok(placed)
}

/// The record of a user's key.
fn record_of<'d, 'a, D: Desk<'a>>(
    desk: &'d D,
    at: usize,
    key: &'a [u8],
) -> Result<Option<There<'d>>> {
    match find(desk, at, key)? {
        Some(stored) => desk.live(at, &stored),
        None => Ok(None),
    }
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
    Held(Opened),
    Leaf(View<'b>),
    Copied(Copied),
}

/// A record that was copied out of the store.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub(crate) value: Vec<u8>,
    pub(crate) value_bytes: u64,
    pub(crate) expiry: Millis,
    pub(crate) flags: u32,
    pub(crate) version: Version,
}

impl Copied {
    pub(crate) fn of(record: &Record<'_>) -> Copied {
        Copied {
            value: record.value.to_vec(),
            value_bytes: record.value_bytes,
            expiry: record.expiry,
            flags: record.flags,
            version: record.version,
        }
    }

    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            value: &self.value,
            value_bytes: self.value_bytes,
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
            There::Held(opened) => opened.record()?,
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
    let store = desk.store(at);
    if store.codec().is_plain() {
        return Ok(());
    }
    if let Command::PutMany { pairs, .. } = command {
        for pair in pairs {
            store.check_width(pair.value.len())?;
        }
    }
    let mut checked = Ok(());
    each_key(command, &mut |key| {
        if checked.is_ok() {
            checked = if is_written(command, key) {
                place(desk, at, key).map(|_| ())
            } else {
                find(desk, at, key).map(|_| ())
            };
        }
    });
    checked
}

/// Whether a command may make a record of this key of it.
fn is_written(command: &Command<'_>, key: &[u8]) -> bool {
    match command {
        Command::PutMany { .. } => true,
        Command::Copy { to, .. } => *to == key,
        Command::Get { .. } | Command::Describe { .. } => false,
        command => command.key().is_some() && makes_record(command),
    }
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
        there.push(record_of(desk, at, key)?);
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
    let stored = if is_written(command, key) {
        Some(place(desk, at, key)?)
    } else {
        find(desk, at, key)?
    };
    let there = match &stored {
        Some(stored) if !is_blind(command, desk.now()) => desk.live(at, stored)?,
        _ => None,
    };
    let old = match &there {
        Some(there) => Some(there.record()?),
        None => None,
    };
    let decided = decide(command, old, desk.now(), &mut scratch);
    let decided = decided.and_then(|(effect, outcome)| {
        if let Effect::Put { value, .. } = &effect {
            desk.store(at).check_width(value.len())?;
        }
        Ok((effect, outcome))
    });
    let (effect, outcome) = match decided {
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
    match (what, stored) {
        (Some(what), Some(stored)) => desk.set(at, stored, what),
        _ => Ok(()),
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
                let stored = place(desk, at, pair.key)?;
                desk.set(at, stored, what)?;
            }
            Ok(Reply::Stored(0))
        }
        Command::RemoveMany { keys } => {
            let mut count = 0;
            for key in keys {
                if let Some(stored) = find(desk, at, key)?
                    && desk.live(at, &stored)?.is_some()
                {
                    desk.set(at, stored, What::Remove)?;
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
    Ok(record_of(desk, at, key)?.is_some())
}

fn copy<'a>(
    desk: &mut impl Desk<'a>,
    at: usize,
    key: &'a [u8],
    to: &'a [u8],
    replace: bool,
    remove: bool,
) -> Result<Reply<'static>> {
    let Some(key) = find(desk, at, key)? else {
        return Ok(Reply::Missing);
    };
    let to = place(desk, at, to)?;
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
