//! The one door: every command of every protocol passes here on its way to a database.

use super::Service;
use crate::counters::{Counter, Counts};
use crate::lists::{self, ListAnswer};
use crate::transact::{self, Ended, Told};
use hakone::{Command, Durability, Error, Guard, Lsn, Millis, Next, Reply, Result, Step, Version};
use hakone_command::PageBuilder;
use hakone_wire::Protocol;
use hakone_wire::resp::verbs::{self, ListRequest};
use std::time::Instant;

/// What commands of one connection in one turn have in common.
#[derive(Debug)]
pub(super) struct Caller<'t> {
    pub(super) service: &'t Service,
    pub(super) counts: &'t mut Counts,
    pub(super) now: Millis,
    /// The highest lsn that was written or read.
    pub(super) lsn: Lsn,
}

/// A command of a batch.
#[derive(Clone, Debug)]
pub(super) struct Planned<'a> {
    /// The number of the database that it is for; made if it is not there.
    pub(super) number: usize,
    pub(super) command: Command<'a>,
}

/// A record that must not have changed for a batch to be carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded<'a> {
    pub(super) number: usize,
    pub(super) key: &'a [u8],
    /// 0: there must be no record.
    pub(super) version: Version,
}

impl<'t> Caller<'t> {
    pub(super) fn new(service: &'t Service, counts: &'t mut Counts, now: Millis) -> Caller<'t> {
        Caller {
            service,
            counts,
            now,
            lsn: 0,
        }
    }

    /// Carries out a command on the database of this number, and hands the reply to `answer`,
    /// once. On an error `answer` was not called.
    pub(super) fn call(
        &mut self,
        protocol: Protocol,
        number: usize,
        command: &Command<'_>,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        self.counts
            .count(Counter::Command(protocol, command.index()));
        let databases = &self.service.databases;
        let database = match databases.get(number) {
            Some(database) => database,
            None if finds_nothing(command, answer) => return Ok(()),
            None => databases.make(number, &self.service.cabinet)?,
        };
        let begun = self.counts.is_timed().then(Instant::now);
        let lsn = database.call(command, self.now, answer)?;
        if let Some(begun) = begun {
            let timings = &self.service.timings;
            timings.note(protocol, command.index(), begun.elapsed());
        }
        self.lsn = self.lsn.max(lsn);
        Ok(())
    }

    /// Carries out commands as one atomic batch, if no guarded record has another version than it
    /// says; whether that is so. Each reply is handed to `answer`, or the error for which that step
    /// alone was left out. On an error nothing was changed, and the answers are void.
    pub(super) fn batch(
        &mut self,
        protocol: Protocol,
        guards: &[Guarded<'_>],
        steps: Vec<Planned<'_>>,
        answer: &mut dyn FnMut(usize, Result<Reply<'_>>),
    ) -> Result<bool> {
        let Caller { service, .. } = *self;
        let database = |number| service.databases.make(number, &service.cabinet);
        let guards = guards.iter().map(|guard| {
            Ok(Guard {
                database: database(guard.number)?,
                key: guard.key,
                version: guard.version,
            })
        });
        let guards = guards.collect::<Result<Vec<_>>>()?;
        let mut timed = Vec::new();
        let steps = steps.into_iter().map(|planned| {
            let row = planned.command.index();
            self.counts.count(Counter::Command(protocol, row));
            if self.counts.is_timed() {
                timed.push(row);
            }
            Ok(Step {
                database: database(planned.number)?,
                command: planned.command,
            })
        });
        let steps = steps.collect::<Result<Vec<_>>>()?;
        let begun = (!timed.is_empty()).then(Instant::now);
        let lsn = service.cabinet.batch(&guards, &steps, self.now, answer)?;
        if let Some(begun) = begun {
            // Each has its share of what all have taken together.
            let share = begun.elapsed() / u32::try_from(steps.len()).unwrap_or(u32::MAX);
            for row in timed {
                service.timings.note(protocol, row, share);
            }
        }
        self.lsn = self.lsn.max(lsn.unwrap_or(0));
        Ok(lsn.is_some())
    }

    /// Carries out the steps of a transaction, the first of them on the database of this number.
    /// Replies are handed to `tell`, those of an attempt that has failed too.
    pub(super) fn transact(
        &mut self,
        protocol: Protocol,
        number: usize,
        steps: &[verbs::Step<'_>],
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<Ended> {
        let Caller { service, .. } = *self;
        for step in steps {
            if let verbs::Step::Do(command) = step {
                self.counts
                    .count(Counter::Command(protocol, command.index()));
            }
        }
        let make = |number| service.databases.make(number, &service.cabinet).cloned();
        let find = |name: &[u8]| {
            let number = service.databases.named(name).ok_or_else(|| {
                Error::Invalid(format!("there is no database {}", name.escape_ascii()))
            })?;
            make(number)
        };
        let first = make(number)?;
        let ended = transact::transact(&service.cabinet, first, steps, self.now, &find, tell)?;
        if let Ended::Committed(lsn) = ended {
            self.lsn = self.lsn.max(lsn);
        }
        Ok(ended)
    }

    /// Asks something of a list beside the database of this number.
    pub(super) fn list(
        &mut self,
        number: usize,
        name: &[u8],
        request: &ListRequest<'_>,
    ) -> Result<ListAnswer> {
        let Caller { service, .. } = *self;
        let database = service.databases.make(number, &service.cabinet)?;
        let answer = lists::list(database, name, request)?;
        // The lists do not tell, and nothing that they have written or read is later than this.
        self.lsn = self.lsn.max(service.cabinet.written());
        Ok(answer)
    }

    /// The lsn that must be durable before the replies so far may leave.
    pub(super) fn wait(&self) -> Option<Lsn> {
        let commit = self.service.config.durability == Durability::Commit;
        (commit && self.lsn > self.service.cabinet.durable()).then_some(self.lsn)
    }
}

/// Answers a command to a database that has not been made yet, if it need not be made for it.
fn finds_nothing(command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> bool {
    match command {
        Command::Get { .. }
        | Command::Describe { .. }
        | Command::Remove { .. }
        | Command::Touch { .. }
        | Command::Copy { .. }
        | Command::PutAt { .. }
        | Command::RemoveAt { .. }
        | Command::Add { absent: None, .. } => answer(Reply::Missing),
        Command::GetMany { keys } => answer(Reply::Records(&vec![None; keys.len()])),
        Command::Exists { .. }
        | Command::RemoveMany { .. }
        | Command::Clear
        | Command::Count
        | Command::Bytes
        | Command::CountRange { .. }
        | Command::RemoveRange { .. } => answer(Reply::Number(0)),
        Command::Scan { .. } => answer(Reply::Page(&PageBuilder::default().finish(Next::End))),
        _ => return false,
    }
    true
}
