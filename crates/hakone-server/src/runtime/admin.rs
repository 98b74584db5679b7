//! The operators' port: `/healthz`, `/readyz` and `/metrics` over HTTP, on a thread of its own that
//! no client can hold up. It answers before the cabinet is open.

use super::acceptor::Stopper;
use super::socket::{Listener, Socket};
use super::sys::{Epoll, Interest};
use super::worker::Shared;
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_REQUEST_BYTES_MAX, ADMIN_TIME_MAX};
use hakone::Error;
use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How far the server is.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Once the cabinet is open.
    pub(super) shared: OnceLock<Arc<Shared>>,
    pub(super) stopping: AtomicBool,
}

impl Board {
    /// Why the server does not serve, or not fully.
    fn unready(&self) -> Option<String> {
        match self.shared.get() {
            _ if self.stopping.load(Ordering::Relaxed) => Some("stopping".to_owned()),
            None => Some("opening the cabinet".to_owned()),
            Some(_) => self.failure().map(|error| error.to_string()),
        }
    }

    fn failure(&self) -> Option<Error> {
        self.shared.get()?.service.failure()
    }
}

/// The operators' port.
#[derive(Debug)]
pub(super) struct Admin {
    epoll: Epoll,
    listener: Listener,
    board: Arc<Board>,
    stopper: Arc<Stopper>,
    /// Oldest first.
    clients: VecDeque<Client>,
}

#[derive(Debug)]
struct Client {
    socket: Socket,
    request: Vec<u8>,
    /// The part of the answer that is not yet sent; empty until the request is whole.
    answer: Vec<u8>,
    until: Instant,
}

impl Admin {
    pub(super) fn new(
        listener: Listener,
        board: Arc<Board>,
        stopper: Arc<Stopper>,
    ) -> Result<Admin> {
        let epoll = Epoll::new()?;
        epoll.add(stopper.wake(), 0, Interest::Read)?;
        epoll.add(&listener, 0, Interest::Read)?;
        Ok(Admin {
            epoll,
            listener,
            board,
            stopper,
            clients: VecDeque::new(),
        })
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self) -> Result<()> {
        let mut short = false;
        while !self.stopper.is_stopping() {
            let oldest = self.clients.front().map(|client| client.until);
            let mut time = oldest.map(|at| at.saturating_duration_since(Instant::now()));
            if short {
                time = Some(Duration::from_millis(100));
            }
            let _ = self.epoll.wait(time)?.count();
            short = !self.accept();
            // They are few and short-lived: each is looked at whenever one has moved.
            let now = Instant::now();
            for mut client in std::mem::take(&mut self.clients) {
                if client.until > now && client.go_on(&self.board) {
                    self.clients.push_back(client);
                }
            }
        }
        Ok(())
    }

    /// Takes all clients that wait; whether that went well.
    fn accept(&mut self) -> bool {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return true,
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset => continue,
                    _ => return false,
                },
            };
            if self.epoll.add(&socket, 0, Interest::ReadWrite).is_err() {
                return false;
            }
            if self.clients.len() >= ADMIN_CONNECTIONS_MAX {
                self.clients.pop_front();
            }
            self.clients.push_back(Client {
                socket,
                request: Vec::new(),
                answer: Vec::new(),
                until: Instant::now() + ADMIN_TIME_MAX,
            });
        }
    }
}

impl Client {
    /// Reads and answers as far as possible; whether there is more to do.
    fn go_on(&mut self, board: &Board) -> bool {
        while self.answer.is_empty() {
            let mut piece = [0; 1024];
            match self.socket.receive(&mut piece) {
                Ok(0) => return false,
                Ok(count) => self.request.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
            let whole = self.request.windows(4).any(|end| end == b"\r\n\r\n");
            if whole || self.request.len() > ADMIN_REQUEST_BYTES_MAX {
                self.answer = if whole {
                    answer(&self.request, board)
                } else {
                    respond(
                        "431 Request Header Fields Too Large",
                        "",
                        "too large\n",
                        true,
                    )
                };
            }
        }
        loop {
            match self.socket.send(&self.answer) {
                Ok(count) if count == self.answer.len() => {
                    self.socket.end_sending();
                    return false;
                }
                Ok(count) => drop(self.answer.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// The content type of Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn answer(request: &[u8], board: &Board) -> Vec<u8> {
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or(&[]);
    let mut words = line.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or(&[]);
    let path = words.next().unwrap_or(&[]);
    let path = path.split(|&byte| byte == b'?').next().unwrap_or(&[]);
    let body = method != b"HEAD";
    let is_read = matches!(method, b"GET" | b"HEAD");
    match path {
        b"/healthz" | b"/readyz" | b"/metrics" if !is_read => {
            let allow = "Allow: GET, HEAD\r\n";
            respond("405 Method Not Allowed", allow, "use GET\n", body)
        }
        b"/healthz" => status(board.failure().map(|error| error.to_string()), body),
        b"/readyz" => status(board.unready(), body),
        b"/metrics" => match board.shared.get() {
            Some(shared) => {
                let text = shared.service.metrics();
                respond_as(METRICS, "200 OK", "", &text, body)
            }
            None => status(board.unready(), body),
        },
        _ => {
            let text = "not found, try /healthz, /readyz or /metrics\n";
            respond("404 Not Found", "", text, body)
        }
    }
}

/// That all is well, or what is not.
fn status(trouble: Option<String>, body: bool) -> Vec<u8> {
    match trouble {
        None => respond("200 OK", "", "ok\n", body),
        Some(text) => respond("503 Service Unavailable", "", &format!("{text}\n"), body),
    }
}

fn respond(status: &str, headers: &str, text: &str, body: bool) -> Vec<u8> {
    respond_as(PLAIN, status, headers, text, body)
}

fn respond_as(kind: &str, status: &str, headers: &str, text: &str, body: bool) -> Vec<u8> {
    let bytes = text.len();
    let text = if body { text } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Cache-Control: no-store\r\n\
         Content-Length: {bytes}\r\nConnection: close\r\n\r\n{text}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_as_it_is() {
        let answer = status(Some("a sync of segment 7 failed".to_owned()), true);
        let text = String::from_utf8(answer).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(
            text.ends_with("\r\n\r\na sync of segment 7 failed\n"),
            "{text}"
        );
    }

    #[test]
    fn a_server_is_healthy_but_not_ready_while_it_opens_and_stops() {
        let board = Board::default();
        let ask = |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\n\r\n");
            String::from_utf8(answer(request.as_bytes(), &board)).unwrap()
        };
        assert!(ask("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
        for path in ["/readyz", "/metrics"] {
            let text = ask(path);
            assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
            assert!(text.ends_with("opening the cabinet\n"), "{text}");
        }
        board.stopping.store(true, Ordering::Relaxed);
        assert!(ask("/readyz").ends_with("stopping\n"));
    }
}
