//! POSIX extended regular expressions over bytes, told to an engine that never goes back: time is
//! linear in the key.

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of a pattern: 4 KiB, far more than anyone writes; reading one takes a hundred times its
/// size.
const PATTERN_BYTES_MAX: usize = 4 << 10;

/// Bytes that a compiled pattern, and the states made while it runs, may each take: 1 MiB.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// The pattern, if it is one.
pub fn compile(pattern: &[u8]) -> Option<Regex> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return None;
    }
    let translated = translate(pattern)?;
    RegexBuilder::new(&translated)
        .unicode(false)
        .dot_matches_new_line(true)
        .octal(false)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .ok()
}

/// The same pattern in the engine's words: bytes above ASCII by their number, and everything in
/// brackets that POSIX takes as it stands with a backslash before it.
fn translate(pattern: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'[' => rest = brackets(after, &mut out)?,
            b'\\' => {
                let (escaped, after) = after.split_first()?;
                rest = after;
                // A digit would be what the engine takes for a number.
                if escaped.is_ascii_punctuation() || b"bBwWsS".contains(escaped) {
                    out.push('\\');
                }
                literal(*escaped, &mut out);
            }
            _ => literal(*byte, &mut out),
        }
    }
    Some(out)
}

/// The classes of characters that POSIX names.
const CLASSES: &[&str] = &[
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "xdigit",
];

/// Translates what follows `[` to the closing `]`, and returns what follows that.
fn brackets<'a>(mut rest: &'a [u8], out: &mut String) -> Option<&'a [u8]> {
    out.push('[');
    if let [b'^', after @ ..] = rest {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    // The last byte was the dash of a range.
    let mut ranges = false;
    loop {
        let (byte, after) = rest.split_first()?;
        let dash = *byte == b'-' && !first && !ranges && after.first() != Some(&b']');
        match byte {
            b']' if !first => {
                out.push(']');
                return Some(after);
            }
            b'[' if after.first() == Some(&b':') => {
                let end = 1 + after[1..].windows(2).position(|pair| pair == b":]")?;
                let class = CLASSES
                    .iter()
                    .find(|class| after[1..end] == *class.as_bytes())?;
                out.push_str("[:");
                out.push_str(class);
                out.push_str(":]");
                rest = &after[end + 2..];
                (first, ranges) = (false, false);
                continue;
            }
            // Collating elements and equivalence classes.
            b'[' if matches!(after.first(), Some(b'.' | b'=')) => return None,
            b'-' if dash => out.push('-'),
            byte if byte.is_ascii_punctuation() => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            byte => literal(*byte, out),
        }
        rest = after;
        first = false;
        ranges = dash;
    }
}

fn literal(byte: u8, out: &mut String) {
    if byte.is_ascii() {
        out.push(char::from(byte));
    } else {
        use std::fmt::Write;
        // Writing to a string can't fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &[u8], finds: &[&[u8]], not: &[&[u8]]) {
        let regex = compile(pattern).unwrap_or_else(|| panic!("{}", pattern.escape_ascii()));
        for text in finds {
            assert!(
                regex.is_match(text),
                "{} {}",
                pattern.escape_ascii(),
                text.escape_ascii()
            );
        }
        for text in not {
            assert!(
                !regex.is_match(text),
                "{} {}",
                pattern.escape_ascii(),
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn patterns_are_those_of_posix() {
        check(b"", &[b"", b"a"], &[]);
        check(b"^a[12]$", &[b"a1"], &[b"a12", b"xa1", b"a1\n"]);
        check(b"a.c", &[b"a\nc", b"a\xffc"], &[b"ac"]);
        check(b"[]x]", &[b"]", b"x"], &[b"a"]);
        check(b"[^]x]", &[b"a"], &[b"]", b"x"]);
        check(b"^[\\.]$", &[b"\\", b"."], &[b"a"]);
        check(b"^[[]$", &[b"["], &[b"a"]);
        check(b"^[a-c&&b]$", &[b"a", b"&"], &[b"d"]);
        check(b"^[[:digit:]_]+$", &[b"1_2"], &[b"a"]);
        check(b"^[a-]$", &[b"-", b"a"], &[b"b"]);
        check(b"^[+--]$", &[b"+", b",", b"-"], &[b"."]);
        check(b"^[-a]$", &[b"-", b"a"], &[b"b"]);
        check(b"(ab){2}|x+", &[b"abab", b"x"], &[b"ab"]);
        check(b"a\\.b", &[b"a.b"], &[b"axb"]);
        check(b"^\\d$", &[b"d"], &[b"1"]);
        check(b"\xc3\xa9", &["\u{e9}".as_bytes()], &[b"e", b"\xc3"]);
        check(b"^[\xc3\xa9]$", &[b"\xc3", b"\xa9"], &["\u{e9}".as_bytes()]);
        check(b"A", &[b"A"], &[b"a"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            &b"("[..],
            b"a)",
            b"[a",
            b"[]",
            b"*",
            b"a{2,1}",
            b"\\",
            b"[[.a.]]",
            b"[[:none:]]",
            b"[b-a]",
            b"(?P<n",
            b"(((((((((((((((((((a{1000}){1000}){1000}",
            &[b'a'; PATTERN_BYTES_MAX + 1],
        ] {
            assert!(compile(pattern).is_none(), "{}", pattern.escape_ascii());
        }
    }
}
