//! `match_prefix`, `match_regex` and `match_similar`: the records of a database are visited in
//! slices, a turn each, and the answer is collected.

use super::super::call::Caller;
use super::super::keys::{Pending, after, position};
use super::super::turn::Flow;
use super::rpc::{ANSWER_BYTES_MAX, Context, finish, respond, too_large};
use crate::cursors::Place;
use crate::session::Session;
use hakone::matching::{self, ORIGIN_BYTES_MAX, Similar};
use hakone::{Command, Direction, Error, Filter, Kind, Range, Reply};
use hakone_wire::Protocol;
use hakone_wire::http::Responder;
use hakone_wire::tycoon::{Columns, Matching, Refusal, Status, failure, number};
use regex::bytes::Regex;
use std::collections::BinaryHeap;

/// Records that one slice visits: 4096, well under a millisecond.
const SLICE_RECORDS: usize = 4096;

/// Steps of comparisons that one slice takes at most, if not a single record takes more: 4 million,
/// some milliseconds.
const SLICE_STEPS: usize = 4 << 20;

/// What is answered to a pattern that is none.
const NO_PATTERN: (Status, &str) = (
    Status::Refused,
    "DB: 8: logical inconsistency: compilation failed",
);

/// Bytes that a key which was found takes beside its own: its place and the allocator's.
const KEY_OVERHEAD_BYTES: usize = 64;

/// A search on its way.
#[derive(Debug)]
pub(crate) struct Search {
    number: usize,
    place: Place,
    left: u64,
    matcher: Matcher,
    /// The keys that were found, with their ranks, but for those of a similarity.
    found: Columns,
    /// Where the parts of them end that are in order.
    ends: Vec<usize>,
    responder: Responder,
    signals: bool,
}

#[derive(Debug)]
enum Matcher {
    Prefix(Vec<u8>),
    Regex(Regex),
    Similar(Box<Nearest>),
}

/// The nearest keys so far, the farthest on top.
#[derive(Debug)]
struct Nearest {
    similar: Similar,
    heap: BinaryHeap<(usize, Box<[u8]>)>,
    bytes: usize,
}

impl Search {
    /// A search for at most `max` keys of a database, or why there can be none.
    pub(super) fn new(
        number: usize,
        matching: Matching<'_>,
        max: Option<u64>,
        context: &Context<'_, '_>,
    ) -> Result<Search, (Status, &'static str)> {
        let matcher = match matching {
            Matching::Prefix(prefix) => Matcher::Prefix(prefix.to_vec()),
            Matching::Regex(pattern) => match matching::compile(pattern) {
                Some(regex) => Matcher::Regex(regex),
                None => return Err(NO_PATTERN),
            },
            Matching::Similar { origin, .. } if origin.len() > ORIGIN_BYTES_MAX => {
                return Err(Refusal::Parameters.answer());
            }
            Matching::Similar { origin, range, utf } => Matcher::Similar(Box::new(Nearest {
                similar: Similar::new(origin, range, utf),
                heap: BinaryHeap::new(),
                bytes: 0,
            })),
        };
        Ok(Search {
            number,
            place: Place::Start,
            left: max.unwrap_or(u64::MAX),
            matcher,
            found: Columns::default(),
            ends: Vec::new(),
            responder: context.responder,
            signals: context.signals,
        })
    }

    /// Visits some records more. Whether that was all.
    fn slice(&mut self, caller: &mut Caller<'_>) -> Result<bool, Error> {
        if self.left == 0 || self.place == Place::End {
            return Ok(true);
        }
        let database = caller.service.databases.get(self.number);
        let is_tree = database.is_some_and(|database| database.options().kind != Kind::Hash);
        let (prefix, limit) = match &self.matcher {
            // On a tree the prefix is a range; elsewhere records are passed over to find one.
            Matcher::Prefix(prefix) if is_tree => {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                (prefix.clone(), SLICE_RECORDS.min(left))
            }
            Matcher::Prefix(prefix) => (prefix.clone(), SLICE_RECORDS),
            Matcher::Regex(_) => (Vec::new(), SLICE_RECORDS),
            Matcher::Similar(nearest) => {
                let steps = nearest.similar.cost();
                (Vec::new(), (SLICE_STEPS / steps).clamp(1, SLICE_RECORDS))
            }
        };
        let place = std::mem::take(&mut self.place);
        let command = Command::Scan {
            from: position(&place),
            range: Range::Prefix(&prefix),
            direction: Direction::Forward,
            filter: Filter::All,
            limit,
            values: false,
        };
        let mut next = Place::End;
        caller.call(Protocol::Tycoon, self.number, &command, &mut |reply| {
            if let Reply::Page(page) = reply {
                for (key, _) in page.iter() {
                    self.visit(key);
                }
                next = after(page);
            }
        })?;
        self.place = next;
        self.found.sort_added(&mut self.ends);
        if self.bytes() > ANSWER_BYTES_MAX {
            return Err(too_large());
        }
        let similar = matches!(self.matcher, Matcher::Similar(_));
        Ok(self.place == Place::End || (self.left == 0 && !similar))
    }

    /// Looks at one key.
    fn visit(&mut self, key: &[u8]) {
        match &mut self.matcher {
            Matcher::Similar(nearest) => nearest.visit(key, self.left),
            _ if self.left == 0 => {}
            Matcher::Prefix(_) => self.find(key),
            Matcher::Regex(regex) => {
                // The original sees a key to its first zero byte.
                let text = key.split(|&byte| byte == 0).next().unwrap_or_default();
                if regex.is_match(text) {
                    self.find(key);
                }
            }
        }
    }

    fn find(&mut self, key: &[u8]) {
        self.left -= 1;
        add(key, &mut self.found);
    }

    /// Bytes of what is kept.
    fn bytes(&self) -> usize {
        match &self.matcher {
            Matcher::Similar(nearest) => nearest.bytes,
            _ => self.found.bytes(),
        }
    }

    /// The answer.
    fn answer(self) -> Columns {
        let mut results = self.found;
        if let Matcher::Similar(nearest) = self.matcher {
            for (_, key) in nearest.heap.into_sorted_vec() {
                add(&key, &mut results);
            }
        }
        let count = i64::try_from(results.len()).unwrap_or(i64::MAX);
        number("num", count, &mut results);
        finish(self.signals, &mut results);
        results
    }
}

impl Nearest {
    /// Looks at one key, and keeps it if it is one of the `max` nearest.
    fn visit(&mut self, key: &[u8], max: u64) {
        let Some(distance) = self.similar.distance(key) else {
            return;
        };
        self.bytes += key.len() + KEY_OVERHEAD_BYTES;
        self.heap.push((distance, key.into()));
        if self.heap.len() as u64 > max {
            let farthest = self.heap.pop();
            self.bytes -= farthest.map_or(0, |(_, key)| key.len() + KEY_OVERHEAD_BYTES);
        }
    }
}

/// Adds a key with the next rank.
fn add(key: &[u8], results: &mut Columns) {
    let mut name = Vec::with_capacity(key.len() + 1);
    name.push(b'_');
    name.extend_from_slice(key);
    let rank = i64::try_from(results.len()).unwrap_or(i64::MAX);
    let rank = rank.to_string();
    results.push(&name, rank.as_bytes());
}

/// Begins a search.
pub(super) fn begin(search: Search, context: Context<'_, '_>) -> Flow {
    let Context {
        caller,
        session,
        out,
        ..
    } = context;
    match resume(search, caller, session, out) {
        // The request itself is done with; what is left of it is the session's.
        Flow::Again => Flow::Later,
        flow => flow,
    }
}

/// One slice more.
pub(in crate::service) fn resume(
    mut search: Search,
    caller: &mut Caller<'_>,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Flow {
    let responder = search.responder;
    let (status, results) = match search.slice(caller) {
        Ok(false) => {
            session.pending = Some(Box::new(Pending::Search(search)));
            return Flow::Again;
        }
        Ok(true) => (Status::Done, search.answer()),
        Err(error) => {
            let mut results = Columns::default();
            let status = failure(&error, &mut results);
            finish(search.signals, &mut results);
            (status, results)
        }
    };
    respond(responder, status, results, caller.now, out)
}
