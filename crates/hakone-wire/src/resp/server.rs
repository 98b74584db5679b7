//! What is asked of the server rather than of a database: its settings, commands, users, logs.

use super::failure::{Failure, with_bytes};
use super::subcommands::{check, keys_of};
use super::table::{Verb, lookup};
use super::translate::{Constant, Request};
use hakone_command::parse_integer;

/// Which commands `COMMAND LIST` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter<'a> {
    /// All.
    All,
    /// Those of a group.
    Group(&'a [u8]),
    /// Those whose names match a pattern.
    Pattern(&'a [u8]),
    /// None: there are no modules.
    None,
}

/// A request with this subcommand.
pub(super) fn translate<'a>(
    verb: Verb,
    name: &str,
    arguments: &[&'a [u8]],
) -> Result<Request<'a>, Failure> {
    let constant = |constant| Ok(Request::Constant(constant));
    match (verb, name) {
        (Verb::Config, _) => config(name, arguments),
        (Verb::Command, _) => command(name, arguments),
        (Verb::Acl, "whoami") => constant(Constant::Text("default")),
        (Verb::Acl, "users") => constant(Constant::List(&["default"])),
        (Verb::Acl, "list") => constant(Constant::List(&["user default on nopass ~* &* +@all"])),
        (Verb::Latency, "reset") | (Verb::SlowLog, "len") => constant(Constant::Number(0)),
        (Verb::Latency, _) => constant(Constant::List(&[])),
        (Verb::SlowLog, "get") => {
            let counts = arguments
                .iter()
                .all(|count| parse_integer(count) >= Some(-1));
            if arguments.len() > 1 {
                return Err(Failure::SYNTAX);
            }
            if !counts {
                return Err(Failure::Text(
                    "ERR count should be greater than or equal to -1",
                ));
            }
            constant(Constant::List(&[]))
        }
        (Verb::SlowLog, "reset") | (Verb::Memory, "purge") => constant(Constant::Ok),
        (Verb::Function, "flush") => function_flush(arguments),
        (Verb::Function, "list") => function_list(arguments),
        _ => Err(Failure::SYNTAX),
    }
}

fn config<'a>(name: &str, arguments: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    match name {
        "get" => Ok(Request::ConfigGet(arguments.to_vec())),
        "resetstat" => Ok(Request::ConfigResetStat),
        "rewrite" => Err(Failure::Text(
            "ERR The server is running without a config file",
        )),
        _ => {
            let (pairs, rest) = arguments.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(Failure::SYNTAX);
            }
            Ok(Request::ConfigSet(pairs.to_vec()))
        }
    }
}

fn command<'a>(name: &str, arguments: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    match (name, arguments) {
        ("count", _) => Ok(Request::CommandCount),
        ("info", []) => Ok(Request::Commands),
        ("info", names) => Ok(Request::CommandInfo(names.to_vec())),
        ("docs", names) => Ok(Request::CommandDocs(names.to_vec())),
        ("getkeys", words) => get_keys(words),
        ("list", []) => Ok(Request::CommandList(Filter::All)),
        ("list", &[word, what, which]) if word.eq_ignore_ascii_case(b"filterby") => {
            let filter = match what.to_ascii_lowercase().as_slice() {
                b"module" => Filter::None,
                b"aclcat" => Filter::Group(which),
                b"pattern" => Filter::Pattern(which),
                _ => return Err(Failure::SYNTAX),
            };
            Ok(Request::CommandList(filter))
        }
        _ => Err(Failure::SYNTAX),
    }
}

fn get_keys<'a>(words: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    let row = words
        .first()
        .and_then(|name| lookup(name))
        .ok_or(Failure::Text("ERR Invalid command specified"))?;
    if !row.takes(words.len()) {
        return Err(Failure::Text(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let sub = check(row, words).map_err(|_| Failure::Text("ERR Invalid command specified"))?;
    let keys = keys_of(row, sub, words);
    if keys.is_empty() {
        return Err(Failure::Text("ERR The command has no key arguments"));
    }
    Ok(Request::CommandKeys(keys))
}

fn function_flush<'a>(arguments: &[&[u8]]) -> Result<Request<'a>, Failure> {
    match arguments {
        [] => Ok(Request::Constant(Constant::Ok)),
        [mode] if mode.eq_ignore_ascii_case(b"async") || mode.eq_ignore_ascii_case(b"sync") => {
            Ok(Request::Constant(Constant::Ok))
        }
        [_] => Err(Failure::Text(
            "ERR FUNCTION FLUSH only supports SYNC|ASYNC option",
        )),
        _ => Err(Failure::Text(
            "ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.",
        )),
    }
}

fn function_list<'a>(mut arguments: &[&[u8]]) -> Result<Request<'a>, Failure> {
    while let [word, rest @ ..] = arguments {
        arguments = match rest {
            _ if word.eq_ignore_ascii_case(b"withcode") => rest,
            [_, rest @ ..] if word.eq_ignore_ascii_case(b"libraryname") => rest,
            [] if word.eq_ignore_ascii_case(b"libraryname") => {
                return Err(Failure::Text("ERR library name argument was not given"));
            }
            _ => return Err(with_bytes("ERR Unknown argument ", word, "")),
        };
    }
    Ok(Request::Constant(Constant::List(&[])))
}
