//! The commands of the protocol: one row each, from which they are looked up and described.

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is in the code.
    pub verb: Verb,
    /// Its name in lower case.
    pub name: &'static str,
    /// How many words a request has, its name included; negative: at least so many.
    pub arity: i32,
    /// What `COMMAND` says of it.
    pub flags: &'static [&'static str],
    /// The positions of the first and last key and the step between keys; 0: none.
    pub keys: (i32, i32, i32),
    /// The group in which it is described.
    pub group: &'static str,
    /// The version of the protocol's server that had it first.
    pub since: &'static str,
    /// What it does, in half a sentence.
    pub summary: &'static str,
}

impl Row {
    /// Whether a request of so many words, the name included, can be one.
    pub fn takes(&self, words: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            words >= arity
        } else {
            words == arity
        }
    }

    /// Whether it can be part of a transaction.
    pub fn is_transactional(&self) -> bool {
        !self.flags.contains(&NO_MULTI)
    }
}

const READ: &[&str] = &["readonly", "fast"];
const READ_SLOW: &[&str] = &["readonly"];
const WRITE: &[&str] = &["write", "denyoom", "fast"];
const WRITE_SLOW: &[&str] = &["write", "denyoom"];
const FREE: &[&str] = &["write", "fast"];
const FREE_SLOW: &[&str] = &["write"];
const LINK: &[&str] = &["noscript", "loading", "stale", "fast"];
const ADMIN: &[&str] = &["noscript", "loading", "stale"];
// These take turns, or more than one command, or end the conversation as it was.
const READ_ALONE: &[&str] = &["readonly", NO_MULTI];
const WRITE_ALONE: &[&str] = &["write", "fast", NO_MULTI];
const ADMIN_ALONE: &[&str] = &["noscript", "loading", "stale", NO_MULTI];

/// The flag of a command that can't be part of a transaction.
const NO_MULTI: &str = "no_multi";

const NONE: (i32, i32, i32) = (0, 0, 0);
const ONE: (i32, i32, i32) = (1, 1, 1);
const ALL: (i32, i32, i32) = (1, -1, 1);
const TWO: (i32, i32, i32) = (1, 2, 1);
const PAIRS: (i32, i32, i32) = (1, -1, 2);

macro_rules! rows {
    ($($verb:ident $name:literal $arity:literal $flags:ident $keys:ident $group:literal $since:literal $summary:literal;)*) => {
        /// A command of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verb {
            $(#[doc = $summary] $verb,)*
        }

        /// All commands, in the order of [`Verb`].
        pub const ROWS: &[Row] = &[
            $(Row {
                verb: Verb::$verb,
                name: $name,
                arity: $arity,
                flags: $flags,
                keys: $keys,
                group: $group,
                since: $since,
                summary: $summary,
            },)*
        ];
    };
}

rows! {
    Get "get" 2 READ ONE "string" "1.0.0" "Reads a value";
    Set "set" -3 WRITE_SLOW ONE "string" "1.0.0" "Writes a value, with conditions and an expiry";
    SetNx "setnx" 3 WRITE ONE "string" "1.0.0" "Writes a value if there is none";
    SetEx "setex" 4 WRITE_SLOW ONE "string" "2.0.0" "Writes a value that expires in seconds";
    PSetEx "psetex" 4 WRITE_SLOW ONE "string" "2.6.0" "Writes a value that expires in milliseconds";
    GetSet "getset" 3 WRITE ONE "string" "1.0.0" "Writes a value and reads the one before";
    GetDel "getdel" 2 FREE ONE "string" "6.2.0" "Reads a value and removes it";
    GetEx "getex" -2 WRITE ONE "string" "6.2.0" "Reads a value and sets its expiry";
    GetRange "getrange" 4 READ_SLOW ONE "string" "2.4.0" "Reads a part of a value";
    SubStr "substr" 4 READ_SLOW ONE "string" "1.0.0" "Reads a part of a value";
    SetRange "setrange" 4 WRITE_SLOW ONE "string" "2.2.0" "Writes a part of a value";
    Append "append" 3 WRITE ONE "string" "2.0.0" "Adds bytes at the end of a value";
    StrLen "strlen" 2 READ ONE "string" "2.2.0" "Reads the size of a value";
    Incr "incr" 2 WRITE ONE "string" "1.0.0" "Adds one to an integer";
    Decr "decr" 2 WRITE ONE "string" "1.0.0" "Takes one from an integer";
    IncrBy "incrby" 3 WRITE ONE "string" "1.0.0" "Adds to an integer";
    DecrBy "decrby" 3 WRITE ONE "string" "1.0.0" "Takes from an integer";
    IncrByFloat "incrbyfloat" 3 WRITE ONE "string" "2.6.0" "Adds to a number with a fraction";
    MGet "mget" -2 READ ALL "string" "1.0.0" "Reads several values as of one moment";
    MSet "mset" -3 WRITE_SLOW PAIRS "string" "1.0.1" "Writes several values as one batch";
    MSetNx "msetnx" -3 WRITE_SLOW PAIRS "string" "1.0.1" "Writes several values if there is none of them";
    Del "del" -2 FREE_SLOW ALL "generic" "1.0.0" "Removes keys";
    Unlink "unlink" -2 FREE ALL "generic" "4.0.0" "Removes keys";
    Exists "exists" -2 READ ALL "generic" "1.0.0" "Counts the keys that exist";
    Touch "touch" -2 READ ALL "generic" "3.2.1" "Counts the keys that exist";
    Type "type" 2 READ ONE "generic" "1.0.0" "Tells the type of a value";
    Rename "rename" 3 WRITE_SLOW TWO "generic" "1.0.0" "Gives a record another key";
    RenameNx "renamenx" 3 WRITE TWO "generic" "1.0.0" "Gives a record another key if that is free";
    Copy "copy" -3 WRITE_SLOW TWO "generic" "6.2.0" "Copies a record to another key";
    Move "move" 3 WRITE_ALONE ONE "generic" "1.0.0" "Moves a record to another numbered database";
    Object "object" -2 READ_SLOW NONE "generic" "2.2.3" "Tells how a value is kept";
    Memory "memory" -2 READ_SLOW NONE "server" "4.0.0" "Tells what a record takes";
    Expire "expire" -3 FREE ONE "generic" "1.0.0" "Lets a key expire in seconds";
    PExpire "pexpire" -3 FREE ONE "generic" "2.6.0" "Lets a key expire in milliseconds";
    ExpireAt "expireat" -3 FREE ONE "generic" "1.2.0" "Lets a key expire at a second";
    PExpireAt "pexpireat" -3 FREE ONE "generic" "2.6.0" "Lets a key expire at a millisecond";
    Ttl "ttl" 2 READ ONE "generic" "1.0.0" "Tells the seconds until a key expires";
    PTtl "pttl" 2 READ ONE "generic" "2.6.0" "Tells the milliseconds until a key expires";
    ExpireTime "expiretime" 2 READ ONE "generic" "7.0.0" "Tells the second at which a key expires";
    PExpireTime "pexpiretime" 2 READ ONE "generic" "7.0.0" "Tells the millisecond at which a key expires";
    Persist "persist" 2 FREE ONE "generic" "2.2.0" "Lets a key never expire";
    Scan "scan" -2 READ_ALONE NONE "generic" "2.8.0" "Reads keys page by page";
    Keys "keys" 2 READ_ALONE NONE "generic" "1.0.0" "Lists the keys that match a pattern";
    RandomKey "randomkey" 1 READ_ALONE NONE "generic" "1.0.0" "Reads any key";
    DbSize "dbsize" 1 READ NONE "server" "1.0.0" "Counts the keys";
    FlushDb "flushdb" -1 FREE_SLOW NONE "server" "1.0.0" "Removes all keys of the selected database";
    FlushAll "flushall" -1 FREE_SLOW NONE "server" "1.0.0" "Removes all keys of all numbered databases";
    Multi "multi" 1 LINK NONE "transactions" "1.2.0" "Begins a transaction";
    Exec "exec" 1 ADMIN NONE "transactions" "1.2.0" "Carries out a transaction";
    Discard "discard" 1 LINK NONE "transactions" "2.0.0" "Drops a transaction";
    Watch "watch" -2 LINK ALL "transactions" "2.2.0" "Lets the next transaction depend on keys";
    Unwatch "unwatch" 1 LINK NONE "transactions" "2.2.0" "Lets the next transaction depend on nothing";
    Ping "ping" -1 LINK NONE "connection" "1.0.0" "Answers";
    Echo "echo" 2 LINK NONE "connection" "1.0.0" "Answers its argument";
    Hello "hello" -1 LINK NONE "connection" "6.0.0" "Agrees on the version of the protocol";
    Auth "auth" -2 LINK NONE "connection" "1.0.0" "Names a user: there is one, without a password";
    Select "select" 2 LINK NONE "connection" "1.0.0" "Selects a numbered database";
    Quit "quit" -1 LINK NONE "connection" "1.0.0" "Closes the connection";
    Reset "reset" 1 LINK NONE "connection" "6.2.0" "Makes the connection as new";
    Client "client" -2 ADMIN NONE "connection" "2.4.0" "Tells and names the connection";
    Command "command" -1 ADMIN NONE "server" "2.8.13" "Describes the commands";
    Config "config" -2 ADMIN NONE "server" "2.0.0" "Tells the configuration";
    Info "info" -1 ADMIN NONE "server" "1.0.0" "Reports on the server";
    Time "time" 1 LINK NONE "server" "2.6.0" "Tells the time";
    Save "save" 1 ADMIN_ALONE NONE "server" "1.0.0" "Answers when all is durable";
    BgSave "bgsave" -1 ADMIN NONE "server" "1.0.0" "Makes all durable";
    LastSave "lastsave" 1 LINK NONE "server" "1.0.0" "Tells when all was last made durable on request";
    Wait "wait" 3 ADMIN NONE "generic" "3.0.0" "Counts the followers that have all: none";
    Role "role" 1 LINK NONE "server" "2.8.12" "Tells the role in replication";
    Acl "acl" -2 ADMIN NONE "server" "6.0.0" "Tells the users: there is one";
    Latency "latency" -2 ADMIN NONE "server" "2.8.13" "Tells latency events: none are kept";
    SlowLog "slowlog" -2 ADMIN NONE "server" "2.2.12" "Tells slow commands: none are kept";
    Function "function" -2 ADMIN NONE "scripting" "7.0.0" "Lists and removes functions: there are none";
    Hakone "hakone" -2 ADMIN_ALONE NONE "server" "7.0.0" "What the command line needs beside the above";
}

/// The command of this name, in any case of letters.
pub fn lookup(name: &[u8]) -> Option<&'static Row> {
    let mut slot = hash(name);
    loop {
        let row = ROWS.get(usize::from(SLOTS[slot]))?;
        if row.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(row);
        }
        slot = (slot + 1) % SLOTS.len();
    }
}

/// Slots of row numbers, found by hash; a row that finds its slot taken goes into the next free one.
static SLOTS: [u8; 256] = slots();

const FREE_SLOT: u8 = u8::MAX;

const fn slots() -> [u8; 256] {
    // Half of the slots stay free, so that an unknown name is known as such soon.
    assert!(
        ROWS.len() <= 128,
        "the table of slots has room for the rows"
    );
    let mut slots = [FREE_SLOT; 256];
    let mut row = 0;
    while row < ROWS.len() {
        let mut slot = hash(ROWS[row].name.as_bytes());
        while slots[slot] != FREE_SLOT {
            slot = (slot + 1) % slots.len();
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "there are at most 128 rows"
        )]
        let number = row as u8;
        slots[slot] = number;
        row += 1;
    }
    slots
}

/// A slot from the length, the first and the last bytes of a name.
const fn hash(name: &[u8]) -> usize {
    let length = name.len();
    if length < 2 {
        return 0;
    }
    let middle = name[length / 2] | 0x20;
    let (first, last) = (name[0] | 0x20, name[length - 1] | 0x20);
    let mix = (first as usize) * 7 + (middle as usize) * 31 + (last as usize) * 13 + length * 59;
    mix % 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.verb as usize, index);
            assert_eq!(lookup(row.name.as_bytes()).unwrap().verb, row.verb);
            let upper = row.name.to_ascii_uppercase();
            assert_eq!(lookup(upper.as_bytes()).unwrap().verb, row.verb);
        }
        for name in ["", "g", "gett", "nosuch", "setnxx", "pexpiretimes"] {
            assert!(lookup(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn most_commands_are_found_at_once() {
        let moved = ROWS
            .iter()
            .filter(|row| usize::from(SLOTS[hash(row.name.as_bytes())]) != row.verb as usize)
            .count();
        assert!(moved <= 12, "{moved} of {} commands are not", ROWS.len());
    }
}
