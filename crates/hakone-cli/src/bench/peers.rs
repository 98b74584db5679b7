//! The servers that are measured: ones that run already, and ones started for it and stopped after.

use super::leash;
use super::process::{self, Cores};
use super::wire::Protocol;
use crate::failure::{Failure, Result};
use hakone::Kind;
use hakone_client::{Address, Client};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer after its start.
const START_MAX: Duration = Duration::from_secs(10);

/// What the directory of a run is called, before the number of its process.
const DIRECTORY: &str = "hakone-bench-";

/// What can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// This very program, with a database of this kind.
    Hakone(Kind),
    Redis,
    Memcached,
    /// Tokyo Tyrant.
    Ttserver,
    /// Kyoto Tycoon.
    Ktserver,
}

/// The servers of other kinds that this machine has.
pub(super) fn installed() -> Vec<Program> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| std::env::split_paths(&path).any(|p| p.join(name).is_file());
    [
        ("redis-server", Program::Redis),
        ("memcached", Program::Memcached),
        ("ttserver", Program::Ttserver),
        ("ktserver", Program::Ktserver),
    ]
    .into_iter()
    .filter(|(name, _)| is_there(name))
    .map(|(_, program)| program)
    .collect()
}

/// How servers are started.
#[derive(Debug)]
pub(super) struct Ground {
    /// Where they may leave files; removed in the end.
    directory: PathBuf,
    pub(super) cores: Option<Cores>,
    /// What Hakone is spoken to with.
    pub(super) protocol: Protocol,
    /// Worker threads of Hakone.
    pub(super) threads: usize,
    /// When Hakone acknowledges a write.
    pub(super) durability: String,
    started_count: std::cell::Cell<u32>,
}

/// A server that answers.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: Address,
    pub(super) protocol: Protocol,
    /// Its process, if it is on this machine and says so.
    pub(super) pid: Option<u32>,
    /// Where it keeps its files, if it was started here and keeps any.
    pub(super) data: Option<PathBuf>,
    child: Option<Child>,
}

impl Ground {
    /// A new directory under `parent`.
    pub(super) fn prepare(
        parent: &Path,
        cores: Option<Cores>,
        protocol: Protocol,
        threads: usize,
        durability: String,
    ) -> Result<Ground> {
        sweep(parent);
        let directory = parent.join(format!("{DIRECTORY}{}", std::process::id()));
        fs::create_dir(&directory).map_err(|error| {
            Failure::new(format_args!("cannot make {}: {error}", directory.display()))
        })?;
        Ok(Ground {
            directory,
            cores,
            protocol,
            threads,
            durability,
            started_count: std::cell::Cell::new(0),
        })
    }

    /// Starts a server and waits until it answers.
    pub(super) fn start(&self, program: Program) -> Result<Server> {
        let number = self.started_count.get();
        self.started_count.set(number + 1);
        let directory = self.directory.join(number.to_string());
        fs::create_dir_all(&directory).map_err(|error| {
            Failure::new(format_args!("cannot make {}: {error}", directory.display()))
        })?;
        let port = free_port()?;
        let (name, protocol, mut command) = match program {
            Program::Hakone(kind) => (
                format!("hakone {}", kind.name()),
                self.protocol,
                self.hakone(kind, &directory, port)?,
            ),
            Program::Redis => ("redis".to_owned(), Protocol::Redis, redis(&directory, port)),
            Program::Ttserver => ("ttserver".to_owned(), Protocol::Tyrant, ttserver(port)),
            Program::Ktserver => ("ktserver".to_owned(), Protocol::Tycoon, ktserver(port)),
            Program::Memcached => ("memcached".to_owned(), Protocol::Memcached, memcached(port)),
        };
        let log = directory.join("log");
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format_args!("cannot start {name}: {error}"))
        };
        let log_file = fs::File::create(&log).map_err(|error| failed(&error))?;
        let log_too = log_file.try_clone().map_err(|error| failed(&error))?;
        // A child stays on the cores that its parent is on when it is started.
        if let Some(cores) = self.cores {
            process::pin(cores.servers)?;
        }
        leash::tie(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(log_too)
            .spawn();
        if let Some(cores) = self.cores {
            process::pin(cores.generator)?;
        }
        let mut server = Server {
            address: Address::Tcp {
                host: "127.0.0.1".to_owned(),
                port,
            },
            protocol,
            data: matches!(program, Program::Hakone(_)).then(|| directory.join("data")),
            pid: None,
            child: Some(child.map_err(|error| failed(&error))?),
            name,
        };
        server.pid = server.child.as_ref().map(Child::id);
        server.wait_until_it_answers(&log)?;
        Ok(server)
    }

    fn hakone(&self, kind: Kind, directory: &Path, port: u16) -> Result<Command> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(format_args!("cannot find this program: {error}")))?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg("--data")
            .arg(directory.join("data"))
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--database", &format!("default={}", kind.name())])
            .args(["--durability", &self.durability])
            .args(["--threads", &self.threads.to_string()])
            .args(["--log-level", "warn"]);
        Ok(command)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Removes what runs have left that were killed.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(DIRECTORY));
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Redis without persistence: its fastest.
fn redis(directory: &Path, port: u16) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(directory);
    command
}

/// Memcached with one worker thread and room for everything.
fn memcached(port: u16) -> Command {
    let mut command = Command::new("memcached");
    command
        .args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0"])
        .args(["-t", "1", "-m", "4096", "-c", "8192"]);
    // It refuses to run as root unless it is told to.
    if rustix::process::geteuid().is_root() {
        command.args(["-u", "root"]);
    }
    command
}

/// Tokyo Tyrant on its hash in memory, with one worker thread and without a log of every connection.
fn ttserver(port: u16) -> Command {
    let mut command = Command::new("ttserver");
    command
        .args(["-host", "127.0.0.1", "-port", &port.to_string()])
        .args(["-thnum", "1", "-le", "*"]);
    command
}

/// Kyoto Tycoon on its hash in memory, with one worker thread, logging only errors.
fn ktserver(port: u16) -> Command {
    let mut command = Command::new("ktserver");
    command
        .args(["-host", "127.0.0.1", "-port", &port.to_string()])
        .args(["-th", "1", "-le", "*"]);
    command
}

/// A port that nothing listens on. Another process may take it before it is used; then the start
/// fails, and says so.
fn free_port() -> Result<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Failure::new(format_args!("cannot find a free port: {error}")))
}

impl Server {
    /// A server that runs already. Its process is asked for, so that its CPU time can be read.
    pub(super) fn running(address: Address, protocol: Protocol) -> Server {
        let local = match &address {
            Address::Unix(_) => true,
            Address::Tcp { host, .. } => {
                host == "localhost" || host == "::1" || host.starts_with("127.")
            }
        };
        let pid = match protocol {
            _ if !local => None,
            Protocol::Redis => pid_from_info(&address),
            _ => pid_from_text(&address, protocol),
        };
        Server {
            name: address.to_string(),
            address,
            protocol,
            pid,
            data: None,
            child: None,
        }
    }

    fn wait_until_it_answers(&mut self, log: &Path) -> Result<()> {
        let began = Instant::now();
        loop {
            if let Address::Tcp { host, port } = &self.address
                && TcpStream::connect((host.as_str(), *port)).is_ok()
            {
                return Ok(());
            }
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || began.elapsed() > START_MAX {
                let said = fs::read_to_string(log).unwrap_or_default();
                let last = said.lines().last().unwrap_or("it said nothing");
                return Err(Failure::new(format_args!(
                    "{} did not start: {last}",
                    self.name
                )));
            }
            // There is nothing to be woken by: the server is not there yet.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Bytes that its files take on the disk, if it was started here and keeps any.
    pub(super) fn disk_bytes(&self) -> Option<u64> {
        self.data.as_deref().map(allocated)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(data) = &self.data {
            let _ = fs::remove_dir_all(data);
        }
    }
}

/// Bytes allocated for the files of a directory.
fn allocated(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => allocated(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn pid_from_info(address: &Address) -> Option<u32> {
    let info = Client::connect(address).ok()?.call(&[b"INFO"]).ok()?;
    let info = String::from_utf8(info.into_bytes()?).ok()?;
    field(&info, "process_id:")
}

/// Asks for `stats` of memcached, `stat` of Tyrant or the report of Tycoon.
fn pid_from_text(address: &Address, protocol: Protocol) -> Option<u32> {
    let Address::Tcp { host, port } = address else {
        return None;
    };
    let mut stream = TcpStream::connect((host.as_str(), *port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let (request, name): (&[u8], &str) = match protocol {
        Protocol::Tyrant => (b"\xc8\x88", "pid\t"),
        Protocol::Tycoon | Protocol::Http => (
            b"GET /rpc/report HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "serv_proc_id\t",
        ),
        Protocol::Memcached | Protocol::Redis => (b"stats\r\n", "STAT pid "),
    };
    stream.write_all(request).ok()?;
    let mut reply = vec![0; 64 << 10];
    let mut bytes = 0;
    while bytes < reply.len() {
        let read = stream.read(&mut reply[bytes..]).ok().filter(|&n| n > 0)?;
        bytes += read;
        let pid = field(&String::from_utf8_lossy(&reply[..bytes]), name);
        if pid.is_some() {
            return pid;
        }
    }
    None
}

/// The number on the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<u32> {
    let line = text.split_inclusive('\n').find_map(|line| {
        // A line that is cut off may hold half a number.
        line.strip_suffix('\n')?.strip_prefix(name)
    })?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_from_a_whole_line() {
        assert_eq!(field("a:1\r\nprocess_id:42\r\n", "process_id:"), Some(42));
        assert_eq!(field("STAT pid 42", "STAT pid "), None);
        assert_eq!(field("", "pid\t"), None);
    }
}
