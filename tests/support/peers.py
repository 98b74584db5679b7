"""Servers of other kinds, started on free ports, killed whatever happens."""

import os
import socket
import subprocess

from support.server import die_with_parent, environment, eventually, free_port


class Peer:
    """A server of another kind."""

    SCHEME = ""

    def __init__(self):
        self.port = free_port()
        self.process = None

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=environment(), preexec_fn=die_with_parent)
        eventually(self._answers, f"{self.command()[0]} answers")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _answers(self):
        assert self.process.poll() is None, f"{self.command()[0]} has ended"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60):
                return True
        except OSError:
            return False

    @property
    def url(self):
        return f"{self.SCHEME}://127.0.0.1:{self.port}"


class Redis(Peer):
    """A redis-server without persistence."""

    SCHEME = "redis"

    def __init__(self, directory):
        super().__init__()
        self.directory = directory

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--dir", str(self.directory)]


class Memcached(Peer):
    """A memcached with room for the real data."""

    SCHEME = "memcached"

    def command(self):
        # It refuses to run as root unless it is told to.
        user = ["-u", "root"] if os.geteuid() == 0 else []
        return ["memcached", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "1024", *user]
