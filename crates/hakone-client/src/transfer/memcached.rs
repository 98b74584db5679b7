//! Memcached: the crawler's dump for the keys, get for values and flags; set to write. Keys that
//! the text protocol cannot say go as base64 in meta commands, where the server has those.

use super::keys::{KeyList, Keys};
use super::pace::{Pace, REQUEST_BYTES};
use super::pipeline::Write;
use super::{Losses, Record, Source, Spool, VALUE_TOO_LARGE, whole_seconds};
use crate::base64;
use crate::connection::Connection;
use crate::url::percent_decode;
use crate::{Error, Result, ServerUrl};
use std::collections::VecDeque;
use std::io::Write as _;

/// What the protocol is called in messages.
const NAME: &str = "memcached's text protocol";

/// Bytes of a line of a reply: a key with each byte as `%XX`, and numbers. Hakone's keys may be
/// longer than those of memcached.
const LINE_BYTES_MAX: usize = 256 << 10;

/// Bytes of a key, in the form in which it is sent.
const KEY_BYTES_MAX: usize = 250;

/// The last second that memcached's own times can tell: in January 2038.
const SECONDS_MAX: u64 = i32::MAX as u64;

/// A connection and what the server can do.
#[derive(Debug)]
struct Memcached {
    connection: Connection,
    /// Whether it has meta commands (1.6).
    has_meta: bool,
}

impl Memcached {
    fn open(url: &ServerUrl) -> Result<Memcached> {
        let mut connection = Connection::open(&url.address, NAME)?;
        connection.output().extend_from_slice(b"mn\r\n");
        connection.flush()?;
        let line = connection.line(LINE_BYTES_MAX)?;
        let has_meta = line == b"MN";
        if !has_meta && line != b"ERROR" {
            return Err(refusal(&connection, &line));
        }
        Ok(Memcached {
            connection,
            has_meta,
        })
    }

    /// Reads the block of a value and the line end behind it.
    fn value(&mut self, bytes: u64) -> Result<Option<Vec<u8>>> {
        let value = self.connection.value(bytes)?;
        if self.connection.array()? != *b"\r\n" {
            let what = "a value is longer than it says".to_owned();
            return Err(self.connection.unexpected(what));
        }
        Ok(value)
    }
}

/// What a line means that is no reply to what was asked: an error in words, or something else.
fn refusal(connection: &Connection, line: &[u8]) -> Error {
    let text = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
    let is_error = line.starts_with(b"SERVER_ERROR ")
        || line.starts_with(b"CLIENT_ERROR ")
        || line.starts_with(b"ERROR");
    if is_error {
        Error::Refused(text)
    } else {
        connection.unexpected(format!("it sent {text:?}"))
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a key may stand in a line as it is.
fn is_word(key: &[u8]) -> bool {
    !key.is_empty() && key.iter().all(|&byte| byte > b' ' && byte != 0x7f)
}

/// All items of a memcached.
#[derive(Debug)]
pub(super) struct Listing {
    memcached: Memcached,
    keys: Keys,
    is_done: bool,
    /// Keys of a get whose values are on their way, with their expiry.
    asked: VecDeque<(Vec<u8>, u64)>,
    is_get_due: bool,
    /// Keys of meta gets whose values are on their way.
    asked_meta: VecDeque<(Vec<u8>, u64)>,
    pace: Pace,
    losses: Losses,
}

impl Listing {
    pub(super) fn open(url: &ServerUrl, prefix: &[u8], spool: Box<dyn Spool>) -> Result<Listing> {
        let memcached = Memcached::open(url)?;
        let mut keys = dump(url, prefix, spool)?;
        Ok(Listing {
            memcached,
            losses: keys.take_losses(),
            keys,
            is_done: false,
            asked: VecDeque::new(),
            is_get_due: false,
            asked_meta: VecDeque::new(),
            pace: Pace::new(),
        })
    }

    fn ask(&mut self) -> Result<()> {
        let mut get = b"get".to_vec();
        let mut meta = Vec::new();
        for _ in 0..self.pace.begin() {
            let Some((key, expiry_ms)) = self.keys.next()? else {
                self.is_done = true;
                break;
            };
            if is_word(&key) {
                get.push(b' ');
                get.extend_from_slice(&key);
                self.asked.push_back((key, expiry_ms));
            } else if self.memcached.has_meta {
                meta.extend_from_slice(b"mg ");
                base64::encode(&key, &mut meta);
                meta.extend_from_slice(b" b v f\r\n");
                self.asked_meta.push_back((key, expiry_ms));
            } else {
                self.losses.leave_out(KEY_UNSPEAKABLE);
            }
            if get.len() + meta.len() >= REQUEST_BYTES {
                break;
            }
        }
        if !self.asked.is_empty() {
            let out = self.memcached.connection.output();
            out.extend_from_slice(&get);
            out.extend_from_slice(b"\r\n");
            self.is_get_due = true;
        }
        self.memcached.connection.output().extend_from_slice(&meta);
        self.memcached.connection.flush()
    }

    /// Reads the next value of a get, or its end.
    fn receive(&mut self) -> Result<Option<Record>> {
        let line = self.memcached.connection.line(LINE_BYTES_MAX)?;
        if line == b"END" {
            self.asked.clear();
            self.is_get_due = false;
            return Ok(None);
        }
        let mut words = line.split(|&byte| byte == b' ');
        let head = (
            words.next(),
            words.next(),
            words.next().and_then(number),
            words.next().and_then(number),
        );
        let (Some(b"VALUE"), Some(key), Some(flags), Some(bytes)) = head else {
            return Err(refusal(&self.memcached.connection, &line));
        };
        // Items that have gone since the dump are passed over in silence, in order.
        let expiry_ms = loop {
            match self.asked.pop_front() {
                Some((asked, expiry_ms)) if asked == key => break expiry_ms,
                Some(_) => {}
                None => return Err(refusal(&self.memcached.connection, &line)),
            }
        };
        self.record(key.to_vec(), flags, bytes, expiry_ms)
    }

    /// Reads the reply to a meta get.
    fn receive_meta(&mut self, key: Vec<u8>, expiry_ms: u64) -> Result<Option<Record>> {
        let line = self.memcached.connection.line(LINE_BYTES_MAX)?;
        if line == b"EN" {
            return Ok(None);
        }
        let mut words = line.split(|&byte| byte == b' ');
        let (Some(b"VA"), Some(bytes)) = (words.next(), words.next().and_then(number)) else {
            return Err(refusal(&self.memcached.connection, &line));
        };
        let flags = words
            .find_map(|word| number(word.strip_prefix(b"f")?))
            .unwrap_or(0);
        self.record(key, flags, bytes, expiry_ms)
    }

    fn record(
        &mut self,
        key: Vec<u8>,
        flags: u64,
        bytes: u64,
        expiry_ms: u64,
    ) -> Result<Option<Record>> {
        let Some(value) = self.memcached.value(bytes)? else {
            self.losses.leave_out(VALUE_TOO_LARGE);
            return Ok(None);
        };
        self.pace.record(value.len());
        Ok(Some(Record {
            key,
            value,
            expiry_ms,
            // 32 bits, by the protocol.
            flags: u32::try_from(flags).unwrap_or(u32::MAX),
        }))
    }
}

/// Reads the whole dump of the keys of all items and their expiry: the walk over the hash table
/// misses nothing, but it holds a lock while it waits for its reader, and other clients wait too.
fn dump(url: &ServerUrl, prefix: &[u8], spool: Box<dyn Spool>) -> Result<Keys> {
    let (mut dump, mut line) = begin_dump(url)?;
    dump.wait_for_a_list()?;
    let mut list = KeyList::new(spool);
    while line != b"END" {
        let Some((key, expiry_ms)) = dumped(&line) else {
            return Err(refusal(&dump, &line));
        };
        if key.starts_with(prefix) {
            list.push(&key, expiry_ms)?;
        }
        line = dump.line(LINE_BYTES_MAX)?;
    }
    list.finish()
}

/// Asks for the dump on a connection of its own, since it cannot be pipelined, and reads its first
/// line. Older servers have no walk over the hash table, only one over the lists in order of use,
/// which an item that moves meanwhile may jump over.
fn begin_dump(url: &ServerUrl) -> Result<(Connection, Vec<u8>)> {
    let mut dump = Connection::open(&url.address, NAME)?;
    let mut first = Vec::new();
    for walk in ["hash", "all"] {
        write!(dump.output(), "lru_crawler metadump {walk}\r\n")
            .unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
        dump.flush()?;
        first = dump.line(LINE_BYTES_MAX)?;
        if first == b"END" || first.starts_with(b"key=") {
            return Ok((dump, first));
        }
    }
    let shown = String::from_utf8_lossy(&first[..first.len().min(60)]).into_owned();
    if first.starts_with(b"BUSY") {
        return Err(Error::Refused(format!("{shown}; try again later")));
    }
    Err(Error::Unsupported {
        address: url.address.clone(),
        what: format!(
            "does not list its keys (lru_crawler metadump: {shown:?}); memcached does from 1.4.31 on"
        ),
    })
}

/// What is said of keys with blanks and the like, and of empty ones.
const KEY_UNSPEAKABLE: &str = "keys cannot be said in memcached's text protocol";

/// The key and the expiry in ms of a line of the dump.
fn dumped(line: &[u8]) -> Option<(Vec<u8>, u64)> {
    let mut words = line.split(|&byte| byte == b' ');
    let key = percent_decode(words.next()?.strip_prefix(b"key=")?)?;
    let expiry = words.find_map(|word| word.strip_prefix(b"exp="))?;
    let seconds = std::str::from_utf8(expiry).ok()?.parse::<i64>().ok()?;
    Some((
        key,
        u64::try_from(seconds).unwrap_or(0).saturating_mul(1000),
    ))
}

impl Source for Listing {
    fn count(&self) -> Option<u64> {
        Some(self.keys.count())
    }

    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let record = if self.is_get_due {
                self.receive()?
            } else if let Some((key, expiry_ms)) = self.asked_meta.pop_front() {
                self.receive_meta(key, expiry_ms)?
            } else if self.is_done {
                return Ok(None);
            } else {
                self.ask()?;
                None
            };
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

/// Writes to a memcached.
#[derive(Debug)]
pub(super) struct Writer {
    memcached: Memcached,
}

impl Writer {
    pub(super) fn open(url: &ServerUrl) -> Result<Writer> {
        Ok(Writer {
            memcached: Memcached::open(url)?,
        })
    }
}

impl Write for Writer {
    // Eight bytes a reply, some dozens for an error.
    const BATCH_RECORDS: u64 = 1000;

    fn add(&mut self, record: &Record, losses: &mut Losses) -> Result<bool> {
        let mut key = Vec::new();
        let is_meta = !is_word(&record.key);
        if is_meta {
            if record.key.is_empty() || !self.memcached.has_meta {
                losses.leave_out(KEY_UNSPEAKABLE);
                return Ok(false);
            }
            base64::encode(&record.key, &mut key);
        } else {
            key.extend_from_slice(&record.key);
        }
        if key.len() > KEY_BYTES_MAX {
            losses.leave_out("keys are longer than memcached takes");
            return Ok(false);
        }
        let mut seconds = whole_seconds(record.expiry_ms, losses);
        if seconds > SECONDS_MAX {
            losses.reduce("expiry after 2038 becomes none");
            seconds = 0;
        }
        let (flags, bytes) = (record.flags, record.value.len());
        let out = self.memcached.connection.output();
        out.extend_from_slice(if is_meta { b"ms " } else { b"set " });
        out.extend_from_slice(&key);
        let written = if is_meta {
            write!(out, " {bytes} b F{flags} T{seconds}\r\n")
        } else {
            write!(out, " {flags} {seconds} {bytes}\r\n")
        };
        written.unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
        out.extend_from_slice(&record.value);
        out.extend_from_slice(b"\r\n");
        Ok(true)
    }

    fn batch_bytes(&self) -> usize {
        self.memcached.connection.unsent_bytes()
    }

    fn send(&mut self) -> Result<()> {
        self.memcached.connection.flush()
    }

    fn receive(&mut self, count: u64, written: &mut u64, losses: &mut Losses) -> Result<()> {
        for _ in 0..count {
            let line = self.memcached.connection.line(LINE_BYTES_MAX)?;
            match &line[..] {
                b"STORED" | b"HD" => *written += 1,
                b"SERVER_ERROR object too large for cache" => {
                    losses.leave_out("values are larger than the server takes");
                }
                _ => return Err(refusal(&self.memcached.connection, &line)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_dump_are_read() {
        assert_eq!(
            dumped(b"key=a%20b exp=-1 la=1795312258 cas=7 fetch=yes cls=1 size=68"),
            Some((b"a b".to_vec(), 0))
        );
        assert_eq!(
            dumped(b"key=k exp=2147483647"),
            Some((b"k".to_vec(), 2_147_483_647_000))
        );
        for line in ["END", "key=a%2 exp=-1", "key=a", "key=a exp=x", "ERROR"] {
            assert_eq!(dumped(line.as_bytes()), None, "{line}");
        }
    }
}
