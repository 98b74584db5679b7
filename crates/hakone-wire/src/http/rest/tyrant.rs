//! Tyrant's dialect: the whole path is the key, headers that begin with `X-TT-` say the rest.

use super::super::{Method, Request, percent_decode};
use std::borrow::Cow;

/// What the names of the dialect's headers begin with.
pub const HEADERS: &str = "X-TT-";

/// A request in this dialect.
#[derive(Debug, PartialEq, Eq)]
pub struct Rest<'a> {
    /// What is asked.
    pub verb: Verb,
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
    Put,
    /// Write the body if there is no record.
    PutKeep,
    /// Add the body to the value.
    PutCat,
    /// Remove the record.
    Delete,
    /// Run a function of a script.
    Call,
    /// Run a function of the database.
    Misc,
    /// A `POST` that names no function.
    Nothing,
    /// What the server is.
    Options,
    /// A method that the dialect has no meaning for.
    Unknown,
}

impl<'a> Rest<'a> {
    /// What a request means. The query belongs to the key, and a bad escape ends it.
    pub fn of(request: &Request<'a>) -> Rest<'a> {
        let has = |name| request.header(name).is_some();
        let verb = match request.method {
            Method::Get => Verb::Get,
            Method::Head => Verb::Head,
            Method::Put => match request.header("X-TT-PDMODE").unwrap_or_default() {
                b"1" => Verb::PutKeep,
                b"2" => Verb::PutCat,
                _ => Verb::Put,
            },
            Method::Delete => Verb::Delete,
            Method::Post if has("X-TT-XNAME") => Verb::Call,
            Method::Post if has("X-TT-MNAME") => Verb::Misc,
            Method::Post => Verb::Nothing,
            Method::Options => Verb::Options,
            Method::Other(_) => Verb::Unknown,
        };
        let path = request.path();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let key = percent_decode(path).unwrap_or_else(Cow::Owned);
        Rest { verb, key }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Decoder, Message};
    use super::*;
    use crate::Step;

    #[test]
    fn methods_headers_and_paths_say_what_is_meant() {
        let check = |line: &str, headers: &str, verb, key: &str| {
            let text = format!("{line} HTTP/1.1\r\n{headers}\r\n");
            match Decoder::default().decode(text.as_bytes()) {
                Step::Request(Message::Request(request), _) => {
                    let key = Cow::Borrowed(key.as_bytes());
                    assert_eq!(Rest::of(&request), Rest { verb, key }, "{text}");
                }
                other => panic!("{other:?}"),
            }
        };
        check("GET /a+b%2F/c?d", "", Verb::Get, "a b//c?d");
        check("GET http://h:1/a", "", Verb::Get, "a");
        check("HEAD //a", "", Verb::Head, "/a");
        check("DELETE /", "", Verb::Delete, "");
        check("DELETE /ab%4", "", Verb::Delete, "ab");
        check("PUT /a", "", Verb::Put, "a");
        check("PUT /a", "X-TT-PDMODE: 0\r\n", Verb::Put, "a");
        check("PUT /a", "x-tt-pdmode: 1\r\n", Verb::PutKeep, "a");
        check("PUT /a", "X-TT-PDMODE: 2\r\n", Verb::PutCat, "a");
        check("POST /a", "", Verb::Nothing, "a");
        check("POST /a", "X-TT-MNAME: m\r\n", Verb::Misc, "a");
        let both = "X-TT-MNAME: m\r\nX-TT-XNAME: x\r\n";
        check("POST /a", both, Verb::Call, "a");
        check("OPTIONS *", "", Verb::Options, "*");
        check("PATCH /a", "", Verb::Unknown, "a");
    }
}
