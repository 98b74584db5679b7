//! Several records at once: iterators, ranges, and the values of one key.

use crate::{Database, Snapshot, now};
use hakone_command::{Command, Direction, End, Filter, Next, Page, Position, Range, Reply, Result};
use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::ops::Bound;

/// Records that an iterator reads at a time: enough that a lock and a way down the tree are nothing
/// beside them.
const PAGE_RECORDS: usize = 256;

/// Records that are removed as one batch: some milliseconds under the database's lock.
const REMOVED_RECORDS: usize = 1000;

/// Ranges of keys, and all values of a key.
///
/// A tree and an array have an order, so they have ranges; a hash has none and answers
/// [`Error::Unsupported`](crate::Error::Unsupported), but for iterators forward over all records or
/// those of a prefix.
///
/// ```
/// # use hakone::{Cabinet, DatabaseOptions, Direction, End, Kind, Options, Range};
/// # use std::ops::Bound::{Excluded, Included};
/// # let directory = std::env::temp_dir().join(format!("hakone-ranges-{}", std::process::id()));
/// # let cabinet = Cabinet::open(&directory, Options::default())?;
/// let options = DatabaseOptions { duplicates: true, ..DatabaseOptions::new(Kind::Tree) };
/// let posts = cabinet.create("posts", options)?;
/// posts.put(b"2026-11-01", b"first")?;
/// posts.put_duplicate(b"2026-11-01", b"second", End::Back)?;
/// posts.put(b"2026-12-24", b"third")?;
/// assert_eq!(posts.get_all(b"2026-11-01")?, [b"first".to_vec(), b"second".to_vec()]);
///
/// let november = Range::Between(Included(b"2026-11"), Excluded(b"2026-12"));
/// assert_eq!(posts.count_range(november)?, 2);
/// let newest = posts.range(november, Direction::Backward).next().unwrap()?;
/// assert_eq!(newest, (b"2026-11-01".to_vec(), b"second".to_vec()));
/// assert_eq!(posts.remove_range(Range::Prefix(b"2026-11"))?, 2);
/// # cabinet.close()?;
/// # std::fs::remove_dir_all(directory).unwrap();
/// # Ok::<(), hakone::Error>(())
/// ```
impl Database {
    /// All records, in the order of a tree's or an array's keys, a hash's in no order. See
    /// [`Records`].
    pub fn iter(&self) -> Records<'_> {
        self.range(Range::All, Direction::Forward)
    }

    /// The records of a range, from its first one on or from its last. See [`Records`].
    pub fn range<'a>(&'a self, range: Range<'a>, direction: Direction) -> Records<'a> {
        self.search(range, direction, Filter::All)
    }

    /// The records of a range whose keys a filter takes. See [`Records`].
    pub fn search<'a>(
        &'a self,
        range: Range<'a>,
        direction: Direction,
        filter: Filter<'a>,
    ) -> Records<'a> {
        Records::new(Source::Database(self), range, direction, filter)
    }

    /// How many records there are in a range; those that have expired count until they are
    /// reclaimed. Costs two lookups and a step for each leaf between, about 100 records of 100
    /// bytes; but for a prefix in an order that is not that of bytes, for which it visits all.
    ///
    /// # Errors
    /// `Unsupported` on a hash, `Invalid` where a bound is no key of an array.
    pub fn count_range(&self, range: Range<'_>) -> Result<u64> {
        self.number(&Command::CountRange { range })
    }

    /// Removes the records of a range, and returns how many there were. Takes 1,000 at a time as one
    /// atomic batch, so that others get their turn; records that others put into the range meanwhile
    /// may be removed or stay. As durable as a put.
    ///
    /// # Errors
    /// As those of [`Database::count_range`], and of writing; what was removed before stays removed.
    pub fn remove_range(&self, range: Range<'_>) -> Result<u64> {
        let mut all = 0;
        loop {
            let removed = self.number(&Command::RemoveRange {
                range,
                limit: REMOVED_RECORDS,
            })?;
            all += removed;
            if removed < REMOVED_RECORDS as u64 {
                return Ok(all);
            }
        }
    }

    /// Puts one more value of a key, after those that it has or before them. Without expiry or
    /// flags. As durable as a put.
    ///
    /// # Errors
    /// `Unsupported` unless it is a tree with duplicates; those of a put.
    pub fn put_duplicate(&self, key: &[u8], value: &[u8], end: End) -> Result<()> {
        let put = Command::PutDuplicate {
            key,
            value,
            end,
            expiry: 0,
            flags: 0,
        };
        self.ask(&put, |_| ())
    }

    /// All values of a key, in their order; none if it has no record. Read as of one moment if they
    /// have less than 1 MiB together, else 1 MiB at a time.
    ///
    /// # Errors
    /// `Unsupported` on a hash; those of reading.
    pub fn get_all(&self, key: &[u8]) -> Result<Vec<Vec<u8>>> {
        let records = self.range(only(key), Direction::Forward);
        records.map(|record| Ok(record?.1)).collect()
    }

    /// How many values a key has; those that have expired count until they are reclaimed.
    ///
    /// # Errors
    /// `Unsupported` on a hash.
    pub fn count_of(&self, key: &[u8]) -> Result<u64> {
        self.count_range(only(key))
    }

    /// Removes all values of a key, and returns how many there were; see
    /// [`Database::remove_range`].
    ///
    /// # Errors
    /// `Unsupported` on a hash; those of writing.
    pub fn remove_all(&self, key: &[u8]) -> Result<u64> {
        self.remove_range(only(key))
    }
}

impl<'a> IntoIterator for &'a Database {
    type Item = Result<(Vec<u8>, Vec<u8>)>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

/// The range of one key.
pub(crate) fn only(key: &[u8]) -> Range<'_> {
    Range::Between(Bound::Included(key), Bound::Included(key))
}

/// Keys and values of many records, copied out in pages of some hundred, each as of one moment; no
/// lock is held between two pages. Those of a [`Snapshot`] are all as of its moment. Of a database, a
/// record that is there all the time comes exactly once, whatever
/// is put and removed meanwhile; one that comes or goes meanwhile comes at most once, unless it is
/// removed and put again. After an error it ends.
#[derive(Debug)]
pub struct Records<'a> {
    source: Source<'a>,
    range: Range<'a>,
    direction: Direction,
    filter: Filter<'a>,
    read: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Where the next page begins, if there is one.
    from: Option<From>,
}

/// What the records are read from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Database(&'a Database),
    Snapshot(&'a Snapshot),
}

impl Source<'_> {
    fn call(self, command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> Result<()> {
        match self {
            Source::Database(database) => database.call(command, now(), answer).map(drop),
            Source::Snapshot(snapshot) => snapshot.call(command, answer),
        }
    }
}

#[derive(Debug)]
enum From {
    Start,
    Resume(Vec<u8>),
    Cursor(u64),
}

impl<'a> Records<'a> {
    pub(crate) fn new(
        source: Source<'a>,
        range: Range<'a>,
        direction: Direction,
        filter: Filter<'a>,
    ) -> Records<'a> {
        Records {
            source,
            range,
            direction,
            filter,
            read: VecDeque::new(),
            from: Some(From::Start),
        }
    }

    fn read(&mut self, from: &From) -> Result<()> {
        let scan = Command::Scan {
            from: match from {
                From::Start => Position::Start,
                From::Resume(position) => Position::Resume(position),
                From::Cursor(cursor) => Position::Cursor(*cursor),
            },
            range: self.range,
            direction: self.direction,
            filter: self.filter,
            limit: PAGE_RECORDS,
            values: true,
        };
        let (read, next) = (&mut self.read, &mut self.from);
        self.source.call(&scan, &mut |reply| {
            if let Reply::Page(page) = reply {
                let records = page.iter();
                read.extend(records.map(|(key, record)| (key.to_vec(), record.value.to_vec())));
                *next = beyond(page);
            }
        })?;
        Ok(())
    }
}

/// Where the page after this one begins.
fn beyond(page: &Page) -> Option<From> {
    match page.next {
        Next::End => None,
        Next::Resume => page
            .resume()
            .map(|position| From::Resume(position.to_vec())),
        Next::Cursor(cursor) => Some(From::Cursor(cursor)),
    }
}

impl Iterator for Records<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.read.is_empty() {
            let from = self.from.take()?;
            if let Err(e) = self.read(&from) {
                return Some(Err(e));
            }
        }
        self.read.pop_front().map(Ok)
    }
}

impl FusedIterator for Records<'_> {}
