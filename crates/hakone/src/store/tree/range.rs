//! Ranges of a tree: pages of a scan, counts and removals.

use super::{Live, TreeStore, View, described};
use crate::index::tree::Entry;
use crate::log::format::FrameKind;
use crate::matching::Matcher;
use crate::store::hash::{PAGE_BYTES, VISITS_MAX};
use crate::store::keys::{Codec, Span};
use crate::store::{Scan, Store, version_at};
use crate::watch::{EventKind, Rings};
use hakone_command::limits::BATCH_BYTES_MAX;
use hakone_command::{
    Direction, Error, Lsn, Millis, Next, Page, PageBuilder, Position, Range, Result, Value,
};
use std::borrow::Cow;
use std::ops::{Bound, ControlFlow};

/// More than the largest record header, in bytes.
const HEADER_BYTES: usize = 64;

impl Live<'_> {
    /// A page of a scan.
    pub(in crate::store) fn scan(
        self,
        store: &Store,
        codec: Codec,
        scan: &Scan<'_>,
    ) -> Result<Page> {
        let Scan { limit, values, .. } = *scan;
        let mut matcher = Matcher::new(scan.filter)?;
        let Live { tree, now } = self;
        let descends = codec.descends(scan.direction);
        let mut span = codec.span(scan.range, &self)?;
        span = match scan.from {
            Position::Cursor(_) => {
                return Err(Error::Unsupported(
                    "a scan of a tree by cursor; go on after the last position of a page",
                ));
            }
            Position::Random(number) => match tree.pick(number) {
                Some(picked) if descends => span.below(Bound::Included(Cow::Owned(picked))),
                Some(picked) => span.above(Bound::Included(Cow::Owned(picked))),
                None => Span::EMPTY,
            },
            from => codec.from(span, from, scan.direction, &self)?,
        };
        let prefix = codec.prefix(scan.range).unwrap_or_default();
        let mut page = PageBuilder::default();
        let mut misses = 0;
        let mut visit = |stored: &[u8], entry: Entry<'_>| -> Result<ControlFlow<End>> {
            let key = codec.key(stored)?;
            let mut record = described(&entry);
            if record.is_expired(now) || !key.starts_with(prefix) || !matcher.takes(&key) {
                misses += 1;
                return Ok(match misses {
                    VISITS_MAX => ControlFlow::Break(End::At(stored.to_vec())),
                    _ => ControlFlow::Continue(()),
                });
            }
            if page.len() >= limit || page.bytes() >= PAGE_BYTES {
                return Ok(ControlFlow::Break(End::Full));
            }
            let position = if codec.is_plain() { &[] } else { stored };
            if values {
                let view = View::new(store, entry)?;
                page.push_at(position, &key, &view.record()?);
            } else {
                record.value = &[];
                page.push_at(position, &key, &record);
            }
            Ok(ControlFlow::Continue(()))
        };
        let mut end = Ok(ControlFlow::Continue(()));
        let way = way(descends);
        tree.scan(span.bounds(), way, |stored, entry| {
            end = visit(stored, entry);
            matches!(end, Ok(ControlFlow::Continue(())))
        });
        Ok(match end? {
            ControlFlow::Break(End::At(position)) => page.finish_at(&position),
            ControlFlow::Break(End::Full) if !page.is_empty() => page.finish(Next::Resume),
            _ => page.finish(Next::End),
        })
    }

    /// How many records there are in a range, expired ones included.
    pub(in crate::store) fn count_range(self, codec: Codec, range: Range<'_>) -> Result<u64> {
        let span = codec.span(range, &self)?;
        let Some(prefix) = codec.prefix(range) else {
            return Ok(self.tree.count_range(span.bounds()));
        };
        let mut count = Ok(0);
        let way = Direction::Forward;
        self.tree.scan(span.bounds(), way, |stored, _| {
            count = count.clone().and_then(|count| {
                let key = codec.key(stored)?;
                Ok(count + u64::from(key.starts_with(prefix)))
            });
            count.is_ok()
        });
        count
    }
}

impl TreeStore {
    /// Removes the first records of a range. Returns how many, and the last lsn of all keys.
    pub(super) fn remove_range(
        &self,
        store: &Store,
        range: Range<'_>,
        limit: usize,
        now: Millis,
    ) -> Result<(u64, Lsn)> {
        let mut rings = Rings::default();
        let mut tree = self.write();
        let span = self.codec.span(range, &Live::new(&tree, now))?;
        let prefix = self.codec.prefix(range).unwrap_or_default();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        let mut failure = None;
        let way = way(self.codec.descends(Direction::Forward));
        tree.now().scan(span.bounds(), way, |stored, entry| {
            if keys.len() >= limit || bytes > BATCH_BYTES_MAX {
                return false;
            }
            match self.codec.key(stored) {
                Ok(key) if key.starts_with(prefix) && !described(&entry).is_expired(now) => {
                    bytes += stored.len() + HEADER_BYTES;
                    keys.push(stored.to_vec());
                }
                Ok(_) => {}
                Err(e) => failure = Some(e),
            }
            failure.is_none()
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        if bytes > BATCH_BYTES_MAX {
            let bytes = bytes as u64;
            return Err(Error::BatchTooLarge { bytes });
        }
        if keys.is_empty() {
            return Ok((0, self.last()));
        }
        let remove = |key| store.draft(FrameKind::Remove, key, Value::whole(&[]), 0, 0);
        let mut drafts: Vec<_> = keys.iter().map(|key| remove(key)).collect();
        let mut placed = Vec::with_capacity(keys.len());
        store
            .log
            .append_batch(&mut drafts, version_at(now), &mut |_, at| placed.push(at))?;
        for (key, placed) in keys.iter().zip(&placed) {
            store.note_end(*placed);
            self.unpublish(store, &mut tree, key, *placed);
        }
        for (key, placed) in keys.iter().zip(placed) {
            store.tell(&mut rings, EventKind::Remove, key, placed);
        }
        Ok((keys.len() as u64, self.last()))
    }
}

/// Why a page ends before the span does.
enum End {
    /// It is full.
    Full,
    /// Many records were visited that do not count, up to this one.
    At(Vec<u8>),
}

/// The way over stored keys.
pub(in crate::store) fn way(descends: bool) -> Direction {
    if descends {
        Direction::Backward
    } else {
        Direction::Forward
    }
}
