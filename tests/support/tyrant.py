"""A client of the Tokyo Tyrant binary protocol, for the tests: plain calls and pipelines."""

import struct

MAGIC = 0xC8

PUT, PUTKEEP, PUTCAT, PUTSHL, PUTNR, OUT = 0x10, 0x11, 0x12, 0x13, 0x18, 0x20
GET, MGET, VSIZ, ITERINIT, ITERNEXT, FWMKEYS = 0x30, 0x31, 0x38, 0x50, 0x51, 0x58
ADDINT, SYNC, VANISH, RNUM, SIZE, STAT = 0x60, 0x70, 0x72, 0x80, 0x81, 0x88


def request(command, *fields):
    """A request: the numbers among the fields first, as the protocol wants it, then the bytes."""
    sizes = [f if isinstance(f, int) else len(f) for f in fields]
    blobs = [f for f in fields if not isinstance(f, int)]
    return struct.pack(f">BB{len(sizes)}i", MAGIC, command, *sizes) + b"".join(blobs)


def put(key, value):
    return request(PUT, key, value)


def putcat(key, value):
    return request(PUTCAT, key, value)


def out(key):
    return request(OUT, key)


class Tyrant:
    """One connection. A call returns None or False where the server answers 01."""

    def __init__(self, socket):
        self.socket = socket
        self.reader = socket.makefile("rb", buffering=1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def read(self, count):
        data = self.reader.read(count)
        if data is None or len(data) < count:
            raise ConnectionError("the server closed the connection")
        return data

    def number(self):
        return int.from_bytes(self.read(4), "big")

    def status(self):
        """Whether the next reply begins with success."""
        return self.read(1) == b"\0"

    def call(self, command, *fields):
        self.socket.sendall(request(command, *fields))
        return self.status()

    def put(self, key, value):
        return self.call(PUT, key, value)

    def putkeep(self, key, value):
        return self.call(PUTKEEP, key, value)

    def putcat(self, key, value):
        return self.call(PUTCAT, key, value)

    def putnr(self, key, value):
        self.socket.sendall(request(PUTNR, key, value))

    def putshl(self, key, value, width):
        head = struct.pack(">BBiii", MAGIC, PUTSHL, len(key), len(value), width)
        self.socket.sendall(head + key + value)
        return self.status()

    def out(self, key):
        return self.call(OUT, key)

    def get(self, key):
        return self.read(self.number()) if self.call(GET, key) else None

    def vsiz(self, key):
        return self.number() if self.call(VSIZ, key) else None

    def mget(self, keys):
        """What is there of the keys, as a dict."""
        self.socket.sendall(b"".join(
            [struct.pack(">BBi", MAGIC, MGET, len(keys))]
            + [len(key).to_bytes(4, "big") + key for key in keys]))
        assert self.status(), "mget never fails"
        found = {}
        for _ in range(self.number()):
            key_bytes, value_bytes = self.number(), self.number()
            key = self.read(key_bytes)
            found[key] = self.read(value_bytes)
        return found

    def keys(self):
        """All keys, by the server's iterator."""
        assert self.call(ITERINIT)
        while self.call(ITERNEXT):
            yield self.read(self.number())

    def fwmkeys(self, prefix, count=-1):
        head = struct.pack(">BBii", MAGIC, FWMKEYS, len(prefix), count)
        self.socket.sendall(head + prefix)
        assert self.status(), "fwmkeys never fails"
        return [self.read(self.number()) for _ in range(self.number())]

    def addint(self, key, number):
        head = struct.pack(">BBii", MAGIC, ADDINT, len(key), number)
        self.socket.sendall(head + key)
        return struct.unpack(">i", self.read(4))[0] if self.status() else None

    def sync(self):
        return self.call(SYNC)

    def vanish(self):
        return self.call(VANISH)

    def rnum(self):
        assert self.call(RNUM)
        return int.from_bytes(self.read(8), "big")

    def size(self):
        assert self.call(SIZE)
        return int.from_bytes(self.read(8), "big")

    def stat(self):
        """The lines of `stat` as a dict."""
        assert self.call(STAT)
        text = self.read(self.number()).decode()
        return dict(line.split("\t", 1) for line in text.splitlines())

    def put_all(self, pairs, batch=1000):
        """Stores all pairs, `batch` requests at a time."""
        for part in batches(pairs, batch):
            self.socket.sendall(b"".join(put(key, value) for key, value in part))
            replies = self.read(len(part))
            assert replies == bytes(len(part)), "a put was refused"


def batches(items, count):
    """The items in lists of `count`, the last one shorter."""
    part = []
    for item in items:
        part.append(item)
        if len(part) == count:
            yield part
            part = []
    if part:
        yield part
