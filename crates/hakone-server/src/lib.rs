//! The Hakone server: a service over a cabinet, and the sockets, threads and signals around it.

mod clients;
pub mod config;
mod counters;
mod cursors;
mod error;
mod limits;
mod lists;
mod logging;
mod memory;
mod runtime;
mod server;
mod service;
mod session;
mod timings;
mod transact;

pub use config::{Config, Settings};
pub use error::ServeError;
pub use hakone_wire::Protocol;
pub use limits::Limits;
pub use lists::{ListAnswer, list};
pub use runtime::BoundAddress;
pub use server::{Server, serve};
pub use service::{Ready, Service, ServiceConfig, describe};
pub use session::{Peer, Session};
pub use transact::{Ended, Told, transact};
