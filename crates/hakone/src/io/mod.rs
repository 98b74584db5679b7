//! The seam to the disk and the clock: a real side and a simulated one that loses power.
//!
//! Nothing else in this crate touches a file, a mapping or the time.

mod arena;
mod atomics {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}
#[cfg_attr(not(test), expect(dead_code, reason = "the crash tests use it"))]
pub(crate) mod chance;
mod pages;
mod prefetch;
mod real;
mod region;
#[cfg_attr(not(test), expect(dead_code, reason = "the crash tests use it"))]
pub(crate) mod sim;
#[cfg(test)]
mod testing;
mod threads;
mod watermark;

pub(crate) use arena::{Arena, Block};
pub(crate) use prefetch::{prefetch, prefetch_address};
pub(crate) use real::{RealDisk, now_micros};
pub(crate) use region::{Appender, Region};
pub(crate) use threads::{Bell, spawn};
pub(crate) use watermark::Watermark;

use std::fmt::Debug;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

/// A directory of files, and a clock.
///
/// Names are durable after [`Disk::sync_names`], contents after [`File::sync`]; what was not synced
/// may be lost, kept or torn by a power cut, each sector on its own.
pub(crate) trait Disk: Send + Sync + Debug {
    /// The names of all files.
    fn list(&self) -> Result<Vec<String>>;

    /// A new file of so many bytes, all of them allocated, so that no later write into it finds the
    /// disk full. Fails if the name exists.
    fn create(&self, name: &str, bytes: u64) -> Result<Arc<dyn File>>;

    /// A file that is there.
    fn open(&self, name: &str) -> Result<Arc<dyn File>>;

    /// Gives a file another name, replacing nothing.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> Result<()>;

    /// Makes the names durable: what was created, renamed and removed.
    fn sync_names(&self) -> Result<()>;

    /// Takes the directory for this process. Given free when the disk is dropped.
    ///
    /// # Errors
    /// `WouldBlock`, its text naming the owner, if another process has it.
    fn lock(&self) -> Result<()>;

    /// Microseconds since the Unix epoch. May jump in both directions.
    fn now_micros(&self) -> u64;
}

/// One file of a fixed size.
pub(crate) trait File: Send + Sync + Debug {
    /// Its size in bytes.
    fn bytes(&self) -> u64;

    /// Fills `into` from `offset` on. Fails with `UnexpectedEof` where the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()>;

    /// Writes `from` at `offset`, inside the file's size.
    fn write_at(&self, offset: u64, from: &[u8]) -> Result<()>;

    /// Makes everything written so far durable, through [`File::map`] too.
    fn sync(&self) -> Result<()>;

    /// The file as memory to append to, shared with the file: what is appended survives the death
    /// of the process at once, and a power cut after [`File::sync`]. Every page is there before
    /// this returns, so that no append faults. Called once a file.
    fn map(&self) -> Result<Arc<Region>>;
}

/// Refuses names that aren't plain ones of this directory.
fn check_name(name: &str) -> Result<()> {
    let plain = !matches!(name, "" | "." | ".." | real::LOCK) && !name.contains(['/', '\0']);
    if plain {
        return Ok(());
    }
    let text = format!("not a file name: {name:?}");
    Err(Error::new(ErrorKind::InvalidInput, text))
}

/// Fails with `kind` unless `offset..offset + len` is inside a file of so many bytes.
fn check_inside(bytes: u64, offset: u64, len: usize, kind: ErrorKind) -> Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= bytes => Ok(()),
        _ => Err(kind.into()),
    }
}

/// Published bytes of a region never change, so nothing else may write to its file.
fn mapped_already() -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        "the file is mapped: only its appender writes to it",
    )
}
