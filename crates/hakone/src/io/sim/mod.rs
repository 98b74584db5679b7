//! A simulated disk that loses power, fails calls and has a clock moved by hand.
//!
//! What it assumes of a real one: a sector of 512 bytes is written whole, not at all, or with a cut
//! at any byte; sectors that aren't synced are written in any order, at any time, or never. Files
//! have their size and zeroes as soon as they have their name (the real disk syncs a file when it
//! makes it). Names that aren't synced survive a power cut as a beginning of what was done, as on a
//! journaling file system, or, if asked, each change on its own.

mod file;
mod image;

#[cfg(test)]
mod tests;

use super::chance::Chance;
use super::{Disk, File, check_name};
use file::{Contents, Inode, os_error};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A handle to a simulated disk; a clone is what another process would open.
pub(crate) struct SimDisk {
    shared: Arc<Shared>,
    /// This handle has the lock.
    locked: AtomicBool,
}

/// What has just been done to the disk. Files keep their size, so there is no truncating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Create,
    Rename,
    Remove,
    SyncNames,
    Write,
    Append,
    Sync,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Any call: the disk doesn't work. A write has written its beginning, a sync is a `FailedSync`.
    Eio,
    /// Calls that need space: the disk is full.
    Enospc,
    /// A write that has written its beginning only.
    ShortWrite,
    /// A sync that fails. What it should have written counts as clean from then on.
    FailedSync,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncNames,
    Lock,
    Read,
    Write,
    Sync,
    Map,
}

/// What of the unsynced names a power cut keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameCut {
    /// Those done first, up to some point.
    Prefix,
    /// Each or not.
    Independent,
}

type Hook = Box<dyn FnMut(&SimDisk, Step) + Send>;

struct Shared {
    /// Read-locked while a step changes something, so that an image is of one moment.
    moment: RwLock<()>,
    names: Mutex<Names>,
    chance: Mutex<Chance>,
    hook: Mutex<Option<Hook>>,
    faults: Mutex<Vec<(RangeInclusive<u64>, Fault)>>,
    calls: AtomicU64,
    hits: AtomicU64,
    micros: AtomicU64,
    locked: AtomicBool,
}

#[derive(Clone, Default)]
struct Names {
    current: BTreeMap<String, Arc<Inode>>,
    durable: BTreeMap<String, Arc<Inode>>,
    /// What leads from `durable` to `current`.
    changes: Vec<NameChange>,
    /// The sum of the sizes of all files may not pass it.
    capacity: Option<u64>,
}

#[derive(Clone)]
enum NameChange {
    Create(String, Arc<Inode>),
    Rename(String, String, Arc<Inode>),
    Remove(String, Arc<Inode>),
}

impl SimDisk {
    /// An empty disk.
    pub(crate) fn new(seed: u64) -> SimDisk {
        SimDisk::of(Names::default(), seed, 0)
    }

    fn of(names: Names, seed: u64, micros: u64) -> SimDisk {
        SimDisk {
            shared: Arc::new(Shared {
                moment: RwLock::default(),
                names: Mutex::new(names),
                chance: Mutex::new(Chance::new(seed)),
                hook: Mutex::default(),
                faults: Mutex::default(),
                calls: AtomicU64::new(0),
                hits: AtomicU64::new(0),
                micros: AtomicU64::new(micros),
                locked: AtomicBool::new(false),
            }),
            locked: AtomicBool::new(false),
        }
    }

    /// Another disk, with what would be on this one if it lost its power now.
    pub(crate) fn power_cut(&self, seed: u64, names: NameCut) -> SimDisk {
        let mut chance = Chance::new(seed);
        let _moment = self.shared.stop();
        let names = hold(&self.shared.names).cut(names, &mut chance);
        let names = names.copied(|contents| Contents::durable(contents.cut(&mut chance)));
        SimDisk::of(names, chance.next(), self.now_micros())
    }

    /// Another disk as this one is now, as after the death of the process: nothing is lost, nothing
    /// more is durable.
    pub(crate) fn copy(&self) -> SimDisk {
        let _moment = self.shared.stop();
        let names = hold(&self.shared.names).copied(Contents::clone);
        let seed = self.shared.chance().next();
        SimDisk::of(names, seed, self.now_micros())
    }

    /// Calls `hook` with a handle after each step that changes something, outside all locks; steps that the hook
    /// itself makes, or that other threads make meanwhile, are not told. A cut in the middle of the
    /// next step, or before it, leaves nothing that a cut now wouldn't.
    pub(crate) fn on_step(&self, hook: impl FnMut(&SimDisk, Step) + Send + 'static) {
        *hold(&self.shared.hook) = Some(Box::new(hook));
    }

    /// How many calls that can fail have been made.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Lets the calls of these numbers fail, counted from 0 on, where the fault fits the call.
    pub(crate) fn fail(&self, calls: RangeInclusive<u64>, fault: Fault) {
        hold(&self.shared.faults).push((calls, fault));
    }

    /// How many calls have failed as planned.
    pub(crate) fn faults_hit(&self) -> u64 {
        self.shared.hits.load(Ordering::Relaxed)
    }

    /// Lets `create` fail where all files together would be larger; `None`: no bound.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        hold(&self.shared.names).capacity = bytes;
    }

    /// Lets some sectors that a failed sync took for clean be read from the disk again, as they are
    /// when memory runs short or files are opened anew.
    pub(crate) fn evict(&self) {
        let inodes: Vec<_> = hold(&self.shared.names).current.values().cloned().collect();
        for inode in inodes {
            hold(&inode.contents).evict(&mut self.shared.chance());
        }
    }

    /// Sets the clock.
    pub(crate) fn set_micros(&self, micros: u64) {
        self.shared.micros.store(micros, Ordering::Relaxed);
    }

    /// Changes bytes on the disk behind the program's back, as a bad disk does: in every file of
    /// the name, durably.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidInput` outside the file.
    pub(crate) fn damage(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let inode = hold(&self.shared.names).find(name)?;
        check_inside(inode.bytes, offset, bytes.len())?;
        let start = usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
        let mut contents = hold(&inode.contents);
        contents.current.write(start, bytes);
        contents.durable.write(start, bytes);
        Ok(())
    }
}

fn check_inside(bytes: u64, offset: u64, len: usize) -> Result<()> {
    super::check_inside(bytes, offset, len, ErrorKind::InvalidInput)
}

impl Clone for SimDisk {
    fn clone(&self) -> SimDisk {
        SimDisk {
            shared: Arc::clone(&self.shared),
            locked: AtomicBool::new(false),
        }
    }
}

impl Drop for SimDisk {
    fn drop(&mut self) {
        if *self.locked.get_mut() {
            self.shared.locked.store(false, Ordering::Release);
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimDisk").field(&self.shared).finish()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("calls", &self.calls)
            .field("names", &hold(&self.names).current.keys())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Begins a step that changes something.
    fn begin(&self) -> RwLockReadGuard<'_, ()> {
        self.moment.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing change.
    fn stop(&self) -> RwLockWriteGuard<'_, ()> {
        self.moment.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn chance(&self) -> MutexGuard<'_, Chance> {
        hold(&self.chance)
    }

    /// Counts a call, and fails it if that is the plan.
    fn enter(&self, call: Call) -> Result<()> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let error = hold(&self.faults)
            .iter()
            .filter(|(calls, _)| calls.contains(&number))
            .find_map(|(_, fault)| fault.error(call));
        match error {
            Some(error) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
            None => Ok(()),
        }
    }

    fn after(self: &Arc<Self>, step: Step) {
        let hook = hold(&self.hook).take();
        if let Some(mut hook) = hook {
            let disk = SimDisk {
                shared: Arc::clone(self),
                locked: AtomicBool::new(false),
            };
            hook(&disk, step);
            hold(&self.hook).get_or_insert(hook);
        }
    }
}

impl Fault {
    fn error(self, call: Call) -> Option<Error> {
        let number = match (self, call) {
            (Fault::Eio, _) | (Fault::FailedSync, Call::Sync | Call::SyncNames) => libc::EIO,
            (
                Fault::Enospc,
                Call::Create
                | Call::Rename
                | Call::Write
                | Call::Sync
                | Call::SyncNames
                | Call::Map,
            )
            | (Fault::ShortWrite, Call::Write) => libc::ENOSPC,
            _ => return None,
        };
        Some(os_error(number))
    }
}

impl Names {
    fn find(&self, name: &str) -> Result<Arc<Inode>> {
        match self.current.get(name) {
            Some(inode) => Ok(Arc::clone(inode)),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn find_free(&self, name: &str) -> Result<()> {
        if self.current.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.current);
        self.changes.push(change);
    }

    /// What is on the disk after a power cut; all of it durable.
    fn cut(&self, cut: NameCut, chance: &mut Chance) -> Names {
        let mut names = self.durable.clone();
        let prefix = chance.index(self.changes.len() + 1);
        for (at, change) in self.changes.iter().enumerate() {
            let survives = match cut {
                NameCut::Prefix => at < prefix,
                NameCut::Independent => chance.one_in(2),
            };
            if survives {
                change.apply(&mut names);
            }
        }
        Names {
            current: names.clone(),
            durable: names,
            changes: Vec::new(),
            capacity: self.capacity,
        }
    }

    /// The same names for copies of the files.
    fn copied(&self, mut copy: impl FnMut(&Contents) -> Contents) -> Names {
        let mut copies = HashMap::new();
        let mut of = |inode: &Arc<Inode>| {
            let copied = copies
                .entry(Arc::as_ptr(inode))
                .or_insert_with(|| Inode::new(inode.bytes, copy(&hold(&inode.contents))));
            Arc::clone(copied)
        };
        let mut all = |names: &BTreeMap<String, Arc<Inode>>| {
            let copies = names.iter().map(|(name, inode)| (name.clone(), of(inode)));
            copies.collect()
        };
        let (current, durable) = (all(&self.current), all(&self.durable));
        let changes = self.changes.iter().map(|change| change.copied(&mut of));
        Names {
            current,
            durable,
            changes: changes.collect(),
            capacity: self.capacity,
        }
    }
}

impl NameChange {
    /// Makes the change where it has a meaning: after an independent cut, what it builds on may not
    /// have happened.
    fn apply(&self, names: &mut BTreeMap<String, Arc<Inode>>) {
        let mut forget = |name: &String, inode: &Arc<Inode>| {
            if names
                .get(name)
                .is_some_and(|there| Arc::ptr_eq(there, inode))
            {
                names.remove(name);
            }
        };
        match self {
            NameChange::Remove(name, inode) => forget(name, inode),
            NameChange::Rename(from, to, inode) => {
                forget(from, inode);
                names.insert(to.clone(), Arc::clone(inode));
            }
            NameChange::Create(name, inode) => {
                names.insert(name.clone(), Arc::clone(inode));
            }
        }
    }

    fn copied(&self, mut of: impl FnMut(&Arc<Inode>) -> Arc<Inode>) -> NameChange {
        match self {
            NameChange::Create(name, inode) => NameChange::Create(name.clone(), of(inode)),
            NameChange::Remove(name, inode) => NameChange::Remove(name.clone(), of(inode)),
            NameChange::Rename(from, to, inode) => {
                NameChange::Rename(from.clone(), to.clone(), of(inode))
            }
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> Result<Vec<String>> {
        self.shared.enter(Call::List)?;
        Ok(hold(&self.shared.names).current.keys().cloned().collect())
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Arc<dyn File>> {
        check_name(name)?;
        self.shared.enter(Call::Create)?;
        let step = self.shared.begin();
        let mut names = hold(&self.shared.names);
        names.find_free(name)?;
        let used: u64 = names.current.values().map(|inode| inode.bytes).sum();
        let capacity = names.capacity.unwrap_or(u64::MAX);
        if used.checked_add(bytes).is_none_or(|all| all > capacity) {
            return Err(os_error(libc::ENOSPC));
        }
        let inode = Inode::zeroed(bytes)?;
        names.change(NameChange::Create(name.to_owned(), Arc::clone(&inode)));
        drop((names, step));
        self.shared.after(Step::Create);
        Ok(inode.open(&self.shared))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn File>> {
        check_name(name)?;
        self.shared.enter(Call::Open)?;
        let inode = hold(&self.shared.names).find(name)?;
        Ok(inode.open(&self.shared))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.shared.enter(Call::Rename)?;
        let step = self.shared.begin();
        let mut names = hold(&self.shared.names);
        let inode = names.find(from)?;
        names.find_free(to)?;
        names.change(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        drop((names, step));
        self.shared.after(Step::Rename);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.shared.enter(Call::Remove)?;
        let step = self.shared.begin();
        let mut names = hold(&self.shared.names);
        let inode = names.find(name)?;
        names.change(NameChange::Remove(name.to_owned(), inode));
        drop((names, step));
        self.shared.after(Step::Remove);
        Ok(())
    }

    fn sync_names(&self) -> Result<()> {
        self.shared.enter(Call::SyncNames)?;
        let step = self.shared.begin();
        let mut names = hold(&self.shared.names);
        names.durable = names.current.clone();
        names.changes.clear();
        drop((names, step));
        self.shared.after(Step::SyncNames);
        Ok(())
    }

    fn lock(&self) -> Result<()> {
        self.shared.enter(Call::Lock)?;
        if self.locked.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.shared.locked.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::WouldBlock, "another handle"));
        }
        self.locked.store(true, Ordering::Release);
        Ok(())
    }

    fn now_micros(&self) -> u64 {
        self.shared.micros.load(Ordering::Relaxed)
    }
}

/// A panic elsewhere leaves nothing half-done behind these locks.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
