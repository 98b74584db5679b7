//! `CLIENT`: what a connection asks about itself, and of others.

use super::{Asked, Flow};
use crate::clients::Client as Other;
use crate::service::call::Caller;
use crate::service::keys::{self, Pending};
use hakone_wire::resp::{Client, Clients, Failure, Replies, Writer};

/// Connections that one slice of a list looks at: 1024, well under a millisecond.
const SLICE_CLIENTS: usize = 1024;

/// `CLIENT LIST` on its way: its size goes out before it.
#[derive(Debug)]
pub(crate) struct Listing {
    after: u64,
    ids: Option<Vec<u64>>,
    resp3: bool,
    text: String,
}

impl Listing {
    /// Looks at so many connections; whether those were all.
    pub(in crate::service) fn slice(&mut self, caller: &Caller<'_>) -> bool {
        let page = caller.service.clients.page(self.after, SLICE_CLIENTS);
        for client in &page {
            self.after = client.id;
            let is_meant = self
                .ids
                .as_ref()
                .is_none_or(|ids| ids.binary_search(&client.id).is_ok());
            // One that was killed is as good as gone.
            if is_meant && !client.is_killed() {
                self.text.push_str(&client.line(caller.now));
            }
        }
        page.len() < SLICE_CLIENTS
    }

    pub(in crate::service) fn answer(self) -> Vec<u8> {
        let mut out = Vec::new();
        let resp3 = self.resp3;
        let mut to = Writer {
            out: &mut out,
            resp3,
        };
        to.verbatim(&self.text);
        out
    }
}

impl Asked<'_, '_, '_> {
    pub(super) fn client(&mut self, request: Client<'_>) -> Flow {
        let session = &mut *self.session;
        let to = &mut *self.to;
        match request {
            Client::Id => to.integer(i64::try_from(session.id).unwrap_or(i64::MAX)),
            Client::GetName => match session.client.labels().name.as_slice() {
                [] => to.null(),
                name => to.bulk(name),
            },
            Client::SetName(name) => {
                session.client.labels().name = name.to_vec();
                to.simple("OK");
            }
            Client::SetLibName(name) => {
                session.client.labels().library_name = name.to_vec();
                to.simple("OK");
            }
            Client::SetLibVer(version) => {
                session.client.labels().library_version = version.to_vec();
                to.simple("OK");
            }
            Client::Info => {
                session.show(self.caller.now);
                to.verbatim(&session.client.line(self.caller.now));
            }
            Client::List(clients) => return self.list(clients),
            Client::Kill(clients) => return self.kill(&clients),
            Client::KillAddress(address) => return self.kill_address(address),
            Client::Reply(replies) => {
                let skipped_anyway =
                    replies == Replies::SkipNext && session.conversation.replies == Replies::Off;
                if !skipped_anyway {
                    session.conversation.replies = replies;
                }
                to.simple("OK");
            }
            Client::TrackingInfo => {
                to.map(3);
                to.bulk(b"flags");
                to.set(1);
                to.bulk(b"off");
                to.bulk(b"redirect");
                to.integer(-1);
                to.bulk(b"prefixes");
                to.array(0);
            }
        }
        Flow::Go
    }

    fn list(&mut self, clients: Clients<'_>) -> Flow {
        // A list that nobody hears need not be made.
        if self.session.conversation.is_quiet() {
            return Flow::Go;
        }
        self.session.show(self.caller.now);
        let listing = Listing {
            after: if clients.none { u64::MAX } else { 0 },
            ids: clients.ids,
            resp3: self.to.resp3,
            text: String::new(),
        };
        let pending = Pending::Clients(listing);
        keys::begin(pending, self.caller, self.session, self.to.out)
    }

    /// Closes all that are meant, and tells how many.
    fn kill(&mut self, clients: &Clients<'_>) -> Flow {
        let me = self.session.id;
        let is_meant = |other: &Other| {
            !clients.none
                && clients
                    .ids
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&other.id))
                && clients
                    .address
                    .is_none_or(|address| address == other.address.as_bytes())
                && !(clients.skip_me && other.id == me)
        };
        let killed = self.kill_all(&is_meant);
        let count = killed.len();
        self.to.integer(i64::try_from(count).unwrap_or(i64::MAX));
        if killed.contains(&me) {
            Flow::Close
        } else {
            Flow::Go
        }
    }

    fn kill_address(&mut self, address: &[u8]) -> Flow {
        let killed = self.kill_all(&|other| other.address.as_bytes() == address);
        if killed.is_empty() {
            return self.fail(&Failure::Text("ERR No such client"));
        }
        self.to.simple("OK");
        let me = self.session.id;
        if killed.contains(&me) {
            Flow::Close
        } else {
            Flow::Go
        }
    }

    /// Has all connections closed for which it holds; their numbers. This one is left to its answer.
    fn kill_all(&self, is_meant: &dyn Fn(&Other) -> bool) -> Vec<u64> {
        let mut killed = Vec::new();
        let mut after = 0;
        loop {
            let page = self.caller.service.clients.page(after, SLICE_CLIENTS);
            let Some(last) = page.last() else {
                return killed;
            };
            after = last.id;
            let there = page.iter().filter(|other| !other.is_killed());
            for other in there.filter(|other| is_meant(other)) {
                killed.push(other.id);
                if other.id != self.session.id {
                    other.kill();
                }
            }
        }
    }
}
