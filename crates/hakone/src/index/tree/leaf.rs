//! A leaf: one page with slots from its start and entries from its end.
//!
//! Whatever key is routed to a leaf begins with the common prefix of the leaf's two fences, so that
//! prefix is kept once, beside the page, and never compared. A slot holds the next four bytes of
//! the key (its head) and where the entry is; a search reads the slots alone until heads are equal.
//!
//! ```text
//! slot u64:  head 32 bits, big-endian | offset in the page 20 | suffix bytes 12, 4095: see the entry
//! entry:     suffix bytes u32 if 4095 or more | suffix | body (entry.rs)
//! ```
#![expect(
    clippy::cast_possible_truncation,
    reason = "pages are at most 1 MiB, so offsets fit 32 bits and counts 16; slots are cut on purpose"
)]

use super::entry::{self, Entry, Put};
use super::page::{Page, Pages};
use crate::io::prefetch;
use crate::log::Address;
use std::cmp::Ordering;

/// Bytes of a page, unless a single entry needs more. 16 KiB scans twice as fast as 4 KiB, and
/// single reads don't care.
pub(super) const PAGE_BYTES: usize = 16 << 10;

/// Offsets have 20 bits. Splitting in the middle keeps pages under 256 KiB: half a page and two of
/// the largest entries.
const PAGE_BYTES_MAX: usize = 1 << 20;

const SLOT_BYTES: usize = 8;

/// In a slot: the suffix is that long or longer, its size stands before it.
const LONG: usize = (1 << 12) - 1;

/// In place of the index of the last insert: there was none.
const NEVER: u16 = u16::MAX;

/// Its size is a cache line.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub(super) struct Leaf {
    page: Page,
    prefix: Box<[u8]>,
    /// At most 43,690: a slot and an entry are at least 24 bytes, a page at most 1 MiB.
    count: u16,
    /// Where the lowest entry begins.
    top: u32,
    /// Bytes of entries that no slot points at any more.
    dead: u32,
    /// Index of the last insert, a hint: the next one beside it is taken for part of a run.
    last: u16,
}

/// The four bytes that a suffix begins with, as a number that orders as they do, padded with zeros.
#[inline]
fn head(suffix: &[u8]) -> u32 {
    match suffix.first_chunk() {
        Some(head) => u32::from_be_bytes(*head),
        None => suffix
            .iter()
            .rev()
            .fold(0, |head, byte| head >> 8 | (*byte as u32) << 24),
    }
}

/// Bytes of an entry and its slot.
pub(super) fn entry_bytes(suffix_bytes: usize, body_bytes: usize) -> usize {
    let size = if suffix_bytes < LONG { 0 } else { 4 };
    SLOT_BYTES + size + suffix_bytes + body_bytes
}

impl Leaf {
    /// An empty leaf with room for `bytes` of entries.
    pub(super) fn new(prefix: &[u8], bytes: usize, pages: &mut Pages) -> Leaf {
        assert!(
            bytes <= PAGE_BYTES_MAX,
            "a page is split before it grows so large"
        );
        let page = pages.take(bytes);
        Leaf {
            top: page.len() as u32,
            page,
            prefix: prefix.into(),
            count: 0,
            dead: 0,
            last: NEVER,
        }
    }

    /// Gives its page up.
    pub(super) fn recycle(self, pages: &mut Pages) {
        pages.give(self.page);
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    #[inline]
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    pub(super) fn last(&self) -> usize {
        self.last as usize
    }

    /// The index of the next insert if the last one was at the end.
    #[inline]
    pub(super) fn end_of_run(&self) -> Option<usize> {
        (self.count > 0 && self.last == self.count - 1).then_some(self.count())
    }

    /// Says where the last insert was.
    pub(super) fn set_last(&mut self, index: usize) {
        self.last = index as u16;
    }

    pub(super) fn page_bytes(&self) -> usize {
        self.page.len()
    }

    /// Bytes of memory it occupies.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Leaf>() + self.page.len() + self.prefix.len()
    }

    /// Bytes between slots and entries.
    #[inline]
    pub(super) fn free_bytes(&self) -> usize {
        self.top as usize - self.count() * SLOT_BYTES
    }

    /// Bytes of all entries that are there and of their slots.
    pub(super) fn live_bytes(&self) -> usize {
        self.page.len() - self.free_bytes() - self.dead as usize
    }

    #[inline]
    fn slots(&self) -> &[[u8; SLOT_BYTES]] {
        self.page[..self.count() * SLOT_BYTES].as_chunks().0
    }

    #[inline]
    fn slot(&self, index: usize) -> u64 {
        u64::from_le_bytes(self.slots()[index])
    }

    /// Where the suffix begins and how long it is.
    #[inline]
    fn suffix_place(&self, slot: u64) -> (usize, usize) {
        let offset = (slot as u32 >> 12) as usize;
        let bytes = slot as usize & LONG;
        if bytes < LONG {
            return (offset, bytes);
        }
        let bytes = self.page[offset..].first_chunk();
        let bytes = u32::from_le_bytes(*bytes.expect("an entry ends inside its page"));
        (offset + 4, bytes as usize)
    }

    #[inline]
    fn suffix_at(&self, slot: u64) -> &[u8] {
        let (start, bytes) = self.suffix_place(slot);
        &self.page[start..start + bytes]
    }

    /// The key at `index` without the prefix.
    #[inline]
    pub(super) fn suffix(&self, index: usize) -> &[u8] {
        self.suffix_at(self.slot(index))
    }

    #[inline]
    fn body_start(&self, index: usize) -> usize {
        let (start, bytes) = self.suffix_place(self.slot(index));
        start + bytes
    }

    /// The body at `index`, its exact bytes.
    pub(super) fn body(&self, index: usize) -> &[u8] {
        let body = &self.page[self.body_start(index)..];
        &body[..entry::body_bytes(body)]
    }

    #[inline]
    pub(super) fn entry(&self, index: usize) -> Entry<'_> {
        entry::read(&self.page[self.body_start(index)..])
    }

    /// The suffix and the entry at `index`.
    #[inline]
    pub(super) fn pair(&self, index: usize) -> (&[u8], Entry<'_>) {
        let (start, bytes) = self.suffix_place(self.slot(index));
        let (suffix, body) = self.page[start..].split_at(bytes);
        (suffix, entry::read(body))
    }

    /// The index of the key with this suffix, or the index it would have.
    #[inline]
    pub(super) fn search(&self, suffix: &[u8]) -> Result<usize, usize> {
        self.search_from(self.search_heads(suffix), suffix)
    }

    /// The first part of a search: the index of the first head that is not below the suffix's.
    #[inline]
    pub(super) fn search_heads(&self, suffix: &[u8]) -> usize {
        let floor = (head(suffix) as u64) << 32;
        self.slots()
            .partition_point(|slot| u64::from_le_bytes(*slot) < floor)
    }

    /// The second part, from the index that the first gave.
    #[inline]
    pub(super) fn search_from(&self, first: usize, suffix: &[u8]) -> Result<usize, usize> {
        let head = head(suffix);
        let slots = self.slots();
        let Some(slot) = slots.get(first) else {
            return Err(first);
        };
        let slot = u64::from_le_bytes(*slot);
        if (slot >> 32) as u32 != head {
            return Err(first);
        }
        match self.suffix_at(slot).cmp(suffix) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(first),
            Ordering::Greater => return Err(first),
        }
        // Several heads are equal: whole suffixes decide.
        let rest = &slots[first + 1..];
        let below = rest.partition_point(|slot| {
            let slot = u64::from_le_bytes(*slot);
            (slot >> 32) as u32 == head && self.suffix_at(slot) < suffix
        });
        let index = first + 1 + below;
        if index < slots.len() && self.suffix(index) == suffix {
            Ok(index)
        } else {
            Err(index)
        }
    }

    /// Asks for what [`Leaf::search_heads`] reads, all at once rather than one miss after another:
    /// worth 25 % of a get.
    #[inline]
    pub(super) fn prefetch_slots(&self) {
        for slot in self.slots().iter().step_by(64 / SLOT_BYTES) {
            prefetch(slot);
        }
    }

    /// Asks for what [`Leaf::search_from`] reads first.
    #[inline]
    pub(super) fn prefetch_entry(&self, index: usize) {
        if let Some(slot) = self.slots().get(index) {
            let offset = (u64::from_le_bytes(*slot) as u32 >> 12) as usize;
            for offset in [offset, offset + 64] {
                if let Some(byte) = self.page.get(offset) {
                    prefetch(byte);
                }
            }
        }
    }

    /// Copies a suffix in two parts into a new entry. Gives its slot and where its body begins.
    #[inline]
    fn place(&mut self, start: &[u8], end: &[u8], body_bytes: usize) -> (u64, usize) {
        let suffix_bytes = start.len() + end.len();
        let entry_bytes = entry_bytes(suffix_bytes, body_bytes) - SLOT_BYTES;
        self.top -= entry_bytes as u32;
        let mut offset = self.top as usize;
        let locator = (offset << 12 | suffix_bytes.min(LONG)) as u64;
        if suffix_bytes >= LONG {
            let size = (suffix_bytes as u32).to_le_bytes();
            self.page[offset..offset + 4].copy_from_slice(&size);
            offset += 4;
        }
        let suffix = &mut self.page[offset..offset + suffix_bytes];
        let head = if start.is_empty() {
            suffix.copy_from_slice(end);
            head(end)
        } else {
            suffix[..start.len()].copy_from_slice(start);
            suffix[start.len()..].copy_from_slice(end);
            head(suffix)
        };
        ((head as u64) << 32 | locator, offset + suffix_bytes)
    }

    #[inline]
    fn set_slot(&mut self, index: usize, slot: u64) {
        let place = index * SLOT_BYTES;
        self.page[place..place + SLOT_BYTES].copy_from_slice(&slot.to_le_bytes());
    }

    /// Puts a new key at `index`, where [`Leaf::search`] said. There must be room for it.
    #[inline]
    pub(super) fn insert(&mut self, index: usize, suffix: &[u8], put: &Put<'_>) {
        let body_bytes = put.body_bytes();
        let (slot, start) = self.place(&[], suffix, body_bytes);
        put.write(&mut self.page[start..start + body_bytes]);
        let place = index * SLOT_BYTES;
        let end = self.count() * SLOT_BYTES;
        self.page.copy_within(place..end, place + SLOT_BYTES);
        self.set_slot(index, slot);
        self.count += 1;
        self.last = index as u16;
    }

    /// Adds an entry above all others, its suffix in two parts. There must be room for it.
    pub(super) fn push(&mut self, start: &[u8], end: &[u8], body: &[u8]) {
        let (slot, place) = self.place(start, end, body.len());
        self.page[place..place + body.len()].copy_from_slice(body);
        self.count += 1;
        self.set_slot(self.count() - 1, slot);
    }

    /// Puts another body in the place of the one at `index`. False, with the leaf as it was, if
    /// there is no room.
    #[inline]
    pub(super) fn overwrite(&mut self, index: usize, suffix: &[u8], put: &Put<'_>) -> bool {
        let body_bytes = put.body_bytes();
        let start = self.body_start(index);
        let old_bytes = entry::body_bytes(&self.page[start..]);
        if body_bytes <= old_bytes {
            self.dead += (old_bytes - body_bytes) as u32;
            put.write(&mut self.page[start..start + body_bytes]);
            return true;
        }
        if self.free_bytes() + SLOT_BYTES < entry_bytes(suffix.len(), body_bytes) {
            return false;
        }
        self.dead += (entry_bytes(suffix.len(), old_bytes) - SLOT_BYTES) as u32;
        let (slot, start) = self.place(&[], suffix, body_bytes);
        put.write(&mut self.page[start..start + body_bytes]);
        self.set_slot(index, slot);
        true
    }

    /// Takes the key at `index` out.
    pub(super) fn remove(&mut self, index: usize) {
        let slot = self.slot(index);
        let suffix_bytes = self.suffix_place(slot).1;
        let body_bytes = self.body(index).len();
        self.dead += (entry_bytes(suffix_bytes, body_bytes) - SLOT_BYTES) as u32;
        let place = index * SLOT_BYTES;
        let end = self.count() * SLOT_BYTES;
        self.page.copy_within(place + SLOT_BYTES..end, place);
        self.count -= 1;
    }

    /// If the entry at `index` holds the address `from`, it now holds `to`.
    pub(super) fn relocate(&mut self, index: usize, from: Address, to: Address) -> bool {
        let start = self.body_start(index);
        entry::relocate(&mut self.page[start..], from, to)
    }

    /// Adds the entries of `other` in `range` above all others, under a prefix of another
    /// length. There must be room for them.
    pub(super) fn copy(&mut self, other: &Leaf, range: std::ops::Range<usize>) {
        let (old, new) = (other.prefix.len(), self.prefix.len());
        let start = other.prefix.get(new..).unwrap_or_default();
        let cut = new.saturating_sub(old);
        for index in range {
            self.push(start, &other.suffix(index)[cut..], other.body(index));
        }
    }

    /// The same entries without holes, in a page that is as large as they and `more` bytes need.
    pub(super) fn rebuild(&mut self, more: usize, pages: &mut Pages) {
        let mut leaf = Leaf::new(&self.prefix, self.live_bytes() + more, pages);
        leaf.copy(self, 0..self.count());
        leaf.last = self.last;
        std::mem::replace(self, leaf).recycle(pages);
    }
}

#[cfg(test)]
impl Leaf {
    /// Checks the order of keys, the heads, and that live and dead bytes add up.
    pub(super) fn check(&self) {
        let mut live = 0;
        for index in 0..self.count() {
            let suffix = self.suffix(index);
            assert_eq!((self.slot(index) >> 32) as u32, head(suffix));
            assert!(index == 0 || self.suffix(index - 1) < suffix);
            assert_eq!(self.search(suffix), Ok(index));
            live += entry_bytes(suffix.len(), self.body(index).len());
        }
        assert_eq!(live, self.live_bytes());
    }
}
