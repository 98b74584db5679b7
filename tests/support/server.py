"""A `hakone serve` of our own: started on free places, killed whatever happens."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis

from support.tyrant import Tyrant

HAKONE = os.environ["HAKONE"]
FULL = os.environ.get("HAKONE_FULL") == "1"
ROOT = Path(__file__).resolve().parents[2]

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60

PR_SET_PDEATHSIG = 1


def die_with_parent():
    """Runs in a child before it becomes the server: no server outlives a killed test run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def environment():
    """Our environment without what configures a server."""
    return {k: v for k, v in os.environ.items() if not k.startswith("HAKONE_")}


def free_port():
    """A TCP port that nobody listens on. Another process may take it before it is used."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def eventually(holds, what, seconds=20):
    """Waits until `holds()` is true, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        result = holds()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


class Server:
    """A server on a Unix socket and a TCP port, with its data below `directory`."""

    def __init__(self, directory, *flags):
        self.directory = Path(directory)
        self.data = self.directory / "data"
        self.socket_path = self.directory / "socket"
        self.log_path = self.directory / "log"
        self.flags = list(flags)
        self.port = free_port()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def command(self):
        return [
            HAKONE, "serve", "--data", str(self.data),
            "--listen", f"unix:{self.socket_path}",
            "--listen", f"127.0.0.1:{self.port}",
            *self.flags,
        ]

    def start(self):
        """Starts it and waits until it answers. Returns the seconds that took."""
        started = time.monotonic()
        self.spawn()
        eventually(self._answers, "the server answers", START_SECONDS_MAX)
        return time.monotonic() - started

    def spawn(self):
        """Starts it."""
        assert self.process is None, "started twice"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(), preexec_fn=die_with_parent,
            )

    def start_and_kill(self, seconds):
        """Starts it, and kills it that long after, wherever it has got to by then."""
        self.spawn()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
        self.process = None
        raise AssertionError(f"the server ended with {status}:\n{self.log()}")

    def _answers(self):
        status = self.process.poll()
        if status is not None:
            self.process = None
            raise AssertionError(f"the server ended with {status}:\n{self.log()}")
        try:
            with self.socket() as s:
                s.sendall(b"PING\r\n")
                return s.recv(64) == b"+PONG\r\n"
        except OSError:
            return False

    def kill(self):
        """SIGKILL, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_SECONDS_MAX)
        self.process = None
        return status

    def log(self):
        return self.log_path.read_text(errors="replace")

    def socket(self):
        """A connection to its Unix socket."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(str(self.socket_path))
        return s

    def tyrant(self):
        """A Tyrant client over the Unix socket."""
        return Tyrant(self.socket())

    def tcp(self):
        """A connection to its TCP port."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def tyrant_tcp(self):
        """A Tyrant client over TCP."""
        return Tyrant(self.tcp())

    def redis(self, **options):
        """A redis-py client over TCP."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=60, **options)

    def memory_bytes(self):
        """Its resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def descriptors(self):
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def disk_bytes(self):
        """What its data take on the disk, as `du` counts."""
        files = [p for p in self.data.rglob("*") if p.is_file()]
        total = 0
        for path in files:
            try:
                total += path.stat().st_blocks * 512
            except FileNotFoundError:
                pass  # Compaction has just given it free.
        return total


def refused(*arguments):
    """Runs a `hakone` that must end by itself with an error; returns its status and its words."""
    done = subprocess.run(
        [HAKONE, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
        env=environment(), preexec_fn=die_with_parent, timeout=30,
    )
    assert done.returncode > 0, f"ended with {done.returncode}"
    return done.returncode, done.stderr.decode()
