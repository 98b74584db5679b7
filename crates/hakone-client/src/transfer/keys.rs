//! A list of keys, read from a server in one go and kept in a spool: a server that is kept waiting
//! with its list holds a lock (memcached), gives up (Tycoon, after 30 s) or has its only iterator
//! taken by another client (Tyrant).

use super::{KEY_TOO_LARGE, Losses, Spool};
use crate::{Error, Result};
use hakone_command::limits::KEY_BYTES_MAX;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, Write as _};

/// Bytes written and read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A list that is being read from a server.
#[derive(Debug)]
pub(super) struct KeyList {
    spool: BufWriter<Box<dyn Spool>>,
    count: u64,
    losses: Losses,
}

impl KeyList {
    pub(super) fn new(spool: Box<dyn Spool>) -> KeyList {
        KeyList {
            spool: BufWriter::with_capacity(BUFFER_BYTES, spool),
            count: 0,
            losses: Losses::default(),
        }
    }

    /// Adds a key and its expiry in ms. One that is larger than any that Hakone keeps is counted.
    pub(super) fn push(&mut self, key: &[u8], expiry_ms: u64) -> Result<()> {
        if key.len() > KEY_BYTES_MAX {
            self.leave_out();
            return Ok(());
        }
        self.count += 1;
        let key_bytes = key.len() as u64;
        [&key_bytes.to_le_bytes(), &expiry_ms.to_le_bytes(), key]
            .iter()
            .try_for_each(|bytes| self.spool.write_all(bytes))
            .map_err(Error::Spool)
    }

    /// Counts a key that is larger than any that Hakone keeps.
    pub(super) fn leave_out(&mut self) {
        self.losses.leave_out(KEY_TOO_LARGE);
    }

    /// The list is whole: now it is read.
    pub(super) fn finish(self) -> Result<Keys> {
        let mut spool = self
            .spool
            .into_inner()
            .map_err(|error| Error::Spool(error.into_error()))?;
        spool.rewind().map_err(Error::Spool)?;
        Ok(Keys {
            spool: BufReader::with_capacity(BUFFER_BYTES, spool),
            left: self.count,
            count: self.count,
            losses: self.losses,
        })
    }
}

/// A list of keys and their expiry.
#[derive(Debug)]
pub(super) struct Keys {
    spool: BufReader<Box<dyn Spool>>,
    left: u64,
    count: u64,
    losses: Losses,
}

impl Keys {
    /// How many keys the whole list has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The losses of the list, to which those of its records are added.
    pub(super) fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// The next key and its expiry in ms, or `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<(Vec<u8>, u64)>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut number = || {
            let mut bytes = [0; 8];
            self.spool.read_exact(&mut bytes).map_err(Error::Spool)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let (key_bytes, expiry_ms) = (number()?, number()?);
        let mut key = Vec::new();
        self.spool
            .by_ref()
            .take(key_bytes)
            .read_to_end(&mut key)
            .map_err(Error::Spool)?;
        Ok(Some((key, expiry_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_list_comes_back_in_order() {
        let mut list = KeyList::new(Box::new(Cursor::new(Vec::new())));
        let large = vec![b'k'; KEY_BYTES_MAX + 1];
        for (key, expiry_ms) in [(&b"a"[..], 0), (b"", 7), (&large, 1), (b"\xff\n", u64::MAX)] {
            list.push(key, expiry_ms).unwrap();
        }
        let mut keys = list.finish().unwrap();
        assert_eq!(keys.count(), 3);
        assert_eq!(keys.take_losses().left_out_count(), 1);
        for (key, expiry_ms) in [(&b"a"[..], 0), (b"", 7), (b"\xff\n", u64::MAX)] {
            assert_eq!(keys.next().unwrap(), Some((key.to_vec(), expiry_ms)));
        }
        assert_eq!(keys.next().unwrap(), None);
    }
}
