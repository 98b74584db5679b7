"""SIGKILL in the middle of a load: what was acknowledged is there, and nothing is half there.

What the clients know of it is told in `support/writers.py`. The cabinet lives on from kill to kill,
under all three durability levels in turn. Some kills are followed by more while the server starts, in
the middle of its recovery.
"""

import os
import random
import tempfile
import threading
import unittest
from collections import Counter

from support import corpus
from support.server import FULL, Server
from support.tyrant import batches
from support.writers import (
    HttpClient, MemcachedClient, RedisClient, TransactionClient, TycoonClient, TyrantClient)

KILLS = 70 if FULL else 7  # of each of three cabinets
FIRST_LOAD = 200_000 if FULL else 20_000
LEVELS = ("process", "interval", "commit")

# How many operations are acknowledged before a kill, at most. A commit waits for the disk.
ACKNOWLEDGED_MAX = {"process": 20_000, "interval": 20_000, "commit": 2_000}


class Killing:
    """What kills of any set of clients share."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        # The long version tries other moments each time.
        seed = random.randrange(2**32) if FULL else 1
        self.seed = int(os.environ.get("HAKONE_SEED", seed))
        self.random = random.Random(self.seed)

    def kill_again_and_again(self, clients, *databases):
        server = Server(self.directory)
        self.addCleanup(server.kill)
        acknowledged = 0
        opened = []
        for number in range(KILLS):
            level = LEVELS[number % len(LEVELS)]
            server.flags = ["--durability", level]
            for database in databases:
                server.flags += ["--database", database]
            try:
                for _ in range(self.random.choice((0, 0, 1, 2))):
                    server.start_and_kill(self.random.uniform(0, max(opened, default=0.1)))
                opened.append(server.start())
                if number == 0:
                    self.first_load(server, clients)
                else:
                    self.check(server, clients)
                acknowledged += self.load_and_kill(server, clients, level)
            except Exception as error:
                error.add_note(f"kill {number} of {databases} at level {level}, seed {self.seed}")
                raise
        opened.append(server.start())
        self.check(server, clients)
        written = sum(client.written_bytes for client in clients)
        print(f"seed {self.seed}: {KILLS} kills, {acknowledged} operations acknowledged, 0 lost; "
              f"opened in {max(opened):.2f} s at most; {written >> 20} MiB written, "
              f"{server.disk_bytes() >> 20} on disk ...", end=" ")

    def clients(self, kinds, records):
        """A client of each kind, with so many first records divided among them."""
        records = self.random.sample(sorted(corpus.records().items()), records)
        return [
            kind(records[index::len(kinds)], f"{self.seed}-{index}")
            for index, kind in enumerate(kinds)
        ]

    def first_load(self, server, clients):
        for client in clients:
            with server.redis(db=client.database) as db:
                for part in batches(client.state.items(), 1000):
                    db.mset(dict(part))

    def load_and_kill(self, server, clients, level):
        """Lets the clients write, and kills the server once so many operations are through."""
        goal = self.random.randint(1, ACKNOWLEDGED_MAX[level])
        reached = threading.Event()
        errors = []
        for client in clients:
            client.acknowledged = 0
            client.connect(server)

        def write(client):
            try:
                while True:
                    client.write_batch()
                    if sum(each.acknowledged for each in clients) >= goal:
                        reached.set()
            except Exception as error:
                # Once the server is killed, losing the connection is what must happen.
                if not reached.is_set():
                    errors.append(error)
                    reached.set()

        threads = [threading.Thread(target=write, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        reached.wait()
        server.kill()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
        assert not errors, f"the server failed before it was killed: {errors}\n{server.log()}"
        return sum(client.acknowledged for client in clients)

    def check(self, server, clients):
        """Every record of every client, and that there are no others."""
        there = Counter()
        for client in clients:
            client.settle(client.read_back(server))
            there[client.database] += sum(v is not None for v in client.state.values())
        for database, count in there.items():
            with server.redis(db=database) as db:
                self.assertEqual(db.dbsize(), count)


class Kills(Killing, unittest.TestCase):
    """Two clients each of Redis' and Tyrant's protocols; one of Redis' writes transactions."""

    KINDS = (RedisClient, TyrantClient, TransactionClient, TyrantClient)

    def test_kills_of_a_hash(self):
        self.kill_again_and_again(self.clients(self.KINDS, FIRST_LOAD), "main=hash")

    def test_kills_of_a_tree(self):
        self.kill_again_and_again(self.clients(self.KINDS, FIRST_LOAD), "main=tree")

    def test_kills_of_both_in_one_cabinet(self):
        clients = self.clients(self.KINDS, FIRST_LOAD)
        # Those of Redis write to the second database; both share one log.
        for client in clients[::2]:
            client.database = 1
        self.kill_again_and_again(clients, "main=hash", "other=tree")


class MixedKills(Killing, unittest.TestCase):
    """Writers over all protocols at once; what each wrote is read back over its own protocol, and
    then over another."""

    KINDS = (TyrantClient, TycoonClient, MemcachedClient, HttpClient, RedisClient,
             TransactionClient)
    round = 0

    def test_kills_of_a_hash_under_all_protocols(self):
        self.kill_again_and_again(self.clients(self.KINDS, FIRST_LOAD // 4), "main=hash")

    def test_kills_of_a_tree_under_all_protocols(self):
        self.kill_again_and_again(self.clients(self.KINDS, FIRST_LOAD // 4), "main=tree")

    def check(self, server, clients):
        super().check(server, clients)
        # All agree on the prefix that was settled on.
        self.round += 1
        for index, client in enumerate(clients):
            reader = type(clients[(index + self.round) % len(clients)])(client.state, 0)
            found = reader.read_back(server)
            differs = [key for key, value in client.state.items() if found.get(key) != value]
            self.assertEqual(differs, [], f"{type(reader).__name__} reads otherwise")
