//! A worker: a thread that owns its connections from read to write, and goes in turns.
//!
//! A turn takes what the kernel has for all connections, has the service execute all of it
//! together, and sends once for each connection. Nothing in a turn waits: replies that must be
//! durable first are held with their connection, and replies that a peer is slow to take are kept.

use super::buffers::{Arena, Buffers};
use super::connection::{Connection, Stage};
use super::mailbox::{Mailbox, Message};
use super::net::{Event, Id, Net, Sending};
use super::socket::Socket;
use super::watermark::Watermark;
use crate::limits::{
    GOING_ON_CROWDED, GOING_ON_MAX, LINGER_TIME, LINGER_TIME_MAX, Limits, OUTPUT_BYTES_CROWDED,
    REQUEST_BYTES_MAX, TURN_BYTES_MAX,
};
use crate::{Peer, Ready, Service};
use hakone::Lsn;
use std::collections::VecDeque;
use std::io::Result;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Deadlines are kept to within this.
const SWEEP_TIME: Duration = Duration::from_millis(100);

/// What all workers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) service: Service,
    pub(super) watermark: Box<dyn Watermark>,
    pub(super) limits: Limits,
}

/// One worker's state.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    net: Net,
    arena: Arena,
    buffers: Buffers,
    /// By the index of their id; those that are in a turn are taken out.
    connections: Vec<Option<Box<Connection>>>,
    connections_count: usize,
    /// Who takes part in the next turn.
    calls: Vec<Call>,
    /// Who has something left from an earlier turn: a few of them take part as well.
    going_on: VecDeque<Id>,
    /// Connections whose replies are held.
    parked: Vec<Id>,
    /// What `parked` was last compared with.
    durable_seen: Lsn,
    /// Bytes of replies that wait, in all connections.
    unsent_bytes: usize,
    /// When to look for deadlines that have passed.
    next_sweep: Option<Instant>,
    /// When a stop gives up waiting.
    stop_by: Option<Instant>,
}

/// A connection's call to take part in a turn.
#[derive(Debug)]
struct Call {
    id: Id,
    /// Where in the arena its input lies; `None`: in the connection.
    fresh: Option<Range<usize>>,
}

/// A connection in a turn.
#[derive(Debug)]
struct Turning {
    connection: Box<Connection>,
    fresh: Option<Range<usize>>,
    output: Vec<u8>,
}

/// What the service said of a connection in a turn.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    consumed: usize,
    need: usize,
    more: bool,
    close: bool,
    wait: Option<Lsn>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, mailbox: Arc<Mailbox>) -> Result<Worker> {
        Ok(Worker {
            net: Net::new(mailbox.wake())?,
            shared,
            mailbox,
            arena: Arena::new(TURN_BYTES_MAX),
            buffers: Buffers::default(),
            connections: Vec::new(),
            connections_count: 0,
            calls: Vec::new(),
            going_on: VecDeque::new(),
            parked: Vec::new(),
            durable_seen: 0,
            unsent_bytes: 0,
            next_sweep: None,
            stop_by: None,
        })
    }

    /// Works until it is told to stop and all is finished.
    pub(super) fn run(mut self) -> Result<()> {
        let mut events = Vec::new();
        while self.stop_by.is_none() || self.connections_count > 0 {
            let time = self.time_to_wait();
            self.arena.clear();
            self.net.wait(time, &mut self.arena, &mut events)?;
            let now = Instant::now();
            let mut ended = Vec::new();
            let mut woken = false;
            for event in events.drain(..) {
                match event {
                    Event::Received { id, range } => self.take_input(id, range, now),
                    Event::Ended { id } => ended.push(id),
                    Event::Failed { id } => self.close(id),
                    Event::Sent { id, buffer } => self.go_on_sending(id, buffer, now),
                    Event::Woken => woken = true,
                }
            }
            for &id in &ended {
                self.note_end(id);
            }
            self.turn(now);
            for id in ended {
                self.advance(id, now);
            }
            self.release(now);
            if woken {
                self.read_mail(now);
            }
            self.sweep(now);
        }
        Ok(())
    }

    /// How long nothing needs doing unless something happens.
    fn time_to_wait(&self) -> Option<Duration> {
        if !self.calls.is_empty() || !self.going_on.is_empty() {
            return Some(Duration::ZERO);
        }
        let until = self.next_sweep.into_iter().chain(self.stop_by).min()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn read_mail(&mut self, now: Instant) {
        for message in self.mailbox.receive() {
            match message {
                Message::Connection(socket, peer) => self.open(socket, peer, now),
                Message::Close(id) => self.close(id),
                Message::Stop => {
                    self.stop_by = Some(now + self.shared.limits.stop_time_max);
                    let ids: Vec<Id> = self.connections.iter().flatten().map(|c| c.id).collect();
                    for id in ids {
                        self.net.end_input(id);
                    }
                }
            }
        }
    }

    fn open(&mut self, socket: Socket, peer: Peer, now: Instant) {
        let id = match self.net.attach(socket) {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(peer = peer.address, %error, "cannot take a connection");
                self.mailbox.note_closed();
                return;
            }
        };
        let session = self.shared.service.connect(peer, hakone::now());
        let mailbox = self.mailbox.clone();
        session.closes_by(Box::new(move || mailbox.send(Message::Close(id))));
        let connection = Box::new(Connection::new(id, session, now));
        if self.connections.len() <= id.index() {
            self.connections.resize_with(id.index() + 1, || None);
        }
        if let Some(at) = connection.deadline(&self.shared.limits) {
            self.note_deadline(at, now);
        }
        self.connections[id.index()] = Some(connection);
        self.connections_count += 1;
    }

    fn close(&mut self, id: Id) {
        if let Some(connection) = self.take(id) {
            self.part_with(connection);
        }
    }

    fn part_with(&mut self, connection: Box<Connection>) {
        self.net.detach(connection.id);
        self.unsent_bytes -= connection.unsent_bytes;
        self.connections_count -= 1;
        self.mailbox.note_closed();
        self.shared.service.disconnect(connection.session);
    }

    fn take(&mut self, id: Id) -> Option<Box<Connection>> {
        self.connections
            .get_mut(id.index())?
            .take_if(|c| c.id == id)
    }

    fn find(&mut self, id: Id) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.index())?.as_deref_mut()?;
        (connection.id == id).then_some(connection)
    }

    /// Calls the connection into the turn, unless what has come is still too little.
    fn take_input(&mut self, id: Id, range: Range<usize>, now: Instant) {
        let bytes = self.arena.get(range.clone());
        let Some(connection) = self.connections.get_mut(id.index()) else {
            return;
        };
        let Some(connection) = connection.as_deref_mut().filter(|c| c.id == id) else {
            return;
        };
        connection.heard = now;
        if connection.stage != Stage::Open {
            return;
        }
        if connection.input.is_empty() {
            let fresh = Some(range);
            self.calls.push(Call { id, fresh });
            return;
        }
        connection.input.push(bytes);
        if connection.input.len() >= connection.need {
            self.calls.push(Call { id, fresh: None });
        }
    }

    fn note_end(&mut self, id: Id) {
        if let Some(connection) = self.find(id) {
            connection.ended = true;
        }
    }

    /// Has the service execute what has come on all connections that were called.
    fn turn(&mut self, now: Instant) {
        let going_on = if self.calls.is_empty() {
            GOING_ON_MAX
        } else {
            GOING_ON_CROWDED
        };
        for _ in 0..going_on.min(self.going_on.len()) {
            if let Some(id) = self.going_on.pop_front()
                && let Some(connection) = self.find(id)
            {
                connection.going_on = false;
                self.calls.push(Call { id, fresh: None });
            }
        }
        if self.calls.is_empty() {
            return;
        }
        let mut turning = Vec::with_capacity(self.calls.len());
        for Call { id, fresh } in std::mem::take(&mut self.calls) {
            if let Some(connection) = self.take(id) {
                let output = self.buffers.take();
                turning.push(Turning {
                    connection,
                    fresh,
                    output,
                });
            }
        }
        let mut ready: Vec<Ready<'_>> = turning
            .iter_mut()
            .map(|turning| {
                let connection = &mut *turning.connection;
                let input = match &turning.fresh {
                    Some(range) => self.arena.get(range.clone()),
                    None => connection.input.bytes(),
                };
                Ready::new(&mut connection.session, input, &mut turning.output)
            })
            .collect();
        self.shared.service.turn(hakone::now(), &mut ready);
        let outcomes: Vec<Outcome> = ready.iter().map(Outcome::of).collect();

        let durable = self.shared.watermark.durable();
        let mut wanted = None;
        for (turning, outcome) in turning.into_iter().zip(outcomes) {
            let wait = outcome.wait.filter(|&lsn| lsn > durable);
            wanted = wanted.max(wait);
            self.settle(turning, Outcome { wait, ..outcome }, now);
        }
        if let Some(lsn) = wanted {
            self.shared.watermark.want_durable(lsn);
        }
    }

    /// Puts a connection back after a turn, its replies on their way.
    fn settle(&mut self, turning: Turning, outcome: Outcome, now: Instant) {
        let Turning {
            mut connection,
            fresh,
            output,
        } = turning;
        match fresh {
            Some(range) => {
                let rest = range.start + outcome.consumed..range.end;
                connection.input.push(self.arena.get(rest));
            }
            None => connection.input.consume(outcome.consumed),
        }
        connection.need = outcome.need;
        connection.more = outcome.more;
        if outcome.close || outcome.need > REQUEST_BYTES_MAX {
            connection.stage = Stage::Closing;
        }
        let inside = !connection.input.is_empty() || connection.session.is_inside();
        if !inside || outcome.more {
            connection.begun = None;
        } else if connection.begun.is_none() || outcome.consumed > 0 {
            connection.begun = Some(now);
            self.note_deadline(now + self.shared.limits.request_time_max, now);
        }
        let id = connection.id;
        let sent = match outcome.wait {
            _ if output.is_empty() => {
                self.buffers.give(output);
                true
            }
            Some(lsn) => {
                connection.held = Some((lsn, output));
                self.parked.push(id);
                true
            }
            None => self.send(&mut connection, output),
        };
        if sent {
            self.connections[id.index()] = Some(connection);
            self.advance(id, now);
        } else {
            self.part_with(connection);
        }
    }

    /// Sends replies, behind those that are on their way; whether the connection is sound.
    fn send(&mut self, connection: &mut Connection, output: Vec<u8>) -> bool {
        if self.net.unsent(connection.id).is_some() {
            if connection.queued.is_empty() {
                connection.queued = output;
            } else {
                connection.queued.extend_from_slice(&output);
                self.buffers.give(output);
            }
            return true;
        }
        match self.net.send(connection.id, output) {
            Sending::Done(buffer) => self.buffers.give(buffer),
            Sending::Later => {}
            Sending::Failed => return false,
        }
        true
    }

    /// A buffer has gone out: sends what has queued up behind it.
    fn go_on_sending(&mut self, id: Id, buffer: Vec<u8>, now: Instant) {
        self.buffers.give(buffer);
        let Some(mut connection) = self.take(id) else {
            return;
        };
        let queued = std::mem::take(&mut connection.queued);
        if queued.is_empty() || self.send(&mut connection, queued) {
            self.connections[id.index()] = Some(connection);
            self.advance(id, now);
        } else {
            self.part_with(connection);
        }
    }

    /// Sends held replies that have become durable. If syncing has failed, closes the connections
    /// of those that have not: what is not acknowledged must not look acknowledged.
    fn release(&mut self, now: Instant) {
        if self.parked.is_empty() {
            return;
        }
        self.mailbox.set_parking(true);
        let durable = self.shared.watermark.durable();
        let failed = self.shared.watermark.failure().is_some();
        if durable == self.durable_seen && !failed {
            return;
        }
        self.durable_seen = durable;
        for id in std::mem::take(&mut self.parked) {
            let Some(mut connection) = self.take(id) else {
                continue;
            };
            match connection.held.take() {
                Some((lsn, output)) if lsn <= durable => {
                    if self.send(&mut connection, output) {
                        self.connections[id.index()] = Some(connection);
                        self.advance(id, now);
                    } else {
                        self.part_with(connection);
                    }
                }
                Some(_) if failed => self.part_with(connection),
                held => {
                    connection.held = held;
                    self.connections[id.index()] = Some(connection);
                    self.parked.push(id);
                }
            }
        }
        self.mailbox.set_parking(!self.parked.is_empty());
    }

    /// Decides what a connection does next, after anything about it has changed.
    fn advance(&mut self, id: Id, now: Instant) {
        let sending = self.net.unsent(id);
        let crowded = self.unsent_bytes > self.shared.limits.output_bytes_worker_max;
        let output_bytes_max = if crowded {
            OUTPUT_BYTES_CROWDED
        } else {
            self.shared.limits.output_bytes_max
        };
        let stopping = self.stop_by.is_some();
        let Some(connection) = self.connections.get_mut(id.index()) else {
            return;
        };
        let Some(connection) = connection.as_deref_mut().filter(|c| c.id == id) else {
            return;
        };

        let held = connection
            .held
            .as_ref()
            .map_or(0, |(_, output)| output.len());
        let unsent = sending.unwrap_or(0) + connection.queued.len() + held;
        self.unsent_bytes = self.unsent_bytes - connection.unsent_bytes + unsent;
        connection.unsent_bytes = unsent;

        if connection.stage == Stage::Open && connection.ended && !connection.more {
            connection.stage = Stage::Closing;
        }
        let flushed = unsent == 0 && sending.is_none() && connection.held.is_none();
        if connection.stage == Stage::Closing && flushed {
            // A stop ends input for the peer, who may still be sending.
            let silent = now.duration_since(connection.heard) >= LINGER_TIME;
            if (connection.ended && !stopping) || (stopping && silent) {
                self.close(id);
                return;
            }
            connection.ended = false;
            connection.paused = false;
            connection.stage = Stage::Lingering {
                until: now + LINGER_TIME,
                latest: now + LINGER_TIME_MAX,
            };
            self.net.end_output(id);
            self.note_deadline(now + LINGER_TIME, now);
            return;
        }
        if let Stage::Lingering { .. } = connection.stage {
            if connection.ended {
                self.close(id);
            }
            return;
        }
        let free = connection.stage == Stage::Open
            && connection.held.is_none()
            && unsent <= output_bytes_max;
        if free && connection.more && !connection.going_on {
            connection.going_on = true;
            self.going_on.push_back(id);
        }
        let pause = !free || connection.more;
        if pause != connection.paused {
            connection.paused = pause;
            if pause {
                self.net.pause(id);
                return;
            }
            self.net.resume(id);
            if connection.begun.is_some() {
                // The peer had no chance to go on while nothing was read from it.
                connection.begun = Some(now);
                self.note_deadline(now + self.shared.limits.request_time_max, now);
            }
        }
    }

    fn note_deadline(&mut self, at: Instant, now: Instant) {
        let at = at.max(now + SWEEP_TIME);
        self.next_sweep = Some(self.next_sweep.map_or(at, |next| next.min(at)));
    }

    /// Closes connections that have had their time.
    fn sweep(&mut self, now: Instant) {
        let given_up = self.stop_by.is_some_and(|at| at <= now);
        if !given_up && self.next_sweep.is_none_or(|at| at > now) {
            return;
        }
        self.next_sweep = None;
        let mut next = None;
        let mut overdue = Vec::new();
        for connection in self.connections.iter_mut().flatten() {
            if let Stage::Lingering { until, latest } = connection.stage
                && until <= now
                && now < latest
                && !self.net.is_taken(connection.id)
            {
                let until = now + LINGER_TIME;
                connection.stage = Stage::Lingering { until, latest };
            }
            match connection.deadline(&self.shared.limits) {
                _ if given_up => overdue.push(connection.id),
                Some(at) if at <= now => overdue.push(connection.id),
                Some(at) => next = Some(next.map_or(at, |next: Instant| next.min(at))),
                None => {}
            }
        }
        if let Some(at) = next {
            self.note_deadline(at, now);
        }
        for id in overdue {
            self.close(id);
        }
    }
}

impl Outcome {
    fn of(ready: &Ready<'_>) -> Outcome {
        Outcome {
            consumed: ready.consumed,
            need: ready.need,
            more: ready.more,
            close: ready.close,
            wait: ready.wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceConfig;
    use crate::config::HttpDialect;
    use hakone::{Cabinet, DatabaseOptions, Durability, Error, Kind, Options};
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    use std::thread::JoinHandle;

    /// A watermark that moves and fails when a test says so.
    #[derive(Clone, Debug, Default)]
    struct Still {
        durable: Arc<AtomicU64>,
        failed: Arc<AtomicBool>,
        wanted: Arc<Mutex<Vec<Lsn>>>,
    }

    impl Watermark for Still {
        fn durable(&self) -> Lsn {
            self.durable.load(Ordering::SeqCst)
        }

        fn want_durable(&self, lsn: Lsn) {
            self.wanted.lock().unwrap().push(lsn);
        }

        fn failure(&self) -> Option<Error> {
            let failed = self.failed.load(Ordering::SeqCst);
            failed.then(|| Error::Poisoned("a sync failed".to_owned()))
        }
    }

    /// A worker over a watermark that a test moves.
    struct Bench {
        watermark: Still,
        mailbox: Arc<Mailbox>,
        thread: Option<JoinHandle<Result<()>>>,
        directory: PathBuf,
    }

    impl Bench {
        fn new() -> Bench {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("hakone-worker-{}-{number}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            let cabinet = Cabinet::open(&directory, Options::default()).unwrap();
            let options = DatabaseOptions::new(Kind::Hash);
            cabinet.create("default", options).unwrap();
            let config = ServiceConfig {
                databases: vec!["default".to_owned()],
                durability: Durability::Commit,
                threads: 1,
                connections_max: 1000,
                port: 0,
                http: HttpDialect::default(),
            };
            let watermark = Still::default();
            let shared = Arc::new(Shared {
                service: Service::new(cabinet, config),
                watermark: Box::new(watermark.clone()),
                limits: Limits::default(),
            });
            let mailbox = Arc::new(Mailbox::new().unwrap());
            let worker = Worker::new(shared, mailbox.clone()).unwrap();
            Bench {
                watermark,
                mailbox,
                thread: Some(std::thread::spawn(|| worker.run())),
                directory,
            }
        }

        fn connect(&self) -> UnixStream {
            let (ours, theirs) = UnixStream::pair().unwrap();
            theirs.set_nonblocking(true).unwrap();
            ours.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            let peer = Peer {
                address: "unix:test".to_owned(),
                protocol: None,
                loopback: false,
            };
            let socket = Socket::Unix(theirs);
            self.mailbox.send(Message::Connection(socket, peer));
            ours
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            // What is still held would keep a stop waiting.
            self.watermark.failed.store(true, Ordering::SeqCst);
            self.mailbox.send(Message::Stop);
            self.mailbox.ring();
            let ended = self.thread.take().unwrap().join();
            let _ = std::fs::remove_dir_all(&self.directory);
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }

    fn expect(stream: &mut UnixStream, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    fn expect_nothing(stream: &UnixStream) {
        stream.set_nonblocking(true).unwrap();
        let error = (&*stream).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        stream.set_nonblocking(false).unwrap();
    }

    /// The worker has done all that was sent before: it answers in turns.
    fn pace(pacer: &mut UnixStream) {
        for _ in 0..2 {
            pacer.write_all(b"PING\r\n").unwrap();
            expect(pacer, "+PONG\r\n");
        }
    }

    #[test]
    fn a_reply_is_held_until_the_watermark_passes_and_holds_up_nobody_else() {
        let bench = Bench::new();
        let mut writer = bench.connect();
        let mut pacer = bench.connect();
        writer.write_all(b"SET key value\r\n").unwrap();
        pace(&mut pacer);
        writer.write_all(b"PING\r\n").unwrap();
        pace(&mut pacer);
        expect_nothing(&writer);
        let wanted = bench.watermark.wanted.lock().unwrap().clone();
        assert_eq!(wanted.len(), 1);

        bench
            .watermark
            .durable
            .store(wanted[0] - 1, Ordering::SeqCst);
        bench.mailbox.ring();
        pace(&mut pacer);
        expect_nothing(&writer);

        bench.watermark.durable.store(wanted[0], Ordering::SeqCst);
        bench.mailbox.ring();
        expect(&mut writer, "+OK\r\n+PONG\r\n");
    }

    #[test]
    fn a_stop_reads_and_answers_what_came_behind_a_held_reply() {
        let bench = Bench::new();
        let mut writer = bench.connect();
        let mut pacer = bench.connect();
        writer.write_all(b"SET key value\r\n").unwrap();
        pace(&mut pacer);
        writer.write_all(b"PING\r\n").unwrap();
        bench.mailbox.send(Message::Stop);
        // The pacer idles, so that the stop ends it at once; the writer is still owed a reply.
        assert_eq!(pacer.read(&mut [0; 1]).unwrap(), 0);
        expect_nothing(&writer);
        bench.watermark.durable.store(u64::MAX, Ordering::SeqCst);
        bench.mailbox.ring();
        expect(&mut writer, "+OK\r\n+PONG\r\n");
        assert_eq!(writer.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn a_failed_sync_closes_without_acknowledging() {
        let bench = Bench::new();
        let mut writer = bench.connect();
        let mut pacer = bench.connect();
        writer.write_all(b"SET key value\r\n").unwrap();
        pace(&mut pacer);
        bench.watermark.failed.store(true, Ordering::SeqCst);
        bench.mailbox.ring();
        assert_eq!(writer.read(&mut [0; 1]).unwrap(), 0);
        pace(&mut pacer);
    }
}
