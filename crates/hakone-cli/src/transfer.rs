//! Where import and export read and write: files, servers of every protocol, cabinets at rest.

use crate::failure::{Failure, Outcome, Result, say};
use crate::output;
use crate::progress::Progress;
use crate::target::{self, Purpose, Scan, Target};
use hakone::{Command, Condition, End, ExpirySet, Range};
use hakone_client::transfer::{self, Losses, Record, Sink, Source};
use hakone_client::{Address, BadAddress, BadUrl, Scheme, ServerUrl};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A server, as `--server` names it: Hakone without a protocol in front, any kind with one.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    Hakone(Address),
    Url(ServerUrl),
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Server, String> {
        if ServerUrl::is_meant(text) {
            let url = text.parse().map_err(|error: BadUrl| error.to_string())?;
            return Ok(Server::Url(url));
        }
        let address = text
            .parse()
            .map_err(|error: BadAddress| error.to_string())?;
        Ok(Server::Hakone(address))
    }
}

/// Which database records come from or go to.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetArgs {
    /// The server, HOST:PORT or unix:PATH, or the URL of one of another kind (see below)
    /// [default: $HAKONE_SERVER, else 127.0.0.1:1978]
    #[arg(long, value_name = "ADDR|URL", conflicts_with = "data")]
    server: Option<Server>,
    /// The directory of a cabinet that no server has open, in place of a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The database, by its name or number; that of a URL stands in it [default: 0, the first]
    #[arg(long, short, value_name = "NAME|NUMBER")]
    database: Option<String>,
}

/// The other side: a file, standard input or output, or a server.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Standard input or output.
    Standard,
    File(PathBuf),
    Server(ServerUrl),
}

impl Place {
    /// Reads `-`, a URL or a path.
    pub(crate) fn parse(text: OsString) -> std::result::Result<Place, BadUrl> {
        if text == "-" {
            return Ok(Place::Standard);
        }
        match text.to_str() {
            Some(url) if ServerUrl::is_meant(url) => url.parse().map(Place::Server),
            _ => Ok(Place::File(PathBuf::from(text))),
        }
    }

    /// The path of a file, or `-`.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Place::File(path) => path,
            Place::Standard | Place::Server(_) => Path::new("-"),
        }
    }
}

/// Where records come from.
pub(crate) enum Reading {
    Target(Box<dyn Target>),
    Server(Box<dyn Source>),
}

impl Reading {
    /// Connects to a server. Only keys that begin with `prefix` will be read.
    pub(crate) fn open(url: &ServerUrl, prefix: &[u8]) -> Result<Reading> {
        if url.scheme == Scheme::Hakone {
            let database = url.database.as_deref();
            let running = target::running(&url.address, database)?;
            return Ok(Reading::Target(running));
        }
        let spool = output::nameless()
            .map_err(|error| Failure::new(format_args!("cannot make a temporary file: {error}")))?;
        Ok(Reading::Server(transfer::source(
            url,
            prefix,
            Box::new(spool),
        )?))
    }

    /// How many records there are, if that is known.
    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Reading::Target(_) => None,
            Reading::Server(source) => source.count(),
        }
    }

    /// Hands over all records whose keys begin with `prefix`: the same as for [`Reading::open`].
    pub(crate) fn each(
        &mut self,
        prefix: &[u8],
        each: &mut dyn FnMut(Record) -> Result<()>,
    ) -> Result<()> {
        match self {
            Reading::Target(target) => {
                let scan = Scan::of(Range::Prefix(prefix));
                target.scan(&scan, &mut |key, record| {
                    each(Record {
                        key: key.to_vec(),
                        value: record.value.to_vec(),
                        expiry_ms: record.expiry,
                        flags: record.flags,
                    })
                })
            }
            Reading::Server(source) => {
                while let Some(record) = source.next()? {
                    each(record)?;
                }
                Ok(())
            }
        }
    }

    pub(crate) fn losses(&self) -> Losses {
        match self {
            Reading::Target(_) => Losses::default(),
            Reading::Server(source) => source.losses().clone(),
        }
    }
}

/// Where records go.
pub(crate) enum Writing {
    Target(Box<dyn Target>, Way),
    Server(Box<dyn Sink>),
}

/// What is done with the records of a key that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is replaced.
    Replace,
    /// They are its next ones.
    Duplicate,
}

impl Way {
    fn command(self, record: &Record) -> Command<'_> {
        let Record {
            key,
            value,
            expiry_ms,
            flags,
        } = record;
        match self {
            Way::Replace => Command::Put {
                key,
                value,
                condition: Condition::Always,
                expiry: ExpirySet::At(*expiry_ms),
                flags: *flags,
                want_old: false,
            },
            Way::Duplicate => Command::PutDuplicate {
                key,
                value,
                end: End::Back,
                expiry: *expiry_ms,
                flags: *flags,
            },
        }
    }
}

impl Writing {
    /// Connects to a server.
    pub(crate) fn open(url: &ServerUrl) -> Result<Writing> {
        if url.scheme == Scheme::Hakone {
            let running = target::running(&url.address, url.database.as_deref())?;
            return Ok(Writing::Target(running, Way::Replace));
        }
        Ok(Writing::Server(transfer::sink(url)?))
    }

    /// Writes a record. It may still be on its way when this returns.
    pub(crate) fn put(&mut self, record: Record) -> Result<()> {
        match self {
            Writing::Target(target, way) => target.send(&way.command(&record)),
            Writing::Server(sink) => Ok(sink.put(&record)?),
        }
    }

    /// Waits until all is written.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match self {
            Writing::Target(target, _) => target.finish(),
            Writing::Server(sink) => Ok(sink.finish()?),
        }
    }

    /// How many records are written for certain.
    pub(crate) fn acknowledged(&self) -> u64 {
        match self {
            Writing::Target(target, _) => target.acknowledged(),
            Writing::Server(sink) => sink.acknowledged(),
        }
    }

    pub(crate) fn losses(&self) -> Losses {
        match self {
            Writing::Target(..) => Losses::default(),
            Writing::Server(sink) => sink.losses().clone(),
        }
    }
}

impl TargetArgs {
    /// Opens it to read.
    pub(crate) fn reading(&self, prefix: &[u8]) -> Result<Reading> {
        match self.server()? {
            Server::Url(url) => Reading::open(&url, prefix),
            Server::Hakone(address) => {
                let target = self.target(&address, Purpose::Read)?;
                Ok(Reading::Target(target))
            }
        }
    }

    /// Opens it to write.
    pub(crate) fn writing(&self, purpose: Purpose, way: Way) -> Result<Writing> {
        match self.server()? {
            Server::Url(url) if way != Way::Replace && url.scheme != Scheme::Hakone => {
                Err(Failure::new(format_args!(
                    "several records of one key cannot be written over {}://",
                    url.scheme.name()
                )))
            }
            Server::Url(url) => Ok(match Writing::open(&url)? {
                Writing::Target(target, _) => Writing::Target(target, way),
                other @ Writing::Server(_) => other,
            }),
            Server::Hakone(address) => Ok(Writing::Target(self.target(&address, purpose)?, way)),
        }
    }

    fn target(&self, address: &Address, purpose: Purpose) -> Result<Box<dyn Target>> {
        let database = self.database.as_deref();
        match &self.data {
            Some(data) => target::at_rest(data, database, purpose),
            None => target::running(address, database),
        }
    }

    fn server(&self) -> Result<Server> {
        let server = match &self.server {
            Some(server) => server.clone(),
            None if self.data.is_some() => Server::Hakone(Address::default()),
            None => match std::env::var(target::SERVER_VARIABLE) {
                Ok(text) => text.parse().map_err(|error| {
                    Failure::new(format_args!("{}: {error}", target::SERVER_VARIABLE))
                })?,
                Err(_) => Server::Hakone(Address::default()),
            },
        };
        if let (Server::Url(url), Some(database)) = (&server, &self.database) {
            return Err(Failure::new(format_args!(
                "the database of a URL stands in it: {}://.../{database} in place of --database",
                url.scheme.name()
            )));
        }
        Ok(server)
    }
}

/// Copies all records whose keys begin with `prefix`, and waits until they are written.
pub(crate) fn copy(
    reading: &mut Reading,
    prefix: &[u8],
    writing: &mut Writing,
    progress: &mut Progress,
) -> Result<()> {
    let mut count = 0;
    let copied = reading.each(prefix, &mut |record| {
        count += 1;
        progress.record(count);
        writing.put(record)
    });
    // What was read before a failure is written all the same.
    let finished = writing.finish();
    copied.and(finished).map_err(|failure| match failure {
        Failure::Message(message) => Failure::Message(format!(
            "{message} ({} records before it are written)",
            writing.acknowledged()
        )),
        closed @ Failure::OutputClosed => closed,
    })
}

/// Says what was lost, and how the whole ends: not as success if records were left out, unless
/// that is allowed.
pub(crate) fn tell(losses: &Losses, may_leave_out: bool) -> Outcome {
    for line in losses.lines() {
        say(&format!("hakone: {line}"));
    }
    if losses.left_out_count() > 0 && !may_leave_out {
        Outcome::Incomplete
    } else {
        Outcome::Done
    }
}

/// The same words in the help of both verbs.
macro_rules! urls {
    () => {
        "\
URLs: PROTOCOL://HOST:PORT, with /DATABASE behind it, by number or name, where the protocol has
databases; or PROTOCOL://unix:PATH, with ?db=DATABASE behind it.
  redis      Redis, strings only                                port 6379; with expiry
  memcached  memcached, to read from 1.4.31 on                  port 11211; with expiry and flags
  tyrant     Tokyo Tyrant                                       port 1978; with neither
  tycoon     Kyoto Tycoon                                       port 1978; with expiry
  http       Kyoto Tycoon; Tokyo Tyrant to write to             port 1978; with expiry
  hakone     Hakone, as without PROTOCOL://                     port 1978; with expiry and flags
Expiry is in milliseconds on Redis and Hakone, in seconds elsewhere, and ends in 2038 on memcached.
What a side has no place for is counted and told. redis://USER:PASSWORD@HOST:PORT logs in."
    };
}
pub(crate) use urls;
