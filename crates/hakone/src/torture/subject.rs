//! The store under test: a cabinet on a simulated disk that does nothing by itself.

use super::ask::{Ask, Keys, Scan, said};
use crate::io::Disk;
use crate::io::sim::SimDisk;
use crate::keeper::Tuning;
use crate::log::LogOptions;
use crate::{Cabinet, Compression, Database, DatabaseOptions};
use hakone_command::{
    Command, Direction, Error, Filter, Kind, Millis, Next, Position, Record, Reply, Result, Version,
};
use std::sync::Arc;
use std::time::Duration;

/// What is kept under a key: value, expiry, flags.
pub(super) type Kept = (Vec<u8>, Millis, u32);

/// The live records of a database, in its order; a hash's in the order of bytes.
pub(super) type Content = Vec<(Vec<u8>, Kept)>;

/// An open cabinet.
#[derive(Debug)]
pub(super) struct Subject(pub(super) Cabinet);

/// What a server does in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Chore {
    Sync,
    Prepare,
    Settle,
    Checkpoint,
    Compact,
    Reclaim,
    /// Gives a database another compression, and another dictionary.
    Alter,
    /// Compacts everything.
    Rewrite,
}

/// A store that can be asked: the subject's databases, and the model.
pub(super) trait Asked {
    fn call(
        &mut self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()>;
}

impl Asked for Database {
    fn call(
        &mut self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        Database::call(self, command, now, answer).map(drop)
    }
}

impl Asked for crate::model::Model {
    fn call(
        &mut self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        crate::model::Model::call(self, command, now, answer)
    }
}

/// Asks, and gives the reply as text; of a scan all that its pages hold, in key order for a hash.
/// What is wrong with a command is not told: the model has no words for it.
pub(super) fn ask(of: &mut dyn Asked, ask: &Ask, kind: Kind, now: Millis) -> Result<String> {
    answer(of, ask, kind, now).map_err(wordless)
}

/// An error without the words that the model has not.
pub(super) fn wordless(error: Error) -> Error {
    match error {
        Error::Invalid(_) => Error::Invalid(String::new()),
        Error::Unsupported(_) => Error::Unsupported(""),
        error => error,
    }
}

fn answer(of: &mut dyn Asked, ask: &Ask, kind: Kind, now: Millis) -> Result<String> {
    if let Ask::Scan(all) = ask {
        let found = scan(of, all, kind, now)?;
        let found: Vec<_> = found
            .into_iter()
            .map(|found| (found.key, found.kept))
            .collect();
        return Ok(format!("{found:?}"));
    }
    let version = version(of, ask, now)?;
    let position = match ask.placed() {
        Some(number) => {
            let mut all = scan(of, &EVERYTHING, kind, now)?;
            let number = number % all.len().max(1);
            let found = all
                .get_mut(number)
                .map(|found| std::mem::take(&mut found.position));
            found.unwrap_or_else(|| b"no position".to_vec())
        }
        None => Vec::new(),
    };
    let mut text = None;
    of.call(&ask.command_at(version, &position), now, &mut |reply| {
        let said = said_of(ask, reply);
        assert!(text.replace(said).is_none(), "answered twice");
    })?;
    Ok(text.expect("a call that succeeds has answered"))
}

/// The version that the command is to expect; 0 where it expects none.
pub(super) fn version(of: &mut dyn Asked, ask: &Ask, now: Millis) -> Result<Version> {
    let mut version = 0;
    if let Some(key) = ask.versioned_key() {
        of.call(&Command::Describe { key }, now, &mut |reply| {
            if let Reply::Record(record) = reply {
                version = record.version;
            }
        })?;
    }
    Ok(version)
}

/// A reply as text, without what stores may leave out.
pub(super) fn said_of(ask: &Ask, reply: Reply<'_>) -> String {
    said(match (ask, reply) {
        (Ask::Describe(_), Reply::Record(record)) => Reply::Record(Record {
            value: &[],
            ..record
        }),
        _ => reply,
    })
}

/// A scan of all records.
const EVERYTHING: Scan = Scan {
    from: None,
    range: Keys::Prefix(Vec::new()),
    direction: Direction::Forward,
    limit: 100,
};

/// A record that a scan has found.
struct Found {
    key: Vec<u8>,
    position: Vec<u8>,
    kept: Kept,
}

/// All records of a scan, gathered page by page.
fn scan(of: &mut dyn Asked, scan: &Scan, kind: Kind, now: Millis) -> Result<Vec<Found>> {
    let mut all: Vec<Found> = Vec::new();
    let mut next = None;
    let mut resume: Option<Vec<u8>> = None;
    loop {
        let from = match (next, &resume, &scan.from) {
            (Some(Next::Cursor(cursor)), ..) => Position::Cursor(cursor),
            (Some(_), Some(position), _) => Position::Resume(position),
            (_, _, Some((key, true))) => Position::At(key),
            (_, _, Some((key, false))) => Position::After(key),
            _ => Position::Start,
        };
        let command = Command::Scan {
            from,
            range: scan.range.range(),
            direction: scan.direction,
            filter: Filter::All,
            limit: scan.limit,
            values: true,
        };
        let (mut then, mut position) = (Next::End, None);
        of.call(&command, now, &mut |reply| {
            let Reply::Page(page) = reply else {
                panic!("a scan answers a page, not {reply:?}")
            };
            all.extend(page.iter().enumerate().map(|(i, (key, record))| Found {
                key: key.to_vec(),
                position: page.position(i).to_vec(),
                kept: (record.value.to_vec(), record.expiry, record.flags),
            }));
            then = page.next;
            position = page.resume().map(<[u8]>::to_vec);
        })?;
        resume = position;
        if then == Next::End {
            break;
        }
        next = Some(then);
    }
    if kind == Kind::Hash {
        all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    }
    Ok(all)
}

/// The live records, each read by scan; and again by key, which must lead to the first of its key.
pub(super) fn content(of: &mut dyn Asked, kind: Kind, now: Millis) -> Result<Content> {
    let all = scan(of, &EVERYTHING, kind, now)?;
    let mut positions: Vec<_> = all.iter().map(|found| &found.position).collect();
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), all.len(), "a scan gives each record once");
    let content: Content = all
        .into_iter()
        .map(|found| (found.key, found.kept))
        .collect();
    let mut firsts: Vec<_> = content.iter().collect();
    firsts.dedup_by(|b, a| a.0 == b.0);
    for pairs in firsts.chunks(50) {
        let keys = pairs.iter().map(|(key, _)| &key[..]).collect();
        of.call(&Command::GetMany { keys }, now, &mut |reply| {
            let Reply::Records(records) = reply else {
                panic!("many keys answer records, not {reply:?}")
            };
            for ((key, kept), record) in pairs.iter().zip(records) {
                let record = record.expect("what a scan gives is found by its key");
                let found = (record.value.to_vec(), record.expiry, record.flags);
                assert_eq!(found, *kept, "{key:?} by key and by scan");
            }
        })?;
    }
    Ok(content)
}

impl Subject {
    /// Opens the cabinet on a disk, with small segments of which none, some or all are kept in
    /// memory, as the clock falls.
    pub(super) fn open(disk: &SimDisk) -> Result<Subject> {
        Subject::open_as(disk, false)
    }

    /// As [`Subject::open`], with the store's own threads, which sync all the time.
    pub(super) fn open_with_threads(disk: &SimDisk) -> Result<Subject> {
        Subject::open_as(disk, true)
    }

    fn open_as(disk: &SimDisk, background: bool) -> Result<Subject> {
        let resident = [0, 40 << 10, u64::MAX];
        let log = LogOptions {
            segment_bytes_min: 4 << 10,
            segment_bytes_max: 64 << 10,
            resident_bytes_max: resident
                [usize::try_from(disk.now_micros() / 1000 % 3).unwrap_or(0)],
        };
        let interval = Duration::from_millis(1);
        let tuning = Tuning {
            log,
            interval,
            background,
        };
        Ok(Subject(Cabinet::open_on(
            None,
            Arc::new(disk.clone()),
            tuning,
        )?))
    }

    /// Whatever its compression has been altered to.
    pub(super) fn create(&self, name: &str, options: DatabaseOptions) -> Result<Database> {
        let there = self.0.database(name).map(|there| there.options());
        let compression = there.map_or(options.compression, |there| there.compression);
        let options = DatabaseOptions {
            compression,
            ..options
        };
        self.0.create(name, options)
    }

    pub(super) fn database(&self, name: &str) -> Result<Database> {
        let missing = || Error::Invalid(format!("no database {name}"));
        self.0.database(name).ok_or_else(missing)
    }

    /// Does a chore. Returns 0 if there was nothing to do.
    pub(super) fn chore(&self, chore: Chore, now: Millis) -> Result<u64> {
        let keeper = self.0.keeper();
        match chore {
            Chore::Sync => {
                let behind = self.0.written() - self.0.durable();
                self.0.sync().map(|()| behind)
            }
            Chore::Prepare => keeper.log.prepare().map(|()| 1),
            Chore::Settle => keeper.log.settle(true).map(|()| 1),
            Chore::Checkpoint => self.0.checkpoint().map(|()| 1),
            Chore::Compact => {
                keeper.recount()?;
                self.0.compact()
            }
            Chore::Reclaim => keeper.reclaim(now),
            Chore::Rewrite => self.0.compact_all(),
            Chore::Alter => {
                let databases = self.0.databases();
                let choice = now as usize;
                let Some(database) = databases.get(choice / 4 % databases.len().max(1)) else {
                    return Ok(0);
                };
                let options = DatabaseOptions {
                    compression: Compression::ALL[choice % 4].1,
                    ..database.options()
                };
                self.0.alter(database.name(), options).map(|()| 1)
            }
        }
    }
}
