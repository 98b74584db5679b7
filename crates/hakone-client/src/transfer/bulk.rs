//! Records that are asked for by their keys, many in one request: what the binary protocols share.

use super::keys::Keys;
use super::pace::{Pace, REQUEST_BYTES};
use super::{Losses, Record, Source, VALUE_TOO_LARGE};
use crate::Result;
use std::fmt::Debug;

/// A protocol that has such a request.
pub(super) trait Bulk: Debug {
    /// Appends a key as it stands in the request.
    fn key(&self, key: &[u8], body: &mut Vec<u8>);

    /// Asks for so many keys, and reads how many records there are.
    fn ask(&mut self, count: u32, body: &[u8]) -> Result<u32>;

    /// Reads the next record, `None` where it is larger than records are.
    fn receive(&mut self) -> Result<Option<Record>>;
}

/// All records of a list of keys.
#[derive(Debug)]
pub(super) struct Listing<B> {
    bulk: B,
    keys: Keys,
    /// Records that are due.
    due: u32,
    pace: Pace,
    losses: Losses,
}

impl<B: Bulk> Listing<B> {
    pub(super) fn new(bulk: B, keys: Keys, losses: Losses) -> Listing<B> {
        Listing {
            bulk,
            keys,
            due: 0,
            pace: Pace::new(),
            losses,
        }
    }

    /// Asks for the next records. Returns whether there are more keys.
    fn ask(&mut self) -> Result<bool> {
        let mut body = Vec::new();
        let mut count = 0;
        for _ in 0..self.pace.begin() {
            let Some((key, _)) = self.keys.next()? else {
                break;
            };
            self.bulk.key(&key, &mut body);
            count += 1;
            if body.len() >= REQUEST_BYTES {
                break;
            }
        }
        if count == 0 {
            return Ok(false);
        }
        self.due = self.bulk.ask(count, &body)?;
        Ok(true)
    }
}

impl<B: Bulk> Source for Listing<B> {
    fn count(&self) -> Option<u64> {
        Some(self.keys.count())
    }

    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if self.due > 0 {
                self.due -= 1;
                if let Some(record) = self.bulk.receive()? {
                    self.pace.record(record.value.len());
                    return Ok(Some(record));
                }
                self.losses.leave_out(VALUE_TOO_LARGE);
            } else if !self.ask()? {
                return Ok(None);
            }
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

/// Appends a size as both protocols have it.
pub(super) fn size(bytes: usize, out: &mut Vec<u8>) {
    // Keys and values are within the limits of a record.
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    out.extend_from_slice(&bytes.to_be_bytes());
}
