//! What the tests of the command share: a directory, the command itself, and a server of our own.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The command under test.
pub(crate) const HAKONE: &str = env!("CARGO_BIN_EXE_hakone");

/// A directory of this test's own, removed with all that is in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hakone-cli-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, as text.
    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.0.join(name), content).unwrap();
        self.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) error: String,
}

impl Ended {
    /// Checks the exit status, and says what the command said if it is another.
    #[track_caller]
    pub(crate) fn with(self, status: i32) -> Ended {
        assert_eq!(self.status, status, "{}", self.error);
        self
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

/// Runs a command to its end with this on standard input.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A command that does not read its input closes it; that is its right.
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    Ended {
        status: output.status.code().unwrap(),
        out: output.stdout,
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A database that commands are run on: of a server, or of a cabinet at rest.
pub(crate) struct Place {
    arguments: Vec<String>,
    server: Option<Server>,
    folder: Folder,
}

impl Place {
    /// A cabinet at rest, not made yet.
    pub(crate) fn at_rest() -> Place {
        let folder = Folder::new();
        Place {
            arguments: vec!["--data".to_owned(), folder.join("data")],
            server: None,
            folder,
        }
    }

    /// A server with these databases.
    pub(crate) fn server(databases: &[&str]) -> Place {
        let folder = Folder::new();
        let server = Server::start(&folder, databases);
        Place {
            arguments: vec!["--server".to_owned(), server.address()],
            server: Some(server),
            folder,
        }
    }

    /// Both, each with a tree.
    pub(crate) fn both() -> [Place; 2] {
        [Place::at_rest(), Place::server(&["default=tree"])]
    }

    /// Both, each with a database that is made like this.
    pub(crate) fn both_of(form: &str) -> [Place; 2] {
        let at_rest = Place::at_rest();
        at_rest.run(&["import", "--kind", form]).with(0);
        [at_rest, Place::server(&[&format!("default={form}")])]
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Runs a verb on it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.feed(arguments, b"")
    }

    /// Runs a verb on it with this on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut command = Command::new(HAKONE);
        run(command.arg(verb).args(&self.arguments).args(rest), input)
    }

    /// Runs a verb of one or several words on it.
    pub(crate) fn run_below(&self, verb: &[&str], arguments: &[&str]) -> Ended {
        let mut command = Command::new(HAKONE);
        run(
            command.args(verb).args(&self.arguments).args(arguments),
            b"",
        )
    }

    pub(crate) fn is_server(&self) -> bool {
        self.server.is_some()
    }
}

/// `hakone serve` on a Unix socket, killed in the end.
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    pub(crate) fn start(folder: &Folder, databases: &[&str]) -> Server {
        let socket = folder.path().join("socket");
        let mut command = Command::new(HAKONE);
        command
            .args(["serve", "--threads", "1", "--data", &folder.join("data")])
            .args(["--listen", &format!("unix:{}", socket.display())]);
        for database in databases {
            command.args(["--database", database]);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // It says on standard error when it serves; it listens a little before that.
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        while !said.contains(" listens on ") {
            let bytes = lines.read_line(&mut said).unwrap();
            assert!(bytes > 0, "the server has ended: {said}");
        }
        // What it says later goes nowhere, and does not stop it.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Server { child, socket }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of another kind on a Unix socket, killed in the end.
pub(crate) struct Peer {
    child: Child,
    url: String,
}

impl Peer {
    /// A Redis without persistence.
    pub(crate) fn redis(folder: &Folder) -> Peer {
        let socket = folder.join("redis");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--unixsocket", &socket, "--dir"])
            .arg(folder.path())
            .args(["--save", "", "--daemonize", "no"]);
        Peer::start(command, format!("redis://unix:{socket}"), "eady to accept")
    }

    /// A memcached for items of up to 1 MiB.
    pub(crate) fn memcached(folder: &Folder) -> Peer {
        let socket = folder.join("memcached");
        let mut command = Command::new("memcached");
        command.args(["-s", &socket, "-vv", "-u", "root"]);
        Peer::start(
            command,
            format!("memcached://unix:{socket}"),
            "server listening",
        )
    }

    /// Starts it and waits until it says so.
    fn start(mut command: Command, url: String, ready: &str) -> Peer {
        // Both say it on one of the two, and each in its own order: they share a pipe.
        let (said, says) = std::io::pipe().unwrap();
        let says_too = says.try_clone().unwrap();
        let child = command.stdout(says).stderr(says_too).spawn().unwrap();
        drop(command);
        let mut lines = BufReader::new(said);
        let mut line = String::new();
        while !line.contains(ready) {
            assert!(lines.read_line(&mut line).unwrap() > 0, "{line}");
        }
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Peer { child, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends bytes, and reads until what came ends with `end`.
    pub(crate) fn tell(&self, request: &[u8], end: &str) {
        let (_, path) = self.url.split_once("unix:").unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        let timeout = std::time::Duration::from_mins(1);
        stream.set_read_timeout(Some(timeout)).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            let mut some = [0; 4096];
            let bytes = std::io::Read::read(&mut stream, &mut some).unwrap();
            assert!(bytes > 0, "{}", answer.escape_ascii());
            answer.extend_from_slice(&some[..bytes]);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of TSV in key order.
pub(crate) fn lines(count: u32) -> String {
    (0..count).fold(String::new(), |mut lines, number| {
        writeln!(lines, "key{number:08}\t{number}").unwrap();
        lines
    })
}
