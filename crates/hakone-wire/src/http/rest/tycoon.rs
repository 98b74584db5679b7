//! Tycoon's dialect: the path names a database and a key, headers that begin with `X-Kt-` say the
//! rest.

use super::super::{Method, Request, date, percent_decode};
use crate::tycoon::expiry_of;
use hakone_command::{Condition, Millis};
use std::borrow::Cow;

/// What the names of the dialect's headers begin with.
pub const HEADERS: &str = "X-Kt-";

/// A request in this dialect.
#[derive(Debug, PartialEq, Eq)]
pub struct Rest<'a> {
    /// What is asked.
    pub verb: Verb,
    /// Of which database: its number or its name; empty is number 0.
    pub database: Cow<'a, [u8]>,
    /// Of which record.
    pub key: Cow<'a, [u8]>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The value.
    Get,
    /// The size of the value.
    Head,
    /// Write the body.
    Put {
        /// When to.
        condition: Condition,
        /// When the record expires; 0 means never.
        expiry: Millis,
    },
    /// Remove the record.
    Delete,
    /// A method that the dialect has no meaning for.
    Unknown,
}

/// A path with an escape that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape;

impl<'a> Rest<'a> {
    /// What a request means. The query has no meaning.
    ///
    /// # Errors
    /// [`BadEscape`], since half a key would be another key.
    pub fn of(request: &Request<'a>) -> Result<Rest<'a>, BadEscape> {
        let verb = match request.method {
            Method::Get => Verb::Get,
            Method::Head => Verb::Head,
            Method::Put => Verb::Put {
                condition: condition(request.header("X-Kt-Mode").unwrap_or_default()),
                expiry: request.header("X-Kt-Xt").map_or(0, expiry),
            },
            Method::Delete => Verb::Delete,
            _ => Verb::Unknown,
        };
        let path = request.path();
        let query = path.iter().position(|&byte| byte == b'?');
        let path = path.get(..query.unwrap_or(path.len())).unwrap_or_default();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let slash = path.iter().position(|&byte| byte == b'/');
        let (database, key) = match slash.and_then(|slash| path.split_at_checked(slash)) {
            Some((database, key)) => (database, key.strip_prefix(b"/").unwrap_or(key)),
            None => (&[][..], path),
        };
        // An empty part before the key is one more slash that may stand there.
        let key = match slash {
            Some(_) => key.strip_prefix(b"/").unwrap_or(key),
            None => key,
        };
        Ok(Rest {
            verb,
            database: percent_decode(database).map_err(|_| BadEscape)?,
            key: percent_decode(key).map_err(|_| BadEscape)?,
        })
    }
}

fn condition(mode: &[u8]) -> Condition {
    if mode.eq_ignore_ascii_case(b"add") {
        Condition::IfAbsent
    } else if mode.eq_ignore_ascii_case(b"replace") {
        Condition::IfPresent
    } else {
        Condition::Always
    }
}

/// The expiry that a header says: always a moment, never a time from now on. The record is there to
/// the end of that second.
fn expiry(value: &[u8]) -> Millis {
    let text = std::str::from_utf8(value).unwrap_or_default();
    match date::parse(text) {
        Some(second @ 1..) => expiry_of(second.unsigned_abs()),
        _ => 0,
    }
}

/// The header that says when a record expires. It is there to the end of that second.
pub fn expiry_header(expiry: Millis) -> String {
    date::http(expiry.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Decoder, Message};
    use super::*;
    use crate::Step;

    fn rest(line: &str, headers: &str, check: impl FnOnce(Result<Rest<'_>, BadEscape>)) {
        let text = format!("{line} HTTP/1.1\r\n{headers}\r\n");
        match Decoder::default().decode(text.as_bytes()) {
            Step::Request(Message::Request(request), _) => check(Rest::of(&request)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_path_is_a_key_or_a_database_and_a_key() {
        let check = |target: &str, database: &str, key: &str| {
            rest(&format!("GET {target}"), "", |rest| {
                let expected = Rest {
                    verb: Verb::Get,
                    database: Cow::Borrowed(database.as_bytes()),
                    key: Cow::Borrowed(key.as_bytes()),
                };
                assert_eq!(rest, Ok(expected), "{target}");
            });
        };
        check("/key", "", "key");
        check("/", "", "");
        check("/a%2Fb", "", "a/b");
        check("/1/k+x", "1", "k x");
        check("/%25/a/b", "%", "a/b");
        check("//a", "", "a");
        check("/1//a", "1", "a");
        check("/1///a", "1", "/a");
        check("/1/", "1", "");
        check("/a?b=/c", "", "a");
        check("http://h/1/a?b", "1", "a");
        for target in ["/a%", "/%zz/a"] {
            rest(&format!("GET {target}"), "", |rest| {
                assert_eq!(rest, Err(BadEscape), "{target}");
            });
        }
    }

    #[test]
    fn methods_and_headers_say_what_is_meant() {
        let check = |method: &str, headers: &str, verb| {
            rest(&format!("{method} /k"), headers, |rest| {
                assert_eq!(rest.unwrap().verb, verb, "{method} {headers}");
            });
        };
        let put = |condition, expiry| Verb::Put { condition, expiry };
        check("HEAD", "", Verb::Head);
        check("DELETE", "", Verb::Delete);
        check("POST", "", Verb::Unknown);
        check("OPTIONS", "", Verb::Unknown);
        check("get", "", Verb::Unknown);
        check("PUT", "", put(Condition::Always, 0));
        check("PUT", "X-Kt-Mode: ADD\r\n", put(Condition::IfAbsent, 0));
        check(
            "PUT",
            "x-kt-mode: replace\r\n",
            put(Condition::IfPresent, 0),
        );
        check("PUT", "X-Kt-Mode: else\r\n", put(Condition::Always, 0));
        check("PUT", "X-Kt-Xt: 60\r\n", put(Condition::Always, 61_000));
        for never in [
            "0",
            "-1",
            "tomorrow",
            "\u{e9}",
            "1099511627775",
            "0xffffffffff",
        ] {
            let header = format!("X-Kt-Xt: {never}\r\n");
            check("PUT", &header, put(Condition::Always, 0));
        }
        let last = put(Condition::Always, 1_099_511_627_775_000);
        check("PUT", "X-Kt-Xt: 1099511627774\r\n", last);
    }
}
