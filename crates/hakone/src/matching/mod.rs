//! Which keys a search tells: those that a pattern matches, and those that are like a word.

mod pattern;
mod similar;

pub use pattern::compile;
pub use similar::{ORIGIN_BYTES_MAX, Similar};

use hakone_command::{Error, Filter, Result};
use regex::bytes::Regex;

/// A filter made ready.
#[derive(Debug)]
pub(crate) enum Matcher {
    All,
    Regex(Regex),
    Similar(Similar),
}

impl Matcher {
    /// # Errors
    /// `Invalid` for a pattern that is none, or a word that is too long.
    pub(crate) fn new(filter: Filter<'_>) -> Result<Matcher> {
        Ok(match filter {
            Filter::All => Matcher::All,
            Filter::Regex(pattern) => Matcher::Regex(compile(pattern).ok_or_else(|| {
                Error::Invalid(format!(
                    "{:?} is not a POSIX extended regular expression that can be compiled",
                    String::from_utf8_lossy(pattern)
                ))
            })?),
            Filter::Similar { to, .. } if to.len() > ORIGIN_BYTES_MAX => {
                return Err(Error::Invalid(format!(
                    "keys are compared with a word of at most {ORIGIN_BYTES_MAX} bytes, not {}",
                    to.len()
                )));
            }
            Filter::Similar { to, distance, utf8 } => {
                Matcher::Similar(Similar::new(to, u64::from(distance), utf8))
            }
        })
    }

    #[inline]
    pub(crate) fn takes(&mut self, key: &[u8]) -> bool {
        match self {
            Matcher::All => true,
            Matcher::Regex(regex) => regex.is_match(key),
            Matcher::Similar(similar) => similar.distance(key).is_some(),
        }
    }
}
