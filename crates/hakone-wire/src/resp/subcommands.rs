//! The subcommands of those commands that have any, and what a request's words must be before they
//! are looked at more closely.

use super::failure::{Failure, unknown_subcommand, wrong_count, wrong_subcommand_count};
use super::table::{Row, Verb};

/// One subcommand.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// Its name in lower case.
    pub name: &'static str,
    /// How many words a request has, both names included; negative: at least so many.
    pub arity: i32,
    /// The position of its key; 0: none.
    pub key: usize,
    /// Whether it can be part of a transaction.
    pub is_transactional: bool,
    /// What follows the names, for people.
    pub usage: &'static str,
    /// What it does, in half a sentence.
    pub summary: &'static str,
}

impl Subcommand {
    fn takes(&self, words: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            words >= arity
        } else {
            words == arity
        }
    }

    const fn with_key(mut self) -> Subcommand {
        self.key = 2;
        self
    }

    const fn alone(mut self) -> Subcommand {
        self.is_transactional = false;
        self
    }
}

const fn sub(
    name: &'static str,
    arity: i32,
    usage: &'static str,
    summary: &'static str,
) -> Subcommand {
    Subcommand {
        name,
        arity,
        key: 0,
        is_transactional: true,
        usage,
        summary,
    }
}

const HELP: Subcommand = sub("help", 2, "", "Lists the subcommands");

const OBJECT: &[Subcommand] = &[
    sub(
        "encoding",
        3,
        "key",
        "Tells what form Redis would keep the value in",
    )
    .with_key(),
    sub("freq", 3, "key", "Is refused: uses are not counted").with_key(),
    sub(
        "idletime",
        3,
        "key",
        "Tells the seconds since the last write",
    )
    .with_key(),
    sub("refcount", 3, "key", "Tells 1: values are not shared").with_key(),
    HELP,
];

const MEMORY: &[Subcommand] = &[
    sub("purge", 2, "", "Does nothing"),
    sub(
        "usage",
        -3,
        "key [SAMPLES count]",
        "Tells about how many bytes a record takes",
    )
    .with_key(),
    HELP,
];

const CLIENT: &[Subcommand] = &[
    sub("getname", 2, "", "Tells the connection's name"),
    sub("getredir", 2, "", "Tells -1: nothing is tracked"),
    sub("id", 2, "", "Tells the connection's number"),
    sub("info", 2, "", "Tells about the connection"),
    sub(
        "kill",
        -3,
        "address | [ID id] [ADDR address] [TYPE type] [USER user] [SKIPME yes|no]",
        "Closes connections",
    ),
    sub(
        "list",
        -2,
        "[TYPE type] [ID id ...]",
        "Tells about all connections",
    )
    .alone(),
    sub(
        "no-evict",
        3,
        "ON|OFF",
        "Does nothing: no connection is evicted",
    ),
    sub("no-touch", 3, "ON|OFF", "Does nothing: reads are not noted"),
    sub("reply", 3, "ON|OFF|SKIP", "Lets replies out or not").alone(),
    sub(
        "setinfo",
        4,
        "LIB-NAME|LIB-VER value",
        "Notes the client's library",
    ),
    sub("setname", 3, "name", "Names the connection"),
    sub("tracking", -3, "OFF", "Does nothing: nothing is tracked"),
    sub("trackinginfo", 2, "", "Tells that nothing is tracked"),
    sub(
        "unblock",
        -3,
        "id [TIMEOUT|ERROR]",
        "Tells 0: nobody is blocked",
    ),
    sub("unpause", 2, "", "Does nothing: nobody is paused"),
    HELP,
];

const CONFIG: &[Subcommand] = &[
    sub(
        "get",
        -3,
        "pattern ...",
        "Tells the settings whose names match",
    ),
    sub("resetstat", 2, "", "Lets INFO count from now on"),
    sub("rewrite", 2, "", "Is refused: there is no file to write"),
    sub(
        "set",
        -4,
        "name value ...",
        "Takes the value that a setting has",
    ),
    HELP,
];

const COMMAND: &[Subcommand] = &[
    sub("count", 2, "", "Counts the commands"),
    sub("docs", -2, "[name ...]", "Describes commands for people"),
    sub(
        "getkeys",
        -4,
        "command argument ...",
        "Tells the keys of a request",
    ),
    sub("info", -2, "[name ...]", "Describes commands"),
    sub(
        "list",
        -2,
        "[FILTERBY MODULE name|ACLCAT group|PATTERN pattern]",
        "Lists the commands",
    ),
    HELP,
];

const ACL: &[Subcommand] = &[
    sub("list", 2, "", "Lists the users with their rights"),
    sub("users", 2, "", "Lists the users"),
    sub("whoami", 2, "", "Tells the connection's user"),
    HELP,
];

const LATENCY: &[Subcommand] = &[
    sub("history", 3, "event", "Tells nothing: no events are kept"),
    sub("latest", 2, "", "Tells nothing: no events are kept"),
    sub("reset", -2, "[event ...]", "Tells 0: no events are kept"),
    HELP,
];

const SLOWLOG: &[Subcommand] = &[
    sub("get", -2, "[count]", "Tells nothing: no commands are kept"),
    sub("len", 2, "", "Tells 0: no commands are kept"),
    sub("reset", 2, "", "Does nothing: no commands are kept"),
    HELP,
];

const FUNCTION: &[Subcommand] = &[
    sub(
        "flush",
        -2,
        "[ASYNC|SYNC]",
        "Removes all functions: there are none",
    ),
    sub(
        "list",
        -2,
        "[LIBRARYNAME pattern] [WITHCODE]",
        "Lists the functions: there are none",
    ),
    HELP,
];

/// The subcommands of a command; none where it has none.
pub fn subcommands(verb: Verb) -> &'static [Subcommand] {
    match verb {
        Verb::Object => OBJECT,
        Verb::Memory => MEMORY,
        Verb::Client => CLIENT,
        Verb::Config => CONFIG,
        Verb::Command => COMMAND,
        Verb::Acl => ACL,
        Verb::Latency => LATENCY,
        Verb::SlowLog => SLOWLOG,
        Verb::Function => FUNCTION,
        _ => &[],
    }
}

/// Whether a request of these words can be one of this row, and which subcommand it names. What is
/// refused here is refused in a transaction before it is queued.
pub fn check(row: &Row, words: &[&[u8]]) -> Result<Option<&'static Subcommand>, Failure> {
    if !row.takes(words.len()) {
        return Err(wrong_count(row.name));
    }
    let (subcommands, Some(name)) = (subcommands(row.verb), words.get(1)) else {
        return Ok(None);
    };
    if subcommands.is_empty() {
        return Ok(None);
    }
    let found = subcommands
        .iter()
        .find(|sub| name.eq_ignore_ascii_case(sub.name.as_bytes()))
        .ok_or_else(|| unknown_subcommand(name, row.name))?;
    if !found.takes(words.len()) {
        return Err(wrong_subcommand_count(row.name, found.name));
    }
    Ok(Some(found))
}

/// Whether a request that [`check`] has let pass can be part of a transaction.
pub fn is_transactional(row: &Row, sub: Option<&Subcommand>, words: &[&[u8]]) -> bool {
    // A copy to another database reads there and writes here, which no one command does.
    let leaves_database = row.verb == Verb::Copy
        && words
            .iter()
            .skip(3)
            .any(|word| word.eq_ignore_ascii_case(b"db"));
    row.is_transactional() && sub.is_none_or(|sub| sub.is_transactional) && !leaves_database
}

/// The keys of a request that [`check`] has let pass.
pub(super) fn keys_of<'a>(
    row: &Row,
    sub: Option<&Subcommand>,
    words: &[&'a [u8]],
) -> Vec<&'a [u8]> {
    let (first, last, step) = match sub {
        Some(sub) if sub.key > 0 => (sub.key, sub.key, 1),
        _ => {
            let (first, last, step) = row.keys;
            let position = |position: i32| usize::try_from(position).unwrap_or(0);
            let last = if last < 0 {
                words.len() - 1
            } else {
                position(last)
            };
            (position(first), last, position(step).max(1))
        }
    };
    if first == 0 {
        return Vec::new();
    }
    let positions = (first..=last).step_by(step);
    positions.filter_map(|at| words.get(at).copied()).collect()
}

/// The lines of `HELP`.
pub(super) fn help(row: &Row) -> Vec<String> {
    let name = row.name.to_ascii_uppercase();
    let mut lines = vec![format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )];
    for sub in subcommands(row.verb) {
        let line = format!("{} {}", sub.name.to_ascii_uppercase(), sub.usage);
        lines.push(line.trim_end().to_owned());
        lines.push(format!("    {}.", sub.summary));
    }
    lines
}
