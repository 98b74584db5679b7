//! `HAKONE <verb>`: what the command line needs and Redis' protocol has no word for.

use super::call::Caller;
use super::{keys, report};
use crate::cursors::Place;
use crate::session::Session;
use ::hakone::{Command, Condition, Direction, ExpirySet, Filter, Kind, Position, Range, Reply};
use hakone_command::parse_integer;
use hakone_wire::Protocol;
use hakone_wire::resp::{self, Failure, Shape, Writer};

/// Records of one page at most.
const PAGE_RECORDS_MAX: usize = 4096;

pub(super) fn perform(
    caller: &mut Caller<'_>,
    session: &mut Session,
    verb: &[u8],
    arguments: &[&[u8]],
    to: &mut Writer<'_>,
) -> Result<(), Failure> {
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
        (b"put", [key, value, expiry, flags]) => {
            let not_a_number = Failure::Text("ERR value is not an integer or out of range");
            let number = |text| parse_integer(text).ok_or(not_a_number.clone());
            let expiry = u64::try_from(number(expiry)?).map_err(|_| not_a_number.clone())?;
            let flags = u32::try_from(number(flags)?).map_err(|_| not_a_number.clone())?;
            let command = Command::Put {
                key,
                value,
                condition: Condition::Always,
                expiry: ExpirySet::At(expiry),
                flags,
                want_old: false,
            };
            call(caller, session, &command, &mut |reply| {
                resp::encode(Shape::Ok, &reply, to);
            })
        }
        (b"scan", [from, count, options @ ..]) => {
            let limit = parse_integer(count)
                .and_then(|count| usize::try_from(count).ok())
                .filter(|&count| count > 0)
                .ok_or(Failure::Text("ERR count is not a positive integer"))?;
            scan(
                caller,
                session,
                from,
                limit.min(PAGE_RECORDS_MAX),
                options,
                to,
            )
        }
        (b"stat" | b"use" | b"put" | b"scan", _) => Err(Failure::Text(
            "ERR wrong number of arguments for 'hakone' command",
        )),
        _ => Err(Failure::Text(
            "ERR unknown subcommand. HAKONE takes STAT, USE name, PUT key value expiry_ms flags, \
             SCAN from count [PREFIX p] [KEYS]",
        )),
    }
}

fn call(
    caller: &mut Caller<'_>,
    session: &Session,
    command: &Command<'_>,
    answer: &mut dyn FnMut(Reply<'_>),
) -> Result<(), Failure> {
    caller
        .call(Protocol::Resp, session.selected, command, answer)
        .map_err(|error| Failure::Made(resp::store_error(&error)))
}

/// A page of records: where the next one begins (null: there is none), then each record as key,
/// value, expiry and flags, or only as key. `from` is empty at first; on a tree it is a key, and
/// the page begins there; on a hash it is where the page before ended.
fn scan(
    caller: &mut Caller<'_>,
    session: &Session,
    from: &[u8],
    limit: usize,
    mut options: &[&[u8]],
    to: &mut Writer<'_>,
) -> Result<(), Failure> {
    let mut prefix: &[u8] = &[];
    let mut values = true;
    loop {
        options = match options {
            [] => break,
            [word, rest @ ..] if word.eq_ignore_ascii_case(b"keys") => {
                values = false;
                rest
            }
            [word, given, rest @ ..] if word.eq_ignore_ascii_case(b"prefix") => {
                prefix = given;
                rest
            }
            _ => return Err(Failure::Text("ERR syntax error")),
        };
    }
    let database = caller.service.databases.get(session.selected);
    let from = match database.map(|database| database.options().kind) {
        _ if from.is_empty() => Position::Start,
        Some(Kind::Hash) => str::from_utf8(from)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Position::Cursor)
            .ok_or(Failure::Text("ERR invalid cursor"))?,
        _ => Position::At(from),
    };
    let command = Command::Scan {
        from,
        range: Range::Prefix(prefix),
        direction: Direction::Forward,
        filter: Filter::All,
        limit,
        values,
    };
    call(caller, session, &command, &mut |reply| {
        let Reply::Page(page) = reply else { return };
        to.array(1 + page.len());
        match keys::after(page) {
            Place::Start | Place::End => to.null(),
            Place::Cursor(cursor) => to.bulk(cursor.to_string().as_bytes()),
            // The least position that is greater.
            Place::After(position) => to.bulk(&[&position[..], &[0]].concat()),
        }
        for (key, record) in page.iter() {
            if values {
                to.array(4);
                to.bulk(key);
                to.bulk(record.value);
                to.integer(i64::try_from(record.expiry).unwrap_or(i64::MAX));
                to.integer(i64::from(record.flags));
            } else {
                to.array(1);
                to.bulk(key);
            }
        }
    })
}
