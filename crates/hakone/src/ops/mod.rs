//! What a command on one record means: pure, given the record that is there and the time.

mod number;

use hakone_command::{
    Command, Condition, End, Error, ExpiryCondition, ExpirySet, Millis, Record, Reply, Result,
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
    Value(&'a [u8]),
    NotANumber,
    Overflow,
    Record(Record<'a>),
    /// A record as it is after the write: answered with the version that the write gets.
    Written(Record<'a>),
    Swapped {
        stored: bool,
        old: Option<Record<'a>>,
    },
}

/// Room for a value that [`decide`] makes.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// A number.
    small: [u8; 20],
    /// What is larger.
    large: Vec<u8>,
}

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
            let stored = holds(condition, old);
            let effect = if stored {
                let expiry = expiry_of(expiry, old);
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
        Command::Append {
            value,
            end,
            width,
            condition,
            expiry,
            ..
        } => {
            if !holds(condition, old) {
                return Ok((Effect::Keep, Outcome::Refused));
            }
            let there = old.map_or(&[][..], |record| record.value);
            let value = match (end, width) {
                (End::Front, _) => Value {
                    head: value,
                    tail: there,
                },
                (End::Back, Some(width)) if old.is_some() => {
                    let width = width as usize;
                    let tail = &value[value.len().saturating_sub(width)..];
                    let head = &there[there.len().saturating_sub(width - tail.len())..];
                    Value { head, tail }
                }
                (End::Back, _) => Value {
                    head: there,
                    tail: value,
                },
            };
            check_value_bytes(value.len())?;
            let flags = old.map_or(0, |record| record.flags);
            let expiry = expiry_of(expiry, old);
            let effect = write(value, expiry, flags, old.is_some(), now);
            (effect, Outcome::Number(size(value.len())))
        }
        Command::WriteAt { offset, value, .. } => {
            let there = old.map_or(&[][..], |record| record.value);
            if value.is_empty() {
                return Ok((Effect::Keep, Outcome::Number(size(there.len()))));
            }
            let end = offset.saturating_add(value.len());
            check_value_bytes(end)?;
            let made = &mut scratch.large;
            made.extend_from_slice(there);
            made.resize(there.len().max(end), 0);
            made[offset..end].copy_from_slice(value);
            let effect = Effect::Put {
                value: Value::whole(made),
                expiry: old.map_or(0, |record| record.expiry),
                flags: old.map_or(0, |record| record.flags),
            };
            (effect, Outcome::Number(size(made.len())))
        }
        Command::CompareSwap {
            old: expected,
            new,
            expiry,
            ..
        } => {
            if old.map(|record| record.value) != expected {
                return Ok((Effect::Keep, Outcome::Refused));
            }
            match new {
                Some(value) => {
                    let expiry = expiry_of(expiry, old);
                    let effect = write(Value::whole(value), expiry, 0, old.is_some(), now);
                    (effect, Outcome::Stored)
                }
                None if old.is_some() => (Effect::Remove, Outcome::Done),
                None => (Effect::Keep, Outcome::Done),
            }
        }
        Command::Remove { want_old, .. } => match old {
            None => (Effect::Keep, Outcome::Missing),
            Some(old) if want_old => (Effect::Remove, Outcome::Record(old)),
            Some(_) => (Effect::Remove, Outcome::Done),
        },
        Command::Add {
            amount,
            absent,
            expiry,
            ..
        } => number::add(amount, absent, expiry, old, now, scratch),
        Command::Touch {
            expiry,
            condition,
            want,
            ..
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
                let outcome = if want {
                    Outcome::Record(old)
                } else {
                    Outcome::Done
                };
                (Effect::Keep, outcome)
            } else {
                let outcome = if want {
                    Outcome::Written(Record { expiry, ..old })
                } else {
                    Outcome::Done
                };
                let effect = write(Value::whole(old.value), expiry, old.flags, true, now);
                (effect, outcome)
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

/// Whether a write may go on. A record that is absent has no version.
fn holds(condition: Condition, old: Option<Record<'_>>) -> bool {
    match condition {
        Condition::Always => true,
        Condition::IfAbsent => old.is_none(),
        Condition::IfPresent => old.is_some(),
        Condition::IfVersion(version) => old.is_some_and(|record| record.version == version),
    }
}

fn expiry_of(set: ExpirySet, old: Option<Record<'_>>) -> Millis {
    match set {
        ExpirySet::Keep => old.map_or(0, |record| record.expiry),
        ExpirySet::At(expiry) => expiry,
    }
}

fn check_value_bytes(bytes: usize) -> Result<()> {
    if bytes > limits::VALUE_BYTES_MAX {
        let bytes = bytes as u64;
        return Err(Error::ValueTooLarge { bytes });
    }
    Ok(())
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
        Outcome::Value(value) => Reply::Value(value),
        Outcome::NotANumber => Reply::NotANumber,
        Outcome::Overflow => Reply::Overflow,
        Outcome::Record(record) => Reply::Record(record),
        Outcome::Written(record) => Reply::Record(Record { version, ..record }),
        Outcome::Swapped { stored, old } => Reply::Swapped { stored, old },
    }
}

/// Refuses keys and values that are too large, before anything is done.
pub(crate) fn check_limits(command: &Command<'_>) -> Result<()> {
    let check_key = |key: &[u8]| match key.len() {
        n if n > limits::KEY_BYTES_MAX => Err(Error::KeyTooLarge { bytes: n as u64 }),
        _ => Ok(()),
    };
    let check_value = |value: &[u8]| check_value_bytes(value.len());
    match command {
        Command::Put { key, value, .. }
        | Command::Append { key, value, .. }
        | Command::WriteAt { key, value, .. }
        | Command::PutDuplicate { key, value, .. } => {
            check_key(key)?;
            check_value(value)
        }
        Command::PutAt { value, .. } => check_value(value),
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
        Command::CompareSwap { key, new, .. } => {
            check_key(key)?;
            check_value(new.unwrap_or_default())
        }
        Command::Add { key, .. } => check_key(key),
        Command::Copy { to, .. } => check_key(to),
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
                end: End::Back,
                width: Some(width),
                condition: Condition::Always,
                expiry: ExpirySet::Keep,
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
    fn bytes_are_written_into_a_value_and_never_beyond_the_limit() {
        let check = |old: Option<Record<'static>>, offset, value, expected: &[u8]| {
            let mut scratch = Scratch::default();
            let command = Command::WriteAt {
                key: b"k",
                offset,
                value,
            };
            let (effect, outcome) = decide(&command, old, 1, &mut scratch).unwrap();
            assert_eq!(outcome, Outcome::Number(size(expected.len())));
            match effect {
                Effect::Put { value, .. } => assert_eq!(value.head, expected),
                Effect::Keep => assert!(value.is_empty()),
                Effect::Remove => panic!("nothing is removed"),
            }
        };
        let old = Some(record(b"Hello World", 0));
        check(old, 6, b"Redis", b"Hello Redis");
        check(old, 13, b"!", b"Hello World\0\0!");
        check(None, 2, b"x", b"\0\0x");
        check(None, 5, b"", b"");
        for offset in [limits::VALUE_BYTES_MAX, usize::MAX] {
            let command = Command::WriteAt {
                key: b"k",
                offset,
                value: b"x",
            };
            let mut scratch = Scratch::default();
            assert!(decide(&command, old, 1, &mut scratch).is_err());
            assert_eq!(scratch.large.capacity(), 0);
        }
    }

    #[test]
    fn a_swap_compares_the_value_or_its_absence() {
        let check = |there: Option<Record<'static>>, old, new, expected| {
            let mut scratch = Scratch::default();
            let command = Command::CompareSwap {
                key: b"k",
                old,
                new,
                expiry: ExpirySet::At(0),
            };
            let (effect, outcome) = decide(&command, there, 1, &mut scratch).unwrap();
            assert_eq!(outcome, expected);
            let changes = match (expected, new) {
                (Outcome::Stored, _) => matches!(effect, Effect::Put { .. }),
                (Outcome::Done, None) if there.is_some() => effect == Effect::Remove,
                _ => effect == Effect::Keep,
            };
            assert!(changes, "{effect:?}");
        };
        let a = Some(record(b"a", 0));
        check(a, Some(b"a"), Some(b"b"), Outcome::Stored);
        check(a, Some(b"b"), Some(b"c"), Outcome::Refused);
        check(a, None, Some(b"c"), Outcome::Refused);
        check(a, Some(b"a"), None, Outcome::Done);
        check(None, None, Some(b"c"), Outcome::Stored);
        check(None, Some(b"a"), Some(b"c"), Outcome::Refused);
        check(None, None, None, Outcome::Done);
        check(Some(record(b"a", 1)), None, Some(b"c"), Outcome::Stored);
    }

    #[test]
    fn a_touch_into_the_past_removes() {
        let mut scratch = Scratch::default();
        let command = Command::Touch {
            key: b"k",
            expiry: 5,
            condition: ExpiryCondition::Always,
            want: false,
        };
        let (effect, outcome) = decide(&command, Some(record(b"v", 0)), 5, &mut scratch).unwrap();
        assert_eq!((effect, outcome), (Effect::Remove, Outcome::Done));
    }
}
