//! The kernel's calls that the standard library lacks, behind safe faces: epoll, eventfd, signalfd,
//! socket options and the limit on open files.

#![expect(
    unsafe_code,
    reason = "system calls; each block says why it is sound, and nothing unsafe leaves this file"
)]

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// What a call that answers a descriptor gave.
fn descriptor(answer: libc::c_int) -> Result<OwnedFd> {
    check(answer)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(answer) })
}

fn check(answer: libc::c_int) -> Result<libc::c_int> {
    if answer < 0 {
        Err(Error::last_os_error())
    } else {
        Ok(answer)
    }
}

/// What to be told of a descriptor. Each change is told once (edge-triggered).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Bytes to read, and the peer's end.
    Read,
    /// And room to write.
    ReadWrite,
}

/// What happened to a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    /// What was given to [`Epoll::add`].
    pub(super) token: u64,
    /// There is something to read, perhaps the end or an error.
    pub(super) readable: bool,
    /// There is room to write, or an error that a write would tell.
    pub(super) writable: bool,
    /// The peer sends nothing more, or the connection is broken.
    pub(super) ended: bool,
}

/// A set of descriptors to wait for. A descriptor leaves it by being closed.
#[derive(Debug)]
pub(super) struct Epoll {
    descriptor: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// Descriptors reported by one wait.
const EVENTS_MAX: usize = 256;

impl Epoll {
    pub(super) fn new() -> Result<Epoll> {
        // SAFETY: no memory is involved.
        let answer = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        Ok(Epoll {
            descriptor: descriptor(answer)?,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX],
        })
    }

    /// Waits for this descriptor too.
    pub(super) fn add(&self, of: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, of.as_fd(), token, interest)
    }

    /// Waits for something else of a descriptor that was added; tells at once what holds already.
    pub(super) fn change(&self, of: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        self.control(libc::EPOLL_CTL_MOD, of.as_fd(), token, interest)
    }

    fn control(
        &self,
        operation: libc::c_int,
        of: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> Result<()> {
        let write = match interest {
            Interest::Read => 0,
            Interest::ReadWrite => libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET | write).cast_unsigned(),
            u64: token,
        };
        let (epoll, fd) = (self.descriptor.as_raw_fd(), of.as_raw_fd());
        // SAFETY: `event` lives through the call, which copies it; both descriptors are open.
        check(unsafe { libc::epoll_ctl(epoll, operation, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits until something happens or the time is over, and tells what has happened. No time
    /// given: waits for ever. A signal ends the wait early.
    pub(super) fn wait(
        &mut self,
        time: Option<Duration>,
    ) -> Result<impl Iterator<Item = Readiness> + '_> {
        let millis = match time {
            None => -1,
            // Rounded up, so that a deadline has passed when the wait for it ends.
            Some(time) => {
                libc::c_int::try_from(time.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
            }
        };
        let room = libc::c_int::try_from(self.events.len()).unwrap_or(libc::c_int::MAX);
        let epoll = self.descriptor.as_raw_fd();
        let events = self.events.as_mut_ptr();
        // SAFETY: `events` points to `room` initialised events that we own, and the call fills no
        // more than that.
        let count = match check(unsafe { libc::epoll_wait(epoll, events, room, millis) }) {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(self.events.iter().take(count).map(|event| {
            let bits = event.events.cast_signed();
            let broken = bits & (libc::EPOLLHUP | libc::EPOLLERR) != 0;
            let ended = broken || bits & libc::EPOLLRDHUP != 0;
            Readiness {
                token: event.u64,
                readable: ended || bits & libc::EPOLLIN != 0,
                writable: broken || bits & libc::EPOLLOUT != 0,
                ended,
            }
        }))
    }
}

/// Something that any thread may pull to end a wait. Watched edge-triggered it need not be read.
#[derive(Debug)]
pub(super) struct Wake(File);

impl Wake {
    pub(super) fn new() -> Result<Wake> {
        // SAFETY: no memory is involved.
        let answer = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        Ok(Wake(File::from(descriptor(answer)?)))
    }

    /// Ends the wait of whoever watches it, or his next one.
    pub(super) fn pull(&self) {
        // The one error, a full counter, means that nobody has looked at 2^64 pulls.
        let _ = (&self.0).write(&[1, 0, 0, 0, 0, 0, 0, 0]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A signal that the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reopen,
}

/// The signals that the server answers, as something to wait for.
#[derive(Debug)]
pub(super) struct Signals(File);

impl Signals {
    /// Takes the signals from their usual effects, for this thread and those that it starts from
    /// now on.
    pub(super) fn take() -> Result<Signals> {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` is ours; the call initialises it and cannot fail.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the call above.
        let mut set = unsafe { set.assume_init() };
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            // SAFETY: `set` is an initialised set and the signal's number is valid.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        // SAFETY: `set` is initialised; null asks for no old mask.
        let answer =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if answer != 0 {
            return Err(Error::from_raw_os_error(answer));
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: `set` is initialised and lives through the call, which copies it.
        let answer = unsafe { libc::signalfd(-1, &raw const set, flags) };
        Ok(Signals(File::from(descriptor(answer)?)))
    }

    /// The next signal that has come, if one has.
    pub(super) fn next(&self) -> Option<Signal> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        let count = (&self.0).read(&mut info).ok()?;
        let number = info.first_chunk::<4>().filter(|_| count == info.len())?;
        #[expect(
            clippy::host_endian_bytes,
            reason = "the kernel's own structure begins with the signal's number"
        )]
        let number = u32::from_ne_bytes(*number);
        if i64::from(number) == i64::from(libc::SIGHUP) {
            Some(Signal::Reopen)
        } else {
            Some(Signal::Stop)
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Connections that may wait to be accepted; the kernel cuts it at `net.core.somaxconn`.
const BACKLOG: libc::c_int = 4096;

/// Seconds without a word after which the kernel asks whether the peer still lives.
const KEEPALIVE_SECONDS: libc::c_int = 300;

/// Gives a listening socket a queue for a burst of connections.
pub(super) fn lengthen_backlog(listener: impl AsFd) -> Result<()> {
    // SAFETY: no memory is involved, and the descriptor is open.
    check(unsafe { libc::listen(listener.as_fd().as_raw_fd(), BACKLOG) })?;
    Ok(())
}

/// Sets on a listening TCP socket what the connections accepted from it inherit: replies leave at
/// once, and peers that vanished are found.
pub(super) fn set_inherited_options(listener: impl AsFd) -> Result<()> {
    for (level, name, value) in [
        (libc::IPPROTO_TCP, libc::TCP_NODELAY, 1),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, KEEPALIVE_SECONDS),
    ] {
        let value: libc::c_int = value;
        let fd = listener.as_fd().as_raw_fd();
        #[expect(clippy::cast_possible_truncation, reason = "it is 4")]
        let bytes = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: `value` is an integer of `bytes` bytes that lives through the call.
        check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), bytes) })?;
    }
    Ok(())
}

/// How many bytes of a socket the peer's kernel has not yet acknowledged (over TCP), or the peer
/// has not yet read (over Unix sockets).
pub(super) fn unacknowledged_bytes(socket: impl AsFd) -> Result<usize> {
    queued_bytes(socket, libc::TIOCOUTQ)
}

/// How many bytes have come that are not yet read.
pub(super) fn unread_bytes(socket: impl AsFd) -> Result<usize> {
    queued_bytes(socket, libc::FIONREAD)
}

fn queued_bytes(socket: impl AsFd, request: libc::Ioctl) -> Result<usize> {
    let mut bytes: libc::c_int = 0;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: both requests write one integer to `bytes`, which lives through the call.
    check(unsafe { libc::ioctl(fd, request, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Raises the limit on open files as far as the process may, and answers it.
pub(super) fn raise_files_max() -> Result<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is ours and the call fills it.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        };
        // SAFETY: `raised` lives through the call, which copies it.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}
