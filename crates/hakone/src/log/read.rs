//! Reading a log again: which segments there are, how they follow one another, and where the whole
//! frames of each end.

use super::format::{self, Class, Frame, FrameKind, HEADER_BYTES, Header, Stamp};
use super::{disk_error, file_name};
use crate::io::{Disk, File};
use hakone_command::{Lsn, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A segment file with a whole header.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) header: Header,
    pub(crate) file: Arc<dyn File>,
}

/// The segment files of a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) segments: BTreeMap<u64, Found>,
    /// Files whose header is not whole: made ahead and never used, or lost with their first sector.
    pub(crate) headless: BTreeMap<u64, Arc<dyn File>>,
}

impl Listing {
    /// Reads the headers of all segment files.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Listing> {
        let mut listing = Listing::default();
        let names = disk
            .list()
            .map_err(|e| disk_error("cannot list the log's directory", &e))?;
        for name in names {
            let digits = name.strip_suffix(".seg").unwrap_or_default();
            let Ok(number) = u64::from_str_radix(digits, 16) else {
                continue;
            };
            if name != file_name(number) {
                continue;
            }
            let file = disk
                .open(&name)
                .map_err(|e| disk_error(&format!("cannot open {name}"), &e))?;
            let mut head = vec![0; HEADER_BYTES.min(file.bytes() as usize)];
            file.read_at(0, &mut head)
                .map_err(|e| disk_error(&format!("cannot read {name}"), &e))?;
            match Header::decode(&head, number) {
                Some(header) => {
                    listing.segments.insert(number, Found { header, file });
                }
                None => {
                    listing.headless.insert(number, file);
                }
            }
        }
        Ok(listing)
    }

    /// The number after the highest that is taken.
    pub(crate) fn next_number(&self) -> u64 {
        let highest = self.segments.keys().chain(self.headless.keys()).max();
        highest.map_or(1, |number| number + 1)
    }

    /// The highest durable lsn that a header tells.
    pub(crate) fn durable(&self) -> Lsn {
        self.segments
            .values()
            .map(|found| found.header.durable)
            .max()
            .unwrap_or(0)
    }

    /// The changes segments that follow `joint` (0: from the start of the log), oldest first, each
    /// with the number of bytes that its successor says it has.
    ///
    /// Where a link is missing, what lies behind it never became durable, or the durable mark tells
    /// otherwise later; `is_partial` says that old segments may be gone.
    pub(crate) fn chain(&self, joint: u64, is_partial: bool) -> Vec<(u64, Option<u64>)> {
        let mut by_lsn: Vec<_> = self
            .segments
            .values()
            .filter(|found| found.header.class == Class::Changes)
            .map(|found| found.header)
            .collect();
        by_lsn.sort_unstable_by_key(|header| (header.base_lsn, header.number));
        let mut chain: Vec<(u64, Option<u64>)> = Vec::new();
        let mut bytes = None;
        let mut wanted: Option<u64> = None;
        while let Some(header) = by_lsn.pop() {
            if header.number == joint {
                break;
            }
            match wanted {
                Some(number) if number != header.number => {
                    if is_partial {
                        bytes = None;
                    } else if self.segments.contains_key(&number) {
                        // Not of this chain: left from before a tail was cut.
                        continue;
                    } else {
                        chain.clear();
                        bytes = None;
                    }
                }
                _ => {}
            }
            chain.push((header.number, bytes));
            wanted = Some(header.previous);
            bytes = Some(header.previous_bytes);
            if header.previous == joint {
                break;
            }
        }
        if wanted.is_some_and(|number| number != joint) && !is_partial {
            chain.clear();
        }
        chain.reverse();
        chain
    }
}

/// Where reading a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Behind the last whole batch.
    pub(crate) offset: usize,
    /// The lsn of the last change in it, 0 if there is none.
    pub(crate) last: Lsn,
    /// The highest durable lsn that a stamp tells.
    pub(crate) durable: Lsn,
}

/// Hands out the whole frames of a segment, in batches: of a batch that is not whole nothing comes.
/// Stamps are not handed out. Survivors come with their own lsn.
pub(crate) fn frames(
    bytes: &[u8],
    header: &Header,
    mut each: impl FnMut(usize, &Frame<'_>, Lsn) -> Result<()>,
) -> Result<End> {
    let seed = format::seed(header.number);
    let mut end = End {
        offset: HEADER_BYTES,
        last: 0,
        durable: 0,
    };
    let mut next = header.base_lsn;
    let mut at = HEADER_BYTES;
    let mut batch: Vec<(usize, Lsn)> = Vec::new();
    while let Some(rest) = bytes.get(at..)
        && let Some(frame) = format::decode(rest, seed, header.base_version)
    {
        if frame.kind == FrameKind::Stamp {
            if let Some(stamp) = Stamp::decode(frame.value) {
                next = stamp.next;
                end.durable = end.durable.max(stamp.durable);
            }
        } else {
            let lsn = match (frame.lsn, header.class) {
                (Some(lsn), Class::Survivors) => lsn,
                _ => next,
            };
            if frame.kind.is_change() {
                next += 1;
            }
            if frame.more {
                batch.push((at, lsn));
                at += frame.bytes;
                continue;
            }
            for (at, lsn) in batch.drain(..) {
                if let Some(rest) = bytes.get(at..)
                    && let Some(frame) = format::decode_unverified(rest, header.base_version)
                {
                    each(at, &frame, lsn)?;
                }
            }
            each(at, &frame, lsn)?;
            end.last = lsn;
        }
        at += frame.bytes;
        end.offset = at;
    }
    Ok(end)
}

/// All bytes of a segment's file.
pub(crate) fn whole(number: u64, file: &dyn File) -> Result<Vec<u8>> {
    let mut bytes = vec![0; file.bytes() as usize];
    file.read_at(0, &mut bytes)
        .map_err(|e| disk_error(&format!("cannot read segment {number:016x}"), &e))?;
    Ok(bytes)
}

/// The highest durable lsn that a whole stamp of segment `number` tells, wherever it lies behind
/// `from`.
pub(crate) fn durable_behind(bytes: &[u8], number: u64, from: usize) -> Lsn {
    let seed = format::seed(number);
    let mut durable = 0;
    for at in (from..bytes.len()).step_by(format::ALIGN) {
        if bytes
            .get(at + 4)
            .is_none_or(|kind| *kind != FrameKind::Stamp as u8)
        {
            continue;
        }
        if let Some(frame) = format::decode(&bytes[at..], seed, 0)
            && let Some(stamp) = Stamp::decode(frame.value)
        {
            durable = durable.max(stamp.durable);
        }
    }
    durable
}
