//! The procedures that are called over HTTP.

use super::super::call::Caller;
use super::super::turn::Flow;
use super::Asked;
use super::parts;
use super::report;
use super::search::{self, Search};
use crate::counters::Counter;
use crate::session::Session;
use hakone::{Command, Error, Lsn, Millis, Reply};
use hakone_command::{Condition, ExpirySet, Pair, Record};
use hakone_wire::Protocol;
use hakone_wire::http::{CALL_PREFIX, Request, Responder, percent_decode};
use hakone_wire::tycoon::{
    Action, Answer, Bulk, Call, Columns, Procedure, Refusal, Status, answer, failure, number, read,
    sum, translate,
};

/// Bytes of names and values of one answer: 128 MiB, so that they and what is written of them stay
/// below what a reply may have.
pub(super) const ANSWER_BYTES_MAX: usize = 128 << 20;

/// Answers a call.
pub(super) fn respond(
    responder: Responder,
    status: Status,
    mut results: Columns,
    now: Millis,
    out: &mut Vec<u8>,
) -> Flow {
    results.settle();
    let (encoding, columns) = results.encoded();
    let content_type = encoding.content_type().as_bytes();
    let bytes = (!responder.head_only).then(|| columns.written_bytes());
    let headers = [("Content-Type", content_type)];
    responder.tycoon(status.code(), bytes, &headers, now, out);
    if !responder.head_only {
        columns.write(out);
    }
    if responder.close {
        Flow::Close
    } else {
        Flow::Go
    }
}

/// A call on its way: where its results go.
pub(super) struct Context<'c, 't> {
    pub(super) caller: &'c mut Caller<'t>,
    pub(super) session: &'c mut Session,
    pub(super) responder: Responder,
    pub(super) out: &'c mut Vec<u8>,
    /// Whoever waits for a signal is to be woken.
    pub(super) signals: bool,
}

impl Context<'_, '_> {
    pub(super) fn answer(self, status: Status, mut results: Columns) -> Flow {
        finish(self.signals, &mut results);
        respond(self.responder, status, results, self.caller.now, self.out)
    }

    fn fail(self, status: Status, text: &str) -> Flow {
        let mut results = Columns::default();
        results.push(b"ERROR", text.as_bytes());
        self.answer(status, results)
    }
}

/// Adds what an answer has beside its results: how many a signal found waiting. Nobody can wait yet.
pub(super) fn finish(signals: bool, results: &mut Columns) {
    if signals {
        results.push(b"SIGNALED", b"0");
    }
}

/// Calls the procedure that the path of a request names.
pub(in crate::service) fn call(
    caller: &mut Caller<'_>,
    session: &mut Session,
    request: &Request<'_>,
    out: &mut Vec<u8>,
    wait: &mut Option<Lsn>,
) -> Flow {
    let path = request.path();
    let path = path.strip_prefix(CALL_PREFIX).unwrap_or(path);
    let question = path.iter().position(|&byte| byte == b'?');
    let (name, query) = path.split_at(question.unwrap_or(path.len()));
    let query = query.get(1..).unwrap_or_default();
    let name = percent_decode(name).unwrap_or_else(Into::into);
    let parameters = read(query, request.header("Content-Type"), &request.body);
    let context = Context {
        signals: parameters
            .as_ref()
            .is_ok_and(|there| there.get(b"SIGNAL").is_some()),
        responder: Responder::of(request),
        caller,
        session,
        out,
    };
    let Ok(parameters) = parameters else {
        let (status, text) = Refusal::TooMany.answer();
        return context.fail(status, text);
    };
    let Some(procedure) = Procedure::from_name(&name) else {
        let name = String::from_utf8_lossy(&name);
        return context.fail(Status::NotImplemented, &format!("not implemented: {name}"));
    };
    let Call { database, action } = translate(procedure, &parameters, context.caller.now);
    let waits = action == Action::Refuse(Refusal::Wait);
    let number = match context.caller.service.databases.meant(database) {
        Some(number) => number,
        None if waits || !procedure.uses_database() => 0,
        None => return context.fail(Status::Invalid, "no such database"),
    };
    let mut results = Columns::default();
    let status = match action {
        Action::Refuse(refusal) => {
            let (status, text) = refusal.answer();
            tally(context.caller, procedure, status);
            return context.fail(status, text);
        }
        Action::Match(matching, max) => {
            tally(context.caller, procedure, Status::Done);
            return match Search::new(number, matching, max, &context) {
                Ok(search) => search::begin(search, context),
                Err((status, text)) => context.fail(status, text),
            };
        }
        Action::Void => Status::Done,
        Action::Echo => {
            results = parameters.clone();
            Status::Done
        }
        Action::Report => {
            report::server(context.caller, &mut results);
            Status::Done
        }
        Action::Status => {
            report::database(context.caller, number, &mut results);
            Status::Done
        }
        Action::Synchronize => synchronize(context.caller, wait, &mut results),
        Action::Call(command, form) => single(context.caller, number, &command, form, &mut results),
        Action::Reset {
            key,
            counter,
            expiry,
        } => {
            let value = counter.to_bytes();
            let command = put(key, value.as_ref(), expiry);
            match single(
                context.caller,
                number,
                &command,
                Answer::Nothing,
                &mut results,
            ) {
                Status::Done => sum(counter, &mut results),
                status => status,
            }
        }
        Action::Bulk {
            bulk,
            atomic: false,
        } => return parts::begin(number, bulk, procedure, parameters, context),
        Action::Bulk { bulk, atomic: true } => {
            let count = atomic_bulk(context.caller, number, bulk, &parameters, &mut results);
            counted(count, &mut results)
        }
    };
    tally(context.caller, procedure, status);
    context.answer(status, results)
}

fn synchronize(caller: &Caller<'_>, wait: &mut Option<Lsn>, results: &mut Columns) -> Status {
    let cabinet = &caller.service.cabinet;
    if let Some(error) = cabinet.failure() {
        return failure(&Error::Poisoned(error.to_string()), results);
    }
    let written = cabinet.written();
    if written > cabinet.durable() {
        *wait = (*wait).max(Some(written));
    }
    Status::Done
}

/// One command, and its answer.
fn single(
    caller: &mut Caller<'_>,
    number: usize,
    command: &Command<'_>,
    form: Answer,
    results: &mut Columns,
) -> Status {
    let mut status = Status::Done;
    let result = caller.call(Protocol::Tycoon, number, command, &mut |reply| {
        status = answer(form, &reply, results);
    });
    match result {
        Ok(()) => status,
        Err(error) => failure(&error, results),
    }
}

/// A bulk call as one batch, or as of one moment: how many records it was about.
fn atomic_bulk(
    caller: &mut Caller<'_>,
    database: usize,
    bulk: Bulk,
    parameters: &Columns,
    results: &mut Columns,
) -> Result<i64, Error> {
    let records = parameters.records(0);
    let keys = || parameters.records(0).map(|(key, _)| key).collect();
    let command = match bulk {
        Bulk::Set(expiry) => Command::PutMany {
            pairs: records.map(|(key, value)| Pair { key, value }).collect(),
            if_none_exist: false,
            expiry,
        },
        Bulk::Remove => Command::RemoveMany { keys: keys() },
        Bulk::Get => Command::GetMany { keys: keys() },
    };
    let (mut count, mut fits) = (0, true);
    caller.call(
        Protocol::Tycoon,
        database,
        &command,
        &mut |reply| match reply {
            Reply::Number(number) => count = number,
            Reply::Records(found) => {
                for ((key, _), record) in parameters.records(0).zip(found) {
                    if let Some(record) = record {
                        fits = fits && add_found(key, record, results);
                        count += 1;
                    }
                }
            }
            _ => count = i64::try_from(parameters.records(0).count()).unwrap_or(i64::MAX),
        },
    )?;
    if fits {
        Ok(count)
    } else {
        *results = Columns::default();
        Err(too_large())
    }
}

/// Adds a record to the answer of `get_bulk`, if it is not too large with it.
pub(super) fn add_found(key: &[u8], record: &Record<'_>, results: &mut Columns) -> bool {
    let fits = results.bytes() + key.len() + record.value.len() <= ANSWER_BYTES_MAX;
    if fits {
        results.push(&[b"_", key].concat(), record.value);
    }
    fits
}

/// The error of an answer that would be too large to collect.
pub(super) fn too_large() -> Error {
    Error::Invalid(format!(
        "the answer is larger than {ANSWER_BYTES_MAX} bytes"
    ))
}

pub(super) fn put<'a>(key: &'a [u8], value: &'a [u8], expiry: Millis) -> Command<'a> {
    Command::Put {
        key,
        value,
        condition: Condition::Always,
        expiry: ExpirySet::At(expiry),
        flags: 0,
        want_old: false,
    }
}

/// The count of a bulk call, or why there is none.
pub(super) fn counted(count: Result<i64, Error>, results: &mut Columns) -> Status {
    match count {
        Ok(count) => {
            number("num", count, results);
            Status::Done
        }
        Err(error) => failure(&error, results),
    }
}

/// Counts a call for reports: what its procedure is about, and whether it failed.
pub(super) fn tally(caller: &mut Caller<'_>, procedure: Procedure, status: Status) {
    let tallies: &[Asked] = match procedure {
        Procedure::Set
        | Procedure::Add
        | Procedure::Replace
        | Procedure::Append
        | Procedure::Increment
        | Procedure::IncrementDouble
        | Procedure::Cas
        | Procedure::SetBulk => &[Asked::Set],
        Procedure::Get | Procedure::Check | Procedure::GetBulk => &[Asked::Get],
        Procedure::Remove | Procedure::RemoveBulk => &[Asked::Remove],
        Procedure::Seize => &[Asked::Get, Asked::Remove],
        Procedure::PlayScript => &[Asked::Script],
        _ => &[Asked::Misc],
    };
    for &tally in tallies {
        caller.counts.count(Counter::Tycoon(tally));
        if status != Status::Done && tally.miss() != tally {
            caller.counts.count(Counter::Tycoon(tally.miss()));
        }
    }
}
