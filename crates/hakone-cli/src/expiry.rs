//! When a record expires, as it is written on the command line.

use hakone::{ExpirySet, Millis};

/// Never, so many seconds from now, or at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    Never,
    /// Milliseconds from now.
    In(Millis),
    /// Milliseconds since 1970.
    At(Millis),
}

impl Expiry {
    /// Reads `never`, seconds from now with or without a fraction, or `@` and milliseconds since
    /// 1970.
    pub(crate) fn parse(text: &str) -> Result<Expiry, String> {
        if text == "never" {
            return Ok(Expiry::Never);
        }
        if let Some(moment) = text.strip_prefix('@') {
            let moment = moment.parse().ok().filter(|&moment| moment > 0);
            return moment.map(Expiry::At).ok_or_else(wrong);
        }
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(seconds) || !digits(fraction) || fraction.len() > 3 {
            return Err(wrong());
        }
        let millis: Millis = format!("{fraction:0<3}").parse().map_err(|_| wrong())?;
        let seconds: Millis = seconds.parse().map_err(|_| wrong())?;
        let millis = seconds
            .checked_mul(1000)
            .and_then(|s| s.checked_add(millis));
        millis.map(Expiry::In).ok_or_else(wrong)
    }

    /// Milliseconds since 1970, 0 for never; what would be past the end of time is at its end.
    pub(crate) fn moment(self, now: Millis) -> Millis {
        match self {
            Expiry::Never => 0,
            // What expires at once has expired.
            Expiry::In(millis) => now.saturating_add(millis).min(MOMENT_MAX),
            Expiry::At(moment) => moment.min(MOMENT_MAX),
        }
    }
}

/// The last moment there is: what a signed integer holds, as in every protocol.
const MOMENT_MAX: Millis = i64::MAX.cast_unsigned();

fn wrong() -> String {
    "write never, seconds from now as in 60 or 1.5, or @ and milliseconds since 1970".to_owned()
}

/// Which expiry a record gets that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Keep,
    New(Expiry),
}

impl Wanted {
    /// Reads `keep`, or as [`Expiry::parse`] does.
    pub(crate) fn parse(text: &str) -> Result<Wanted, String> {
        if text == "keep" {
            return Ok(Wanted::Keep);
        }
        Expiry::parse(text)
            .map(Wanted::New)
            .map_err(|wrong| format!("{wrong}; or keep"))
    }

    pub(crate) fn set(self, now: Millis) -> ExpirySet {
        match self {
            Wanted::Keep => ExpirySet::Keep,
            Wanted::New(expiry) => ExpirySet::At(expiry.moment(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, moment) in [
            ("never", 0),
            ("60", 61_000),
            ("0", 1000),
            ("1.5", 2500),
            ("0.007", 1007),
            ("@1900000000000", 1_900_000_000_000),
            ("@18446744073709551615", MOMENT_MAX),
            ("9223372036854775", MOMENT_MAX),
        ] {
            assert_eq!(Expiry::parse(text).unwrap().moment(1000), moment, "{text}");
        }
        for text in [
            "",
            "@",
            "@0",
            "@99999999999999999999",
            "-1",
            "+1",
            "1.",
            ".5",
            "1.2345",
            "soon",
            "keep",
            "18446744073709552",
        ] {
            assert!(Expiry::parse(text).is_err(), "{text}");
        }
        assert_eq!(Wanted::parse("keep"), Ok(Wanted::Keep));
        assert_eq!(Wanted::parse("5").unwrap().set(0), ExpirySet::At(5000));
    }
}
