"""curl, as people use it: both dialects, keep-alive, chunks, and no stall at PUT."""

import random
import subprocess
import tempfile
import unittest
from pathlib import Path

from support.server import Server, die_with_parent, environment

MIB = 1 << 20
VALUE_BYTES_MAX = 32 * MIB

TYRANT = ("-H", "X-TT-PDMODE: 0")
TYCOON = ("-H", "X-Kt-Mode: set")


class Http(unittest.TestCase):
    def setUp(self):
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.server = self.enterContext(Server(self.directory, "--database", "main=hash"))
        self.noise = random.Random(9).randbytes(VALUE_BYTES_MAX + 1)

    def curl(self, *arguments, body=None):
        """Runs curl; returns what it printed for each URL: the body goes elsewhere."""
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--noproxy", "*", *arguments],
            input=body, capture_output=True, timeout=120,
            env=environment(), preexec_fn=die_with_parent)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def url(self, path):
        return f"http://127.0.0.1:{self.server.port}/{path}"

    def ask(self, path, *arguments, body=None):
        """Status and body of one request."""
        answer = self.directory / "answer"
        answer.write_bytes(b"")
        status = self.curl(
            "--output", str(answer), "--write-out", "%{http_code}", *arguments, self.url(path),
            body=body)
        return int(status), answer.read_bytes()

    def put(self, path, value, *arguments):
        source = self.directory / "value"
        source.write_bytes(value)
        return self.ask(path, "--upload-file", str(source), *arguments)

    def test_values_of_all_sizes_in_both_dialects(self):
        for name, dialect in (("tyrant", TYRANT), ("tycoon", TYCOON)):
            for size in (0, 1, 5, 1000, MIB, 2 * MIB + 1, VALUE_BYTES_MAX):
                key, value = f"{name}%20{size}", self.noise[:size]
                self.assertEqual(self.put(key, value, *dialect)[0], 201)
                status, there = self.ask(key, *dialect)
                self.assertEqual(status, 200)
                # assertEqual would print what differs: 32 MiB of it.
                self.assertTrue(there == value, f"{key}")
                head = self.curl("--head", *dialect, self.url(key))
                self.assertIn(b"Content-Length: %d\r\n" % size, head)
                with self.server.redis() as r:
                    self.assertTrue(r.get(f"{name} {size}") == value)
                self.assertIn(self.ask(key, "-X", "DELETE", *dialect)[0], (200, 204))
                self.assertEqual(self.ask(key, *dialect)[0], 404)
                self.assertEqual(self.ask(key, "-X", "DELETE", *dialect)[0], 404)

    def test_a_client_that_waits_to_be_told_to_send_does_not_wait(self):
        """The old server never told it: curl waited a second, older clients two."""
        source = self.directory / "value"
        source.write_bytes(self.noise[: 2 * MIB])
        for dialect in (TYRANT, TYCOON):
            for chunks in ((), ("-H", "Transfer-Encoding: chunked")):
                done = subprocess.run(
                    ["curl", "--silent", "--verbose", "--noproxy", "*",
                     "--header", "Expect: 100-continue", "--expect100-timeout", "60",
                     "--write-out", "%{http_code} %{time_total}", "--output", "/dev/null",
                     "--upload-file", str(source), *dialect, *chunks, self.url("a")],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                    env=environment(), preexec_fn=die_with_parent)
                self.assertIn("< HTTP/1.1 100 Continue", done.stderr)
                status, seconds = done.stdout.split()
                self.assertEqual(status, "201")
                self.assertLess(float(seconds), 20, "curl has waited for 100 Continue")
                status, value = self.ask("a")
                self.assertTrue(value == self.noise[: 2 * MIB])

    def test_connections_are_kept(self):
        self.put("a", b"1")
        urls = [self.url("a"), self.url("none"), self.url("a")]
        for flags, connects in (((), "1 0 0 "), (("--http1.0",), "1 1 1 ")):
            outputs = ["--output", "/dev/null"] * len(urls)
            told = self.curl(*flags, *outputs, "--write-out", "%{num_connects} ", *urls)
            self.assertEqual(told.decode(), connects)
        keep = ("--http1.0", "-H", "Connection: keep-alive")
        self.assertEqual(self.ask("a", *keep), (200, b"1"))

    def test_an_upload_in_chunks(self):
        chunks = ("-H", "Transfer-Encoding: chunked", "--upload-file", "-")
        for dialect in (TYRANT, TYCOON):
            for size in (0, 1, 100_000, VALUE_BYTES_MAX):
                value = self.noise[:size]
                self.assertEqual(self.ask("a", *chunks, *dialect, body=value)[0], 201)
                self.assertTrue(self.ask("a", *dialect)[1] == value)
            status, _ = self.ask("a", *chunks, *dialect, body=self.noise)
            self.assertEqual(status, 413)

    def test_what_is_too_large_is_refused(self):
        for arguments in ((), ("-H", "Expect:")):
            status, why = self.put("a", self.noise, *arguments)
            self.assertEqual((status, why), (413, b"the body is too large\n"))
        self.assertEqual(self.ask("a")[0], 404)

    def test_pages_of_other_sites_are_refused(self):
        self.put("a", b"1")
        for header in ("Origin: http://example.com", "Sec-Fetch-Site: cross-site",
                       "Host: example.com"):
            self.assertEqual(self.ask("a", "-H", header)[0], 403, header)
        own = f"Origin: http://127.0.0.1:{self.server.port}"
        self.assertEqual(self.ask("a", "-H", own), (200, b"1"))
        socket = ("--unix-socket", str(self.server.socket_path), "-H", "Host: example.com")
        self.assertEqual(self.ask("a", *socket), (200, b"1"))

    def test_the_dialect_of_plain_requests_is_a_setting(self):
        for flags, status in (((), 204), (("--http", "tyrant"), 200), (("--http", "tycoon"), 204)):
            directory = self.enterContext(tempfile.TemporaryDirectory())
            with Server(directory, *flags) as self.server:
                self.put("a", b"1")
                self.assertEqual(self.ask("a", "-X", "DELETE")[0], status, flags)

    def test_tycoons_expiry_and_tyrants_options(self):
        self.put("a", b"1", "-H", "X-Kt-Xt: Fri, 01 Jan 2100 00:00:00 GMT")
        head = self.curl("--head", self.url("a"))
        self.assertIn(b"X-Kt-Xt: Fri, 01 Jan 2100 00:00:00 GMT\r\n", head)
        with self.server.redis() as r:
            self.assertEqual(r.expiretime("a"), 4102444801)
        options = self.curl("--include", "-X", "OPTIONS", self.url("a"))
        for line in (b"Allow: OPTIONS, GET, HEAD, PUT, POST, DELETE", b"X-TT-RNUM: 1",
                     b"X-TT-TYPE: hash"):
            self.assertIn(line + b"\r\n", options)
