//! The `hakone` command: one verb a file, each with its arguments and a `run`.

mod add;
mod alter;
mod append;
mod bench;
mod compact;
mod completions;
mod count;
mod cursor;
mod delete;
mod expiry;
mod export;
mod failure;
mod format;
mod get;
mod import;
mod input;
mod list;
mod output;
mod progress;
mod range;
mod scan;
mod serve;
mod set;
mod stat;
mod swap;
mod target;
mod touch;
mod transaction;
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
    Add(add::Args),
    Append(append::Args),
    Swap(swap::Args),
    Touch(touch::Args),
    Delete(delete::Args),
    #[command(visible_alias = "range")]
    Scan(scan::Args),
    Count(count::Args),
    Cursor(cursor::Args),
    List(list::Args),
    Transaction(transaction::Args),
    Stat(stat::Args),
    Compact(compact::Args),
    Alter(alter::Args),
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
        Verb::Add(args) => exit_code(add::run(args)),
        Verb::Append(args) => exit_code(append::run(args)),
        Verb::Swap(args) => exit_code(swap::run(args)),
        Verb::Touch(args) => exit_code(touch::run(args)),
        Verb::Delete(args) => exit_code(delete::run(args)),
        Verb::Scan(args) => exit_code(scan::run(args)),
        Verb::Count(args) => exit_code(count::run(args)),
        Verb::Cursor(args) => exit_code(cursor::run(args)),
        Verb::List(args) => exit_code(list::run(args)),
        Verb::Transaction(args) => exit_code(transaction::run(args)),
        Verb::Stat(args) => exit_code(stat::run(args)),
        Verb::Compact(args) => exit_code(compact::run(args)),
        Verb::Alter(args) => exit_code(alter::run(args)),
        Verb::Import(args) => exit_code(import::run(args)),
        Verb::Export(args) => exit_code(export::run(args)),
        Verb::Bench(args) => exit_code(bench::run(&args)),
        Verb::Completions(args) => exit_code(completions::run(&args, &mut Cli::command())),
    }
}
