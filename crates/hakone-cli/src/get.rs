//! `hakone get`: one value to standard output.

use crate::failure::{Failure, Outcome, Result};
use crate::target::{Purpose, TargetArgs};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;

/// Print the value of a record.
///
/// The value is printed as it is, to the byte; on a terminal a line end follows. Exit status: 0 if
/// the record is there, 1 if it is not (nothing is printed), 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone get tea
  hakone get --data /var/lib/hakone --database sessions tea > tea.bin")]
pub(crate) struct Args {
    /// The key
    key: OsString,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let mut target = args.target.open(Purpose::Read)?;
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
