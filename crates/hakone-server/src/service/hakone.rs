//! `HAKONE <verb>`: what the command line needs and Redis' protocol has no word for.

use super::call::Caller;
use super::report;
use crate::session::Session;
use ::hakone::{Command, Reply};
use hakone_wire::Protocol;
use hakone_wire::resp::{self, Failure, Writer, verbs};

/// Records that one request visits or removes at most: 4096, a few milliseconds.
const RECORDS_MAX: usize = 4096;

pub(super) fn perform(
    caller: &mut Caller<'_>,
    session: &mut Session,
    verb: &[u8],
    arguments: &[&[u8]],
    to: &mut Writer<'_>,
) -> Result<(), Failure> {
    if let Some(command) = verbs::command(verb, arguments) {
        return call(caller, session, command?, to);
    }
    match (verb.to_ascii_lowercase().as_slice(), arguments) {
        (b"stat", []) => {
            caller.counts.add_to(&caller.service.counters);
            to.verbatim(&report::stat(caller));
            Ok(())
        }
        (b"use", [name]) => {
            session.selected = caller
                .service
                .databases
                .number(name)
                .ok_or(Failure::Text("ERR no database of that name has a number"))?;
            to.simple("OK");
            Ok(())
        }
        (b"stat" | b"use", _) => Err(Failure::Text(
            "ERR wrong number of arguments for 'hakone' command",
        )),
        _ => Err(Failure::Text(
            "ERR unknown subcommand. HAKONE takes STAT, USE name, and commands such as GET key, \
             SCAN LIMIT count, COUNT_RANGE FROM key TO key",
        )),
    }
}

/// Carries out a command on the selected database.
fn call(
    caller: &mut Caller<'_>,
    session: &Session,
    mut command: Command<'_>,
    to: &mut Writer<'_>,
) -> Result<(), Failure> {
    let mut values = true;
    match &mut command {
        Command::Scan {
            limit, values: v, ..
        } => {
            values = *v;
            *limit = RECORDS_MAX.min(*limit);
        }
        // What is removed is less than the limit only where nothing is left.
        Command::RemoveRange { limit, .. } if *limit > RECORDS_MAX => {
            return Err(Failure::Text("ERR LIMIT is at most 4096 records"));
        }
        _ => {}
    }
    let number = session.selected;
    let answer = &mut |reply: Reply<'_>| verbs::reply(&reply, values, to);
    caller
        .call(Protocol::Resp, number, &command, answer)
        .map_err(|error| Failure::Made(resp::store_error(&error)))
}
