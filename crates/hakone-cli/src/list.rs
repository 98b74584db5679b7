//! `hakone list`: lists beside a database.

use crate::failure::{Failure, Outcome, Result};
use crate::format::escape;
use crate::set::WhichEnd;
use crate::target::{MakeArgs, Purpose, Target, TargetArgs};
use hakone_server::ListAnswer;
use hakone_wire::resp::verbs::ListRequest;
use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;

/// Elements that are asked for at once.
const PAGE_ELEMENTS: usize = 1000;

/// Push, pop and read the elements of lists.
///
/// A list stands beside a database, under a name of its own that is no key of the database. Any end
/// costs the same, however long it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone list push todo sweep cook
  hakone list range todo
  hakone list length todo")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Push(Push),
    Pop(Pop),
    Range(Range),
    Length(Length),
    Clear(Clear),
}

/// Add values at an end, one after the other, and print how many elements there are then.
///
/// Exit status: 0, or 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone list push todo sweep cook
  hakone list push --end front todo urgent
  hakone list push --data /var/lib/hakone todo sweep")]
struct Push {
    /// The list
    name: OsString,
    /// The values
    #[arg(required = true, allow_negative_numbers = true)]
    value: Vec<OsString>,
    /// Which end
    #[arg(long, value_name = "END", default_value = "back")]
    end: WhichEnd,
    #[command(flatten)]
    make: MakeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

/// Take elements away from an end, and print them, one a line.
///
/// Exit status: 0 if there was at least one, 1 if there was none, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone list push todo sweep cook; hakone list pop todo
  hakone list push todo sweep cook; hakone list pop --end back --count 10 todo")]
struct Pop {
    /// The list
    name: OsString,
    /// Which end
    #[arg(long, value_name = "END", default_value = "front")]
    end: WhichEnd,
    /// At most so many elements
    #[arg(long, value_name = "N", default_value = "1")]
    count: u64,
    #[command(flatten)]
    target: TargetArgs,
}

/// Print the elements from one index to another, one a line.
///
/// Both are part of it. The first element is 0, the last one -1. Exit status: 0, also if there is
/// none, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone list range todo
  hakone list range todo 0 9
  hakone list range todo -10 -1")]
struct Range {
    /// The list
    name: OsString,
    /// The index of the first
    #[arg(allow_negative_numbers = true, default_value = "0")]
    first: i64,
    /// The index of the last
    #[arg(allow_negative_numbers = true, default_value = "-1")]
    last: i64,
    #[command(flatten)]
    target: TargetArgs,
}

/// Print how many elements a list has.
///
/// Exit status: 0, or 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone list length todo")]
struct Length {
    /// The list
    name: OsString,
    #[command(flatten)]
    target: TargetArgs,
}

/// Remove all elements of a list, at once, and print how many there were.
///
/// Exit status: 0 if there was at least one, 1 if there was none, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone list push todo sweep; hakone list clear todo")]
struct Clear {
    /// The list
    name: OsString,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    match args.verb {
        Verb::Push(args) => {
            let values = args.value.iter().map(|value| value.as_bytes()).collect();
            let request = ListRequest::Push(args.end.end(), values);
            let purpose = Purpose::Write(args.make.options());
            count(&args.target, purpose, &args.name, &request).map(|_| Outcome::Done)
        }
        Verb::Pop(args) => pop(&args),
        Verb::Range(args) => range(&args),
        Verb::Length(args) => {
            let request = ListRequest::Length;
            count(&args.target, Purpose::Read, &args.name, &request).map(|_| Outcome::Done)
        }
        Verb::Clear(args) => {
            let request = ListRequest::Clear;
            let count = count(&args.target, Purpose::Read, &args.name, &request)?;
            Ok(if count == 0 {
                Outcome::Missing
            } else {
                Outcome::Done
            })
        }
    }
}

/// Asks for a count, and prints it.
fn count(
    target: &TargetArgs,
    purpose: Purpose,
    name: &OsStr,
    request: &ListRequest<'_>,
) -> Result<u64> {
    let mut target = target.open(purpose)?;
    let ListAnswer::Count(count) = target.list(name.as_bytes(), request)? else {
        return Err(Failure::new("a list was answered without a count"));
    };
    target.finish()?;
    writeln!(std::io::stdout(), "{count}")
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(count)
}

/// Asks for elements; the index of the first, and them.
fn elements(
    target: &mut dyn Target,
    name: &OsStr,
    request: &ListRequest<'_>,
) -> Result<(u64, Vec<Vec<u8>>)> {
    match target.list(name.as_bytes(), request)? {
        ListAnswer::Elements(first, elements) => Ok((first, elements)),
        ListAnswer::Count(_) => Err(Failure::new("a list was answered without elements")),
    }
}

fn print(elements: &[Vec<u8>], out: &mut impl Write) -> Result<()> {
    let mut line = Vec::new();
    for element in elements {
        line.clear();
        escape(element, &mut line);
        line.push(b'\n');
        out.write_all(&line)
            .map_err(|error| Failure::output("standard output", &error))?;
    }
    Ok(())
}

fn pop(args: &Pop) -> Result<Outcome> {
    let mut target = args.target.open(Purpose::Read)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut left, mut outcome) = (args.count, Outcome::Missing);
    while left > 0 {
        let count = PAGE_ELEMENTS.min(usize::try_from(left).unwrap_or(usize::MAX));
        let request = ListRequest::Pop(args.end.end(), count);
        let (_, popped) = elements(&mut *target, &args.name, &request)?;
        if popped.is_empty() {
            break;
        }
        left -= popped.len() as u64;
        outcome = Outcome::Done;
        print(&popped, &mut out)?;
    }
    target.finish()?;
    out.flush()
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(outcome)
}

fn range(args: &Range) -> Result<Outcome> {
    let mut target = args.target.open(Purpose::Read)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    // Where the last one is counted from the back, so it stays: the list may grow meanwhile.
    let mut first = args.first;
    loop {
        let request = ListRequest::Range(first, args.last, PAGE_ELEMENTS);
        let (from, found) = elements(&mut *target, &args.name, &request)?;
        if found.is_empty() {
            break;
        }
        print(&found, &mut out)?;
        first = i64::try_from(from + found.len() as u64).unwrap_or(i64::MAX);
    }
    out.flush()
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}
