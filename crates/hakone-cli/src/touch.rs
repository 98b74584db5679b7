//! `hakone touch`: changes when a record expires.

use crate::expiry::Expiry;
use crate::failure::{Outcome, Result};
use crate::target::{Purpose, TargetArgs};
use hakone::{Command, ExpiryCondition, Reply, now};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Change when a record expires.
///
/// Exit status: 0 if the record is there, 1 if it is not, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone touch tea 3600
  hakone touch tea never
  hakone touch --data /var/lib/hakone --database sessions tea @1900000000000")]
pub(crate) struct Args {
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// When: never, in so many seconds, or at @MILLISECONDS since 1970
    #[arg(value_parser = Expiry::parse)]
    when: Expiry,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let command = Command::Touch {
        key: args.key.as_bytes(),
        expiry: args.when.moment(now()),
        condition: ExpiryCondition::Always,
        want: false,
    };
    let mut target = args.target.open(Purpose::Read)?;
    let mut outcome = Outcome::Missing;
    target.call(&command, &mut |reply| {
        if reply == Reply::Done {
            outcome = Outcome::Done;
        }
    })?;
    target.finish()?;
    Ok(outcome)
}
