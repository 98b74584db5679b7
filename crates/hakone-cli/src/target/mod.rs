//! What a verb works on: a database of a running server, or of a cabinet at rest.

mod cabinet;
mod server;

use crate::failure::{Failure, Result};
use hakone::{
    Command, Compression, Condition, DatabaseOptions, Direction, ExpirySet, Filter, Page, Position,
    Range, Record, Reply,
};
use hakone_client::Address;
use hakone_server::config::DatabaseForm;
use hakone_server::{Ended, ListAnswer, Told};
use hakone_wire::resp::verbs::{ListRequest, Step};
use std::ops::Bound;
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

/// How a database is made that is not there.
#[derive(Debug, clap::Args)]
pub(crate) struct MakeArgs {
    /// How a database at rest is made that is not there: hash, tree or array, and options as for
    /// hakone serve --database, such as tree,comparator=decimal
    #[arg(
        long,
        value_name = "KIND[,OPTION=VALUE]...",
        default_value = "tree",
        requires = "data"
    )]
    kind: DatabaseForm,
}

impl MakeArgs {
    pub(crate) fn options(&self) -> DatabaseOptions {
        self.kind.0
    }
}

/// What a verb is about to do, so that it is not done to the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Read, or change what is there: what is not there is an error.
    Read,
    /// Write: a cabinet or database at rest that is not there is made, like this.
    Write(DatabaseOptions),
}

impl Purpose {
    fn options(self) -> Option<DatabaseOptions> {
        match self {
            Purpose::Read => None,
            Purpose::Write(options) => Some(options),
        }
    }
}

/// Which records a scan is to give.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    /// Where to begin.
    pub(crate) from: Position<'a>,
    /// Which keys count.
    pub(crate) range: Range<'a>,
    /// Which way to go.
    pub(crate) direction: Direction,
    /// Which of the keys in the range count.
    pub(crate) filter: Filter<'a>,
    /// At most so many records.
    pub(crate) limit: u64,
    /// Whether values are wanted.
    pub(crate) values: bool,
}

impl<'a> Scan<'a> {
    /// All records of a range whole.
    pub(crate) fn of(range: Range<'a>) -> Scan<'a> {
        Scan {
            from: Position::Start,
            range,
            direction: Direction::Forward,
            filter: Filter::All,
            limit: u64::MAX,
            values: true,
        }
    }
}

/// The range of one key, all of its records where there are duplicates.
pub(crate) fn only(key: &[u8]) -> Range<'_> {
    Range::Between(Bound::Included(key), Bound::Included(key))
}

/// The write of a record, whatever is there, without expiry or flags.
pub(crate) fn put_always<'a>(key: &'a [u8], value: &'a [u8]) -> Command<'a> {
    Command::Put {
        key,
        value,
        condition: Condition::Always,
        expiry: ExpirySet::At(0),
        flags: 0,
        want_old: false,
    }
}

/// Records asked for at once in a scan.
const PAGE_RECORDS: usize = 1000;

/// A database, whether a server has it open or this process. A command means the same on both: what
/// a verb does with it is written once.
pub(crate) trait Target {
    /// Carries out a command, and hands the reply to `answer`, once.
    fn call(&mut self, command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> Result<()>;

    /// Carries out a write. It may still be on its way when this returns: [`Target::finish`] tells.
    fn send(&mut self, command: &Command<'_>) -> Result<()>;

    /// How many of the writes sent so far are written for certain.
    fn acknowledged(&self) -> u64;

    /// Waits until all that was written is, as safely as the server promises or, at rest, to the
    /// disk.
    fn finish(&mut self) -> Result<()>;

    /// Carries out all steps as one transaction.
    fn transact(&mut self, steps: &[Step<'_>], tell: &mut dyn FnMut(Told<'_>)) -> Result<Ended>;

    /// Asks something of the list `name` beside the database.
    fn list(&mut self, name: &[u8], request: &ListRequest<'_>) -> Result<ListAnswer>;

    /// Rewrites the whole log, and says how many bytes that has freed.
    fn compact(&mut self) -> Result<u64>;

    /// Has the values of the database packed differently from now on.
    fn alter(&mut self, compression: Compression) -> Result<()>;

    /// What there is to tell of the whole: names and values.
    fn stat(&mut self) -> Result<Vec<(String, String)>>;
}

impl dyn Target + '_ {
    /// The value of a record.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = None;
        self.call(&Command::Get { key }, &mut |reply| {
            if let Reply::Record(record) = reply {
                value = Some(record.value.to_vec());
            }
        })?;
        Ok(value)
    }

    /// The count that a command answers.
    pub(crate) fn number(&mut self, command: &Command<'_>) -> Result<u64> {
        let mut number = 0;
        self.call(command, &mut |reply| {
            if let Reply::Number(n) = reply {
                number = n;
            }
        })?;
        Ok(u64::try_from(number).unwrap_or(0))
    }

    /// Hands records to `each` with their keys: in key order on a tree or an array, in no order on
    /// a hash.
    pub(crate) fn scan(
        &mut self,
        scan: &Scan<'_>,
        each: &mut dyn FnMut(&[u8], &Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut left = scan.limit;
        let mut page: Option<Page> = None;
        while left > 0 {
            let from = match page.as_ref().map(|page| (page.next, page.resume())) {
                None => scan.from,
                Some((hakone::Next::Cursor(cursor), _)) => Position::Cursor(cursor),
                Some((_, Some(position))) => Position::Resume(position),
                Some((_, None)) => break,
            };
            let command = Command::Scan {
                from,
                range: scan.range,
                direction: scan.direction,
                filter: scan.filter,
                limit: PAGE_RECORDS.min(usize::try_from(left).unwrap_or(usize::MAX)),
                values: scan.values,
            };
            let mut found = None;
            self.call(&command, &mut |reply| {
                if let Reply::Page(page) = reply {
                    found = Some(page.clone());
                }
            })?;
            let Some(found) = found else {
                return Err(Failure::new("a scan was answered without a page"));
            };
            for (key, record) in found.iter() {
                if left == 0 {
                    break;
                }
                left -= 1;
                each(key, &record)?;
            }
            page = Some(found);
        }
        Ok(())
    }
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
