//! The databases by number.

use hakone::{Cabinet, Database, Result};
use std::sync::OnceLock;

/// Numbers that can be selected at least, as clients of Redis expect.
const NUMBERS_MIN: usize = 16;

/// The databases that have a number. Those of the configuration come first; the others are made at
/// the first write to them.
#[derive(Debug)]
pub(crate) struct Databases {
    numbered: Vec<OnceLock<Database>>,
    names: Vec<String>,
    /// How many of them stand in the configuration.
    configured: usize,
}

impl Databases {
    pub(crate) fn new(cabinet: &Cabinet, names: &[String]) -> Databases {
        let mut names = names.to_vec();
        assert!(!names.is_empty(), "a service has a database 0");
        let configured = names.len();
        names.extend((configured..NUMBERS_MIN).map(|number| format!("redis-{number}")));
        let numbered = names.iter().enumerate().map(|(number, name)| {
            let cell = OnceLock::new();
            if let Some(database) = cabinet.database(name) {
                cell.get_or_init(|| database);
            } else {
                assert!(
                    number >= configured,
                    "database {name} exists in the cabinet"
                );
            }
            cell
        });
        Databases {
            numbered: numbered.collect(),
            names,
            configured,
        }
    }

    /// How many numbers there are.
    pub(crate) fn count(&self) -> usize {
        self.numbered.len()
    }

    /// The number of the database of this name.
    pub(crate) fn number(&self, name: &[u8]) -> Option<usize> {
        self.names.iter().position(|there| there.as_bytes() == name)
    }

    /// The number that this text names or is.
    pub(crate) fn named(&self, text: &[u8]) -> Option<usize> {
        let number = || str::from_utf8(text).ok()?.parse().ok();
        let is_there = |number: &usize| *number < self.count();
        self.number(text).or_else(|| number().filter(is_there))
    }

    /// The number of the configured database that a client of Tycoon's means: a text that begins
    /// with digits means that number, another one a name, none number 0.
    pub(crate) fn meant(&self, text: &[u8]) -> Option<usize> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
        let number = match digits.count() {
            0 if text.is_empty() => 0,
            0 => self.number(text)?,
            count => std::str::from_utf8(&text[..count]).ok()?.parse().ok()?,
        };
        (number < self.configured).then_some(number)
    }

    /// Whether the number is that of a configured database.
    pub(crate) fn is_configured(&self, number: usize) -> bool {
        number < self.configured
    }

    /// The database of this number, if it has been made.
    pub(crate) fn get(&self, number: usize) -> Option<&Database> {
        self.numbered.get(number)?.get()
    }

    /// All that have been made, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Database)> {
        let numbered = self.numbered.iter().enumerate();
        numbered.filter_map(|(number, cell)| Some((number, cell.get()?)))
    }

    /// The database of this number, made like database 0 if there is none yet.
    pub(crate) fn make(&self, number: usize, cabinet: &Cabinet) -> Result<&Database> {
        if let Some(database) = self.get(number) {
            return Ok(database);
        }
        let Some(first) = self.get(0) else {
            unreachable!("database 0 is there from the beginning")
        };
        let made = cabinet.create(&self.names[number], first.options())?;
        Ok(self.numbered[number].get_or_init(|| made))
    }
}
