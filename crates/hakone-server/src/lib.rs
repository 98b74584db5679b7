//! The Hakone server: a service over a cabinet, and the sockets, threads and signals around it.

mod service;
mod session;

pub use hakone_wire::Protocol;
pub use service::{Ready, Service, ServiceConfig};
pub use session::{Peer, Session};
