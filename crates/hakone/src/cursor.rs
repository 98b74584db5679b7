//! Cursors: a place among the records of a tree or an array that can be moved, and written at.

use crate::{Database, OwnedRecord, now};
use hakone_command::{
    Command, Direction, Error, ExpirySet, Filter, Kind, Next, Place, Position, Range, Reply, Result,
};
use std::ops::Bound;

/// How [`Cursor::seek`] takes its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The first record of this key.
    Equal,
    /// The first record of this key or, if there is none, of the next one.
    AtOrAfter,
    /// The last record of this key or, if there is none, of the one before.
    AtOrBefore,
}

/// A place among the records of a tree or an array.
///
/// A cursor holds a position, not a lock: others read and write as they like. It keeps a copy of
/// the record that it came to. If that record is removed meanwhile, [`Cursor::next`] goes to the
/// first one after its place and [`Cursor::previous`] to the last one before it, and writes at it
/// do nothing. So walking in one direction comes by every record that is there all the time,
/// exactly once and in order.
///
/// It begins nowhere. There it is again when it has gone beyond an end, or has sought a key in vain;
/// from nowhere it only goes by [`Cursor::first`], [`Cursor::last`] or [`Cursor::seek`].
///
/// Each move is one lookup in the tree and a copy of the record. What is written is as durable as a
/// put.
///
/// ```
/// # use hakone::{Cabinet, DatabaseOptions, Kind, Options, Seek};
/// # let directory = std::env::temp_dir().join(format!("hakone-cursor-{}", std::process::id()));
/// # let cabinet = Cabinet::open(&directory, Options::default())?;
/// # let towns = cabinet.create("towns", DatabaseOptions::new(Kind::Tree))?;
/// for town in ["hakone", "kyoto", "tokyo"] {
///     towns.put(town.as_bytes(), b"?")?;
/// }
/// let mut cursor = towns.cursor();
/// assert!(cursor.seek(Seek::AtOrAfter, b"j")?);
/// assert_eq!(cursor.key(), Some(&b"kyoto"[..]));
/// cursor.put(b"kansai")?;
/// assert!(cursor.next()? && cursor.remove()?);
/// assert_eq!(cursor.key(), None, "nothing follows tokyo");
/// assert!(cursor.last()? && cursor.previous()?);
/// assert_eq!(cursor.key(), Some(&b"hakone"[..]));
/// # cabinet.close()?;
/// # std::fs::remove_dir_all(directory).unwrap();
/// # Ok::<(), hakone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    database: Database,
    here: Option<Here>,
}

#[derive(Clone, Debug)]
struct Here {
    position: Vec<u8>,
    key: Vec<u8>,
    record: OwnedRecord,
}

impl Database {
    /// A cursor that stands nowhere yet. Costs nothing.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            database: self.clone(),
            here: None,
        }
    }
}

impl Cursor {
    /// Goes to the first record. Returns whether there is one; if not, the cursor stands nowhere.
    ///
    /// # Errors
    /// `Unsupported` on a hash; those of reading. The cursor then stays where it is; so with every
    /// move.
    pub fn first(&mut self) -> Result<bool> {
        self.go(Position::Start, Range::All, Direction::Forward)
    }

    /// As [`Cursor::first`], to the last record.
    pub fn last(&mut self) -> Result<bool> {
        self.go(Position::Start, Range::All, Direction::Backward)
    }

    /// Goes to a key as `how` says. Returns whether there is such a record; if not, the cursor
    /// stands nowhere.
    ///
    /// # Errors
    /// As of [`Cursor::first`]; `Invalid` where it is no key of an array.
    pub fn seek(&mut self, how: Seek, key: &[u8]) -> Result<bool> {
        match how {
            Seek::Equal => {
                let only = Range::Between(Bound::Included(key), Bound::Included(key));
                self.go(Position::Start, only, Direction::Forward)
            }
            Seek::AtOrAfter => self.go(Position::At(key), Range::All, Direction::Forward),
            Seek::AtOrBefore => self.go(Position::At(key), Range::All, Direction::Backward),
        }
    }

    /// Goes to the record after this place. Returns whether there is one; if not, the cursor stands
    /// nowhere. From nowhere there is none.
    ///
    /// # Errors
    /// As of [`Cursor::first`].
    #[expect(
        clippy::should_implement_trait,
        reason = "a cursor goes both ways and may fail; an iterator does neither"
    )]
    pub fn next(&mut self) -> Result<bool> {
        self.step(Direction::Forward)
    }

    /// As [`Cursor::next`], to the record before this place.
    pub fn previous(&mut self) -> Result<bool> {
        self.step(Direction::Backward)
    }

    /// The key here; `None` if the cursor stands nowhere.
    pub fn key(&self) -> Option<&[u8]> {
        self.here.as_ref().map(|here| &here.key[..])
    }

    /// The value here, as it was when the cursor came here or wrote it.
    pub fn value(&self) -> Option<&[u8]> {
        self.record().map(|record| &record.value[..])
    }

    /// The record here, as it was when the cursor came here or wrote it.
    pub fn record(&self) -> Option<&OwnedRecord> {
        self.here.as_ref().map(|here| &here.record)
    }

    /// Puts a value in place of the record here, without expiry or flags. Returns whether the record
    /// is still there: if not, nothing is written.
    ///
    /// # Errors
    /// `Invalid` if the cursor stands nowhere; those of a put.
    pub fn put(&mut self, value: &[u8]) -> Result<bool> {
        self.write(Place::Current, value)
    }

    /// Puts one more value of the key here, before this one, and goes there. Returns whether the
    /// record here is still there: if not, nothing is written.
    ///
    /// # Errors
    /// `Unsupported` on a database without duplicates; else as of [`Cursor::put`].
    pub fn put_before(&mut self, value: &[u8]) -> Result<bool> {
        self.write(Place::Before, value)
    }

    /// As [`Cursor::put_before`], after this one.
    pub fn put_after(&mut self, value: &[u8]) -> Result<bool> {
        self.write(Place::After, value)
    }

    /// Removes the record here and goes to the one that follows; nowhere, if none does. Returns
    /// whether it was still there.
    ///
    /// # Errors
    /// As of [`Cursor::put`]. If the record was removed and going on failed, the cursor stays at its
    /// place.
    pub fn remove(&mut self) -> Result<bool> {
        let here = self.here()?;
        let remove = Command::RemoveAt {
            position: &here.position,
        };
        let removed = self.database.ask(&remove, |reply| reply == Reply::Done)?;
        self.next()?;
        Ok(removed)
    }

    fn here(&self) -> Result<&Here> {
        self.here.as_ref().ok_or_else(|| {
            Error::Invalid("the cursor stands nowhere; go to a record first".to_owned())
        })
    }

    fn step(&mut self, direction: Direction) -> Result<bool> {
        match &self.here {
            Some(here) => {
                let position = here.position.clone();
                self.go(Position::Resume(&position), Range::All, direction)
            }
            None => Ok(false),
        }
    }

    /// Goes to the first record in a direction from a position on.
    fn go(&mut self, from: Position<'_>, range: Range<'_>, direction: Direction) -> Result<bool> {
        if self.database.options().kind == Kind::Hash {
            return Err(Error::Unsupported(
                "a cursor: the keys of a tree or an array have an order, those of a hash have none",
            ));
        }
        let mut passed: Option<Vec<u8>> = None;
        loop {
            let scan = Command::Scan {
                from: passed.as_deref().map_or(from, Position::Resume),
                range,
                direction,
                filter: Filter::All,
                limit: 1,
                values: true,
            };
            let (mut found, mut resume) = (None, None);
            self.database.call(&scan, now(), &mut |reply| {
                if let Reply::Page(page) = reply {
                    found = page.iter().next().map(|(key, record)| Here {
                        position: page.position(0).to_vec(),
                        key: key.to_vec(),
                        record: record.into(),
                    });
                    // Many records have expired and are not reclaimed yet.
                    resume = match (&found, page.next) {
                        (None, Next::Resume) => page.resume().map(<[u8]>::to_vec),
                        _ => None,
                    };
                }
            })?;
            passed = resume;
            if passed.is_none() {
                self.here = found;
                return Ok(self.here.is_some());
            }
        }
    }

    fn write(&mut self, place: Place, value: &[u8]) -> Result<bool> {
        let here = self.here()?;
        let put = Command::PutAt {
            position: &here.position,
            place,
            value,
            expiry: ExpirySet::At(0),
            flags: 0,
        };
        let placed = self.database.ask(&put, |reply| match reply {
            Reply::Placed { version, position } => Some((version, position.to_vec())),
            _ => None,
        })?;
        let (Some(here), Some((version, position))) = (&mut self.here, placed) else {
            return Ok(false);
        };
        here.position = position;
        here.record = OwnedRecord {
            value: value.to_vec(),
            version,
            ..OwnedRecord::default()
        };
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;
    use crate::keeper::Tuning;
    use crate::{Cabinet, Condition, DatabaseOptions, Options};
    use std::sync::Arc;

    /// More than a page of a scan visits in vain.
    const EXPIRED: usize = 10_000;

    #[test]
    fn a_cursor_passes_any_number_of_expired_records() {
        let tuning = Tuning {
            background: false,
            ..Tuning::new(&Options::default())
        };
        let cabinet = Cabinet::open_on(None, Arc::new(SimDisk::new(1)), tuning).unwrap();
        let options = DatabaseOptions::new(Kind::Tree);
        let database = cabinet.create("tree", options).unwrap();
        for n in 0..EXPIRED {
            let key = format!("k{n}");
            // Written in 1970, and expired since.
            let put = Command::Put {
                key: key.as_bytes(),
                value: b"",
                condition: Condition::Always,
                expiry: ExpirySet::At(1000),
                flags: 0,
                want_old: false,
            };
            database.call(&put, 1, &mut |_| ()).unwrap();
        }
        let mut cursor = database.cursor();
        assert!(!cursor.first().unwrap() && !cursor.last().unwrap());
        assert!(!cursor.seek(Seek::AtOrBefore, b"l").unwrap());
        database.put(b"", b"").unwrap();
        database.put(b"z", b"").unwrap();
        assert_eq!(database.count().unwrap(), EXPIRED as u64 + 2);
        assert!(cursor.first().unwrap() && cursor.next().unwrap());
        assert_eq!(cursor.key(), Some(&b"z"[..]));
        assert!(cursor.previous().unwrap());
        assert_eq!(cursor.key(), Some(&b""[..]));
        assert!(!cursor.previous().unwrap() && cursor.key().is_none());
        let keys = database.iter().map(|record| record.unwrap().0);
        assert_eq!(keys.collect::<Vec<_>>(), [b"".to_vec(), b"z".to_vec()]);
    }
}
