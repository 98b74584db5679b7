//! Stored keys: a user's key as bytes whose order is the wanted one.
//!
//! A tree compares bytes and nothing else, and the log holds what the tree does. So orders other
//! than that of bytes, several values of one key, and arrays are all made here, and replay,
//! compaction and checkpoints know nothing of them:
//!
//! ```text
//! plain tree, hash    key
//! with a comparator   number key                            the number in an order of bytes
//! with duplicates     [number] escaped-key 00 sequence      00 in the key is 00 FF
//! array               id                                    8 bytes, the highest first
//! ```
//!
//! Where the greatest comes first, keys are stored as where the least does, and every direction is
//! turned round: what comes first is the highest stored key. `docs/format/keys.md` tells the bytes.
//!
//! It is pure. What depends on the records that are there it asks of [`Neighbours`].

mod array;
mod number;
mod sequence;
mod span;

pub(crate) use span::{Edge, Span};

use crate::DatabaseOptions;
use hakone_command::{Direction, End, Error, Kind, Place, Position, Range, Result};
use number::Number;
use std::borrow::Cow;
use std::ops::Bound;

/// A key as the tree and the log hold it.
pub(crate) type Stored<'k> = Cow<'k, [u8]>;

/// How the keys of a database are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Codec {
    order: Order,
    duplicates: bool,
    /// Whether the greatest key comes first.
    reverse: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Bytes,
    Number(Number),
    Array,
}

/// The records that are there, as far as a codec has to know them.
pub(crate) trait Neighbours {
    /// The lowest stored key in the span that has a record which has not expired, or the highest.
    fn edge(&self, span: &Span<'_>, highest: bool) -> Option<Vec<u8>>;
}

/// Ends a key that may have several values. Behind it comes a sequence.
const END: u8 = 0;
/// Behind a 0: it is one of the key. Above whatever a sequence begins with.
const ESCAPED: u8 = 0xff;

const NO_DUPLICATES: &str =
    "several values of one key; make a tree with duplicates=true, or put under another key";

impl Codec {
    /// Of databases that store keys as they are.
    pub(crate) const PLAIN: Codec = Codec {
        order: Order::Bytes,
        duplicates: false,
        reverse: false,
    };

    pub(crate) fn new(options: &DatabaseOptions) -> Codec {
        let (number, reverse) = Number::of(options.comparator);
        Codec {
            order: match (options.kind, number) {
                (Kind::Array, _) => Order::Array,
                (_, Some(number)) => Order::Number(number),
                _ => Order::Bytes,
            },
            duplicates: options.duplicates,
            reverse,
        }
    }

    /// Whether keys are stored as they are.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        self.order == Order::Bytes && !self.duplicates
    }

    /// Whether this way goes from high stored keys to low ones.
    pub(crate) fn descends(self, direction: Direction) -> bool {
        (direction == Direction::Backward) != self.reverse
    }

    /// The stored key, but for the sequence behind it. Not for arrays.
    #[inline]
    fn head(self, key: &[u8]) -> Stored<'_> {
        if self.is_plain() {
            return Cow::Borrowed(key);
        }
        let mut head = Vec::with_capacity(key.len() + 32);
        if let Order::Number(number) = self.order {
            number.write(key, &mut head);
        }
        if self.duplicates {
            escape(key, &mut head);
            head.push(END);
        } else {
            head.extend_from_slice(key);
        }
        Cow::Owned(head)
    }

    /// The user's key of a stored one.
    ///
    /// # Errors
    /// `Corrupt` where it is none of this codec's.
    pub(crate) fn key(self, stored: &[u8]) -> Result<Cow<'_, [u8]>> {
        if self.is_plain() {
            return Ok(Cow::Borrowed(stored));
        }
        self.decode(stored).ok_or_else(|| {
            Error::Corrupt(format!(
                "the stored key '{}' is none of this database's order: what wrote it was another one",
                stored.escape_ascii().take(80).map(char::from).collect::<String>()
            ))
        })
    }

    fn decode(self, stored: &[u8]) -> Option<Cow<'_, [u8]>> {
        let key = match self.order {
            Order::Array => return Some(Cow::Owned(array::text(array::id_of(stored)?))),
            Order::Number(number) => &stored[number.bytes(stored)?..],
            Order::Bytes => stored,
        };
        if !self.duplicates {
            return Some(Cow::Borrowed(key));
        }
        let key = &key[..end_of(key)?];
        Some(if key.contains(&END) {
            Cow::Owned(unescape(key))
        } else {
            Cow::Borrowed(key)
        })
    }

    /// What all stored keys of one user's key have in common: what tells it from others.
    #[inline]
    pub(crate) fn group(self, stored: &[u8]) -> &[u8] {
        if !self.duplicates {
            return stored;
        }
        let number = match self.order {
            Order::Number(number) => number.bytes(stored).unwrap_or(stored.len()),
            _ => 0,
        };
        match end_of(&stored[number..]) {
            Some(end) => &stored[..=number + end],
            None => stored,
        }
    }

    /// As [`Codec::group`], of a user's key; `None` where it depends on the records that there are.
    #[inline]
    pub(crate) fn group_of(self, key: &[u8]) -> Option<Stored<'_>> {
        if self.order != Order::Array {
            return Some(self.head(key));
        }
        match array::Key::parse(key) {
            Ok(array::Key::Id(id)) => Some(Cow::Owned(array::stored(id).to_vec())),
            _ => None,
        }
    }

    /// All stored keys of a key of a tree.
    fn values(self, key: &[u8]) -> Span<'_> {
        Span::new(
            self.low(Bound::Included(key)),
            self.high(Bound::Included(key)),
        )
    }

    /// The stored key of the record that a command reads or removes: the first of a key's.
    /// `None`: there can't be one.
    ///
    /// # Errors
    /// `Invalid` where it is no key of an array.
    #[inline]
    pub(crate) fn find<'k>(
        self,
        key: &'k [u8],
        there: &dyn Neighbours,
    ) -> Result<Option<Stored<'k>>> {
        Ok(match self.order {
            Order::Array => {
                let id = array::Key::parse(key)?.id(there);
                id.map(|id| Cow::Owned(array::stored(id).to_vec()))
            }
            _ if self.duplicates => there.edge(&self.values(key), self.reverse).map(Cow::Owned),
            _ => Some(self.head(key)),
        })
    }

    /// The stored key of the record that a command writes: the first of a key's, or a new one.
    ///
    /// # Errors
    /// `Invalid` where it is no key of an array, or none that it can get.
    #[inline]
    pub(crate) fn place<'k>(self, key: &'k [u8], there: &dyn Neighbours) -> Result<Stored<'k>> {
        Ok(match self.order {
            Order::Array => {
                let id = array::Key::parse(key)?.id_to_write(there)?;
                Cow::Owned(array::stored(id).to_vec())
            }
            _ if self.duplicates => match there.edge(&self.values(key), self.reverse) {
                Some(first) => Cow::Owned(first),
                None => Cow::Owned([&*self.head(key), &sequence::only()].concat()),
            },
            _ => self.head(key),
        })
    }

    /// The stored key of one more value of a key, before or after all others.
    ///
    /// # Errors
    /// `Unsupported` without duplicates.
    pub(crate) fn duplicate(self, key: &[u8], end: End, there: &dyn Neighbours) -> Result<Vec<u8>> {
        if !self.duplicates {
            return Err(Error::Unsupported(NO_DUPLICATES));
        }
        let is_above = (end == End::Back) != self.reverse;
        let head = self.head(key);
        let sequence = match there.edge(&self.values(key), is_above) {
            None => Some(sequence::only()),
            Some(last) => {
                let last = last.get(head.len()..).unwrap_or_default();
                if is_above {
                    sequence::above(last)
                } else {
                    sequence::below(last)
                }
            }
        };
        let sequence = sequence.ok_or_else(|| no_room(key))?;
        Ok([&*head, &sequence].concat())
    }

    /// The stored key of a value beside that at a position, which is a record's.
    ///
    /// # Errors
    /// `Unsupported` without duplicates; `Corrupt` where it is no position of this codec's.
    pub(crate) fn beside(
        self,
        position: &[u8],
        place: Place,
        there: &dyn Neighbours,
    ) -> Result<Vec<u8>> {
        if place == Place::Current {
            return Ok(position.to_vec());
        }
        if !self.duplicates {
            return Err(Error::Unsupported(NO_DUPLICATES));
        }
        let key = self.key(position)?;
        let is_above = (place == Place::After) != self.reverse;
        let here = Bound::Excluded(Cow::Borrowed(position));
        let beyond = if is_above {
            self.values(&key).above(here)
        } else {
            self.values(&key).below(here)
        };
        let head = self.head(&key);
        let here = position.get(head.len()..).unwrap_or_default();
        let neighbour = there.edge(&beyond, !is_above);
        let neighbour = neighbour.as_ref().and_then(|key| key.get(head.len()..));
        let sequence = match (neighbour, is_above) {
            (Some(neighbour), true) => sequence::between(here, neighbour),
            (Some(neighbour), false) => sequence::between(neighbour, here),
            (None, true) => sequence::above(here).map(|sequence| sequence.to_vec()),
            (None, false) => sequence::below(here).map(|sequence| sequence.to_vec()),
        };
        let sequence = sequence.ok_or_else(|| no_room(&key))?;
        Ok([&*head, &sequence].concat())
    }

    /// The lower bound of the stored keys of a tree that come from this bound on.
    fn low(self, bound: Bound<&[u8]>) -> Edge<'_> {
        match bound {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) => Bound::Included(self.head(key)),
            Bound::Excluded(key) if self.duplicates => Bound::Included(self.beyond(key)),
            Bound::Excluded(key) => Bound::Excluded(self.head(key)),
        }
    }

    /// The upper bound of the stored keys of a tree that come up to this bound.
    fn high(self, bound: Bound<&[u8]>) -> Edge<'_> {
        match bound {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) if self.duplicates => Bound::Excluded(self.beyond(key)),
            Bound::Included(key) => Bound::Included(self.head(key)),
            Bound::Excluded(key) => Bound::Excluded(self.head(key)),
        }
    }

    /// Above all values of a key, and below those of the next.
    fn beyond(self, key: &[u8]) -> Stored<'static> {
        let mut beyond = self.head(key).into_owned();
        beyond.push(ESCAPED);
        Cow::Owned(beyond)
    }

    /// A bound of an array's.
    fn edge(bound: Bound<&[u8]>, there: &dyn Neighbours) -> Result<Option<Edge<'static>>> {
        let stored = |key: &[u8]| -> Result<Option<Stored<'static>>> {
            let id = array::Key::parse(key)?.id(there);
            Ok(id.map(|id| Cow::Owned(array::stored(id).to_vec())))
        };
        Ok(match bound {
            Bound::Unbounded => Some(Bound::Unbounded),
            Bound::Included(key) => stored(key)?.map(Bound::Included),
            Bound::Excluded(key) => stored(key)?.map(Bound::Excluded),
        })
    }

    /// The stored keys of a range, or more where [`Codec::prefix`] says so.
    ///
    /// # Errors
    /// `Invalid` where a bound is no key of an array.
    pub(crate) fn span<'k>(self, range: Range<'k>, there: &dyn Neighbours) -> Result<Span<'k>> {
        let (from, to) = match range {
            Range::Prefix(prefix) if self.order == Order::Bytes && !prefix.is_empty() => {
                let mut with = Cow::Borrowed(prefix);
                if self.duplicates {
                    let mut escaped = Vec::with_capacity(prefix.len() + 8);
                    escape(prefix, &mut escaped);
                    with = Cow::Owned(escaped);
                }
                return Ok(Span::beginning(with));
            }
            Range::All | Range::Prefix(_) => return Ok(Span::ALL),
            Range::Between(from, to) if self.reverse => (to, from),
            Range::Between(from, to) => (from, to),
        };
        if self.order != Order::Array {
            return Ok(Span::new(self.low(from), self.high(to)));
        }
        let (from, to) = (Codec::edge(from, there)?, Codec::edge(to, there)?);
        Ok(match (from, to) {
            (Some(from), Some(to)) => Span::new(from, to),
            _ => Span::EMPTY,
        })
    }

    /// The prefix that keys in the span of a range are still to be compared with, if any.
    pub(crate) fn prefix(self, range: Range<'_>) -> Option<&[u8]> {
        match range {
            Range::Prefix(prefix) if self.order != Order::Bytes && !prefix.is_empty() => {
                Some(prefix)
            }
            _ => None,
        }
    }

    /// What is left of a span from a position on.
    ///
    /// # Errors
    /// `Invalid` where it is no key of an array.
    pub(crate) fn from<'k>(
        self,
        span: Span<'k>,
        position: Position<'k>,
        direction: Direction,
        there: &dyn Neighbours,
    ) -> Result<Span<'k>> {
        let bound = match position {
            Position::At(key) => Bound::Included(key),
            Position::After(key) => Bound::Excluded(key),
            Position::Resume(position) => {
                let here = Bound::Excluded(Cow::Borrowed(position));
                return Ok(if self.descends(direction) {
                    span.below(here)
                } else {
                    span.above(here)
                });
            }
            _ => return Ok(span),
        };
        let descends = self.descends(direction);
        let edge = match self.order {
            Order::Array => match Codec::edge(bound, there)? {
                Some(edge) => edge,
                None => return Ok(Span::EMPTY),
            },
            _ if descends => self.high(bound),
            _ => self.low(bound),
        };
        Ok(if descends {
            span.below(edge)
        } else {
            span.above(edge)
        })
    }
}

fn no_room(key: &[u8]) -> Error {
    Error::Invalid(format!(
        "the key '{}' has so many values put at one place that there is no room for one more there; \
         put it at an end of the key's values",
        key.escape_ascii()
            .take(80)
            .map(char::from)
            .collect::<String>()
    ))
}

/// Appends a key so that the order stays, and that no key begins another behind an end.
fn escape(key: &[u8], into: &mut Vec<u8>) {
    let mut parts = key.split(|byte| *byte == END);
    into.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        into.extend_from_slice(&[END, ESCAPED]);
        into.extend_from_slice(part);
    }
}

fn unescape(escaped: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(escaped.len());
    let mut was_end = false;
    for &byte in escaped {
        if !(was_end && byte == ESCAPED) {
            key.push(byte);
        }
        was_end = byte == END;
    }
    key
}

/// Where an escaped key ends.
fn end_of(escaped: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + escaped[from..].iter().position(|byte| *byte == END)?;
        if escaped.get(end + 1) != Some(&ESCAPED) {
            return Some(end);
        }
        from = end + 2;
    }
}

#[cfg(test)]
mod tests;
