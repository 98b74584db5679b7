//! The connections that are open, as each may see and close all others.

use hakone::Millis;
use hakone_wire::{Protocol, resp};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// All open connections by number.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<BTreeMap<u64, Arc<Client>>>);

impl Clients {
    pub(crate) fn add(&self, client: &Arc<Client>) {
        self.all().insert(client.id, Arc::clone(client));
    }

    pub(crate) fn remove(&self, id: u64) {
        self.all().remove(&id);
    }

    /// So many of them at most, in the order of their numbers, from the one after `after` on.
    pub(crate) fn page(&self, after: u64, count: usize) -> Vec<Arc<Client>> {
        let all = self.all();
        let range = all.range((Bound::Excluded(after), Bound::Unbounded));
        range
            .take(count)
            .map(|(_, client)| Arc::clone(client))
            .collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        // No call above can leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one connection lets others see of it. It writes this at the end of its turns.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: String,
    connected: Millis,
    labels: Mutex<Labels>,
    // All of these are for reports, so that none needs to agree with another.
    heard: AtomicU64,
    selected: AtomicUsize,
    resp3: AtomicBool,
    /// Requests of an open transaction; -1: there is none.
    queued: AtomicI64,
    /// The position of the last request's protocol in `Protocol::ALL`, and one more; 0: none yet.
    protocol: AtomicUsize,
    /// The position of the last command of RESP in its table, and one more; 0: none yet.
    verb: AtomicUsize,
    killed: AtomicBool,
    close: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What a connection calls itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    pub(crate) name: Vec<u8>,
    pub(crate) library_name: Vec<u8>,
    pub(crate) library_version: Vec<u8>,
}

/// What a connection tells of itself at the end of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glimpse {
    pub(crate) heard: Millis,
    pub(crate) selected: usize,
    pub(crate) resp3: bool,
    /// Requests of an open transaction.
    pub(crate) queued: Option<usize>,
    /// The protocol of the last request.
    pub(crate) protocol: Option<Protocol>,
    /// The last command of RESP.
    pub(crate) verb: Option<resp::Verb>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(id: u64, address: String, connected: Millis) -> Client {
        Client {
            id,
            address,
            connected,
            labels: Mutex::default(),
            heard: AtomicU64::new(connected),
            selected: AtomicUsize::new(0),
            resp3: AtomicBool::new(false),
            queued: AtomicI64::new(-1),
            protocol: AtomicUsize::new(0),
            verb: AtomicUsize::new(0),
            killed: AtomicBool::new(false),
            close: OnceLock::new(),
        }
    }

    pub(crate) fn labels(&self) -> MutexGuard<'_, Labels> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what others may see.
    pub(crate) fn show(&self, glimpse: Glimpse) {
        self.heard.store(glimpse.heard, Ordering::Relaxed);
        self.selected.store(glimpse.selected, Ordering::Relaxed);
        self.resp3.store(glimpse.resp3, Ordering::Relaxed);
        let queued = glimpse
            .queued
            .map_or(-1, |count| count.cast_signed() as i64);
        self.queued.store(queued, Ordering::Relaxed);
        let position = |protocol| Protocol::ALL.iter().position(|&p| p == protocol);
        if let Some(at) = glimpse.protocol.and_then(position) {
            self.protocol.store(at + 1, Ordering::Relaxed);
        }
        if let Some(verb) = glimpse.verb {
            self.verb.store(verb as usize + 1, Ordering::Relaxed);
        }
    }

    /// How the connection can be closed from elsewhere. What is handed in must not wait.
    pub(crate) fn closes_by(&self, close: Box<dyn Fn() + Send + Sync>) {
        let close = self.close.get_or_init(|| close);
        // With the fence in `kill`: of two threads, one here and one there, at least one sees what
        // the other has stored.
        fence(Ordering::SeqCst);
        if self.is_killed() {
            close();
        }
    }

    /// Has the connection closed, before its next request.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if let Some(close) = self.close.get() {
            close();
        }
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// A line on it, in the words of Redis.
    pub(crate) fn line(&self, now: Millis) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let seconds = |since: Millis| now.saturating_sub(since) / 1000;
        let labels = self.labels().clone();
        let heard = self.heard.load(Ordering::Relaxed);
        let queued = self.queued.load(Ordering::Relaxed);
        let flags = match (queued >= 0, self.address.starts_with("unix:")) {
            (true, true) => "xU",
            (true, false) => "x",
            (false, true) => "U",
            (false, false) => "N",
        };
        let protocol = self.protocol.load(Ordering::Relaxed);
        let protocol = protocol.checked_sub(1).and_then(|at| Protocol::ALL.get(at));
        let verb = self.verb.load(Ordering::Relaxed);
        let verb = verb.checked_sub(1).and_then(|at| resp::ROWS.get(at));
        format!(
            "id={} addr={} name={} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 \
             multi={queued} cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={} \
             protocol={}\n",
            self.id,
            self.address,
            text(&labels.name),
            seconds(self.connected),
            seconds(heard),
            self.selected.load(Ordering::Relaxed),
            verb.map_or("NULL", |row| row.name),
            if self.resp3.load(Ordering::Relaxed) {
                3
            } else {
                2
            },
            text(&labels.library_name),
            text(&labels.library_version),
            protocol.map_or("", |protocol| protocol.name()),
        )
    }
}
