//! The log: one tail, segments, what is written and what is durable.

pub(crate) mod format;
mod pins;
pub(crate) mod read;
mod segment;

pub(crate) use pins::{Pin, Pins};
pub(crate) use segment::{
    ADDRESS_BITS, Address, Counters, Held, SEGMENT_BYTES_MAX, SLOTS, Segment, Table, address,
};

use crate::io::{Appender, Disk, File, Region, Watermark};
use format::{Class, Draft, FRAME_BYTES_MAX, FrameKind, HEADER_BYTES, Header, Stamp};
use hakone_command::{Error, Lsn, Result, Value, Version};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Sizes of a log's segments, and where its bytes are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogOptions {
    /// The smallest segment: what an empty log costs twice.
    pub(crate) segment_bytes_min: u64,
    /// The largest one.
    pub(crate) segment_bytes_max: u64,
    /// How much of the log is kept in memory.
    pub(crate) resident_bytes_max: u64,
}

/// A log on a disk, or in memory.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Option<Arc<dyn Disk>>,
    options: LogOptions,
    pub(crate) table: Table,
    /// What snapshots may still lead to.
    pub(crate) pins: Arc<Pins>,
    /// The last lsn given in this cabinet, by any of its logs.
    lsns: Arc<AtomicU64>,
    tail: Mutex<Tail>,
    /// The segment that will be the next tail.
    prepared: Mutex<Option<Prepared>>,
    /// Files of segments that were given free: under new numbers, so that no header in them
    /// verifies, and with their sizes.
    spares: Mutex<Vec<(u64, u64)>>,
    /// The next segment number. Locked while a segment is made, so that none is skipped.
    next_number: Mutex<u64>,
    written: Watermark,
    durable: Watermark,
    /// Bytes allocated for segments, the prepared one not counted.
    capacity: AtomicU64,
    /// Bytes of segments kept in memory, the tail not counted.
    resident: AtomicU64,
    /// Bytes of frames that end keys: removes and expires.
    pub(crate) ends: AtomicU64,
    /// Held while the table of segments is changed.
    moving: Mutex<()>,
    /// One sync at a time.
    syncing: Mutex<()>,
    failure: OnceLock<Error>,
    /// Called when the tail has moved to another segment.
    on_rotate: OnceLock<Callback>,
}

/// A function to be called from the log.
pub(crate) struct Callback(pub(crate) Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callback")
    }
}

/// Where changes are appended.
#[derive(Debug, Default)]
struct Tail {
    open: Option<Open>,
    /// The lsn that the next change has without a stamp.
    next: Lsn,
    /// The durable lsn that the last stamp or header told.
    stamped: Lsn,
    /// The highest version given.
    version: Version,
    /// Number and used bytes of the last changes segment before the open one.
    previous: (u64, u64),
    /// Sealed segments that are not synced yet, oldest first.
    unsynced: Vec<Arc<Segment>>,
}

/// A segment that is being appended to.
#[derive(Debug)]
pub(crate) struct Open {
    segment: Arc<Segment>,
    appender: Appender,
    seed: u32,
}

/// A segment made ahead.
#[derive(Debug)]
struct Prepared {
    number: u64,
    bytes: u64,
    file: Option<Arc<dyn File>>,
    region: Arc<Region>,
}

/// Where a change was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) address: Address,
    /// Bytes of its frame, padding included.
    pub(crate) bytes: usize,
    pub(crate) version: Version,
    pub(crate) lsn: Lsn,
}

/// Files of freed segments that are kept: the next tail, and the one after it.
const SPARES_MAX: usize = 2;

/// Bytes that a stamp takes at the most.
const STAMP_BYTES: usize = 24 + FRAME_BYTES_MAX;

/// Locks, whatever a panicking holder left: what is guarded here is changed in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a segment's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// What an error of the disk means for a write.
pub(crate) fn disk_error(what: &str, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::QuotaExceeded {
        Error::Full(format!("{what}: {error}"))
    } else {
        Error::Io(format!("{what}: {error}"))
    }
}

impl Log {
    /// An empty log.
    pub(crate) fn new(
        disk: Option<Arc<dyn Disk>>,
        options: LogOptions,
        lsns: Arc<AtomicU64>,
    ) -> Log {
        Log {
            disk,
            options,
            table: Table::new(),
            pins: Arc::default(),
            lsns,
            tail: Mutex::default(),
            prepared: Mutex::new(None),
            spares: Mutex::default(),
            next_number: Mutex::new(1),
            written: Watermark::default(),
            durable: Watermark::default(),
            capacity: AtomicU64::new(0),
            resident: AtomicU64::new(0),
            ends: AtomicU64::new(0),
            moving: Mutex::new(()),
            syncing: Mutex::new(()),
            failure: OnceLock::new(),
            on_rotate: OnceLock::new(),
        }
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.disk.is_none()
    }

    pub(crate) fn options(&self) -> LogOptions {
        self.options
    }

    pub(crate) fn written(&self) -> Lsn {
        self.written.get()
    }

    pub(crate) fn durable(&self) -> Lsn {
        self.durable.get()
    }

    /// Why writes are refused for good, if they are.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    pub(crate) fn set_on_rotate(&self, callback: Callback) {
        assert!(
            self.on_rotate.set(callback).is_ok(),
            "a log has one owner that is called"
        );
    }

    /// Bytes allocated for segments.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Bytes of segments that are held in memory to be read.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.resident.load(Ordering::Relaxed)
    }

    /// Appends one change and stamps it with an lsn and a version of at least `floor`.
    #[inline]
    pub(crate) fn append(&self, draft: Draft<'_>, floor: Version) -> Result<Placed> {
        let mut placed = Placed {
            address: 0,
            bytes: 0,
            version: 0,
            lsn: 0,
        };
        self.append_batch(&mut [draft], floor, &mut |_, at| placed = at)?;
        Ok(placed)
    }

    /// Appends changes as one atomic batch, and tells where each was put.
    pub(crate) fn append_batch(
        &self,
        drafts: &mut [Draft<'_>],
        floor: Version,
        placed: &mut dyn FnMut(usize, Placed),
    ) -> Result<()> {
        let mut guard = lock(&self.tail);
        let tail = &mut *guard;
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        let count = drafts.len();
        let first_version = floor.max(tail.version + 1);
        let mut payload = 0;
        for (i, draft) in drafts.iter_mut().enumerate() {
            draft.version = first_version + i as u64;
            draft.more = i + 1 < count;
            payload += draft.key.len() + draft.value.len();
        }
        let needed = payload + count * FRAME_BYTES_MAX + STAMP_BYTES;
        if tail.open.as_ref().is_none_or(|open| open.room() < needed) {
            self.rotate(tail, needed, first_version)?;
        }
        let lsn = self.lsns.fetch_add(count as u64, Ordering::Relaxed) + 1;
        if self.disk.is_some() {
            self.stamp(tail, lsn);
        }
        let Some(open) = &mut tail.open else {
            unreachable!("rotated above")
        };
        let base_version = open.segment.base_version;
        let start = open.offset();
        let Some(room) = open.appender.room(needed - STAMP_BYTES) else {
            unreachable!("there was room for {needed} bytes")
        };
        let mut at = 0;
        for (i, draft) in drafts.iter().enumerate() {
            let lsn = lsn + i as u64;
            let bytes = draft.encode(&mut room[at..], open.seed, base_version, lsn);
            let address = address(open.segment.slot, start + at);
            placed(
                i,
                Placed {
                    address,
                    bytes,
                    version: draft.version,
                    lsn,
                },
            );
            at += bytes;
        }
        open.appender.publish(at);
        tail.version = first_version + count as u64 - 1;
        tail.next = lsn + count as u64;
        self.written.set(tail.next - 1);
        Ok(())
    }

    /// Writes a stamp where the lsn skips or the durable lsn has moved. There is room.
    fn stamp(&self, tail: &mut Tail, next: Lsn) {
        let durable = self.durable();
        if tail.next == next && tail.stamped == durable {
            return;
        }
        let micros = self.disk.as_ref().map_or(0, |disk| disk.now_micros());
        let stamp = Stamp {
            next,
            durable,
            micros,
        }
        .encode();
        let Some(open) = &mut tail.open else { return };
        let draft = Draft {
            kind: FrameKind::Stamp,
            more: false,
            database: 0,
            version: open.segment.base_version,
            lsn: None,
            expiry: 0,
            flags: 0,
            key: &[],
            value: Value::whole(&stamp),
        };
        open.write(&draft, 0);
        open.segment
            .counters
            .dead
            .fetch_add(stamp.len() as u64 + 16, Ordering::Relaxed);
        tail.next = next;
        tail.stamped = durable;
    }

    /// Seals the open segment and goes on in the next one, which has room for `needed` bytes.
    fn rotate(&self, tail: &mut Tail, needed: usize, version: Version) -> Result<()> {
        let bytes = (needed + HEADER_BYTES) as u64;
        let prepared = self.take_prepared(bytes)?;
        if let Some(open) = tail.open.take() {
            tail.previous = (open.segment.number, open.offset() as u64);
            self.note_unsynced(tail, open.seal());
        }
        let next = self.lsns.load(Ordering::Relaxed) + 1;
        let header = Header {
            number: prepared.number,
            class: Class::Changes,
            base_lsn: next,
            base_version: version,
            previous: tail.previous.0,
            previous_bytes: tail.previous.1,
            durable: self.durable(),
        };
        tail.open = Some(self.begin(prepared, &header)?);
        tail.next = next;
        tail.stamped = header.durable;
        if let Some(callback) = self.on_rotate.get() {
            (callback.0)();
        }
        Ok(())
    }

    /// Keeps a sealed segment until it is synced; one in memory never is.
    fn note_unsynced(&self, tail: &mut Tail, sealed: Arc<Segment>) {
        if self.disk.is_some() {
            tail.unsynced.push(sealed);
        }
    }

    /// Writes the header of a prepared segment and gives it a slot.
    fn begin(&self, prepared: Prepared, header: &Header) -> Result<Open> {
        // The tail's segments and those of compaction are begun by different threads: no two may
        // find the same free slot.
        let _one = lock(&self.moving);
        let slot = self.table.free_slot().ok_or_else(|| {
            Error::Full("the log has as many segments as addresses reach: 8 TiB".to_owned())
        })?;
        let segment = Arc::new(Segment {
            number: header.number,
            slot,
            class: header.class,
            base_lsn: header.base_lsn,
            base_version: header.base_version,
            capacity: prepared.bytes,
            is_mapped: prepared.file.is_some(),
            file: prepared.file,
            region: Some(Arc::clone(&prepared.region)),
            counters: Arc::default(),
        });
        let Some(mut appender) = prepared.region.appender() else {
            unreachable!("a prepared segment is begun once")
        };
        let Some(room) = appender.room(HEADER_BYTES) else {
            unreachable!("a segment is larger than its header")
        };
        room.copy_from_slice(&header.encode());
        appender.publish(HEADER_BYTES);
        self.table.set(slot, Some(Arc::clone(&segment)));
        self.capacity.fetch_add(prepared.bytes, Ordering::Relaxed);
        let seed = segment.seed();
        Ok(Open {
            segment,
            appender,
            seed,
        })
    }

    /// The segment made ahead, or one made now if there is none of this size.
    fn take_prepared(&self, bytes: u64) -> Result<Prepared> {
        let mut prepared = lock(&self.prepared);
        if let Some(ready) = prepared.take_if(|ready| ready.bytes >= bytes) {
            return Ok(ready);
        }
        self.make(bytes.max(self.next_bytes()))
    }

    /// How large the next segment is: an eighth of what is live, so that a small log stays small.
    fn next_bytes(&self) -> u64 {
        let LogOptions {
            segment_bytes_min,
            segment_bytes_max,
            ..
        } = self.options;
        let live: u64 = self
            .table
            .all()
            .iter()
            .filter(|s| !s.counters.retired.load(Ordering::Relaxed))
            .map(|s| s.used().saturating_sub(s.dead()))
            .sum();
        (live / 8)
            .next_power_of_two()
            .clamp(segment_bytes_min, segment_bytes_max)
    }

    /// Makes the next segment ahead, so that neither a fault nor a full disk meets an append.
    pub(crate) fn prepare(&self) -> Result<()> {
        if lock(&self.prepared).is_some() {
            return Ok(());
        }
        let made = self.make(self.next_bytes())?;
        let surplus = lock(&self.prepared).replace(made);
        if let Some(surplus) = surplus {
            self.discard(surplus);
        }
        Ok(())
    }

    fn make(&self, bytes: u64) -> Result<Prepared> {
        let bytes = bytes.next_multiple_of(4096);
        if bytes > SEGMENT_BYTES_MAX {
            return Err(Error::BatchTooLarge { bytes });
        }
        if let Some(prepared) = self.reuse(bytes) {
            return Ok(prepared);
        }
        let mut next_number = lock(&self.next_number);
        let number = *next_number;
        let made = match &self.disk {
            None => Region::anonymous(bytes as usize).map(|region| (None, region)),
            Some(disk) => disk.create(&file_name(number), bytes).and_then(|file| {
                let region = file.map()?;
                disk.sync_names()?;
                Ok((Some(file), region))
            }),
        };
        match made {
            Ok((file, region)) => {
                *next_number = number + 1;
                Ok(Prepared {
                    number,
                    bytes,
                    file,
                    region,
                })
            }
            Err(error) => {
                if let Some(disk) = &self.disk {
                    // The name may be there without its bytes; it is not needed either way.
                    let _ = disk.remove(&file_name(number));
                    *next_number = number + 1;
                }
                Err(disk_error(
                    &format!("cannot make a segment of {bytes} bytes"),
                    &error,
                ))
            }
        }
    }

    /// A spare file of this size, if there is one that can be used: its blocks are allocated, and
    /// its pages most likely in memory.
    fn reuse(&self, bytes: u64) -> Option<Prepared> {
        let disk = self.disk.as_ref()?;
        let mut spares = lock(&self.spares);
        let at = spares.iter().position(|spare| spare.1 == bytes)?;
        let (number, bytes) = spares.remove(at);
        let file = disk.open(&file_name(number)).ok()?;
        let region = file.map().ok()?;
        disk.sync_names().ok()?;
        Some(Prepared {
            number,
            bytes,
            file: Some(file),
            region,
        })
    }

    /// Forgets segments, gives their files and those of old checkpoints free, and makes that
    /// durable: some are kept to be used again, under other names.
    pub(crate) fn free(&self, segments: &[Arc<Segment>], parts: &[u64]) -> Result<()> {
        let Some(disk) = &self.disk else {
            for segment in segments {
                self.forget(segment);
            }
            return Ok(());
        };
        let mut gone = parts.to_vec();
        let wanted = self.next_bytes();
        for segment in segments {
            let is_free = self.forget(segment);
            let mut spares = lock(&self.spares);
            if !is_free || segment.capacity != wanted || spares.len() >= SPARES_MAX {
                gone.push(segment.number);
                continue;
            }
            let mut next_number = lock(&self.next_number);
            let number = *next_number;
            *next_number = number + 1;
            match disk.rename(&file_name(segment.number), &file_name(number)) {
                Ok(()) => spares.push((number, segment.capacity)),
                Err(_) => gone.push(segment.number),
            }
        }
        self.remove_files(&gone)
    }

    fn discard(&self, prepared: Prepared) {
        if let Some(disk) = &self.disk {
            // What stays is removed at the next opening: its header does not verify.
            let _ = disk.remove(&file_name(prepared.number));
        }
    }

    /// Begins a segment for survivors of about so many bytes, of which the first takes `needed`.
    pub(crate) fn begin_survivors(
        &self,
        expected: u64,
        needed: usize,
        base_version: Version,
    ) -> Result<Open> {
        let needed = (needed + HEADER_BYTES) as u64;
        let largest = self.options.segment_bytes_max;
        let prepared = self.make(expected.min(largest).max(needed))?;
        let header = Header {
            number: prepared.number,
            class: Class::Survivors,
            base_lsn: self.written(),
            base_version,
            previous: 0,
            previous_bytes: 0,
            durable: self.durable(),
        };
        self.begin(prepared, &header)
    }

    /// Makes a file for a part of a checkpoint, and its number.
    pub(crate) fn make_checkpoint_part(&self, bytes: u64) -> Result<(u64, Arc<dyn File>)> {
        let Some(disk) = &self.disk else {
            return Err(Error::Unsupported("checkpoints of a log in memory"));
        };
        let mut next_number = lock(&self.next_number);
        let number = *next_number;
        *next_number = number + 1;
        let file = disk
            .create(&file_name(number), bytes)
            .map_err(|e| disk_error("cannot make a checkpoint", &e))?;
        Ok((number, file))
    }

    /// Removes files by number, and makes that durable.
    pub(crate) fn remove_files(&self, numbers: &[u64]) -> Result<()> {
        let Some(disk) = &self.disk else {
            return Ok(());
        };
        for number in numbers {
            disk.remove(&file_name(*number))
                .map_err(|e| disk_error(&format!("cannot remove segment {number:016x}"), &e))?;
        }
        self.sync_names()
    }

    pub(crate) fn sync_names(&self) -> Result<()> {
        let Some(disk) = &self.disk else {
            return Ok(());
        };
        disk.sync_names()
            .map_err(|e| self.poison(&format!("cannot sync the directory: {e}")))
    }

    /// Stops writes for good and gives the reason.
    pub(crate) fn poison(&self, why: &str) -> Error {
        self.failure
            .get_or_init(|| Error::Poisoned(why.to_owned()))
            .clone()
    }

    /// Makes everything written so far durable. After a failure writes are refused: what a sync
    /// that failed has left is not known.
    pub(crate) fn sync(&self) -> Result<()> {
        self.sync_to(Lsn::MAX).map(|_| ())
    }

    /// As [`Log::sync`], unless everything up to `wanted` is durable once it is this one's turn:
    /// then there is nothing to do, and the result is `None`.
    pub(crate) fn sync_to(&self, wanted: Lsn) -> Result<Option<Lsn>> {
        if self.disk.is_none() {
            return Ok(Some(self.written()));
        }
        let _one = lock(&self.syncing);
        if self.durable() >= wanted {
            return Ok(None);
        }
        if let Some(failure) = self.failure.get() {
            return Err(failure.clone());
        }
        let (sealed, open, lsn) = {
            let mut tail = lock(&self.tail);
            let open = tail.open.as_ref().map(|open| Arc::clone(&open.segment));
            (std::mem::take(&mut tail.unsynced), open, self.written())
        };
        if lsn > self.durable() {
            for segment in sealed.iter().chain(&open) {
                let Some(file) = &segment.file else { continue };
                file.sync().map_err(|e| {
                    self.poison(&format!("cannot sync segment {:016x}: {e}", segment.number))
                })?;
            }
        }
        for segment in &sealed {
            segment.counters.durable.store(true, Ordering::Release);
        }
        self.durable.raise(lsn);
        Ok(Some(lsn))
    }

    /// Brings sealed and durable segments into memory of their own, from their mapped files or from
    /// the disk, as far as the budget goes; beyond it they are read from the disk. Segments from
    /// which little is read stay there: `all` says that every record is read from the log, else it
    /// is those with large values.
    pub(crate) fn settle(&self, all: bool) -> Result<()> {
        for segment in self.table.all() {
            let counters = &segment.counters;
            if !counters.durable.load(Ordering::Acquire) {
                continue;
            }
            // A quarter: where less is read, the memory is better spent elsewhere.
            let is_read = all || counters.large.load(Ordering::Relaxed) * 4 > segment.used();
            let is_there = segment.region.is_some();
            if !is_read && is_there {
                self.replace(&segment, None);
            } else if is_read && segment.is_mapped {
                let region = self.resident_copy(&segment.content()?)?;
                self.replace(&segment, region);
            } else if is_read && !is_there && self.has_room(segment.used()) {
                let content = segment.content()?;
                segment.verify(&content)?;
                let region = self.resident_copy(&content)?;
                self.replace(&segment, region);
            }
        }
        Ok(())
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.resident.load(Ordering::Relaxed) + bytes <= self.options.resident_bytes_max
    }

    /// A copy in memory, if the budget allows.
    pub(crate) fn resident_copy(&self, content: &[u8]) -> Result<Option<Arc<Region>>> {
        let bytes = content.len() as u64;
        if !self.has_room(bytes) {
            return Ok(None);
        }
        let no_memory =
            |e: io::Error| Error::Io(format!("cannot get {bytes} bytes of memory: {e}"));
        let region = Region::anonymous(content.len()).map_err(no_memory)?;
        if let Some(mut appender) = region.appender()
            && let Some(room) = appender.room(content.len())
        {
            room.copy_from_slice(content);
            appender.publish(content.len());
        }
        self.resident.fetch_add(bytes, Ordering::Relaxed);
        Ok(Some(region))
    }

    /// Lets a segment's bytes be elsewhere from now on, if it is still there.
    pub(crate) fn replace(&self, segment: &Segment, region: Option<Arc<Region>>) {
        let _one = lock(&self.moving);
        let there = self.table.get(segment.slot);
        if there.is_none_or(|there| there.number != segment.number) {
            self.let_go(region.as_ref());
            return;
        }
        if !segment.is_mapped {
            self.let_go(segment.region.as_ref());
        }
        let moved = Segment {
            region,
            is_mapped: false,
            ..segment.clone()
        };
        self.table.set(segment.slot, Some(Arc::new(moved)));
    }

    /// Forgets a segment that nothing points to. Its file is the caller's. Returns whether the file
    /// can be used again: not if it is still mapped, and perhaps being copied.
    pub(crate) fn forget(&self, segment: &Segment) -> bool {
        let _one = lock(&self.moving);
        let there = self.table.get(segment.slot);
        let is_mapped = there.as_ref().is_none_or(|there| there.is_mapped);
        if let Some(segment) = there
            && !is_mapped
            && !self.is_in_memory()
        {
            self.let_go(segment.region.as_ref());
        }
        self.table.set(segment.slot, None);
        self.capacity.fetch_sub(segment.capacity, Ordering::Relaxed);
        !is_mapped
    }

    fn let_go(&self, region: Option<&Arc<Region>>) {
        let bytes = region.map_or(0, |region| region.len() as u64);
        self.resident.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Seals the tail, so that every change so far lies in a sealed segment.
    pub(crate) fn seal_tail(&self) -> Sealed {
        let mut tail = lock(&self.tail);
        if let Some(open) = tail.open.take_if(|open| open.offset() > HEADER_BYTES) {
            tail.previous = (open.segment.number, open.offset() as u64);
            self.note_unsynced(&mut tail, open.seal());
        }
        let mut segments = self.table.all();
        segments.retain(|segment| segment.is_sealed());
        Sealed {
            segments,
            last: tail.previous.0,
            lsn: self.written(),
            version: tail.version,
        }
    }

    /// Goes on after what was read again: so many numbers are taken, this was the last changes
    /// segment, these were the last lsn and version. All of it is durable.
    pub(crate) fn resume(
        &self,
        next_number: u64,
        previous: (u64, u64),
        lsn: Lsn,
        version: Version,
    ) {
        *lock(&self.next_number) = next_number;
        let mut tail = lock(&self.tail);
        tail.previous = previous;
        tail.version = version;
        self.written.set(lsn);
        self.durable.set(lsn);
        self.lsns.fetch_max(lsn, Ordering::Relaxed);
    }

    /// Takes in a segment that is read again.
    pub(crate) fn adopt(&self, segment: Segment) {
        self.capacity.fetch_add(segment.capacity, Ordering::Relaxed);
        self.table.set(segment.slot, Some(Arc::new(segment)));
    }

    /// Removes what was made ahead; the log must not be appended to any more.
    pub(crate) fn close(&self) {
        if let Some(prepared) = lock(&self.prepared).take() {
            self.discard(prepared);
        }
        let spares: Vec<_> = lock(&self.spares).drain(..).map(|spare| spare.0).collect();
        // What stays is removed at the next opening.
        let _ = self.remove_files(&spares);
    }
}

/// What was in the log when its tail was sealed.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The number of the last changes segment.
    pub(crate) last: u64,
    /// The last lsn.
    pub(crate) lsn: Lsn,
    /// The highest version.
    pub(crate) version: Version,
}

impl Open {
    fn offset(&self) -> usize {
        self.appender.region().written()
    }

    /// Bytes that are left.
    pub(crate) fn room(&self) -> usize {
        self.appender.region().len() - self.offset()
    }

    /// Writes one frame, for which there is room, and tells where.
    pub(crate) fn write(&mut self, draft: &Draft<'_>, lsn: Lsn) -> Placed {
        let offset = self.offset();
        let base_version = self.segment.base_version;
        let Some(room) = self.appender.room(draft.bytes(base_version)) else {
            unreachable!("the caller has made sure that there is room")
        };
        let bytes = draft.encode(room, self.seed, base_version, lsn);
        self.appender.publish(bytes);
        let address = address(self.segment.slot, offset);
        Placed {
            address,
            bytes,
            version: draft.version,
            lsn: draft.lsn.unwrap_or(lsn),
        }
    }

    /// Ends it: nothing is appended any more.
    pub(crate) fn seal(self) -> Arc<Segment> {
        let counters = &self.segment.counters;
        counters.sealed.set(self.offset() as u64);
        Arc::clone(&self.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    #[test]
    fn segments_that_are_begun_at_once_have_slots_of_their_own() {
        let options = LogOptions {
            segment_bytes_min: 4096,
            segment_bytes_max: 4096,
            resident_bytes_max: 0,
        };
        let log = Log::new(None, options, Arc::default());
        let begin = || {
            let each = |_| log.begin_survivors(0, 0, 0).unwrap().seal().slot;
            (0..300).map(each).collect::<Vec<_>>()
        };
        let slots: Vec<u32> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
            let each = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            each.collect()
        });
        assert_eq!(slots.iter().collect::<HashSet<_>>().len(), slots.len());
        assert_eq!(log.table.all().len(), slots.len());
    }
}
