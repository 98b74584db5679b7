//! Dates as they are written in headers, and as people write them.

use hakone_command::Millis;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY_SECONDS: i64 = 86_400;

/// A moment as HTTP writes it: `Fri, 01 Jan 2100 00:00:00 GMT`.
pub fn http(moment: Millis) -> String {
    let seconds = i64::try_from(moment / 1000).unwrap_or(i64::MAX);
    let (days, second) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let (year, month, day) = date_of(days);
    let name = |names: &[&'static str], index: i64| -> &'static str {
        let index = usize::try_from(index).unwrap_or_default();
        names.get(index).copied().unwrap_or_default()
    };
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month - 1),
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March on, so
/// that a leap day is the last one of its year.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let days_in_year = (153 * months_since_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + days_in_year - 719_468
}

/// Year, month and day of a day after 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    // A first guess that is never too late, and at most a few days' worth of years too early.
    let mut year = 1970 + days / 366;
    while days_to(year + 1, 1, 1) <= days {
        year += 1 + (days - days_to(year + 1, 1, 1)) / 366;
    }
    let mut month = 1;
    while month < 12 && days_to(year, month + 1, 1) <= days {
        month += 1;
    }
    (year, month, days - days_to(year, month, 1) + 1)
}

/// The second since the epoch that a text says, in any form that Tycoon takes: a number in
/// hexadecimal after `0x`, a decimal number with `s`, `m`, `h` or `d` behind it, a date as W3C
/// writes it, or as RFC 1123 and RFC 822 do. `None` where it is none of these.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    if let Some(digits) = strip_prefix_ignoring_case(text, "0x") {
        return i64::from_str_radix(whole(digits, |c| c.is_ascii_hexdigit())?, 16).ok();
    }
    number(text)
        .or_else(|| numeric_date(text))
        .or_else(|| named_date(text))
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    let same = start.eq_ignore_ascii_case(prefix);
    same.then(|| text.get(prefix.len()..)).flatten()
}

/// The text if it is not empty and all of it is of these characters: `parse` of the standard
/// library takes signs, too.
fn whole(text: &str, is: impl Fn(char) -> bool) -> Option<&str> {
    (!text.is_empty() && text.chars().all(is)).then_some(text)
}

fn digits(text: &str) -> Option<i64> {
    whole(text, |c| c.is_ascii_digit())?.parse().ok()
}

fn number(text: &str) -> Option<i64> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', DAY_SECONDS)];
    let last = text.chars().last()?.to_ascii_lowercase();
    let sign = |text: &str| match text.strip_prefix('-') {
        Some(rest) => digits(rest).map(|number| -number),
        None => digits(text),
    };
    match units.iter().find(|(unit, _)| *unit == last) {
        Some((_, seconds)) => sign(text.get(..text.len() - 1)?)?.checked_mul(*seconds),
        None => sign(text),
    }
}

/// `2100-01-01`, `2100-01-01T09:00:00.5+09:00`, `2100/01/01 09:00:00`.
fn numeric_date(text: &str) -> Option<i64> {
    let split = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, rest) = text.split_at_checked(split)?;
    let separator = if date.contains('/') { '/' } else { '-' };
    let mut parts = date.split(separator);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() < 4 || parts.next().is_some() {
        return None;
    }
    let days = day_of(digits(year)?, digits(month)?, digits(day)?)?;
    let rest = rest.get(1..).unwrap_or_default().trim_ascii();
    if rest.is_empty() {
        return Some(days * DAY_SECONDS);
    }
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.'))
        .unwrap_or(rest.len());
    let (time, zone) = rest.split_at_checked(end)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    digits(fraction)?;
    let zone = zone.trim_ascii();
    let zone = if zone.is_empty() || zone.eq_ignore_ascii_case("z") {
        0
    } else {
        offset(zone)?
    };
    Some(days * DAY_SECONDS + second_of(time)? - zone)
}

/// `Fri, 01 Jan 2100 00:00:00 GMT`, with the weekday, the seconds and the zone left out or not.
fn named_date(text: &str) -> Option<i64> {
    let text = match text.split_once(',') {
        Some((_, rest)) => rest,
        None => text,
    };
    let mut words = text.split_ascii_whitespace();
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let same = |name: &str| {
        let start = month.get(..3);
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let month = MONTHS.iter().position(|name| same(name))?;
    let year = match digits(year)? {
        // Years of two digits, as RFC 822 has them, are read as RFC 5322 says.
        short @ 0..50 if year.len() == 2 => 2000 + short,
        short if year.len() == 2 => 1900 + short,
        year => year,
    };
    let days = day_of(year, i64::try_from(month).ok()? + 1, digits(day)?)?;
    let second = words.next().map_or(Some(0), second_of)?;
    let zone = words.next().map_or(Some(0), |zone| match zone.as_bytes() {
        [b'+' | b'-', ..] => offset(zone),
        _ => Some(zone_of(zone)),
    })?;
    Some(days * DAY_SECONDS + second - zone)
}

fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let real = (1..=12).contains(&month) && (1..=31).contains(&day) && (0..100_000).contains(&year);
    real.then(|| days_to(year, month, day))
}

/// The second of the day that `hh:mm` or `hh:mm:ss` says.
fn second_of(time: &str) -> Option<i64> {
    let mut parts = time.split(':');
    let hour = digits(parts.next()?)?;
    let minute = digits(parts.next()?)?;
    let second = parts.next().map_or(Some(0), digits)?;
    let real = hour < 25 && minute < 60 && second < 61 && parts.next().is_none();
    real.then(|| hour * 3600 + minute * 60 + second)
}

/// The seconds that `+hh:mm` or `+hhmm` is ahead.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() > 2 => rest.split_at_checked(2)?,
        None => (rest, "0"),
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let real = hours < 25 && minutes < 60;
    real.then(|| sign * (hours * 3600 + minutes * 60))
}

/// The seconds that a zone with a name is ahead; any other name is that of universal time.
fn zone_of(name: &str) -> i64 {
    let zones = [
        ("JST", 9),
        ("CCT", 8),
        ("KST", 9),
        ("EDT", -4),
        ("EST", -5),
        ("CDT", -5),
        ("CST", -6),
        ("MDT", -6),
        ("MST", -7),
        ("PDT", -7),
        ("PST", -8),
        ("HDT", -9),
        ("HST", -10),
    ];
    let named = |zone: &&(&str, i64)| zone.0.eq_ignore_ascii_case(name);
    zones
        .iter()
        .find(named)
        .map_or(0, |(_, hours)| hours * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_without_end_are_no_time() {
        for text in [
            "2100-1-1T3372036854775807:0",
            "1 Jan 0 9337203685477580:0",
            "2100-1-1T0:0+9223372036854775807:0",
            "1 Jan 2100 0:0 -9223372036854775807:0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_written_as_http_has_them() {
        let check = |seconds: u64, text| assert_eq!(http(seconds * 1000 + 999), text);
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(1_795_294_931, "Sat, 21 Nov 2026 21:02:11 GMT");
        check(4_102_444_800, "Fri, 01 Jan 2100 00:00:00 GMT");
        check(4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    #[test]
    fn every_day_of_four_centuries_is_read_as_it_was_written() {
        for day in 0..400 * 366 {
            let seconds = day * DAY_SECONDS + 12_345;
            let text = http(seconds.cast_unsigned() * 1000);
            assert_eq!(parse(&text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn all_forms_of_a_moment_are_read() {
        let check = |text: &str, expected| assert_eq!(parse(text), expected, "{text}");
        let year_2100 = Some(4_102_444_800);
        for text in [
            "4102444800",
            " 4102444800s ",
            "68374080M",
            "1139568h",
            "47482d",
            "0xF4865700",
            "0Xf4865700",
            "2100-01-01",
            "2100/01/01 00:00:00",
            "2100-01-01T00:00:00",
            "2100-01-01t00:00",
            "2100-01-01T09:00:00+09:00",
            "2099-12-31T19:30:00.25-0430",
            "2100-01-01T00:00:00.999Z",
            "Fri, 01 Jan 2100 00:00:00 GMT",
            "Fri, 01 Jan 2100 00:00:00 XYZ",
            "01 Jan 2100 00:00:00",
            "1 january 2100 00:00",
            "1 Jan 2100",
            "Fri, 01 Jan 2100 09:00:00 +0900",
            "Fri, 01 Jan 2100 09:00:00 jst",
            "Thu, 31 Dec 2099 14:00:00 HST",
        ] {
            check(text, year_2100);
        }
        check("60", Some(60));
        check("1h", Some(3600));
        check("-5", Some(-5));
        check("Sun, 06 Nov 94 08:49:37 GMT", Some(784_111_777));
        for text in [
            "",
            "tomorrow",
            "0x",
            "0x-1",
            "+5",
            "--5",
            "5x",
            "2100-13-01",
            "2100-01-32",
            "100-01-01",
            "2100-01-01T25:61:00",
            "2100-01-01T00:00:00+xx",
            "2100-01-01-01",
            "01 Foo 2100",
            "01 Jan",
            "9223372036854775807d",
            "99999999999999999999",
            "1 Jan 2100 x",
            "\u{e9}",
            "2100-01-01T\u{e9}",
            "J\u{e9}n",
        ] {
            check(text, None);
        }
    }
}
