//! Requests typed as a line: words split at blanks, with quotes.

/// The words of a line. `None` where quotes are not balanced, or something follows a closing one.
pub fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [b'"', after @ ..] => {
                    rest = double_quoted(after, &mut word)?;
                    break;
                }
                [b'\'', after @ ..] => {
                    rest = single_quoted(after, &mut word)?;
                    break;
                }
                [] | [b' ' | b'\t' | b'\r' | b'\n' | 0, ..] => break,
                [byte, after @ ..] => {
                    word.push(*byte);
                    rest = after;
                }
            }
        }
        words.push(word);
        if let [0, ..] = rest {
            return Some(words);
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push((hex(*high) << 4) | hex(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [b'"', after @ ..] => return ends_word(after),
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
            [] => return None,
        }
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a' - 10),
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [b'\'', after @ ..] => return ends_word(after),
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
            [] => return None,
        }
    }
}

fn ends_word(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        None | Some(0) => Some(rest),
        Some(byte) if byte.is_ascii_whitespace() || *byte == 0x0b => Some(rest),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_unquoted() {
        let check = |line: &[u8], expected: Option<&[&[u8]]>| {
            let words = split(line);
            let words: Option<Vec<&[u8]>> = words
                .as_ref()
                .map(|words| words.iter().map(Vec::as_slice).collect());
            assert_eq!(words.as_deref(), expected, "{}", line.escape_ascii());
        };
        check(b"", Some(&[]));
        check(b"  \r", Some(&[]));
        check(b"PING", Some(&[b"PING"]));
        check(b" set  a\tb \r", Some(&[b"set", b"a", b"b"]));
        check(br#"set a "b c""#, Some(&[b"set", b"a", b"b c"]));
        check(
            br#"a "\x41\n\r\t\b\a\"\\\q""#,
            Some(&[b"a", b"A\n\r\t\x08\x07\"\\q"]),
        );
        check(br#"a "\xZ1""#, Some(&[b"a", b"xZ1"]));
        check(br"a 'it\'s \n'", Some(&[b"a", br"it's \n"]));
        check(br#"a """#, Some(&[b"a", b""]));
        check(br#"a"b""#, Some(&[b"ab"]));
        check(br#"a "b"#, None);
        check(br#"a "b"c"#, None);
        check(br"a 'b", None);
        check(br"a 'b'c", None);
        check(br#"a "\"#, None);
    }
}
