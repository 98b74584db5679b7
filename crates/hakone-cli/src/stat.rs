//! `hakone stat`: what a server or a cabinet tells of itself.

use crate::failure::{Failure, Outcome, Result};
use crate::target::{Purpose, TargetArgs};
use std::io::Write;

/// Print what a server or a cabinet tells of itself, one NAME, tab, VALUE a line.
///
/// Exit status: 0, or 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone stat
  hakone stat --server unix:/run/hakone.sock
  hakone stat --data /var/lib/hakone")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let stat = args.target.open(Purpose::Read)?.stat()?;
    let mut out = std::io::stdout().lock();
    stat.iter()
        .try_for_each(|(name, value)| writeln!(out, "{name}\t{value}"))
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}
