//! Lists of all records: `lru_crawler metadump` and `stats cachedump`. They go out in slices, a turn
//! each.

use super::NUMBER;
use crate::cursors::Place;
use crate::service::call::Caller;
use crate::service::keys::{Pending, after, position};
use crate::service::turn::Flow;
use crate::session::Session;
use hakone::{Command, Direction, Filter, Range, Reply};
use hakone_wire::Protocol;
use hakone_wire::memcached::{end, item, meta, store_error};

/// Records that one slice visits: 4096, some milliseconds.
const SLICE_RECORDS: usize = 4096;

/// Bytes of an answer to `stats cachedump`: 2 MiB, as much as the original gives.
const CACHE_BYTES_MAX: usize = 2 << 20;

/// What is left of a list.
#[derive(Debug)]
pub(crate) struct Dump {
    place: Place,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Meta,
    /// So many records and bytes more.
    Cache {
        records: usize,
        bytes: usize,
    },
}

impl Dump {
    /// What is known of all records but their values.
    pub(super) fn meta() -> Dump {
        Dump {
            place: Place::Start,
            form: Form::Meta,
        }
    }

    /// Keys and sizes of at most so many records; 0 is as many as fit an answer.
    pub(super) fn cache(limit: usize) -> Dump {
        let records = if limit == 0 { usize::MAX } else { limit };
        let bytes = CACHE_BYTES_MAX;
        Dump {
            place: Place::Start,
            form: Form::Cache { records, bytes },
        }
    }
}

/// Begins a list.
pub(super) fn begin(
    dump: Dump,
    caller: &mut Caller<'_>,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Flow {
    match resume(dump, caller, session, out) {
        // The request itself is done with; what is left of it is the session's.
        Flow::Again => Flow::Later,
        flow => flow,
    }
}

/// One slice more.
pub(in crate::service) fn resume(
    mut dump: Dump,
    caller: &mut Caller<'_>,
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Flow {
    let limit = match dump.form {
        Form::Meta => SLICE_RECORDS,
        Form::Cache { records, .. } => records.min(SLICE_RECORDS),
    };
    let place = std::mem::take(&mut dump.place);
    let command = Command::Scan {
        from: position(&place),
        range: Range::All,
        direction: Direction::Forward,
        filter: Filter::All,
        limit,
        values: false,
    };
    let (mut full, form) = (false, &mut dump.form);
    let mut next = Place::End;
    let result = caller.call(Protocol::Memcached, NUMBER, &command, &mut |reply| {
        let Reply::Page(page) = reply else { return };
        for (key, record) in page.iter() {
            match form {
                Form::Meta => meta(key, &record, out),
                Form::Cache { records, bytes } => {
                    let before = out.len();
                    item(key, &record, out);
                    let added = out.len() - before;
                    if *records == 0 || added > *bytes {
                        out.truncate(before);
                        full = true;
                        return;
                    }
                    *bytes -= added;
                    *records -= usize::from(added > 0);
                    full = *records == 0;
                }
            }
        }
        next = after(page);
    });
    if let Err(error) = result {
        // There is no other end to a list that has begun.
        store_error(&error, out);
        return Flow::Close;
    }
    if full || next == Place::End {
        end(out);
        return Flow::Go;
    }
    dump.place = next;
    session.pending = Some(Box::new(Pending::Dump(dump)));
    Flow::Again
}
