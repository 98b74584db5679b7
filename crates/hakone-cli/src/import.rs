//! `hakone import`: records from a file or a pipe.

use crate::failure::{Failure, Outcome, Result, say};
use crate::format::{Format, LineFault, Lines};
use crate::progress::Progress;
use crate::target::{Purpose, TargetArgs};
use hakone::Kind;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Bad lines that are told one by one with --skip-errors; the rest is only counted.
const TOLD_MAX: u64 = 10;

/// Write the records of a file.
///
/// Records that are there are overwritten. With --data, a cabinet and a database that are not
/// there are made. A bad line stops the import, and the records before it stay written; with
/// --skip-errors it is left out and counted. Exit status: 0 once all is written, also with lines
/// left out, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone import names.tsv
  hakone export --server 127.0.0.1:1978 | hakone import --data /var/lib/hakone
  hakone import --format jsonl --skip-errors - < sessions.jsonl
  hakone import --data /var/lib/hakone --database sessions --kind hash sessions.jsonl")]
pub(crate) struct Args {
    /// The file, - for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// How records are written [default: as the file's name says, else tsv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Leave out lines that cannot be read, and count them
    #[arg(long)]
    skip_errors: bool,
    /// The kind of a database at rest that is made: hash or tree
    #[arg(long, default_value = "tree", value_parser = kind, requires = "data")]
    kind: Kind,
    #[command(flatten)]
    target: TargetArgs,
}

fn kind(name: &str) -> std::result::Result<Kind, String> {
    Kind::from_name(name).ok_or_else(|| "write hash or tree".to_owned())
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let format = args.format.unwrap_or_else(|| Format::of(&args.file));
    let (input, bytes, name) = open(&args.file)?;
    let mut target = args.target.open(Purpose::Write(args.kind))?;
    let mut lines = Lines::new(BufReader::with_capacity(256 << 10, input));
    let mut progress = Progress::begin(bytes);
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
            Ok(entry) => {
                target.put(entry)?;
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
    Ok(Outcome::Done)
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
