//! Replies to bytes, in the shape that the command's request asked for.

use super::encode::Writer;
use hakone_command::{Error, Millis, Record, Reply};

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
        (Shape::Value, _) => to.null(),
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
        (_, Reply::Number(number)) => to.integer(number),
        _ => to.integer(0),
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
