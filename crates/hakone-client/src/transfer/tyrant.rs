//! Tokyo Tyrant: the server's iterator for the keys, or fwmkeys for a prefix; mget for the values;
//! put to write.

use super::bulk::{Bulk, Listing, size};
use super::keys::KeyList;
use super::pipeline::Write;
use super::redis::FLAGS_LOST;
use super::{Losses, Record, Spool};
use crate::connection::Connection;
use crate::{Error, Result, ServerUrl};
use hakone_command::limits::KEY_BYTES_MAX;

/// What the protocol is called in messages.
const NAME: &str = "Tokyo Tyrant's protocol";

const PUT: [u8; 2] = [0xc8, 0x10];
const MGET: [u8; 2] = [0xc8, 0x31];
const ITERINIT: [u8; 2] = [0xc8, 0x50];
const ITERNEXT: [u8; 2] = [0xc8, 0x51];
const FWMKEYS: [u8; 2] = [0xc8, 0x58];
const RNUM: [u8; 2] = [0xc8, 0x80];

/// Steps of the iterator asked for at once: two bytes each.
const STEPS: usize = 1000;

/// A connection to a Tyrant.
#[derive(Debug)]
pub(super) struct Tyrant {
    connection: Connection,
}

impl Tyrant {
    fn open(url: &ServerUrl) -> Result<Tyrant> {
        let connection = Connection::open(&url.address, NAME)?;
        Ok(Tyrant { connection })
    }

    /// The first byte of a reply: whether the command succeeded.
    fn status(&mut self) -> Result<bool> {
        match self.connection.array()? {
            [0] => Ok(true),
            [1] => Ok(false),
            [other] => Err(self
                .connection
                .unexpected(format!("a reply begins with byte {other:#04x}"))),
        }
    }

    fn number(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.connection.array()?))
    }

    /// How many records there are.
    fn count(&mut self) -> Result<u64> {
        self.connection.output().extend_from_slice(&RNUM);
        self.connection.flush()?;
        if !self.status()? {
            return Err(refused("rnum"));
        }
        Ok(u64::from_be_bytes(self.connection.array()?))
    }

    /// Reads a key into the list.
    fn key(&mut self, list: &mut KeyList) -> Result<()> {
        let bytes = self.number()?;
        if let Some(key) = self.connection.bytes(bytes.into(), KEY_BYTES_MAX)? {
            return list.push(&key, 0);
        }
        list.leave_out();
        Ok(())
    }

    /// Reads all keys with the server's one iterator.
    fn iterate(&mut self, list: &mut KeyList) -> Result<()> {
        self.connection.output().extend_from_slice(&ITERINIT);
        self.connection.flush()?;
        // An empty tree refuses.
        let mut is_there = self.status()?;
        while is_there {
            let steps = ITERNEXT.repeat(STEPS);
            self.connection.output().extend_from_slice(&steps);
            self.connection.flush()?;
            // After the end every step fails.
            for _ in 0..STEPS {
                is_there = self.status()?;
                if is_there {
                    self.key(list)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the keys that begin with `prefix`.
    fn match_prefix(&mut self, prefix: &[u8], list: &mut KeyList) -> Result<()> {
        let out = self.connection.output();
        out.extend_from_slice(&FWMKEYS);
        size(prefix.len(), out);
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        out.extend_from_slice(prefix);
        self.connection.flush()?;
        if !self.status()? {
            return Err(refused("fwmkeys"));
        }
        for _ in 0..self.number()? {
            self.key(list)?;
        }
        Ok(())
    }
}

fn refused(command: &str) -> Error {
    Error::Refused(format!("{command} failed (status 1)"))
}

/// All records of a Tyrant.
pub(super) fn list(
    url: &ServerUrl,
    prefix: &[u8],
    spool: Box<dyn Spool>,
) -> Result<Listing<Tyrant>> {
    let mut tyrant = Tyrant::open(url)?;
    let mut list = KeyList::new(spool);
    let counted = tyrant.count()?;
    tyrant.connection.wait_for_a_list()?;
    if prefix.is_empty() {
        tyrant.iterate(&mut list)?;
    } else {
        tyrant.match_prefix(prefix, &mut list)?;
    }
    let mut keys = list.finish()?;
    let mut losses = keys.take_losses();
    let seen = keys.count() + losses.left_out_count();
    if prefix.is_empty() && seen < counted {
        losses.note(format!(
            "the server counted {counted} records and its iterator gave {seen}: records were \
                 removed or expired, or another client used the iterator; then try again without it"
        ));
    }
    Ok(Listing::new(tyrant, keys, losses))
}

impl Bulk for Tyrant {
    fn key(&self, key: &[u8], body: &mut Vec<u8>) {
        size(key.len(), body);
        body.extend_from_slice(key);
    }

    fn ask(&mut self, count: u32, body: &[u8]) -> Result<u32> {
        let out = self.connection.output();
        out.extend_from_slice(&MGET);
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(body);
        self.connection.flush()?;
        if !self.status()? {
            return Err(refused("mget"));
        }
        self.number()
    }

    fn receive(&mut self) -> Result<Option<Record>> {
        let (key_bytes, value_bytes) = (self.number()?, self.number()?);
        let key = self.connection.bytes(key_bytes.into(), KEY_BYTES_MAX)?;
        let value = self.connection.value(value_bytes.into())?;
        Ok(key.zip(value).map(|(key, value)| Record {
            key,
            value,
            expiry_ms: 0,
            flags: 0,
        }))
    }
}

/// Writes to a Tyrant.
#[derive(Debug)]
pub(super) struct Writer {
    tyrant: Tyrant,
}

impl Writer {
    pub(super) fn open(url: &ServerUrl) -> Result<Writer> {
        Ok(Writer {
            tyrant: Tyrant::open(url)?,
        })
    }
}

impl Write for Writer {
    // One byte a reply, each in a packet of its own.
    const BATCH_RECORDS: u64 = 500;

    fn add(&mut self, record: &Record, losses: &mut Losses) -> Result<bool> {
        if record.flags != 0 {
            losses.reduce(FLAGS_LOST);
        }
        if record.expiry_ms != 0 {
            losses.reduce("expiry is lost: Tyrant has none");
        }
        let out = self.tyrant.connection.output();
        out.extend_from_slice(&PUT);
        size(record.key.len(), out);
        size(record.value.len(), out);
        out.extend_from_slice(&record.key);
        out.extend_from_slice(&record.value);
        Ok(true)
    }

    fn batch_bytes(&self) -> usize {
        self.tyrant.connection.unsent_bytes()
    }

    fn send(&mut self) -> Result<()> {
        self.tyrant.connection.flush()
    }

    fn receive(&mut self, count: u64, written: &mut u64, _: &mut Losses) -> Result<()> {
        for _ in 0..count {
            if !self.tyrant.status()? {
                return Err(refused("put"));
            }
            *written += 1;
        }
        Ok(())
    }
}
