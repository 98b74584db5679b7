//! The keys of an array: ids from 1 to 2^63 - 1 in decimal, and words for some of them.

use super::number::ordered;
use super::{Neighbours, Span};
use hakone_command::{Error, Result, format_unsigned};

/// The highest id.
const ID_MAX: u64 = i64::MAX.cast_unsigned();

/// A key of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Id(u64),
    /// The lowest id that there is.
    Min,
    /// The highest id that there is.
    Max,
    /// The id below the lowest.
    Previous,
    /// The id above the highest.
    Next,
}

impl Key {
    /// What a key's bytes say.
    ///
    /// # Errors
    /// `Invalid` where they are neither an id nor a word.
    pub(super) fn parse(key: &[u8]) -> Result<Key> {
        match key {
            b"min" => return Ok(Key::Min),
            b"max" => return Ok(Key::Max),
            b"prev" => return Ok(Key::Previous),
            b"next" => return Ok(Key::Next),
            _ => {}
        }
        let digits = key.iter().map(|byte| byte.wrapping_sub(b'0'));
        let id = digits.clone().try_fold(0_u64, |id, digit| {
            let id = id.checked_mul(10)?.checked_add(u64::from(digit))?;
            (digit < 10 && id <= ID_MAX).then_some(id)
        });
        match id {
            Some(id) if id > 0 => Ok(Key::Id(id)),
            _ => Err(Error::Invalid(format!(
                "the key of an array is a number from 1 to {ID_MAX}, or min, max, prev or next; \
                 not '{}'",
                key.escape_ascii()
                    .take(40)
                    .map(char::from)
                    .collect::<String>()
            ))),
        }
    }

    /// The id, where it is known without looking or is told by the ids that there are. From 0 to
    /// 2^63: those two have no record.
    pub(super) fn id(self, there: &dyn Neighbours) -> Option<u64> {
        let end = |greatest| id_of(&there.edge(&Span::ALL, greatest)?);
        match self {
            Key::Id(id) => Some(id),
            Key::Min => end(false),
            Key::Max => end(true),
            Key::Previous => Some(end(false)? - 1),
            Key::Next => Some(end(true)? + 1),
        }
    }

    /// The id of a record to be written.
    ///
    /// # Errors
    /// `Invalid` where there is none.
    pub(super) fn id_to_write(self, there: &dyn Neighbours) -> Result<u64> {
        let refuse = |why: &str| Err(Error::Invalid(format!("{why}; name an id")));
        match self.id(there) {
            Some(0) => refuse("the array has a record 1, and there is no id before it"),
            Some(id) if id > ID_MAX => refuse("the array has a record of the highest id"),
            Some(id) => Ok(id),
            None if matches!(self, Key::Previous | Key::Next) => Ok(1),
            None => refuse("the array is empty: it has neither min nor max"),
        }
    }
}

/// An id's stored key. It is in the order of bytes.
pub(super) fn stored(id: u64) -> [u8; 8] {
    // Not above 2^63: as an integer with a sign it has the same bytes but for the highest bit.
    ordered(id.cast_signed() ^ i64::MIN)
}

/// The id of a stored key; `None` where it is none.
pub(super) fn id_of(stored: &[u8]) -> Option<u64> {
    let bytes: &[u8; 8] = stored.try_into().ok()?;
    let id = bytes.iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
    (1..=ID_MAX).contains(&id).then_some(id)
}

/// An id as a user's key.
pub(super) fn text(id: u64) -> Vec<u8> {
    format_unsigned(id, &mut [0; 20]).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_from_1_to_2_63_less_1() {
        for id in [1, 9, 10, 255, 256, 1 << 40, ID_MAX - 1, ID_MAX] {
            assert_eq!(Key::parse(&text(id)), Ok(Key::Id(id)));
            assert_eq!(id_of(&stored(id)), Some(id));
            assert!(stored(id - 1) < stored(id) && stored(id) < stored(id + 1));
        }
        assert_eq!(Key::parse(b"0042"), Ok(Key::Id(42)));
        for text in ["", "0", "-1", "+1", "1 ", "x", "9223372036854775808", "MIN"] {
            assert!(Key::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Key::parse(&[b'9'; 100]).is_err());
        for damaged in [
            &[][..],
            &[1; 7],
            &[1; 9],
            &[0; 8],
            &[0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(id_of(damaged), None);
        }
    }
}
