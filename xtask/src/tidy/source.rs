//! Rust source as the rules see it: without comments, literals and test modules.

use super::{Files, has_extension};
use std::collections::BTreeSet;
use std::path::Path;

/// One source file that is part of the product.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// Its path from the root.
    pub(crate) path: &'a str,
    code: String,
}

impl Source<'_> {
    #[cfg(test)]
    pub(crate) fn new<'a>(path: &'a str, text: &str) -> Source<'a> {
        let code = without_tests(&bare(text)).0;
        Source { path, code }
    }

    /// All words in order, `::` and braces dropped.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        words(&self.code)
    }

    /// The same code without these paths.
    pub(crate) fn without(&self, paths: &[&str]) -> Source<'_> {
        let path = self.path;
        let code = paths
            .iter()
            .fold(self.code.clone(), |code, path| code.replace(path, ""));
        Source { path, code }
    }

    /// Whether the code names `path`, such as `std::fs`, also inside `std::{..}`.
    pub(crate) fn names(&self, path: &str) -> bool {
        let code: String = self.code.split_whitespace().collect::<Vec<_>>().join(" ");
        let code = code.replace(" :: ", "::").replace(":: ", "::");
        let grouped = path.match_indices("::").any(|(at, _)| {
            let opening = format!("{}::{{", &path[..at]);
            let mut groups = code.split(opening.as_str()).skip(1);
            groups.any(|group| group_names(group, &path[at + 2..]))
        });
        if grouped {
            return true;
        }
        code.match_indices(path).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            let after = code[at + path.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    }
}

/// The product's sources: `src/` of every crate but this one, without the modules that exist for
/// tests only.
pub(crate) fn all(files: &Files) -> Vec<Source<'_>> {
    let mut only_tests = BTreeSet::new();
    let mut sources = Vec::new();
    let rust = |path: &str| path.starts_with("crates/") && has_extension(path, "rs");
    for (path, text) in files.iter().filter(|(path, _)| rust(path)) {
        let (code, modules) = without_tests(&bare(text));
        only_tests.extend(modules.iter().map(|module| module_path(path, module)));
        if path.contains("/src/") {
            sources.push(Source { path, code });
        }
    }
    sources.retain(|source| {
        let stem = source.path.trim_end_matches(".rs");
        let tested = |test: &String| stem == test || stem.starts_with(&format!("{test}/"));
        !only_tests.iter().any(tested)
    });
    sources
}

/// Where `mod name;` in the file `path` leads, without `.rs`.
fn module_path(path: &str, name: &str) -> String {
    let path = Path::new(path);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let directory = path.parent().unwrap_or(Path::new(""));
    let directory = match &*stem {
        "mod" | "lib" | "main" => directory.to_owned(),
        _ => directory.join(&*stem),
    };
    directory.join(name).to_string_lossy().into_owned()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// Whether a group such as `fs, io::{self, Read}};` names `path`.
fn group_names(group: &str, path: &str) -> bool {
    items(group).iter().any(|item| {
        let nested = item.split_once("::{").is_some_and(|(head, inner)| {
            let below = path
                .strip_prefix(head)
                .and_then(|rest| rest.strip_prefix("::"));
            below.is_some_and(|rest| group_names(inner, rest))
        });
        nested || is_below(item, path)
    })
}

/// The items of a group up to the brace that closes it, nested groups whole.
fn items(group: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut depth = 1;
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            items.push(group[start..at].trim());
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    items
}

fn is_below(name: &str, path: &str) -> bool {
    let rest = name.strip_prefix(path);
    rest.is_some_and(|rest| !rest.chars().next().is_some_and(is_word))
}

/// The text with comments and the insides of literals blanked out.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(bytes) = raw_string(rest, out.chars().next_back()) {
            bytes
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' {
            char_literal(rest)
        } else {
            0
        };
        if skipped == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.push(' ');
            rest = &rest[skipped..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(0, char::len_utf8);
        }
        if depth == 0 || at == text.len() {
            return at;
        }
    }
}

/// The length of a raw string that begins here, if one does.
fn raw_string(text: &str, before: Option<char>) -> Option<usize> {
    let after = text.strip_prefix('r').or_else(|| text.strip_prefix("br"))?;
    if before.is_some_and(is_word) {
        return None;
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - after.len() + hashes + 1;
    let inside = text[start..].find(&end);
    Some(inside.map_or(text.len(), |at| start + at + end.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The length of the character literal that begins here, or 0 where it is a lifetime.
fn char_literal(text: &str) -> usize {
    let mut chars = text.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 0,
    }
}

/// The code without what `#[cfg(test)]` marks, and the names of the modules it declares there.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut modules = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let item = &rest[at + MARK.len()..];
        let end = item_end(item);
        let head: Vec<&str> = words(&item[..end])
            .take_while(|word| *word != "use")
            .collect();
        if let Some(at) = head.iter().position(|word| *word == "mod") {
            modules.extend(head.get(at + 1).map(|name| (*name).to_owned()));
        }
        rest = &item[end..];
    }
    out.push_str(rest);
    (out, modules)
}

/// Where the item at the start of `code` ends: at its `;`, or at the brace that closes it.
fn item_end(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == ';' || c == '}') {
            return at + 1;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_in_every_way_to_write_it() {
        for (code, expected) in [
            ("use std::fs;", true),
            ("use std::fs::File;", true),
            ("let f = std::fs::read(p);", true),
            ("use std::{fs, io};", true),
            ("use std::{io::{self, Read}, fs::File};", true),
            ("use std::{\n    io,\n    fs,\n};", true),
            ("use std::{a::fs, b};", false),
            ("use std::fst;", false),
            ("use std::{io::{fs}};", false),
            ("// use std::fs;", false),
            ("/* /* */ use std::fs; */", false),
            ("let s = \"std::fs\";", false),
            ("let s = r#\"std::fs \" \"#; let c = '\"';", false),
            ("fn f<'a>(s: &'a str) { std::fs::read(s) }", true),
            ("#[cfg(test)]\nmod tests { use std::fs; }", false),
            ("#[cfg(test)]\nmod tests { fn f() {} }\nuse std::fs;", true),
        ] {
            assert_eq!(
                Source::new("a.rs", code).names("std::fs"),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn a_deep_path_is_found_in_groups() {
        for (code, expected) in [
            ("use std::time::{Duration, Instant};", true),
            ("use std::{io, time::{Duration, Instant}};", true),
            ("use std::{time::Instant, io};", true),
            ("use std::time::Duration;", false),
            ("use std::{time::{Duration}, Instant};", false),
        ] {
            let source = Source::new("a.rs", code);
            assert_eq!(source.names("std::time::Instant"), expected, "{code}");
        }
    }

    #[test]
    fn modules_for_tests_only_are_left_out() {
        let files = Files::from([
            (
                "crates/a/src/lib.rs".into(),
                "#[cfg(test)]\nmod torture;\nmod b;".into(),
            ),
            ("crates/a/src/torture/mod.rs".into(), "use std::fs;".into()),
            ("crates/a/src/torture/x.rs".into(), "use std::fs;".into()),
            ("crates/a/src/b.rs".into(), "#[cfg(test)]\nmod c;".into()),
            ("crates/a/src/b/c.rs".into(), String::new()),
            ("crates/a/tests/d.rs".into(), String::new()),
        ]);
        let paths: Vec<&str> = all(&files).iter().map(|source| source.path).collect();
        assert_eq!(paths, ["crates/a/src/b.rs", "crates/a/src/lib.rs"]);
    }

    #[test]
    fn words_are_counted_in_code_only() {
        let source = Source::new("a.rs", "unsafe { f() } // unsafe\n\"unsafe\"; unsafe_code");
        assert_eq!(source.words().filter(|word| *word == "unsafe").count(), 1);
    }
}
