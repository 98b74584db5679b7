//! Tokyo Tyrant's binary protocol: a magic byte, a verb, fixed numbers, then byte strings.

mod decode;
mod double;
mod encode;
mod verb;

pub use decode::{Action, Answer, Decoder, Refusal, Request};
pub use encode::{bytes_of_list, encode, encode_list, keys, number, refuse, status, text};
pub use verb::Verb;

/// The byte that every request begins with.
pub const MAGIC: u8 = 0xC8;
