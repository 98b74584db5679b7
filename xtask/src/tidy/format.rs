//! A page in `docs/format/` carries the hash of the source that knows its bytes, so that neither
//! changes without the other.
//!
//! The page says it in one line: ``Source: `crates/hakone/src/log/format.rs`, hash `…`.`` The hash
//! is FNV-1a of the file in 16 hex digits; this check prints the one that should stand there.

use super::{Files, has_extension};

/// Every page whose hash is not that of its source, and every format source without a page.
pub(crate) fn check(files: &Files) -> Vec<String> {
    let mut faults = Vec::new();
    let mut described = Vec::new();
    let page = |path: &str| path.starts_with("docs/format/") && has_extension(path, "md");
    for (path, text) in files.iter().filter(|(path, _)| page(path)) {
        for line in text.lines().filter(|line| line.starts_with("Source: `")) {
            let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
            let [source, hash] = quoted[..] else {
                faults.push(format!("{path}: not a source and its hash: {line}"));
                continue;
            };
            described.push(source);
            match files.get(source).map(|text| fnv1a(text.as_bytes())) {
                None => faults.push(format!("{path}: {source} is not there")),
                Some(there) if there == hash => {}
                Some(there) => faults.push(format!(
                    "{path}: {source} has changed: check the page, then write its hash `{there}`"
                )),
            }
        }
    }
    let knows_bytes = |path: &&String| path.ends_with("/src/log/format.rs");
    for source in files.keys().filter(knows_bytes) {
        if !described.contains(&source.as_str()) {
            faults.push(format!("{source}: no page in docs/format/ describes it"));
        }
    }
    faults
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> String {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "crates/hakone/src/log/format.rs";

    fn check_page(page: &str) -> Vec<String> {
        let page = ("docs/format/log.md".to_owned(), page.to_owned());
        check(&Files::from([
            page,
            (SOURCE.to_owned(), "foobar".to_owned()),
        ]))
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b""), "cbf29ce484222325");
        assert_eq!(fnv1a(b"foobar"), "85944171f73967e8");
    }

    #[test]
    fn a_page_with_the_hash_of_its_source_is_in_order() {
        let page = format!("# Log\n\nSource: `{SOURCE}`, hash `85944171f73967e8`.\n");
        assert!(check_page(&page).is_empty());
    }

    #[test]
    fn a_page_that_its_source_has_left_behind_is_refused() {
        let faults = check_page(&format!("Source: `{SOURCE}`, hash `0000000000000000`.\n"));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("write its hash `85944171f73967e8`"));
    }

    #[test]
    fn a_format_without_a_page_is_refused() {
        assert_eq!(check_page("# Log\n").len(), 1);
        assert_eq!(check_page("Source: `gone.rs`, hash `0`.\n").len(), 2);
    }
}
