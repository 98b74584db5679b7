//! Additions to the numbers that values hold.

use super::{Effect, Outcome, Scratch, expiry_of, write};
use hakone_command::{
    Amount, Decimal, ExpirySet, Fixed, Millis, Record, Value, format_integer, format_unsigned,
    parse_integer,
};
use std::io::Write as _;

/// Bytes of the longest text of a fraction: a double's 309 digits, sign, point and 17 places.
const TEXT_BYTES_MAX: usize = 309 + 2 + 17;

/// What an addition makes.
enum Sum {
    /// So many bytes of the small scratch, answered as a number.
    Number(i64, usize),
    /// From this byte of the small scratch on, so many, answered as they are.
    Small(usize, usize),
    /// The large scratch, answered as it is.
    Large,
    NotANumber,
    Overflow,
}

pub(super) fn add<'a>(
    amount: Amount,
    absent: Option<Amount>,
    expiry: ExpirySet,
    old: Option<Record<'a>>,
    now: Millis,
    scratch: &'a mut Scratch,
) -> (Effect<'a>, Outcome<'a>) {
    if old.is_none() && absent.is_none() {
        return (Effect::Keep, Outcome::Missing);
    }
    let there = old.map(|record| record.value);
    let sum = sum(amount, absent, there, scratch);
    let (value, outcome) = match sum {
        Sum::Number(number, bytes) => (&scratch.small[..bytes], Outcome::Number(number)),
        Sum::Small(start, bytes) => {
            let value = &scratch.small[start..start + bytes];
            (value, Outcome::Value(value))
        }
        Sum::Large => (&scratch.large[..], Outcome::Value(&scratch.large)),
        Sum::NotANumber => return (Effect::Keep, Outcome::NotANumber),
        Sum::Overflow => return (Effect::Keep, Outcome::Overflow),
    };
    if old.is_some() && is_zero(amount) {
        return (Effect::Keep, outcome);
    }
    let flags = old.map_or(0, |record| record.flags);
    let expiry = expiry_of(expiry, old);
    let effect = write(Value::whole(value), expiry, flags, old.is_some(), now);
    (effect, outcome)
}

/// Whether adding it only reads.
fn is_zero(amount: Amount) -> bool {
    match amount {
        Amount::Int32(amount) => amount == 0,
        Amount::Int64(amount) => amount == 0,
        Amount::Double(amount) => amount == 0.0,
        Amount::Fixed(amount) => amount == Fixed::ZERO,
        _ => false,
    }
}

/// The sum of what is there, or of what an absent record counts as, and the amount. An `absent` of
/// another form counts as zero.
fn sum(amount: Amount, absent: Option<Amount>, there: Option<&[u8]>, scratch: &mut Scratch) -> Sum {
    let small = &mut scratch.small;
    match amount {
        Amount::Int32(amount) => {
            let before = match there.map(<[u8; 4]>::try_from) {
                Some(Ok(bytes)) => i32::from_le_bytes(bytes),
                Some(Err(_)) => return Sum::NotANumber,
                None => match absent {
                    Some(Amount::Int32(start)) => start,
                    _ => 0,
                },
            };
            let sum = before.wrapping_add(amount);
            small[..4].copy_from_slice(&sum.to_le_bytes());
            Sum::Number(i64::from(sum), 4)
        }
        Amount::Int64(amount) => {
            let before = match there.map(<[u8; 8]>::try_from) {
                Some(Ok(bytes)) => i64::from_be_bytes(bytes),
                Some(Err(_)) => return Sum::NotANumber,
                None => match absent {
                    Some(Amount::Int64(start)) => start,
                    _ => 0,
                },
            };
            let sum = before.wrapping_add(amount);
            small[..8].copy_from_slice(&sum.to_be_bytes());
            Sum::Number(sum, 8)
        }
        Amount::Decimal(amount) => {
            let before = match there.map(parse_integer) {
                Some(Some(number)) => number,
                Some(None) => return Sum::NotANumber,
                None => match absent {
                    Some(Amount::Decimal(start)) => start,
                    _ => 0,
                },
            };
            let Some(sum) = before.checked_add(amount) else {
                return Sum::Overflow;
            };
            let mut digits = [0; 20];
            let text = format_integer(sum, &mut digits);
            small[..text.len()].copy_from_slice(text);
            Sum::Number(sum, text.len())
        }
        Amount::Up(by) | Amount::Down(by) => {
            let before = match there.map(parse_unsigned) {
                Some(Some(number)) => number,
                Some(None) => return Sum::NotANumber,
                None => match absent {
                    Some(Amount::Up(start) | Amount::Down(start)) => start,
                    _ => 0,
                },
            };
            let sum = if matches!(amount, Amount::Up(_)) {
                before.wrapping_add(by)
            } else {
                before.saturating_sub(by)
            };
            let bytes = format_unsigned(sum, small).len();
            Sum::Small(small.len() - bytes, bytes)
        }
        Amount::Double(amount) => {
            let before = match there.map(<[u8; 8]>::try_from) {
                Some(Ok(bytes)) => f64::from_le_bytes(bytes),
                Some(Err(_)) => return Sum::NotANumber,
                None => match absent {
                    Some(Amount::Double(start)) => start,
                    _ => 0.0,
                },
            };
            small[..8].copy_from_slice(&(before + amount).to_le_bytes());
            Sum::Small(0, 8)
        }
        Amount::Fixed(amount) => {
            let before = match there.map(Fixed::from_bytes) {
                Some(Some(number)) => number,
                Some(None) => return Sum::NotANumber,
                None => match absent {
                    Some(Amount::Fixed(start)) => start,
                    _ => Fixed::ZERO,
                },
            };
            let Some(sum) = before.plus(amount) else {
                return Sum::NotANumber;
            };
            small[..16].copy_from_slice(&sum.to_bytes());
            Sum::Small(0, 16)
        }
        Amount::Float(amount) => {
            let before = match there.map(Decimal::parse) {
                Some(Some(number)) => number,
                Some(None) => return Sum::NotANumber,
                None => match absent {
                    Some(Amount::Float(start)) => start,
                    _ => Decimal::ZERO,
                },
            };
            let Some(sum) = before.plus(amount) else {
                return Sum::Overflow;
            };
            scratch.large.reserve(TEXT_BYTES_MAX);
            // Writing to memory does not fail.
            let _ = write!(scratch.large, "{sum}");
            Sum::Large
        }
    }
}

/// A u64 as memcached counts: digits, at most 20, then blanks.
fn parse_unsigned(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii_end();
    if digits.is_empty() || digits.len() > 20 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::decide;
    use super::*;
    use hakone_command::Command;

    /// What an addition answers, and the value that is there afterwards.
    fn after(
        there: Option<&'static [u8]>,
        amount: Amount,
        absent: Option<Amount>,
    ) -> (String, Vec<u8>) {
        let mut scratch = Scratch::default();
        let command = Command::Add {
            key: b"k",
            amount,
            absent,
            expiry: ExpirySet::Keep,
        };
        let old = there.map(|value| Record {
            value,
            value_bytes: value.len() as u64,
            expiry: 0,
            flags: 7,
            version: 1,
        });
        let (effect, outcome) = decide(&command, old, 1, &mut scratch).unwrap();
        let value = match effect {
            Effect::Put { value, flags, .. } => {
                assert_eq!(flags, if there.is_some() { 7 } else { 0 });
                [value.head, value.tail].concat()
            }
            _ => b"kept".to_vec(),
        };
        let answer = match outcome {
            Outcome::Number(number) => number.to_string(),
            Outcome::Value(value) => value.escape_ascii().to_string(),
            outcome => format!("{outcome:?}"),
        };
        (answer, value)
    }

    fn check(
        there: Option<&'static [u8]>,
        amount: Amount,
        absent: Option<Amount>,
        answer: &str,
        value: &[u8],
    ) {
        let found = after(there, amount, absent);
        assert_eq!(
            (found.0.as_str(), &found.1[..]),
            (answer, value),
            "{amount:?}"
        );
    }

    #[test]
    fn binary_integers_wrap_and_zero_only_reads() {
        let one = Some(&b"\x01\0\0\0"[..]);
        check(one, Amount::Int32(2), None, "3", b"\x03\0\0\0");
        check(one, Amount::Int32(0), None, "1", b"kept");
        check(
            one,
            Amount::Int32(i32::MAX),
            None,
            "-2147483648",
            b"\0\0\0\x80",
        );
        check(Some(b"1"), Amount::Int32(1), None, "NotANumber", b"kept");
        check(None, Amount::Int32(0), Some(Amount::Int32(0)), "0", &[0; 4]);
        let one = Some(&b"\0\0\0\0\0\0\0\x01"[..]);
        check(one, Amount::Int64(-2), None, "-1", &[0xff; 8]);
        check(one, Amount::Int64(0), None, "1", b"kept");
        let start = Some(Amount::Int64(41));
        check(None, Amount::Int64(1), start, "42", b"\0\0\0\0\0\0\0*");
        check(None, Amount::Int64(1), None, "Missing", b"kept");
    }

    #[test]
    fn decimals_are_strict_and_never_wrap() {
        check(Some(b"9"), Amount::Decimal(1), None, "10", b"10");
        check(Some(b"09"), Amount::Decimal(1), None, "NotANumber", b"kept");
        let most = Some(&b"9223372036854775807"[..]);
        check(most, Amount::Decimal(1), None, "Overflow", b"kept");
        check(Some(b"5"), Amount::Decimal(0), None, "5", b"5");
    }

    #[test]
    fn unsigned_counters_wrap_upwards_and_stop_at_zero() {
        check(Some(b"5 "), Amount::Up(1), None, "6", b"6");
        check(Some(b"10"), Amount::Down(1), None, "9", b"9");
        check(Some(b"1"), Amount::Down(2), None, "0", b"0");
        let most = Some(&b"18446744073709551615"[..]);
        check(most, Amount::Up(1), None, "0", b"0");
        check(
            most,
            Amount::Up(0),
            None,
            "18446744073709551615",
            b"18446744073709551615",
        );
        for text in [
            "",
            " 5",
            "5x",
            "-1",
            "18446744073709551616",
            "000000000000000000001",
        ] {
            check(
                Some(text.as_bytes()),
                Amount::Up(1),
                None,
                "NotANumber",
                b"kept",
            );
        }
    }

    #[test]
    fn fractions_are_kept_in_each_form() {
        let there = Some(&b"\0\0\0\0\0\0\xf4?"[..]);
        check(
            there,
            Amount::Double(0.0),
            None,
            r"\x00\x00\x00\x00\x00\x00\xf4?",
            b"kept",
        );
        let (_, value) = after(there, Amount::Double(1.0), None);
        assert_eq!(value, 2.25_f64.to_le_bytes());
        let half = Amount::Fixed(Fixed::from_f64(0.5));
        let (_, value) = after(None, half, Some(half));
        assert_eq!(value, Fixed::from_f64(1.0).to_bytes());
        let nan = Some(&b"\x80\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0"[..]);
        check(nan, half, None, "NotANumber", b"kept");
        let float = |text: &str| Amount::Float(Decimal::parse(text.as_bytes()).unwrap());
        check(Some(b"10.50"), float("0.1"), None, "10.6", b"10.6");
        check(Some(b"x"), float("1"), None, "NotANumber", b"kept");
        check(
            Some(b"1.7e308"),
            float("1.7e308"),
            None,
            "Overflow",
            b"kept",
        );
    }
}
