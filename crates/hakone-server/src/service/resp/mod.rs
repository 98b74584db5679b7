//! Redis' requests on the selected database.

mod clients;
mod copy;
mod describe;
mod scan;
mod transaction;

use super::call::Caller;
use super::keys::{self, Listing, Pending};
use super::turn::Flow;
use super::{REPLY_BYTES_MAX, hakone};
use crate::counters::Counter;
use crate::session::Session;
use ::hakone::{Command, Lsn, Reply, Result};
use hakone_wire::Protocol;
use hakone_wire::resp::{
    self, Constant, Failure, ProtocolError, Replies, Request, Row, Shape, Writer, lookup,
};
use std::sync::atomic::Ordering;

pub(super) use clients::Listing as ClientListing;
pub(crate) use transaction::Conversation;

/// A request that is being answered.
struct Asked<'a, 'c, 'o> {
    session: &'a mut Session,
    to: &'a mut Writer<'o>,
    caller: &'a mut Caller<'c>,
    /// The lsn that must be durable before the answer may leave.
    wait: &'a mut Option<Lsn>,
}

/// A request of whole words.
pub(super) fn execute(
    caller: &mut Caller<'_>,
    session: &mut Session,
    row: Option<&'static Row>,
    words: &[&[u8]],
    out: &mut Vec<u8>,
    wait: &mut Option<Lsn>,
) -> Flow {
    if words.is_empty() {
        return Flow::Go;
    }
    let start = out.len();
    let resp3 = session.resp3;
    let mut asked = Asked {
        session,
        to: &mut Writer { out, resp3 },
        caller,
        wait,
    };
    let flow = asked.answer(row, words);
    // One that begins again in a later turn has had no reply yet.
    if session.conversation.replies != Replies::On && flow != Flow::Again {
        if session.conversation.is_quiet() {
            out.truncate(start);
        }
        session.conversation.replies = session.conversation.replies.next();
    }
    flow
}

/// A request typed as a line.
pub(super) fn execute_line(
    caller: &mut Caller<'_>,
    session: &mut Session,
    line: &[u8],
    out: &mut Vec<u8>,
    wait: &mut Option<Lsn>,
) -> Flow {
    if hakone_wire::http::is_http(line) {
        return Flow::Close;
    }
    let Some(words) = resp::split(line) else {
        return invalid(caller, session, ProtocolError::UnbalancedQuotes, out);
    };
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let row = words.first().and_then(|name| lookup(name));
    execute(caller, session, row, &words, out, wait)
}

/// A request that was skipped since it is larger than the store takes.
pub(super) fn too_large(caller: &mut Caller<'_>, session: &mut Session, out: &mut Vec<u8>) -> Flow {
    let resp3 = session.resp3;
    session.conversation.poison();
    fail(caller, &Failure::TOO_LARGE, &mut Writer { out, resp3 })
}

/// Bytes that are no request: one error, and the end.
pub(super) fn invalid(
    caller: &mut Caller<'_>,
    session: &mut Session,
    error: ProtocolError,
    out: &mut Vec<u8>,
) -> Flow {
    let resp3 = session.resp3;
    fail(
        caller,
        &Failure::Made(error.text()),
        &mut Writer { out, resp3 },
    );
    Flow::Close
}

fn fail(caller: &mut Caller<'_>, failure: &Failure, to: &mut Writer<'_>) -> Flow {
    caller.counts.count(Counter::Error);
    to.error(failure.text());
    Flow::Go
}

impl Asked<'_, '_, '_> {
    fn answer(&mut self, row: Option<&'static Row>, words: &[&[u8]]) -> Flow {
        let Some(row) = row else {
            self.session.conversation.poison();
            return self.fail(&resp::unknown_command(words));
        };
        self.session.lane.verb = Some(row.verb);
        if self.session.conversation.is_open() && transaction::is_queued(row.verb) {
            return self.queue(row, words);
        }
        self.caller.counts.count(Counter::Resp(row.verb));
        match resp::translate(row, words, self.caller.now) {
            Ok(Request::Call(command, shape)) => self.call(&command, shape),
            Ok(request) => self.perform(request),
            Err(failure) => self.refuse(row, &failure),
        }
    }

    fn fail(&mut self, failure: &Failure) -> Flow {
        fail(self.caller, failure, self.to)
    }

    fn call(&mut self, command: &Command<'_>, shape: Shape) -> Flow {
        let number = self.session.selected;
        let is_get = matches!(command, Command::Get { .. });
        let mut counter = None;
        let to = &mut *self.to;
        let result = self
            .caller
            .call(Protocol::Resp, number, command, &mut |reply| {
                counter = encode(is_get, shape, &reply, REPLY_BYTES_MAX, to);
            });
        if let Some(counter) = counter {
            self.caller.counts.count(counter);
        }
        self.done(result)
    }

    /// What a call has come to, its answer being given already where it succeeded.
    fn done(&mut self, result: Result<()>) -> Flow {
        match result {
            Ok(()) => Flow::Go,
            Err(error) => self.fail(&Failure::Made(resp::store_error(&error))),
        }
    }

    /// Requests that are more than one command, or none.
    fn perform(&mut self, request: Request<'_>) -> Flow {
        match request {
            Request::Call(command, shape) => return self.call(&command, shape),
            Request::Scan(request) => return self.scan(request),
            Request::Keys(pattern) => return self.keys(pattern),
            Request::RandomKey => return self.random_key(),
            Request::Copy {
                key,
                to,
                number,
                replace,
                remove,
            } => return self.copy(key, to, number, copy::Ways { replace, remove }),
            Request::FlushDb => return self.call(&Command::Clear, Shape::Ok),
            Request::FlushAll => return self.flush_all(),
            Request::Multi => return self.multi(),
            Request::Exec => return self.exec(),
            Request::Discard => return self.discard(),
            Request::Watch(keys) => return self.watch(&keys),
            Request::Unwatch => {
                self.session.conversation.unwatch();
                self.to.simple("OK");
            }
            Request::Ping(None) => self.to.simple("PONG"),
            Request::Ping(Some(message)) | Request::Echo(message) => self.to.bulk(message),
            Request::Hello { resp3, name } => self.hello(resp3, name),
            Request::Select(number) => match self.number(number) {
                Some(number) => {
                    self.session.selected = number;
                    self.to.simple("OK");
                }
                None => return self.fail(&Failure::NO_DATABASE),
            },
            Request::Quit => {
                self.to.simple("OK");
                return Flow::Close;
            }
            Request::Reset => {
                self.session.reset();
                self.to.resp3 = false;
                self.to.simple("RESET");
            }
            Request::Client(request) => return self.client(request),
            Request::Constant(constant) => self.constant(constant),
            Request::Save { background } => return self.save(background),
            Request::Hakone(verb, arguments) => {
                let (caller, session) = (&mut *self.caller, &mut *self.session);
                if let Err(failure) = hakone::perform(caller, session, verb, &arguments, self.to) {
                    return self.fail(&failure);
                }
            }
            request => return self.describe(request),
        }
        Flow::Go
    }

    /// The database of this number, if there can be one.
    fn number(&self, number: i64) -> Option<usize> {
        let number = usize::try_from(number).ok()?;
        (number < self.caller.service.databases.count()).then_some(number)
    }

    fn constant(&mut self, constant: Constant) {
        match constant {
            Constant::Ok => self.to.simple("OK"),
            Constant::Number(number) => self.to.integer(number),
            Constant::Text(text) => self.to.bulk(text.as_bytes()),
            Constant::List(texts) => {
                self.to.array(texts.len());
                for text in texts {
                    self.to.bulk(text.as_bytes());
                }
            }
        }
    }

    fn keys(&mut self, pattern: &[u8]) -> Flow {
        // A list that nobody hears need not be made.
        if self.session.conversation.is_quiet() {
            return Flow::Go;
        }
        let listing = Pending::Keys(Listing::matching(self.session.selected, pattern));
        keys::begin(listing, self.caller, self.session, self.to.out)
    }

    fn flush_all(&mut self) -> Flow {
        let databases = self.caller.service.databases.iter();
        let numbers: Vec<usize> = databases.map(|(number, _)| number).collect();
        for number in numbers {
            let clear = Command::Clear;
            let result = self
                .caller
                .call(Protocol::Resp, number, &clear, &mut |_| ());
            if result.is_err() {
                return self.done(result);
            }
        }
        self.to.simple("OK");
        Flow::Go
    }

    /// Has everything made durable, and lets the answer wait for it unless that goes on behind.
    fn save(&mut self, background: bool) -> Flow {
        let service = self.caller.service;
        if let Some(failure) = service.cabinet.failure() {
            return self.fail(&Failure::Made(resp::store_error(&failure)));
        }
        // Relaxed: it is for reports.
        service.saved.store(self.caller.now, Ordering::Relaxed);
        let written = service.cabinet.written();
        if background {
            service.cabinet.want_durable(written);
            self.to.simple("Background saving started");
        } else {
            if written > service.cabinet.durable() {
                *self.wait = (*self.wait).max(Some(written));
            }
            self.to.simple("OK");
        }
        Flow::Go
    }
}

/// Appends a reply, unless it is larger than `room`. What is counted for it; a read of one record
/// is a hit or a miss.
fn encode(
    is_get: bool,
    shape: Shape,
    reply: &Reply<'_>,
    room: usize,
    to: &mut Writer<'_>,
) -> Option<Counter> {
    let bytes = match reply {
        Reply::Record(record) => record.value.len(),
        Reply::Records(records) => {
            let values = records.iter().flatten().map(|record| record.value.len());
            values.sum()
        }
        _ => 0,
    };
    if bytes > room {
        to.error(b"ERR the reply would be larger than 256 MiB, ask for fewer keys");
        return Some(Counter::Error);
    }
    let before = to.out.len();
    resp::encode(shape, reply, to);
    match reply {
        _ if to.out.get(before) == Some(&b'-') => Some(Counter::Error),
        Reply::Record(_) if is_get => Some(Counter::Hit),
        _ if is_get => Some(Counter::Miss),
        _ => None,
    }
}
