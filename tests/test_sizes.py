"""Values of every size, keys at their limit, and many records with what each costs."""

import random
import selectors
import tempfile
import unittest

import redis

from support.server import FULL, Server, eventually
from support.tyrant import put

MIB = 1 << 20
VALUE_BYTES_MAX = 32 * MIB
KEY_BYTES_MAX = 64 << 10

MANY = 2_000_000 if FULL else 200_000
PLAIN_CONNECTIONS = 50


class Sizes(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())

    def test_values_of_0_bytes_to_32_mib_in_a_hash(self):
        self.check_values("hash")

    def test_values_of_0_bytes_to_32_mib_in_a_tree(self):
        self.check_values("tree")

    def test_values_of_0_bytes_to_32_mib_in_memory(self):
        self.check_values("hash,memory=true", restart=False)

    def check_values(self, kind, restart=True):
        server = self.enterContext(Server(self.directory, "--database", f"main={kind}"))
        noise = random.Random(7).randbytes(VALUE_BYTES_MAX + 1)
        sizes = {0, 1, 255, 256, VALUE_BYTES_MAX}
        for power in range(10, 25):
            sizes |= {2**power - 1, 2**power, 2**power + 1}
        sizes |= {random.Random(8).randrange(VALUE_BYTES_MAX) for _ in range(5)}
        expected = {}
        with server.redis() as r, server.tyrant() as t:
            for size in sorted(sizes):
                over_redis, over_tyrant = b"r%d" % size, b"t%d" % size
                expected[over_redis] = noise[:size]
                expected[over_tyrant] = noise[-size:] if size else b""
                self.assertTrue(r.set(over_redis, expected[over_redis]))
                self.assertTrue(t.put(over_tyrant, expected[over_tyrant]))
            self.check_all(r, t, expected)
            self.check_too_large(r, t, noise)
            self.check_keys(r, t)
        if restart:
            server.kill()
            server.start()
            with server.redis() as r, server.tyrant() as t:
                self.check_all(r, t, expected)

    def check_all(self, r, t, expected):
        for key, value in expected.items():
            # assertEqual would print what differs: 32 MiB of it.
            self.assertTrue(r.get(key) == value, f"redis, {key}")
            self.assertTrue(t.get(key) == value, f"tyrant, {key}")
            self.assertEqual(r.strlen(key), len(value))
            self.assertEqual(t.vsiz(key), len(value))

    def check_too_large(self, r, t, noise):
        """One byte too many is refused with an error, and the server goes on."""
        self.assertEqual(len(noise), VALUE_BYTES_MAX + 1)
        with self.assertRaises(redis.ResponseError):
            r.set("large", noise)
        self.assertFalse(t.put(b"large", noise))
        self.assertIsNone(t.get(b"large"))
        self.assertFalse(r.exists("large"))
        # A record grows into the limit, too.
        self.assertTrue(t.put(b"grown", noise[:-1]))
        self.assertFalse(t.putcat(b"grown", b"x"))
        with self.assertRaises(redis.ResponseError):
            r.append("grown", b"x")
        self.assertEqual(t.vsiz(b"grown"), VALUE_BYTES_MAX)
        self.assertTrue(t.out(b"grown"))

    def check_keys(self, r, t):
        for size in (0, 1, KEY_BYTES_MAX):
            key = b"k" * size
            self.assertTrue(t.put(key, b"tyrant"))
            self.assertEqual(r.get(key), b"tyrant")
            self.assertTrue(r.set(key, b"redis"))
            self.assertEqual(t.get(key), b"redis")
            self.assertTrue(t.out(key))
        key = b"k" * (KEY_BYTES_MAX + 1)
        self.assertFalse(t.put(key, b""))
        with self.assertRaises(redis.ResponseError):
            r.set(key, b"")
        self.assertEqual(t.get(b"t1"), r.get("t1"))


class Many(unittest.TestCase):
    """Many records of 100 bytes: 16 of key, 84 of value."""

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.server = Server(directory)
        self.addCleanup(self.server.kill)

    def test_one_pipelined_connection_into_a_hash(self):
        self.load("hash", self.pipelined)

    def test_one_pipelined_connection_into_a_tree(self):
        self.load("tree", self.pipelined)

    def test_fifty_plain_connections_into_a_hash(self):
        self.load("hash", self.plain)

    def test_fifty_plain_connections_into_a_tree(self):
        self.load("tree", self.plain)

    def load(self, kind, run):
        server = self.server
        server.flags = ["--database", f"main={kind}"]
        server.start()
        memory, disk = server.memory_bytes(), server.disk_bytes()
        run()
        with server.tyrant() as db:
            self.assertEqual(db.rnum(), MANY)
            for number in random.Random(3).sample(range(MANY), 1000):
                key, value = self.record(number)
                self.assertEqual(db.get(key), value)
            self.assertTrue(db.sync())
        memory, disk = server.memory_bytes() - memory, server.disk_bytes() - disk
        print(f"{MANY} records, each {memory / MANY:.0f} B of memory and "
              f"{disk / MANY:.0f} B on disk ...", end=" ")

    def record(self, number):
        """Keys in no order."""
        scattered = number * 0x9E3779B97F4A7C15 % 2**64
        return b"%016x" % scattered, b"%084d" % number

    def pipelined(self):
        with self.server.tyrant_tcp() as db:
            db.put_all((self.record(number) for number in range(MANY)), 2000)

    def plain(self):
        """Each connection waits for its answer before it sends the next request."""
        selector = self.enterContext(selectors.DefaultSelector())
        numbers = iter(range(MANY))
        for _ in range(PLAIN_CONNECTIONS):
            connection = self.enterContext(self.server.tyrant_tcp()).socket
            connection.sendall(put(*self.record(next(numbers))))
            selector.register(connection, selectors.EVENT_READ)
        waiting = PLAIN_CONNECTIONS
        while waiting:
            for ready, _ in selector.select():
                self.assertEqual(ready.fileobj.recv(16), b"\0")
                number = next(numbers, None)
                if number is None:
                    waiting -= 1
                else:
                    ready.fileobj.sendall(put(*self.record(number)))


class Overwriting(unittest.TestCase):
    def test_overwriting_forever_keeps_the_disk_within_a_bound(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        server = self.enterContext(Server(directory, "--database", "main=hash"))
        value = random.Random(5).randbytes(1000)
        live = 20_000 * len(value)
        rounds = 60 if FULL else 20
        with server.tyrant() as db:
            for _ in range(rounds):
                db.put_all((b"%d" % number, value) for number in range(20_000))
            written = rounds * live
            bound = 5 * live + 200 * MIB
            self.assertGreater(written, bound)
            eventually(lambda: server.disk_bytes() < bound, "the disk is within its bound", 60)
            self.assertEqual(db.rnum(), 20_000)
        print(f"{written >> 20} MiB written, {live >> 20} live, "
              f"{server.disk_bytes() >> 20} on disk ...", end=" ")
