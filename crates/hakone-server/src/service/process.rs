//! What the system tells of this process, where it tells: all of it is for reports.

/// Memory and processor time of this process, and the load of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    /// Bytes of address space.
    pub(super) memory_bytes: u64,
    /// Bytes of it that are in memory.
    pub(super) resident_bytes: u64,
    /// Processor time spent in the process, in milliseconds.
    pub(super) user_ms: u64,
    /// Processor time spent in the kernel for it, in milliseconds.
    pub(super) system_ms: u64,
    /// Runnable processes of the machine, averaged over a minute.
    pub(super) load: f64,
}

/// Bytes of a page, and milliseconds of a tick, as Linux counts on every machine we build for.
const PAGE_BYTES: u64 = 4096;
const TICK_MS: u64 = 10;

impl Process {
    /// As it is now; zeros where the system tells nothing.
    pub(super) fn now() -> Process {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let memory = read("/proc/self/statm");
        let mut pages = memory.split_whitespace().map(|word| word.parse().ok());
        let mut pages = || pages.next().flatten().unwrap_or(0_u64) * PAGE_BYTES;
        let (memory_bytes, resident_bytes) = (pages(), pages());
        let stat = read("/proc/self/stat");
        // The second field is a name in parentheses and may hold blanks; times are 14th and 15th.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut times = after_name.split_whitespace().skip(11);
        let mut ticks = || {
            let word = times.next();
            word.and_then(|word| word.parse().ok()).unwrap_or(0_u64) * TICK_MS
        };
        let (user_ms, system_ms) = (ticks(), ticks());
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().and_then(|word| word.parse().ok());
        Process {
            memory_bytes,
            resident_bytes,
            user_ms,
            system_ms,
            load: load.unwrap_or(0.0),
        }
    }
}
