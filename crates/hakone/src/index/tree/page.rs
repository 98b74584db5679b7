//! A leaf's page: bytes on the heap for a small tree, in huge pages for the rest.
//!
//! Huge pages are worth 15 to 20 % of single reads and writes at 2 million records of 100 bytes. A
//! tree of a few leaves does without, so that it doesn't cost 2 MiB.
#![expect(
    unsafe_code,
    reason = "the arena gives words where a page is bytes; the heap is the safe twin"
)]

use super::leaf::PAGE_BYTES;
use crate::io::{Arena, Block};
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::Arc;

/// So many pages of a tree are on the heap: half a huge page.
const HEAP_PAGES: usize = if cfg!(test) { 4 } else { 64 };

/// Larger pages are multiples of this.
const LARGE_PAGE_STEP: usize = 4 << 10;

#[derive(Debug)]
pub(super) enum Page {
    Heap(Box<[u8]>),
    Huge(Block),
}

impl Default for Page {
    fn default() -> Page {
        Page::Heap(Box::default())
    }
}

/// A copy is on the heap, and none of [`Pages`]' business: snapshots keep it.
impl Clone for Page {
    fn clone(&self) -> Page {
        Page::Heap(self[..].into())
    }
}

impl Deref for Page {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Page::Heap(bytes) => bytes,
            Page::Huge(block) => {
                // SAFETY: the words of the block, as long as it is borrowed; bytes need no
                // alignment and any value is one.
                unsafe { slice::from_raw_parts(block.as_ptr().cast(), size_of_val(&**block)) }
            }
        }
    }
}

impl DerefMut for Page {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Page::Heap(bytes) => bytes,
            Page::Huge(block) => {
                let bytes = size_of_val(&**block);
                // SAFETY: as above; the borrow is exclusive, and any bytes make words.
                unsafe { slice::from_raw_parts_mut(block.as_mut_ptr().cast(), bytes) }
            }
        }
    }
}

/// Where the pages of a tree come from.
#[derive(Debug)]
pub(super) struct Pages {
    arena: Arc<Arena>,
    /// Pages of the common size that are in use.
    count: usize,
    /// One that is not, kept for the next split.
    spare: Option<Page>,
}

impl Pages {
    pub(super) fn new() -> Pages {
        Pages {
            arena: Arena::new(),
            count: 0,
            spare: None,
        }
    }

    /// A page of at least so many bytes. What is in it is no matter.
    pub(super) fn take(&mut self, bytes: usize) -> Page {
        if bytes > PAGE_BYTES {
            return Page::Heap(vec![0; bytes.next_multiple_of(LARGE_PAGE_STEP)].into());
        }
        self.count += 1;
        if let Some(page) = self.spare.take() {
            return page;
        }
        if self.count > HEAP_PAGES
            && let Ok(block) = self.arena.allocate(PAGE_BYTES / 8)
        {
            return Page::Huge(block);
        }
        Page::Heap(vec![0; PAGE_BYTES].into())
    }

    /// Takes a page back.
    pub(super) fn give(&mut self, page: Page) {
        if page.len() == PAGE_BYTES {
            self.count -= 1;
            self.spare = Some(page);
        }
    }

    /// Bytes of pages that are not in use.
    pub(super) fn spare_bytes(&self) -> usize {
        self.spare.as_ref().map_or(0, |page| page.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_both_kinds_hold_the_same_bytes() {
        let mut pages = Pages::new();
        let mut all: Vec<_> = (0..HEAP_PAGES + 2).map(|_| pages.take(100)).collect();
        assert!(matches!(all[0], Page::Heap(_)));
        assert!(matches!(all[HEAP_PAGES + 1], Page::Huge(_)));
        for page in &mut all {
            assert_eq!(page.len(), PAGE_BYTES);
            for (index, byte) in page.iter_mut().enumerate() {
                *byte = index.to_le_bytes()[0] ^ index.to_le_bytes()[1];
            }
        }
        let (heap, huge) = all.split_at(HEAP_PAGES);
        assert_eq!(heap[0][..], huge[1][..]);
        for page in all {
            pages.give(page);
        }
        assert_eq!(pages.count, 0);
        assert_eq!(
            pages.take(PAGE_BYTES + 1).len(),
            PAGE_BYTES + LARGE_PAGE_STEP
        );
    }
}
