//! The cabinet: a directory with one log and the databases in it.

use crate::model::Model;
use hakone_command::{Command, Error, Kind, Lsn, Millis, Reply, Result};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it survives the death of the process.
    Process,
    /// As `Process`, and it is on the disk within the interval.
    Interval,
    /// Once it is on the disk.
    Commit,
}

/// How a cabinet is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// When a write is acknowledged.
    pub durability: Durability,
    /// How long a write may wait for the disk at the level `Interval`.
    pub interval: Duration,
    /// Memory for what is cached of the log, in bytes.
    pub memory_bytes: u64,
    /// Make the directory if there is none.
    pub create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::Interval,
            interval: Duration::from_millis(100),
            memory_bytes: u64::MAX,
            create: true,
        }
    }
}

/// How a database is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// What it is indexed by.
    pub kind: Kind,
    /// Keep its log in memory: gone when the cabinet is closed.
    pub memory: bool,
}

/// What a cabinet tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CabinetStat {
    /// Bytes of the segments on disk.
    pub log_bytes: u64,
    /// Bytes in them that are live.
    pub live_bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// The last lsn that is written.
    pub written: Lsn,
    /// The last lsn that is durable.
    pub durable: Lsn,
}

/// An open cabinet. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Cabinet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    databases: RwLock<Vec<Database>>,
}

/// A database of an open cabinet. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Database(Arc<DatabaseInner>);

#[derive(Debug)]
struct DatabaseInner {
    name: String,
    options: DatabaseOptions,
    model: Mutex<Model>,
}

impl Cabinet {
    /// Opens the cabinet in the directory `path`.
    pub fn open(path: &Path, options: Options) -> Result<Cabinet> {
        let _ = (path, options);
        Ok(Cabinet(Arc::new(Inner {
            databases: RwLock::new(Vec::new()),
        })))
    }

    /// The database of this name.
    pub fn database(&self, name: &str) -> Option<Database> {
        self.databases()
            .into_iter()
            .find(|database| database.name() == name)
    }

    /// All databases, in the order in which they were made.
    pub fn databases(&self) -> Vec<Database> {
        self.0
            .databases
            .read()
            .unwrap_or_else(|e| e.into_inner())
            .clone()
    }

    /// The database of this name, made if there is none.
    ///
    /// # Errors
    /// `Invalid` if there is one with other options.
    pub fn create(&self, name: &str, options: DatabaseOptions) -> Result<Database> {
        let mut databases = self.0.databases.write().unwrap_or_else(|e| e.into_inner());
        if let Some(there) = databases.iter().find(|database| database.name() == name) {
            if there.options() != options {
                return Err(Error::Invalid(format!("database {name} has other options")));
            }
            return Ok(there.clone());
        }
        let database = Database(Arc::new(DatabaseInner {
            name: name.to_owned(),
            options,
            model: Mutex::new(Model::default()),
        }));
        databases.push(database.clone());
        Ok(database)
    }

    /// The last lsn whose record is written: it survives the death of the process.
    pub fn written(&self) -> Lsn {
        0
    }

    /// The last lsn whose record is durable: it survives a power cut.
    pub fn durable(&self) -> Lsn {
        0
    }

    /// Asks for everything up to `lsn` to become durable soon, and returns at once.
    pub fn want_durable(&self, lsn: Lsn) {
        let _ = lsn;
    }

    /// Calls `wake` whenever `durable` has moved or syncing has failed, on the sync thread: it
    /// must be short and must not call the cabinet.
    pub fn on_durable(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = wake;
    }

    /// The error that stopped writes, if one has.
    pub fn failure(&self) -> Option<Error> {
        None
    }

    /// Makes everything written so far durable, and waits for it.
    pub fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// What the cabinet tells of itself.
    pub fn stat(&self) -> CabinetStat {
        CabinetStat::default()
    }

    /// Makes everything durable, writes a checkpoint and gives the directory free. Further calls
    /// on handles to this cabinet fail.
    pub fn close(&self) -> Result<()> {
        Ok(())
    }
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its kind and the options it was made with.
    pub fn options(&self) -> DatabaseOptions {
        self.0.options
    }

    /// Tells that these keys will be asked for next, so that their cache misses overlap. Changes
    /// nothing; a few dozen keys at a time gain most.
    pub fn prefetch(&self, keys: &[&[u8]]) {
        let _ = keys;
    }

    /// Carries out a command at the time `now`, and hands the reply to `answer`, once. Returns the
    /// highest lsn that it wrote or read: the reply may leave when that is as durable as the
    /// server promises. `answer` must be short: it runs under the record's lock, so that the reply
    /// can borrow from the log.
    ///
    /// # Errors
    /// As [`Error`] tells; then `answer` was not called and nothing was changed.
    pub fn call(
        &self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        let mut model = self.0.model.lock().unwrap_or_else(|e| e.into_inner());
        model.call(command, now, answer)?;
        Ok(0)
    }
}

/// The time by the real clock.
pub fn now() -> Millis {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
