//! A session: one connection without its socket.

use hakone_wire::Protocol;

/// Who is at the other end of a connection, and how it came.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The peer's address as text, `unix:PATH` for a Unix socket.
    pub address: String,
    /// The protocol that the listener is bound to; `None` where the first bytes tell.
    pub protocol: Option<Protocol>,
}

/// One connection without its socket: its protocol, selected database, name and position in
/// requests that take several turns.
#[derive(Debug)]
pub struct Session {
    pub(crate) id: u64,
    pub(crate) peer: Peer,
}
