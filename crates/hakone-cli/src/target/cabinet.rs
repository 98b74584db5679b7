//! A database of a cabinet at rest, opened by this process.

use super::{Purpose, Scan, Target};
use crate::failure::{Failure, Result};
use hakone::{
    Cabinet, Command, Condition, Database, Direction, Error, ExpirySet, Filter, Next, Options,
    Page, Position, Range, Reply, now,
};
use hakone_client::transfer::Record;
use std::path::Path;

/// The database that is made where none is named, as `hakone serve` does.
const DATABASE_DEFAULT: &str = "default";

/// Records read from the store at once.
const PAGE_RECORDS: usize = 1000;

/// A database of a cabinet that this process has open.
#[derive(Debug)]
pub(super) struct AtRest {
    cabinet: Cabinet,
    database: Database,
    put_count: u64,
}

impl AtRest {
    pub(super) fn open(path: &Path, name: Option<&str>, purpose: Purpose) -> Result<AtRest> {
        let shown = path.display();
        let create = purpose != Purpose::Read;
        if !create && !path.is_dir() {
            return Err(Failure::new(format_args!("there is no cabinet in {shown}")));
        }
        let options = Options {
            create,
            ..Options::default()
        };
        let cabinet = Cabinet::open(path, options).map_err(|error| match error {
            Error::Locked(owner) => Failure::new(format_args!(
                "{shown} is in use: {owner}; if a server has it open, ask the server: use \
                 --server ADDR in place of --data"
            )),
            error => Failure::new(format_args!("cannot open {shown}: {error}")),
        })?;
        let database = match (find(&cabinet, name), purpose.options()) {
            (Some(database), _) => database,
            (None, Some(options)) if name.is_none_or(|name| name.parse::<usize>().is_err()) => {
                cabinet.create(name.unwrap_or(DATABASE_DEFAULT), options)?
            }
            (None, _) => {
                let names: Vec<String> = cabinet
                    .databases()
                    .iter()
                    .map(|d| d.name().to_owned())
                    .collect();
                let wanted = name.unwrap_or("0");
                cabinet.close()?;
                return Err(Failure::new(format_args!(
                    "there is no database {wanted} in {shown}; it has: {}",
                    if names.is_empty() {
                        "none".to_owned()
                    } else {
                        names.join(", ")
                    }
                )));
            }
        };
        Ok(AtRest {
            cabinet,
            database,
            put_count: 0,
        })
    }

    fn call(&self, command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> Result<()> {
        self.database.call(command, now(), answer)?;
        Ok(())
    }
}

fn number(database: &Database, command: &Command<'_>) -> Result<i64> {
    let mut number = 0;
    database.call(command, now(), &mut |reply| {
        if let Reply::Number(n) = reply {
            number = n;
        }
    })?;
    Ok(number)
}

/// The database of this name, else of this number, else the first.
fn find(cabinet: &Cabinet, name: Option<&str>) -> Option<Database> {
    let Some(name) = name else {
        return cabinet.databases().into_iter().next();
    };
    cabinet.database(name).or_else(|| {
        let index: usize = name.parse().ok()?;
        cabinet.databases().into_iter().nth(index)
    })
}

impl Target for AtRest {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut found = None;
        self.call(&Command::Get { key }, &mut |reply| {
            if let Reply::Record(record) = reply {
                found = Some(record.value.to_vec());
            }
        })?;
        Ok(found)
    }

    fn put(&mut self, entry: Record) -> Result<()> {
        let command = Command::Put {
            key: &entry.key,
            value: &entry.value,
            condition: Condition::Always,
            expiry: ExpirySet::At(entry.expiry_ms),
            flags: entry.flags,
            want_old: false,
        };
        self.call(&command, &mut |_| ())?;
        self.put_count += 1;
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.put_count
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.cabinet.sync()?)
    }

    fn remove(&mut self, keys: &[Vec<u8>]) -> Result<u64> {
        let command = Command::RemoveMany {
            keys: keys.iter().map(Vec::as_slice).collect(),
        };
        let count = number(&self.database, &command)?;
        self.cabinet.sync()?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut dyn FnMut(Record) -> Result<()>) -> Result<()> {
        let mut left = scan.limit;
        let mut last: Option<Vec<u8>> = None;
        let mut cursor = None;
        while left > 0 {
            let from = match (&last, cursor, scan.from) {
                (_, Some(cursor), _) => Position::Cursor(cursor),
                (Some(last), None, _) => Position::Resume(last),
                (None, None, Some(key)) => Position::At(key),
                (None, None, None) => Position::Start,
            };
            let command = Command::Scan {
                from,
                range: Range::Prefix(scan.prefix),
                direction: Direction::Forward,
                filter: Filter::All,
                limit: PAGE_RECORDS.min(usize::try_from(left).unwrap_or(usize::MAX)),
                values: scan.values,
            };
            let mut page: Option<Page> = None;
            self.call(&command, &mut |reply| {
                if let Reply::Page(p) = reply {
                    page = Some(p.clone());
                }
            })?;
            let Some(page) = page else {
                return Err(Failure::new("the store answered a scan without a page"));
            };
            for (key, record) in page.iter() {
                if left == 0 {
                    break;
                }
                left -= 1;
                each(Record {
                    key: key.to_vec(),
                    value: record.value.to_vec(),
                    expiry_ms: record.expiry,
                    flags: record.flags,
                })?;
            }
            match page.next {
                Next::End => break,
                Next::Cursor(next) => cursor = Some(next),
                Next::Resume => last = page.resume().map(<[u8]>::to_vec),
            }
        }
        Ok(())
    }

    fn stat(&mut self) -> Result<Vec<(String, String)>> {
        let stat = self.cabinet.stat();
        let mut lines = vec![
            ("log_bytes".to_owned(), stat.log_bytes.to_string()),
            ("live_bytes".to_owned(), stat.live_bytes.to_string()),
            ("segments".to_owned(), stat.segments.to_string()),
            ("written".to_owned(), stat.written.to_string()),
            ("durable".to_owned(), stat.durable.to_string()),
        ];
        for (index, database) in self.cabinet.databases().iter().enumerate() {
            let mut line = |what: &str, value: String| {
                lines.push((format!("database.{index}.{what}"), value));
            };
            line("name", database.name().to_owned());
            line("kind", database.options().kind.name().to_owned());
            line("memory", database.options().memory.to_string());
            line("count", number(database, &Command::Count)?.to_string());
            line("bytes", number(database, &Command::Bytes)?.to_string());
        }
        Ok(lines)
    }
}

impl Drop for AtRest {
    fn drop(&mut self) {
        // What must reach the disk has been waited for in `finish`; this is the checkpoint, without
        // which the next start is only slower.
        let _ = self.cabinet.close();
    }
}
