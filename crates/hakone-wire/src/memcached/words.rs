//! The words of a line, and the numbers that they say.

/// The words of a line from some word on. Only blanks part them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// The words of a line without its end.
    pub fn new(line: &'a [u8]) -> Words<'a> {
        Words(line)
    }

    /// The first word, if it is the only one.
    pub fn only(&self) -> Option<&'a [u8]> {
        let mut words = self.clone();
        let first = words.next()?;
        words.next().is_none().then_some(first)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|&byte| byte != b' ')?;
        let rest = &self.0[start..];
        let end = rest.iter().position(|&byte| byte == b' ');
        let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.0 = rest;
        Some(word)
    }
}

/// The number without a sign that `word` says; a plus before it does no harm.
pub(super) fn unsigned(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The number that `word` says.
pub(super) fn signed(word: &[u8]) -> Option<i64> {
    match word.strip_prefix(b"-") {
        Some(digits) if digits.first().is_some_and(u8::is_ascii_digit) => {
            0_i64.checked_sub_unsigned(unsigned(digits)?)
        }
        Some(_) => None,
        None => unsigned(word)?.try_into().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_run_of_blanks_parts_words() {
        let check = |line: &[u8], expected: &[&[u8]]| {
            assert_eq!(Words::new(line).collect::<Vec<_>>(), expected);
        };
        check(b"", &[]);
        check(b"   ", &[]);
        check(b"get", &[b"get"]);
        check(b"  get   a  ", &[b"get", b"a"]);
        check(b"get a\tb \xff", &[b"get", b"a\tb", b"\xff"]);
        assert_eq!(Words::new(b" a ").only(), Some(&b"a"[..]));
        assert_eq!(Words::new(b"a b").only(), None);
        assert_eq!(Words::new(b" ").only(), None);
    }

    #[test]
    fn numbers_are_decimal_and_fit() {
        for (word, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("+7", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("+", None),
            ("", None),
            ("1x", None),
            ("0x1", None),
        ] {
            assert_eq!(unsigned(word.as_bytes()), expected, "{word}");
        }
        for (word, expected) in [
            ("-1", Some(-1)),
            ("-0", Some(0)),
            ("+5", Some(5)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("-", None),
            ("-+1", None),
            ("--1", None),
        ] {
            assert_eq!(signed(word.as_bytes()), expected, "{word}");
        }
    }
}
