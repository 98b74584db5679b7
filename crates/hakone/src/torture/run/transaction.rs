//! A transaction of a script: random commands on several databases, with savepoints, committed or
//! not; the model does what is not undone.

use super::{DATABASES, Models, Run, check_count};
use crate::torture::ask::Ask;
use crate::torture::subject::{Asked, ask};
use crate::{Database, Savepoint, Transaction, TransactionOptions};
use hakone_command::{Command, Error, Kind, Millis, Reply, Result};
use std::sync::Arc;

/// A database as a transaction sees it.
struct Seen<'t> {
    transaction: &'t mut Transaction,
    database: &'t Database,
}

impl Asked for Seen<'_> {
    fn call(
        &mut self,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        self.transaction.call(self.database, command, now, answer)
    }
}

impl Run {
    /// Some commands as one transaction. What is not committed must not have happened.
    pub(super) fn transaction(&mut self) -> Result<()> {
        let now = self.now;
        for (name, kind, memory) in DATABASES {
            self.database(name, kind, memory)?;
        }
        let options = TransactionOptions::default();
        let mut transaction = self.subject().0.begin(options);
        let mut models = self.models.clone();
        let mut savepoints: Vec<(Savepoint, Models)> = Vec::new();
        for _ in 0..self.chance.below(10) {
            match self.chance.below(10) {
                0 => savepoints.push((transaction.savepoint(), models.clone())),
                1 if !savepoints.is_empty() => {
                    let (savepoint, then) = &savepoints[self.chance.index(savepoints.len())];
                    // Those behind it are gone.
                    if transaction.rollback_to(*savepoint).is_ok() {
                        models = then.clone();
                    }
                }
                _ => self.ask_in(&mut transaction, &mut models)?,
            }
        }
        if self.chance.one_in(8) {
            transaction.rollback();
            return Ok(());
        }
        let lsn = transaction.commit_at(now)?;
        self.models = models;
        if self.chance.one_in(4) {
            self.note();
            let cabinet = &self.subject().0;
            cabinet.sync_to(lsn)?;
            assert!(lsn <= cabinet.durable(), "{}", self.what("sync_to"));
        }
        Ok(())
    }

    fn ask_in(&mut self, transaction: &mut Transaction, models: &mut Models) -> Result<()> {
        let now = self.now;
        let (name, kind, _) = DATABASES[self.chance.index(DATABASES.len())];
        let asked = Ask::random(&mut self.chance, self.sizes, kind, now);
        let is_scan = matches!(asked, Ask::Scan(..)) && kind != Kind::Hash;
        if !is_scan && !asked.is_for_batches() {
            return Ok(());
        }
        let what = self.what(&format!("transaction, {name}: {asked:?}"));
        let database = &self.subject().database(name)?;
        let model = Arc::make_mut(models.entry(name).or_default());
        let before = model.clone();
        let mut seen = Seen {
            transaction,
            database,
        };
        match (
            ask(&mut seen, &asked, kind, now),
            ask(model, &asked, kind, now),
        ) {
            (Ok(said), Ok(_)) if asked.counts_expired() => {
                check_count(&said, &before, &asked, now, &what);
            }
            (Err(error @ (Error::Io(_) | Error::Corrupt(_))), Ok(_)) => return Err(error),
            (said, expected) => assert_eq!(said, expected, "{what}"),
        }
        Ok(())
    }
}
