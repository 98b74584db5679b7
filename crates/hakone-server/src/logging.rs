//! The log: lines of `tracing` to standard error or to a file that can be reopened.

use crate::ServeError;
use crate::config::LogLevel;
use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Where log lines go.
#[derive(Clone, Debug)]
pub(crate) struct Log(Option<Arc<LogFile>>);

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Opens the log and has everything in this process logged there.
    ///
    /// # Errors
    /// `Start` if the file cannot be opened.
    pub(crate) fn start(
        path: Option<&Path>,
        level: LogLevel,
    ) -> std::result::Result<Log, ServeError> {
        let log = match path {
            None => Log(None),
            Some(path) => {
                let file = open(path).map_err(|error| {
                    ServeError::Start(format!("cannot open log file {}: {error}", path.display()))
                })?;
                Log(Some(Arc::new(LogFile {
                    path: path.to_owned(),
                    file: Mutex::new(file),
                })))
            }
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(filter(level))
            .with_target(false)
            .with_ansi(false)
            .with_writer(log.clone());
        // A program that serves twice, or logs by itself, keeps the log that it has.
        let _ = subscriber.try_init();
        Ok(log)
    }

    /// Whether lines go to a file.
    pub(crate) fn is_file(&self) -> bool {
        self.0.is_some()
    }

    /// Opens the file anew under its name, after it was moved away. The old one stays in use if
    /// that fails.
    pub(crate) fn reopen(&self) {
        let Some(log) = &self.0 else { return };
        match open(&log.path) {
            Ok(file) => {
                *log.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
                tracing::info!("log file reopened");
            }
            Err(error) => tracing::error!("cannot reopen log file: {error}"),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match &self.0 {
            None => std::io::stderr().write(bytes),
            Some(log) => {
                let mut file = log.file.lock().unwrap_or_else(PoisonError::into_inner);
                file.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}
