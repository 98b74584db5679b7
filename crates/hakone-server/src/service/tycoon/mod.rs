//! Kyoto Tycoon's requests: the binary bulk requests, piece by piece, and the procedures that are
//! called over HTTP.

mod asked;
pub(super) mod parts;
mod report;
mod rpc;
pub(super) mod search;

use super::call::Caller;
use super::turn::Flow;
use super::{REPLY_BYTES_MAX, Service};
use crate::counters::Counter;
use crate::session::Session;
use hakone::{Command, Reply};
use hakone_command::{Condition, ExpirySet};
use hakone_wire::Protocol;
use hakone_wire::tycoon::{Item, Place, Request, Verb, reply};

pub(crate) use asked::Asked;
pub(crate) use parts::Parts;
pub(super) use rpc::call;
pub(crate) use search::Search;

/// Keys of a bulk request that are prefetched together: the cache misses that a core keeps in
/// flight are fewer.
const PREFETCH_KEYS: usize = 32;

/// A bulk request of which a piece was carried out.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    /// Where it goes on.
    pub(crate) next: Option<Place>,
    hits: u32,
    /// The answer so far, where it is more than a count.
    answer: Vec<u8>,
}

/// The database and the key of a request that is about exactly one.
pub(super) fn key<'a>(request: &Request<'a>) -> Option<(usize, &'a [u8])> {
    match request {
        Request::Piece(piece) => match *piece.items {
            [item] => Some((item.database.into(), item.key)),
            _ => None,
        },
        Request::Fail => None,
    }
}

/// Carries out a piece of a binary request.
pub(super) fn execute(
    caller: &mut Caller<'_>,
    session: &mut Session,
    request: Request<'_>,
    out: &mut Vec<u8>,
) -> Flow {
    let Request::Piece(piece) = request else {
        reply::failure(out);
        return Flow::Close;
    };
    let Bulk {
        mut hits,
        mut answer,
        ..
    } = session.bulk.take().map(|bulk| *bulk).unwrap_or_default();
    // What comes in one piece, as nearly all do, is answered straight into the output.
    let whole = piece.first && piece.next.is_none();
    let to = if whole { &mut *out } else { &mut answer };
    let start = if whole { to.len() } else { 0 };
    if piece.first && piece.verb == Verb::GetBulk {
        reply::head(Verb::GetBulk, 0, to);
    }
    for items in piece.items.chunks(PREFETCH_KEYS) {
        prefetch(caller.service, items);
        for item in items {
            let Ok(hit) = record(caller, piece.verb, item, start, to) else {
                to.truncate(start);
                reply::failure(out);
                return Flow::Close;
            };
            hits = hits.saturating_add(u32::from(hit));
        }
    }
    if piece.next.is_some() {
        let next = piece.next;
        session.bulk = Some(Box::new(Bulk { next, hits, answer }));
        return Flow::Go;
    }
    match piece.verb {
        Verb::GetBulk => {
            reply::set_hits(hits, start, to);
            if !whole {
                out.append(&mut answer);
            }
        }
        _ if piece.silent => {}
        Verb::PlayScript => reply::failure(out),
        verb => reply::head(verb, hits, out),
    }
    if piece.verb == Verb::PlayScript {
        caller.counts.count(Counter::Tycoon(Asked::Script));
    }
    Flow::Go
}

fn prefetch(service: &Service, items: &[Item<'_>]) {
    if items.len() < 2 {
        return;
    }
    for run in items.chunk_by(|a, b| a.database == b.database) {
        let Some(database) = service.databases.get(run[0].database.into()) else {
            continue;
        };
        let mut keys: [&[u8]; PREFETCH_KEYS] = [&[]; PREFETCH_KEYS];
        for (slot, item) in keys.iter_mut().zip(run) {
            *slot = item.key;
        }
        database.prefetch(&keys[..run.len()]);
    }
}

/// Carries out a bulk request's part about one record: whether it counts. `Err` if the request
/// fails: the store does, or the answer that begins at `start` is too large.
fn record(
    caller: &mut Caller<'_>,
    verb: Verb,
    item: &Item<'_>,
    start: usize,
    answer: &mut Vec<u8>,
) -> Result<bool, ()> {
    let number = usize::from(item.database);
    if !caller.service.databases.is_configured(number) {
        return Ok(false);
    }
    let key = item.key;
    let (command, tally) = match verb {
        Verb::SetBulk => {
            let command = Command::Put {
                key,
                value: item.value,
                condition: Condition::Always,
                expiry: ExpirySet::At(item.expiry(caller.now)),
                flags: 0,
                want_old: false,
            };
            (command, Asked::Set)
        }
        Verb::RemoveBulk => {
            let want_old = false;
            (Command::Remove { key, want_old }, Asked::Remove)
        }
        Verb::GetBulk => (Command::Get { key }, Asked::Get),
        Verb::PlayScript => return Ok(false),
    };
    let (mut hit, mut fits) = (false, true);
    let result = caller.call(Protocol::Tycoon, number, &command, &mut |reply| {
        hit = !matches!(reply, Reply::Missing);
        if let Reply::Record(record) = reply {
            let bytes = answer.len() - start + reply::record_bytes(item, &record);
            fits = bytes <= REPLY_BYTES_MAX;
            if fits {
                reply::record(item, &record, answer);
            }
        }
    });
    caller.counts.count(Counter::Tycoon(tally));
    if !hit {
        caller.counts.count(Counter::Tycoon(tally.miss()));
    }
    match result {
        Ok(()) if fits => Ok(hit),
        _ => Err(()),
    }
}
