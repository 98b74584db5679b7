//! The acceptor: one thread that takes connections from all listeners and gives each to the worker
//! that has the fewest.
//!
//! Listeners shared by the workers would pile connections up on whichever wakes first, and ports
//! shared through the kernel (`SO_REUSEPORT`) would drop those that wait at a worker that ends and
//! let a second server take the same port unnoticed.

use super::mailbox::{Mailbox, Message};
use super::socket::{Listener, Socket};
use super::sys::{Epoll, Interest, Wake};
use crate::Peer;
use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to leave connections waiting when the system is short of descriptors or memory.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// How often to say that connections are refused.
const COMPLAINT_TIME: Duration = Duration::from_secs(10);

/// How the acceptor is told to stop.
#[derive(Debug)]
pub(super) struct Stopper {
    wake: Wake,
    stopping: AtomicBool,
}

impl Stopper {
    pub(super) fn new() -> Result<Stopper> {
        Ok(Stopper {
            wake: Wake::new()?,
            stopping: AtomicBool::new(false),
        })
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.pull();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }
}

/// The acceptor's state.
#[derive(Debug)]
pub(super) struct Acceptor {
    epoll: Epoll,
    listeners: Vec<Listener>,
    workers: Vec<Arc<Mailbox>>,
    stopper: Arc<Stopper>,
    connections_max: usize,
    complained: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(
        listeners: Vec<Listener>,
        workers: Vec<Arc<Mailbox>>,
        stopper: Arc<Stopper>,
        connections_max: usize,
    ) -> Result<Acceptor> {
        let epoll = Epoll::new()?;
        epoll.add(stopper.wake(), 0, Interest::Read)?;
        for listener in &listeners {
            epoll.add(listener, 1, Interest::Read)?;
        }
        Ok(Acceptor {
            epoll,
            listeners,
            workers,
            stopper,
            connections_max,
            complained: None,
        })
    }

    /// Accepts until it is told to stop; then takes those that wait already, and closes the
    /// listeners.
    pub(super) fn run(mut self) -> Result<()> {
        let mut time = None;
        loop {
            let _ = self.epoll.wait(time)?.count();
            let stopping = self.stopper.is_stopping();
            // Each event may stand for several connections of any listener: take all there are.
            let mut emptied = true;
            for index in 0..self.listeners.len() {
                emptied &= self.accept_all(index);
            }
            if stopping {
                return Ok(());
            }
            time = (!emptied).then_some(SHORTAGE_PAUSE);
        }
    }

    /// Takes the connections that wait at one listener; whether none waits any more.
    fn accept_all(&mut self, index: usize) -> bool {
        loop {
            match self.listeners[index].accept() {
                Ok((socket, peer)) => self.give(socket, peer),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return true,
                    // The peer of this one is gone again; the next may be there.
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset => {}
                    _ => {
                        self.complain(&format!("cannot accept connections for now: {error}"));
                        return false;
                    }
                },
            }
        }
    }

    fn give(&mut self, socket: Socket, peer: Peer) {
        let open: usize = self.workers.iter().map(|w| w.connections()).sum();
        if open >= self.connections_max {
            drop(socket);
            let text = format!("refusing connections: {open} are open, the most allowed");
            self.complain(&text);
            return;
        }
        if let Some(worker) = self.workers.iter().min_by_key(|w| w.connections()) {
            worker.send(Message::Connection(socket, peer));
        }
    }

    fn complain(&mut self, text: &str) {
        let now = Instant::now();
        if self
            .complained
            .is_none_or(|at| now.duration_since(at) >= COMPLAINT_TIME)
        {
            self.complained = Some(now);
            tracing::warn!("{text}");
        }
    }
}
