//! The head of a request: where it ends, what it says, and how long it says that its body is.

use super::reply::Refusal;
use super::{
    BODY_BYTES_MAX, CALL_BYTES_MAX, CALL_PREFIX, HEADER_BYTES_MAX, HEADERS_MAX, LINE_BYTES_MAX,
    origin_and_path,
};

/// What is to be done with the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other word.
    Other(&'a str),
}

impl<'a> Method<'a> {
    fn from_word(word: &'a str) -> Method<'a> {
        match word {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            other => Method::Other(other),
        }
    }
}

/// A header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name, as it was sent.
    pub name: &'a str,
    /// Its value, without blanks around it.
    pub value: &'a [u8],
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// It has so many bytes.
    Length(usize),
    /// It comes in chunks, of at most so many bytes together.
    Chunked(usize),
}

/// Finds the empty line that ends a head or trailers. Every byte is looked at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    /// Where looking goes on.
    at: usize,
    /// Where the line begins that is not whole.
    line: usize,
    /// Where header lines begin, once the request line has passed.
    headers: Option<usize>,
    /// Where the request line begins: an empty line may stand before it.
    begins: usize,
}

impl Search {
    /// For header lines alone, from `at` on.
    pub(super) fn trailers(at: usize) -> Search {
        Search {
            at,
            line: at,
            headers: Some(at),
            begins: at,
        }
    }

    /// Where the request line begins.
    pub(super) fn begins(&self) -> usize {
        self.begins
    }

    /// Where what follows the empty line begins, if the empty line is there.
    pub(super) fn end(&mut self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        loop {
            let rest = input.get(self.at..).unwrap_or_default();
            let Some(found) = rest.iter().position(|&byte| byte == b'\n') else {
                self.at = input.len();
                self.check(self.at)?;
                return Ok(None);
            };
            let end = self.at + found;
            self.check(end)?;
            let line = input.get(self.line..end).unwrap_or_default();
            let empty = matches!(line, [] | b"\r");
            self.at = end + 1;
            self.line = self.at;
            match self.headers {
                Some(_) if empty => return Ok(Some(self.at)),
                Some(_) => {}
                None if empty && self.begins == 0 => self.begins = self.at,
                None if empty => return Err(Refusal::bad("there is no request line")),
                None => self.headers = Some(self.at),
            }
        }
    }

    /// Refuses what is too long if it reaches up to `end`.
    fn check(&self, end: usize) -> Result<(), Refusal> {
        match self.headers {
            None if end - self.begins > LINE_BYTES_MAX => Err(Refusal::TARGET_TOO_LONG),
            Some(at) if end - at > HEADER_BYTES_MAX => Err(Refusal::HEADERS_TOO_LARGE),
            _ => Ok(()),
        }
    }
}

/// What a head says.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) method: Method<'a>,
    pub(super) target: &'a [u8],
    pub(super) minor: u8,
    pub(super) headers: Vec<Header<'a>>,
    pub(super) keep_alive: bool,
    pub(super) framing: Framing,
    /// The client waits to be told to send the body.
    pub(super) expects: bool,
}

impl<'a> Head<'a> {
    /// Reads a head that is whole.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Head<'a>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            Ok(_) => return Err(Refusal::bad("a line of the head does not end as it should")),
            Err(error) => return Err(refusal(error)),
        }
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(Refusal::bad("the request line is not whole"));
        };
        let headers: Vec<Header<'a>> = request
            .headers
            .iter()
            .map(|header| Header {
                name: header.name,
                value: header.value,
            })
            .collect();
        let target = target.as_bytes();
        let meaning = Meaning::of(&headers, minor)?;
        Ok(Head {
            method: Method::from_word(method),
            target,
            minor,
            keep_alive: meaning.stays.unwrap_or(minor > 0),
            expects: meaning.expects,
            framing: meaning.framing(minor, target)?,
            headers,
        })
    }
}

/// Checks that trailers are header lines; what they say is of no interest.
pub(super) fn check_trailers(bytes: &[u8]) -> Result<(), Refusal> {
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    if !lines.all(|line| line.ends_with(b"\r\n")) {
        return Err(Refusal::bad("a trailer does not end as it should"));
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete((end, _))) if end == bytes.len() => Ok(()),
        Ok(_) => Err(Refusal::bad("a trailer does not end as it should")),
        Err(error) => Err(refusal(error)),
    }
}

fn refusal(error: httparse::Error) -> Refusal {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => Refusal::HEADERS_TOO_LARGE,
        Error::Version => Refusal::VERSION,
        Error::HeaderName => Refusal::bad("a header's name is not one"),
        Error::HeaderValue => Refusal::bad("a header's value has bytes that none may have"),
        Error::NewLine => Refusal::bad("a carriage return stands alone"),
        Error::Token | Error::Status => {
            Refusal::bad("the request line is not a method, a target and a version")
        }
    }
}

/// What the headers say that are about the message itself.
#[derive(Debug, Default)]
struct Meaning<'a> {
    length: Option<&'a [u8]>,
    chunked: bool,
    /// Whether the connection is to live on, if a header says so; one word to close is enough.
    stays: Option<bool>,
    expects: bool,
}

impl<'a> Meaning<'a> {
    fn of(headers: &[Header<'a>], minor: u8) -> Result<Meaning<'a>, Refusal> {
        let mut meaning = Meaning::default();
        let mut hosts = 0;
        for &Header { name, value } in headers {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("content-length") {
                if meaning.length.replace(value).is_some() {
                    return Err(Refusal::bad("there is more than one Content-Length"));
                }
            } else if is("transfer-encoding") {
                if meaning.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::CODING);
                }
                meaning.chunked = true;
            } else if is("connection") {
                for word in value.split(|&byte| byte == b',') {
                    let word = word.trim_ascii();
                    if word.eq_ignore_ascii_case(b"close") {
                        meaning.stays = Some(false);
                    } else if word.eq_ignore_ascii_case(b"keep-alive") {
                        meaning.stays.get_or_insert(true);
                    }
                }
            } else if is("expect") && minor > 0 {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::EXPECTATION);
                }
                meaning.expects = true;
            } else if is("host") {
                hosts += 1;
            }
        }
        if hosts > 1 {
            return Err(Refusal::bad("there is more than one Host"));
        }
        Ok(meaning)
    }

    fn framing(&self, minor: u8, target: &[u8]) -> Result<Framing, Refusal> {
        let (_, path) = origin_and_path(target);
        let bytes_max = if path.starts_with(CALL_PREFIX) {
            CALL_BYTES_MAX
        } else {
            BODY_BYTES_MAX
        };
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::bad("the body has a length and chunks")),
            (true, None) if minor == 0 => Err(Refusal::bad("HTTP/1.0 has no chunks")),
            (true, None) => Ok(Framing::Chunked(bytes_max)),
            (false, None) => Ok(Framing::Length(0)),
            (false, Some(digits)) => {
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return Err(Refusal::bad("the Content-Length is no number"));
                }
                let number = digits.iter().try_fold(0_usize, |number, digit| {
                    let number = number.checked_mul(10)?;
                    number.checked_add(usize::from(digit - b'0'))
                });
                match number {
                    Some(bytes) if bytes <= bytes_max => Ok(Framing::Length(bytes)),
                    _ => Err(Refusal::BODY_TOO_LARGE),
                }
            }
        }
    }
}
