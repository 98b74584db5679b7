//! `hakone set`: writes one record.

use crate::expiry::Wanted;
use crate::failure::{Failure, Outcome, Result};
use crate::input;
use crate::target::{MakeArgs, Purpose, TargetArgs};
use clap::ValueEnum;
use hakone::{Command, Condition, End, ExpirySet, Reply, now};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Write a record.
///
/// With --data, a cabinet and a database that are not there are made. On an array the key is a
/// number, or next or prev: one above the last record, one below the first. Exit status: 0 once it is
/// written, 1 if --if-absent or --if-present did not hold, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone set tea green
  hakone set tea - < tea.bin
  hakone set --expire 3600 session:1 open
  hakone set --data /var/lib/hakone --database sessions tea green
  hakone set --data /var/lib/hakone -d log --kind array next started
  hakone set --data /var/lib/hakone -d words --kind tree,duplicates=true --duplicate back tea green")]
pub(crate) struct Args {
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// The value, or - to read it from standard input, to the byte
    #[arg(allow_hyphen_values = true)]
    value: OsString,
    /// Only if there is no such record
    #[arg(long, conflicts_with = "if_present")]
    if_absent: bool,
    /// Only if there is such a record
    #[arg(long)]
    if_present: bool,
    /// When it expires: never, in so many seconds, at @MILLISECONDS since 1970, or keep to leave it
    /// as it is
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = Wanted::parse)]
    expire: Wanted,
    /// One more value of the key, behind or in front of those it has (trees with duplicates)
    /// [default: none, but the first value is replaced]
    #[arg(long, value_name = "END", conflicts_with_all = ["if_absent", "if_present"])]
    duplicate: Option<WhichEnd>,
    #[command(flatten)]
    make: MakeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhichEnd {
    Front,
    Back,
}

impl WhichEnd {
    pub(crate) fn end(self) -> End {
        match self {
            WhichEnd::Front => End::Front,
            WhichEnd::Back => End::Back,
        }
    }
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let value = input::value(args.value)?;
    let key = args.key.as_bytes();
    let expiry = args.expire.set(now());
    let command = match (args.duplicate, expiry) {
        (Some(_), ExpirySet::Keep) => {
            return Err(Failure::new(
                "one more value has no expiry to keep: give --expire a time",
            ));
        }
        (Some(end), ExpirySet::At(expiry)) => Command::PutDuplicate {
            key,
            value: &value,
            end: end.end(),
            expiry,
            flags: 0,
        },
        (None, expiry) => Command::Put {
            key,
            value: &value,
            condition: match (args.if_absent, args.if_present) {
                (true, _) => Condition::IfAbsent,
                (_, true) => Condition::IfPresent,
                _ => Condition::Always,
            },
            expiry,
            flags: 0,
            want_old: false,
        },
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
