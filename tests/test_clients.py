"""The clients that people have: redis-cli, redis-benchmark, redis-py; and Tyrant's own bytes."""

import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import redis

from support.server import Server, die_with_parent, environment


class Clients(unittest.TestCase):
    KIND = "tree"

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.server = self.enterContext(Server(directory, "--database", f"main={self.KIND}"))

    def run_tool(self, *command):
        done = subprocess.run(
            [command[0], "-p", str(self.server.port), *command[1:]],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
            env=environment(), preexec_fn=die_with_parent)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout

    def cli(self, *words):
        return self.run_tool("redis-cli", *words).removesuffix("\n")

    def test_redis_cli(self):
        for words, answer in (
            ("ping", "PONG"),
            ("echo hallo", "hallo"),
            ("set a 1", "OK"),
            ("set a 2 nx", ""),
            ("set a 2 xx get", "1"),
            ("incr a", "3"),
            ("incrby a 10", "13"),
            ("decrby a 3", "10"),
            ("append a x", "3"),
            ("strlen a", "3"),
            ("get a", "10x"),
            ("mset b 1 c 2", "OK"),
            ("mget a b nothing", "10x\n1\n"),
            ("msetnx b 1 d 2", "0"),
            ("exists a b d", "2"),
            ("type a", "string"),
            ("type nothing", "none"),
            ("expire a 1000", "1"),
            ("ttl a", "1000"),
            ("persist a", "1"),
            ("ttl a", "-1"),
            ("ttl nothing", "-2"),
            ("getdel c", "2"),
            ("dbsize", "2"),
            ("unlink a b", "2"),
            ("dbsize", "0"),
            ("set e 1 px 100000", "OK"),
            ("flushall", "OK"),
            ("dbsize", "0"),
            ("-3 ping", "PONG"),
            ("-3 hello 3", None),
            ("info", None),
            ("config get maxmemory", None),
            ("command count", None),
            ("client getname", ""),
        ):
            with self.subTest(words):
                printed = self.cli(*words.split())
                self.assertFalse(printed.startswith("ERR"), printed)
                if answer is not None:
                    self.assertEqual(printed, answer)

    def test_redis_cli_lists_the_keys(self):
        with self.server.redis() as db:
            db.mset({f"key:{number}": number for number in range(3000)})
        keys = self.cli("--scan", "--pattern", "key:*").split()
        self.assertEqual(sorted(keys), sorted(f"key:{number}" for number in range(3000)))

    def test_redis_benchmark(self):
        for pipeline in ("1", "16"):
            printed = self.run_tool(
                "redis-benchmark", "-t", "ping,set,get,incr,mset", "-q", "-n", "20000",
                "-r", "10000", "-P", pipeline)
            for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"):
                self.assertRegex(printed, rf"(?m)^.*{name.replace('(', '.').replace(')', '.')}: "
                                          r"[0-9.]+ requests per second")

    def test_redis_py_resp2(self):
        self.check_redis_py(protocol=2)

    def test_redis_py_resp3(self):
        self.check_redis_py(protocol=3)

    def check_redis_py(self, **options):
        with self.server.redis(**options, decode_responses=True) as db:
            self.assertTrue(db.ping())
            self.assertTrue(db.set("a", "1", ex=100))
            self.assertIsNone(db.set("a", "2", nx=True))
            self.assertEqual(db.set("a", "3", get=True, keepttl=True), "1")
            self.assertTrue(0 < db.pttl("a") <= 100_000)
            self.assertTrue(db.expireat("a", int(time.time()) + 1000))
            self.assertTrue(db.persist("a"))
            self.assertEqual(db.ttl("a"), -1)
            self.assertEqual(db.incrby("n", 5), 5)
            self.assertEqual(db.decr("n"), 4)
            self.assertEqual(db.append("a", "4"), 2)
            self.assertEqual(db.mget("a", "n", "nothing"), ["34", "4", None])
            self.assertTrue(db.msetnx({"b": 1, "c": 2}))
            self.assertFalse(db.msetnx({"c": 1, "d": 2}))
            self.assertEqual(db.getdel("b"), "1")
            self.assertEqual(db.exists("a", "b", "c"), 2)
            self.assertEqual(sorted(db.scan_iter()), ["a", "c", "n"])
            self.assertEqual(db.type("a"), "string")
            self.assertIn("redis_version", db.info())
            self.assertIsInstance(db.config_get("*"), dict)
            self.assertGreater(db.client_id(), 0)
            self.assertTrue(db.client_setname("tester"))
            with db.pipeline(transaction=False) as pipeline:
                for number in range(1000):
                    pipeline.set(f"p{number}", number).get(f"p{number}")
                replies = pipeline.execute()
            self.assertEqual(replies[1::2], [str(number) for number in range(1000)])
            self.assertEqual(db.delete(*[f"p{number}" for number in range(1000)]), 1000)
            self.assertTrue(db.flushdb())
            self.assertEqual(db.dbsize(), 0)

    def test_redis_py_transactions(self):
        for protocol in (2, 3):
            with self.server.redis(protocol=protocol, decode_responses=True) as db:
                db.flushall()
                with db.pipeline() as pipeline:
                    pipeline.set("a", 1).incr("a").get("nothing").append("a", "x").get("a")
                    self.assertEqual(pipeline.execute(), [True, 2, None, 2, "2x"])
                    # What fails leaves the others.
                    pipeline.incr("a").set("b", 1)
                    replies = pipeline.execute(raise_on_error=False)
                    self.assertIsInstance(replies[0], redis.ResponseError)
                    self.assertTrue(replies[1])
                    self.assertEqual(db.get("b"), "1")
                    pipeline.set("c", 1).execute_command("NOSUCH")
                    with self.assertRaises(redis.ResponseError):
                        pipeline.execute()
                    self.assertIsNone(db.get("c"))
                    for number in range(5000):
                        pipeline.set(f"p{number}", number)
                    self.assertEqual(pipeline.execute(), [True] * 5000)
                self.assertEqual(len(db.keys("p*")), 5000)
                with db.pipeline() as pipeline:
                    pipeline.watch("a")
                    self.assertEqual(pipeline.get("a"), "2x")
                    db.set("a", 7)
                    pipeline.multi()
                    pipeline.set("a", 8)
                    with self.assertRaises(redis.WatchError):
                        pipeline.execute()
                self.assertEqual(db.get("a"), "7")

    def test_redis_py_commands_of_this_and_that(self):
        with self.server.redis(decode_responses=True) as db:
            db.set("a", "hello", ex=100)
            self.assertEqual(db.getex("a", persist=True), "hello")
            self.assertEqual(db.ttl("a"), -1)
            self.assertEqual(db.getrange("a", 1, 3), "ell")
            self.assertEqual(db.setrange("a", 1, "ipp"), 5)
            self.assertEqual(db.incrbyfloat("f", 0.1), 0.1)
            self.assertEqual(db.incrbyfloat("f", 0.2), 0.3)
            self.assertTrue(db.rename("a", "b"))
            self.assertFalse(db.renamenx("b", "f"))
            self.assertTrue(db.copy("b", "c", destination_db=1))
            self.assertFalse(db.copy("b", "f"))
            self.assertTrue(db.copy("b", "f", replace=True))
            self.assertTrue(db.move("f", 1))
            self.assertEqual(db.keys("*"), ["b"])
            self.assertEqual(db.randomkey(), "b")
            self.assertEqual(db.object("encoding", "b"), "embstr")
            self.assertGreater(db.memory_usage("b"), 6)
            self.assertIn("127.0.0.1:", db.client_info()["addr"])
            self.assertTrue(db.save())
            self.assertTrue(db.bgsave())
            self.assertTrue(db.lastsave())
            self.assertEqual(db.acl_whoami(), "default")
            self.assertEqual(db.role()[0], "master")
            with self.server.redis() as other:
                other.client_setname("victim")
                victim, = [c for c in db.client_list() if c["name"] == "victim"]
                self.assertEqual(db.client_kill_filter(_id=victim["id"]), 1)
                self.assertNotIn("victim", [c["name"] for c in db.client_list()])

    def test_a_counter_by_optimistic_locking_loses_nothing(self):
        clients, times = 4, 100
        retries = [0] * clients

        def count(index):
            with self.server.redis() as db:
                for _ in range(times):
                    while True:
                        with db.pipeline() as pipeline:
                            pipeline.watch("counter")
                            value = int(pipeline.get("counter") or 0)
                            pipeline.multi()
                            pipeline.set("counter", value + 1)
                            pipeline.append("trace", ".")
                            try:
                                pipeline.execute()
                                break
                            except redis.WatchError:
                                retries[index] += 1

        with ThreadPoolExecutor(clients) as pool:
            for done in [pool.submit(count, index) for index in range(clients)]:
                done.result()
        with self.server.redis() as db:
            self.assertEqual(int(db.get("counter")), clients * times)
            self.assertEqual(db.strlen("trace"), clients * times)
        print(f"{sum(retries)} retries ...", end=" ")

    def test_a_record_is_moved_once_however_many_want_it(self):
        keys = [f"k{number}" for number in range(500)]

        def move(_):
            with self.server.redis() as db:
                return sum(db.move(key, 1) for key in keys)

        def write(_):
            with self.server.redis() as db:
                for key in keys * 3:
                    db.set(key, "new", xx=True)
            return 0

        with self.server.redis() as db, self.server.redis(db=1) as there:
            db.mset(dict.fromkeys(keys, "old"))
            with ThreadPoolExecutor(4) as pool:
                moved = [pool.submit(work, None) for work in (move, write, move, move)]
            self.assertEqual(sum(each.result() for each in moved), len(keys))
            self.assertEqual(db.dbsize(), 0)
            self.assertEqual(there.dbsize(), len(keys))
            self.assertTrue(set(there.mget(keys)) <= {b"old", b"new"})

    def test_expired_records_are_gone_over_both_protocols(self):
        with self.server.redis() as r, self.server.tyrant() as t:
            self.assertTrue(r.set("gone", "1", pxat=1))
            self.assertTrue(r.set("stays", "1", ex=1000))
            self.assertIsNone(t.get(b"gone"))
            self.assertIsNone(r.get("gone"))
            self.assertEqual(t.get(b"stays"), b"1")

    def test_the_commands_of_tyrant(self):
        with self.server.tyrant() as db:
            self.assertTrue(db.put(b"a", b"1"))
            self.assertFalse(db.putkeep(b"a", b"2"))
            self.assertTrue(db.putkeep(b"b", b"2"))
            self.assertTrue(db.putcat(b"a", b"23"))
            self.assertTrue(db.putshl(b"a", b"45", 3))
            self.assertEqual(db.get(b"a"), b"345")
            self.assertEqual(db.vsiz(b"a"), 3)
            db.putnr(b"c", b"nr")
            self.assertEqual(db.mget([b"a", b"nothing", b"c"]), {b"a": b"345", b"c": b"nr"})
            self.assertEqual(db.addint(b"n", 5), 5)
            self.assertEqual(db.addint(b"n", -7), -2)
            self.assertIsNone(db.addint(b"a", 1))
            self.assertEqual(sorted(db.keys()), [b"a", b"b", b"c", b"n"])
            self.assertEqual(db.fwmkeys(b"a"), [b"a"])
            self.assertTrue(db.out(b"a"))
            self.assertFalse(db.out(b"a"))
            self.assertIsNone(db.get(b"a"))
            self.assertTrue(db.sync())
            self.assertEqual(db.rnum(), 3)
            self.assertGreaterEqual(db.size(), 0)
            self.assertEqual(db.stat()["rnum"], "3")
            self.assertTrue(db.vanish())
            self.assertEqual(db.rnum(), 0)


class ClientsOfAHash(Clients):
    KIND = "hash"


class ClientsOfMemory(Clients):
    KIND = "hash,memory=true"
