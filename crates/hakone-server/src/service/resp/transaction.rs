//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`: requests that are kept, and carried out as one batch.

use super::{Asked, Flow, encode};
use crate::counters::Counter;
use crate::service::REPLY_BYTES_MAX;
use crate::service::call::{Guarded, Planned};
use hakone::{Command, Reply, Result, Version};
use hakone_wire::Protocol;
use hakone_wire::resp::{self, Failure, Replies, Request, Row, Shape, Verb, Writer};
use std::collections::BTreeSet;

/// Commands between `MULTI` and `EXEC`: 262,144, some tenths of a second of work during which others wait
/// for its keys.
const TRANSACTION_COMMANDS_MAX: usize = 256 << 10;

/// Bytes of their arguments: 64 MiB, what an atomic batch of the store takes.
const TRANSACTION_BYTES_MAX: usize = 64 << 20;

/// Keys that one connection watches: 65,536, some megabytes of them with keys of the usual size.
const WATCHED_MAX: usize = 64 << 10;

/// Bytes of the keys that one connection watches: 16 MiB, since they are kept until `EXEC`.
const WATCHED_BYTES_MAX: usize = 16 << 20;

/// What a connection has said that later requests depend on.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pub(super) replies: Replies,
    open: Option<Box<Transaction>>,
    watched: Vec<Watched>,
    /// Bytes of the watched keys.
    watched_bytes: usize,
}

/// Requests that wait for `EXEC`.
#[derive(Debug, Default)]
struct Transaction {
    /// The arguments of all requests, one after the other.
    bytes: Vec<u8>,
    /// Where each argument ends.
    ends: Vec<usize>,
    /// Each request's row, and how many arguments there are when it ends.
    requests: Vec<(&'static Row, usize)>,
    /// A request was refused: nothing will be carried out.
    poisoned: bool,
}

/// A record that must not change before `EXEC`.
#[derive(Debug)]
struct Watched {
    number: usize,
    key: Box<[u8]>,
    /// 0: there was none.
    version: Version,
}

impl Conversation {
    /// How many requests wait, if a transaction is open.
    pub(crate) fn queued(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.requests.len())
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Lets the open transaction come to nothing, since a request of it was refused.
    pub(super) fn poison(&mut self) {
        if let Some(open) = &mut self.open {
            open.poisoned = true;
        }
    }

    pub(super) fn unwatch(&mut self) {
        (self.watched, self.watched_bytes) = (Vec::new(), 0);
    }

    /// Whether the reply to the present request is held back.
    pub(super) fn is_quiet(&self) -> bool {
        self.replies != Replies::On
    }
}

impl Transaction {
    fn push(&mut self, row: &'static Row, words: &[&[u8]]) {
        for word in words {
            self.bytes.extend_from_slice(word);
            self.ends.push(self.bytes.len());
        }
        self.requests.push((row, self.ends.len()));
    }

    fn words(&self) -> Vec<&[u8]> {
        let mut start = 0;
        let words = self.ends.iter().map(|&end| {
            let word = &self.bytes[start..end];
            start = end;
            word
        });
        words.collect()
    }
}

/// Whether a request is kept while a transaction is open, rather than carried out.
pub(super) fn is_queued(verb: Verb) -> bool {
    !matches!(
        verb,
        Verb::Multi | Verb::Exec | Verb::Discard | Verb::Watch | Verb::Quit | Verb::Reset
    )
}

/// What becomes of a request at `EXEC`.
enum Plan<'a> {
    /// So many steps of the batch are its; the reply to the last of them is the answer.
    Steps(usize),
    /// It is about no record, and is carried out in its place among the answers.
    Perform(Request<'a>),
    Fail(Failure),
}

/// What is made of a transaction.
#[derive(Default)]
struct Batch<'a> {
    plans: Vec<Plan<'a>>,
    steps: Vec<Planned<'a>>,
    /// How each step's reply is encoded.
    forms: Vec<Form>,
}

#[derive(Clone, Copy)]
struct Form {
    shape: Shape,
    resp3: bool,
    /// Whether it counts as a hit or a miss.
    is_get: bool,
}

/// The replies to all steps, one after the other, and where each ends.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Answers {
    /// The reply to this step.
    fn of(&self, step: usize) -> &[u8] {
        let before = step.checked_sub(1).map_or(Some(&0), |at| self.ends.get(at));
        let range = before.zip(self.ends.get(step));
        range.map_or(&[], |(&start, &end)| &self.bytes[start..end])
    }
}

impl<'a> Batch<'a> {
    fn push(&mut self, number: usize, command: Command<'a>, form: Form) {
        let is_get = matches!(command, Command::Get { .. });
        self.steps.push(Planned { number, command });
        self.forms.push(Form { is_get, ..form });
    }
}

impl Asked<'_, '_, '_> {
    /// Keeps a request for `EXEC`, if it can be one.
    pub(super) fn queue(&mut self, row: &'static Row, words: &[&[u8]]) -> Flow {
        let checked = resp::check(row, words).and_then(|sub| {
            if resp::is_transactional(row, sub, words) {
                Ok(())
            } else {
                Err(Failure::Text(
                    "ERR Command not allowed inside a transaction",
                ))
            }
        });
        let checked = checked.and_then(|()| {
            let Some(open) = &self.session.conversation.open else {
                return Ok(());
            };
            let bytes: usize = words.iter().map(|word| word.len()).sum();
            if open.requests.len() >= TRANSACTION_COMMANDS_MAX {
                Err(Failure::Text(
                    "ERR the transaction has more than 262144 commands",
                ))
            } else if open.bytes.len() + bytes > TRANSACTION_BYTES_MAX {
                Err(Failure::Text("ERR the transaction is larger than 64 MiB"))
            } else {
                Ok(())
            }
        });
        match (checked, &mut self.session.conversation.open) {
            (Ok(()), Some(open)) => {
                // What will not be carried out need not be kept.
                if !open.poisoned {
                    open.push(row, words);
                }
                self.to.simple("QUEUED");
                Flow::Go
            }
            (Ok(()), None) => Flow::Go,
            (Err(failure), _) => self.refuse(row, &failure),
        }
    }

    /// A request that can't be carried out: an open transaction comes to nothing if it was to be a
    /// part of it.
    pub(super) fn refuse(&mut self, row: &Row, failure: &Failure) -> Flow {
        if row.verb == Verb::Exec {
            self.session.conversation.open = None;
            self.session.conversation.unwatch();
            let text = failure.text();
            let reason = text.strip_prefix(b"ERR ").unwrap_or(text);
            let text = [b"EXECABORT Transaction discarded because of: ", reason].concat();
            return self.fail(&Failure::Made(text));
        }
        self.session.conversation.poison();
        self.fail(failure)
    }

    pub(super) fn multi(&mut self) -> Flow {
        if self.session.conversation.is_open() {
            return self.fail(&Failure::Text("ERR MULTI calls can not be nested"));
        }
        self.session.conversation.open = Some(Box::default());
        self.to.simple("OK");
        Flow::Go
    }

    pub(super) fn discard(&mut self) -> Flow {
        let conversation = &mut self.session.conversation;
        if conversation.open.take().is_none() {
            return self.fail(&Failure::Text("ERR DISCARD without MULTI"));
        }
        conversation.unwatch();
        self.to.simple("OK");
        Flow::Go
    }

    /// Notes the versions of these keys' records.
    pub(super) fn watch(&mut self, keys: &[&[u8]]) -> Flow {
        if self.session.conversation.is_open() {
            return self.fail(&Failure::Text("ERR WATCH inside MULTI is not allowed"));
        }
        let number = self.session.selected;
        for &key in keys {
            let conversation = &mut self.session.conversation;
            let bytes = conversation.watched_bytes + key.len();
            if conversation.watched.len() >= WATCHED_MAX || bytes > WATCHED_BYTES_MAX {
                return self.fail(&Failure::Text("ERR too many keys are watched"));
            }
            let mut version = 0;
            let command = Command::Describe { key };
            let result = self
                .caller
                .call(Protocol::Resp, number, &command, &mut |reply| {
                    if let Reply::Record(record) = reply {
                        version = record.version;
                    }
                });
            if result.is_err() {
                return self.done(result);
            }
            // A key that is watched again stays watched as it was first seen, too.
            let key = key.into();
            let conversation = &mut self.session.conversation;
            conversation.watched_bytes = bytes;
            conversation.watched.push(Watched {
                number,
                key,
                version,
            });
        }
        self.to.simple("OK");
        Flow::Go
    }

    /// Carries out what was kept as one batch, and answers all of it.
    pub(super) fn exec(&mut self) -> Flow {
        let conversation = &mut self.session.conversation;
        let Some(open) = conversation.open.take() else {
            return self.fail(&Failure::Text("ERR EXEC without MULTI"));
        };
        let watched = std::mem::take(&mut conversation.watched);
        conversation.watched_bytes = 0;
        if open.poisoned {
            return self.fail(&Failure::Text(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        let words = open.words();
        let Batch {
            plans,
            steps,
            forms,
        } = self.plan(&open, &words);
        let guards = watched.iter().map(|watched| Guarded {
            number: watched.number,
            key: &watched.key,
            version: watched.version,
        });
        let guards: Vec<_> = guards.collect();
        match self.carry_out(&guards, steps, &forms) {
            Ok(Some(answers)) => self.answer_all(plans, &answers),
            Ok(None) => {
                self.to.null_array();
                Flow::Go
            }
            Err(error) => self.done(Err(error)),
        }
    }

    /// What the kept requests come to, each in the database and version of the protocol that those
    /// before it have chosen.
    fn plan<'a>(&mut self, open: &Transaction, words: &[&'a [u8]]) -> Batch<'a> {
        let mut batch = Batch::default();
        let mut number = self.session.selected;
        let mut form = Form {
            shape: Shape::Ok,
            resp3: self.session.resp3,
            is_get: false,
        };
        let mut start = 0;
        for &(row, end) in &open.requests {
            let words = &words[start..end];
            start = end;
            self.caller.counts.count(Counter::Resp(row.verb));
            let request = match resp::translate(row, words, self.caller.now) {
                Ok(request) => request,
                Err(failure) => {
                    batch.plans.push(Plan::Fail(failure));
                    continue;
                }
            };
            let first = batch.steps.len();
            match request {
                Request::Call(command, shape) => {
                    batch.push(number, command, Form { shape, ..form });
                }
                Request::FlushDb => batch.push(number, Command::Clear, form),
                Request::FlushAll => {
                    let made = self
                        .caller
                        .service
                        .databases
                        .iter()
                        .map(|(number, _)| number);
                    let made = made.chain(batch.steps.iter().map(|step| step.number));
                    for number in made.collect::<BTreeSet<_>>() {
                        batch.push(number, Command::Clear, form);
                    }
                }
                request => {
                    match request {
                        Request::Select(to) => number = self.number(to).unwrap_or(number),
                        Request::Hello { resp3, .. } => {
                            form.resp3 = resp3.unwrap_or(form.resp3);
                        }
                        _ => {}
                    }
                    batch.plans.push(Plan::Perform(request));
                    continue;
                }
            }
            batch.plans.push(Plan::Steps(batch.steps.len() - first));
        }
        batch
    }

    /// The replies to the steps; `None` where a watched record has changed.
    fn carry_out(
        &mut self,
        guards: &[Guarded<'_>],
        steps: Vec<Planned<'_>>,
        forms: &[Form],
    ) -> Result<Option<Answers>> {
        let mut answers = Answers::default();
        let mut counters = Vec::new();
        let held = self
            .caller
            .batch(Protocol::Resp, guards, steps, &mut |step, reply| {
                let Some(form) = forms.get(step) else { return };
                let room = REPLY_BYTES_MAX.saturating_sub(answers.bytes.len());
                let mut to = Writer {
                    out: &mut answers.bytes,
                    resp3: form.resp3,
                };
                let counter = match reply {
                    Ok(reply) => encode(form.is_get, form.shape, &reply, room, &mut to),
                    Err(error) => {
                        to.error(&resp::store_error(&error));
                        Some(Counter::Error)
                    }
                };
                counters.extend(counter);
                answers.ends.push(answers.bytes.len());
            })?;
        if !held {
            return Ok(None);
        }
        for counter in counters {
            self.caller.counts.count(counter);
        }
        Ok(Some(answers))
    }

    /// The answers to all requests, in their order.
    fn answer_all(&mut self, plans: Vec<Plan<'_>>, answers: &Answers) -> Flow {
        self.to.array(plans.len());
        let mut flow = Flow::Go;
        let mut step = 0;
        for plan in plans {
            match plan {
                Plan::Steps(count) => {
                    step += count;
                    let answer = answers.of(step - 1);
                    self.to.out.extend_from_slice(answer);
                }
                Plan::Perform(request) => {
                    if self.perform(request) == Flow::Close {
                        flow = Flow::Close;
                    }
                }
                Plan::Fail(failure) => {
                    self.fail(&failure);
                }
            }
        }
        flow
    }
}
