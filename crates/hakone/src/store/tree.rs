//! Commands on a tree database, or an array: a tree of ids.
//!
//! Keys become stored keys at the door ([`super::keys`]); what comes from the log holds stored keys.

mod beside;
mod range;
mod snapshot;

pub(crate) use snapshot::Moment;

pub(super) use range::way;

use super::keys::{Codec, Neighbours, Span};
use super::{Scan, Store, number, reads_value, version_at};
use crate::index;
use crate::index::hash::hash;
use crate::index::tree::{Displaced, Entry, INLINE_BYTES_MAX, Put, Tree};
use crate::log::format::{Frame, plain_bytes};
use crate::log::{Address, Held, Placed};
use crate::ops::{self, Effect, Scratch, decide};
use crate::packing::Opened;
use crate::watch::{EventKind, Rings};
use hakone_command::{
    Command, Direction, Error, Lsn, Millis, Record, Reply, Result, Value, Version,
};
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
    pub(super) codec: Codec,
}

/// The records of a tree that have not expired, as it is or as a snapshot keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live<'t> {
    pub(super) tree: index::tree::View<'t>,
    pub(super) now: Millis,
}

impl<'t> Live<'t> {
    /// Those of a tree as it is.
    pub(super) fn new(tree: &'t Tree, now: Millis) -> Live<'t> {
        let tree = tree.now();
        Live { tree, now }
    }

    /// The record of a stored key.
    fn get(&self, key: &[u8]) -> Option<Entry<'t>> {
        let entry = self.tree.get(key)?;
        (!described(&entry).is_expired(self.now)).then_some(entry)
    }

    /// The record of a user's key: the first of them.
    #[inline]
    fn find(&self, codec: Codec, key: &[u8]) -> Result<Option<Entry<'t>>> {
        let stored = codec.find(key, self)?;
        Ok(stored.and_then(|stored| self.get(&stored)))
    }
}

impl Neighbours for Live<'_> {
    fn edge(&self, span: &Span<'_>, highest: bool) -> Option<Vec<u8>> {
        let direction = if highest {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let mut edge = None;
        self.tree.scan(span.bounds(), direction, |key, entry| {
            if !described(&entry).is_expired(self.now) {
                edge = Some(key.to_vec());
            }
            edge.is_none()
        });
        edge
    }
}

/// An entry's record, its value read from the log where the leaf does not hold it.
pub(crate) struct View<'a> {
    entry: Entry<'a>,
    opened: Option<Opened>,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(store: &Store, entry: Entry<'a>) -> Result<View<'a>> {
        let opened = if entry.value.is_some() {
            None
        } else {
            let held = store.log.table.hold(entry.address)?;
            Some(store.packing.open(held)?)
        };
        Ok(View { entry, opened })
    }

    #[inline]
    pub(super) fn record(&self) -> Result<Record<'_>> {
        let value = match (&self.entry.value, &self.opened) {
            (Some(value), _) => value,
            (None, Some(opened)) => opened.record()?.value,
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
pub(super) fn described<'a>(entry: &Entry<'a>) -> Record<'a> {
    Record {
        value: entry.value.unwrap_or_default(),
        value_bytes: u64::from(entry.value_bytes),
        expiry: entry.expiry,
        flags: entry.flags,
        version: entry.version,
    }
}

impl TreeStore {
    pub(crate) fn new(seed: u64, codec: Codec) -> TreeStore {
        TreeStore {
            codec,
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

    /// The stripe of a stored key. All records of one user's key share one.
    #[inline]
    fn stripe(&self, key: &[u8]) -> &AtomicU64 {
        let group = self.codec.group(key);
        &self.last[hash(group, self.seed) as usize % STRIPES]
    }

    /// The last lsn of a user's key, whether it has records or none.
    #[inline]
    pub(super) fn last_of_key(&self, key: &[u8]) -> Lsn {
        match self.codec.group_of(key) {
            Some(group) => {
                let stripe = hash(&group, self.seed) as usize % STRIPES;
                self.last[stripe].load(Ordering::Relaxed)
            }
            None => self.last(),
        }
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
                match self.find(&tree, key, now)? {
                    Some(entry) => answer(Reply::Record(View::new(store, entry)?.record()?)),
                    None => answer(Reply::Missing),
                }
                Ok(self.last_of_key(key))
            }
            Command::Describe { key } => {
                let tree = self.read();
                match self.find(&tree, key, now)? {
                    Some(entry) => answer(Reply::Record(described(&entry))),
                    None => answer(Reply::Missing),
                }
                Ok(self.last_of_key(key))
            }
            Command::GetMany { keys } => self.get_many(store, keys, now, answer),
            Command::Exists { keys } => {
                let tree = self.read();
                let mut count = 0;
                for key in keys {
                    count += u64::from(self.find(&tree, key, now)?.is_some());
                }
                answer(number(count));
                Ok(self.last_of_keys(keys))
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
                let scan = Scan::new(command)?;
                let tree = self.read();
                let page = Live::new(&tree, now).scan(store, self.codec, &scan)?;
                drop(tree);
                answer(Reply::Page(&page));
                Ok(store.log.written())
            }
            Command::CountRange { range } => {
                let tree = self.read();
                let count = Live::new(&tree, now).count_range(self.codec, *range)?;
                drop(tree);
                answer(number(count));
                Ok(store.log.written())
            }
            Command::RemoveRange { range, limit } => {
                let (count, last) = self.remove_range(store, *range, *limit, now)?;
                answer(number(count));
                Ok(last)
            }
            Command::PutDuplicate { .. } | Command::PutAt { .. } | Command::RemoveAt { .. } => {
                self.write_beside(store, command, now, answer)
            }
            _ => match command.key() {
                Some(key) => self.write_one(store, command, key, now, answer),
                None => Err(Error::Unsupported("this command")),
            },
        }
    }

    /// The record of a user's key: the first of them.
    #[inline]
    fn find<'t>(&self, tree: &'t Tree, key: &[u8], now: Millis) -> Result<Option<Entry<'t>>> {
        if !self.codec.is_plain() {
            return Live::new(tree, now).find(self.codec, key);
        }
        let entry = tree.get(key);
        Ok(entry.filter(|entry| !described(entry).is_expired(now)))
    }

    pub(super) fn prefetch(&self, keys: &[&[u8]]) {
        // Keys of other orders are looked up twice anyway.
        if self.codec.is_plain() {
            self.read().prefetch(keys);
        }
    }

    /// Shows the record of a stored key, expired or not.
    pub(super) fn peek(
        &self,
        store: &Store,
        key: &[u8],
        see: &mut dyn FnMut(Record<'_>),
    ) -> Result<()> {
        if let Some(entry) = self.read().get(key) {
            see(View::new(store, entry)?.record()?);
        }
        Ok(())
    }

    /// Shows the records of a span of stored keys, expired or not, until `see` returns false.
    pub(super) fn walk(
        &self,
        store: &Store,
        span: &Span<'_>,
        direction: Direction,
        values: bool,
        see: &mut dyn FnMut(&[u8], Record<'_>) -> bool,
    ) -> Result<()> {
        let mut failure = None;
        self.read()
            .now()
            .scan(span.bounds(), direction, |key, entry| {
                if !values {
                    return see(key, described(&entry));
                }
                let view = View::new(store, entry);
                match view.and_then(|view| view.record().map(|record| see(key, record))) {
                    Ok(goes_on) => goes_on,
                    Err(e) => {
                        failure = Some(e);
                        false
                    }
                }
            });
        failure.map_or(Ok(()), Err)
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

    /// The last lsn of these user's keys.
    fn last_of_keys(&self, keys: &[&[u8]]) -> Lsn {
        let last = keys.iter().map(|key| self.last_of_key(key));
        last.max().unwrap_or(0)
    }

    /// The last lsn of these stored keys.
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
        let ahead = store.pack_ahead(command);
        let mut tree = self.write();
        let live = Live::new(&tree, now);
        let stored = if makes_record(command) {
            Some(self.codec.place(key, &live)?)
        } else {
            self.codec.find(key, &live)?
        };
        let Some(key) = stored else {
            // There is no record, and none is made.
            let mut scratch = Scratch::default();
            let (_, outcome) = decide(command, None, now, &mut scratch)?;
            answer(ops::reply(outcome, 0));
            return Ok(self.last_of_key(key));
        };
        let key = &*key;
        // What `decide` makes of the old record is appended before the tree changes, so that a
        // refusal of the log leaves everything as it was; the reply may borrow the old value, which
        // the change moves, so it is made before as well.
        let mut scratch = Scratch::default();
        let entry = tree.get(key);
        let view = match entry {
            Some(entry) if reads_value(command) => Some(View::new(store, entry)?),
            _ => None,
        };
        let old = match &view {
            Some(view) => Some(view.record()?),
            None => entry.as_ref().map(described),
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
                store.check_width(value.len())?;
                let packed = ahead.unwrap_or_else(|| store.packing.pack(value));
                let draft = store.put_draft(key, &packed, expiry, flags);
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
        let unpacked = store.packing.unpack(&frame)?;
        let value = Value::whole(unpacked.as_deref().unwrap_or(frame.value));
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
        let live = Live::new(&tree, now);
        let mut entries = Vec::with_capacity(keys.len());
        if self.codec.is_plain() {
            tree.get_many(keys, |_, entry| entries.push(entry));
        } else {
            for key in keys {
                entries.push(live.find(self.codec, key)?);
            }
        }
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
        Ok(self.last_of_keys(keys))
    }

    /// Takes the lock once for all of them: who waits for it often may wait long.
    pub(super) fn reclaim<'a>(
        &self,
        store: &Store,
        due: &[(Address, &'a Held, Frame<'a>)],
        now: Millis,
        told: &mut dyn FnMut(Millis),
    ) -> Result<()> {
        // What is read under the lock is in the cache by then: others wait half as long.
        let keys: Vec<_> = due.iter().map(|(_, _, frame)| frame.key).collect();
        self.read().prefetch(&keys);
        let mut rings = Rings::default();
        let mut tree = self.write();
        for &(address, _, frame) in due {
            let entry = tree.get(frame.key);
            if entry.is_some_and(|entry| entry.address == address) {
                let placed = store.log_expire(frame.key, frame.version, now)?;
                self.unpublish(store, &mut tree, frame.key, placed);
                store.tell(&mut rings, EventKind::Expire, frame.key, placed);
                told(frame.expiry);
            }
        }
        Ok(())
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
        if frame.raw_bytes() > INLINE_BYTES_MAX {
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
    ) -> Result<bool> {
        let mut tree = self.write();
        if tree
            .get(frame.key)
            .is_some_and(|entry| entry.version >= frame.version)
        {
            return Ok(false);
        }
        let unpacked = store.packing.unpack(frame)?;
        if unpacked.is_some() {
            store.packing.note_used();
        }
        let value = Value::whole(unpacked.as_deref().unwrap_or(frame.value));
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
        Ok(true)
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

/// Whether a command may make a record where there is none.
pub(super) fn makes_record(command: &Command<'_>) -> bool {
    match command {
        Command::CompareSwap { new, .. } => new.is_some(),
        command => !matches!(command, Command::Remove { .. } | Command::Touch { .. }),
    }
}

/// Counts a displaced record's frame as dead, and forgets its deadline.
fn bury(store: &Store, key: &[u8], displaced: &Displaced) {
    if displaced.expiry != 0 {
        store.deadlines.remove(displaced.expiry, displaced.address);
    }
    // What a packed value takes is not known from its size.
    if store.packing.is_used() && store.log.table.bury(displaced.address) {
        return;
    }
    let bytes = plain_bytes(
        store.id,
        key.len(),
        displaced.value_bytes as usize,
        displaced.expiry,
        displaced.flags,
    );
    store.log.table.bury_plain(displaced.address, bytes);
}
