//! `hakone scan`: records to standard output, one a line.

use crate::failure::{Failure, Outcome, Result};
use crate::format::escape;
use crate::target::{Purpose, Scan, TargetArgs};
use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;

/// Print records, one a line: KEY, tab, VALUE.
///
/// In key order on a tree, in no order on a hash. Tabs, line ends and backslashes are printed as
/// \t \n \r \\, other control characters and bytes that are not UTF-8 as \xHH. Exit status: 0, also
/// if there is no such record, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone scan
  hakone scan --prefix user: --limit 10
  hakone scan --data /var/lib/hakone --database names --from m --keys")]
pub(crate) struct Args {
    /// Only keys that begin with this
    #[arg(long, value_name = "P")]
    prefix: Option<OsString>,
    /// Only this key and those after it (trees)
    #[arg(long, value_name = "K")]
    from: Option<OsString>,
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
    let mut target = args.target.open(Purpose::Read)?;
    let scan = Scan {
        prefix: args.prefix.as_deref().unwrap_or_default().as_bytes(),
        from: args.from.as_deref().map(OsStrExt::as_bytes),
        limit: args.limit.unwrap_or(u64::MAX),
        values: !args.keys,
    };
    let failed = |error: std::io::Error| Failure::output("standard output", &error);
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let mut line = Vec::new();
    target.scan(scan, &mut |entry| {
        line.clear();
        escape(&entry.key, &mut line);
        if !args.keys {
            line.push(b'\t');
            escape(&entry.value, &mut line);
        }
        line.push(b'\n');
        out.write_all(&line).map_err(failed)
    })?;
    out.flush().map_err(failed)?;
    Ok(Outcome::Done)
}
