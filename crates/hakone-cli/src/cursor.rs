//! `hakone cursor`: a walk through records, step by step.

use crate::failure::{Failure, Outcome, Result};
use crate::format::{line, unescape};
use crate::target::{Purpose, Target, TargetArgs, only};
use hakone::{Command, Direction, ExpirySet, Filter, Place, Position, Range, Reply};
use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStringExt;

/// Walk through the records of a tree or an array, one step a line.
///
/// Steps:
///   first, last              to the first or last record
///   seek KEY                 to the record of KEY, or the first after it
///   seek-before KEY          to the record of KEY, or the last before it
///   find KEY                 to the first record of exactly KEY
///   next, previous           to the record after or before
///   get                      stay
///   put VALUE                give the record another value
///   put-before VALUE         a record of the same key before it, and there (duplicates)
///   put-after VALUE          a record of the same key after it, and there (duplicates)
///   remove                   remove it; next and previous go on from where it was
/// Each step prints the record where the cursor is then, as `hakone scan` does, or an empty line
/// where there is none, and the cursor stays. KEY and VALUE may hold \t \n \r \\ and \xHH. Others may
/// write meanwhile. Exit status: 0, 1 if a step has found no record, 2 if something failed.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  hakone cursor first get
  hakone cursor 'seek t' 'put black' get remove
  echo last | hakone cursor --data /var/lib/hakone --database names"
)]
pub(crate) struct Args {
    /// The steps, each one argument [default: one a line from standard input]
    #[arg(value_name = "STEP")]
    steps: Vec<OsString>,
    #[command(flatten)]
    target: TargetArgs,
}

/// A step as it was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    First,
    Last,
    Seek(Vec<u8>),
    SeekBefore(Vec<u8>),
    Find(Vec<u8>),
    Next,
    Previous,
    Get,
    Put(Place, Vec<u8>),
    Remove,
}

impl Step {
    fn parse(text: &[u8]) -> Result<Step> {
        let shown = || String::from_utf8_lossy(text).into_owned();
        let mut words = text.splitn(2, |&byte| byte == b' ');
        let name = words.next().unwrap_or_default();
        let operand = match words.next() {
            None => None,
            Some(word) => Some(
                unescape(word)
                    .map_err(|wrong| Failure::new(format_args!("step {:?}: {wrong}", shown())))?,
            ),
        };
        Ok(match (name, operand) {
            (b"first", None) => Step::First,
            (b"last", None) => Step::Last,
            (b"seek", Some(key)) => Step::Seek(key),
            (b"seek-before", Some(key)) => Step::SeekBefore(key),
            (b"find", Some(key)) => Step::Find(key),
            (b"next", None) => Step::Next,
            (b"previous", None) => Step::Previous,
            (b"get", None) => Step::Get,
            (b"put", Some(value)) => Step::Put(Place::Current, value),
            (b"put-before", Some(value)) => Step::Put(Place::Before, value),
            (b"put-after", Some(value)) => Step::Put(Place::After, value),
            (b"remove", None) => Step::Remove,
            _ => {
                return Err(Failure::new(format_args!(
                    "step {:?} is none of first, last, seek KEY, seek-before KEY, find KEY, next, \
                     previous, get, put VALUE, put-before VALUE, put-after VALUE, remove",
                    shown()
                )));
            }
        })
    }
}

/// Where the cursor is: at a record, or where it was before it was removed.
#[derive(Clone, Debug)]
struct Here {
    position: Vec<u8>,
    key: Vec<u8>,
    flags: u32,
}

/// A record that a step has come to.
#[derive(Debug)]
struct Found {
    here: Here,
    value: Vec<u8>,
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let steps = args.steps.into_iter().map(OsString::into_vec);
    let steps: Vec<Step> = steps
        .map(|text| Step::parse(&text))
        .collect::<Result<_>>()?;
    let mut cursor = Cursor {
        target: args.target.open(Purpose::Read)?,
        here: None,
        outcome: Outcome::Done,
    };
    if steps.is_empty() {
        for text in std::io::stdin().lock().split(b'\n') {
            let text = text.map_err(|error| {
                Failure::new(format_args!("cannot read standard input: {error}"))
            })?;
            cursor.step(Step::parse(&text)?)?;
        }
    }
    for step in steps {
        cursor.step(step)?;
    }
    cursor.target.finish()?;
    Ok(cursor.outcome)
}

/// A walk on its way.
struct Cursor {
    target: Box<dyn Target>,
    here: Option<Here>,
    outcome: Outcome,
}

impl Cursor {
    /// Makes a step, and prints what is there.
    fn step(&mut self, step: Step) -> Result<()> {
        let mut text = Vec::new();
        if let Some(found) = self.go(step)? {
            line(&found.here.key, Some(&found.value), &mut text);
            self.here = Some(found.here);
        } else {
            text.push(b'\n');
            self.outcome = Outcome::Missing;
        }
        // Each line at once: whoever asks step by step waits for it.
        let mut out = std::io::stdout().lock();
        out.write_all(&text)
            .and_then(|()| out.flush())
            .map_err(|error| Failure::output("standard output", &error))
    }

    fn go(&mut self, step: Step) -> Result<Option<Found>> {
        let here = self.here.clone();
        let there = || {
            here.ok_or_else(|| {
                Failure::new("the cursor is nowhere yet: begin with first, last, seek or find")
            })
        };
        match step {
            Step::First => self.look(Position::Start, Range::All, Direction::Forward),
            Step::Last => self.look(Position::Start, Range::All, Direction::Backward),
            Step::Seek(key) => self.look(Position::At(&key), Range::All, Direction::Forward),
            Step::SeekBefore(key) => self.look(Position::At(&key), Range::All, Direction::Backward),
            Step::Find(key) => self.look(Position::Start, only(&key), Direction::Forward),
            Step::Next => {
                let from = there()?;
                let from = Position::Resume(&from.position);
                self.look(from, Range::All, Direction::Forward)
            }
            Step::Previous => {
                let from = there()?;
                let from = Position::Resume(&from.position);
                self.look(from, Range::All, Direction::Backward)
            }
            Step::Get => self.again(&there()?),
            Step::Put(place, value) => self.put(there()?, place, value),
            Step::Remove => self.remove(&there()?),
        }
    }

    /// The next record from a position on.
    fn look(
        &mut self,
        from: Position<'_>,
        range: Range<'_>,
        direction: Direction,
    ) -> Result<Option<Found>> {
        let mut found = None;
        let command = Command::Scan {
            from,
            range,
            direction,
            filter: Filter::All,
            limit: 1,
            values: true,
        };
        let mut resume = None;
        self.target.call(&command, &mut |reply| {
            let Reply::Page(page) = reply else { return };
            found = page.iter().next().map(|(key, record)| Found {
                here: Here {
                    position: page.position(0).to_vec(),
                    key: key.to_vec(),
                    flags: record.flags,
                },
                value: record.value.to_vec(),
            });
            resume = page.resume().map(<[u8]>::to_vec);
        })?;
        match (found, resume) {
            // A page of nothing but records that have expired.
            (None, Some(position)) => self.look(Position::Resume(&position), range, direction),
            (found, _) => Ok(found),
        }
    }

    /// The record where the cursor is, as it is now: among those of its key the one at this
    /// position.
    fn again(&mut self, here: &Here) -> Result<Option<Found>> {
        let range = only(&here.key);
        let mut found = self.look(Position::Start, range, Direction::Forward)?;
        while let Some(there) = found {
            if there.here.position == here.position {
                return Ok(Some(there));
            }
            let from = Position::Resume(&there.here.position);
            found = self.look(from, range, Direction::Forward)?;
        }
        Ok(None)
    }

    fn put(&mut self, here: Here, place: Place, value: Vec<u8>) -> Result<Option<Found>> {
        let mut placed = None;
        let command = Command::PutAt {
            position: &here.position,
            place,
            value: &value,
            expiry: ExpirySet::Keep,
            flags: here.flags,
        };
        self.target.call(&command, &mut |reply| {
            if let Reply::Placed { position, .. } = reply {
                placed = Some(position.to_vec());
            }
        })?;
        Ok(placed.map(|position| Found {
            here: Here { position, ..here },
            value,
        }))
    }

    /// What is removed is printed for the last time.
    fn remove(&mut self, here: &Here) -> Result<Option<Found>> {
        let Some(found) = self.again(here)? else {
            return Ok(None);
        };
        let mut removed = false;
        let position = &here.position;
        self.target
            .call(&Command::RemoveAt { position }, &mut |reply| {
                removed = reply == Reply::Done;
            })?;
        Ok(removed.then_some(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        let check = |text: &str, step: Step| {
            assert_eq!(Step::parse(text.as_bytes()).unwrap(), step, "{text}");
        };
        check("first", Step::First);
        check("seek a key", Step::Seek(b"a key".to_vec()));
        check("put ", Step::Put(Place::Current, Vec::new()));
        check(
            "put-after \\x00\\t",
            Step::Put(Place::After, b"\0\t".to_vec()),
        );
        for text in ["", "seek", "next 1", "jump a", "find \\q"] {
            assert!(Step::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
