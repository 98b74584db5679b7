//! Bulk calls that need not be atomic: carried out in slices, a turn each.

use super::super::call::Caller;
use super::super::keys::Pending;
use super::super::turn::Flow;
use super::rpc::{Context, add_found, counted, finish, put, respond, tally, too_large};
use crate::session::Session;
use hakone::{Command, Error, Reply};
use hakone_wire::Protocol;
use hakone_wire::http::Responder;
use hakone_wire::tycoon::{Bulk, Columns, Procedure};

/// Records of one slice: 1024, about a millisecond.
const SLICE_RECORDS: usize = 1024;

/// A bulk call on its way.
#[derive(Debug)]
pub(crate) struct Parts {
    number: usize,
    bulk: Bulk,
    procedure: Procedure,
    parameters: Columns,
    /// The records that are done with, and how many of them count.
    done: usize,
    count: i64,
    found: Columns,
    responder: Responder,
    signals: bool,
}

impl Parts {
    /// Carries out a slice more. Whether that was all.
    fn slice(&mut self, caller: &mut Caller<'_>) -> Result<bool, Error> {
        let Parts {
            number,
            bulk,
            parameters,
            done,
            count,
            found,
            ..
        } = self;
        let before = *done;
        for (key, value) in parameters.records(before).take(SLICE_RECORDS) {
            let command = match *bulk {
                Bulk::Set(expiry) => put(key, value, expiry),
                Bulk::Remove => Command::Remove {
                    key,
                    want_old: false,
                },
                Bulk::Get => Command::Get { key },
            };
            let mut fits = true;
            caller.call(Protocol::Tycoon, *number, &command, &mut |reply| {
                if let Reply::Record(record) = &reply {
                    fits = add_found(key, record, found);
                }
                *count += i64::from(reply != Reply::Missing);
            })?;
            if !fits {
                return Err(too_large());
            }
            *done += 1;
        }
        Ok(*done - before < SLICE_RECORDS)
    }
}

/// Begins a bulk call.
pub(super) fn begin(
    number: usize,
    bulk: Bulk,
    procedure: Procedure,
    parameters: Columns,
    context: Context<'_, '_>,
) -> Flow {
    let Context {
        caller,
        session,
        responder,
        out,
        signals,
    } = context;
    let parts = Parts {
        number,
        bulk,
        procedure,
        parameters,
        done: 0,
        count: 0,
        found: Columns::default(),
        responder,
        signals,
    };
    match resume(parts, caller, session, out) {
        // The request itself is done with; what is left of it is the session's.
        Flow::Again => Flow::Later,
        flow => flow,
    }
}

/// One slice more.
pub(in crate::service) fn resume(
    mut parts: Parts,
    caller: &mut Caller<'_>,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Flow {
    let (count, mut results) = match parts.slice(caller) {
        Ok(false) => {
            session.pending = Some(Box::new(Pending::Parts(parts)));
            return Flow::Again;
        }
        Ok(true) => (Ok(parts.count), parts.found),
        Err(error) => (Err(error), Columns::default()),
    };
    let status = counted(count, &mut results);
    tally(caller, parts.procedure, status);
    finish(parts.signals, &mut results);
    respond(parts.responder, status, results, caller.now, out)
}
