//! Nothing in the project names the machine it was written on or a private place to fetch from.

use super::Files;
use std::path::Path;

/// The one registry that the lock file may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Every line that names a path above the working copy or a foreign registry.
pub(crate) fn check(root: &Path, files: &Files) -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let parent = root.parent().unwrap_or(root).to_string_lossy().into_owned();
    let above: Vec<String> = [home, parent]
        .into_iter()
        .filter(|path| path.len() > 1)
        .map(|path| format!("{}/", path.trim_end_matches('/')))
        .collect();
    let mut faults = Vec::new();
    for (path, text) in files {
        for (index, line) in text.lines().enumerate() {
            let place = format!("{path}:{}", index + 1);
            if above.iter().any(|directory| line.contains(directory)) {
                faults.push(format!("{place}: a path of this machine"));
            }
            let source = line.trim().strip_prefix("source = \"");
            if path == "Cargo.lock" && source.is_some_and(|source| !source.starts_with(REGISTRY)) {
                faults.push(format!("{place}: a crate from elsewhere than crates.io"));
            }
            let cargo = path.starts_with(".cargo/") || path.ends_with("Cargo.toml");
            if cargo && line.trim().starts_with("[source") {
                faults.push(format!("{place}: a registry of this machine"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str) -> usize {
        let files = Files::from([(path.to_owned(), text.to_owned())]);
        check(Path::new("/some/where/project"), &files).len()
    }

    #[test]
    fn paths_above_the_working_copy_are_refused() {
        assert_eq!(check_one("README.md", "see /some/where/else\n"), 1);
        assert_eq!(check_one("README.md", "see /usr/share/dict/words\n"), 0);
    }

    #[test]
    fn foreign_registries_are_refused() {
        let official = format!("source = \"{REGISTRY}\"\n");
        assert_eq!(check_one("Cargo.lock", &official), 0);
        assert_eq!(
            check_one("Cargo.lock", "source = \"sparse+https://elsewhere\"\n"),
            1
        );
        assert_eq!(check_one(".cargo/config.toml", "[source.crates-io]\n"), 1);
    }
}
