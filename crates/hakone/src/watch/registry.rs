//! The interests in one database, found by the key of a change.

use super::mailbox::{Mailbox, Rings};
use super::{Event, EventKind, Interest};
use crate::index::hash::hash;
use crate::log::Placed;
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Parts of a registry that are locked apart: writers of different keys seldom meet.
const SHARDS: usize = 64;

/// An interest that owns its bytes. `All` is the empty prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    is_prefix: bool,
    bytes: Box<[u8]>,
}

impl Wanted {
    pub(super) fn new(interest: Interest<'_>) -> Wanted {
        let (is_prefix, bytes) = match interest {
            Interest::Key(key) => (false, key),
            Interest::Prefix(prefix) => (true, prefix),
            Interest::All => (true, &[][..]),
        };
        Wanted {
            is_prefix,
            bytes: bytes.into(),
        }
    }
}

/// Who is interested in what of one database. Costs nothing until somebody is.
#[derive(Debug)]
pub(crate) struct Registry {
    /// How many interests there are.
    ///
    /// Relaxed is enough: whoever registers and then reads a record takes its key's lock after
    /// that, and whoever changes the record later loads this under the same lock.
    count: AtomicUsize,
    there: OnceLock<Box<There>>,
    seed: u64,
}

#[derive(Debug)]
struct There {
    database: Arc<str>,
    layer: Option<Arc<str>>,
    /// Of the hashes, so that nobody can choose keys that collide.
    seed: u64,
    shards: Vec<RwLock<Shard>>,
    /// The lengths of the prefixes that are watched, ascending, and how many have each.
    lengths: ArcSwap<BTreeMap<usize, usize>>,
}

type Shard = HashMap<u64, Vec<Watched>, BuildHasherDefault<Hashed>>;

/// The mailboxes of one interest, by their ids.
#[derive(Debug)]
struct Watched {
    wanted: Wanted,
    mailboxes: BTreeMap<u64, Arc<Mailbox>>,
}

/// The hash of a key that is a hash.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys of the map are u64");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl There {
    fn new(database: &str, layer: Option<Arc<str>>, seed: u64) -> There {
        There {
            database: database.into(),
            layer,
            seed,
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            lengths: ArcSwap::default(),
        }
    }

    fn hash(&self, is_prefix: bool, bytes: &[u8]) -> u64 {
        hash(bytes, self.seed ^ u64::from(is_prefix))
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The map inside takes the low bits, and the top ones.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    /// Counts a prefix of this length in or out.
    fn count_length(&self, length: usize, more: bool) {
        self.lengths.rcu(|lengths| {
            let mut lengths = BTreeMap::clone(lengths);
            let count = lengths.entry(length).or_default();
            *count = if more {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                lengths.remove(&length);
            }
            lengths
        });
    }

    /// Adds the mailboxes of an interest. Returns whether there are any.
    fn gather(&self, is_prefix: bool, bytes: &[u8], to: &mut Vec<Arc<Mailbox>>) -> bool {
        let hash = self.hash(is_prefix, bytes);
        let shard = self
            .shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(list) = shard.get(&hash) else {
            return false;
        };
        let is_it = |w: &&Watched| w.wanted.is_prefix == is_prefix && *w.wanted.bytes == *bytes;
        let Some(watched) = list.iter().find(is_it) else {
            return false;
        };
        to.extend(watched.mailboxes.values().cloned());
        true
    }

    fn gather_all(&self, to: &mut Vec<Arc<Mailbox>>) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let watched = shard.values().flatten();
            to.extend(watched.flat_map(|watched| watched.mailboxes.values().cloned()));
        }
    }
}

impl Registry {
    /// A registry without interests.
    pub(crate) fn new(seed: u64) -> Registry {
        Registry {
            count: AtomicUsize::new(0),
            there: OnceLock::new(),
            seed,
        }
    }

    /// Adds a mailbox to those of an interest. Returns false if it was there.
    pub(super) fn insert(
        &self,
        wanted: &Wanted,
        database: &str,
        layer: Option<&Arc<str>>,
        mailbox: &Arc<Mailbox>,
    ) -> bool {
        let there = self
            .there
            .get_or_init(|| Box::new(There::new(database, layer.cloned(), self.seed)));
        let hash = there.hash(wanted.is_prefix, &wanted.bytes);
        let mut shard = there
            .shard(hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let list = shard.entry(hash).or_default();
        let at = list.iter().position(|watched| watched.wanted == *wanted);
        let at = at.unwrap_or_else(|| {
            if wanted.is_prefix {
                there.count_length(wanted.bytes.len(), true);
            }
            list.push(Watched {
                wanted: wanted.clone(),
                mailboxes: BTreeMap::new(),
            });
            list.len() - 1
        });
        let mailboxes = &mut list[at].mailboxes;
        let is_new = mailboxes.insert(mailbox.id, Arc::clone(mailbox)).is_none();
        self.count.fetch_add(usize::from(is_new), Ordering::Relaxed);
        is_new
    }

    /// Takes a mailbox out of those of an interest, if it is there.
    pub(super) fn remove(&self, wanted: &Wanted, mailbox: u64) {
        let Some(there) = self.there.get() else {
            return;
        };
        let hash = there.hash(wanted.is_prefix, &wanted.bytes);
        let mut shard = there
            .shard(hash)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(list) = shard.get_mut(&hash) else {
            return;
        };
        let Some(at) = list.iter().position(|watched| watched.wanted == *wanted) else {
            return;
        };
        if list[at].mailboxes.remove(&mailbox).is_none() {
            return;
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        if list[at].mailboxes.is_empty() {
            list.swap_remove(at);
            if wanted.is_prefix {
                there.count_length(wanted.bytes.len(), false);
            }
        }
        if list.is_empty() {
            shard.remove(&hash);
        }
    }

    /// Whether anybody is interested in anything: what a write asks first.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Tells a change that the index has, under the lock of its key. Whoever is to be woken for it
    /// is added to `rings`.
    #[inline(never)]
    pub(crate) fn tell(&self, rings: &mut Rings, kind: EventKind, key: &[u8], placed: Placed) {
        let Some(there) = self.there.get() else {
            return;
        };
        let mut mailboxes = Vec::new();
        let mut sources = 0;
        if kind == EventKind::Clear {
            there.gather_all(&mut mailboxes);
            sources = 2;
        } else {
            sources += usize::from(there.gather(false, key, &mut mailboxes));
            for length in there.lengths.load().keys() {
                let Some(prefix) = key.get(..*length) else {
                    break;
                };
                sources += usize::from(there.gather(true, prefix, &mut mailboxes));
            }
        }
        if mailboxes.is_empty() {
            return;
        }
        if sources > 1 {
            mailboxes.sort_unstable_by_key(|mailbox| mailbox.id);
            mailboxes.dedup_by_key(|mailbox| mailbox.id);
        }
        let event = Event {
            database: Arc::clone(&there.database),
            layer: there.layer.clone(),
            key: key.into(),
            kind,
            lsn: placed.lsn,
            version: placed.version,
        };
        for mailbox in mailboxes {
            if mailbox.push(&event) {
                rings.add(mailbox);
            }
        }
    }

    /// How many interests there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
