//! Checkpoints: the hash indices as of a moment, written to segments of their own, so that opening
//! reads them and the changes since.
//!
//! A checkpoint is fuzzy: writes go on while it is made, and what it says of them is said again by
//! the log. It is begun by sealing the tail, so that "before" is a set of segments; it is ended when
//! every change that may be in it is durable.

use crate::DatabaseOptions;
use crate::index::hash::PARTITIONS;
use crate::io::File;
use crate::log::format::{
    self, Class, Draft, FRAME_BYTES_MAX, FrameKind, HEADER_BYTES, Header, align, decode_dictionary,
    encode_dictionary, u32_at, u64_at,
};
use crate::log::read::{self, Listing};
use crate::log::{Address, Log, Segment, disk_error};
use crate::store::{Index, Store};
use hakone_command::{Comparator, Compression, Error, Kind, Lsn, Millis, Result, Value, Version};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of frames that make a part: half of the largest segment, so that one more frame fits.
const PART_BYTES: usize = 32 << 20;

/// Deadlines of a frame: 1 MiB of them.
const DEADLINES_LEN: usize = 1 << 16;

/// A database as a checkpoint and the log know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) options: DatabaseOptions,
    /// The database that it is a hidden tree of.
    pub(crate) parent: Option<u32>,
    /// The version of its last clear.
    pub(crate) cleared: Version,
    pub(crate) name: String,
}

/// What a checkpoint begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    /// The last changes segment that is before it.
    pub(crate) joint: u64,
    /// The last lsn that is before it.
    pub(crate) lsn: Lsn,
    pub(crate) version: Version,
    pub(crate) hash_seed: u64,
    /// The id that the next database gets.
    pub(crate) next_id: u32,
    pub(crate) catalogue: Vec<Entry>,
}

/// A segment that a checkpoint names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) slot: u32,
    pub(crate) number: u64,
    /// Sealed before the checkpoint: its changes are in it.
    pub(crate) is_before: bool,
    pub(crate) used: u64,
    pub(crate) dead: u64,
}

/// One partition's slots.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) partition: usize,
    pub(crate) homes: usize,
    pub(crate) bytes: u64,
    pub(crate) table: Vec<u64>,
}

/// A checkpoint that has been read.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) begin: Begin,
    pub(crate) segments: Vec<Named>,
    pub(crate) partitions: HashMap<u32, Vec<Slots>>,
    pub(crate) deadlines: HashMap<u32, Vec<(Millis, Address)>>,
    /// Of each: the database's id, its own, its bytes.
    pub(crate) dictionaries: Vec<(u32, u32, Vec<u8>)>,
    /// The numbers of its own segments.
    pub(crate) parts: Vec<u64>,
}

impl Begin {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.joint, self.lsn, self.version, self.hash_seed] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.next_id.to_le_bytes());
        out.extend_from_slice(&(self.catalogue.len() as u32).to_le_bytes());
        for entry in &self.catalogue {
            out.extend_from_slice(&entry.id.to_le_bytes());
            out.extend_from_slice(&encode_options(&entry.options, entry.parent));
            out.extend_from_slice(&entry.cleared.to_le_bytes());
            out.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
            out.extend_from_slice(entry.name.as_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Begin> {
        let count = u32_at(bytes, 36)?;
        let mut catalogue = Vec::new();
        let mut at = 40;
        for _ in 0..count {
            let id = u32_at(bytes, at)?;
            at += 4;
            let (options, parent) = decode_options(bytes.get(at..at + OPTIONS_BYTES)?)?;
            at += OPTIONS_BYTES;
            let cleared = u64_at(bytes, at)?;
            let len = usize::from(*bytes.get(at + 8)?) | usize::from(*bytes.get(at + 9)?) << 8;
            at += 10;
            let name = str::from_utf8(bytes.get(at..at + len)?).ok()?.to_owned();
            at += len;
            catalogue.push(Entry {
                id,
                options,
                parent,
                cleared,
                name,
            });
        }
        Some(Begin {
            joint: u64_at(bytes, 0)?,
            lsn: u64_at(bytes, 8)?,
            version: u64_at(bytes, 16)?,
            hash_seed: u64_at(bytes, 24)?,
            next_id: u32_at(bytes, 32)?,
            catalogue,
        })
    }
}

/// Bytes of a database's options in the catalogue.
pub(crate) const OPTIONS_BYTES: usize = 12;

/// Says that an entry of the catalogue is no hidden tree.
const NO_PARENT: u32 = u32::MAX;

/// A database's options in the catalogue: kind, comparator, duplicates, compression, width, and the
/// database that it is a hidden tree of.
pub(crate) fn encode_options(
    options: &DatabaseOptions,
    parent: Option<u32>,
) -> [u8; OPTIONS_BYTES] {
    let mut out = [0; OPTIONS_BYTES];
    out[0] = 1 + place(Kind::ALL, options.kind);
    out[1] = place(Comparator::ALL, options.comparator);
    out[2] = u8::from(options.duplicates);
    out[3] = place(Compression::ALL, options.compression);
    out[4..8].copy_from_slice(&options.width.to_le_bytes());
    out[8..].copy_from_slice(&parent.unwrap_or(NO_PARENT).to_le_bytes());
    out
}

/// The options and the parent in an entry of the catalogue.
pub(crate) fn decode_options(bytes: &[u8]) -> Option<(DatabaseOptions, Option<u32>)> {
    let bytes: &[u8; OPTIONS_BYTES] = bytes.try_into().ok()?;
    let options = DatabaseOptions {
        kind: at_place(Kind::ALL, bytes[0].checked_sub(1)?)?,
        memory: false,
        comparator: at_place(Comparator::ALL, bytes[1])?,
        duplicates: bytes[2] & 1 != 0,
        compression: at_place(Compression::ALL, bytes[3])?,
        width: u32_at(bytes, 4)?,
    };
    let parent = u32_at(bytes, 8)?;
    Some((options, (parent != NO_PARENT).then_some(parent)))
}

/// The number of a word's meaning: their order is part of the format.
fn place<T: Copy + PartialEq>(all: &[(&str, T)], it: T) -> u8 {
    let place = all.iter().position(|(_, other)| *other == it);
    place.map_or(0, |place| place as u8)
}

fn at_place<T: Copy>(all: &[(&str, T)], place: u8) -> Option<T> {
    Some(all.get(usize::from(place))?.1)
}

/// Bytes of a [`Named`].
const NAMED_BYTES: usize = 29;

impl Named {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.push(u8::from(self.is_before));
        out.extend_from_slice(&self.used.to_le_bytes());
        out.extend_from_slice(&self.dead.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Named> {
        Some(Named {
            slot: u32_at(bytes, 0)?,
            number: u64_at(bytes, 4)?,
            is_before: *bytes.get(12)? == 1,
            used: u64_at(bytes, 13)?,
            dead: u64_at(bytes, 21)?,
        })
    }
}

/// Writes frames into checkpoint segments.
struct Writer<'a> {
    log: &'a Log,
    lsn: Lsn,
    /// Frames of the part that is being filled: the checksums want its number, so they are written
    /// when it is full.
    drafts: Vec<(FrameKind, u32, Vec<u8>)>,
    bytes: usize,
    count: u64,
    parts: Vec<u64>,
    files: Vec<Arc<dyn File>>,
    previous_bytes: u64,
}

impl Writer<'_> {
    fn push(&mut self, kind: FrameKind, database: u32, value: Vec<u8>) -> Result<()> {
        let bytes = align(value.len() + FRAME_BYTES_MAX);
        if self.bytes + bytes > PART_BYTES {
            self.flush()?;
        }
        self.bytes += bytes;
        self.count += 1;
        self.drafts.push((kind, database, value));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let capacity = (HEADER_BYTES + self.bytes).next_multiple_of(4096);
        let (number, file) = self.log.make_checkpoint_part(capacity as u64)?;
        let previous = self.parts.last().copied().unwrap_or(0);
        self.parts.push(number);
        let header = Header {
            number,
            class: Class::Checkpoint,
            base_lsn: self.lsn,
            base_version: 0,
            previous,
            previous_bytes: self.previous_bytes,
            durable: self.log.durable(),
        };
        let mut bytes = vec![0; capacity];
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        let mut at = HEADER_BYTES;
        for (kind, database, mut value) in self.drafts.drain(..) {
            if kind == FrameKind::CheckpointEnd {
                // It names the first part, which is known only now if it is this one.
                value[..8].copy_from_slice(&self.parts[0].to_le_bytes());
            }
            let draft = draft(kind, database, &value);
            at += draft.encode(&mut bytes[at..], format::seed(number), 0, 0);
        }
        self.previous_bytes = at as u64;
        self.bytes = 0;
        file.write_at(0, &bytes)
            .map_err(|e| disk_error("cannot write a checkpoint", &e))?;
        self.files.push(file);
        Ok(())
    }
}

fn draft(kind: FrameKind, database: u32, value: &[u8]) -> Draft<'_> {
    Draft {
        kind,
        more: false,
        database,
        version: 0,
        lsn: None,
        expiry: 0,
        flags: 0,
        key: &[],
        value: Value::whole(value),
    }
}

/// What a checkpoint is made of beside the log.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) stores: Vec<Arc<Store>>,
    pub(crate) hash_seed: u64,
    pub(crate) next_id: u32,
    pub(crate) catalogue: Vec<Entry>,
}

/// Writes a checkpoint. When this returns it is durable. Returns its parts and the last lsn before
/// it. `source` is called after the tail was sealed.
///
/// # Errors
/// Those of the disk; then the older checkpoint still counts.
pub(crate) fn write(log: &Log, source: impl FnOnce() -> Source) -> Result<(Vec<u64>, Lsn)> {
    let sealed = log.seal_tail();
    let source = source();
    let begin = Begin {
        joint: sealed.last,
        lsn: sealed.lsn,
        version: sealed.version,
        hash_seed: source.hash_seed,
        next_id: source.next_id,
        catalogue: source.catalogue,
    };
    let mut writer = Writer {
        log,
        lsn: sealed.lsn,
        drafts: Vec::new(),
        bytes: 0,
        count: 0,
        parts: Vec::new(),
        files: Vec::new(),
        previous_bytes: 0,
    };
    let written = fill(&mut writer, log, &begin, &sealed.segments, &source.stores);
    if let Err(error) = written {
        // What is left of them is removed at the next opening if this fails.
        let _ = log.remove_files(&writer.parts);
        return Err(error);
    }
    Ok((writer.parts, sealed.lsn))
}

fn fill(
    writer: &mut Writer<'_>,
    log: &Log,
    begin: &Begin,
    before: &[Arc<Segment>],
    stores: &[Arc<Store>],
) -> Result<()> {
    writer.push(FrameKind::CheckpointBegin, 0, begin.encode())?;
    for store in stores {
        for dictionary in &*store.packing.dictionaries() {
            let value = encode_dictionary(dictionary.id, &dictionary.bytes);
            writer.push(FrameKind::Dictionary, store.id, value)?;
        }
        let Index::Hash(hash) = &store.index else {
            continue;
        };
        for i in 0..PARTITIONS {
            let mut value = Vec::new();
            {
                let partition = hash.index.read(i);
                let (homes, bytes, slots) = partition.save();
                value.reserve_exact(16 + slots.len() * 8);
                value.extend_from_slice(&(i as u32).to_le_bytes());
                value.extend_from_slice(&(homes as u32).to_le_bytes());
                value.extend_from_slice(&bytes.to_le_bytes());
                for slot in slots {
                    value.extend_from_slice(&slot.to_le_bytes());
                }
            }
            if value.len() > 16 {
                writer.push(FrameKind::Slots, store.id, value)?;
            }
        }
        let mut from = Some(0);
        while let Some(at) = from {
            let (page, next) = store.deadlines.page(at);
            for deadlines in page.chunks(DEADLINES_LEN) {
                let mut value = Vec::with_capacity(deadlines.len() * 16);
                for (expiry, address) in deadlines {
                    value.extend_from_slice(&expiry.to_le_bytes());
                    value.extend_from_slice(&address.to_le_bytes());
                }
                writer.push(FrameKind::Deadlines, store.id, value)?;
            }
            from = next;
        }
    }
    // Everything that the slots lead to is durable before the checkpoint counts. It names no
    // segment that was begun after that, which may have lost its header in a power cut.
    let segments = log.table.all();
    log.sync()?;
    let mut end = vec![0; 8];
    end.extend_from_slice(&(writer.count + 1).to_le_bytes());
    for segment in segments {
        if segment.counters.retired.load(Ordering::Relaxed) {
            continue;
        }
        let named = Named {
            slot: segment.slot,
            number: segment.number,
            is_before: before.iter().any(|before| before.number == segment.number),
            used: segment.used(),
            dead: segment.dead(),
        };
        named.encode(&mut end);
    }
    writer.push(FrameKind::CheckpointEnd, 0, end)?;
    writer.flush()?;
    for file in &writer.files {
        file.sync()
            .map_err(|e| disk_error("cannot sync a checkpoint", &e))?;
    }
    log.sync_names()
}

/// The newest checkpoint that is whole, if there is one.
pub(crate) fn newest(listing: &Listing) -> Result<Option<Checkpoint>> {
    let parts = || {
        listing
            .segments
            .values()
            .filter(|f| f.header.class == Class::Checkpoint)
    };
    let mut last: Vec<_> = parts()
        .filter(|found| !parts().any(|other| other.header.previous == found.header.number))
        .collect();
    last.sort_unstable_by_key(|found| (found.header.base_lsn, found.header.number));
    while let Some(found) = last.pop() {
        let mut numbers = vec![found.header.number];
        let mut previous = found.header.previous;
        while previous != 0
            && let Some(found) = listing.segments.get(&previous)
            && found.header.class == Class::Checkpoint
            && !numbers.contains(&previous)
        {
            numbers.push(previous);
            previous = found.header.previous;
        }
        if previous == 0 {
            numbers.reverse();
            if let Some(checkpoint) = read(listing, numbers)? {
                return Ok(Some(checkpoint));
            }
        }
    }
    Ok(None)
}

/// The checkpoint in these segments, if it is whole.
fn read(listing: &Listing, numbers: Vec<u64>) -> Result<Option<Checkpoint>> {
    let mut begin = None;
    let mut end = None;
    let mut count = 0_u64;
    let mut is_whole = true;
    let mut partitions: HashMap<u32, Vec<Slots>> = HashMap::new();
    let mut deadlines: HashMap<u32, Vec<(Millis, Address)>> = HashMap::new();
    let mut dictionaries = Vec::new();
    for number in &numbers {
        let Some(found) = listing.segments.get(number) else {
            return Ok(None);
        };
        let mut bytes = vec![0; found.file.bytes() as usize];
        found
            .file
            .read_at(0, &mut bytes)
            .map_err(|e| disk_error(&format!("cannot read segment {number:016x}"), &e))?;
        read::frames(&bytes, &found.header, |_, frame, _| {
            count += 1;
            let value = frame.value;
            match frame.kind {
                FrameKind::CheckpointBegin => begin = Begin::decode(value),
                FrameKind::Slots => match decode_slots(value) {
                    Some(partition) => {
                        partitions
                            .entry(frame.database)
                            .or_default()
                            .push(partition);
                    }
                    None => is_whole = false,
                },
                FrameKind::Deadlines => {
                    let list = deadlines.entry(frame.database).or_default();
                    let pairs = value.chunks_exact(16);
                    list.extend(pairs.filter_map(|p| Some((u64_at(p, 0)?, u64_at(p, 8)?))));
                }
                FrameKind::Dictionary => match decode_dictionary(value) {
                    Some((id, bytes)) => {
                        dictionaries.push((frame.database, id, bytes.to_vec()));
                    }
                    None => is_whole = false,
                },
                FrameKind::CheckpointEnd => end = Some((value.to_vec(), count)),
                _ => is_whole = false,
            }
            Ok(())
        })?;
    }
    let (Some(begin), Some((end, ended_at)), true) = (begin, end, is_whole) else {
        return Ok(None);
    };
    let counts = u64_at(&end, 0) == numbers.first().copied()
        && u64_at(&end, 8) == Some(count)
        && ended_at == count;
    let named = end.get(16..).unwrap_or_default();
    let segments: Option<Vec<_>> = named.chunks(NAMED_BYTES).map(Named::decode).collect();
    Ok(match segments {
        Some(segments) if counts => Some(Checkpoint {
            begin,
            segments,
            partitions,
            deadlines,
            dictionaries,
            parts: numbers,
        }),
        _ => None,
    })
}

fn decode_slots(value: &[u8]) -> Option<Slots> {
    let partition = u32_at(value, 0)? as usize;
    let homes = u32_at(value, 4)? as usize;
    let bytes = u64_at(value, 8)?;
    let table = value
        .get(16..)?
        .chunks_exact(8)
        .map(|slot| u64_at(slot, 0).unwrap_or(0))
        .collect();
    (partition < PARTITIONS).then_some(Slots {
        partition,
        homes,
        bytes,
        table,
    })
}

impl Checkpoint {
    /// Every segment that it names must be there.
    pub(crate) fn check(&self, listing: &Listing) -> Result<()> {
        for named in &self.segments {
            if !listing.segments.contains_key(&named.number) {
                return Err(Error::Corrupt(format!(
                    "segment {:016x} is missing or its header is damaged; restore the file from a \
                     backup",
                    named.number
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_a_checkpoint_comes_back_and_no_cut_of_it_does() {
        let entry = |id, kind| Entry {
            id,
            options: DatabaseOptions {
                compression: Compression::Zstd,
                ..DatabaseOptions::new(kind)
            },
            parent: (id == 2).then_some(1),
            cleared: 7,
            name: format!("name-{id}"),
        };
        let begin = Begin {
            joint: 1,
            lsn: 2,
            version: 3,
            hash_seed: 4,
            next_id: 5,
            catalogue: vec![entry(1, Kind::Hash), entry(2, Kind::Tree)],
        };
        let bytes = begin.encode();
        assert_eq!(Begin::decode(&bytes).as_ref(), Some(&begin));
        for cut in 0..bytes.len() {
            assert_eq!(Begin::decode(&bytes[..cut]), None);
        }
    }

    #[test]
    fn a_named_segment_comes_back() {
        let named = Named {
            slot: 1,
            number: 2,
            is_before: true,
            used: 3,
            dead: 4,
        };
        let mut bytes = Vec::new();
        named.encode(&mut bytes);
        assert_eq!(bytes.len(), NAMED_BYTES);
        assert_eq!(Named::decode(&bytes), Some(named));
        assert_eq!(Named::decode(&bytes[..NAMED_BYTES - 1]), None);
    }
}
