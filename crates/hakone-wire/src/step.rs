//! What looking at the bytes of a connection gives, whatever the protocol.

/// Bytes of one request that are kept until it is whole: 128 MiB, twice the largest batch of the
/// store, so that whatever can be carried out fits with its framing.
pub const REQUEST_BYTES_MAX: usize = 128 << 20;

/// What looking at the bytes of a connection gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<R> {
    /// A whole request, and how many bytes it took.
    Request(R, usize),
    /// No whole request yet.
    Partial {
        /// So many bytes are done with: they belong to a request that is being skipped.
        consumed: usize,
        /// Looking again is in vain before so many bytes are there after those; 0 is unknown.
        need: usize,
    },
    /// These bytes are no request of the protocol: close without an answer.
    Close,
}
