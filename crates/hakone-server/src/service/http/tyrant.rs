//! Tyrant's dialect on database 0.

use super::super::call::Caller;
use super::super::report;
use super::super::turn::Flow;
use super::ask;
use crate::counters::Counter;
use crate::session::Session;
use hakone::{Command, Condition, Error, ExpirySet, Reply};
use hakone_command::End;
use hakone_wire::http::rest::tyrant::{Rest, Verb};
use hakone_wire::http::{Request, reply};
use hakone_wire::tyrant;

/// The database that this dialect speaks to.
const NUMBER: usize = 0;

/// What OPTIONS tells of the server's report, in its order.
const TOLD: [&str; 19] = [
    "version", "libver", "protver", "os", "time", "pid", "sid", "type", "path", "rnum", "size",
    "bigend", "fd", "loadavg", "memsize", "memrss", "ru_real", "ru_user", "ru_sys",
];

pub(super) fn execute(
    caller: &mut Caller<'_>,
    session: &Session,
    request: &Request<'_>,
    out: &mut Vec<u8>,
) -> Flow {
    let Rest { verb, key } = Rest::of(request);
    if let Some(counted) = counted(verb) {
        caller.counts.count(Counter::Tyrant(counted));
    }
    let done = match verb {
        Verb::Get => get(caller, &key, out),
        Verb::Head => head(caller, &key, out),
        Verb::Put | Verb::PutKeep | Verb::PutCat => put(caller, verb, &key, &request.body, out),
        Verb::Delete => delete(caller, &key, out),
        // There are no scripts, and no functions of the database yet.
        Verb::Call | Verb::Misc => {
            reply::tyrant_status(500, out);
            Some(())
        }
        Verb::Nothing => {
            reply::tyrant_status(400, out);
            Some(())
        }
        Verb::Unknown => {
            reply::tyrant_status(501, out);
            Some(())
        }
        Verb::Options => {
            options(caller, session, out);
            Some(())
        }
    };
    if let (None, Some(miss)) = (done, missed(verb)) {
        caller.counts.count(miss);
    }
    Flow::Go
}

/// As which verb of the binary protocol a request is counted.
fn counted(verb: Verb) -> Option<tyrant::Verb> {
    Some(match verb {
        Verb::Get => tyrant::Verb::Get,
        Verb::Head => tyrant::Verb::VSiz,
        Verb::Put | Verb::PutKeep | Verb::PutCat => tyrant::Verb::Put,
        Verb::Delete => tyrant::Verb::Out,
        Verb::Call | Verb::Nothing => tyrant::Verb::Ext,
        Verb::Misc => tyrant::Verb::Misc,
        Verb::Options => tyrant::Verb::Stat,
        Verb::Unknown => return None,
    })
}

/// What counts when it fails.
fn missed(verb: Verb) -> Option<Counter> {
    match verb {
        Verb::Get | Verb::Head => Some(Counter::GetMiss),
        Verb::Put | Verb::PutKeep | Verb::PutCat => Some(Counter::PutMiss),
        Verb::Delete => Some(Counter::OutMiss),
        _ => None,
    }
}

/// The value. `None`, here and below: it failed.
fn get(caller: &mut Caller<'_>, key: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut there = None;
    let result = ask(caller, NUMBER, &Command::Get { key }, |reply| {
        if let Reply::Record(record) = reply {
            let bytes = record.value.len();
            reply::tyrant_head(200, "application/octet-stream", bytes, out);
            out.extend_from_slice(record.value);
            there = Some(());
        } else {
            reply::tyrant_status(404, out);
        }
    });
    if let Err(error) = result {
        reply::tyrant_status(status(&error), out);
    }
    there
}

fn head(caller: &mut Caller<'_>, key: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut there = None;
    let result = ask(caller, NUMBER, &Command::Describe { key }, |reply| {
        if let Reply::Record(record) = reply {
            let bytes = usize::try_from(record.value_bytes).unwrap_or(usize::MAX);
            reply::tyrant_head(200, "application/octet-stream", bytes, out);
            there = Some(());
        } else {
            reply::tyrant_bare(404, out);
        }
    });
    if let Err(error) = result {
        reply::tyrant_bare(status(&error), out);
    }
    there
}

fn put(
    caller: &mut Caller<'_>,
    verb: Verb,
    key: &[u8],
    value: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let command = if verb == Verb::PutCat {
        Command::Append {
            key,
            value,
            end: End::Back,
            width: None,
            condition: Condition::Always,
            expiry: ExpirySet::Keep,
        }
    } else {
        Command::Put {
            key,
            value,
            condition: match verb {
                Verb::PutKeep => Condition::IfAbsent,
                _ => Condition::Always,
            },
            expiry: ExpirySet::At(0),
            flags: 0,
            want_old: false,
        }
    };
    let mut stored = None;
    let result = ask(caller, NUMBER, &command, |reply| {
        if reply == Reply::Refused {
            reply::tyrant_status(409, out);
        } else {
            reply::tyrant_status(201, out);
            stored = Some(());
        }
    });
    if let Err(error) = result {
        reply::tyrant_status(status(&error), out);
    }
    stored
}

fn delete(caller: &mut Caller<'_>, key: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut removed = None;
    let command = Command::Remove {
        key,
        want_old: false,
    };
    let result = ask(caller, NUMBER, &command, |reply| {
        if reply == Reply::Missing {
            reply::tyrant_status(404, out);
        } else {
            reply::tyrant_status(200, out);
            removed = Some(());
        }
    });
    if let Err(error) = result {
        reply::tyrant_status(status(&error), out);
    }
    removed
}

/// The status that an error of the store comes to.
fn status(error: &Error) -> u16 {
    match error {
        Error::KeyTooLarge { .. } => 414,
        Error::ValueTooLarge { .. } => 413,
        _ => 500,
    }
}

/// What the server is and how it does.
fn options(caller: &mut Caller<'_>, session: &Session, out: &mut Vec<u8>) {
    caller.counts.add_to(&caller.service.counters);
    let report = report::tyrant(caller, session);
    let lines = report.lines().filter_map(|line| line.split_once('\t'));
    let told = TOLD.iter().filter_map(|name| {
        let (_, value) = lines.clone().find(|(found, _)| found == name)?;
        Some((*name, value))
    });
    reply::tyrant_options(told, out);
}
