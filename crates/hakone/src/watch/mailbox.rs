//! A watcher's mailbox: a bounded queue of events that knows which interests feed it.

use super::registry::Wanted;
use super::{Event, Interest, Mail};
use crate::log::{Callback, lock};
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The number of the next mailbox of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where a watcher is told.
///
/// Locks are taken in this order: `interests`, a registry's, `queue`.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Tells mailboxes apart.
    pub(super) id: u64,
    events_max: usize,
    wake: Callback,
    queue: Mutex<Queue>,
    /// What it is registered for; `None` once it was forgotten.
    interests: Mutex<Option<Interests>>,
}

/// Interests, by the address of the store, which keeps it while its `Weak` is here.
type Interests = BTreeMap<(usize, Wanted), Weak<Store>>;

#[derive(Debug, Default)]
struct Queue {
    events: Vec<Event>,
    is_cut: bool,
}

impl Mailbox {
    pub(super) fn new(events_max: usize, wake: Callback) -> Arc<Mailbox> {
        Arc::new(Mailbox {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            events_max,
            wake,
            queue: Mutex::default(),
            interests: Mutex::new(Some(BTreeMap::new())),
        })
    }

    pub(super) fn take(&self) -> Mail {
        let mut queue = lock(&self.queue);
        if queue.is_cut {
            return Mail::Cut;
        }
        Mail::Events(std::mem::take(&mut queue.events))
    }

    /// Registers an interest, once. Returns false if the mailbox was forgotten.
    pub(super) fn register(
        self: &Arc<Self>,
        store: &Arc<Store>,
        database: &str,
        interest: Interest<'_>,
    ) -> bool {
        let mut interests = lock(&self.interests);
        let Some(interests) = &mut *interests else {
            return false;
        };
        let wanted = Wanted::new(interest);
        let layer = store.hidden.as_ref().map(|hidden| hidden.name());
        if store.watched.insert(&wanted, database, layer, self) {
            let place = Arc::as_ptr(store) as usize;
            interests.insert((place, wanted), Arc::downgrade(store));
        }
        true
    }

    pub(super) fn unregister(&self, store: &Arc<Store>, interest: Interest<'_>) {
        let mut interests = lock(&self.interests);
        let wanted = Wanted::new(interest);
        store.watched.remove(&wanted, self.id);
        if let Some(interests) = &mut *interests {
            interests.remove(&(Arc::as_ptr(store) as usize, wanted));
        }
    }

    /// Takes all interests back, for good.
    pub(super) fn forget(&self) {
        let interests = lock(&self.interests).take();
        for ((_, wanted), store) in interests.into_iter().flatten() {
            if let Some(store) = store.upgrade() {
                store.watched.remove(&wanted, self.id);
            }
        }
    }

    /// Adds an event. Returns whether the owner has to be woken, or the mailbox to be forgotten
    /// because it is cut now.
    pub(super) fn push(&self, event: &Event) -> bool {
        let mut queue = lock(&self.queue);
        if queue.is_cut {
            return false;
        }
        if queue.events.len() >= self.events_max {
            *queue = Queue {
                events: Vec::new(),
                is_cut: true,
            };
            return true;
        }
        queue.events.push(event.clone());
        queue.events.len() == 1
    }
}

/// Mailboxes to be rung or, where they were cut, forgotten. That is done when this is dropped, so
/// declare it before the locks under which changes are told.
#[derive(Debug, Default)]
pub(crate) struct Rings(Vec<Arc<Mailbox>>);

impl Rings {
    pub(super) fn add(&mut self, mailbox: Arc<Mailbox>) {
        self.0.push(mailbox);
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        for mailbox in self.0.drain(..) {
            let is_cut = lock(&mailbox.queue).is_cut;
            if is_cut {
                mailbox.forget();
            }
            (mailbox.wake.0)();
        }
    }
}
