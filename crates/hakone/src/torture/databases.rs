//! The databases of every script: each kind, trees in every order, on disk and in memory.

use crate::DatabaseOptions;
use hakone_command::{Comparator, Kind};

/// The databases of every script.
pub(super) const DATABASES: [(&str, Kind, bool); 8] = [
    ("hash", Kind::Hash, false),
    ("tree", Kind::Tree, false),
    ("values", Kind::Tree, false),
    ("numbers", Kind::Tree, false),
    ("array", Kind::Array, false),
    ("hash in memory", Kind::Hash, true),
    ("tree in memory", Kind::Tree, true),
    ("values in memory", Kind::Tree, true),
];

/// How many of them are on disk: the first ones.
pub(super) const ON_DISK: usize = 5;

/// What one of them is made with: trees in every order, by the seed.
pub(super) fn options(name: &str, kind: Kind, memory: bool, seed: u64) -> DatabaseOptions {
    let plain = DatabaseOptions {
        memory,
        ..DatabaseOptions::new(kind)
    };
    let comparator = |number: u64| {
        let number = usize::try_from(number).unwrap_or(0);
        Comparator::ALL[number % Comparator::ALL.len()].1
    };
    match name {
        "values" | "values in memory" => DatabaseOptions {
            duplicates: true,
            comparator: comparator(seed + u64::from(memory)),
            ..plain
        },
        "numbers" => DatabaseOptions {
            comparator: comparator(seed / 2 + 1),
            ..plain
        },
        "array" => DatabaseOptions {
            width: 300,
            ..plain
        },
        _ => plain,
    }
}
