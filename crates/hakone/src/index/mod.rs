//! Indices: key → address. They hold no value that they can't find again in the log.

pub(crate) mod hash;
pub(crate) mod tree;
