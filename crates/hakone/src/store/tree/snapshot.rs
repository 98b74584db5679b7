//! Commands on a snapshot of a tree: those that read.

use super::{Live, TreeStore, View, described};
use crate::index::tree::SnapshotId;
use crate::log::Pin;
use crate::store::{Index, Scan, Store, number};
use hakone_command::{Command, Error, Lsn, Millis, Reply, Result};

/// A moment of a tree, until it is released.
#[derive(Debug)]
pub(crate) struct Moment {
    id: SnapshotId,
    /// Everything up to it is seen, and nothing after it.
    pub(crate) lsn: Lsn,
    /// Values that are in the log alone stay readable.
    _pin: Pin,
}

impl Store {
    /// Makes a snapshot, to be given to [`Store::release`].
    pub(crate) fn snapshot(&self) -> Result<Moment> {
        let Index::Tree(index) = &self.index else {
            return Err(Error::Unsupported(
                "a snapshot of a hash; make the database a tree, or list it by pages",
            ));
        };
        let mut tree = index.write();
        // Before anything can be retired that the snapshot leads to.
        let pin = self.log.pins.pin();
        Ok(Moment {
            id: tree.snapshot(),
            // Changes are applied under the lock that is held here.
            lsn: self.log.written(),
            _pin: pin,
        })
    }

    /// Gives a snapshot back.
    pub(crate) fn release(&self, moment: &Moment) {
        if let Index::Tree(index) = &self.index {
            let garbage = index.write().release(moment.id);
            // Here, where nobody waits for it.
            drop(garbage);
        }
    }

    /// Carries out a command that reads, as of a snapshot. Records that had expired at `now` are not
    /// there.
    pub(crate) fn call_as_of(
        &self,
        moment: &Moment,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        crate::ops::check_limits(command)?;
        match &self.index {
            Index::Tree(index) => index.call_as_of(self, moment.id, command, now, answer),
            Index::Hash(_) => unreachable!("no hash has snapshots"),
        }
    }
}

impl TreeStore {
    fn call_as_of(
        &self,
        store: &Store,
        id: SnapshotId,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        let guard = self.read();
        let tree = guard.as_of(id);
        let live = Live { tree, now };
        match command {
            Command::Get { key } => match live.find(self.codec, key)? {
                Some(entry) => answer(Reply::Record(View::new(store, entry)?.record()?)),
                None => answer(Reply::Missing),
            },
            Command::Describe { key } => match live.find(self.codec, key)? {
                Some(entry) => answer(Reply::Record(described(&entry))),
                None => answer(Reply::Missing),
            },
            Command::GetMany { keys } => {
                let mut views = Vec::with_capacity(keys.len());
                for key in keys {
                    let entry = live.find(self.codec, key)?;
                    views.push(entry.map(|entry| View::new(store, entry)).transpose()?);
                }
                let records = views.iter().map(|view| view.as_ref().map(View::record));
                let records: Result<Vec<_>> = records.map(Option::transpose).collect();
                answer(Reply::Records(&records?));
            }
            Command::Exists { keys } => {
                let mut count = 0;
                for key in keys {
                    count += u64::from(live.find(self.codec, key)?.is_some());
                }
                answer(number(count));
            }
            Command::Count => answer(number(tree.len())),
            Command::Bytes => answer(number(tree.bytes())),
            Command::CountRange { range } => {
                let count = live.count_range(self.codec, *range)?;
                drop(guard);
                answer(number(count));
            }
            Command::Scan { .. } => {
                let page = live.scan(store, self.codec, &Scan::new(command)?)?;
                drop(guard);
                answer(Reply::Page(&page));
            }
            _ => {
                return Err(Error::Unsupported(
                    "a change of a snapshot; write to its database",
                ));
            }
        }
        Ok(())
    }
}
