//! Tycoon's dialect on the database that the path names.

use super::super::call::Caller;
use super::super::turn::Flow;
use super::ask;
use hakone::{Command, Condition, Error, ExpirySet, Reply};
use hakone_wire::http::rest::tycoon::{Rest, Verb, expiry_header};
use hakone_wire::http::{Request, Responder};

/// What Tycoon says of a record that is not there.
const NO_RECORD: &[u8] = b"DB: 7: no record: no record";
/// What Tycoon says of a record that is there already.
const DUPLICATE: &[u8] = b"DB: 6: record duplication: record duplication";

pub(super) fn execute(caller: &mut Caller<'_>, request: &Request<'_>, out: &mut Vec<u8>) -> Flow {
    let answer = Answer {
        responder: Responder::of(request),
        now: caller.now,
    };
    let Ok(Rest {
        verb,
        database,
        key,
    }) = Rest::of(request)
    else {
        answer.words(400, "bad escape", out);
        return Flow::Go;
    };
    if verb == Verb::Unknown {
        answer.empty(501, &[], out);
        return Flow::Go;
    }
    let Some(number) = caller.service.databases.meant(&database) else {
        answer.words(400, "no such database", out);
        return Flow::Go;
    };
    let result = match verb {
        Verb::Get | Verb::Unknown => ask(caller, number, &Command::Get { key: &key }, |reply| {
            answer.record(&reply, out);
            if let Reply::Record(record) = reply {
                out.extend_from_slice(record.value);
            }
        }),
        Verb::Head => ask(caller, number, &Command::Describe { key: &key }, |reply| {
            answer.record(&reply, out);
        }),
        Verb::Put { condition, expiry } => {
            let command = Command::Put {
                key: &key,
                value: &request.body,
                condition,
                expiry: ExpirySet::At(expiry),
                flags: 0,
                want_old: false,
            };
            let location = location(caller.service.config.port, request.path());
            ask(caller, number, &command, |reply| match reply {
                Reply::Refused if condition == Condition::IfAbsent => {
                    answer.failed(450, DUPLICATE, out);
                }
                Reply::Refused => answer.failed(450, NO_RECORD, out),
                _ => answer.empty(201, &[("Location", &location)], out),
            })
        }
        Verb::Delete => {
            let command = Command::Remove {
                key: &key,
                want_old: false,
            };
            ask(caller, number, &command, |reply| match reply {
                Reply::Missing => answer.failed(404, NO_RECORD, out),
                _ => answer.empty(204, &[], out),
            })
        }
    };
    if let Err(error) = result {
        let (status, text) = describe(&error);
        answer.failed(status, text.as_bytes(), out);
    }
    Flow::Go
}

/// Where a record can be found that was put: the target as it came, on the machine itself.
fn location(port: u16, path: &[u8]) -> Vec<u8> {
    let mut location = b"http://localhost".to_vec();
    if !matches!(port, 0 | 80) {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    location.extend_from_slice(path);
    location
}

/// The status that an error of the store comes to, and what Tycoon would say of it.
fn describe(error: &Error) -> (u16, String) {
    let (status, name) = match error {
        Error::KeyTooLarge { .. } => (414, "2: invalid operation"),
        Error::ValueTooLarge { .. } => (413, "2: invalid operation"),
        _ => (500, "9: system error"),
    };
    let text = format!("DB: {name}: {error}");
    (status, text.replace(|c: char| c.is_ascii_control(), " "))
}

/// What all answers to one request have in common.
#[derive(Clone, Copy, Debug)]
struct Answer {
    responder: Responder,
    now: u64,
}

impl Answer {
    /// The head that goes before a record's value, or what is said where there is none.
    fn record(self, reply: &Reply<'_>, out: &mut Vec<u8>) {
        let Reply::Record(record) = reply else {
            return self.failed(404, NO_RECORD, out);
        };
        let expiry = (record.expiry != 0).then(|| expiry_header(record.expiry));
        let header = expiry.as_ref().map(|text| ("X-Kt-Xt", text.as_bytes()));
        let bytes = usize::try_from(record.value_bytes).unwrap_or(usize::MAX);
        let headers = header.as_slice();
        self.responder
            .tycoon(200, Some(bytes), headers, self.now, out);
    }

    fn failed(self, status: u16, why: &[u8], out: &mut Vec<u8>) {
        self.empty(status, &[("X-Kt-Error", why)], out);
    }

    fn empty(self, status: u16, headers: &[(&str, &[u8])], out: &mut Vec<u8>) {
        self.responder
            .tycoon(status, Some(0), headers, self.now, out);
    }

    /// A line in the body.
    fn words(self, status: u16, words: &str, out: &mut Vec<u8>) {
        let bytes = Some(words.len() + 1);
        self.responder.tycoon(status, bytes, &[], self.now, out);
        if !self.responder.head_only {
            out.extend_from_slice(words.as_bytes());
            out.push(b'\n');
        }
    }
}
