//! The seam to the kernel: bytes have come, here is a buffer to send, it has been sent.
//!
//! Its face has the shape of completions, so that io_uring can stand behind it as well: who uses it
//! never asks whether a socket is ready. Behind it stands epoll, edge-triggered, so that a request
//! costs one wait, one read and one write and no change of interest; a read that was shorter than
//! its room has emptied the socket, and only a peer that reads too slowly makes us ask for room.

use super::buffers::Arena;
use super::socket::Socket;
use super::sys::{Epoll, Interest, Wake, unacknowledged_bytes, unread_bytes};
use crate::limits::{
    BULK_BYTES_MAX, READ_BYTES_MAX, SHARE_BYTES_MIN, SHARED_BYTES_MAX, TURN_BYTES_MAX,
};
use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::time::Duration;

/// A connection's name as long as it is open; never used for a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u64);

impl Id {
    fn first(index: u32) -> Id {
        Id(u64::from(index))
    }

    /// Where something about the connection may be kept: small numbers, used again after it.
    #[expect(clippy::cast_possible_truncation, reason = "the lower 32 bits")]
    pub(super) fn index(self) -> usize {
        self.0 as u32 as usize
    }

    /// The name of the next connection with this index. They come round after 2^32 connections;
    /// no event is that old.
    fn next(self) -> Id {
        Id(self.0.wrapping_add(1 << 32))
    }
}

/// The token of the wake, which no connection has: indices stay below it.
const WAKE: u64 = u64::MAX;

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes have come; they lie in the arena until it is cleared. At most once a wait for each
    /// connection.
    Received { id: Id, range: Range<usize> },
    /// Nothing more will come, be it that the peer said so or that [`Net::end_input`] did.
    Ended { id: Id },
    /// The connection is broken.
    Failed { id: Id },
    /// A buffer that [`Net::send`] has kept is sent.
    Sent { id: Id, buffer: Vec<u8> },
    /// The wake was pulled.
    Woken,
}

/// What became of a buffer to send.
#[derive(Debug)]
pub(super) enum Sending {
    /// It is sent; here it is back.
    Done(Vec<u8>),
    /// It is kept, and [`Event::Sent`] will tell.
    Later,
    /// The connection is broken.
    Failed,
}

/// The connections of one worker, as sockets.
#[derive(Debug)]
pub(super) struct Net {
    epoll: Epoll,
    lines: Vec<Slot>,
    /// The names that connections to come may have.
    free: Vec<Id>,
    queues: Queues,
    /// Room for a wait to note lines that may be written to.
    writable: Vec<Id>,
}

/// Lines that may have something to read.
#[derive(Debug, Default)]
struct Queues {
    ready: VecDeque<Id>,
    /// Those that had more than their share the last time: they come after the others.
    bulk: VecDeque<Id>,
}

#[derive(Debug)]
struct Slot {
    /// The name of its connection, or of its next one.
    id: Id,
    line: Option<Line>,
}

/// One connection's socket and what is known of it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any may hold with any other"
)]
#[derive(Debug)]
struct Line {
    socket: Socket,
    /// Something may be there to read.
    readable: bool,
    /// It stands in one of the queues.
    queued: bool,
    /// It had more to read than its share the last time.
    bulk: bool,
    /// Nothing is to be read for now.
    paused: bool,
    /// The peer's end lies behind what is there to read.
    ending: bool,
    /// So many more bytes are read, and none behind them.
    last: Option<usize>,
    /// The end was told.
    ended: bool,
    outgoing: Option<Outgoing>,
}

/// A buffer of which the kernel has not taken all.
#[derive(Debug)]
struct Outgoing {
    buffer: Vec<u8>,
    sent: usize,
}

impl Net {
    /// No connections, and a wake that ends a wait.
    pub(super) fn new(wake: &Wake) -> Result<Net> {
        let epoll = Epoll::new()?;
        epoll.add(wake, WAKE, Interest::Read)?;
        Ok(Net {
            epoll,
            lines: Vec::new(),
            free: Vec::new(),
            queues: Queues::default(),
            writable: Vec::new(),
        })
    }

    /// Takes a connection.
    pub(super) fn attach(&mut self, socket: Socket) -> Result<Id> {
        if self.free.is_empty() {
            let index = u32::try_from(self.lines.len()).map_err(|_| ErrorKind::OutOfMemory)?;
            let id = Id::first(index);
            self.lines.push(Slot { id, line: None });
            self.free.push(id);
        }
        let Some(&id) = self.free.last() else {
            unreachable!("a free line has just been made");
        };
        self.epoll.add(&socket, id.0, Interest::Read)?;
        self.free.pop();
        self.lines[id.index()].line = Some(Line {
            socket,
            readable: false,
            queued: false,
            bulk: false,
            paused: false,
            ending: false,
            last: None,
            ended: false,
            outgoing: None,
        });
        Ok(id)
    }

    /// Closes a connection. What it had not yet sent is lost; no event of it comes any more.
    pub(super) fn detach(&mut self, id: Id) {
        if self.line(id).is_none() {
            return;
        }
        let slot = &mut self.lines[id.index()];
        slot.line = None;
        slot.id = id.next();
        self.free.push(slot.id);
    }

    /// Waits until something has happened or the time is over (none given: for ever), reads what
    /// has come into the arena, and tells all.
    pub(super) fn wait(
        &mut self,
        time: Option<Duration>,
        arena: &mut Arena,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let time = if self.queues.ready.is_empty() && self.queues.bulk.is_empty() {
            time
        } else {
            Some(Duration::ZERO)
        };
        let mut writable = std::mem::take(&mut self.writable);
        for readiness in self.epoll.wait(time)? {
            if readiness.token == WAKE {
                events.push(Event::Woken);
                continue;
            }
            let id = Id(readiness.token);
            let Some(line) = find(&mut self.lines, id) else {
                continue;
            };
            line.ending |= readiness.ended;
            if readiness.readable {
                line.readable = true;
                line.enqueue(id, &mut self.queues);
            }
            if readiness.writable && line.outgoing.is_some() {
                writable.push(id);
            }
        }
        for id in writable.drain(..) {
            events.extend(self.send_on(id));
        }
        self.writable = writable;
        self.read(arena, events);
        Ok(())
    }

    /// Reads from lines that may have something: from each a fair share; then from those that had
    /// more than that the last time, together so much that the others need not wait long for their
    /// next turn.
    fn read(&mut self, arena: &mut Arena, events: &mut Vec<Event>) {
        let bulk = self.queues.bulk.len();
        let count = self.queues.ready.len();
        let share = (SHARED_BYTES_MAX / count.max(1)).clamp(SHARE_BYTES_MIN, READ_BYTES_MAX);
        for _ in 0..count {
            if arena.used() >= SHARED_BYTES_MAX {
                break;
            }
            let Some(id) = self.queues.ready.pop_front() else {
                break;
            };
            self.read_line(id, share, arena, events);
        }
        let budget = if count > 0 {
            BULK_BYTES_MAX
        } else {
            TURN_BYTES_MAX
        };
        let begun = arena.used();
        // Those that have joined just now have had their share.
        for _ in 0..bulk {
            let left = budget.saturating_sub(arena.used() - begun);
            if left == 0 || arena.room(ROOM_BYTES_MIN).len() < ROOM_BYTES_MIN {
                return;
            }
            let Some(id) = self.queues.bulk.pop_front() else {
                return;
            };
            self.read_line(id, left.min(READ_BYTES_MAX), arena, events);
        }
    }

    /// Reads up to a share of one line.
    fn read_line(&mut self, id: Id, share: usize, arena: &mut Arena, events: &mut Vec<Event>) {
        let Some(line) = find(&mut self.lines, id) else {
            return;
        };
        line.queued = false;
        if line.paused {
            return;
        }
        let start = arena.used();
        let reading = line.read(share, arena);
        let read = arena.used() - start;
        line.bulk = read >= share || (line.bulk && read > SHARE_BYTES_MIN);
        if read > 0 {
            let range = start..arena.used();
            events.push(Event::Received { id, range });
        }
        match reading {
            Reading::Open => line.enqueue(id, &mut self.queues),
            Reading::Ended => {
                line.ended = true;
                events.push(Event::Ended { id });
            }
            Reading::Failed => events.push(Event::Failed { id }),
        }
    }

    /// Sends a buffer. None may be on its way on this connection.
    pub(super) fn send(&mut self, id: Id, buffer: Vec<u8>) -> Sending {
        let Some(line) = find(&mut self.lines, id) else {
            return Sending::Failed;
        };
        assert!(
            line.outgoing.is_none(),
            "one buffer of a connection is sent at a time"
        );
        let mut outgoing = Outgoing { buffer, sent: 0 };
        match outgoing.push(&line.socket) {
            Ok(true) => Sending::Done(outgoing.buffer),
            Ok(false) => {
                let watched = self.epoll.change(&line.socket, id.0, Interest::ReadWrite);
                line.outgoing = Some(outgoing);
                if watched.is_ok() {
                    Sending::Later
                } else {
                    Sending::Failed
                }
            }
            Err(_) => Sending::Failed,
        }
    }

    /// Sends on what was kept, now that there is room.
    fn send_on(&mut self, id: Id) -> Option<Event> {
        let line = find(&mut self.lines, id)?;
        let mut outgoing = line.outgoing.take()?;
        match outgoing.push(&line.socket) {
            Ok(true) => match self.epoll.change(&line.socket, id.0, Interest::Read) {
                Ok(()) => Some(Event::Sent {
                    id,
                    buffer: outgoing.buffer,
                }),
                Err(_) => Some(Event::Failed { id }),
            },
            Ok(false) => {
                line.outgoing = Some(outgoing);
                None
            }
            Err(_) => Some(Event::Failed { id }),
        }
    }

    /// How many bytes of a buffer are still on their way; none if no buffer is.
    pub(super) fn unsent(&self, id: Id) -> Option<usize> {
        let outgoing = self.line(id)?.outgoing.as_ref()?;
        Some(outgoing.buffer.len() - outgoing.sent)
    }

    /// Whether the peer has taken all that was sent.
    pub(super) fn is_taken(&self, id: Id) -> bool {
        let unacknowledged = self.line(id).map(|line| unacknowledged_bytes(&line.socket));
        !matches!(unacknowledged, Some(Ok(1..)))
    }

    /// Reads nothing more from this connection until [`Net::resume`].
    pub(super) fn pause(&mut self, id: Id) {
        if let Some(line) = find(&mut self.lines, id) {
            line.paused = true;
        }
    }

    /// Reads again.
    pub(super) fn resume(&mut self, id: Id) {
        if let Some(line) = find(&mut self.lines, id) {
            line.paused = false;
            line.enqueue(id, &mut self.queues);
        }
    }

    /// Reads what has come already, and tells [`Event::Ended`] behind it.
    pub(super) fn end_input(&mut self, id: Id) {
        if let Some(line) = find(&mut self.lines, id) {
            line.last = Some(unread_bytes(&line.socket).unwrap_or(0));
            line.readable = true;
            line.enqueue(id, &mut self.queues);
        }
    }

    /// Tells the peer that nothing more will be sent, and goes on reading what it still sends.
    pub(super) fn end_output(&mut self, id: Id) {
        if let Some(line) = find(&mut self.lines, id) {
            line.socket.end_sending();
            line.last = None;
            line.ended = false;
            line.paused = false;
            line.readable = true;
            line.enqueue(id, &mut self.queues);
        }
    }

    fn line(&self, id: Id) -> Option<&Line> {
        let slot = self.lines.get(id.index())?;
        slot.line.as_ref().filter(|_| slot.id == id)
    }
}

/// Room that a read should have, so that a turn's last reads are not of a few bytes each.
const ROOM_BYTES_MIN: usize = 16 << 10;

fn find(lines: &mut [Slot], id: Id) -> Option<&mut Line> {
    let slot = lines.get_mut(id.index())?;
    slot.line.as_mut().filter(|_| slot.id == id)
}

/// How reading left a line.
enum Reading {
    Open,
    Ended,
    Failed,
}

impl Line {
    /// Queues the line for reading, if there may be something to read.
    fn enqueue(&mut self, id: Id, queues: &mut Queues) {
        if self.readable && !self.paused && !self.queued && !self.ended {
            self.queued = true;
            if self.bulk {
                queues.bulk.push_back(id);
            } else {
                queues.ready.push_back(id);
            }
        }
    }

    /// Reads one connection's share of a turn.
    fn read(&mut self, share: usize, arena: &mut Arena) -> Reading {
        let mut share = share;
        while share > 0 {
            if self.last == Some(0) {
                return Reading::Ended;
            }
            let room = arena.room(share.min(self.last.unwrap_or(usize::MAX)));
            let asked = room.len();
            if asked == 0 {
                return Reading::Open;
            }
            let count = match self.socket.receive(room) {
                Ok(0) => return Reading::Ended,
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock if self.last.is_some() => return Reading::Ended,
                    ErrorKind::WouldBlock => {
                        self.readable = false;
                        return Reading::Open;
                    }
                    _ => return Reading::Failed,
                },
            };
            arena.fill(count);
            share -= count;
            self.last = self.last.map(|last| last - count);
            if count < asked && !self.ending && self.last.is_none() {
                // The socket is empty: what comes later is told again.
                self.readable = false;
                return Reading::Open;
            }
        }
        Reading::Open
    }
}

impl Outgoing {
    /// Gives the kernel what it takes; whether that was all.
    fn push(&mut self, socket: &Socket) -> Result<bool> {
        while self.sent < self.buffer.len() {
            match socket.send(&self.buffer[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
