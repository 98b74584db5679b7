//! Dated results in `docs/evidence/`, with the facts of the machine that matter to a number.

use crate::step::{Outcome, output};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// A page of results under way.
#[derive(Debug)]
pub(crate) struct Page {
    name: String,
    text: String,
}

impl Page {
    /// A page named for today and `topic`, with the machine's facts at its head.
    pub(crate) fn new(topic: &str, title: &str) -> Outcome<Page> {
        let today = output(Command::new("date").args(["-u", "+%F"]))?;
        let today = String::from_utf8_lossy(&today).trim().to_owned();
        let machine = facts()?;
        Ok(Page {
            name: format!("{today}-{topic}.md"),
            text: format!("# {title}, {today}\n\nMachine: {machine}.\n"),
        })
    }

    /// Adds a section with what a program printed.
    pub(crate) fn section(&mut self, title: &str, printed: &[u8]) {
        let printed = String::from_utf8_lossy(printed);
        // Writing to a string can't fail.
        let _ = write!(
            self.text,
            "\n## {title}\n\n```text\n{}\n```\n",
            printed.trim_end()
        );
    }

    /// Writes the page below `root` and tells its name.
    pub(crate) fn write(&self, root: &Path) -> Outcome<String> {
        let directory = root.join("docs/evidence");
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(&self.name), &self.text)?;
        Ok(format!("docs/evidence/{}", self.name))
    }
}

/// CPU, memory and kernel: nothing that names the machine.
fn facts() -> Outcome<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let kernel = output(Command::new("uname").args(["-s", "-r", "-m"]))?;
    Ok(format!(
        "{}, {cores} cores, {} GiB, {}",
        field(&cpu, "model name").unwrap_or("unknown CPU"),
        gibibytes(field(&memory, "MemTotal").unwrap_or_default()),
        String::from_utf8_lossy(&kernel).trim()
    ))
}

/// The value of the first `name : value` line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    let mut named = pairs.filter(|(key, _)| key.trim() == name);
    named.next().map(|(_, value)| value.trim())
}

/// `24576000 kB` to whole GiB, rounded.
fn gibibytes(kilobytes: &str) -> u64 {
    let digits = kilobytes.split_whitespace().next().unwrap_or_default();
    let kibibytes: u64 = digits.parse().unwrap_or_default();
    (kibibytes + (1 << 19)) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 3 GHz"));
        assert_eq!(field(text, "flags"), None);
    }

    #[test]
    fn memory_is_rounded_to_gibibytes() {
        assert_eq!(gibibytes("24640000 kB"), 23);
        assert_eq!(gibibytes(""), 0);
    }

    #[test]
    fn sections_hold_what_was_printed() {
        let mut page = Page {
            name: String::new(),
            text: "# t\n".into(),
        };
        page.section("Kills", b"20 kills\n\n");
        assert_eq!(page.text, "# t\n\n## Kills\n\n```text\n20 kills\n```\n");
    }
}
