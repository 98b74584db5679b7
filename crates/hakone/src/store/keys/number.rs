//! Numbers that keys begin with, as bytes in the order of the numbers.

use hakone_command::Comparator;

/// What a comparator takes a key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Decimal,
    Int32,
    Int64,
}

/// Digits of a fraction that count.
const FRACTION_DIGITS: u32 = 16;

/// Stands for a fraction below zero, which follows in 8 bytes.
const BELOW: u8 = 0x7f;
/// Stands for no fraction.
const NONE: u8 = 0x80;
/// Stands for a fraction above zero, which follows in 8 bytes.
const ABOVE: u8 = 0x81;

impl Number {
    /// The number that a comparator compares, and whether the greatest comes first.
    pub(super) fn of(comparator: Comparator) -> (Option<Number>, bool) {
        match comparator {
            Comparator::Decimal => (Some(Number::Decimal), false),
            Comparator::Int32 => (Some(Number::Int32), false),
            Comparator::Int64 => (Some(Number::Int64), false),
            Comparator::BytesReverse => (None, true),
            Comparator::DecimalReverse => (Some(Number::Decimal), true),
            Comparator::Int32Reverse => (Some(Number::Int32), true),
            Comparator::Int64Reverse => (Some(Number::Int64), true),
            _ => (None, false),
        }
    }

    /// Appends the number that `key` begins with.
    pub(super) fn write(self, key: &[u8], into: &mut Vec<u8>) {
        match self {
            Number::Decimal => {
                let (integer, fraction) = decimal(key);
                into.extend_from_slice(&ordered(integer));
                if fraction == 0 {
                    into.push(NONE);
                } else {
                    into.push(if fraction < 0 { BELOW } else { ABOVE });
                    into.extend_from_slice(&ordered(fraction));
                }
            }
            Number::Int32 => {
                let number = i64::from(i32::from_le_bytes(begin(key)));
                // Shifted up, so that the lower half is zero for all.
                into.extend_from_slice(&ordered(number << 32)[..4]);
            }
            Number::Int64 => into.extend_from_slice(&ordered(i64::from_le_bytes(begin(key)))),
        }
    }

    /// How many bytes the number takes that `stored` begins with; `None` where it is cut short.
    pub(super) fn bytes(self, stored: &[u8]) -> Option<usize> {
        let bytes = match self {
            Number::Decimal => match *stored.get(8)? {
                NONE => 9,
                BELOW | ABOVE => 17,
                _ => return None,
            },
            Number::Int32 => 4,
            Number::Int64 => 8,
        };
        (stored.len() >= bytes).then_some(bytes)
    }
}

/// A number whose bytes are in its order.
#[expect(
    clippy::big_endian_bytes,
    reason = "the order of a number's bytes, the highest first, is the number's"
)]
pub(super) fn ordered(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// The bytes of a key's beginning, with zeros where it is shorter.
fn begin<const N: usize>(key: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let count = key.len().min(N);
    bytes[..count].copy_from_slice(&key[..count]);
    bytes
}

/// The decimal number at the beginning of a key: its integer part, which stays at the ends of its
/// type where it does not fit, and its fraction in units of 10^-16, both with its sign.
fn decimal(key: &[u8]) -> (i64, i64) {
    let blanks = key
        .iter()
        .take_while(|byte| **byte <= b' ' || **byte == 0x7f);
    let key = &key[blanks.count()..];
    let (sign, key) = match key {
        [b'-', key @ ..] => (-1, key),
        key => (1, key),
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let digits = key.iter().map_while(digit);
    let count = digits.clone().count();
    let integer = digits.fold(0_i64, |all, digit| {
        all.saturating_mul(10).saturating_add(digit)
    });
    let mut fraction = 0;
    if let [b'.', key @ ..] = &key[count..] {
        let mut digits = key.iter().map_while(digit).fuse();
        for _ in 0..FRACTION_DIGITS {
            fraction = fraction * 10 + digits.next().unwrap_or(0);
        }
    }
    (sign * integer, sign * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_what_a_key_begins_with() {
        let check = |key: &str, expected| assert_eq!(decimal(key.as_bytes()), expected, "{key:?}");
        let unit = 1_000_000_000_000_000;
        check("", (0, 0));
        check("x1", (0, 0));
        check("12", (12, 0));
        check(" \t\u{7f}-12abc", (-12, 0));
        check("- 12", (0, 0));
        check("+12", (0, 0));
        check("1.5", (1, 5 * unit));
        check("-0.25", (0, -25 * unit / 10));
        check(".75", (0, 75 * unit / 10));
        check("7.", (7, 0));
        check("7.x5", (7, 0));
        check("0.00000000000000019", (0, 1));
        check("99999999999999999999.5", (i64::MAX, 5 * unit));
        check("-99999999999999999999", (-i64::MAX, 0));
    }
}
