//! Ranges as a transaction sees them: its own writes merged into what lies below them.

use super::overlay::Written;
use super::reads::RangeFound;
use super::seat::Seat;
use crate::matching::Matcher;
use crate::store::batch::{Around, Copied, Desk};
use crate::store::keys::Span;
use crate::store::{PAGE_BYTES, Scan, VISITS_MAX};
use hakone_command::{Error, Next, Page, PageBuilder, Position, Record, Result};
use std::borrow::Cow;
use std::iter::Peekable;
use std::ops::Bound;

/// How many records are read below the transaction's writes under one lock, at first; then twice as
/// many each time.
const CHUNK_RECORDS: usize = 16;

/// Records of a span below the transaction's writes, in a direction.
struct Chunk<'s> {
    /// Those that have not expired.
    records: Vec<(Vec<u8>, Copied)>,
    /// What of the span they are all of.
    span: Span<'s>,
    /// What is left of it; `None`: nothing.
    rest: Option<Span<'s>>,
}

/// What of a span lies on this side of a key, in a direction, and with the key.
fn up_to<'s>(span: &Span<'s>, key: &[u8], descends: bool) -> Span<'s> {
    let edge = Bound::Included(Cow::Owned(key.to_vec()));
    if descends {
        span.clone().above(edge)
    } else {
        span.clone().below(edge)
    }
}

/// What of a span lies beyond a key, in a direction.
fn beyond<'s>(span: &Span<'s>, key: &[u8], descends: bool) -> Span<'s> {
    let edge = Bound::Excluded(Cow::Owned(key.to_vec()));
    if descends {
        span.clone().below(edge)
    } else {
        span.clone().above(edge)
    }
}

/// Whether a key comes before another in a direction.
fn is_before(key: &[u8], other: &[u8], descends: bool) -> bool {
    if descends { key > other } else { key < other }
}

fn owned(bound: Bound<&[u8]>) -> Bound<Vec<u8>> {
    bound.map(<[u8]>::to_vec)
}

impl Seat<'_> {
    /// Visits the records of a span that have not expired, until `visit` returns false, and
    /// remembers what was found below the transaction's writes up to there.
    pub(super) fn walk(
        &self,
        at: usize,
        span: Span<'_>,
        descends: bool,
        values: bool,
        visit: &mut dyn FnMut(&[u8], Record<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut wanted = CHUNK_RECORDS;
        let mut left = Some(span);
        while let Some(span) = left.take().filter(|span| !span.is_empty()) {
            let chunk = self.chunk(at, span, descends, values, wanted)?;
            let end = self.merge(at, &chunk, descends, visit)?;
            self.remember(at, &chunk, end.as_deref(), descends)?;
            if end.is_none() {
                left = chunk.rest;
            }
            wanted *= 2;
        }
        Ok(())
    }

    /// Reads about so many records of a span below the transaction's writes.
    fn chunk<'s>(
        &self,
        at: usize,
        span: Span<'s>,
        descends: bool,
        values: bool,
        wanted: usize,
    ) -> Result<Chunk<'s>> {
        let mut records = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        if self.overlay.layer(at).cleared {
            return Ok(Chunk {
                records,
                span,
                rest: None,
            });
        }
        let (mut visited, mut bytes) = (0, 0);
        let store = self.databases[at].store();
        store.walk(&span, descends, values, &mut |key, record| {
            visited += 1;
            bytes += key.len() + record.value.len();
            if !record.is_expired(self.now) {
                records.push((key.to_vec(), Copied::of(&record)));
            }
            if visited < wanted && bytes < PAGE_BYTES {
                return true;
            }
            last = Some(key.to_vec());
            false
        })?;
        Ok(match last {
            None => Chunk {
                records,
                span,
                rest: None,
            },
            Some(last) => Chunk {
                records,
                rest: Some(beyond(&span, &last, descends)),
                span: up_to(&span, &last, descends),
            },
        })
    }

    /// Visits a chunk's records and the transaction's own. Returns the key at which `visit` has
    /// returned false.
    fn merge(
        &self,
        at: usize,
        chunk: &Chunk<'_>,
        descends: bool,
        visit: &mut dyn FnMut(&[u8], Record<'_>) -> Result<bool>,
    ) -> Result<Option<Vec<u8>>> {
        let layer = self.overlay.layer(at);
        let writes = layer.writes.range::<[u8], _>(chunk.span.bounds());
        let writes: Box<dyn Iterator<Item = _>> = if descends {
            Box::new(writes.rev())
        } else {
            Box::new(writes)
        };
        let mut writes: Peekable<_> = writes.peekable();
        let mut records = chunk.records.iter().peekable();
        loop {
            let is_write = match (writes.peek(), records.peek()) {
                (None, None) => return Ok(None),
                (None, Some(_)) => false,
                (Some(_), None) => true,
                (Some((key, _)), Some((below, _))) => !is_before(below, key, descends),
            };
            let goes_on = if is_write {
                let Some((key, entry)) = writes.next() else {
                    return Ok(None);
                };
                records.next_if(|(below, _)| below == key);
                match &entry.written {
                    Written::Put {
                        value,
                        expiry,
                        flags,
                    } => {
                        let record = Record {
                            value,
                            value_bytes: value.len() as u64,
                            expiry: *expiry,
                            flags: *flags,
                            version: 0,
                        };
                        (key, record.is_expired(self.now) || visit(key, record)?)
                    }
                    Written::Remove => (key, true),
                }
            } else {
                let Some((key, copied)) = records.next() else {
                    return Ok(None);
                };
                (key, visit(key, copied.record())?)
            };
            if let (key, false) = goes_on {
                return Ok(Some(key.clone()));
            }
        }
    }

    /// Remembers the records of a chunk up to the key at which the visit has ended, if it has.
    fn remember(
        &self,
        at: usize,
        chunk: &Chunk<'_>,
        end: Option<&[u8]>,
        descends: bool,
    ) -> Result<()> {
        if self.overlay.layer(at).cleared {
            return Ok(());
        }
        let span = match end {
            Some(end) => up_to(&chunk.span, end, descends),
            None => chunk.span.clone(),
        };
        let records = chunk.records.iter().filter(|(key, _)| span.contains(key));
        let mut records: Vec<_> = records
            .map(|(key, copied)| (key.clone(), copied.version))
            .collect();
        if descends {
            records.reverse();
        }
        let (from, to) = span.bounds();
        let found = RangeFound {
            from: owned(from),
            to: owned(to),
            records,
        };
        self.reads.borrow_mut().note_range(at, found)
    }

    /// A page of a scan.
    pub(super) fn scan(&self, at: usize, scan: &Scan<'_>) -> Result<Page> {
        if matches!(scan.from, Position::Cursor(_) | Position::Random(_)) {
            return Err(Error::Unsupported(
                "a scan in a transaction from a cursor or a random place; begin at a key",
            ));
        }
        let mut matcher = Matcher::new(scan.filter)?;
        let codec = self.store(at).codec();
        let descends = codec.descends(scan.direction);
        let around = Around::new(self, at);
        let span = codec
            .span(scan.range, &around)
            .and_then(|span| codec.from(span, scan.from, scan.direction, &around));
        let span = around.or_failed(span)?;
        let prefix = codec.prefix(scan.range).unwrap_or_default();
        let mut page = PageBuilder::default();
        let (mut misses, mut end) = (0, None);
        self.walk(
            at,
            span,
            descends,
            scan.values,
            &mut |stored, mut record| {
                let key = codec.key(stored)?;
                if !key.starts_with(prefix) || !matcher.takes(&key) {
                    misses += 1;
                    if misses == VISITS_MAX {
                        end = Some(Some(stored.to_vec()));
                    }
                    return Ok(end.is_none());
                }
                if page.len() >= scan.limit || page.bytes() >= PAGE_BYTES {
                    end = Some(None);
                    return Ok(false);
                }
                if !scan.values {
                    record.value = &[];
                }
                let position = if codec.is_plain() { &[] } else { stored };
                page.push_at(position, &key, &record);
                Ok(true)
            },
        )?;
        Ok(match end {
            Some(Some(position)) => page.finish_at(&position),
            Some(None) if !page.is_empty() => page.finish(Next::Resume),
            _ => page.finish(Next::End),
        })
    }
}
