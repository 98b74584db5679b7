//! `HAKONE <verb>`: what the command line needs and Redis' protocol has no word for.

use super::call::Caller;
use super::{REPLY_BYTES_MAX, report};
use crate::lists::ListAnswer;
use crate::session::Session;
use crate::transact::{Ended, Told};
use ::hakone::{Command, Compression, Database, DatabaseOptions, Reply};
use hakone_command::parse_integer;
use hakone_wire::Protocol;
use hakone_wire::resp::verbs::{self, ListRequest};
use hakone_wire::resp::{self, Failure, Writer};

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
        (b"compact", []) => {
            let cabinet = caller.service.cabinet.clone();
            started(caller.service.jobs.start(move || cabinet.compact_all()), to)
        }
        (b"alter", [method]) => {
            let (cabinet, database) = (caller.service.cabinet.clone(), selected(caller, session)?);
            let method = str::from_utf8(method).ok().and_then(Compression::from_name);
            let compression = method.ok_or(Failure::Text(
                "ERR the compression is none, lz4, zstd or zstd-dictionary",
            ))?;
            let options = DatabaseOptions {
                compression,
                ..database.options()
            };
            let name = database.name().to_owned();
            let alter = move || cabinet.alter(&name, options).map(|()| 0);
            started(caller.service.jobs.start(alter), to)
        }
        (b"job", [number]) => {
            let number = parse_integer(number).and_then(|number| u64::try_from(number).ok());
            let number = number.ok_or(Failure::NOT_AN_INTEGER)?;
            match caller.service.jobs.outcome(number) {
                Ok(None) => to.null(),
                Ok(Some(outcome)) => to.integer(i64::try_from(outcome).unwrap_or(i64::MAX)),
                Err(error) => return Err(Failure::Made(resp::store_error(&error))),
            }
            Ok(())
        }
        (b"transaction", words) => transaction(caller, session, &verbs::steps(words)?, to),
        (b"list", words) => {
            let (name, request) = ListRequest::read(words)?;
            let answer = caller
                .list(session.selected, name, &request)
                .map_err(|error| Failure::Made(resp::store_error(&error)))?;
            told(&answer, to);
            Ok(())
        }
        (b"stat" | b"use" | b"compact" | b"alter" | b"job", _) => Err(Failure::Text(
            "ERR wrong number of arguments for 'hakone' command",
        )),
        _ => Err(Failure::Text(
            "ERR unknown subcommand. HAKONE takes STAT, USE name, LIST, TRANSACTION, COMPACT, ALTER \
             method, JOB number, and commands such as GET key, SCAN LIMIT count, COUNT_RANGE FROM key TO key",
        )),
    }
}

/// The selected database, made if it is not there.
fn selected(caller: &Caller<'_>, session: &Session) -> Result<Database, Failure> {
    let service = caller.service;
    let database = service.databases.make(session.selected, &service.cabinet);
    database
        .cloned()
        .map_err(|error| Failure::Made(resp::store_error(&error)))
}

/// Answers the number by which to ask for work that goes on beside.
fn started(number: ::hakone::Result<u64>, to: &mut Writer<'_>) -> Result<(), Failure> {
    let number = number.map_err(|error| Failure::Made(resp::store_error(&error)))?;
    to.integer(i64::try_from(number).unwrap_or(i64::MAX));
    Ok(())
}

/// What a list answers: a count, or the index of the first element and all of them.
fn told(answer: &ListAnswer, to: &mut Writer<'_>) {
    match answer {
        ListAnswer::Count(count) => to.integer(i64::try_from(*count).unwrap_or(i64::MAX)),
        ListAnswer::Elements(first, elements) => {
            to.array(1 + elements.len());
            to.integer(i64::try_from(*first).unwrap_or(i64::MAX));
            for element in elements {
                to.bulk(element);
            }
        }
    }
}

/// The replies to the commands of a transaction; or the index of the step that has found another
/// value than it expects, so that nothing was changed.
fn transaction(
    caller: &mut Caller<'_>,
    session: &Session,
    steps: &[verbs::Step<'_>],
    to: &mut Writer<'_>,
) -> Result<(), Failure> {
    let (mut body, mut count, mut is_too_large) = (Vec::new(), 0, false);
    let resp3 = to.resp3;
    let ended = caller
        .transact(
            Protocol::Resp,
            session.selected,
            steps,
            &mut |told| match told {
                Told::Begun => {
                    body.clear();
                    count = 0;
                }
                Told::Reply(_) if body.len() > REPLY_BYTES_MAX => is_too_large = true,
                Told::Reply(reply) => {
                    let out = &mut body;
                    verbs::reply(&reply, true, &mut Writer { out, resp3 });
                    count += 1;
                }
            },
        )
        .map_err(|error| Failure::Made(resp::store_error(&error)))?;
    match ended {
        Ended::Unexpected(step) => to.integer(i64::try_from(step).unwrap_or(i64::MAX)),
        Ended::Committed(_) if is_too_large => {
            return Err(Failure::Text(
                "ERR it was committed, but its replies would be larger than 256 MiB",
            ));
        }
        Ended::Committed(_) => {
            to.array(count);
            to.out.extend_from_slice(&body);
        }
    }
    Ok(())
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
