//! REST over HTTP: PUT to write, GET for values and expiry, Kyoto Tycoon's RPC for the keys.

use super::keys::Keys;
use super::pace::{Pace, REQUEST_BYTES};
use super::pipeline::Write;
use super::redis::FLAGS_LOST;
use super::rpc::{self, Http};
use super::{Losses, Record, Source, Spool, VALUE_TOO_LARGE, end_of_second, last_second};
use crate::url::percent_encode;
use crate::{Error, Result, ServerUrl};
use std::collections::VecDeque;

/// What tells Kyoto Tycoon's dialect from Tokyo Tyrant's on a server that knows both. It is the
/// default of a PUT, and means nothing to a GET.
const TYCOON: &str = "X-Kt-Mode: set\r\n";

/// The path of a record.
fn target(database: Option<&str>, key: &[u8]) -> Vec<u8> {
    let mut target = b"/".to_vec();
    if let Some(database) = database {
        percent_encode(database.as_bytes(), &mut target);
        target.push(b'/');
    }
    percent_encode(key, &mut target);
    target
}

/// All records of a database.
#[derive(Debug)]
pub(super) struct Listing {
    http: Http,
    database: Option<String>,
    keys: Keys,
    /// Keys whose values are on their way.
    asked: VecDeque<Vec<u8>>,
    pace: Pace,
    losses: Losses,
}

impl Listing {
    pub(super) fn open(url: &ServerUrl, prefix: &[u8], spool: Box<dyn Spool>) -> Result<Listing> {
        let mut keys = rpc::keys(url, prefix, spool)?;
        Ok(Listing {
            http: Http::open(&url.address)?,
            database: url.database.clone(),
            losses: keys.take_losses(),
            keys,
            asked: VecDeque::new(),
            pace: Pace::new(),
        })
    }

    /// Asks for the next values. Returns whether there are more keys.
    fn ask(&mut self) -> Result<bool> {
        for _ in 0..self.pace.begin() {
            let Some((key, _)) = self.keys.next()? else {
                break;
            };
            let target = target(self.database.as_deref(), &key);
            self.http.request("GET", &target, TYCOON, b"");
            self.asked.push_back(key);
            if self.http.connection.unsent_bytes() >= REQUEST_BYTES {
                break;
            }
        }
        self.http.connection.flush()?;
        Ok(!self.asked.is_empty())
    }

    fn receive(&mut self, key: Vec<u8>) -> Result<Option<Record>> {
        let head = self.http.head()?;
        if head.status == 404 {
            // It has gone since its key was listed.
            self.http.refusal(&head)?;
            return Ok(None);
        }
        if !head.is_success() {
            return Err(self.http.refusal(&head)?);
        }
        let Some(value) = self.http.connection.value(head.bytes)? else {
            self.losses.leave_out(VALUE_TOO_LARGE);
            return Ok(None);
        };
        self.pace.record(value.len());
        let expiry_ms = match head.header("x-kt-xt").map(|date| (date, seconds(date))) {
            None => 0,
            Some((_, Some(second))) => end_of_second(second),
            Some((date, None)) => {
                let what = format!("X-Kt-Xt is {date:?}");
                return Err(self.http.connection.unexpected(what));
            }
        };
        Ok(Some(Record {
            key,
            value,
            expiry_ms,
            flags: 0,
        }))
    }
}

impl Source for Listing {
    fn count(&self) -> Option<u64> {
        Some(self.keys.count())
    }

    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(key) = self.asked.pop_front() {
                if let Some(record) = self.receive(key)? {
                    return Ok(Some(record));
                }
            } else if !self.ask()? {
                return Ok(None);
            }
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

/// Seconds since the epoch of a date as HTTP has it: `Fri, 01 Jan 2100 00:00:00 GMT`.
fn seconds(date: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = date.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next().filter(|name| name.len() == 3)?;
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? as u64 / 3;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (
        clock.next()?.ok()?,
        clock.next()?.ok()?,
        clock.next()?.ok()?,
    );
    let is_date = (1970..=9999).contains(&year) && (1..=31).contains(&day);
    let is_time = hour < 24 && minute < 60 && second <= 60;
    if words.next() != Some("GMT") || !is_date || !is_time {
        return None;
    }
    // Years begin with March, so that the leap day is the last one.
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // 719468 days from 1 March of year 0 to the epoch.
    Some((days.checked_sub(719_468)? * 24 + hour) * 3600 + minute * 60 + second)
}

/// Writes to a database.
#[derive(Debug)]
pub(super) struct Writer {
    http: Http,
    database: Option<String>,
    /// Whether the server knows Kyoto Tycoon's headers. Tokyo Tyrant knows no expiry.
    has_expiry: bool,
}

impl Writer {
    pub(super) fn open(url: &ServerUrl) -> Result<Writer> {
        let mut http = Http::open(&url.address)?;
        http.request("GET", b"/rpc/void", "", b"");
        http.connection.flush()?;
        let head = http.head()?;
        http.connection.bytes(head.bytes, 0)?;
        if !head.is_success() && url.database.is_some() {
            return Err(Error::Unsupported {
                address: url.address.clone(),
                what: "has only one database over HTTP: leave the one in the URL out".to_owned(),
            });
        }
        Ok(Writer {
            http,
            database: url.database.clone(),
            has_expiry: head.is_success(),
        })
    }
}

impl Write for Writer {
    // Some 200 bytes a reply.
    const BATCH_RECORDS: u64 = 200;

    fn add(&mut self, record: &Record, losses: &mut Losses) -> Result<bool> {
        if record.flags != 0 {
            losses.reduce(FLAGS_LOST);
        }
        let headers = match (self.has_expiry, record.expiry_ms) {
            (true, 0) => TYCOON.to_owned(),
            (true, expiry_ms) => {
                let second = last_second(expiry_ms, losses);
                format!("{TYCOON}X-Kt-Xt: {second}\r\n")
            }
            (false, 0) => String::new(),
            (false, _) => {
                losses.reduce("expiry is lost: Tyrant has none");
                String::new()
            }
        };
        let target = target(self.database.as_deref(), &record.key);
        self.http.request("PUT", &target, &headers, &record.value);
        Ok(true)
    }

    fn batch_bytes(&self) -> usize {
        self.http.connection.unsent_bytes()
    }

    fn send(&mut self) -> Result<()> {
        self.http.connection.flush()
    }

    fn receive(&mut self, count: u64, written: &mut u64, _: &mut Losses) -> Result<()> {
        for _ in 0..count {
            let head = self.http.success()?;
            self.http.connection.bytes(head.bytes, 0)?;
            *written += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        for (date, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Fri, 01 Jan 2100 00:00:00 GMT", 4_102_444_800),
            ("Tue, 29 Feb 2028 23:59:59 GMT", 1_835_481_599),
            ("Wed, 31 Dec 2036 12:00:01 GMT", 2_114_337_601),
        ] {
            assert_eq!(seconds(date), Some(expected), "{date}");
        }
        for date in [
            "",
            "soon",
            "Fri, 01 anF 2100 00:00:00 GMT",
            "Fri, 01 Jan 2100 00:00 GMT",
            "Fri, 01 Jan 2100 00:00:00 CET",
            "Fri, 99999999999999999999 Jan 2100 00:00:00 GMT",
            "Fri, 01 Jan 2100 00:00:18446744073709551615 GMT",
        ] {
            assert_eq!(seconds(date), None, "{date}");
        }
    }

    #[test]
    fn a_path_keeps_slashes_in_keys_apart() {
        assert_eq!(target(None, b""), b"/");
        assert_eq!(target(None, b"a/b c"), b"/a%2Fb%20c");
        assert_eq!(target(Some("1"), b"k"), b"/1/k");
    }
}
