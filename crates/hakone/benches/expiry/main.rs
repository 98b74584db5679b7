//! How soon what has expired is reclaimed, and what that costs others.
//!
//! `cargo bench -p hakone --bench expiry -- [RECORDS] [SECONDS] [hash|tree]`. Records get deadlines uniform over
//! so many seconds. Before the first of them and while they pass, one thread reads and writes other
//! records of the same database as fast as it can, every operation timed; meanwhile `count` is
//! compared with what may be left. Ends with 1 if a promise was not kept: p99 of the lag below 100
//! ms, nothing counted longer than that, p99.9 of gets and puts at most twice the quiet one.

#![expect(
    clippy::print_stdout,
    reason = "the results are what this program is for"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a time is told to a 16th of it"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on has nothing to measure"
)]

mod times;

use hakone::{
    Cabinet, Command, Condition, Database, DatabaseOptions, ExpirySet, Kind, Options, Reply, now,
};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use times::Times;

/// Records without a deadline, which the load beside is on.
const OTHERS: u64 = 100_000;

/// The quiet time before the first deadline, at least.
const QUIET_MILLIS: u64 = 10_000;

/// How late an expired record may be counted, in milliseconds.
const LAG_MAX: u64 = 100;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = arguments.iter().filter_map(|text| text.parse().ok());
    let records = numbers.next().unwrap_or(1_000_000);
    let seconds = numbers.next().unwrap_or(60);
    println!("{records} records of 100 bytes with deadlines uniform over {seconds} s");
    println!("us of an operation while one thread gets and puts in turn, as fast as it can");
    let mut kept = true;
    for kind in [Kind::Hash, Kind::Tree] {
        if !arguments
            .iter()
            .any(|a| Kind::from_name(a).is_some_and(|only| only != kind))
        {
            kept &= measure(kind, records, seconds);
        }
    }
    ExitCode::from(u8::from(!kept))
}

/// Measures one kind. Returns whether what is promised was kept.
fn measure(kind: Kind, records: u64, seconds: u64) -> bool {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("expiry-bench");
    let _ = std::fs::remove_dir_all(&home);
    let cabinet = Cabinet::open(&home, Options::default()).unwrap();
    let database = cabinet.create("database", DatabaseOptions::new(kind));
    let database = database.unwrap();
    for number in 0..OTHERS {
        put(&database, &key(b'o', number), 0);
    }
    // 6 us a record: so long may loading take.
    let begin = now() + records * 6 / 1000 + QUIET_MILLIS;
    let span = seconds * 1000;
    let mut deadlines: Vec<u64> = (0..records).map(|n| begin + mixed(n) % span).collect();
    let before = memory_bytes();
    for (number, deadline) in (0..).zip(&deadlines) {
        put(&database, &key(b'e', number), *deadline);
    }
    let memory = memory_bytes().saturating_sub(before) / records.max(1);
    deadlines.sort_unstable();
    println!(
        "{}: memory a record with a deadline: {memory} B",
        kind.name()
    );

    let quiet = run_beside(&database, || {
        while now() < begin {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let mut late_most = 0;
    let busy = run_beside(&database, || {
        while now() < begin + span + LAG_MAX {
            thread::sleep(Duration::from_millis(250));
            // Before the count: what expires during it may be in it.
            let bound = now() - LAG_MAX;
            let left = deadlines.len() - deadlines.partition_point(|deadline| *deadline <= bound);
            late_most = late_most.max(count(&database).saturating_sub(OTHERS + left as u64));
        }
    });
    let stat = cabinet.stat();
    let lag = |share| match stat.expiry_lags.quantile(share) {
        Some(bound) => format!("at most {bound}"),
        None => "over 10000".to_owned(),
    };
    println!(
        "{}: reclaimed {}; lag in ms: p50 {}, p99 {}, highest {}; at most {late_most} counted longer \
         than {LAG_MAX} ms",
        kind.name(),
        stat.reclaimed,
        lag(0.5),
        lag(0.99),
        lag(1.0),
    );
    let mut kept = stat
        .expiry_lags
        .quantile(0.99)
        .is_some_and(|l| l <= LAG_MAX);
    kept &= stat.reclaimed == records && late_most == 0 && count(&database) == OTHERS;
    for (what, quiet, busy) in [("get", quiet.0, busy.0), ("put", quiet.1, busy.1)] {
        let ratio = busy.quantile(0.999) / quiet.quantile(0.999);
        println!(
            "{}: {what}: quiet {}, reclaiming {}, {ratio:.2} times the p99.9",
            kind.name(),
            quiet.text(),
            busy.text()
        );
        kept &= ratio <= 2.0;
    }
    cabinet.close().unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    kept
}

/// Gets and puts on one thread while `wait` waits. Returns their times.
fn run_beside(database: &Database, wait: impl FnOnce()) -> (Times, Times) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut gets, mut puts) = (Times::new(), Times::new());
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                let wanted = key(b'o', mixed(number) % OTHERS);
                gets.time(|| get(database, &wanted));
                let wanted = key(b'o', mixed(!number) % OTHERS);
                puts.time(|| put(database, &wanted, 0));
            }
            (gets, puts)
        });
        wait();
        is_over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    })
}

fn get(database: &Database, key: &[u8]) {
    let mut is_there = false;
    let command = Command::Get { key };
    let answer = &mut |reply: Reply<'_>| is_there = matches!(reply, Reply::Record(_));
    database.call(&command, now(), answer).unwrap();
    assert!(is_there, "a record without a deadline stays");
}

fn put(database: &Database, key: &[u8], expiry: u64) {
    let command = Command::Put {
        key,
        value: &[b'v'; 100],
        condition: Condition::Always,
        expiry: ExpirySet::At(expiry),
        flags: 0,
        want_old: false,
    };
    database.call(&command, now(), &mut |_| {}).unwrap();
}

fn count(database: &Database) -> u64 {
    let mut count = 0;
    let answer = &mut |reply: Reply<'_>| {
        if let Reply::Number(number) = reply {
            count = u64::try_from(number).unwrap();
        }
    };
    database.call(&Command::Count, now(), answer).unwrap();
    count
}

fn key(letter: u8, number: u64) -> [u8; 17] {
    let mut key = [letter; 17];
    for (i, digit) in key[1..].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(mixed(number) >> (i * 4) & 15) as usize];
    }
    key
}

/// A number in no order.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    kibibytes.unwrap().parse::<u64>().unwrap() * 1024
}
