//! Work that takes long and that no worker may be held up by: one piece at a time, on a thread of
//! its own, asked about until it is done.

use hakone::{Error, Result};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The piece of work that goes on, or that went on last.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    number: u64,
    outcome: Arc<OnceLock<Result<u64>>>,
}

impl Jobs {
    /// Starts `work` on a thread of its own; the number to ask for it by.
    ///
    /// # Errors
    /// `Invalid` while another piece goes on, `Io` if there can be no thread.
    pub(crate) fn start(&self, work: impl FnOnce() -> Result<u64> + Send + 'static) -> Result<u64> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.number > 0 && last.outcome.get().is_none() {
            let text = "something that takes long goes on already; try again when it is done";
            return Err(Error::Invalid(text.to_owned()));
        }
        let outcome = Arc::new(OnceLock::new());
        let told = Arc::clone(&outcome);
        std::thread::Builder::new()
            .name("hakone-job".to_owned())
            .spawn(move || {
                // Nobody else sets it.
                let _ = told.set(work());
            })
            .map_err(|error| Error::Io(format!("cannot start a thread: {error}")))?;
        last.number += 1;
        last.outcome = outcome;
        Ok(last.number)
    }

    /// What the work of this number has come to; `None` while it goes on.
    ///
    /// # Errors
    /// That of the work; `Invalid` if it is not the last one.
    pub(crate) fn outcome(&self, number: u64) -> Result<Option<u64>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if number != last.number || number == 0 {
            let text = "what it has come to is forgotten: other work was begun since then";
            return Err(Error::Invalid(text.to_owned()));
        }
        last.outcome.get().cloned().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn one_piece_goes_on_at_a_time_and_tells_what_it_came_to() {
        let jobs = Jobs::default();
        assert!(jobs.outcome(0).is_err());
        let (go, wait) = mpsc::channel();
        let first = jobs.start(move || wait.recv().map_err(|_| Error::Full(String::new())));
        let first = first.unwrap();
        assert_eq!(jobs.outcome(first), Ok(None));
        assert!(matches!(jobs.start(|| Ok(1)), Err(Error::Invalid(_))));
        go.send(7).unwrap();
        while jobs.outcome(first) == Ok(None) {
            std::thread::yield_now();
        }
        assert_eq!(jobs.outcome(first), Ok(Some(7)));
        let second = jobs.start(|| Err(Error::Full("full".to_owned()))).unwrap();
        while jobs.outcome(second) == Ok(None) {
            std::thread::yield_now();
        }
        assert!(matches!(jobs.outcome(second), Err(Error::Full(_))));
        assert!(matches!(jobs.outcome(first), Err(Error::Invalid(_))));
    }
}
