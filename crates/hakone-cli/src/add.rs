//! `hakone add`: adds to a number.

use crate::failure::{Failure, Outcome, Result};
use crate::target::{MakeArgs, Purpose, TargetArgs};
use hakone::{Amount, Command, Decimal, ExpirySet, Reply};
use hakone_command::parse_integer;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Add to a number, and print the sum.
///
/// A number is decimal text: without a fraction an integer of 64 bits, with one (or an exponent)
/// exact to 17 places. A record that is not there counts as 0. Its expiry stays. Exit status: 0, or 2
/// if the value is no number, if the sum does not fit, or if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone add visits
  hakone add balance -2.50
  hakone add --data /var/lib/hakone --database counters visits 10")]
pub(crate) struct Args {
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// What to add; below 0 to subtract
    #[arg(allow_hyphen_values = true, default_value = "1")]
    number: String,
    #[command(flatten)]
    make: MakeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let text = args.number.as_bytes();
    let (amount, absent) = match (parse_integer(text), Decimal::parse(text)) {
        (Some(number), _) => (Amount::Decimal(number), Amount::Decimal(0)),
        (None, Some(number)) => (Amount::Float(number), Amount::Float(Decimal::ZERO)),
        (None, None) => {
            return Err(Failure::new(format_args!("{} is no number", args.number)));
        }
    };
    let command = Command::Add {
        key: args.key.as_bytes(),
        amount,
        absent: Some(absent),
        expiry: ExpirySet::Keep,
    };
    let mut target = args.target.open(Purpose::Write(args.make.options()))?;
    let mut sum = Err(Failure::new("the sum was not told"));
    target.call(&command, &mut |reply| {
        sum = match reply {
            Reply::Number(number) => Ok(number.to_string().into_bytes()),
            Reply::Value(text) => Ok(text.to_vec()),
            Reply::Overflow => Err(Failure::new("the sum does not fit")),
            _ => Err(Failure::new("the value is not such a number")),
        };
    })?;
    target.finish()?;
    let mut line = sum?;
    line.push(b'\n');
    std::io::stdout()
        .write_all(&line)
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}
