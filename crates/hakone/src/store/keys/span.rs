//! A run of stored keys that are neighbours.

use std::borrow::Cow;
use std::ops::Bound;

/// A bound of stored keys.
pub(crate) type Edge<'k> = Bound<Cow<'k, [u8]>>;

/// The stored keys between two bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span<'k> {
    low: Edge<'k>,
    high: Edge<'k>,
}

impl<'k> Span<'k> {
    /// All keys.
    pub(crate) const ALL: Span<'static> = Span {
        low: Bound::Unbounded,
        high: Bound::Unbounded,
    };

    /// No key.
    pub(crate) const EMPTY: Span<'static> = Span {
        low: Bound::Excluded(Cow::Borrowed(&[])),
        high: Bound::Excluded(Cow::Borrowed(&[])),
    };

    pub(crate) fn new(low: Edge<'k>, high: Edge<'k>) -> Span<'k> {
        Span { low, high }
    }

    /// Keys that begin with these bytes.
    pub(crate) fn beginning(with: Cow<'k, [u8]>) -> Span<'k> {
        let Some(last) = with.iter().rposition(|byte| *byte != 0xff) else {
            return Span::new(Bound::Included(with), Bound::Unbounded);
        };
        let mut high = with[..=last].to_vec();
        high[last] += 1;
        Span::new(Bound::Included(with), Bound::Excluded(Cow::Owned(high)))
    }

    /// The bounds, the lower one first.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (borrow(&self.low), borrow(&self.high))
    }

    /// Whether a key is in it.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        std::ops::RangeBounds::<[u8]>::contains(&self.bounds(), key)
    }

    /// Whether it is plain that no key can be in it: the bounds are the wrong way round.
    pub(crate) fn is_empty(&self) -> bool {
        match self.bounds() {
            (Bound::Unbounded, Bound::Excluded(high)) => high.is_empty(),
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (
                Bound::Included(low) | Bound::Excluded(low),
                Bound::Included(high) | Bound::Excluded(high),
            ) => low >= high,
        }
    }

    /// Only the keys that are within this lower bound, too.
    pub(crate) fn above(self, low: Edge<'k>) -> Span<'k> {
        let low = match (&self.low, &low) {
            (_, Bound::Unbounded) => self.low,
            (Bound::Unbounded, _) => low,
            (
                Bound::Included(there) | Bound::Excluded(there),
                Bound::Included(new) | Bound::Excluded(new),
            ) => {
                if there > new || there == new && matches!(self.low, Bound::Excluded(_)) {
                    self.low
                } else {
                    low
                }
            }
        };
        Span { low, ..self }
    }

    /// Only the keys that are within this upper bound, too.
    pub(crate) fn below(self, high: Edge<'k>) -> Span<'k> {
        let high = match (&self.high, &high) {
            (_, Bound::Unbounded) => self.high,
            (Bound::Unbounded, _) => high,
            (
                Bound::Included(there) | Bound::Excluded(there),
                Bound::Included(new) | Bound::Excluded(new),
            ) => {
                if there < new || there == new && matches!(self.high, Bound::Excluded(_)) {
                    self.high
                } else {
                    high
                }
            }
        };
        Span { high, ..self }
    }
}

fn borrow<'s>(edge: &'s Edge<'_>) -> Bound<&'s [u8]> {
    match edge {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&[u8]; 9] = [
        b"",
        b"\0",
        b"a",
        b"a\0",
        b"a\xfe",
        b"a\xff",
        b"b",
        b"\xff",
        b"\xff\xff",
    ];

    fn edges() -> Vec<Edge<'static>> {
        let keys = KEYS.iter().map(|key| Cow::Borrowed(*key));
        let both = keys.flat_map(|key| [Bound::Included(key.clone()), Bound::Excluded(key)]);
        both.chain([Bound::Unbounded]).collect()
    }

    #[test]
    fn a_narrowed_span_holds_what_both_hold() {
        for low in edges() {
            for high in edges() {
                let span = Span::new(low.clone(), high.clone());
                for edge in edges() {
                    let above = span.clone().above(edge.clone());
                    let below = span.clone().below(edge.clone());
                    for key in KEYS {
                        let held = span.contains(key);
                        let low = Span::new(edge.clone(), Bound::Unbounded).contains(key);
                        let high = Span::new(Bound::Unbounded, edge.clone()).contains(key);
                        assert_eq!(above.contains(key), held && low);
                        assert_eq!(below.contains(key), held && high);
                        assert!(!(held && span.is_empty()));
                    }
                }
            }
        }
    }

    #[test]
    fn a_beginning_holds_what_begins_so() {
        for with in KEYS {
            let span = Span::beginning(Cow::Borrowed(with));
            for key in KEYS {
                assert_eq!(
                    span.contains(key),
                    key.starts_with(with),
                    "{with:?} {key:?}"
                );
            }
        }
        assert!(Span::EMPTY.is_empty() && !Span::ALL.is_empty());
    }
}
