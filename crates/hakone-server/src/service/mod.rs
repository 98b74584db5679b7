//! The service: everything between input bytes and the store, without a socket.

use crate::session::{Peer, Session};
use hakone::{Cabinet, Durability, Lsn, Millis};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a service is made of beside its cabinet.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// The names of the numbered databases, 0 first. They exist in the cabinet already.
    pub databases: Vec<String>,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// The TCP port of the first listener, for reports; 0 if there is none.
    pub port: u16,
}

/// What all connections share: the cabinet, its numbered databases, counters, cursors.
#[derive(Debug)]
pub struct Service {
    cabinet: Cabinet,
    config: ServiceConfig,
    sessions: AtomicU64,
}

/// One connection's part in a turn.
#[derive(Debug)]
pub struct Ready<'a> {
    /// The connection's session.
    pub session: &'a mut Session,
    /// All bytes that have come and are not yet consumed.
    pub input: &'a [u8],
    /// Replies are appended here.
    pub output: &'a mut Vec<u8>,
    /// Out: so many bytes of `input` are done with.
    pub consumed: usize,
    /// Out: it is not worth calling again before there are so many bytes, counted from the first
    /// one that is not consumed. 0: any byte may do.
    pub need: usize,
    /// Out: call again even without new input, once the output has been sent.
    pub more: bool,
    /// Out: close after the output has been sent.
    pub close: bool,
    /// Out: hold the output of this turn back until the cabinet's `durable` has reached this.
    pub wait: Option<Lsn>,
}

impl<'a> Ready<'a> {
    /// A connection's part in the next turn, nothing done yet.
    pub fn new(session: &'a mut Session, input: &'a [u8], output: &'a mut Vec<u8>) -> Ready<'a> {
        Ready {
            session,
            input,
            output,
            consumed: 0,
            need: 0,
            more: false,
            close: false,
            wait: None,
        }
    }
}

impl Service {
    /// A service over the databases of `cabinet`.
    pub fn new(cabinet: Cabinet, config: ServiceConfig) -> Service {
        Service {
            cabinet,
            config,
            sessions: AtomicU64::new(0),
        }
    }

    /// A session for a connection that has been accepted.
    pub fn connect(&self, peer: Peer) -> Session {
        let id = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        Session { id, peer }
    }

    /// Forgets a session whose connection is gone.
    pub fn disconnect(&self, session: Session) {
        let Session { id, peer } = session;
        tracing::debug!(id, peer = peer.address, "disconnected");
    }

    /// One turn: executes the whole requests that have come on all these connections.
    pub fn turn(&self, now: Millis, ready: &mut [Ready<'_>]) {
        let _ = (now, &self.cabinet, &self.config);
        for connection in ready {
            connection.consumed = connection.input.len();
        }
    }
}
