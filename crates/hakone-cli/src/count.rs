//! `hakone count`: how many records there are.

use crate::failure::{Failure, Outcome, Result};
use crate::range::{FilterArgs, RangeArgs};
use crate::target::{Purpose, Scan, TargetArgs};
use hakone::{Command, Filter};
use std::io::Write;

/// Print how many records there are, all of them or those of a range.
///
/// Bounds need a tree or an array. Records that have expired count until they are reclaimed, which
/// takes less than a second; with --regex and --similar they do not, and each key is looked at. Exit
/// status: 0, or 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone count
  hakone count --prefix user:
  hakone count --interval '[a,m)'
  hakone count --data /var/lib/hakone --database names --regex '^[a-m]'")]
pub(crate) struct Args {
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let (range, filter) = (args.range.range()?, args.filter.filter());
    let mut target = args.target.open(Purpose::Read)?;
    let count = if filter != Filter::All {
        let mut count = 0;
        let scan = Scan {
            filter,
            values: false,
            ..Scan::of(range)
        };
        target.scan(&scan, &mut |_, _| {
            count += 1;
            Ok(())
        })?;
        count
    } else if args.range.is_given() {
        target.number(&Command::CountRange { range })?
    } else {
        target.number(&Command::Count)?
    };
    writeln!(std::io::stdout(), "{count}")
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}
