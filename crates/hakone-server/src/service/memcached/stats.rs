//! `stats`: lines of a name and a value. What memcached has and we do not (slabs, an order of use,
//! evictions) is told as the one class and the zeros that tools take for it, or left out.

use super::{NUMBER, Tally};
use crate::counters::Counter;
use crate::service::call::Caller;
use crate::service::process::Process;
use crate::service::report::{self, seconds};
use crate::session::Session;
use hakone::Command;
use hakone_command::limits::VALUE_BYTES_MAX;
use hakone_wire::memcached::{Sub, VERSION, Verb, end, stat};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// Bytes that addresses in the log reach: 8 TiB. Nothing else limits what is stored.
const BYTES_MAX: u64 = 1 << 43;

/// Where a count comes from.
enum Source {
    Sum(&'static [Counter]),
    Received,
    Replied,
}

/// What is counted, and what of. `stats reset` makes these begin at 0 again.
const COUNTS: &[(&str, Source)] = {
    use Counter::{Memcached, Tally as Of};
    use Source::Sum;
    &[
        ("cmd_get", Sum(&[Of(Tally::GetHit), Of(Tally::GetMiss)])),
        ("cmd_set", Sum(STORES)),
        ("cmd_flush", Sum(&[Memcached(Verb::FlushAll)])),
        (
            "cmd_touch",
            Sum(&[Of(Tally::TouchHit), Of(Tally::TouchMiss)]),
        ),
        ("get_hits", Sum(&[Of(Tally::GetHit)])),
        ("get_misses", Sum(&[Of(Tally::GetMiss)])),
        ("get_expired", Sum(&[])),
        ("get_flushed", Sum(&[])),
        ("delete_misses", Sum(&[Of(Tally::DeleteMiss)])),
        ("delete_hits", Sum(&[Of(Tally::DeleteHit)])),
        ("incr_misses", Sum(&[Of(Tally::IncrMiss)])),
        ("incr_hits", Sum(&[Of(Tally::IncrHit)])),
        ("decr_misses", Sum(&[Of(Tally::DecrMiss)])),
        ("decr_hits", Sum(&[Of(Tally::DecrHit)])),
        ("cas_misses", Sum(&[Of(Tally::CasMiss)])),
        ("cas_hits", Sum(&[Of(Tally::CasHit)])),
        ("cas_badval", Sum(&[Of(Tally::CasBad)])),
        ("touch_hits", Sum(&[Of(Tally::TouchHit)])),
        ("touch_misses", Sum(&[Of(Tally::TouchMiss)])),
        ("store_too_large", Sum(&[Of(Tally::TooLarge)])),
        ("auth_cmds", Sum(&[])),
        ("auth_errors", Sum(&[])),
        ("bytes_read", Source::Received),
        ("bytes_written", Source::Replied),
        ("total_items", Sum(STORES)),
        ("evictions", Sum(&[])),
        ("reclaimed", Sum(&[])),
    ]
};

const STORES: &[Counter] = &[
    Counter::Memcached(Verb::Set),
    Counter::Memcached(Verb::Add),
    Counter::Memcached(Verb::Replace),
    Counter::Memcached(Verb::Append),
    Counter::Memcached(Verb::Prepend),
    Counter::Memcached(Verb::Cas),
];

/// What had been counted when somebody last said `stats reset`.
#[derive(Debug, Default)]
pub(super) struct Baseline(Mutex<Vec<u64>>);

/// The counts of now, by their place in [`COUNTS`].
fn counts(caller: &mut Caller<'_>) -> Vec<u64> {
    // Those of this turn are asked for too.
    caller.counts.add_to(&caller.service.counters);
    let service = caller.service;
    let count = |source: &Source| match source {
        Source::Sum(of) => of.iter().map(|&one| service.counters.get(one)).sum(),
        // Relaxed: counts order nothing.
        Source::Received => service.received_bytes.load(Ordering::Relaxed),
        Source::Replied => service.replied_bytes.load(Ordering::Relaxed),
    };
    COUNTS.iter().map(|(_, source)| count(source)).collect()
}

/// The counts since the last reset, by name.
fn since_reset(caller: &mut Caller<'_>) -> Vec<(&'static str, u64)> {
    let now = counts(caller);
    let baseline = caller.service.memcached.baseline.0.lock();
    let baseline = baseline.unwrap_or_else(PoisonError::into_inner);
    let before = baseline.iter().chain(std::iter::repeat(&0));
    let since = now
        .iter()
        .zip(before)
        .map(|(now, before)| now.saturating_sub(*before));
    COUNTS.iter().map(|(name, _)| *name).zip(since).collect()
}

fn number_of(caller: &Caller<'_>, command: &Command<'_>) -> i64 {
    let database = caller.service.databases.get(NUMBER);
    database.map_or(0, |database| {
        report::number_of(database, command, caller.now)
    })
}

/// Appends a report.
pub(super) fn write(caller: &mut Caller<'_>, session: &Session, sub: Sub, out: &mut Vec<u8>) {
    let details = &caller.service.memcached.details;
    let mut text = String::new();
    match sub {
        Sub::General => general(caller, &mut text),
        Sub::Settings => settings(caller, &mut text),
        Sub::Items => items(caller, &mut text),
        Sub::Slabs => slabs(caller, &mut text),
        Sub::Sizes => stat("sizes_status", "disabled", &mut text),
        Sub::Connections => connections(session, &mut text),
        Sub::DetailDump => details.dump(out),
        Sub::Detail(on) => {
            details.switch(on);
            return out.extend_from_slice(b"OK\r\n");
        }
        Sub::Reset => {
            let now = counts(caller);
            let baseline = &caller.service.memcached.baseline.0;
            *baseline.lock().unwrap_or_else(PoisonError::into_inner) = now;
            details.reset();
            return out.extend_from_slice(b"RESET\r\n");
        }
        Sub::CacheDump(_) => unreachable!("it is a list, not a report"),
    }
    out.extend_from_slice(text.as_bytes());
    end(out);
}

fn general(caller: &mut Caller<'_>, out: &mut String) {
    let counts = since_reset(caller);
    let service = caller.service;
    let process = Process::now();
    let up = caller.now.saturating_sub(service.started) / 1000;
    stat("pid", std::process::id(), out);
    stat("uptime", up, out);
    stat("time", caller.now / 1000, out);
    stat("version", VERSION, out);
    stat("pointer_size", usize::BITS, out);
    stat("rusage_user", seconds(process.user_ms), out);
    stat("rusage_system", seconds(process.system_ms), out);
    // Relaxed: counts order nothing.
    let open = service.sessions_open.load(Ordering::Relaxed);
    let accepted = service.sessions.load(Ordering::Relaxed);
    stat("max_connections", service.config.connections_max, out);
    stat("curr_connections", open, out);
    stat("total_connections", accepted, out);
    for (name, count) in counts {
        stat(name, count, out);
    }
    stat("limit_maxbytes", BYTES_MAX, out);
    stat("accepting_conns", 1, out);
    stat("threads", service.config.threads, out);
    stat("bytes", number_of(caller, &Command::Bytes), out);
    stat("curr_items", number_of(caller, &Command::Count), out);
    stat("hakone_version", env!("CARGO_PKG_VERSION"), out);
}

fn settings(caller: &Caller<'_>, out: &mut String) {
    let service = caller.service;
    let config = &service.config;
    let details = if service.memcached.details.is_on() {
        "yes"
    } else {
        "no"
    };
    stat("maxbytes", BYTES_MAX, out);
    stat("maxconns", config.connections_max, out);
    stat("tcpport", config.port, out);
    stat("udpport", 0, out);
    stat("inter", "NULL", out);
    stat("verbosity", 0, out);
    stat("evictions", "off", out);
    stat("num_threads", config.threads, out);
    stat("stat_key_prefix", ":", out);
    stat("detail_enabled", details, out);
    stat("cas_enabled", "yes", out);
    stat("auth_enabled_sasl", "no", out);
    stat("auth_enabled_ascii", "no", out);
    stat("item_size_max", VALUE_BYTES_MAX, out);
    stat("flush_enabled", "yes", out);
    stat("dump_enabled", "yes", out);
    stat("shutdown_command", "no", out);
    stat("binding_protocol", "auto-negotiate", out);
}

fn items(caller: &Caller<'_>, out: &mut String) {
    let count = number_of(caller, &Command::Count);
    if count > 0 {
        stat("items:1:number", count, out);
        stat(
            "items:1:mem_requested",
            number_of(caller, &Command::Bytes),
            out,
        );
        stat("items:1:evicted", 0, out);
        stat("items:1:outofmemory", 0, out);
        stat("items:1:reclaimed", 0, out);
    }
}

fn slabs(caller: &mut Caller<'_>, out: &mut String) {
    let count = number_of(caller, &Command::Count);
    let bytes = number_of(caller, &Command::Bytes);
    stat("1:chunk_size", VALUE_BYTES_MAX, out);
    stat("1:used_chunks", count, out);
    stat("1:total_chunks", count, out);
    stat("1:free_chunks", 0, out);
    stat("1:mem_requested", bytes, out);
    const OF_SLABS: &[&str] = &[
        "get_hits",
        "cmd_set",
        "delete_hits",
        "incr_hits",
        "decr_hits",
        "cas_hits",
        "cas_badval",
        "touch_hits",
    ];
    for (name, count) in since_reset(caller) {
        if OF_SLABS.contains(&name) {
            stat(&format!("1:{name}"), count, out);
        }
    }
    stat("active_slabs", 1, out);
    stat("total_malloced", bytes, out);
}

/// This connection: workers do not know one another's.
fn connections(session: &Session, out: &mut String) {
    let id = session.id;
    let address = &session.peer.address;
    let kind = if address.starts_with("unix:") {
        ""
    } else {
        "tcp:"
    };
    stat(&format!("{id}:addr"), format!("{kind}{address}"), out);
    stat(&format!("{id}:state"), "conn_parse_cmd", out);
    stat(&format!("{id}:secs_since_last_cmd"), 0, out);
}
