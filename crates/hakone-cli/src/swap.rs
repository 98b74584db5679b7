//! `hakone swap`: replaces a value if it is the expected one.

use crate::expiry::Wanted;
use crate::failure::{Outcome, Result};
use crate::target::{MakeArgs, Purpose, TargetArgs};
use hakone::{Command, Reply, now};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Replace a value if it is the expected one.
///
/// Without --old no record is expected, without --new none is left. Exit status: 0 if it was replaced
/// (or no record was wanted, and there is none), 1 if another value was there, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone swap tea --old green --new black
  hakone swap lock --new mine --expire 30
  hakone swap --data /var/lib/hakone --database sessions tea --old green")]
pub(crate) struct Args {
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// The value that is expected [default: none, there must be no record]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    old: Option<OsString>,
    /// The value that is wanted [default: none, the record is removed]
    #[arg(
        long,
        value_name = "VALUE",
        allow_hyphen_values = true,
        required_unless_present = "old"
    )]
    new: Option<OsString>,
    /// When it expires: never, in so many seconds, at @MILLISECONDS since 1970, or keep to leave it
    /// as it is
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = Wanted::parse)]
    expire: Wanted,
    #[command(flatten)]
    make: MakeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let command = Command::CompareSwap {
        key: args.key.as_bytes(),
        old: args.old.as_deref().map(OsStr::as_bytes),
        new: args.new.as_deref().map(OsStr::as_bytes),
        expiry: args.expire.set(now()),
    };
    let mut target = args.target.open(Purpose::Write(args.make.options()))?;
    let mut outcome = Outcome::Done;
    target.call(&command, &mut |reply| {
        if reply == Reply::Refused {
            outcome = Outcome::Missing;
        }
    })?;
    target.finish()?;
    Ok(outcome)
}
