//! A database's records: an index over a log, and the one path by which a command changes them.

pub(crate) mod batch;
pub(crate) mod deadlines;
mod hash;
pub(crate) mod keys;
mod replay;
mod tree;

pub(crate) use hash::{HashStore, PAGE_BYTES, VISITS_MAX};
pub(crate) use replay::Graves;
pub(crate) use tree::{Moment, TreeStore};

use crate::DatabaseOptions;
use crate::layers::{self, Hidden};
use crate::log::format::{Draft, Frame, FrameKind};
use crate::log::{Address, Log, Placed};
use crate::ops::check_limits;
use crate::packing::{Packed, Packing};
use crate::watch::{EventKind, Registry, Rings};
use deadlines::Deadlines;
use hakone_command::{
    Command, Direction, Error, Filter, Kind, Lsn, Millis, Position, Range, Record, Reply, Result,
    Value, Version,
};
use keys::{Codec, Span};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A database's records.
#[derive(Debug)]
pub(crate) struct Store {
    /// The database's never-reused number in the log.
    pub(crate) id: u32,
    pub(crate) options: DatabaseOptions,
    pub(crate) log: Arc<Log>,
    pub(crate) index: Index,
    pub(crate) deadlines: Deadlines,
    pub(crate) packing: Packing,
    /// The version of the last clear: no older record counts.
    pub(crate) cleared: AtomicU64,
    /// The index was cleared: how much of each segment is dead has to be counted again.
    pub(crate) needs_recount: AtomicBool,
    /// Who is told of changes.
    pub(crate) watched: Registry,
    /// What a hidden tree of a layer has beyond a database.
    pub(crate) hidden: Option<Box<Hidden>>,
    /// The first hidden tree of a database; the next one of a hidden tree.
    layer: OnceLock<Arc<Store>>,
}

/// One index of either kind.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of each database, behind a pointer"
)]
pub(crate) enum Index {
    Hash(HashStore),
    Tree(TreeStore),
}

/// The lowest version that a change at this time may get.
pub(crate) fn version_at(now: Millis) -> Version {
    now.saturating_mul(1000) << 12
}

impl Store {
    /// A database without records.
    pub(crate) fn new(id: u32, options: DatabaseOptions, log: Arc<Log>, hash_seed: u64) -> Store {
        let index = match options.kind {
            Kind::Hash => Index::Hash(HashStore::new(hash_seed)),
            _ => Index::Tree(TreeStore::new(hash_seed, Codec::new(&options))),
        };
        Store {
            id,
            options,
            log,
            index,
            deadlines: Deadlines::default(),
            packing: Packing::new(options.compression),
            cleared: AtomicU64::new(0),
            needs_recount: AtomicBool::new(false),
            watched: Registry::new(hash_seed),
            hidden: None,
            layer: OnceLock::new(),
        }
    }

    /// Makes it a hidden tree of a layer, beside the database `parent`.
    pub(crate) fn hidden_in(mut self, parent: u32, name: &str) -> Store {
        self.hidden = Some(Box::new(Hidden::new(parent, name)));
        self
    }

    /// The hidden trees of a database, in the order of their ids.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Arc<Store>> {
        std::iter::successors(self.layer.get(), |layer| layer.layer.get())
    }

    /// Adds a hidden tree. Only one thread at a time does.
    pub(crate) fn add_layer(&self, layer: Arc<Store>) {
        let last = self.layers().last().map_or(self, |last| last);
        assert!(
            last.layer.set(layer).is_ok(),
            "hidden trees are added by one thread at a time"
        );
    }

    /// The options that it was made with, or altered to.
    pub(crate) fn options(&self) -> DatabaseOptions {
        DatabaseOptions {
            compression: self.packing.compression(),
            ..self.options
        }
    }

    /// Carries out a command; see [`crate::Database::call`].
    pub(crate) fn call(
        &self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        check_limits(command)?;
        let lsn = match (command, &self.index) {
            (Command::PutMany { .. } | Command::RemoveMany { .. } | Command::Copy { .. }, _) => {
                batch::run_one(self, command, now, answer)
            }
            (Command::Clear, _) if self.layer.get().is_some() => {
                batch::run_one(self, command, now, answer)
            }
            (_, Index::Hash(index)) => index.call(self, command, now, answer),
            (_, Index::Tree(index)) => index.call(self, command, now, answer),
        }?;
        Ok(if self.log.is_in_memory() { 0 } else { lsn })
    }

    /// How its keys are stored.
    #[inline]
    pub(crate) fn codec(&self) -> Codec {
        match &self.index {
            Index::Tree(tree) => tree.codec,
            Index::Hash(_) => Codec::PLAIN,
        }
    }

    /// Refuses a value that is wider than those of this array may be.
    #[inline]
    fn check_width(&self, bytes: usize) -> Result<()> {
        let width = self.options.width;
        if width == 0 || bytes <= width as usize {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "the value has {bytes} bytes, and this array's width is {width}; write a shorter one, \
             or make an array that is wider"
        )))
    }

    /// The user's key of a stored one; the stored one itself where it is none.
    #[inline]
    pub(crate) fn user_key<'k>(&self, stored: &'k [u8]) -> Cow<'k, [u8]> {
        match &self.index {
            Index::Tree(tree) => tree.codec.key(stored).unwrap_or(Cow::Borrowed(stored)),
            Index::Hash(_) => Cow::Borrowed(stored),
        }
    }

    /// Tells who watches it of a change that the index has; see [`crate::watch`]. Called under the
    /// lock of the stored key; `rings` must outlive that lock.
    #[inline]
    fn tell(&self, rings: &mut Rings, kind: EventKind, key: &[u8], placed: Placed) {
        if self.watched.is_watched() {
            self.tell_watchers(rings, kind, key, placed);
        }
    }

    /// Tells the user's key, or the name that a layer gives to a record.
    fn tell_watchers(&self, rings: &mut Rings, kind: EventKind, stored: &[u8], placed: Placed) {
        let key = match self.hidden {
            _ if kind == EventKind::Clear => Some(Cow::Borrowed(stored)),
            Some(_) => layers::name_of(stored).map(Cow::Borrowed),
            None => Some(self.user_key(stored)),
        };
        if let Some(key) = key {
            self.watched.tell(rings, kind, &key, placed);
        }
    }

    /// Shows the record of a stored key, expired or not; a hash shows it under its partition's lock,
    /// a tree under its own.
    pub(crate) fn peek(&self, key: &[u8], see: &mut dyn FnMut(Record<'_>)) -> Result<()> {
        match &self.index {
            Index::Hash(index) => index.peek(self, key, see),
            Index::Tree(index) => index.peek(self, key, see),
        }
    }

    /// Shows the records of a span of stored keys, expired or not, from an end of it on, until `see`
    /// returns false; under the tree's lock. Values are shown where they are in a leaf, or wanted.
    ///
    /// # Errors
    /// `Unsupported` for a hash.
    pub(crate) fn walk(
        &self,
        span: &Span<'_>,
        descends: bool,
        values: bool,
        see: &mut dyn FnMut(&[u8], Record<'_>) -> bool,
    ) -> Result<()> {
        match &self.index {
            Index::Hash(_) => Err(Error::Unsupported(
                "a range in a transaction: a tree has an order, a hash has none",
            )),
            Index::Tree(index) => index.walk(self, span, tree::way(descends), values, see),
        }
    }

    /// How many records there are, expired ones included until they are reclaimed.
    pub(crate) fn count(&self) -> Result<u64> {
        let mut count = 0;
        self.call(&Command::Count, 0, &mut |reply| {
            if let Reply::Number(number) = reply {
                count = u64::try_from(number).unwrap_or(0);
            }
        })?;
        Ok(count)
    }

    /// Lets the cache misses of these keys overlap.
    pub(crate) fn prefetch(&self, keys: &[&[u8]]) {
        match &self.index {
            Index::Hash(index) => index.prefetch(self, keys),
            Index::Tree(index) => index.prefetch(keys),
        }
    }

    /// Reclaims those of the few records at these addresses that have expired, and tells when they
    /// had. After an error some of them may have been reclaimed.
    pub(crate) fn reclaim(
        &self,
        addresses: &[Address],
        now: Millis,
        told: &mut dyn FnMut(Millis),
    ) -> Result<()> {
        // Read before any lock is taken. An address may be stale, and lead nowhere or into the
        // middle of something else: the index knows.
        let hold = |address: &Address| Some((*address, self.log.table.hold(*address).ok()?));
        let held: Vec<_> = addresses.iter().filter_map(hold).collect();
        let due = held.iter().filter_map(|(address, held)| {
            let frame = held.frame().ok()?;
            let is_due = frame.expiry != 0 && frame.expiry <= now;
            is_due.then_some((*address, held, frame))
        });
        let due: Vec<_> = due.collect();
        match &self.index {
            Index::Hash(index) => index.reclaim(self, &due, now, told),
            Index::Tree(index) => index.reclaim(self, &due, now, told),
        }
    }

    /// If the frame at `from` is live, lets `copy` put it elsewhere and the index lead there, while
    /// nobody else changes the record. Returns whether it was live.
    pub(crate) fn relocate(
        &self,
        frame: &Frame<'_>,
        from: Address,
        copy: &mut dyn FnMut() -> Result<Placed>,
    ) -> Result<bool> {
        let moved = match &self.index {
            Index::Hash(index) => index.relocate(frame, from, copy),
            Index::Tree(index) => index.relocate(self, frame, from, copy),
        }?;
        if let Some(to) = moved
            && frame.expiry != 0
        {
            self.deadlines.remove(frame.expiry, from);
            self.deadlines.add(frame.expiry, to);
        }
        Ok(moved.is_some())
    }

    /// Whether the index leads to this frame.
    pub(crate) fn is_live(&self, frame: &Frame<'_>, address: Address) -> bool {
        match &self.index {
            Index::Hash(index) => index.is_live(frame, address),
            Index::Tree(index) => index.is_live(frame, address),
        }
    }

    /// A put of this database as it goes to the log.
    #[inline]
    fn put_draft<'a>(
        &self,
        key: &'a [u8],
        packed: &'a Packed<'_>,
        expiry: Millis,
        flags: u32,
    ) -> Draft<'a> {
        self.draft(packed.kind(), key, packed.value(), expiry, flags)
    }

    /// Packs the value that a command is about to write, where that is known before any lock is
    /// taken.
    #[inline]
    fn pack_ahead<'a>(&self, command: &Command<'a>) -> Option<Packed<'a>> {
        match command {
            Command::Put { value, .. } => Some(self.packing.pack(Value::whole(value))),
            _ => None,
        }
    }

    #[inline]
    fn draft<'a>(
        &self,
        kind: FrameKind,
        key: &'a [u8],
        value: Value<'a>,
        expiry: Millis,
        flags: u32,
    ) -> Draft<'a> {
        let database = self.id;
        Draft {
            kind,
            more: false,
            database,
            version: 0,
            lsn: None,
            expiry,
            flags,
            key,
            value,
        }
    }

    /// What was appended could not be applied: the index does not tell what the log does, and only
    /// opening again mends that.
    fn torn_apart(&self, error: Error) -> Error {
        self.log
            .poison(&format!("a change was written but not applied: {error}"))
    }

    /// Logs that the key has no record.
    fn log_remove(&self, key: &[u8], now: Millis) -> Result<Placed> {
        let draft = self.draft(FrameKind::Remove, key, Value::whole(&[]), 0, 0);
        self.log_end(draft, now)
    }

    /// Logs that a record was reclaimed.
    fn log_expire(&self, key: &[u8], expired: Version, now: Millis) -> Result<Placed> {
        let expired = expired.to_le_bytes();
        let draft = self.draft(FrameKind::Expire, key, Value::whole(&expired), 0, 0);
        self.log_end(draft, now)
    }

    fn log_end(&self, draft: Draft<'_>, now: Millis) -> Result<Placed> {
        let placed = self.log.append(draft, version_at(now))?;
        self.note_end(placed);
        Ok(placed)
    }

    /// Counts the end of a record that has been logged.
    fn note_end(&self, placed: Placed) {
        self.log
            .ends
            .fetch_add(placed.bytes as u64, Ordering::Relaxed);
    }

    /// Logs what the database is from now on. Returns the version of that.
    pub(crate) fn log_of_catalogue(
        &self,
        kind: FrameKind,
        value: &[u8],
        now: Millis,
    ) -> Result<Version> {
        let draft = self.draft(kind, &[], Value::whole(value), 0, 0);
        Ok(self.log.append(draft, version_at(now))?.version)
    }

    /// Logs that there are no records.
    fn log_clear(&self, now: Millis) -> Result<Placed> {
        let draft = self.draft(FrameKind::Clear, &[], Value::whole(&[]), 0, 0);
        let placed = self.log.append(draft, version_at(now))?;
        self.note_cleared(placed);
        Ok(placed)
    }

    /// Notes that the log tells that there are no records.
    fn note_cleared(&self, placed: Placed) {
        self.cleared.fetch_max(placed.version, Ordering::AcqRel);
        self.needs_recount.store(true, Ordering::Release);
        self.deadlines.clear();
    }
}

/// What a scan asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) from: Position<'a>,
    pub(crate) range: Range<'a>,
    pub(crate) direction: Direction,
    pub(crate) filter: Filter<'a>,
    pub(crate) limit: usize,
    pub(crate) values: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(command: &Command<'a>) -> Result<Scan<'a>> {
        let Command::Scan {
            from,
            range,
            direction,
            filter,
            limit,
            values,
        } = *command
        else {
            return Err(Error::Unsupported("this command"));
        };
        Ok(Scan {
            from,
            range,
            direction,
            filter,
            limit,
            values,
        })
    }
}

/// Whether the value that is there tells what a command means.
fn reads_value(command: &Command<'_>) -> bool {
    !matches!(
        command,
        Command::Describe { .. }
            | Command::Put {
                want_old: false,
                ..
            }
            | Command::Remove {
                want_old: false,
                ..
            }
    )
}

/// A count as a reply tells it.
fn number(count: u64) -> Reply<'static> {
    Reply::Number(i64::try_from(count).unwrap_or(i64::MAX))
}
