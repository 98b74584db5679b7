//! A connection without a protocol: requests gathered and sent at once, replies read with limits.

use crate::input::{self, Fault};
use crate::{Address, Error, Result};
use hakone_command::limits::VALUE_BYTES_MAX;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a read or a write may stand still: an fsync of a busy disk is waited for, a server
/// that has stopped is not.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);

/// How long a server may take to make a list of all its keys: some hundred million on a slow one.
const LIST_TIMEOUT: Duration = Duration::from_hours(1);

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// What Hakone's own clients speak.
pub(crate) const RESP3: &str = "RESP3";

/// A connection to a server that is thought to speak `protocol`.
#[derive(Debug)]
pub(crate) struct Connection {
    address: Address,
    protocol: &'static str,
    input: BufReader<Stream>,
    /// Requests that are not sent yet.
    output: Vec<u8>,
}

/// Bytes from and to a socket of either kind.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    pub(crate) fn open(address: &Address, protocol: &'static str) -> Result<Connection> {
        let stream = Stream::connect(address).map_err(|source| Error::Unreachable {
            address: address.clone(),
            is_hakone: protocol == RESP3,
            source,
        })?;
        Ok(Connection {
            address: address.clone(),
            protocol,
            input: BufReader::with_capacity(READ_BYTES, stream),
            output: Vec::new(),
        })
    }

    /// Waits longer from now on: the server has to make a list of all its keys.
    pub(crate) fn wait_for_a_list(&mut self) -> Result<()> {
        let set = match self.input.get_ref() {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(LIST_TIMEOUT)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(LIST_TIMEOUT)),
        };
        set.map_err(|source| self.broken(source))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What goes out with the next [`Connection::flush`].
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.output.len()
    }

    /// Sends what is in the output. Blocks while the server does not read.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let sent = self.input.get_mut().write_all(&self.output);
        self.output.clear();
        sent.map_err(|source| self.broken(source))
    }

    /// Reads with a function of the input.
    pub(crate) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut BufReader<Stream>) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        read(&mut self.input).map_err(|fault| match fault {
            Fault::Io(source) => self.broken(source),
            Fault::Malformed(what) => self.unexpected(what),
        })
    }

    /// The next line, without CR and LF.
    pub(crate) fn line(&mut self, bytes_max: usize) -> Result<Vec<u8>> {
        let mut line = self.read(|input| input::line(input, bytes_max))?;
        line.pop_if(|byte| *byte == b'\r');
        Ok(line)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        match self.input.read_exact(&mut array) {
            Ok(()) => Ok(array),
            Err(source) => Err(self.broken(source)),
        }
    }

    /// The next `bytes` bytes, or `None` if they are more than `bytes_max`: then they are passed
    /// over without being kept.
    pub(crate) fn bytes(&mut self, bytes: u64, bytes_max: usize) -> Result<Option<Vec<u8>>> {
        let Some(kept) = usize::try_from(bytes).ok().filter(|&n| n <= bytes_max) else {
            self.read(|input| input::skip(input, bytes))?;
            return Ok(None);
        };
        let mut into = Vec::with_capacity(kept.min(16 << 10));
        self.read(|input| input::take(input, kept, &mut into))?;
        Ok(Some(into))
    }

    /// A value, or `None` if it is larger than any that Hakone keeps.
    pub(crate) fn value(&mut self, bytes: u64) -> Result<Option<Vec<u8>>> {
        self.bytes(bytes, VALUE_BYTES_MAX)
    }

    /// An error that says that a reply has not the shape that its request asks for.
    pub(crate) fn unexpected(&self, what: String) -> Error {
        Error::Protocol {
            address: self.address.clone(),
            protocol: self.protocol,
            what,
        }
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Broken {
            address: self.address.clone(),
            source,
        }
    }
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
