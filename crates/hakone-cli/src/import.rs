//! `hakone import`: records from a file, a pipe or another server.

use crate::failure::{Failure, Outcome, Result, say};
use crate::format::{Format, LineFault, Lines};
use crate::progress::Progress;
use crate::target::{MakeArgs, Purpose};
use crate::transfer::{Place, Reading, TargetArgs, Way, Writing, copy, tell, urls};
use clap::builder::{OsStringValueParser, TypedValueParser};
use hakone_client::transfer::Losses;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Bad lines that are told one by one with --skip-errors; the rest is only counted.
const TOLD_MAX: u64 = 10;

/// Write the records of a file or of another server.
///
/// Records that are there are overwritten. With --data, a cabinet and a database that are not
/// there are made. A bad line stops the import, and the records before it stay written; with
/// --skip-errors it is left out and counted. Records of a server that cannot be carried, such as a
/// list of Redis, are left out and counted. Exit status: 0 once all is written, also with lines or
/// records left out by --skip-errors; 1 if records of a server had to be left out without it; 2 if
/// something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  hakone import names.tsv
  hakone export --server 127.0.0.1:1978 | hakone import --data /var/lib/hakone
  hakone import --format jsonl --skip-errors - < sessions.jsonl
  hakone import --data /var/lib/hakone --database sessions --kind hash sessions.jsonl
  hakone import --data /var/lib/hakone -d words --kind tree,duplicates=true --duplicates names.tsv
  hakone import redis://127.0.0.1:6379 --data /var/lib/hakone
  hakone import tyrant://127.0.0.1:1978 --server redis://127.0.0.1:6379

", urls!()))]
pub(crate) struct Args {
    /// The file; - for standard input; or the URL of a server (see below)
    #[arg(value_name = "FILE|URL", default_value = "-",
          value_parser = OsStringValueParser::new().try_map(Place::parse))]
    from: Place,
    /// How records are written in a file [default: as its name says, else tsv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Leave out lines that cannot be read and records that cannot be carried, and count them
    #[arg(long)]
    skip_errors: bool,
    /// Each record is one more of its key, behind those it has (trees with duplicates)
    #[arg(long)]
    duplicates: bool,
    #[command(flatten)]
    make: MakeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

impl Args {
    fn writing(&self) -> Result<Writing> {
        let way = if self.duplicates {
            Way::Duplicate
        } else {
            Way::Replace
        };
        self.target
            .writing(Purpose::Write(self.make.options()), way)
    }
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let losses = match &args.from {
        Place::Server(url) => {
            let mut reading = Reading::open(url, b"")?;
            let mut writing = args.writing()?;
            let mut progress = Progress::of_records(reading.count());
            copy(&mut reading, b"", &mut writing, &mut progress)?;
            progress.end("imported", writing.acknowledged(), "");
            let mut losses = writing.losses();
            losses.add(&reading.losses());
            losses
        }
        place => from_file(&args, place.path())?,
    };
    Ok(tell(&losses, args.skip_errors))
}

fn from_file(args: &Args, path: &Path) -> Result<Losses> {
    let format = args.format.unwrap_or_else(|| Format::of(path));
    let (input, bytes, name) = open(path)?;
    let mut target = args.writing()?;
    let mut lines = Lines::new(BufReader::with_capacity(256 << 10, input));
    let mut progress = Progress::of_bytes(bytes);
    let mut skipped_count = 0_u64;
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(LineFault::Io(error)) => {
                target.finish()?;
                return Err(Failure::new(format_args!("cannot read {name}: {error}")));
            }
            Err(LineFault::TooLong) => {
                target.finish()?;
                let number = lines.number();
                return Err(Failure::new(format_args!(
                    "{name}, line {number}: longer than any record can be"
                )));
            }
        };
        if line.is_empty() {
            continue;
        }
        match format.read(line) {
            Ok(record) => {
                target.put(record)?;
                progress.record(lines.bytes_read());
            }
            Err(what) => {
                let what = format!("{name}, line {}: {what}", lines.number());
                if !args.skip_errors {
                    target.finish()?;
                    return Err(Failure::new(format_args!(
                        "{what} ({} records before it are written; --skip-errors goes on)",
                        target.acknowledged()
                    )));
                }
                skipped_count += 1;
                if skipped_count <= TOLD_MAX {
                    say(&format!("hakone: {what}"));
                }
            }
        }
    }
    target.finish()?;
    let skipped = match skipped_count {
        0 => String::new(),
        1 => ", 1 line skipped".to_owned(),
        count => format!(", {count} lines skipped"),
    };
    progress.end("imported", target.acknowledged(), &skipped);
    Ok(target.losses())
}

/// The input, its size where that is known, and its name for messages.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>, String)> {
    if path == Path::new("-") {
        let input = Box::new(std::io::stdin());
        return Ok((input, None, "standard input".to_owned()));
    }
    let name = path.display().to_string();
    let failed = |error| Failure::new(format_args!("cannot read {name}: {error}"));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(format_args!("{name} is a directory")));
    }
    let bytes = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), bytes, name))
}
