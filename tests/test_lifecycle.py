"""Starting, stopping and refusing to start; connections that come, go and dawdle."""

import signal
import socket
import tempfile
import threading
import unittest
import urllib.request

import redis

from support.server import Server, eventually, free_port, refused
from support.tyrant import put, request, GET

DAWDLERS = 50
COMERS_AND_GOERS = 2000


class Lifecycle(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.server = self.enterContext(Server(self.directory))

    def test_sigterm_ends_with_0_and_the_data_are_there_after_a_restart(self):
        with self.server.redis() as db:
            db.set("a", "1")
        self.assertEqual(self.server.stop(), 0, self.server.log())
        self.server.start()
        with self.server.tyrant() as db:
            self.assertEqual(db.get(b"a"), b"1")

    def test_sigint_ends_with_0_as_well(self):
        self.server.process.send_signal(signal.SIGINT)
        self.assertEqual(self.server.process.wait(30), 0)

    def test_sigterm_under_load_loses_nothing_acknowledged(self):
        db = self.server.tyrant()
        acknowledged = 0
        enough = threading.Event()

        def load():
            nonlocal acknowledged
            try:
                for number in range(10**9):
                    db.put(b"%d" % number, b"x" * 100)
                    acknowledged = number + 1
                    if acknowledged == 2000:
                        enough.set()
            except OSError:
                enough.set()

        loader = threading.Thread(target=load)
        loader.start()
        enough.wait()
        self.assertEqual(self.server.stop(), 0, self.server.log())
        loader.join()
        db.close()
        self.assertGreaterEqual(acknowledged, 2000)
        self.server.start()
        with self.server.tyrant() as db:
            self.assertGreaterEqual(db.rnum(), acknowledged)
            keys = [b"%d" % number for number in range(acknowledged)]
            self.assertEqual(len(db.mget(keys)), acknowledged)

    def test_sighup_keeps_connections_and_data(self):
        with self.server.tyrant() as db:
            self.assertTrue(db.put(b"a", b"1"))
            self.server.process.send_signal(signal.SIGHUP)
            self.assertEqual(db.get(b"a"), b"1")
        self.assertIsNone(self.server.process.poll())

    def test_a_second_server_on_the_same_data_is_refused(self):
        status, words = refused(
            "serve", "--data", self.server.data, "--listen", f"127.0.0.1:{free_port()}")
        self.assertEqual(status, 1)
        self.assertIn(str(self.server.process.pid), words)
        with self.server.redis() as db:
            self.assertTrue(db.ping())

    def test_a_port_in_use_is_refused(self):
        status, words = refused(
            "serve", "--data", f"{self.directory}/other",
            "--listen", f"127.0.0.1:{self.server.port}")
        self.assertEqual(status, 1)
        self.assertIn(f"127.0.0.1:{self.server.port}", words)

    def test_a_database_of_another_kind_is_refused(self):
        self.assertEqual(self.server.stop(), 0)
        status, words = refused(
            "serve", "--data", self.server.data, "--listen", "127.0.0.1:0",
            "--database", "default=hash")
        self.assertEqual(status, 1)
        self.assertIn("default", words)

    def test_data_that_cannot_be_opened_are_refused(self):
        status, words = refused(
            "serve", "--data", self.server.log_path, "--listen", "127.0.0.1:0")
        self.assertEqual(status, 1)
        self.assertIn(str(self.server.log_path), words)

    def test_operators_can_ask_for_its_health(self):
        self.assertEqual(self.server.stop(), 0)
        port = free_port()
        self.server.flags = ["--admin", f"127.0.0.1:{port}"]
        self.server.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as answer:
            self.assertEqual(answer.status, 200)


class Connections(unittest.TestCase):
    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.server = self.enterContext(Server(directory))

    def test_those_that_come_and_go_leave_neither_sockets_nor_log_lines(self):
        with self.server.redis() as db:
            db.ping()
        before = eventually(self.server.descriptors, "it runs")
        logged = self.server.log()
        for number in range(COMERS_AND_GOERS):
            with self.server.tyrant_tcp() if number % 2 else self.server.tyrant() as db:
                if number % 3:
                    self.assertTrue(db.put(b"a", b"1"))
        eventually(lambda: self.server.descriptors() <= before, "all sockets are closed")
        self.assertEqual(self.server.log(), logged)

    def test_half_a_request_holds_up_nobody(self):
        dawdlers = [self.enterContext(self.server.socket()) for _ in range(DAWDLERS)]
        whole = put(b"slow", b"value")
        for index, dawdler in enumerate(dawdlers):
            dawdler.sendall(whole[:1 + index % (len(whole) - 1)])
        with self.server.redis() as r, self.server.tyrant() as t:
            for number in range(1000):
                self.assertTrue(r.set("a", number))
                self.assertEqual(t.get(b"a"), b"%d" % number)
        for index, dawdler in enumerate(dawdlers):
            dawdler.sendall(whole[1 + index % (len(whole) - 1):])
            self.assertEqual(dawdler.recv(16), b"\0")

    def test_requests_byte_by_byte(self):
        with self.server.socket() as s:
            s.setblocking(True)
            for byte in put(b"key", b"value") + request(GET, b"key"):
                s.sendall(bytes([byte]))
            expected = b"\0" + b"\0" + (5).to_bytes(4, "big") + b"value"
            self.assertEqual(read_exactly(s, len(expected)), expected)
            for byte in b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n":
                s.sendall(bytes([byte]))
            self.assertEqual(read_exactly(s, 11), b"$5\r\nvalue\r\n")

    def test_a_reader_that_does_not_read_holds_up_nobody(self):
        with self.server.tyrant() as db:
            db.put(b"large", bytes(1 << 20))
        with self.server.socket() as s:
            s.setblocking(False)
            sent = 0
            try:
                while sent < 1000:
                    s.send(request(GET, b"large"))
                    sent += 1
            except BlockingIOError:
                pass  # The server has stopped reading: so it should.
            with self.server.tyrant() as db:
                for _ in range(100):
                    self.assertTrue(db.put(b"a", b"1"))
            self.assertLess(self.server.memory_bytes(), 1 << 30)
            s.settimeout(60)
            for _ in range(min(sent, 20)):
                reply = read_exactly(s, 5 + (1 << 20))
                self.assertEqual(reply[:5], b"\0\0\x10\0\0")

    def test_a_client_that_leaves_in_the_middle_of_its_answers(self):
        for _ in range(50):
            s = self.server.socket()
            s.sendall(put(b"k", bytes(100_000)) + request(GET, b"k") * 100)
            s.close()
        with self.server.redis() as db:
            self.assertTrue(db.ping())

    def test_nonsense_closes_the_connection_and_nothing_else(self):
        for nonsense in (
            b"\xC8\xEE", b"\xC8\x10\xFF\xFF\xFF\xFF\0\0\0\0", b"*1\r\n$-5\r\n", b"*9999999999\r\n",
            b"\xC8\x31\x7F\xFF\xFF\xFF", b"*2\r\n:1\r\n",
        ):
            with self.subTest(nonsense=nonsense), self.server.socket() as s:
                s.sendall(nonsense)
                s.shutdown(socket.SHUT_WR)
                while s.recv(1 << 16):
                    pass
        with self.server.redis() as db:
            self.assertTrue(db.ping())

    def test_an_unknown_command_is_an_error_and_the_connection_goes_on(self):
        with self.server.redis(single_connection_client=True) as db:
            with self.assertRaises(redis.ResponseError):
                db.execute_command("NOSUCHCOMMAND", "a")
            self.assertTrue(db.ping())


def read_exactly(s, count):
    data = b""
    while len(data) < count:
        part = s.recv(count - len(data))
        if not part:
            raise ConnectionError("the server closed the connection")
        data += part
    return data
