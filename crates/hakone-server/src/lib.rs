//! The Hakone server: a service over a cabinet, and the sockets, threads and signals around it.

pub mod config;
mod error;
mod service;
mod session;

pub use config::{Config, Settings};
pub use error::ServeError;
pub use hakone_wire::Protocol;
pub use service::{Ready, Service, ServiceConfig};
pub use session::{Peer, Session};

/// Serves until a signal stops the process.
pub fn serve(config: Config) -> Result<(), ServeError> {
    let text = format!("cannot yet serve {}", config.data.display());
    Err(ServeError::Start(text))
}
