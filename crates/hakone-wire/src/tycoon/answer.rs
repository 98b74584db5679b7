//! Answers of procedures: a status, and columns.

use super::{Answer, Columns, Counter, NEVER, xt_of};
use hakone_command::{Error, Fixed, Record, Reply, format_integer};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Done,
    /// A parameter is missing or makes no sense, or there is no such database.
    Invalid,
    /// The records do not allow it.
    Refused,
    /// The store has failed.
    Internal,
    /// There is no such thing here.
    NotImplemented,
}

impl Status {
    /// Its code in HTTP.
    pub fn code(self) -> u16 {
        match self {
            Status::Done => 200,
            Status::Invalid => 400,
            Status::Refused => 450,
            Status::Internal => 500,
            Status::NotImplemented => 501,
        }
    }
}

/// The errors of the original's databases that clients know by their text.
const EXISTS: &str = "DB: 6: record duplication: record duplication";
const MISSING: &str = "DB: 7: no record: no record";
const ILLOGICAL: &str = "DB: 8: logical inconsistency: logical inconsistency";
const CONFLICT: &str = "DB: 8: logical inconsistency: status conflict";

/// What a command has answered.
pub fn answer(answer: Answer, reply: &Reply<'_>, out: &mut Columns) -> Status {
    match (answer, reply) {
        (Answer::Value, Reply::Record(record)) => {
            out.push(b"value", record.value);
            expiry(record, out);
            Status::Done
        }
        (Answer::Size, Reply::Record(record)) => {
            number(
                "vsiz",
                record.value_bytes.try_into().unwrap_or(i64::MAX),
                out,
            );
            expiry(record, out);
            Status::Done
        }
        (Answer::Sum, Reply::Number(n)) => sum(Counter::Integer(*n), out),
        (Answer::Double, Reply::Value(value)) => match Fixed::from_bytes(value) {
            Some(fixed) => sum(Counter::Double(fixed), out),
            None => error(ILLOGICAL, out),
        },
        (Answer::Sum | Answer::Double, _) => error(ILLOGICAL, out),
        (Answer::Cas, Reply::Refused | Reply::Missing) => error(CONFLICT, out),
        (Answer::Add, Reply::Refused) => error(EXISTS, out),
        (_, Reply::Missing | Reply::Refused) => error(MISSING, out),
        _ => Status::Done,
    }
}

/// The sum of a counter. The least integer and what is no number are the original's marks of an
/// error: they are stored, and answered as a failure.
pub fn sum(counter: Counter, out: &mut Columns) -> Status {
    match counter {
        Counter::Integer(i64::MIN) => error(ILLOGICAL, out),
        Counter::Integer(n) => {
            number("num", n, out);
            Status::Done
        }
        Counter::Double(fixed) => {
            let double = fixed.to_f64();
            if double.is_nan() {
                return error(ILLOGICAL, out);
            }
            out.push(b"num", format!("{double:.6}").as_bytes());
            Status::Done
        }
    }
}

/// Adds a whole number.
pub fn number(name: &str, number: i64, out: &mut Columns) {
    out.push(name.as_bytes(), format_integer(number, &mut [0; 20]));
}

fn expiry(record: &Record<'_>, out: &mut Columns) {
    let xt = xt_of(record.expiry);
    if xt != NEVER {
        out.push(b"xt", xt.to_string().as_bytes());
    }
}

fn error(text: &str, out: &mut Columns) -> Status {
    out.push(b"ERROR", text.as_bytes());
    Status::Refused
}

/// What the store has failed with, under the original's code and name for it.
pub fn failure(error: &Error, out: &mut Columns) -> Status {
    let (code, name) = match error {
        Error::Unsupported(_) => (1, "not implemented"),
        Error::KeyTooLarge { .. } | Error::ValueTooLarge { .. } | Error::BatchTooLarge { .. } => {
            (2, "invalid operation")
        }
        Error::Corrupt(_) => (5, "broken file"),
        Error::Full(_) | Error::Poisoned(_) | Error::Io(_) => (9, "system error"),
        _ => (15, "miscellaneous error"),
    };
    let text = format!("DB: {code}: {name}: {error}");
    out.push(b"ERROR", text.as_bytes());
    match error {
        Error::Unsupported(_) => Status::NotImplemented,
        _ => Status::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_numbers_have_six_decimals() {
        for (double, text) in [
            (1.25, "1.250000"),
            (-2.25, "-2.250000"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut columns = Columns::default();
            let fixed = Fixed::from_f64(double);
            assert_eq!(sum(Counter::Double(fixed), &mut columns), Status::Done);
            assert_eq!(columns.get(b"num"), Some(text.as_bytes()));
        }
    }

    #[test]
    fn marks_of_an_error_are_answered_as_one() {
        for counter in [
            Counter::Integer(i64::MIN),
            Counter::Double(Fixed::from_f64(f64::NAN)),
        ] {
            let mut columns = Columns::default();
            assert_eq!(sum(counter, &mut columns), Status::Refused);
            assert_eq!(columns.get(b"ERROR"), Some(ILLOGICAL.as_bytes()));
        }
    }
}
