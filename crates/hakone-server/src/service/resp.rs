//! Redis' requests on the selected database.

use super::call::Caller;
use super::keys;
use super::turn::Flow;
use super::{REPLY_BYTES_MAX, hakone, report};
use crate::counters::Counter;
use crate::cursors::Place;
use crate::session::Session;
use ::hakone::{Command, Kind, Reply};
use hakone_wire::Protocol;
use hakone_wire::resp::{
    self, Client, Failure, Glob, ProtocolError, ROWS, Request, Row, Scan, Shape, Writer, lookup,
};

/// Records that one page of `SCAN` visits at most, whatever `COUNT` says: 4096, well under a
/// millisecond.
const PAGE_RECORDS_MAX: usize = 4096;

/// A request of whole words.
pub(super) fn execute(
    caller: &mut Caller<'_>,
    session: &mut Session,
    row: Option<&'static Row>,
    words: &[&[u8]],
    out: &mut Vec<u8>,
) -> Flow {
    if words.is_empty() {
        return Flow::Go;
    }
    let resp3 = session.resp3;
    let mut to = Writer { out, resp3 };
    let Some(row) = row else {
        return fail(caller, &resp::unknown_command(words), &mut to);
    };
    caller.counts.count(Counter::Resp(row.verb));
    match resp::translate(row, words, caller.now) {
        Ok(Request::Call(command, shape)) => call(caller, session, &command, shape, &mut to),
        Ok(request) => perform(caller, session, request, &mut to),
        Err(failure) => fail(caller, &failure, &mut to),
    }
}

/// A request typed as a line.
pub(super) fn execute_line(
    caller: &mut Caller<'_>,
    session: &mut Session,
    line: &[u8],
    out: &mut Vec<u8>,
) -> Flow {
    if resp::is_http(line) {
        return Flow::Close;
    }
    let Some(words) = resp::split(line) else {
        return invalid(caller, session, ProtocolError::UnbalancedQuotes, out);
    };
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let row = words.first().and_then(|name| lookup(name));
    execute(caller, session, row, &words, out)
}

/// A request that was skipped since it is larger than the store takes.
pub(super) fn too_large(caller: &mut Caller<'_>, session: &mut Session, out: &mut Vec<u8>) -> Flow {
    let resp3 = session.resp3;
    let failure = Failure::Text("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    fail(caller, &failure, &mut Writer { out, resp3 })
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

fn call(
    caller: &mut Caller<'_>,
    session: &Session,
    command: &Command<'_>,
    shape: Shape,
    to: &mut Writer<'_>,
) -> Flow {
    let mut counter = None;
    let result = caller.call(Protocol::Resp, session.selected, command, &mut |reply| {
        counter = match (command, &reply) {
            (Command::Get { .. }, Reply::Record(_)) => Some(Counter::Hit),
            (Command::Get { .. }, _) => Some(Counter::Miss),
            (_, Reply::NotANumber | Reply::Overflow) => Some(Counter::Error),
            _ => None,
        };
        match reply {
            Reply::Records(records) if bytes_of(records) > REPLY_BYTES_MAX => {
                to.error(b"ERR the reply would be larger than 256 MiB, ask for fewer keys");
            }
            reply => resp::encode(shape, &reply, to),
        }
    });
    if let Some(counter) = counter {
        caller.counts.count(counter);
    }
    match result {
        Ok(()) => Flow::Go,
        Err(error) => fail(caller, &Failure::Made(resp::store_error(&error)), to),
    }
}

fn bytes_of(records: &[Option<::hakone::Record<'_>>]) -> usize {
    let values = records.iter().flatten().map(|record| record.value.len());
    values.sum()
}

/// Requests that are more than one command, or none.
fn perform(
    caller: &mut Caller<'_>,
    session: &mut Session,
    request: Request<'_>,
    to: &mut Writer<'_>,
) -> Flow {
    match request {
        Request::Call(command, shape) => return call(caller, session, &command, shape, to),
        Request::Scan(request) => return scan(caller, session, request, to),
        Request::FlushDb => {
            return call(caller, session, &Command::Clear, Shape::Ok, to);
        }
        Request::FlushAll => return flush_all(caller, to),
        Request::Ping(None) => to.simple("PONG"),
        Request::Ping(Some(message)) | Request::Echo(message) => to.bulk(message),
        Request::Hello { resp3, name } => hello(session, resp3, name, to),
        Request::Select(number) => {
            let number = usize::try_from(number).ok();
            let count = caller.service.databases.count();
            match number.filter(|&number| number < count) {
                Some(number) => {
                    session.selected = number;
                    to.simple("OK");
                }
                None => {
                    return fail(caller, &Failure::Text("ERR DB index is out of range"), to);
                }
            }
        }
        Request::Quit => {
            to.simple("OK");
            return Flow::Close;
        }
        Request::Reset => {
            session.reset();
            to.resp3 = false;
            to.simple("RESET");
        }
        Request::Client(request) => client(session, request, to),
        Request::Commands => {
            to.array(ROWS.len());
            for row in ROWS {
                describe(row, to);
            }
        }
        Request::CommandCount => to.integer(i64::try_from(ROWS.len()).unwrap_or(i64::MAX)),
        Request::CommandList => {
            to.array(ROWS.len());
            for row in ROWS {
                to.bulk(row.name.as_bytes());
            }
        }
        Request::CommandInfo(names) => {
            to.array(names.len());
            for name in names {
                match lookup(name) {
                    Some(row) => describe(row, to),
                    None => to.null(),
                }
            }
        }
        Request::CommandDocs(names) => command_docs(&names, to),
        Request::ConfigGet(patterns) => {
            let settings = report::settings(caller.service);
            let wanted = settings.iter().filter(|(name, _)| {
                let matches =
                    |pattern: &&[u8]| Glob(&pattern.to_ascii_lowercase()).matches(name.as_bytes());
                patterns.iter().any(matches)
            });
            let wanted: Vec<_> = wanted.collect();
            to.map(wanted.len());
            for (name, value) in wanted {
                to.bulk(name.as_bytes());
                to.bulk(value.as_bytes());
            }
        }
        Request::Info(sections) => {
            caller.counts.add_to(&caller.service.counters);
            let text = report::info(caller, &sections);
            to.verbatim(&text);
        }
        Request::Time => {
            to.array(2);
            to.bulk((caller.now / 1000).to_string().as_bytes());
            to.bulk((caller.now % 1000 * 1000).to_string().as_bytes());
        }
        Request::Hakone(verb, arguments) => {
            return match hakone::perform(caller, session, verb, &arguments, to) {
                Ok(()) => Flow::Go,
                Err(failure) => fail(caller, &failure, to),
            };
        }
    }
    Flow::Go
}

fn flush_all(caller: &mut Caller<'_>, to: &mut Writer<'_>) -> Flow {
    let numbers: Vec<usize> = caller.service.databases.iter().map(|(n, _)| n).collect();
    for number in numbers {
        let cleared = caller.call(Protocol::Resp, number, &Command::Clear, &mut |_| ());
        if let Err(error) = cleared {
            return fail(caller, &Failure::Made(resp::store_error(&error)), to);
        }
    }
    to.simple("OK");
    Flow::Go
}

fn hello(session: &mut Session, resp3: Option<bool>, name: Option<&[u8]>, to: &mut Writer<'_>) {
    session.settled = Some(Protocol::Resp);
    session.resp3 = resp3.unwrap_or(session.resp3);
    if let Some(name) = name {
        session.name = name.to_vec();
    }
    to.resp3 = session.resp3;
    to.map(7);
    to.bulk(b"server");
    to.bulk(b"redis");
    to.bulk(b"version");
    to.bulk(report::REDIS_VERSION.as_bytes());
    to.bulk(b"proto");
    to.integer(if session.resp3 { 3 } else { 2 });
    to.bulk(b"id");
    to.integer(i64::try_from(session.id).unwrap_or(i64::MAX));
    to.bulk(b"mode");
    to.bulk(b"standalone");
    to.bulk(b"role");
    to.bulk(b"master");
    to.bulk(b"modules");
    to.array(0);
}

fn client(session: &mut Session, request: Client<'_>, to: &mut Writer<'_>) {
    match request {
        Client::Id => to.integer(i64::try_from(session.id).unwrap_or(i64::MAX)),
        Client::GetName if session.name.is_empty() => to.null(),
        Client::GetName => to.bulk(&session.name),
        Client::SetName(name) => {
            session.name = name.to_vec();
            to.simple("OK");
        }
        Client::SetLibName(name) => {
            session.library_name = name.to_vec();
            to.simple("OK");
        }
        Client::SetLibVer(version) => {
            session.library_version = version.to_vec();
            to.simple("OK");
        }
        Client::Info | Client::List => to.verbatim(&report::client(session)),
    }
}

/// A page of keys. A cursor is the store's own on a hash, and stands for a key on a tree.
fn scan(caller: &mut Caller<'_>, session: &Session, scan: Scan<'_>, to: &mut Writer<'_>) -> Flow {
    let service = caller.service;
    let kind = service
        .databases
        .get(session.selected)
        .map(|database| database.options().kind);
    let place = match kind {
        _ if scan.cursor == 0 => Place::Start,
        Some(Kind::Hash) => Place::Cursor(scan.cursor),
        _ => service
            .cursors
            .key(scan.cursor)
            .map_or(Place::Start, Place::After),
    };
    let glob = scan.pattern.map(Glob);
    let limit = usize::try_from(scan.count).unwrap_or(usize::MAX);
    let command = Command::Scan {
        from: keys::position(&place),
        prefix: glob.map(Glob::prefix).unwrap_or_default(),
        limit: limit.min(PAGE_RECORDS_MAX),
        values: false,
    };
    let result = caller.call(Protocol::Resp, session.selected, &command, &mut |reply| {
        let Reply::Page(page) = reply else { return };
        let cursor = match keys::after(page) {
            Place::Cursor(cursor) => cursor,
            Place::After(key) => service.cursors.hold(&key),
            Place::Start | Place::End => 0,
        };
        let wanted = |key: &[u8]| scan.type_exists && glob.is_none_or(|glob| glob.matches(key));
        let count = page.iter().filter(|(key, _)| wanted(key)).count();
        to.array(2);
        to.bulk(cursor.to_string().as_bytes());
        to.array(count);
        for (key, _) in page.iter().filter(|(key, _)| wanted(key)) {
            to.bulk(key);
        }
    });
    match result {
        Ok(()) => Flow::Go,
        Err(error) => fail(caller, &Failure::Made(resp::store_error(&error)), to),
    }
}

/// A row as `COMMAND` has it.
fn describe(row: &Row, to: &mut Writer<'_>) {
    to.array(10);
    to.bulk(row.name.as_bytes());
    to.integer(i64::from(row.arity));
    to.set(row.flags.len());
    for flag in row.flags {
        to.simple(flag);
    }
    let (first, last, step) = row.keys;
    for position in [first, last, step] {
        to.integer(i64::from(position));
    }
    to.set(1);
    to.simple(&format!("@{}", row.group));
    to.array(0);
    to.array(0);
    to.array(0);
}

fn command_docs(names: &[&[u8]], to: &mut Writer<'_>) {
    let rows: Vec<&Row> = if names.is_empty() {
        ROWS.iter().collect()
    } else {
        names.iter().filter_map(|name| lookup(name)).collect()
    };
    to.map(rows.len());
    for row in rows {
        to.bulk(row.name.as_bytes());
        to.map(3);
        for (name, value) in [
            ("summary", row.summary),
            ("since", row.since),
            ("group", row.group),
        ] {
            to.bulk(name.as_bytes());
            to.bulk(value.as_bytes());
        }
    }
}
