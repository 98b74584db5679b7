//! What the kernel tells of a process: its CPU time and memory; and on which core it runs.

use crate::failure::{Failure, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// All that is resident, mapped files too.
    pub(super) resident: u64,
    /// What belongs to no file: it cannot be dropped and read again.
    pub(super) anonymous: u64,
}

/// The CPU time that a process has used so far, all its threads, user and system, in microseconds.
/// `None` if there is no such process on this machine.
///
/// Threads that have ended are not counted where the kernel gives nanoseconds a thread; no server
/// ends threads while it is measured. Where it does not, the clock of /proc/PID/stat ticks every
/// 10 ms.
pub(super) fn cpu_micros(pid: u32) -> Option<f64> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread may end while the list is read.
        let file = task.ok()?.path().join("schedstat");
        let text = fs::read_to_string(file).unwrap_or_default();
        nanos += running_nanos(&text).unwrap_or(0);
    }
    if nanos > 0 {
        return Some(nanos as f64 / 1e3);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(cpu_ticks(&stat)? as f64 * 1e6 / rustix::param::clock_ticks_per_second() as f64)
}

/// The time on a core, the first number of `schedstat`.
fn running_nanos(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    // The name, in parentheses, may hold anything; user and system time are 12 and 13 after it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The memory of a process now. `None` if there is no such process on this machine.
pub(super) fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory {
        resident: bytes("VmRSS:")?,
        anonymous: bytes("RssAnon:")?,
    })
}

/// Two cores: one for the servers, one for the generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    pub(super) servers: usize,
    pub(super) generator: usize,
}

impl Cores {
    /// The first two cores that this process may use, or `None` if there is only one.
    pub(super) fn find() -> Option<Cores> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        Some(Cores {
            servers: cores.next()?,
            generator: cores.next()?,
        })
    }
}

/// Keeps this thread on one core, and what it starts from then on.
pub(super) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .map_err(|error| Failure::new(format_args!("cannot run on core {core}: {error}")))
}

/// Lets this process, and what it starts, open as many files as the system allows: a thousand
/// connections are more than the usual limit. If that is refused, connecting tells.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 70 30 13 14";
        assert_eq!(cpu_ticks(stat), Some(100));
        assert_eq!(cpu_ticks("12 (a"), None);
        assert_eq!(running_nanos("58468 1 1\n"), Some(58468));
        assert_eq!(running_nanos(""), None);
    }

    #[test]
    fn this_process_has_cpu_time_and_memory() {
        let before = cpu_micros(std::process::id()).unwrap();
        let began = std::time::Instant::now();
        while cpu_micros(std::process::id()).unwrap() <= before {
            assert!(began.elapsed().as_secs() < 60, "no time has passed for us");
        }
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident >= memory.anonymous && memory.anonymous > 0);
        assert_eq!(cpu_micros(u32::MAX), None);
    }
}
