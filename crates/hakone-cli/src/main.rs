//! The `hakone` command: one verb a file, each with its arguments and a `run`.

mod bench;
mod completions;
mod delete;
mod export;
mod failure;
mod format;
mod get;
mod import;
mod output;
mod progress;
mod scan;
mod serve;
mod set;
mod stat;
mod target;
mod transfer;

use clap::{CommandFactory, Parser, Subcommand};
use failure::exit_code;
use std::process::ExitCode;

/// A key-value database: serve it, ask it, load it and look after it.
#[derive(Debug, Parser)]
#[command(name = "hakone", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Args),
    Get(get::Args),
    Set(set::Args),
    Delete(delete::Args),
    Scan(scan::Args),
    Stat(stat::Args),
    Import(import::Args),
    Export(export::Args),
    Bench(Box<bench::Args>),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Serve(args) => serve::run(args),
        Verb::Get(args) => exit_code(get::run(args)),
        Verb::Set(args) => exit_code(set::run(args)),
        Verb::Delete(args) => exit_code(delete::run(args)),
        Verb::Scan(args) => exit_code(scan::run(args)),
        Verb::Stat(args) => exit_code(stat::run(args)),
        Verb::Import(args) => exit_code(import::run(args)),
        Verb::Export(args) => exit_code(export::run(args)),
        Verb::Bench(args) => exit_code(bench::run(&args)),
        Verb::Completions(args) => exit_code(completions::run(&args, &mut Cli::command())),
    }
}
