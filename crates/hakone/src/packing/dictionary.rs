//! What the values of a database have in common, found in a sample of them.

use super::codec::LEVEL;
use zstd_safe::{CDict, DDict, train_from_buffer};

/// Bytes of the largest dictionary: beyond that they hardly save more.
const DICTIONARY_BYTES_MAX: usize = 110 << 10;

/// Bytes of the smallest one that is tried.
const DICTIONARY_BYTES_MIN: usize = 1 << 10;

/// Values of the smallest sample from which one is made.
const SAMPLES_MIN: usize = 20;

/// Bytes of the largest sample: training takes about a second then.
pub(crate) const SAMPLE_BYTES_MAX: usize = 8 << 20;

/// Bytes that a sample takes of one value: what is common stands in front.
const VALUE_BYTES: usize = 4 << 10;

/// A dictionary, ready to be used.
pub(crate) struct Dictionary {
    /// Never reused in its database; not 0.
    pub(crate) id: u32,
    pub(crate) bytes: Vec<u8>,
    pub(super) packer: CDict<'static>,
    pub(super) unpacker: DDict<'static>,
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dictionary({}, {} bytes)", self.id, self.bytes.len())
    }
}

impl Dictionary {
    /// `None` if the bytes are none of a dictionary.
    pub(super) fn new(id: u32, bytes: &[u8]) -> Option<Dictionary> {
        let is_possible = id != 0 && bytes.len() <= DICTIONARY_BYTES_MAX;
        is_possible.then_some(())?;
        Some(Dictionary {
            id,
            bytes: bytes.to_vec(),
            packer: CDict::try_create(bytes, LEVEL)?,
            unpacker: DDict::try_create(bytes)?,
        })
    }
}

/// Values from which a dictionary is made.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
}

impl Sample {
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= SAMPLE_BYTES_MAX
    }

    pub(crate) fn add(&mut self, value: &[u8]) {
        let value = &value[..value.len().min(VALUE_BYTES)];
        if !self.is_full() && !value.is_empty() {
            self.bytes.extend_from_slice(value);
            self.sizes.push(value.len());
        }
    }

    /// The bytes of a dictionary, if the values have enough in common.
    pub(crate) fn train(&self) -> Option<Vec<u8>> {
        if self.sizes.len() < SAMPLES_MIN {
            return None;
        }
        let bytes = (self.bytes.len() / 10).clamp(DICTIONARY_BYTES_MIN, DICTIONARY_BYTES_MAX);
        let mut dictionary = Vec::with_capacity(bytes);
        train_from_buffer(&mut dictionary, &self.bytes, &self.sizes).ok()?;
        // The number behind the magic one would be told in every value; the log tells ours.
        dictionary.get_mut(4..8)?.fill(0);
        Some(dictionary)
    }
}
