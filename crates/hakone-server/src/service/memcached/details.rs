//! `stats detail`: how often keys of each prefix are read, written and removed, while somebody has
//! asked for it to be counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What parts a prefix from the rest of a key.
const DELIMITER: u8 = b':';

/// Prefixes that are counted: 10,000, a megabyte or two. Those that come later are not.
const PREFIXES_MAX: usize = 10_000;

/// The counts of each prefix, if they are taken.
#[derive(Debug, Default)]
pub(super) struct Details {
    on: AtomicBool,
    counts: Mutex<BTreeMap<Box<[u8]>, Counts>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    get: u64,
    hit: u64,
    set: u64,
    del: u64,
}

impl Details {
    /// Whether they are taken from now on.
    pub(super) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Whether they are taken.
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// A key was read.
    pub(super) fn read(&self, key: &[u8], hit: bool) {
        self.change(key, |counts| {
            counts.get += 1;
            counts.hit += u64::from(hit);
        });
    }

    /// A record was to be written.
    pub(super) fn stored(&self, key: &[u8]) {
        self.change(key, |counts| counts.set += 1);
    }

    /// A record was to be removed.
    pub(super) fn deleted(&self, key: &[u8]) {
        self.change(key, |counts| counts.del += 1);
    }

    /// Forgets all counts.
    pub(super) fn reset(&self) {
        self.lock().clear();
    }

    fn change(&self, key: &[u8], change: impl FnOnce(&mut Counts)) {
        // Relaxed: counts begin and end at no certain request.
        if !self.is_on() {
            return;
        }
        let Some(end) = key.iter().position(|&byte| byte == DELIMITER) else {
            return;
        };
        let mut counts = self.lock();
        let prefix = &key[..end];
        if let Some(counts) = counts.get_mut(prefix) {
            change(counts);
        } else if counts.len() < PREFIXES_MAX {
            change(counts.entry(prefix.into()).or_default());
        }
    }

    /// Appends a line for each prefix.
    pub(super) fn dump(&self, out: &mut Vec<u8>) {
        for (prefix, counts) in self.lock().iter() {
            let Counts { get, hit, set, del } = counts;
            out.extend_from_slice(b"PREFIX ");
            out.extend_from_slice(prefix);
            let counts = format!(" get {get} hit {hit} set {set} del {del}\r\n");
            out.extend_from_slice(counts.as_bytes());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Box<[u8]>, Counts>> {
        // No change can be left half done.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
