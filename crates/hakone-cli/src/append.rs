//! `hakone append`: adds bytes at an end of a value.

use crate::failure::{Failure, Outcome, Result};
use crate::input;
use crate::target::{MakeArgs, Purpose, TargetArgs};
use hakone::{Command, Condition, End, ExpirySet};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Add bytes at the end of a value, and print how many it has then.
///
/// A record that is not there counts as empty. Its expiry stays. Exit status: 0, or 2 if something
/// failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone append tea ' and black'
  hakone append --front tea 'hot '
  hakone append --data /var/lib/hakone --database sessions tea - < tea.bin")]
pub(crate) struct Args {
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// The bytes, or - to read them from standard input
    #[arg(allow_hyphen_values = true)]
    value: OsString,
    /// At the beginning of the value, not at its end
    #[arg(long)]
    front: bool,
    #[command(flatten)]
    make: MakeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let value = input::value(args.value)?;
    let command = Command::Append {
        key: args.key.as_bytes(),
        value: &value,
        end: if args.front { End::Front } else { End::Back },
        width: None,
        condition: Condition::Always,
        expiry: ExpirySet::Keep,
    };
    let mut target = args.target.open(Purpose::Write(args.make.options()))?;
    let bytes = target.number(&command)?;
    target.finish()?;
    writeln!(std::io::stdout(), "{bytes}")
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}
