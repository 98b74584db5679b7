//! Every verb's help has examples, and every example does what it says.

use crate::support::{Folder, HAKONE, Server, run};
use std::path::Path;
use std::process::Command;

fn help(words: &[&str]) -> String {
    let help = run(Command::new(HAKONE).args(words).arg("--help"), b"").with(0);
    help.text().to_owned()
}

fn examples(words: &[&str]) -> Vec<String> {
    let help = help(words);
    let (_, examples) = help
        .split_once("\nExamples:\n")
        .unwrap_or_else(|| panic!("{words:?}"));
    let beginning = format!("  hakone {}", words[0]);
    let examples = examples
        .lines()
        .filter(|line| line.starts_with(&beginning) || line.contains("| hakone"));
    examples.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_verb_has_examples() {
    let help = help(&[]);
    let (_, verbs) = help.split_once("Commands:\n").unwrap();
    let verbs = verbs.lines().take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = verbs
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(verbs.len() > 8, "{verbs:?}");
    for verb in verbs.into_iter().filter(|&verb| verb != "help") {
        assert!(!examples(&[verb]).is_empty(), "{verb}");
    }
    assert!(!examples(&["bench", "load"]).is_empty());
}

/// Runs an example in a shell, with a server of our own in the place of those it names.
fn check(example: &str, more: &str) {
    let folder = Folder::new();
    let server = Server::start(&folder, &["default=tree"]);
    let address = server.address();
    let url = |scheme: &str| format!("{scheme}://{address}");
    let binaries = Path::new(HAKONE).parent().unwrap().to_str().unwrap();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    let hakone = |arguments: &[&str], input: &[u8]| {
        run(Command::new(HAKONE).args(arguments), input).with(0);
    };
    // What the examples take for granted.
    let lib = folder.join("lib");
    hakone(&["set", "--server", &address, "tea", "green"], b"");
    hakone(&["import", "--data", &lib, "-d", "names"], b"mint\t1\n");
    hakone(
        &["import", "--data", &lib, "-d", "sessions", "--kind", "hash"],
        b"tea\tgreen\n",
    );
    folder.write("names.tsv", "mint\t1\n");
    folder.write("sessions.jsonl", "{\"key\":\"tea\",\"value\":\"green\"}\n");
    folder.write("tea.bin", "green");

    let line = example
        .replace("/var/lib/hakone", &lib)
        .replace("unix:/run/hakone.sock", &address)
        .replace("redis://127.0.0.1:6379", &url("redis"))
        .replace("tyrant://127.0.0.1:1978", &url("tyrant"))
        .replace("127.0.0.1:1978", &address);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{line} {more}")])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("HAKONE_SERVER", &address);
    let ended = run(&mut shell, b"");
    assert_eq!(ended.status, 0, "{line} {more}: {}", ended.error);
}

#[test]
fn every_example_of_a_verb_on_records_works() {
    for verb in ["get", "set", "delete", "scan", "stat", "import", "export"] {
        for example in examples(&[verb]) {
            check(&example, "");
        }
    }
}

#[test]
fn every_example_of_bench_works_on_few_records() {
    let few = [
        (
            "bench",
            &[
                ("--keys", "500"),
                ("--requests", "500"),
                ("--repetitions", "1"),
            ][..],
        ),
        ("bench load", &[("--records", "500")]),
    ];
    for (words, few) in few {
        for example in examples(&words.split(' ').collect::<Vec<_>>()) {
            let load = example.contains("bench load");
            let few = if load {
                &[("--records", "500")][..]
            } else {
                few
            };
            let given = |name: &str| {
                example.contains(name) || (name == "--requests" && example.contains("--seconds"))
            };
            let more: Vec<String> = few
                .iter()
                .filter(|(name, _)| !given(name))
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            check(&example, &more.join(" "));
        }
    }
}
