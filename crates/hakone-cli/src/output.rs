//! A file that is there once it is whole: written beside its place, then renamed to it.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Bytes written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What is written to, a file or not.
pub(crate) struct Output {
    out: BufWriter<Box<dyn Write>>,
    beside: Option<Beside>,
}

/// A file on its way. Dropped before it is in its place, it is removed.
struct Beside {
    file: File,
    /// Where it lies before it is in its place, or will for a moment.
    partial: PathBuf,
    /// Whether it lies there already. Without a name it is gone whenever this process is.
    is_named: bool,
    place: PathBuf,
    is_placed: bool,
}

impl Output {
    /// Standard output.
    pub(crate) fn standard() -> Output {
        Output::new(Box::new(io::stdout().lock()), None)
    }

    fn new(out: Box<dyn Write>, beside: Option<Beside>) -> Output {
        Output {
            out: BufWriter::with_capacity(BUFFER_BYTES, out),
            beside,
        }
    }

    /// A file that takes its place, and that of an older one, in [`Output::finish`]. Until then it
    /// has no name or, where the file system has no such files, lies beside it under a name that
    /// ends with `.partial` and the number of this process. What is no file, such as a device or a
    /// named pipe, is written straight.
    pub(crate) fn create(path: &Path) -> io::Result<Output> {
        let old = match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            let out = OpenOptions::new().write(true).open(path)?;
            return Ok(Output::new(Box::new(out), None));
        }
        // A link stays: what it leads to is replaced.
        let place = match old {
            Some(_) => fs::canonicalize(path)?,
            None => path.to_owned(),
        };
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial{}", std::process::id()));
        let partial = place.with_file_name(name);
        let directory = match place.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let nameless = nameless_in(directory, Mode::from_raw_mode(0o666));
        let is_named = nameless.is_none();
        let out = match nameless {
            Some(file) => file,
            None => File::create(&partial)?,
        };
        let beside = Beside {
            file: out.try_clone()?,
            partial,
            is_named,
            place,
            is_placed: false,
        };
        if let Some(old) = old {
            beside.file.set_permissions(old.permissions())?;
        }
        Ok(Output::new(Box::new(out), Some(beside)))
    }

    /// Writes out what is left, and puts the file into its place once it is on the disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        if let Some(beside) = &mut self.beside {
            beside.file.sync_all()?;
            beside.name()?;
            fs::rename(&beside.partial, &beside.place)?;
            beside.is_placed = true;
        }
        Ok(())
    }
}

impl Beside {
    /// Gives the file a name. A file can take another's place only by a name of its own.
    fn name(&mut self) -> io::Result<()> {
        if self.is_named {
            return Ok(());
        }
        // Whoever had this process' number has left it.
        match fs::remove_file(&self.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let follow = AtFlags::SYMLINK_FOLLOW;
        linkat(CWD, descriptor(&self.file), CWD, &self.partial, follow)?;
        self.is_named = true;
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A new file to write and read that has no name: it is gone when it is closed, whatever happens.
pub(crate) fn nameless() -> io::Result<File> {
    let directory = std::env::temp_dir();
    if let Some(file) = nameless_in(&directory, Mode::RUSR | Mode::WUSR) {
        return Ok(file);
    }
    let path = directory.join(format!("hakone-{}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// A new file without a name that can be given one later, or `None` where there is no such thing.
fn nameless_in(directory: &Path, mode: Mode) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(open(directory, flags, mode).ok()?);
    // Where /proc is not, nothing could name it.
    fs::metadata(descriptor(&file)).ok()?;
    Some(file)
}

/// The path of an open file, with or without a name.
fn descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.is_named && !self.is_placed {
            let _ = fs::remove_file(&self.partial);
        }
    }
}
