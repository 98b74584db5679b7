//! Several commands as one atomic batch: decided one after the other under the locks of all their
//! keys, appended together, then applied.
//!
//! What the commands change is kept beside the index until all of them are decided, so that each
//! sees what those before it did, and nobody else sees any of it before it is in the log.

mod commit;
mod desk;
mod locked;

pub(crate) use commit::{Changed, RangeRead, Share, check, commit};
pub(crate) use desk::{Around, Copied, Desk, There, What, step};

use super::{FrameKind, Store, version_at};
use crate::index::tree::Garbage;
use crate::log::format::Draft;
use crate::log::{Address, Held, Log, Placed};
use crate::packing::Packed;
use crate::store::keys::Span;
use crate::watch::{EventKind, Rings};
use desk::{each_key, find, several};
use hakone_command::limits::BATCH_BYTES_MAX;
use hakone_command::{Command, Error, Lsn, Millis, Reply, Result, Value, Version};
use locked::{Locked, LockedIndex, Plan};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More than the largest record header, in bytes.
pub(crate) const HEADER_BYTES: usize = 64;

/// A command to one of several databases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) store: &'a Store,
    pub(crate) command: &'a Command<'a>,
}

/// A record that must not have changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard<'a> {
    pub(crate) store: &'a Store,
    pub(crate) key: &'a [u8],
    /// The version that it must have; 0: there must be no record.
    pub(crate) version: Version,
}

/// Carries out the steps, if all guards hold; see [`crate::Cabinet::batch`].
pub(crate) fn run(
    guards: &[Guard<'_>],
    steps: &[Step<'_>],
    now: Millis,
    answer: &mut dyn FnMut(usize, Result<Reply<'_>>),
) -> Result<Option<Lsn>> {
    let Some(mut batch) = begin(guards, steps, now)? else {
        return Ok(None);
    };
    for (i, Step { store, command }) in steps.iter().enumerate() {
        let at = batch.position(store);
        step(&mut batch, at, command, &mut |reply| answer(i, reply))?;
    }
    batch.commit()?;
    Ok(Some(batch.last()))
}

/// As [`run`], without answers: if a step is refused, so are all.
pub(crate) fn run_whole(
    guards: &[Guard<'_>],
    steps: &[Step<'_>],
    now: Millis,
) -> Result<Option<Lsn>> {
    let Some(mut batch) = begin(guards, steps, now)? else {
        return Ok(None);
    };
    for Step { store, command } in steps {
        let at = batch.position(store);
        let mut refused = None;
        step(&mut batch, at, command, &mut |reply| refused = reply.err())?;
        if let Some(refused) = refused {
            return Err(refused);
        }
    }
    batch.commit()?;
    Ok(Some(batch.last()))
}

/// A batch with all its locks, if the guards hold.
fn begin<'a>(guards: &[Guard<'a>], steps: &[Step<'a>], now: Millis) -> Result<Option<Batch<'a>>> {
    let mut plan = Plan::default();
    for guard in guards {
        plan.of(guard.store).add(guard.key);
    }
    for step in steps {
        add_step(&mut plan, step);
    }
    let batch = Batch::new(plan, now);
    for guard in guards {
        let at = batch.position(guard.store);
        let holds = match find(&batch, at, guard.key)? {
            Some(stored) => batch.holds(at, &stored, guard.version)?,
            None => guard.version == 0,
        };
        if !holds {
            return Ok(None);
        }
    }
    Ok(Some(batch))
}

/// Carries out a command about several keys as a batch of its own.
pub(super) fn run_one(
    store: &Store,
    command: &Command<'_>,
    now: Millis,
    answer: &mut dyn FnMut(Reply<'_>),
) -> Result<Lsn> {
    let mut plan = Plan::default();
    add_step(&mut plan, &Step { store, command });
    let mut batch = Batch::new(plan, now);
    // Hidden trees that are cleared too come behind it: their ids are higher.
    desk::check(&batch, 0, command)?;
    let reply = several(&mut batch, 0, command)?;
    batch.commit()?;
    answer(reply);
    Ok(batch.last())
}

fn add_step<'a>(plan: &mut Plan<'a>, step: &Step<'a>) {
    if matches!(step.command, Command::Clear) {
        plan.want_all(step.store);
    }
    let wanted = plan.of(step.store);
    wanted.all |= matches!(step.command, Command::Clear | Command::Count);
    each_key(step.command, &mut |key| wanted.add(key));
}

/// Locked databases and what is to become true of them.
struct Batch<'a> {
    databases: Vec<Locked<'a>>,
    changes: Vec<Change<'a>>,
    /// Of each database, the change of each key that has one.
    latest: Vec<BTreeMap<Cow<'a, [u8]>, usize>>,
    now: Millis,
    /// Trees that were cleared: taking a large one apart takes long, and nobody waits for it.
    gone: Vec<Garbage>,
    /// Who is to be woken once the locks are given free, which stand before this.
    rings: Rings,
}

/// What is to become true of a key.
struct Change<'a> {
    database: usize,
    key: Cow<'a, [u8]>,
    /// `None`: a later step has removed all records.
    what: Option<What<'a>>,
    /// The record that the index leads to, expired or not.
    old: Old,
}

/// The record that a change replaces, read and found whole.
enum Old {
    Absent,
    Hash(Address, Held),
    Tree,
}

/// A frame to be appended.
enum Entry {
    Clear(usize),
    Change(usize),
}

impl<'a> Desk<'a> for Batch<'a> {
    fn now(&self) -> Millis {
        self.now
    }

    fn store(&self, at: usize) -> &Store {
        self.databases[at].store
    }

    fn edge(&self, at: usize, span: &Span<'_>, highest: bool) -> Result<Option<Vec<u8>>> {
        if span.is_empty() {
            return Ok(None);
        }
        let is_live = |i: usize| match &self.changes[i].what {
            Some(What::Put { expiry, .. }) => *expiry == 0 || *expiry > self.now,
            Some(What::Remove) | None => false,
        };
        let latest = &self.latest[at];
        let mut changed = latest
            .range::<[u8], _>(span.bounds())
            .filter(|(_, i)| is_live(**i));
        let changed = if highest {
            changed.next_back()
        } else {
            changed.next()
        };
        let changed = changed.map(|(key, _)| key.to_vec());
        let is_changed = &|key: &[u8]| latest.contains_key(key);
        let there = self.databases[at].edge(span, highest, self.now, is_changed);
        Ok(match (changed, there) {
            (Some(changed), Some(there)) if highest => Some(changed.max(there)),
            (Some(changed), Some(there)) => Some(changed.min(there)),
            (changed, there) => changed.or(there),
        })
    }

    fn live(&self, at: usize, key: &[u8]) -> Result<Option<There<'_>>> {
        let there = match self.latest[at].get(key) {
            Some(&i) => match &self.changes[i].what {
                Some(What::Put {
                    value,
                    expiry,
                    flags,
                }) => Some(There::Changed {
                    value,
                    expiry: *expiry,
                    flags: *flags,
                }),
                Some(What::Remove) | None => None,
            },
            None => self.databases[at].there(key)?,
        };
        Ok(match there {
            Some(there) if there.record()?.is_expired(self.now) => None,
            there => there,
        })
    }

    fn set(&mut self, at: usize, key: Cow<'a, [u8]>, what: What<'a>) -> Result<()> {
        if let Some(&i) = self.latest[at].get(&*key) {
            self.changes[i].what = Some(what);
            return Ok(());
        }
        let old = self.databases[at].old(&key)?;
        self.latest[at].insert(key.clone(), self.changes.len());
        self.changes.push(Change {
            database: at,
            key,
            what: Some(what),
            old,
        });
        Ok(())
    }

    fn count(&self, at: usize) -> Result<u64> {
        let mut count = self.databases[at].count();
        for change in self.changes.iter().filter(|change| change.database == at) {
            match (&change.what, &change.old) {
                (Some(What::Put { .. }), Old::Absent) => count += 1,
                (Some(What::Remove), Old::Hash(..) | Old::Tree) => count -= 1,
                _ => {}
            }
        }
        Ok(count)
    }

    fn clear(&mut self, at: usize) -> Result<()> {
        self.forget(at);
        // A hidden tree that has been made since the locks were taken has nothing that is before
        // this batch.
        let layers: Vec<_> = self.databases[at].store.layers().map(|l| l.id).collect();
        for at in 0..self.databases.len() {
            if layers.contains(&self.databases[at].store.id) {
                self.forget(at);
            }
        }
        Ok(())
    }
}

impl<'a> Batch<'a> {
    fn new(plan: Plan<'a>, now: Millis) -> Batch<'a> {
        let databases = plan.lock();
        Batch {
            latest: databases.iter().map(|_| BTreeMap::new()).collect(),
            databases,
            changes: Vec::new(),
            now,
            gone: Vec::new(),
            rings: Rings::default(),
        }
    }

    fn position(&self, store: &Store) -> usize {
        let at = self
            .databases
            .iter()
            .position(|locked| locked.store.id == store.id);
        let Some(at) = at else {
            unreachable!("every step's database was locked")
        };
        at
    }

    /// Notes that a database or hidden tree is to have no records.
    fn forget(&mut self, at: usize) {
        for change in &mut self.changes {
            if change.database == at {
                change.what = None;
                change.old = Old::Absent;
            }
        }
        self.databases[at].cleared = true;
    }

    /// Whether a record has this version; 0: there is none.
    fn holds(&self, at: usize, key: &[u8], version: Version) -> Result<bool> {
        let there = match self.live(at, key)? {
            Some(there) => there.record()?.version,
            None => 0,
        };
        Ok(there == version)
    }

    /// Appends all changes, of each log together, and applies them. Everything was read before:
    /// nothing that fails comes after an append.
    fn commit(&mut self) -> Result<()> {
        let bytes: usize = self
            .changes
            .iter()
            .map(|change| match &change.what {
                Some(What::Put { value, .. }) => change.key.len() + value.len() + HEADER_BYTES,
                Some(What::Remove) => change.key.len() + HEADER_BYTES,
                None => 0,
            })
            .sum();
        if bytes > BATCH_BYTES_MAX {
            let bytes = bytes as u64;
            return Err(Error::BatchTooLarge { bytes });
        }
        // The log on disk first: those in memory do not fail.
        let mut logs: Vec<&Arc<Log>> = Vec::new();
        for database in &self.databases {
            if !logs.iter().any(|log| Arc::ptr_eq(log, &database.store.log)) {
                logs.push(&database.store.log);
            }
        }
        logs.sort_by_key(|log| log.is_in_memory());
        let mut placed = Vec::new();
        for log in logs {
            self.append(log, &mut placed)?;
        }
        for (entry, placed) in &placed {
            self.apply(entry, *placed);
        }
        for (entry, placed) in &placed {
            self.tell(entry, *placed);
        }
        Ok(())
    }

    /// The value that a change writes, as it goes to this log.
    fn packed<'c>(&self, log: &Arc<Log>, change: &'c Change<'_>) -> Option<Packed<'c>> {
        let store = self.databases[change.database].store;
        match &change.what {
            Some(What::Put { value, .. }) if Arc::ptr_eq(log, &store.log) => {
                Some(store.packing.pack(Value::whole(value)))
            }
            _ => None,
        }
    }

    fn append(&self, log: &Arc<Log>, all: &mut Vec<(Entry, Placed)>) -> Result<()> {
        let packed = self.changes.iter().map(|change| self.packed(log, change));
        let packed: Vec<_> = packed.collect();
        let mut entries = Vec::new();
        let mut drafts: Vec<Draft<'_>> = Vec::new();
        let empty = Value::whole(&[]);
        for (at, database) in self.databases.iter().enumerate() {
            if !Arc::ptr_eq(log, &database.store.log) {
                continue;
            }
            if database.cleared {
                entries.push(Entry::Clear(at));
                drafts.push(database.store.draft(FrameKind::Clear, &[], empty, 0, 0));
            }
            for (i, change) in self.changes.iter().enumerate() {
                if change.database != at {
                    continue;
                }
                let key = &*change.key;
                drafts.push(match (&change.what, &change.old, &packed[i]) {
                    (Some(What::Put { expiry, flags, .. }), _, Some(packed)) => {
                        database.store.put_draft(key, packed, *expiry, *flags)
                    }
                    (Some(What::Remove), Old::Hash(..) | Old::Tree, _) => {
                        let kind = FrameKind::Remove;
                        database.store.draft(kind, key, empty, 0, 0)
                    }
                    _ => continue,
                });
                entries.push(Entry::Change(i));
            }
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let mut entries = entries.into_iter();
        log.append_batch(&mut drafts, version_at(self.now), &mut |_, placed| {
            if let Some(entry) = entries.next() {
                all.push((entry, placed));
            }
        })
    }

    fn apply(&mut self, entry: &Entry, placed: Placed) {
        let at = match entry {
            Entry::Clear(at) => *at,
            Entry::Change(i) => self.changes[*i].database,
        };
        let database = &mut self.databases[at];
        let store = database.store;
        let Entry::Change(i) = entry else {
            store.note_cleared(placed);
            match &mut database.index {
                LockedIndex::Hash(_, locked) => locked.clear(placed.lsn),
                LockedIndex::Tree(tree, locked) => {
                    self.gone.push(locked.clear());
                    tree.note_cleared(placed.lsn);
                }
            }
            return;
        };
        let Change { key, what, old, .. } = &self.changes[*i];
        match (what, &mut database.index) {
            (
                Some(What::Put {
                    value,
                    expiry,
                    flags,
                }),
                index,
            ) => match index {
                LockedIndex::Hash(hash, locked) => {
                    let old = match old {
                        Old::Hash(address, held) => Some((*address, held)),
                        _ => None,
                    };
                    hash.apply_put(store, locked, key, old, value.len(), placed);
                    if *expiry != 0 {
                        store.deadlines.add(*expiry, placed.address);
                    }
                }
                LockedIndex::Tree(tree, locked) => {
                    let value = Value::whole(value);
                    tree.publish(store, locked, key, value, *expiry, *flags, placed);
                }
            },
            (Some(What::Remove), index) => {
                store.note_end(placed);
                match (index, old) {
                    (LockedIndex::Hash(hash, locked), Old::Hash(address, held)) => {
                        hash.apply_remove(store, locked, key, *address, held, placed);
                    }
                    (LockedIndex::Tree(tree, locked), _) => {
                        tree.unpublish(store, locked, key, placed);
                    }
                    _ => {}
                }
            }
            (None, _) => {}
        }
    }

    /// Tells a change that has been applied, as all others of the batch have.
    fn tell(&mut self, entry: &Entry, placed: Placed) {
        let (at, kind, key) = match entry {
            Entry::Clear(at) => (*at, EventKind::Clear, &[][..]),
            Entry::Change(i) => {
                let change = &self.changes[*i];
                let kind = match change.what {
                    Some(What::Put { .. }) => EventKind::Put,
                    Some(What::Remove) | None => EventKind::Remove,
                };
                (change.database, kind, &*change.key)
            }
        };
        let store = self.databases[at].store;
        store.tell(&mut self.rings, kind, key, placed);
    }

    /// The highest lsn that was written or read.
    fn last(&self) -> Lsn {
        self.databases.iter().map(Locked::last).max().unwrap_or(0)
    }
}
