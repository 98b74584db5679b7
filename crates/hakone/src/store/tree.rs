//! Commands on a tree database.

use super::hash::{PAGE_BYTES, VISITS_MAX};
use super::{Scan, Store, number, version_at};
use crate::index::hash::hash;
use crate::index::tree::{Displaced, Entry, INLINE_BYTES_MAX, Put, Tree};
use crate::log::format::{Frame, plain_bytes};
use crate::log::{Address, Held, Placed};
use crate::matching::Matcher;
use crate::ops::{self, Effect, Scratch, decide};
use crate::watch::{EventKind, Rings};
use hakone_command::{
    Command, Direction, Error, Lsn, Millis, Next, PageBuilder, Position, Range, Record, Reply,
    Result, Value, Version,
};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How many groups of keys have their last lsn kept apart: a read waits for writes of its group.
const STRIPES: usize = 256;

/// A tree under one lock, and the last lsns of its keys.
#[derive(Debug)]
pub(crate) struct TreeStore {
    tree: RwLock<Tree>,
    last: Box<[AtomicU64]>,
    seed: u64,
}

/// An entry's record, its value read from the log where the leaf does not hold it.
pub(super) struct View<'a> {
    entry: Entry<'a>,
    held: Option<Held>,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(store: &Store, entry: Entry<'a>) -> Result<View<'a>> {
        let held = match entry.value {
            Some(_) => None,
            None => Some(store.log.table.hold(entry.address)?),
        };
        Ok(View { entry, held })
    }

    #[inline]
    pub(super) fn record(&self) -> Result<Record<'_>> {
        let value = match (&self.entry.value, &self.held) {
            (Some(value), _) => value,
            (None, Some(held)) => held.frame()?.value,
            (None, None) => &[],
        };
        Ok(Record {
            value,
            value_bytes: u64::from(self.entry.value_bytes),
            expiry: self.entry.expiry,
            flags: self.entry.flags,
            version: self.entry.version,
        })
    }
}

/// An entry's record without a value that is not in the leaf.
fn described<'a>(entry: &Entry<'a>) -> Record<'a> {
    Record {
        value: entry.value.unwrap_or_default(),
        value_bytes: u64::from(entry.value_bytes),
        expiry: entry.expiry,
        flags: entry.flags,
        version: entry.version,
    }
}

impl TreeStore {
    pub(crate) fn new(seed: u64) -> TreeStore {
        TreeStore {
            tree: RwLock::new(Tree::new()),
            last: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            seed,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Tree> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn stripe(&self, key: &[u8]) -> &AtomicU64 {
        &self.last[hash(key, self.seed) as usize % STRIPES]
    }

    pub(super) fn call(
        &self,
        store: &Store,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        match command {
            Command::Get { key } => {
                let tree = self.read();
                match tree.get(key) {
                    Some(entry) if !described(&entry).is_expired(now) => {
                        answer(Reply::Record(View::new(store, entry)?.record()?));
                    }
                    _ => answer(Reply::Missing),
                }
                Ok(self.stripe(key).load(Ordering::Relaxed))
            }
            Command::Describe { key } => {
                let tree = self.read();
                let record = tree.get(key).map(|entry| described(&entry));
                match record.filter(|record| !record.is_expired(now)) {
                    Some(record) => answer(Reply::Record(record)),
                    None => answer(Reply::Missing),
                }
                Ok(self.stripe(key).load(Ordering::Relaxed))
            }
            Command::GetMany { keys } => self.get_many(store, keys, now, answer),
            Command::Exists { keys } => {
                let tree = self.read();
                let is_there = |key: &&&[u8]| {
                    tree.get(key)
                        .is_some_and(|entry| !described(&entry).is_expired(now))
                };
                answer(number(keys.iter().filter(is_there).count() as u64));
                Ok(self.last_of(keys))
            }
            Command::Clear => {
                let mut rings = Rings::default();
                let mut tree = self.write();
                let count = tree.len();
                let placed = store.log_clear(now)?;
                // Taking a large tree apart takes long: nobody waits for it.
                let cleared = tree.clear();
                self.note_cleared(placed.lsn);
                store.tell(&mut rings, EventKind::Clear, &[], placed);
                drop(tree);
                answer(number(count));
                drop(cleared);
                Ok(placed.lsn)
            }
            Command::Count => {
                answer(number(self.read().len()));
                Ok(0)
            }
            Command::Bytes => {
                answer(number(self.read().bytes()));
                Ok(0)
            }
            Command::Scan { .. } => {
                let page = self.scan(store, &Scan::new(command)?, now)?;
                answer(Reply::Page(&page));
                Ok(store.log.written())
            }
            _ => match command.key() {
                Some(key) => self.write_one(store, command, key, now, answer),
                None => Err(Error::Unsupported("this command")),
            },
        }
    }

    pub(super) fn prefetch(&self, keys: &[&[u8]]) {
        self.read().prefetch(keys);
    }

    /// Notes that all records were removed.
    pub(super) fn note_cleared(&self, lsn: Lsn) {
        for last in &self.last {
            last.store(lsn, Ordering::Relaxed);
        }
    }

    /// The last lsn of all keys.
    pub(super) fn last(&self) -> Lsn {
        let last = self.last.iter().map(|last| last.load(Ordering::Relaxed));
        last.max().unwrap_or(0)
    }

    /// The last lsn of these keys.
    pub(super) fn last_of(&self, keys: &[&[u8]]) -> Lsn {
        keys.iter()
            .map(|key| self.stripe(key).load(Ordering::Relaxed))
            .max()
            .unwrap_or(0)
    }

    #[inline]
    fn write_one(
        &self,
        store: &Store,
        command: &Command<'_>,
        key: &[u8],
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        let mut rings = Rings::default();
        let mut tree = self.write();
        // What `decide` makes of the old record is appended before the tree changes, so that a
        // refusal of the log leaves everything as it was; the reply may borrow the old value, which
        // the change moves, so it is made before as well.
        let mut scratch = Scratch::default();
        let view = match tree.get(key) {
            Some(entry) => Some(View::new(store, entry)?),
            None => None,
        };
        let old = match &view {
            Some(view) => Some(view.record()?),
            None => None,
        };
        let (effect, outcome) = decide(command, old, now, &mut scratch)?;
        match effect {
            Effect::Keep => {
                answer(ops::reply(outcome, 0));
                Ok(self.stripe(key).load(Ordering::Relaxed))
            }
            Effect::Put {
                value,
                expiry,
                flags,
            } => {
                let draft = store.put_draft(key, value, expiry, flags);
                let placed = store.log.append(draft, version_at(now))?;
                answer(ops::reply(outcome, placed.version));
                drop(view);
                if let Command::Put { value, .. } = command {
                    let value = Value::whole(value);
                    self.publish(store, &mut tree, key, value, expiry, flags, placed);
                } else {
                    self.put_from_log(store, &mut tree, key, placed)
                        .map_err(|e| store.torn_apart(e))?;
                }
                store.tell(&mut rings, EventKind::Put, key, placed);
                Ok(placed.lsn)
            }
            Effect::Remove => {
                let placed = store.log_remove(key, now)?;
                answer(ops::reply(outcome, 0));
                drop(view);
                self.unpublish(store, &mut tree, key, placed);
                let remove = EventKind::Remove;
                store.tell(&mut rings, remove, key, placed);
                Ok(placed.lsn)
            }
        }
    }

    /// Puts a record whose value was made from the one that it replaces: it is whole in the log.
    fn put_from_log(
        &self,
        store: &Store,
        tree: &mut Tree,
        key: &[u8],
        placed: Placed,
    ) -> Result<()> {
        let held = store.log.table.hold(placed.address)?;
        let frame = held.frame()?;
        let value = Value::whole(frame.value);
        self.publish(store, tree, key, value, frame.expiry, frame.flags, placed);
        Ok(())
    }

    /// Lets the tree hold a record that has been appended.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one write, all distinct"
    )]
    pub(super) fn publish(
        &self,
        store: &Store,
        tree: &mut Tree,
        key: &[u8],
        value: Value<'_>,
        expiry: Millis,
        flags: u32,
        placed: Placed,
    ) {
        let (address, version) = (placed.address, placed.version);
        let displaced = tree.put(
            key,
            &Put {
                value,
                address,
                version,
                expiry,
                flags,
            },
        );
        self.stripe(key).fetch_max(placed.lsn, Ordering::Relaxed);
        if let Some(displaced) = displaced {
            bury(store, key, &displaced);
        }
        if value.len() > INLINE_BYTES_MAX {
            store.log.table.note_large(address, placed.bytes);
        }
        if expiry != 0 {
            store.deadlines.add(expiry, placed.address);
        }
    }

    pub(super) fn unpublish(&self, store: &Store, tree: &mut Tree, key: &[u8], placed: Placed) {
        if let Some(displaced) = tree.remove(key) {
            bury(store, key, &displaced);
        }
        self.stripe(key).fetch_max(placed.lsn, Ordering::Relaxed);
    }

    fn get_many(
        &self,
        store: &Store,
        keys: &[&[u8]],
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        let tree = self.read();
        let mut entries = Vec::with_capacity(keys.len());
        tree.get_many(keys, |_, entry| entries.push(entry));
        let mut views = Vec::with_capacity(keys.len());
        for entry in entries {
            let entry = entry.filter(|entry| !described(entry).is_expired(now));
            views.push(match entry {
                Some(entry) => Some(View::new(store, entry)?),
                None => None,
            });
        }
        let mut records = Vec::with_capacity(keys.len());
        for view in &views {
            records.push(match view {
                Some(view) => Some(view.record()?),
                None => None,
            });
        }
        answer(Reply::Records(&records));
        Ok(self.last_of(keys))
    }

    fn scan(&self, store: &Store, scan: &Scan<'_>, now: Millis) -> Result<hakone_command::Page> {
        let Scan {
            from,
            limit,
            values,
            ..
        } = *scan;
        let mut matcher = Matcher::new(scan.filter)?;
        let prefix = match (scan.range, scan.direction) {
            (Range::All, Direction::Forward) => &[][..],
            (Range::Prefix(prefix), Direction::Forward) => prefix,
            _ => return Err(Error::Unsupported("this range or direction")),
        };
        let tree = self.read();
        let picked = match from {
            Position::Random(number) => tree.pick(number).unwrap_or_default(),
            _ => Vec::new(),
        };
        let from = match from {
            Position::Random(_) if *picked > *prefix => Bound::Included(&picked[..]),
            Position::At(key) if key > prefix => Bound::Included(key),
            Position::After(key) | Position::Resume(key) if key >= prefix => Bound::Excluded(key),
            Position::Cursor(_) => {
                return Err(Error::Unsupported("a scan of a tree by cursor"));
            }
            _ => Bound::Included(prefix),
        };
        let mut page = PageBuilder::default();
        let mut next = Next::End;
        let mut failure = None;
        let (mut visits, mut passed, mut resume) = (0, None, None);
        tree.scan(
            (from, Bound::Unbounded),
            Direction::Forward,
            |key, entry| {
                if !key.starts_with(prefix) {
                    return false;
                }
                let mut record = described(&entry);
                visits += 1;
                if visits > VISITS_MAX && page.is_empty() {
                    resume = passed.take();
                    return false;
                }
                if record.is_expired(now) || !matcher.takes(key) {
                    passed = Some(key.to_vec());
                    return true;
                }
                if page.len() >= limit || page.bytes() >= PAGE_BYTES {
                    next = if page.is_empty() {
                        Next::End
                    } else {
                        Next::Resume
                    };
                    return false;
                }
                if !values {
                    record.value = &[];
                    page.push(key, &record);
                    return true;
                }
                let pushed = View::new(store, entry)
                    .and_then(|view| view.record().map(|record| page.push(key, &record)));
                failure = pushed.err();
                failure.is_none()
            },
        );
        match (failure, resume) {
            (Some(failure), _) => Err(failure),
            (None, Some(position)) => Ok(page.finish_at(&position)),
            (None, None) => Ok(page.finish(next)),
        }
    }

    pub(super) fn reclaim(
        &self,
        store: &Store,
        frame: &Frame<'_>,
        address: Address,
        now: Millis,
    ) -> Result<bool> {
        let mut rings = Rings::default();
        let mut tree = self.write();
        if tree
            .get(frame.key)
            .is_none_or(|entry| entry.address != address)
        {
            return Ok(false);
        }
        let placed = store.log_expire(frame.key, frame.version, now)?;
        self.unpublish(store, &mut tree, frame.key, placed);
        let expire = EventKind::Expire;
        store.tell(&mut rings, expire, frame.key, placed);
        Ok(true)
    }

    pub(super) fn relocate(
        &self,
        store: &Store,
        frame: &Frame<'_>,
        from: Address,
        copy: &mut dyn FnMut() -> Result<Placed>,
    ) -> Result<Option<Address>> {
        let mut tree = self.write();
        if tree
            .get(frame.key)
            .is_none_or(|entry| entry.address != from)
        {
            return Ok(None);
        }
        let placed = copy()?;
        tree.relocate(frame.key, from, placed.address);
        if frame.value.len() > INLINE_BYTES_MAX {
            store.log.table.note_large(placed.address, placed.bytes);
        }
        Ok(Some(placed.address))
    }

    pub(super) fn is_live(&self, frame: &Frame<'_>, address: Address) -> bool {
        self.read()
            .get(frame.key)
            .is_some_and(|entry| entry.address == address)
    }

    /// As for a hash: the highest version of a key wins.
    pub(super) fn replay_put(
        &self,
        store: &Store,
        frame: &Frame<'_>,
        address: Address,
        lsn: Lsn,
    ) -> bool {
        let mut tree = self.write();
        if tree
            .get(frame.key)
            .is_some_and(|entry| entry.version >= frame.version)
        {
            return false;
        }
        let value = Value::whole(frame.value);
        let (version, expiry, flags) = (frame.version, frame.expiry, frame.flags);
        if value.len() > INLINE_BYTES_MAX {
            store.log.table.note_large(address, frame.bytes);
        }
        let displaced = tree.put(
            frame.key,
            &Put {
                value,
                address,
                version,
                expiry,
                flags,
            },
        );
        self.stripe(frame.key).fetch_max(lsn, Ordering::Relaxed);
        if let Some(displaced) = displaced {
            bury(store, frame.key, &displaced);
        }
        true
    }

    pub(super) fn replay_remove(&self, store: &Store, key: &[u8], version: Version, lsn: Lsn) {
        let mut tree = self.write();
        if tree.get(key).is_some_and(|entry| entry.version <= version) {
            let placed = Placed {
                address: 0,
                bytes: 0,
                version,
                lsn,
            };
            self.unpublish(store, &mut tree, key, placed);
        }
    }

    pub(super) fn replay_clear(&self) {
        drop(self.write().clear());
    }
}

/// Counts a displaced record's frame as dead.
fn bury(store: &Store, key: &[u8], displaced: &Displaced) {
    let bytes = plain_bytes(
        store.id,
        key.len(),
        displaced.value_bytes as usize,
        displaced.expiry,
        displaced.flags,
    );
    store.log.table.bury_plain(displaced.address, bytes);
}
