//! One connection to a server, in RESP.

use crate::connection::{Connection, RESP3};
use crate::{Address, Error, Reply, Result, reply};
use std::io::Write;

/// One connection to a server, in RESP3. Dropping it closes it.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects and greets the server with `HELLO 3`. Blocks until it has answered, for at most
    /// [`TIMEOUT_DEFAULT`](crate::TIMEOUT_DEFAULT).
    ///
    /// # Errors
    /// `Unreachable` if no connection can be made, `Protocol` if something else than a RESP3 server
    /// is there.
    pub fn connect(address: &Address) -> Result<Client> {
        let mut client = Client {
            connection: Connection::open(address, RESP3)?,
        };
        client.call(&[b"HELLO", b"3"])?;
        Ok(client)
    }

    /// Connects without a greeting: RESP2, which every Redis speaks.
    pub(crate) fn connect_plain(address: &Address) -> Result<Client> {
        Ok(Client {
            connection: Connection::open(address, "Redis' protocol")?,
        })
    }

    /// The server's address.
    pub fn address(&self) -> &Address {
        self.connection.address()
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
        let out = self.connection.output();
        count(out, b'*', arguments.len());
        for argument in arguments {
            count(out, b'$', argument.len());
            out.extend_from_slice(argument);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Bytes of requests that are not sent yet.
    pub fn unsent_bytes(&self) -> usize {
        self.connection.unsent_bytes()
    }

    /// Sends what is in the output buffer. Blocks while the server does not read: so replies to
    /// earlier requests must be received before they fill the socket's buffers.
    pub fn flush(&mut self) -> Result<()> {
        self.connection.flush()
    }

    /// Waits for the reply to the oldest request that was sent and not answered yet.
    ///
    /// # Errors
    /// `Refused` if the server answers with an error; see [`Error`] for the rest.
    pub fn receive(&mut self) -> Result<Reply> {
        match self.connection.read(reply::read)? {
            Reply::Error(text) => Err(Error::Refused(text)),
            reply => Ok(reply),
        }
    }

    /// Waits for a string, like [`Client::receive`], but passes over the bytes of one that is
    /// larger than any value that Hakone keeps.
    pub(crate) fn receive_value(&mut self) -> Result<Value> {
        match self.connection.read(reply::read_value)? {
            Value::Error(text) => Err(Error::Refused(text)),
            value => Ok(value),
        }
    }

    /// An error that says that a reply has not the shape that its request asks for.
    pub fn unexpected(&self, what: String) -> Error {
        self.connection.unexpected(what)
    }
}

pub(crate) use reply::Value;

fn count(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    write!(out, "{count}\r\n").unwrap_or_else(|_| unreachable!("writing to memory cannot fail"));
}
