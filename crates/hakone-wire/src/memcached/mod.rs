//! memcached's text protocol: lines of words, some with a block of data after them; answers are
//! lines too.

mod decode;
mod encode;
mod exptime;
mod line;
mod request;
mod verb;
mod words;

pub use decode::Decoder;
pub use encode::{Answer, encode, end, item, meta, refuse, stat, store_error, value};
pub use exptime::Exptime;
pub use request::{Action, Mode, Refusal, Request, Sub, touch};
pub use verb::Verb;
pub use words::Words;

/// The version of memcached whose text protocol is served: clients choose features by it.
pub const VERSION: &str = "1.6.18";

/// Bytes of a key: the protocol's own limit.
pub const KEY_BYTES_MAX: usize = 250;

/// Keys of one line: 65,536. They are read as of one moment, and others wait meanwhile.
pub const KEYS_MAX: usize = 1 << 16;
