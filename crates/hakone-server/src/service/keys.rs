//! Lists of keys that may be long: collected in slices, a turn each, and sent in pieces.

use super::call::Caller;
use super::memcached;
use super::turn::Flow;
use super::tycoon;
use super::{OUTPUT_BYTES_MAX, REPLY_BYTES_MAX};
use crate::cursors::Place;
use crate::session::Session;
use hakone::{Command, Kind, Next, Page, Position, Reply};
use hakone_wire::{Protocol, tyrant};

/// Records that one slice visits: 4096, well under a millisecond.
const SLICE_RECORDS: usize = 4096;

/// What is left of a command that takes several turns.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Keys are still being collected.
    Collect(Listing),
    /// A search of Tycoon's.
    Search(tycoon::Search),
    /// The answer is whole, and so many of its bytes have gone out.
    Send(Vec<u8>, usize),
    /// A list of memcached's, which goes out as it is made.
    Dump(memcached::Dump),
}

/// Tyrant's `fwmkeys` on its way. Its answer begins with the number of keys, so that nothing can be
/// sent before the last one is known.
#[derive(Debug)]
pub(crate) struct Listing {
    number: usize,
    prefix: Vec<u8>,
    place: Place,
    left: u32,
    count: u32,
    answer: Vec<u8>,
}

impl Listing {
    /// The keys of this database that begin with `prefix`, at most `max` of them.
    pub(super) fn new(number: usize, prefix: &[u8], max: Option<u32>) -> Listing {
        Listing {
            number,
            prefix: prefix.to_vec(),
            place: Place::Start,
            left: max.unwrap_or(u32::MAX),
            count: 0,
            answer: tyrant::keys::head(0).to_vec(),
        }
    }

    /// Visits so many records. Whether the list is whole; `Err` if it can't be.
    fn slice(&mut self, caller: &mut Caller<'_>) -> Result<bool, ()> {
        if self.left == 0 || self.place == Place::End {
            return Ok(true);
        }
        // On a tree the prefix is a range; elsewhere records are passed over to find one.
        let database = caller.service.databases.get(self.number);
        let limit = match database.map(|database| database.options().kind) {
            Some(Kind::Tree) => SLICE_RECORDS.min(self.left as usize),
            _ => SLICE_RECORDS,
        };
        let place = std::mem::take(&mut self.place);
        let command = Command::Scan {
            from: position(&place),
            prefix: &self.prefix,
            limit,
            values: false,
        };
        let (left, count, answer) = (&mut self.left, &mut self.count, &mut self.answer);
        let mut next = Place::End;
        let result = caller.call(Protocol::Tyrant, self.number, &command, &mut |reply| {
            if let Reply::Page(page) = reply {
                for (key, _) in page.iter().take(*left as usize) {
                    tyrant::keys::push(key, answer);
                    *left -= 1;
                    *count += 1;
                }
                next = after(page);
            }
        });
        self.place = next;
        if result.is_err() || self.answer.len() > REPLY_BYTES_MAX {
            return Err(());
        }
        Ok(self.left == 0 || self.place == Place::End)
    }

    fn answer(self) -> Vec<u8> {
        let mut answer = self.answer;
        answer[..5].copy_from_slice(&tyrant::keys::head(self.count));
        answer
    }
}

/// The position of a place that is not the end.
pub(super) fn position(place: &Place) -> Position<'_> {
    match place {
        Place::Start | Place::End => Position::Start,
        Place::After(key) => Position::After(key),
        Place::Cursor(cursor) => Position::Cursor(*cursor),
    }
}

/// Where the page after this one begins.
pub(super) fn after(page: &Page) -> Place {
    match page.next {
        Next::End => Place::End,
        Next::Cursor(cursor) => Place::Cursor(cursor),
        Next::AfterLast => match page.iter().next_back() {
            Some((key, _)) => Place::After(key.to_vec()),
            None => Place::End,
        },
    }
}

/// Begins a listing.
pub(super) fn begin(
    listing: Listing,
    caller: &mut Caller<'_>,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Flow {
    match resume(Pending::Collect(listing), caller, session, out) {
        // The request itself is done with; what is left of it is the session's.
        Flow::Again => Flow::Later,
        flow => flow,
    }
}

/// One slice more.
pub(super) fn resume(
    pending: Pending,
    caller: &mut Caller<'_>,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Flow {
    let (answer, sent) = match pending {
        Pending::Send(answer, sent) => (answer, sent),
        Pending::Dump(dump) => return memcached::resume(dump, caller, session, out),
        Pending::Search(search) => return tycoon::resume(search, caller, session, out),
        Pending::Collect(mut listing) => match listing.slice(caller) {
            Err(()) => return Flow::Close,
            Ok(true) => (listing.answer(), 0),
            Ok(false) => {
                session.pending = Some(Box::new(Pending::Collect(listing)));
                return Flow::Again;
            }
        },
    };
    let rest = &answer[sent..];
    let piece = rest.len().min(OUTPUT_BYTES_MAX);
    out.extend_from_slice(&rest[..piece]);
    if piece == rest.len() {
        return Flow::Go;
    }
    session.pending = Some(Box::new(Pending::Send(answer, sent + piece)));
    Flow::Again
}
