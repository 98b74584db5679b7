//! Kyoto Tycoon: match_prefix over RPC for the keys, binary get_bulk and set_bulk for records.

use super::bulk::{Bulk, Listing, size};
use super::pipeline::Write;
use super::redis::FLAGS_LOST;
use super::rpc::{self, Http};
use super::{Losses, Record, Spool, end_of_second, last_second};
use crate::connection::Connection;
use crate::{Error, Result, ServerUrl};
use hakone_command::limits::KEY_BYTES_MAX;

/// What the protocol is called in messages.
const NAME: &str = "Kyoto Tycoon's protocol";

const SET_BULK: u8 = 0xb8;
const GET_BULK: u8 = 0xba;
const ERROR: u8 = 0xbf;

/// The expiry of a record that has none, in a request and in a reply.
const NEVER_ASKED: i64 = i64::MAX;
const NEVER_TOLD: i64 = (1 << 40) - 1;

/// A connection, and the database's number.
#[derive(Debug)]
pub(super) struct Tycoon {
    connection: Connection,
    database: u16,
}

impl Tycoon {
    fn open(url: &ServerUrl) -> Result<Tycoon> {
        Ok(Tycoon {
            connection: Connection::open(&url.address, NAME)?,
            database: number_of(url)?,
        })
    }

    /// The beginning of a request, and the place of its count of records.
    fn begin(out: &mut Vec<u8>, magic: u8, count: u32) {
        out.push(magic);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&count.to_be_bytes());
    }

    /// The beginning of a reply: how many records there are.
    fn hits(&mut self, magic: u8) -> Result<u32> {
        match self.connection.array()? {
            [first] if first == magic => Ok(u32::from_be_bytes(self.connection.array()?)),
            [ERROR] => Err(Error::Refused("it failed (reply BF)".to_owned())),
            [other] => Err(self
                .connection
                .unexpected(format!("a reply begins with byte {other:#04x}"))),
        }
    }
}

/// The number of the database that a URL names: binary requests know no names.
fn number_of(url: &ServerUrl) -> Result<u16> {
    let Some(database) = &url.database else {
        return Ok(0);
    };
    if let Ok(number) = database.parse() {
        return Ok(number);
    }
    let report = Http::open(&url.address)?.ask("report", &[])?;
    let number = report.iter().find_map(|(name, value)| {
        let number = std::str::from_utf8(name.strip_prefix(b"db_")?).ok()?;
        let value = String::from_utf8_lossy(value);
        let (_, path) = value.split_once("path=")?;
        let last = path.rsplit('/').next()?;
        (last.split('#').next()? == database)
            .then(|| number.parse().ok())
            .flatten()
    });
    number.ok_or_else(|| Error::Unsupported {
        address: url.address.clone(),
        what: format!("has no database {database:?}"),
    })
}

/// All records of a database.
pub(super) fn list(
    url: &ServerUrl,
    prefix: &[u8],
    spool: Box<dyn Spool>,
) -> Result<Listing<Tycoon>> {
    let mut keys = rpc::keys(url, prefix, spool)?;
    let losses = keys.take_losses();
    Ok(Listing::new(Tycoon::open(url)?, keys, losses))
}

impl Bulk for Tycoon {
    fn key(&self, key: &[u8], body: &mut Vec<u8>) {
        body.extend_from_slice(&self.database.to_be_bytes());
        size(key.len(), body);
        body.extend_from_slice(key);
    }

    fn ask(&mut self, count: u32, body: &[u8]) -> Result<u32> {
        let out = self.connection.output();
        Tycoon::begin(out, GET_BULK, count);
        out.extend_from_slice(body);
        self.connection.flush()?;
        self.hits(GET_BULK)
    }

    fn receive(&mut self) -> Result<Option<Record>> {
        let connection = &mut self.connection;
        let [_database @ .., k0, k1, k2, k3] = connection.array::<6>()?;
        let value_bytes = u32::from_be_bytes(connection.array()?);
        let expiry = i64::from_be_bytes(connection.array()?);
        let key_bytes = u32::from_be_bytes([k0, k1, k2, k3]);
        let key = connection.bytes(key_bytes.into(), KEY_BYTES_MAX)?;
        let value = connection.value(value_bytes.into())?;
        let expiry_ms = if expiry >= NEVER_TOLD {
            0
        } else {
            end_of_second(u64::try_from(expiry).unwrap_or(0))
        };
        Ok(key.zip(value).map(|(key, value)| Record {
            key,
            value,
            expiry_ms,
            flags: 0,
        }))
    }
}

/// Writes to a database.
#[derive(Debug)]
pub(super) struct Writer {
    tycoon: Tycoon,
    /// The records of the batch, without its beginning.
    batch: Vec<u8>,
    count: u32,
}

impl Writer {
    pub(super) fn open(url: &ServerUrl) -> Result<Writer> {
        Ok(Writer {
            tycoon: Tycoon::open(url)?,
            batch: Vec::new(),
            count: 0,
        })
    }
}

impl Write for Writer {
    // One reply of five bytes for all.
    const BATCH_RECORDS: u64 = 4000;

    fn add(&mut self, record: &Record, losses: &mut Losses) -> Result<bool> {
        if record.flags != 0 {
            losses.reduce(FLAGS_LOST);
        }
        let expiry = match record.expiry_ms {
            0 => NEVER_ASKED,
            // A time that is negative is one since the epoch.
            expiry_ms => -i64::try_from(last_second(expiry_ms, losses)).unwrap_or(NEVER_TOLD),
        };
        self.batch
            .extend_from_slice(&self.tycoon.database.to_be_bytes());
        size(record.key.len(), &mut self.batch);
        size(record.value.len(), &mut self.batch);
        self.batch.extend_from_slice(&expiry.to_be_bytes());
        self.batch.extend_from_slice(&record.key);
        self.batch.extend_from_slice(&record.value);
        self.count += 1;
        Ok(true)
    }

    fn batch_bytes(&self) -> usize {
        self.batch.len()
    }

    fn send(&mut self) -> Result<()> {
        let out = self.tycoon.connection.output();
        Tycoon::begin(out, SET_BULK, std::mem::take(&mut self.count));
        out.append(&mut self.batch);
        self.tycoon.connection.flush()
    }

    fn receive(&mut self, count: u64, written: &mut u64, _: &mut Losses) -> Result<()> {
        let hits = u64::from(self.tycoon.hits(SET_BULK)?);
        *written += hits;
        if hits == count {
            return Ok(());
        }
        // It passes over records for a database that it does not have.
        Err(Error::Refused(format!(
            "it stored {hits} of {count} records of a set_bulk; is there a database {}?",
            self.tycoon.database
        )))
    }
}
