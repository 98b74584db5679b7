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
    // A verb may have another name.
    let alias = if words[0] == "scan" {
        "range"
    } else {
        words[0]
    };
    let begins = |line: &str| {
        let mut names = [words[0], alias].into_iter();
        names.any(|name| line.starts_with(&format!("  hakone {name}")))
    };
    let examples = examples
        .lines()
        .filter(|line| begins(line) || line.contains("| hakone"));
    examples.map(|line| line.trim().to_owned()).collect()
}

/// The commands that a command lists in its help, without `help` itself.
fn commands(words: &[&str]) -> Vec<String> {
    let help = help(words);
    let Some((_, commands)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    commands
        .lines()
        .take_while(|line| !line.is_empty())
        // What a command does may go on in the next line, further in.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|verb| verb != "help")
        .collect()
}

/// The words of every command, those below another one too.
fn every_command() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for verb in commands(&[]) {
        let below = commands(&[&verb]);
        all.extend(below.into_iter().map(|word| vec![verb.clone(), word]));
        all.push(vec![verb]);
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

#[test]
fn every_verb_has_examples() {
    for words in every_command() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(!examples(&words).is_empty(), "{words:?}");
    }
}

/// Options that narrow down, choose a place or switch something on: without them there is nothing
/// of the kind, and so no default to tell.
const WITHOUT_DEFAULT: [&str; 16] = [
    "--prefix",
    "--from",
    "--above",
    "--to",
    "--below",
    "--interval",
    "--regex",
    "--similar",
    "--limit",
    "--compression",
    "--data",
    "--config",
    "--requests",
    "--against",
    "--server",
    "--listen",
];

#[test]
fn every_argument_says_what_it_is_and_its_default() {
    for words in std::iter::once(Vec::new()).chain(every_command()) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = help(&words);
        // An argument stands at the beginning of a line, its text below it and further in.
        let mut lines = help
            .lines()
            .skip_while(|line| *line != "Arguments:" && *line != "Options:")
            .take_while(|line| *line != "Examples:" && !line.starts_with("URLs:"))
            .peekable();
        let mut count = 0;
        while let Some(line) = lines.next() {
            let named = line.trim_start();
            let is_argument = line.starts_with("  ") && named.starts_with(['-', '[', '<']);
            if !is_argument || line.starts_with("          ") {
                continue;
            }
            count += 1;
            // Or beside it, where all texts are short.
            let (named, beside) = named.split_once("  ").unwrap_or((named, ""));
            let mut text = beside.trim().to_owned();
            text.push(' ');
            while let Some(more) = lines.peek()
                && (more.is_empty() || more.starts_with("          "))
            {
                text.push_str(more.trim());
                text.push(' ');
                lines.next();
            }
            let text = text.trim();
            assert!(text.len() > 3, "{words:?} {named}: no help");
            let takes_value = named.starts_with('-') && named.contains('<');
            let has_default = text.contains("default") || text.contains("nowhere");
            let is_free = WITHOUT_DEFAULT.iter().any(|name| named.contains(name));
            assert!(
                !takes_value || has_default || is_free,
                "{words:?} {named}: no default in {text:?}"
            );
        }
        assert!(count > 0, "{words:?}: {help}");
    }
}

#[test]
fn completions_are_there_for_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(Command::new(HAKONE).args(["completions", shell]), b"").with(0);
        for word in every_command().iter().flatten() {
            assert!(script.text().contains(word.as_str()), "{shell}: {word}");
        }
        folder.write(shell, &script.out);
    }
    let bash = |script: &str| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script])
            .current_dir(folder.path());
        run(&mut bash, b"").with(0).text().to_owned()
    };
    bash("bash -n bash");
    let loaded = bash("source ./bash && complete -p hakone");
    assert!(loaded.contains("-F _hakone"), "{loaded}");
    // What a press of the tab key does.
    let completed = bash(
        "source ./bash; COMP_WORDS=(hakone exp); COMP_CWORD=1; _hakone hakone exp hakone; \
         echo \"${COMPREPLY[@]}\"",
    );
    assert_eq!(completed, "export\n");
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
    for verb in [
        "get",
        "set",
        "add",
        "append",
        "swap",
        "touch",
        "delete",
        "scan",
        "count",
        "cursor",
        "list",
        "transaction",
        "stat",
        "compact",
        "alter",
        "import",
        "export",
        "completions",
    ] {
        for example in examples(&[verb]) {
            check(&example, "");
        }
    }
    for verb in ["push", "pop", "range", "length", "clear"] {
        for example in examples(&["list", verb]) {
            check(&example, "");
        }
    }
}

#[test]
fn every_example_of_bench_works_on_few_records() {
    let mut seen = Vec::new();
    for words in [&["bench"][..], &["bench", "load"], &["bench", "crowd"]] {
        for example in examples(words) {
            if seen.contains(&example) {
                continue;
            }
            let few: &[(&str, &str)] = if example.contains("bench load") {
                &[("--records", "500")]
            } else if example.contains("bench crowd") {
                &[
                    ("--idle", "100"),
                    ("--active", "10"),
                    ("--slow", "10"),
                    ("--seconds", "0.1"),
                ]
            } else {
                &[
                    ("--keys", "500"),
                    ("--requests", "500"),
                    ("--repetitions", "1"),
                ]
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
            seen.push(example);
        }
    }
}
