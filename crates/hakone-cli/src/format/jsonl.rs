//! JSON lines: one object a record, `key` and `value` as text, or `key_base64` and `value_base64`
//! where they are not UTF-8; `expiry_ms` and `flags` where they are set.

use hakone_client::base64;
use hakone_client::transfer::Record;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Write;

/// Appends `entry`, without a line end.
pub(super) fn write(entry: &Record, out: &mut Vec<u8>) {
    out.push(b'{');
    field("key", &entry.key, out);
    out.push(b',');
    field("value", &entry.value, out);
    if entry.expiry_ms != 0 {
        number("expiry_ms", entry.expiry_ms, out);
    }
    if entry.flags != 0 {
        number("flags", entry.flags.into(), out);
    }
    out.push(b'}');
}

fn field(name: &str, bytes: &[u8], out: &mut Vec<u8>) {
    let written = if let Ok(text) = std::str::from_utf8(bytes) {
        write!(out, "\"{name}\":")
            .and_then(|()| serde_json::to_writer(&mut *out, text).map_err(Into::into))
    } else {
        let written = write!(out, "\"{name}_base64\":\"");
        base64::encode(bytes, out);
        out.push(b'"');
        written
    };
    written.unwrap_or_else(|_| unreachable!("writing text to memory cannot fail"));
}

fn number(name: &str, number: u64, out: &mut Vec<u8>) {
    write!(out, ",\"{name}\":{number}")
        .unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    value_base64: Option<Cow<'a, str>>,
    #[serde(default)]
    expiry_ms: u64,
    #[serde(default)]
    flags: u32,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Record, String> {
    // serde would take an array for the fields in order.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err("not an object".to_owned());
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| {
        // The line is ours to name: only the column is of use.
        let text = error.to_string();
        match text.rsplit_once(" at line ") {
            Some((what, _)) => format!("{what}, column {}", error.column()),
            None => text,
        }
    })?;
    Ok(Record {
        key: bytes("key", line.key, line.key_base64)?,
        value: bytes("value", line.value, line.value_base64)?,
        expiry_ms: line.expiry_ms,
        flags: line.flags,
    })
}

fn bytes(
    name: &str,
    text: Option<Cow<'_, str>>,
    base64: Option<Cow<'_, str>>,
) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_owned().into_bytes()),
        (None, Some(text)) => {
            base64::decode(text.as_bytes()).ok_or_else(|| format!("{name}_base64 is not base64"))
        }
        (None, None) => Err(format!("neither {name} nor {name}_base64")),
        (Some(_), Some(_)) => Err(format!("both {name} and {name}_base64")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_as_objects() {
        for (key, value, expiry_ms, flags, line) in [
            (
                &b"tea"[..],
                &b"green"[..],
                0,
                0,
                r#"{"key":"tea","value":"green"}"#,
            ),
            (
                "\u{e9}\"\n".as_bytes(),
                b"",
                0,
                0,
                "{\"key\":\"\u{e9}\\\"\\n\",\"value\":\"\"}",
            ),
            (
                b"\xff",
                b"\x00",
                0,
                0,
                r#"{"key_base64":"/w==","value":"\u0000"}"#,
            ),
            (
                b"k",
                b"\xfe",
                5,
                6,
                r#"{"key":"k","value_base64":"/g==","expiry_ms":5,"flags":6}"#,
            ),
        ] {
            let entry = Record {
                key: key.to_vec(),
                value: value.to_vec(),
                expiry_ms,
                flags,
            };
            let mut out = Vec::new();
            write(&entry, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), line);
            assert_eq!(read(line.as_bytes()), Ok(entry));
        }
    }

    #[test]
    fn other_spellings_of_a_record_are_read() {
        let entry =
            read(" { \"value\" : \"\u{1f5fb}\", \"key_base64\" : \"\" } ".as_bytes()).unwrap();
        assert_eq!(
            (entry.key, entry.value),
            (Vec::new(), "\u{1f5fb}".as_bytes().to_vec())
        );
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, what) in [
            (&b"{}"[..], "neither key nor key_base64"),
            (br#"{"key":"k"}"#, "neither value nor value_base64"),
            (
                br#"{"key":"k","key_base64":"aw==","value":""}"#,
                "both key and key_base64",
            ),
            (
                br#"{"key":"k","value_base64":"?"}"#,
                "value_base64 is not base64",
            ),
            (
                br#"{"key":1,"value":""}"#,
                "invalid type: integer `1`, expected a string",
            ),
            (
                br#"{"key":"k","key":"l","value":""}"#,
                "duplicate field `key`",
            ),
            (br#"{"key":"k","value":"v""#, "EOF while parsing an object"),
            (br#"{"key":"k","value":"v"} x"#, "trailing characters"),
            (br#"["k",null,"v",null]"#, "not an object"),
            (b"x", "not an object"),
            (
                br#"{"key":"k","value":"v","flags":4294967296}"#,
                "invalid value: integer `4294967296`, expected u32",
            ),
            (
                br#"{"key":"k","value":"v","expiry_ms":-1}"#,
                "invalid value: integer `-1`, expected u64",
            ),
            (
                b"{\"key\":\"\xff\",\"value\":\"\"}",
                "invalid unicode code point",
            ),
            (
                br#"{"key":"\ud800","value":""}"#,
                "unexpected end of hex escape",
            ),
        ] {
            let error = read(line).unwrap_err();
            let line = line.escape_ascii();
            assert!(error.starts_with(what), "{line}: {error}");
        }
        let cut = read(br#"{"key":"k","value":"v""#).unwrap_err();
        assert_eq!(cut, "EOF while parsing an object, column 22");
        let unknown = read(br#"{"key":"k","value":"v","ttl":1}"#).unwrap_err();
        assert!(
            unknown.starts_with("unknown field `ttl`, expected one of `key`"),
            "{unknown}"
        );
    }
}
