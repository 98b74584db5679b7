//! How much memory there is to share: the control group's, or the machine's.

/// Half of the memory that this process may use, in bytes; what the server takes unless it is told
/// otherwise. 1 GiB where the system does not say.
pub(crate) fn half() -> u64 {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    let machine = machine.and_then(|text| total(&text));
    let all: u64 = group.into_iter().chain(machine).min().unwrap_or(2 << 30);
    all / 2
}

/// The machine's memory in bytes, as `/proc/meminfo` tells it.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_s_memory_is_read_in_kib() {
        let text = "MemTotal:       24689448 kB\nMemFree:        1000 kB\n";
        assert_eq!(total(text), Some(24_689_448 * 1024));
        assert_eq!(total("nothing"), None);
        assert!(half() > 0);
    }
}
