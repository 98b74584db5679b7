//! `hakone compact`: gives back the room of what is no longer needed.

use crate::failure::{Failure, Outcome, Result};
use crate::target::{Purpose, TargetArgs};
use std::io::Write;

/// Rewrite the log without what is no longer needed, and print how many bytes that has freed.
///
/// Hakone does so by itself as much as is worth it; this rewrites all of it, and packs every value as
/// its database does now. Others go on meanwhile. Exit status: 0, or 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone compact
  hakone compact --data /var/lib/hakone")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let freed = args.target.open(Purpose::Read)?.compact()?;
    writeln!(std::io::stdout(), "{freed}")
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}
