//! Bytes to messages. A head is read when it is whole, a body is waited for and never copied unless
//! it comes in several chunks. No byte of a body is looked at more than twice, however it is cut.

use super::chunks::{Chunks, Look};
use super::head::{Framing, Head, Header, Method, Search};
use super::reply::Refusal;
use super::target::origin_and_path;
use crate::Step;
use std::borrow::Cow;

/// What a connection has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request, whole.
    Request(Request<'a>),
    /// Bytes that are no request, or more than is taken: answer this, and close.
    Refused(Refusal),
}

/// A request, whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is to be done.
    pub method: Method<'a>,
    /// With what: the target as it stands in the request line.
    pub target: &'a [u8],
    /// The version after `HTTP/1.`: 0 or 1.
    pub minor: u8,
    /// The header lines, in their order.
    pub headers: Vec<Header<'a>>,
    /// The body; empty if there is none.
    pub body: Cow<'a, [u8]>,
    /// Whether the client wants the connection to live on.
    pub keep_alive: bool,
}

impl<'a> Request<'a> {
    /// The value of the last header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let named = |header: &&Header<'a>| header.name.eq_ignore_ascii_case(name);
        self.headers.iter().rev().find(named).map(|h| h.value)
    }

    /// Whether the name of a header begins with this, whatever its case.
    pub fn has_header_like(&self, prefix: &str) -> bool {
        self.headers.iter().any(|header| {
            let start = header.name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
    }

    /// The key of database 0 that both dialects read in the path, where it stands there as it is.
    pub fn plain_key(&self) -> Option<&'a [u8]> {
        let key = self.path().strip_prefix(b"/")?;
        let plain = |byte: &u8| !matches!(byte, b'/' | b'?' | b'%' | b'+');
        key.iter().all(plain).then_some(key)
    }

    /// The target without the `http://host` that it may begin with.
    pub fn path(&self) -> &'a [u8] {
        origin_and_path(self.target).1
    }
}

/// Where a connection stands in a request that is not whole.
#[derive(Debug, Default)]
pub struct Decoder {
    search: Search,
    body: Option<Body>,
    /// A body is not whole before there are so many bytes.
    need: usize,
    /// The client is to be told to send the body.
    go_on: bool,
}

#[derive(Debug)]
struct Body {
    begins: usize,
    end: End,
}

#[derive(Debug)]
enum End {
    At(usize),
    Chunks(Chunks),
}

impl Body {
    fn look<'a>(&mut self, input: &'a [u8]) -> Result<Look<'a>, Refusal> {
        match &mut self.end {
            End::Chunks(chunks) => chunks.look(input),
            End::At(end) => Ok(match input.get(self.begins..*end) {
                Some(bytes) => Look::Whole(Cow::Borrowed(bytes), *end),
                None => Look::Needs(*end),
            }),
        }
    }
}

impl Decoder {
    /// Looks at all bytes of the connection that are not consumed.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<Message<'a>> {
        match self.look(input) {
            Ok(Some((request, bytes))) => {
                *self = Decoder::default();
                Step::Request(Message::Request(request), bytes)
            }
            Ok(None) => Step::Partial {
                consumed: 0,
                need: self.need.max(input.len() + 1),
            },
            Err(refusal) => {
                *self = Decoder::default();
                Step::Request(Message::Refused(refusal), input.len())
            }
        }
    }

    fn look<'a>(&mut self, input: &'a [u8]) -> Result<Option<(Request<'a>, usize)>, Refusal> {
        let mut head = None;
        let body = match &mut self.body {
            Some(body) => body,
            none => {
                let Some(end) = self.search.end(input)? else {
                    return Ok(None);
                };
                let read = Head::read(input.get(self.search.begins()..end).unwrap_or_default())?;
                self.go_on = read.expects && input.len() == end;
                let body = Body {
                    begins: end,
                    end: match read.framing {
                        Framing::Length(bytes) => End::At(end + bytes),
                        Framing::Chunked(bytes_max) => End::Chunks(Chunks::new(end, bytes_max)),
                    },
                };
                head = Some(read);
                none.insert(body)
            }
        };
        let (bytes, end) = match body.look(input)? {
            Look::Whole(bytes, end) => (bytes, end),
            Look::Needs(need) => {
                self.need = need;
                return Ok(None);
            }
        };
        let head = match head {
            Some(head) => head,
            None => Head::read(
                input
                    .get(self.search.begins()..body.begins)
                    .unwrap_or_default(),
            )?,
        };
        let request = Request {
            method: head.method,
            target: head.target,
            minor: head.minor,
            headers: head.headers,
            body: bytes,
            keep_alive: head.keep_alive,
        };
        Ok(Some((request, end)))
    }

    /// Whether the client has, with the bytes that were looked at last, begun to wait for
    /// `100 Continue`.
    pub fn is_awaited(&mut self) -> bool {
        std::mem::take(&mut self.go_on)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        BODY_BYTES_MAX, CALL_BYTES_MAX, CHUNK_LINE_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX,
        LINE_BYTES_MAX,
    };
    use super::*;

    /// What a request came to, in words, and how many bytes were left; `None` where it is not whole.
    fn whole(input: &[u8]) -> Option<String> {
        let mut decoder = Decoder::default();
        tell(decoder.decode(input), input)
    }

    fn tell(step: Step<Message<'_>>, input: &[u8]) -> Option<String> {
        match step {
            Step::Partial { consumed, need } => {
                assert_eq!(consumed, 0);
                assert!(need > input.len());
                None
            }
            Step::Request(Message::Refused(refusal), bytes) => {
                assert_eq!(bytes, input.len(), "the rest is of no use");
                Some(refusal.status.to_string())
            }
            Step::Request(Message::Request(request), bytes) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = request.headers.iter();
                let headers: Vec<String> = headers
                    .map(|header| format!("{}={}", header.name, text(header.value)))
                    .collect();
                Some(format!(
                    "{:?} {} 1.{} [{}] {:?} {} {}",
                    request.method,
                    text(request.target),
                    request.minor,
                    headers.join(" "),
                    text(&request.body),
                    if request.keep_alive { "stay" } else { "close" },
                    input.len() - bytes
                ))
            }
            Step::Close => panic!("HTTP always answers"),
        }
    }

    /// Decodes the request whole, cut before every byte, and byte by byte: always the same.
    fn check(input: &str, expected: &str) {
        let input = input.as_bytes();
        let what = input.escape_ascii();
        assert_eq!(whole(input).as_deref(), Some(expected), "{what}");
        for cut in 0..input.len() {
            let mut decoder = Decoder::default();
            let told = tell(decoder.decode(&input[..cut]), &input[..cut]);
            let told = told.or_else(|| tell(decoder.decode(input), input));
            let refused = expected.len() == 3;
            if refused || told.as_deref().is_some_and(|told| told.ends_with(" 0")) {
                let expected = expected.strip_suffix(char::is_numeric).unwrap_or(expected);
                assert!(told.unwrap().starts_with(expected), "{what} cut at {cut}");
            }
        }
        let mut decoder = Decoder::default();
        let mut pieces = (0..=input.len()).filter_map(|end| {
            let input = &input[..end];
            tell(decoder.decode(input), input)
        });
        let told = pieces.next().unwrap();
        let expected = expected.strip_suffix(char::is_numeric).unwrap_or(expected);
        assert!(told.starts_with(expected), "{what} in pieces: {told}");
    }

    #[test]
    fn requests_are_read() {
        check("GET /a HTTP/1.1\r\n\r\n", "Get /a 1.1 [] \"\" stay 0");
        check("GET /a HTTP/1.0\r\n\r\n", "Get /a 1.0 [] \"\" close 0");
        check("GET /a HTTP/1.1\n\n", "Get /a 1.1 [] \"\" stay 0");
        check("\r\nGET /a HTTP/1.1\r\n\r\n", "Get /a 1.1 [] \"\" stay 0");
        check(
            "PATCH * HTTP/1.1\r\nA:  b c \t\r\nB:\r\nC: \u{e9}\r\n\r\nGET",
            "Other(\"PATCH\") * 1.1 [A=b c B= C=\u{e9}] \"\" stay 3",
        );
        check(
            "PUT /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcdef",
            "Put /a 1.1 [content-length=3] \"abc\" stay 3",
        );
        check(
            "GET /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
            "Get /a 1.1 [Content-Length=2] \"ab\" stay 0",
        );
    }

    #[test]
    fn a_key_without_escapes_can_be_looked_up_ahead() {
        let check = |target: &str, expected: Option<&str>| {
            let input = format!("GET {target} HTTP/1.1\r\n\r\n");
            match Decoder::default().decode(input.as_bytes()) {
                Step::Request(Message::Request(request), _) => {
                    assert_eq!(request.plain_key(), expected.map(str::as_bytes), "{target}");
                }
                other => panic!("{other:?}"),
            }
        };
        check("/key-1.~", Some("key-1.~"));
        check("http://h/key", Some("key"));
        check("/", Some(""));
        for target in ["/1/key", "/rpc/void", "/a%20b", "/a+b", "/a?b", "*"] {
            check(target, None);
        }
    }

    #[test]
    fn connections_live_on_as_the_version_and_the_header_say() {
        let check = |minor, header: &str, expected: &str| {
            let input = format!("GET / HTTP/1.{minor}\r\nConnection: {header}\r\n\r\n");
            let told = whole(input.as_bytes()).unwrap();
            assert!(told.ends_with(&format!("{expected} 0")), "{input}: {told}");
        };
        check(1, "close", "close");
        check(1, "Keep-Alive", "stay");
        check(1, "te, CLOSE", "close");
        check(1, "upgrade", "stay");
        check(0, "Keep-Alive", "stay");
        check(0, "keep-alive, close", "close");
        check(0, "keep-alives", "close");
    }

    #[test]
    fn bodies_in_chunks_are_taken_together() {
        let check = |body: &str, expected: &str, left| {
            let head = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
            check(
                &[head, body].concat(),
                &format!("Post / 1.1 [Transfer-Encoding=Chunked] {expected:?} stay {left}"),
            );
        };
        check("0\r\n\r\n", "", 0);
        check("3\r\nabc\r\n0\r\n\r\n", "abc", 0);
        check(
            "3\r\nabc\r\n00A;a=\"b\"\r\n0123456789\r\n0;x\r\n\r\nrest",
            "abc0123456789",
            4,
        );
        check(
            "1\r\na\r\n1\r\nb\r\n1\r\n\n\r\n0\r\nA: b\r\nC:\r\n\r\n",
            "ab\n",
            0,
        );
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let long_digits = "9".repeat(40);
        for (head, body) in [
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
            ("Content-Length: 3\r\nContent-Length: 4", "abcd"),
            ("Content-Length: 3\r\nContent-Length: 3", "abc"),
            ("Content-Length: 3, 3", "abc"),
            ("Content-Length: +3", "abc"),
            ("Content-Length: -1", ""),
            ("Content-Length: 0x3", "abc"),
            ("Content-Length: 3 ;", "abc"),
            ("Content-Length:", "abc"),
            ("Content-Length : 3", "abc"),
            (" Content-Length: 3", "abc"),
            ("A: b\r\n c", ""),
            ("A: b\r\n\tc", ""),
            ("A: b\rc: d", ""),
            ("A: b\u{0}", ""),
            ("A: b\u{7f}", ""),
            ("A: \u{1}", ""),
            ("A\u{0}: b", ""),
            ("A\r: b", ""),
            ("A b: c", ""),
            (": b", ""),
            ("A", ""),
            ("Host: a\r\nHost: a", ""),
            ("Transfer-Encoding: chunked", "3\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3\r\nabc\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3\r\nabcd\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3\r\nab\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "0\r\n\n"),
            ("Transfer-Encoding: chunked", "0\r\nA: b\n\r\n"),
            ("Transfer-Encoding: chunked", "0\r\nA b\r\n\r\n"),
            ("Transfer-Encoding: chunked", "-1\r\n\r\n"),
            ("Transfer-Encoding: chunked", "+3\r\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "0x3\r\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", " 3\r\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3 x\r\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "3;\u{1}\r\nabc\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked", "g\r\n\r\n"),
        ] {
            check(&format!("POST / HTTP/1.1\r\n{head}\r\n\r\n{body}"), "400");
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /\u{1} HTTP/1.1",
            "GET / HTTP/1.1\rA: b",
            "G\u{0}T / HTTP/1.1",
            "GET(/ / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET /",
        ] {
            check(&format!("{line}\r\n\r\n"), "400");
        }
        check("\r\n\r\nGET / HTTP/1.1\r\n\r\n", "400");
        let chunked = "Transfer-Encoding: chunked";
        check(
            &format!("PUT / HTTP/1.0\r\n{chunked}\r\n\r\n0\r\n\r\n"),
            "400",
        );
        for coding in [
            "gzip",
            "chunked, chunked",
            "identity",
            "gzip, chunked",
            "xchunked",
            "",
        ] {
            check(
                &format!("PUT / HTTP/1.1\r\nTransfer-Encoding: {coding}\r\n\r\n"),
                "501",
            );
        }
        check(
            &format!("PUT / HTTP/1.1\r\n{chunked}\r\n{chunked}\r\n\r\n"),
            "501",
        );
        check("GET / HTTP/1.2\r\n\r\n", "505");
        check("GET / HTTP/2.0\r\n\r\n", "505");
        check("PUT / HTTP/1.1\r\nExpect: 200\r\n\r\n", "417");
        check(
            &format!("PUT / HTTP/1.1\r\nContent-Length: {long_digits}\r\n\r\n"),
            "413",
        );
        check(
            &format!("PUT / HTTP/1.1\r\n{chunked}\r\n\r\n{long_digits}\r\n"),
            "413",
        );
    }

    #[test]
    fn limits_hold_before_anything_is_waited_for() {
        let told = |input: String| whole(input.as_bytes());
        let refused = |status: &str| Some(status.to_owned());
        let line = |bytes: usize| format!("GET /{}", "a".repeat(bytes - 5 - 10));
        let rest = " HTTP/1.1\r\n\r\n";
        assert!(
            told(line(LINE_BYTES_MAX) + rest)
                .unwrap()
                .starts_with("Get")
        );
        assert_eq!(told(line(LINE_BYTES_MAX + 1) + rest), refused("414"));
        assert_eq!(told("G".repeat(LINE_BYTES_MAX)), None);
        assert_eq!(told("G".repeat(LINE_BYTES_MAX + 1)), refused("414"));

        let head = "GET / HTTP/1.1\r\n";
        let header = |bytes: usize| format!("{head}A:{}\r\n\r\n", "b".repeat(bytes - 5));
        assert!(told(header(HEADER_BYTES_MAX)).unwrap().starts_with("Get"));
        assert_eq!(told(header(HEADER_BYTES_MAX + 1)), refused("431"));
        let endless = |bytes| format!("{head}A:{}", "b".repeat(bytes - 2));
        assert_eq!(told(endless(HEADER_BYTES_MAX)), None);
        assert_eq!(told(endless(HEADER_BYTES_MAX + 1)), refused("431"));
        let many = |count| format!("{head}{}\r\n", "A:\r\n".repeat(count));
        assert!(told(many(HEADERS_MAX)).unwrap().starts_with("Get"));
        assert_eq!(told(many(HEADERS_MAX + 1)), refused("431"));

        let length =
            |path, bytes| format!("PUT {path} HTTP/1.1\r\nContent-Length: {bytes}\r\n\r\n");
        assert_eq!(told(length("/a", BODY_BYTES_MAX)), None);
        assert_eq!(told(length("/a", BODY_BYTES_MAX + 1)), refused("413"));
        assert_eq!(told(length("/rpc/a", CALL_BYTES_MAX)), None);
        assert_eq!(told(length("/rpc/a", CALL_BYTES_MAX + 1)), refused("413"));
        assert_eq!(told(length("http://a/rpc/", CALL_BYTES_MAX)), None);

        let chunked = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = |bytes| format!("{chunked}1\r\na\r\n{bytes:x}\r\n");
        assert_eq!(told(chunk(BODY_BYTES_MAX - 1)), None);
        assert_eq!(told(chunk(BODY_BYTES_MAX)), refused("413"));
        let size = |bytes: usize| format!("{chunked}{}1", "0".repeat(bytes - 1));
        assert_eq!(told(size(CHUNK_LINE_BYTES_MAX - 1)), None);
        assert_eq!(told(size(CHUNK_LINE_BYTES_MAX)), refused("400"));
        let trailers = format!("{chunked}0\r\n{}", "A:\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(told(trailers + "\r\n"), refused("431"));
    }

    #[test]
    fn a_client_that_waits_is_told_to_go_on_once() {
        let head = b"PUT / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n";
        let mut decoder = Decoder::default();
        let before = &head[..head.len() - 1];
        assert!(matches!(decoder.decode(before), Step::Partial { .. }));
        assert!(!decoder.is_awaited());
        let step = decoder.decode(head);
        let need = head.len() + 3;
        assert_eq!(step, Step::Partial { consumed: 0, need });
        assert!(decoder.is_awaited());
        assert!(!decoder.is_awaited());
        let all = [&head[..], b"abc"].concat();
        assert!(matches!(decoder.decode(&all), Step::Request(_, _)));
        assert!(!decoder.is_awaited());

        let check = |input: &[u8]| {
            let mut decoder = Decoder::default();
            let _ = decoder.decode(input);
            assert!(!decoder.is_awaited(), "{}", input.escape_ascii());
        };
        check(&all);
        check(&all[..all.len() - 1]);
        check(b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        check(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    }

    #[test]
    fn what_was_passed_is_not_looked_at_again() {
        let check = |first: &[u8], second: &[u8]| {
            let mut decoder = Decoder::default();
            for input in [first, second] {
                let step = decoder.decode(input);
                let partial = matches!(step, Step::Partial { consumed: 0, .. });
                assert!(partial, "{}: {step:?}", input.escape_ascii());
            }
        };
        check(
            b"GET / HTTP/1.1\r\nA: b\r\n",
            b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nC: d",
        );
        let head = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = format!("{head}1\r\na\r\n1\r\nb\r\n");
        let passed = "x".repeat(chunks.len());
        check(
            format!("{chunks}3\r\n").as_bytes(),
            format!("{passed}3\r\nabc").as_bytes(),
        );
    }
}
