"""SIGKILL in the middle of a load: what was acknowledged is there, and nothing is half there.

Each client owns a set of keys and remembers what was acknowledged and what was only sent. After a
kill, the records of a client must be as they were after some prefix of what it sent, and that
prefix is no shorter than what was acknowledged. That also catches a batch (MSET) of which a part
was kept. The cabinet lives on from kill to kill, under all three durability levels in turn. Some
kills are followed by more while the server starts, in the middle of its recovery.
"""

import os
import random
import tempfile
import threading
import unittest
from collections import Counter

from redis.backoff import NoBackoff
from redis.retry import Retry

from support import corpus
from support.server import FULL, Server
from support.tyrant import batches, out, put, putcat

KILLS = 70 if FULL else 7  # of each of three cabinets
FIRST_LOAD = 200_000 if FULL else 20_000
LEVELS = ("process", "interval", "commit")

# How many operations are acknowledged before a kill, at most. A commit waits for the disk.
ACKNOWLEDGED_MAX = {"process": 20_000, "interval": 20_000, "commit": 2_000}


class Client:
    """One connection that writes to its own keys until the server dies."""

    database = 0

    def __init__(self, records, seed):
        self.random = random.Random(seed)
        self.state = dict(records)
        self.keys = sorted(self.state)
        self.sent = []  # operations without an answer: lists of (key, value or None)
        self.acknowledged = 0
        self.written_bytes = 0

    def operations(self):
        """A batch of random operations: ("put", key, value), ("mset", {..}) and so on."""
        for _ in range(self.random.choice((1, 3, 40, 300))):
            key = self.random.choice(self.keys)
            kind = self.random.choices(("put", "append", "remove", "mset"), (6, 2, 1, 1))[0]
            if kind == "put":
                yield kind, key, self.value()
            elif kind == "append":
                yield kind, key, b"+%x" % self.random.getrandbits(32)
            elif kind == "remove":
                yield kind, key
            else:
                keys = self.random.sample(self.keys, 5)
                yield kind, {key: self.value() for key in keys}

    def value(self):
        """Mostly small, now and then large enough to fill a good part of a segment."""
        size = self.random.choices((20, 400, 20_000, 300_000), (60, 35, 4, 1))[0]
        size = self.random.randint(0, size)
        self.written_bytes += size
        return self.random.randbytes(size)

    def effect(self, state, operation):
        """Applies an operation to a dict."""
        match operation:
            case ("put", key, value):
                state[key] = value
            case ("append", key, value):
                state[key] = (state.get(key) or b"") + value
            case ("remove", key):
                state[key] = None
            case ("mset", pairs):
                state.update(pairs)

    def answered(self):
        """The oldest operation without an answer has got it."""
        self.effect(self.state, self.sent.pop(0))
        self.acknowledged += 1

    def settle(self, found):
        """Checks what a restarted server has of our keys, and goes on from there."""
        differs = [key for key in self.keys if found.get(key) != self.state.get(key)]
        state = dict(self.state)
        for operation in self.sent:
            if not differs:
                break
            self.effect(state, operation)
            differs = [key for key in differs if found.get(key) != state.get(key)]
            touched = operation[1] if operation[0] == "mset" else operation[1:2]
            differs += [k for k in touched if k not in differs and found.get(k) != state.get(k)]
        assert not differs, (
            f"{len(differs)} records are not as after any prefix of what was sent: "
            + "; ".join(f"{k!r} is {found.get(k)!r:.60}, acknowledged {self.state.get(k)!r:.60}"
                        for k in differs[:3]))
        self.state = state
        self.sent.clear()


class RedisClient(Client):
    def connect(self, server):
        # A client that sends a batch again after an error would append twice.
        once = Retry(NoBackoff(), 0)
        self.db = server.redis(
            single_connection_client=True, retry=once, db=self.database)

    def write_batch(self):
        pipeline = self.db.pipeline(transaction=False)
        for operation in self.operations():
            self.sent.append(operation)
            match operation:
                case ("put", key, value):
                    pipeline.set(key, value)
                case ("append", key, value):
                    pipeline.append(key, value)
                case ("remove", key):
                    pipeline.delete(key)
                case ("mset", pairs):
                    pipeline.mset(pairs)
        for _ in pipeline.execute():
            self.answered()

    def read_back(self, server):
        found = {}
        with server.redis(db=self.database) as db:
            for part in batches(self.keys, 1000):
                found |= zip(part, db.mget(part))
        return found

    def close(self):
        self.db.close()


class TyrantClient(Client):
    def connect(self, server):
        self.db = server.tyrant()

    def operations(self):
        """Tyrant's protocol has no batch of several records; a put stands for it."""
        for operation in super().operations():
            match operation:
                case ("mset", pairs):
                    yield "put", *next(iter(pairs.items()))
                case _:
                    yield operation

    def write_batch(self):
        requests = []
        for operation in self.operations():
            self.sent.append(operation)
            match operation:
                case ("put", key, value):
                    requests.append(put(key, value))
                case ("append", key, value):
                    requests.append(putcat(key, value))
                case ("remove", key):
                    requests.append(out(key))
        self.db.socket.sendall(b"".join(requests))
        while self.sent:
            self.db.status()
            self.answered()

    def read_back(self, server):
        found = {}
        with server.tyrant() as db:
            for part in batches(self.keys, 1000):
                found |= db.mget(part)
        return found

    def close(self):
        self.db.close()


class Kills(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        # The long version tries other moments each time.
        seed = random.randrange(2**32) if FULL else 1
        self.seed = int(os.environ.get("HAKONE_SEED", seed))
        self.random = random.Random(self.seed)

    def test_kills_of_a_hash(self):
        self.kill_again_and_again("main=hash")

    def test_kills_of_a_tree(self):
        self.kill_again_and_again("main=tree")

    def test_kills_of_both_in_one_cabinet(self):
        # The Redis clients write to the second database; both share one log.
        self.kill_again_and_again("main=hash", "other=tree")

    def kill_again_and_again(self, *databases):
        server = Server(self.directory)
        self.addCleanup(server.kill)
        clients = self.clients(len(databases))
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

    def clients(self, databases):
        """Two clients of each protocol, with the first load divided among them."""
        records = sorted(corpus.records().items())
        records = self.random.sample(records, FIRST_LOAD)
        kinds = (RedisClient, TyrantClient, RedisClient, TyrantClient)
        clients = [
            kind(records[index::len(kinds)], f"{self.seed}-{index}")
            for index, kind in enumerate(kinds)
        ]
        for client in clients[::2]:
            client.database = databases - 1
        return clients

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
