//! A database of a running server, over RESP3.

use super::{Scan, Target};
use crate::failure::{Failure, Result};
use hakone_client::transfer::Record;
use hakone_client::{Address, Client, Reply};

/// Records asked for at once in a scan.
const PAGE_RECORDS: u64 = 1000;

/// Bytes of requests that are sent at once. Replies to writes are some bytes each, so that two
/// batches on their way never fill the sockets' buffers with replies.
const BATCH_BYTES: usize = 256 << 10;

/// Records of one batch, so that many tiny ones are bounded too.
const BATCH_RECORDS: u64 = 2000;

/// A database of a server, and the writes to it that are on their way.
#[derive(Debug)]
pub(super) struct Running {
    client: Client,
    /// Requests in the client's buffer.
    unsent: u64,
    /// Requests that were sent and not answered yet.
    unanswered: u64,
    acknowledged: u64,
}

impl Running {
    pub(super) fn connect(address: &Address, database: Option<&str>) -> Result<Running> {
        let mut client = Client::connect(address)?;
        if let Some(database) = database {
            if database.parse::<u32>().is_ok() {
                client.call(&[b"SELECT", database.as_bytes()])?;
            } else {
                client.call(&[b"HAKONE", b"USE", database.as_bytes()])?;
            }
        }
        Ok(Running {
            client,
            unsent: 0,
            unanswered: 0,
            acknowledged: 0,
        })
    }

    fn send(&mut self, entry: &Record) {
        let expiry = entry.expiry_ms.to_string();
        if entry.flags != 0 {
            let flags = entry.flags.to_string();
            self.client.send(&[
                b"HAKONE",
                b"PUT",
                &entry.key,
                &entry.value,
                expiry.as_bytes(),
                flags.as_bytes(),
            ]);
        } else if entry.expiry_ms != 0 {
            self.client
                .send(&[b"SET", &entry.key, &entry.value, b"PXAT", expiry.as_bytes()]);
        } else {
            self.client.send(&[b"SET", &entry.key, &entry.value]);
        }
        self.unsent += 1;
    }

    /// Sends the batch at hand, then waits for the replies to the one before it.
    fn turn(&mut self) -> Result<()> {
        self.client.flush()?;
        self.receive(self.unanswered)?;
        self.unanswered += std::mem::take(&mut self.unsent);
        Ok(())
    }

    fn receive(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            let reply = self.client.receive()?;
            self.unanswered -= 1;
            if !matches!(&reply, Reply::Text(text) if text == "OK") {
                return Err(self.unexpected("a write"));
            }
            self.acknowledged += 1;
        }
        Ok(())
    }

    fn unexpected(&self, request: &str) -> Failure {
        let what = format!("its reply to {request} has another shape");
        self.client.unexpected(what).into()
    }
}

impl Target for Running {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.client.call(&[b"GET", key])? {
            Reply::Missing => Ok(None),
            Reply::Bytes(value) => Ok(Some(value)),
            _ => Err(self.unexpected("GET")),
        }
    }

    fn put(&mut self, entry: Record) -> Result<()> {
        self.send(&entry);
        if self.unsent >= BATCH_RECORDS || self.client.unsent_bytes() >= BATCH_BYTES {
            self.turn()?;
        }
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn finish(&mut self) -> Result<()> {
        self.turn()?;
        self.receive(self.unanswered)
    }

    fn remove(&mut self, keys: &[Vec<u8>]) -> Result<u64> {
        let mut arguments: Vec<&[u8]> = vec![b"DEL"];
        arguments.extend(keys.iter().map(Vec::as_slice));
        match self.client.call(&arguments)? {
            Reply::Number(count) => Ok(u64::try_from(count).unwrap_or(0)),
            _ => Err(self.unexpected("DEL")),
        }
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut dyn FnMut(Record) -> Result<()>) -> Result<()> {
        let mut left = scan.limit;
        let mut from = scan.from.unwrap_or_default().to_vec();
        while left > 0 {
            let count = PAGE_RECORDS.min(left).to_string();
            let mut arguments: Vec<&[u8]> = vec![b"HAKONE", b"SCAN", &from, count.as_bytes()];
            if !scan.prefix.is_empty() {
                arguments.extend([&b"PREFIX"[..], scan.prefix]);
            }
            if !scan.values {
                arguments.push(b"KEYS");
            }
            let Some(page) = self.client.call(&arguments)?.into_array() else {
                return Err(self.unexpected("HAKONE SCAN"));
            };
            let mut page = page.into_iter();
            let Some(next) = page.next() else {
                return Err(self.unexpected("HAKONE SCAN"));
            };
            for record in page {
                if left == 0 {
                    break;
                }
                left -= 1;
                each(entry(record).ok_or_else(|| self.unexpected("HAKONE SCAN"))?)?;
            }
            if next == Reply::Missing {
                break;
            }
            from = next
                .into_bytes()
                .ok_or_else(|| self.unexpected("HAKONE SCAN"))?;
        }
        Ok(())
    }

    fn stat(&mut self) -> Result<Vec<(String, String)>> {
        let Some(stat) = self.client.call(&[b"HAKONE", b"STAT"])?.into_bytes() else {
            return Err(self.unexpected("HAKONE STAT"));
        };
        Ok(String::from_utf8_lossy(&stat)
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}

/// A record of a page: key, value, expiry and flags, or only its key.
fn entry(record: Reply) -> Option<Record> {
    let mut fields = record.into_array()?.into_iter();
    let key = fields.next()?.into_bytes()?;
    let Some(value) = fields.next() else {
        return Some(Record {
            key,
            ..Record::default()
        });
    };
    Some(Record {
        key,
        value: value.into_bytes()?,
        expiry_ms: u64::try_from(fields.next()?.as_number()?).ok()?,
        flags: u32::try_from(fields.next()?.as_number()?).ok()?,
    })
}
