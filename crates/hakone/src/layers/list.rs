//! Lists: sequences of values under a name, long or short, changed at both ends at the same cost.
//!
//! The record of a list tells the generation of its elements and which numbers they have, from the
//! first one's to the one behind the last; an element's key is its generation and number. A new list
//! begins in the middle of all numbers and gets a new generation; an empty list has no record. Every
//! change writes the list's record too, so that its version is that of the whole list.

use super::{ELEMENT, GARBAGE, Layer, To, named, of_generation};
use crate::cabinet::Database;
use crate::log::format::u64_at;
use crate::watch::{Interest, Watcher};
use hakone_command::limits::BATCH_BYTES_MAX;
use hakone_command::{Command, End, Error, Pair, Result, Version};

/// The layer's name in the catalogue, in events and in errors.
const LAYER: &str = "list";

/// The number of a new list's first element.
const MIDDLE: u64 = 1 << 63;

/// The first byte of a list's record.
const TYPE: u8 = 1;

/// Bytes of a list's record.
const RECORD_BYTES: usize = 25;

/// Bytes that the removal of an element takes in a batch at the most: its key and a header.
const REMOVAL_BYTES: usize = 17 + 64;

/// Elements read at a time.
const PAGE: usize = 1000;

/// Bytes of elements after which a range ends: 1 MiB, so that locks are held briefly.
const RANGE_BYTES: usize = 1 << 20;

/// A list beside a database: values in an order, pushed and popped at both ends, read and written
/// by index. Costs are those of a few records, however long the list is.
///
/// An index counts from 0 at the front; a negative one from -1 at the back. Lists have names of
/// their own, apart from the keys of the database: neither hides or counts the other, and a
/// database's count and size are those of its own records. A list that becomes empty is gone, and
/// an absent one is empty. Lists are as durable as the database, and cleared with it.
///
/// Each method is atomic: others see all of a change or nothing, and so does the next opening after
/// a crash. Several threads may use the same list.
///
/// Methods fail with [`Error`]: a write with a name or value over the limits, a full disk, a log
/// that an earlier failure has stopped; any with `Corrupt` where the disk holds what no list is.
/// What failed changed nothing.
///
/// ```
/// use hakone::{Cabinet, DatabaseOptions, End, Kind, Options};
///
/// # let directory = std::env::temp_dir().join(format!("hakone-list-{}", std::process::id()));
/// # let cabinet = Cabinet::open(&directory, Options::default())?;
/// let jobs = cabinet.create("jobs", DatabaseOptions::new(Kind::Hash))?.list(b"todo")?;
/// assert_eq!(jobs.push(End::Back, &["sweep", "cook", "eat"])?, 3);
/// assert_eq!(jobs.pop(End::Front, 1)?, [b"sweep"]);
/// assert_eq!(jobs.get(-1)?.as_deref(), Some(&b"eat"[..]));
/// # cabinet.close()?;
/// # std::fs::remove_dir_all(directory).unwrap();
/// # Ok::<(), hakone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct List {
    layer: Layer,
    name: Vec<u8>,
    /// The key of its record.
    key: Vec<u8>,
}

/// Some of a list's elements, see [`List::range`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elements {
    /// The index of the first one, from the front.
    pub first: u64,
    /// Their values.
    pub values: Vec<Vec<u8>>,
    /// How many elements the whole list has.
    pub list_len: u64,
}

/// Which elements a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    generation: u64,
    /// The number of the first.
    head: u64,
    /// The number behind the last.
    tail: u64,
}

impl Span {
    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut record = [TYPE; RECORD_BYTES];
        for (at, number) in [(1, self.generation), (9, self.head), (17, self.tail)] {
            record[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        record
    }

    fn decode(record: &[u8]) -> Option<Span> {
        let span = Span {
            generation: u64_at(record, 1)?,
            head: u64_at(record, 9)?,
            tail: u64_at(record, 17)?,
        };
        let is_list = record.len() == RECORD_BYTES && record[0] == TYPE && span.head < span.tail;
        is_list.then_some(span)
    }

    fn len(&self) -> u64 {
        self.tail - self.head
    }

    /// The key of the element of this number.
    fn key(&self, number: u64) -> [u8; 17] {
        let mut key = [0; 17];
        key[..9].copy_from_slice(&of_generation(ELEMENT, self.generation));
        #[expect(
            clippy::big_endian_bytes,
            reason = "the order of keys is that of numbers"
        )]
        key[9..].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// The index from the front that `index` means, if the list has it.
    fn index(&self, index: i64) -> Option<u64> {
        let from_front = if index < 0 {
            self.len().checked_sub(index.unsigned_abs())?
        } else {
            index.unsigned_abs()
        };
        (from_front < self.len()).then_some(from_front)
    }

    /// The indices of a range from the front, its end behind the last of them.
    fn range(&self, first: i64, last: i64) -> std::ops::Range<u64> {
        let from_front = |index: i64| {
            if index < 0 {
                self.len().saturating_sub(index.unsigned_abs())
            } else {
                index.unsigned_abs()
            }
        };
        // A last one before the front is none.
        let end = if last < 0 && last.unsigned_abs() > self.len() {
            0
        } else {
            from_front(last).saturating_add(1).min(self.len())
        };
        let first = from_front(first).min(end);
        first..end
    }
}

impl Database {
    /// The list of this name beside the database; it need not be there. The first list of a
    /// database makes a hidden tree for all of them.
    ///
    /// # Errors
    /// Those of a write where that is made.
    pub fn list(&self, name: &[u8]) -> Result<List> {
        Ok(List {
            layer: Layer::open(self, LAYER)?,
            name: name.to_vec(),
            key: named(name),
        })
    }
}

impl List {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many elements it has.
    pub fn len(&self) -> Result<u64> {
        Ok(self.span()?.map_or(0, |(span, _)| span.len()))
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.span()?.is_none())
    }

    /// Adds values at an end, one after the other: of those pushed at the front the last one is
    /// first. All of them together must fit into a batch of
    /// [`BATCH_BYTES_MAX`](crate::limits::BATCH_BYTES_MAX). Returns how many elements the list has
    /// then.
    pub fn push<V: AsRef<[u8]>>(&self, end: End, values: &[V]) -> Result<u64> {
        let _locked = self.layer.lock(&self.name);
        loop {
            let there = self.span()?;
            if values.is_empty() {
                return Ok(there.map_or(0, |(span, _)| span.len()));
            }
            let (mut span, version) = match there {
                Some(there) => there,
                None => (self.new_span()?, 0),
            };
            let count = values.len() as u64;
            let numbers = match end {
                End::Front => span.head.checked_sub(count).map(|head| {
                    let numbers = head..span.head;
                    span.head = head;
                    numbers
                }),
                End::Back => span.tail.checked_add(count).map(|tail| {
                    let numbers = span.tail..tail;
                    span.tail = tail;
                    numbers
                }),
            };
            let numbers = numbers.ok_or_else(|| {
                Error::Invalid("the list has no room at this end: clear it, or copy it".to_owned())
            })?;
            let mut keys: Vec<_> = numbers.map(|number| span.key(number)).collect();
            if end == End::Front {
                keys.reverse();
            }
            let elements = keys.iter().zip(values).map(|(key, value)| Pair {
                key,
                value: value.as_ref(),
            });
            let elements = elements.collect();
            if self.put(&span, version, elements)? {
                return Ok(span.len());
            }
        }
    }

    /// Removes up to `count` elements at an end and returns them, the outermost first. So many that
    /// their removal does not fit into a batch (a million does not) are refused.
    pub fn pop(&self, end: End, count: usize) -> Result<Vec<Vec<u8>>> {
        let _locked = self.layer.lock(&self.name);
        loop {
            let Some((span, version)) = self.span()? else {
                return Ok(Vec::new());
            };
            let count = span.len().min(count as u64);
            if count == 0 {
                return Ok(Vec::new());
            }
            let bytes = count.saturating_mul(REMOVAL_BYTES as u64);
            if bytes > BATCH_BYTES_MAX as u64 {
                return Err(Error::BatchTooLarge { bytes });
            }
            let (numbers, rest) = match end {
                End::Front => {
                    let head = span.head + count;
                    (span.head..head, Span { head, ..span })
                }
                End::Back => {
                    let tail = span.tail - count;
                    (tail..span.tail, Span { tail, ..span })
                }
            };
            let Some(mut values) = self.read(&span, numbers.clone(), usize::MAX)? else {
                self.check_changed(version)?;
                continue;
            };
            let keys: Vec<_> = numbers.map(|number| span.key(number)).collect();
            let elements = keys.iter().map(|key| &key[..]).collect();
            let record = rest.encode();
            let record = if rest.head == rest.tail {
                remove(&self.key)
            } else {
                put(vec![Pair {
                    key: &self.key,
                    value: &record,
                }])
            };
            let remove = Command::RemoveMany { keys: elements };
            let steps = [(To::Layer, record), (To::Layer, remove)];
            if self.change(version, &steps)? {
                if end == End::Back {
                    values.reverse();
                }
                return Ok(values);
            }
        }
    }

    /// The elements from the index `first` to the index `last`, both included, as of one moment: up
    /// to `limit` of them and about 1 MiB, but one at least. Where there are more, go on at the
    /// index behind them. Indices beyond an end mean that end. The list is locked against changes
    /// while its elements are copied.
    pub fn range(&self, first: i64, last: i64, limit: usize) -> Result<Elements> {
        let _locked = self.layer.share(&self.name);
        loop {
            let Some((span, version)) = self.span()? else {
                return Ok(Elements::default());
            };
            let indices = span.range(first, last);
            let count = (indices.end - indices.start).min(limit as u64);
            let begin = span.head + indices.start;
            if let Some(values) = self.read(&span, begin..begin + count, RANGE_BYTES)? {
                return Ok(Elements {
                    first: indices.start,
                    values,
                    list_len: span.len(),
                });
            }
            self.check_changed(version)?;
        }
    }

    /// The element at an index; `None` if the list is shorter.
    pub fn get(&self, index: i64) -> Result<Option<Vec<u8>>> {
        let _locked = self.layer.share(&self.name);
        loop {
            let Some((span, version)) = self.span()? else {
                return Ok(None);
            };
            let Some(index) = span.index(index) else {
                return Ok(None);
            };
            if let Some(element) = self.layer.get(&span.key(span.head + index))? {
                return Ok(Some(element.value));
            }
            self.check_changed(version)?;
        }
    }

    /// Gives the element at an index another value. Returns false if the list is shorter.
    pub fn set(&self, index: i64, value: &[u8]) -> Result<bool> {
        let _locked = self.layer.lock(&self.name);
        loop {
            let Some((span, version)) = self.span()? else {
                return Ok(false);
            };
            let Some(index) = span.index(index) else {
                return Ok(false);
            };
            let element = Pair {
                key: &span.key(span.head + index),
                value,
            };
            if self.put(&span, version, vec![element])? {
                return Ok(true);
            }
        }
    }

    /// Removes all elements, at the cost of two records: the room is given back in the background,
    /// also after a restart. Returns how many there were.
    pub fn clear(&self) -> Result<u64> {
        let _locked = self.layer.lock(&self.name);
        loop {
            let Some((span, version)) = self.span()? else {
                return Ok(0);
            };
            let garbage = of_generation(GARBAGE, span.generation);
            let steps = [
                (To::Layer, remove(&self.key)),
                (
                    To::Layer,
                    put(vec![Pair {
                        key: &garbage,
                        value: &[],
                    }]),
                ),
            ];
            if self.change(version, &steps)? {
                self.layer.note_garbage();
                return Ok(span.len());
            }
        }
    }

    /// Lets `watcher` be told of every change of the list, as of a record of its name in the layer
    /// "list": a `Put` where it has elements then, a `Remove` where it is gone, a `Clear` where the
    /// database was cleared.
    ///
    /// # Errors
    /// `Invalid` if the watcher was cut.
    pub fn watch(&self, watcher: &Watcher) -> Result<()> {
        self.layer.watch(Interest::Key(&self.name), watcher)
    }

    /// Takes that back.
    pub fn unwatch(&self, watcher: &Watcher) {
        self.layer.unwatch(Interest::Key(&self.name), watcher);
    }

    /// Which elements it has, and its version; `None` if it is empty.
    fn span(&self) -> Result<Option<(Span, Version)>> {
        let Some(record) = self.layer.get(&self.key)? else {
            return Ok(None);
        };
        match Span::decode(&record.value) {
            Some(span) => Ok(Some((span, record.version))),
            None => Err(self.corrupt("its record is not one of a list")),
        }
    }

    fn new_span(&self) -> Result<Span> {
        Ok(Span {
            generation: self.layer.next_generation()?,
            head: MIDDLE,
            tail: MIDDLE,
        })
    }

    /// The elements of these numbers, in order: all of them, or as many as take `bytes`. `None` if
    /// one is missing.
    fn read(
        &self,
        span: &Span,
        numbers: std::ops::Range<u64>,
        bytes: usize,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let prefix = of_generation(ELEMENT, span.generation);
        let mut values: Vec<Vec<u8>> = Vec::new();
        let mut taken = 0;
        let mut next = numbers.start;
        while next < numbers.end && (taken < bytes || values.is_empty()) {
            let limit = (numbers.end - next).min(PAGE as u64) as usize;
            let page = self.layer.scan(&span.key(next), &prefix, limit)?;
            for (key, record) in page.iter() {
                if *key != span.key(next) {
                    return Ok(None);
                }
                if taken >= bytes && !values.is_empty() {
                    break;
                }
                taken += record.value.len();
                values.push(record.value.to_vec());
                next += 1;
            }
            if page.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(values))
    }

    /// Writes the list's record and some elements. Returns false if the list was cleared meanwhile.
    fn put(&self, span: &Span, version: Version, elements: Vec<Pair<'_>>) -> Result<bool> {
        let (key, record) = (&self.key[..], span.encode());
        let mut pairs = elements;
        pairs.push(Pair {
            key,
            value: &record,
        });
        self.change(version, &[(To::Layer, put(pairs))])
    }

    /// Carries out the steps if the list's record has this version.
    fn change(&self, version: Version, steps: &[(To, Command<'_>)]) -> Result<bool> {
        let done = self.layer.batch(&[(&self.key[..], version)], steps)?;
        Ok(done.is_some())
    }

    /// An element is missing. That is right only if the list was cleared with its database after
    /// its record was read.
    fn check_changed(&self, version: Version) -> Result<()> {
        match self.span()? {
            Some((_, now)) if now == version => Err(self.corrupt("an element is missing")),
            _ => Ok(()),
        }
    }

    fn corrupt(&self, what: &str) -> Error {
        let name = String::from_utf8_lossy(&self.name);
        self.layer.corrupt(&format!("list {name:.60?}: {what}"))
    }
}

/// Writes records without expiry.
fn put(pairs: Vec<Pair<'_>>) -> Command<'_> {
    Command::PutMany {
        pairs,
        if_none_exist: false,
        expiry: 0,
    }
}

fn remove(key: &[u8]) -> Command<'_> {
    Command::Remove {
        key,
        want_old: false,
    }
}
