//! Patterns as in `SCAN MATCH`: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, `\x`.

/// A pattern, matched against whole byte strings.
#[derive(Clone, Copy, Debug)]
pub struct Glob<'a>(pub &'a [u8]);

impl<'a> Glob<'a> {
    /// What every match begins with.
    pub fn prefix(self) -> &'a [u8] {
        let end = self
            .0
            .iter()
            .position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
            .unwrap_or(self.0.len());
        self.0.get(..end).unwrap_or_default()
    }

    /// Whether `text` matches. Takes at most the product of both lengths.
    pub fn matches(self, text: &[u8]) -> bool {
        let (mut pattern, mut rest) = (self.0, text);
        // Where to go on after the last `*` has taken one byte more.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            let step = match pattern {
                [b'*', after @ ..] => {
                    if after.is_empty() {
                        return true;
                    }
                    retry = Some((after, rest));
                    pattern = after;
                    continue;
                }
                [] if rest.is_empty() => return true,
                [] => None,
                _ => match rest {
                    [] => None,
                    [byte, after @ ..] => one(pattern, *byte).map(|pattern| (pattern, after)),
                },
            };
            match (step, retry) {
                (Some(next), _) => (pattern, rest) = next,
                (None, Some((after, [_, from @ ..]))) => {
                    retry = Some((after, from));
                    (pattern, rest) = (after, from);
                }
                (None, _) => return false,
            }
        }
    }
}

/// Matches one byte against what the pattern begins with; what follows in the pattern if it does.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', after @ ..] => Some(after),
        [b'\\', escaped, after @ ..] => (*escaped == byte).then_some(after),
        [b'[', class @ ..] => {
            let (found, after) = in_class(class, byte);
            found.then_some(after)
        }
        [literal, after @ ..] => (*literal == byte).then_some(after),
        [] => None,
    }
}

/// Whether the byte is of the class whose bytes come first, and what follows it. A class that is
/// not closed ends with the pattern.
fn in_class(class: &[u8], byte: u8) -> (bool, &[u8]) {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => return (found != negated, rest),
            [b']', after @ ..] => return (found != negated, after),
            [b'\\', escaped, after @ ..] => {
                found |= *escaped == byte;
                after
            }
            [low, b'-', high, after @ ..] => {
                let (low, high) = (low.min(high), low.max(high));
                found |= (low..=high).contains(&&byte);
                after
            }
            [literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let check = |pattern: &str, text: &str, expected| {
            let found = Glob(pattern.as_bytes()).matches(text.as_bytes());
            assert_eq!(found, expected, "{pattern} {text}");
        };
        check("", "", true);
        check("", "a", false);
        check("*", "", true);
        check("a*", "abc", true);
        check("*c", "abc", true);
        check("a*c", "abcbc", true);
        check("a*b*c", "axxbxxc", true);
        check("a*b*c", "axxbxx", false);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("[abc]", "b", true);
        check("[^abc]", "b", false);
        check("[^abc]", "d", true);
        check("[a-c]x", "bx", true);
        check("[c-a]x", "bx", true);
        check("[a-c]x", "dx", false);
        check("\\*", "*", true);
        check("\\*", "a", false);
        check("[\\]]", "]", true);
        check("h*llo*", "hello world", true);
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!Glob(pattern.as_bytes()).matches(&vec![b'a'; 20_000]));
    }

    #[test]
    fn the_prefix_ends_before_the_first_sign() {
        assert_eq!(Glob(b"user:*").prefix(), b"user:");
        assert_eq!(Glob(b"plain").prefix(), b"plain");
        assert_eq!(Glob(b"a\\*").prefix(), b"a");
    }
}
