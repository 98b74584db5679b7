//! A database of a cabinet at rest, opened by this process.

use super::{Purpose, Target};
use crate::failure::{Failure, Result};
use hakone::{
    Cabinet, Command, Compression, Database, DatabaseOptions, Error, Options, Reply, now,
};
use hakone_server::{Ended, ListAnswer, Told, describe, list, transact};
use hakone_wire::resp::verbs::{ListRequest, Step};
use std::path::Path;

/// The database that is made where none is named, as `hakone serve` does.
const DATABASE_DEFAULT: &str = "default";

/// A database of a cabinet that this process has open.
#[derive(Debug)]
pub(super) struct AtRest {
    cabinet: Cabinet,
    database: Database,
    write_count: u64,
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
            write_count: 0,
        })
    }
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
    fn call(&mut self, command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> Result<()> {
        self.database.call(command, now(), answer)?;
        Ok(())
    }

    fn send(&mut self, command: &Command<'_>) -> Result<()> {
        self.call(command, &mut |_| {})?;
        self.write_count += 1;
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.write_count
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.cabinet.sync()?)
    }

    fn transact(&mut self, steps: &[Step<'_>], tell: &mut dyn FnMut(Told<'_>)) -> Result<Ended> {
        let find = |name: &[u8]| {
            let found = str::from_utf8(name)
                .ok()
                .map(|name| find(&self.cabinet, Some(name)));
            found.flatten().ok_or_else(|| {
                Error::Invalid(format!("there is no database {}", name.escape_ascii()))
            })
        };
        let first = self.database.clone();
        Ok(transact(&self.cabinet, first, steps, now(), &find, tell)?)
    }

    fn list(&mut self, name: &[u8], request: &ListRequest<'_>) -> Result<ListAnswer> {
        Ok(list(&self.database, name, request)?)
    }

    fn compact(&mut self) -> Result<u64> {
        Ok(self.cabinet.compact_all()?)
    }

    fn alter(&mut self, compression: Compression) -> Result<()> {
        let options = DatabaseOptions {
            compression,
            ..self.database.options()
        };
        self.cabinet.alter(self.database.name(), options)?;
        self.finish()
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
            let told = describe(database, now()).into_iter();
            lines.extend(told.map(|(name, value)| (format!("database.{index}.{name}"), value)));
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
