//! `cargo xtask tidy`: the house rules that a machine can check, in under a second.

mod format;
mod layers;
mod limits;
mod places;
mod source;

use crate::step::{Failed, Outcome, output};
use source::Source;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A room that has grown large: told, not refused.
const LINES_MAX: usize = 700;

/// Marks of unfinished work, put together so that this file doesn't find itself.
const MARKS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("#[ign", "ore"),
    concat!("unimple", "mented!("),
];

/// The files of the workspace that are text, by their path from the root.
type Files = BTreeMap<String, String>;

/// Prints the list of unsafe code and the large files, and refuses what breaks a rule.
pub(crate) fn run(root: &Path) -> Outcome<String> {
    let files = files(root)?;
    let sources = source::all(&files);
    print_unsafe(&sources);
    print_large(&files);

    let mut faults = layers::check(&files, &sources);
    faults.extend(format::check(&files));
    faults.extend(limits::check(&files));
    faults.extend(places::check(root, &files));
    faults.extend(marks(&files));
    if faults.is_empty() {
        return Ok(format!("tidy: {} files in order", files.len()));
    }
    Err(Failed(format!(
        "tidy: {} faults\n  {}",
        faults.len(),
        faults.join("\n  ")
    )))
}

/// Writes the pages that are made from the source.
pub(crate) fn write(root: &Path) -> Outcome<String> {
    limits::write(root, &files(root)?)
        .map_err(|error| Failed(format!("cannot write {}: {error}", limits::PAGE)))?;
    Ok(format!("tidy: wrote {}", limits::PAGE))
}

/// What git knows or would add; files that are not text are left out.
fn files(root: &Path) -> Outcome<Files> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let names = output(Command::new("git").current_dir(root).args(list))?;
    let mut files = Files::new();
    for name in names
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = String::from_utf8_lossy(name).into_owned();
        // A file that was removed but is still in the index has nothing to check.
        let Ok(bytes) = std::fs::read(root.join(&name)) else {
            continue;
        };
        if let Ok(text) = String::from_utf8(bytes) {
            files.insert(name, text);
        }
    }
    Ok(files)
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|e| e == extension)
}

fn print_unsafe(sources: &[Source<'_>]) {
    for source in sources {
        let uses = source.words().filter(|word| *word == "unsafe").count();
        if uses > 0 {
            println!("unsafe: {uses:3} in {}", source.path);
        }
    }
}

fn print_large(files: &Files) {
    for (path, text) in files {
        let lines = text.lines().count();
        if has_extension(path, "rs") && lines > LINES_MAX {
            println!("large: {lines} lines in {path}: one idea?");
        }
    }
}

fn marks(files: &Files) -> Vec<String> {
    let extensions = ["rs", "py", "toml"];
    let code = files
        .iter()
        .filter(|(path, _)| extensions.iter().any(|e| has_extension(path, e)));
    let mut faults = Vec::new();
    for (path, text) in code {
        for (index, line) in text.lines().enumerate() {
            if let Some(mark) = MARKS.iter().find(|mark| line.contains(**mark)) {
                faults.push(format!("{path}:{}: {mark}: do it or drop it", index + 1));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_refused_where_it_stands() {
        let text = format!("fn a() {{}}\n// {} later\n", MARKS[0]);
        let files = Files::from([("a.rs".into(), text.clone()), ("a.md".into(), text)]);
        let faults = marks(&files);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("a.rs:2: "));
    }
}
