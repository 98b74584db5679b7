//! What can go wrong between a client and a server.

use crate::Address;
use std::fmt;
use std::io;

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request failed. After anything but [`Error::Refused`] the connection is of no use.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No connection could be made.
    Unreachable {
        /// Where the server was thought to be.
        address: Address,
        /// Whether it was thought to be a Hakone, and not a server of another kind.
        is_hakone: bool,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke, or the server did not answer in time.
    Broken {
        /// The server.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The server's bytes are not those of its protocol, or go over a limit.
    Protocol {
        /// The server.
        address: Address,
        /// What it should speak.
        protocol: &'static str,
        /// What is wrong with them.
        what: String,
    },
    /// What has to be kept for a while on this side could not be.
    Spool(io::Error),
    /// The server, or its protocol, has no way to do it.
    Unsupported {
        /// The server.
        address: Address,
        /// What it cannot do and what helps, as the end of a sentence that begins with its address.
        what: String,
    },
    /// The server answered with an error: its code and text. The connection stays usable.
    Refused(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreachable {
                address,
                is_hakone,
                source,
            } => {
                write!(f, "cannot reach {address}: ")?;
                match source.kind() {
                    _ if !is_hakone => write!(f, "{source}"),
                    io::ErrorKind::ConnectionRefused => write!(
                        f,
                        "connection refused; is the server running? start it with: hakone serve"
                    ),
                    io::ErrorKind::NotFound if matches!(address, Address::Unix(_)) => write!(
                        f,
                        "no such socket; is the server running? start it with: \
                         hakone serve --listen {address}"
                    ),
                    _ => write!(f, "{source}"),
                }
            }
            Error::Broken { address, source } => match source.kind() {
                io::ErrorKind::UnexpectedEof => {
                    write!(f, "{address} closed the connection before it answered")
                }
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    write!(f, "{address} did not answer in time")
                }
                _ => write!(f, "connection to {address} broke: {source}"),
            },
            Error::Protocol {
                address,
                protocol,
                what,
            } => write!(
                f,
                "{address} does not speak {protocol} as it should: {what}"
            ),
            Error::Spool(source) => write!(f, "cannot keep a list of keys: {source}"),
            Error::Unsupported { address, what } => write!(f, "{address} {what}"),
            Error::Refused(text) => write!(f, "the server refused: {text}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Unreachable { source, .. }
            | Error::Broken { source, .. }
            | Error::Spool(source) => Some(source),
            Error::Protocol { .. } | Error::Unsupported { .. } | Error::Refused(_) => None,
        }
    }
}
