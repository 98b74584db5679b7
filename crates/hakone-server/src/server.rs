//! A running server: a cabinet, its service, and the runtime around them.

use crate::config::Config;
use crate::limits::Limits;
use crate::logging::Log;
use crate::runtime::{Alarm, BoundAddress, Listeners, Operators, Order, Orders, Runtime};
use crate::{ServeError, Service, ServiceConfig, memory};
use hakone::{Cabinet, Options};
use std::io::Write;
use std::net::SocketAddr;

/// Serves until SIGTERM or SIGINT stops the process. SIGHUP reopens the log file. To be called
/// while no other thread runs that could be hit by these signals.
///
/// # Errors
/// As [`ServeError`] tells; then nothing is served any more and the cabinet is closed as well as
/// it can be.
pub fn serve(config: Config) -> Result<(), ServeError> {
    let log = Log::start(config.log.as_deref(), config.log_level)?;
    let served = serve_logged(&config, &log);
    if let Err(error) = &served
        && log.is_file()
    {
        tracing::error!("{error}");
    }
    served
}

fn serve_logged(config: &Config, log: &Log) -> Result<(), ServeError> {
    let alarm = Alarm::new().map_err(cannot_start)?;
    let mut orders = Orders::take(&alarm).map_err(cannot_start)?;
    let server = Server::start_with(config, Limits::default(), alarm)?;
    let banner = server.banner(config);
    tracing::info!("{banner}");
    if log.is_file() {
        // Who started it from a terminal learns it too; a closed terminal is no reason to fail.
        let _ = writeln!(std::io::stderr(), "hakone: {banner}");
    }
    loop {
        match orders.wait().map_err(cannot_start)? {
            Order::ReopenLog => log.reopen(),
            Order::Stop => {
                tracing::info!("stopping");
                server.stop()?;
                tracing::info!("stopped");
                return Ok(());
            }
            Order::Fail => {
                let failed = ServeError::Failed("a thread of the server has failed".to_owned());
                return server.stop().and(Err(failed));
            }
        }
    }
}

/// A server that runs in this process until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    cabinet: Cabinet,
    addresses: Vec<BoundAddress>,
    admin_address: Option<BoundAddress>,
}

impl Server {
    /// Binds the listeners, opens the cabinet, makes the databases that are not there, and serves.
    ///
    /// # Errors
    /// `Start`, saying what could not be opened.
    pub fn start(config: &Config, limits: Limits) -> Result<Server, ServeError> {
        let alarm = Alarm::new().map_err(cannot_start)?;
        Server::start_with(config, limits, alarm)
    }

    fn start_with(config: &Config, limits: Limits, alarm: Alarm) -> Result<Server, ServeError> {
        let mut listeners = Listeners::bind(&config.listen, config.admin.as_ref())?;
        let addresses = listeners.addresses().map_err(cannot_start)?;
        let admin_address = listeners.admin_address().map_err(cannot_start)?;
        let operators = Operators::start(&mut listeners, &alarm).map_err(cannot_start)?;
        let cabinet = open_cabinet(config)?;
        let threads = config
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |count| count.get()));
        let service = ServiceConfig {
            databases: config.databases.iter().map(|d| d.name.clone()).collect(),
            durability: config.durability.durability(),
            threads,
            connections_max: limits.connections_max,
            port: addresses
                .iter()
                .find_map(tcp_address)
                .map_or(0, |a| a.port()),
            http: config.http,
        };
        let service = Service::new(cabinet.clone(), service);
        let runtime = Runtime::start(
            listeners,
            operators,
            service,
            cabinet.clone(),
            limits,
            threads,
            alarm,
        )
        .map_err(cannot_start)?;
        Ok(Server {
            runtime,
            cabinet,
            addresses,
            admin_address,
        })
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// The first TCP address that it listens on.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.addresses.iter().find_map(tcp_address)
    }

    /// Where it serves operators.
    pub fn admin_address(&self) -> Option<&BoundAddress> {
        self.admin_address.as_ref()
    }

    /// The cabinet that it serves.
    pub fn cabinet(&self) -> &Cabinet {
        &self.cabinet
    }

    /// Stops accepting, answers the requests that have come, and closes the cabinet. Takes at most
    /// [`Limits::stop_time_max`] and what the disk needs.
    ///
    /// # Errors
    /// `Failed` if a thread had failed, or what was written could not be made durable.
    pub fn stop(mut self) -> Result<(), ServeError> {
        let well = self.runtime.stop();
        self.cabinet
            .close()
            .map_err(|error| ServeError::Failed(format!("cannot close the cabinet: {error}")))?;
        if well {
            Ok(())
        } else {
            let text = "a thread of the server has failed".to_owned();
            Err(ServeError::Failed(text))
        }
    }

    fn banner(&self, config: &Config) -> String {
        let listeners: Vec<String> = config
            .listen
            .iter()
            .zip(&self.addresses)
            .map(|(endpoint, address)| match endpoint.protocol {
                None => address.to_string(),
                Some(protocol) => format!("{}://{address}", protocol.name()),
            })
            .collect();
        let databases: Vec<String> = config.databases.iter().map(|d| d.to_string()).collect();
        let admin = self
            .admin_address
            .as_ref()
            .map(|address| format!(", operators on {address}"))
            .unwrap_or_default();
        format!(
            "hakone {} listens on {}{admin}; data in {}, databases {}, durability {}",
            env!("CARGO_PKG_VERSION"),
            listeners.join(", "),
            config.data.display(),
            databases.join(" "),
            config.durability,
        )
    }
}

fn open_cabinet(config: &Config) -> Result<Cabinet, ServeError> {
    let options = Options {
        durability: config.durability.durability(),
        memory_bytes: config.memory_bytes.unwrap_or_else(memory::half),
        ..Options::default()
    };
    let cabinet = Cabinet::open(&config.data, options).map_err(|error| {
        ServeError::Start(format!("cannot open {}: {error}", config.data.display()))
    })?;
    for database in &config.databases {
        cabinet
            .create(&database.name, database.options)
            .map_err(|error| {
                ServeError::Start(format!("cannot open database {database}: {error}"))
            })?;
    }
    Ok(cabinet)
}

fn tcp_address(address: &BoundAddress) -> Option<SocketAddr> {
    match address {
        BoundAddress::Tcp(address) => Some(*address),
        BoundAddress::Unix(_) => None,
    }
}

fn cannot_start(error: std::io::Error) -> ServeError {
    ServeError::Start(format!("cannot start: {error}"))
}
