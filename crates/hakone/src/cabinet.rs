//! The cabinet: a directory with one log and the databases in it.

use crate::checkpoint::Entry;
use crate::io::{Disk, RealDisk};
use crate::keeper::{Keeper, Tuning};
use crate::log::{Log, LogOptions, disk_error, lock};
use crate::reclaim::LagHistogram;
use crate::recovery::{self, Recovered};
use crate::store::{Store, batch};
use hakone_command::{
    Command, Comparator, Compression, Error, Kind, Lsn, Millis, Reply, Result, Version,
};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

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
    /// The order of a tree's keys.
    pub comparator: Comparator,
    /// Whether a tree holds several records of one key, in the order in which they were put.
    pub duplicates: bool,
    /// The most bytes of a value of an array; 0: as many as elsewhere.
    pub width: u32,
    /// How values are packed in the log.
    pub compression: Compression,
}

impl DatabaseOptions {
    /// A database on file: keys in the order of bytes, each once, values of any width, unpacked.
    pub fn new(kind: Kind) -> DatabaseOptions {
        DatabaseOptions {
            kind,
            memory: false,
            comparator: Comparator::Bytes,
            duplicates: false,
            width: 0,
            compression: Compression::None,
        }
    }

    /// Refuses what does not go together.
    ///
    /// # Errors
    /// `Invalid`, with what does not.
    pub fn check(&self) -> Result<()> {
        let kind = self.kind.name();
        if self.kind != Kind::Tree && self.comparator != Comparator::Bytes {
            return Err(Error::Invalid(format!(
                "a comparator orders the keys of a tree; a database of kind {kind} has none"
            )));
        }
        if self.kind != Kind::Tree && self.duplicates {
            return Err(Error::Invalid(format!(
                "duplicates are kept by a tree, not by a database of kind {kind}"
            )));
        }
        if self.kind != Kind::Array && self.width != 0 {
            return Err(Error::Invalid(format!(
                "a width bounds the values of an array, not those of a database of kind {kind}"
            )));
        }
        Ok(())
    }
}

/// The options in words, as they are given: the kind, then what differs from the default.
impl std::fmt::Display for DatabaseOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.name())?;
        if self.memory {
            f.write_str(",memory=true")?;
        }
        if self.comparator != Comparator::Bytes {
            write!(f, ",comparator={}", self.comparator.name())?;
        }
        if self.duplicates {
            f.write_str(",duplicates=true")?;
        }
        if self.width != 0 {
            write!(f, ",width={}", self.width)?;
        }
        if self.compression != Compression::None {
            write!(f, ",compression={}", self.compression.name())?;
        }
        Ok(())
    }
}

/// What a cabinet tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CabinetStat {
    /// Bytes allocated for the segments of the main log.
    pub log_bytes: u64,
    /// Bytes of them that are held in memory to be read, beside the tail.
    pub resident_bytes: u64,
    /// Bytes in them that are live.
    pub live_bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// The last lsn that is written.
    pub written: Lsn,
    /// The last lsn that is durable.
    pub durable: Lsn,
    /// Syncs of the log since the cabinet was opened.
    pub syncs: u64,
    /// Checkpoints written since then.
    pub checkpoints: u64,
    /// Compactions since then.
    pub compactions: u64,
    /// Bytes that they have copied.
    pub compaction_copied_bytes: u64,
    /// Bytes of segments that they have let go.
    pub compaction_freed_bytes: u64,
    /// Expired records reclaimed since then.
    pub reclaimed: u64,
    /// Bytes of segments that compaction has let go and that snapshots hold.
    pub held_bytes: u64,
    /// For how long the record that expired first has been waiting to be reclaimed; 0 where none
    /// waits.
    pub expiry_waiting: Millis,
    /// For how long those that were reclaimed had waited.
    pub expiry_lags: LagHistogram,
}

/// Bytes of the longest name of a database.
const NAME_BYTES_MAX: usize = 255;

/// The directory of the main log in a cabinet's.
const MAIN: &str = "main";

/// An open cabinet. Cloning gives another handle to the same one; when the last one is dropped, it
/// is closed.
#[derive(Clone, Debug)]
pub struct Cabinet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keeper: Arc<Keeper>,
    lsns: Arc<AtomicU64>,
    /// Locks the directory until the cabinet is closed.
    root: Mutex<Option<RealDisk>>,
}

/// A database of an open cabinet. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Database(Arc<DatabaseInner>);

#[derive(Debug)]
struct DatabaseInner {
    name: String,
    store: Arc<Store>,
    is_closed: Arc<AtomicBool>,
    /// It holds this database.
    keeper: Weak<Keeper>,
}

/// One command of a batch, see [`Cabinet::batch`].
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The database that it is for.
    pub database: &'a Database,
    /// What is asked.
    pub command: Command<'a>,
}

/// A record that must not have changed for a batch to be carried out, see [`Cabinet::batch`].
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// The database that it is in.
    pub database: &'a Database,
    /// Its key.
    pub key: &'a [u8],
    /// The version that it must have; 0: there must be no record.
    pub version: Version,
}

impl Cabinet {
    /// Opens the cabinet in the directory `path`. Reads the last checkpoint and what was written
    /// since; databases of kind tree are read whole. What was not durable at a power cut may be
    /// gone, from some moment on.
    ///
    /// # Errors
    /// `Locked` if another process has it, `Corrupt` if bytes that were durable have changed, `Io`.
    pub fn open(path: &Path, options: Options) -> Result<Cabinet> {
        let fail = |e: &std::io::Error| match e.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked(format!(
                "the cabinet {} is in use by {e}; stop it, or reach it with --server",
                path.display()
            )),
            std::io::ErrorKind::NotFound => {
                Error::Invalid(format!("there is no cabinet at {}", path.display()))
            }
            _ => disk_error(&format!("cannot open the cabinet {}", path.display()), e),
        };
        let root = RealDisk::open(path, options.create).map_err(|e| fail(&e))?;
        root.lock().map_err(|e| fail(&e))?;
        let main = root.sub(MAIN, options.create).map_err(|e| fail(&e))?;
        let tuning = Tuning::new(&options);
        Cabinet::open_on(Some(root), Arc::new(main), tuning)
    }

    /// Opens the cabinet whose main log is in the directory `main`.
    pub(crate) fn open_on(
        root: Option<RealDisk>,
        main: Arc<dyn Disk>,
        tuning: Tuning,
    ) -> Result<Cabinet> {
        let lsns = Arc::new(AtomicU64::new(0));
        let seed = main.now_micros().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let recovered = recovery::recover(Arc::clone(&main), tuning.log, Arc::clone(&lsns), seed)?;
        let Recovered { log, databases, .. } = &recovered;
        let keeper = Keeper::new(main, Arc::clone(log), tuning, &recovered);
        for (name, store) in databases.values() {
            keeper.attend(store);
            match &store.hidden {
                None => {
                    let database = Database::new(name, store, &keeper);
                    keeper.catalogue_mut().databases.push(database);
                }
                // Its id is higher than its database's, which is there, if it was not dropped.
                Some(hidden) => {
                    if let Some((_, parent)) = databases.get(&hidden.parent()) {
                        parent.add_layer(Arc::clone(store));
                    }
                }
            }
        }
        if tuning.background {
            Keeper::start(&keeper).map_err(|e| disk_error("cannot start a thread", &e))?;
        }
        let root = Mutex::new(root);
        Ok(Cabinet(Arc::new(Inner { keeper, lsns, root })))
    }

    /// The database of this name.
    pub fn database(&self, name: &str) -> Option<Database> {
        self.databases()
            .into_iter()
            .find(|database| database.name() == name)
    }

    /// All databases, in the order in which they were made.
    pub fn databases(&self) -> Vec<Database> {
        self.0.keeper.databases()
    }

    /// The database of this name, made if there is none. It is durable with the next change that
    /// is.
    ///
    /// # Errors
    /// `Invalid` if there is one with other options, but for its compression, which it keeps
    /// ([`Cabinet::alter`] changes it); or if the name is empty or longer than 255 bytes.
    pub fn create(&self, name: &str, options: DatabaseOptions) -> Result<Database> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "the name of a database has 1 to {NAME_BYTES_MAX} bytes, not {}",
                name.len()
            )));
        }
        options.check()?;
        let keeper = &self.0.keeper;
        let mut catalogue = keeper.catalogue_mut();
        let mut there = catalogue.databases.iter();
        if let Some(there) = there.find(|database| database.name() == name) {
            // Which compression it has now is its own affair: it may have been altered.
            let compression = there.options().compression;
            let wanted = DatabaseOptions {
                compression,
                ..options
            };
            if there.options() != wanted {
                return Err(Error::Invalid(format!(
                    "database {name} is there as {}, not as {options}",
                    there.options(),
                )));
            }
            return Ok(there.clone());
        }
        let id = catalogue.next_id;
        let log = if options.memory {
            let options = LogOptions {
                resident_bytes_max: u64::MAX,
                ..keeper.log.options()
            };
            Arc::new(Log::new(None, options, Arc::clone(&self.0.lsns)))
        } else {
            keeper.log_create(id, name, &options, None)?;
            Arc::clone(&keeper.log)
        };
        let store = Store::new(id, options, log, keeper.hash_seed);
        keeper.attend(&store);
        let database = Database::new(name, &Arc::new(store), keeper);
        catalogue.next_id += 1;
        catalogue.databases.push(database.clone());
        Ok(database)
    }

    /// Gives the database `name` other options: another compression; nothing else can be altered.
    /// What is written from now on is packed so; what is there, when it is compacted, all of it by
    /// [`Cabinet::compact_all`]. Altering to [`crate::Compression::ZstdDictionary`] makes a
    /// dictionary of the records that are there, a new one where there is one, which takes about a
    /// second; where there are too few, it is made in the background when there are more, and until
    /// then values are packed without one. As durable as a put.
    ///
    /// # Errors
    /// `Invalid` if there is no such database or something else differs; those of a put.
    pub fn alter(&self, name: &str, options: DatabaseOptions) -> Result<()> {
        self.check_open()?;
        options.check()?;
        let database = self.database(name).ok_or_else(|| {
            Error::Invalid(format!("there is no database {name}; create it first"))
        })?;
        self.0.keeper.alter(&database, options)
    }

    /// Carries out several commands on databases of this cabinet as one atomic batch, at the time
    /// `now`: nobody sees a part of it, and after a crash it is there whole or not at all (of
    /// databases in memory, nothing is there then). Each step sees what those before it did.
    /// Before the first step the guards are checked under the same locks; if one does not hold,
    /// nothing is done and the result is `None`. Else `answer` is handed each step's number and
    /// reply, in order, or the error for which that step alone was refused: it is left out, the
    /// others count. Versions in the replies of steps that write are 0. Returns the highest lsn
    /// that was written or read.
    ///
    /// Takes the locks of all keys at once; `Clear` and `Count` take their whole database. Scans
    /// are refused. Changes of up to [`hakone_command::limits::BATCH_BYTES_MAX`] bytes fit.
    ///
    /// # Errors
    /// As [`Error`] tells; then nothing was changed, and the answers that were given are void.
    pub fn batch(
        &self,
        guards: &[Guard<'_>],
        steps: &[Step<'_>],
        now: Millis,
        answer: &mut dyn FnMut(usize, Result<Reply<'_>>),
    ) -> Result<Option<Lsn>> {
        self.check_open()?;
        let databases = guards.iter().map(|guard| guard.database);
        for database in databases.chain(steps.iter().map(|step| step.database)) {
            self.check_owns(database)?;
        }
        let guards = guards.iter().map(|guard| batch::Guard {
            store: guard.database.store(),
            key: guard.key,
            version: guard.version,
        });
        let steps = steps.iter().map(|step| batch::Step {
            store: step.database.store(),
            command: &step.command,
        });
        let (guards, steps): (Vec<_>, Vec<_>) = (guards.collect(), steps.collect());
        batch::run(&guards, &steps, now, answer)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.0.keeper.is_closed.load(Ordering::Relaxed) {
            return Err(closed());
        }
        Ok(())
    }

    pub(crate) fn check_owns(&self, database: &Database) -> Result<()> {
        if !Arc::ptr_eq(&database.0.is_closed, &self.0.keeper.is_closed) {
            return Err(Error::Invalid(format!(
                "database {} is of another cabinet: a batch or transaction is of one",
                database.name()
            )));
        }
        Ok(())
    }

    /// The last lsn whose record is written: it survives the death of the process.
    pub fn written(&self) -> Lsn {
        self.0.keeper.log.written()
    }

    /// The last lsn whose record is durable: it survives a power cut.
    pub fn durable(&self) -> Lsn {
        self.0.keeper.log.durable()
    }

    /// Asks for everything up to `lsn` to become durable soon, and returns at once.
    pub fn want_durable(&self, lsn: Lsn) {
        if lsn > self.durable() {
            self.0.keeper.sync_bell.ring();
        }
    }

    /// Calls `wake` whenever `durable` has moved or syncing has failed, on the sync thread: it
    /// must be short and must not call the cabinet.
    pub fn on_durable(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.0.keeper.on_durable(wake);
    }

    /// The error that stopped writes, if one has.
    pub fn failure(&self) -> Option<Error> {
        self.0.keeper.log.failure().cloned()
    }

    /// Makes everything written so far durable, and waits for it.
    pub fn sync(&self) -> Result<()> {
        self.0.keeper.sync()
    }

    /// Makes everything up to `lsn` durable, and waits for it. Those that wait together share one
    /// sync.
    ///
    /// # Errors
    /// `Poisoned` if a sync has failed: what the disk holds is not known, and writes are refused.
    pub fn sync_to(&self, lsn: Lsn) -> Result<()> {
        self.0.keeper.sync_to(lsn)
    }

    /// Writes a checkpoint now, so that the next opening has less to read.
    pub fn checkpoint(&self) -> Result<()> {
        self.0.keeper.checkpoint()
    }

    /// Compacts what is worth it now. Returns how many bytes of the disk that has freed.
    pub fn compact(&self) -> Result<u64> {
        self.0.keeper.compact()
    }

    /// Rewrites the whole log: every live record anew, packed as its database packs now, and nothing
    /// else. Takes as long as reading and writing it all, and a quarter of a GiB of the disk beside;
    /// others go on meanwhile. Returns how many bytes of the disk and of logs in memory that has
    /// freed.
    ///
    /// # Errors
    /// Those of the disk; what has been rewritten stays so.
    pub fn compact_all(&self) -> Result<u64> {
        self.check_open()?;
        self.0.keeper.compact_all()
    }

    /// Tells where this process serves the cabinet, for the error that another process gets which
    /// tries to open it.
    pub fn tell_address(&self, address: &str) -> Result<()> {
        let root = lock(&self.0.root);
        let Some(root) = &*root else {
            return Ok(());
        };
        root.tell_socket(address)
            .map_err(|e| disk_error("cannot write the lock file", &e))
    }

    /// What the cabinet tells of itself.
    pub fn stat(&self) -> CabinetStat {
        self.0.keeper.stat()
    }

    /// Makes everything durable, writes a checkpoint and gives the directory free. Further calls
    /// on handles to this cabinet fail. Closing again does nothing.
    pub fn close(&self) -> Result<()> {
        let closed = self.0.keeper.close();
        lock(&self.0.root).take();
        closed
    }

    /// The work that the cabinet does beside its callers, for tests that do it step by step.
    #[cfg(test)]
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.0.keeper
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to be told; the next opening finds what was durable.
        let _ = self.keeper.close();
    }
}

impl Database {
    fn new(name: &str, store: &Arc<Store>, keeper: &Arc<Keeper>) -> Database {
        Database(Arc::new(DatabaseInner {
            name: name.to_owned(),
            store: Arc::clone(store),
            is_closed: Arc::clone(&keeper.is_closed),
            keeper: Arc::downgrade(keeper),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its kind and the options it was made with, or altered to.
    pub fn options(&self) -> DatabaseOptions {
        self.0.store.options()
    }

    /// Tells that these keys will be asked for next, so that their cache misses overlap. Changes
    /// nothing; a few dozen keys at a time gain most.
    pub fn prefetch(&self, keys: &[&[u8]]) {
        self.0.store.prefetch(keys);
    }

    /// Carries out a command at the time `now`, and hands the reply to `answer`, once. Returns the
    /// highest lsn that it wrote or read: the reply may leave when that is as durable as the
    /// server promises. `answer` must be short and must not call the database: it runs under the
    /// record's lock, so that the reply can borrow from the log.
    ///
    /// # Errors
    /// As [`Error`] tells; then `answer` was not called and nothing was changed.
    #[inline]
    pub fn call(
        &self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        self.check_open()?;
        self.0.store.call(command, now, answer)
    }

    /// Refuses once the cabinet has been closed.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.0.is_closed.load(Ordering::Relaxed) {
            return Err(closed());
        }
        Ok(())
    }

    /// What does the work of its cabinet.
    pub(crate) fn keeper(&self) -> Result<Arc<Keeper>> {
        self.0.keeper.upgrade().ok_or_else(closed)
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    /// How the catalogue tells it and its hidden trees, if they are there at the next opening.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        if self.options().memory {
            return Vec::new();
        }
        let entry = |store: &Store| Entry {
            id: store.id,
            options: store.options(),
            parent: store.hidden.as_ref().map(|hidden| hidden.parent()),
            cleared: store.cleared.load(Ordering::Acquire),
            name: match &store.hidden {
                Some(hidden) => hidden.name().to_string(),
                None => self.0.name.clone(),
            },
        };
        let layers = self.0.store.layers().map(|layer| entry(layer));
        std::iter::once(entry(&self.0.store))
            .chain(layers)
            .collect()
    }
}

fn closed() -> Error {
    Error::Invalid("the cabinet has been closed".to_owned())
}

/// The time by the real clock.
pub fn now() -> Millis {
    crate::io::now_micros() / 1000
}
