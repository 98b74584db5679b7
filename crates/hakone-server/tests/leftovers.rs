//! Thousands of connections come and go, and nothing of them stays. Alone in its file: it counts
//! the sockets of the whole process.

#![expect(clippy::unwrap_used, reason = "tests may, and so may what they call")]

mod running;

use running::{Running, expect, ping, request, wait_until};
use std::io::Write;

/// How many sockets this process has open. Files come and go with the log.
fn sockets() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn five_thousand_connections_leave_no_sockets() {
    let running = Running::with(|config, _| config.threads = Some(2));
    ping(running.connect());
    wait_until("the first connection is closed", || {
        let before = sockets();
        ping(running.connect());
        sockets() <= before + 1
    });
    let before = sockets();
    for number in 0..5000 {
        let mut stream = running.connect();
        match number % 5 {
            // Gone without a word.
            0 => {}
            // Gone in the middle of a request.
            1 => stream.write_all(b"*2\r\n$3\r\nGE").unwrap(),
            // Gone without waiting for the reply, which makes the kernel reset the connection.
            2 => stream.write_all(&request(&[b"PING"]).repeat(50)).unwrap(),
            // Sent away by the server.
            3 => {
                stream.write_all(&request(&[b"QUIT"])).unwrap();
                expect(&mut stream, b"+OK\r\n");
            }
            _ => ping(&mut stream),
        }
    }
    wait_until("all are closed", || sockets() <= before);
    ping(running.connect());
}
