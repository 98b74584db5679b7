//! Reports: Tyrant's `stat`, Redis' `INFO` and `CONFIG GET`, and our own.

use super::Service;
use super::call::Caller;
use super::process::Process;
use crate::counters::Counter;
use crate::session::Session;
use ::hakone::{Command, Database, Durability, Kind, Millis, Reply};
use hakone_command::COMMANDS;
use hakone_wire::{Protocol, memcached, resp, tyrant};
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// The version of Redis whose strings and keys are served: clients choose features by it.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// The version of Tokyo Tyrant whose protocol is served, as its clients know it.
const TYRANT_VERSION: &str = "1.1.41";

/// Writing to a string can't fail.
macro_rules! line {
    ($out:expr, $($arguments:tt)*) => {
        let _ = writeln!($out, $($arguments)*);
    };
}

/// The number that a command answers; 0 where it fails.
pub(super) fn number_of(database: &Database, command: &Command<'_>, now: Millis) -> i64 {
    let mut number = 0;
    let result = database.call(command, now, &mut |reply| {
        if let Reply::Number(n) = reply {
            number = n;
        }
    });
    if result.is_ok() { number } else { 0 }
}

/// Milliseconds as seconds with six places, as the originals report times.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03}000", ms / 1000, ms % 1000)
}

/// Tyrant's `stat`.
pub(super) fn tyrant(caller: &Caller<'_>, session: &Session) -> String {
    let service = caller.service;
    let process = Process::now();
    let mut out = String::new();
    line!(out, "version\t{TYRANT_VERSION}");
    line!(out, "libver\t324");
    line!(out, "protver\t0.91");
    line!(out, "os\tLinux");
    line!(out, "time\t{}", seconds(caller.now));
    line!(out, "pid\t{}", std::process::id());
    line!(out, "sid\t0");
    if let Some(database) = service.databases.get(0) {
        let options = database.options();
        let kind = match (options.kind, options.memory) {
            (Kind::Tree, true) => "on-memory tree",
            (Kind::Tree, false) => "B+ tree",
            (Kind::Array, _) => "fixed-length",
            (_, true) => "on-memory hash",
            (_, false) => "hash",
        };
        line!(out, "type\t{kind}");
        line!(out, "path\t{}", database.name());
        let count = number_of(database, &Command::Count, caller.now);
        let bytes = number_of(database, &Command::Bytes, caller.now);
        line!(out, "rnum\t{count}");
        line!(out, "size\t{bytes}");
    }
    if let Some(error) = service.cabinet.failure() {
        line!(out, "fatal\t{error}");
    }
    line!(out, "bigend\t0");
    line!(out, "fd\t{}", session.id);
    line!(out, "loadavg\t{:.6}", process.load);
    line!(out, "memsize\t{}", process.memory_bytes);
    line!(out, "memrss\t{}", process.resident_bytes);
    line!(out, "ru_user\t{}", seconds(process.user_ms));
    line!(out, "ru_sys\t{}", seconds(process.system_ms));
    let up = caller.now.saturating_sub(service.started);
    line!(out, "ru_real\t{}", seconds(up));
    for &verb in tyrant::Verb::ALL {
        let count = service.counters.get(Counter::Tyrant(verb));
        line!(out, "cnt_{}\t{count}", verb.name());
    }
    for (name, counter) in [
        ("put", Counter::PutMiss),
        ("out", Counter::OutMiss),
        ("get", Counter::GetMiss),
    ] {
        line!(out, "cnt_{name}_miss\t{}", service.counters.get(counter));
    }
    line!(out, "hakone_version\t{}", env!("CARGO_PKG_VERSION"));
    out
}

/// The sections of `INFO`: name, and what writes it.
type Section = (&'static str, fn(&Caller<'_>, &mut String));

const SECTIONS: &[Section] = &[
    ("Server", info_server),
    ("Clients", info_clients),
    ("Memory", info_memory),
    ("Persistence", info_persistence),
    ("Stats", info_stats),
    ("Replication", info_replication),
    ("CPU", info_cpu),
    ("Commandstats", info_commands),
    ("Keyspace", info_keyspace),
];

/// Sections that are told only when asked for.
const ON_DEMAND: &[&str] = &["Commandstats"];

/// `INFO`: the sections of these names, in their order here; the usual ones if there are no names.
pub(super) fn info(caller: &Caller<'_>, names: &[&[u8]]) -> String {
    let asked = |word: &str| {
        names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(word.as_bytes()))
    };
    let all = asked("all") || asked("everything");
    let usual = names.is_empty() || asked("default");
    let mut out = String::new();
    for (name, section) in SECTIONS {
        if all || asked(name) || (usual && !ON_DEMAND.contains(name)) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            let _ = write!(out, "# {name}\r\n");
            section(caller, &mut out);
        }
    }
    out
}

macro_rules! field {
    ($out:expr, $name:literal, $value:expr) => {
        let _ = write!($out, "{}:{}\r\n", $name, $value);
    };
}

fn info_server(caller: &Caller<'_>, out: &mut String) {
    let up = caller.now.saturating_sub(caller.service.started) / 1000;
    field!(out, "redis_version", REDIS_VERSION);
    field!(out, "redis_mode", "standalone");
    field!(out, "server_name", "hakone");
    field!(out, "hakone_version", env!("CARGO_PKG_VERSION"));
    field!(out, "os", "Linux");
    field!(out, "arch_bits", usize::BITS);
    field!(out, "process_id", std::process::id());
    field!(out, "tcp_port", caller.service.config.port);
    field!(out, "server_time_usec", caller.now * 1000);
    field!(out, "uptime_in_seconds", up);
    field!(out, "uptime_in_days", up / 86_400);
}

fn info_clients(caller: &Caller<'_>, out: &mut String) {
    let open = caller.service.sessions_open.load(Ordering::Relaxed);
    field!(out, "connected_clients", open);
    field!(out, "blocked_clients", 0);
}

fn info_memory(_: &Caller<'_>, out: &mut String) {
    let process = Process::now();
    field!(out, "used_memory", process.resident_bytes);
    field!(out, "used_memory_rss", process.resident_bytes);
    field!(out, "maxmemory", 0);
    field!(out, "maxmemory_policy", "noeviction");
}

fn info_persistence(caller: &Caller<'_>, out: &mut String) {
    let cabinet = &caller.service.cabinet;
    let stat = cabinet.stat();
    field!(out, "loading", 0);
    field!(out, "rdb_bgsave_in_progress", 0);
    field!(out, "aof_enabled", 1);
    let healthy = cabinet.failure().is_none();
    field!(
        out,
        "aof_last_write_status",
        if healthy { "ok" } else { "err" }
    );
    field!(out, "log_bytes", stat.log_bytes);
    field!(out, "log_live_bytes", stat.live_bytes);
    field!(out, "log_segments", stat.segments);
}

fn info_stats(caller: &Caller<'_>, out: &mut String) {
    let service = caller.service;
    let counters = &service.counters;
    let of_resp = resp::ROWS.iter().map(|row| Counter::Resp(row.verb));
    let of_tyrant = tyrant::Verb::ALL.iter().map(|&verb| Counter::Tyrant(verb));
    let verbs = memcached::Verb::ALL.iter();
    let of_memcached = verbs.map(|&verb| Counter::Memcached(verb));
    let all = of_resp.chain(of_tyrant).chain(of_memcached);
    let requests: u64 = all.map(|c| counters.since_forgotten(c)).sum();
    let accepted = service.sessions.load(Ordering::Relaxed);
    field!(out, "total_connections_received", accepted);
    field!(out, "total_commands_processed", requests);
    field!(
        out,
        "total_error_replies",
        counters.since_forgotten(Counter::Error)
    );
    field!(out, "keyspace_hits", counters.since_forgotten(Counter::Hit));
    field!(
        out,
        "keyspace_misses",
        counters.since_forgotten(Counter::Miss)
    );
    field!(out, "evicted_keys", 0);
}

fn info_replication(_: &Caller<'_>, out: &mut String) {
    field!(out, "role", "master");
    field!(out, "connected_slaves", 0);
}

fn info_cpu(_: &Caller<'_>, out: &mut String) {
    let process = Process::now();
    field!(out, "used_cpu_sys", seconds(process.system_ms));
    field!(out, "used_cpu_user", seconds(process.user_ms));
}

fn info_commands(caller: &Caller<'_>, out: &mut String) {
    for row in resp::ROWS {
        let counter = Counter::Resp(row.verb);
        let calls = caller.service.counters.since_forgotten(counter);
        if calls > 0 {
            let _ = write!(out, "cmdstat_{}:calls={calls}\r\n", row.name);
        }
    }
}

fn info_keyspace(caller: &Caller<'_>, out: &mut String) {
    for (number, database) in caller.service.databases.iter() {
        let count = number_of(database, &Command::Count, caller.now);
        if count > 0 {
            let _ = write!(out, "db{number}:keys={count},expires=0,avg_ttl=0\r\n");
        }
    }
}

/// The settings that `CONFIG GET` tells.
pub(super) fn settings(service: &Service) -> Vec<(&'static str, String)> {
    let sync = match service.config.durability {
        Durability::Commit => "always",
        Durability::Interval => "everysec",
        Durability::Process => "no",
    };
    vec![
        ("appendfsync", sync.to_owned()),
        ("appendonly", "yes".to_owned()),
        ("databases", service.databases.count().to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        (
            "proto-max-bulk-len",
            hakone_command::limits::VALUE_BYTES_MAX.to_string(),
        ),
        ("port", service.config.port.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ]
}

/// What there is to tell of a database: its options where it has a choice, and its size.
pub fn describe(database: &Database, now: Millis) -> Vec<(&'static str, String)> {
    let options = database.options();
    let mut told = vec![
        ("name", database.name().to_owned()),
        ("kind", options.kind.name().to_owned()),
        ("memory", options.memory.to_string()),
    ];
    if options.kind == Kind::Tree {
        told.push(("comparator", options.comparator.name().to_owned()));
        told.push(("duplicates", options.duplicates.to_string()));
    }
    if options.kind == Kind::Array {
        told.push(("width", options.width.to_string()));
    }
    told.push(("compression", options.compression.name().to_owned()));
    let number = |command| number_of(database, &command, now).to_string();
    told.push(("count", number(Command::Count)));
    told.push(("bytes", number(Command::Bytes)));
    told
}

/// Our own report: the cabinet, each numbered database, and what each protocol asked for.
pub(super) fn stat(caller: &Caller<'_>) -> String {
    let service = caller.service;
    let stat = service.cabinet.stat();
    let process = Process::now();
    let mut out = String::new();
    line!(out, "version\t{}", env!("CARGO_PKG_VERSION"));
    line!(out, "process_id\t{}", std::process::id());
    let up = caller.now.saturating_sub(service.started);
    line!(out, "uptime_ms\t{up}");
    line!(out, "resident_bytes\t{}", process.resident_bytes);
    let open = service.sessions_open.load(Ordering::Relaxed);
    line!(out, "connections\t{open}");
    line!(out, "log_bytes\t{}", stat.log_bytes);
    line!(out, "live_bytes\t{}", stat.live_bytes);
    line!(out, "segments\t{}", stat.segments);
    line!(out, "written\t{}", stat.written);
    line!(out, "durable\t{}", stat.durable);
    for (number, database) in service.databases.iter() {
        for (name, value) in describe(database, caller.now) {
            line!(out, "database.{number}.{name}\t{value}");
        }
    }
    for &protocol in Protocol::ALL {
        for (row, info) in COMMANDS.iter().enumerate() {
            let count = service.counters.get(Counter::Command(protocol, row));
            if count > 0 {
                line!(out, "commands.{}.{}\t{count}", protocol.name(), info.name);
            }
        }
    }
    out
}
