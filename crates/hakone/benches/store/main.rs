//! What the store alone does in a second beside its prototypes: point operations on a hash and a
//! tree, scans; and how long opening takes.
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

mod engine;
mod prototype_log;
mod prototype_tree;

use engine::Engine;
use hakone::{
    Cabinet, Command, Condition, Database, DatabaseOptions, Direction, ExpirySet, Filter, Kind,
    Options, Position, Range, Reply,
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
    println!("M/s; the prototype has one writer, no locks, no removals, no versions");
    for kind in [Kind::Hash, Kind::Tree] {
        let directory = home.join(kind.name());
        let before = memory_bytes();
        let cabinet = Cabinet::open(&directory, Options::default()).unwrap();
        let database = create(&cabinet, kind);
        put_all(&database, records, 0);
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
        std::fs::remove_dir_all(&directory).unwrap();

        let cabinet = Cabinet::open(&directory, Options::default()).unwrap();
        let database = create(&cabinet, kind);
        let prototype_home = home.join("prototype");
        std::fs::create_dir_all(&prototype_home).unwrap();
        let prototype: Box<dyn Engine> = match kind {
            Kind::Hash => {
                let home = prototype_home.to_str().unwrap();
                Box::new(prototype_log::LogStore::open(home, 0.0).unwrap())
            }
            _ => Box::new(prototype_tree::MemTree::open(16 << 10).unwrap()),
        };
        compare(kind.name(), &database, &*prototype, records);
        drop(prototype);
        cabinet.close().unwrap();
        std::fs::remove_dir_all(&home).unwrap();
        std::fs::create_dir_all(&home).unwrap();
    }
    std::fs::remove_dir_all(&home).unwrap();
}

/// Measures each phase on both in turn.
fn compare(kind: &str, hakone: &dyn Engine, prototype: &dyn Engine, records: u64) {
    type Phase<'a> = (&'a str, Box<dyn Fn(&dyn Engine) + 'a>);
    let mut phases: Vec<Phase<'_>> = vec![
        ("put", Box::new(move |engine| put_all(engine, records, 0))),
        ("get", Box::new(move |engine| get_all(engine, records))),
        (
            "get in batches of 32",
            Box::new(move |engine| get_batches(engine, records)),
        ),
        (
            "overwrite",
            Box::new(move |engine| put_all(engine, records, 1)),
        ),
    ];
    if kind == "tree" {
        phases.push((
            "scan",
            Box::new(move |engine| assert_eq!(engine.scan(), records)),
        ));
    }
    for (what, phase) in phases {
        let ours = rate(records, || phase(hakone));
        let theirs = rate(records, || phase(prototype));
        let ratio = theirs / ours;
        println!("{kind}: {what}: {ours:.2}, prototype {theirs:.2}, {ratio:.2} times its time");
    }
}

fn put_all(engine: &dyn Engine, records: u64, round: u64) {
    for number in 0..records {
        engine.put(&key(number), &value(number, round));
    }
}

fn get_all(engine: &dyn Engine, records: u64) {
    for number in 0..records {
        let number = shuffled(number, records);
        engine.get(&key(number), &mut check(number));
    }
}

fn get_batches(engine: &dyn Engine, records: u64) {
    let mut batch = Vec::with_capacity(BATCH);
    for start in (0..records).step_by(BATCH) {
        let numbers = (start..records.min(start + BATCH as u64)).map(|n| shuffled(n, records));
        batch.clear();
        batch.extend(numbers.map(|number| (key(number), number)));
        let mut keys = [&[][..]; BATCH];
        for (slot, (key, _)) in keys.iter_mut().zip(&batch) {
            *slot = key;
        }
        engine.prefetch(&keys[..batch.len()]);
        for (key, number) in &batch {
            engine.get(key, &mut check(*number));
        }
    }
}

fn check(number: u64) -> impl FnMut(&[u8]) {
    move |value| assert_eq!(value[8..16], number.to_le_bytes())
}

impl Engine for Database {
    fn put(&self, key: &[u8], value: &[u8]) {
        let command = Command::Put {
            key,
            value,
            condition: Condition::Always,
            expiry: ExpirySet::Keep,
            flags: 0,
            want_old: false,
        };
        let answer = &mut |reply: Reply<'_>| assert!(matches!(reply, Reply::Stored(_)));
        self.call(&command, NOW, answer).unwrap();
    }

    fn get(&self, key: &[u8], check: &mut dyn FnMut(&[u8])) {
        let answer = &mut |reply: Reply<'_>| {
            let Reply::Record(record) = reply else {
                panic!("a record is missing");
            };
            check(record.value);
        };
        self.call(&Command::Get { key }, NOW, answer).unwrap();
    }

    fn prefetch(&self, keys: &[&[u8]]) {
        Database::prefetch(self, keys);
    }

    fn scan(&self) -> u64 {
        let mut last: Option<Vec<u8>> = None;
        let mut count = 0;
        loop {
            let command = Command::Scan {
                from: last.as_deref().map_or(Position::Start, Position::Resume),
                range: Range::All,
                direction: Direction::Forward,
                filter: Filter::All,
                limit: 1000,
                values: true,
            };
            let mut next = None;
            let answer = &mut |reply: Reply<'_>| {
                let Reply::Page(page) = reply else {
                    panic!("a scan answers a page");
                };
                count += page.len() as u64;
                next = page.resume().map(<[u8]>::to_vec);
            };
            self.call(&command, NOW, answer).unwrap();
            if next.is_none() {
                return count;
            }
            last = next;
        }
    }
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
    let options = DatabaseOptions::new(kind);
    cabinet.create("bench", options).unwrap()
}

/// Millions a second that `run` does of its `records`.
fn rate(records: u64, run: impl FnOnce()) -> f64 {
    let queued = queued_seconds();
    let started = Instant::now();
    run();
    let took = started.elapsed().as_secs_f64() - (queued_seconds() - queued);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let records = records as f64;
    records / took / 1e6
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
