//! A session: one connection without its socket.

use crate::clients::{Client, Glimpse};
use crate::service::{Bulk, Conversation, Pending};
use hakone::Millis;
use hakone_wire::{Detector, Protocol, http, memcached, resp, tycoon, tyrant};
use std::sync::Arc;

/// Who is at the other end of a connection, and how it came.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The peer's address as text, `unix:PATH` for a Unix socket.
    pub address: String,
    /// The protocol that the listener is bound to; `None` where the first bytes tell.
    pub protocol: Option<Protocol>,
    /// Whether the listener is bound to an address of the loopback interface, so that only programs
    /// of this machine reach it.
    pub loopback: bool,
}

/// One connection without its socket: its protocol, selected database, name and position in
/// requests that take several turns.
#[derive(Debug)]
pub struct Session {
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    /// The selected numbered database.
    pub(crate) selected: usize,
    /// The protocol of a request that is not whole.
    pub(crate) current: Option<Protocol>,
    /// The protocol that the connection has agreed on for good.
    pub(crate) settled: Option<Protocol>,
    pub(crate) decoders: Decoders,
    /// Whether the client asked for version 3 of RESP.
    pub(crate) resp3: bool,
    /// What else the client has said in RESP.
    pub(crate) conversation: Conversation,
    /// What others see of the connection.
    pub(crate) client: Arc<Client>,
    /// What is left of a command that takes several turns.
    pub(crate) pending: Option<Box<Pending>>,
    /// What is there of a bulk request of Tycoon's that has not come to its end.
    pub(crate) bulk: Option<Box<Bulk>>,
    pub(crate) lane: Lane,
}

/// Where each protocol stands in a request that is not whole.
#[derive(Debug, Default)]
pub(crate) struct Decoders {
    pub(crate) detector: Detector,
    pub(crate) tyrant: tyrant::Decoder,
    pub(crate) memcached: memcached::Decoder,
    pub(crate) tycoon: tycoon::Decoder,
    pub(crate) http: http::Decoder,
    pub(crate) resp: resp::Decoder,
}

/// Where the connection stands in the present turn.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Bytes of input that are decoded.
    pub(crate) decoded: usize,
    /// Bytes that decoding lacks.
    pub(crate) need: usize,
    /// Requests that were decoded.
    pub(crate) requests: usize,
    /// Bytes of output that were there before.
    pub(crate) output_before: usize,
    /// Nothing more is executed in this turn.
    pub(crate) stopped: bool,
    /// The protocol of the last request.
    pub(crate) protocol: Option<Protocol>,
    /// The last command of RESP.
    pub(crate) verb: Option<resp::Verb>,
}

impl Session {
    pub(crate) fn new(id: u64, peer: Peer, now: Millis) -> Session {
        let client = Client::new(id, peer.address.clone(), now);
        Session {
            id,
            settled: peer.protocol,
            peer,
            selected: 0,
            current: None,
            decoders: Decoders::default(),
            resp3: false,
            conversation: Conversation::default(),
            client: Arc::new(client),
            pending: None,
            bulk: None,
            lane: Lane::default(),
        }
    }

    /// Whether a part of a request was carried out, and the rest of it has not come.
    pub(crate) fn is_inside(&self) -> bool {
        self.bulk.is_some()
    }

    /// Makes the session as new, as `RESET` does.
    pub(crate) fn reset(&mut self) {
        self.settled = self.peer.protocol;
        self.selected = 0;
        self.resp3 = false;
        self.conversation = Conversation::default();
        self.client.labels().name.clear();
    }

    /// How the connection can be closed from other threads; what is handed in must not wait.
    pub(crate) fn closes_by(&self, close: Box<dyn Fn() + Send + Sync>) {
        self.client.closes_by(close);
    }

    /// Lets others see where the connection stands at the end of a turn.
    pub(crate) fn show(&self, now: Millis) {
        self.client.show(Glimpse {
            heard: now,
            selected: self.selected,
            resp3: self.resp3,
            queued: self.conversation.queued(),
            protocol: self.lane.protocol,
            verb: self.lane.verb,
        });
    }
}
