//! The one door: every command of every protocol passes here on its way to a database.

use super::Service;
use crate::counters::{Counter, Counts};
use hakone::{Command, Durability, Lsn, Millis, Next, Reply, Result};
use hakone_command::PageBuilder;
use hakone_wire::Protocol;
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

impl Caller<'_> {
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
        | Command::Add { absent: None, .. } => answer(Reply::Missing),
        Command::GetMany { keys } => answer(Reply::Records(&vec![None; keys.len()])),
        Command::Exists { .. }
        | Command::RemoveMany { .. }
        | Command::Clear
        | Command::Count
        | Command::Bytes => answer(Reply::Number(0)),
        Command::Scan { .. } => answer(Reply::Page(&PageBuilder::default().finish(Next::End))),
        _ => return false,
    }
    true
}
