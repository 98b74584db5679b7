//! Tokyo Tyrant's requests on database 0.

use super::call::Caller;
use super::keys::{self, Listing, Pending};
use super::turn::Flow;
use super::{REPLY_BYTES_MAX, report};
use crate::counters::Counter;
use crate::cursors::{Iteration, Place};
use crate::session::Session;
use hakone::{Command, Direction, Filter, Lsn, Range, Reply};
use hakone_wire::Protocol;
use hakone_wire::tyrant::{self, Action, Answer, Request, Verb};
use std::sync::PoisonError;

/// The database that this protocol speaks to.
const NUMBER: usize = 0;

/// Keys that the iterator reads ahead.
const AHEAD: usize = 64;

/// Records that the iterator passes over in one turn at most: 4096, well under a millisecond.
const PASSED_MAX: usize = 4096;

/// The key of a request that is about exactly one.
pub(super) fn key<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    match &request.action {
        Action::Call(command, _) => command.key(),
        _ => None,
    }
}

pub(super) fn execute(
    caller: &mut Caller<'_>,
    session: &mut Session,
    request: Request<'_>,
    out: &mut Vec<u8>,
    wait: &mut Option<Lsn>,
) -> Flow {
    let Request { verb, action } = request;
    caller.counts.count(Counter::Tyrant(verb));
    match action {
        Action::Call(Command::GetMany { keys }, Answer::List) => return many(caller, keys, out),
        Action::Call(command, answer) => call(caller, verb, &command, answer, out),
        Action::IterInit => {
            let iteration = &caller.service.iterations[NUMBER];
            *iteration.lock().unwrap_or_else(PoisonError::into_inner) = Iteration {
                place: Some(Place::Start),
                ..Iteration::default()
            };
            tyrant::status(true, out);
        }
        Action::IterNext => return iterate(caller, out),
        Action::Keys { prefix, max } => {
            let listing = Pending::Keys(Listing::beginning(NUMBER, prefix, max));
            return keys::begin(listing, caller, session, out);
        }
        Action::Sync => {
            let cabinet = &caller.service.cabinet;
            let healthy = cabinet.failure().is_none();
            if healthy {
                let written = cabinet.written();
                if written > cabinet.durable() {
                    *wait = (*wait).max(Some(written));
                }
            }
            tyrant::status(healthy, out);
        }
        Action::Stat => {
            caller.counts.add_to(&caller.service.counters);
            let report = report::tyrant(caller, session);
            tyrant::text(report.as_bytes(), out);
        }
        Action::Refuse(refusal) => {
            if let Some(miss) = miss(verb) {
                caller.counts.count(miss);
            }
            if tyrant::refuse(refusal, out) {
                return Flow::Close;
            }
        }
    }
    Flow::Go
}

fn call(
    caller: &mut Caller<'_>,
    verb: Verb,
    command: &Command<'_>,
    answer: Answer,
    out: &mut Vec<u8>,
) {
    let mut failed = false;
    let result = caller.call(Protocol::Tyrant, NUMBER, command, &mut |reply| {
        failed = matches!(reply, Reply::Missing | Reply::Refused);
        tyrant::encode(answer, &reply, out);
    });
    if result.is_err() {
        failed = true;
        if answer != Answer::Silent {
            tyrant::status(false, out);
        }
    }
    if let (true, Some(miss)) = (failed, miss(verb)) {
        caller.counts.count(miss);
    }
}

/// What counts when the verb fails.
fn miss(verb: Verb) -> Option<Counter> {
    match verb {
        Verb::Put | Verb::PutKeep | Verb::PutCat | Verb::PutShl | Verb::PutNr => {
            Some(Counter::PutMiss)
        }
        Verb::Out => Some(Counter::OutMiss),
        Verb::Get | Verb::VSiz => Some(Counter::GetMiss),
        _ => None,
    }
}

/// `mget`: never fails, so an answer that is too large, or an error, ends the connection.
fn many(caller: &mut Caller<'_>, keys: Vec<&[u8]>, out: &mut Vec<u8>) -> Flow {
    let command = Command::GetMany { keys };
    let Command::GetMany { keys } = &command else {
        unreachable!("it was made above")
    };
    let mut fits = false;
    let result = caller.call(Protocol::Tyrant, NUMBER, &command, &mut |reply| {
        if let Reply::Records(records) = reply {
            fits = tyrant::bytes_of_list(keys, records) <= REPLY_BYTES_MAX;
            if fits {
                tyrant::encode_list(keys, records, out);
            }
        }
    });
    if result.is_ok() && fits {
        Flow::Go
    } else {
        Flow::Close
    }
}

/// `iternext`: the next key that still has a record.
fn iterate(caller: &mut Caller<'_>, out: &mut Vec<u8>) -> Flow {
    let service = caller.service;
    let mut iteration = service.iterations[NUMBER]
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut passed = 0;
    loop {
        while let Some(key) = iteration.ahead.pop_front() {
            let mut there = false;
            let command = Command::Describe { key: &key };
            let result = caller.call(Protocol::Tyrant, NUMBER, &command, &mut |reply| {
                there = matches!(reply, Reply::Record(_));
            });
            if result.is_ok() && there {
                tyrant::text(&key, out);
                return Flow::Go;
            }
            passed += 1;
        }
        if passed >= PASSED_MAX {
            return Flow::Again;
        }
        let place = match &iteration.place {
            None | Some(Place::End) => {
                tyrant::status(false, out);
                return Flow::Go;
            }
            Some(place) => place.clone(),
        };
        let command = Command::Scan {
            from: keys::position(&place),
            range: Range::All,
            direction: Direction::Forward,
            filter: Filter::All,
            limit: AHEAD,
            values: false,
        };
        let mut next = Place::End;
        let ahead = &mut iteration.ahead;
        let result = caller.call(Protocol::Tyrant, NUMBER, &command, &mut |reply| {
            if let Reply::Page(page) = reply {
                ahead.extend(page.iter().map(|(key, _)| key.to_vec()));
                next = keys::after(page);
            }
        });
        if result.is_err() {
            tyrant::status(false, out);
            return Flow::Go;
        }
        iteration.place = Some(next);
        passed += AHEAD;
    }
}
