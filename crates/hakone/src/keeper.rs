//! What a cabinet does beside its callers: syncing, making segments ahead, reclaiming what has
//! expired, compaction and checkpoints; each on a thread of its own, but for the last two.

use crate::alter::Tried;
use crate::cabinet::{CabinetStat, Database, DatabaseOptions, Durability, Options};
use crate::checkpoint::{self, Source};
use crate::compaction::{self, Stores};
use crate::io::{Bell, Disk, spawn};
use crate::layers;
use crate::log::format::{Draft, FrameKind};
use crate::log::{Callback, Log, LogOptions, SEGMENT_BYTES_MAX, Segment, lock};
use crate::reclaim::{self, Reclaimer};
use crate::recovery::Recovered;
use crate::store::{Store, version_at};
use hakone_command::{Kind, Lsn, Millis, Result, Value};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Changes since the last checkpoint that make a new one worth it: what opening replays.
const CHECKPOINT_CHANGES: u64 = 2_000_000;

/// Bytes of log since the last checkpoint that make a new one worth it.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// How often it is looked whether compaction or a checkpoint is worth it; besides, whenever a segment
/// is full.
const UPKEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Slices in which the garbage of layers is collected before other upkeep has its turn.
const COLLECT_SLICES: usize = 32;

/// How a cabinet works, beyond what its options say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    pub(crate) log: LogOptions,
    /// At the level `interval`: how long a write may wait for the disk.
    pub(crate) interval: Duration,
    /// Whether threads do the keeper's work. Without, it is done in explicit calls alone.
    pub(crate) background: bool,
}

impl Tuning {
    pub(crate) fn new(options: &Options) -> Tuning {
        let log = LogOptions {
            segment_bytes_min: 256 << 10,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            resident_bytes_max: options.memory_bytes,
        };
        // At the level `process` the disk is not waited for; what is lost to a power cut is bounded
        // all the same.
        let interval = match options.durability {
            Durability::Process => options.interval.max(Duration::from_secs(5)),
            _ => options.interval,
        };
        Tuning {
            log,
            interval,
            background: true,
        }
    }
}

/// The work beside the callers, and what it works on.
#[derive(Debug)]
pub(crate) struct Keeper {
    disk: Arc<dyn Disk>,
    pub(crate) log: Arc<Log>,
    catalogue: RwLock<Catalogue>,
    pub(crate) hash_seed: u64,
    interval: Duration,
    pub(crate) is_closed: Arc<AtomicBool>,
    pub(crate) sync_bell: Bell,
    prepare_bell: Bell,
    upkeep_bell: Bell,
    wakers: RwLock<Vec<Callback>>,
    reclaimer: Reclaimer,
    pub(crate) tried: Tried,
    /// What must not happen at the same time: checkpoints and compaction.
    pub(crate) upkeep: Mutex<Upkeep>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    done: Done,
    /// Bytes of compacted segments that wait for snapshots.
    held_bytes: AtomicU64,
}

/// The databases there are. Locked for writing from before one is logged until it is here, so that
/// a checkpoint tells what the log before it does.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// Without hidden trees, which hang on them.
    pub(crate) databases: Vec<Database>,
    /// The id that the next database or hidden tree gets.
    pub(crate) next_id: u32,
}

/// How much has been done since the cabinet was opened.
#[derive(Debug, Default)]
struct Done {
    syncs: AtomicU64,
    checkpoints: AtomicU64,
    compactions: AtomicU64,
    copied_bytes: AtomicU64,
    freed_bytes: AtomicU64,
}

/// Counts something done; counts order nothing.
fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// What checkpoints and compaction know from their last run.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// The segments of the checkpoint that counts.
    parts: Vec<u64>,
    /// The last lsn that is in it.
    lsn: Lsn,
    /// Bytes allocated when it was made.
    capacity: u64,
    /// Compacted segments that it may still name.
    retired: Vec<Retired>,
    /// Those that no checkpoint names, until no snapshot leads to them.
    waiting: Vec<Retired>,
}

/// A compacted segment.
#[derive(Debug)]
struct Retired {
    log: Arc<Log>,
    segment: Arc<Segment>,
    /// The last moment at which something led to it.
    moment: u64,
}

impl Keeper {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        log: Arc<Log>,
        tuning: Tuning,
        recovered: &Recovered,
    ) -> Arc<Keeper> {
        let upkeep = Upkeep {
            parts: recovered.checkpoint_parts.clone(),
            lsn: recovered.checkpoint_lsn,
            capacity: log.capacity(),
            retired: Vec::new(),
            waiting: Vec::new(),
        };
        let reclaimer = Reclaimer::new(disk.now_micros() / 1000);
        Arc::new(Keeper {
            disk,
            log,
            catalogue: RwLock::new(Catalogue {
                databases: Vec::new(),
                next_id: recovered.next_id,
            }),
            hash_seed: recovered.hash_seed,
            interval: tuning.interval,
            is_closed: Arc::default(),
            sync_bell: Bell::default(),
            prepare_bell: Bell::default(),
            upkeep_bell: Bell::default(),
            wakers: RwLock::default(),
            reclaimer,
            tried: Tried::default(),
            upkeep: Mutex::new(upkeep),
            threads: Mutex::default(),
            done: Done::default(),
            held_bytes: AtomicU64::new(0),
        })
    }

    /// Starts the threads that do the work.
    pub(crate) fn start(keeper: &Arc<Keeper>) -> std::io::Result<()> {
        let weak = Arc::downgrade(keeper);
        keeper.log.set_on_rotate(Callback(Box::new(move || {
            if let Some(keeper) = weak.upgrade() {
                keeper.prepare_bell.ring();
                keeper.upkeep_bell.ring();
            }
        })));
        let start = |name, run: fn(&Keeper)| {
            let keeper = Arc::clone(keeper);
            spawn(name, move || run(&keeper))
        };
        let mut threads = lock(&keeper.threads);
        threads.push(start("hakone-sync", Keeper::run_sync)?);
        threads.push(start("hakone-prepare", Keeper::run_prepare)?);
        threads.push(start("hakone-upkeep", Keeper::run_upkeep)?);
        threads.push(start("hakone-reclaim", Keeper::run_reclaim)?);
        keeper.prepare_bell.ring();
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn run_sync(&self) {
        while !self.is_closed() {
            self.sync_bell.wait(self.interval);
            if self.log.written() > self.log.durable() && self.log.failure().is_none() {
                // The log remembers a failure, and every later write tells it.
                let _ = self.sync();
            }
        }
    }

    fn run_prepare(&self) {
        while !self.is_closed() {
            // A failure is told by the write that finds no segment; then it is tried again there.
            let _ = self.log.prepare();
            let _ = self.log.settle(self.reads_log());
            self.prepare_bell.wait(Duration::from_secs(1));
        }
    }

    /// Whether a database of the main log keeps its values there alone.
    fn reads_log(&self) -> bool {
        let is_hash = |d: &Database| d.options().kind == Kind::Hash && !d.options().memory;
        self.databases().iter().any(is_hash)
    }

    fn run_upkeep(&self) {
        while !self.is_closed() {
            self.upkeep_bell.wait(UPKEEP_INTERVAL);
            if self.log.failure().is_some() {
                continue;
            }
            // Each of them is tried again the next time; writes tell what is wrong with the disk.
            if self.collect(COLLECT_SLICES).unwrap_or(0) > 0 {
                self.ring_upkeep();
            }
            if self.wants_recount() {
                let _ = self.recount();
            }
            let _ = self.train_missing();
            let _ = self.compact();
            if self.wants_checkpoint() {
                let _ = self.checkpoint();
            }
        }
    }

    fn run_reclaim(&self) {
        while !self.is_closed() {
            let stores = self.stores();
            let began = self.disk.now_micros();
            // What fails is due again; writes tell what is wrong with the disk.
            let slice = match self.log.failure() {
                Some(failure) => Err(failure.clone()),
                None => self.reclaimer.slice(&stores, began / 1000, || self.now()),
            };
            let ended = self.disk.now_micros();
            let took = Duration::from_micros(ended.saturating_sub(began));
            let next = || reclaim::next(&self.stores());
            self.reclaimer.rest(ended / 1000, &slice, took, next);
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.disk.now_micros() / 1000
    }

    pub(crate) fn databases(&self) -> Vec<Database> {
        self.catalogue().databases.clone()
    }

    fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalogue_mut(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the deadlines of a database or hidden tree wake the thread that reclaims.
    pub(crate) fn attend(&self, store: &Store) {
        store.deadlines.set_alarm(&self.reclaimer.alarm);
    }

    /// Logs that there is a database, or a hidden tree of one.
    pub(crate) fn log_create(
        &self,
        id: u32,
        name: &str,
        options: &DatabaseOptions,
        parent: Option<u32>,
    ) -> Result<()> {
        let value = checkpoint::encode_options(options, parent);
        let create = Draft {
            kind: FrameKind::Create,
            more: false,
            database: id,
            version: 0,
            lsn: None,
            expiry: 0,
            flags: 0,
            key: name.as_bytes(),
            value: Value::whole(&value),
        };
        self.log.append(create, version_at(self.now())).map(|_| ())
    }

    /// All databases' records, and those of their hidden trees.
    pub(crate) fn stores(&self) -> Vec<Arc<Store>> {
        let catalogue = self.catalogue();
        let databases = catalogue.databases.iter().map(Database::store);
        let all = databases.flat_map(|store| std::iter::once(store).chain(store.layers()));
        all.cloned().collect()
    }

    pub(crate) fn on_durable(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wakers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Callback(wake));
    }

    /// Makes everything written so far durable, and wakes who waits for it.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_to(Lsn::MAX)
    }

    /// Makes everything up to an lsn durable, if it is not, and wakes who waits for it.
    pub(crate) fn sync_to(&self, lsn: Lsn) -> Result<()> {
        if self.log.durable() >= lsn {
            return Ok(());
        }
        let synced = self.log.sync_to(lsn);
        if synced == Ok(None) {
            return Ok(());
        }
        add(&self.done.syncs, 1);
        for wake in &*self.wakers.read().unwrap_or_else(PoisonError::into_inner) {
            (wake.0)();
        }
        synced.map(|_| ())
    }

    /// The databases of a log.
    fn stores_of(&self, log: &Arc<Log>) -> Stores {
        let stores = self.stores().into_iter();
        stores
            .filter(|s| Arc::ptr_eq(&s.log, log))
            .map(|s| (s.id, s))
            .collect()
    }

    /// The main log and the private ones.
    pub(crate) fn logs(&self) -> Vec<Arc<Log>> {
        let mut logs = vec![Arc::clone(&self.log)];
        for database in self.databases() {
            if database.options().memory {
                logs.push(Arc::clone(&database.store().log));
            }
        }
        logs
    }

    /// Reclaims all records that have expired at `now`. Returns how many.
    #[cfg(test)]
    pub(crate) fn reclaim(&self, now: Millis) -> Result<u64> {
        let mut count = 0;
        loop {
            let slice = self.reclaimer.slice(&self.stores(), now, || now)?;
            count += slice.reclaimed;
            if slice.due == 0 {
                return Ok(count);
            }
        }
    }

    /// Lets the upkeep thread look for work now.
    pub(crate) fn ring_upkeep(&self) {
        self.upkeep_bell.ring();
    }

    /// Removes what lists and other layers have let go, in up to so many slices of each. Returns
    /// how many records went.
    pub(crate) fn collect(&self, slices: usize) -> Result<u64> {
        let mut count = 0;
        for store in self.stores() {
            count += layers::collect(&store, slices, self.now())?;
        }
        Ok(count)
    }

    fn wants_recount(&self) -> bool {
        let needs = |store: &Arc<Store>| store.needs_recount.load(Ordering::Acquire);
        self.stores().iter().any(needs)
    }

    /// Counts what is dead in the logs of databases that were cleared.
    pub(crate) fn recount(&self) -> Result<()> {
        let _upkeep = lock(&self.upkeep);
        for log in self.logs() {
            let stores = self.stores_of(&log);
            let cleared = |s: &Arc<Store>| s.needs_recount.swap(false, Ordering::AcqRel);
            if stores.values().filter(|store| cleared(store)).count() > 0 {
                compaction::recount(&log, &stores)?;
            }
        }
        Ok(())
    }

    /// Compacts the logs where it is worth it. Returns how many bytes that has freed.
    pub(crate) fn compact(&self) -> Result<u64> {
        let mut freed = 0;
        for log in self.logs() {
            let mut upkeep = lock(&self.upkeep);
            let chosen = compaction::choose(&log);
            if chosen.is_empty() {
                continue;
            }
            freed += self.compact_chosen(&log, &mut upkeep, chosen)?;
        }
        self.free_waiting(&mut lock(&self.upkeep), Vec::new())?;
        Ok(freed)
    }

    /// Compacts these segments. Returns how many bytes that has freed.
    pub(crate) fn compact_chosen(
        &self,
        log: &Arc<Log>,
        upkeep: &mut Upkeep,
        chosen: Vec<Arc<Segment>>,
    ) -> Result<u64> {
        let compacted = compaction::compact(log, &self.stores_of(log), chosen)?;
        let retired = compacted.retired.iter();
        let bytes: u64 = retired.map(|segment| segment.capacity).sum();
        add(&self.done.compactions, 1);
        add(&self.done.copied_bytes, compacted.copied);
        add(&self.done.freed_bytes, bytes);
        let moment = log.pins.retire();
        let retired = compacted.retired.into_iter().map(|segment| Retired {
            log: Arc::clone(log),
            segment,
            moment,
        });
        if log.is_in_memory() {
            upkeep.waiting.extend(retired);
        } else {
            upkeep.retired.extend(retired);
            self.checkpoint_locked(upkeep)?;
        }
        Ok(bytes.saturating_sub(compacted.copied))
    }

    /// Gives free what no snapshot leads to any more, and parts of old checkpoints.
    pub(crate) fn free_waiting(&self, upkeep: &mut Upkeep, parts: Vec<u64>) -> Result<()> {
        let (held, free) = std::mem::take(&mut upkeep.waiting)
            .into_iter()
            .partition(|retired: &Retired| retired.log.pins.hold(retired.moment));
        upkeep.waiting = held;
        let held = upkeep.waiting.iter().map(|held| held.segment.capacity);
        self.held_bytes.store(held.sum(), Ordering::Relaxed);
        let mut of_main = Vec::new();
        for Retired { log, segment, .. } in free {
            if log.is_in_memory() {
                log.free(&[segment], &[])?;
            } else {
                of_main.push(segment);
            }
        }
        if of_main.is_empty() && parts.is_empty() {
            return Ok(());
        }
        self.log.free(&of_main, &parts)
    }

    fn wants_checkpoint(&self) -> bool {
        let upkeep = lock(&self.upkeep);
        self.log.written().saturating_sub(upkeep.lsn) > CHECKPOINT_CHANGES
            || self.log.capacity().saturating_sub(upkeep.capacity) > CHECKPOINT_BYTES
    }

    /// Writes a checkpoint, and gives free what only older ones named.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.checkpoint_locked(&mut lock(&self.upkeep))
    }

    fn checkpoint_locked(&self, upkeep: &mut Upkeep) -> Result<()> {
        let (parts, lsn) = checkpoint::write(&self.log, || {
            let catalogue = self.catalogue();
            let entries = catalogue.databases.iter().flat_map(Database::entries);
            let (next_id, entries) = (catalogue.next_id, entries.collect());
            drop(catalogue);
            Source {
                stores: self.stores_of(&self.log).into_values().collect(),
                hash_seed: self.hash_seed,
                next_id,
                catalogue: entries,
            }
        })?;
        add(&self.done.checkpoints, 1);
        let old_parts = std::mem::replace(&mut upkeep.parts, parts);
        upkeep.lsn = lsn;
        upkeep.waiting.append(&mut upkeep.retired);
        let freed = self.free_waiting(upkeep, old_parts);
        upkeep.capacity = self.log.capacity();
        freed
    }

    pub(crate) fn stat(&self) -> CabinetStat {
        let now = self.now();
        let due = reclaim::next(&self.stores());
        let done = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CabinetStat {
            log_bytes: self.log.capacity(),
            resident_bytes: self.log.resident_bytes(),
            live_bytes: compaction::live_bytes(&self.log),
            segments: self.log.table.all().len() as u64,
            written: self.log.written(),
            durable: self.log.durable(),
            syncs: done(&self.done.syncs),
            checkpoints: done(&self.done.checkpoints),
            compactions: done(&self.done.compactions),
            compaction_copied_bytes: done(&self.done.copied_bytes),
            compaction_freed_bytes: done(&self.done.freed_bytes),
            held_bytes: done(&self.held_bytes),
            reclaimed: self.reclaimer.reclaimed(),
            expiry_waiting: due.map_or(0, |expiry| now.saturating_sub(expiry)),
            expiry_lags: self.reclaimer.lags(),
        }
    }

    /// Ends the threads, makes everything durable and writes a checkpoint.
    pub(crate) fn close(&self) -> Result<()> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.reclaimer.alarm.bell.ring();
        for bell in [&self.sync_bell, &self.prepare_bell, &self.upkeep_bell] {
            bell.ring();
        }
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A panicking thread has said so itself.
            let _ = thread.join();
        }
        let closed = self.sync().and_then(|()| {
            let unchanged = lock(&self.upkeep).lsn == self.log.written();
            if unchanged { Ok(()) } else { self.checkpoint() }
        });
        self.log.close();
        closed
    }
}
