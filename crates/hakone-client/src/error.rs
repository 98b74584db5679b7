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
    /// The server's bytes are not RESP3, or go over a limit.
    Protocol {
        /// The server.
        address: Address,
        /// What is wrong with them.
        what: String,
    },
    /// The server answered with an error: its code and text. The connection stays usable.
    Refused(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreachable { address, source } => {
                write!(f, "cannot reach {address}: ")?;
                match source.kind() {
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
            Error::Protocol { address, what } => {
                write!(f, "{address} does not speak RESP3 as it should: {what}")
            }
            Error::Refused(text) => write!(f, "the server refused: {text}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Unreachable { source, .. } | Error::Broken { source, .. } => Some(source),
            Error::Protocol { .. } | Error::Refused(_) => None,
        }
    }
}
