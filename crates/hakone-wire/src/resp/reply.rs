//! Replies to bytes, in the shape that the command's request asked for.

use super::encode::Writer;
use hakone_command::{Error, Millis, Record, Reply, parse_integer};

/// The shape of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `OK`, or null where a condition did not hold.
    Ok,
    /// 1 where it was stored, 0 where a condition did not hold.
    Stored,
    /// 1 where there was such a record and the condition held, else 0.
    Found,
    /// The value, or null.
    Value,
    /// An array of values and nulls.
    Values,
    /// The size of the value, 0 where there is none.
    Size,
    /// `string` or `none`.
    Type,
    /// A number.
    Integer,
    /// The time until the record expires.
    TimeLeft(TimeLeft),
    /// The value from one byte to another, both counted from the end where negative.
    Range(i64, i64),
    /// The sum of a number with a fraction.
    Float,
    /// `OK`, or an error where there was no such record.
    Renamed,
    /// 1, 0 where the condition did not hold, or an error where there was no such record.
    RenamedIfFree,
    /// 0, or an error where there is no such record.
    NotRenamed,
    /// The form in which Redis would keep the value, or null.
    Encoding,
    /// 1, or null.
    RefCount,
    /// The seconds until this moment since the record was written, or null.
    IdleTime(Millis),
    /// This error, or null.
    Fails(&'static str),
    /// About the bytes of a record whose key has so many, or null.
    MemoryUsage(u64),
}

/// In what a time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLeft {
    /// Milliseconds a unit.
    pub unit: u64,
    /// Counted from this moment.
    pub since: Millis,
}

/// Appends a reply.
pub fn encode(shape: Shape, reply: &Reply<'_>, to: &mut Writer<'_>) {
    match (shape, *reply) {
        (Shape::Float, Reply::NotANumber) => to.error(b"ERR value is not a valid float"),
        (Shape::Float, Reply::Overflow) => {
            to.error(b"ERR increment would produce NaN or Infinity");
        }
        (Shape::Float, Reply::Value(text)) => to.bulk(text),
        (_, Reply::NotANumber) => to.error(b"ERR value is not an integer or out of range"),
        (_, Reply::Overflow) => to.error(b"ERR increment or decrement would overflow"),
        (Shape::Ok, Reply::Refused | Reply::Missing) => to.null(),
        (Shape::Ok, _) => to.simple("OK"),
        (Shape::Stored | Shape::Found, Reply::Refused | Reply::Missing) => to.integer(0),
        (Shape::Stored | Shape::Found, _) => to.integer(1),
        (
            Shape::Value,
            Reply::Record(record)
            | Reply::Swapped {
                old: Some(record), ..
            },
        ) => to.bulk(record.value),
        (
            Shape::Encoding
            | Shape::RefCount
            | Shape::IdleTime(_)
            | Shape::Fails(_)
            | Shape::MemoryUsage(_),
            Reply::Record(record),
        ) => describe(shape, &record, to),
        (
            Shape::Value
            | Shape::Encoding
            | Shape::RefCount
            | Shape::IdleTime(_)
            | Shape::Fails(_)
            | Shape::MemoryUsage(_),
            _,
        ) => to.null(),
        (Shape::Values, Reply::Records(records)) => {
            to.out.reserve(bytes_of(records));
            to.array(records.len());
            for record in records {
                match record {
                    Some(record) => to.bulk(record.value),
                    None => to.null(),
                }
            }
        }
        (Shape::Size, Reply::Record(record)) => to.integer(signed(record.value_bytes)),
        (Shape::Type, Reply::Record(_)) => to.simple("string"),
        (Shape::Type, _) => to.simple("none"),
        (Shape::TimeLeft(_), Reply::Record(Record { expiry: 0, .. })) => to.integer(-1),
        (Shape::TimeLeft(TimeLeft { unit, since }), Reply::Record(Record { expiry, .. })) => {
            let left = expiry.saturating_sub(since);
            to.integer(signed((left.saturating_add(unit / 2)) / unit));
        }
        (Shape::TimeLeft(_), _) => to.integer(-2),
        (Shape::Range(start, end), Reply::Record(record)) => {
            to.bulk(part(record.value, start, end));
        }
        (Shape::Range(..), _) => to.bulk(b""),
        (Shape::Renamed | Shape::RenamedIfFree | Shape::NotRenamed, reply) => {
            renamed(shape, reply, to);
        }
        (_, Reply::Number(number)) => to.integer(number),
        _ => to.integer(0),
    }
}

fn renamed(shape: Shape, reply: Reply<'_>, to: &mut Writer<'_>) {
    match (shape, reply) {
        (_, Reply::Missing) => to.error(b"ERR no such key"),
        (Shape::Renamed, _) => to.simple("OK"),
        (Shape::RenamedIfFree, Reply::Done) => to.integer(1),
        _ => to.integer(0),
    }
}

/// Something of a record that is there.
fn describe(shape: Shape, record: &Record<'_>, to: &mut Writer<'_>) {
    match shape {
        Shape::Encoding => to.bulk(encoding(record.value)),
        Shape::IdleTime(now) => {
            // A record that the same batch has written has no version yet.
            let written = match record.version >> VERSION_MICROS_SHIFT {
                0 => now,
                micros => micros / 1000,
            };
            to.integer(signed(now.saturating_sub(written) / 1000));
        }
        Shape::Fails(text) => to.error(text.as_bytes()),
        Shape::MemoryUsage(key_bytes) => {
            let bytes = key_bytes.saturating_add(record.value_bytes);
            to.integer(signed(bytes.saturating_add(OVERHEAD_BYTES)));
        }
        _ => to.integer(1),
    }
}

/// The bits of a version below its microseconds.
const VERSION_MICROS_SHIFT: u32 = 12;

/// About the bytes of a record beside its key and value: 16 in the log, 10 in the index.
const OVERHEAD_BYTES: u64 = 26;

/// Bytes of the longest value that Redis keeps in one piece with its head.
const EMBEDDED_BYTES: usize = 44;

/// From `start` to `end`, both included and counted from the end of the value where negative.
fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let bytes = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let place = |at: i64| {
        let at = if at < 0 { at.saturating_add(bytes) } else { at };
        usize::try_from(at.max(0)).unwrap_or(usize::MAX)
    };
    let end = place(end).saturating_add(1).min(value.len());
    value.get(place(start)..end).unwrap_or_default()
}

fn encoding(value: &[u8]) -> &'static [u8] {
    if parse_integer(value).is_some() {
        b"int"
    } else if value.len() <= EMBEDDED_BYTES {
        b"embstr"
    } else {
        b"raw"
    }
}

/// About the bytes that these records take as a reply.
fn bytes_of(records: &[Option<Record<'_>>]) -> usize {
    let values = records.iter().flatten().map(|record| record.value.len());
    values.sum::<usize>() + 16 * records.len()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The text of a store's error, its code first.
pub fn store_error(error: &Error) -> Vec<u8> {
    match error {
        Error::ValueTooLarge { .. } => {
            b"ERR string exceeds maximum allowed size (proto-max-bulk-len)".to_vec()
        }
        Error::Full(_) | Error::Poisoned(_) => format!("MISCONF {error}").into_bytes(),
        _ => format!("ERR {error}").into_bytes(),
    }
}
