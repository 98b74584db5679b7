//! What a request asks for, and the command that it comes to.

use super::{Answer, Exptime, Verb, Words};
use hakone_command::{
    Amount, Command, Condition, End, ExpiryCondition, ExpirySet, Millis, Version,
};

/// One request.
#[derive(Debug, PartialEq)]
pub struct Request<'a> {
    /// Its verb; `None` where the first word is none.
    pub verb: Option<Verb>,
    /// Whether nothing is answered, whatever becomes of it.
    pub quiet: bool,
    /// What it asks for.
    pub action: Action<'a>,
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub enum Action<'a> {
    /// Write a record.
    Store {
        /// The key.
        key: &'a [u8],
        /// The value, or what is added to it.
        value: &'a [u8],
        /// Opaque flags.
        flags: u32,
        /// When it expires.
        expiry: Exptime,
        /// How it is written.
        mode: Mode,
    },
    /// Read records.
    Read {
        /// The keys, one at least; a repeated one is answered as often.
        keys: Words<'a>,
        /// How many there are.
        count: usize,
    },
    /// Read records and give them a new expiry.
    ReadAndTouch {
        /// The keys, one at least.
        keys: Words<'a>,
        /// The new expiry.
        expiry: Exptime,
    },
    /// Add to a counter.
    Count {
        /// The key.
        key: &'a [u8],
        /// What to add.
        amount: Amount,
    },
    /// Change a record's expiry.
    Touch {
        /// The key.
        key: &'a [u8],
        /// The new expiry.
        expiry: Exptime,
    },
    /// Remove a record.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Remove all records, at once or at a moment to come.
    Flush(Exptime),
    /// A report.
    Stats(Sub),
    /// List what is known of all records but their values.
    MetaDump,
    /// The version.
    Version,
    /// Nothing: say `OK`.
    Accept,
    /// Close.
    Quit,
    /// Nothing: it is no request, or can't be carried out.
    Refuse(Refusal),
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `set`
    Set,
    /// `add`: if there is none.
    Add,
    /// `replace`: if there is one.
    Replace,
    /// `append`: behind the value that is there.
    Append,
    /// `prepend`: before the value that is there.
    Prepend,
    /// `cas`: if its version is this one.
    Cas(Version),
}

/// Which report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sub {
    /// `stats`
    General,
    /// `stats settings`
    Settings,
    /// `stats items`
    Items,
    /// `stats slabs`
    Slabs,
    /// `stats sizes`
    Sizes,
    /// `stats conns`
    Connections,
    /// `stats reset`
    Reset,
    /// `stats detail on`, `off`
    Detail(bool),
    /// `stats detail dump`
    DetailDump,
    /// `stats cachedump`: at most so many records; 0 is all.
    CacheDump(usize),
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No verb, or too few or too many words.
    Error,
    /// A key that is too long, or a number that is none.
    Format,
    /// The block does not end where it was said to.
    Chunk,
    /// The block is larger than the store takes. A record of this key is not to survive it.
    TooLarge(Option<Box<[u8]>>),
    /// The line is too long: close.
    Line,
    /// More keys than [`super::KEYS_MAX`].
    Keys,
    /// What is to be added is no number.
    Delta,
    /// The expiry is no number.
    Exptime,
    /// `delete` with a time.
    Delete,
    /// `stats detail` without a known word.
    Detail,
    /// `stats cachedump` without class and limit.
    CacheDump,
    /// A class of sizes that does not exist.
    Class,
    /// As `Class`, in the words of `lru_crawler`.
    CrawlClass,
    /// Memory is not set this way.
    MemoryLimit,
    /// The server is not stopped this way.
    Shutdown,
    /// There are no slabs.
    Slabs,
    /// There is nothing to watch.
    Watch,
    /// There is nothing to set.
    Unsupported,
}

impl<'a> Request<'a> {
    pub(super) fn refuse(verb: Option<Verb>, quiet: bool, refusal: Refusal) -> Request<'a> {
        Request {
            verb,
            quiet,
            action: Action::Refuse(refusal),
        }
    }

    /// The key, where the request is about exactly one.
    pub fn key(&self) -> Option<&'a [u8]> {
        match &self.action {
            Action::Store { key, .. }
            | Action::Count { key, .. }
            | Action::Touch { key, .. }
            | Action::Delete { key } => Some(*key),
            Action::Read { keys, count: 1 } => keys.only(),
            _ => None,
        }
    }

    /// Whether records are answered with their versions.
    pub fn wants_version(&self) -> bool {
        matches!(self.verb, Some(Verb::Gets | Verb::Gats))
    }
}

impl<'a> Action<'a> {
    /// The command that this comes to, and the form of its answer. `None` where it is none, or one
    /// about several keys.
    pub fn command(&self, now: Millis) -> Option<(Command<'a>, Answer)> {
        Some(match *self {
            Action::Store {
                key,
                value,
                mode: mode @ (Mode::Append | Mode::Prepend),
                ..
            } => (
                Command::Append {
                    key,
                    value,
                    end: if mode == Mode::Append {
                        End::Back
                    } else {
                        End::Front
                    },
                    width: None,
                    condition: Condition::IfPresent,
                    expiry: ExpirySet::Keep,
                },
                Answer::Stored,
            ),
            Action::Store {
                key,
                value,
                flags,
                expiry,
                mode,
            } => {
                let condition = match mode {
                    Mode::Add => Condition::IfAbsent,
                    Mode::Replace => Condition::IfPresent,
                    Mode::Cas(version) => Condition::IfVersion(version),
                    _ => Condition::Always,
                };
                let answer = match mode {
                    Mode::Cas(_) => Answer::Swapped,
                    _ => Answer::Stored,
                };
                (
                    Command::Put {
                        key,
                        value,
                        condition,
                        expiry: ExpirySet::At(expiry.at(now)),
                        flags,
                        want_old: false,
                    },
                    answer,
                )
            }
            Action::Count { key, amount } => (
                Command::Add {
                    key,
                    amount,
                    absent: None,
                    expiry: ExpirySet::Keep,
                },
                Answer::Counted,
            ),
            Action::Touch { key, expiry } => (touch(key, expiry, now, false), Answer::Touched),
            Action::Delete { key } => (
                Command::Remove {
                    key,
                    want_old: false,
                },
                Answer::Deleted,
            ),
            _ => return None,
        })
    }
}

/// The command that gives a record a new expiry.
pub fn touch(key: &[u8], expiry: Exptime, now: Millis, want: bool) -> Command<'_> {
    Command::Touch {
        key,
        expiry: expiry.at(now),
        condition: ExpiryCondition::Always,
        want,
    }
}
