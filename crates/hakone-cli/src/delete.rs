//! `hakone delete`: removes records.

use crate::failure::{Failure, Outcome, Result};
use crate::target::{Purpose, TargetArgs};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

/// Remove records, and print how many there were.
///
/// Exit status: 0 if there was at least one, 1 if there was none, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone delete tea
  hakone delete --data /var/lib/hakone --database sessions tea coffee")]
pub(crate) struct Args {
    /// The keys
    #[arg(required = true)]
    key: Vec<OsString>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let keys: Vec<Vec<u8>> = args.key.into_iter().map(OsString::into_vec).collect();
    let count = args.target.open(Purpose::Read)?.remove(&keys)?;
    writeln!(std::io::stdout(), "{count}")
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(if count == 0 {
        Outcome::Missing
    } else {
        Outcome::Done
    })
}
