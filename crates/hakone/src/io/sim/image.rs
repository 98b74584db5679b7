//! The bytes of a simulated file, in blocks that copies share until one of them writes.

use std::sync::Arc;

const BLOCK: usize = 4096;

/// Zeroes where nothing was written. Cloning costs a pointer a block.
#[derive(Clone, Debug)]
pub(super) struct Image {
    blocks: Vec<Option<Arc<[u8; BLOCK]>>>,
}

impl Image {
    pub(super) fn zeroed(bytes: usize) -> Image {
        Image {
            blocks: vec![None; bytes.div_ceil(BLOCK)],
        }
    }

    pub(super) fn read(&self, start: usize, into: &mut [u8]) {
        for (at, range) in parts(start, into.len()) {
            let into = &mut into[at..at + range.len()];
            let block = range.start / BLOCK;
            let from = range.start % BLOCK;
            match &self.blocks[block] {
                Some(block) => into.copy_from_slice(&block[from..from + range.len()]),
                None => into.fill(0),
            }
        }
    }

    pub(super) fn write(&mut self, start: usize, bytes: &[u8]) {
        for (at, range) in parts(start, bytes.len()) {
            let block =
                self.blocks[range.start / BLOCK].get_or_insert_with(|| Arc::new([0; BLOCK]));
            let from = range.start % BLOCK;
            Arc::make_mut(block)[from..from + range.len()]
                .copy_from_slice(&bytes[at..at + range.len()]);
        }
    }

    /// Takes over the sector number `sector` of `other`.
    pub(super) fn take_sector(&mut self, other: &Image, sector: usize) {
        let mut bytes = [0; SECTOR];
        other.read(sector * SECTOR, &mut bytes);
        self.write(sector * SECTOR, &bytes);
    }
}

/// What a disk writes whole or tears, in bytes.
pub(super) const SECTOR: usize = 512;

/// The run `start..start + len` cut at block boundaries, each part with its offset in the run.
fn parts(start: usize, len: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let from = start + at;
        let size = (BLOCK - from % BLOCK).min(len - at);
        let part = (at, from..from + size);
        at += size;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::chance::Chance;

    #[test]
    fn behaves_as_an_array_and_copies_are_apart() {
        let mut chance = Chance::new(1);
        let mut array = vec![0; 3 * BLOCK + 100];
        let mut image = Image::zeroed(array.len());
        for _ in 0..200 {
            let start = chance.index(array.len());
            let mut bytes = vec![0; chance.index((array.len() - start).min(6000) + 1)];
            let before = (image.clone(), array.clone());
            chance.fill(&mut bytes);
            image.write(start, &bytes);
            array[start..start + bytes.len()].copy_from_slice(&bytes);
            for (image, array) in [(&image, &array), (&before.0, &before.1)] {
                let mut read = vec![1; array.len()];
                image.read(0, &mut read);
                assert_eq!(read, *array);
                let mut read = vec![1; bytes.len()];
                image.read(start, &mut read);
                assert_eq!(read, array[start..start + read.len()]);
            }
        }
    }
}
