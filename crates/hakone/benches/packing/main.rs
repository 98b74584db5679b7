//! What packing saves and costs: for each codec the bytes of the log beside those of the values, and
//! the processor's time for a put and a get, with JSON records of about 200 and 2,000 bytes.
//!
//! `cargo bench -p hakone --bench packing -- [RECORDS]`: so many of the small ones, a tenth of the
//! large ones, in a hash and a tree on disk.

#![expect(
    clippy::print_stdout,
    reason = "the results are what this program is for"
)]
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark that can't go on has nothing to measure, and rounds what it tells"
)]

use hakone::{Cabinet, Compression, DatabaseOptions, Kind, Options};
use std::path::PathBuf;

/// Records of 200 bytes, unless the command line says otherwise.
const RECORDS: u64 = 200_000;

fn main() {
    // Cargo adds `--bench`.
    let mut numbers = std::env::args().filter_map(|text| text.parse().ok());
    let records = numbers.next().unwrap_or(RECORDS);
    println!("log: its bytes over those of keys and values; times in us of the processor");
    for (lines, records) in [(1, records), (10, records / 10)] {
        for kind in [Kind::Hash, Kind::Tree] {
            for (word, compression) in Compression::ALL {
                let options = DatabaseOptions {
                    compression: *compression,
                    ..DatabaseOptions::new(kind)
                };
                measure(word, options, lines, records);
            }
        }
    }
}

fn measure(word: &str, options: DatabaseOptions, lines: u64, records: u64) {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("packing-bench");
    let _ = std::fs::remove_dir_all(&home);
    let cabinet = Cabinet::open(&home, Options::default()).unwrap();
    let database = cabinet.create("database", options).unwrap();
    let values: Vec<_> = (0..records).map(|number| value(number, lines)).collect();
    let put_all = || {
        for (number, value) in (0..records).zip(&values) {
            database.put(&number.to_le_bytes(), value).unwrap();
        }
    };
    put_all();
    // With the dictionary, if there is to be one.
    cabinet.alter("database", options).unwrap();
    let put = processor_us(put_all) / records as f64;
    let get = processor_us(|| {
        for (number, value) in (0..records).zip(&values) {
            let there = database.get(&number.to_le_bytes()).unwrap();
            assert_eq!(there.as_ref(), Some(value));
        }
    }) / records as f64;
    cabinet.compact_all().unwrap();
    let raw: usize = values.iter().map(|value| value.len() + 8).sum();
    let share = cabinet.stat().live_bytes as f64 / raw as f64;
    println!(
        "{} of {:4} bytes, {word:15} log {share:.2}, put {put:.2}, get {get:.2}",
        options.kind.name(),
        raw as u64 / records - 8,
    );
    cabinet.close().unwrap();
    std::fs::remove_dir_all(&home).unwrap();
}

/// A record as programs keep them.
fn value(number: u64, lines: u64) -> Vec<u8> {
    let line = |line: u64| {
        let mark = mixed(number * 100 + line);
        let town = ["Hakone", "Takarazuka", "Kyoto", "Nara", "Sendai"][(mark % 5) as usize];
        let name = ["sato", "suzuki", "takahashi", "tanaka", "ito"][(mark >> 8) as usize % 5];
        format!(
            "{{\"id\":{number},\"name\":\"{name}\",\"mail\":\"{name}.{}@example.org\",\"town\":\"{town}\",\
             \"visits\":{},\"seen\":\"2026-0{}-1{}T10:{}:00Z\",\"session\":\"{mark:016x}\",\
             \"is_member\":{},\"tags\":[\"spring\",\"onsen\"]}}\n",
            mark % 10_000,
            (mark >> 20) % 500,
            1 + (mark >> 30) % 9,
            (mark >> 33) % 10,
            10 + (mark >> 36) % 50,
            mark.is_multiple_of(3),
        )
    };
    (0..lines).flat_map(|i| line(i).into_bytes()).collect()
}

/// A number in no order.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Time on the processor of this thread, in microseconds.
fn processor_us(work: impl FnOnce()) -> f64 {
    let now = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let nanos = stat.split_whitespace().next().unwrap();
        nanos.parse::<u64>().unwrap() as f64 / 1000.0
    };
    let before = now();
    work();
    now() - before
}
