//! The command table: one row a command, from which documents, rights, metric labels and verbs
//! are made.

/// What a command needs the right to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandClass {
    /// It changes nothing.
    Read,
    /// It changes records.
    Write,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CommandInfo {
    /// Its name in documents, metrics and on the command line.
    pub name: &'static str,
    /// What it needs the right to do.
    pub class: CommandClass,
    /// What it does, in half a sentence.
    pub summary: &'static str,
}

const fn row(name: &'static str, class: CommandClass, summary: &'static str) -> CommandInfo {
    CommandInfo {
        name,
        class,
        summary,
    }
}

/// All commands, in the order of [`crate::Command::index`].
pub const COMMANDS: &[CommandInfo] = &[
    row("get", CommandClass::Read, "read a record"),
    row(
        "get_many",
        CommandClass::Read,
        "read several records as of one moment",
    ),
    row(
        "describe",
        CommandClass::Read,
        "read a record's size, expiry, flags and version",
    ),
    row(
        "exists",
        CommandClass::Read,
        "count the keys that have a record",
    ),
    row("put", CommandClass::Write, "write a record"),
    row(
        "put_many",
        CommandClass::Write,
        "write several records as one batch",
    ),
    row(
        "append",
        CommandClass::Write,
        "add bytes at an end of a value",
    ),
    row(
        "write_at",
        CommandClass::Write,
        "write bytes into a value from an offset on",
    ),
    row(
        "compare_swap",
        CommandClass::Write,
        "replace a value if it is the expected one",
    ),
    row("remove", CommandClass::Write, "remove a record"),
    row(
        "remove_many",
        CommandClass::Write,
        "remove several records as one batch",
    ),
    row("add", CommandClass::Write, "add to a number"),
    row("touch", CommandClass::Write, "change a record's expiry"),
    row(
        "copy",
        CommandClass::Write,
        "give a record to another key, or move it there",
    ),
    row("clear", CommandClass::Write, "remove all records"),
    row("count", CommandClass::Read, "count the records"),
    row(
        "bytes",
        CommandClass::Read,
        "add up the bytes of the live records",
    ),
    row(
        "scan",
        CommandClass::Read,
        "read records from a position on",
    ),
    row(
        "count_range",
        CommandClass::Read,
        "count the records of a range",
    ),
    row(
        "remove_range",
        CommandClass::Write,
        "remove the records of a range",
    ),
    row(
        "put_duplicate",
        CommandClass::Write,
        "write one more record of a key",
    ),
    row(
        "put_at",
        CommandClass::Write,
        "write at or beside the place of a record",
    ),
    row(
        "remove_at",
        CommandClass::Write,
        "remove the record at a position",
    ),
];
