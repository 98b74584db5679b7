//! Several commands as one atomic batch: decided one after the other under the locks of all their
//! keys, appended together, then applied.
//!
//! What the commands change is kept beside the index until all of them are decided, so that each
//! sees what those before it did, and nobody else sees any of it before it is in the log.

use super::hash::{HashStore, WriteLocked};
use super::tree::{TreeStore, View};
use super::{FrameKind, Index, Store, number, record, version_at};
use crate::index::tree::Tree;
use crate::log::format::Draft;
use crate::log::{Address, Held, Log, Placed};
use crate::ops::{self, Effect, Scratch, check_limits, decide};
use hakone_command::limits::BATCH_BYTES_MAX;
use hakone_command::{Command, Error, Lsn, Millis, Record, Reply, Result, Value, Version};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, RwLockWriteGuard};

/// More than the largest record header, in bytes.
const HEADER_BYTES: usize = 64;

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
    let mut batch = Batch::lock(guards, steps, now);
    for guard in guards {
        let at = batch.position(guard.store);
        let version = match batch.live(at, guard.key)? {
            Some(there) => there.record()?.version,
            None => 0,
        };
        if version != guard.version {
            return Ok(None);
        }
    }
    for (i, step) in steps.iter().enumerate() {
        match check_limits(step.command) {
            Ok(()) => batch.step(step, &mut |reply| answer(i, reply))?,
            Err(refused) => answer(i, Err(refused)),
        }
    }
    batch.commit()?;
    Ok(Some(batch.last()))
}

/// Carries out a command about several keys as a batch of its own.
pub(super) fn run_one(
    store: &Store,
    command: &Command<'_>,
    now: Millis,
    answer: &mut dyn FnMut(Reply<'_>),
) -> Result<Lsn> {
    let mut batch = Batch::lock(&[], &[Step { store, command }], now);
    let reply = batch.change(0, command)?;
    batch.commit()?;
    answer(reply);
    Ok(batch.last())
}

/// Locked databases and what is to become true of them.
struct Batch<'a> {
    databases: Vec<Locked<'a>>,
    changes: Vec<Change<'a>>,
    /// The change of each key that has one.
    latest: HashMap<(usize, &'a [u8]), usize>,
    now: Millis,
    /// Trees that were cleared: taking a large one apart takes long, and nobody waits for it.
    gone: Vec<Tree>,
}

/// A database with the locks of the batch's keys.
struct Locked<'a> {
    store: &'a Store,
    index: LockedIndex<'a>,
    keys: Vec<&'a [u8]>,
    /// Whether a step has removed all records.
    cleared: bool,
}

enum LockedIndex<'a> {
    Hash(&'a HashStore, WriteLocked<'a>),
    Tree(&'a TreeStore, RwLockWriteGuard<'a, Tree>),
}

/// What is to become true of a key.
struct Change<'a> {
    database: usize,
    key: &'a [u8],
    what: What<'a>,
    /// The record that the index leads to, expired or not.
    old: Old,
}

enum What<'a> {
    Put {
        value: Cow<'a, [u8]>,
        expiry: Millis,
        flags: u32,
    },
    Remove,
    /// A later step has removed all records.
    Nothing,
}

/// The record that a change replaces, read and found whole.
enum Old {
    Absent,
    Hash(Address, Held),
    Tree,
}

/// A record as a step sees it.
enum There<'b> {
    Changed(Record<'b>),
    Held(Held),
    Leaf(View<'b>),
}

impl There<'_> {
    fn record(&self) -> Result<Record<'_>> {
        Ok(match self {
            There::Changed(record) => *record,
            There::Held(held) => record(&held.frame()?),
            There::Leaf(view) => view.record()?,
        })
    }
}

/// A frame to be appended.
enum Entry {
    Clear(usize),
    Change(usize),
}

impl<'a> Batch<'a> {
    /// Locks all that the guards and steps may touch: databases in the order of their ids, then
    /// keys in the index's order, so that no two batches wait for each other.
    fn lock(guards: &[Guard<'a>], steps: &[Step<'a>], now: Millis) -> Batch<'a> {
        let mut wanted: Vec<(&'a Store, Vec<&'a [u8]>, bool)> = Vec::new();
        let mut want = |store: &'a Store, keys: &mut dyn Iterator<Item = &'a [u8]>, all: bool| {
            let there = wanted.iter().position(|(there, ..)| there.id == store.id);
            let i = there.unwrap_or_else(|| {
                wanted.push((store, Vec::new(), false));
                wanted.len() - 1
            });
            wanted[i].1.extend(keys);
            wanted[i].2 |= all;
        };
        for guard in guards {
            want(guard.store, &mut std::iter::once(guard.key), false);
        }
        for Step { store, command } in steps {
            match *command {
                Command::GetMany { keys }
                | Command::Exists { keys }
                | Command::RemoveMany { keys } => want(store, &mut keys.iter().copied(), false),
                Command::PutMany { pairs, .. } => {
                    want(store, &mut pairs.iter().map(|pair| pair.key), false);
                }
                Command::Copy { key, to, .. } => want(store, &mut [*key, *to].into_iter(), false),
                Command::Clear | Command::Count => want(store, &mut std::iter::empty(), true),
                _ => want(store, &mut command.key().into_iter(), false),
            }
        }
        wanted.sort_by_key(|(store, ..)| store.id);
        let databases = wanted.into_iter().map(|(store, keys, all)| {
            let index = match &store.index {
                Index::Hash(hash) => LockedIndex::Hash(
                    hash,
                    if all {
                        WriteLocked::all(hash)
                    } else {
                        WriteLocked::new(hash, keys.iter().copied())
                    },
                ),
                Index::Tree(tree) => LockedIndex::Tree(tree, tree.write()),
            };
            Locked {
                store,
                index,
                keys,
                cleared: false,
            }
        });
        Batch {
            databases: databases.collect(),
            changes: Vec::new(),
            latest: HashMap::new(),
            now,
            gone: Vec::new(),
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

    /// The record of a key as it is after the steps so far, unless it has expired.
    fn live(&self, at: usize, key: &[u8]) -> Result<Option<There<'_>>> {
        let database = &self.databases[at];
        let there = if let Some(&i) = self.latest.get(&(at, key)) {
            match &self.changes[i].what {
                What::Put {
                    value,
                    expiry,
                    flags,
                } => There::Changed(Record {
                    value,
                    value_bytes: value.len() as u64,
                    expiry: *expiry,
                    flags: *flags,
                    version: 0,
                }),
                What::Remove | What::Nothing => return Ok(None),
            }
        } else if database.cleared {
            return Ok(None);
        } else {
            match &database.index {
                LockedIndex::Hash(hash, locked) => match hash.held(database.store, locked, key)? {
                    Some((_, held)) => There::Held(held),
                    None => return Ok(None),
                },
                LockedIndex::Tree(_, tree) => match tree.get(key) {
                    Some(entry) => There::Leaf(View::new(database.store, entry)?),
                    None => return Ok(None),
                },
            }
        };
        let expired = there.record()?.is_expired(self.now);
        Ok((!expired).then_some(there))
    }

    /// Notes what is to become true of a key.
    fn set(&mut self, at: usize, key: &'a [u8], what: What<'a>) -> Result<()> {
        if let Some(&i) = self.latest.get(&(at, key)) {
            self.changes[i].what = what;
            return Ok(());
        }
        let database = &self.databases[at];
        let old = match &database.index {
            _ if database.cleared => Old::Absent,
            LockedIndex::Hash(hash, locked) => match hash.held(database.store, locked, key)? {
                Some((address, held)) => Old::Hash(address, held),
                None => Old::Absent,
            },
            LockedIndex::Tree(_, tree) => match tree.get(key) {
                Some(_) => Old::Tree,
                None => Old::Absent,
            },
        };
        self.latest.insert((at, key), self.changes.len());
        self.changes.push(Change {
            database: at,
            key,
            what,
            old,
        });
        Ok(())
    }

    /// Decides a step. An error is the log's; what is wrong with the step alone is answered.
    fn step(&mut self, step: &Step<'a>, answer: &mut dyn FnMut(Result<Reply<'_>>)) -> Result<()> {
        let at = self.position(step.store);
        match step.command {
            Command::GetMany { keys } => {
                let there: Result<Vec<_>> = keys.iter().map(|key| self.live(at, key)).collect();
                let there = there?;
                let mut records = Vec::with_capacity(there.len());
                for there in &there {
                    records.push(match there {
                        Some(there) => Some(there.record()?),
                        None => None,
                    });
                }
                answer(Ok(Reply::Records(&records)));
                Ok(())
            }
            Command::Scan { .. } | Command::Bytes => {
                answer(Err(Error::Unsupported("a scan in a batch")));
                Ok(())
            }
            command => match command.key() {
                Some(key) if !matches!(command, Command::Copy { .. }) => {
                    self.decide(at, command, key, answer)
                }
                _ => {
                    let reply = self.change(at, command)?;
                    answer(Ok(reply));
                    Ok(())
                }
            },
        }
    }

    /// Decides a command about one key.
    fn decide(
        &mut self,
        at: usize,
        command: &Command<'a>,
        key: &'a [u8],
        answer: &mut dyn FnMut(Result<Reply<'_>>),
    ) -> Result<()> {
        let mut scratch = Scratch::default();
        let there = self.live(at, key)?;
        let old = match &there {
            Some(there) => Some(there.record()?),
            None => None,
        };
        let (effect, outcome) = match decide(command, old, self.now, &mut scratch) {
            Ok(decided) => decided,
            Err(refused) => {
                answer(Err(refused));
                return Ok(());
            }
        };
        let what = match (effect, command) {
            (Effect::Keep, _) => None,
            (Effect::Remove, _) => Some(What::Remove),
            (Effect::Put { expiry, flags, .. }, Command::Put { value, .. }) => Some(What::Put {
                value: Cow::Borrowed(*value),
                expiry,
                flags,
            }),
            (
                Effect::Put {
                    value,
                    expiry,
                    flags,
                },
                _,
            ) => Some(What::Put {
                value: Cow::Owned([value.head, value.tail].concat()),
                expiry,
                flags,
            }),
        };
        answer(Ok(ops::reply(outcome, 0)));
        drop(there);
        match what {
            Some(what) => self.set(at, key, what),
            None => Ok(()),
        }
    }

    /// Decides a command about several keys, or none.
    fn change(&mut self, at: usize, command: &Command<'a>) -> Result<Reply<'static>> {
        match command {
            Command::PutMany {
                pairs,
                if_none_exist,
                expiry,
            } => {
                if *if_none_exist {
                    for pair in pairs {
                        if self.live(at, pair.key)?.is_some() {
                            return Ok(Reply::Refused);
                        }
                    }
                }
                for pair in pairs {
                    let expired = *expiry != 0 && *expiry <= self.now;
                    if expired && self.live(at, pair.key)?.is_none() {
                        continue;
                    }
                    let what = if expired {
                        What::Remove
                    } else {
                        What::Put {
                            value: Cow::Borrowed(pair.value),
                            expiry: *expiry,
                            flags: 0,
                        }
                    };
                    self.set(at, pair.key, what)?;
                }
                Ok(Reply::Stored(0))
            }
            Command::RemoveMany { keys } => {
                let mut count = 0;
                for key in keys {
                    if self.live(at, key)?.is_some() {
                        self.set(at, key, What::Remove)?;
                        count += 1;
                    }
                }
                Ok(number(count))
            }
            Command::Exists { keys } => {
                let mut count = 0;
                for key in keys {
                    count += u64::from(self.live(at, key)?.is_some());
                }
                Ok(number(count))
            }
            Command::Copy {
                key,
                to,
                replace,
                remove,
            } => self.copy(at, key, to, *replace, *remove),
            Command::Clear => {
                let count = self.count(at);
                for change in &mut self.changes {
                    if change.database == at {
                        change.what = What::Nothing;
                        change.old = Old::Absent;
                    }
                }
                self.databases[at].cleared = true;
                Ok(number(count))
            }
            Command::Count => Ok(number(self.count(at))),
            _ => Err(Error::Unsupported("this command in a batch")),
        }
    }

    fn copy(
        &mut self,
        at: usize,
        key: &'a [u8],
        to: &'a [u8],
        replace: bool,
        remove: bool,
    ) -> Result<Reply<'static>> {
        let Some(there) = self.live(at, key)? else {
            return Ok(Reply::Missing);
        };
        if !replace && self.live(at, to)?.is_some() {
            return Ok(Reply::Refused);
        }
        if key == to {
            return Ok(Reply::Done);
        }
        let record = there.record()?;
        let what = What::Put {
            value: Cow::Owned(record.value.to_vec()),
            expiry: record.expiry,
            flags: record.flags,
        };
        drop(there);
        self.set(at, to, what)?;
        if remove {
            self.set(at, key, What::Remove)?;
        }
        Ok(Reply::Done)
    }

    /// How many records the database has after the steps so far.
    fn count(&self, at: usize) -> u64 {
        let database = &self.databases[at];
        let mut count = match &database.index {
            _ if database.cleared => 0,
            LockedIndex::Hash(_, locked) => locked.count(),
            LockedIndex::Tree(_, tree) => tree.len(),
        };
        for change in self.changes.iter().filter(|change| change.database == at) {
            match (&change.what, &change.old) {
                (What::Put { .. }, Old::Absent) => count += 1,
                (What::Remove, Old::Hash(..) | Old::Tree) => count -= 1,
                _ => {}
            }
        }
        count
    }

    /// Appends all changes, of each log together, and applies them. Everything was read before:
    /// nothing that fails comes after an append.
    fn commit(&mut self) -> Result<()> {
        let bytes: usize = self
            .changes
            .iter()
            .map(|change| match &change.what {
                What::Put { value, .. } => change.key.len() + value.len() + HEADER_BYTES,
                What::Remove => change.key.len() + HEADER_BYTES,
                What::Nothing => 0,
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
        for (entry, placed) in placed {
            self.apply(&entry, placed);
        }
        Ok(())
    }

    fn append(&self, log: &Arc<Log>, all: &mut Vec<(Entry, Placed)>) -> Result<()> {
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
                let key = change.key;
                drafts.push(match (&change.what, &change.old) {
                    (
                        What::Put {
                            value,
                            expiry,
                            flags,
                        },
                        _,
                    ) => {
                        let value = Value::whole(value);
                        database.store.put_draft(key, value, *expiry, *flags)
                    }
                    (What::Remove, Old::Hash(..) | Old::Tree) => {
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
                    self.gone.push(std::mem::take(&mut **locked));
                    tree.note_cleared(placed.lsn);
                }
            }
            return;
        };
        let Change { key, what, old, .. } = &self.changes[*i];
        match (what, &mut database.index) {
            (
                What::Put {
                    value,
                    expiry,
                    flags,
                },
                index,
            ) => match index {
                LockedIndex::Hash(hash, locked) => {
                    let old = match old {
                        Old::Hash(address, held) => Some((*address, held)),
                        _ => None,
                    };
                    hash.apply_put(locked, key, old, value.len(), placed);
                    if *expiry != 0 {
                        store.deadlines.add(*expiry, placed.address);
                    }
                }
                LockedIndex::Tree(tree, locked) => {
                    let value = Value::whole(value);
                    tree.publish(store, locked, key, value, *expiry, *flags, placed);
                }
            },
            (What::Remove, index) => {
                store.note_end(placed);
                match (index, old) {
                    (LockedIndex::Hash(hash, locked), Old::Hash(address, held)) => {
                        hash.apply_remove(locked, key, *address, held, placed);
                    }
                    (LockedIndex::Tree(tree, locked), _) => {
                        tree.unpublish(store, locked, key, placed);
                    }
                    _ => {}
                }
            }
            (What::Nothing, _) => {}
        }
    }

    /// The highest lsn that was written or read.
    fn last(&self) -> Lsn {
        let of = |database: &Locked<'_>| match &database.index {
            _ if database.store.log.is_in_memory() => 0,
            LockedIndex::Hash(_, locked) => locked.last(),
            LockedIndex::Tree(tree, _) if database.cleared => tree.last(),
            LockedIndex::Tree(tree, _) => tree.last_of(&database.keys),
        };
        self.databases.iter().map(of).max().unwrap_or(0)
    }
}
