//! Records from and to servers of every protocol: all of them out of one, many of them into one.
//!
//! A [`Source`] lists a server's records, a [`Sink`] writes records to one. Both pipeline, and keep
//! only a few MiB of what is on its way, however many records there are. What a protocol has no
//! place for is counted in [`Losses`], never dropped in silence.

mod bulk;
mod http;
mod keys;
mod losses;
mod memcached;
mod pace;
mod pipeline;
mod redis;
mod rpc;
mod tycoon;
mod tyrant;

pub use losses::Losses;

use crate::{Error, Result, Scheme, ServerUrl};
use hakone_command::limits::KEY_BYTES_MAX;
use std::fmt::Debug;
use std::io::{Read, Seek, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// A record as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The key: any bytes.
    pub key: Vec<u8>,
    /// The value: any bytes.
    pub value: Vec<u8>,
    /// Milliseconds since the Unix epoch; 0 means never.
    pub expiry_ms: u64,
    /// The flags that memcached's clients keep with a value.
    pub flags: u32,
}

/// Lists the records of a server. What is written meanwhile may be part of it or not, and on some
/// servers a key may come twice.
pub trait Source: Debug {
    /// How many records there are, if the server tells, for a bar of progress: not exact.
    fn count(&self) -> Option<u64>;

    /// The next record, or `None` after the last. Blocks for the server.
    fn next(&mut self) -> Result<Option<Record>>;

    /// What could not be read so far.
    fn losses(&self) -> &Losses;
}

/// Writes records to a server, over those that are there.
pub trait Sink: Debug {
    /// Writes a record. It may still be on its way when this returns: [`Sink::finish`] tells. A
    /// record whose time has passed is not written.
    ///
    /// # Errors
    /// The refusal of this record or of one before it; see [`Error`].
    fn put(&mut self, record: &Record) -> Result<()>;

    /// Waits until all that was put is acknowledged.
    fn finish(&mut self) -> Result<()>;

    /// How many records the server has acknowledged.
    fn acknowledged(&self) -> u64;

    /// What could not be written whole so far.
    fn losses(&self) -> &Losses;
}

/// Room for what a server must not be kept waiting with: a file, or memory. Empty at first.
pub trait Spool: Read + Write + Seek + Debug {}

impl<T: Read + Write + Seek + Debug> Spool for T {}

/// Connects to a server to list its records, or only those whose keys begin with `prefix`. Where a
/// server should not be kept waiting with the list of its keys, that is read first into `spool`:
/// from all but Redis.
///
/// # Errors
/// `Unreachable`, `Protocol`; `Unsupported` if this server has no way to list its keys, and for
/// `hakone://`, which [`Client`](crate::Client) speaks.
pub fn source(url: &ServerUrl, prefix: &[u8], spool: Box<dyn Spool>) -> Result<Box<dyn Source>> {
    Ok(match url.scheme {
        Scheme::Redis => Box::new(redis::Listing::open(url, prefix)?),
        Scheme::Memcached => Box::new(memcached::Listing::open(url, prefix, spool)?),
        Scheme::Tyrant => Box::new(tyrant::list(url, prefix, spool)?),
        Scheme::Tycoon => Box::new(tycoon::list(url, prefix, spool)?),
        Scheme::Http => Box::new(http::Listing::open(url, prefix, spool)?),
        Scheme::Hakone => return Err(not_here(url)),
    })
}

/// Connects to a server to write records to it.
///
/// # Errors
/// `Unreachable`, `Protocol`; `Unsupported` for `hakone://`, which [`Client`](crate::Client)
/// speaks.
pub fn sink(url: &ServerUrl) -> Result<Box<dyn Sink>> {
    use pipeline::Pipeline;
    Ok(match url.scheme {
        Scheme::Redis => Box::new(Pipeline::new(redis::Writer::open(url)?)),
        Scheme::Memcached => Box::new(Pipeline::new(memcached::Writer::open(url)?)),
        Scheme::Tyrant => Box::new(Pipeline::new(tyrant::Writer::open(url)?)),
        Scheme::Tycoon => Box::new(Pipeline::new(tycoon::Writer::open(url)?)),
        Scheme::Http => Box::new(Pipeline::new(http::Writer::open(url)?)),
        Scheme::Hakone => return Err(not_here(url)),
    })
}

fn not_here(url: &ServerUrl) -> Error {
    Error::Unsupported {
        address: url.address.clone(),
        what: "is to be spoken to with a Client".to_owned(),
    }
}

/// Whether Hakone can hold such a key; one that it cannot is counted.
fn key_fits(key: &[u8], losses: &mut Losses) -> bool {
    let fits = key.len() <= KEY_BYTES_MAX;
    if !fits {
        losses.leave_out(KEY_TOO_LARGE);
    }
    fits
}

/// What is said of a key that is larger than any that Hakone keeps.
const KEY_TOO_LARGE: &str = "keys are larger than 64 KiB";

/// What is said of a value that is larger than any that Hakone keeps.
const VALUE_TOO_LARGE: &str = "values are larger than 32 MiB";

/// Milliseconds since the epoch, now.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The expiry in seconds, rounded up, so that nothing ends before its time. Counts it if that is
/// another time.
fn whole_seconds(expiry_ms: u64, losses: &mut Losses) -> u64 {
    if !expiry_ms.is_multiple_of(1000) {
        losses.reduce("expiry is rounded up to whole seconds");
    }
    expiry_ms.div_ceil(1000)
}

/// The expiry as Tycoon has it: the last second in which the record is there.
fn last_second(expiry_ms: u64, losses: &mut Losses) -> u64 {
    whole_seconds(expiry_ms, losses).saturating_sub(1)
}

/// The expiry of a record that is there to the end of a second.
fn end_of_second(second: u64) -> u64 {
    second.saturating_add(1).saturating_mul(1000)
}
