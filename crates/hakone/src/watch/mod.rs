//! Who wants to know what changes: watchers with mailboxes, and the registry of their interests.
//!
//! A change is told after the index has it and before its key's lock is given free, so that the
//! events of a key come in the order of its changes, and whoever is woken and reads finds at least
//! what the event tells.

mod mailbox;
mod registry;
#[cfg(test)]
mod tests;

pub(crate) use mailbox::Rings;
pub(crate) use registry::Registry;

use crate::cabinet::Database;
use crate::log::Callback;
use crate::store::Store;
use hakone_command::{Error, Lsn, Result, Version};
use mailbox::Mailbox;
use std::sync::Arc;

/// What a watcher wants to know of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest<'a> {
    /// Changes of this key's record.
    Key(&'a [u8]),
    /// Changes of all records whose keys begin with this.
    Prefix(&'a [u8]),
    /// Changes of all records.
    All,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// The key has a record that it did not have before, or in another state.
    Put,
    /// The record was removed.
    Remove,
    /// The record had expired and was reclaimed.
    Expire,
    /// All records of the database were removed at once. Told to every watcher of the database,
    /// whatever its interest.
    Clear,
}

/// A change that was told. Cloning it shares its key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The name of the database.
    pub database: Arc<str>,
    /// What the key names: a record of the database (`None`), or what a layer keeps under that
    /// name, as "list".
    pub layer: Option<Arc<str>>,
    /// The key; empty for `Clear`.
    pub key: Arc<[u8]>,
    /// What happened.
    pub kind: EventKind,
    /// The change's place in the order of the cabinet. Told when it is written, not when it is
    /// durable: to wait for that, see [`crate::Cabinet::durable`]. (Of a database in memory, too.)
    pub lsn: Lsn,
    /// The version that the record got, or that its removal has.
    pub version: Version,
}

/// What a mailbox held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mail {
    /// The events since the last time, those of one key in the order of its changes; perhaps none.
    Events(Vec<Event>),
    /// There were more than the mailbox holds: they are lost, and so are all that would follow. The
    /// watcher watches nothing any more. Read again what matters, with a new watcher.
    Cut,
}

/// A mailbox for events, fed by any number of interests in databases of any cabinet. Dropping it
/// forgets them.
///
/// A watcher that registers its interest, then reads, and then waits to be woken misses nothing:
/// what was changed before is read, and what is changed after that is told. It may be told of
/// changes that it has read already.
///
/// Where nobody watches, a write of the database pays for one load from memory; where somebody
/// does, for a look-up of its key, and one for each length of prefix that is in use. Watchers of
/// other keys cost it nothing.
///
/// ```
/// use hakone::{Cabinet, DatabaseOptions, Interest, Kind, Mail, Options, Watcher};
///
/// # let directory = std::env::temp_dir().join(format!("hakone-watch-{}", std::process::id()));
/// # let cabinet = Cabinet::open(&directory, Options::default())?;
/// let towns = cabinet.create("towns", DatabaseOptions::new(Kind::Hash))?;
/// let (bell, rung) = std::sync::mpsc::channel();
/// let watcher = Watcher::new(100, move || bell.send(()).unwrap_or_default());
/// towns.watch(Interest::Prefix(b"hak"), &watcher)?;
/// towns.put(b"hakone", b"kanagawa")?;
/// rung.recv().unwrap();
/// let Mail::Events(events) = watcher.take() else { unreachable!("100 events fit") };
/// assert_eq!(&*events[0].key, b"hakone");
/// # cabinet.close()?;
/// # std::fs::remove_dir_all(directory).unwrap();
/// # Ok::<(), hakone::Error>(())
/// ```
#[derive(Debug)]
pub struct Watcher(Arc<Mailbox>);

impl Watcher {
    /// A watcher that holds up to `events_max` events (at least one) until they are taken; each
    /// keeps its key. `wake` is called whenever there is an event where there was none, by the
    /// thread that has made the change, after it has given its locks free: it holds up that writer,
    /// so it must be short. It must not panic.
    pub fn new(events_max: usize, wake: impl Fn() + Send + Sync + 'static) -> Watcher {
        Watcher(Mailbox::new(events_max.max(1), Callback(Box::new(wake))))
    }

    /// Takes what has been told. After `Cut`, always `Cut`.
    pub fn take(&self) -> Mail {
        self.0.take()
    }

    /// Registers an interest in the records of `store`, which events call `database`.
    pub(crate) fn watch(
        &self,
        store: &Arc<Store>,
        database: &str,
        interest: Interest<'_>,
    ) -> Result<()> {
        if self.0.register(store, database, interest) {
            return Ok(());
        }
        Err(Error::Invalid(
            "the watcher has lost events and watches nothing any more; make a new one, then read"
                .to_owned(),
        ))
    }

    pub(crate) fn unwatch(&self, store: &Arc<Store>, interest: Interest<'_>) {
        self.0.unregister(store, interest);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.forget();
    }
}

impl Database {
    /// Lets `watcher` be told of changes from now on, until it is dropped; see [`Watcher`]. The
    /// same interest twice is one; interests that overlap tell a change once.
    ///
    /// # Errors
    /// `Invalid` if the watcher was cut.
    pub fn watch(&self, interest: Interest<'_>, watcher: &Watcher) -> Result<()> {
        watcher.watch(self.store(), self.name(), interest)
    }

    /// Takes an interest back that was registered exactly so. A change that is under way may still
    /// be told.
    pub fn unwatch(&self, interest: Interest<'_>, watcher: &Watcher) {
        watcher.unwatch(self.store(), interest);
    }
}
