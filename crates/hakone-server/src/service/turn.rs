//! A turn: decode a group of requests, prefetch their keys, execute them in order.

use super::call::Caller;
use super::{OUTPUT_BYTES_MAX, Ready, Service, http, keys, memcached, resp, tycoon, tyrant};
use crate::counters::Counts;
use crate::session::{Decoders, Lane};
use hakone::Millis;
use hakone_wire::http::Message;
use hakone_wire::resp::{Frame, ProtocolError, Row, Verb, lookup};
use hakone_wire::{Detected, Protocol, Step};
use std::sync::atomic::Ordering;

/// Requests that are decoded before any of them is executed: 128, some kilobytes of them, so that
/// prefetched keys are still in the cache when their turn comes.
const GROUP_REQUESTS: usize = 128;

/// Keys that are prefetched together: the cache misses that a core keeps in flight are fewer.
const PREFETCH_KEYS: usize = 32;

/// Requests of one connection in one turn: 2048, about a millisecond of work, which is what the
/// others wait.
const REQUESTS_MAX: usize = 2048;

/// Whether the next request of the connection may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It may.
    Go,
    /// In a later turn: this request is done with, but its answer is not.
    Later,
    /// In a later turn, which begins with this same request.
    Again,
    /// Never: the connection closes.
    Close,
}

/// A decoded request. It is moved several times, so it is kept small.
#[derive(Debug)]
enum Work<'a> {
    /// The next one of the group's large requests.
    Large,
    /// The command and the position of its first and last argument in the group.
    Resp(Option<&'static Row>, usize, usize),
    RespLine(&'a [u8]),
    RespTooLarge,
    RespInvalid(ProtocolError),
    /// The client of HTTP waits to be told to send the body.
    HttpGoOn,
    /// Bytes of a request that is being skipped.
    Skipped,
    /// Bytes that are no request.
    Unknown,
}

/// A request that is moved once, into the group.
#[derive(Debug)]
enum Large<'a> {
    Tyrant(hakone_wire::tyrant::Request<'a>),
    Memcached(hakone_wire::memcached::Request<'a>),
    Tycoon(hakone_wire::tycoon::Request<'a>),
    Http(Message<'a>),
}

#[derive(Debug)]
struct Item<'a> {
    /// Whose request it is.
    connection: usize,
    /// Where it ends in that connection's input.
    end: usize,
    protocol: Option<Protocol>,
    work: Work<'a>,
}

/// What is decoded together.
#[derive(Debug)]
struct Group<'a> {
    items: Vec<Item<'a>>,
    /// Those of them that are large, in their order.
    large: Vec<Large<'a>>,
    /// The arguments of all RESP requests.
    arguments: Vec<&'a [u8]>,
}

impl Group<'_> {
    /// With room for what these connections are likely to bring: few requests are shorter than 16
    /// bytes, and few arguments shorter than 8.
    fn new(ready: &[Ready<'_>]) -> Self {
        let bytes: usize = ready.iter().map(|connection| connection.input.len()).sum();
        Group {
            items: Vec::with_capacity((bytes / 16 + 1).min(GROUP_REQUESTS)),
            large: Vec::new(),
            arguments: Vec::with_capacity((bytes / 8 + 1).min(4 * GROUP_REQUESTS)),
        }
    }
}

/// What decoding one request gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoded {
    /// A request; the next one may follow.
    One,
    /// A request that changes what the next bytes mean.
    Barrier,
    /// No whole request is left.
    None,
}

pub(super) fn run(service: &Service, now: Millis, ready: &mut [Ready<'_>]) {
    let mut counts = Counts::new();
    flush(service, now, &mut counts, ready);
    for connection in &mut *ready {
        begin(service, now, &mut counts, connection);
    }
    let mut group = Group::new(ready);
    let mut next = 0;
    while next < ready.len() {
        group.items.clear();
        group.large.clear();
        group.arguments.clear();
        while next < ready.len() && group.items.len() < GROUP_REQUESTS {
            match decode(&mut ready[next], next, &mut group) {
                Decoded::One => {}
                Decoded::Barrier => break,
                Decoded::None => next += 1,
            }
        }
        prefetch(service, ready, &group);
        execute(service, now, &mut counts, ready, &mut group);
    }
    let (mut received, mut replied) = (0, 0);
    for connection in &mut *ready {
        finish(service, now, connection);
        received += connection.consumed as u64;
        replied += (connection.output.len() - connection.session.lane.output_before) as u64;
    }
    // Relaxed: counts order nothing.
    service
        .received_bytes
        .fetch_add(received, Ordering::Relaxed);
    service.replied_bytes.fetch_add(replied, Ordering::Relaxed);
    counts.add_to(&service.counters);
}

/// Carries out a flush of memcached's whose time has come, before anything else is.
fn flush(service: &Service, now: Millis, counts: &mut Counts, ready: &mut [Ready<'_>]) {
    if !service.memcached.flush.is_due(now) {
        return;
    }
    let mut caller = Caller::new(service, counts, now);
    memcached::carry_out_flush(&mut caller);
    for connection in ready {
        connection.wait = connection.wait.max(caller.wait());
    }
}

/// Goes on with what is left of a command of an earlier turn.
fn begin(service: &Service, now: Millis, counts: &mut Counts, ready: &mut Ready<'_>) {
    let session = &mut *ready.session;
    session.lane = Lane {
        output_before: ready.output.len(),
        ..Lane::default()
    };
    if session.client.is_killed() {
        close(ready);
        return;
    }
    let Some(pending) = session.pending.take() else {
        return;
    };
    let mut caller = Caller::new(service, counts, now);
    let flow = keys::resume(*pending, &mut caller, session, ready.output);
    ready.wait = ready.wait.max(caller.wait());
    match flow {
        Flow::Go => {}
        Flow::Later | Flow::Again => stop(ready),
        Flow::Close => close(ready),
    }
}

fn decode<'a>(ready: &mut Ready<'a>, connection: usize, group: &mut Group<'a>) -> Decoded {
    let session = &mut *ready.session;
    let lane = &mut session.lane;
    if lane.stopped {
        return Decoded::None;
    }
    let input = &ready.input[lane.decoded..];
    if input.is_empty() {
        return Decoded::None;
    }
    if lane.requests == REQUESTS_MAX {
        ready.more = true;
        return Decoded::None;
    }
    lane.requests += 1;
    let protocol = session.current.or(session.settled);
    let protocol = match protocol {
        Some(protocol) => Some(protocol),
        None => match session.decoders.detector.detect(input) {
            Detected::Protocol(protocol) => Some(protocol),
            Detected::More => return Decoded::None,
            Detected::Unknown => None,
        },
    };
    let settled = session.settled.is_some();
    let mut barrier = false;
    let Decoders {
        detector: _,
        tyrant,
        memcached,
        tycoon,
        http,
        resp,
    } = &mut session.decoders;
    let step = match protocol {
        Some(Protocol::Tyrant) => large(tyrant.decode(input), Large::Tyrant, &mut group.large),
        Some(Protocol::Memcached) => {
            large(memcached.decode(input), Large::Memcached, &mut group.large)
        }
        Some(Protocol::Tycoon) => large(tycoon.decode(input), Large::Tycoon, &mut group.large),
        Some(Protocol::Resp) => {
            let step = resp.decode(input, &mut group.arguments);
            work(step, |frame| match frame {
                Frame::Arguments(first) => {
                    let words = &group.arguments[first..];
                    let row = words.first().and_then(|name| lookup(name));
                    barrier = row.is_some_and(|row| changes_session(row.verb, settled));
                    Work::Resp(row, first, group.arguments.len())
                }
                Frame::Line(line) => {
                    barrier = line_changes_session(line, settled);
                    Work::RespLine(line)
                }
                Frame::TooLarge => Work::RespTooLarge,
                Frame::Invalid(error) => Work::RespInvalid(error),
            })
        }
        Some(Protocol::Http) => large(http.decode(input), Large::Http, &mut group.large),
        _ => Step::Close,
    };
    let (work, bytes) = match step {
        Step::Request(work, bytes) => {
            session.current = tycoon.is_inside().then_some(Protocol::Tycoon);
            (work, bytes)
        }
        Step::Partial { consumed, need } => {
            session.current = protocol;
            lane.need = need;
            match consumed {
                0 if session.decoders.http.is_awaited() => (Work::HttpGoOn, 0),
                0 => return Decoded::None,
                _ => (Work::Skipped, consumed),
            }
        }
        Step::Close => (Work::Unknown, input.len()),
    };
    let skipped = matches!(work, Work::Skipped | Work::HttpGoOn);
    lane.decoded += bytes;
    let end = lane.decoded;
    group.items.push(Item {
        connection,
        end,
        protocol,
        work,
    });
    match barrier {
        _ if skipped => Decoded::None,
        true => Decoded::Barrier,
        false => Decoded::One,
    }
}

fn large<'a, R>(
    step: Step<R>,
    make: impl FnOnce(R) -> Large<'a>,
    all: &mut Vec<Large<'a>>,
) -> Step<Work<'a>> {
    work(step, |request| {
        all.push(make(request));
        Work::Large
    })
}

fn work<'a, R>(step: Step<R>, make: impl FnOnce(R) -> Work<'a>) -> Step<Work<'a>> {
    match step {
        Step::Request(request, bytes) => Step::Request(make(request), bytes),
        Step::Partial { consumed, need } => Step::Partial { consumed, need },
        Step::Close => Step::Close,
    }
}

/// Whether the command changes what the bytes after it mean, or where they go.
fn changes_session(verb: Verb, settled: bool) -> bool {
    match verb {
        Verb::Hello | Verb::Reset | Verb::Select | Verb::Hakone => true,
        // There may be a `HELLO` among what it carries out.
        Verb::Exec => !settled,
        _ => false,
    }
}

fn line_changes_session(line: &[u8], settled: bool) -> bool {
    let mut words = line.split(|byte| byte.is_ascii_whitespace());
    let name = words.find(|word| !word.is_empty()).unwrap_or_default();
    // A quoted name is rare enough not to be read here.
    let quoted = name.iter().any(|byte| matches!(byte, b'"' | b'\'' | 0));
    quoted || lookup(name).is_some_and(|row| changes_session(row.verb, settled))
}

/// Prefetches the keys of a group, those of one database together.
fn prefetch(service: &Service, ready: &[Ready<'_>], group: &Group<'_>) {
    if group.items.len() < 2 {
        return;
    }
    let mut keys: [&[u8]; PREFETCH_KEYS] = [&[]; PREFETCH_KEYS];
    let mut count = 0;
    let mut number = 0;
    let flush = |number: usize, keys: &[&[u8]]| {
        if let (true, Some(database)) = (keys.len() > 1, service.databases.get(number)) {
            database.prefetch(keys);
        }
    };
    let mut larges = group.large.iter();
    for item in &group.items {
        let (database, key) = match &item.work {
            Work::Large => match larges.next() {
                Some(Large::Tyrant(request)) => (0, tyrant::key(request)),
                Some(Large::Memcached(request)) => (0, request.key()),
                Some(Large::Http(Message::Request(request))) => (0, request.plain_key()),
                Some(Large::Tycoon(request)) => match tycoon::key(request) {
                    Some((number, key)) => (number, Some(key)),
                    None => continue,
                },
                _ => continue,
            },
            Work::Resp(Some(row), first, end) if row.keys.0 == 1 && end - first > 1 => (
                ready[item.connection].session.selected,
                Some(group.arguments[first + 1]),
            ),
            _ => continue,
        };
        let Some(key) = key else { continue };
        if database != number || count == keys.len() {
            flush(number, &keys[..count]);
            count = 0;
            number = database;
        }
        keys[count] = key;
        count += 1;
    }
    flush(number, &keys[..count]);
}

fn execute(
    service: &Service,
    now: Millis,
    counts: &mut Counts,
    ready: &mut [Ready<'_>],
    group: &mut Group<'_>,
) {
    let mut larges = group.large.drain(..);
    for item in group.items.drain(..) {
        let large = match item.work {
            Work::Large => larges.next(),
            _ => None,
        };
        let ready = &mut ready[item.connection];
        if ready.session.lane.stopped {
            continue;
        }
        let mut caller = Caller::new(service, counts, now);
        let session = &mut *ready.session;
        session.lane.protocol = item.protocol;
        let out = &mut *ready.output;
        let flow = match item.work {
            Work::Large => match large {
                Some(Large::Tyrant(request)) => {
                    tyrant::execute(&mut caller, session, request, out, &mut ready.wait)
                }
                Some(Large::Memcached(request)) => {
                    memcached::execute(&mut caller, session, request, out)
                }
                Some(Large::Tycoon(request)) => tycoon::execute(&mut caller, session, request, out),
                Some(Large::Http(message)) => {
                    http::execute(&mut caller, session, message, out, &mut ready.wait)
                }
                None => unreachable!("each large item has put its request into the group"),
            },
            Work::Resp(row, first, end) => {
                let words = &group.arguments[first..end];
                resp::execute(&mut caller, session, row, words, out, &mut ready.wait)
            }
            Work::RespLine(line) => {
                resp::execute_line(&mut caller, session, line, out, &mut ready.wait)
            }
            Work::RespTooLarge => resp::too_large(&mut caller, session, out),
            Work::RespInvalid(error) => resp::invalid(&mut caller, session, error, out),
            Work::HttpGoOn => {
                hakone_wire::http::reply::go_on(out);
                continue;
            }
            // It is the last item of its connection: no stop may make the decoder forget it.
            Work::Skipped => {
                ready.consumed = item.end;
                continue;
            }
            Work::Unknown => Flow::Close,
        };
        ready.wait = ready.wait.max(caller.wait());
        if flow == Flow::Close {
            close(ready);
            continue;
        }
        if flow != Flow::Again {
            ready.consumed = item.end;
        }
        let output = ready.output.len() - ready.session.lane.output_before;
        if flow != Flow::Go || (output >= OUTPUT_BYTES_MAX && item.end < ready.input.len()) {
            stop(ready);
        }
    }
}

/// Nothing more of this connection in this turn. What was decoded ahead will be decoded again.
fn stop(ready: &mut Ready<'_>) {
    ready.more = true;
    let session = &mut *ready.session;
    session.lane.stopped = true;
    // A piece that was carried out stays so, whatever was decoded after it.
    let next = session.bulk.as_ref().and_then(|bulk| bulk.next);
    session.current = next.map(|_| Protocol::Tycoon);
    session.decoders = Decoders {
        tycoon: hakone_wire::tycoon::Decoder::at(next),
        ..Decoders::default()
    };
}

fn close(ready: &mut Ready<'_>) {
    stop(ready);
    ready.consumed = ready.input.len();
    ready.more = false;
    ready.close = true;
}

fn finish(service: &Service, now: Millis, ready: &mut Ready<'_>) {
    ready.session.show(now);
    if !ready.session.lane.stopped {
        ready.need = ready.session.lane.need;
    }
    if let Some(lsn) = ready.wait {
        service.cabinet.want_durable(lsn);
    }
}
