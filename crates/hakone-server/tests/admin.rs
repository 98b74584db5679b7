//! The operators' port over real sockets.

#![expect(clippy::unwrap_used, reason = "tests may, and so may what they call")]

mod running;

use hakone_server::BoundAddress;
use running::{Running, connect};
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
        "not found, try /healthz\n",
    );
    check("\r\n\r\n", "404 Not Found", "not found, try /healthz\n");
    check(
        &"x".repeat(10_000),
        "431 Request Header Fields Too Large",
        "too large\n",
    );
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
