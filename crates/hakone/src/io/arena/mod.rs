//! The arena: zeroed tables of numbers, of any size, cut from huge pages and given back to them.
#![expect(
    unsafe_code,
    reason = "the safe face over raw memory that index tables live in"
)]

mod extents;

use super::pages::{HUGE_PAGE, Pages};
use super::prefetch::prefetch_address;
use extents::Extents;
use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard};

/// What blocks are rounded up and aligned to, in bytes: a cache line.
const LINE: u64 = 64;

/// Address space asked for at once, in bytes. Untouched, it costs nothing.
const CHUNK: u64 = 64 << 20;

const HUGE: u64 = HUGE_PAGE as u64;

/// A huge page is given back whole or in 32 pieces.
const PIECE: u64 = HUGE / 32;

/// Where a chunk's positions begin: its number in the upper bits, so that chunks never touch.
const CHUNK_SHIFT: u32 = 44;

/// Memory for tables. Huge pages in which no block is left go back to the kernel at once, and
/// pieces of them once a tenth as much as is in use would lie idle.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    space: Mutex<Space>,
}

/// A table of numbers, all 0 at first, on a cache line's start. Dropped, its memory is free.
pub(crate) struct Block {
    arena: Arc<Arena>,
    position: u64,
    start: NonNull<u64>,
    slots: usize,
}

// SAFETY: a block owns its memory, as a `Vec` does.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

#[derive(Debug, Default)]
struct Space {
    free: Extents,
    chunks: Vec<Chunk>,
    in_use: u64,
    mapped: u64,
}

#[derive(Debug)]
struct Chunk {
    pages: Pages,
    huge: Vec<HugePage>,
}

/// A bit for each piece of a huge page.
#[derive(Clone, Copy, Debug, Default)]
struct HugePage {
    /// The kernel has, or will have once it is touched, memory for it.
    mapped: u32,
    /// It was part of a block, and may hold something else than zeroes.
    used: u32,
}

impl Arena {
    /// An arena without memory.
    pub(crate) fn new() -> Arc<Arena> {
        Arc::new(Arena::default())
    }

    /// A block of `slots` zeroes. Touches only what was in use before, to make it zero.
    ///
    /// # Errors
    /// `InvalidInput` for no slots, `OutOfMemory`.
    pub(crate) fn allocate(self: &Arc<Self>, slots: usize) -> Result<Block> {
        if slots == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let bytes = block_bytes(slots)?;
        let mut space = self.space();
        let position = space.take(bytes)?;
        let used = space.occupy(position, bytes);
        let start = space.address(position);
        drop(space);
        for range in used {
            let first = usize_of(range.start - position);
            let len = usize_of(range.end - range.start);
            // SAFETY: a part of the block just taken, which nobody else has.
            unsafe { start.add(first).write_bytes(0, len) };
        }
        Ok(Block {
            arena: Arc::clone(self),
            position,
            start: start.cast(),
            slots,
        })
    }

    #[cfg(test)]
    /// The sum of the sizes of all blocks, in bytes.
    #[cfg(test)]
    pub(crate) fn bytes_in_use(&self) -> u64 {
        self.space().in_use
    }

    #[cfg(test)]
    /// The memory that the arena has from the kernel, or will have once its blocks are touched, in
    /// bytes.
    #[cfg(test)]
    pub(crate) fn bytes_mapped(&self) -> u64 {
        self.space().mapped
    }

    fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Block {
    /// Tells the processor that this slot will be read. Any number will do.
    #[inline]
    pub(crate) fn prefetch(&self, slot: usize) {
        prefetch_address(self.start.as_ptr().wrapping_add(slot).addr());
    }
}

impl Deref for Block {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        // SAFETY: the block owns so many slots, aligned and initialised to zeroes.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.slots) }
    }
}

impl DerefMut for Block {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.slots) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // It was computed when the block was made.
        if let Ok(bytes) = block_bytes(self.slots) {
            self.arena.space().give(self.position, bytes);
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Block { slots, start, .. } = self;
        f.debug_struct("Block")
            .field("slots", slots)
            .field("start", start)
            .finish_non_exhaustive()
    }
}

impl Space {
    fn take(&mut self, bytes: u64) -> Result<u64> {
        if let Some(position) = self.free.take(bytes) {
            self.in_use += bytes;
            return Ok(position);
        }
        let size = bytes
            .max(CHUNK)
            .checked_next_multiple_of(HUGE)
            .filter(|&size| size < 1 << CHUNK_SHIFT)
            .ok_or(ErrorKind::OutOfMemory)?;
        let pages = Pages::anonymous(usize_of(size))?;
        let base = (self.chunks.len() as u64) << CHUNK_SHIFT;
        self.chunks.push(Chunk {
            pages,
            huge: vec![HugePage::default(); usize_of(size / HUGE)],
        });
        self.free.give(base, size);
        self.in_use += bytes;
        self.free
            .take(bytes)
            .ok_or_else(|| Error::other("a new chunk is too small"))
    }

    /// Notes that a block is used from now on; returns what of it may hold something already.
    fn occupy(&mut self, position: u64, bytes: u64) -> Vec<Range<u64>> {
        let end = position + bytes;
        let mut used: Vec<Range<u64>> = Vec::new();
        for piece in (position / PIECE)..end.div_ceil(PIECE) {
            let page = self.huge_page(piece * PIECE);
            let bit = 1 << (piece % 32);
            // The first touch of a huge page brings all of it.
            let mapped = if page.mapped == 0 { u32::MAX } else { bit };
            let more = (mapped & !page.mapped).count_ones();
            page.mapped |= mapped;
            let was_used = page.used & bit != 0;
            page.used |= bit;
            self.mapped += u64::from(more) * PIECE;
            if was_used {
                let part = position.max(piece * PIECE)..end.min((piece + 1) * PIECE);
                match used.last_mut() {
                    Some(last) if last.end == part.start => last.end = part.end,
                    _ => used.push(part),
                }
            }
        }
        used
    }

    fn give(&mut self, position: u64, bytes: u64) {
        self.in_use -= bytes;
        let (start, size) = self.free.give(position, bytes);
        let end = start + size;
        for page in (start / HUGE)..end.div_ceil(HUGE) {
            let first = start.saturating_sub(page * HUGE).div_ceil(PIECE);
            let last = (end - page * HUGE).min(HUGE) / PIECE;
            let whole = (first, last) == (0, 32);
            let free = self.mapped - self.in_use;
            if whole || (first < last && free > self.in_use / 10) {
                self.give_back(page * HUGE, first, last);
            }
        }
    }

    /// Gives the pieces `first..last` of the huge page at `position` back to the kernel.
    fn give_back(&mut self, position: u64, first: u64, last: u64) {
        let bits = u32::MAX >> (32 - (last - first)) << first;
        let page = self.huge_page(position);
        let mapped = page.mapped & bits;
        if mapped == 0 {
            return;
        }
        let start = self.address(position + first * PIECE);
        let len = usize_of((last - first) * PIECE);
        // SAFETY: pieces that are wholly inside free space: nobody refers to them.
        let given = unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTNEED) };
        if given == 0 {
            let page = self.huge_page(position);
            page.mapped &= !bits;
            page.used &= !bits;
            self.mapped -= u64::from(mapped.count_ones()) * PIECE;
        }
    }

    fn huge_page(&mut self, position: u64) -> &mut HugePage {
        let chunk = &mut self.chunks[usize_of(position >> CHUNK_SHIFT)];
        &mut chunk.huge[usize_of(position % (1 << CHUNK_SHIFT) / HUGE)]
    }

    fn address(&self, position: u64) -> NonNull<u8> {
        let pages = &self.chunks[usize_of(position >> CHUNK_SHIFT)].pages;
        let offset = usize_of(position % (1 << CHUNK_SHIFT));
        assert!(offset < pages.bytes(), "positions are inside their chunk");
        // SAFETY: inside the mapping.
        unsafe { pages.start().add(offset) }
    }
}

fn block_bytes(slots: usize) -> Result<u64> {
    (slots as u64)
        .checked_mul(8)
        .and_then(|bytes| bytes.checked_next_multiple_of(LINE))
        .ok_or_else(|| ErrorKind::OutOfMemory.into())
}

/// For sizes and offsets inside memory that exists.
fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
