//! `SCAN` and `RANDOMKEY`: looking at a part of all keys.

use super::{Asked, Flow};
use crate::cursors::Place;
use crate::service::keys;
use hakone::{Command, Direction, Filter, Kind, Next, Position, Range, Reply};
use hakone_wire::Protocol;
use hakone_wire::resp::{Glob, Scan};
use std::sync::atomic::Ordering;

/// Records that one page of `SCAN` visits at most, whatever `COUNT` says: 4096, well under a
/// millisecond.
const PAGE_RECORDS_MAX: usize = 4096;

/// Places that `RANDOMKEY` tries: 8. There is no key where all records from there on have expired.
const PLACES_MAX: usize = 8;

/// Pages that `RANDOMKEY` looks through after that, from the first on: 8, a few milliseconds.
const PAGES_MAX: usize = 8;

impl Asked<'_, '_, '_> {
    /// A page of keys. A cursor is the store's own on a hash, and stands for a key on a tree.
    pub(super) fn scan(&mut self, scan: Scan<'_>) -> Flow {
        let service = self.caller.service;
        let number = self.session.selected;
        let kind = service
            .databases
            .get(number)
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
            range: Range::Prefix(glob.map(Glob::prefix).unwrap_or_default()),
            direction: Direction::Forward,
            filter: Filter::All,
            limit: limit.min(PAGE_RECORDS_MAX),
            values: false,
        };
        let to = &mut *self.to;
        let result = self
            .caller
            .call(Protocol::Resp, number, &command, &mut |reply| {
                let Reply::Page(page) = reply else { return };
                let cursor = match keys::after(page) {
                    Place::Cursor(cursor) => cursor,
                    Place::After(key) => service.cursors.hold(&key),
                    Place::Start | Place::End => 0,
                };
                let wanted =
                    |key: &[u8]| scan.type_exists && glob.is_none_or(|glob| glob.matches(key));
                let count = page.iter().filter(|(key, _)| wanted(key)).count();
                to.array(2);
                to.bulk(cursor.to_string().as_bytes());
                to.array(count);
                for (key, _) in page.iter().filter(|(key, _)| wanted(key)) {
                    to.bulk(key);
                }
            });
        self.done(result)
    }

    /// Any key, or null.
    pub(super) fn random_key(&mut self) -> Flow {
        let mut from = Place::Start;
        for attempt in 0..PLACES_MAX + PAGES_MAX {
            let position = if attempt < PLACES_MAX {
                Position::Random(self.draw())
            } else {
                keys::position(&from)
            };
            let command = Command::Scan {
                from: position,
                range: Range::All,
                direction: Direction::Forward,
                filter: Filter::All,
                limit: 1,
                values: false,
            };
            let (mut found, mut next) = (false, Place::End);
            let to = &mut *self.to;
            let number = self.session.selected;
            let result = self
                .caller
                .call(Protocol::Resp, number, &command, &mut |reply| {
                    let Reply::Page(page) = reply else { return };
                    if let Some((key, _)) = page.iter().next() {
                        to.bulk(key);
                        found = true;
                    } else if page.next != Next::End {
                        next = keys::after(page);
                    }
                });
            if result.is_err() {
                return self.done(result);
            }
            if found {
                return Flow::Go;
            }
            if attempt >= PLACES_MAX {
                if next == Place::End {
                    break;
                }
                from = next;
            }
        }
        self.to.null();
        Flow::Go
    }

    /// A number that nobody foresees, as far as that goes without a secret: counted, and mixed.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let count = self.caller.service.draws.fetch_add(STEP, Ordering::Relaxed);
        let mixed = (count ^ (count >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
