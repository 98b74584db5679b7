//! Times as the protocol gives them: never, from now, or of the calendar.

use hakone_command::Millis;

/// Seconds that are counted from now; more are a time of the calendar. 30 days: the protocol's own
/// rule.
const FROM_NOW_MAX: i64 = 60 * 60 * 24 * 30;

/// A moment that has passed, whatever the clock says: a millisecond after the epoch.
const PAST: Millis = 1;

/// A time in seconds: 0 is never, a negative one has passed, one to 30 days is from now, any other is
/// since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exptime(pub i64);

impl Exptime {
    /// The moment in milliseconds since the epoch; 0 is never.
    pub fn at(self, now: Millis) -> Millis {
        let ms = u64::try_from(self.0).map(|seconds| seconds.saturating_mul(1000));
        match (self.0, ms) {
            (0, _) => 0,
            (1..=FROM_NOW_MAX, Ok(ms)) => now.saturating_add(ms),
            (_, Ok(ms)) => ms,
            (_, Err(_)) => PAST,
        }
    }

    /// The moment in milliseconds since the epoch; 0 and negative ones are now.
    pub fn at_or_now(self, now: Millis) -> Millis {
        if self.0 <= 0 { now } else { self.at(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_are_counted_from_now_and_more_from_the_epoch() {
        let now = 1_800_000_000_123;
        for (seconds, expected) in [
            (0, 0),
            (1, now + 1000),
            (2_592_000, now + 2_592_000_000),
            (2_592_001, 2_592_001_000),
            (1_900_000_000, 1_900_000_000_000),
            (-1, PAST),
            (i64::MIN, PAST),
            (i64::MAX, u64::MAX),
        ] {
            assert_eq!(Exptime(seconds).at(now), expected, "{seconds}");
        }
        assert_eq!(Exptime(0).at_or_now(now), now);
        assert_eq!(Exptime(-5).at_or_now(now), now);
        assert_eq!(Exptime(5).at_or_now(now), now + 5000);
    }
}
