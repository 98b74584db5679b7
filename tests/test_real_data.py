"""Real data through both protocols, with real clients, read back over both and after a restart."""

import tempfile
import unittest

from support import corpus
from support.server import Server
from support.tyrant import batches


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
