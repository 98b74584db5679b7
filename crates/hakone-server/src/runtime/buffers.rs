//! Memory for bytes in passing: one area that a turn's input comes into, what is left of a
//! connection's input between turns, and buffers for replies that go from hand to hand. An idle
//! connection holds none of it.

use crate::limits::{BUFFER_BYTES_KEPT, BUFFERS_KEPT};
use std::ops::Range;

/// Where all bytes that come in one turn lie, one connection's behind the other's.
#[derive(Debug)]
pub(super) struct Arena {
    bytes: Box<[u8]>,
    used: usize,
}

impl Arena {
    pub(super) fn new(bytes: usize) -> Arena {
        Arena {
            bytes: vec![0; bytes].into_boxed_slice(),
            used: 0,
        }
    }

    /// Forgets the last turn's bytes.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Where the next bytes go.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Room for at most so many more bytes.
    pub(super) fn room(&mut self, at_most: usize) -> &mut [u8] {
        let end = self.used.saturating_add(at_most).min(self.bytes.len());
        &mut self.bytes[self.used..end]
    }

    /// So many bytes of the room hold input now.
    pub(super) fn fill(&mut self, bytes: usize) {
        self.used += bytes;
        assert!(
            self.used <= self.bytes.len(),
            "no more is received than there was room for"
        );
    }

    pub(super) fn get(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

/// The input of one connection that is not yet consumed.
#[derive(Debug, Default)]
pub(super) struct Remainder {
    bytes: Vec<u8>,
    start: usize,
}

impl Remainder {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Adds what has come. Grows as bytes come, whatever they promise to be.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops bytes at the front; the memory too, once all are dropped.
    pub(super) fn consume(&mut self, bytes: usize) {
        assert!(
            bytes <= self.len(),
            "no more is consumed than there is: {bytes} of {}",
            self.len()
        );
        self.start += bytes;
        if self.is_empty() {
            *self = Remainder::default();
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
            if self.bytes.capacity() > BUFFER_BYTES_KEPT {
                self.bytes.shrink_to(self.bytes.len().saturating_mul(2));
            }
        }
    }
}

/// Spare buffers for replies.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// An empty buffer.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Takes a buffer back, or gives its memory up if it is large or there are many.
    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        let worth_keeping = 1..=BUFFER_BYTES_KEPT;
        if self.0.len() < BUFFERS_KEPT && worth_keeping.contains(&buffer.capacity()) {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remainder_keeps_order_and_gives_its_memory_back() {
        let mut remainder = Remainder::default();
        let mut expected = Vec::new();
        for round in 0..200_u8 {
            let bytes = vec![round; usize::from(round)];
            remainder.push(&bytes);
            expected.extend_from_slice(&bytes);
            let consumed = expected.len() / 3;
            remainder.consume(consumed);
            expected.drain(..consumed);
            assert_eq!(remainder.bytes(), expected);
            assert_eq!(remainder.len(), expected.len());
        }
        remainder.consume(expected.len());
        assert!(remainder.is_empty());
        assert_eq!(remainder.bytes.capacity(), 0);
    }

    #[test]
    fn large_buffers_are_not_kept() {
        let mut buffers = Buffers::default();
        buffers.give(Vec::with_capacity(BUFFER_BYTES_KEPT * 4));
        assert_eq!(buffers.take().capacity(), 0);
        buffers.give(b"reply".to_vec());
        let kept = buffers.take();
        assert!(kept.is_empty() && kept.capacity() > 0);
    }
}
