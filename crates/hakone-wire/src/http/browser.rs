//! A browser is not a client: no page that someone looks at may reach this port, neither by asking
//! across origins nor by a name of its own that leads to this machine.

use super::Request;
use super::target::origin_and_path;

/// Why a request seems to come from a page in a browser, if it does. `loopback`: only programs of
/// this machine reach the listener, so that any other name for it was made up.
pub fn foreign(request: &Request<'_>, loopback: bool) -> Option<&'static str> {
    let host = match origin_and_path(request.target).0 {
        Some(host) => Some(host),
        None => request.header("host"),
    };
    if let (true, Some(host)) = (loopback, host)
        && !is_loopback(host)
    {
        return Some("the Host is no name of this machine");
    }
    for header in &request.headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("origin") && !is_own(header.value, host) {
            return Some("the Origin is another");
        }
        if is("sec-fetch-site") && !matches!(header.value, b"same-origin" | b"none") {
            return Some("the page is of another site");
        }
    }
    None
}

/// Whether a line looks like one of a request of HTTP, for protocols that are spoken in lines: a
/// browser that was tricked into talking to one of them must not reach a command.
pub fn is_http(line: &[u8]) -> bool {
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    first.eq_ignore_ascii_case(b"post")
        || first.eq_ignore_ascii_case(b"host:")
        || words.nth(1).is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// Whether the origin is the host that was asked.
fn is_own(origin: &[u8], host: Option<&[u8]>) -> bool {
    let own = origin.strip_prefix(b"http://");
    matches!((own, host), (Some(own), Some(host)) if own.eq_ignore_ascii_case(host))
}

/// Whether a host, with or without a port, is a name for this machine by itself.
fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => (name, None),
            Some((name, rest)) => (name, rest.strip_prefix(':').or(Some("none"))),
            None => return false,
        },
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    if port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    if let Ok(address) = name.parse::<core::net::IpAddr>() {
        return address.is_loopback();
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Message};
    use super::*;
    use crate::Step;

    fn is_foreign(target: &str, headers: &str, loopback: bool) -> bool {
        let text = format!("GET {target} HTTP/1.1\r\n{headers}\r\n");
        let mut decoder = Decoder::default();
        match decoder.decode(text.as_bytes()) {
            Step::Request(Message::Request(request), _) => foreign(&request, loopback).is_some(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn on_loopback_a_host_is_a_name_of_this_machine() {
        for host in [
            "localhost",
            "LocalHost:1978",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1",
            "127.1.2.3:80",
            "[::1]",
            "[::1]:1978",
            "localhost:",
        ] {
            let headers = format!("Host: {host}\r\n");
            assert!(!is_foreign("/", &headers, true), "{host}");
        }
        for host in [
            "example.com",
            "example.com:1978",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "notlocalhost",
            "0.0.0.0",
            "10.0.0.1",
            "[::2]",
            "[::1]x",
            "[::1",
            "localhost:x",
            "",
            "\u{e9}",
        ] {
            let headers = format!("Host: {host}\r\n");
            assert!(is_foreign("/", &headers, true), "{host}");
            assert!(!is_foreign("/", &headers, false), "{host}");
            if !host.is_empty() {
                let target = format!("http://{host}/a");
                assert!(is_foreign(&target, "Host: localhost\r\n", true), "{host}");
            }
        }
        assert!(!is_foreign("/", "", true));
    }

    #[test]
    fn a_page_of_another_origin_or_site_is_foreign() {
        let check = |headers: &str, expected| {
            for loopback in [true, false] {
                let headers = format!("Host: localhost:1978\r\n{headers}\r\n");
                assert_eq!(is_foreign("/", &headers, loopback), expected, "{headers}");
            }
        };
        check("Origin: http://localhost:1978", false);
        check("Origin: http://LOCALHOST:1978", false);
        check("Origin: http://localhost", true);
        check("Origin: https://localhost:1978", true);
        check("Origin: null", true);
        check("Origin: ", true);
        check("oRIGIN: http://example.com", true);
        check("Origin: http://localhost:1978\r\nOrigin: http://a.b", true);
        check("Sec-Fetch-Site: none", false);
        check("Sec-Fetch-Site: same-origin", false);
        check("Sec-Fetch-Site: same-site", true);
        check("Sec-Fetch-Site: cross-site", true);
        check("sec-fetch-site: anything", true);
        assert!(is_foreign("/", "Origin: http://localhost\r\n", false));
    }

    #[test]
    fn lines_of_http_are_known() {
        for line in [
            "POST / HTTP/1.1",
            "post x",
            "Host: a",
            "GET / HTTP/1.0",
            "PUT /a HTTP/1.1\r",
        ] {
            assert!(is_http(line.as_bytes()), "{line}");
        }
        for line in ["GET /", "SET a HTTP/1.1 x", "PING", "", "GET HTTP/1.1"] {
            assert!(
                !is_http(line.as_bytes()) || line.starts_with("SET"),
                "{line}"
            );
        }
    }
}
