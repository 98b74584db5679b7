//! `docs/limits.md` is made from the constants that set limits and the words before them.
//!
//! A limit is a constant whose name ends as one of [`ENDINGS`], or a public field of the server's
//! `Limits`. `cargo xtask tidy --write` writes the page.

use super::Files;
use std::fmt::Write;
use std::path::Path;

/// The page.
pub(crate) const PAGE: &str = "docs/limits.md";

/// How the names of limits end.
const ENDINGS: [&str; 5] = ["_MAX", "_MIN", "_RESERVED", "_KEPT", "_CROWDED"];

/// Where limits are looked for, and what they are limits of.
const AREAS: [(&str, &str); 8] = [
    ("crates/hakone-command/src/limits.rs", "The store"),
    (
        "crates/hakone-wire/src/step.rs",
        "Requests of every protocol",
    ),
    ("crates/hakone-wire/src/tyrant/", "Tokyo Tyrant"),
    ("crates/hakone-wire/src/tycoon/", "Kyoto Tycoon"),
    ("crates/hakone-wire/src/memcached/", "memcached"),
    ("crates/hakone-wire/src/http/", "HTTP"),
    ("crates/hakone-wire/src/resp/", "Redis"),
    ("crates/hakone-server/src/", "The server"),
];

const HEAD: &str = "# Limits

What is larger, longer or more than this is refused, put off or given up as each line says. Sizes are in bytes
unless the name tells otherwise. `cargo xtask tidy --write` makes this page from the source.
";

/// The page as it must be.
pub(crate) fn page(files: &Files) -> String {
    let mut page = HEAD.to_owned();
    for (place, title) in AREAS {
        let mut rows = String::new();
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with(place)) {
            if super::has_extension(path, "rs") {
                rows.push_str(&rows_of(text));
            }
        }
        if !rows.is_empty() {
            // Writing to a string can't fail, here and below.
            let _ = write!(
                page,
                "\n## {title}\n\n| limit | is | what, and why |\n|---|---|---|\n{rows}"
            );
        }
    }
    page
}

/// The rows of one file.
fn rows_of(text: &str) -> String {
    let mut rows = String::new();
    let mut words = String::new();
    let mut in_limits = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(word) = line.strip_prefix("///") {
            words.push_str(word);
            continue;
        }
        if line.starts_with("pub struct Limits") {
            in_limits = true;
        } else if line == "}" {
            in_limits = false;
        } else if let Some((name, value)) = constant(line) {
            let name = name.to_lowercase();
            let _ = writeln!(rows, "| `{name}` | {} |{words} |", shown(&name, value));
        } else if in_limits && let Some(field) = line.strip_prefix("pub ") {
            let name = field.split(':').next().unwrap_or_default();
            let _ = writeln!(rows, "| `{name}` | |{words} |");
        }
        words.clear();
    }
    rows
}

/// The name and value of a constant that is a limit.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("const ")?;
    let (name, rest) = rest.split_once(": ")?;
    let (_, value) = rest.split_once(" = ")?;
    let is_limit = ENDINGS.iter().any(|ending| name.ends_with(ending));
    is_limit.then(|| (name, value.trim_end_matches(';')))
}

/// A value as people write it, where it is a plain one.
fn shown(name: &str, value: &str) -> String {
    let shifted = |text: &str| -> Option<String> {
        let (count, power) = text.split_once(" << ")?;
        let count: u64 = count.parse().ok()?;
        if !name.contains("bytes") && !name.contains("size") {
            return Some(count.checked_shl(power.parse().ok()?)?.to_string());
        }
        let unit = match power {
            "10" => "KiB",
            "20" => "MiB",
            "30" => "GiB",
            _ => return None,
        };
        Some(format!("{count} {unit}"))
    };
    let time = value
        .strip_prefix("Duration::from_secs(")
        .and_then(|rest| rest.strip_suffix(')'))
        .map(|seconds| format!("{seconds} s"));
    let number = value.parse::<u64>().is_ok().then(|| value.to_owned());
    shifted(value)
        .or(time)
        .or(number)
        .unwrap_or_else(|| format!("`{value}`"))
}

/// Whether the page says what the source does.
pub(crate) fn check(files: &Files) -> Vec<String> {
    let page = page(files);
    let unsaid = page.lines().filter(|line| line.ends_with("| |"));
    let mut faults: Vec<_> = unsaid
        .map(|line| format!("a limit without a word why: {line}"))
        .collect();
    if files.get(PAGE) != Some(&page) {
        faults.push(format!(
            "{PAGE}: a limit has changed: run cargo xtask tidy --write"
        ));
    }
    faults
}

/// Writes the page.
pub(crate) fn write(root: &Path, files: &Files) -> std::io::Result<()> {
    std::fs::write(root.join(PAGE), page(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_with_its_value_and_reason() {
        let source = "\
/// Bytes of a key: 64 KiB,
/// since it is so.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// Not a limit.
const SEED: u64 = 7;

/// How long: 5 s.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(5);
const BARE_MIN: usize = 3 + SEED;

pub struct Limits {
    /// Open connections: 9.
    pub connections_max: usize,
}
";
        assert_eq!(
            rows_of(source),
            "| `key_bytes_max` | 64 KiB | Bytes of a key: 64 KiB, since it is so. |\n\
             | `time_max` | 5 s | How long: 5 s. |\n\
             | `bare_min` | `3 + SEED` | |\n\
             | `connections_max` | | Open connections: 9. |\n"
        );
        let path = "crates/hakone-command/src/limits.rs".to_owned();
        let mut files = Files::from([(path, source.to_owned())]);
        assert_eq!(check(&files).len(), 2);
        files.insert(PAGE.to_owned(), page(&files));
        assert_eq!(check(&files).len(), 1);
    }
}
