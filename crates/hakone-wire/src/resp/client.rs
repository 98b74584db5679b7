//! `CLIENT`: what a connection asks about itself and others.

use super::failure::{Failure, with_bytes};
use super::translate::{Constant, Request};
use hakone_command::parse_integer;

/// What `CLIENT` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client<'a> {
    /// The connection's number.
    Id,
    /// The connection's name.
    GetName,
    /// Give the connection a name.
    SetName(&'a [u8]),
    /// Note the name of the client's library.
    SetLibName(&'a [u8]),
    /// Note the version of the client's library.
    SetLibVer(&'a [u8]),
    /// A line on this connection.
    Info,
    /// A line on each of these connections.
    List(Clients<'a>),
    /// Close these connections, and tell how many; or the one of this address.
    Kill(Clients<'a>),
    /// Close the connection of this address.
    KillAddress(&'a [u8]),
    /// Which replies go out.
    Reply(Replies),
    /// What is tracked: nothing.
    TrackingInfo,
}

/// Which connections are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients<'a> {
    /// Those of these numbers, which ascend; `None` is all.
    pub ids: Option<Vec<u64>>,
    /// The one of this address.
    pub address: Option<&'a [u8]>,
    /// None at all: the other conditions are not looked at.
    pub none: bool,
    /// Not the one that asks.
    pub skip_me: bool,
}

/// Which replies go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but the next.
    SkipNext,
    /// All but this one.
    SkipThis,
}

impl Replies {
    /// Once this reply has gone out or not.
    #[must_use]
    pub fn next(self) -> Replies {
        match self {
            Replies::SkipNext => Replies::SkipThis,
            Replies::SkipThis => Replies::On,
            other => other,
        }
    }
}

pub(super) fn translate<'a>(name: &str, arguments: &[&'a [u8]]) -> Result<Request<'a>, Failure> {
    let constant = |constant| Ok(Request::Constant(constant));
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let client = match (name, arguments) {
        ("getname", _) => Client::GetName,
        ("getredir", _) => return constant(Constant::Number(-1)),
        ("id", _) => Client::Id,
        ("info", _) => Client::Info,
        ("kill", &[address]) => Client::KillAddress(address),
        ("kill", options) => Client::Kill(kill(options)?),
        ("list", options) => Client::List(list(options)?),
        ("no-evict" | "no-touch", &[mode]) if is(mode, "on") || is(mode, "off") => {
            return constant(Constant::Ok);
        }
        ("reply", &[mode]) if is(mode, "on") => Client::Reply(Replies::On),
        ("reply", &[mode]) if is(mode, "off") => Client::Reply(Replies::Off),
        ("reply", &[mode]) if is(mode, "skip") => Client::Reply(Replies::SkipNext),
        ("setinfo", &[what, value]) => set_info(what, value)?,
        ("setname", &[name]) => Client::SetName(checked_name(name)?),
        ("tracking", &[mode]) if is(mode, "off") => return constant(Constant::Ok),
        ("tracking", &[mode, ..]) if is(mode, "on") => {
            return Err(Failure::Text("ERR CLIENT TRACKING ON is not served"));
        }
        ("trackinginfo", _) => Client::TrackingInfo,
        ("unblock", &[id, ref reason @ ..]) => {
            parse_integer(id).ok_or(Failure::NOT_AN_INTEGER)?;
            match reason {
                [] => {}
                [reason] if is(reason, "timeout") || is(reason, "error") => {}
                _ => {
                    return Err(Failure::Text(
                        "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
                    ));
                }
            }
            return constant(Constant::Number(0));
        }
        ("unpause", _) => return constant(Constant::Ok),
        _ => return Err(Failure::SYNTAX),
    };
    Ok(Request::Client(client))
}

fn list<'a>(options: &[&'a [u8]]) -> Result<Clients<'a>, Failure> {
    let mut clients = Clients::default();
    match options {
        [] => {}
        [word, kind] if word.eq_ignore_ascii_case(b"type") => clients.none = !is_normal(kind)?,
        [word, ids @ ..] if word.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let id = |text: &&[u8]| {
                let id = parse_integer(text).ok_or(Failure::Text("ERR Invalid client ID"))?;
                // No connection has the number 0.
                Ok(u64::try_from(id).unwrap_or(0))
            };
            let mut ids = ids.iter().map(id).collect::<Result<Vec<_>, _>>()?;
            ids.sort_unstable();
            clients.ids = Some(ids);
        }
        _ => return Err(Failure::SYNTAX),
    }
    Ok(clients)
}

fn kill<'a>(options: &[&'a [u8]]) -> Result<Clients<'a>, Failure> {
    let mut clients = Clients {
        skip_me: true,
        ..Clients::default()
    };
    let (options, rest) = options.as_chunks::<2>();
    for &[option, value] in options {
        match option.to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = parse_integer(value)
                    .and_then(|id| u64::try_from(id).ok())
                    .filter(|&id| id > 0)
                    .ok_or(Failure::Text("ERR client-id should be greater than 0"))?;
                clients.ids = Some(vec![id]);
            }
            b"type" => clients.none |= !is_normal(value)?,
            b"addr" => clients.address = Some(value),
            b"user" if value == b"default" => {}
            b"user" => return Err(with_bytes("ERR No such user '", value, "'")),
            b"skipme" if value.eq_ignore_ascii_case(b"yes") => clients.skip_me = true,
            b"skipme" if value.eq_ignore_ascii_case(b"no") => clients.skip_me = false,
            _ => return Err(Failure::SYNTAX),
        }
    }
    if rest.is_empty() {
        Ok(clients)
    } else {
        Err(Failure::SYNTAX)
    }
}

/// Whether connections of this type are those that we have.
fn is_normal(kind: &[u8]) -> Result<bool, Failure> {
    match kind.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(true),
        b"master" | b"replica" | b"slave" | b"pubsub" => Ok(false),
        _ => Err(with_bytes("ERR Unknown client type '", kind, "'")),
    }
}

fn set_info<'a>(what: &[u8], value: &'a [u8]) -> Result<Client<'a>, Failure> {
    let (client, name) = match what.to_ascii_lowercase().as_slice() {
        b"lib-name" => (Client::SetLibName(value), "lib-name"),
        b"lib-ver" => (Client::SetLibVer(value), "lib-ver"),
        _ => return Err(with_bytes("ERR Unrecognized option '", what, "'")),
    };
    if is_plain(value) {
        Ok(client)
    } else {
        let text = format!("ERR {name} cannot contain spaces, newlines or special characters.");
        Err(Failure::Made(text.into_bytes()))
    }
}

fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

pub(super) fn checked_name(name: &[u8]) -> Result<&[u8], Failure> {
    if is_plain(name) {
        Ok(name)
    } else {
        Err(Failure::Text(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ))
    }
}
