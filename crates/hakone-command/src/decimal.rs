//! Numbers as decimal text: one way to write each, so that text that is compared equal is equal.

use std::fmt;

/// The integer that `text` says: no sign but `-`, no leading zero, no blank. `None` where it says
/// none, or one that does not fit.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < 19 => {}
        _ => return None,
    }
    let mut number = 0_u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative {
        0_i64.checked_sub_unsigned(number)
    } else {
        i64::try_from(number).ok()
    }
}

/// Writes `number` at the end of `scratch`, and returns it.
pub fn format_integer(number: i64, scratch: &mut [u8; 20]) -> &[u8] {
    let mut start = digits(number.unsigned_abs(), scratch);
    if number < 0 {
        start -= 1;
        scratch[start] = b'-';
    }
    &scratch[start..]
}

/// As [`format_integer`], without a sign.
pub fn format_unsigned(number: u64, scratch: &mut [u8; 20]) -> &[u8] {
    let start = digits(number, scratch);
    &scratch[start..]
}

/// Writes the digits at the end of `scratch`, and tells where they begin.
fn digits(number: u64, scratch: &mut [u8; 20]) -> usize {
    let mut start = scratch.len();
    let mut rest = number;
    loop {
        start -= 1;
        scratch[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return start;
        }
    }
}

/// Digits behind the point that a [`Decimal`] keeps.
const PLACES: u32 = 17;

/// One, in units of the last place.
const ONE: i128 = 10_i128.pow(PLACES);

/// A number with a fraction, as Redis' `INCRBYFLOAT` keeps it: exact to 17 places behind the point
/// up to 10^20, a double beyond that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal(Held);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    /// In units of the last place, less than [`EXACT_MAX`] either way.
    Exact(i128),
    Real(f64),
}

/// What is held exactly.
const EXACT_MAX: i128 = ONE * 10_i128.pow(20);

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal(Held::Exact(0));

    /// The number that `text` says: digits, at most one point, an exponent. `None` where it says
    /// none, or one that is not finite.
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E');
        if !text.iter().all(plain) {
            return None;
        }
        let text = str::from_utf8(text).ok()?;
        let real: f64 = text.parse().ok()?;
        if !real.is_finite() {
            return None;
        }
        let exact = exact(text).filter(|number| number.abs() < EXACT_MAX);
        Some(Decimal(exact.map_or(Held::Real(real), Held::Exact)))
    }

    /// The sum; `None` where it is not finite.
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        if let (Held::Exact(a), Held::Exact(b)) = (self.0, other.0)
            && (a + b).abs() < EXACT_MAX
        {
            return Some(Decimal(Held::Exact(a + b)));
        }
        let sum = self.to_f64() + other.to_f64();
        sum.is_finite().then_some(Decimal(Held::Real(sum)))
    }

    #[expect(clippy::cast_precision_loss, reason = "as near as a double can be")]
    fn to_f64(self) -> f64 {
        match self.0 {
            Held::Exact(number) => number as f64 / ONE as f64,
            Held::Real(number) => number,
        }
    }
}

impl fmt::Display for Decimal {
    /// No exponent, no zero behind the last digit of the fraction, no point without one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            Held::Exact(number) => {
                let sign = if number < 0 { "-" } else { "" };
                let number = number.unsigned_abs();
                let one = ONE.unsigned_abs();
                format!("{sign}{}.{:017}", number / one, number % one)
            }
            Held::Real(number) => format!("{number:.17}"),
        };
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// The number in units of the last place, rounded half away from zero; `None` where it does not
/// fit. `text` is a number as Rust reads it.
fn exact(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let digits = mantissa.trim_start_matches(['-', '+']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // Places that the digits, taken as an integer, must move to the left.
    let shift = i64::from(PLACES) + i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    let mut number = 0_i128;
    let mut rounded = false;
    let count = i64::try_from(whole.len() + fraction.len()).ok()?;
    let kept = (count + shift.min(0)).max(0);
    for (i, digit) in (0_i64..).zip(whole.bytes().chain(fraction.bytes())) {
        let digit = i128::from(digit - b'0');
        if i < kept {
            number = number.checked_mul(10)?.checked_add(digit)?;
        } else if i == kept && count + shift >= 0 {
            rounded = digit >= 5;
        }
    }
    if number != 0 && shift > 0 {
        let factor = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
        number = number.checked_mul(factor)?;
    }
    number += i128::from(rounded);
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_way_to_write_an_integer() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN, 1_234_567_890_123_456_789] {
            let text = number.to_string();
            assert_eq!(parse_integer(text.as_bytes()), Some(number));
            assert_eq!(format_integer(number, &mut [0; 20]), text.as_bytes());
        }
        for number in [0, 9, 10, u64::MAX] {
            let text = number.to_string();
            assert_eq!(format_unsigned(number, &mut [0; 20]), text.as_bytes());
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551617",
            "99999999999999999999",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }

    fn sum(a: &str, b: &str) -> Option<String> {
        let (a, b) = (Decimal::parse(a.as_bytes())?, Decimal::parse(b.as_bytes())?);
        Some(a.plus(b)?.to_string())
    }

    #[test]
    fn fractions_add_up_as_people_write_them() {
        let check = |a, b, expected: &str| assert_eq!(sum(a, b).as_deref(), Some(expected));
        check("10.50", "0.1", "10.6");
        check("0.1", "0.2", "0.3");
        check("5.0e3", "2.0e2", "5200");
        check("10.6", "-5", "5.6");
        check("3", "1.000000000000000005", "4.00000000000000001");
        check("3", "1.000000000000000004", "4");
        check("-3.00", "0", "-3");
        check("1", "-1", "0");
        check(".5", "5.", "5.5");
        check("0", "1e-17", "0.00000000000000001");
        check("0", "5e-18", "0.00000000000000001");
        check("0", "5e-19", "0");
        check("0", "1e-300", "0");
        check("100000000000000000000", "1", "100000000000000000000");
        check("99999999999999999999", "0.5", "99999999999999999999.5");
        check("0e99999999", "1", "1");
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for text in [
            "", " 1", "1 ", "abc", "inf", "-inf", "nan", "1e400", "1.2.3", "e5", ".",
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(sum("1.7e308", "1.7e308"), None);
    }
}
