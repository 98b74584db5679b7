//! What a worker knows of one connection between turns.

use super::buffers::Remainder;
use super::net::Id;
use crate::Session;
use crate::limits::{Limits, REQUEST_RATE_MIN};
use hakone::Lsn;
use std::time::{Duration, Instant};

/// A connection between turns. While it idles it holds no buffer.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold with any other"
)]
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: Id,
    pub(super) session: Session,
    /// Input that is not yet consumed.
    pub(super) input: Remainder,
    /// A turn is worth it once the input has so many bytes.
    pub(super) need: usize,
    /// A turn is worth it without new input.
    pub(super) more: bool,
    /// It waits for a turn to go on in.
    pub(super) going_on: bool,
    /// Replies that wait for others before them to be sent.
    pub(super) queued: Vec<u8>,
    /// Replies that wait until this lsn is durable.
    pub(super) held: Option<(Lsn, Vec<u8>)>,
    /// Bytes of replies that were last counted as waiting.
    pub(super) unsent_bytes: usize,
    pub(super) stage: Stage,
    /// The peer sends nothing more.
    pub(super) ended: bool,
    /// Reading is paused.
    pub(super) paused: bool,
    /// When the request began of which a part has come.
    pub(super) begun: Option<Instant>,
    /// When something came last.
    pub(super) heard: Instant,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is served.
    Open,
    /// It is closed once its replies are sent.
    Closing,
    /// All is sent, and the peer has time to close too: until then, or until the later moment if
    /// it still takes the replies.
    Lingering { until: Instant, latest: Instant },
}

impl Connection {
    pub(super) fn new(id: Id, session: Session, now: Instant) -> Connection {
        Connection {
            id,
            session,
            input: Remainder::default(),
            need: 0,
            more: false,
            going_on: false,
            queued: Vec::new(),
            held: None,
            unsent_bytes: 0,
            stage: Stage::Open,
            ended: false,
            paused: false,
            begun: None,
            heard: now,
        }
    }

    /// When the connection has had its time, if it has a limit.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        if let Stage::Lingering { until, .. } = self.stage {
            return Some(until);
        }
        if let Some(begun) = self.begun.filter(|_| !self.paused) {
            let shares = self.input.len() / REQUEST_RATE_MIN;
            let extra = Duration::from_secs(shares as u64);
            return Some(begun + limits.request_time_max + extra);
        }
        let idle = self.held.is_none() && self.stage == Stage::Open;
        let idle_time_max = limits.idle_time_max.filter(|_| idle)?;
        Some(self.heard + idle_time_max)
    }
}
