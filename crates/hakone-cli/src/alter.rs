//! `hakone alter`: gives a database another option.

use crate::failure::{Outcome, Result};
use crate::target::{Purpose, TargetArgs};
use hakone::Compression;

/// Change how the values of a database are packed.
///
/// What is written from now on is packed so, and what is there when it is compacted: all of it by
/// hakone compact. zstd-dictionary makes a dictionary of what is there. A server must be started with
/// the new option from then on. Exit status: 0, or 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone alter --compression zstd
  hakone alter --data /var/lib/hakone --database names --compression none")]
pub(crate) struct Args {
    /// How: none, lz4, zstd or zstd-dictionary
    #[arg(long, value_name = "METHOD", value_parser = compression)]
    compression: Compression,
    #[command(flatten)]
    target: TargetArgs,
}

fn compression(name: &str) -> std::result::Result<Compression, String> {
    let found = Compression::from_name(name);
    found.ok_or_else(|| {
        let words: Vec<&str> = Compression::ALL.iter().map(|(word, _)| *word).collect();
        format!("write one of {}", words.join(", "))
    })
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    args.target.open(Purpose::Read)?.alter(args.compression)?;
    Ok(Outcome::Done)
}
