//! How a subcommand ends: its exit status, or why it failed.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Exit status where what was asked for is not there, or not all of it was done.
const MISSING: u8 = 1;

/// Exit status of a failure. It is clap's for wrong usage too.
const FAILED: u8 = 2;

/// Why a subcommand failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A sentence for the person who called it.
    Message(String),
    /// Whoever reads our output has gone: nothing is left to do, and nothing is wrong.
    OutputClosed,
}

/// What a subcommand ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, or found.
    Done,
    /// What was asked for is not there.
    Missing,
    /// Done, but for what was said to be left out.
    Incomplete,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Failure {
        Failure::Message(message.to_string())
    }

    /// What a failed write to standard output or a file means.
    pub(crate) fn output(what: &str, error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::OutputClosed
        } else {
            Failure::Message(format!("cannot write {what}: {error}"))
        }
    }
}

impl From<hakone::Error> for Failure {
    fn from(error: hakone::Error) -> Failure {
        Failure::new(error)
    }
}

impl From<hakone_client::Error> for Failure {
    fn from(error: hakone_client::Error) -> Failure {
        Failure::new(error)
    }
}

/// Says on standard error why a subcommand failed, and gives its exit status.
pub(crate) fn exit_code(ended: Result<Outcome>) -> ExitCode {
    match ended {
        Ok(Outcome::Done) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Ok(Outcome::Missing | Outcome::Incomplete) => ExitCode::from(MISSING),
        Err(Failure::Message(message)) => {
            say(&format!("hakone: {message}"));
            ExitCode::from(FAILED)
        }
    }
}

/// A line on standard error.
#[expect(clippy::print_stderr, reason = "this is where the command line speaks")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
