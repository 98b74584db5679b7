//! The service: everything between input bytes and the store, without a socket.
//!
//! A turn takes every connection that has something to say: requests are decoded in groups, the keys
//! of a group are prefetched together, then the group is executed in order and answered straight
//! into the connections' outputs.

mod call;
mod databases;
mod hakone;
mod http;
mod keys;
mod memcached;
mod metrics;
mod process;
mod report;
mod resp;
mod turn;
mod tycoon;
mod tyrant;

use crate::clients::Clients;
use crate::config::HttpDialect;
use crate::counters::Counters;
use crate::cursors::{Cursors, Iteration};
use crate::runtime::Jobs;
use crate::session::{Peer, Session};
use crate::timings::Timings;
use ::hakone::{Cabinet, Durability, Error, Lsn, Millis};
use databases::Databases;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use keys::Pending;
pub(crate) use memcached::Tally;
pub use report::describe;
pub(crate) use resp::Conversation;
pub(crate) use tycoon::{Asked, Bulk};

/// Bytes of replies that one connection gets in one turn before others have theirs: 1 MiB.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Bytes of one reply that has to be collected before it can leave: 256 MiB, what Tyrant's
/// protocol allows one value.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// What a service is made of beside its cabinet.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// The names of the numbered databases, 0 first. They exist in the cabinet already.
    pub databases: Vec<String>,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// The workers that take turns, for reports.
    pub threads: usize,
    /// The connections that may be open, for reports.
    pub connections_max: usize,
    /// The TCP port of the first listener, for reports; 0 if there is none.
    pub port: u16,
    /// The dialect of requests of HTTP that do not tell it themselves.
    pub http: HttpDialect,
}

/// What all connections share: the cabinet, its numbered databases, counters, cursors.
#[derive(Debug)]
pub struct Service {
    cabinet: Cabinet,
    config: ServiceConfig,
    databases: Databases,
    counters: Counters,
    timings: Timings,
    cursors: Cursors,
    /// Tyrant's iterators, one a numbered database.
    iterations: Vec<Mutex<Iteration>>,
    memcached: memcached::Shared,
    jobs: Jobs,
    started: Millis,
    sessions: AtomicU64,
    sessions_open: AtomicU64,
    /// Bytes of requests that are done with, and of replies to them.
    received_bytes: AtomicU64,
    replied_bytes: AtomicU64,
    clients: Clients,
    /// When everything was last made durable because a client asked for it.
    saved: AtomicU64,
    /// How often a random number was drawn.
    draws: AtomicU64,
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
    ///
    /// # Panics
    /// If a database of the configuration is not in the cabinet, or there is none.
    pub fn new(cabinet: Cabinet, config: ServiceConfig) -> Service {
        let databases = Databases::new(&cabinet, &config.databases);
        let started = ::hakone::now();
        let iterations = (0..databases.count()).map(|_| Mutex::default()).collect();
        Service {
            cabinet,
            config,
            databases,
            counters: Counters::default(),
            timings: Timings::default(),
            cursors: Cursors::new(started),
            iterations,
            memcached: memcached::Shared::default(),
            jobs: Jobs::default(),
            started,
            sessions: AtomicU64::new(0),
            sessions_open: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            replied_bytes: AtomicU64::new(0),
            clients: Clients::default(),
            saved: AtomicU64::new(started),
            draws: AtomicU64::new(started),
        }
    }

    /// A session for a connection that has been accepted at `now`.
    pub fn connect(&self, peer: Peer, now: Millis) -> Session {
        // Relaxed: numbers and counts order nothing.
        self.sessions_open.fetch_add(1, Ordering::Relaxed);
        let id = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session::new(id, peer, now);
        self.clients.add(&session.client);
        session
    }

    /// Forgets a session whose connection is gone.
    pub fn disconnect(&self, session: Session) {
        self.clients.remove(session.id);
        drop(session);
        self.sessions_open.fetch_sub(1, Ordering::Relaxed);
    }

    /// What operators are told, in the text format of Prometheus; `docs/metrics.md` has the list.
    pub fn metrics(&self) -> String {
        metrics::text(self)
    }

    /// The error that has stopped writes, if one has.
    pub fn failure(&self) -> Option<Error> {
        self.cabinet.failure()
    }

    /// One turn: executes the whole requests that have come on all these connections, each
    /// connection's in their order.
    pub fn turn(&self, now: Millis, ready: &mut [Ready<'_>]) {
        turn::run(self, now, ready);
    }
}
