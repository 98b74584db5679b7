//! Where a server is and what to speak with it: `redis://HOST:PORT/DATABASE` and its kin.

use crate::Address;
use crate::address::PORT_DEFAULT;
use std::fmt;
use std::str::FromStr;

/// What a server is spoken to with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Hakone's own extension of Redis' protocol, which carries all of a record.
    Hakone,
    /// Redis' protocol.
    Redis,
    /// Memcached's text protocol.
    Memcached,
    /// Tokyo Tyrant's binary protocol.
    Tyrant,
    /// Kyoto Tycoon's binary protocol, and its RPC for what that lacks.
    Tycoon,
    /// REST over HTTP, with Kyoto Tycoon's RPC to list keys.
    Http,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Scheme; 6] = [
        Scheme::Hakone,
        Scheme::Redis,
        Scheme::Memcached,
        Scheme::Tyrant,
        Scheme::Tycoon,
        Scheme::Http,
    ];

    /// The word in front of `://`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Hakone => "hakone",
            Scheme::Redis => "redis",
            Scheme::Memcached => "memcached",
            Scheme::Tyrant => "tyrant",
            Scheme::Tycoon => "tycoon",
            Scheme::Http => "http",
        }
    }

    /// The port where a URL names none: that of the original server.
    fn port(self) -> u16 {
        match self {
            Scheme::Redis => 6379,
            Scheme::Memcached => 11211,
            Scheme::Hakone | Scheme::Tyrant | Scheme::Tycoon | Scheme::Http => PORT_DEFAULT,
        }
    }
}

/// A server's URL.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// What it is spoken to with.
    pub scheme: Scheme,
    /// Where it is.
    pub address: Address,
    /// Which of its databases, by number or name; `None` is its first.
    pub database: Option<String>,
    /// User and password, for Redis. The user may be empty.
    pub(crate) login: Option<(String, String)>,
}

// By hand, so that no password reaches a log or a message.
impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

impl fmt::Display for ServerUrl {
    /// As it is read, without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.address)?;
        match (&self.address, &self.database) {
            (_, None) => Ok(()),
            (Address::Tcp { .. }, Some(database)) => write!(f, "/{database}"),
            (Address::Unix(_), Some(database)) => write!(f, "?db={database}"),
        }
    }
}

/// A text that is no server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl(String);

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUrl {}

impl FromStr for ServerUrl {
    type Err = BadUrl;

    /// Reads `PROTOCOL://HOST:PORT`, `PROTOCOL://HOST:PORT/DATABASE` or
    /// `PROTOCOL://unix:PATH?db=DATABASE`. Redis may have `USER:PASSWORD@` before the host. What is
    /// left out is 127.0.0.1, the port of the original server and its first database.
    fn from_str(text: &str) -> Result<ServerUrl, BadUrl> {
        let Some((name, rest)) = text.split_once("://") else {
            return Err(BadUrl(format!("{text:?} has no PROTOCOL:// in front")));
        };
        let Some(scheme) = Scheme::ALL.into_iter().find(|s| s.name() == name) else {
            let names = Scheme::ALL.map(Scheme::name).join(", ");
            return Err(BadUrl(format!(
                "{name}:// is no protocol that records come from or go to; write one of: {names}"
            )));
        };
        let (rest, query) = match rest.split_once('?') {
            None => (rest, None),
            Some((rest, query)) => match query.strip_prefix("db=") {
                Some(database) => (rest, Some(database)),
                None => return Err(BadUrl(format!("?{query} is not ?db=DATABASE"))),
            },
        };
        let (login, rest) = match rest.split_once('@') {
            Some((login, rest)) if !login.contains('/') => (Some(login_of(scheme, login)?), rest),
            _ => (None, rest),
        };
        let (place, path) = if rest.starts_with("unix:") {
            (rest, "")
        } else {
            rest.split_once('/').unwrap_or((rest, ""))
        };
        let database = match (path, query) {
            ("", None | Some("")) => None,
            (database, None) | ("", Some(database)) => Some(decode(database)?),
            _ => return Err(BadUrl("the database is named twice".to_owned())),
        };
        let place = if place.is_empty() { "127.0.0.1" } else { place };
        let address =
            Address::parse(place, scheme.port()).map_err(|error| BadUrl(error.to_string()))?;
        let url = ServerUrl {
            scheme,
            address,
            database,
            login,
        };
        url.check_database()?;
        Ok(url)
    }
}

impl ServerUrl {
    /// Whether a text is meant as a URL, right or wrong, and not as a file's name.
    pub fn is_meant(text: &str) -> bool {
        text.contains("://")
    }

    fn check_database(&self) -> Result<(), BadUrl> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        match self.scheme {
            Scheme::Memcached | Scheme::Tyrant => Err(BadUrl(format!(
                "{}:// reaches only the first database: leave {database:?} out",
                self.scheme.name()
            ))),
            Scheme::Redis if database.parse::<u32>().is_err() => Err(BadUrl(format!(
                "redis:// has numbered databases, and {database:?} is no number"
            ))),
            _ => Ok(()),
        }
    }
}

fn login_of(scheme: Scheme, text: &str) -> Result<(String, String), BadUrl> {
    if scheme != Scheme::Redis {
        return Err(BadUrl(format!(
            "{}:// has no users: leave out what is before @",
            scheme.name()
        )));
    }
    let (user, password) = text.split_once(':').unwrap_or(("", text));
    Ok((decode(user)?, decode(password)?))
}

/// Decodes `%XX`.
fn decode(text: &str) -> Result<String, BadUrl> {
    let bad = || BadUrl(format!("{text:?} is not percent-encoded UTF-8"));
    let bytes = percent_decode(text.as_bytes()).ok_or_else(bad)?;
    String::from_utf8(bytes).map_err(|_| bad())
}

/// Decodes `%XX`, or gives `None` where a `%` is not followed by two hexadecimal digits.
pub(crate) fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, more)) = rest.split_first() {
        if byte == b'%' {
            let (digits, more) = more.split_first_chunk::<2>()?;
            let digits = digits.map(|digit| char::from(digit).to_digit(16));
            let [Some(high), Some(low)] = digits else {
                return None;
            };
            out.push(u8::try_from(high << 4 | low).ok()?);
            rest = more;
        } else {
            out.push(byte);
            rest = more;
        }
    }
    Some(out)
}

/// Encodes every byte that is no letter, digit, `-`, `_`, `.` or `~` as `%XX`.
pub(crate) fn percent_encode(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte);
        } else {
            let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        for (text, written) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("redis://h:1/2", "redis://h:1/2"),
            ("redis://:secret@h/0", "redis://h:6379/0"),
            ("memcached://", "memcached://127.0.0.1:11211"),
            ("tyrant://[::1]", "tyrant://[::1]:1978"),
            ("tyrant://h/", "tyrant://h:1978"),
            ("tycoon://h:1/names%20x", "tycoon://h:1/names x"),
            ("http://h?db=1", "http://h:1978/1"),
            ("hakone://unix:/run/h.sock", "hakone://unix:/run/h.sock"),
            (
                "redis://:secret@unix:/run/@h.sock?db=3",
                "redis://unix:/run/@h.sock?db=3",
            ),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), written, "{text}");
        }
    }

    #[test]
    fn a_password_is_kept_and_never_shown() {
        let url: ServerUrl = "redis://ada:p%40ss@h".parse().unwrap();
        assert_eq!(url.login, Some(("ada".to_owned(), "p@ss".to_owned())));
        assert!(!format!("{url} {url:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "localhost:6379",
            "rediss://h",
            "gopher://h",
            "redis://h/name",
            "redis://h:x",
            "redis://h/1?db=2",
            "redis://h?timeout=2",
            "redis://h/%zz",
            "memcached://h/1",
            "tyrant://h/1",
            "tyrant://user:p@h",
            "tyrant://unix:/s?db=1",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_byte_survives_percent_encoding() {
        let all: Vec<u8> = (0..=255).collect();
        let mut encoded = Vec::new();
        percent_encode(&all, &mut encoded);
        assert!(encoded.is_ascii() && !encoded.contains(&b'/'));
        assert_eq!(percent_decode(&encoded), Some(all));
        assert_eq!(percent_decode(b"%4"), None);
    }
}
