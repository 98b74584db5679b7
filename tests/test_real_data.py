"""Real data through every protocol: with real clients, and with `hakone import` and `export`."""

import base64
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import corpus
from support.peers import Memcached, Redis
from support.server import HAKONE, Server, die_with_parent, environment
from support.tyrant import batches

PROTOCOLS = ("redis", "memcached", "tyrant", "tycoon", "http")


class RealData(unittest.TestCase):
    """Everything goes in over one protocol and comes out over each."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.records = corpus.records()

    def serve(self, kind):
        return self.enterContext(Server(self.directory, "--database", f"main={kind}"))

    def test_a_tree_filled_over_redis(self):
        server = self.serve("tree")
        self.load_redis(server)
        self.check(server)
        self.check_order(server)
        self.check_restart(server)

    def test_a_hash_filled_over_tyrant(self):
        server = self.serve("hash")
        self.load_tyrant(server)
        self.check(server)
        self.check_restart(server)

    def load_redis(self, server):
        with server.redis() as db:
            for part in batches(self.records.items(), 2000):
                pipeline = db.pipeline(transaction=False)
                for key, value in part:
                    pipeline.set(key, value)
                self.assertTrue(all(pipeline.execute()))

    def load_tyrant(self, server):
        with server.tyrant_tcp() as db:
            db.put_all(self.records.items())

    def check(self, server):
        """Every record over both protocols, and each protocol's own list of keys."""
        self.check_redis(server)
        self.check_tyrant(server)

    def check_redis(self, server):
        with server.redis() as db:
            self.assertEqual(db.dbsize(), len(self.records))
            for part in batches(self.records, 2000):
                self.assertEqual(db.mget(part), [self.records[key] for key in part])
            scanned = list(db.scan_iter(count=5000))
            self.assertEqual(len(scanned), len(self.records), "a key was scanned twice")
            self.assertEqual(set(scanned), self.records.keys())

    def check_tyrant(self, server):
        with server.tyrant() as db:
            self.assertEqual(db.rnum(), len(self.records))
            for part in batches(self.records, 2000):
                self.assertEqual(db.mget(part), {key: self.records[key] for key in part})
            self.assertEqual(set(db.fwmkeys(b"package/")), corpus.packages().keys())

    def check_order(self, server):
        """A tree gives its keys in byte order."""
        with server.tyrant() as db:
            words = db.fwmkeys(b"word/z")
            expected = sorted(key for key in self.records if key.startswith(b"word/z"))
            self.assertEqual(words, expected)
            self.assertEqual(db.fwmkeys(b"word/", 100), sorted(corpus.words())[:100])

    def check_restart(self, server):
        self.assertEqual(server.stop(), 0, server.log())
        seconds = server.start()
        self.check_tyrant(server)
        print(f"{len(self.records)} records, {server.disk_bytes() >> 20} MiB on disk, "
              f"opened in {seconds:.2f} s ...", end=" ")


class Moved(unittest.TestCase):
    """`hakone import` and `export` over every protocol, compared record by record."""

    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.records = corpus.records()
        self.file = self.directory / "corpus.jsonl"
        with open(self.file, "w") as file:
            for key, value in self.records.items():
                file.write(json.dumps(field("key", key) | field("value", value)) + "\n")

    def serve(self, name, kind):
        directory = self.directory / name
        directory.mkdir()
        return self.enterContext(Server(directory, "--database", f"main={kind}"))

    def hakone(self, *words):
        """Runs a verb that must do all it was asked for, and tells what it says in the end."""
        done = subprocess.run(
            [HAKONE, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=environment(), preexec_fn=die_with_parent, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr.strip()

    def check(self, url):
        """What comes out there is what went in."""
        file = self.directory / "out.jsonl"
        self.hakone("export", "--server", url, file)
        with open(file) as lines:
            came = dict(map(record, lines))
        # Not assertEqual: it would print both.
        self.assertTrue(came == self.records, f"{url}: {len(came)} records came, others than went")

    def test_what_one_protocol_writes_every_other_one_lists(self):
        # Each writes once and lists twice, so that no two stand only beside each other.
        for number, protocol in enumerate(PROTOCOLS):
            kind = ("tree", "hash")[number % 2]
            server = self.serve(protocol, kind)
            address = f"127.0.0.1:{server.port}"
            with self.subTest(writes=protocol, kind=kind):
                self.hakone("import", self.file, "--server", f"{protocol}://{address}")
                for step in (1, 2):
                    lists = PROTOCOLS[(number + step) % len(PROTOCOLS)]
                    self.check(f"{lists}://{address}")
            server.kill()

    def test_the_way_through_the_old_servers(self):
        """Out of a Redis into a memcached, and out of that into Hakone."""
        redis = self.enterContext(Redis(self.directory))
        memcached = self.enterContext(Memcached())
        server = self.serve("new", "hash")
        new = f"hakone://127.0.0.1:{server.port}"
        self.hakone("import", self.file, "--server", redis.url)
        self.check(redis.url)
        self.hakone("import", redis.url, "--server", memcached.url)
        said = self.hakone("import", memcached.url, "--server", new)
        self.check(new)
        print(said, end=" ")


def field(name, data):
    """A key or a value as JSON lines have it."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def record(line):
    """The key and the value of a line."""
    fields = json.loads(line)

    def part(name):
        text = fields.get(name)
        return text.encode() if text is not None else base64.b64decode(fields[f"{name}_base64"])

    return part("key"), part("value")
