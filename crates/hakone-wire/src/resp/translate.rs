//! The arguments of a request to what it asks for.

use super::reply::{Shape, TimeLeft};
use super::table::{Row, Verb};
use hakone_command::{
    Amount, Command, Condition, End, ExpiryCondition, ExpirySet, Millis, Pair, parse_integer,
};

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub enum Request<'a> {
    /// A command to the selected database, and the shape of its reply.
    Call(Command<'a>, Shape),
    /// A page of keys of the selected database.
    Scan(Scan<'a>),
    /// Remove all records of the selected database.
    FlushDb,
    /// Remove all records of all numbered databases.
    FlushAll,
    /// `PONG`, or the message.
    Ping(Option<&'a [u8]>),
    /// The message.
    Echo(&'a [u8]),
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
    /// The names of all commands.
    CommandList,
    /// Describe these commands in short.
    CommandInfo(Vec<&'a [u8]>),
    /// Describe these commands, or all, for people.
    CommandDocs(Vec<&'a [u8]>),
    /// The settings whose names match one of these patterns.
    ConfigGet(Vec<&'a [u8]>),
    /// The report's sections of these names, or the usual ones.
    Info(Vec<&'a [u8]>),
    /// The time.
    Time,
    /// What this protocol has no word for: the verb and what follows it.
    Hakone(&'a [u8], Vec<&'a [u8]>),
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

/// What `CLIENT` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client<'a> {
    /// The connection's number.
    Id,
    /// The connection's name.
    GetName,
    /// Give the connection a name.
    SetName(&'a [u8]),
    /// Note the name of the client's library.
    SetLibName(&'a [u8]),
    /// Note the version of the client's library.
    SetLibVer(&'a [u8]),
    /// A line on this connection.
    Info,
    /// A line on each connection that this one may see: itself.
    List,
}

/// Why a request can't be carried out, as its error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A text that is always the same.
    Text(&'static str),
    /// A text with bytes of the request in it.
    Made(Vec<u8>),
}

impl Failure {
    /// The text, its code first.
    pub fn text(&self) -> &[u8] {
        match self {
            Failure::Text(text) => text.as_bytes(),
            Failure::Made(text) => text,
        }
    }
}

const SYNTAX: Failure = Failure::Text("ERR syntax error");
const NOT_AN_INTEGER: Failure = Failure::Text("ERR value is not an integer or out of range");
const NO_USERS: Failure = Failure::Text(
    "ERR AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);

/// The error for a name that no row has.
pub fn unknown_command(words: &[&[u8]]) -> Failure {
    let (name, arguments) = words.split_first().unwrap_or((&(&[] as &[u8]), &[]));
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(head(name, 128));
    text.extend_from_slice(b"', with args beginning with: ");
    let start = text.len();
    for argument in arguments {
        let bytes = text.len() - start;
        if bytes >= 128 {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(head(argument, 128 - bytes));
        text.extend_from_slice(b"' ");
    }
    Failure::Made(text)
}

fn head(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

fn wrong_count(name: &str) -> Failure {
    Failure::Made(format!("ERR wrong number of arguments for '{name}' command").into_bytes())
}

fn invalid_expiry(row: &Row) -> Failure {
    Failure::Made(format!("ERR invalid expire time in '{}' command", row.name).into_bytes())
}

fn with_bytes(before: &str, bytes: &[u8], after: &str) -> Failure {
    Failure::Made([before.as_bytes(), head(bytes, 128), after.as_bytes()].concat())
}

fn integer(text: &[u8]) -> Result<i64, Failure> {
    parse_integer(text).ok_or(NOT_AN_INTEGER)
}

/// What the words of a request ask for at the time `now`. The first word is the row's name.
pub fn translate<'a>(row: &Row, words: &[&'a [u8]], now: Millis) -> Result<Request<'a>, Failure> {
    if !row.takes(words.len()) {
        return Err(wrong_count(row.name));
    }
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
        (Verb::Append, &[_, key, value]) => {
            let command = Command::Append {
                key,
                value,
                end: End::Back,
                width: None,
                condition: Condition::Always,
                expiry: ExpirySet::Keep,
            };
            call(command, Shape::Integer)
        }
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
            let condition = ExpiryCondition::IfSome;
            let expiry = 0;
            let command = Command::Touch {
                key,
                expiry,
                condition,
                want: false,
            };
            call(command, Shape::Found)
        }
        (Verb::Scan, &[_, cursor, ref options @ ..]) => scan(cursor, options),
        (Verb::DbSize, _) => call(Command::Count, Shape::Integer),
        (Verb::FlushDb, [_, mode @ ..]) => flush_mode(mode).map(|()| Request::FlushDb),
        (Verb::FlushAll, [_, mode @ ..]) => flush_mode(mode).map(|()| Request::FlushAll),
        (Verb::Ping, &[_]) => Ok(Request::Ping(None)),
        (Verb::Ping, &[_, message]) => Ok(Request::Ping(Some(message))),
        (Verb::Echo, &[_, message]) => Ok(Request::Echo(message)),
        (Verb::Hello, [_, options @ ..]) => hello(options),
        (Verb::Auth, &[_, _] | &[_, _, _]) => Err(NO_USERS),
        (Verb::Auth, _) => Err(SYNTAX),
        (Verb::Select, &[_, number]) => Ok(Request::Select(integer(number)?)),
        (Verb::Quit, _) => Ok(Request::Quit),
        (Verb::Reset, _) => Ok(Request::Reset),
        (Verb::Client, &[_, verb, ref arguments @ ..]) => client(verb, arguments),
        (Verb::Command, &[_]) => Ok(Request::Commands),
        (Verb::Command, &[_, verb, ref arguments @ ..]) => command(verb, arguments),
        (Verb::Config, &[_, verb, ref arguments @ ..]) => config(verb, arguments),
        (Verb::Info, [_, sections @ ..]) => Ok(Request::Info(sections.to_vec())),
        (Verb::Time, _) => Ok(Request::Time),
        (Verb::Hakone, &[_, verb, ref arguments @ ..]) => {
            Ok(Request::Hakone(verb, arguments.to_vec()))
        }
        _ => Err(wrong_count(row.name)),
    }
}

fn put<'a>(key: &'a [u8], value: &'a [u8], condition: Condition, expiry: Millis) -> Command<'a> {
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

fn time_left(key: &[u8], unit: u64, since: Millis) -> Request<'_> {
    let shape = Shape::TimeLeft(TimeLeft { unit, since });
    Request::Call(Command::Describe { key }, shape)
}

/// Which words of `SET`'s options there were.
#[derive(Default)]
struct SetOptions<'a> {
    condition: Option<Condition>,
    keep: bool,
    want_old: bool,
    /// The time, its unit in milliseconds and whether it counts from now.
    time: Option<(&'a [u8], i64, bool)>,
}

fn set<'a>(
    row: &Row,
    key: &'a [u8],
    value: &'a [u8],
    mut words: &[&'a [u8]],
    now: Millis,
) -> Result<Request<'a>, Failure> {
    if words.is_empty() {
        let command = put(key, value, Condition::Always, 0);
        return Ok(Request::Call(command, Shape::Ok));
    }
    let mut options = SetOptions::default();
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"nx") && options.condition != Some(Condition::IfPresent) {
            options.condition = Some(Condition::IfAbsent);
        } else if is(b"xx") && options.condition != Some(Condition::IfAbsent) {
            options.condition = Some(Condition::IfPresent);
        } else if is(b"get") {
            options.want_old = true;
        } else if is(b"keepttl") && options.time.is_none() {
            options.keep = true;
        } else {
            let (unit, relative) = match () {
                () if is(b"ex") => (1000, true),
                () if is(b"px") => (1, true),
                () if is(b"exat") => (1000, false),
                () if is(b"pxat") => (1, false),
                () => return Err(SYNTAX),
            };
            // The same word may be said again; the last one counts.
            let before = options.time.map(|(_, unit, relative)| (unit, relative));
            let fits = !options.keep && before.is_none_or(|before| before == (unit, relative));
            let Some((time, rest)) = words.split_first().filter(|_| fits) else {
                return Err(SYNTAX);
            };
            words = rest;
            options.time = Some((time, unit, relative));
        }
    }
    let expiry = match options.time {
        _ if options.keep => ExpirySet::Keep,
        None => ExpirySet::At(0),
        Some((time, unit, relative)) => {
            let since = if relative { now } else { 0 };
            ExpirySet::At(expiry_of_put(row, integer(time)?, unit, since)?)
        }
    };
    let command = Command::Put {
        key,
        value,
        condition: options.condition.unwrap_or(Condition::Always),
        expiry,
        flags: 0,
        want_old: options.want_old,
    };
    let shape = if options.want_old {
        Shape::Value
    } else {
        Shape::Ok
    };
    Ok(Request::Call(command, shape))
}

/// The expiry of a record that is written: a time that is not positive or does not fit is refused.
fn expiry_of_put(row: &Row, time: i64, unit: i64, since: Millis) -> Result<Millis, Failure> {
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    time.checked_mul(unit)
        .filter(|&time| time > 0)
        .and_then(|time| time.checked_add(since))
        .map(i64::cast_unsigned)
        .ok_or_else(|| invalid_expiry(row))
}

fn expire<'a>(
    row: &Row,
    key: &'a [u8],
    time: &[u8],
    unit: i64,
    since: Millis,
    options: &[&'a [u8]],
) -> Result<Request<'a>, Failure> {
    let condition = expiry_condition(options)?;
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    let expiry = integer(time)?
        .checked_mul(unit)
        .and_then(|time| time.checked_add(since))
        .ok_or_else(|| invalid_expiry(row))?;
    // A time before the epoch has passed as surely as the first millisecond after it.
    let expiry = u64::try_from(expiry).unwrap_or(0).max(1);
    let command = Command::Touch {
        key,
        expiry,
        condition,
        want: false,
    };
    Ok(Request::Call(command, Shape::Found))
}

fn expiry_condition(options: &[&[u8]]) -> Result<ExpiryCondition, Failure> {
    let [mut nx, mut xx, mut gt, mut lt] = [false; 4];
    for option in options {
        let flag = match option.to_ascii_lowercase().as_slice() {
            b"nx" => &mut nx,
            b"xx" => &mut xx,
            b"gt" => &mut gt,
            b"lt" => &mut lt,
            _ => return Err(with_bytes("ERR Unsupported option ", option, "")),
        };
        *flag = true;
    }
    match (nx, xx, gt, lt) {
        (true, _, _, _) if xx || gt || lt => Err(Failure::Text(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        )),
        (_, _, true, true) => Err(Failure::Text(
            "ERR GT and LT options at the same time are not compatible",
        )),
        (_, true, _, true) => Ok(ExpiryCondition::IfSomeEarlier),
        (true, ..) => Ok(ExpiryCondition::IfNone),
        // A key without expiry expires never, so nothing is later than that.
        (_, _, true, _) => Ok(ExpiryCondition::IfLater),
        (_, _, _, true) => Ok(ExpiryCondition::IfEarlier),
        (_, true, ..) => Ok(ExpiryCondition::IfSome),
        _ => Ok(ExpiryCondition::Always),
    }
}

fn scan<'a>(cursor: &[u8], mut words: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    let cursor = str::from_utf8(cursor)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Failure::Text("ERR invalid cursor"))?;
    let mut scan = Scan {
        cursor,
        pattern: None,
        count: 10,
        type_exists: true,
    };
    while let Some((word, rest)) = words.split_first() {
        let Some((argument, rest)) = rest.split_first() else {
            return Err(SYNTAX);
        };
        words = rest;
        if word.eq_ignore_ascii_case(b"count") {
            scan.count = u64::try_from(integer(argument)?)
                .ok()
                .filter(|&count| count > 0)
                .ok_or(SYNTAX)?;
        } else if word.eq_ignore_ascii_case(b"match") {
            scan.pattern = Some(argument).filter(|pattern| **pattern != b"*").copied();
        } else if word.eq_ignore_ascii_case(b"type") {
            scan.type_exists = argument.eq_ignore_ascii_case(b"string");
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(Request::Scan(scan))
}

fn flush_mode(words: &[&[u8]]) -> Result<(), Failure> {
    match words {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync") => {
            Ok(())
        }
        _ => Err(SYNTAX),
    }
}

fn hello<'a>(mut words: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    let mut resp3 = None;
    if let Some((version, rest)) = words.split_first() {
        words = rest;
        resp3 = match parse_integer(version) {
            Some(2) => Some(false),
            Some(3) => Some(true),
            Some(_) => return Err(Failure::Text("NOPROTO unsupported protocol version")),
            None => {
                return Err(Failure::Text(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        };
    }
    let mut name = None;
    while let Some((word, rest)) = words.split_first() {
        words = match rest {
            [_, _, ..] if word.eq_ignore_ascii_case(b"auth") => return Err(NO_USERS),
            [given, rest @ ..] if word.eq_ignore_ascii_case(b"setname") => {
                name = Some(checked_name(given)?);
                rest
            }
            _ => {
                return Err(with_bytes("ERR Syntax error in HELLO option '", word, "'"));
            }
        };
    }
    Ok(Request::Hello { resp3, name })
}

fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn checked_name(name: &[u8]) -> Result<&[u8], Failure> {
    if is_plain(name) {
        Ok(name)
    } else {
        Err(Failure::Text(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ))
    }
}

fn client<'a>(verb: &[u8], arguments: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    let request = match (verb.to_ascii_lowercase().as_slice(), arguments) {
        (b"id", []) => Client::Id,
        (b"getname", []) => Client::GetName,
        (b"info", []) => Client::Info,
        (b"list", _) => Client::List,
        (b"setname", &[name]) => Client::SetName(checked_name(name)?),
        (b"setinfo", &[what, value]) => {
            let (client, name) = match what.to_ascii_lowercase().as_slice() {
                b"lib-name" => (Client::SetLibName(value), "lib-name"),
                b"lib-ver" => (Client::SetLibVer(value), "lib-ver"),
                _ => return Err(with_bytes("ERR Unrecognized option '", what, "'")),
            };
            if !is_plain(value) {
                let text =
                    format!("ERR {name} cannot contain spaces, newlines or special characters.");
                return Err(Failure::Made(text.into_bytes()));
            }
            client
        }
        (name @ (b"id" | b"getname" | b"info" | b"setname" | b"setinfo"), _) => {
            return Err(wrong_subcommand_count("client", name));
        }
        _ => return Err(unknown_subcommand(verb, "CLIENT")),
    };
    Ok(Request::Client(request))
}

fn command<'a>(verb: &[u8], arguments: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    Ok(match (verb.to_ascii_lowercase().as_slice(), arguments) {
        (b"count", []) => Request::CommandCount,
        (b"list", []) => Request::CommandList,
        (b"info", []) => Request::Commands,
        (b"info", names) => Request::CommandInfo(names.to_vec()),
        (b"docs", names) => Request::CommandDocs(names.to_vec()),
        (b"count", _) => return Err(wrong_subcommand_count("command", b"count")),
        (b"list", _) => return Err(SYNTAX),
        _ => return Err(unknown_subcommand(verb, "COMMAND")),
    })
}

fn config<'a>(verb: &[u8], arguments: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    match (verb.to_ascii_lowercase().as_slice(), arguments) {
        (b"get", [_, ..]) => Ok(Request::ConfigGet(arguments.to_vec())),
        (b"get", []) => Err(wrong_subcommand_count("config", b"get")),
        (b"set", [name, _, ..]) => Err(with_bytes(
            "ERR Unknown option or number of arguments for CONFIG SET - '",
            name,
            "'",
        )),
        (b"set", _) => Err(wrong_subcommand_count("config", b"set")),
        _ => Err(unknown_subcommand(verb, "CONFIG")),
    }
}

fn wrong_subcommand_count(name: &str, verb: &[u8]) -> Failure {
    let before = format!("ERR wrong number of arguments for '{name}|");
    with_bytes(&before, verb, "' command")
}

fn unknown_subcommand(verb: &[u8], name: &str) -> Failure {
    let after = format!("'. Try {name} HELP.");
    with_bytes("ERR unknown subcommand '", verb, &after)
}
