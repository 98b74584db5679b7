//! `hakone completions`: what a shell needs to complete this command's words.

use crate::failure::{Failure, Outcome, Result};
use clap_complete::Shell;
use std::io::Write;

/// Print a script that completes the words of this command in a shell.
///
/// For bash, write it to ~/.local/share/bash-completion/completions/hakone, or run it in ~/.bashrc;
/// for zsh, write it as _hakone to a directory of $fpath; for fish, write it to
/// ~/.config/fish/completions/hakone.fish. Exit status: 0, or 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone completions bash > hakone.bash
  hakone completions zsh > _hakone
  hakone completions fish > hakone.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, command: &mut clap::Command) -> Result<Outcome> {
    // Written at once: the generator stops the process where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "hakone", &mut script);
    let mut out = std::io::stdout().lock();
    out.write_all(&script)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output("standard output", &error))?;
    Ok(Outcome::Done)
}
