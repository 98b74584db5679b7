//! Lists that may be long: collected in slices, a turn each, and sent in pieces.

use super::call::Caller;
use super::memcached;
use super::resp::ClientListing;
use super::turn::Flow;
use super::tycoon;
use super::{OUTPUT_BYTES_MAX, REPLY_BYTES_MAX};
use crate::cursors::Place;
use crate::session::Session;
use hakone::{Command, Direction, Error, Filter, Kind, Next, Page, Position, Range, Reply};
use hakone_wire::resp::{self, Glob, Writer};
use hakone_wire::{Protocol, tyrant};

/// Records that one slice visits: 4096, well under a millisecond.
const SLICE_RECORDS: usize = 4096;

/// What is left of a command that takes several turns.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Keys are still being collected.
    Keys(Listing),
    /// Connections are still being listed.
    Clients(ClientListing),
    /// A search of Tycoon's.
    Search(tycoon::Search),
    /// A bulk call of Tycoon's.
    Parts(tycoon::Parts),
    /// The answer is whole, and so many of its bytes have gone out.
    Send(Vec<u8>, usize),
    /// A list of memcached's, which goes out as it is made.
    Dump(memcached::Dump),
}

/// A list of keys on its way. Its answer begins with their number, so that nothing can be sent
/// before the last one is known.
#[derive(Debug)]
pub(crate) struct Listing {
    number: usize,
    wanted: Wanted,
    place: Place,
    left: u32,
    count: u32,
    /// The answer without its head.
    body: Vec<u8>,
}

/// Whose list it is, and which keys it names.
#[derive(Debug)]
enum Wanted {
    /// Tyrant's: those that begin with this.
    Prefix(Vec<u8>),
    /// Redis': those that match this.
    Pattern(Vec<u8>),
}

/// Why a list can't be made.
#[derive(Debug)]
enum Trouble {
    Store(Error),
    TooLarge,
}

impl Wanted {
    fn protocol(&self) -> Protocol {
        match self {
            Wanted::Prefix(_) => Protocol::Tyrant,
            Wanted::Pattern(_) => Protocol::Resp,
        }
    }

    /// What all of them begin with.
    fn prefix(&self) -> &[u8] {
        match self {
            Wanted::Prefix(prefix) => prefix,
            Wanted::Pattern(pattern) => Glob(pattern).prefix(),
        }
    }

    /// Whether a key that begins with the prefix is one of them.
    fn takes(&self, key: &[u8]) -> bool {
        match self {
            Wanted::Prefix(_) => true,
            Wanted::Pattern(pattern) => Glob(pattern).matches(key),
        }
    }

    fn push(&self, key: &[u8], out: &mut Vec<u8>) {
        match self {
            Wanted::Prefix(_) => tyrant::keys::push(key, out),
            Wanted::Pattern(_) => Writer { out, resp3: false }.bulk(key),
        }
    }

    fn head(&self, count: u32, out: &mut Vec<u8>) {
        match self {
            Wanted::Prefix(_) => out.extend_from_slice(&tyrant::keys::head(count)),
            Wanted::Pattern(_) => Writer { out, resp3: false }.array(count as usize),
        }
    }

    /// What is answered instead. Tyrant's `fwmkeys` never fails, so it ends the connection.
    fn fail(&self, trouble: &Trouble, out: &mut Vec<u8>) -> Flow {
        let Wanted::Pattern(_) = self else {
            return Flow::Close;
        };
        let text = match trouble {
            Trouble::Store(error) => resp::store_error(error),
            Trouble::TooLarge => {
                b"ERR the reply would be larger than 256 MiB, ask for fewer keys".to_vec()
            }
        };
        Writer { out, resp3: false }.error(&text);
        Flow::Go
    }
}

impl Listing {
    /// The keys of this database that begin with `prefix`, at most `max` of them, for Tyrant.
    pub(super) fn beginning(number: usize, prefix: &[u8], max: Option<u32>) -> Listing {
        Listing::new(number, Wanted::Prefix(prefix.to_vec()), max)
    }

    /// The keys of this database that match a pattern, for Redis.
    pub(super) fn matching(number: usize, pattern: &[u8]) -> Listing {
        Listing::new(number, Wanted::Pattern(pattern.to_vec()), None)
    }

    fn new(number: usize, wanted: Wanted, max: Option<u32>) -> Listing {
        Listing {
            number,
            wanted,
            place: Place::Start,
            left: max.unwrap_or(u32::MAX),
            count: 0,
            body: Vec::new(),
        }
    }

    /// Visits so many records. Whether the list is whole.
    fn slice(&mut self, caller: &mut Caller<'_>) -> Result<bool, Trouble> {
        if self.left == 0 || self.place == Place::End {
            return Ok(true);
        }
        // On a tree the prefix is a range; elsewhere records are passed over to find one.
        let database = caller.service.databases.get(self.number);
        let limit = match database.map(|database| database.options().kind) {
            Some(Kind::Tree | Kind::Array) => SLICE_RECORDS.min(self.left as usize),
            _ => SLICE_RECORDS,
        };
        let place = std::mem::take(&mut self.place);
        let Listing {
            wanted,
            left,
            count,
            body,
            ..
        } = self;
        let command = Command::Scan {
            from: position(&place),
            range: Range::Prefix(wanted.prefix()),
            direction: Direction::Forward,
            filter: Filter::All,
            limit,
            values: false,
        };
        let mut next = Place::End;
        let protocol = wanted.protocol();
        let result = caller.call(protocol, self.number, &command, &mut |reply| {
            if let Reply::Page(page) = reply {
                let keys = page.iter().map(|(key, _)| key);
                for key in keys.filter(|key| wanted.takes(key)).take(*left as usize) {
                    wanted.push(key, body);
                    *left -= 1;
                    *count += 1;
                }
                next = after(page);
            }
        });
        self.place = next;
        result.map_err(Trouble::Store)?;
        if self.body.len() > REPLY_BYTES_MAX {
            return Err(Trouble::TooLarge);
        }
        Ok(self.left == 0 || self.place == Place::End)
    }
}

/// The position of a place that is not the end.
pub(super) fn position(place: &Place) -> Position<'_> {
    match place {
        Place::Start | Place::End => Position::Start,
        Place::After(position) => Position::Resume(position),
        Place::Cursor(cursor) => Position::Cursor(*cursor),
    }
}

/// Where the page after this one begins.
pub(super) fn after(page: &Page) -> Place {
    match page.next {
        Next::End => Place::End,
        Next::Cursor(cursor) => Place::Cursor(cursor),
        Next::Resume => page
            .resume()
            .map_or(Place::End, |position| Place::After(position.to_vec())),
    }
}

/// Begins a command that may take several turns.
pub(super) fn begin(
    pending: Pending,
    caller: &mut Caller<'_>,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Flow {
    match resume(pending, caller, session, out) {
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
        Pending::Search(search) => return tycoon::search::resume(search, caller, session, out),
        Pending::Parts(parts) => return tycoon::parts::resume(parts, caller, session, out),
        Pending::Keys(mut listing) => match listing.slice(caller) {
            Err(trouble) => return listing.wanted.fail(&trouble, out),
            Ok(true) => {
                listing.wanted.head(listing.count, out);
                (listing.body, 0)
            }
            Ok(false) => {
                session.pending = Some(Box::new(Pending::Keys(listing)));
                return Flow::Again;
            }
        },
        Pending::Clients(mut listing) => {
            if !listing.slice(caller) {
                session.pending = Some(Box::new(Pending::Clients(listing)));
                return Flow::Again;
            }
            (listing.answer(), 0)
        }
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
