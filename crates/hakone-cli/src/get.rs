//! `hakone get`: one value to standard output.

use crate::failure::{Failure, Outcome, Result};
use crate::format::escape;
use crate::target::{Purpose, Scan, Target, TargetArgs, only};
use std::ffi::OsString;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;

/// Print the value of a record.
///
/// The value is printed as it is, to the byte; on a terminal a line end follows. With --all each of
/// the values that the key has is printed as a line, as `hakone scan` does. Exit status: 0 if the
/// record is there, 1 if it is not (nothing is printed), 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone get tea
  hakone get --all tea
  hakone get --data /var/lib/hakone --database sessions tea > tea.bin")]
pub(crate) struct Args {
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// All values of the key, in their order, one a line (trees and arrays)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let mut target = args.target.open(Purpose::Read)?;
    if args.all {
        return all(&mut *target, args.key.as_bytes());
    }
    let Some(value) = target.get(args.key.as_bytes())? else {
        return Ok(Outcome::Missing);
    };
    let mut out = std::io::stdout().lock();
    let end: &[u8] = if out.is_terminal() { b"\n" } else { b"" };
    out.write_all(&value)
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}

fn all(target: &mut dyn Target, key: &[u8]) -> Result<Outcome> {
    let failed = |error: std::io::Error| Failure::output("standard output", &error);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut outcome = Outcome::Missing;
    let mut line = Vec::new();
    target.scan(&Scan::of(only(key)), &mut |_, record| {
        line.clear();
        escape(record.value, &mut line);
        line.push(b'\n');
        outcome = Outcome::Done;
        out.write_all(&line).map_err(failed)
    })?;
    out.flush().map_err(failed)?;
    Ok(outcome)
}
