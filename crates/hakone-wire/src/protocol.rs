//! Which protocols there are, and which one the first bytes of a request speak.

use crate::tyrant;

/// A protocol that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Tokyo Tyrant's binary protocol.
    Tyrant,
    /// Kyoto Tycoon's binary protocol.
    Tycoon,
    /// memcached's text protocol.
    Memcached,
    /// HTTP: the REST dialects of Tyrant and Tycoon, and Tycoon's calls.
    Http,
    /// Redis' protocol, RESP2 and RESP3, as arrays and inline.
    Resp,
}

/// What the first bytes of a request tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detected {
    /// The protocol.
    Protocol(Protocol),
    /// Not yet: it is a line whose end has not come.
    More,
    /// That it is no protocol we know: the connection is closed.
    Unknown,
}

/// Bytes of a first line that has no end: what is longer is no line of a known protocol, or goes on
/// like that. 64 KiB, the longest that any of them takes as a line typed by a person.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes in which a first word that counts has its end: no verb is longer.
const WORD_BYTES_MAX: usize = 64;

/// Tells the protocol of a line that comes in pieces, without looking at all of it each time.
#[derive(Debug, Default)]
pub struct Detector {
    /// So many bytes were looked at: they hold no end of a line.
    seen: usize,
}

impl Detector {
    /// As [`Protocol::detect`]; `input` begins with what it began with the last time, unless that
    /// told the protocol.
    pub fn detect(&mut self, input: &[u8]) -> Detected {
        let news = input.get(self.seen..).unwrap_or_default();
        let same =
            self.seen > WORD_BYTES_MAX && input.len() < LINE_BYTES_MAX && !news.contains(&b'\n');
        let detected = if same {
            Detected::More
        } else {
            Protocol::detect(input)
        };
        self.seen = match detected {
            Detected::More => input.len(),
            _ => 0,
        };
        detected
    }
}

/// The words that begin a request of memcached's; case counts.
const MEMCACHED_VERBS: &[&[u8]] = &[
    b"get",
    b"gets",
    b"bget",
    b"gat",
    b"gats",
    b"set",
    b"add",
    b"replace",
    b"append",
    b"prepend",
    b"cas",
    b"delete",
    b"incr",
    b"decr",
    b"touch",
    b"flush_all",
    b"version",
    b"verbosity",
    b"stats",
    b"quit",
    b"cache_memlimit",
    b"shutdown",
    b"slabs",
    b"lru",
    b"lru_crawler",
    b"watch",
    b"mg",
    b"ms",
    b"md",
    b"ma",
    b"mn",
    b"me",
];

impl Protocol {
    /// All of them.
    pub const ALL: &[Protocol] = &[
        Protocol::Tyrant,
        Protocol::Tycoon,
        Protocol::Memcached,
        Protocol::Http,
        Protocol::Resp,
    ];

    /// The protocol of a request that begins with these bytes. One byte tells the binary ones and
    /// RESP's arrays; a line is memcached's if it begins with one of its verbs, HTTP's if its third
    /// word begins with `HTTP/1.`, else one that RESP takes.
    pub fn detect(input: &[u8]) -> Detected {
        match input.first() {
            None => Detected::More,
            Some(&tyrant::MAGIC) => Detected::Protocol(Protocol::Tyrant),
            Some(0xb1..=0xbf) => Detected::Protocol(Protocol::Tycoon),
            Some(b'*') => Detected::Protocol(Protocol::Resp),
            Some(byte) if byte.is_ascii() && *byte != 0 => detect_line(input),
            Some(_) => Detected::Unknown,
        }
    }

    /// The word for it before `://` in a listener's address and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tyrant => "tyrant",
            Protocol::Tycoon => "tycoon",
            Protocol::Memcached => "memcached",
            Protocol::Http => "http",
            Protocol::Resp => "redis",
        }
    }

    /// The protocol that `name` says.
    pub fn from_name(name: &str) -> Option<Protocol> {
        Protocol::ALL
            .iter()
            .copied()
            .find(|protocol| protocol.name() == name)
    }
}

fn detect_line(input: &[u8]) -> Detected {
    let head = &input[..input.len().min(LINE_BYTES_MAX)];
    let end = head.iter().position(|&byte| byte == b'\n');
    let line = &head[..end.unwrap_or(head.len())];
    let mut words = words_of(line);
    let first = words.next().unwrap_or_default();
    // A word is whole where something follows it.
    let whole = end.is_some() || first.len() < line.trim_ascii_start().len();
    if whole && MEMCACHED_VERBS.contains(&first) {
        return Detected::Protocol(Protocol::Memcached);
    }
    let third = words.nth(1).unwrap_or_default();
    if third.starts_with(b"HTTP/1.") {
        return Detected::Protocol(Protocol::Http);
    }
    if end.is_some() {
        return Detected::Protocol(Protocol::Resp);
    }
    if input.len() < LINE_BYTES_MAX {
        return Detected::More;
    }
    // RESP takes no longer line; a target may be longer.
    let second = words_of(line).nth(1).unwrap_or_default();
    let target = second.starts_with(b"/") || second.starts_with(b"http://");
    Detected::Protocol(if target {
        Protocol::Http
    } else {
        Protocol::Resp
    })
}

fn words_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        use Protocol::{Http, Memcached, Resp, Tycoon, Tyrant};
        let check = |input: &[u8], expected| {
            assert_eq!(
                Protocol::detect(input),
                Detected::Protocol(expected),
                "{input:?}"
            );
            let mut detector = Detector::default();
            let mut found = Detected::More;
            for cut in 0..=input.len() {
                found = detector.detect(&input[..cut]);
                let so_far = found == Detected::More;
                assert!(
                    so_far || found == Detected::Protocol(expected),
                    "{cut} of {input:?}"
                );
            }
            assert_ne!(found, Detected::More, "{input:?}");
        };
        check(b"\xc8\x10", Tyrant);
        check(b"\xb1", Tycoon);
        check(b"\xba\0\0\0\0", Tycoon);
        check(b"*1\r\n", Resp);
        check(b"PING\r\n", Resp);
        check(b"\r\n", Resp);
        check(b"GET key\r\n", Resp);
        check(b"SET key \"HTTP/1.1\"\n", Resp);
        check(b"getrange k 0 1\r\n", Resp);
        check(b"get key\r\n", Memcached);
        check(b"  get key\r\n", Memcached);
        check(b"quit\n", Memcached);
        check(b"get x HTTP/1.1\r\n", Memcached);
        check(b"GET /key HTTP/1.1\r\n", Http);
        check(
            &[b"GET /", &[b'x'; 200][..], b" HTTP/1.1\r\n"].concat(),
            Http,
        );
        check(&[b"get ", &[b'x'; 200][..]].concat(), Memcached);
        check(&[b"ECHO ", &[b'x'; 200][..], b"\n"].concat(), Resp);
        check(b"GET /rpc/void HTTP/1.0\n", Http);
        check(b"OPTIONS * HTTP/1.1\r\n", Http);
        for unknown in [&b"\x80\x00"[..], b"\0", b"\xff"] {
            assert_eq!(Protocol::detect(unknown), Detected::Unknown);
        }
    }

    #[test]
    fn a_line_without_end_is_no_secret() {
        let long = vec![b'a'; LINE_BYTES_MAX];
        assert_eq!(Protocol::detect(&long[1..]), Detected::More);
        assert_eq!(Protocol::detect(&long), Detected::Protocol(Protocol::Resp));
        let target = [b"GET /", &long[..], b" HTTP/1.1\r\n"].concat();
        assert_eq!(
            Protocol::detect(&target),
            Detected::Protocol(Protocol::Http)
        );
    }

    #[test]
    fn every_protocol_has_a_name_of_its_own() {
        for &protocol in Protocol::ALL {
            assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("gopher"), None);
    }
}
