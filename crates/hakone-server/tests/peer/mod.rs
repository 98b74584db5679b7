//! A server of others on this machine, to compare with.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    dead_code,
    reason = "each test file uses a part of it, so an expectation would fail in some; a test may \
              panic"
)]
#![expect(unreachable_pub, reason = "each test file is a crate of its own")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process with a directory of its own; both are gone when it is dropped.
pub struct Peer {
    pub child: Child,
    directory: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Peer {
    /// Starts what `command` makes of a new directory, `None` where there is no such program.
    /// `name` tells it from others of this process.
    pub fn start(name: &str, command: impl FnOnce(&Path) -> Command) -> Option<Peer> {
        let directory = format!("hakone-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let mut command = command(&directory);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        if let Ok(child) = child {
            return Some(Peer { child, directory });
        }
        let _ = std::fs::remove_dir_all(&directory);
        None
    }

    /// Where it listens, if it was told to listen at `socket` in its directory.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }
}
