//! Servers that are started for a measurement do not outlive it, however it ends.

#![expect(
    unsafe_code,
    reason = "what runs between fork and exec cannot be checked by the compiler"
)]

use rustix::process::{Signal, set_parent_process_death_signal};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the kernel kill what `command` starts as soon as the thread that starts it has ended, also
/// where that was killed and could not do it itself.
pub(super) fn tie(command: &mut Command) {
    let ask = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec only what is safe in a signal handler may be called; this is a
    // single system call, which neither allocates nor takes a lock.
    unsafe { command.pre_exec(ask) };
}
