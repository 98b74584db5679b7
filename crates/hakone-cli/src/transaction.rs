//! `hakone transaction`: several reads and writes that become true together.

use crate::failure::{Failure, Outcome, Result, say};
use crate::format::{line, unescape};
use crate::target::{Purpose, TargetArgs, put_always};
use hakone::{Amount, Command, Condition, End, ExpirySet, Reply};
use hakone_command::parse_integer;
use hakone_server::{Ended, Told};
use hakone_wire::resp::verbs::Step;
use std::io::{BufRead, Write};

/// Carry out the steps on standard input, one a line, all of them or none.
///
/// Steps:
///   use DATABASE             what follows is about this one, by name or number
///   get KEY                  print the record as KEY, tab, VALUE, or an empty line
///   set KEY VALUE            write it
///   append KEY VALUE         add to it; print how many bytes it has then
///   add KEY NUMBER           add to a number; print the sum
///   delete KEY               remove it; print 1, or 0 if there was none
///   count                    print how many records the database has
///   expect KEY VALUE         go on only if the record has this value
///   expect KEY               go on only if there is no such record
///   savepoint NAME           a moment to go back to
///   rollback NAME            undo what was written since then; without NAME, everything
///   commit                   make it true; what follows is another transaction
/// The end of the input commits too. A step sees what those before it have written; others see
/// nothing before the commit. KEY, VALUE and NAME may hold \t \n \r \\ and \xHH, and KEY \x20 for a
/// blank; empty lines and those that begin with # are passed over. Where others change what a
/// transaction has read, it is done again. Exit status: 0 if all was committed, 1 if a record was not
/// as expected, 2 if something failed; what was committed before stays.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  printf 'expect tea green\\nset tea black\\nadd changes 1\\n' | hakone transaction
  printf 'use names\\nset mint 2\\n' | hakone transaction --data /var/lib/hakone"
)]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

/// A step as it is written, its words read.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    verb: String,
    operands: Vec<Vec<u8>>,
}

impl Written {
    /// Reads a line; `None` if it says nothing.
    fn parse(text: &[u8]) -> std::result::Result<Option<Written>, String> {
        if text.is_empty() || text.starts_with(b"#") {
            return Ok(None);
        }
        let mut words = text.splitn(3, |&byte| byte == b' ');
        let verb = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
        let operands = words.map(unescape).collect::<std::result::Result<_, _>>()?;
        Ok(Some(Written { verb, operands }))
    }

    /// The step that is meant; `None` for the end of a transaction.
    fn step(&self) -> std::result::Result<Option<Step<'_>>, String> {
        let operands: Vec<&[u8]> = self.operands.iter().map(Vec::as_slice).collect();
        Ok(Some(match (self.verb.as_str(), operands.as_slice()) {
            ("use", &[database]) => Step::Use(database),
            ("get", &[key]) => Step::Do(Command::Get { key }),
            ("set", &[key, value]) => Step::Do(put_always(key, value)),
            ("append", &[key, value]) => Step::Do(Command::Append {
                key,
                value,
                end: End::Back,
                width: None,
                condition: Condition::Always,
                expiry: ExpirySet::Keep,
            }),
            ("add", &[key, number]) => {
                let amount = parse_integer(number).map(Amount::Decimal);
                Step::Do(Command::Add {
                    key,
                    amount: amount.ok_or("what is added is an integer")?,
                    absent: Some(Amount::Decimal(0)),
                    expiry: ExpirySet::Keep,
                })
            }
            ("delete", &[key]) => Step::Do(Command::RemoveMany { keys: vec![key] }),
            ("count", &[]) => Step::Do(Command::Count),
            ("expect", &[key]) => Step::Expect { key, value: None },
            ("expect", &[key, value]) => Step::Expect {
                key,
                value: Some(value),
            },
            ("savepoint", &[name]) => Step::Savepoint(name),
            ("rollback", &[]) => Step::RollBack(b""),
            ("rollback", &[name]) => Step::RollBack(name),
            ("commit", &[]) => return Ok(None),
            _ => {
                return Err("it is none of the steps that hakone transaction --help lists".into());
            }
        }))
    }
}

pub(crate) fn run(args: Args) -> Result<Outcome> {
    let mut written = Vec::new();
    for (index, text) in std::io::stdin().lock().split(b'\n').enumerate() {
        let text = text
            .map_err(|error| Failure::new(format_args!("cannot read standard input: {error}")))?;
        let at_line = |wrong: String| Failure::new(format_args!("line {}: {wrong}", index + 1));
        if let Some(step) = Written::parse(&text).map_err(at_line)? {
            step.step().map_err(at_line)?;
            written.push((index + 1, step));
        }
    }
    let mut target = args.target.open(Purpose::Read)?;
    let mut rest = written.as_slice();
    while !rest.is_empty() {
        let is_commit = |(_, step): &(usize, Written)| step.verb == "commit";
        let end = rest.iter().position(is_commit).unwrap_or(rest.len());
        let (these, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let mut steps = Vec::with_capacity(these.len());
        for step in these {
            steps.extend(step.1.step().map_err(Failure::new)?);
        }
        let mut printed = Vec::new();
        let mut keys = Vec::new();
        let ended = target.transact(&steps, &mut |told| match told {
            Told::Begun => {
                printed.clear();
                keys = commands(&steps).collect();
                keys.reverse();
            }
            Told::Reply(reply) => print(keys.pop().flatten(), reply, &mut printed),
        })?;
        if let Ended::Unexpected(index) = ended {
            let (number, step) = &these[index];
            let key = step.operands.first().map(Vec::as_slice).unwrap_or_default();
            say(&format!(
                "hakone: line {number}: {} is not as expected, nothing was changed",
                key.escape_ascii()
            ));
            return Ok(Outcome::Missing);
        }
        std::io::stdout()
            .write_all(&printed)
            .map_err(|error| Failure::output("standard output", &error))?;
    }
    target.finish()?;
    Ok(Outcome::Done)
}

/// Of each command among the steps the key, where that is to be printed.
fn commands<'a>(steps: &[Step<'a>]) -> impl Iterator<Item = Option<&'a [u8]>> {
    steps.iter().filter_map(|step| match step {
        Step::Do(Command::Get { key }) => Some(Some(*key)),
        Step::Do(_) => Some(None),
        _ => None,
    })
}

fn print(key: Option<&[u8]>, reply: Reply<'_>, out: &mut Vec<u8>) {
    match (key, reply) {
        (Some(key), Reply::Record(record)) => line(key, Some(record.value), out),
        (Some(_), _) => out.push(b'\n'),
        (None, Reply::Number(number)) => out.extend_from_slice(format!("{number}\n").as_bytes()),
        _ => {}
    }
}
