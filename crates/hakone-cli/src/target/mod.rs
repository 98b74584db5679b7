//! What a verb works on: a database of a running server, or of a cabinet at rest.

mod cabinet;
mod server;

use crate::failure::{Failure, Result};
use hakone::{DatabaseOptions, Kind};
use hakone_client::Address;
use hakone_client::transfer::Record;
use std::path::{Path, PathBuf};

/// The environment's word for the server where no flag names one.
pub(crate) const SERVER_VARIABLE: &str = "HAKONE_SERVER";

/// A database of a running server.
pub(crate) fn running(address: &Address, database: Option<&str>) -> Result<Box<dyn Target>> {
    Ok(Box::new(server::Running::connect(address, database)?))
}

/// A database of a cabinet at rest.
pub(crate) fn at_rest(
    data: &Path,
    database: Option<&str>,
    purpose: Purpose,
) -> Result<Box<dyn Target>> {
    Ok(Box::new(cabinet::AtRest::open(data, database, purpose)?))
}

/// Which database a verb works on.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// The server, HOST:PORT or unix:PATH [default: $HAKONE_SERVER, else 127.0.0.1:1978]
    #[arg(long, value_name = "ADDR", conflicts_with = "data")]
    server: Option<Address>,
    /// The directory of a cabinet that no server has open, in place of a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The database, by its name or number [default: 0, the first]
    #[arg(long, short, value_name = "NAME|NUMBER")]
    database: Option<String>,
}

/// What a verb is about to do, so that it is not done to the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Read: what is not there is an error.
    Read,
    /// Write: a cabinet or database at rest that is not there is made, of this kind.
    Write(Kind),
}

impl Purpose {
    fn options(self) -> Option<DatabaseOptions> {
        match self {
            Purpose::Read => None,
            Purpose::Write(kind) => Some(DatabaseOptions::new(kind)),
        }
    }
}

/// Which records a scan is to give.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    /// Only keys that begin with this.
    pub(crate) prefix: &'a [u8],
    /// Only this key and those after it (trees).
    pub(crate) from: Option<&'a [u8]>,
    /// At most so many records.
    pub(crate) limit: u64,
    /// Whether values are wanted.
    pub(crate) values: bool,
}

impl Scan<'_> {
    /// All records whole.
    pub(crate) const ALL: Scan<'static> = Scan {
        prefix: b"",
        from: None,
        limit: u64::MAX,
        values: true,
    };
}

/// A database, whether a server has it open or this process.
pub(crate) trait Target {
    /// The value of a record.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Writes a record. It may still be on its way when this returns: [`Target::finish`] tells.
    fn put(&mut self, entry: Record) -> Result<()>;

    /// How many of the records put so far are written for certain.
    fn acknowledged(&self) -> u64;

    /// Waits until all that was put is written, as safely as the server promises or, at rest, to
    /// the disk.
    fn finish(&mut self) -> Result<()>;

    /// Removes records, and says how many there were.
    fn remove(&mut self, keys: &[Vec<u8>]) -> Result<u64>;

    /// Hands records to `each`: in key order on a tree, in no order on a hash.
    fn scan(&mut self, scan: Scan<'_>, each: &mut dyn FnMut(Record) -> Result<()>) -> Result<()>;

    /// What there is to tell of the whole: names and values.
    fn stat(&mut self) -> Result<Vec<(String, String)>>;
}

impl TargetArgs {
    /// Connects to the server, or opens the cabinet.
    pub(crate) fn open(&self, purpose: Purpose) -> Result<Box<dyn Target>> {
        let database = self.database.as_deref();
        match &self.data {
            Some(data) => at_rest(data, database, purpose),
            None => running(&self.address()?, database),
        }
    }

    fn address(&self) -> Result<Address> {
        if let Some(address) = &self.server {
            return Ok(address.clone());
        }
        match std::env::var(SERVER_VARIABLE) {
            Ok(text) => text
                .parse()
                .map_err(|error| Failure::new(format_args!("{SERVER_VARIABLE}: {error}"))),
            Err(_) => Ok(Address::default()),
        }
    }
}
