//! The hash index: slots of a tag and an address, no keys, in many small partitions that grow one
//! at a time from the slots alone.

mod hashing;
mod partition;

pub(crate) use hashing::{Hash, hash};
pub(crate) use partition::{Found, Partition};

use crate::io::Arena;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How many partitions an index has. Many, so that one's growth is no pause and its lock no queue;
/// a power of two, the top bits of the hash.
pub(crate) const PARTITIONS: usize = 1 << PARTITION_BITS;

const PARTITION_BITS: u32 = 10;

/// Bits of a tag: the bits of the hash below the partition's.
const TAG_BITS: u32 = 24;

/// A hash index.
#[derive(Debug)]
pub(crate) struct HashIndex {
    partitions: Box<[Padded]>,
}

/// Each partition's lock and lengths on a cache line of their own.
#[derive(Debug)]
#[repr(align(64))]
struct Padded(RwLock<Partition>);

/// The partition of a hash.
#[inline]
pub(crate) fn partition_of(hash: Hash) -> usize {
    (hash >> (64 - PARTITION_BITS)) as usize
}

/// The tag of a hash.
#[inline]
pub(crate) fn tag_of(hash: Hash) -> u32 {
    (hash >> (64 - PARTITION_BITS - TAG_BITS)) as u32 & ((1 << TAG_BITS) - 1)
}

impl HashIndex {
    pub(crate) fn new() -> HashIndex {
        let arena = Arena::new();
        let partition = |_| Padded(RwLock::new(Partition::new(Arc::clone(&arena))));
        HashIndex {
            partitions: (0..PARTITIONS).map(partition).collect(),
        }
    }

    #[inline]
    pub(crate) fn read(&self, partition: usize) -> RwLockReadGuard<'_, Partition> {
        self.partitions[partition]
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn write(&self, partition: usize) -> RwLockWriteGuard<'_, Partition> {
        self.partitions[partition]
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records there are, one partition after another.
    pub(crate) fn count(&self) -> u64 {
        (0..PARTITIONS).map(|i| self.read(i).len() as u64).sum()
    }

    /// How many bytes they take in the log, one partition after another.
    pub(crate) fn bytes(&self) -> u64 {
        (0..PARTITIONS).map(|i| self.read(i).bytes()).sum()
    }
}
