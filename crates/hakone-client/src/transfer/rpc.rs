//! HTTP as far as the servers need it, and Kyoto Tycoon's RPC over it, which lists keys.

use super::Spool;
use super::keys::{KeyList, Keys};
use crate::base64;
use crate::connection::Connection;
use crate::url::{percent_decode, percent_encode};
use crate::{Address, Error, Result, ServerUrl};
use hakone_command::limits::KEY_BYTES_MAX;
use std::io::Write as _;

/// Bytes of a line of a head or of a list of keys: a key with each byte as `%XX`, and a number.
const LINE_BYTES_MAX: usize = 4 * KEY_BYTES_MAX;

/// Lines of a head.
const HEAD_LINES_MAX: usize = 200;

/// Bytes of a reply that is kept whole: the lines of a report, the words of an error.
const SMALL_BYTES_MAX: usize = 1 << 20;

/// A connection that speaks HTTP/1.1.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) connection: Connection,
    host: String,
}

/// The beginning of a reply.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes that follow it.
    pub(super) bytes: u64,
    /// Names in lower case, and values.
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, whose name is written in lower case here.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Http {
    pub(super) fn open(address: &Address) -> Result<Http> {
        let host = match address {
            Address::Tcp { .. } => address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        };
        let connection = Connection::open(address, "HTTP")?;
        Ok(Http { connection, host })
    }

    /// Appends a request.
    pub(super) fn request(&mut self, method: &str, target: &[u8], headers: &str, body: &[u8]) {
        let host = &self.host;
        let out = self.connection.output();
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(target);
        write!(out, " HTTP/1.1\r\nHost: {host}\r\n{headers}")
            .unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
        if method != "GET" {
            write!(out, "Content-Length: {}\r\n", body.len())
                .unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }

    /// Reads the beginning of the next reply.
    pub(super) fn head(&mut self) -> Result<Head> {
        let first = self.connection.line(LINE_BYTES_MAX)?;
        let status = first
            .strip_prefix(b"HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let Some(status) = status else {
            let shown = String::from_utf8_lossy(&first[..first.len().min(60)]).into_owned();
            return Err(self.connection.unexpected(format!("it sent {shown:?}")));
        };
        let mut head = Head {
            status,
            bytes: 0,
            headers: Vec::new(),
        };
        loop {
            let line = self.connection.line(LINE_BYTES_MAX)?;
            if line.is_empty() {
                break;
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some((name, value)) = line.split_once(':')
                && head.headers.len() < HEAD_LINES_MAX
            {
                let name = name.trim().to_ascii_lowercase();
                head.headers.push((name, value.trim().to_owned()));
            }
        }
        if head.header("transfer-encoding").is_some() {
            let what = "a reply comes in chunks, which none of these servers sends".to_owned();
            return Err(self.connection.unexpected(what));
        }
        let length = head.header("content-length").unwrap_or("0");
        head.bytes = length.parse().map_err(|_| {
            let what = format!("a reply has the length {length:?}");
            self.connection.unexpected(what)
        })?;
        Ok(head)
    }

    /// The reply that a request is to have, or the server's refusal in its own words.
    pub(super) fn success(&mut self) -> Result<Head> {
        let head = self.head()?;
        if head.is_success() {
            return Ok(head);
        }
        Err(self.refusal(&head)?)
    }

    /// What a reply with an error says. Reads its body.
    pub(super) fn refusal(&mut self, head: &Head) -> Result<Error> {
        let body = self.connection.bytes(head.bytes, SMALL_BYTES_MAX)?;
        let body = body.unwrap_or_default();
        let words = match head.header("x-kt-error") {
            Some(error) => error.to_owned(),
            None => String::from_utf8_lossy(&body[..body.len().min(200)])
                .trim_end()
                .replace('\t', ": "),
        };
        Ok(Error::Refused(format!("status {}, {words}", head.status)))
    }

    /// Sends a call to a procedure of Tycoon with these parameters.
    fn call(&mut self, procedure: &str, parameters: &[(&str, &[u8])]) -> Result<()> {
        let mut body = Vec::new();
        for (name, value) in parameters {
            body.extend_from_slice(name.as_bytes());
            body.push(b'\t');
            percent_encode(value, &mut body);
            body.push(b'\n');
        }
        let target = format!("/rpc/{procedure}");
        let encoded = "Content-Type: text/tab-separated-values; colenc=U\r\n";
        self.request("POST", target.as_bytes(), encoded, &body);
        self.connection.flush()
    }

    /// Calls a procedure that answers little.
    pub(super) fn ask(
        &mut self,
        procedure: &str,
        parameters: &[(&str, &[u8])],
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.call(procedure, parameters)?;
        let head = self.success()?;
        let encoding = Encoding::of(&head);
        let Some(body) = self.connection.bytes(head.bytes, SMALL_BYTES_MAX)? else {
            let what = format!("its reply to {procedure} is larger than {SMALL_BYTES_MAX} bytes");
            return Err(self.connection.unexpected(what));
        };
        let lines = body.split(|&byte| byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| self.pair(line, encoding))
            .collect()
    }

    fn pair(&self, line: &[u8], encoding: Encoding) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut fields = line.splitn(2, |&byte| byte == b'\t');
        let name = fields.next().and_then(|field| encoding.decode(field));
        let value = fields.next().and_then(|field| encoding.decode(field));
        name.zip(value).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
            self.connection
                .unexpected(format!("a line of a reply is {shown:?}"))
        })
    }
}

/// How the names and values of a reply are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Base64,
    Percent,
}

impl Encoding {
    fn of(head: &Head) -> Encoding {
        let kind = head.header("content-type").unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        match kind.split_once("colenc=").map(|(_, name)| name) {
            Some(name) if name.starts_with('b') => Encoding::Base64,
            Some(name) if name.starts_with('u') => Encoding::Percent,
            _ => Encoding::Plain,
        }
    }

    fn decode(self, field: &[u8]) -> Option<Vec<u8>> {
        match self {
            Encoding::Plain => Some(field.to_vec()),
            Encoding::Base64 => base64::decode(field),
            Encoding::Percent => percent_decode(field),
        }
    }
}

/// The keys of a database that begin with `prefix`. The server has the whole list in memory, we do
/// not.
///
/// # Errors
/// `Unsupported` if the server has no such procedure.
pub(super) fn keys(url: &ServerUrl, prefix: &[u8], spool: Box<dyn Spool>) -> Result<Keys> {
    let mut http = Http::open(&url.address)?;
    let database = url.database.as_deref().unwrap_or("0").as_bytes();
    http.connection.wait_for_a_list()?;
    http.call("match_prefix", &[("DB", database), ("prefix", prefix)])?;
    let head = http.head()?;
    if !head.is_success() {
        let refusal = http.refusal(&head)?;
        return Err(match head.status {
            // Tokyo Tyrant takes it for a key, or for a function.
            404 | 405 | 501 => Error::Unsupported {
                address: url.address.clone(),
                what: format!(
                    "does not list its keys over HTTP (match_prefix: {refusal}); a Tokyo Tyrant \
                     lists them over tyrant://"
                ),
            },
            _ => refusal,
        });
    }
    let encoding = Encoding::of(&head);
    let mut list = KeyList::new(spool);
    let mut left = head.bytes;
    while left > 0 {
        let line = http
            .connection
            .read(|input| crate::input::line(input, LINE_BYTES_MAX))?;
        left = left.saturating_sub(line.len() as u64 + 1);
        let (name, _) = http.pair(&line, encoding)?;
        // The other names are those of numbers.
        if let Some(key) = name.strip_prefix(b"_") {
            list.push(key, 0)?;
        }
    }
    list.finish()
}
