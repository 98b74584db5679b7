//! `hakone set`: writes one record.

use crate::failure::{Failure, Outcome, Result};
use crate::target::{Purpose, TargetArgs};
use hakone::Kind;
use hakone::limits::VALUE_BYTES_MAX;
use hakone_client::transfer::Record;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

/// Write a record.
///
/// With --data, a cabinet that is not there is made, and so is a database that is not there, as a
/// tree; `hakone import --kind hash` makes a hash. Exit status: 0 once it is written, 2 if
/// something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone set tea green
  hakone set tea - < tea.bin
  hakone set --data /var/lib/hakone --database sessions tea green")]
pub(crate) struct Args {
    /// The key
    key: OsString,
    /// The value, or - to read it from standard input, to the byte
    #[arg(allow_hyphen_values = true)]
    value: OsString,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let value = if args.value == "-" {
        input()?
    } else {
        args.value.into_vec()
    };
    let mut target = args.target.open(Purpose::Write(Kind::Tree))?;
    target.put(Record {
        key: args.key.into_vec(),
        value,
        expiry_ms: 0,
        flags: 0,
    })?;
    target.finish()?;
    Ok(Outcome::Done)
}

fn input() -> Result<Vec<u8>> {
    let mut value = Vec::new();
    std::io::stdin()
        .lock()
        .take(VALUE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut value)
        .map_err(|error| Failure::new(format_args!("cannot read standard input: {error}")))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(Failure::new(format_args!(
            "the value on standard input is larger than the limit of {VALUE_BYTES_MAX} bytes"
        )));
    }
    Ok(value)
}
