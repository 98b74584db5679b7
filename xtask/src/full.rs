//! `cargo xtask full`: the long versions of the tests and the benchmarks, with dated results.

use crate::ci;
use crate::evidence;
use crate::step::{Failed, Outcome, Steps, cargo, output};
use std::path::Path;
use std::process::Command;

/// One long run, and its page.
struct Topic {
    name: &'static str,
    title: &'static str,
    /// What is run, one after the other.
    commands: fn(&Path) -> Outcome<Vec<Command>>,
}

/// The protocols that the load is put on, one after the other.
const PROTOCOLS: [&str; 5] = ["redis", "memcached", "tyrant", "tycoon", "http"];

const TOPICS: [Topic; 11] = [
    Topic {
        name: "crashes",
        title: "Power cuts, failing calls and damage, 60,000 images",
        commands: |root| {
            let tests = ["test", "--release", "--quiet", "--package", "hakone", "--"];
            let mut command = cargo(root, &tests);
            command
                .args(["--nocapture", "--test-threads=1", "torture"])
                .env("HAKONE_CRASH_IMAGES", "60000");
            Ok(vec![command])
        },
    },
    Topic {
        name: "fuzz",
        title: "Mutated requests to every codec and to a whole service",
        commands: |root| {
            // Not `--release`: sums that overflow are to be found too.
            let tests = ["test", "--quiet", "--package", "hakone-server", "--test"];
            let mut command = cargo(root, &tests);
            command.args(["fuzz", "--", "--nocapture"]);
            if std::env::var_os("HAKONE_FUZZ_SECONDS").is_none() {
                command.env("HAKONE_FUZZ_SECONDS", "1800");
            }
            Ok(vec![command])
        },
    },
    Topic {
        name: "end-to-end",
        title: "Real clients, real data and kills, the long versions",
        commands: |root| {
            let mut suite = ci::suite(root, &ci::release(root)?)?;
            suite.env("HAKONE_FULL", "1");
            Ok(vec![suite])
        },
    },
    Topic {
        name: "store",
        title: "The store alone, 10 million records",
        commands: |root| {
            let bench = [
                "bench",
                "--quiet",
                "--package",
                "hakone",
                "--bench",
                "store",
            ];
            let mut command = cargo(root, &bench);
            command.args(["--", "10000000"]);
            Ok(vec![command])
        },
    },
    Topic {
        name: "expiry",
        title: "Reclaiming 10 million records over 10 minutes",
        commands: |root| {
            let bench = ["bench", "--quiet", "--package", "hakone"];
            let mut command = cargo(root, &bench);
            command.args(["--bench", "expiry", "--", "10000000", "600"]);
            Ok(vec![command])
        },
    },
    Topic {
        name: "miri",
        title: "Miri on what it can run in minutes",
        commands: |root| {
            if !has_miri(root) {
                println!("no nightly toolchain with miri: left out");
                return Ok(Vec::new());
            }
            // Miri runs no mapped files and no C, and thousands of records take it hours.
            let mut command = miri(root);
            command.args(["test", "--quiet", "--package", "hakone", "--lib", "--"]);
            command.args(["ops::", "log::format::tests::a_", "store::keys::array"]);
            command.args(["store::keys::number", "watch::mailbox", "io::watermark"]);
            Ok(vec![command])
        },
    },
    Topic {
        name: "lists",
        title: "Lists of 10 million elements",
        commands: |root| {
            let bench = ["bench", "--quiet", "--package", "hakone"];
            let mut command = cargo(root, &bench);
            command.args(["--bench", "lists", "--", "10000000"]);
            Ok(vec![command])
        },
    },
    Topic {
        name: "packing",
        title: "What packing saves and costs, 2 million records",
        commands: |root| {
            let bench = ["bench", "--quiet", "--package", "hakone"];
            let mut command = cargo(root, &bench);
            command.args(["--bench", "packing", "--", "2000000"]);
            Ok(vec![command])
        },
    },
    Topic {
        name: "servers",
        title: "Beside redis-server and memcached",
        commands: |root| {
            let mut command = Command::new(ci::release(root)?);
            command.args(["bench", "--against", "redis,memcached"]);
            Ok(vec![command])
        },
    },
    Topic {
        name: "protocols",
        title: "Every protocol, beside memcached",
        commands: |root| {
            let hakone = ci::release(root)?;
            let each = PROTOCOLS.iter().map(|protocol| {
                let mut command = Command::new(&hakone);
                command.args(["bench", "--kind", "hash", "--mix", "90"]);
                command.args(["--against", "memcached", "--protocol", protocol]);
                command
            });
            Ok(each.collect())
        },
    },
    Topic {
        name: "crowd",
        title: "Idle, slow and many connections",
        commands: |root| {
            let mut command = Command::new(ci::release(root)?);
            command.args(["bench", "crowd", "--kind", "hash"]);
            Ok(vec![command])
        },
    },
];

fn miri(root: &Path) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "miri"]);
    command.current_dir(root);
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    command
}

fn has_miri(root: &Path) -> bool {
    let asked = miri(root).arg("--version").output();
    asked.is_ok_and(|asked| asked.status.success())
}

/// Runs what CI runs and then every topic, or the named topics alone. What they print goes to a
/// page each in `docs/evidence/`.
pub(crate) fn run(root: &Path, names: &[String]) -> Outcome<String> {
    let known = |name: &String| TOPICS.iter().any(|topic| topic.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let topics: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
        let topics = topics.join(", ");
        return Err(Failed(format!("no topic {unknown}, there are {topics}")));
    }
    let steps = Steps::new("full");
    if names.is_empty() {
        ci::run_steps(&steps, root)?;
    }
    let chosen = |topic: &&Topic| names.is_empty() || names.iter().any(|name| name == topic.name);
    for topic in TOPICS.iter().filter(chosen) {
        let page = steps.step(topic.title, || {
            let mut printed = Vec::new();
            for command in &mut (topic.commands)(root)? {
                printed.extend(output(command)?);
            }
            evidence::write(root, topic.name, topic.title, &printed)
        })?;
        println!("{page}");
    }
    Ok(steps.passed())
}
