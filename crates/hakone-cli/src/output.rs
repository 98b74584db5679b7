//! A file that is there once it is whole: written beside its place, then renamed to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
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
    written: PathBuf,
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
    /// lies beside it, under a name that ends with `.partial` and the number of this process. What
    /// is no file, such as a device or a named pipe, is written straight.
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
        let written = place.with_file_name(name);
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&written)?;
        let beside = Beside {
            file: out.try_clone()?,
            written,
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
            fs::rename(&beside.written, &beside.place)?;
            beside.is_placed = true;
        }
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
    use rustix::fs::{Mode, OFlags, open};
    let directory = std::env::temp_dir();
    let nameless = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = open(&directory, nameless, Mode::RUSR | Mode::WUSR) {
        return Ok(file.into());
    }
    // Not every file system can.
    let path = directory.join(format!("hakone-{}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = fs::remove_file(&self.written);
        }
    }
}
