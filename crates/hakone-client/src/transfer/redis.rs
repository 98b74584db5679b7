//! Redis: SCAN for the keys, then GET and the expiry of each; SET with an expiry to write.

use super::pace::{Pace, REQUEST_BYTES};
use super::pipeline::Write;
use super::{Losses, Record, Source, VALUE_TOO_LARGE, key_fits, now_ms};
use crate::client::Value;
use crate::{Client, Error, Reply, Result, ServerUrl};
use std::collections::VecDeque;

/// Keys that a page of SCAN is to have.
const PAGE_KEYS: &[u8] = b"1000";

/// What is said of flags that another protocol has set.
pub(super) const FLAGS_LOST: &str = "flags are lost";

/// A connection to a Redis, logged in and in the right database.
#[derive(Debug)]
struct Redis {
    client: Client,
    /// Whether it knows absolute times in milliseconds (Redis 7): exact, where the others are not.
    is_exact: bool,
}

impl Redis {
    fn open(url: &ServerUrl) -> Result<Redis> {
        let mut client = Client::connect_plain(&url.address)?;
        match &url.login {
            None => {}
            Some((user, password)) if user.is_empty() => {
                client.call(&[b"AUTH", password.as_bytes()])?;
            }
            Some((user, password)) => {
                client.call(&[b"AUTH", user.as_bytes(), password.as_bytes()])?;
            }
        }
        if let Some(database) = &url.database {
            client.call(&[b"SELECT", database.as_bytes()])?;
        }
        let is_exact = match client.call(&[b"PEXPIRETIME", b""]) {
            Ok(_) => true,
            // Anything else than an unknown command is a refusal of all commands.
            Err(Error::Refused(text)) if text.starts_with("ERR unknown command") => false,
            Err(error) => return Err(error),
        };
        Ok(Redis { client, is_exact })
    }

    fn unexpected(&self, request: &str) -> Error {
        let what = format!("its reply to {request} has another shape");
        self.client.unexpected(what)
    }
}

/// All records of a Redis.
#[derive(Debug)]
pub(super) struct Listing {
    redis: Redis,
    count: Option<u64>,
    /// MATCH and a pattern for the prefix, or nothing.
    pattern: Option<Vec<u8>>,
    /// Where the next page of keys begins, until there is none.
    cursor: Option<Vec<u8>>,
    keys: VecDeque<Vec<u8>>,
    /// Keys whose replies are on their way, and one of which the reply to GET was read.
    asked: VecDeque<Vec<u8>>,
    /// Keys whose values are no strings.
    others: Vec<Vec<u8>>,
    pace: Pace,
    losses: Losses,
}

impl Listing {
    pub(super) fn open(url: &ServerUrl, prefix: &[u8]) -> Result<Listing> {
        let mut redis = Redis::open(url)?;
        let count = redis.client.call(&[b"DBSIZE"])?.as_number();
        Ok(Listing {
            redis,
            count: count.and_then(|count| u64::try_from(count).ok()),
            pattern: (!prefix.is_empty()).then(|| pattern(prefix)),
            cursor: Some(b"0".to_vec()),
            keys: VecDeque::new(),
            asked: VecDeque::new(),
            others: Vec::new(),
            pace: Pace::new(),
            losses: Losses::default(),
        })
    }

    /// Reads the next page of keys.
    fn scan(&mut self, cursor: &[u8]) -> Result<()> {
        let mut request: Vec<&[u8]> = vec![b"SCAN", cursor, b"COUNT", PAGE_KEYS];
        if let Some(pattern) = &self.pattern {
            request.extend([&b"MATCH"[..], pattern]);
        }
        let page = self.redis.client.call(&request)?.into_array();
        let parts: Option<[Reply; 2]> = page.and_then(|page| page.try_into().ok());
        let unexpected = || self.redis.unexpected("SCAN");
        let [next, keys] = parts.ok_or_else(unexpected)?;
        let next = next.into_bytes().ok_or_else(unexpected)?;
        for key in keys.into_array().ok_or_else(unexpected)? {
            let key = key.into_bytes().ok_or_else(unexpected)?;
            if key_fits(&key, &mut self.losses) {
                self.keys.push_back(key);
            }
        }
        self.cursor = (next != b"0").then_some(next);
        Ok(())
    }

    /// Asks for the next values and their expiry.
    fn ask(&mut self) -> Result<()> {
        let expiry: &[u8] = if self.redis.is_exact {
            b"PEXPIRETIME"
        } else {
            b"PTTL"
        };
        for _ in 0..self.pace.begin() {
            let Some(key) = self.keys.pop_front() else {
                break;
            };
            self.redis.client.send(&[b"GET", &key]);
            self.redis.client.send(&[expiry, &key]);
            self.asked.push_back(key);
            if self.redis.client.unsent_bytes() >= REQUEST_BYTES {
                break;
            }
        }
        self.redis.client.flush()
    }

    /// Reads the replies for a key. There is no record if it has gone meanwhile or is no string.
    fn receive(&mut self, key: Vec<u8>) -> Result<Option<Record>> {
        let value = self.redis.client.receive_value();
        let expiry = self.redis.client.receive();
        let value = match value {
            Ok(value) => value,
            Err(Error::Refused(text)) if text.starts_with("WRONGTYPE") => {
                self.others.push(key);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let value = match value {
            Value::Bytes(value) => value,
            Value::TooLarge => {
                self.losses.leave_out(VALUE_TOO_LARGE);
                return Ok(None);
            }
            Value::Missing | Value::Error(_) => return Ok(None),
        };
        self.pace.record(value.len());
        let expiry_ms = match expiry?.as_number() {
            Some(-1) => 0,
            // It has expired since its value was read.
            Some(-2) => return Ok(None),
            Some(time) => {
                let time = u64::try_from(time).unwrap_or(0);
                if self.redis.is_exact {
                    time
                } else {
                    now_ms().saturating_add(time)
                }
            }
            None => return Err(self.redis.unexpected("PEXPIRETIME")),
        };
        Ok(Some(Record {
            key,
            value,
            expiry_ms,
            flags: 0,
        }))
    }

    /// Asks of what types the values are that are no strings, so that they can be told.
    fn count_others(&mut self) -> Result<()> {
        for key in &self.others {
            self.redis.client.send(&[b"TYPE", key]);
        }
        self.redis.client.flush()?;
        for _ in self.others.drain(..) {
            let name = self.redis.client.receive()?.into_bytes();
            let name = String::from_utf8_lossy(&name.unwrap_or_default()).into_owned();
            self.losses.leave_out(&format!("type {name}, not string"));
        }
        Ok(())
    }
}

/// A pattern of MATCH for all that begins so.
fn pattern(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(prefix.len() + 1);
    for &byte in prefix {
        if b"*?[]\\^".contains(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    pattern
}

impl Source for Listing {
    fn count(&self) -> Option<u64> {
        self.count
    }

    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(key) = self.asked.pop_front() {
                if let Some(record) = self.receive(key)? {
                    return Ok(Some(record));
                }
            } else if !self.others.is_empty() {
                self.count_others()?;
            } else if !self.keys.is_empty() {
                self.ask()?;
            } else if let Some(cursor) = self.cursor.take() {
                self.scan(&cursor)?;
            } else {
                return Ok(None);
            }
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

/// Writes to a Redis.
#[derive(Debug)]
pub(super) struct Writer {
    redis: Redis,
}

impl Writer {
    pub(super) fn open(url: &ServerUrl) -> Result<Writer> {
        Ok(Writer {
            redis: Redis::open(url)?,
        })
    }
}

impl Write for Writer {
    // Five bytes a reply.
    const BATCH_RECORDS: u64 = 2000;

    fn add(&mut self, record: &Record, losses: &mut Losses) -> Result<bool> {
        if record.flags != 0 {
            losses.reduce(FLAGS_LOST);
        }
        let mut request: Vec<&[u8]> = vec![b"SET", &record.key, &record.value];
        let time;
        if record.expiry_ms != 0 {
            if self.redis.is_exact {
                time = record.expiry_ms.to_string();
                request.push(b"PXAT");
            } else {
                let left = record.expiry_ms.saturating_sub(now_ms()).max(1);
                time = left.to_string();
                request.push(b"PX");
            }
            request.push(time.as_bytes());
        }
        self.redis.client.send(&request);
        Ok(true)
    }

    fn batch_bytes(&self) -> usize {
        self.redis.client.unsent_bytes()
    }

    fn send(&mut self) -> Result<()> {
        self.redis.client.flush()
    }

    fn receive(&mut self, count: u64, written: &mut u64, _: &mut Losses) -> Result<()> {
        for _ in 0..count {
            let reply = self.redis.client.receive()?;
            if !matches!(&reply, Reply::Text(text) if text == "OK") {
                return Err(self.redis.unexpected("SET"));
            }
            *written += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_itself_in_a_pattern() {
        assert_eq!(pattern(b"user:*[1]?\\"), b"user:\\*\\[1\\]\\?\\\\*");
    }
}
