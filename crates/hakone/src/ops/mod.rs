//! What a command on one record means: pure, given the record that is there and the time.

use hakone_command::{
    Command, Condition, Error, ExpiryCondition, ExpirySet, Form, Millis, Record, Reply, Result,
    Value, Version, limits,
};

/// What is to become true of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect<'a> {
    /// Nothing changes.
    Keep,
    /// The key has this record.
    Put {
        value: Value<'a>,
        expiry: Millis,
        flags: u32,
    },
    /// The key has no record.
    Remove,
}

/// The answer, but for what only the append knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    Done,
    /// Answered with the version that the write gets.
    Stored,
    Missing,
    Refused,
    Number(i64),
    NotANumber,
    Overflow,
    Record(Record<'a>),
    Swapped {
        stored: bool,
        old: Option<Record<'a>>,
    },
}

/// Room for an integer that [`decide`] makes.
pub(crate) type Scratch = [u8; 20];

/// Decides a command about one key. `old` is the record that is there, expired or not.
///
/// # Errors
/// A value that would grow over the limit.
///
/// # Panics
/// If the command is about no key or several: those are decided where their records are.
pub(crate) fn decide<'a>(
    command: &Command<'a>,
    old: Option<Record<'a>>,
    now: Millis,
    scratch: &'a mut Scratch,
) -> Result<(Effect<'a>, Outcome<'a>)> {
    let old = old.filter(|record| !record.is_expired(now));
    Ok(match *command {
        Command::Get { .. } | Command::Describe { .. } => {
            (Effect::Keep, old.map_or(Outcome::Missing, Outcome::Record))
        }
        Command::Put {
            value,
            condition,
            expiry,
            flags,
            want_old,
            ..
        } => {
            let stored = match condition {
                Condition::Always => true,
                Condition::IfAbsent => old.is_none(),
                Condition::IfPresent => old.is_some(),
                Condition::IfVersion(version) => old.is_some_and(|r| r.version == version),
            };
            let effect = if stored {
                let expiry = match expiry {
                    ExpirySet::Keep => old.map_or(0, |record| record.expiry),
                    ExpirySet::At(expiry) => expiry,
                };
                write(Value::whole(value), expiry, flags, old.is_some(), now)
            } else {
                Effect::Keep
            };
            let outcome = if want_old {
                Outcome::Swapped { stored, old }
            } else if stored {
                Outcome::Stored
            } else if old.is_none() && condition != Condition::IfPresent {
                Outcome::Missing
            } else {
                Outcome::Refused
            };
            (effect, outcome)
        }
        Command::Append { value, width, .. } => {
            let Some(old) = old else {
                let effect = Effect::Put {
                    value: Value::whole(value),
                    expiry: 0,
                    flags: 0,
                };
                return Ok((effect, Outcome::Number(size(value.len()))));
            };
            let kept = width.map_or(usize::MAX, |width| width as usize);
            let tail = &value[value.len().saturating_sub(kept)..];
            let head = &old.value[old.value.len().saturating_sub(kept - tail.len())..];
            let value = Value { head, tail };
            if value.len() > limits::VALUE_BYTES_MAX {
                return Err(Error::ValueTooLarge {
                    bytes: value.len() as u64,
                });
            }
            let effect = Effect::Put {
                value,
                expiry: old.expiry,
                flags: old.flags,
            };
            (effect, Outcome::Number(size(value.len())))
        }
        Command::Remove { want_old, .. } => match old {
            None => (Effect::Keep, Outcome::Missing),
            Some(old) if want_old => (Effect::Remove, Outcome::Record(old)),
            Some(_) => (Effect::Remove, Outcome::Done),
        },
        Command::Add { delta, form, .. } => add(delta, form, old, scratch),
        Command::Touch {
            expiry, condition, ..
        } => {
            let Some(old) = old else {
                return Ok((Effect::Keep, Outcome::Missing));
            };
            let never = |expiry: Millis| if expiry == 0 { Millis::MAX } else { expiry };
            let holds = match condition {
                ExpiryCondition::Always => true,
                ExpiryCondition::IfNone => old.expiry == 0,
                ExpiryCondition::IfSome => old.expiry != 0,
                ExpiryCondition::IfLater => never(expiry) > never(old.expiry),
                ExpiryCondition::IfEarlier => never(expiry) < never(old.expiry),
                ExpiryCondition::IfSomeEarlier => old.expiry != 0 && never(expiry) < old.expiry,
            };
            if !holds {
                (Effect::Keep, Outcome::Refused)
            } else if expiry == old.expiry {
                (Effect::Keep, Outcome::Done)
            } else {
                (
                    write(Value::whole(old.value), expiry, old.flags, true, now),
                    Outcome::Done,
                )
            }
        }
        _ => unreachable!("a command about no key or several keys: {command:?}"),
    })
}

/// A put, or a removal where the expiry has passed already.
fn write(value: Value<'_>, expiry: Millis, flags: u32, exists: bool, now: Millis) -> Effect<'_> {
    if expiry == 0 || expiry > now {
        Effect::Put {
            value,
            expiry,
            flags,
        }
    } else if exists {
        Effect::Remove
    } else {
        Effect::Keep
    }
}

fn add<'a>(
    delta: i64,
    form: Form,
    old: Option<Record<'a>>,
    scratch: &'a mut Scratch,
) -> (Effect<'a>, Outcome<'a>) {
    let (expiry, flags) = old.map_or((0, 0), |record| (record.expiry, record.flags));
    match form {
        Form::Int32 => {
            let before = match old.map(|record| <[u8; 4]>::try_from(record.value)) {
                None => 0,
                Some(Ok(bytes)) => i32::from_le_bytes(bytes),
                Some(Err(_)) => return (Effect::Keep, Outcome::NotANumber),
            };
            #[expect(
                clippy::cast_possible_truncation,
                reason = "sums wrap, and so do addends"
            )]
            let sum = before.wrapping_add(delta as i32);
            if old.is_some() && sum == before {
                return (Effect::Keep, Outcome::Number(i64::from(sum)));
            }
            scratch[..4].copy_from_slice(&sum.to_le_bytes());
            let effect = Effect::Put {
                value: Value::whole(&scratch[..4]),
                expiry,
                flags,
            };
            (effect, Outcome::Number(i64::from(sum)))
        }
        Form::Decimal => {
            let before = match old {
                None => 0,
                Some(record) => match parse_decimal(record.value) {
                    Some(number) => number,
                    None => return (Effect::Keep, Outcome::NotANumber),
                },
            };
            let Some(sum) = before.checked_add(delta) else {
                return (Effect::Keep, Outcome::Overflow);
            };
            let text = format_decimal(sum, scratch);
            (
                Effect::Put {
                    value: Value::whole(text),
                    expiry,
                    flags,
                },
                Outcome::Number(sum),
            )
        }
    }
}

/// An i64 as `decide` writes it: no sign but `-`, no leading zero, no blank.
fn parse_decimal(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < 19 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if plain {
        str::from_utf8(text).ok()?.parse().ok()
    } else {
        None
    }
}

fn format_decimal(number: i64, scratch: &mut Scratch) -> &[u8] {
    let mut start = scratch.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        scratch[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        scratch[start] = b'-';
    }
    &scratch[start..]
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The reply for an outcome, `version` being the one that the write got.
pub(crate) fn reply(outcome: Outcome<'_>, version: Version) -> Reply<'_> {
    match outcome {
        Outcome::Done => Reply::Done,
        Outcome::Stored => Reply::Stored(version),
        Outcome::Missing => Reply::Missing,
        Outcome::Refused => Reply::Refused,
        Outcome::Number(number) => Reply::Number(number),
        Outcome::NotANumber => Reply::NotANumber,
        Outcome::Overflow => Reply::Overflow,
        Outcome::Record(record) => Reply::Record(record),
        Outcome::Swapped { stored, old } => Reply::Swapped { stored, old },
    }
}

/// Refuses keys and values that are too large, before anything is done.
pub(crate) fn check_limits(command: &Command<'_>) -> Result<()> {
    let check_key = |key: &[u8]| match key.len() {
        n if n > limits::KEY_BYTES_MAX => Err(Error::KeyTooLarge { bytes: n as u64 }),
        _ => Ok(()),
    };
    let check_value = |value: &[u8]| match value.len() {
        n if n > limits::VALUE_BYTES_MAX => Err(Error::ValueTooLarge { bytes: n as u64 }),
        _ => Ok(()),
    };
    match command {
        Command::Put { key, value, .. } | Command::Append { key, value, .. } => {
            check_key(key)?;
            check_value(value)
        }
        Command::PutMany { pairs, .. } => {
            let mut bytes = 0;
            for pair in pairs {
                check_key(pair.key)?;
                check_value(pair.value)?;
                // 64: more than the largest record header
                bytes += pair.key.len() + pair.value.len() + 64;
            }
            if bytes > limits::BATCH_BYTES_MAX {
                return Err(Error::BatchTooLarge {
                    bytes: bytes as u64,
                });
            }
            Ok(())
        }
        Command::RemoveMany { keys } => {
            keys.iter().try_for_each(|key| check_key(key))?;
            let bytes: usize = keys.iter().map(|key| key.len() + 64).sum();
            if bytes > limits::BATCH_BYTES_MAX {
                return Err(Error::BatchTooLarge {
                    bytes: bytes as u64,
                });
            }
            Ok(())
        }
        Command::Add { key, .. } => check_key(key),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: &[u8], expiry: Millis) -> Record<'_> {
        Record {
            value,
            value_bytes: value.len() as u64,
            expiry,
            flags: 7,
            version: 5,
        }
    }

    fn put(condition: Condition, expiry: ExpirySet) -> Command<'static> {
        Command::Put {
            key: b"k",
            value: b"new",
            condition,
            expiry,
            flags: 0,
            want_old: false,
        }
    }

    #[test]
    fn an_expired_record_counts_as_absent() {
        let mut scratch = Scratch::default();
        let old = Some(record(b"old", 100));
        let get = Command::Get { key: b"k" };
        let (_, outcome) = decide(&get, old, 99, &mut scratch).unwrap();
        assert_eq!(outcome, Outcome::Record(record(b"old", 100)));
        let mut scratch = Scratch::default();
        let (_, outcome) = decide(&get, old, 100, &mut scratch).unwrap();
        assert_eq!(outcome, Outcome::Missing);
    }

    #[test]
    fn conditions_decide_whether_a_put_writes() {
        let check = |condition, old: Option<Record<'static>>, expected| {
            let mut scratch = Scratch::default();
            let command = put(condition, ExpirySet::At(0));
            let (effect, outcome) = decide(&command, old, 1, &mut scratch).unwrap();
            assert_eq!(outcome, expected, "{condition:?}");
            assert_eq!(effect != Effect::Keep, expected == Outcome::Stored);
        };
        let old = Some(record(b"old", 0));
        check(Condition::Always, None, Outcome::Stored);
        check(Condition::IfAbsent, None, Outcome::Stored);
        check(Condition::IfAbsent, old, Outcome::Refused);
        check(Condition::IfPresent, None, Outcome::Refused);
        check(Condition::IfPresent, old, Outcome::Stored);
        check(Condition::IfVersion(5), old, Outcome::Stored);
        check(Condition::IfVersion(4), old, Outcome::Refused);
        check(Condition::IfVersion(4), None, Outcome::Missing);
    }

    #[test]
    fn a_width_cuts_at_the_front_but_never_a_new_record() {
        let check = |old: Option<Record<'static>>, value, width, expected: &[u8]| {
            let mut scratch = Scratch::default();
            let command = Command::Append {
                key: b"k",
                value,
                width: Some(width),
            };
            let (effect, _) = decide(&command, old, 1, &mut scratch).unwrap();
            let Effect::Put { value, .. } = effect else {
                panic!("{effect:?}")
            };
            assert_eq!([value.head, value.tail].concat(), expected);
        };
        check(None, b"abcde", 2, b"abcde");
        check(Some(record(b"abcde", 0)), b"XY", 4, b"deXY");
        check(Some(record(b"abcde", 0)), b"UVWXYZ", 4, b"WXYZ");
        check(Some(record(b"ab", 0)), b"c", 9, b"abc");
        check(Some(record(b"ab", 0)), b"c", 0, b"");
    }

    #[test]
    fn decimals_are_strict_and_never_wrap() {
        for text in ["0", "-1", "9223372036854775807", "-9223372036854775808"] {
            let number = parse_decimal(text.as_bytes()).unwrap();
            let mut scratch = Scratch::default();
            assert_eq!(format_decimal(number, &mut scratch), text.as_bytes());
        }
        for text in [
            "",
            "-",
            "-0",
            "01",
            "+1",
            " 1",
            "1 ",
            "9223372036854775808",
            "1e3",
        ] {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text:?}");
        }
        let mut scratch = Scratch::default();
        let command = Command::Add {
            key: b"k",
            delta: 1,
            form: Form::Decimal,
        };
        let old = Some(record(b"9223372036854775807", 0));
        let (effect, outcome) = decide(&command, old, 1, &mut scratch).unwrap();
        assert_eq!((effect, outcome), (Effect::Keep, Outcome::Overflow));
    }

    #[test]
    fn a_touch_into_the_past_removes() {
        let mut scratch = Scratch::default();
        let command = Command::Touch {
            key: b"k",
            expiry: 5,
            condition: ExpiryCondition::Always,
        };
        let (effect, outcome) = decide(&command, Some(record(b"v", 0)), 5, &mut scratch).unwrap();
        assert_eq!((effect, outcome), (Effect::Remove, Outcome::Done));
    }
}
