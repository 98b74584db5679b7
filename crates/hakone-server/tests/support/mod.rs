//! A service and connections to it without sockets, driven as the runtime drives them.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    dead_code,
    reason = "each test file uses a part of it, so an expectation would fail in some; a test may \
              panic"
)]
#![expect(unreachable_pub, reason = "each test file is a crate of its own")]

use hakone::{Cabinet, Command, DatabaseOptions, Durability, Kind, Options};
use hakone_server::config::HttpDialect;
use hakone_server::{Peer, Protocol, Ready, Service, ServiceConfig, Session};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The time at which turns take place, unless a test says otherwise.
pub const NOW: u64 = 1_800_000_000_000;

pub struct Server {
    pub service: Service,
    pub cabinet: Cabinet,
    pub now: u64,
    config: ServiceConfig,
    directory: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.cabinet.close();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Server {
    pub fn new(kind: Kind, memory: bool) -> Server {
        Server::with(&[("default", kind, memory)], Durability::Process)
    }

    pub fn with(databases: &[(&str, Kind, bool)], durability: Durability) -> Server {
        let options = |kind, memory| DatabaseOptions {
            memory,
            ..DatabaseOptions::new(kind)
        };
        let databases = databases.iter();
        let databases: Vec<_> = databases
            .map(|&(name, kind, memory)| (name, options(kind, memory)))
            .collect();
        Server::made(&databases, durability)
    }

    pub fn of(databases: &[(&str, DatabaseOptions)]) -> Server {
        Server::made(databases, Durability::Process)
    }

    fn made(databases: &[(&str, DatabaseOptions)], durability: Durability) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hakone-service-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&directory);
        let options = Options {
            durability,
            memory_bytes: 64 << 20,
            ..Options::default()
        };
        let cabinet = Cabinet::open(&directory, options).unwrap();
        for &(name, options) in databases {
            cabinet.create(name, options).unwrap();
        }
        let config = ServiceConfig {
            databases: databases
                .iter()
                .map(|(name, ..)| (*name).to_owned())
                .collect(),
            durability,
            threads: 1,
            connections_max: 1000,
            port: 1978,
            http: HttpDialect::default(),
        };
        let service = Service::new(cabinet.clone(), config.clone());
        Server {
            service,
            cabinet,
            now: NOW,
            config,
            directory,
        }
    }

    /// Takes requests of HTTP that do not tell their dialect for those of this one.
    pub fn set_http(&mut self, dialect: HttpDialect) {
        self.config.http = dialect;
        self.service = Service::new(self.cabinet.clone(), self.config.clone());
    }

    /// Makes the server as new, on the same cabinet: opening one costs more than most tests.
    pub fn renew(&mut self) {
        for database in self.cabinet.databases() {
            database
                .call(&Command::Clear, self.now, &mut |_| ())
                .unwrap();
        }
        self.service = Service::new(self.cabinet.clone(), self.config.clone());
    }

    pub fn connect(&self) -> Connection<'_> {
        self.connect_to(None)
    }

    pub fn connect_to(&self, protocol: Option<Protocol>) -> Connection<'_> {
        self.connect_as(Peer {
            address: "127.0.0.1:50000".to_owned(),
            protocol,
            loopback: true,
        })
    }

    pub fn connect_as(&self, peer: Peer) -> Connection<'_> {
        Connection {
            server: self,
            session: Some(self.service.connect(peer, self.now)),
            input: Vec::new(),
            need: 0,
            closed: false,
            turns: 0,
        }
    }
}

pub struct Connection<'s> {
    pub server: &'s Server,
    session: Option<Session>,
    input: Vec<u8>,
    need: usize,
    pub closed: bool,
    /// Turns that were taken.
    pub turns: usize,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.server.service.disconnect(session);
        }
    }
}

impl Connection<'_> {
    /// Sends bytes at the server's time.
    pub fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send_at(self.server.now, bytes)
    }

    /// Sends bytes and returns what comes back, holding to what the turns say of what they need.
    pub fn send_at(&mut self, now: u64, bytes: &[u8]) -> Vec<u8> {
        let mut replies = Vec::new();
        if self.closed {
            return replies;
        }
        self.input.extend_from_slice(bytes);
        let session = self.session.as_mut().unwrap();
        let mut more = false;
        while more || self.input.len() >= self.need.max(1) {
            let mut output = Vec::new();
            let mut ready = [Ready::new(session, &self.input, &mut output)];
            self.server.service.turn(now, &mut ready);
            self.turns += 1;
            let [
                Ready {
                    consumed,
                    need,
                    more: again,
                    close,
                    wait,
                    ..
                },
            ] = ready;
            if let Some(lsn) = wait {
                self.server.cabinet.sync().unwrap();
                assert!(lsn <= self.server.cabinet.durable());
            }
            let progress = consumed > 0 || !output.is_empty() || again;
            replies.append(&mut output);
            assert!(consumed <= self.input.len());
            self.input.drain(..consumed);
            self.need = need;
            more = again;
            if close {
                self.closed = true;
                break;
            }
            assert!(self.turns < 10_000_000, "turns without end");
            if !progress {
                assert!(
                    need == 0 || need > self.input.len(),
                    "needs {need} bytes, has {}",
                    self.input.len()
                );
                break;
            }
        }
        replies
    }

    /// Sends bytes in pieces of this size.
    pub fn send_pieces(&mut self, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut replies = Vec::new();
        for piece in bytes.chunks(piece) {
            replies.extend(self.send(piece));
        }
        replies
    }

    /// Bytes that were sent and are not consumed.
    pub fn unconsumed(&self) -> usize {
        self.input.len()
    }
}

/// A RESP request of these words.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}
