//! What a store must do to be measured.

/// A store under measurement.
pub(crate) trait Engine {
    /// Writes a record.
    fn put(&self, key: &[u8], value: &[u8]);

    /// Reads a record that is there.
    fn get(&self, key: &[u8], check: &mut dyn FnMut(&[u8]));

    /// Is told the keys that will be read next.
    fn prefetch(&self, _keys: &[&[u8]]) {}

    /// Reads all records in order, and counts them.
    fn scan(&self) -> u64;
}
