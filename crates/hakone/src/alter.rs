//! Changing how a database packs its values, and rewriting what is packed otherwise.

use crate::cabinet::Database;
use crate::checkpoint::encode_options;
use crate::compaction;
use crate::keeper::Keeper;
use crate::log::format::{FrameKind, encode_dictionary};
use crate::log::lock;
use crate::store::Store;
use crate::{Compression, DatabaseOptions};
use hakone_command::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Records that there must be before a dictionary is made unasked.
const RECORDS_MIN: u64 = 1000;

/// How many records a database had when no dictionary could be made of them: it is tried again when
/// there are twice as many.
#[derive(Debug, Default)]
pub(crate) struct Tried(Mutex<BTreeMap<u32, u64>>);

impl Keeper {
    /// Gives a database other options; see [`crate::Cabinet::alter`].
    pub(crate) fn alter(&self, database: &Database, options: DatabaseOptions) -> Result<()> {
        let there = database.options();
        let compression = options.compression;
        if (DatabaseOptions {
            compression,
            ..there
        }) != options
        {
            return Err(Error::Invalid(format!(
                "database {} is there as {there}, and only its compression can be altered, not to \
                 {options}; make another database and copy the records",
                database.name()
            )));
        }
        let store = database.store();
        if compression != there.compression {
            // No checkpoint comes between the log and the store: it would miss the change.
            let _upkeep = lock(&self.upkeep);
            store.alter(options, self.now())?;
        }
        if compression == Compression::ZstdDictionary {
            self.train(store)?;
        }
        Ok(())
    }

    /// Makes a dictionary of a database's records, and lets what is written be packed with it.
    /// Returns whether there is enough for one.
    fn train(&self, store: &Store) -> Result<bool> {
        let Some(bytes) = store.train(self.now())? else {
            return Ok(false);
        };
        let _upkeep = lock(&self.upkeep);
        store.learn(&bytes, self.now())?;
        Ok(true)
    }

    /// Makes dictionaries for databases that want one and have records enough by now.
    pub(crate) fn train_missing(&self) -> Result<()> {
        for database in self.databases() {
            let store = database.store();
            if !store.packing.wants_dictionary() {
                continue;
            }
            let count = store.count()?;
            let tried = lock(&self.tried.0).get(&store.id).copied().unwrap_or(0);
            if count < RECORDS_MIN.max(tried.saturating_mul(2)) {
                continue;
            }
            if !self.train(store)? {
                lock(&self.tried.0).insert(store.id, count);
            }
        }
        Ok(())
    }

    /// Copies all live records anew, packed as their databases pack now. Returns how many bytes of
    /// the disk that has freed.
    pub(crate) fn compact_all(&self) -> Result<u64> {
        let before: u64 = self.logs().iter().map(|log| log.capacity()).sum();
        for log in self.logs() {
            log.seal_tail();
            log.sync()?;
            let mut numbers = compaction::all(&log);
            loop {
                let mut upkeep = lock(&self.upkeep);
                let chosen = compaction::some_of(&log, &mut numbers);
                if chosen.is_empty() {
                    break;
                }
                self.compact_chosen(&log, &mut upkeep, chosen)?;
            }
        }
        self.free_waiting(&mut lock(&self.upkeep), Vec::new())?;
        let after: u64 = self.logs().iter().map(|log| log.capacity()).sum();
        Ok(before.saturating_sub(after))
    }
}

impl Store {
    /// Logs and does a change of how values are packed.
    fn alter(&self, options: DatabaseOptions, now: u64) -> Result<()> {
        let value = encode_options(&options, None);
        let version = self.log_of_catalogue(FrameKind::Alter, &value, now)?;
        self.packing.set(options.compression, version);
        Ok(())
    }

    /// Logs a dictionary, and then takes it in: no value comes before its dictionary.
    fn learn(&self, dictionary: &[u8], now: u64) -> Result<()> {
        let id = self.packing.next_dictionary();
        let value = encode_dictionary(id, dictionary);
        self.log_of_catalogue(FrameKind::Dictionary, &value, now)?;
        self.packing.add_dictionary(id, dictionary);
        Ok(())
    }
}
