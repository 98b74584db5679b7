//! Why a request can't be carried out, in the words that clients know.

use super::table::Row;

/// Why a request can't be carried out, as its error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A text that is always the same.
    Text(&'static str),
    /// A text with bytes of the request in it.
    Made(Vec<u8>),
}

impl Failure {
    /// The text, its code first.
    pub fn text(&self) -> &[u8] {
        match self {
            Failure::Text(text) => text.as_bytes(),
            Failure::Made(text) => text,
        }
    }

    /// An argument is not one that the command has, or lacks its value.
    pub const SYNTAX: Failure = Failure::Text("ERR syntax error");
    /// An argument is not an integer that fits.
    pub const NOT_AN_INTEGER: Failure =
        Failure::Text("ERR value is not an integer or out of range");
    /// A password, where none is asked for.
    pub const NO_PASSWORD: Failure = Failure::Text(
        "ERR AUTH <password> called without any password configured for the default user. \
         Are you sure your configuration is correct?",
    );
    /// There is no database of that number.
    pub const NO_DATABASE: Failure = Failure::Text("ERR DB index is out of range");
    /// A record can't be copied onto itself.
    pub const SAME_RECORD: Failure =
        Failure::Text("ERR source and destination objects are the same");
    /// An argument or a value is larger than the store takes.
    pub const TOO_LARGE: Failure =
        Failure::Text("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

/// The error for a name that no row has.
pub fn unknown_command(words: &[&[u8]]) -> Failure {
    let (name, arguments) = words.split_first().unwrap_or((&(&[] as &[u8]), &[]));
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(head(name, 128));
    text.extend_from_slice(b"', with args beginning with: ");
    let start = text.len();
    for argument in arguments {
        let bytes = text.len() - start;
        if bytes >= 128 {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(head(argument, 128 - bytes));
        text.extend_from_slice(b"' ");
    }
    Failure::Made(text)
}

fn head(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

pub(super) fn wrong_count(name: &str) -> Failure {
    Failure::Made(format!("ERR wrong number of arguments for '{name}' command").into_bytes())
}

pub(super) fn wrong_subcommand_count(name: &str, sub: &str) -> Failure {
    wrong_count(&format!("{name}|{sub}"))
}

pub(super) fn unknown_subcommand(sub: &[u8], name: &str) -> Failure {
    let after = format!("'. Try {} HELP.", name.to_ascii_uppercase());
    with_bytes("ERR unknown subcommand '", sub, &after)
}

pub(super) fn invalid_expiry(row: &Row) -> Failure {
    Failure::Made(format!("ERR invalid expire time in '{}' command", row.name).into_bytes())
}

pub(super) fn with_bytes(before: &str, bytes: &[u8], after: &str) -> Failure {
    Failure::Made([before.as_bytes(), head(bytes, 128), after.as_bytes()].concat())
}
