//! memcached's requests on database 0.

mod details;
mod dump;
mod flush;
mod stats;

use super::REPLY_BYTES_MAX;
use super::call::Caller;
use super::turn::Flow;
use crate::counters::Counter;
use crate::session::Session;
use details::Details;
use flush::Flush;
use hakone::{Command, Error, Reply};
use hakone_wire::Protocol;
use hakone_wire::memcached::{
    self, Action, Answer, Exptime, Refusal, Request, Sub, VERSION, Verb, Words, encode, refuse,
    store_error, touch, value,
};
use stats::Baseline;

pub(super) use dump::{Dump, resume};

/// The database that this protocol speaks to.
const NUMBER: usize = 0;

/// What all connections that speak this protocol share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) flush: Flush,
    baseline: Baseline,
    details: Details,
}

/// What this protocol counts beside its verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tally {
    /// A key was read, and had a record.
    GetHit,
    /// A key was read, and had none.
    GetMiss,
    /// A record was removed.
    DeleteHit,
    /// There was none to remove.
    DeleteMiss,
    /// A counter was raised.
    IncrHit,
    /// There was none to raise.
    IncrMiss,
    /// A counter was lowered.
    DecrHit,
    /// There was none to lower.
    DecrMiss,
    /// A record of an expected version was replaced.
    CasHit,
    /// There was no record.
    CasMiss,
    /// It had another version.
    CasBad,
    /// A record was given a new expiry.
    TouchHit,
    /// There was none to give it.
    TouchMiss,
    /// A value was larger than the store takes.
    TooLarge,
}

impl Tally {
    /// All of them.
    pub(crate) const ALL: &[Tally] = &[
        Tally::GetHit,
        Tally::GetMiss,
        Tally::DeleteHit,
        Tally::DeleteMiss,
        Tally::IncrHit,
        Tally::IncrMiss,
        Tally::DecrHit,
        Tally::DecrMiss,
        Tally::CasHit,
        Tally::CasMiss,
        Tally::CasBad,
        Tally::TouchHit,
        Tally::TouchMiss,
        Tally::TooLarge,
    ];

    /// What counts when a command of this verb is answered so.
    fn of(verb: Verb, reply: &Reply<'_>) -> Option<Tally> {
        let missing = matches!(reply, Reply::Missing);
        let refused = matches!(reply, Reply::Refused | Reply::NotANumber);
        let (hit, miss) = match verb {
            Verb::Delete => (Tally::DeleteHit, Tally::DeleteMiss),
            Verb::Incr => (Tally::IncrHit, Tally::IncrMiss),
            Verb::Decr => (Tally::DecrHit, Tally::DecrMiss),
            Verb::Touch => (Tally::TouchHit, Tally::TouchMiss),
            Verb::Cas if refused => return Some(Tally::CasBad),
            Verb::Cas => (Tally::CasHit, Tally::CasMiss),
            _ => return None,
        };
        match (missing, refused) {
            (true, _) => Some(miss),
            (_, true) => None,
            _ => Some(hit),
        }
    }
}

pub(super) fn execute(
    caller: &mut Caller<'_>,
    session: &mut Session,
    request: Request<'_>,
    out: &mut Vec<u8>,
) -> Flow {
    if let Some(verb) = request.verb {
        caller.counts.count(Counter::Memcached(verb));
    }
    let quiet = request.quiet.then_some(out.len());
    let flow = perform(caller, session, request, out);
    if let Some(before) = quiet {
        out.truncate(before);
    }
    flow
}

fn perform(
    caller: &mut Caller<'_>,
    session: &mut Session,
    request: Request<'_>,
    out: &mut Vec<u8>,
) -> Flow {
    let versions = request.wants_version();
    if let Some((command, answer)) = request.action.command(caller.now) {
        call(caller, request.verb, &command, answer, out);
        return Flow::Go;
    }
    match request.action {
        Action::Read { keys, count } => read(caller, keys, count, versions, out),
        Action::ReadAndTouch { keys, expiry } => {
            read_and_touch(caller, keys, expiry, versions, out);
        }
        Action::Flush(delay) => flush(caller, delay, out),
        Action::Stats(Sub::CacheDump(limit)) => {
            return dump::begin(Dump::cache(limit), caller, session, out);
        }
        Action::MetaDump => return dump::begin(Dump::meta(), caller, session, out),
        Action::Stats(sub) => stats::write(caller, session, sub, out),
        Action::Version => {
            out.extend_from_slice(b"VERSION ");
            out.extend_from_slice(VERSION.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Action::Accept => out.extend_from_slice(b"OK\r\n"),
        Action::Quit => return Flow::Close,
        Action::Refuse(refusal) => {
            if let Refusal::TooLarge(stale) = &refusal {
                caller.counts.count(Counter::Tally(Tally::TooLarge));
                if let Some(key) = stale {
                    remove(caller, key);
                }
            }
            if refuse(&refusal, out) {
                return Flow::Close;
            }
        }
        _ => unreachable!("other actions come to a command"),
    }
    Flow::Go
}

fn call(
    caller: &mut Caller<'_>,
    verb: Option<Verb>,
    command: &Command<'_>,
    answer: Answer,
    out: &mut Vec<u8>,
) {
    let mut tally = None;
    let result = caller.call(Protocol::Memcached, NUMBER, command, &mut |reply| {
        tally = verb.and_then(|verb| Tally::of(verb, &reply));
        encode(answer, &reply, out);
    });
    if let Some(tally) = tally {
        caller.counts.count(Counter::Tally(tally));
    }
    if let Some(key) = command.key() {
        let details = &caller.service.memcached.details;
        match answer {
            Answer::Deleted => details.deleted(key),
            Answer::Stored | Answer::Swapped => details.stored(key),
            _ => {}
        }
    }
    if let Err(error) = result {
        fail(caller, &error, out);
    }
}

fn fail(caller: &mut Caller<'_>, error: &Error, out: &mut Vec<u8>) {
    if let Error::ValueTooLarge { .. } = error {
        caller.counts.count(Counter::Tally(Tally::TooLarge));
    }
    store_error(error, out);
}

/// `get`, `gets`: all keys as of one moment.
fn read(caller: &mut Caller<'_>, keys: Words<'_>, count: usize, versions: bool, out: &mut Vec<u8>) {
    let before = out.len();
    let (mut hits, mut fits) = (0, true);
    let details = &caller.service.memcached.details;
    let command = match keys.only() {
        Some(key) => Command::Get { key },
        None => Command::GetMany {
            keys: keys.clone().collect(),
        },
    };
    let result = caller.call(Protocol::Memcached, NUMBER, &command, &mut |reply| {
        let single;
        let records = match &reply {
            Reply::Records(records) => records,
            Reply::Record(record) => {
                single = [Some(*record)];
                &single[..]
            }
            _ => &[None],
        };
        let bytes = records.iter().flatten().map(|record| record.value.len());
        fits = bytes.sum::<usize>() <= REPLY_BYTES_MAX;
        for (key, record) in keys.clone().zip(records) {
            details.read(key, record.is_some());
            if let (Some(record), true) = (record, fits) {
                hits += 1;
                value(key, record, versions, out);
            }
        }
    });
    caller
        .counts
        .count_many(Counter::Tally(Tally::GetHit), hits);
    let misses = count - hits;
    caller
        .counts
        .count_many(Counter::Tally(Tally::GetMiss), misses);
    finish(caller, result, fits, before, out);
}

/// `gat`, `gats`: one key after the other.
fn read_and_touch(
    caller: &mut Caller<'_>,
    keys: Words<'_>,
    expiry: Exptime,
    versions: bool,
    out: &mut Vec<u8>,
) {
    let before = out.len();
    let mut result = Ok(());
    let mut fits = true;
    for key in keys {
        let command = touch(key, expiry, caller.now, true);
        let mut hit = false;
        result = caller.call(Protocol::Memcached, NUMBER, &command, &mut |reply| {
            if let Reply::Record(record) = reply {
                hit = true;
                fits = out.len() - before + record.value.len() <= REPLY_BYTES_MAX;
                if fits {
                    value(key, &record, versions, out);
                }
            }
        });
        let tally = if hit {
            Tally::TouchHit
        } else {
            Tally::TouchMiss
        };
        caller.counts.count(Counter::Tally(tally));
        caller.service.memcached.details.read(key, hit);
        if result.is_err() || !fits {
            break;
        }
    }
    finish(caller, result, fits, before, out);
}

/// The end of a list, or an error in its place.
fn finish(
    caller: &mut Caller<'_>,
    result: hakone::Result<()>,
    fits: bool,
    before: usize,
    out: &mut Vec<u8>,
) {
    match result {
        Ok(()) if fits => memcached::end(out),
        Ok(()) => {
            out.truncate(before);
            let text =
                b"SERVER_ERROR the reply would be larger than 256 MiB, ask for fewer keys\r\n";
            out.extend_from_slice(text);
        }
        Err(error) => {
            out.truncate(before);
            fail(caller, &error, out);
        }
    }
}

fn flush(caller: &mut Caller<'_>, delay: Exptime, out: &mut Vec<u8>) {
    let service = caller.service;
    let at = delay.at_or_now(caller.now);
    if at > caller.now {
        service.memcached.flush.set(at);
        out.extend_from_slice(b"OK\r\n");
        return;
    }
    service.memcached.flush.forget();
    let result = caller.call(Protocol::Memcached, NUMBER, &Command::Clear, &mut |_| ());
    match result {
        Ok(()) => out.extend_from_slice(b"OK\r\n"),
        Err(error) => fail(caller, &error, out),
    }
}

/// Removes a record that a refused `set` was to replace.
fn remove(caller: &mut Caller<'_>, key: &[u8]) {
    let command = Command::Remove {
        key,
        want_old: false,
    };
    // The client is told of a failure in any case.
    let _ = caller.call(Protocol::Memcached, NUMBER, &command, &mut |_| ());
}

/// Removes all records if a delayed flush is due.
pub(super) fn carry_out_flush(caller: &mut Caller<'_>) {
    let service = caller.service;
    service.memcached.flush.carry_out(caller.now, || {
        let result = caller.call(Protocol::Memcached, NUMBER, &Command::Clear, &mut |_| ());
        result.is_ok()
    });
}
