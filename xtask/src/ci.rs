//! `cargo xtask ci`: everything a change must pass.

use crate::step::{Outcome, Steps, cargo, run};
use crate::{machine, tidy};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs every step. The cheap ones come first, so that a slip shows within seconds.
pub(crate) fn run_steps(steps: &Steps, root: &Path) -> Outcome<()> {
    steps.step("tidy", || tidy::run(root).map(|line| println!("{line}")))?;
    steps.step("fmt", || {
        run(&mut cargo(root, &["fmt", "--all", "--check"]))
    })?;
    steps.step("clippy", || {
        let lint = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ];
        run(&mut cargo(root, &lint))
    })?;
    steps.step("doc", || {
        let mut doc = cargo(root, &["doc", "--workspace", "--no-deps", "--quiet"]);
        run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    steps.step("packages and Python clients", || {
        machine::packages()?;
        machine::python(root)
    })?;
    steps.step("test", || {
        run(&mut cargo(root, &["test", "--workspace", "--quiet"]))
    })?;
    steps.step("end to end", || {
        let server = release(root)?;
        run(&mut suite(root, &server)?)
    })
}

/// `cargo xtask ci`.
pub(crate) fn run_all(root: &Path) -> Outcome<String> {
    let steps = Steps::new("ci");
    run_steps(&steps, root)?;
    Ok(steps.passed())
}

/// `cargo xtask e2e`: the end-to-end tests, or some of them.
pub(crate) fn e2e(root: &Path, names: &[String]) -> Outcome<String> {
    let steps = Steps::new("e2e");
    steps.step("packages", machine::packages)?;
    let server = steps.step("build", || release(root))?;
    steps.step("end to end", || run(suite(root, &server)?.args(names)))?;
    Ok(steps.passed())
}

/// Builds the `hakone` that users run, and gives its place.
pub(crate) fn release(root: &Path) -> Outcome<PathBuf> {
    run(&mut cargo(
        root,
        &["build", "--release", "--quiet", "--package", "hakone-cli"],
    ))?;
    Ok(machine::target()?.join("release/hakone"))
}

/// The end-to-end suite against that `hakone`.
pub(crate) fn suite(root: &Path, server: &Path) -> Outcome<Command> {
    let mut command = Command::new(machine::python(root)?);
    command
        .current_dir(root)
        .env("HAKONE", server)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg("tests/run.py");
    Ok(command)
}
