//! Transactions: reads and writes over several databases that become true together, or not at all.
//!
//! A transaction locks nothing while it goes on. It keeps what it writes to itself
//! ([`overlay`]), and remembers what it has read ([`reads`]); its commit checks under the locks of
//! one batch that all of that is still so, and ends in the path of every batch.

mod overlay;
mod range;
mod reads;
mod seat;

use crate::store::Scan;
use crate::store::batch::{self, Changed, RangeRead, Share, step};
use crate::{Cabinet, Database};
use hakone_command::{
    Command, Condition, Direction, Error, ExpirySet, Filter, Lsn, Millis, Page, Position, Range,
    Reply, Result,
};
use overlay::Overlay;
use reads::Reads;
use seat::Seat;
use std::cell::RefCell;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a transaction is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionOptions {
    /// Whether its commit returns once what it has written and read is on the disk.
    pub durable: bool,
    /// How often [`Cabinet::transact_with`] tries before it gives up.
    pub attempts: u32,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        TransactionOptions {
            durable: false,
            // Of 8 writers that all want one record, one in a million loses so often.
            attempts: 100,
        }
    }
}

impl TransactionOptions {
    /// As the default, but its commit returns once all is on the disk.
    pub fn durable() -> TransactionOptions {
        TransactionOptions {
            durable: true,
            ..TransactionOptions::default()
        }
    }
}

/// Reads and writes over databases of one cabinet that become true together when it is committed,
/// or not at all. Dropped, it leaves nothing.
///
/// Its commits are **serializable**: all that a transaction has read, absent records, counts and
/// the gaps of ranges included, is as it has read it at the moment at which its writes become true.
/// Nothing is locked before, so a transaction never waits for another and never hangs; where others
/// have changed what it has read, its commit, or a later read of the same, answers
/// [`Error::Conflict`], and the program begins again, as [`Cabinet::transact`] does by itself. What
/// is written without being read, by [`Transaction::put`] or a `Put` or `PutMany` without
/// condition, never conflicts.
///
/// Reads are checked **at commit**: until then two of them may tell of different moments. A program
/// that would go astray on that reads from a snapshot, or asks [`Transaction::check`]. A transaction
/// that only reads must be committed too, if what it read is to be relied on.
///
/// It sees its own writes, and nobody else sees them before the commit. All that it writes must fit
/// one batch ([`crate::limits::BATCH_BYTES_MAX`]); what it remembers of its reads is bounded by
/// [`crate::limits::TRANSACTION_READ_BYTES_MAX`].
#[derive(Debug)]
pub struct Transaction {
    cabinet: Cabinet,
    options: TransactionOptions,
    /// Tells its savepoints from those of others.
    number: u64,
    databases: Vec<Database>,
    overlay: Overlay,
    reads: Reads,
    /// Those that can be rolled back to, with their places in the overlay.
    savepoints: Vec<(u64, usize)>,
    last_savepoint: u64,
    /// The latest time at which something was asked.
    now: Millis,
    /// Why it can't be committed, and whether a rollback to a savepoint mends that.
    failure: Option<(Error, bool)>,
}

/// A moment of a transaction, see [`Transaction::savepoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    transaction: u64,
    number: u64,
}

impl Cabinet {
    /// Begins a transaction over databases of this cabinet. Costs nothing.
    ///
    /// ```
    /// # use hakone::{Cabinet, DatabaseOptions, Kind, Options, TransactionOptions};
    /// # let directory = std::env::temp_dir().join(format!("hakone-doc-tx-{}", std::process::id()));
    /// # let cabinet = Cabinet::open(&directory, Options::default())?;
    /// let stock = cabinet.create("stock", DatabaseOptions::new(Kind::Hash))?;
    /// let orders = cabinet.create("orders", DatabaseOptions::new(Kind::Tree))?;
    /// stock.put(b"tea", b"2")?;
    /// // Tried again where others change the stock meanwhile.
    /// cabinet.transact(|tx| {
    ///     if tx.get(&stock, b"tea")?.as_deref() == Some(b"2") {
    ///         tx.put(&stock, b"tea", b"1")?;
    ///         tx.put(&orders, b"0001", b"tea")?;
    ///     }
    ///     Ok(())
    /// })?;
    /// assert_eq!(orders.get(b"0001")?.as_deref(), Some(&b"tea"[..]));
    ///
    /// let mut tx = cabinet.begin(TransactionOptions::durable());
    /// let before = tx.savepoint();
    /// tx.remove(&orders, b"0001")?;
    /// tx.rollback_to(before)?;
    /// tx.put(&orders, b"0002", b"rice")?;
    /// tx.commit()?;
    /// # cabinet.close()?;
    /// # std::fs::remove_dir_all(directory).unwrap();
    /// # Ok::<(), hakone::Error>(())
    /// ```
    pub fn begin(&self, options: TransactionOptions) -> Transaction {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        Transaction {
            cabinet: self.clone(),
            options,
            number: BEGUN.fetch_add(1, Ordering::Relaxed),
            databases: Vec::new(),
            overlay: Overlay::default(),
            reads: Reads::default(),
            savepoints: Vec::new(),
            last_savepoint: 0,
            now: 0,
            failure: None,
        }
    }

    /// Does `work` in a transaction and commits it, and tries again where it conflicts with others.
    /// As [`Cabinet::transact_with`] with the default options.
    ///
    /// # Errors
    /// Those of `work` and of the commit; [`Error::Conflict`] after so many attempts.
    pub fn transact<T>(&self, work: impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
        self.transact_with(TransactionOptions::default(), work)
    }

    /// Does `work` in a transaction and commits it. If something that it has read was changed
    /// meanwhile, `work` is done again from the start, at most as often as the options say: it must
    /// have no effect beside the transaction. An error of `work` rolls back, and is returned if what
    /// `work` has read was so at one moment; else it is done again too.
    ///
    /// # Errors
    /// Those of `work` and of the commit; [`Error::Conflict`] after so many attempts.
    pub fn transact_with<T>(
        &self,
        options: TransactionOptions,
        mut work: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let mut transaction = self.begin(options);
            let done = match work(&mut transaction) {
                Ok(value) => transaction.commit().map(|_| value),
                Err(error) => match transaction.check() {
                    Err(conflict @ Error::Conflict(_)) => Err(conflict),
                    _ => Err(error),
                },
            };
            match done {
                Err(Error::Conflict(_)) if attempt < options.attempts => attempt += 1,
                done => return done,
            }
        }
    }
}

impl Transaction {
    /// The value of `key`, now, as the transaction has left it; `None` if it has no record.
    ///
    /// # Errors
    /// As those of [`Transaction::call`].
    pub fn get(&mut self, database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = None;
        self.call(
            database,
            &Command::Get { key },
            crate::now(),
            &mut |reply| {
                if let Reply::Record(record) = reply {
                    value = Some(record.value.to_vec());
                }
            },
        )?;
        Ok(value)
    }

    /// Gives `key` this value, without expiry or flags, whatever is there: it conflicts with nobody.
    ///
    /// # Errors
    /// As those of [`Transaction::call`].
    pub fn put(&mut self, database: &Database, key: &[u8], value: &[u8]) -> Result<()> {
        let command = Command::Put {
            key,
            value,
            condition: Condition::Always,
            expiry: ExpirySet::At(0),
            flags: 0,
            want_old: false,
        };
        self.call(database, &command, crate::now(), &mut |_| {})
    }

    /// Removes the record of `key`. Returns whether there is one, which is a read.
    ///
    /// # Errors
    /// As those of [`Transaction::call`].
    pub fn remove(&mut self, database: &Database, key: &[u8]) -> Result<bool> {
        let want_old = false;
        let mut removed = false;
        let command = Command::Remove { key, want_old };
        self.call(database, &command, crate::now(), &mut |reply| {
            removed = reply == Reply::Done;
        })?;
        Ok(removed)
    }

    /// How many records there are, those included that have expired and are not yet reclaimed. The
    /// commit conflicts if it is another number then.
    ///
    /// # Errors
    /// As those of [`Transaction::call`].
    pub fn count(&mut self, database: &Database) -> Result<u64> {
        let mut count = 0;
        self.call(database, &Command::Count, crate::now(), &mut |reply| {
            if let Reply::Number(number) = reply {
                count = u64::try_from(number).unwrap_or(0);
            }
        })?;
        Ok(count)
    }

    /// A page of the records of a range of a tree or an array, as the transaction has left them: at
    /// most `limit` of them, and about 1 MiB. Where its `next` is [`crate::Next::Resume`], a `Scan`
    /// by [`Transaction::call`] goes on after it. That there are no other records in between is part
    /// of what was read.
    ///
    /// # Errors
    /// As those of [`Transaction::call`]; `Unsupported` for a hash, which has no order.
    pub fn scan(
        &mut self,
        database: &Database,
        range: Range<'_>,
        direction: Direction,
        limit: usize,
    ) -> Result<Page> {
        let command = Command::Scan {
            from: Position::Start,
            range,
            direction,
            filter: Filter::All,
            limit,
            values: true,
        };
        let mut found = None;
        self.call(database, &command, crate::now(), &mut |reply| {
            if let Reply::Page(page) = reply {
                found = Some(page.clone());
            }
        })?;
        let Some(page) = found else {
            unreachable!("a scan answers a page")
        };
        Ok(page)
    }

    /// Carries out a command that [`Cabinet::batch`] takes, or a `Scan` of a tree or an array, at the
    /// time `now`, and hands the reply to `answer`, once; versions in the replies of commands that
    /// write, and of records that the transaction has written, are 0. `Clear` and `Count` read the
    /// number of records, so that they conflict with all that makes or removes one. A scan reads the
    /// gaps between records too: one that others make there is a conflict.
    ///
    /// # Errors
    /// [`Error::Conflict`] if others have changed what the transaction has read before, and reads
    /// again; then it can only be rolled back. As those of [`Database::call`], and `Unsupported` for
    /// commands that batches refuse: what was refused alone has changed nothing, and the transaction
    /// goes on. [`Error::BatchTooLarge`] where it writes too much: what the command has written is
    /// undone by going back to a savepoint, else the transaction can't be committed.
    pub fn call(
        &mut self,
        database: &Database,
        command: &Command<'_>,
        now: Millis,
        answer: &mut dyn FnMut(Reply<'_>),
    ) -> Result<()> {
        let at = self.enter(database, now)?;
        let mut seat = self.seat();
        if matches!(command, Command::Scan { .. }) {
            let page = Scan::new(command).and_then(|scan| seat.scan(at, &scan));
            let page = match page {
                Err(refused @ (Error::Unsupported(_) | Error::Invalid(_))) => return Err(refused),
                page => self.note(page)?,
            };
            answer(Reply::Page(&page));
            return Ok(());
        }
        let mut refused = None;
        let done = step(&mut seat, at, command, &mut |reply| match reply {
            Ok(reply) => answer(reply),
            Err(error) => refused = Some(error),
        });
        self.note(done)?;
        refused.map_or(Ok(()), Err)
    }

    /// Makes a savepoint: what is written from now on can be undone by [`Transaction::rollback_to`].
    pub fn savepoint(&mut self) -> Savepoint {
        self.last_savepoint += 1;
        let number = self.last_savepoint;
        self.savepoints.push((number, self.overlay.mark(number)));
        let transaction = self.number;
        Savepoint {
            transaction,
            number,
        }
    }

    /// Undoes what was written since the savepoint, which can be gone back to again; savepoints made
    /// since then are gone. What was read stays remembered: the program has seen it.
    ///
    /// # Errors
    /// `Invalid` if the savepoint is of another transaction, or made after one that was gone back to.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        let is_it = |there: &(u64, usize)| there.0 == savepoint.number;
        let found = self.savepoints.iter().position(is_it);
        let found = found.filter(|_| savepoint.transaction == self.number);
        let Some(found) = found else {
            return Err(Error::Invalid(
                "no such savepoint: it is of another transaction, or went with a rollback to an \
                 earlier one"
                    .to_owned(),
            ));
        };
        self.savepoints.truncate(found + 1);
        let (number, place) = self.savepoints[found];
        self.overlay.roll_back(number, place);
        self.failure.take_if(|(_, is_mended)| *is_mended);
        Ok(())
    }

    /// Leaves everything as it was, as dropping it does.
    pub fn rollback(self) {}

    /// Checks that what was read so far is still so. A commit checks it again.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it is not; then the transaction can only be rolled back.
    pub fn check(&mut self) -> Result<()> {
        self.check_at(crate::now())
    }

    /// As [`Transaction::check`], at the time `now`.
    ///
    /// # Errors
    /// As those of [`Transaction::check`].
    pub fn check_at(&mut self, now: Millis) -> Result<()> {
        self.is_whole()?;
        let now = self.now.max(now);
        let changed = batch::check(&self.shares(), now)?;
        let checked = changed.map_or(Ok(()), |changed| Err(self.conflict(&changed)));
        self.note(checked)
    }

    /// Makes true what was written, all of it at one moment at which all that was read is as it was
    /// read. Returns the highest lsn that was written or read, 0 where only memory was. It survives
    /// the death of the process then, and a power cut if the options say `durable`; after a crash it
    /// is there whole or not at all, but of databases in memory.
    ///
    /// # Errors
    /// [`Error::Conflict`] if others have changed what was read: nothing was done, begin again. The
    /// error for which the transaction can't be committed, if there was one. As [`Error`] tells for
    /// writes; then nothing was done either, but where a `durable` commit failed to sync
    /// (`Poisoned`): then it is not known what the disk holds.
    pub fn commit(self) -> Result<Lsn> {
        self.commit_at(crate::now())
    }

    /// As [`Transaction::commit`], at the time `now`.
    ///
    /// # Errors
    /// As those of [`Transaction::commit`].
    pub fn commit_at(self, now: Millis) -> Result<Lsn> {
        self.is_whole()?;
        self.cabinet.check_open()?;
        let now = self.now.max(now);
        let lsn = match batch::commit(self.shares(), now)? {
            Ok(lsn) => lsn,
            Err(changed) => return Err(self.conflict(&changed)),
        };
        if self.options.durable {
            self.cabinet.sync_to(lsn)?;
        }
        Ok(lsn)
    }

    /// The place of a database among those that take part.
    fn enter(&mut self, database: &Database, now: Millis) -> Result<usize> {
        self.is_whole()?;
        self.cabinet.check_open()?;
        self.cabinet.check_owns(database)?;
        self.now = self.now.max(now);
        let id = database.store().id;
        let there = self.databases.iter().position(|d| d.store().id == id);
        Ok(there.unwrap_or_else(|| {
            self.databases.push(database.clone());
            self.overlay.add_database();
            self.reads.add_database();
            self.databases.len() - 1
        }))
    }

    fn seat(&mut self) -> Seat<'_> {
        Seat {
            databases: &self.databases,
            overlay: &mut self.overlay,
            reads: RefCell::new(&mut self.reads),
            now: self.now,
        }
    }

    fn is_whole(&self) -> Result<()> {
        match &self.failure {
            Some((failure, _)) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// Remembers an error that leaves the transaction in pieces.
    fn note<T>(&mut self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done {
            let is_mended = matches!(error, Error::BatchTooLarge { .. });
            self.failure = Some((error.clone(), is_mended));
        }
        done
    }

    /// What each database has to be asked and told at commit.
    fn shares(&self) -> Vec<Share<'_>> {
        let each = self.databases.iter().enumerate().map(|(at, database)| {
            let found = self.reads.of(at);
            let layer = self.overlay.layer(at);
            let keys = found.keys.iter().map(|(key, seen)| (&**key, seen.version));
            let ranges = found.ranges.iter().map(|range| RangeRead {
                from: borrowed(&range.from),
                to: borrowed(&range.to),
                records: &range.records,
            });
            let writes = layer.writes.iter();
            Share {
                store: database.store(),
                keys: keys.collect(),
                ranges: ranges.collect(),
                count: found.count,
                clear: layer.cleared,
                writes: writes
                    .map(|(key, entry)| (&**key, entry.written.what()))
                    .collect(),
            }
        });
        each.collect()
    }

    fn conflict(&self, changed: &Changed) -> Error {
        conflict(&self.databases[changed.share], changed.key.as_deref())
    }
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// The error for what others have changed: a record, or how many there are.
fn conflict(database: &Database, key: Option<&[u8]>) -> Error {
    let name = database.name();
    let what = match key {
        Some(key) => {
            let key = key.escape_ascii().take(80).map(char::from);
            format!("record '{}' of {name}", key.collect::<String>())
        }
        None => format!("the number of records of {name}"),
    };
    Error::Conflict(format!(
        "{what} was changed by others since the transaction read it, nothing was done: begin it \
         again"
    ))
}

#[cfg(test)]
mod tests;
