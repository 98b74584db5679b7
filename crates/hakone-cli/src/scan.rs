//! `hakone scan`: records to standard output, one a line.

use crate::failure::{Failure, Outcome, Result};
use crate::format::line;
use crate::range::{FilterArgs, RangeArgs};
use crate::target::{Purpose, Scan, TargetArgs};
use hakone::{Direction, Position};
use std::io::{BufWriter, Write};

/// Print records, one a line: KEY, tab, VALUE.
///
/// In the order of keys on a tree or an array, in no order on a hash, which has no bounds but a
/// prefix. Tabs, line ends and backslashes are printed as \t \n \r \\, other control characters and
/// bytes that are not UTF-8 as \xHH. Exit status: 0, also if there is no such record, 2 if something
/// failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone scan
  hakone scan --prefix user: --limit 10
  hakone scan --above m --to t --reverse
  hakone range --interval '[a,m)' --keys
  hakone scan --similar tee --distance 1
  hakone scan --data /var/lib/hakone --database names --from m --keys")]
pub(crate) struct Args {
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// From the last record to the first
    #[arg(long)]
    reverse: bool,
    /// At most so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print only keys
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let (from, range) = if args.reverse {
        (Position::Start, args.range.range()?)
    } else {
        args.range.begun()
    };
    let scan = Scan {
        from,
        range,
        direction: if args.reverse {
            Direction::Backward
        } else {
            Direction::Forward
        },
        filter: args.filter.filter(),
        limit: args.limit.unwrap_or(u64::MAX),
        values: !args.keys,
    };
    let mut target = args.target.open(Purpose::Read)?;
    let failed = |error: std::io::Error| Failure::output("standard output", &error);
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let mut text = Vec::new();
    target.scan(&scan, &mut |key, record| {
        text.clear();
        line(key, (!args.keys).then_some(record.value), &mut text);
        out.write_all(&text).map_err(failed)
    })?;
    out.flush().map_err(failed)?;
    Ok(Outcome::Done)
}
