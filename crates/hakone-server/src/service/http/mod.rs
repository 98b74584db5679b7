//! HTTP: who may ask, in which dialect a request is, and where it goes.

mod tycoon;
mod tyrant;

use super::call::Caller;
use super::turn::Flow;
use super::tycoon::call;
use crate::config::HttpDialect;
use crate::session::Session;
use hakone::{Command, Lsn, Reply, Result};
use hakone_wire::Protocol;
use hakone_wire::http::rest;
use hakone_wire::http::{CALL_PREFIX, Message, Method, Refusal, Request, reply};

pub(super) fn execute(
    caller: &mut Caller<'_>,
    session: &mut Session,
    message: Message<'_>,
    out: &mut Vec<u8>,
    wait: &mut Option<Lsn>,
) -> Flow {
    let request = match message {
        Message::Request(request) => request,
        Message::Refused(refusal) => {
            reply::refuse(refusal, out);
            return Flow::Close;
        }
    };
    if let Some(why) = hakone_wire::http::foreign(&request, session.peer.loopback) {
        reply::refuse(Refusal { status: 403, why }, out);
        return Flow::Close;
    }
    let flow = match dialect(&request, caller.service.config.http) {
        Meant::Call => call(caller, session, &request, out, wait),
        Meant::Rest(HttpDialect::Tyrant) => tyrant::execute(caller, session, &request, out),
        Meant::Rest(HttpDialect::Tycoon) => tycoon::execute(caller, &request, out),
    };
    match flow {
        Flow::Go if !request.keep_alive => Flow::Close,
        flow => flow,
    }
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    /// A remote call.
    Call,
    /// A request for one record.
    Rest(HttpDialect),
}

/// What a request is: headers of one dialect tell, and OPTIONS, which only Tyrant knows; then the
/// path; then the server's setting.
fn dialect(request: &Request<'_>, setting: HttpDialect) -> Meant {
    let tyrant = request.has_header_like(rest::tyrant::HEADERS);
    if tyrant || request.method == Method::Options {
        Meant::Rest(HttpDialect::Tyrant)
    } else if request.path().starts_with(CALL_PREFIX) {
        Meant::Call
    } else if request.has_header_like(rest::tycoon::HEADERS) {
        Meant::Rest(HttpDialect::Tycoon)
    } else {
        Meant::Rest(setting)
    }
}

/// Carries out a command that came by HTTP.
fn ask(
    caller: &mut Caller<'_>,
    number: usize,
    command: &Command<'_>,
    mut answer: impl FnMut(Reply<'_>),
) -> Result<()> {
    caller.call(Protocol::Http, number, command, &mut answer)
}
