//! What lists cost when they are long, and what clearing a long one costs others.
//!
//! `cargo bench -p hakone --bench lists -- [ELEMENTS]`. A list of so many elements beside one of
//! 1,000: every operation timed. Then, while one thread reads and writes records of the same
//! database as fast as it can, the long one is cleared and its elements are collected.

#![expect(
    clippy::print_stdout,
    reason = "the results are what this program is for"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "a time is told to a 16th of it, and lists are shorter than 2^63"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on has nothing to measure"
)]

#[path = "../expiry/times.rs"]
mod times;

use hakone::{Cabinet, Database, DatabaseOptions, End, Kind, List, Options};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use times::Times;

/// Elements of the short list.
const FEW: u64 = 1000;

/// How often each operation is timed.
const ROUNDS: u64 = 100_000;

/// Records of the database, which the load beside is on.
const OTHERS: u64 = 100_000;

fn main() {
    // Cargo adds `--bench`.
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let elements = numbers.next().unwrap_or(1_000_000);
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lists-bench");
    let _ = std::fs::remove_dir_all(&home);
    let cabinet = Cabinet::open(&home, Options::default()).unwrap();
    let database = cabinet.create("database", DatabaseOptions::new(Kind::Hash));
    let database = database.unwrap();
    for number in 0..OTHERS {
        database.put(&number.to_le_bytes(), &[b'v'; 100]).unwrap();
    }
    let (short, long) = (filled(&database, FEW), filled(&database, elements));

    println!(
        "us of an operation on a list of {FEW} elements, then of {elements}; values of 100 bytes"
    );
    let (few, many) = (measure(&short, FEW), measure(&long, elements));
    for ((what, few), (_, many)) in few.iter().zip(&many) {
        let ratio = many.quantile(0.5) / few.quantile(0.5);
        println!("{what}: {}; {}; {ratio:.2} times", few.text(), many.text());
    }

    let quiet = beside(&database, || thread::sleep(Duration::from_secs(5)));
    let live = cabinet.stat().live_bytes;
    let mut cleared = Duration::ZERO;
    let mut collected = Duration::ZERO;
    let busy = beside(&database, || {
        let started = Instant::now();
        assert_eq!(long.clear().unwrap(), elements);
        cleared = started.elapsed();
        // An element takes more than its value.
        while cabinet.stat().live_bytes > live.saturating_sub(elements * 100) {
            thread::sleep(Duration::from_millis(20));
        }
        collected = started.elapsed();
    });
    println!(
        "clear: {} us; all collected after {:.1} s",
        cleared.as_micros(),
        collected.as_secs_f64()
    );
    println!("others, get and put: quiet {}", quiet.text());
    println!("others, get and put: collecting {}", busy.text());
    println!(
        "longest: quiet {:.0} us, collecting {:.0} us",
        quiet.quantile(1.0),
        busy.quantile(1.0)
    );
    cabinet.close().unwrap();
    std::fs::remove_dir_all(&home).unwrap();
}

fn filled(database: &Database, elements: u64) -> List {
    let list = database.list(elements.to_string().as_bytes()).unwrap();
    let values = vec![[b'e'; 100]; 1000];
    let mut len = 0;
    while len < elements {
        let count = (elements - len).min(1000) as usize;
        len = list.push(End::Back, &values[..count]).unwrap();
    }
    list
}

/// Times every operation; the list is as long afterwards.
fn measure(list: &List, len: u64) -> Vec<(&'static str, Times)> {
    let names = ["push", "pop", "range of 100", "get", "len"];
    let mut all: Vec<_> = names.map(|name| (name, Times::new())).into();
    for round in 0..ROUNDS {
        let end = if round % 2 == 0 {
            End::Back
        } else {
            End::Front
        };
        let index = (mixed(round) % (len - 100)) as i64;
        all[0].1.time(|| list.push(end, &[[b'e'; 100]]).unwrap());
        let popped = all[1].1.time(|| list.pop(end, 1).unwrap());
        assert_eq!(popped.len(), 1);
        let some = all[2]
            .1
            .time(|| list.range(index, index + 99, 100).unwrap());
        assert_eq!(some.values.len(), 100);
        assert!(all[3].1.time(|| list.get(index).unwrap()).is_some());
        assert_eq!(all[4].1.time(|| list.len().unwrap()), len);
    }
    all
}

/// Gets and puts on one thread while `work` goes on. Returns their times.
fn beside(database: &Database, work: impl FnOnce()) -> Times {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut times = Times::new();
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                let wanted = (mixed(number) % OTHERS).to_le_bytes();
                assert!(times.time(|| database.get(&wanted).unwrap()).is_some());
                let wanted = (mixed(!number) % OTHERS).to_le_bytes();
                times.time(|| database.put(&wanted, &[b'v'; 100]).unwrap());
            }
            times
        });
        work();
        is_over.store(true, Ordering::Relaxed);
        load.join().unwrap()
    })
}

/// A number in no order.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}
