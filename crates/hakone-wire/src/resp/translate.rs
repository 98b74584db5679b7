//! The arguments of a request to what it asks for.

use super::client::{self, Client};
use super::failure::{Failure, wrong_count};
use super::options::{copy, expire, expiry_of_put, get_ex, hello, memory_usage, scan, set};
use super::reply::{Shape, TimeLeft};
use super::server::{self, Filter};
use super::subcommands::{check, help};
use super::table::{Row, Verb};
use hakone_command::{
    Amount, Command, Condition, Decimal, End, ExpiryCondition, ExpirySet, Millis, Pair, limits,
    parse_integer,
};

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub enum Request<'a> {
    /// A command to the selected database, and the shape of its reply.
    Call(Command<'a>, Shape),
    /// A page of keys of the selected database.
    Scan(Scan<'a>),
    /// All keys of the selected database that match a pattern.
    Keys(&'a [u8]),
    /// Any key of the selected database.
    RandomKey,
    /// Copy a record to another database, or to another key of this one.
    Copy {
        /// The key to copy from.
        key: &'a [u8],
        /// The key to copy to.
        to: &'a [u8],
        /// The database to copy to.
        number: i64,
        /// Whether a record there is replaced.
        replace: bool,
        /// Whether the record is removed here.
        remove: bool,
    },
    /// Remove all records of the selected database.
    FlushDb,
    /// Remove all records of all numbered databases.
    FlushAll,
    /// `PONG`, or the message.
    Ping(Option<&'a [u8]>),
    /// The message.
    Echo(&'a [u8]),
    /// What is always the same.
    Constant(Constant),
    /// The lines of a command's help.
    Help(Vec<String>),
    /// Begin a transaction.
    Multi,
    /// Carry the transaction out.
    Exec,
    /// Drop the transaction.
    Discard,
    /// Let the next transaction depend on these keys.
    Watch(Vec<&'a [u8]>),
    /// Let it depend on none.
    Unwatch,
    /// Agree on a version.
    Hello {
        /// Version 3 or not; `None`: as it is.
        resp3: Option<bool>,
        /// The connection's name from then on.
        name: Option<&'a [u8]>,
    },
    /// Select a numbered database.
    Select(i64),
    /// Answer `OK` and close.
    Quit,
    /// Make the session as new.
    Reset,
    /// Of this connection.
    Client(Client<'a>),
    /// Describe all commands.
    Commands,
    /// How many commands there are.
    CommandCount,
    /// The names of these commands.
    CommandList(Filter<'a>),
    /// These keys of a request.
    CommandKeys(Vec<&'a [u8]>),
    /// Describe these commands in short.
    CommandInfo(Vec<&'a [u8]>),
    /// Describe these commands, or all, for people.
    CommandDocs(Vec<&'a [u8]>),
    /// The settings whose names match one of these patterns.
    ConfigGet(Vec<&'a [u8]>),
    /// Give settings these values.
    ConfigSet(Vec<[&'a [u8]; 2]>),
    /// Let reports count from now on.
    ConfigResetStat,
    /// The report's sections of these names, or the usual ones.
    Info(Vec<&'a [u8]>),
    /// The time.
    Time,
    /// Make all durable, and answer then or at once.
    Save {
        /// Answer at once.
        background: bool,
    },
    /// When all was last made durable on request.
    LastSave,
    /// The role in replication.
    Role,
    /// What this protocol has no word for: the verb and what follows it.
    Hakone(&'a [u8], Vec<&'a [u8]>),
}

/// A reply that is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// `OK`.
    Ok,
    /// A number.
    Number(i64),
    /// A text.
    Text(&'static str),
    /// Texts.
    List(&'static [&'static str]),
}

/// What `SCAN` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Where the last page ended, 0 at first.
    pub cursor: u64,
    /// Only keys that match; empty is all.
    pub pattern: Option<&'a [u8]>,
    /// About so many keys.
    pub count: u64,
    /// Only records of a type that there is.
    pub type_exists: bool,
}

/// What the words of a request ask for at the time `now`. The first word is the row's name.
///
/// # Errors
/// The error reply.
pub fn translate<'a>(row: &Row, words: &[&'a [u8]], now: Millis) -> Result<Request<'a>, Failure> {
    let sub = check(row, words)?;
    let Some(sub) = sub else {
        return plain(row, words, now);
    };
    let arguments = words.get(2..).unwrap_or_default();
    match (row.verb, sub.name, arguments) {
        (_, "help", _) => Ok(Request::Help(help(row))),
        (Verb::Client, name, _) => client::translate(name, arguments),
        (Verb::Object, name, &[key]) => {
            let (command, shape) = match name {
                "encoding" => (Command::Get { key }, Shape::Encoding),
                "freq" => (Command::Describe { key }, Shape::Fails(NO_FREQUENCY)),
                "idletime" => (Command::Describe { key }, Shape::IdleTime(now)),
                _ => (Command::Describe { key }, Shape::RefCount),
            };
            Ok(Request::Call(command, shape))
        }
        (Verb::Memory, "usage", &[key, ref options @ ..]) => memory_usage(key, options),
        (verb, name, _) => server::translate(verb, name, arguments),
    }
}

/// A request of a command without subcommands.
fn plain<'a>(row: &Row, words: &[&'a [u8]], now: Millis) -> Result<Request<'a>, Failure> {
    let call = |command, shape| Ok(Request::Call(command, shape));
    match (row.verb, words) {
        (Verb::Get, &[_, key]) => call(Command::Get { key }, Shape::Value),
        (Verb::Set, &[_, key, value, ref options @ ..]) => set(row, key, value, options, now),
        (Verb::SetNx, &[_, key, value]) => {
            call(put(key, value, Condition::IfAbsent, 0), Shape::Stored)
        }
        (Verb::SetEx | Verb::PSetEx, &[_, key, time, value]) => {
            let unit = if row.verb == Verb::SetEx { 1000 } else { 1 };
            let expiry = expiry_of_put(row, integer(time)?, unit, now)?;
            call(put(key, value, Condition::Always, expiry), Shape::Ok)
        }
        (Verb::GetSet, &[_, key, value]) => call(
            Command::Put {
                key,
                value,
                condition: Condition::Always,
                expiry: ExpirySet::At(0),
                flags: 0,
                want_old: true,
            },
            Shape::Value,
        ),
        (Verb::GetDel, &[_, key]) => {
            let want_old = true;
            call(Command::Remove { key, want_old }, Shape::Value)
        }
        (Verb::GetEx, &[_, key, ref options @ ..]) => get_ex(row, key, options, now),
        (Verb::GetRange | Verb::SubStr, &[_, key, start, end]) => {
            let shape = Shape::Range(integer(start)?, integer(end)?);
            call(Command::Get { key }, shape)
        }
        (Verb::SetRange, &[_, key, offset, value]) => set_range(key, integer(offset)?, value),
        (Verb::Append, &[_, key, value]) => call(
            Command::Append {
                key,
                value,
                end: End::Back,
                width: None,
                condition: Condition::Always,
                expiry: ExpirySet::Keep,
            },
            Shape::Integer,
        ),
        (Verb::StrLen, &[_, key]) => call(Command::Describe { key }, Shape::Size),
        (Verb::Incr, &[_, key]) => Ok(add(key, 1)),
        (Verb::Decr, &[_, key]) => Ok(add(key, -1)),
        (Verb::IncrBy, &[_, key, delta]) => Ok(add(key, integer(delta)?)),
        (Verb::DecrBy, &[_, key, delta]) => {
            let delta = integer(delta)?
                .checked_neg()
                .ok_or(Failure::Text("ERR decrement would overflow"))?;
            Ok(add(key, delta))
        }
        (Verb::IncrByFloat, &[_, key, delta]) => {
            let amount = Decimal::parse(delta)
                .map(Amount::Float)
                .ok_or(Failure::Text("ERR value is not a valid float"))?;
            let command = Command::Add {
                key,
                amount,
                absent: Some(Amount::Float(Decimal::ZERO)),
                expiry: ExpirySet::Keep,
            };
            call(command, Shape::Float)
        }
        (Verb::MGet, [_, keys @ ..]) => {
            let keys = keys.to_vec();
            call(Command::GetMany { keys }, Shape::Values)
        }
        (Verb::MSet | Verb::MSetNx, [_, pairs @ ..]) => {
            let (pairs, rest) = pairs.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(wrong_count(row.name));
            }
            let if_none_exist = row.verb == Verb::MSetNx;
            let pairs = pairs.iter().map(|&[key, value]| Pair { key, value });
            let command = Command::PutMany {
                pairs: pairs.collect(),
                if_none_exist,
                expiry: 0,
            };
            let shape = if if_none_exist {
                Shape::Stored
            } else {
                Shape::Ok
            };
            call(command, shape)
        }
        (Verb::Del | Verb::Unlink, &[_, key]) => {
            let want_old = false;
            call(Command::Remove { key, want_old }, Shape::Found)
        }
        (Verb::Del | Verb::Unlink, [_, keys @ ..]) => {
            let keys = keys.to_vec();
            call(Command::RemoveMany { keys }, Shape::Integer)
        }
        (Verb::Exists | Verb::Touch, &[_, key]) => call(Command::Describe { key }, Shape::Found),
        (Verb::Exists | Verb::Touch, [_, keys @ ..]) => {
            let keys = keys.to_vec();
            call(Command::Exists { keys }, Shape::Integer)
        }
        (Verb::Type, &[_, key]) => call(Command::Describe { key }, Shape::Type),
        (Verb::Rename | Verb::RenameNx, &[_, key, to]) => Ok(rename(row, key, to)),
        (Verb::Copy, &[_, key, to, ref options @ ..]) => copy(key, to, options),
        (Verb::Move, &[_, key, number]) => Ok(Request::Copy {
            key,
            to: key,
            number: integer(number)?,
            replace: false,
            remove: true,
        }),
        (Verb::Expire, &[_, key, time, ref options @ ..]) => {
            expire(row, key, time, 1000, now, options)
        }
        (Verb::PExpire, &[_, key, time, ref options @ ..]) => {
            expire(row, key, time, 1, now, options)
        }
        (Verb::ExpireAt, &[_, key, time, ref options @ ..]) => {
            expire(row, key, time, 1000, 0, options)
        }
        (Verb::PExpireAt, &[_, key, time, ref options @ ..]) => {
            expire(row, key, time, 1, 0, options)
        }
        (Verb::Ttl, &[_, key]) => Ok(time_left(key, 1000, now)),
        (Verb::PTtl, &[_, key]) => Ok(time_left(key, 1, now)),
        (Verb::ExpireTime, &[_, key]) => Ok(time_left(key, 1000, 0)),
        (Verb::PExpireTime, &[_, key]) => Ok(time_left(key, 1, 0)),
        (Verb::Persist, &[_, key]) => {
            let command = Command::Touch {
                key,
                expiry: 0,
                condition: ExpiryCondition::IfSome,
                want: false,
            };
            call(command, Shape::Found)
        }
        (Verb::Scan, &[_, cursor, ref options @ ..]) => scan(cursor, options),
        (Verb::Keys, &[_, pattern]) => Ok(Request::Keys(pattern)),
        (Verb::RandomKey, _) => Ok(Request::RandomKey),
        (Verb::DbSize, _) => call(Command::Count, Shape::Integer),
        (Verb::FlushDb, [_, mode @ ..]) => flush_mode(mode).map(|()| Request::FlushDb),
        (Verb::FlushAll, [_, mode @ ..]) => flush_mode(mode).map(|()| Request::FlushAll),
        _ => conversation(row, words),
    }
}

/// A request that is about no record.
fn conversation<'a>(row: &Row, words: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    match (row.verb, words) {
        (Verb::Ping, &[_]) => Ok(Request::Ping(None)),
        (Verb::Ping, &[_, message]) => Ok(Request::Ping(Some(message))),
        (Verb::Echo, &[_, message]) => Ok(Request::Echo(message)),
        (Verb::Hello, [_, options @ ..]) => hello(options),
        (Verb::Auth, [_, _]) => Err(Failure::NO_PASSWORD),
        (Verb::Auth, &[_, user, _]) => known(user).map(|()| Request::Constant(Constant::Ok)),
        (Verb::Select, &[_, number]) => Ok(Request::Select(integer(number)?)),
        (Verb::Quit, _) => Ok(Request::Quit),
        (Verb::Reset, _) => Ok(Request::Reset),
        (Verb::Multi, _) => Ok(Request::Multi),
        (Verb::Exec, _) => Ok(Request::Exec),
        (Verb::Discard, _) => Ok(Request::Discard),
        (Verb::Watch, [_, keys @ ..]) => Ok(Request::Watch(keys.to_vec())),
        (Verb::Unwatch, _) => Ok(Request::Unwatch),
        (Verb::Command, _) => Ok(Request::Commands),
        (Verb::Info, [_, sections @ ..]) => Ok(Request::Info(sections.to_vec())),
        (Verb::Time, _) => Ok(Request::Time),
        (Verb::Save, _) => Ok(Request::Save { background: false }),
        (Verb::BgSave, &[_]) => Ok(Request::Save { background: true }),
        (Verb::BgSave, &[_, word]) if word.eq_ignore_ascii_case(b"schedule") => {
            Ok(Request::Save { background: true })
        }
        (Verb::Auth | Verb::BgSave, _) => Err(Failure::SYNTAX),
        (Verb::LastSave, _) => Ok(Request::LastSave),
        (Verb::Wait, &[_, count, time]) => {
            integer(count)?;
            match parse_integer(time) {
                Some(0..) => Ok(Request::Constant(Constant::Number(0))),
                Some(_) => Err(Failure::Text("ERR timeout is negative")),
                None => Err(Failure::Text(
                    "ERR timeout is not an integer or out of range",
                )),
            }
        }
        (Verb::Role, _) => Ok(Request::Role),
        (Verb::Hakone, &[_, verb, ref arguments @ ..]) => {
            Ok(Request::Hakone(verb, arguments.to_vec()))
        }
        _ => Err(wrong_count(row.name)),
    }
}

const NO_FREQUENCY: &str = "ERR An LFU maxmemory policy is not selected, access frequency not \
    tracked. Please note that when switching between policies at runtime LRU and LFU data will \
    take some time to adjust.";

/// Whether there is such a user. The only one has no password, so that any will do.
pub(super) fn known(user: &[u8]) -> Result<(), Failure> {
    if user == b"default" {
        Ok(())
    } else {
        Err(Failure::Text(
            "WRONGPASS invalid username-password pair or user is disabled.",
        ))
    }
}

pub(super) fn integer(text: &[u8]) -> Result<i64, Failure> {
    parse_integer(text).ok_or(Failure::NOT_AN_INTEGER)
}

pub(super) fn put<'a>(
    key: &'a [u8],
    value: &'a [u8],
    condition: Condition,
    expiry: Millis,
) -> Command<'a> {
    Command::Put {
        key,
        value,
        condition,
        expiry: ExpirySet::At(expiry),
        flags: 0,
        want_old: false,
    }
}

fn add(key: &[u8], delta: i64) -> Request<'_> {
    let command = Command::Add {
        key,
        amount: Amount::Decimal(delta),
        absent: Some(Amount::Decimal(0)),
        expiry: ExpirySet::Keep,
    };
    Request::Call(command, Shape::Integer)
}

fn set_range<'a>(key: &'a [u8], offset: i64, value: &'a [u8]) -> Result<Request<'a>, Failure> {
    let offset =
        usize::try_from(offset).map_err(|_| Failure::Text("ERR offset is out of range"))?;
    if value.is_empty() {
        return Ok(Request::Call(Command::Describe { key }, Shape::Size));
    }
    if offset.saturating_add(value.len()) > limits::VALUE_BYTES_MAX {
        return Err(Failure::TOO_LARGE);
    }
    let command = Command::WriteAt { key, offset, value };
    Ok(Request::Call(command, Shape::Integer))
}

fn rename<'a>(row: &Row, key: &'a [u8], to: &'a [u8]) -> Request<'a> {
    let replace = row.verb == Verb::Rename;
    let shape = if replace {
        Shape::Renamed
    } else {
        Shape::RenamedIfFree
    };
    if key == to {
        // It is there already, so that nothing changes.
        let shape = if replace { shape } else { Shape::NotRenamed };
        return Request::Call(Command::Describe { key }, shape);
    }
    let command = Command::Copy {
        key,
        to,
        replace,
        remove: true,
    };
    Request::Call(command, shape)
}

fn time_left(key: &[u8], unit: u64, since: Millis) -> Request<'_> {
    let shape = Shape::TimeLeft(TimeLeft { unit, since });
    Request::Call(Command::Describe { key }, shape)
}

fn flush_mode(words: &[&[u8]]) -> Result<(), Failure> {
    match words {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync") => {
            Ok(())
        }
        _ => Err(Failure::SYNTAX),
    }
}
