//! Transactions as words: each step a number of words, then the words.

use super::super::failure::Failure;
use super::{command, words};
use hakone_command::Command;
use std::borrow::Cow;

/// Steps of one transaction: some milliseconds of work, during which others wait.
const STEPS_MAX: usize = 4096;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// The steps after it are about this database, by name or number.
    Use(&'a [u8]),
    /// A command.
    Do(Command<'a>),
    /// The whole is undone unless the record has this value; `None`: unless there is none.
    Expect {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: Option<&'a [u8]>,
    },
    /// A moment to go back to.
    Savepoint(&'a [u8]),
    /// Undo what was written since the savepoint of this name; without a name, all of it.
    RollBack(&'a [u8]),
}

/// The words that say these steps. `None` if there is a command among them that has no words.
pub fn step_words<'a>(steps: &[Step<'a>]) -> Option<Vec<Cow<'a, [u8]>>> {
    let mut said = Vec::new();
    for step in steps {
        let name = |name: &'static str| Cow::Borrowed(name.as_bytes());
        let step = match *step {
            Step::Use(database) => vec![name("use"), Cow::Borrowed(database)],
            Step::Do(ref command) => words(command)?,
            Step::Expect { key, value } => {
                let mut said = vec![name("expect"), Cow::Borrowed(key)];
                said.extend(value.map(Cow::Borrowed));
                said
            }
            Step::Savepoint(savepoint) => vec![name("savepoint"), Cow::Borrowed(savepoint)],
            Step::RollBack(savepoint) => vec![name("rollback"), Cow::Borrowed(savepoint)],
        };
        said.push(Cow::Owned(step.len().to_string().into_bytes()));
        said.extend(step);
    }
    Some(said)
}

/// The steps that these words say.
///
/// # Errors
/// What is wrong with them, as an error reply.
pub fn steps<'a>(mut words: &[&'a [u8]]) -> Result<Vec<Step<'a>>, Failure> {
    const WRONG: Failure =
        Failure::Text("ERR a transaction is steps, each a number of words, then the words");
    let mut steps = Vec::new();
    while let Some((count, rest)) = words.split_first() {
        let count: Option<usize> = str::from_utf8(count)
            .ok()
            .and_then(|text| text.parse().ok());
        let (step, rest) = count
            .and_then(|count| rest.split_at_checked(count))
            .ok_or(WRONG)?;
        words = rest;
        if steps.len() == STEPS_MAX {
            return Err(Failure::Text("ERR a transaction has at most 4096 steps"));
        }
        let (verb, operands) = step.split_first().ok_or(WRONG)?;
        steps.push(match (verb.to_ascii_lowercase().as_slice(), operands) {
            (b"use", &[database]) => Step::Use(database),
            (b"expect", &[key]) => Step::Expect { key, value: None },
            (b"expect", &[key, value]) => Step::Expect {
                key,
                value: Some(value),
            },
            (b"savepoint", &[savepoint]) => Step::Savepoint(savepoint),
            (b"rollback", &[savepoint]) => Step::RollBack(savepoint),
            (_, operands) => Step::Do(command(verb, operands).ok_or(Failure::Text(
                "ERR a step is use, expect, savepoint, rollback or a command",
            ))??),
        });
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_steps_says_the_same_steps() {
        let said = vec![
            Step::Use(b"second"),
            Step::Do(Command::Get { key: b"k" }),
            Step::Savepoint(b"s"),
            Step::Expect {
                key: b"k",
                value: Some(b"v"),
            },
            Step::Expect {
                key: b"k",
                value: None,
            },
            Step::Do(Command::RemoveMany {
                keys: vec![b"a", b"b"],
            }),
            Step::RollBack(b""),
            Step::Do(Command::Count),
        ];
        let words = step_words(&said).unwrap();
        let words: Vec<&[u8]> = words.iter().map(|word| &**word).collect();
        assert_eq!(steps(&words), Ok(said));
        for cut in 1..words.len() {
            // Cut between two steps it is a transaction of fewer.
            let _ = steps(&words[..cut]);
        }
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for words in [
            &["get"][..],
            &["0"],
            &["2", "get"],
            &["18446744073709551616", "get"],
            &["1", "use"],
            &["2", "hover", "k"],
            &["1", "get"],
            &["4", "expect", "k", "v", "w"],
        ] {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert!(steps(&words).is_err(), "{words:?}");
        }
        let many: Vec<&[u8]> = [&b"1"[..], b"count"].repeat(STEPS_MAX + 1);
        assert!(steps(&many).is_err());
        assert!(steps(&many[2..]).is_ok());
    }
}
