//! Where a server listens: HOST:PORT or unix:PATH.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of an address that names none.
pub const PORT_DEFAULT: u16 = 1978;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host, by name or number, and a port.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Default for Address {
    fn default() -> Self {
        Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: PORT_DEFAULT,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress(pub(crate) String);

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write HOST:PORT, HOST or unix:PATH", self.0)
    }
}

impl std::error::Error for BadAddress {}

impl FromStr for Address {
    type Err = BadAddress;

    /// Reads `HOST:PORT`, `HOST`, `:PORT`, `[IPV6]:PORT` or `unix:PATH`. What is left out is
    /// 127.0.0.1 and [`PORT_DEFAULT`].
    fn from_str(text: &str) -> Result<Address, BadAddress> {
        Address::parse(text, PORT_DEFAULT)
    }
}

impl Address {
    /// Reads an address as [`Address::from_str`] does, with another port where it names none.
    pub(crate) fn parse(text: &str, port_default: u16) -> Result<Address, BadAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(BadAddress("the path after unix: is empty".to_owned()));
            }
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        let (host, port) = split(text)?;
        let port = match port {
            None => port_default,
            Some(port) => port
                .parse()
                .map_err(|_| BadAddress(format!("{port:?} is not a port")))?,
        };
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        if host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(BadAddress(format!("{host:?} is not a host")));
        }
        Ok(Address::Tcp {
            host: host.to_owned(),
            port,
        })
    }
}

fn split(text: &str) -> Result<(&str, Option<&str>), BadAddress> {
    if text.is_empty() {
        return Err(BadAddress("the address is empty".to_owned()));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return Err(BadAddress(format!("{text:?} lacks a closing bracket")));
        };
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if port.is_empty() => Ok((host, None)),
            None => Err(BadAddress(format!("{text:?} has no colon before its port"))),
        };
    }
    match text.split_once(':') {
        // More than one colon without brackets can only be an IPv6 address.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("127.0.0.1:1978", "127.0.0.1:1978"),
            ("localhost", "localhost:1978"),
            (":7000", "127.0.0.1:7000"),
            ("[::1]:7000", "[::1]:7000"),
            ("[::1]", "[::1]:1978"),
            ("::1", "[::1]:1978"),
            ("unix:/run/hakone.sock", "unix:/run/hakone.sock"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "unix:",
            "host:",
            "host:x",
            "host:65536",
            "host:-1",
            "[::1",
            "[::1]7",
            "a b:1",
            "http://host",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
