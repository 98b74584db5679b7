//! `report` and `status`: what the server and one database are, in the original's words.

use super::super::call::Caller;
use super::super::process::Process;
use super::super::report::{number_of, seconds};
use super::Asked;
use crate::counters::Counter;
use hakone::{Command, Database, Kind};
use hakone_wire::tycoon::{Columns, number};
use std::sync::atomic::Ordering;

/// The versions of Kyoto Tycoon and Kyoto Cabinet whose protocols are served, as clients know them.
const TYCOON_VERSION: &str = "0.9.56b (2.19)";
const CABINET_VERSION: &str = "1.2.76a (16.13)";

/// The server's report.
pub(super) fn server(caller: &mut Caller<'_>, results: &mut Columns) {
    caller.counts.add_to(&caller.service.counters);
    let service = caller.service;
    let process = Process::now();
    let mut text = |name: &str, value: &str| results.push(name.as_bytes(), value.as_bytes());
    for &tally in Asked::ALL {
        let count = service.counters.get(Counter::Tycoon(tally));
        text(&format!("cnt_{}", tally.name()), &count.to_string());
    }
    text("conf_kc_version", CABINET_VERSION);
    text("conf_kt_version", TYCOON_VERSION);
    text("conf_hakone_version", env!("CARGO_PKG_VERSION"));
    text("conf_os_name", "Linux");
    let (mut count_all, mut bytes_all) = (0, 0);
    let databases = service.databases.iter();
    for (number, database) in databases.filter(|there| service.databases.is_configured(there.0)) {
        let count = number_of(database, &Command::Count, caller.now);
        let bytes = number_of(database, &Command::Bytes, caller.now);
        count_all += count;
        bytes_all += bytes;
        let path = database.name();
        let line = format!("count={count} size={bytes} path={path}");
        text(&format!("db_{number}"), &line);
    }
    text("db_total_count", &count_all.to_string());
    text("db_total_size", &bytes_all.to_string());
    // Relaxed: a count orders nothing.
    let sessions = service.sessions_open.load(Ordering::Relaxed);
    text("serv_conn_count", &sessions.to_string());
    text("serv_current_time", &seconds(caller.now));
    let running = caller.now.saturating_sub(service.started);
    text("serv_running_term", &seconds(running));
    text("serv_proc_id", &std::process::id().to_string());
    text("serv_task_count", "0");
    text("sys_mem_rss", &process.resident_bytes.to_string());
    text("sys_mem_size", &process.memory_bytes.to_string());
    text("sys_ru_stime", &seconds(process.system_ms));
    text("sys_ru_utime", &seconds(process.user_ms));
}

/// The report of one database.
pub(super) fn database(caller: &Caller<'_>, database_number: usize, results: &mut Columns) {
    let Some(database) = caller.service.databases.get(database_number) else {
        return;
    };
    number(
        "count",
        number_of(database, &Command::Count, caller.now),
        results,
    );
    number(
        "size",
        number_of(database, &Command::Bytes, caller.now),
        results,
    );
    results.push(b"path", database.name().as_bytes());
    for name in ["type", "realtype"] {
        number(name, type_of(database), results);
    }
    for (name, value) in [("ktopts", 0), ("ktcapcnt", -1), ("ktcapsiz", -1)] {
        number(name, value, results);
    }
}

/// The original's number for the kind of database that this one takes the place of.
fn type_of(database: &Database) -> i64 {
    let options = database.options();
    match (options.kind, options.memory) {
        // An array keeps its order as a tree does; the original has none.
        (Kind::Tree | Kind::Array, true) => 0x21,
        (Kind::Tree | Kind::Array, false) => 0x31,
        (_, true) => 0x20,
        (_, false) => 0x30,
    }
}
