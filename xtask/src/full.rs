//! `cargo xtask full`: the long versions of the tests, with dated results.

use crate::ci;
use crate::evidence::Page;
use crate::step::{Outcome, Steps, cargo, output};
use std::path::Path;
use std::process::Command;

/// Power cuts over all scripts and seeds; CI takes a sample of 5,000.
const CRASH_IMAGES: &str = "60000";

/// Records of the store benchmark: more than fit into any cache of the CPU.
const RECORDS: &str = "10000000";

/// Runs what CI runs, then the long versions, and writes what they print to `docs/evidence/`.
pub(crate) fn run(root: &Path) -> Outcome<String> {
    let steps = Steps::new("full");
    ci::run_steps(&steps, root)?;
    let mut page = Page::new("full", "Long runs")?;

    let crashes = steps.step("all crash images", || {
        let tests = [
            "test",
            "--release",
            "--package",
            "hakone",
            "--",
            "--nocapture",
            "torture",
        ];
        output(cargo(root, &tests).env("HAKONE_CRASH_IMAGES", CRASH_IMAGES))
    })?;
    page.section(&format!("Power cuts, {CRASH_IMAGES} images"), &crashes);

    let server = ci::release(root)?;
    let suite = steps.step("end to end, long", || {
        output(ci::suite(root, &server)?.env("HAKONE_FULL", "1"))
    })?;
    page.section("End to end", &suite);

    let store = steps.step("store benchmark", || {
        output(&mut cargo(
            root,
            &[
                "bench",
                "--package",
                "hakone",
                "--bench",
                "store",
                "--",
                RECORDS,
            ],
        ))
    })?;
    page.section("The store alone", &store);

    let servers = steps.step("beside redis-server and memcached", || {
        output(Command::new(&server).args(["bench", "--against", "redis,memcached"]))
    })?;
    page.section("Beside redis-server and memcached", &servers);

    println!("results: {}", page.write(root)?);
    Ok(steps.passed())
}
