"""pymemcache, as people use it, on one port with everything else."""

import tempfile
import time
import unittest

from pymemcache.client.base import Client, PooledClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError, MemcacheUnknownCommandError
from pymemcache.serde import pickle_serde

from support.server import Server, eventually

# The largest value, and the numbers at the end of those that counters hold.
VALUE_BYTES_MAX = 32 << 20
COUNT_MAX = 2 ** 64 - 1


class Memcached(unittest.TestCase):
    KIND = "tree"

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.server = self.enterContext(Server(directory, "--database", f"main={self.KIND}"))

    def client(self, **options):
        options.setdefault("default_noreply", False)
        client = Client(("127.0.0.1", self.server.port), timeout=60, connect_timeout=60, **options)
        self.addCleanup(client.close)
        return client

    def test_the_commands(self):
        db = self.client()
        self.assertTrue(db.version().startswith(b"1."))
        self.assertTrue(db.set("a", "1"))
        self.assertTrue(db.add("b", "2"))
        self.assertFalse(db.add("b", "3"))
        self.assertTrue(db.replace("b", "4"))
        self.assertFalse(db.replace("nothing", "4"))
        self.assertTrue(db.append("b", ">"))
        self.assertTrue(db.prepend("b", "<"))
        self.assertFalse(db.append("nothing", ">"))
        self.assertEqual(db.get("b"), b"<4>")
        self.assertIsNone(db.get("nothing"))
        self.assertEqual(db.get("nothing", "default"), "default")
        self.assertTrue(db.delete("b"))
        self.assertFalse(db.delete("b"))
        self.assertTrue(db.touch("a", 100))
        self.assertFalse(db.touch("nothing", 100))
        # It has no words for these.
        self.assertEqual(db.raw_command(b"gat 100 a nothing", b"END\r\n"), b"VALUE a 0 1\r\n1\r\n")
        self.assertRegex(db.raw_command(b"gats 100 a", b"END\r\n"), rb"^VALUE a 0 1 \d+\r\n1\r\n$")
        self.assertEqual(db.raw_command(b"verbosity 1"), b"OK")
        self.assertTrue(db.flush_all())
        self.assertIsNone(db.get("a"))
        db.quit()

    def test_cas(self):
        db = self.client()
        db.set("a", "1")
        value, cas = db.gets("a")
        self.assertEqual(value, b"1")
        self.assertTrue(db.cas("a", "2", cas))
        self.assertFalse(db.cas("a", "3", cas))
        self.assertIsNone(db.cas("nothing", "3", cas))
        self.assertEqual(db.get("a"), b"2")
        found = db.gets_many(["a", "nothing"])
        self.assertEqual(list(found), ["a"])
        self.assertTrue(db.cas("a", "4", found["a"][1]))

    def test_flags_survive(self):
        db = self.client(serde=pickle_serde)
        values = {"text": "gruezi", "bytes": b"\0\r\n", "number": 7, "list": [1, {"a": None}]}
        for key, value in values.items():
            self.assertTrue(db.set(key, value))
        self.assertEqual(db.get_many(values), values)
        plain = self.client()
        self.assertTrue(plain.set("flags", b"1", flags=2 ** 32 - 1))
        self.assertTrue(plain.append("flags", b"2"))
        with self.server.socket() as s:
            s.sendall(b"get flags\r\n")
            self.assertEqual(s.recv(100), b"VALUE flags 4294967295 2\r\n12\r\nEND\r\n")

    def test_many_keys(self):
        db = self.client()
        values = {f"key:{number}": b"%d" % number for number in range(5000)}
        self.assertEqual(db.set_many(values), [])
        self.assertEqual(db.get_many(list(values) + ["nothing"]), values)
        self.assertTrue(db.delete_many(values))
        self.assertEqual(db.get_many(values), {})

    def test_counters(self):
        db = self.client()
        db.set("n", "10")
        self.assertEqual(db.incr("n", 5), 15)
        self.assertEqual(db.decr("n", 20), 0)
        self.assertIsNone(db.incr("nothing", 1))
        db.set("n", str(COUNT_MAX))
        self.assertEqual(db.decr("n", 1), COUNT_MAX - 1)
        self.assertEqual(db.incr("n", 1), COUNT_MAX)
        self.assertEqual(db.incr("n", 1), 0)
        db.set("text", "abc")
        with self.assertRaisesRegex(MemcacheClientError, "non-numeric"):
            db.incr("text", 1)
        with self.server.redis() as r:
            r.incrby("shared", 41)
            self.assertEqual(db.incr("shared", 1), 42)

    def test_without_replies(self):
        db = self.client(default_noreply=True)
        for number in range(2000):
            db.set(f"key:{number}", b"%d" % number)
            db.add("added", b"1")
        db.incr("added", 6, noreply=True)
        self.assertEqual(db.get("key:1999"), b"1999")
        self.assertEqual(db.get("added"), b"7")
        db.delete("added")
        db.flush_all()
        self.assertIsNone(db.get("key:0"))

    def test_large_values(self):
        db = self.client()
        value = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
        self.assertTrue(db.set("large", value))
        self.assertEqual(db.get("large"), value)
        with self.assertRaisesRegex(MemcacheServerError, "too large"):
            db.set("large", value + b"!")
        # The connection lives on, and the old value is gone.
        self.assertIsNone(db.get("large"))
        self.assertTrue(db.set("large", b""))
        self.assertEqual(db.get("large"), b"")

    def test_records_expire(self):
        db = self.client()
        self.assertTrue(db.set("soon", "1", expire=1))
        self.assertTrue(db.set("past", "1", expire=-1))
        self.assertTrue(db.set("calendar", "1", expire=int(time.time()) + 1000))
        self.assertTrue(db.set("month", "1", expire=30 * 24 * 60 * 60))
        self.assertIsNone(db.get("past"))
        with self.server.redis() as r:
            self.assertTrue(990 < r.ttl("calendar") <= 1000)
            self.assertTrue(2_591_990 < r.ttl("month") <= 2_592_000)
        eventually(lambda: db.get("soon") is None, "a record expires")
        self.assertEqual(db.get("calendar"), b"1")

    def test_a_delayed_flush(self):
        db = self.client()
        self.assertTrue(db.flush_all(delay=1))
        self.assertTrue(db.set("a", "1"))
        with self.server.redis() as r:
            eventually(lambda: r.dbsize() == 0, "the flush is carried out")
        self.assertTrue(db.set("a", "1"))
        self.assertEqual(db.get("a"), b"1")

    def test_stats_and_dumps(self):
        db = self.client()
        db.set("a:b", "1")
        db.get("a:b")
        stats = db.stats()
        self.assertEqual(stats[b"curr_items"], 1)
        self.assertEqual(stats[b"get_hits"], 1)
        self.assertEqual(stats[b"pid"], self.server.process.pid)
        self.assertEqual(db.stats("settings")[b"item_size_max"], VALUE_BYTES_MAX)
        self.assertEqual(db.stats("items")[b"items:1:number"], 1)
        self.assertEqual(db.raw_command(b"stats cachedump 1 0", b"END\r\n"),
                         b"ITEM a:b [1 b; 0 s]\r\n")
        self.assertRegex(db.raw_command(b"lru_crawler metadump all", b"END\r\n"),
                         rb"^key=a%3Ab exp=-1 la=\d+ cas=\d+ fetch=no cls=1 size=4\n$")

    def test_errors_leave_the_connection_usable(self):
        db = self.client()
        with self.assertRaises(MemcacheUnknownCommandError):
            db.raw_command(b"get")
        with self.assertRaisesRegex(MemcacheClientError, "bad command line format"):
            db.raw_command(b"get a\0b")
        self.assertTrue(db.set("a", "1"))
        with self.server.socket() as s:
            s.sendall(b"set a 0 0 1\r\nlong\r\nversion\r\n")
            expected = b"CLIENT_ERROR bad data chunk\r\nVERSION 1.6.18\r\n"
            self.assertEqual(s.recv(len(expected)), expected)

    def test_a_pool(self):
        pool = PooledClient(("127.0.0.1", self.server.port), max_pool_size=4)
        self.addCleanup(pool.close)
        self.assertTrue(pool.set("a", "1", noreply=False))
        self.assertEqual(pool.get("a"), b"1")


class MemcachedOfAHash(Memcached):
    KIND = "hash"


class MemcachedOfMemory(Memcached):
    KIND = "hash,memory=true"
