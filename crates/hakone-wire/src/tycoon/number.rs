//! Numbers as text, read as leniently as Tycoon reads them.

/// The integer that `text` begins with: blanks and a sign may stand before the digits, anything
/// after them; no digits are 0, and what is too large wraps.
pub fn parse_integer(text: &[u8]) -> i64 {
    let (negative, digits) = sign(text);
    let mut number = 0_i64;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        number = number
            .wrapping_mul(10)
            .wrapping_add(i64::from(digit - b'0'));
    }
    if negative {
        number.wrapping_neg()
    } else {
        number
    }
}

/// The real number that `text` begins with, likewise: with a fraction and an exponent, or `inf` or
/// `nan` in any case.
pub fn parse_double(text: &[u8]) -> f64 {
    let (negative, rest) = sign(text);
    let begins = |word: &[u8]| {
        rest.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    let number = if begins(b"inf") {
        f64::INFINITY
    } else if begins(b"nan") {
        f64::NAN
    } else {
        let number = std::str::from_utf8(&rest[..decimal(rest)]).ok();
        number.and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    if negative { -number } else { number }
}

/// How many bytes of a decimal number are at the start of `text`.
fn decimal(text: &[u8]) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        from + count
    };
    let mut end = digits(0);
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
        let from = end + 1 + usize::from(signed);
        let exponent_end = digits(from);
        if exponent_end > from {
            end = exponent_end;
        }
    }
    end
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    let blanks = text.iter().take_while(|&&byte| byte <= b' ').count();
    match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest.strip_prefix(b"+").unwrap_or(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_far_as_they_go() {
        for (text, number) in [
            ("", 0),
            ("x", 0),
            ("-", 0),
            ("12abc", 12),
            ("  \t-7", -7),
            ("+7", 7),
            ("- 7", 0),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775808", i64::MIN),
            ("-9223372036854775808", i64::MIN),
            ("18446744073709551617", 1),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn doubles_are_read_as_far_as_they_go() {
        for (text, number) in [
            ("", 0.0),
            ("1.25", 1.25),
            (" -3.5x", -3.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1e", 1.0),
            ("1e+", 1.0),
            ("2E-1", 0.2),
            ("-INFx", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
        ] {
            assert_eq!(
                parse_double(text.as_bytes()).to_bits(),
                f64::to_bits(number),
                "{text}"
            );
        }
        assert!(parse_double(b"NaN").is_nan());
    }
}
