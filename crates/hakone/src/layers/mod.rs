//! Layers: typed records in hidden trees beside a database, the ground for lists, queues, tables and
//! the like.
//!
//! A layer adds no storage code. Its hidden tree is a tree like any other, in the same log as its
//! database (in memory, if that is), with an entry in the catalogue that names its parent; it is in
//! no list of databases, and its records are in no count, size or scan of the database. Clearing the
//! database clears its hidden trees in the same atomic batch.
//!
//! What a layer's author is given is a [`Layer`]: locks for names, so that what was read is still so
//! when the change is made; reads; and batches of changes to the layer and its database together. A
//! batch guards the record that it was decided on by its version, because a clear of the database
//! asks for no names.
//!
//! Keys of a hidden tree begin with a byte that says what they are:
//!
//! | byte | then | what it is |
//! |---|---|---|
//! | `E` | what the layer wants | an element, found through a named record |
//! | `G` | a prefix of elements | garbage: elements that nothing leads to any more |
//! | `M` | the user's name | a named record; watchers are told of these by name |
//!
//! A long removal is a short change: the named record goes, and a garbage record comes. The keeper
//! then removes the elements, some at a time, and goes on with that after a restart.

mod garbage;
mod list;
#[cfg(test)]
mod tests;

pub(crate) use garbage::collect;
pub use list::{Elements, List};

use crate::cabinet::{Database, DatabaseOptions};
use crate::index::hash::hash;
use crate::log::lock;
use crate::records::OwnedRecord;
use crate::store::{Store, batch};
use crate::watch::{Interest, Watcher};
use hakone_command::{
    Command, Direction, Error, Filter, Kind, Lsn, Page, Position, Range, Reply, Result, Version,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The first byte of the key of an element.
const ELEMENT: u8 = b'E';

/// The first byte of the key of a garbage record.
const GARBAGE: u8 = b'G';

/// The first byte of the key of a named record.
const NAMED: u8 = b'M';

/// Locks for names: writers of two lists seldom share one.
const STRIPES: usize = 64;

/// The key of a named record.
fn named(name: &[u8]) -> Vec<u8> {
    [&[NAMED], name].concat()
}

/// The name in the key of a named record.
pub(crate) fn name_of(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(&[NAMED])
}

/// What a hidden tree has beyond a database.
#[derive(Debug)]
pub(crate) struct Hidden {
    /// The id of the database that it is beside.
    parent: u32,
    name: Arc<str>,
    stripes: Box<[RwLock<()>]>,
    /// The last generation of elements that was given; 0 before it was looked for in the tree.
    generation: Mutex<u64>,
    /// There may be garbage to be collected.
    has_garbage: AtomicBool,
}

impl Hidden {
    pub(crate) fn new(parent: u32, name: &str) -> Hidden {
        Hidden {
            parent,
            name: name.into(),
            stripes: (0..STRIPES).map(|_| RwLock::default()).collect(),
            generation: Mutex::default(),
            // Perhaps there was some when the cabinet was closed.
            has_garbage: AtomicBool::new(true),
        }
    }

    /// The id of the database that it is beside.
    pub(crate) fn parent(&self) -> u32 {
        self.parent
    }

    /// The name of its layer.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// A layer of a database: its hidden tree, locks for its names, and batches.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    database: Database,
    store: Arc<Store>,
}

/// What a step of a layer's batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// The hidden tree.
    Layer,
    /// The database that it is beside.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tables and their rows"))]
    Database,
}

impl Layer {
    /// The layer of this name beside a database, its hidden tree made if there is none.
    ///
    /// # Errors
    /// Those of a write where it is made.
    fn open(database: &Database, name: &str) -> Result<Layer> {
        database.check_open()?;
        let find = || {
            let is_it = |layer: &&Arc<Store>| {
                let hidden = layer.hidden.as_ref();
                hidden.is_some_and(|hidden| &*hidden.name == name)
            };
            database.store().layers().find(is_it).cloned()
        };
        let made = |store| Layer {
            database: database.clone(),
            store,
        };
        if let Some(there) = find() {
            return Ok(made(there));
        }
        let keeper = database.keeper()?;
        let mut catalogue = keeper.catalogue_mut();
        if let Some(there) = find() {
            return Ok(made(there));
        }
        let parent = database.store();
        let options = DatabaseOptions {
            memory: parent.options.memory,
            ..DatabaseOptions::new(Kind::Tree)
        };
        let id = catalogue.next_id;
        if !options.memory {
            keeper.log_create(id, name, &options, Some(parent.id))?;
        }
        catalogue.next_id += 1;
        let log = Arc::clone(&parent.log);
        let store = Store::new(id, options, log, keeper.hash_seed);
        let store = Arc::new(store.hidden_in(parent.id, name));
        keeper.attend(&store);
        parent.add_layer(Arc::clone(&store));
        Ok(made(store))
    }

    fn hidden(&self) -> &Hidden {
        let Some(hidden) = &self.store.hidden else {
            unreachable!("a layer is opened on a hidden tree")
        };
        hidden
    }

    fn stripe(&self, name: &[u8]) -> &RwLock<()> {
        &self.hidden().stripes[hash(name, 0) as usize % STRIPES]
    }

    /// Locks a name for changes. One thread may lock one name at a time.
    fn lock(&self, name: &[u8]) -> RwLockWriteGuard<'_, ()> {
        let stripe = self.stripe(name);
        stripe.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks a name against changes.
    fn share(&self, name: &[u8]) -> RwLockReadGuard<'_, ()> {
        let stripe = self.stripe(name);
        stripe.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record of the hidden tree.
    fn get(&self, key: &[u8]) -> Result<Option<OwnedRecord>> {
        let mut found = None;
        self.call(&Command::Get { key }, &mut |reply| {
            if let Reply::Record(record) = reply {
                found = Some(record.into());
            }
        })?;
        Ok(found)
    }

    /// Records of the hidden tree whose keys begin with `prefix`, from the key `from` on.
    fn scan(&self, from: &[u8], prefix: &[u8], limit: usize) -> Result<Page> {
        let command = Command::Scan {
            from: Position::At(from),
            range: Range::Prefix(prefix),
            direction: Direction::Forward,
            filter: Filter::All,
            limit,
            values: true,
        };
        let mut found = None;
        self.call(&command, &mut |reply| {
            if let Reply::Page(page) = reply {
                found = Some(page.clone());
            }
        })?;
        let Some(page) = found else {
            unreachable!("a scan answers a page")
        };
        Ok(page)
    }

    fn call(&self, command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> Result<Lsn> {
        self.database.check_open()?;
        self.store.call(command, crate::now(), answer)
    }

    /// Carries out all steps or none as one atomic batch, if each of these records of the hidden
    /// tree has this version (0: is not there); else `None`. A refused step refuses all.
    fn batch(
        &self,
        guards: &[(&[u8], Version)],
        steps: &[(To, Command<'_>)],
    ) -> Result<Option<Lsn>> {
        self.database.check_open()?;
        let guards = guards.iter().map(|(key, version)| batch::Guard {
            store: &self.store,
            key,
            version: *version,
        });
        let steps = steps.iter().map(|(to, command)| batch::Step {
            store: match to {
                To::Layer => &self.store,
                To::Database => self.database.store(),
            },
            command,
        });
        let (guards, steps): (Vec<_>, Vec<_>) = (guards.collect(), steps.collect());
        batch::run_whole(&guards, &steps, crate::now())
    }

    /// A number that no elements of the tree have, to keep those of a new record apart from all
    /// that was there before. They rise.
    fn next_generation(&self) -> Result<u64> {
        let mut last = lock(&self.hidden().generation);
        if *last == 0 {
            *last = 1;
            for kind in [ELEMENT, GARBAGE] {
                // The highest comes first.
                let page = self.scan(&[kind], &[kind], 1)?;
                if let Some((key, _)) = page.iter().next() {
                    *last = generation_of(key)
                        .ok_or_else(|| self.corrupt("a key without a generation"))?
                        .max(*last);
                }
            }
        }
        *last = last.checked_add(1).ok_or_else(|| {
            Error::Invalid("the layer has made as many records as there are numbers".to_owned())
        })?;
        Ok(*last)
    }

    /// Tells the keeper that a garbage record was written.
    fn note_garbage(&self) {
        self.hidden().has_garbage.store(true, Ordering::Release);
        if let Ok(keeper) = self.database.keeper() {
            keeper.ring_upkeep();
        }
    }

    fn watch(&self, interest: Interest<'_>, watcher: &Watcher) -> Result<()> {
        watcher.watch(&self.store, self.database.name(), interest)
    }

    fn unwatch(&self, interest: Interest<'_>, watcher: &Watcher) {
        watcher.unwatch(&self.store, interest);
    }

    /// The error that the hidden tree holds what no layer has written.
    fn corrupt(&self, what: &str) -> Error {
        Error::Corrupt(format!(
            "the {}s of database {} are damaged: {what}; restore the cabinet from a backup",
            self.hidden().name,
            self.database.name()
        ))
    }
}

/// The beginning of the keys of a generation of elements, or of its garbage record: the highest
/// generation has the lowest key.
fn of_generation(kind: u8, generation: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    #[expect(
        clippy::big_endian_bytes,
        reason = "the order of keys is that of numbers"
    )]
    key[1..].copy_from_slice(&(!generation).to_be_bytes());
    key
}

/// The generation in a key.
fn generation_of(key: &[u8]) -> Option<u64> {
    let bytes = key.get(1..9)?.try_into().ok()?;
    #[expect(
        clippy::big_endian_bytes,
        reason = "the order of keys is that of numbers"
    )]
    Some(!u64::from_be_bytes(bytes))
}
