//! Replies to elements.

use super::super::encode::Writer;
use hakone_command::{Next, Page, Record, Reply, Version};

/// Appends a reply so that it can be told from every other one:
///
/// | reply | element |
/// |---|---|
/// | `Done` | `OK` |
/// | `Refused` | `REFUSED` |
/// | `NotANumber`, `Overflow` | `NOTANUMBER`, `OVERFLOW` |
/// | `Missing` | null |
/// | `Number` | an integer |
/// | `Value` | a byte string |
/// | `Stored` | `[version]` |
/// | `Placed` | `[version, position]` |
/// | `Record` | `[value, expiry, flags, version, bytes of the value]` |
/// | `Page` | where it goes on (null at the end, `[cursor]` or `[RESUME, position]`), then each record as `[key, value, expiry, flags, version, position]`, or `[key, position]` without values |
///
/// Versions and cursors are byte strings of digits, as they may be greater than any integer of the
/// protocol. Replies to commands that have no words here are answered as an error.
pub fn reply(reply: &Reply<'_>, values: bool, to: &mut Writer<'_>) {
    match *reply {
        Reply::Done => to.simple("OK"),
        Reply::Refused => to.simple("REFUSED"),
        Reply::NotANumber => to.simple("NOTANUMBER"),
        Reply::Overflow => to.simple("OVERFLOW"),
        Reply::Missing => to.null(),
        Reply::Number(number) => to.integer(number),
        Reply::Value(value) => to.bulk(value),
        Reply::Stored(version) => {
            to.array(1);
            digits(version, to);
        }
        Reply::Placed { version, position } => {
            to.array(2);
            digits(version, to);
            to.bulk(position);
        }
        Reply::Record(record) => {
            to.array(5);
            fields(&record, to);
            digits(record.value_bytes, to);
        }
        Reply::Page(found) => page(found, values, to),
        _ => to.error(b"ERR this reply has no words"),
    }
}

fn page(page: &Page, values: bool, to: &mut Writer<'_>) {
    to.array(1 + page.len());
    match (page.next, page.resume()) {
        (Next::Cursor(cursor), _) => {
            to.array(1);
            digits(cursor, to);
        }
        (_, Some(position)) => {
            to.array(2);
            to.simple("RESUME");
            to.bulk(position);
        }
        (_, None) => to.null(),
    }
    for (index, (key, record)) in page.iter().enumerate() {
        to.array(if values { 6 } else { 2 });
        to.bulk(key);
        if values {
            fields(&record, to);
        }
        // Most often the key itself, which need not be said twice.
        match page.position(index) {
            position if position == key => to.null(),
            position => to.bulk(position),
        }
    }
}

/// Value, expiry, flags and version.
fn fields(record: &Record<'_>, to: &mut Writer<'_>) {
    to.bulk(record.value);
    to.integer(i64::try_from(record.expiry).unwrap_or(i64::MAX));
    to.integer(i64::from(record.flags));
    digits(record.version, to);
}

fn digits(number: Version, to: &mut Writer<'_>) {
    to.bulk(hakone_command::format_unsigned(number, &mut [0; 20]));
}
