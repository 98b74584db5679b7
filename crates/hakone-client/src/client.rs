//! One connection to a server.

use crate::reply::{self, Fault};
use crate::{Address, Error, Reply, Result};
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a read or a write may stand still: an fsync of a busy disk is waited for, a server
/// that has stopped is not.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// One connection to a server, in RESP3. Dropping it closes it.
#[derive(Debug)]
pub struct Client {
    address: Address,
    input: BufReader<Stream>,
    /// Requests that are not sent yet.
    output: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client {
    /// Connects and greets the server with `HELLO 3`. Blocks until it has answered, for at most
    /// [`TIMEOUT_DEFAULT`].
    ///
    /// # Errors
    /// `Unreachable` if no connection can be made, `Protocol` if something else than a RESP3 server
    /// is there.
    pub fn connect(address: &Address) -> Result<Client> {
        let stream = Stream::connect(address).map_err(|source| Error::Unreachable {
            address: address.clone(),
            source,
        })?;
        let mut client = Client {
            address: address.clone(),
            input: BufReader::with_capacity(READ_BYTES, stream),
            output: Vec::new(),
        };
        client.call(&[b"HELLO", b"3"])?;
        Ok(client)
    }

    /// The server's address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends one request and waits for its reply. No other reply may be outstanding.
    ///
    /// # Errors
    /// `Refused` if the server answers with an error; see [`Error`] for the rest.
    pub fn call(&mut self, arguments: &[&[u8]]) -> Result<Reply> {
        self.send(arguments);
        self.flush()?;
        self.receive()
    }

    /// Puts a request into the output buffer. It goes out with [`Client::flush`].
    pub fn send(&mut self, arguments: &[&[u8]]) {
        let out = &mut self.output;
        count(out, b'*', arguments.len());
        for argument in arguments {
            count(out, b'$', argument.len());
            out.extend_from_slice(argument);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Bytes of requests that are not sent yet.
    pub fn unsent_bytes(&self) -> usize {
        self.output.len()
    }

    /// Sends what is in the output buffer. Blocks while the server does not read: so replies to
    /// earlier requests must be received before they fill the socket's buffers.
    pub fn flush(&mut self) -> Result<()> {
        let sent = self.input.get_mut().write_all(&self.output);
        self.output.clear();
        sent.map_err(|source| Error::Broken {
            address: self.address.clone(),
            source,
        })
    }

    /// Waits for the reply to the oldest request that was sent and not answered yet.
    ///
    /// # Errors
    /// `Refused` if the server answers with an error; see [`Error`] for the rest.
    pub fn receive(&mut self) -> Result<Reply> {
        match reply::read(&mut self.input) {
            Ok(Reply::Error(text)) => Err(Error::Refused(text)),
            Ok(reply) => Ok(reply),
            Err(Fault::Io(source)) => Err(Error::Broken {
                address: self.address.clone(),
                source,
            }),
            Err(Fault::Malformed(what)) => Err(self.unexpected(what)),
        }
    }

    /// An error that says that a reply has not the shape that its request asks for.
    pub fn unexpected(&self, what: String) -> Error {
        Error::Protocol {
            address: self.address.clone(),
            what,
        }
    }
}

fn count(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    write!(out, "{count}\r\n").unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
}

impl Stream {
    fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT_DEFAULT))?;
                stream.set_write_timeout(Some(TIMEOUT_DEFAULT))?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TIMEOUT_DEFAULT))?;
                stream.set_write_timeout(Some(TIMEOUT_DEFAULT))?;
                Ok(Stream::Unix(stream))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(from),
            Stream::Unix(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
