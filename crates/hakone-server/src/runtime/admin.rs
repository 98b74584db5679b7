//! The operators' port: `/healthz` over HTTP, on a thread of its own that no client can hold up.

use super::acceptor::Stopper;
use super::socket::{Listener, Socket};
use super::sys::{Epoll, Interest};
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_REQUEST_BYTES_MAX, ADMIN_TIME_MAX};
use hakone::{Cabinet, Error};
use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The operators' port.
#[derive(Debug)]
pub(super) struct Admin {
    epoll: Epoll,
    listener: Listener,
    cabinet: Cabinet,
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
        cabinet: Cabinet,
        stopper: Arc<Stopper>,
    ) -> Result<Admin> {
        let epoll = Epoll::new()?;
        epoll.add(stopper.wake(), 0, Interest::Read)?;
        epoll.add(&listener, 0, Interest::Read)?;
        Ok(Admin {
            epoll,
            listener,
            cabinet,
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
                if client.until > now && client.go_on(&self.cabinet) {
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
    fn go_on(&mut self, cabinet: &Cabinet) -> bool {
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
                    answer(&self.request, cabinet.failure())
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

fn answer(request: &[u8], failure: Option<Error>) -> Vec<u8> {
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or(&[]);
    let mut words = line.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or(&[]);
    let path = words.next().unwrap_or(&[]);
    let path = path.split(|&byte| byte == b'?').next().unwrap_or(&[]);
    let body = method != b"HEAD";
    if path != b"/healthz" {
        return respond("404 Not Found", "", "not found, try /healthz\n", body);
    }
    if method != b"GET" && method != b"HEAD" {
        let allow = "Allow: GET, HEAD\r\n";
        return respond("405 Method Not Allowed", allow, "use GET\n", body);
    }
    match failure {
        None => respond("200 OK", "", "ok\n", body),
        Some(error) => respond("503 Service Unavailable", "", &format!("{error}\n"), body),
    }
}

fn respond(status: &str, headers: &str, text: &str, body: bool) -> Vec<u8> {
    let bytes = text.len();
    let text = if body { text } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n{headers}\
         Cache-Control: no-store\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n{text}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_refuses_writes_is_not_healthy_and_says_why() {
        let failure = Error::Poisoned("a sync of segment 7 failed".to_owned());
        let answer = answer(b"GET /healthz HTTP/1.1\r\n\r\n", Some(failure));
        let text = String::from_utf8(answer).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(text.contains("segment 7"), "{text}");
    }
}
