//! `hakone serve` as a process: its messages, signals, exit statuses and sources of configuration.

#![expect(clippy::unwrap_used, reason = "tests may, and so may what they call")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_mins(1);

struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hakone-serve-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn hakone(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hakone"));
    command.arg("serve").args(args).env_clear();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// A server process, killed when it is dropped.
struct Served {
    child: Child,
    lines: Receiver<String>,
    banner: String,
}

impl Served {
    fn start(mut command: Command) -> Served {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut served = Served {
            child,
            lines,
            banner: String::new(),
        };
        while !served.banner.contains("listens on") {
            served.banner = served.lines.recv_timeout(PATIENCE).expect("no banner");
        }
        served
    }

    fn with(args: &[&str]) -> Served {
        Served::start(hakone(args))
    }

    /// The first address of the banner.
    fn address(&self) -> SocketAddr {
        let (_, rest) = self.banner.split_once("listens on ").unwrap();
        let end = rest.find([',', ';']).unwrap();
        rest[..end].parse().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The exit status, once it has ended.
    fn status(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

fn ping(mut stream: &TcpStream) {
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

/// Writes until the server ends; answers how many writes were acknowledged.
fn write_until_the_end(stream: TcpStream, client: usize, all: &AtomicUsize) -> usize {
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for number in 0.. {
            let set = format!("SET {client}-{number} value-{client}-{number}\r\n");
            if writer.write_all(set.as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut reader = BufReader::new(stream);
    let mut acknowledged = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).expect("ended, not reset") > 0 {
        assert_eq!(line, "+OK\r\n");
        line.clear();
        acknowledged += 1;
        all.fetch_add(1, Ordering::Relaxed);
    }
    let _ = reader.into_inner().shutdown(Shutdown::Both);
    writing.join().unwrap();
    acknowledged
}

#[test]
fn sigterm_in_the_middle_of_pipelines_loses_nothing_acknowledged() {
    for level in ["interval", "commit"] {
        let directory = Directory::new();
        let data = directory.file("data");
        let args = [
            "--data",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--database",
            "default=hash",
            "--durability",
            level,
        ];
        let mut served = Served::with(&args);
        let all = AtomicUsize::new(0);
        let acknowledged: Vec<usize> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|client| {
                    let (stream, all) = (served.connect(), &all);
                    scope.spawn(move || write_until_the_end(stream, client, all))
                })
                .collect();
            wait_until("writes are acknowledged", || {
                all.load(Ordering::Relaxed) > 5000
            });
            served.signal("TERM");
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect()
        });
        assert_eq!(served.status(), Some(0), "{level}");

        let served = Served::with(&args);
        for (client, count) in acknowledged.into_iter().enumerate() {
            let stream = served.connect();
            let mut reader = BufReader::new(&stream);
            let mut gets = Vec::new();
            for number in 0..count {
                write!(gets, "GET {client}-{number}\r\n").unwrap();
            }
            std::thread::scope(|scope| {
                scope.spawn(|| (&stream).write_all(&gets).unwrap());
                for number in 0..count {
                    let value = format!("value-{client}-{number}");
                    let expected = format!("${}\r\n{value}\r\n", value.len());
                    let mut answer = vec![0; expected.len()];
                    reader.read_exact(&mut answer).unwrap();
                    assert_eq!(String::from_utf8_lossy(&answer), expected, "{level}");
                }
            });
        }
    }
}

#[test]
fn sighup_reopens_the_log_and_connections_live_on_unlogged() {
    let directory = Directory::new();
    let (log, old) = (directory.file("log"), directory.file("log.old"));
    let data = directory.file("data");
    let mut served = Served::with(&["--data", &data, "--listen", "127.0.0.1:0", "--log", &log]);
    let stream = served.connect();
    ping(&stream);
    for _ in 0..200 {
        ping(&served.connect());
    }
    std::fs::rename(&log, &old).unwrap();
    served.signal("HUP");
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    wait_until("the log is reopened", || read(&log).contains("reopened"));
    ping(&stream);
    served.signal("TERM");
    assert_eq!(served.status(), Some(0));
    assert_eq!(read(&old).lines().count(), 1, "{}", read(&old));
    assert!(read(&old).contains("listens on"));
    assert!(read(&log).contains("stopped"));
}

#[test]
fn what_cannot_be_opened_ends_the_start_with_status_1_and_wrong_usage_with_2() {
    let directory = Directory::new();
    let data = directory.file("data");
    let check = |args: &[&str], status: i32, expected: &str| {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(args);
        let output = hakone(&all).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
        assert!(text.contains(expected), "{args:?}: {text}");
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&["--data", &data, "--listen", &address], 1, "in use");
    check(&["--data", &data, "--admin", &address], 1, "in use");
    check(
        &["--data", &data, "--listen", "no.such.host.invalid:1"],
        1,
        "cannot listen",
    );
    let file = directory.file("file");
    std::fs::write(&file, "color = 'red'").unwrap();
    check(&["--data", &file], 1, &file);
    check(
        &["--data", &data, "--log", &directory.file("none/log")],
        1,
        "log file",
    );
    check(
        &["--data", &data, "--config", &directory.file("none")],
        1,
        "configuration",
    );
    check(&["--config", &file], 2, "color");
    check(&["--database", "a=table"], 2, "not yet in this version");
    let form = "a=tree,comparator=size";
    check(&["--database", form], 2, "use bytes, decimal,");
    check(
        &["--database", "a=hash", "--database", "a=tree"],
        2,
        "twice",
    );
    check(
        &["--durability", "always"],
        2,
        "process, interval or commit",
    );
    check(&["--listen", "gopher://127.0.0.1:1"], 2, "gopher");
    check(&["--threads", "0"], 2, "threads");

    let served = Served::with(&["--data", &data, "--listen", "127.0.0.1:0"]);
    check(&["--data", &data], 1, &served.child.id().to_string());
    drop(served);
    check(
        &["--data", &data, "--database", "default=hash"],
        1,
        "database default=hash",
    );
}

#[test]
fn the_file_the_environment_and_the_flags_are_heard_in_this_order() {
    let directory = Directory::new();
    let (data, socket) = (directory.file("data"), directory.file("socket"));
    let toml = directory.file("hakone.toml");
    let text = format!(
        "data = '{data}'\nlisten = ['127.0.0.1:0', 'redis://unix:{socket}']\n\
         durability = 'commit'\ndatabase = ['words=tree', 'cache=hash,memory=true']\n\
         memory = '64MiB'\nthreads = 1\n"
    );
    std::fs::write(&toml, text).unwrap();
    let mut command = hakone(&["--database", "words=tree"]);
    command.envs(HashMap::from([
        ("HAKONE_CONFIG", toml.as_str()),
        ("HAKONE_DURABILITY", "process"),
        ("HAKONE_DATABASE", "other=hash another=tree"),
    ]));
    let mut served = Served::start(command);
    let expected = format!(
        ", redis://unix:{socket}; data in {data}, databases words=tree, durability process"
    );
    assert!(served.banner.ends_with(&expected), "{}", served.banner);
    ping(&served.connect());
    served.signal("INT");
    assert_eq!(served.status(), Some(0));
    assert!(!Path::new(&socket).exists());
}
