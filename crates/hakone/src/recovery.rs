//! Opening a log that is there: the newest checkpoint, the changes since, the torn tail cut off,
//! and damage to what was durable told.

use crate::checkpoint::{self, Checkpoint, Entry, Named};
use crate::io::Disk;
use crate::log::format::{Class, Frame, FrameKind, HEADER_BYTES, decode_dictionary};
use crate::log::read::{self, Found, Listing};
use crate::log::{Counters, Log, LogOptions, Segment, address, disk_error};
use crate::store::{Graves, Index, Store};
use hakone_command::{Error, Lsn, Result, Version};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A log that has been read, and its databases.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) log: Arc<Log>,
    pub(crate) databases: BTreeMap<u32, (String, Arc<Store>)>,
    pub(crate) next_id: u32,
    pub(crate) hash_seed: u64,
    /// The segments of the checkpoint that counts.
    pub(crate) checkpoint_parts: Vec<u64>,
    /// The last lsn that is in it.
    pub(crate) checkpoint_lsn: Lsn,
}

/// Reads the log in `disk`, or begins one.
pub(crate) fn recover(
    disk: Arc<dyn Disk>,
    options: LogOptions,
    lsns: Arc<AtomicU64>,
    new_seed: u64,
) -> Result<Recovered> {
    let listing = Listing::read(&*disk)?;
    let checkpoint = checkpoint::newest(&listing)?;
    // A checkpoint that is damaged may have let segments go: all that is left is read then.
    let is_partial = checkpoint.is_none()
        && listing
            .segments
            .values()
            .any(|found| found.header.class == Class::Checkpoint);
    let mut reading = Reading {
        log: Arc::new(Log::new(Some(disk), options, lsns)),
        databases: BTreeMap::new(),
        graves: Graves::default(),
        seed: new_seed,
        next_id: 1,
        begin_lsn: 0,
        last: 0,
        version: 0,
        durable: listing.durable(),
    };
    let mut kept = HashSet::new();
    let mut joint = 0;
    let mut checkpoint_parts = Vec::new();
    let mut slots = BTreeMap::new();
    let mut survivors = Vec::new();
    let mut known = Vec::new();
    if let Some(checkpoint) = checkpoint {
        checkpoint.check(&listing)?;
        joint = checkpoint.begin.joint;
        kept.extend(&checkpoint.parts);
        for named in &checkpoint.segments {
            slots.insert(named.number, *named);
            let found = &listing.segments[&named.number];
            match found.header.class {
                Class::Survivors => survivors.push((found, Some(named.used))),
                Class::Changes if named.is_before => known.push((found, Some(named.used))),
                _ => {}
            }
        }
        for entries in [&survivors, &known] {
            for (found, used) in entries {
                kept.insert(found.header.number);
                reading.adopt(found, &slots, used.unwrap_or(0));
            }
        }
        checkpoint_parts.clone_from(&checkpoint.parts);
        reading.take(checkpoint)?;
    } else if is_partial {
        let all = listing.segments.values();
        survivors.extend(
            all.filter(|f| f.header.class == Class::Survivors)
                .map(|f| (f, None)),
        );
    }
    known.sort_unstable_by_key(|(found, _)| found.header.base_lsn);
    let has_checkpoint = !checkpoint_parts.is_empty();
    let chain: Vec<_> = listing
        .chain(joint, is_partial)
        .into_iter()
        .map(|(number, bytes)| (&listing.segments[&number], bytes))
        .collect();

    if !has_checkpoint {
        for (found, _) in &survivors {
            kept.insert(found.header.number);
            reading.adopt_whole(found, &slots)?;
        }
    }
    if is_partial {
        for (found, _) in survivors.iter().chain(&chain) {
            reading.read_catalogue(found)?;
        }
    }
    for (found, used) in survivors.iter().chain(&known) {
        let is_survivor = found.header.class == Class::Survivors;
        let needs_frames = !has_checkpoint || reading.has_trees();
        if !needs_frames {
            continue;
        }
        let end = reading.replay(found, is_survivor, has_checkpoint)?;
        if let Some(used) = used
            && end < *used
        {
            return Err(damaged(
                found,
                end,
                "it was whole when the last checkpoint was made",
            ));
        }
    }
    reading.last = reading.last.max(reading.begin_lsn);

    // The changes since the checkpoint, up to the first that is not whole.
    let mut whole = Vec::new();
    let mut torn = None;
    for (found, bytes) in &chain {
        if torn.is_some() && !is_partial {
            continue;
        }
        kept.insert(found.header.number);
        let end = reading.adopt_whole(found, &slots)?;
        whole.push(*found);
        let content = Reading::content(found)?;
        let behind = read::durable_behind(&content, found.header.number, end as usize);
        reading.durable = reading.durable.max(behind);
        // Behind an end that the next segment names may lie what an earlier crash has left.
        if bytes.map_or(behind > 0, |bytes| bytes > end) {
            torn = Some((*found, end));
        }
    }
    // A checkpoint is written while changes go on: what its slots lead to may come late in them, so
    // all of them are in place before the first is replayed.
    let mut previous = (joint, 0);
    for found in whole {
        let end = reading.replay(found, false, false)?;
        previous = (found.header.number, end);
    }
    // Segments that are cut off, or whose header or that of one before is damaged, may tell more.
    let mut cut_off = None;
    let others = listing
        .segments
        .iter()
        .map(|(number, found)| (number, &found.file));
    for (number, file) in others.chain(&listing.headless) {
        if !kept.contains(number) {
            let stamps = read::durable_behind(&read::whole(*number, &**file)?, *number, 0);
            if stamps > reading.last {
                cut_off.get_or_insert(*number);
            }
            reading.durable = reading.durable.max(stamps);
        }
    }
    if reading.last < reading.durable && !is_partial {
        let (found, end) = match (torn, chain.last()) {
            (Some(torn), _) => torn,
            (None, Some((found, _))) => (*found, previous.1),
            (None, None) => {
                let place = cut_off.map_or_else(
                    || "a segment".to_owned(),
                    |number| {
                        format!("the header of segment {number:016x}, or a segment before it,")
                    },
                );
                return Err(Error::Corrupt(format!(
                    "changes from lsn {} to {} were durable, but {place} is missing or damaged; \
                     restore the file from a backup",
                    reading.last + 1,
                    reading.durable
                )));
            }
        };
        let what = format!(
            "changes from lsn {} to {} were durable",
            reading.last + 1,
            reading.durable
        );
        return Err(damaged(found, end, &what));
    }
    // What was read need not be on the disk yet: only its writer died, perhaps. After a sync that
    // failed the kernel even takes for written what isn't, so it is written again.
    for (found, _) in &chain {
        if !kept.contains(&found.header.number) {
            continue;
        }
        // Of the next segment's changes none may seem older than this one.
        reading.last = reading.last.max(found.header.base_lsn.saturating_sub(1));
        let content = Reading::content(found)?;
        let end = read::frames(&content, &found.header, |_, _, _| Ok(()))?;
        // A stamp behind the last durable change counts for the segment's length, too.
        if end.last == 0 || end.last >= reading.durable {
            let whole = content.get(..end.offset).unwrap_or_default();
            found
                .file
                .write_at(0, whole)
                .map_err(|e| disk_error("cannot write again what was read", &e))?;
        }
        found
            .file
            .sync()
            .map_err(|e| disk_error("cannot sync what was read", &e))?;
    }
    let leftover: Vec<_> = listing
        .segments
        .keys()
        .chain(listing.headless.keys())
        .filter(|number| !kept.contains(number))
        .copied()
        .collect();
    // A checkpoint whose sync failed reads as if it were on the disk: before what it stands for goes,
    // it is written again.
    if leftover
        .iter()
        .any(|number| listing.segments.contains_key(number))
    {
        for number in &checkpoint_parts {
            let found = &listing.segments[number];
            found
                .file
                .write_at(0, &Reading::content(found)?)
                .and_then(|()| found.file.sync())
                .map_err(|e| disk_error("cannot write the checkpoint again", &e))?;
        }
        reading.log.sync_names()?;
    }
    if !leftover.is_empty() {
        reading.log.remove_files(&leftover)?;
    }
    reading.log.resume(
        listing.next_number(),
        previous,
        reading.last,
        reading.version,
    );
    Ok(Recovered {
        log: reading.log,
        databases: reading.databases,
        next_id: reading.next_id,
        hash_seed: reading.seed,
        checkpoint_parts,
        checkpoint_lsn: reading.begin_lsn,
    })
}

fn damaged(found: &Found, offset: u64, what: &str) -> Error {
    Error::Corrupt(format!(
        "segment {:016x} is damaged at offset {offset}: {what}; restore the file from a backup",
        found.header.number
    ))
}

/// What has been read so far.
struct Reading {
    log: Arc<Log>,
    databases: BTreeMap<u32, (String, Arc<Store>)>,
    graves: Graves,
    seed: u64,
    next_id: u32,
    /// The last lsn in the checkpoint: databases made or dropped up to it are in its catalogue.
    begin_lsn: Lsn,
    last: Lsn,
    version: Version,
    durable: Lsn,
}

impl Reading {
    fn has_trees(&self) -> bool {
        self.databases
            .values()
            .any(|(_, store)| matches!(store.index, Index::Tree(_)))
    }

    /// Takes the databases of a checkpoint.
    fn take(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let begin = checkpoint.begin;
        self.seed = begin.hash_seed;
        self.next_id = begin.next_id;
        self.begin_lsn = begin.lsn;
        self.version = begin.version;
        for entry in begin.catalogue {
            self.add(entry);
        }
        for (id, partitions) in checkpoint.partitions {
            if let Some((_, store)) = self.databases.get(&id)
                && let Index::Hash(hash) = &store.index
            {
                for kept in partitions {
                    let mut partition = hash.index.write(kept.partition);
                    if !partition.load(kept.homes, kept.bytes, &kept.table) {
                        return Err(Error::Corrupt(format!(
                            "the checkpoint in segment {:016x} has a table of slots that is none",
                            checkpoint.parts[0]
                        )));
                    }
                }
            }
        }
        for (id, dictionary, bytes) in checkpoint.dictionaries {
            if let Some((_, store)) = self.databases.get(&id) {
                store.packing.add_dictionary(dictionary, &bytes);
            }
        }
        for (id, deadlines) in checkpoint.deadlines {
            if let Some((_, store)) = self.databases.get(&id) {
                for (expiry, address) in deadlines {
                    store.deadlines.add(expiry, address);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: Entry) {
        let log = Arc::clone(&self.log);
        let mut store = Store::new(entry.id, entry.options, log, self.seed);
        if let Some(parent) = entry.parent {
            store = store.hidden_in(parent, &entry.name);
        }
        store.cleared.store(entry.cleared, Ordering::Relaxed);
        self.next_id = self.next_id.max(entry.id.saturating_add(1));
        self.databases
            .entry(entry.id)
            .or_insert_with(|| (entry.name, Arc::new(store)));
    }

    /// Gives a segment its place; its bytes stay on the disk for now.
    fn adopt(&self, found: &Found, slots: &BTreeMap<u64, Named>, used: u64) {
        let named = slots.get(&found.header.number);
        let slot = named
            .map(|named| named.slot)
            .or_else(|| self.free_slot(slots));
        let Some(slot) = slot else {
            unreachable!("there are fewer files than slots")
        };
        let counters = Counters::default();
        counters
            .dead
            .store(named.map_or(0, |named| named.dead), Ordering::Relaxed);
        // No segment is without its header.
        counters.sealed.set(used.max(HEADER_BYTES as u64));
        counters.durable.store(true, Ordering::Relaxed);
        self.log.adopt(Segment {
            number: found.header.number,
            slot,
            class: found.header.class,
            base_lsn: found.header.base_lsn,
            base_version: found.header.base_version,
            capacity: found.file.bytes(),
            file: Some(Arc::clone(&found.file)),
            is_mapped: false,
            region: None,
            counters: Arc::new(counters),
        });
    }

    /// A slot that neither a segment has nor the checkpoint gives to one.
    fn free_slot(&self, slots: &BTreeMap<u64, Named>) -> Option<u32> {
        let given: HashSet<_> = slots.values().map(|named| named.slot).collect();
        let taken: HashSet<_> = self
            .log
            .table
            .all()
            .iter()
            .map(|segment| segment.slot)
            .collect();
        (0..crate::log::SLOTS).find(|slot| !given.contains(slot) && !taken.contains(slot))
    }

    /// Gives a segment its place up to its last whole batch, in memory if there is room: its
    /// records are about to be read. Returns where that batch ends.
    fn adopt_whole(&self, found: &Found, slots: &BTreeMap<u64, Named>) -> Result<u64> {
        let content = Reading::content(found)?;
        let end = read::frames(&content, &found.header, |_, _, _| Ok(()))?;
        self.adopt(found, slots, end.offset as u64);
        let number = found.header.number;
        let all = self.log.table.all();
        if let Some(segment) = all.iter().find(|segment| segment.number == number) {
            let region = self
                .log
                .resident_copy(content.get(..end.offset).unwrap_or_default())?;
            self.log.replace(segment, region);
        }
        Ok(end.offset as u64)
    }

    fn content(found: &Found) -> Result<Vec<u8>> {
        read::whole(found.header.number, &*found.file)
    }

    /// Takes in which databases there are, before their records come in no order.
    fn read_catalogue(&mut self, found: &Found) -> Result<()> {
        let content = Reading::content(found)?;
        let mut frames = Vec::new();
        read::frames(&content, &found.header, |offset, frame, _| {
            if frame.kind == FrameKind::Clear || frame.kind.is_of_catalogue() {
                frames.push(offset);
            }
            Ok(())
        })?;
        for offset in frames {
            let rest = content.get(offset..).unwrap_or_default();
            if let Some(frame) =
                crate::log::format::decode_unverified(rest, found.header.base_version)
            {
                match frame.kind {
                    FrameKind::Clear => {
                        if let Some((_, store)) = self.databases.get(&frame.database) {
                            store.cleared.fetch_max(frame.version, Ordering::Relaxed);
                        }
                    }
                    _ => self.replay_catalogue(&frame),
                }
            }
        }
        Ok(())
    }

    fn replay_catalogue(&mut self, frame: &Frame<'_>) {
        match frame.kind {
            FrameKind::Create => {
                let options = checkpoint::decode_options(frame.value);
                if let (Some((options, parent)), Ok(name)) = (options, str::from_utf8(frame.key)) {
                    let name = name.to_owned();
                    self.add(Entry {
                        id: frame.database,
                        options,
                        parent,
                        cleared: 0,
                        name,
                    });
                }
            }
            FrameKind::Drop => {
                let is_its = |store: &Store| {
                    let hidden = store.hidden.as_ref();
                    hidden.is_some_and(|hidden| hidden.parent() == frame.database)
                };
                self.databases
                    .retain(|id, (_, store)| *id != frame.database && !is_its(store));
                self.next_id = self.next_id.max(frame.database.saturating_add(1));
            }
            FrameKind::Alter => {
                let options = checkpoint::decode_options(frame.value);
                if let (Some((options, _)), Some((_, store))) =
                    (options, self.databases.get(&frame.database))
                {
                    store.packing.set(options.compression, frame.version);
                }
            }
            FrameKind::Dictionary => {
                if let Some((_, store)) = self.databases.get(&frame.database)
                    && let Some((id, bytes)) = decode_dictionary(frame.value)
                {
                    store.packing.add_dictionary(id, bytes);
                }
            }
            _ => {}
        }
    }

    /// Takes a segment's changes in; `only_trees`: those that no checkpoint keeps. Returns where
    /// the last whole batch ends.
    fn replay(&mut self, found: &Found, is_survivor: bool, only_trees: bool) -> Result<u64> {
        let content = Reading::content(found)?;
        let all = self.log.table.all();
        let number = found.header.number;
        let Some(segment) = all.into_iter().find(|segment| segment.number == number) else {
            unreachable!("a segment has its place before it is replayed")
        };
        let begin_lsn = self.begin_lsn;
        let end = read::frames(&content, &found.header, |offset, frame, lsn| {
            self.version = self.version.max(frame.version);
            if !frame.kind.is_change() {
                return Ok(());
            }
            if frame.kind.is_of_catalogue() {
                if lsn > begin_lsn {
                    self.replay_catalogue(frame);
                }
                return Ok(());
            }
            let Some((_, store)) = self.databases.get(&frame.database) else {
                return Ok(());
            };
            let store = Arc::clone(store);
            if only_trees && matches!(store.index, Index::Hash(_)) {
                return Ok(());
            }
            let at = address(segment.slot, offset);
            let counts = store.replay(frame, at, lsn, is_survivor, &mut self.graves)?;
            if !counts && !only_trees {
                segment
                    .counters
                    .dead
                    .fetch_add(frame.bytes as u64, Ordering::Relaxed);
            }
            Ok(())
        })?;
        if !is_survivor {
            self.last = self.last.max(end.last);
        }
        self.durable = self.durable.max(end.durable);
        Ok(end.offset as u64)
    }
}
