//! `hakone export`: all records to a file, a pipe or another server.

use crate::failure::{Failure, Outcome, Result};
use crate::format::Format;
use crate::output::Output;
use crate::progress::Progress;
use crate::transfer::{Place, Reading, TargetArgs, Writing, copy, tell, urls};
use clap::builder::{OsStringValueParser, TypedValueParser};
use hakone_client::ServerUrl;
use hakone_client::transfer::Losses;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Write all records to a file or to another server, with their expiry and flags.
///
/// In key order from a tree, in no order from others. Records that are written while it runs may be
/// part of it or not, and from Redis a key may come twice. A file takes its place once it is whole:
/// what fails leaves the old one as it was. Exit status: 0 once all is written, 1 if records had to
/// be left out, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  hakone export names.tsv
  hakone export --format jsonl --prefix user: > users.jsonl
  hakone export --data /var/lib/hakone --database sessions sessions.jsonl
  hakone export --server redis://127.0.0.1:6379 redis.jsonl
  hakone export --data /var/lib/hakone tyrant://127.0.0.1:1978

", urls!()))]
pub(crate) struct Args {
    /// The file, made or replaced; - for standard output; or the URL of a server (see below)
    #[arg(value_name = "FILE|URL", default_value = "-",
          value_parser = OsStringValueParser::new().try_map(Place::parse))]
    to: Place,
    /// How records are written to a file [default: as its name says, else tsv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only keys that begin with this
    #[arg(long, value_name = "P")]
    prefix: Option<OsString>,
    /// Exit with 0 also if records had to be left out
    #[arg(long)]
    skip_errors: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let prefix = args.prefix.as_deref().unwrap_or_default().as_bytes();
    let mut reading = args.target.reading(prefix)?;
    let mut losses = match &args.to {
        Place::Server(url) => to_server(&mut reading, prefix, url)?,
        place => {
            to_file(&mut reading, prefix, &args, place.path())?;
            Losses::default()
        }
    };
    losses.add(&reading.losses());
    Ok(tell(&losses, args.skip_errors))
}

fn to_file(reading: &mut Reading, prefix: &[u8], args: &Args, path: &Path) -> Result<()> {
    let format = args.format.unwrap_or_else(|| Format::of(path));
    let (mut out, name) = if path == Path::new("-") {
        (Output::standard(), "standard output".to_owned())
    } else {
        let name = path.display().to_string();
        let out = Output::create(path)
            .map_err(|error| Failure::new(format_args!("cannot write {name}: {error}")))?;
        (out, name)
    };
    let failed = |error: std::io::Error| Failure::output(&name, &error);
    let mut progress = Progress::of_records(reading.count());
    let mut line = Vec::new();
    let mut count = 0_u64;
    reading.each(prefix, &mut |record| {
        line.clear();
        format.write(&record, &mut line);
        count += 1;
        progress.record(count);
        out.write_all(&line).map_err(failed)
    })?;
    out.finish().map_err(failed)?;
    progress.end("exported", count, "");
    Ok(())
}

fn to_server(reading: &mut Reading, prefix: &[u8], url: &ServerUrl) -> Result<Losses> {
    let mut writing = Writing::open(url)?;
    let mut progress = Progress::of_records(reading.count());
    copy(reading, prefix, &mut writing, &mut progress)?;
    progress.end("exported", writing.acknowledged(), "");
    Ok(writing.losses())
}
