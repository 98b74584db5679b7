//! The operators' port over real sockets.

#![expect(clippy::unwrap_used, reason = "tests may, and so may what they call")]

mod running;

use hakone_server::BoundAddress;
use running::{Running, connect};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

fn running() -> (Running, SocketAddr) {
    let running = Running::with(|config, _| {
        config.admin = Some("127.0.0.1:0".parse().unwrap());
    });
    let Some(BoundAddress::Tcp(address)) = running.server.admin_address() else {
        panic!("no admin address")
    };
    let address = *address;
    (running, address)
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn health_is_told_as_long_as_writes_work() {
    let (_running, address) = running();
    let check = |request: &str, status: &str, body: &str| {
        let answer = ask(address, request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    };
    check("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "ok\n");
    check("GET /healthz?verbose HTTP/1.0\r\n\r\n", "200 OK", "ok\n");
    check("HEAD /healthz HTTP/1.1\r\n\r\n", "200 OK", "");
    check(
        "POST /healthz HTTP/1.1\r\n\r\n",
        "405 Method Not Allowed",
        "use GET\n",
    );
    check(
        "GET / HTTP/1.1\r\n\r\n",
        "404 Not Found",
        "not found, try /healthz, /readyz or /metrics\n",
    );
    check(
        "\r\n\r\n",
        "404 Not Found",
        "not found, try /healthz, /readyz or /metrics\n",
    );
    check("GET /readyz HTTP/1.1\r\n\r\n", "200 OK", "ok\n");
    check(
        &"x".repeat(10_000),
        "431 Request Header Fields Too Large",
        "too large\n",
    );
}

/// The samples of a scrape: name and labels to value.
fn scrape(address: SocketAddr) -> BTreeMap<String, u64> {
    let answer = ask(address, "GET /metrics HTTP/1.1\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("Content-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    let mut typed = BTreeSet::new();
    let mut samples = BTreeMap::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            typed.insert(comment.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| family.strip_suffix(suffix).filter(|f| typed.contains(*f)))
                .unwrap_or(family);
            assert!(typed.contains(family), "{line}");
            // Whole numbers are compared; seconds are cut to whole ones.
            let whole = value.split('.').next().unwrap().parse().unwrap_or(0);
            let before = samples.insert(name.to_owned(), whole);
            assert_eq!(before, None, "{line} is there twice");
        }
    }
    samples
}

#[test]
fn metrics_tell_what_was_done() {
    let (running, address) = running();
    let before = scrape(address);
    assert_eq!(before["hakone_log_failed"], 0);
    let mut client = connect(running.server.tcp_address().unwrap());
    client
        .write_all(b"SET a 1\r\nSET b 2\r\nGET a\r\n*2\r\n$3\r\nGET\r\n$1\r\nc\r\n")
        .unwrap();
    let mut reply = [0; 5 + 5 + 7 + 5];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+OK\r\n+OK\r\n$1\r\n1\r\n$-1\r\n");
    let after = scrape(address);
    let count = |of: &str| {
        let name = format!("hakone_commands_total{{protocol=\"redis\",command=\"{of}\"}}");
        after.get(&name).copied()
    };
    assert_eq!((count("put"), count("get")), (Some(2), Some(2)));
    let timed = after
        .iter()
        .filter(|(name, _)| name.starts_with("hakone_command_seconds_count"))
        .map(|(_, count)| count)
        .sum::<u64>();
    assert!(timed >= 1, "{timed}");
    let records = "hakone_database_records{database=\"default\",kind=\"hash\"}";
    let records = after
        .get(records)
        .or_else(|| after.get(&records.replace("hash", "tree")));
    assert_eq!(records, Some(&2));
    let more = |name: &str| after[name] - before[name];
    assert_eq!(more("hakone_connections_total"), 1);
    assert_eq!(more("hakone_connections"), 1);
    assert_eq!(more("hakone_replied_bytes_total"), 22);
    assert!(after["process_resident_memory_bytes"] > 0);
}

#[test]
fn slow_clients_hold_up_nobody() {
    let (_running, address) = running();
    let mut slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET /hea").unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        let answer = ask(address, "GET /healthz HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("ok\n"), "{answer}");
    }
    // The oldest had to give way.
    let mut answer = Vec::new();
    match slow[0].read_to_end(&mut answer) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
