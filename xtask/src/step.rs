//! Steps: what runs, under which name, and how long it took.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a chore stopped, as a sentence.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed(error.to_string())
    }
}

/// How a chore ends.
pub(crate) type Outcome<T> = Result<T, Failed>;

/// A chore in steps: the first that fails ends it.
#[derive(Debug)]
pub(crate) struct Steps {
    chore: &'static str,
    started: Instant,
}

impl Steps {
    pub(crate) fn new(chore: &'static str) -> Steps {
        Steps {
            chore,
            started: Instant::now(),
        }
    }

    /// Runs one step under its name.
    pub(crate) fn step<T>(&self, name: &str, run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        println!("== {name}");
        let started = Instant::now();
        let outcome = run();
        let took = minutes(started.elapsed());
        match outcome {
            Ok(value) => {
                println!("== {name}: {took}");
                Ok(value)
            }
            Err(failed) => Err(Failed(format!(
                "cargo xtask {}: FAILED in step `{name}` after {took}: {failed}",
                self.chore
            ))),
        }
    }

    /// The last line of a chore that went well.
    pub(crate) fn passed(&self) -> String {
        let took = minutes(self.started.elapsed());
        format!("cargo xtask {}: passed in {took}", self.chore)
    }
}

/// A duration for people: `7m12s`, or `3.4s` under a minute.
pub(crate) fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1}s", duration.as_secs_f64())
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

/// Cargo, the one that runs us, at the root and with a closed stdin.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(arguments);
    command
}

/// Runs a command with a closed stdin; its output is ours.
pub(crate) fn run(command: &mut Command) -> Outcome<()> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|e| Failed(format!("{} does not start: {e}", shown(command))))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failed(format!("{} ended with {status}", shown(command))))
    }
}

/// Runs a command with a closed stdin and gives what it wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Outcome<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.map_err(|e| Failed(format!("{} does not start: {e}", shown(command))))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let status = output.status;
        Err(Failed(format!("{} ended with {status}", shown(command))))
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or_default()];
    words.extend(command.get_args());
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_for_people() {
        assert_eq!(minutes(Duration::from_millis(3_400)), "3.4s");
        assert_eq!(minutes(Duration::from_secs(432)), "7m12s");
        assert_eq!(minutes(Duration::from_hours(1)), "60m00s");
    }

    #[test]
    fn a_failing_command_is_named() {
        let failed = run(Command::new("/bin/sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(failed.0, "`sh -c exit 3` ended with exit status: 3");
    }

    #[test]
    fn a_failing_step_is_named_in_the_last_line() {
        let failed = Steps::new("ci")
            .step("fmt", || Err::<(), _>(Failed("two files differ".into())))
            .unwrap_err();
        assert!(
            failed
                .0
                .starts_with("cargo xtask ci: FAILED in step `fmt` after 0.0s")
        );
        assert!(failed.0.ends_with(": two files differ"));
    }
}
