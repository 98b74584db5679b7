//! Stored keys against straightforward comparisons of the keys themselves.

use super::*;
use crate::io::chance::Chance;
use crate::model::compare;
use hakone_command::Comparator;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Stored keys of records.
#[derive(Default)]
struct Records(BTreeSet<Vec<u8>>);

impl Neighbours for Records {
    fn edge(&self, span: &Span<'_>, highest: bool) -> Option<Vec<u8>> {
        if span.is_empty() {
            return None;
        }
        let mut keys = self.0.range::<[u8], _>(span.bounds());
        if highest {
            keys.next_back()
        } else {
            keys.next()
        }
        .cloned()
    }
}

fn codec(comparator: Comparator, duplicates: bool) -> Codec {
    Codec::new(&DatabaseOptions {
        comparator,
        duplicates,
        ..DatabaseOptions::new(Kind::Tree)
    })
}

fn codecs() -> impl Iterator<Item = (Comparator, Codec)> {
    let each = Comparator::ALL.iter().map(|(_, comparator)| *comparator);
    each.flat_map(|it| [(it, codec(it, false)), (it, codec(it, true))])
}

/// Keys with much in common: zeros, 255s, numbers of all kinds.
fn random_key(chance: &mut Chance) -> Vec<u8> {
    match chance.below(4) {
        0 => {
            let bytes = chance.index(6);
            (0..bytes)
                .map(|_| [0, 1, 0xfe, 0xff, b'a'][chance.index(5)])
                .collect()
        }
        1 => {
            let alphabet = b" -.0129";
            let bytes = chance.index(24);
            (0..bytes).map(|_| alphabet[chance.index(7)]).collect()
        }
        2 => {
            let mut key = vec![0; chance.index(10)];
            chance.fill(&mut key);
            key
        }
        _ => {
            let number = (chance.below(2000).cast_signed() - 1000) << chance.below(52);
            let fraction = [String::new(), format!(".{}", chance.below(1000))];
            format!("{number}{}", fraction[chance.index(2)]).into_bytes()
        }
    }
}

#[test]
fn stored_keys_are_in_the_order_of_the_comparator_and_give_keys_back() {
    let none = Records::default();
    let mut chance = Chance::new(1);
    for (comparator, codec) in codecs() {
        for _ in 0..20_000 {
            let (a, b) = (random_key(&mut chance), random_key(&mut chance));
            let store = |key: &[u8], chance: &mut Chance| {
                let mut stored = codec.place(key, &none).unwrap().into_owned();
                if codec.duplicates {
                    // Whatever comes behind the key, it does not change the order of keys.
                    let start = stored.len() - 8;
                    chance.fill(&mut stored[start..]);
                    stored[start] = stored[start].min(0xfe);
                }
                stored
            };
            let (low, high) = (store(&a, &mut chance), store(&b, &mut chance));
            assert_eq!(codec.key(&low).unwrap(), a);
            assert_eq!(codec.group(&low), &*codec.group_of(&a).unwrap());
            assert_eq!(codec.group(&low) == codec.group(&high), a == b);
            if a != b {
                let order = low.cmp(&high);
                let order = if codec.reverse {
                    order.reverse()
                } else {
                    order
                };
                assert_eq!(
                    order,
                    compare(comparator, &a, &b),
                    "{comparator:?} {a:?} {b:?}"
                );
            }
        }
    }
}

#[test]
fn a_plain_key_is_borrowed() {
    let none = Records::default();
    for comparator in [Comparator::Bytes, Comparator::BytesReverse] {
        let codec = codec(comparator, false);
        assert!(matches!(codec.place(b"k", &none), Ok(Cow::Borrowed(_))));
        assert!(matches!(
            codec.find(b"k", &none),
            Ok(Some(Cow::Borrowed(_)))
        ));
        assert!(matches!(codec.key(b"k"), Ok(Cow::Borrowed(_))));
    }
}

#[test]
fn a_range_is_the_keys_between_its_bounds() {
    let none = Records::default();
    let mut chance = Chance::new(2);
    for (comparator, codec) in codecs() {
        let keys: Vec<_> = (0..100).map(|_| random_key(&mut chance)).collect();
        for _ in 0..300 {
            let (from, to) = (&keys[chance.index(100)], &keys[chance.index(100)]);
            let bound = |key: &'_ Vec<u8>, chance: &mut Chance| match chance.below(3) {
                0 => Bound::Unbounded,
                1 => Bound::Included(key.clone()),
                _ => Bound::Excluded(key.clone()),
            };
            let (low, high) = (bound(from, &mut chance), bound(to, &mut chance));
            let (low, high) = (low.as_ref().map(|k| &k[..]), high.as_ref().map(|k| &k[..]));
            let prefix = &from[..from.len().min(chance.index(3))];
            let span = codec.span(Range::Between(low, high), &none).unwrap();
            let with = codec.span(Range::Prefix(prefix), &none).unwrap();
            let rest = codec.prefix(Range::Prefix(prefix)).unwrap_or_default();
            for key in &keys {
                let stored = codec.place(key, &none).unwrap();
                let order = |other: &[u8]| compare(comparator, key, other);
                let is_in = match low {
                    Bound::Unbounded => true,
                    Bound::Included(low) => order(low) != Ordering::Less,
                    Bound::Excluded(low) => order(low) == Ordering::Greater,
                } && match high {
                    Bound::Unbounded => true,
                    Bound::Included(high) => order(high) != Ordering::Greater,
                    Bound::Excluded(high) => order(high) == Ordering::Less,
                };
                assert_eq!(
                    span.contains(&stored),
                    is_in,
                    "{comparator:?} {key:?} {low:?} {high:?}"
                );
                let found = with.contains(&stored) && key.starts_with(rest);
                assert_eq!(
                    found,
                    key.starts_with(prefix),
                    "{comparator:?} {key:?} {prefix:?}"
                );
            }
        }
    }
}

#[test]
fn a_position_leaves_what_comes_from_it_on() {
    let none = Records::default();
    let mut chance = Chance::new(3);
    for (comparator, codec) in codecs() {
        let keys: Vec<_> = (0..60).map(|_| random_key(&mut chance)).collect();
        for here in &keys {
            let stored = codec.place(here, &none).unwrap();
            let positions = [
                Position::At(here),
                Position::After(here),
                Position::Resume(&stored),
            ];
            for position in positions {
                for direction in [Direction::Forward, Direction::Backward] {
                    let span = codec.from(Span::ALL, position, direction, &none).unwrap();
                    for key in &keys {
                        let order = compare(comparator, key, here);
                        let order = match direction {
                            Direction::Forward => order,
                            Direction::Backward => order.reverse(),
                        };
                        let is_left = match order {
                            Ordering::Less => false,
                            Ordering::Equal => matches!(position, Position::At(_)),
                            Ordering::Greater => true,
                        };
                        let stored = codec.place(key, &none).unwrap();
                        assert_eq!(
                            span.contains(&stored),
                            is_left,
                            "{comparator:?} {position:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn values_of_one_key_stay_in_the_order_in_which_they_were_put() {
    for (comparator, codec) in codecs().filter(|(_, codec)| codec.duplicates) {
        let mut chance = Chance::new(4);
        let mut records = Records::default();
        // What is there, in the wanted order: keys with the stored keys of their values.
        let mut expected: Vec<(Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
        for _ in 0..3000 {
            let key = [&b""[..], b"\0", b"a", b"a\0", b"1", b"01", b"-5"][chance.index(7)];
            let at = expected.binary_search_by(|(there, _)| compare(comparator, there, key));
            let at = at.unwrap_or_else(|at| {
                expected.insert(at, (key.to_vec(), Vec::new()));
                at
            });
            let values = &mut expected[at].1;
            let here = chance.index(values.len().max(1));
            let (made, index) = match chance.below(6) {
                0 => (
                    codec.duplicate(key, End::Back, &records).unwrap(),
                    values.len(),
                ),
                1 => (codec.duplicate(key, End::Front, &records).unwrap(), 0),
                2 if !values.is_empty() => {
                    let made = codec.beside(&values[here], Place::Before, &records);
                    (made.unwrap(), here)
                }
                3 if !values.is_empty() => {
                    let made = codec.beside(&values[here], Place::After, &records);
                    (made.unwrap(), here + 1)
                }
                4 if values.len() > 3 => {
                    records.0.remove(&values.remove(here));
                    continue;
                }
                _ => {
                    let first = codec.find(key, &records).unwrap().map(Cow::into_owned);
                    assert_eq!(first.as_ref(), values.first());
                    let placed = codec.place(key, &records).unwrap().into_owned();
                    if values.is_empty() {
                        (placed, 0)
                    } else {
                        assert_eq!(Some(placed), first);
                        continue;
                    }
                }
            };
            assert_eq!(codec.key(&made).unwrap(), key);
            assert!(records.0.insert(made.clone()), "a stored key is new");
            values.insert(index, made);
        }
        let mut stored: Vec<_> = records.0.into_iter().collect();
        if codec.reverse {
            stored.reverse();
        }
        let expected: Vec<_> = expected
            .into_iter()
            .flat_map(|(_, values)| values)
            .collect();
        assert!(stored.len() > 500 && stored == expected, "{comparator:?}");
    }
}

#[test]
fn the_words_of_an_array_are_ids_by_what_is_there() {
    let codec = Codec::new(&DatabaseOptions::new(Kind::Array));
    let mut records = Records::default();
    let id = |stored: Result<Stored<'_>>| {
        stored.map(|stored| String::from_utf8(codec.key(&stored).unwrap().into_owned()).unwrap())
    };
    let text = |text: &str| Ok(text.to_owned());
    assert_eq!(id(codec.place(b"next", &records)), text("1"));
    assert_eq!(id(codec.place(b"prev", &records)), text("1"));
    assert!(codec.place(b"min", &records).is_err());
    assert_eq!(codec.find(b"max", &records), Ok(None));
    for key in [&b"7"[..], b"300"] {
        let stored = codec.place(key, &records).unwrap().into_owned();
        records.0.insert(stored);
    }
    assert_eq!(id(codec.place(b"prev", &records)), text("6"));
    assert_eq!(id(codec.place(b"next", &records)), text("301"));
    assert_eq!(id(codec.place(b"max", &records)), text("300"));
    let min = codec.find(b"min", &records).unwrap().unwrap();
    assert_eq!(codec.key(&min).unwrap(), &b"7"[..]);
    let check = |low: Bound<&[u8]>, high: Bound<&[u8]>, expected: usize| {
        let span = codec.span(Range::Between(low, high), &records).unwrap();
        let count = records.0.iter().filter(|key| span.contains(key)).count();
        assert_eq!(count, expected, "{low:?} {high:?}");
    };
    check(Bound::Included(b"min"), Bound::Excluded(b"300"), 1);
    check(Bound::Excluded(b"min"), Bound::Included(b"max"), 1);
    check(Bound::Included(b"7"), Bound::Unbounded, 2);
    check(Bound::Included(b"prev"), Bound::Excluded(b"next"), 2);
    let last = array::stored(i64::MAX.cast_unsigned());
    records.0.extend([array::stored(1).to_vec(), last.to_vec()]);
    assert!(codec.place(b"prev", &records).is_err());
    assert!(codec.place(b"next", &records).is_err());
    assert!(
        codec
            .span(
                Range::Between(Bound::Included(b"x"), Bound::Unbounded),
                &records
            )
            .is_err()
    );
}

#[test]
fn bytes_that_are_no_stored_key_are_an_error() {
    let none = Records::default();
    let array = Codec::new(&DatabaseOptions::new(Kind::Array));
    let all = codecs().map(|(_, codec)| codec).chain([array]);
    let mut chance = Chance::new(5);
    for codec in all {
        let mut refused = 0;
        for _ in 0..5000 {
            let mut bytes = match codec.place(b"1\x005", &none) {
                Ok(stored) if chance.one_in(2) => stored.into_owned(),
                _ => vec![0; chance.index(24)],
            };
            let start = chance.index(bytes.len() + 1);
            if chance.one_in(2) {
                bytes.truncate(start);
            } else {
                chance.fill(&mut bytes[start..]);
            }
            refused += u32::from(codec.key(&bytes).is_err());
            codec.group(&bytes);
            for place in [Place::Before, Place::After] {
                let _ = codec.beside(&bytes, place, &none);
            }
            let _ = codec.from(
                Span::ALL,
                Position::Resume(&bytes),
                Direction::Backward,
                &none,
            );
        }
        assert_eq!(refused == 0, codec.is_plain(), "{codec:?}: {refused}");
    }
}

#[test]
fn the_page_tells_the_bytes() {
    let page = include_str!("../../../../../docs/format/keys.md");
    let mut records = Records::default();
    let mut check = |codec: Codec, key: &[u8]| {
        let stored = match codec.find(key, &records) {
            Ok(Some(Cow::Owned(there))) if records.0.contains(&there) => {
                codec.duplicate(key, End::Back, &records).unwrap()
            }
            _ => codec.place(key, &records).unwrap().into_owned(),
        };
        let hex: Vec<_> = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        let row = format!("| `{}` |", hex.join(" "));
        assert!(page.contains(&row), "{row}");
        records.0.insert(stored);
    };
    check(Codec::new(&DatabaseOptions::new(Kind::Array)), b"42");
    check(codec(Comparator::Int32, false), &[1, 0, 0, 0]);
    check(codec(Comparator::Decimal, false), b"-1.5");
    check(codec(Comparator::Bytes, true), b"a\0");
    check(codec(Comparator::Bytes, true), b"a\0");
    assert_eq!(records.0.len(), 5);
}
