//! Expiry as Tycoon counts it: the last second in which a record is there.
//!
//! Everywhere else an expiry is the first millisecond in which it is not. So `xt` 160 is 161,000 ms,
//! in both directions, and a moment within a second is rounded up to the end of that second.

use hakone_command::Millis;

/// The last second that is an expiry; it and those after it mean never: 40 bits.
pub const NEVER: u64 = (1 << 40) - 1;

/// The expiry of a record that is there to the end of this second of the epoch; 0 (never) for
/// [`NEVER`] and above.
pub fn expiry_of(second: u64) -> Millis {
    if second >= NEVER {
        0
    } else {
        (second + 1) * 1000
    }
}

/// The expiry that the parameter `xt` asks for at the time `now`: seconds from now if it is 0 or
/// more, the negative of a second of the epoch if it is less.
pub fn expiry_of_xt(xt: i64, now: Millis) -> Millis {
    if xt < 0 {
        expiry_of(xt.unsigned_abs())
    } else {
        expiry_of((now / 1000).saturating_add(xt.unsigned_abs()))
    }
}

/// The second that a record of this expiry is there to the end of, [`NEVER`] for 0.
pub fn xt_of(expiry: Millis) -> u64 {
    match expiry.checked_sub(1) {
        Some(last) => (last / 1000).min(NEVER),
        None => NEVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_there_to_its_end() {
        assert_eq!(expiry_of_xt(0, 5_999), 6_000);
        assert_eq!(expiry_of_xt(0, 6_000), 7_000);
        assert_eq!(expiry_of_xt(60, 100_700), 161_000);
        assert_eq!(expiry_of_xt(-160, 100_700), 161_000);
        for never in [i64::MAX, i64::MIN, 1 << 40, -(1 << 40), -(1 << 40) + 1] {
            assert_eq!(expiry_of_xt(never, 100_700), 0);
        }
    }

    #[test]
    fn what_is_set_is_read() {
        for second in [0, 1, 160, 4_102_444_800, NEVER - 1, NEVER] {
            assert_eq!(xt_of(expiry_of(second)), second);
        }
        assert_eq!(xt_of(160_001), 160);
        assert_eq!(xt_of(161_000), 160);
        assert_eq!(xt_of(161_001), 161);
        assert_eq!(xt_of(Millis::MAX), NEVER);
    }
}
