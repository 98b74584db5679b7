//! The load generator: one thread, many connections, each asking anew once it has been answered.
//!
//! A closed loop: a connection sends a batch of requests in one write, and the next batch once the
//! last reply is in. Everything that is answered is compared with what it should be.

use super::histogram::Histogram;
use super::wire::{Answer, Parsed, Protocol};
use super::workload::{Ask, Source, Workload};
use crate::failure::{Failure, Result};
use hakone_client::Address;
use rustix::event::{Timespec, epoll};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Bytes read at once, if values are not larger.
const READ_BYTES: usize = 256 << 10;

/// How long a server may stay silent while replies are due.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// When a run ends: its last batches are still answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    Time(Duration),
    Requests(u64),
    /// When the source has no more.
    Empty,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) elapsed: Duration,
    pub(super) latency: Histogram,
    /// Reads of a value that is not the right one.
    pub(super) wrong: u64,
    /// Reads of a record that was not there.
    pub(super) missing: u64,
    /// Requests answered with an error.
    pub(super) refused: u64,
    /// The first such error.
    pub(super) refusal: Option<String>,
}

/// Connections to one server.
#[derive(Debug)]
pub(super) struct Generator<'a> {
    protocol: Protocol,
    pipeline: usize,
    workload: &'a Workload,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    /// Requests of the batch, answered from the front.
    asked: Vec<Ask>,
    answered: usize,
    sent: Instant,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    unsent_from: usize,
    waits_to_send: bool,
    /// The beginning of a reply.
    partial: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl<'a> Generator<'a> {
    pub(super) fn connect(
        address: &Address,
        protocol: Protocol,
        connections_count: usize,
        pipeline: usize,
        workload: &'a Workload,
    ) -> Result<Generator<'a>> {
        let failed =
            |error: io::Error| Failure::new(format_args!("cannot reach {address}: {error}"));
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        let mut connections = Vec::with_capacity(connections_count);
        for index in 0..connections_count {
            let stream = Stream::connect(address).map_err(failed)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)
                .map_err(|e| failed(e.into()))?;
            connections.push(Connection {
                stream,
                asked: Vec::with_capacity(pipeline),
                answered: 0,
                sent: Instant::now(),
                unsent: Vec::new(),
                unsent_from: 0,
                waits_to_send: false,
                partial: Vec::new(),
            });
        }
        // A partial reply and one more read must fit.
        let reply_bytes = workload.value_bytes() + 4096;
        Ok(Generator {
            protocol,
            pipeline,
            workload,
            epoll,
            connections,
            scratch: vec![0; READ_BYTES.max(2 * reply_bytes)],
        })
    }

    /// Asks what `source` gives until it is time to stop, and waits for all replies.
    pub(super) fn run(&mut self, source: &mut Source, until: Until) -> Result<Counts> {
        let mut counts = Counts {
            requests: 0,
            elapsed: Duration::ZERO,
            latency: Histogram::new(),
            wrong: 0,
            missing: 0,
            refused: 0,
            refusal: None,
        };
        let began = Instant::now();
        let mut asked_count = 0;
        let mut busy_count = 0;
        for index in 0..self.connections.len() {
            if self.ask(index, source, until, began, &mut asked_count)? {
                busy_count += 1;
            }
        }
        let mut events = Vec::with_capacity(self.connections.len().max(1));
        while busy_count > 0 {
            let timeout = Timespec::try_from(SILENCE_MAX).ok();
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(0) => return Err(Failure::new("the server has not answered for 30 s")),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Failure::new(error)),
            }
            for event in &events {
                let index = event.data.u64() as usize;
                let flags = event.flags;
                if flags.contains(epoll::EventFlags::OUT) {
                    self.send(index)?;
                }
                if !flags.intersects(
                    epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR,
                ) {
                    continue;
                }
                if self.receive(index, &mut counts)?
                    && !self.ask(index, source, until, began, &mut asked_count)?
                {
                    busy_count -= 1;
                }
            }
        }
        counts.elapsed = began.elapsed();
        Ok(counts)
    }

    /// Sends the next batch. Returns whether there was one to send.
    fn ask(
        &mut self,
        index: usize,
        source: &mut Source,
        until: Until,
        began: Instant,
        asked_count: &mut u64,
    ) -> Result<bool> {
        let connection = &mut self.connections[index];
        connection.asked.clear();
        connection.answered = 0;
        connection.unsent.clear();
        connection.unsent_from = 0;
        let now = Instant::now();
        let left = match until {
            Until::Time(time) if now.duration_since(began) >= time => 0,
            Until::Requests(count) => count.saturating_sub(*asked_count),
            Until::Time(_) | Until::Empty => u64::MAX,
        };
        let count = self
            .pipeline
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        for _ in 0..count {
            let Some(ask) = source.next() else { break };
            self.protocol
                .write(ask, self.workload, &mut connection.unsent);
            connection.asked.push(ask);
        }
        if connection.asked.is_empty() {
            return Ok(false);
        }
        *asked_count += connection.asked.len() as u64;
        connection.sent = now;
        self.send(index)?;
        Ok(true)
    }

    /// Gives the socket what it takes of the batch.
    fn send(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        while connection.unsent_from < connection.unsent.len() {
            match connection
                .stream
                .write(&connection.unsent[connection.unsent_from..])
            {
                Ok(bytes) => connection.unsent_from += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        let waits = connection.unsent_from < connection.unsent.len();
        if waits != connection.waits_to_send {
            connection.waits_to_send = waits;
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, waits);
            let data = epoll::EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, &connection.stream, data, flags).map_err(Failure::new)?;
        }
        Ok(())
    }

    /// Reads what has come. Returns whether the batch is answered.
    fn receive(&mut self, index: usize, counts: &mut Counts) -> Result<bool> {
        let connection = &mut self.connections[index];
        let held = connection.partial.len();
        self.scratch[..held].copy_from_slice(&connection.partial);
        let read = match connection.stream.read(&mut self.scratch[held..]) {
            Ok(0) => return Err(Failure::new("the server closed a connection")),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(broken(&error)),
        };
        let nanos = u64::try_from(connection.sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut input = &self.scratch[..held + read];
        while let Some(&ask) = connection.asked.get(connection.answered) {
            let (answer, bytes) = match self.protocol.parse(ask, input) {
                Parsed::Partial => break,
                Parsed::Whole(answer, bytes) => (answer, bytes),
                Parsed::Malformed => {
                    let shown = &input[..input.len().min(60)];
                    return Err(Failure::new(format_args!(
                        "the server answered with something else: {}",
                        shown.escape_ascii()
                    )));
                }
            };
            match (ask, answer) {
                (Ask::Get(number), Answer::Value(value)) => {
                    counts.wrong += u64::from(!self.workload.is_value(number, value));
                }
                (_, Answer::Missing) => counts.missing += 1,
                (_, Answer::Refused(text)) => {
                    counts.refused += 1;
                    counts
                        .refusal
                        .get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
                }
                (_, Answer::Stored | Answer::Value(_)) => {}
            }
            counts.requests += 1;
            counts.latency.record(nanos);
            connection.answered += 1;
            input = &input[bytes..];
        }
        connection.partial.clear();
        connection.partial.extend_from_slice(input);
        let done = connection.answered == connection.asked.len();
        if done && !input.is_empty() {
            return Err(Failure::new("the server answered more than it was asked"));
        }
        if input.len() >= self.scratch.len() / 2 {
            return Err(Failure::new(
                "the server answered with a larger value than was written",
            ));
        }
        Ok(done)
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::new(format_args!("a connection to the server broke: {error}"))
}

impl Stream {
    fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(from),
            Stream::Unix(stream) => stream.write(from),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server for one connection that sends `replies` a few bytes at a time, then closes.
    fn play(replies: Vec<u8>) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 1];
            stream.read_exact(&mut request).unwrap();
            for part in replies.chunks(7) {
                stream.write_all(part).unwrap();
            }
            // What else is asked is read, so that closing does not reset the connection.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        address
    }

    /// Reads records 0 and 1 and so on, all at once, from a server that answers so.
    fn check(reads_count: u64, replies: Vec<u8>) -> Result<Counts> {
        let workload = Workload::new(20);
        let address = play(replies);
        let mut generator = Generator::connect(&address, Protocol::Redis, 1, 4, &workload)?;
        let mut source = Source::Gets {
            next: 0,
            end: reads_count,
        };
        generator.run(&mut source, Until::Empty)
    }

    fn reply(number: u64) -> Vec<u8> {
        let mut reply = b"$20\r\n".to_vec();
        Workload::new(20).write_value(number, &mut reply);
        reply.extend_from_slice(b"\r\n");
        reply
    }

    #[test]
    fn every_answer_is_compared_with_what_it_should_be() {
        let right = check(4, (0..4).flat_map(reply).collect()).unwrap();
        assert_eq!(
            (right.requests, right.wrong, right.missing, right.refused),
            (4, 0, 0, 0)
        );

        let one_off = [
            reply(0),
            reply(2),
            b"$-1\r\n".to_vec(),
            b"-ERR no\r\n".to_vec(),
        ]
        .concat();
        let wrong = check(4, one_off).unwrap();
        assert_eq!(
            (wrong.requests, wrong.wrong, wrong.missing, wrong.refused),
            (4, 1, 1, 1)
        );
        assert_eq!(wrong.refusal.as_deref(), Some("ERR no"));

        let short = check(2, [reply(0), b"$3\r\nabc\r\n".to_vec()].concat()).unwrap();
        assert_eq!(short.wrong, 1);
    }

    #[test]
    fn a_server_that_breaks_off_is_told() {
        for (replies, said) in [
            (reply(0), "the server closed a connection"),
            (
                b"ERROR\r\n".to_vec(),
                "the server answered with something else: ERROR\\r\\n",
            ),
            (
                [reply(0), reply(1), reply(2)].concat(),
                "the server answered more than it was asked",
            ),
        ] {
            match check(2, replies) {
                Err(Failure::Message(message)) => assert_eq!(message, said),
                other => panic!("{said}: {other:?}"),
            }
        }
    }

    #[test]
    fn values_larger_than_the_sockets_buffers_pass() {
        // Every reply is a status of one byte, so that reading cannot help sending along.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let workload = Workload::new(8 << 20);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for _ in 0..3 {
                let bytes = (10 + 16 + (8 << 20)) as u64;
                let read = io::copy(&mut (&mut stream).take(bytes), &mut io::sink()).unwrap();
                assert_eq!(read, bytes);
                stream.write_all(&[0]).unwrap();
            }
        });
        let mut generator =
            Generator::connect(&address, Protocol::Tyrant, 1, 2, &workload).unwrap();
        let counts = generator
            .run(&mut Source::Sets { next: 0, end: 3 }, Until::Empty)
            .unwrap();
        assert_eq!((counts.requests, counts.refused), (3, 0));
    }
}
