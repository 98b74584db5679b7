//! `hakone export`: records to a file or a pipe, so that `import` gets back all of them.

use crate::failure::{Failure, Outcome, Result};
use crate::format::Format;
use crate::progress::Progress;
use crate::target::{Purpose, Scan, TargetArgs};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Write all records to a file, with their expiry and flags.
///
/// In key order from a tree, in no order from a hash. Records that are written while it runs may
/// be part of it or not. Exit status: 0 once all is written, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone export names.tsv
  hakone export --format jsonl --prefix user: > users.jsonl
  hakone export --data /var/lib/hakone --database sessions sessions.jsonl")]
pub(crate) struct Args {
    /// The file, written anew; - for standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    /// How records are written [default: as the file's name says, else tsv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only keys that begin with this
    #[arg(long, value_name = "P")]
    prefix: Option<OsString>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let format = args.format.unwrap_or_else(|| Format::of(&args.file));
    let mut target = args.target.open(Purpose::Read)?;
    let (output, name): (Box<dyn Write>, String) = if args.file == Path::new("-") {
        (
            Box::new(std::io::stdout().lock()),
            "standard output".to_owned(),
        )
    } else {
        let name = args.file.display().to_string();
        let file = File::create(&args.file)
            .map_err(|error| Failure::new(format_args!("cannot write {name}: {error}")))?;
        (Box::new(file), name)
    };
    let failed = |error: std::io::Error| Failure::output(&name, &error);
    let mut out = BufWriter::with_capacity(256 << 10, output);
    let mut progress = Progress::begin(None);
    let mut line = Vec::new();
    let mut count = 0_u64;
    let scan = Scan {
        prefix: args.prefix.as_deref().unwrap_or_default().as_bytes(),
        ..Scan::ALL
    };
    target.scan(scan, &mut |entry| {
        line.clear();
        format.write(&entry, &mut line);
        count += 1;
        progress.record(count);
        out.write_all(&line).map_err(failed)
    })?;
    out.flush().map_err(failed)?;
    progress.end("exported", count, "");
    Ok(Outcome::Done)
}
