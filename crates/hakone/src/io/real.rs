//! The real disk: a directory of the file system, and the machine's clock.

use super::{Disk, File, Region, check_inside, check_name, mapped_already};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file that a process locks to own the directory. Not listed, and no other file's name.
pub(super) const LOCK: &str = "LOCK";

/// A directory. Files in directories below it aren't its own.
#[derive(Debug)]
pub(crate) struct RealDisk {
    path: PathBuf,
    directory: fs::File,
    lock: Mutex<Option<fs::File>>,
    /// The open files by inode, so that two opens of a file agree on whether it is mapped.
    files: Mutex<HashMap<u64, Weak<Opened>>>,
}

#[derive(Debug)]
struct RealFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    file: fs::File,
    bytes: u64,
    mapped: AtomicBool,
}

impl RealDisk {
    /// The directory `path`, made (durably, for its owner alone) if there is none and `create` says so.
    ///
    /// # Errors
    /// `NotFound` if it or, with `create`, the directory around it is missing.
    pub(crate) fn open(path: &Path, create: bool) -> Result<RealDisk> {
        if create {
            match DirBuilder::new().mode(0o700).create(path) {
                Ok(()) => sync_directory_of(path)?,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        let directory = fs::File::open(path)?;
        if !directory.metadata()?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(RealDisk {
            path: fs::canonicalize(path)?,
            directory,
            lock: Mutex::default(),
            files: Mutex::default(),
        })
    }

    /// A directory below this one, as [`RealDisk::open`].
    pub(crate) fn sub(&self, name: &str, create: bool) -> Result<RealDisk> {
        RealDisk::open(&self.at(name)?, create)
    }

    /// Says in the lock, which this disk must have, where its owner serves, for the error that a
    /// second process gets.
    pub(crate) fn tell_socket(&self, socket: &str) -> Result<()> {
        match &*hold(&self.lock) {
            Some(lock) => write_owner(lock, Some(socket)),
            None => Err(Error::other("the directory isn't locked")),
        }
    }

    fn at(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.path.join(name))
    }

    /// One `Opened` for a file, however often it is opened.
    fn shared(&self, file: fs::File) -> Result<Arc<dyn File>> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "not a plain file"));
        }
        let mut files = hold(&self.files);
        if let Some(open) = files.get(&metadata.ino()).and_then(Weak::upgrade) {
            return Ok(Arc::new(RealFile(open)));
        }
        files.retain(|_, file| file.strong_count() > 0);
        let opened = Arc::new(Opened {
            file,
            bytes: metadata.len(),
            mapped: AtomicBool::new(false),
        });
        files.insert(metadata.ino(), Arc::downgrade(&opened));
        Ok(Arc::new(RealFile(opened)))
    }
}

/// Microseconds since the Unix epoch by the machine's clock.
pub(crate) fn now_micros() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

impl Disk for RealDisk {
    fn list(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK
                && entry.file_type()?.is_file()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Arc<dyn File>> {
        let path = self.at(name)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        // Synced, so that nowhere a durable name has a file of another size.
        match kernel::allocate(&file, bytes).and_then(|()| file.sync_all()) {
            Ok(()) => self.shared(file),
            Err(e) => {
                drop(file);
                fs::remove_file(&path).ok();
                Err(e)
            }
        }
    }

    fn open(&self, name: &str) -> Result<Arc<dyn File>> {
        let path = self.at(name)?;
        self.shared(OpenOptions::new().read(true).write(true).open(path)?)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.at(from)?, self.at(to)?);
        match kernel::rename_to_free(&from, &to) {
            // Not every file system and kernel knows how; the lock keeps others from racing us.
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                if fs::exists(&to)? {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                fs::rename(from, to)
            }
            done => done,
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.at(name)?)
    }

    fn sync_names(&self) -> Result<()> {
        self.directory.sync_all()
    }

    fn lock(&self) -> Result<()> {
        let mut held = hold(&self.lock);
        if held.is_some() {
            return Ok(());
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                (&file).take(4096).read_to_string(&mut owner).ok();
                let owner = match owner.trim() {
                    "" => "another process".to_owned(),
                    owner => owner.replace('\n', ", "),
                };
                return Err(Error::new(ErrorKind::WouldBlock, owner));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // The lock is what counts: on a full disk it has no text.
        write_owner(&file, None).ok();
        *held = Some(file);
        Ok(())
    }

    fn now_micros(&self) -> u64 {
        now_micros()
    }
}

impl File for RealFile {
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        check_inside(self.0.bytes, offset, into.len(), ErrorKind::UnexpectedEof)?;
        self.0.file.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> Result<()> {
        check_inside(self.0.bytes, offset, from.len(), ErrorKind::InvalidInput)?;
        if self.0.mapped.load(Ordering::Acquire) {
            return Err(mapped_already());
        }
        self.0.file.write_all_at(from, offset)
    }

    fn sync(&self) -> Result<()> {
        self.0.file.sync_data()
    }

    fn map(&self) -> Result<Arc<Region>> {
        if self.0.mapped.swap(true, Ordering::AcqRel) {
            return Err(mapped_already());
        }
        let bytes = usize::try_from(self.0.bytes).map_err(|_| ErrorKind::OutOfMemory)?;
        Region::of_file(&self.0.file, bytes, self.0.clone())
    }
}

fn write_owner(lock: &fs::File, socket: Option<&str>) -> Result<()> {
    let mut text = format!("process {}", std::process::id());
    if let Some(socket) = socket {
        text.push_str("\nsocket ");
        text.push_str(socket);
    }
    text.push('\n');
    lock.set_len(0)?;
    lock.write_all_at(text.as_bytes(), 0)
}

fn sync_directory_of(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::File::open(parent)?.sync_all()
}

/// A panic elsewhere leaves nothing half-done behind these locks.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The calls that the standard library doesn't have.
#[expect(unsafe_code, reason = "system calls")]
mod kernel {
    use std::ffi::CString;
    use std::fs::File;
    use std::io::{Error, ErrorKind, Result};
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    /// Makes the file `bytes` long with space for all of it.
    pub(super) fn allocate(file: &File, bytes: u64) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let bytes = libc::off64_t::try_from(bytes).map_err(|_| ErrorKind::FileTooLarge)?;
        loop {
            // SAFETY: a call on a descriptor that is open, without memory.
            match unsafe { libc::posix_fallocate64(file.as_raw_fd(), 0, bytes) } {
                0 => return Ok(()),
                libc::EINTR => {}
                e => return Err(Error::from_raw_os_error(e)),
            }
        }
    }

    pub(super) fn rename_to_free(from: &Path, to: &Path) -> Result<()> {
        let from = CString::new(from.as_os_str().as_bytes())?;
        let to = CString::new(to.as_os_str().as_bytes())?;
        // SAFETY: both are strings that end in NUL and live through the call.
        let renamed = unsafe {
            libc::renameat2(
                libc::AT_FDCWD,
                from.as_ptr(),
                libc::AT_FDCWD,
                to.as_ptr(),
                libc::RENAME_NOREPLACE,
            )
        };
        if renamed == 0 {
            return Ok(());
        }
        Err(Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::TempDir;

    fn disk() -> (TempDir, RealDisk) {
        let directory = TempDir::new();
        let disk = RealDisk::open(directory.path(), false).unwrap();
        (directory, disk)
    }

    #[test]
    fn opening_makes_the_directory_only_when_asked() {
        let directory = TempDir::new();
        let path = directory.path().join("cabinet");
        let kind = |result: Result<RealDisk>| result.unwrap_err().kind();
        assert_eq!(kind(RealDisk::open(&path, false)), ErrorKind::NotFound);
        let deep = path.join("main");
        assert_eq!(kind(RealDisk::open(&deep, true)), ErrorKind::NotFound);
        let disk = RealDisk::open(&path, true).unwrap();
        disk.create("a", 1).unwrap();
        assert_eq!(disk.list().unwrap(), ["a"]);
        assert_eq!(RealDisk::open(&path, true).unwrap().list().unwrap(), ["a"]);
        let file = path.join("a");
        assert_eq!(kind(RealDisk::open(&file, true)), ErrorKind::NotADirectory);
        let main = disk.sub("main", true).unwrap();
        main.create("b", 1).unwrap();
        assert_eq!(disk.list().unwrap(), ["a"], "directories aren't listed");
        assert_eq!(disk.sub("main", false).unwrap().list().unwrap(), ["b"]);
        assert!(disk.open("main").is_err());
    }

    #[test]
    fn what_is_mapped_and_appended_is_in_the_file() {
        let (_directory, disk) = disk();
        let file = disk.create("log", 3 << 20).unwrap();
        file.write_at(0, b"old content").unwrap();
        let region = file.map().unwrap();
        let mut appender = region.appender().unwrap();
        assert_eq!(appender.room(11).unwrap(), b"old content");
        appender.room(3).unwrap().copy_from_slice(b"new");
        appender.publish(3);
        file.sync().unwrap();
        let mut read = [0; 11];
        file.read_at(0, &mut read).unwrap();
        assert_eq!(&read, b"new content");
    }

    #[test]
    fn a_mapped_file_is_written_by_its_appender_alone() {
        let (_directory, disk) = disk();
        let first = disk.create("log", 4096).unwrap();
        let second = disk.open("log").unwrap();
        let region = first.map().unwrap();
        for file in [&first, &second] {
            assert!(file.write_at(0, b"x").is_err());
            assert!(file.map().is_err());
        }
        drop((first, second));
        disk.rename("log", "other").unwrap();
        let third = disk.open("other").unwrap();
        assert!(third.write_at(0, b"x").is_err(), "the region lives");
        drop((region, third));
        let fourth = disk.open("other").unwrap();
        fourth.write_at(0, b"x").unwrap();
        fourth.map().unwrap();
    }

    #[test]
    fn a_file_is_allocated_or_not_there() {
        let (directory, disk) = disk();
        disk.create("log", 1 << 20).unwrap();
        let there = fs::metadata(directory.path().join("log")).unwrap();
        assert!(there.blocks() * 512 >= 1 << 20);
        assert!(disk.create("huge", 1 << 60).is_err());
        assert!(disk.create("huger", u64::MAX).is_err());
        assert_eq!(disk.list().unwrap(), ["log"]);
    }

    #[test]
    fn the_lock_names_its_owner() {
        let (directory, disk) = disk();
        let refused = |disk: &RealDisk| {
            let e = disk.lock().unwrap_err();
            assert_eq!(e.kind(), ErrorKind::WouldBlock);
            e.to_string()
        };
        assert!(disk.tell_socket("/run/socket").is_err());
        disk.lock().unwrap();
        disk.lock().unwrap();
        let other = RealDisk::open(directory.path(), false).unwrap();
        let pid = std::process::id();
        assert_eq!(refused(&other), format!("process {pid}"));
        disk.tell_socket("/run/socket").unwrap();
        assert_eq!(
            refused(&other),
            format!("process {pid}, socket /run/socket")
        );
        assert!(disk.list().unwrap().is_empty(), "the lock isn't listed");
        drop(disk);
        other.lock().unwrap();
        assert_eq!(
            refused(&RealDisk::open(directory.path(), false).unwrap()),
            format!("process {pid}")
        );
    }

    #[test]
    fn the_clock_is_the_machines() {
        let (_directory, disk) = disk();
        let year_2020 = 1_577_836_800_000_000;
        assert!(disk.now_micros() > year_2020);
    }
}
