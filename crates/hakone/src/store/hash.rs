//! Commands on a hash database.

use super::{Scan, Store, number, reads_value, version_at};
use crate::index::hash::{
    Found, Hash, HashIndex, PARTITIONS, Partition, hash, partition_of, tag_of,
};
use crate::log::format::Frame;
use crate::log::{Address, Held, Placed};
use crate::matching::Matcher;
use crate::ops::{self, Effect, Scratch, decide};
use crate::packing::record;
use crate::watch::{EventKind, Rings};
use hakone_command::{
    Command, Direction, Error, Lsn, Millis, Next, Page, PageBuilder, Position, Range, Record,
    Reply, Result, Version,
};
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

/// A hash index and the seed of its hashes.
#[derive(Debug)]
pub(crate) struct HashStore {
    pub(crate) index: HashIndex,
    pub(crate) seed: u64,
}

/// How many keys have their cache misses overlapped at a time.
const GROUP: usize = 64;

/// Bytes of records after which a page ends: 1 MiB, so that locks are held briefly.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// A scan that finds little visits so many records a page at the most.
pub(crate) const VISITS_MAX: usize = 4096;

/// A record that a search has found.
struct Hit {
    place: usize,
    address: Address,
    held: Held,
}

impl Hit {
    fn place(&self) -> (usize, &Held) {
        (self.place, &self.held)
    }
}

/// The key's record in its partition, or the place where it would go.
type Search = std::result::Result<Hit, usize>;

impl HashStore {
    pub(crate) fn new(seed: u64) -> HashStore {
        HashStore {
            index: HashIndex::new(),
            seed,
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
            Command::Get { key } | Command::Describe { key } => self.get(store, key, now, answer),
            Command::GetMany { keys } => self.get_many(store, keys, now, answer),
            Command::Exists { keys } => self.exists(store, keys, now, answer),
            Command::Clear => self.clear(store, now, answer),
            Command::Count => {
                answer(number(self.index.count()));
                Ok(0)
            }
            Command::Bytes => {
                answer(number(self.index.bytes()));
                Ok(0)
            }
            Command::Scan { .. } => {
                let page = self.scan(store, &Scan::new(command)?, now)?;
                answer(Reply::Page(&page));
                Ok(store.log.written())
            }
            Command::CountRange { .. } | Command::RemoveRange { .. } => Err(Error::Unsupported(
                "a range of keys: a tree has an order, a hash has none",
            )),
            Command::PutDuplicate { .. } | Command::PutAt { .. } | Command::RemoveAt { .. } => {
                Err(Error::Unsupported(
                    "positions and several values of one key: make a tree; a hash has one value of a key",
                ))
            }
            _ => match command.key() {
                Some(key) => self.write_one(store, command, key, now, answer),
                None => Err(Error::Unsupported("this command")),
            },
        }
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> Hash {
        hash(key, self.seed)
    }

    pub(super) fn prefetch(&self, store: &Store, keys: &[&[u8]]) {
        for keys in keys.chunks(GROUP) {
            let mut hashes = [0; GROUP];
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = self.hash(key);
                self.index.read(partition_of(*hash)).prefetch(tag_of(*hash));
            }
            for hash in &hashes[..keys.len()] {
                let guess = self.index.read(partition_of(*hash)).guess(tag_of(*hash));
                if let Some(address) = guess {
                    store.log.table.prefetch(address);
                }
            }
        }
    }

    /// The key's record in its partition, or the place where it would go.
    #[inline]
    fn find(store: &Store, partition: &Partition, tag: u32, key: &[u8]) -> Result<Search> {
        let mut hit = None;
        let found = partition.find(tag, |address| {
            let held = store.log.table.hold(address)?;
            let is_it = held.frame()?.key == key;
            if is_it {
                hit = Some(held);
            }
            Ok(is_it)
        })?;
        Ok(match (found, hit) {
            (Found::At(place, address), Some(held)) => Ok(Hit {
                place,
                address,
                held,
            }),
            (Found::At(place, _) | Found::Vacant(place), _) => Err(place),
        })
    }

    #[inline]
    fn get(
        &self,
        store: &Store,
        key: &[u8],
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        let hash = self.hash(key);
        let partition = self.index.read(partition_of(hash));
        let found = partition.find(tag_of(hash), |address| {
            let held = store.log.table.hold(address)?;
            let frame = held.frame()?;
            if frame.key != key {
                return Ok(false);
            }
            if record(&frame, None).is_expired(now) {
                answer(Reply::Missing);
            } else {
                let unpacked = store.packing.unpack(&frame)?;
                answer(Reply::Record(record(&frame, unpacked.as_deref())));
            }
            Ok(true)
        })?;
        if let Found::Vacant(_) = found {
            answer(Reply::Missing);
        }
        Ok(partition.last())
    }

    /// Shows the record of a key, expired or not.
    pub(super) fn peek(
        &self,
        store: &Store,
        key: &[u8],
        see: &mut dyn FnMut(Record<'_>),
    ) -> Result<()> {
        let hash = self.hash(key);
        let partition = self.index.read(partition_of(hash));
        if let Ok(hit) = Self::find(store, &partition, tag_of(hash), key)? {
            see(store.packing.open(hit.held)?.record()?);
        }
        Ok(())
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
        let hash = self.hash(key);
        let tag = tag_of(hash);
        let mut rings = Rings::default();
        let ahead = store.pack_ahead(command);
        let mut partition = self.index.write(partition_of(hash));
        let found = Self::find(store, &partition, tag, key)?;
        let frame = match &found {
            Ok(hit) => Some(hit.held.frame()?),
            Err(_) => None,
        };
        let unpacked = match &frame {
            Some(frame) if reads_value(command) => store.packing.unpack(frame)?,
            _ => None,
        };
        let old = frame.as_ref().map(|f| record(f, unpacked.as_deref()));
        let mut scratch = Scratch::default();
        let (effect, outcome) = decide(command, old, now, &mut scratch)?;
        let mut version = 0;
        match effect {
            Effect::Keep => {}
            Effect::Put {
                value,
                expiry,
                flags,
            } => {
                let packed = ahead.unwrap_or_else(|| store.packing.pack(value));
                let draft = store.put_draft(key, &packed, expiry, flags);
                let placed = store.log.append(draft, version_at(now))?;
                version = placed.version;
                let bytes = key.len() + value.len();
                let place = found.as_ref().map(Hit::place).map_err(|place| *place);
                Self::publish(
                    store,
                    &mut partition,
                    tag,
                    place,
                    frame.as_ref(),
                    bytes,
                    placed,
                );
                if expiry != 0 {
                    store.deadlines.add(expiry, placed.address);
                }
                store.tell(&mut rings, EventKind::Put, key, placed);
            }
            Effect::Remove => {
                let placed = store.log_remove(key, now)?;
                if let (Ok(hit), Some(frame)) = (&found, &frame) {
                    Self::unpublish(store, &mut partition, hit.place, &hit.held, frame, placed);
                }
                store.tell(&mut rings, EventKind::Remove, key, placed);
            }
        }
        let last = partition.last();
        answer(ops::reply(outcome, version));
        Ok(last)
    }

    /// Lets the index lead to a record of so many bytes that has been appended.
    #[inline]
    fn publish(
        store: &Store,
        partition: &mut Partition,
        tag: u32,
        place: std::result::Result<(usize, &Held), usize>,
        old: Option<&Frame<'_>>,
        bytes: usize,
        placed: Placed,
    ) {
        let mut gone = 0;
        match place {
            Ok((place, held)) => {
                let address = partition.redirect(place, placed.address);
                if let Some(old) = old {
                    held.bury(old.bytes);
                    gone = old.key.len() + old.raw_bytes();
                    if old.expiry != 0 {
                        store.deadlines.remove(old.expiry, address);
                    }
                }
            }
            Err(place) => partition.insert(place, tag, placed.address),
        }
        partition.changed(placed.lsn, bytes, gone);
    }

    fn unpublish(
        store: &Store,
        partition: &mut Partition,
        place: usize,
        held: &Held,
        frame: &Frame<'_>,
        placed: Placed,
    ) {
        let address = partition.remove(place);
        held.bury(frame.bytes);
        if frame.expiry != 0 {
            store.deadlines.remove(frame.expiry, address);
        }
        partition.changed(placed.lsn, 0, frame.key.len() + frame.raw_bytes());
    }

    fn get_many(
        &self,
        store: &Store,
        keys: &[&[u8]],
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        self.prefetch(store, keys);
        let locked = ReadLocked::new(self, keys.iter().copied());
        let mut opened = Vec::with_capacity(keys.len());
        for key in keys {
            let hash = self.hash(key);
            let partition = locked.get(partition_of(hash));
            opened.push(match Self::find(store, partition, tag_of(hash), key)? {
                Ok(hit) => Some(store.packing.open(hit.held)?),
                Err(_) => None,
            });
        }
        let mut records: Vec<Option<Record<'_>>> = Vec::with_capacity(keys.len());
        for opened in &opened {
            let record = match opened {
                Some(opened) => Some(opened.record()?),
                None => None,
            };
            records.push(record.filter(|record| !record.is_expired(now)));
        }
        answer(Reply::Records(&records));
        Ok(locked.last())
    }

    fn exists(
        &self,
        store: &Store,
        keys: &[&[u8]],
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<Lsn> {
        let mut count = 0;
        let last = self.get_many(store, keys, now, &mut |reply| {
            if let Reply::Records(records) = reply {
                count = records.iter().flatten().count() as u64;
            }
        })?;
        answer(number(count));
        Ok(last)
    }

    /// The key's record and where it is, read and found whole. Its partition is locked.
    pub(super) fn held(
        &self,
        store: &Store,
        locked: &WriteLocked<'_>,
        key: &[u8],
    ) -> Result<Option<(Address, Held)>> {
        let hash = self.hash(key);
        let partition = locked.get(partition_of(hash));
        let Ok(hit) = Self::find(store, partition, tag_of(hash), key)? else {
            return Ok(None);
        };
        hit.held.frame()?;
        Ok(Some((hit.address, hit.held)))
    }

    /// Lets the index lead to a record that a batch has appended.
    pub(super) fn apply_put(
        &self,
        store: &Store,
        locked: &mut WriteLocked<'_>,
        key: &[u8],
        old: Option<(Address, &Held)>,
        value_bytes: usize,
        placed: Placed,
    ) {
        let hash = self.hash(key);
        let tag = tag_of(hash);
        let partition = locked.get_mut(partition_of(hash));
        let place = old.and_then(|(address, held)| Some((partition.place_of(tag, address)?, held)));
        let place = place.ok_or_else(|| partition.vacant(tag));
        let frame = old.and_then(|(_, held)| held.frame().ok());
        let bytes = key.len() + value_bytes;
        Self::publish(store, partition, tag, place, frame.as_ref(), bytes, placed);
    }

    /// Forgets a record whose removal a batch has appended.
    pub(super) fn apply_remove(
        &self,
        store: &Store,
        locked: &mut WriteLocked<'_>,
        key: &[u8],
        old: Address,
        held: &Held,
        placed: Placed,
    ) {
        let hash = self.hash(key);
        let partition = locked.get_mut(partition_of(hash));
        if let Some(place) = partition.place_of(tag_of(hash), old)
            && let Ok(frame) = held.frame()
        {
            Self::unpublish(store, partition, place, held, &frame, placed);
        }
    }

    fn clear(&self, store: &Store, now: Millis, answer: &mut dyn FnMut(Reply<'_>)) -> Result<Lsn> {
        let mut rings = Rings::default();
        let mut all = WriteLocked::all(self);
        let count = all.count();
        let placed = store.log_clear(now)?;
        all.clear(placed.lsn);
        store.tell(&mut rings, EventKind::Clear, &[], placed);
        answer(number(count));
        Ok(placed.lsn)
    }

    fn scan(&self, store: &Store, scan: &Scan<'_>, now: Millis) -> Result<Page> {
        let Scan { limit, values, .. } = *scan;
        let mut matcher = Matcher::new(scan.filter)?;
        let prefix = match (scan.range, scan.direction) {
            (Range::All, Direction::Forward) => &[],
            (Range::Prefix(prefix), Direction::Forward) => prefix,
            (Range::Between(..), _) => {
                return Err(Error::Unsupported(
                    "a range of keys: a tree has an order, a hash has none",
                ));
            }
            (_, Direction::Backward) => {
                return Err(Error::Unsupported(
                    "a backward scan: a tree has an order, a hash has none",
                ));
            }
        };
        let cursor = match scan.from {
            Position::Start => 0,
            Position::Cursor(cursor) => cursor,
            Position::Random(number) => number & (((PARTITIONS as u64) << 24) - 1),
            _ => return Err(Error::Unsupported("a scan of a hash by key")),
        };
        let mut partition = usize::try_from(cursor >> 24).unwrap_or(PARTITIONS);
        let mut tag = (cursor & 0xff_ffff) as u32;
        let mut page = PageBuilder::default();
        let mut visits = 0;
        while partition < PARTITIONS {
            let locked = self.index.read(partition);
            let mut failure = None;
            let wanted = limit
                .saturating_sub(page.len())
                .min(VISITS_MAX - visits.min(VISITS_MAX));
            let next = locked.page(tag, wanted, |address| {
                visits += 1;
                let mut visit = || -> Result<()> {
                    let held = store.log.table.hold(address)?;
                    let frame = held.frame()?;
                    let mut described = record(&frame, None);
                    if frame.key.starts_with(prefix)
                        && !described.is_expired(now)
                        && matcher.takes(frame.key)
                    {
                        if values {
                            let unpacked = store.packing.unpack(&frame)?;
                            page.push(frame.key, &record(&frame, unpacked.as_deref()));
                        } else {
                            described.value = &[];
                            page.push(frame.key, &described);
                        }
                    }
                    Ok(())
                };
                if failure.is_none() {
                    failure = visit().err();
                }
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
            if let Some(next) = next {
                tag = next;
            } else {
                (partition, tag) = (partition + 1, 0);
            }
            if page.len() >= limit || visits >= VISITS_MAX || page.bytes() >= PAGE_BYTES {
                break;
            }
        }
        let next = if partition < PARTITIONS {
            Next::Cursor((partition as u64) << 24 | u64::from(tag))
        } else {
            Next::End
        };
        Ok(page.finish(next))
    }

    pub(super) fn reclaim<'a>(
        &self,
        store: &Store,
        due: &[(Address, &'a Held, Frame<'a>)],
        now: Millis,
        told: &mut dyn FnMut(Millis),
    ) -> Result<()> {
        for &(address, held, frame) in due {
            let hash = self.hash(frame.key);
            let mut rings = Rings::default();
            let mut partition = self.index.write(partition_of(hash));
            if let Some(place) = partition.place_of(tag_of(hash), address) {
                let placed = store.log_expire(frame.key, frame.version, now)?;
                Self::unpublish(store, &mut partition, place, held, &frame, placed);
                store.tell(&mut rings, EventKind::Expire, frame.key, placed);
                told(frame.expiry);
            }
        }
        Ok(())
    }

    pub(super) fn relocate(
        &self,
        frame: &Frame<'_>,
        from: Address,
        copy: &mut dyn FnMut() -> Result<Placed>,
    ) -> Result<Option<Address>> {
        let hash = self.hash(frame.key);
        let mut partition = self.index.write(partition_of(hash));
        let Some(place) = partition.place_of(tag_of(hash), from) else {
            return Ok(None);
        };
        let placed = copy()?;
        partition.redirect(place, placed.address);
        Ok(Some(placed.address))
    }

    pub(super) fn is_live(&self, frame: &Frame<'_>, address: Address) -> bool {
        let hash = self.hash(frame.key);
        self.index
            .read(partition_of(hash))
            .place_of(tag_of(hash), address)
            .is_some()
    }

    /// Takes in a frame that is read again; the highest version of a key wins. Returns whether it
    /// counts.
    pub(super) fn replay_put(
        &self,
        store: &Store,
        frame: &Frame<'_>,
        address: Address,
        lsn: Lsn,
    ) -> Result<bool> {
        let hash = self.hash(frame.key);
        let tag = tag_of(hash);
        let mut partition = self.index.write(partition_of(hash));
        let found = Self::find(store, &partition, tag, frame.key)?;
        let old = match &found {
            Ok(hit) if hit.address == address => return Ok(true),
            Ok(hit) => Some(hit.held.frame()?),
            Err(_) => None,
        };
        if old.is_some_and(|old| old.version >= frame.version) {
            return Ok(false);
        }
        let place = found.as_ref().map(Hit::place).map_err(|place| *place);
        let bytes = frame.bytes;
        let placed = Placed {
            address,
            bytes,
            version: frame.version,
            lsn,
        };
        let bytes = frame.key.len() + frame.raw_bytes();
        Self::publish(
            store,
            &mut partition,
            tag,
            place,
            old.as_ref(),
            bytes,
            placed,
        );
        Ok(true)
    }

    /// Takes in the end of a key's records up to a version.
    pub(super) fn replay_remove(
        &self,
        store: &Store,
        key: &[u8],
        version: Version,
        lsn: Lsn,
    ) -> Result<()> {
        let hash = self.hash(key);
        let mut partition = self.index.write(partition_of(hash));
        if let Ok(hit) = Self::find(store, &partition, tag_of(hash), key)? {
            let frame = hit.held.frame()?;
            if frame.version <= version {
                let placed = Placed {
                    address: 0,
                    bytes: 0,
                    version,
                    lsn,
                };
                Self::unpublish(store, &mut partition, hit.place, &hit.held, &frame, placed);
            }
        }
        Ok(())
    }

    /// Takes in that there are no records.
    pub(super) fn replay_clear(&self) {
        for i in 0..PARTITIONS {
            self.index.write(i).clear();
        }
    }
}

fn partitions<'a>(store: &HashStore, keys: impl Iterator<Item = &'a [u8]>) -> Vec<usize> {
    let mut partitions: Vec<_> = keys.map(|key| partition_of(store.hash(key))).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

/// The partitions of several keys, locked in ascending order, so that no two batches wait for each
/// other.
struct ReadLocked<'a>(Vec<(usize, RwLockReadGuard<'a, Partition>)>);

impl<'a> ReadLocked<'a> {
    fn new<'k>(store: &'a HashStore, keys: impl Iterator<Item = &'k [u8]>) -> ReadLocked<'a> {
        let locked = partitions(store, keys)
            .into_iter()
            .map(|i| (i, store.index.read(i)));
        ReadLocked(locked.collect())
    }

    fn get(&self, partition: usize) -> &Partition {
        let Ok(at) = self.0.binary_search_by_key(&partition, |locked| locked.0) else {
            unreachable!("every key's partition was locked")
        };
        &self.0[at].1
    }

    fn last(&self) -> Lsn {
        self.0
            .iter()
            .map(|locked| locked.1.last())
            .max()
            .unwrap_or(0)
    }
}

/// As [`ReadLocked`], for writing.
pub(super) struct WriteLocked<'a>(Vec<(usize, RwLockWriteGuard<'a, Partition>)>);

impl<'a> WriteLocked<'a> {
    /// The partitions of these keys.
    pub(super) fn new<'k>(
        store: &'a HashStore,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> WriteLocked<'a> {
        let locked = partitions(store, keys)
            .into_iter()
            .map(|i| (i, store.index.write(i)));
        WriteLocked(locked.collect())
    }

    /// All partitions.
    pub(super) fn all(store: &'a HashStore) -> WriteLocked<'a> {
        let locked = (0..PARTITIONS).map(|i| (i, store.index.write(i)));
        WriteLocked(locked.collect())
    }

    fn position(&self, partition: usize) -> usize {
        let Ok(at) = self.0.binary_search_by_key(&partition, |locked| locked.0) else {
            unreachable!("every key's partition was locked")
        };
        at
    }

    fn get(&self, partition: usize) -> &Partition {
        &self.0[self.position(partition)].1
    }

    fn get_mut(&mut self, partition: usize) -> &mut Partition {
        let at = self.position(partition);
        &mut self.0[at].1
    }

    /// How many records the locked partitions hold.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|locked| locked.1.len() as u64).sum()
    }

    /// Forgets all records of the locked partitions.
    pub(super) fn clear(&mut self, lsn: Lsn) {
        for (_, partition) in &mut self.0 {
            partition.clear();
            partition.changed(lsn, 0, 0);
        }
    }

    pub(super) fn last(&self) -> Lsn {
        self.0
            .iter()
            .map(|locked| locked.1.last())
            .max()
            .unwrap_or(0)
    }
}
