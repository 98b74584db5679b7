//! `hakone delete`: removes records.

use crate::failure::{Failure, Outcome, Result};
use crate::progress::Progress;
use crate::range::RangeArgs;
use crate::target::{Purpose, TargetArgs};
use hakone::Command;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

/// Records of a range that are removed at once: a few milliseconds.
const SLICE_RECORDS: usize = 1000;

/// Remove records, and print how many there were.
///
/// The keys that are named, or those of a range (a tree or an array). A range goes in slices, each
/// as one batch: what is written into it meanwhile may be removed too. Exit status: 0 if there was at
/// least one, 1 if there was none, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone delete tea
  hakone delete --prefix te
  hakone delete --from a --below u
  hakone delete --data /var/lib/hakone --database sessions tea coffee")]
pub(crate) struct Args {
    /// The keys
    #[arg(allow_negative_numbers = true)]
    key: Vec<OsString>,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let count = match (args.key.is_empty(), args.range.is_given()) {
        (false, false) => keys(args)?,
        (true, true) => range(&args)?,
        _ => {
            return Err(Failure::new(
                "name the keys to delete, or a range of them: see hakone delete --help",
            ));
        }
    };
    writeln!(std::io::stdout(), "{count}")
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(if count == 0 {
        Outcome::Missing
    } else {
        Outcome::Done
    })
}

fn keys(args: Args) -> Result<u64> {
    let keys: Vec<Vec<u8>> = args.key.into_iter().map(OsString::into_vec).collect();
    let mut target = args.target.open(Purpose::Read)?;
    let count = target.number(&Command::RemoveMany {
        keys: keys.iter().map(Vec::as_slice).collect(),
    })?;
    target.finish()?;
    Ok(count)
}

fn range(args: &Args) -> Result<u64> {
    let range = args.range.range()?;
    let mut target = args.target.open(Purpose::Read)?;
    let mut progress = Progress::of_records(None);
    let mut count = 0;
    loop {
        let removed = target.number(&Command::RemoveRange {
            range,
            limit: SLICE_RECORDS,
        })?;
        count += removed;
        progress.reached(count);
        if removed < SLICE_RECORDS as u64 {
            break;
        }
    }
    target.finish()?;
    progress.clear();
    Ok(count)
}
