//! Transactions that are known from their first step to their last, for servers and cabinets alike.

use hakone::{
    Cabinet, Command, Database, Error, Lsn, Millis, Reply, Result, Savepoint, Transaction,
    TransactionOptions,
};
use hakone_wire::resp::verbs::Step;

/// How often one is tried that others come in between of: each time it holds its worker up.
const ATTEMPTS: u32 = 20;

/// What is told while a transaction goes on.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// It begins, perhaps once more: what was told before is void.
    Begun,
    /// The reply to its next command.
    Reply(Reply<'a>),
}

/// How a transaction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All of it is true, up to this lsn.
    Committed(Lsn),
    /// Nothing is changed: the step of this index has found another value than it expects.
    Unexpected(usize),
}

/// Carries out all steps as one transaction at the time `now`, and again from the start where others
/// have changed what it has read. The steps before the first `Use` are about the database `first`;
/// `find` finds others.
///
/// # Errors
/// That of the first step that can't be carried out, or of the commit: nothing is changed then.
/// `Conflict` if others came in between too often.
pub fn transact(
    cabinet: &Cabinet,
    first: Database,
    steps: &[Step<'_>],
    now: Millis,
    find: &dyn Fn(&[u8]) -> Result<Database>,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<Ended> {
    let mut attempt = 1;
    loop {
        tell(Told::Begun);
        let mut running = Running {
            transaction: cabinet.begin(TransactionOptions::default()),
            database: first.clone(),
            savepoints: Vec::new(),
        };
        let start = running.transaction.savepoint();
        running.savepoints.push((b"", start));
        let ended = match running.run(steps, now, find, tell) {
            Ok(None) => running.transaction.commit_at(now).map(Ended::Committed),
            // What it has found is so only if nobody came in between.
            Ok(Some(index)) => running
                .transaction
                .check_at(now)
                .map(|()| Ended::Unexpected(index)),
            Err(error) => match running.transaction.check_at(now) {
                Err(conflict @ Error::Conflict(_)) => Err(conflict),
                _ => Err(error),
            },
        };
        match ended {
            Err(Error::Conflict(_)) if attempt < ATTEMPTS => attempt += 1,
            ended => return ended,
        }
    }
}

/// A transaction between its steps.
struct Running<'a> {
    transaction: Transaction,
    database: Database,
    savepoints: Vec<(&'a [u8], Savepoint)>,
}

impl<'a> Running<'a> {
    /// Goes through all steps; the index of the one that has found another value than it expects.
    fn run(
        &mut self,
        steps: &[Step<'a>],
        now: Millis,
        find: &dyn Fn(&[u8]) -> Result<Database>,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<Option<usize>> {
        for (index, step) in steps.iter().enumerate() {
            match *step {
                Step::Use(name) => self.database = find(name)?,
                Step::Do(ref command) => {
                    let mut refused = None;
                    let answer = &mut |reply: Reply<'_>| match reply {
                        Reply::NotANumber => refused = Some("the value is not a number"),
                        Reply::Overflow => refused = Some("the sum does not fit"),
                        reply => tell(Told::Reply(reply)),
                    };
                    self.transaction
                        .call(&self.database, command, now, answer)?;
                    if let Some(why) = refused {
                        let key = command.key().unwrap_or_default().escape_ascii();
                        return Err(Error::Invalid(format!(
                            "nothing can be added to {key}: {why}"
                        )));
                    }
                }
                Step::Expect { key, value } => {
                    let mut is_so = value.is_none();
                    let get = Command::Get { key };
                    self.transaction
                        .call(&self.database, &get, now, &mut |reply| {
                            if let Reply::Record(record) = reply {
                                is_so = value == Some(record.value);
                            }
                        })?;
                    if !is_so {
                        return Ok(Some(index));
                    }
                }
                Step::Savepoint(name) => {
                    let savepoint = self.transaction.savepoint();
                    self.savepoints.push((name, savepoint));
                }
                Step::RollBack(name) => {
                    let found = self
                        .savepoints
                        .iter()
                        .rposition(|(there, _)| *there == name);
                    let Some(found) = found else {
                        return Err(Error::Invalid(format!(
                            "there is no savepoint {} to roll back to",
                            name.escape_ascii()
                        )));
                    };
                    // Those made since then go with what they stood for.
                    self.savepoints.truncate(found + 1);
                    self.transaction.rollback_to(self.savepoints[found].1)?;
                }
            }
        }
        Ok(None)
    }
}
