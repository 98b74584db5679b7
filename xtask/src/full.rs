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
    command: fn(&Path) -> Outcome<Command>,
}

const TOPICS: [Topic; 4] = [
    Topic {
        name: "crashes",
        title: "Power cuts, failing calls and damage, 60,000 images",
        command: |root| {
            let tests = ["test", "--release", "--quiet", "--package", "hakone", "--"];
            let mut command = cargo(root, &tests);
            command
                .args(["--nocapture", "--test-threads=1", "torture"])
                .env("HAKONE_CRASH_IMAGES", "60000");
            Ok(command)
        },
    },
    Topic {
        name: "end-to-end",
        title: "Real clients, real data and kills, the long versions",
        command: |root| {
            let mut suite = ci::suite(root, &ci::release(root)?)?;
            suite.env("HAKONE_FULL", "1");
            Ok(suite)
        },
    },
    Topic {
        name: "store",
        title: "The store alone, 10 million records",
        command: |root| {
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
            Ok(command)
        },
    },
    Topic {
        name: "servers",
        title: "Beside redis-server and memcached",
        command: |root| {
            let mut command = Command::new(ci::release(root)?);
            command.args(["bench", "--against", "redis,memcached"]);
            Ok(command)
        },
    },
];

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
            let printed = output(&mut (topic.command)(root)?)?;
            evidence::write(root, topic.name, topic.title, &printed)
        })?;
        println!("{page}");
    }
    Ok(steps.passed())
}
