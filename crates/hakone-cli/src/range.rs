//! Which records a verb is about: bounds of their keys, and what keys look like.

use crate::failure::{Failure, Result};
use clap::builder::{OsStringValueParser, TypedValueParser};
use hakone::{Filter, Position, Range};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Bounds of keys, in the order of the database.
#[derive(Debug, clap::Args)]
pub(crate) struct RangeArgs {
    /// Only keys that begin with this
    #[arg(long, value_name = "P", allow_negative_numbers = true,
          conflicts_with_all = ["above", "to", "below", "interval"])]
    prefix: Option<OsString>,
    /// Only this key and those after it
    #[arg(long, value_name = "K", allow_negative_numbers = true,
          conflicts_with_all = ["above", "interval"])]
    from: Option<OsString>,
    /// Only keys after this one
    #[arg(
        long,
        value_name = "K",
        allow_negative_numbers = true,
        conflicts_with = "interval"
    )]
    above: Option<OsString>,
    /// Only this key and those before it
    #[arg(long, value_name = "K", allow_negative_numbers = true,
          conflicts_with_all = ["below", "interval"])]
    to: Option<OsString>,
    /// Only keys before this one
    #[arg(
        long,
        value_name = "K",
        allow_negative_numbers = true,
        conflicts_with = "interval"
    )]
    below: Option<OsString>,
    /// Only keys from one to another, as in `[a,b]`; ( and ) leave an end out, one that is not
    /// written is open, and those of an array may be min and max
    #[arg(long, value_name = "[K,K]",
          value_parser = OsStringValueParser::new().try_map(Interval::parse))]
    interval: Option<Interval>,
}

/// Two bounds in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interval(Bound<Vec<u8>>, Bound<Vec<u8>>);

impl Interval {
    fn parse(text: OsString) -> std::result::Result<Interval, String> {
        let text = text.into_vec();
        let wrong = || "write an interval as [a,b], with ( or ) for an end left out".to_owned();
        let [open @ (b'[' | b'('), inner @ .., close @ (b']' | b')')] = text.as_slice() else {
            return Err(wrong());
        };
        let mut keys = inner.split(|&byte| byte == b',');
        let (Some(from), Some(to), None) = (keys.next(), keys.next(), keys.next()) else {
            return Err(wrong());
        };
        let bound = |key: &[u8], is_included| match key {
            [] => Bound::Unbounded,
            key if is_included => Bound::Included(key.to_vec()),
            key => Bound::Excluded(key.to_vec()),
        };
        Ok(Interval(
            bound(from, *open == b'['),
            bound(to, *close == b']'),
        ))
    }
}

impl RangeArgs {
    /// Whether any bound is given.
    pub(crate) fn is_given(&self) -> bool {
        let bounds = [&self.prefix, &self.from, &self.above, &self.to, &self.below];
        bounds.iter().any(|bound| bound.is_some()) || self.interval.is_some()
    }

    /// The range that is meant.
    ///
    /// # Errors
    /// For a prefix with a key to begin at, which is no range but a way through one.
    pub(crate) fn range(&self) -> Result<Range<'_>> {
        match (&self.prefix, &self.from) {
            (Some(_), Some(_)) => Err(Failure::new(
                "--prefix is a range of its own, give it without --from",
            )),
            (Some(prefix), None) => Ok(Range::Prefix(prefix.as_bytes())),
            (None, from) => Ok(self.between(from.as_deref())),
        }
    }

    /// Where to begin going forward, and the range of what follows.
    pub(crate) fn begun(&self) -> (Position<'_>, Range<'_>) {
        let from = self.from.as_deref().map(OsStr::as_bytes);
        let range = match &self.prefix {
            Some(prefix) => Range::Prefix(prefix.as_bytes()),
            None => self.between(None),
        };
        (from.map_or(Position::Start, Position::At), range)
    }

    /// The range from this key on that the other bounds leave.
    fn between<'a>(&'a self, from: Option<&'a OsStr>) -> Range<'a> {
        if let Some(Interval(from, to)) = &self.interval {
            let from = from.as_ref().map(Vec::as_slice);
            return Range::Between(from, to.as_ref().map(Vec::as_slice));
        }
        fn bound<'k>(included: Option<&'k OsStr>, excluded: Option<&'k OsStr>) -> Bound<&'k [u8]> {
            match (included, excluded) {
                (Some(key), _) => Bound::Included(key.as_bytes()),
                (None, Some(key)) => Bound::Excluded(key.as_bytes()),
                (None, None) => Bound::Unbounded,
            }
        }
        let from = bound(from, self.above.as_deref());
        let to = bound(self.to.as_deref(), self.below.as_deref());
        match (from, to) {
            (Bound::Unbounded, Bound::Unbounded) => Range::All,
            (from, to) => Range::Between(from, to),
        }
    }
}

/// What keys look like, whatever their order.
#[derive(Debug, clap::Args)]
pub(crate) struct FilterArgs {
    /// Only keys in which this regular expression matches somewhere; ^ and $ are their ends
    #[arg(long, value_name = "REGEX", conflicts_with = "similar")]
    regex: Option<OsString>,
    /// Only keys that are like this word: so many characters taken away, put in or exchanged at the
    /// most
    #[arg(long, value_name = "WORD")]
    similar: Option<OsString>,
    /// How many, with --similar
    #[arg(long, value_name = "N", default_value = "1", requires = "similar")]
    distance: u32,
    /// Take away, put in and exchange bytes, not characters of UTF-8
    #[arg(long, requires = "similar")]
    bytes: bool,
}

impl FilterArgs {
    /// The filter that is meant.
    pub(crate) fn filter(&self) -> Filter<'_> {
        match (&self.regex, &self.similar) {
            (Some(pattern), _) => Filter::Regex(pattern.as_bytes()),
            (None, Some(word)) => Filter::Similar {
                to: word.as_bytes(),
                distance: self.distance,
                utf8: !self.bytes,
            },
            (None, None) => Filter::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read() {
        let check = |text: &str, from: Bound<&str>, to: Bound<&str>| {
            let bytes = |bound: Bound<&str>| bound.map(|key| key.as_bytes().to_vec());
            let interval = Interval::parse(OsString::from(text));
            assert_eq!(interval, Ok(Interval(bytes(from), bytes(to))), "{text}");
        };
        check("[a,b]", Bound::Included("a"), Bound::Included("b"));
        check("(a,b)", Bound::Excluded("a"), Bound::Excluded("b"));
        check("[min,10)", Bound::Included("min"), Bound::Excluded("10"));
        check("[,b]", Bound::Unbounded, Bound::Included("b"));
        check("(a,)", Bound::Excluded("a"), Bound::Unbounded);
        for text in ["", "[", "a,b", "[a]", "[a,b,c]", "[a,b"] {
            assert!(Interval::parse(OsString::from(text)).is_err(), "{text}");
        }
    }
}
