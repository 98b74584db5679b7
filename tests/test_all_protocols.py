"""One server, and the clients of five protocols at it at the same time."""

import subprocess
import tempfile
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ukt
from pymemcache.client.base import Client as Memcached

from support.server import FULL, Server, die_with_parent, environment

ROUNDS = 200 if FULL else 20
RECORDS = 50  # of each round and client


class AllProtocols(unittest.TestCase):
    KIND = "tree"

    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.server = self.enterContext(Server(self.directory, "--database", f"main={self.KIND}"))

    def test_five_protocols_at_the_same_time(self):
        clients = {
            "redis": self.redis,
            "memcached": self.memcached,
            "tyrant": self.tyrant,
            "tycoon-binary": self.tycoon_binary,
            "tycoon-http": self.tycoon_http,
            "curl": self.curl,
        }
        # So that all of them are at it in each round.
        self.barrier = threading.Barrier(len(clients))
        self.expected = {}
        with ThreadPoolExecutor(len(clients)) as pool:
            for done in [pool.submit(self.run_one, *client) for client in clients.items()]:
                done.result()
        self.check_all()

    def run_one(self, name, client):
        try:
            client(name)
        except Exception:
            self.barrier.abort()
            raise

    def rounds(self, name):
        """The records of each round, once all clients have come to it."""
        for number in range(ROUNDS):
            self.barrier.wait(60)
            records = {f"{name}-{number}-{i}": f"{name} {number * i} " + "x" * (i * 37 % 501)
                       for i in range(RECORDS)}
            yield records
            self.expected |= records

    def redis(self, name):
        with self.server.redis(decode_responses=True) as db:
            for records in self.rounds(name):
                with db.pipeline() as pipeline:
                    for key, value in records.items():
                        pipeline.set(key, value)
                    pipeline.incrby("counter", 3).get(next(iter(records)))
                    replies = pipeline.execute()
                self.assertEqual(replies[-1], next(iter(records.values())))
                self.assertEqual(db.mget(list(records)), list(records.values()))

    def memcached(self, name):
        db = Memcached(("127.0.0.1", self.server.port), timeout=60, default_noreply=False)
        for number, records in enumerate(self.rounds(name)):
            if number == 0:
                db.add("counter", "0")
            self.assertEqual(db.set_many(records), [])
            self.assertIsNotNone(db.incr("counter", 5))
            found = db.get_many(list(records))
            self.assertEqual(found, {key: value.encode() for key, value in records.items()})
        db.close()

    def tyrant(self, name):
        with self.server.tyrant_tcp() as db:
            for records in self.rounds(name):
                records = {key.encode(): value.encode() for key, value in records.items()}
                db.put_all(records.items())
                self.assertEqual(db.mget(list(records)), records)
                self.assertIsNotNone(db.addint(b"number", 7))

    def ukt(self):
        return ukt.KyotoTycoon(host="127.0.0.1", port=self.server.port)

    def tycoon_binary(self, name):
        db = self.ukt()
        for records in self.rounds(name):
            self.assertEqual(db.set_bulk(records), len(records))
            self.assertEqual(db.get_bulk(list(records)), records)
        db.close_all()

    def tycoon_http(self, name):
        db = self.ukt()
        for records in self.rounds(name):
            for key, value in records.items():
                self.assertTrue(db.add(key, value))
            db.increment("sum", 11)
            prefix = next(iter(records)).removesuffix("-0") + "-"
            self.assertEqual(sorted(db.match_prefix(prefix)), sorted(records))
        db.close_all()

    def curl(self, name):
        source = self.directory / "bodies"
        source.mkdir()
        for records in self.rounds(name):
            command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--fail"]
            for key, value in records.items():
                (source / key).write_text(value)
                command += ["--upload-file", str(source / key), self.url(key)]
            self.run_curl(command)
            urls = [self.url(key) for key in records]
            body = self.run_curl(["curl", "--silent", "--noproxy", "*", "--fail", *urls])
            self.assertEqual(body.decode(), "".join(records.values()))

    def url(self, key):
        return f"http://127.0.0.1:{self.server.port}/{key}"

    def run_curl(self, command):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
            env=environment(), preexec_fn=die_with_parent)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check_all(self):
        """Every protocol reads what all of them have written."""
        expected = {key.encode(): value.encode() for key, value in self.expected.items()}
        self.assertEqual(len(expected), 6 * ROUNDS * RECORDS)
        keys = list(expected)
        with self.server.redis() as db:
            self.assertEqual(dict(zip(keys, db.mget(keys))), expected)
            self.assertEqual(int(db.get("counter")), ROUNDS * (3 + 5))
            self.assertEqual(int.from_bytes(db.get("number"), "little"), ROUNDS * 7)
            self.assertEqual(int.from_bytes(db.get("sum"), "big"), ROUNDS * 11)
            self.assertEqual(db.dbsize(), len(expected) + 3)
        with self.server.tyrant_tcp() as db:
            self.assertEqual(db.mget(keys), expected)
        db = Memcached(("127.0.0.1", self.server.port), timeout=60)
        self.assertEqual(db.get_many(keys), expected)
        db.close()
        db = self.ukt()
        self.assertEqual(db.get_bulk(list(self.expected)), self.expected)
        db.close_all()
        some = list(self.expected)[::97]
        body = self.run_curl(["curl", "--silent", "--noproxy", "*", "--fail",
                              *(self.url(key) for key in some)])
        self.assertEqual(body.decode(), "".join(self.expected[key] for key in some))


class AllProtocolsOnAHash(AllProtocols):
    KIND = "hash"


class AllProtocolsInMemory(AllProtocols):
    KIND = "tree,memory=true"
