"""A client of Kyoto Tycoon, ukt, over both of its protocols, and calls as other clients make them."""

import http.client
import tempfile
import time
import unittest

import ukt

from support.server import Server


class Tycoon(unittest.TestCase):
    KIND = "hash"

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.server = self.enterContext(Server(
            directory, "--database", f"first={self.KIND}", "--database", f"second={self.KIND}"))

    def ukt(self, **options):
        db = ukt.KyotoTycoon(host="127.0.0.1", port=self.server.port, **options)
        self.addCleanup(db.close_all)
        return db

    def test_ukt_records(self):
        db = self.ukt()
        self.assertEqual(db.set("k1", "v1"), 1)
        self.assertEqual(db.get("k1"), "v1")
        self.assertIsNone(db.get("none"))
        self.assertEqual(db.set_bulk({"k2": "v2", "k3": "v3"}), 2)
        self.assertEqual(db.get_bulk(["k1", "k3", "none"]), {"k1": "v1", "k3": "v3"})
        self.assertEqual(db.remove_bulk(["k1", "k2", "none"]), 2)
        db["k4"] = "v4"
        self.assertIn("k4", db)
        self.assertEqual(db.remove("k4"), 1)
        self.assertEqual(db.remove("k4"), 0)
        self.assertEqual(db.count(), 1)
        self.assertTrue(db.clear())
        self.assertEqual(db.count(), 0)

    def test_ukt_procedures(self):
        db = self.ukt()
        self.assertTrue(db.add("a", "1"))
        self.assertFalse(db.add("a", "2"))
        self.assertTrue(db.replace("a", "2"))
        self.assertFalse(db.replace("none", "2"))
        self.assertTrue(db.append("a", "3"))
        self.assertEqual(db.get("a"), "23")
        self.assertTrue(db.cas("a", "23", "4"))
        self.assertFalse(db.cas("a", "23", "5"))
        self.assertTrue(db.check("a"))
        self.assertEqual(db.length("a"), 1)
        self.assertEqual(db.seize("a"), "4")
        self.assertIsNone(db.get("a"))
        self.assertEqual(db.increment("n"), 1)
        self.assertEqual(db.increment("n", 41), 42)
        self.assertEqual(db.increment_double("d", 1.25), 1.25)
        self.assertEqual(db.increment_double("d", -3.5), -2.25)
        self.assertTrue(db.synchronize())
        self.assertTrue(db.vacuum())
        self.assertEqual(db.status()["count"], 2)
        report = db.report()
        self.assertEqual(report["conf_kt_version"].split()[0], "0.9.56b")

    def test_ukt_matches(self):
        db = self.ukt()
        db.set_bulk({f"key{number:02}": "v" for number in range(20)})
        db.set_bulk({"tokyo": "1", "kyoto": "2", "t\u00f6kyo": "3"})
        self.assertEqual(sorted(db.match_prefix("key1")), [f"key1{n}" for n in range(10)])
        self.assertEqual(len(db.match_prefix("key", 5)), 5)
        self.assertEqual(sorted(db.match_regex("^(to|k[^e]).*o$")), ["kyoto", "tokyo"])
        self.assertEqual(db.match_similar("tokyo", 1), ["tokyo", "t\u00f6kyo"])

    def test_ukt_large_and_binary(self):
        db = self.ukt(serializer=ukt.KT_NONE, decode_keys=False)
        everything = bytes(range(256))
        values = {
            b"every byte": everything, everything: b"key", b"empty": b"",
            b"large": everything * (20 << 12),
        }
        for key, value in values.items():
            self.assertEqual(db.set(key, value), 1)
        self.assertEqual(db.get_bulk(list(values)), values)
        self.assertEqual(db.seize(b"large"), values[b"large"])
        self.assertEqual(db.seize(everything), b"key")

    def test_ukt_databases(self):
        first, second = self.ukt(), self.ukt(default_db=1)
        first.set("k", "1")
        second.set("k", "2")
        self.assertEqual((first.get("k"), second.get("k")), ("1", "2"))
        self.assertEqual(first.get("k", db=1), "2")
        self.assertEqual(second.seize("k"), "2")
        self.assertEqual(first.get("k"), "1")
        self.assertEqual(first.list_databases()[1][0], "second")

    def test_ukt_expiry(self):
        db = self.ukt()
        now = int(time.time())
        db.set("soon", "v", expire_time=1000)
        db.set("at", "v", expire_time=-(now + 1000))
        db.set("past", "v", expire_time=-(now - 10))
        self.assertIsNone(db.get("past"))
        details = db.get_bulk_details([(0, "soon"), (0, "at")])
        expiries = {key: xt for _, key, _, xt in details}
        self.assertEqual(expiries["at"], now + 1000)
        self.assertIn(expiries["soon"] - now, range(1000, 1005))

    def test_ukt_over_http(self):
        db = self.ukt()
        self.assertTrue(db.set_http("k", "v\u00e4lue"))
        self.assertEqual(db.get_http("k"), "v\u00e4lue")
        self.assertEqual(db.set_bulk_http({"a": "1", "b": "2"}), 2)
        self.assertEqual(db.get_bulk_http(["a", "b", "none"]), {"a": "1", "b": "2"})
        self.assertEqual(db.remove_bulk_http(["a", "none"]), 1)
        self.assertTrue(db.remove_http("k"))
        self.assertFalse(db.remove_http("k"))

    def test_calls_in_all_encodings(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)
        tsv = "text/tab-separated-values"
        for query, content_type, body in (
            ("?key=k%201&value=v", None, ""),
            ("", "application/x-www-form-urlencoded", "key=k+1;value=v"),
            ("", tsv, "key\tk 1\nvalue\tv\n"),
            ("", f"{tsv}; colenc=U", "key\tk%201\nvalue\t%76\n"),
            ("", f"{tsv}; colenc=B", "a2V5\tayAx\ndmFsdWU=\tdg==\n"),
            ("", f"{tsv}; colenc=Q", "key\tk=201\nvalue\tv\n"),
        ):
            with self.subTest(content_type=content_type):
                headers = {"Content-Type": content_type} if content_type else {}
                connection.request("POST", f"/rpc/add{query}", body, headers)
                response = connection.getresponse()
                self.assertEqual((response.status, response.read()), (200, b""))
                connection.request("GET", "/rpc/seize?key=k+1")
                response = connection.getresponse()
                self.assertEqual((response.status, response.read()), (200, b"value\tv\n"))


class TycoonOnATree(Tycoon):
    KIND = "tree"


class TycoonInMemory(Tycoon):
    KIND = "hash,memory=true"
