//! Arrows point one way: what each crate may import, and what it must not know.

use super::Files;
use super::source::Source;

/// What one crate of the workspace may know.
struct Layer {
    name: &'static str,
    /// The workspace's crates that it may import.
    may_import: &'static [&'static str],
    /// Paths of the standard library and of `libc` that only `rooms` may name.
    guarded: &'static [&'static str],
    /// The folders and files below `src/` that may.
    rooms: &'static [&'static str],
    /// What lies under a guarded path and does no harm: it neither opens nor starts anything.
    harmless: &'static [&'static str],
}

const FILES: &str = "std::fs";
const SOCKETS: &str = "std::net";
const LOCAL_SOCKETS: &str = "std::os::unix::net";
const THREADS: &str = "std::thread";
const WALL_CLOCK: &str = "std::time::SystemTime";
const CLOCK: &str = "std::time::Instant";
const SYSTEM: &str = "libc";
const PROCESS: &str = "std::process";

const LAYERS: [Layer; 6] = [
    Layer {
        name: "hakone-command",
        may_import: &[],
        guarded: &[
            FILES,
            SOCKETS,
            LOCAL_SOCKETS,
            THREADS,
            WALL_CLOCK,
            CLOCK,
            PROCESS,
            SYSTEM,
        ],
        rooms: &[],
        harmless: &[],
    },
    Layer {
        name: "hakone-wire",
        may_import: &["hakone-command"],
        guarded: &[
            FILES,
            SOCKETS,
            LOCAL_SOCKETS,
            THREADS,
            WALL_CLOCK,
            CLOCK,
            PROCESS,
            SYSTEM,
        ],
        rooms: &[],
        harmless: &[],
    },
    Layer {
        name: "hakone",
        may_import: &["hakone-command"],
        guarded: &[
            FILES,
            SOCKETS,
            LOCAL_SOCKETS,
            THREADS,
            WALL_CLOCK,
            CLOCK,
            PROCESS,
            SYSTEM,
        ],
        rooms: &["io/"],
        harmless: &["std::thread::JoinHandle"],
    },
    Layer {
        name: "hakone-server",
        may_import: &["hakone", "hakone-command", "hakone-wire"],
        guarded: &[SOCKETS, LOCAL_SOCKETS, THREADS, SYSTEM],
        rooms: &["runtime/"],
        harmless: &["std::net::SocketAddr", "std::thread::available_parallelism"],
    },
    Layer {
        name: "hakone-client",
        may_import: &["hakone-command", "hakone-wire"],
        guarded: &[FILES],
        rooms: &[],
        harmless: &[],
    },
    Layer {
        name: "hakone-cli",
        may_import: &[
            "hakone",
            "hakone-client",
            "hakone-command",
            "hakone-server",
            "hakone-wire",
        ],
        guarded: &[],
        rooms: &[],
        harmless: &[],
    },
];

/// Outside crates that a layer never takes: the first knows nothing but `std`, and the store and
/// the protocols stay free of async runtimes.
const ASYNC: [&str; 4] = ["tokio", "async-std", "smol", "futures"];

/// Every import that points up, and every room that knows what it must not.
pub(crate) fn check(files: &Files, sources: &[Source<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for layer in &LAYERS {
        let manifest = format!("crates/{}/Cargo.toml", layer.name);
        if let Some(text) = files.get(&manifest) {
            faults.extend(imports(layer, &manifest, text));
        }
        faults.extend(sources.iter().flat_map(|source| knowledge(layer, source)));
    }
    faults
}

fn imports(layer: &Layer, manifest: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (section, name) in dependencies(text) {
        let ours = name == "hakone" || name.starts_with("hakone-");
        let for_tests = section == "dev-dependencies";
        if ours && !for_tests && !layer.may_import.contains(&name) {
            faults.push(format!("{manifest}: {} must not import {name}", layer.name));
        }
        if layer.name == "hakone-command" && !for_tests && !ours {
            faults.push(format!(
                "{manifest}: hakone-command knows only std, not {name}"
            ));
        }
        let pure = layer.name == "hakone" || layer.name == "hakone-wire";
        if pure && ASYNC.contains(&name) {
            faults.push(format!(
                "{manifest}: no async runtime in {}: {name}",
                layer.name
            ));
        }
    }
    faults
}

fn knowledge(layer: &Layer, source: &Source<'_>) -> Vec<String> {
    let Some(room) = source
        .path
        .strip_prefix(&format!("crates/{}/src/", layer.name))
    else {
        return Vec::new();
    };
    if layer.rooms.iter().any(|allowed| room.starts_with(allowed)) {
        return Vec::new();
    }
    let source = source.without(layer.harmless);
    let named = layer.guarded.iter().filter(|path| source.names(path));
    named
        .map(|path| format!("{}: must not know {path}", source.path))
        .collect()
}

/// The dependencies of a manifest, each with its section.
fn dependencies(text: &str) -> Vec<(&str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            section = header.rsplit('.').next().unwrap_or(header);
            // `[dependencies.name]` names its dependency in the header.
            if let Some((above, name)) = header.rsplit_once('.')
                && above.ends_with("dependencies")
            {
                found.push((above.rsplit('.').next().unwrap_or(above), name));
            }
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
            && !name.starts_with('#')
        {
            found.push((section, name));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str) -> Vec<String> {
        let files = Files::from([(path.to_owned(), text.to_owned())]);
        check(&files, &super::super::source::all(&files))
    }

    #[test]
    fn an_import_that_points_up_is_refused() {
        let manifest =
            "[dependencies]\nhakone-command.workspace = true\nhakone = { path = \"x\" }\n";
        assert_eq!(
            check_one("crates/hakone-wire/Cargo.toml", manifest),
            ["crates/hakone-wire/Cargo.toml: hakone-wire must not import hakone"]
        );
        let manifest = "[dependencies.hakone-wire]\nworkspace = true\n";
        assert_eq!(check_one("crates/hakone/Cargo.toml", manifest).len(), 1);
        let manifest = "[dependencies]\nhakone.workspace = true\n";
        assert!(check_one("crates/hakone-server/Cargo.toml", manifest).is_empty());
        let manifest = "[dev-dependencies]\nhakone.workspace = true\n";
        assert!(check_one("crates/hakone-wire/Cargo.toml", manifest).is_empty());
    }

    #[test]
    fn the_lowest_crate_knows_only_std() {
        let manifest = "[dependencies]\nserde = \"1\"\n";
        assert_eq!(
            check_one("crates/hakone-command/Cargo.toml", manifest).len(),
            1
        );
    }

    #[test]
    fn the_store_takes_no_async_runtime() {
        let manifest = "[dependencies]\ntokio = \"1\"\n";
        assert_eq!(check_one("crates/hakone/Cargo.toml", manifest).len(), 1);
        assert!(check_one("crates/hakone-server/Cargo.toml", manifest).is_empty());
    }

    #[test]
    fn only_the_rooms_that_may_touch_files_sockets_and_clocks() {
        for (path, code, faults) in [
            ("crates/hakone/src/log/mod.rs", "use std::fs::File;", 1),
            ("crates/hakone/src/io/real.rs", "use std::fs::File;", 0),
            (
                "crates/hakone/src/cabinet.rs",
                "use std::time::{Duration, SystemTime};",
                1,
            ),
            (
                "crates/hakone/src/cabinet.rs",
                "use std::time::Duration;",
                0,
            ),
            (
                "crates/hakone-wire/src/lib.rs",
                "use std::net::TcpStream;",
                1,
            ),
            ("crates/hakone-server/src/service.rs", "libc::read(0)", 1),
            (
                "crates/hakone-server/src/runtime/epoll.rs",
                "libc::read(0)",
                0,
            ),
            (
                "crates/hakone-server/src/server.rs",
                "use std::net::SocketAddr;",
                0,
            ),
            (
                "crates/hakone-server/src/server.rs",
                "use std::net::{SocketAddr, TcpStream};",
                1,
            ),
            ("crates/hakone-cli/src/main.rs", "use std::fs;", 0),
        ] {
            assert_eq!(check_one(path, code).len(), faults, "{path}: {code}");
        }
    }
}
