//! Segments in memory: where addresses lead to.

use super::format::{self, Class, Frame, Header};
use super::read;
use crate::io::{File, Region, Watermark, prefetch_address};
use arc_swap::{ArcSwapOption, Guard};
use hakone_command::{Error, Lsn, Result, Version};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The name of a frame in memory: the segment's slot (17 bits) and its offset in units of 8 bytes
/// (23 bits). Zero is no address: every segment begins with its header.
pub(crate) type Address = u64;

const OFFSET_BITS: u32 = 23;

/// Bits of an address.
pub(crate) const ADDRESS_BITS: u32 = 40;

/// Bytes of the largest segment: what the offset in an address reaches.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// How many segments a log can have: what the slot in an address reaches.
pub(crate) const SLOTS: u32 = 1 << (ADDRESS_BITS - OFFSET_BITS);

const CHUNK: usize = 256;

/// Bytes at the front of a frame that tell its size.
const EXTENT_BYTES: usize = 20;

/// The address of the frame at `offset` in the segment at `slot`.
pub(crate) fn address(slot: u32, offset: usize) -> Address {
    u64::from(slot) << OFFSET_BITS | (offset / format::ALIGN) as u64
}

/// The slot of the segment that an address leads to.
pub(crate) fn slot_of(address: Address) -> u32 {
    (address >> OFFSET_BITS) as u32 & (SLOTS - 1)
}

/// The offset in its segment that an address leads to.
pub(crate) fn offset_of(address: Address) -> usize {
    (address as usize & ((1 << OFFSET_BITS) - 1)) * format::ALIGN
}

/// One segment of a log. Immutable but for its counters; a change of where its bytes are makes a
/// new one that shares them.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) slot: u32,
    pub(crate) class: Class,
    /// Of changes: the lsn of the first one. Of survivors: what was written when it was begun; each
    /// record in it was live then.
    pub(crate) base_lsn: Lsn,
    pub(crate) base_version: Version,
    /// Bytes allocated.
    pub(crate) capacity: u64,
    /// Its file, if the log is on disk.
    pub(crate) file: Option<Arc<dyn File>>,
    /// Whether `region` is the mapped file.
    pub(crate) is_mapped: bool,
    /// Its bytes, if they are in memory.
    pub(crate) region: Option<Arc<Region>>,
    pub(crate) counters: Arc<Counters>,
}

/// What changes in a segment's life.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Bytes of frames that nothing points to any more.
    pub(crate) dead: AtomicU64,
    /// Bytes of frames whose values no index holds, though their database's index holds small ones.
    pub(crate) large: AtomicU64,
    /// Bytes that hold frames, header included, once nothing is appended any more; 0 before.
    pub(crate) sealed: Watermark,
    /// Sealed and synced.
    pub(crate) durable: AtomicBool,
    /// Compacted: freed once no checkpoint names it, and no snapshot leads to it.
    pub(crate) retired: AtomicBool,
}

impl Segment {
    /// Bytes that hold frames, header included.
    pub(crate) fn used(&self) -> u64 {
        match (self.counters.sealed.get(), &self.region) {
            (0, Some(region)) => region.written() as u64,
            (bytes, _) => bytes,
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.counters.sealed.get() != 0
    }

    pub(crate) fn dead(&self) -> u64 {
        self.counters.dead.load(Ordering::Relaxed).min(self.used())
    }

    /// The checksums' seed.
    pub(crate) fn seed(&self) -> u32 {
        format::seed(self.number)
    }

    fn corrupt(&self, offset: usize, what: &str) -> Error {
        Error::Corrupt(format!(
            "segment {:016x}, offset {offset}: {what}",
            self.number
        ))
    }

    /// All bytes that hold frames, from memory or read from the file.
    pub(crate) fn content(&self) -> Result<Content<'_>> {
        let used = self.used() as usize;
        if let Some(region) = &self.region {
            let bytes = region.get(0, used);
            return bytes
                .map(Content::Resident)
                .ok_or_else(|| self.corrupt(used, "ends early"));
        }
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| self.corrupt(0, "has no bytes"))?;
        let mut bytes = vec![0; used];
        file.read_at(0, &mut bytes)
            .map_err(|e| self.read_error(0, &e))?;
        Ok(Content::Copied(bytes))
    }

    /// Its header, as far as reading its frames needs it.
    pub(crate) fn header(&self) -> Header {
        Header {
            number: self.number,
            class: self.class,
            base_lsn: self.base_lsn,
            base_version: self.base_version,
            previous: 0,
            previous_bytes: 0,
            durable: 0,
        }
    }

    /// Checks that all its frames are whole.
    pub(crate) fn verify(&self, content: &[u8]) -> Result<()> {
        let end = read::frames(content, &self.header(), |_, _, _| Ok(()))?;
        if (end.offset as u64) < self.used() {
            return Err(self.corrupt(
                end.offset,
                "a frame is not whole; restore the file from a backup",
            ));
        }
        Ok(())
    }

    fn read_error(&self, offset: usize, error: &std::io::Error) -> Error {
        Error::Io(format!(
            "cannot read segment {:016x} at offset {offset}: {error}",
            self.number
        ))
    }

    /// The size of the frame at `offset`, padding included.
    fn extent(&self, offset: usize) -> Option<usize> {
        let bytes = (self.used() as usize)
            .checked_sub(offset)?
            .min(EXTENT_BYTES);
        if let Some(region) = &self.region {
            return format::extent(region.get(offset, bytes)?);
        }
        let mut head = [0; EXTENT_BYTES];
        let head = head.get_mut(..bytes)?;
        let file = self.file.as_ref()?;
        file.read_at(offset as u64, head).ok()?;
        format::extent(head)
    }

    /// Reads the frame at `offset` from the file.
    fn read_frame(&self, offset: usize) -> Result<Vec<u8>> {
        // 4 KiB: one page, and most records
        const FIRST_BYTES: usize = 4096;
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| self.corrupt(offset, "has no bytes"))?;
        let limit = (self.used() as usize).saturating_sub(offset);
        let mut bytes = vec![0; limit.min(FIRST_BYTES)];
        file.read_at(offset as u64, &mut bytes)
            .map_err(|e| self.read_error(offset, &e))?;
        let extent = format::extent(&bytes).filter(|extent| *extent <= limit);
        let extent = extent.ok_or_else(|| self.corrupt(offset, "no frame begins here"))?;
        if extent > bytes.len() {
            bytes = vec![0; extent];
            file.read_at(offset as u64, &mut bytes)
                .map_err(|e| self.read_error(offset, &e))?;
        }
        match format::decode(&bytes, self.seed(), self.base_version) {
            Some(_) => Ok(bytes),
            None => Err(self.corrupt(offset, "checksum mismatch")),
        }
    }
}

/// The bytes of a segment.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Resident(&'a [u8]),
    Copied(Vec<u8>),
}

impl std::ops::Deref for Content<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Content::Resident(bytes) => bytes,
            Content::Copied(bytes) => bytes,
        }
    }
}

type SlotChunk = Box<[Slot]>;

/// A segment's place in the table.
#[derive(Debug, Default)]
struct Slot {
    segment: ArcSwapOption<Segment>,
    /// Where its bytes are in memory, for prefetching alone: a hint that costs no count.
    start: AtomicUsize,
}

/// The segments of a log by slot.
#[derive(Debug)]
pub(crate) struct Table {
    chunks: Box<[OnceLock<SlotChunk>]>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            chunks: (0..SLOTS as usize / CHUNK)
                .map(|_| OnceLock::new())
                .collect(),
        }
    }

    #[inline]
    fn slot(&self, slot: u32) -> Option<&Slot> {
        let slot = slot as usize;
        self.chunks.get(slot / CHUNK)?.get()?.get(slot % CHUNK)
    }

    #[inline]
    fn at(&self, slot: u32) -> Option<&ArcSwapOption<Segment>> {
        Some(&self.slot(slot)?.segment)
    }

    /// Puts a segment, or nothing, at a slot.
    pub(crate) fn set(&self, slot: u32, segment: Option<Arc<Segment>>) {
        let slot = slot as usize;
        let chunk =
            self.chunks[slot / CHUNK].get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
        let region = segment.as_ref().and_then(|segment| segment.region.as_ref());
        let start = region.map_or(0, |region| region.address());
        chunk[slot % CHUNK].start.store(start, Ordering::Relaxed);
        chunk[slot % CHUNK].segment.store(segment);
    }

    /// The segment at a slot.
    pub(crate) fn get(&self, slot: u32) -> Option<Arc<Segment>> {
        self.at(slot)?.load_full()
    }

    /// All segments, by slot.
    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        chunks
            .flatten()
            .filter_map(|slot| slot.segment.load_full())
            .collect()
    }

    /// A slot that has no segment.
    pub(crate) fn free_slot(&self) -> Option<u32> {
        (0..SLOTS).find(|slot| self.at(*slot).is_none_or(|at| at.load().is_none()))
    }

    /// Counts the frame of a put as dead whose size is known but for its form: survivors are wide.
    #[inline]
    pub(crate) fn bury_plain(&self, address: Address, plain_bytes: usize) {
        if let Some(at) = self.at(slot_of(address))
            && let Some(segment) = &*at.load()
        {
            let is_wide = segment.class == Class::Survivors;
            let bytes = plain_bytes + if is_wide { format::WIDE_BYTES } else { 0 };
            segment
                .counters
                .dead
                .fetch_add(format::align(bytes) as u64, Ordering::Relaxed);
        }
    }

    /// Counts the frame at `address` as dead. Returns whether its size could be read.
    pub(crate) fn bury(&self, address: Address) -> bool {
        if let Some(at) = self.at(slot_of(address))
            && let Some(segment) = &*at.load()
            && let Some(bytes) = segment.extent(offset_of(address))
        {
            let dead = &segment.counters.dead;
            dead.fetch_add(bytes as u64, Ordering::Relaxed);
            return true;
        }
        false
    }

    /// Counts the frame at `address` as one whose value is read from the log.
    pub(crate) fn note_large(&self, address: Address, bytes: usize) {
        if let Some(at) = self.at(slot_of(address))
            && let Some(segment) = &*at.load()
        {
            let large = &segment.counters.large;
            large.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Tells the processor that the frame at `address` will be read.
    #[inline]
    pub(crate) fn prefetch(&self, address: Address) {
        if let Some(slot) = self.slot(slot_of(address)) {
            let start = slot.start.load(Ordering::Relaxed);
            // Three lines: a record of 100 bytes and its key.
            for line in 0..3 {
                prefetch_address(start + offset_of(address) + line * 64);
            }
        }
    }

    /// Holds the frame at `address`.
    #[inline]
    pub(crate) fn hold(&self, address: Address) -> Result<Held> {
        let offset = offset_of(address);
        let missing = || {
            Error::Corrupt(format!(
                "address {address:x} leads to no segment of the log"
            ))
        };
        let guard = self.at(slot_of(address)).ok_or_else(missing)?.load();
        let segment = guard.as_ref().ok_or_else(missing)?;
        if segment.region.is_some() {
            return Ok(Held::Resident { guard, offset });
        }
        Ok(Held::Copied {
            bytes: segment.read_frame(offset)?,
            segment: Arc::clone(segment),
            offset,
        })
    }
}

/// A frame that stays readable as long as this lives.
pub(crate) enum Held {
    Resident {
        guard: Guard<Option<Arc<Segment>>>,
        offset: usize,
    },
    Copied {
        bytes: Vec<u8>,
        segment: Arc<Segment>,
        offset: usize,
    },
}

impl Held {
    #[inline]
    fn segment(&self) -> &Arc<Segment> {
        match self {
            Held::Resident { guard, .. } => match &**guard {
                Some(segment) => segment,
                None => unreachable!("held as resident"),
            },
            Held::Copied { segment, .. } => segment,
        }
    }

    /// Counts the frame, of so many bytes, as dead.
    #[inline]
    pub(crate) fn bury(&self, bytes: usize) {
        let dead = &self.segment().counters.dead;
        dead.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The frame. Its checksum was verified when it came from the disk.
    #[inline]
    pub(crate) fn frame(&self) -> Result<Frame<'_>> {
        let segment = self.segment();
        let (bytes, offset) = match self {
            Held::Resident { offset, .. } => {
                let Some(region) = &segment.region else {
                    unreachable!("held as resident")
                };
                let bytes = region.get(*offset, region.written().saturating_sub(*offset));
                (bytes.unwrap_or_default(), *offset)
            }
            Held::Copied { bytes, offset, .. } => (&bytes[..], *offset),
        };
        format::decode_unverified(bytes, segment.base_version)
            .ok_or_else(|| segment.corrupt(offset, "no frame begins here"))
    }
}
