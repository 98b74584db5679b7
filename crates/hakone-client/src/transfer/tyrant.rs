//! Tokyo Tyrant: the server's iterator for the keys, or fwmkeys for a prefix; mget for the values;
//! put to write.

use super::pace::{Pace, REQUEST_BYTES};
use super::pipeline::Write;
use super::redis::FLAGS_LOST;
use super::{KEY_TOO_LARGE, Losses, Record, Source, VALUE_TOO_LARGE};
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
struct Tyrant {
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

    /// A key, or `None` if it is larger than any that Hakone keeps.
    fn key(&mut self) -> Result<Option<Vec<u8>>> {
        let bytes = self.number()?;
        self.connection.bytes(bytes.into(), KEY_BYTES_MAX)
    }
}

fn refused(command: &str) -> Error {
    Error::Refused(format!("{command} failed (status 1)"))
}

/// Where keys come from: a connection of its own, which waits while values are read.
#[derive(Debug)]
enum Keys {
    /// The server's iterator: the replies to so many steps are due.
    Iterator {
        due: usize,
        tyrant: Tyrant,
    },
    /// The reply to fwmkeys: so many keys are due.
    Prefix {
        due: u32,
        tyrant: Tyrant,
    },
    End,
}

/// All records of a Tyrant.
#[derive(Debug)]
pub(super) struct Listing {
    /// For values.
    tyrant: Tyrant,
    count: u64,
    keys: Keys,
    /// Keys that are not asked for yet.
    waiting: Vec<Vec<u8>>,
    /// Values that are due.
    due: u32,
    pace: Pace,
    seen: u64,
    is_whole: bool,
    losses: Losses,
}

impl Listing {
    pub(super) fn open(url: &ServerUrl, prefix: &[u8]) -> Result<Listing> {
        let mut values = Tyrant::open(url)?;
        let count = values.count()?;
        let mut tyrant = Tyrant::open(url)?;
        let out = tyrant.connection.output();
        let keys = if prefix.is_empty() {
            out.extend_from_slice(&ITERINIT);
            tyrant.connection.flush()?;
            // An empty tree refuses.
            if tyrant.status()? {
                Keys::Iterator { due: 0, tyrant }
            } else {
                Keys::End
            }
        } else {
            out.extend_from_slice(&FWMKEYS);
            size(prefix.len(), out);
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            out.extend_from_slice(prefix);
            tyrant.connection.flush()?;
            if !tyrant.status()? {
                return Err(refused("fwmkeys"));
            }
            let due = tyrant.number()?;
            Keys::Prefix { due, tyrant }
        };
        Ok(Listing {
            tyrant: values,
            count,
            is_whole: prefix.is_empty(),
            keys,
            waiting: Vec::new(),
            due: 0,
            pace: Pace::new(),
            seen: 0,
            losses: Losses::default(),
        })
    }

    /// Reads keys until there are `wanted` or no more.
    fn gather(&mut self, wanted: usize) -> Result<()> {
        let mut bytes = 0;
        while self.waiting.len() < wanted && bytes < REQUEST_BYTES {
            let key = match &mut self.keys {
                Keys::End => return Ok(()),
                Keys::Iterator { due, tyrant } => {
                    if *due == 0 {
                        *due = STEPS;
                        let steps = ITERNEXT.repeat(STEPS);
                        tyrant.connection.output().extend_from_slice(&steps);
                        tyrant.connection.flush()?;
                    }
                    *due -= 1;
                    if !tyrant.status()? {
                        self.end();
                        return Ok(());
                    }
                    tyrant.key()?
                }
                Keys::Prefix { due: 0, .. } => {
                    self.keys = Keys::End;
                    return Ok(());
                }
                Keys::Prefix { due, tyrant } => {
                    *due -= 1;
                    tyrant.key()?
                }
            };
            self.seen += 1;
            match key {
                Some(key) => {
                    bytes += key.len() + 4;
                    self.waiting.push(key);
                }
                None => self.losses.leave_out(KEY_TOO_LARGE),
            }
        }
        Ok(())
    }

    /// The iterator is at its end. There is one for the whole server: what it did not give is said.
    fn end(&mut self) {
        self.keys = Keys::End;
        if self.seen < self.count {
            self.losses.note(format!(
                "the server counted {} records and its iterator gave {}: records were removed \
                 meanwhile, or another client used the iterator; then try again without it",
                self.count, self.seen
            ));
        }
    }

    /// Asks for the values of the keys at hand.
    fn ask(&mut self) -> Result<()> {
        let out = self.tyrant.connection.output();
        out.extend_from_slice(&MGET);
        size(self.waiting.len(), out);
        for key in self.waiting.drain(..) {
            size(key.len(), out);
            out.extend_from_slice(&key);
        }
        self.tyrant.connection.flush()?;
        if !self.tyrant.status()? {
            return Err(refused("mget"));
        }
        self.due = self.tyrant.number()?;
        Ok(())
    }

    fn receive(&mut self) -> Result<Option<Record>> {
        self.due -= 1;
        let (key_bytes, value_bytes) = (self.tyrant.number()?, self.tyrant.number()?);
        let key = self
            .tyrant
            .connection
            .bytes(key_bytes.into(), KEY_BYTES_MAX)?;
        let value = self.tyrant.connection.value(value_bytes.into())?;
        let (Some(key), Some(value)) = (key, value) else {
            self.losses.leave_out(VALUE_TOO_LARGE);
            return Ok(None);
        };
        self.pace.record(value.len());
        Ok(Some(Record {
            key,
            value,
            expiry_ms: 0,
            flags: 0,
        }))
    }
}

fn size(bytes: usize, out: &mut Vec<u8>) {
    // Keys and values are within the limits of a record, and batches within ours.
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    out.extend_from_slice(&bytes.to_be_bytes());
}

impl Source for Listing {
    fn count(&self) -> Option<u64> {
        self.is_whole.then_some(self.count)
    }

    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if self.due > 0 {
                if let Some(record) = self.receive()? {
                    return Ok(Some(record));
                }
                continue;
            }
            let wanted = self.pace.begin();
            self.gather(wanted)?;
            if self.waiting.is_empty() {
                return Ok(None);
            }
            self.ask()?;
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
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
    // One byte a reply.
    const BATCH_RECORDS: u64 = 4000;

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
