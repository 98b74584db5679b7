"""Clients that write to keys of their own, over each protocol, and know what must be there after a kill.

Each remembers what was acknowledged and what was only sent. After a kill, its records must be as they
were after some prefix of what it sent, and that prefix is no shorter than what was acknowledged. That
also catches a batch of which a part was kept.
"""

import base64
import http.client
import random
import struct
import urllib.parse

from redis.backoff import NoBackoff
from redis.retry import Retry

from support.tyrant import batches, out, put, putcat


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
            case ("batch", operations):
                for each in operations:
                    self.effect(state, each)
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
            differs += [key for key in touched(operation)
                        if key not in differs and found.get(key) != state.get(key)]
        assert not differs, (
            f"{len(differs)} records are not as after any prefix of what was sent: "
            + "; ".join(f"{k!r} is {found.get(k)!r:.60}, acknowledged {self.state.get(k)!r:.60}"
                        for k in differs[:3]))
        self.state = state
        self.sent.clear()


def touched(operation):
    """The keys of an operation."""
    match operation:
        case ("batch", operations):
            return {key for each in operations for key in touched(each)}
        case ("mset", pairs):
            return set(pairs)
        case _:
            return {operation[1]}


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
            self.add(pipeline, operation)
        for _ in pipeline.execute():
            self.answered()

    def add(self, pipeline, operation):
        match operation:
            case ("put", key, value):
                pipeline.set(key, value)
            case ("append", key, value):
                pipeline.append(key, value)
            case ("remove", key):
                pipeline.delete(key)
            case ("mset", pairs):
                pipeline.mset(pairs)

    def read_back(self, server):
        found = {}
        with server.redis(db=self.database) as db:
            for part in batches(self.keys, 1000):
                found |= zip(part, db.mget(part))
        return found

    def close(self):
        self.db.close()


class TransactionClient(RedisClient):
    """Each of its batches is one transaction, and there whole or not at all."""

    def write_batch(self):
        pipeline = self.db.pipeline(transaction=True)
        operations = list(self.operations())
        for operation in operations:
            self.add(pipeline, operation)
        self.sent.append(("batch", operations))
        pipeline.execute()
        self.answered()


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


class Raw(Client):
    """A connection of plain bytes."""

    def connect(self, server):
        self.socket = server.tcp()
        self.reader = self.socket.makefile("rb", buffering=1 << 16)

    def close(self):
        self.reader.close()
        self.socket.close()

    def read(self, count):
        data = self.reader.read(count)
        if data is None or len(data) < count:
            raise ConnectionError("the server closed the connection")
        return data

    def line(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        return line[:-2]


class MemcachedClient(Raw):
    def operations(self):
        """It has no batch of several records, and appends only to what is there."""
        for operation in super().operations():
            match operation:
                case ("mset", pairs):
                    yield "put", *next(iter(pairs.items()))
                case ("append", key, value):
                    yield "put", key, value
                case _:
                    yield operation

    def write_batch(self):
        requests = []
        for operation in self.operations():
            self.sent.append(operation)
            match operation:
                case ("put", key, value):
                    requests.append(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
                case ("remove", key):
                    requests.append(b"delete %s\r\n" % key)
        self.socket.sendall(b"".join(requests))
        while self.sent:
            answer = self.line()
            assert answer in (b"STORED", b"DELETED", b"NOT_FOUND"), answer
            self.answered()

    def read_back(self, server):
        found = {}
        self.connect(server)
        for part in batches(self.keys, 100):
            self.socket.sendall(b"get %s\r\n" % b" ".join(part))
            while (line := self.line()) != b"END":
                _, key, _, size = line.split(b" ")
                found[key] = self.read(int(size))
                assert self.line() == b""
        self.close()
        return found


class TycoonClient(Raw):
    """Over the binary protocol, whose requests are carried out record by record."""

    NEVER = 0x7FFFFFFFFFFFFFFF

    def operations(self):
        for operation in super().operations():
            match operation:
                case ("mset", pairs):
                    for key, value in pairs.items():
                        yield "put", key, value
                case ("append", key, value):
                    yield "put", key, value
                case _:
                    yield operation

    def write_batch(self):
        requests = []
        runs = []  # how many operations each request stands for
        for operation in self.operations():
            self.sent.append(operation)
            match operation:
                case ("put", key, value):
                    record = struct.pack(">HIIq", 0, len(key), len(value), self.NEVER) + key + value
                case ("remove", key):
                    record = struct.pack(">HI", 0, len(key)) + key
            if requests and requests[-1][0] == operation[0] and runs[-1] < 7:
                requests[-1][1].append(record)
                runs[-1] += 1
            else:
                requests.append((operation[0], [record]))
                runs.append(1)
        for kind, records in requests:
            magic = 0xB8 if kind == "put" else 0xB9
            self.socket.sendall(struct.pack(">BII", magic, 0, len(records)) + b"".join(records))
        for (kind, _), count in zip(requests, runs):
            magic = 0xB8 if kind == "put" else 0xB9
            answer = self.read(5)
            assert answer[0] == magic, answer
            for _ in range(count):
                self.answered()

    def read_back(self, server):
        found = {}
        self.connect(server)
        for part in batches(self.keys, 1000):
            keys = b"".join(struct.pack(">HI", 0, len(key)) + key for key in part)
            self.socket.sendall(struct.pack(">BII", 0xBA, 0, len(part)) + keys)
            magic, count = struct.unpack(">BI", self.read(5))
            assert magic == 0xBA, magic
            for _ in range(count):
                _, key_bytes, value_bytes, _ = struct.unpack(">HIIq", self.read(18))
                key = self.read(key_bytes)
                found[key] = self.read(value_bytes)
        self.close()
        return found


class HttpClient(Client):
    """Single records by their URLs, several by a procedure of Tycoon's that is atomic."""

    def connect(self, server):
        self.db = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def close(self):
        self.db.close()

    def ask(self, *request, good, **options):
        self.db.request(*request, **options)
        answer = self.db.getresponse()
        body = answer.read()
        assert answer.status in good, (answer.status, body[:200])
        return answer.status, body

    def call(self, name, columns):
        """A procedure; `columns` are pairs."""
        body = b"".join(base64.b64encode(name) + b"\t" + base64.b64encode(value) + b"\n"
                        for name, value in columns)
        kind = {"Content-Type": "text/tab-separated-values; colenc=B"}
        return self.ask("POST", f"/rpc/{name}", body=body, headers=kind, good=(200,))[1]

    @staticmethod
    def url(key):
        return "/" + urllib.parse.quote(key, safe="")

    def write_batch(self):
        for operation in self.operations():
            self.sent.append(operation)
            match operation:
                case ("put", key, value):
                    self.ask("PUT", self.url(key), body=value, good=(201,))
                case ("append", key, value):
                    self.call("append", [(b"key", key), (b"value", value)])
                case ("remove", key):
                    self.ask("DELETE", self.url(key), good=(200, 204, 404))
                case ("mset", pairs):
                    pairs = [(b"_" + key, value) for key, value in pairs.items()]
                    self.call("set_bulk", [(b"atomic", b""), *pairs])
            self.answered()

    def read_back(self, server):
        found = {}
        self.connect(server)
        for key in self.keys:
            status, body = self.ask("GET", self.url(key), good=(200, 404))
            if status == 200:
                found[key] = body
        self.close()
        return found
