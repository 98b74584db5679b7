//! Indices: key → address. They hold no value that they can't find again in the log.

pub(crate) mod hash;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the store is about to use it")
)]
pub(crate) mod tree;
