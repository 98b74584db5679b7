//! The target of a request: its origin, its path, and the bytes that escapes stand for.

use std::borrow::Cow;

/// A target without the `http://host` that it may begin with, and that host.
pub fn origin_and_path(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let scheme = b"http://";
    let Some(start) = target.get(..scheme.len()) else {
        return (None, target);
    };
    if !start.eq_ignore_ascii_case(scheme) {
        return (None, target);
    }
    let rest = target.get(scheme.len()..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let (host, path) = rest.split_at(end.unwrap_or(rest.len()));
    (Some(host), path)
}

/// The bytes that a part of a target stands for: `%XX` is a byte, `+` a blank. At an escape that is
/// none, `Err` has what came before it.
///
/// # Errors
/// The bytes before the first `%` that two hexadecimal digits do not follow.
pub fn percent_decode(text: &[u8]) -> Result<Cow<'_, [u8]>, Vec<u8>> {
    let Some(first) = text.iter().position(|byte| matches!(byte, b'%' | b'+')) else {
        return Ok(Cow::Borrowed(text));
    };
    let (plain, mut rest) = text.split_at(first);
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(plain);
    loop {
        rest = match rest {
            [] => return Ok(Cow::Owned(out)),
            [b'+', after @ ..] => {
                out.push(b' ');
                after
            }
            [b'%', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                out.push(digit(*high) << 4 | digit(*low));
                after
            }
            [b'%', ..] => return Err(out),
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        }
    }
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        _ => (hex | 0x20).wrapping_sub(b'a' - 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_told_from_the_path() {
        type Split = (Option<&'static str>, &'static str);
        let check = |target: &str, (host, path): Split| {
            let expected = (host.map(str::as_bytes), path.as_bytes());
            assert_eq!(origin_and_path(target.as_bytes()), expected, "{target}");
        };
        check("/a?b", (None, "/a?b"));
        check("*", (None, "*"));
        check("http://h:1/a/b", (Some("h:1"), "/a/b"));
        check("HTTP://h", (Some("h"), ""));
        check("http://h?a", (Some("h"), "?a"));
        check("http:/h", (None, "http:/h"));
        check("https://h/a", (None, "https://h/a"));
    }

    #[test]
    fn escapes_stand_for_bytes() {
        let check = |text: &str, expected: &[u8]| {
            let decoded = percent_decode(text.as_bytes());
            assert_eq!(decoded.unwrap(), expected, "{text}");
        };
        check("", b"");
        check("plain/~.-", b"plain/~.-");
        check("a+b%20c%2Fd%2f", b"a b c/d/");
        check("%00%ff%E9", b"\x00\xff\xe9");
        for text in ["ab%", "ab%2", "ab%2g", "ab%g2", "ab%%20", "ab%+1"] {
            let before = percent_decode(text.as_bytes()).unwrap_err();
            assert_eq!(before, b"ab", "{text}");
        }
    }
}
