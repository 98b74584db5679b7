//! What the store alone does in a second: point operations on a hash and a tree, scans, opening.
//!
//! `cargo bench -p hakone --bench store -- [RECORDS]`. Keys are 16 hex digits in no order, values
//! 100 bytes that tell record and round, so that every read is judged. Times are wall clock less
//! what the thread stood in the run queue, so that a busy machine does less harm. Keys and values
//! are made inside the measured time: about 0.05 us each.

#![expect(
    clippy::print_stdout,
    reason = "the results are what this program is for"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on has nothing to measure"
)]

use hakone::{
    Cabinet, Command, Condition, Database, DatabaseOptions, ExpirySet, Kind, Next, Options,
    Position, Reply,
};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Instant;

/// Records, unless the command line says otherwise.
const RECORDS: u64 = 1_000_000;
/// Keys of a batch: as many as one turn of a server with pipelining clients has.
const BATCH: usize = 32;
/// The time that all commands are given: nothing here expires.
const NOW: u64 = 1_800_000_000_000;
/// The first argument of the child that fills a cabinet and waits to be killed.
const FILL: &str = "fill";

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments = arguments.iter().filter(|a| *a != "--bench");
    match arguments.next().map(String::as_str) {
        Some(FILL) => fill_and_wait(Path::new(arguments.next().unwrap()), arguments.next()),
        records => measure_all(count(records)),
    }
}

fn count(text: Option<&str>) -> u64 {
    text.map_or(RECORDS, |text| text.parse().unwrap())
}

fn measure_all(records: u64) {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("store-bench");
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home).unwrap();
    println!("{records} records, 16-byte keys, 100-byte values, random order, one thread");
    for kind in [Kind::Hash, Kind::Tree] {
        let directory = home.join(kind.name());
        let before = memory_bytes();
        let cabinet = Cabinet::open(&directory, Options::default()).unwrap();
        let database = create(&cabinet, kind);
        measure_points(&database, records);
        if kind == Kind::Tree {
            measure("tree: scan", records, || scan(&database));
        }
        let memory = memory_bytes().saturating_sub(before);
        println!("{}: memory a record: {} B", kind.name(), memory / records);
        let started = Instant::now();
        cabinet.close().unwrap();
        println!(
            "{}: close: {:.2} s",
            kind.name(),
            started.elapsed().as_secs_f64()
        );
        drop((database, cabinet));
        measure_open(&directory, kind, records, "clean close");
        std::fs::remove_dir_all(&directory).unwrap();

        fill_and_kill(&directory, kind, records);
        measure_open(&directory, kind, records, "SIGKILL");
    }
    std::fs::remove_dir_all(&home).unwrap();
}

fn measure_points(database: &Database, records: u64) {
    let kind = database.options().kind.name();
    measure(&format!("{kind}: put"), records, || {
        put_all(database, records, 0);
    });
    measure(&format!("{kind}: get"), records, || {
        for number in 0..records {
            let number = shuffled(number, records);
            check_get(database, &key(number), number);
        }
    });
    measure(
        &format!("{kind}: get in batches of {BATCH}"),
        records,
        || {
            let mut batch = Vec::with_capacity(BATCH);
            for start in (0..records).step_by(BATCH) {
                let numbers = start..records.min(start + BATCH as u64);
                batch.clear();
                batch.extend(
                    numbers
                        .map(|number| shuffled(number, records))
                        .map(|n| (key(n), n)),
                );
                let keys: Vec<&[u8]> = batch.iter().map(|(key, _)| &key[..]).collect();
                database.prefetch(&keys);
                for (key, number) in &batch {
                    check_get(database, key, *number);
                }
            }
        },
    );
    measure(&format!("{kind}: overwrite"), records, || {
        put_all(database, records, 1);
    });
}

fn measure_open(directory: &Path, kind: Kind, records: u64, after: &str) {
    let started = Instant::now();
    let cabinet = Cabinet::open(directory, Options::default()).unwrap();
    let took = started.elapsed().as_secs_f64();
    let database = create(&cabinet, kind);
    let mut found = 0;
    let answer = &mut |reply: Reply<'_>| {
        if let Reply::Number(number) = reply {
            found = number;
        }
    };
    database.call(&Command::Count, NOW, answer).unwrap();
    assert_eq!(
        u64::try_from(found),
        Ok(records),
        "records are missing after {after}"
    );
    println!("{}: open after {after}: {took:.2} s", kind.name());
    cabinet.close().unwrap();
}

/// Has a child fill the cabinet, and kills it.
fn fill_and_kill(directory: &Path, kind: Kind, records: u64) {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .arg(FILL)
        .arg(directory)
        .arg(format!("{} {records}", kind.name()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line, "filled\n");
}

fn fill_and_wait(directory: &Path, what: Option<&String>) {
    let (kind, records) = what.unwrap().split_once(' ').unwrap();
    let cabinet = Cabinet::open(directory, Options::default()).unwrap();
    let database = create(&cabinet, Kind::from_name(kind).unwrap());
    put_all(&database, count(Some(records)), 0);
    println!("filled");
    loop {
        std::thread::park();
    }
}

fn create(cabinet: &Cabinet, kind: Kind) -> Database {
    let options = DatabaseOptions {
        kind,
        memory: false,
    };
    cabinet.create("bench", options).unwrap()
}

fn put_all(database: &Database, records: u64, round: u64) {
    for number in 0..records {
        let command = Command::Put {
            key: &key(number),
            value: &value(number, round),
            condition: Condition::Always,
            expiry: ExpirySet::Keep,
            flags: 0,
            want_old: false,
        };
        let answer = &mut |reply: Reply<'_>| assert!(matches!(reply, Reply::Stored(_)));
        database.call(&command, NOW, answer).unwrap();
    }
}

fn check_get(database: &Database, key: &[u8], number: u64) {
    let command = Command::Get { key };
    let answer = &mut |reply: Reply<'_>| {
        let Reply::Record(record) = reply else {
            panic!("record {number} is missing");
        };
        assert_eq!(record.value[8..16], number.to_le_bytes());
    };
    database.call(&command, NOW, answer).unwrap();
}

fn scan(database: &Database) {
    let mut last: Option<Vec<u8>> = None;
    loop {
        let command = Command::Scan {
            from: last.as_deref().map_or(Position::Start, Position::After),
            prefix: b"",
            limit: 1000,
            values: true,
        };
        let mut next = None;
        let answer = &mut |reply: Reply<'_>| {
            let Reply::Page(page) = reply else {
                panic!("a scan answers a page");
            };
            let end = page.iter().next_back().map(|(key, _)| key.to_owned());
            next = end.filter(|_| page.next == Next::AfterLast);
        };
        database.call(&command, NOW, answer).unwrap();
        if next.is_none() {
            return;
        }
        last = next;
    }
}

fn measure(what: &str, records: u64, run: impl FnOnce()) {
    let queued = queued_seconds();
    let started = Instant::now();
    run();
    let took = started.elapsed().as_secs_f64() - (queued_seconds() - queued);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = records as f64 / took / 1e6;
    println!("{what}: {rate:.2} M/s");
}

/// Seconds that this thread has stood in the run queue.
fn queued_seconds() -> f64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split_whitespace().nth(1);
    nanoseconds
        .and_then(|text| text.parse::<f64>().ok())
        .unwrap_or_default()
        * 1e-9
}

fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

/// A bijection on 64 bits that leaves no order.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The records in another order than the one they were put in.
fn shuffled(number: u64, records: u64) -> u64 {
    mix(number ^ 0x5bd1_e995) % records
}

fn key(number: u64) -> [u8; 16] {
    let mixed = mix(number);
    std::array::from_fn(|index| b"0123456789abcdef"[((mixed >> (60 - 4 * index)) & 15) as usize])
}

fn value(number: u64, round: u64) -> [u8; 100] {
    let mut value = [0; 100];
    value[..8].copy_from_slice(&round.to_le_bytes());
    value[8..16].copy_from_slice(&number.to_le_bytes());
    let mut state = mix(number ^ round.wrapping_mul(0x2545_f491_4f6c_dd1d));
    for chunk in value[16..].chunks_mut(8) {
        state = mix(state);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    value
}
