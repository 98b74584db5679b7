//! The runtime: sockets, threads and signals. Nothing else in this crate touches them.
//!
//! An acceptor gives each connection to a worker, which owns it from then on: it reads, has the
//! service execute, and writes. Other threads reach a worker through its mailbox.

mod acceptor;
mod admin;
mod buffers;
mod connection;
mod job;
mod mailbox;
mod net;
mod socket;
mod sys;
mod watermark;
mod worker;

pub(crate) use job::Jobs;
pub use socket::BoundAddress;

use crate::config::Endpoint;
use crate::limits::{FILES_RESERVED, Limits};
use crate::{ServeError, Service};
use acceptor::{Acceptor, Stopper};
use admin::{Admin, Board};
use hakone::Cabinet;
use mailbox::{Mailbox, Message};
use socket::Listener;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use sys::{Epoll, Interest, Signal, Signals, Wake};
use worker::{Shared, Worker};

/// The listeners, open but not yet served.
#[derive(Debug)]
pub(crate) struct Listeners {
    data: Vec<Listener>,
    admin: Option<Listener>,
}

impl Listeners {
    /// # Errors
    /// `Start`, naming the address that cannot be listened on.
    pub(crate) fn bind(
        data: &[Endpoint],
        admin: Option<&Endpoint>,
    ) -> Result<Listeners, ServeError> {
        Ok(Listeners {
            data: data.iter().map(Listener::bind).collect::<Result<_, _>>()?,
            admin: admin.map(Listener::bind).transpose()?,
        })
    }

    /// Where they listen, in the order of the configuration.
    pub(crate) fn addresses(&self) -> io::Result<Vec<BoundAddress>> {
        self.data.iter().map(Listener::address).collect()
    }

    /// Where operators are served.
    pub(crate) fn admin_address(&self) -> io::Result<Option<BoundAddress>> {
        self.admin.as_ref().map(Listener::address).transpose()
    }
}

/// The threads that serve.
#[derive(Debug)]
pub(crate) struct Runtime {
    threads: Threads,
    workers: Vec<Arc<Mailbox>>,
    accept_stopper: Arc<Stopper>,
    operators: Option<Operators>,
}

/// The thread that serves operators.
#[derive(Debug)]
pub(crate) struct Operators {
    thread: Option<JoinHandle<bool>>,
    stopper: Arc<Stopper>,
    board: Arc<Board>,
}

impl Operators {
    /// Starts to serve them, if there is a listener for them.
    pub(crate) fn start(listeners: &mut Listeners, alarm: &Alarm) -> io::Result<Option<Operators>> {
        let Some(listener) = listeners.admin.take() else {
            return Ok(None);
        };
        let stopper = Arc::new(Stopper::new()?);
        let board = Arc::new(Board::default());
        let admin = Admin::new(listener, board.clone(), stopper.clone())?;
        let thread = Some(start_thread(&alarm.0, "admin", || admin.run())?);
        Ok(Some(Operators {
            thread,
            stopper,
            board,
        }))
    }

    /// Whether the thread ended well.
    fn stop(&mut self) -> bool {
        self.stopper.stop();
        self.thread.take().is_none_or(ended_well)
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Threads {
    acceptor: Option<JoinHandle<bool>>,
    workers: Vec<JoinHandle<bool>>,
    alarm: Arc<Wake>,
}

impl Runtime {
    /// Starts to serve.
    pub(crate) fn start(
        listeners: Listeners,
        operators: Option<Operators>,
        service: Service,
        cabinet: Cabinet,
        limits: Limits,
        workers_count: usize,
        alarm: Alarm,
    ) -> io::Result<Runtime> {
        let files_max = sys::raise_files_max()?;
        let connections_max = limits
            .connections_max
            .min(files_max.saturating_sub(FILES_RESERVED).max(1));
        let shared = Arc::new(Shared {
            service,
            watermark: Box::new(cabinet.clone()),
            limits,
        });
        let mailboxes: Vec<Arc<Mailbox>> = (0..workers_count)
            .map(|_| Mailbox::new().map(Arc::new))
            .collect::<io::Result<_>>()?;
        let bells = mailboxes.clone();
        cabinet.on_durable(Box::new(move || bells.iter().for_each(|bell| bell.ring())));

        let accept_stopper = Arc::new(Stopper::new()?);
        let mut runtime = Runtime {
            threads: Threads {
                acceptor: None,
                workers: Vec::new(),
                alarm: alarm.0,
            },
            workers: mailboxes.clone(),
            accept_stopper: accept_stopper.clone(),
            operators,
        };
        for (index, mailbox) in mailboxes.iter().enumerate() {
            let worker = Worker::new(shared.clone(), mailbox.clone())?;
            let thread = runtime
                .threads
                .start(&format!("worker-{index}"), move || worker.run())?;
            runtime.threads.workers.push(thread);
        }
        let acceptor = Acceptor::new(listeners.data, mailboxes, accept_stopper, connections_max)?;
        runtime.threads.acceptor = Some(runtime.threads.start("acceptor", || acceptor.run())?);
        if let Some(operators) = &runtime.operators {
            // It is set here alone.
            let _ = operators.board.shared.set(shared);
        }
        Ok(runtime)
    }

    /// Stops accepting, finishes what has come, and ends all threads. Whether all went well.
    pub(crate) fn stop(&mut self) -> bool {
        if let Some(operators) = &self.operators {
            operators.board.stopping.store(true, Ordering::Relaxed);
        }
        self.accept_stopper.stop();
        let mut well = self.threads.acceptor.take().is_none_or(ended_well);
        for worker in &self.workers {
            worker.send(Message::Stop);
        }
        for worker in std::mem::take(&mut self.threads.workers) {
            well &= ended_well(worker);
        }
        well & self.operators.as_mut().is_none_or(Operators::stop)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ended_well(thread: JoinHandle<bool>) -> bool {
    thread.join().unwrap_or(false)
}

impl Threads {
    /// Starts a thread that says whether it ended well, and raises the alarm if not.
    fn start(
        &self,
        name: &str,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<JoinHandle<bool>> {
        start_thread(&self.alarm, name, work)
    }
}

fn start_thread(
    alarm: &Arc<Wake>,
    name: &str,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<bool>> {
    let alarm = alarm.clone();
    let own_name = name.to_owned();
    Builder::new().name(name.to_owned()).spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        let reason = match result {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        tracing::error!("thread {own_name} has failed: {reason}");
        alarm.pull();
        false
    })
}

/// Pulled when a thread of the server has failed: the server cannot go on.
#[derive(Clone, Debug)]
pub(crate) struct Alarm(Arc<Wake>);

impl Alarm {
    pub(crate) fn new() -> io::Result<Alarm> {
        Ok(Alarm(Arc::new(Wake::new()?)))
    }
}

/// What the process' signals, or a failed thread, ask of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop.
    Stop,
    /// Reopen the log file.
    ReopenLog,
    /// Stop: a thread has failed.
    Fail,
}

/// Waits for orders.
#[derive(Debug)]
pub(crate) struct Orders {
    epoll: Epoll,
    signals: Signals,
}

const SIGNALS: u64 = 0;
const ALARM: u64 = 1;

impl Orders {
    /// Takes the process' signals; to be called before any other thread starts.
    pub(crate) fn take(alarm: &Alarm) -> io::Result<Orders> {
        let epoll = Epoll::new()?;
        let signals = Signals::take()?;
        epoll.add(&signals, SIGNALS, Interest::Read)?;
        epoll.add(&*alarm.0, ALARM, Interest::Read)?;
        Ok(Orders { epoll, signals })
    }

    /// The next order.
    pub(crate) fn wait(&mut self) -> io::Result<Order> {
        loop {
            match self.signals.next() {
                Some(Signal::Stop) => return Ok(Order::Stop),
                Some(Signal::Reopen) => return Ok(Order::ReopenLog),
                None => {}
            }
            if self.epoll.wait(None)?.any(|ready| ready.token == ALARM) {
                return Ok(Order::Fail);
            }
        }
    }
}
