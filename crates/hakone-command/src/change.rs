//! What became true. The log holds these, never commands.

use crate::{Kind, Millis, Version};

/// A fact about one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<'a> {
    /// The key has this record.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: Value<'a>,
        /// When it expires; 0 means never.
        expiry: Millis,
        /// Opaque flags.
        flags: u32,
    },
    /// The key has no record.
    Remove {
        /// The key.
        key: &'a [u8],
    },
    /// The record of this version has been reclaimed after its expiry; loses to any later one.
    Expire {
        /// The key.
        key: &'a [u8],
        /// The version that expired.
        expired: Version,
    },
    /// The database has no records.
    Clear,
    /// The database exists.
    Create {
        /// Its name.
        name: &'a str,
        /// Its kind.
        kind: Kind,
    },
    /// The database does not exist any more.
    Drop,
}

/// A value in two parts that follow one another, so that an append copies each part once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The first part.
    pub head: &'a [u8],
    /// The second part.
    pub tail: &'a [u8],
}

impl<'a> Value<'a> {
    /// A value in one part.
    pub fn whole(value: &'a [u8]) -> Value<'a> {
        Value {
            head: value,
            tail: &[],
        }
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
