//! A progress bar on a terminal, nothing in a pipe; and the line of counts at the end.

use crate::failure::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Records between two updates of the bar.
const STEP_RECORDS: u64 = 1024;

/// Shows how far long work has come.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
    records: u64,
}

impl Progress {
    /// Begins work on `bytes` bytes, where that is known.
    pub(crate) fn of_bytes(bytes: Option<u64>) -> Progress {
        Progress::begin(
            bytes,
            "{bar:30} {percent:>3} %  {msg}  {binary_bytes_per_sec}  {eta} left",
        )
    }

    /// Begins work on about so many records, where that is known.
    pub(crate) fn of_records(records: Option<u64>) -> Progress {
        Progress::begin(records, "{bar:30} {percent:>3} %  {msg}  {eta} left")
    }

    fn begin(length: Option<u64>, with_length: &str) -> Progress {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let template = if length.is_some() {
            with_length
        } else {
            "{spinner} {msg}  {elapsed}"
        };
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(length, target).with_style(style);
        Progress {
            bar,
            began: Instant::now(),
            records: 0,
        }
    }

    /// One more record, after so many bytes or records.
    pub(crate) fn record(&mut self, position: u64) {
        self.records += 1;
        if self.records.is_multiple_of(STEP_RECORDS) {
            self.bar.set_position(position);
            self.bar.set_message(format!("{} records", self.records));
        }
    }

    /// So many records in all so far.
    pub(crate) fn reached(&mut self, records: u64) {
        self.records = records;
        self.bar.set_position(records);
        self.bar.set_message(format!("{records} records"));
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Removes the bar and writes the counts to standard error: `done` is a verb in the past.
    pub(crate) fn end(&self, done: &str, records: u64, more: &str) {
        self.clear();
        let elapsed = self.began.elapsed();
        let rate = rate(records, elapsed);
        let seconds = elapsed.as_secs_f64();
        let noun = if records == 1 { "record" } else { "records" };
        say(&format!(
            "{done} {records} {noun} in {seconds:.2} s, {rate} records/s{more}"
        ));
    }
}

/// Records a second, rounded down.
fn rate(records: u64, elapsed: Duration) -> u128 {
    u128::from(records) * 1_000_000 / elapsed.as_micros().max(1)
}
