//! How other threads reach a worker: messages, and a bell for the store's sync thread.

use super::net::Id;
use super::socket::Socket;
use super::sys::Wake;
use crate::Peer;
use std::io::Result;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A connection is now his.
    Connection(Socket, Peer),
    /// Another connection wants this one closed.
    Close(Id),
    /// Finish what is in flight and end.
    Stop,
}

/// The side of a worker that other threads see.
#[derive(Debug)]
pub(super) struct Mailbox {
    messages: Mutex<Vec<Message>>,
    wake: Wake,
    /// Whether the worker holds replies back until they are durable.
    parking: AtomicBool,
    /// Connections that the worker has or was sent.
    connections: AtomicUsize,
}

impl Mailbox {
    pub(super) fn new() -> Result<Mailbox> {
        Ok(Mailbox {
            messages: Mutex::new(Vec::new()),
            wake: Wake::new()?,
            parking: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        })
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Leaves a message and wakes the worker.
    pub(super) fn send(&self, message: Message) {
        if let Message::Connection(..) = message {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
        drop(messages);
        self.wake.pull();
    }

    /// The messages that have come.
    pub(super) fn receive(&self) -> Vec<Message> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut messages)
    }

    /// A connection of the worker is closed.
    pub(super) fn note_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many connections the worker has or was sent.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Says whether the worker wants the bell. Having said so, he must look at the watermark once
    /// more before he sleeps: the fence here and the one in [`Mailbox::ring`] see to it that either
    /// he sees it moved or the ringer sees him waiting.
    pub(super) fn set_parking(&self, parking: bool) {
        if self.parking.load(Ordering::Relaxed) != parking {
            self.parking.store(parking, Ordering::Relaxed);
        }
        if parking {
            fence(Ordering::SeqCst);
        }
    }

    /// Wakes the worker if he waits for the watermark, which has moved.
    pub(super) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.parking.load(Ordering::Relaxed) {
            self.wake.pull();
        }
    }
}
