//! What operators are told, in the text format of Prometheus.
//!
//! Families are declared once, in [`FAMILIES`]; the page in `docs/` is made from it.

use super::Service;
use super::process::Process;
use super::report::number_of;
use crate::counters::Counter;
use hakone::Command;
use hakone_command::COMMANDS;
use hakone_wire::Protocol;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// A family of metrics.
struct Family {
    name: &'static str,
    kind: &'static str,
    /// What it tells, in one line.
    help: &'static str,
    write: fn(&Snapshot<'_>, &mut Samples<'_>),
}

/// What one scrape sees.
struct Snapshot<'a> {
    service: &'a Service,
    stat: hakone::CabinetStat,
    process: Process,
    now: u64,
}

/// Writes the samples of one family.
struct Samples<'a> {
    name: &'static str,
    out: &'a mut String,
}

impl Samples<'_> {
    /// A sample without labels.
    fn one(&mut self, value: impl std::fmt::Display) {
        // Writing to a string can't fail, here and below.
        let _ = writeln!(self.out, "{} {value}", self.name);
    }

    /// A sample without labels whose name has a suffix.
    fn plain(&mut self, suffix: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.out, "{}{suffix} {value}", self.name);
    }

    /// A sample with labels as they stand between the braces; `suffix` goes behind the name.
    fn labelled(&mut self, suffix: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.out, "{}{suffix}{{{labels}}} {value}", self.name);
    }
}

/// A label's value, escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "a tenth of a second is enough")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

const fn family(
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    write: fn(&Snapshot<'_>, &mut Samples<'_>),
) -> Family {
    Family {
        name,
        kind,
        help,
        write,
    }
}

const FAMILIES: &[Family] = &[
    family(
        "hakone_info",
        "gauge",
        "Always 1; the version is in the label.",
        |_, to| {
            let labels = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
            to.labelled("", &labels, 1);
        },
    ),
    family(
        "hakone_start_time_seconds",
        "gauge",
        "When the server started, in seconds since the epoch.",
        |from, to| to.one(seconds(from.service.started)),
    ),
    family(
        "hakone_connections",
        "gauge",
        "Open client connections.",
        |from, to| to.one(from.service.sessions_open.load(Ordering::Relaxed)),
    ),
    family(
        "hakone_connections_total",
        "counter",
        "Client connections since the start.",
        |from, to| to.one(from.service.sessions.load(Ordering::Relaxed)),
    ),
    family(
        "hakone_received_bytes_total",
        "counter",
        "Bytes of requests that were carried out or refused.",
        |from, to| to.one(from.service.received_bytes.load(Ordering::Relaxed)),
    ),
    family(
        "hakone_replied_bytes_total",
        "counter",
        "Bytes of replies, sent or waiting to be.",
        |from, to| to.one(from.service.replied_bytes.load(Ordering::Relaxed)),
    ),
    family(
        "hakone_commands_total",
        "counter",
        "Commands that databases were asked for, by protocol and command.",
        |from, to| {
            for &protocol in Protocol::ALL {
                for (row, info) in COMMANDS.iter().enumerate() {
                    let count = from.service.counters.get(Counter::Command(protocol, row));
                    if count > 0 {
                        to.labelled("", &of_command(protocol, info.name), count);
                    }
                }
            }
        },
    ),
    family(
        "hakone_command_seconds",
        "histogram",
        "How long commands took in the store, by protocol and command: of each turn of a worker the \
         first and every 16th.",
        |from, to| {
            for &protocol in Protocol::ALL {
                for (row, info) in COMMANDS.iter().enumerate() {
                    let histogram = from.service.timings.of(protocol, row);
                    let (bounds, count) = histogram.cumulative();
                    if count == 0 {
                        continue;
                    }
                    let labels = of_command(protocol, info.name);
                    for (bound, count) in bounds {
                        to.labelled("_bucket", &format!("{labels},le=\"{bound}\""), count);
                    }
                    to.labelled("_bucket", &format!("{labels},le=\"+Inf\""), count);
                    to.labelled("_sum", &labels, histogram.sum().as_secs_f64());
                    to.labelled("_count", &labels, count);
                }
            }
        },
    ),
    family(
        "hakone_database_records",
        "gauge",
        "Records by database, expired ones included until they are reclaimed.",
        |from, to| of_databases(from, to, &Command::Count),
    ),
    family(
        "hakone_database_bytes",
        "gauge",
        "Bytes of the keys and values of records, by database.",
        |from, to| of_databases(from, to, &Command::Bytes),
    ),
    family(
        "hakone_log_bytes",
        "gauge",
        "Bytes of the disk that the main log takes.",
        |from, to| to.one(from.stat.log_bytes),
    ),
    family(
        "hakone_log_live_bytes",
        "gauge",
        "Bytes of it that a record or an end of one needs.",
        |from, to| to.one(from.stat.live_bytes),
    ),
    family(
        "hakone_log_resident_bytes",
        "gauge",
        "Bytes of it that are held in memory to be read.",
        |from, to| to.one(from.stat.resident_bytes),
    ),
    family(
        "hakone_log_segments",
        "gauge",
        "Segments of the main log.",
        |from, to| to.one(from.stat.segments),
    ),
    family(
        "hakone_log_written",
        "gauge",
        "The last lsn that survives the death of the process.",
        |from, to| to.one(from.stat.written),
    ),
    family(
        "hakone_log_durable",
        "gauge",
        "The last lsn that survives a power cut.",
        |from, to| to.one(from.stat.durable),
    ),
    family(
        "hakone_log_failed",
        "gauge",
        "1 if a failed sync or write has stopped writes until the server is restarted, else 0.",
        |from, to| to.one(u8::from(from.service.failure().is_some())),
    ),
    family(
        "hakone_syncs_total",
        "counter",
        "Syncs of the main log.",
        |from, to| to.one(from.stat.syncs),
    ),
    family(
        "hakone_checkpoints_total",
        "counter",
        "Checkpoints written.",
        |from, to| to.one(from.stat.checkpoints),
    ),
    family(
        "hakone_compactions_total",
        "counter",
        "Compactions of a log.",
        |from, to| to.one(from.stat.compactions),
    ),
    family(
        "hakone_compaction_copied_bytes_total",
        "counter",
        "Bytes of live records that compactions have copied.",
        |from, to| to.one(from.stat.compaction_copied_bytes),
    ),
    family(
        "hakone_compaction_freed_bytes_total",
        "counter",
        "Bytes of segments that compactions have let go.",
        |from, to| to.one(from.stat.compaction_freed_bytes),
    ),
    family(
        "hakone_expired_total",
        "counter",
        "Records reclaimed because they had expired.",
        |from, to| to.one(from.stat.reclaimed),
    ),
    family(
        "hakone_expiry_waiting_seconds",
        "gauge",
        "For how long the record that expired first has been waiting to be reclaimed.",
        |from, to| to.one(seconds(from.stat.expiry_waiting)),
    ),
    family(
        "hakone_expiry_lag_seconds",
        "histogram",
        "How long after their expiry records were reclaimed.",
        |from, to| {
            let lags = from.stat.expiry_lags;
            let mut count = 0;
            for (bound, more) in hakone::LAG_BOUNDS.iter().zip(lags.counts) {
                count += more;
                to.labelled("_bucket", &format!("le=\"{}\"", seconds(*bound)), count);
            }
            let count: u64 = lags.counts.iter().sum();
            to.labelled("_bucket", "le=\"+Inf\"", count);
            to.plain("_sum", seconds(lags.sum));
            to.plain("_count", count);
        },
    ),
    family(
        "process_resident_memory_bytes",
        "gauge",
        "Memory of the process.",
        |from, to| to.one(from.process.resident_bytes),
    ),
    family(
        "process_cpu_seconds_total",
        "counter",
        "Processor time of the process.",
        |from, to| to.one(seconds(from.process.user_ms + from.process.system_ms)),
    ),
];

fn of_command(protocol: Protocol, command: &str) -> String {
    format!("protocol=\"{}\",command=\"{command}\"", protocol.name())
}

fn of_databases(from: &Snapshot<'_>, to: &mut Samples<'_>, command: &Command<'_>) {
    for (_, database) in from.service.databases.iter() {
        let name = escaped(database.name());
        let kind = database.options().kind.name();
        let labels = format!("database=\"{name}\",kind=\"{kind}\"");
        to.labelled("", &labels, number_of(database, command, from.now));
    }
}

/// All families with their samples as they are now.
pub(super) fn text(service: &Service) -> String {
    let snapshot = Snapshot {
        service,
        stat: service.cabinet.stat(),
        process: Process::now(),
        now: hakone::now(),
    };
    let mut out = String::new();
    for family in FAMILIES {
        let name = family.name;
        let _ = writeln!(out, "# HELP {name} {}", family.help);
        let _ = writeln!(out, "# TYPE {name} {}", family.kind);
        let out = &mut out;
        (family.write)(&snapshot, &mut Samples { name, out });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page as it must be.
    fn page() -> String {
        let mut page = String::from(
            "# Metrics\n\n`hakone serve --admin ADDR` answers `GET /metrics` in the text format of \
             Prometheus. Counters begin at 0\nwith the server; units are in the names. This page is \
             checked against the code by its tests.\n\n| family | kind | what it tells |\n|---|---|---|\n",
        );
        for family in FAMILIES {
            let Family {
                name, kind, help, ..
            } = family;
            let _ = writeln!(page, "| `{name}` | {kind} | {help} |");
        }
        page
    }

    #[test]
    fn every_family_is_documented() {
        let there = include_str!("../../../../docs/metrics.md");
        assert!(there == page(), "docs/metrics.md must read:\n{}", page());
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
