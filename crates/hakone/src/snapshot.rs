//! Snapshots: a tree or an array as of one moment, while writers go on.

#[cfg(test)]
mod tests;

use crate::ranges::{Records, Source, only};
use crate::store::Moment;
use crate::{Database, OwnedRecord, now};
use hakone_command::{Command, Direction, Filter, Lsn, Millis, Range, Reply, Result};

/// A database as it was at one moment. Records written later are not in it, removed ones still
/// are, and of a batch it has all or nothing. What had expired then is not there, what expires later
/// is.
///
/// Making one takes the tree's lock for some microseconds, whatever the size. While it is held, the
/// first change of each node of the tree copies the node (a leaf has 16 KiB), so memory grows with
/// what is changed, at most to twice the tree's; and segments that hold a value of more than 1 KiB
/// are not given free by compaction, so the disk can grow by what is overwritten meanwhile:
/// [`CabinetStat::held_bytes`](crate::CabinetStat::held_bytes). Dropping the snapshot gives all of it
/// back. It is gone with the process: it is no backup.
///
/// Reads cost about what they do of the database, and take its lock for a page at a time: neither
/// does a writer wait for a snapshot, nor a snapshot for a writer, longer than for one page. Each
/// newer snapshot that is held adds a little to every read.
///
/// ```
/// # use hakone::{Cabinet, DatabaseOptions, Direction, Kind, Options, Range};
/// # let directory = std::env::temp_dir().join(format!("hakone-snapshot-{}", std::process::id()));
/// # let cabinet = Cabinet::open(&directory, Options::default())?;
/// # let stock = cabinet.create("stock", DatabaseOptions::new(Kind::Tree))?;
/// stock.put_many(&[(b"nuts", b"20"), (b"bolts", b"7")])?;
/// let monday = stock.snapshot()?;
/// stock.put(b"nuts", b"3")?;
/// stock.remove(b"bolts")?;
/// assert_eq!(monday.get(b"nuts")?.as_deref(), Some(&b"20"[..]));
/// let last = monday.range(Range::All, Direction::Backward).next().unwrap()?;
/// assert_eq!(last, (b"nuts".to_vec(), b"20".to_vec()));
/// assert_eq!(monday.iter().count(), 2);
/// # drop(monday);
/// # cabinet.close()?;
/// # std::fs::remove_dir_all(directory).unwrap();
/// # Ok::<(), hakone::Error>(())
/// ```
#[derive(Debug)]
pub struct Snapshot {
    database: Database,
    moment: Moment,
    now: Millis,
}

impl Database {
    /// The database as it is now, to be read while it changes: see [`Snapshot`].
    ///
    /// # Errors
    /// `Unsupported` if it is a hash: those have no snapshots.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.snapshot_at(now())
    }

    /// As [`Database::snapshot`], with the time by which records have expired or not.
    ///
    /// # Errors
    /// As those of [`Database::snapshot`].
    pub fn snapshot_at(&self, now: Millis) -> Result<Snapshot> {
        self.check_open()?;
        Ok(Snapshot {
            database: self.clone(),
            moment: self.store().snapshot()?,
            now,
        })
    }
}

/// Reads fail where the disk does, and once the cabinet has been closed.
impl Snapshot {
    /// The database that it is of.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The last lsn that it may show: all changes of the database up to it are in it, none after it
    /// are. What it shows survives a power cut once [`Cabinet::durable`](crate::Cabinet::durable)
    /// has reached that.
    pub fn lsn(&self) -> Lsn {
        self.moment.lsn
    }

    /// The time at which it was made, in milliseconds since the Unix epoch: what had expired then is
    /// not in it.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Carries out a command that reads: a get of one or several keys, a scan, a count. `answer` is
    /// called once. It must be short and must not call the database: it may run under its lock.
    ///
    /// # Errors
    /// `Unsupported` for commands that write; as [`Error`](crate::Error) tells. Then `answer` was not called.
    pub fn call(&self, command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> Result<()> {
        self.database.check_open()?;
        let store = self.database.store();
        store.call_as_of(&self.moment, command, self.now, answer)
    }

    /// The value of `key`; `None` if it had no record. Costs a copy of the value.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.record(key)?.map(|record| record.value))
    }

    /// The record of `key`, with expiry, flags and version.
    pub fn record(&self, key: &[u8]) -> Result<Option<OwnedRecord>> {
        let mut found = None;
        self.call(&Command::Get { key }, &mut |reply| {
            if let Reply::Record(record) = reply {
                found = Some(record.into());
            }
        })?;
        Ok(found)
    }

    /// How many records there were; expired ones that were not reclaimed count.
    pub fn count(&self) -> Result<u64> {
        self.number(&Command::Count)
    }

    /// How many records of a range there were; expired ones that were not reclaimed count.
    pub fn count_range(&self, range: Range<'_>) -> Result<u64> {
        self.number(&Command::CountRange { range })
    }

    /// All records in order.
    pub fn iter(&self) -> Records<'_> {
        self.range(Range::All, Direction::Forward)
    }

    /// The records of a range, from its first one on or from its last. Read by pages of some
    /// hundred; all are as of the same moment.
    pub fn range<'a>(&'a self, range: Range<'a>, direction: Direction) -> Records<'a> {
        self.search(range, direction, Filter::All)
    }

    /// The records of a range whose keys a filter takes.
    pub fn search<'a>(
        &'a self,
        range: Range<'a>,
        direction: Direction,
        filter: Filter<'a>,
    ) -> Records<'a> {
        Records::new(Source::Snapshot(self), range, direction, filter)
    }

    /// All values of a key, in their order; none if it had no record.
    pub fn get_all(&self, key: &[u8]) -> Result<Vec<Vec<u8>>> {
        let records = self.range(only(key), Direction::Forward);
        records.map(|record| Ok(record?.1)).collect()
    }

    fn number(&self, command: &Command<'_>) -> Result<u64> {
        let mut count = 0;
        self.call(command, &mut |reply| {
            if let Reply::Number(number) = reply {
                count = u64::try_from(number).unwrap_or(0);
            }
        })?;
        Ok(count)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.database.store().release(&self.moment);
    }
}

impl<'a> IntoIterator for &'a Snapshot {
    type Item = Result<(Vec<u8>, Vec<u8>)>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}
