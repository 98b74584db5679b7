//! What a request asks of one record, in the two dialects that the old servers speak.

pub mod tycoon;
pub mod tyrant;
