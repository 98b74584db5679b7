//! Chores of the workspace: what CI runs, the long runs, and the house rules.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore tells the person at the terminal what it does"
)]

mod ci;
mod evidence;
mod full;
mod machine;
mod step;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Chores of the Hakone workspace.

  cargo xtask ci               everything a change must pass; all that CI runs
  cargo xtask full [TOPIC]...  ci and the long versions, or those of some topics alone (crashes,
                               fuzz, end-to-end, store, expiry, miri, lists, packing, servers,
                               protocols, crowd); results go to docs/evidence/
  cargo xtask tidy [--write]   the house rules alone; or write the pages made from the source
  cargo xtask e2e [NAME]...    the end-to-end tests, or those whose names contain NAME
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = root();
    let outcome = match arguments.first().map(String::as_str) {
        Some("ci") => ci::run_all(&root),
        Some("full") => full::run(&root, &arguments[1..]),
        Some("tidy") if arguments.iter().any(|a| a == "--write") => tidy::write(&root),
        Some("tidy") => tidy::run(&root),
        Some("e2e") => ci::e2e(&root, &arguments[1..]),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace: the directory above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
