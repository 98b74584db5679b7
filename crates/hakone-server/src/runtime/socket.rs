//! Sockets of both families, and the listeners that accept them.

use super::sys;
use crate::config::{Endpoint, Place};
use crate::{Peer, Protocol, ServeError};
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A connected socket. Never blocks.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(super) fn receive(&self, into: &mut [u8]) -> Result<usize> {
        match self {
            Socket::Tcp(stream) => (&mut &*stream).read(into),
            Socket::Unix(stream) => (&mut &*stream).read(into),
        }
    }

    pub(super) fn send(&self, bytes: &[u8]) -> Result<usize> {
        match self {
            Socket::Tcp(stream) => (&mut &*stream).write(bytes),
            Socket::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub(super) fn end_sending(&self) {
        // The one error is that the connection is gone already.
        let _ = match self {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Where a server listens in fact: the port that was found where 0 was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundAddress::Tcp(address) => write!(f, "{address}"),
            BoundAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listening socket. Never blocks. Removes its file, if it has one, when it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    inner: Inner,
    protocol: Option<Protocol>,
    loopback: bool,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// # Errors
    /// `Start`, naming the address and the reason.
    pub(super) fn bind(endpoint: &Endpoint) -> std::result::Result<Listener, ServeError> {
        let inner = match &endpoint.place {
            Place::Tcp(address) => bind_tcp(address),
            Place::Unix(path) => bind_unix(path),
        };
        let inner = inner.map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::AddrInUse => "the address is in use by another process".to_owned(),
                _ => error.to_string(),
            };
            ServeError::Start(format!("cannot listen on {endpoint}: {reason}"))
        })?;
        let loopback = match &inner {
            Inner::Tcp(listener) => {
                let address = listener.local_addr();
                address.is_ok_and(|address| address.ip().is_loopback())
            }
            Inner::Unix(..) => false,
        };
        Ok(Listener {
            inner,
            protocol: endpoint.protocol,
            loopback,
        })
    }

    pub(super) fn address(&self) -> Result<BoundAddress> {
        Ok(match &self.inner {
            Inner::Tcp(listener) => BoundAddress::Tcp(listener.local_addr()?),
            Inner::Unix(_, path) => BoundAddress::Unix(path.clone()),
        })
    }

    /// The next connection that waits.
    pub(super) fn accept(&self) -> Result<(Socket, Peer)> {
        let (socket, address) = match &self.inner {
            Inner::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                stream.set_nonblocking(true)?;
                (Socket::Tcp(stream), address.to_string())
            }
            Inner::Unix(listener, path) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                (Socket::Unix(stream), format!("unix:{}", path.display()))
            }
        };
        let peer = Peer {
            address,
            protocol: self.protocol,
            loopback: self.loopback,
        };
        Ok((socket, peer))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.inner {
            Inner::Tcp(listener) => listener.as_fd(),
            Inner::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Inner::Unix(_, path) = &self.inner {
            // Were it gone already, nothing would be lost.
            let _ = fs::remove_file(path);
        }
    }
}

fn bind_tcp(address: &str) -> Result<Inner> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    sys::set_inherited_options(&listener)?;
    sys::lengthen_backlog(&listener)?;
    Ok(Inner::Tcp(listener))
}

fn bind_unix(path: &Path) -> Result<Inner> {
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    sys::lengthen_backlog(&listener)?;
    Ok(Inner::Unix(listener, path.to_owned()))
}

/// Removes the socket file of a server that died. That of a living one, or a file that is no
/// socket, stays and makes the bind fail.
fn remove_stale(path: &Path) -> Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_connections_send_at_once_and_never_block() {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let BoundAddress::Tcp(address) = listener.address().unwrap() else {
            panic!("not TCP")
        };
        let client = TcpStream::connect(address).unwrap();
        let (socket, peer) = accept(&listener);
        let Socket::Tcp(stream) = &socket else {
            panic!("not TCP")
        };
        assert!(stream.nodelay().unwrap());
        assert_eq!(peer.address, client.local_addr().unwrap().to_string());
        let error = socket.receive(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    fn accept(listener: &Listener) -> (Socket, Peer) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            match listener.accept() {
                Ok(accepted) => return accepted,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
