//! A server in this process, and clients that talk to it over real sockets.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    dead_code,
    reason = "each test file uses a part of it, so an expectation would fail in some"
)]
#![expect(unreachable_pub, reason = "a test's own room")]

use hakone_server::{Config, Limits, Server, Settings};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before it counts as never.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A directory of a test's own, removed when it is dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hakone-running-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Deref for Directory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server on any free port with one worker and one hash in memory, unless told otherwise.
pub struct Running {
    pub server: Server,
    pub directory: Directory,
}

/// What [`Running::with`] starts from.
pub fn config(directory: &Directory) -> Config {
    let settings = Settings {
        data: Some(directory.join("data")),
        listen: Some(vec!["127.0.0.1:0".parse().unwrap()]),
        database: Some(vec!["default=hash,memory=true".parse().unwrap()]),
        threads: Some(1),
        ..Settings::default()
    };
    settings.decide().unwrap()
}

impl Running {
    pub fn new() -> Running {
        Running::with(|_, _| {})
    }

    pub fn with(change: impl FnOnce(&mut Config, &mut Limits)) -> Running {
        let directory = Directory::new();
        let mut config = config(&directory);
        let mut limits = Limits::default();
        change(&mut config, &mut limits);
        let server = Server::start(&config, limits).unwrap();
        Running { server, directory }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.tcp_address().unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }
}

/// A connection whose reads and writes fail rather than wait for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads as many bytes as are expected, and compares.
pub fn expect(mut stream: impl Read, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert!(
        bytes == expected,
        "got {:?}, expected {:?}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(200)]),
        String::from_utf8_lossy(&expected[..expected.len().min(200)])
    );
}

/// Reads to the end, and compares.
pub fn expect_last(mut stream: impl Read, expected: &[u8]) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        String::from_utf8_lossy(expected)
    );
}

/// Asks and is answered once.
pub fn ping(mut stream: impl Read + Write) {
    stream.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    expect(&mut stream, b"+PONG\r\n");
}

/// A RESP request of these words.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(bulk(word));
    }
    out
}

/// A RESP bulk string.
pub fn bulk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("${}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

/// Looks again and again until it holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
