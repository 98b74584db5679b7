//! The `hakone` command: one verb a file, each with its arguments and a `run`.

mod serve;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A key-value database: serve it, ask it, load it and look after it.
#[derive(Debug, Parser)]
#[command(name = "hakone", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Args),
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Serve(args) => serve::run(args),
    }
}
