//! What a leaf holds of one record, and its bytes.
//!
//! An entry in a page is its key suffix followed by a body:
//!
//! ```text
//! word u64: address 40 bits | inline value bytes 11 | has expiry 1 | has flags 1 | large 1 | 0 10
//! version u64
//! expiry u64         if it has one
//! flags u32          if it has some
//! value, or its size as u32 if it is large
//! ```
//!
//! So a record without expiry and flags pays nothing for them.
#![expect(
    clippy::cast_possible_truncation,
    reason = "a value in a leaf is at most 1 KiB, and what is cut from a word was put there"
)]

use crate::log::{ADDRESS_BITS, Address};
use hakone_command::{Millis, Value, Version};

/// Bytes of the largest value that a leaf holds itself. Larger ones are read at their address.
pub(crate) const INLINE_BYTES_MAX: usize = 1024;

const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
const INLINE_MASK: u64 = (1 << 11) - 1;
const HAS_EXPIRY: u64 = 1 << 51;
const HAS_FLAGS: u64 = 1 << 52;
const LARGE: u64 = 1 << 53;

/// A record as the tree gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The value; `None` if it is larger than [`INLINE_BYTES_MAX`] and so only in the log.
    pub value: Option<&'a [u8]>,
    /// The value's size.
    pub value_bytes: u32,
    /// Where its log record is.
    pub address: Address,
    pub version: Version,
    /// 0: never.
    pub expiry: Millis,
    pub flags: u32,
}

impl Entry<'_> {
    /// What is left of it once it is gone.
    pub(super) fn displaced(&self) -> Displaced {
        Displaced {
            value_bytes: self.value_bytes,
            address: self.address,
            version: self.version,
            expiry: self.expiry,
            flags: self.flags,
        }
    }
}

/// A record to put. The key is beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Put<'a> {
    pub value: Value<'a>,
    /// Where its log record is.
    pub address: Address,
    pub version: Version,
    /// 0: never.
    pub expiry: Millis,
    pub flags: u32,
}

/// What an overwrite or a removal displaced: enough to find its log record and to know its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Displaced {
    pub value_bytes: u32,
    pub address: Address,
    pub version: Version,
    pub expiry: Millis,
    pub flags: u32,
}

impl Put<'_> {
    fn is_large(&self) -> bool {
        self.value.len() > INLINE_BYTES_MAX
    }

    /// The size of its body.
    pub(super) fn body_bytes(&self) -> usize {
        let expiry = if self.expiry == 0 { 0 } else { 8 };
        let flags = if self.flags == 0 { 0 } else { 4 };
        let value = if self.is_large() { 4 } else { self.value.len() };
        16 + expiry + flags + value
    }

    /// Writes its body, which fills `into`.
    pub(super) fn write(&self, into: &mut [u8]) {
        assert!(self.address <= ADDRESS_MASK, "an address has 40 bits");
        let value_bytes = self.value.len();
        let mut word = self.address;
        let (fixed, mut rest) = into.split_at_mut(16);
        if self.expiry != 0 {
            word |= HAS_EXPIRY;
            rest = put(rest, &self.expiry.to_le_bytes());
        }
        if self.flags != 0 {
            word |= HAS_FLAGS;
            rest = put(rest, &self.flags.to_le_bytes());
        }
        if self.is_large() {
            word |= LARGE;
            rest.copy_from_slice(&(value_bytes as u32).to_le_bytes());
        } else {
            word |= (value_bytes as u64) << ADDRESS_BITS;
            if self.value.tail.is_empty() {
                rest.copy_from_slice(self.value.head);
            } else {
                put(rest, self.value.head).copy_from_slice(self.value.tail);
            }
        }
        fixed[..8].copy_from_slice(&word.to_le_bytes());
        fixed[8..].copy_from_slice(&self.version.to_le_bytes());
    }
}

fn put<'a>(into: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (head, rest) = into.split_at_mut(bytes.len());
    head.copy_from_slice(bytes);
    rest
}

/// Reads the body that `page` begins with.
pub(super) fn read(page: &[u8]) -> Entry<'_> {
    let (word, page) = take(page);
    let word = u64::from_le_bytes(word);
    let (version, mut page) = take(page);
    let mut entry = Entry {
        value: None,
        value_bytes: 0,
        address: word & ADDRESS_MASK,
        version: u64::from_le_bytes(version),
        expiry: 0,
        flags: 0,
    };
    if word & (HAS_EXPIRY | HAS_FLAGS) != 0 {
        if word & HAS_EXPIRY != 0 {
            let (expiry, rest) = take(page);
            entry.expiry = u64::from_le_bytes(expiry);
            page = rest;
        }
        if word & HAS_FLAGS != 0 {
            let (flags, rest) = take(page);
            entry.flags = u32::from_le_bytes(flags);
            page = rest;
        }
    }
    if word & LARGE != 0 {
        entry.value_bytes = u32::from_le_bytes(take(page).0);
    } else {
        let value = &page[..inline_bytes(word)];
        entry.value = Some(value);
        entry.value_bytes = value.len() as u32;
    }
    entry
}

/// The size of the body that `page` begins with.
pub(super) fn body_bytes(page: &[u8]) -> usize {
    let word = u64::from_le_bytes(take(page).0);
    let expiry = if word & HAS_EXPIRY == 0 { 0 } else { 8 };
    let flags = if word & HAS_FLAGS == 0 { 0 } else { 4 };
    let value = if word & LARGE == 0 {
        inline_bytes(word)
    } else {
        4
    };
    16 + expiry + flags + value
}

/// Gives the body that `page` begins with the address `to`, if it has `from`.
pub(super) fn relocate(page: &mut [u8], from: Address, to: Address) -> bool {
    assert!(to <= ADDRESS_MASK, "an address has 40 bits");
    let word = u64::from_le_bytes(take(page).0);
    let moved = word & ADDRESS_MASK == from;
    if moved {
        page[..8].copy_from_slice(&(word & !ADDRESS_MASK | to).to_le_bytes());
    }
    moved
}

fn inline_bytes(word: u64) -> usize {
    (word >> ADDRESS_BITS & INLINE_MASK) as usize
}

fn take<const N: usize>(page: &[u8]) -> ([u8; N], &[u8]) {
    let (bytes, rest) = page
        .split_first_chunk()
        .expect("a body ends inside its page");
    (*bytes, rest)
}
