//! Dated results in `docs/evidence/`, with the facts of the machine that matter to a number.

use crate::step::{Outcome, output};
use std::path::Path;
use std::process::Command;

/// Writes what a program printed to a page named for today and `topic`, with the machine's facts at
/// its head. Returns the page's name.
pub(crate) fn write(root: &Path, topic: &str, title: &str, printed: &[u8]) -> Outcome<String> {
    let today = output(Command::new("date").args(["-u", "+%F"]))?;
    let today = String::from_utf8_lossy(&today);
    let name = format!("docs/evidence/{}-{topic}.md", today.trim());
    std::fs::write(root.join(&name), page(title, &facts()?, printed))?;
    Ok(name)
}

fn page(title: &str, machine: &str, printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    let printed = printed.trim_end();
    format!("# {title}\n\nMachine: {machine}.\n\n```text\n{printed}\n```\n")
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
    fn a_page_holds_the_machine_and_what_was_printed() {
        assert_eq!(
            page("Kills", "one core", b"20 kills\n\n"),
            "# Kills\n\nMachine: one core.\n\n```text\n20 kills\n```\n"
        );
    }
}
