//! What the server tells of itself: its commands, settings, reports, time.

use super::{Asked, Flow};
use crate::service::report;
use hakone_wire::Protocol;
use hakone_wire::resp::{Failure, Filter, Glob, ROWS, Request, Row, Writer, lookup};
use std::sync::atomic::Ordering;

impl Asked<'_, '_, '_> {
    /// A request that changes no record and no connection.
    pub(super) fn describe(&mut self, request: Request<'_>) -> Flow {
        let service = self.caller.service;
        match request {
            Request::Commands => {
                self.to.array(ROWS.len());
                for row in ROWS {
                    describe(row, self.to);
                }
            }
            Request::CommandCount => {
                self.to
                    .integer(i64::try_from(ROWS.len()).unwrap_or(i64::MAX));
            }
            Request::CommandList(filter) => {
                let wanted = |row: &&Row| match filter {
                    Filter::All => true,
                    Filter::None => false,
                    Filter::Group(group) => group.eq_ignore_ascii_case(row.group.as_bytes()),
                    Filter::Pattern(pattern) => {
                        Glob(&pattern.to_ascii_lowercase()).matches(row.name.as_bytes())
                    }
                };
                let rows: Vec<&Row> = ROWS.iter().filter(wanted).collect();
                self.to.array(rows.len());
                for row in rows {
                    self.to.bulk(row.name.as_bytes());
                }
            }
            Request::CommandKeys(keys) => {
                self.to.array(keys.len());
                for key in keys {
                    self.to.bulk(key);
                }
            }
            Request::CommandInfo(names) => {
                self.to.array(names.len());
                for name in names {
                    match lookup(name) {
                        Some(row) => describe(row, self.to),
                        None => self.to.null(),
                    }
                }
            }
            Request::CommandDocs(names) => command_docs(&names, self.to),
            Request::ConfigGet(patterns) => self.config_get(&patterns),
            Request::ConfigSet(pairs) => return self.config_set(&pairs),
            Request::ConfigResetStat => {
                self.caller.counts.add_to(&service.counters);
                service.counters.forget();
                self.to.simple("OK");
            }
            Request::Info(sections) => {
                self.caller.counts.add_to(&service.counters);
                let text = report::info(self.caller, &sections);
                self.to.verbatim(&text);
            }
            Request::Time => {
                let now = self.caller.now;
                self.to.array(2);
                self.to.bulk((now / 1000).to_string().as_bytes());
                self.to.bulk((now % 1000 * 1000).to_string().as_bytes());
            }
            Request::LastSave => {
                let seconds = service.saved.load(Ordering::Relaxed) / 1000;
                self.to.integer(i64::try_from(seconds).unwrap_or(i64::MAX));
            }
            Request::Role => {
                self.to.array(3);
                self.to.bulk(b"master");
                self.to.integer(0);
                self.to.array(0);
            }
            Request::Help(lines) => {
                self.to.array(lines.len());
                for line in lines {
                    self.to.simple(&line);
                }
            }
            // All others are carried out elsewhere.
            _ => return self.fail(&Failure::SYNTAX),
        }
        Flow::Go
    }

    pub(super) fn hello(&mut self, resp3: Option<bool>, name: Option<&[u8]>) {
        let session = &mut *self.session;
        session.settled = Some(Protocol::Resp);
        session.resp3 = resp3.unwrap_or(session.resp3);
        if let Some(name) = name {
            session.client.labels().name = name.to_vec();
        }
        let to = &mut *self.to;
        to.resp3 = session.resp3;
        to.map(7);
        to.bulk(b"server");
        to.bulk(b"redis");
        to.bulk(b"version");
        to.bulk(report::REDIS_VERSION.as_bytes());
        to.bulk(b"proto");
        to.integer(if session.resp3 { 3 } else { 2 });
        to.bulk(b"id");
        to.integer(i64::try_from(session.id).unwrap_or(i64::MAX));
        to.bulk(b"mode");
        to.bulk(b"standalone");
        to.bulk(b"role");
        to.bulk(b"master");
        to.bulk(b"modules");
        to.array(0);
    }

    fn config_get(&mut self, patterns: &[&[u8]]) {
        let settings = report::settings(self.caller.service);
        let wanted = settings.iter().filter(|(name, _)| {
            let matches =
                |pattern: &&[u8]| Glob(&pattern.to_ascii_lowercase()).matches(name.as_bytes());
            patterns.iter().any(matches)
        });
        let wanted: Vec<_> = wanted.collect();
        self.to.map(wanted.len());
        for (name, value) in wanted {
            self.to.bulk(name.as_bytes());
            self.to.bulk(value.as_bytes());
        }
    }

    /// Nothing can be set while the server runs; what is so already is granted.
    fn config_set(&mut self, pairs: &[[&[u8]; 2]]) -> Flow {
        let settings = report::settings(self.caller.service);
        for [name, value] in pairs {
            let same = |there: &&(&str, String)| name.eq_ignore_ascii_case(there.0.as_bytes());
            let text = match settings.iter().find(same) {
                Some((_, there)) if there.as_bytes() == *value => continue,
                Some((name, _)) => format!(
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - can't set \
                     immutable config"
                ),
                None => format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                    String::from_utf8_lossy(name)
                ),
            };
            return self.fail(&Failure::Made(text.into_bytes()));
        }
        self.to.simple("OK");
        Flow::Go
    }
}

/// A row as `COMMAND` has it.
fn describe(row: &Row, to: &mut Writer<'_>) {
    to.array(10);
    to.bulk(row.name.as_bytes());
    to.integer(i64::from(row.arity));
    to.set(row.flags.len());
    for flag in row.flags {
        to.simple(flag);
    }
    let (first, last, step) = row.keys;
    for position in [first, last, step] {
        to.integer(i64::from(position));
    }
    to.set(1);
    to.simple(&format!("@{}", row.group));
    to.array(0);
    to.array(0);
    to.array(0);
}

fn command_docs(names: &[&[u8]], to: &mut Writer<'_>) {
    let rows: Vec<&Row> = if names.is_empty() {
        ROWS.iter().collect()
    } else {
        names.iter().filter_map(|name| lookup(name)).collect()
    };
    to.map(rows.len());
    for row in rows {
        to.bulk(row.name.as_bytes());
        to.map(3);
        for (name, value) in [
            ("summary", row.summary),
            ("since", row.since),
            ("group", row.group),
        ] {
            to.bulk(name.as_bytes());
            to.bulk(value.as_bytes());
        }
    }
}
