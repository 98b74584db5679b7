//! Limits of the store, each with its unit and reason.

/// Bytes of a key: 64 KiB, so that two keys fit every tree leaf that is made for them.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// Bytes of a value: 32 MiB, half of the largest segment. Larger values come with segments of
/// their own.
pub const VALUE_BYTES_MAX: usize = 32 << 20;

/// Bytes of the records of one atomic batch: it must fit into one segment of 64 MiB beside the
/// segment's header and end.
pub const BATCH_BYTES_MAX: usize = 63 << 20;

/// Bytes of memory for what a transaction remembers of its reads: half a million keys of 64 bytes.
pub const TRANSACTION_READ_BYTES_MAX: usize = 64 << 20;
