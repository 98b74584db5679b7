//! The options that follow a request's keys and values, in any order.

use super::client::checked_name;
use super::failure::{Failure, invalid_expiry, with_bytes};
use super::reply::Shape;
use super::table::Row;
use super::translate::{Request, Scan, integer, known, put};
use hakone_command::{Command, Condition, ExpiryCondition, ExpirySet, Millis, parse_integer};

/// Which words of `SET`'s options there were.
#[derive(Default)]
struct SetOptions<'a> {
    condition: Option<Condition>,
    keep: bool,
    want_old: bool,
    /// The time, its unit in milliseconds and whether it counts from now.
    time: Option<(&'a [u8], i64, bool)>,
}

pub(super) fn set<'a>(
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
            let (unit, relative) = time_unit(word).ok_or(Failure::SYNTAX)?;
            // The same word may be said again; the last one counts.
            let before = options.time.map(|(_, unit, relative)| (unit, relative));
            let fits = !options.keep && before.is_none_or(|before| before == (unit, relative));
            let Some((time, rest)) = words.split_first().filter(|_| fits) else {
                return Err(Failure::SYNTAX);
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

/// What the word before a time says of it: its unit in milliseconds, and whether it counts from now.
fn time_unit(word: &[u8]) -> Option<(i64, bool)> {
    match word.to_ascii_lowercase().as_slice() {
        b"ex" => Some((1000, true)),
        b"px" => Some((1, true)),
        b"exat" => Some((1000, false)),
        b"pxat" => Some((1, false)),
        _ => None,
    }
}

/// `GETEX`: a read, or a change of the expiry that answers the record.
pub(super) fn get_ex<'a>(
    row: &Row,
    key: &'a [u8],
    words: &[&'a [u8]],
    now: Millis,
) -> Result<Request<'a>, Failure> {
    let expiry = match words {
        [] => return Ok(Request::Call(Command::Get { key }, Shape::Value)),
        words
            if words
                .iter()
                .all(|word| word.eq_ignore_ascii_case(b"persist")) =>
        {
            0
        }
        words => {
            // The same word may be said again; the last one counts.
            let (pairs, rest) = words.as_chunks::<2>();
            let [first, ..] = pairs else {
                return Err(Failure::SYNTAX);
            };
            let unit = time_unit(first[0]).ok_or(Failure::SYNTAX)?;
            let same = |pair: &[&[u8]; 2]| time_unit(pair[0]) == Some(unit);
            let (Some([_, time]), true, []) = (pairs.last(), pairs.iter().all(same), rest) else {
                return Err(Failure::SYNTAX);
            };
            let (unit, relative) = unit;
            let since = if relative { now } else { 0 };
            // What is wrong with the time is told only of a record that is there.
            let fails = |text| Ok(Request::Call(Command::Describe { key }, Shape::Fails(text)));
            let Some(time) = parse_integer(time) else {
                return fails("ERR value is not an integer or out of range");
            };
            match expiry_of_put(row, time, unit, since) {
                Ok(expiry) => expiry,
                Err(_) => return fails("ERR invalid expire time in 'getex' command"),
            }
        }
    };
    let command = Command::Touch {
        key,
        expiry,
        condition: ExpiryCondition::Always,
        want: true,
    };
    Ok(Request::Call(command, Shape::Value))
}

/// `COPY`.
pub(super) fn copy<'a>(
    key: &'a [u8],
    to: &'a [u8],
    mut words: &[&'a [u8]],
) -> Result<Request<'a>, Failure> {
    let (mut replace, mut number) = (false, None);
    loop {
        words = match words {
            [] => break,
            [word, rest @ ..] if word.eq_ignore_ascii_case(b"replace") => {
                replace = true;
                rest
            }
            [word, given, rest @ ..] if word.eq_ignore_ascii_case(b"db") => {
                number = Some(integer(given)?);
                rest
            }
            _ => return Err(Failure::SYNTAX),
        };
    }
    let remove = false;
    if let Some(number) = number {
        return Ok(Request::Copy {
            key,
            to,
            number,
            replace,
            remove,
        });
    }
    if key == to {
        return Err(Failure::SAME_RECORD);
    }
    let command = Command::Copy {
        key,
        to,
        replace,
        remove,
    };
    Ok(Request::Call(command, Shape::Found))
}

/// `MEMORY USAGE`. Samples are for values of several parts, which we have none of.
pub(super) fn memory_usage<'a>(
    key: &'a [u8],
    mut words: &[&'a [u8]],
) -> Result<Request<'a>, Failure> {
    while let [word, rest @ ..] = words {
        let (b"samples", [count, rest @ ..]) = (word.to_ascii_lowercase().as_slice(), rest) else {
            return Err(Failure::SYNTAX);
        };
        if integer(count)? < 0 {
            return Err(Failure::SYNTAX);
        }
        words = rest;
    }
    let shape = Shape::MemoryUsage(key.len() as u64);
    Ok(Request::Call(Command::Describe { key }, shape))
}

/// The expiry of a record that is written: a time that is not positive or does not fit is refused.
pub(super) fn expiry_of_put(
    row: &Row,
    time: i64,
    unit: i64,
    since: Millis,
) -> Result<Millis, Failure> {
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    time.checked_mul(unit)
        .filter(|&time| time > 0)
        .and_then(|time| time.checked_add(since))
        .map(i64::cast_unsigned)
        .ok_or_else(|| invalid_expiry(row))
}

pub(super) fn expire<'a>(
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

pub(super) fn scan<'a>(cursor: &[u8], mut words: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
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
            return Err(Failure::SYNTAX);
        };
        words = rest;
        if word.eq_ignore_ascii_case(b"count") {
            scan.count = u64::try_from(integer(argument)?)
                .ok()
                .filter(|&count| count > 0)
                .ok_or(Failure::SYNTAX)?;
        } else if word.eq_ignore_ascii_case(b"match") {
            scan.pattern = Some(argument).filter(|pattern| **pattern != b"*").copied();
        } else if word.eq_ignore_ascii_case(b"type") {
            scan.type_exists = argument.eq_ignore_ascii_case(b"string");
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    Ok(Request::Scan(scan))
}

pub(super) fn hello<'a>(mut words: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
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
            [user, _, rest @ ..] if word.eq_ignore_ascii_case(b"auth") => {
                known(user)?;
                rest
            }
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
