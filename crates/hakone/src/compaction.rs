//! Compaction: the live records of the segments with the most garbage are copied together, and the
//! segments given free, so that overwriting for ever keeps the log in proportion to what is live.
//!
//! A record is live if its index leads to it. The end of a key (a remove, expire, clear or drop) is
//! kept as long as a segment may hold an older record of that key: one that was begun, or whose
//! records were last copied, before that end.

use crate::log::format::{Draft, FRAME_BYTES_MAX, Frame, FrameKind};
use crate::log::{Log, Open, Segment, address, read};
use crate::store::Store;
use hakone_command::{Error, Lsn, Result, Value, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Garbage beyond this share of the allocated bytes is worth compacting, in percent: the log stays
/// under 1 / (1 - 0.45) = 1.8 times its live bytes.
const GARBAGE_PERCENT: u64 = 45;

/// Live bytes that one run copies at the most.
const RUN_BYTES: u64 = 256 << 20;

/// Ends of keys beyond this share of the log let its oldest segments be copied, in percent.
const ENDS_PERCENT: u64 = 12;

/// The databases of a log, by id.
pub(crate) type Stores = BTreeMap<u32, Arc<Store>>;

/// Segments whose records have been copied elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Compacted {
    pub(crate) retired: Vec<Arc<Segment>>,
    /// Bytes of live records that were copied.
    pub(crate) copied: u64,
}

/// Segments that can be compacted.
fn candidates(log: &Log) -> Vec<Arc<Segment>> {
    let mut segments = log.table.all();
    segments.retain(|segment| {
        let counters = &segment.counters;
        segment.is_sealed()
            && !counters.retired.load(Ordering::Acquire)
            && (counters.durable.load(Ordering::Acquire) || log.is_in_memory())
    });
    segments
}

/// Allocated bytes that hold nothing live.
fn garbage(segment: &Segment) -> u64 {
    segment
        .capacity
        .saturating_sub(segment.used().saturating_sub(segment.dead()))
}

/// Bytes of live records, as far as is known without reading.
pub(crate) fn live_bytes(log: &Log) -> u64 {
    log.table
        .all()
        .iter()
        .filter(|s| !s.counters.retired.load(Ordering::Relaxed))
        .map(|s| s.used().saturating_sub(s.dead()))
        .sum()
}

/// Counts the dead bytes of every sealed segment afresh.
pub(crate) fn recount(log: &Log, stores: &Stores) -> Result<()> {
    for segment in candidates(log) {
        let content = segment.content()?;
        let mut live = 0;
        read::frames(&content, &segment.header(), |offset, frame, _| {
            let at = address(segment.slot, offset);
            let store = stores.get(&frame.database);
            let counts = match frame.kind {
                kind if kind.is_put() => store.is_some_and(|store| store.is_live(frame, at)),
                _ => true,
            };
            live += if counts { frame.bytes as u64 } else { 0 };
            Ok(())
        })?;
        segment
            .counters
            .dead
            .store(segment.used().saturating_sub(live), Ordering::Relaxed);
    }
    Ok(())
}

/// The numbers of all segments that can be compacted, oldest first.
pub(crate) fn all(log: &Log) -> Vec<u64> {
    let mut segments = candidates(log);
    segments.sort_unstable_by_key(|segment| segment.base_lsn);
    segments.iter().map(|segment| segment.number).collect()
}

/// Takes as many of the numbered segments as one run copies.
pub(crate) fn some_of(log: &Log, numbers: &mut Vec<u64>) -> Vec<Arc<Segment>> {
    let candidates = candidates(log);
    let mut chosen = Vec::new();
    let mut copied = 0;
    let mut taken = 0;
    for number in &*numbers {
        if copied > RUN_BYTES {
            break;
        }
        taken += 1;
        if let Some(segment) = candidates.iter().find(|there| there.number == *number) {
            copied += segment.capacity - garbage(segment);
            chosen.push(Arc::clone(segment));
        }
    }
    numbers.drain(..taken);
    chosen
}

/// Chooses what is worth compacting now: nothing, if there is little garbage.
pub(crate) fn choose(log: &Log) -> Vec<Arc<Segment>> {
    let mut segments = candidates(log);
    let capacity: u64 = segments.iter().map(|segment| segment.capacity).sum();
    let total: u64 = segments.iter().map(|segment| garbage(segment)).sum();
    let ends_bytes = log.ends.load(Ordering::Relaxed);
    let slack = 4 * log.options().segment_bytes_min;
    let mut chosen = Vec::new();
    if total > slack && total * 100 > capacity * GARBAGE_PERCENT {
        // The counters move while this sorts, so each is looked at once.
        segments.sort_by_cached_key(|segment| {
            std::cmp::Reverse(garbage(segment) * 1000 / segment.capacity.max(1))
        });
        let mut copied = 0;
        let mut freed = 0;
        for segment in &segments {
            let live = segment.capacity - garbage(segment);
            // Down to two thirds of the bound, so that runs are few and worth their checkpoint.
            if copied + live > RUN_BYTES || freed * 3 > total {
                break;
            }
            copied += live;
            freed += garbage(segment);
            chosen.push(Arc::clone(segment));
        }
    }
    if chosen.is_empty() && ends_bytes > slack && ends_bytes * 100 > capacity * ENDS_PERCENT {
        segments.sort_unstable_by_key(|segment| segment.base_lsn);
        let mut copied = 0;
        for segment in segments {
            copied += segment.capacity - garbage(&segment);
            chosen.push(segment);
            if copied > RUN_BYTES {
                break;
            }
        }
    }
    chosen
}

/// Copies what is live in `segments`, makes the copies durable, and marks the segments retired.
pub(crate) fn compact(
    log: &Log,
    stores: &Stores,
    segments: Vec<Arc<Segment>>,
) -> Result<Compacted> {
    let chosen: Vec<u64> = segments.iter().map(|segment| segment.number).collect();
    // The oldest moment of which another segment may hold a record.
    let oldest = log
        .table
        .all()
        .iter()
        .filter(|segment| !chosen.contains(&segment.number))
        .filter(|segment| !segment.counters.retired.load(Ordering::Acquire))
        .map(|segment| segment.base_lsn)
        .min()
        .unwrap_or(Lsn::MAX);
    let live: u64 = segments
        .iter()
        .map(|s| s.used().saturating_sub(s.dead()))
        .sum();
    // An eighth more: copies are wide.
    let expected = live + live / 8;
    let (open, sealed, copied) = (None, Vec::new(), 0);
    let mut copier = Copier {
        log,
        stores,
        oldest,
        expected,
        open,
        sealed,
        copied,
    };
    let taken = segments
        .iter()
        .try_for_each(|segment| copier.take_all(segment));
    // Whatever came of it: indices lead to the copies now.
    copier.seal();
    let copied = copier.copied;
    for survivors in copier.sealed {
        if let Some(file) = &survivors.file {
            file.sync()
                .map_err(|e| log.poison(&format!("cannot sync copied records: {e}")))?;
        }
        survivors.counters.durable.store(true, Ordering::Release);
    }
    taken?;
    for segment in &segments {
        segment.counters.retired.store(true, Ordering::Release);
    }
    Ok(Compacted {
        retired: segments,
        copied,
    })
}

struct Copier<'a> {
    log: &'a Log,
    stores: &'a Stores,
    oldest: Lsn,
    /// Bytes that all copies are about to take.
    expected: u64,
    open: Option<Open>,
    sealed: Vec<Arc<Segment>>,
    copied: u64,
}

impl Copier<'_> {
    fn take_all(&mut self, segment: &Segment) -> Result<()> {
        let content = segment.content()?;
        let end = read::frames(&content, &segment.header(), |offset, frame, lsn| {
            self.take(segment, offset, frame, lsn)
        })?;
        if (end.offset as u64) < segment.used() {
            return Err(Error::Corrupt(format!(
                "segment {:016x} is damaged at offset {}: compaction leaves it as it is",
                segment.number, end.offset
            )));
        }
        Ok(())
    }

    fn take(
        &mut self,
        segment: &Segment,
        offset: usize,
        frame: &Frame<'_>,
        lsn: Lsn,
    ) -> Result<()> {
        let keep = match frame.kind {
            kind if kind.is_put() => return self.take_put(segment, offset, frame, lsn),
            FrameKind::Create | FrameKind::Alter | FrameKind::Dictionary => {
                self.stores.contains_key(&frame.database)
            }
            kind => is_end(kind) && !self.log.is_in_memory() && lsn > self.oldest,
        };
        if keep {
            self.make_room(
                frame.key.len() + frame.value.len() + FRAME_BYTES_MAX,
                segment.base_version,
            )?;
            let Some(open) = &mut self.open else {
                unreachable!("there is room")
            };
            self.copied += open.write(&survivor(frame, lsn), lsn).bytes as u64;
        } else if is_end(frame.kind) {
            self.log.ends.fetch_sub(
                (frame.bytes as u64).min(self.log.ends.load(Ordering::Relaxed)),
                Ordering::Relaxed,
            );
        }
        Ok(())
    }

    /// Copies a record, packed as its database packs now.
    fn take_put(
        &mut self,
        segment: &Segment,
        offset: usize,
        frame: &Frame<'_>,
        lsn: Lsn,
    ) -> Result<()> {
        let Some(store) = self.stores.get(&frame.database) else {
            return Ok(());
        };
        let from = address(segment.slot, offset);
        let mut draft = survivor(frame, lsn);
        let packed;
        // Before any lock is taken; what is not live need not be packed.
        if store.packing.wants_repacking(frame) && store.is_live(frame, from) {
            packed = store.packing.repack(frame)?;
            draft.kind = packed.kind();
            draft.value = packed.value();
        }
        let needed = draft.key.len() + draft.value.len() + FRAME_BYTES_MAX;
        self.make_room(needed, segment.base_version)?;
        let Some(open) = &mut self.open else {
            unreachable!("there is room")
        };
        let mut copied = 0;
        store.relocate(frame, from, &mut || {
            let placed = open.write(&draft, lsn);
            copied = placed.bytes as u64;
            Ok(placed)
        })?;
        self.copied += copied;
        Ok(())
    }

    fn make_room(&mut self, needed: usize, base_version: Version) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| open.room() < needed) {
            self.seal();
            let expected = self.expected.saturating_sub(self.copied);
            self.open = Some(self.log.begin_survivors(expected, needed, base_version)?);
        }
        Ok(())
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.sealed.push(open.seal());
        }
    }
}

/// Whether a frame ends records.
fn is_end(kind: FrameKind) -> bool {
    matches!(
        kind,
        FrameKind::Remove | FrameKind::Expire | FrameKind::Clear | FrameKind::Drop
    )
}

/// A frame as it is copied: alone, with its own lsn and version.
fn survivor<'a>(frame: &Frame<'a>, lsn: Lsn) -> Draft<'a> {
    Draft {
        kind: frame.kind,
        more: false,
        database: frame.database,
        version: frame.version,
        lsn: Some(lsn),
        expiry: frame.expiry,
        flags: frame.flags,
        key: frame.key,
        value: Value::whole(frame.value),
    }
}
