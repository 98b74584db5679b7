//! Replies to bytes.

use super::{Answer, Refusal, double};
use hakone_command::{Record, Reply};

/// Success or failure as one byte.
pub fn status(success: bool, out: &mut Vec<u8>) {
    out.push(u8::from(!success));
}

/// Appends the answer to a command, but for [`Answer::List`] (see [`encode_list`]).
pub fn encode(answer: Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let success = !matches!(
        reply,
        Reply::Missing | Reply::Refused | Reply::NotANumber | Reply::Overflow
    );
    match (answer, reply) {
        (Answer::Silent, _) => {}
        (Answer::Value, Reply::Record(record)) => text(record.value, out),
        (Answer::Size, Reply::Record(record)) => {
            out.push(0);
            size(record.value_bytes, out);
        }
        // This sum is the old server's mark of an error: it is stored, and answered as a failure.
        (Answer::Sum, Reply::Number(sum)) if *sum != i64::from(i32::MIN) => {
            out.push(0);
            #[expect(clippy::cast_possible_truncation, reason = "sums of 32 bits wrap")]
            out.extend_from_slice(&(*sum as i32).to_be_bytes());
        }
        (Answer::Double, Reply::Value(bytes)) => {
            let sum = <[u8; 8]>::try_from(*bytes).ok().map(f64::from_le_bytes);
            // A sum that is no number is stored, and answered as a failure.
            match sum.and_then(double::split) {
                Some((integer, fraction)) => {
                    out.push(0);
                    out.extend_from_slice(&integer.to_be_bytes());
                    out.extend_from_slice(&fraction.to_be_bytes());
                }
                None => status(false, out),
            }
        }
        (Answer::Number, Reply::Number(n)) => number(n.cast_unsigned(), out),
        (Answer::Status, _) => status(success, out),
        _ => status(false, out),
    }
}

/// Success and a number.
pub fn number(number: u64, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&number.to_be_bytes());
}

/// Success, a size and as many bytes.
pub fn text(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(5 + bytes.len());
    out.push(0);
    size(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// The bytes that [`encode_list`] would append.
pub fn bytes_of_list(keys: &[&[u8]], records: &[Option<Record<'_>>]) -> usize {
    let found = keys.iter().zip(records);
    5 + found
        .filter_map(|(key, record)| record.map(|record| 8 + key.len() + record.value.len()))
        .sum::<usize>()
}

/// The answer to `mget`: keys and values of the records that there are, in the order asked for.
pub fn encode_list(keys: &[&[u8]], records: &[Option<Record<'_>>], out: &mut Vec<u8>) {
    out.reserve(bytes_of_list(keys, records));
    out.push(0);
    size(records.iter().flatten().count() as u64, out);
    for (key, record) in keys.iter().zip(records) {
        if let Some(record) = record {
            size(key.len() as u64, out);
            size(record.value.len() as u64, out);
            out.extend_from_slice(key);
            out.extend_from_slice(record.value);
        }
    }
}

/// The head of an answer of so many keys; each follows as its size and bytes.
pub mod keys {
    /// Success and how many keys follow.
    pub fn head(count: u32) -> [u8; 5] {
        let [a, b, c, d] = count.to_be_bytes();
        [0, a, b, c, d]
    }

    /// Appends one key.
    pub fn push(key: &[u8], out: &mut Vec<u8>) {
        super::size(key.len() as u64, out);
        out.extend_from_slice(key);
    }
}

/// Appends a refusal. Whether the connection ends with it.
pub fn refuse(refusal: Refusal, out: &mut Vec<u8>) -> bool {
    match refusal {
        Refusal::Status => out.push(1),
        Refusal::Silent | Refusal::Close => {}
        Refusal::Misc => out.extend_from_slice(&[1, 0, 0, 0, 0]),
        Refusal::Empty => out.extend_from_slice(&[0, 0, 0, 0, 0]),
        Refusal::Replication => out.extend_from_slice(&[0, 0, 0, 0]),
    }
    matches!(refusal, Refusal::Replication | Refusal::Close)
}

/// A size of 32 bits. Nothing that is served is larger than 256 MiB.
fn size(bytes: u64, out: &mut Vec<u8>) {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    out.extend_from_slice(&bytes.to_be_bytes());
}
