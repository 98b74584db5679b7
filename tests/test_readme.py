"""What README.md shows is what happens: its commands and snippets run as they stand there.

Only places change: ports become free ones, and the data go to a directory of their own. At the
ports of the old servers there are a Redis, a memcached and, for Tyrant, another Hakone.
"""

import re
import subprocess
import sys
import tempfile
import unittest

from support.peers import Memcached, Redis
from support.server import HAKONE, ROOT, Server, die_with_parent, environment

README = (ROOT / "README.md").read_text()
SERVE = "cargo run --release -- serve"


def blocks():
    """The snippets with their language, in the order of the page."""
    return re.findall(r"^```(console|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Readme(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.server = Server(self.directory)
        self.addCleanup(self.server.kill)

    def old_servers(self):
        """The ports that stand in the README, and those of servers like the ones meant."""
        redis = self.enterContext(Redis(self.enterContext(tempfile.TemporaryDirectory())))
        memcached = self.enterContext(Memcached())
        tyrant = self.enterContext(Server(self.enterContext(tempfile.TemporaryDirectory())))
        with tyrant.tyrant() as db:
            db.put(b"capital", b"Hakone-machi")
        return {1978: self.server.port, 6379: redis.port, 11211: memcached.port,
                2978: tyrant.port}

    def test_the_commands_and_snippets_of_the_readme(self):
        self.assertIn(f"{SERVE}\n", README)
        self.assertIn("cargo xtask ci\n", README)
        # The README's own command, its defaults replaced: port, and place of the data.
        self.server.command = lambda: [
            *SERVE.split(), "--data", str(self.server.data),
            "--listen", f"unix:{self.server.socket_path}",
            "--listen", f"127.0.0.1:{self.server.port}",
        ]
        self.server.start()
        self.assertGreaterEqual(len(blocks()), 6)
        ports = self.old_servers()
        for language, block in blocks():
            with self.subTest(block=block):
                check = self.check_console if language == "console" else self.check_python
                check(re.sub(r"\b(1978|6379|11211|2978)\b",
                             lambda found: str(ports[int(found[0])]), block))

    def check_console(self, block):
        """`$ command` lines, each followed by what it prints."""
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            command = command.replace("target/release/hakone", HAKONE)
            printed = self.run_shown(["sh", "-c", command])
            # On a terminal redis-cli puts strings into quotes and marks numbers; in a pipe not.
            expected = re.sub(r'^(\(integer\) )?"?(.*?)"?$', r"\2", expected, flags=re.MULTILINE)
            self.assertEqual(printed.strip(), expected.strip(), command)

    def check_python(self, block):
        """`print(..)  # what it prints`."""
        printed = self.run_shown([sys.executable, "-c", block])
        expected = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
        self.assertEqual(printed.splitlines(), expected)

    def run_shown(self, command):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
            cwd=self.directory,
            env=environment() | {
                "HAKONE_SERVER": f"127.0.0.1:{self.server.port}", "no_proxy": "127.0.0.1"},
            preexec_fn=die_with_parent)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout
