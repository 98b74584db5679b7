//! `hakone bench` on servers that it starts itself, with few records.

use crate::support::{Ended, Folder, HAKONE, Place, run};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

fn bench(arguments: &[&str]) -> Ended {
    run(Command::new(HAKONE).arg("bench").args(arguments), b"")
}

/// The cells of the row of a server whose name is one word.
fn cells<'a>(table: &'a str, server: &str) -> Vec<&'a str> {
    let row = table
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(server))
        .next_back()
        .unwrap_or_else(|| panic!("no {server} in {table}"));
    row.split_whitespace().collect()
}

#[test]
fn every_protocol_is_measured_without_a_fault() {
    for protocol in ["redis", "memcached", "tyrant", "tycoon", "http"] {
        for connections in ["1", "7"] {
            let few = [
                "--keys",
                "300",
                "--requests",
                "2000",
                "--repetitions",
                "2",
                "--mix",
                "50",
            ];
            let which = [
                "--protocol",
                protocol,
                "--kind",
                "hash",
                "--connections",
                connections,
            ];
            let ended = bench(&[&few[..], &which].concat()).with(0);
            let cells = cells(ended.text(), "hakone hash");
            assert_eq!(cells.len(), 9, "{}", ended.text());
            for (index, cell) in cells[..8].iter().enumerate() {
                let number: f64 = cell.parse().unwrap();
                assert!(number > 0.0, "{index}: {}", ended.text());
            }
            assert_eq!(cells[8], "0", "{}", ended.text());
        }
    }
}

#[test]
fn a_running_server_is_measured_and_its_process_found() {
    let place = Place::server(&["default=hash"]);
    let server = format!("unix:{}", place.folder().join("socket"));
    let few = [
        "--keys",
        "100",
        "--requests",
        "1000",
        "--repetitions",
        "1",
        "--mix",
        "90",
    ];
    let ended = bench(&[&few[..], &["--server", &server]].concat()).with(0);
    let cells = cells(ended.text(), &server);
    assert_eq!(
        (cells[1], cells[6], cells[8]),
        ("1.00", "1.00", "0"),
        "{}",
        ended.text()
    );
    assert_eq!(
        place
            .run(&["scan", "--keys"])
            .with(0)
            .text()
            .lines()
            .count(),
        100
    );
}

#[test]
fn a_load_tells_what_a_record_costs() {
    let ended = bench(&["load", "--records", "2000", "--kind", "tree"]).with(0);
    let lines: Vec<&str> = ended.text().lines().collect();
    assert_eq!(lines.len(), 4, "{}", ended.text());
    assert_eq!(
        lines[0],
        "2000 records with values of 100 bytes; 1 connections, pipeline 100"
    );
    for line in [lines[1], lines[3]] {
        assert!(line.contains("loaded 2000 records in "), "{line}");
        let (_, costs) = line.split_once("bytes a record: memory ").unwrap();
        assert!(!costs.contains('-'), "{line}");
    }
}

#[test]
fn a_killed_bench_leaves_nothing_behind() {
    let folder = Folder::new();
    let directory = folder.path().to_str().unwrap();
    let mut killed = Command::new(HAKONE)
        .args([
            "bench",
            "--kind",
            "hash",
            "--keys",
            "100",
            "--seconds",
            "1000",
        ])
        .args(["--directory", directory])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(killed.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("loaded 100 records") {
        assert!(said.read_line(&mut line).unwrap() > 0, "{line}");
    }
    let children = format!("/proc/{0}/task/{0}/children", killed.id());
    let children = std::fs::read_to_string(children).unwrap();
    let child = format!("/proc/{}", children.trim());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let began = Instant::now();
    while is_alive(&child) {
        assert!(began.elapsed().as_secs() < 60, "{child} lives on");
    }

    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left(), 1);
    bench(&[
        "load",
        "--records",
        "1",
        "--kind",
        "hash",
        "--directory",
        directory,
    ])
    .with(0);
    assert_eq!(left(), 0, "the next run sweeps");
}

/// Whether a process runs: one that has ended may stay in the table until it is waited for.
fn is_alive(process: &str) -> bool {
    std::fs::read_to_string(format!("{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

#[test]
fn what_cannot_be_measured_is_told() {
    let folder = Folder::new();
    let none = format!("unix:{}", folder.join("none"));
    let ended = bench(&["--server", &none]).with(2);
    assert!(
        ended
            .error
            .starts_with(&format!("hakone: {none}: cannot reach ")),
        "{}",
        ended.error
    );
    for (arguments, said) in [
        (
            &["--server", "gopher://x"][..],
            "gopher is no protocol that bench speaks",
        ),
        (&["--mix", "101"], "101 is not in 0..=100"),
        (
            &["--against", "oracle"],
            "possible values: redis, memcached, ttserver, ktserver, installed",
        ),
        (&["--durability", "none"], "hakone hash did not start: "),
    ] {
        let ended = bench(arguments).with(2);
        assert!(ended.error.contains(said), "{}", ended.error);
    }
}

#[test]
fn a_crowd_leaves_answers_to_the_others() {
    let few = [
        "crowd",
        "--kind",
        "hash",
        "--idle",
        "50",
        "--active",
        "5",
        "--slow",
        "20",
        "--seconds",
        "0.1",
    ];
    let ended = bench(&few).with(0);
    let text = ended.text();
    assert!(text.contains("50 idle connections take"), "{text}");
    let measured = text.lines().filter(|line| line.contains("p99.9")).count();
    let crowds = text.matches("beside 20 slow senders").count();
    assert!(crowds >= 4, "{text}");
    assert_eq!(measured, 2 + 3 * crowds, "{text}");
}
