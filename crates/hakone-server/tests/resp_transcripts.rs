//! Conversations in Redis' protocol whose answers are ours to choose, or that depend on nothing but
//! the protocol: request, then what must come back.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use hakone::{Durability, Kind};
use hakone_server::{Peer, Protocol, Ready, Session};
use hakone_wire::resp::{ROWS, subcommands};
use support::{NOW, Server, request};

fn words(line: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    request(&words)
}

fn peer() -> Peer {
    Peer {
        address: "a".to_owned(),
        protocol: None,
        loopback: true,
    }
}

/// Plays lines of `> request` and the text of the reply after each, on every kind of database and
/// in pieces of several sizes.
fn check(transcript: &str) {
    for (kind, memory) in [(Kind::Hash, true), (Kind::Tree, true), (Kind::Tree, false)] {
        for piece in [usize::MAX, 1] {
            let server = Server::new(kind, memory);
            let mut connection = server.connect();
            for exchange in transcript.split("\n    > ").skip(1) {
                let (asked, expected) = exchange.split_once('\n').unwrap_or((exchange, ""));
                let bytes = words(asked);
                let replies = connection.send_pieces(&bytes, piece.min(bytes.len()));
                let replies = String::from_utf8(replies).unwrap().replace("\r\n", " ");
                let expected: Vec<&str> = expected.split_whitespace().collect();
                assert_eq!(replies.trim_end(), expected.join(" "), "{asked}");
            }
        }
    }
}

#[test]
fn values_are_written_and_read() {
    check(
        "
    > SET a hello
    +OK
    > GET a
    $5 hello
    > GET b
    $-1
    > MGET a b a
    *3 $5 hello $-1 $5 hello
    > HELLO 3
    %7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone
    $4 role $6 master $7 modules *0
    > GET b
    _
    > MGET a b
    *2 $5 hello _
    > HELLO
    %7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone
    $4 role $6 master $7 modules *0
    > RESET
    +RESET
    > GET b
    $-1",
    );
}

#[test]
fn expiries_are_kept_to_the_millisecond() {
    let mut server = Server::new(Kind::Hash, true);
    let ask = |server: &Server, line: &str| {
        let reply = server.connect().send(&words(line));
        String::from_utf8(reply).unwrap()
    };
    assert_eq!(ask(&server, "SET a 1 PX 1500"), "+OK\r\n");
    assert_eq!(ask(&server, "PTTL a"), ":1500\r\n");
    assert_eq!(ask(&server, "TTL a"), ":2\r\n");
    assert_eq!(
        ask(&server, "PEXPIRETIME a"),
        format!(":{}\r\n", NOW + 1500)
    );
    server.now = NOW + 1499;
    assert_eq!(ask(&server, "GET a"), "$1\r\n1\r\n");
    server.now = NOW + 1500;
    for (line, reply) in [
        ("GET a", "$-1\r\n"),
        ("EXISTS a", ":0\r\n"),
        ("TTL a", ":-2\r\n"),
        ("STRLEN a", ":0\r\n"),
        ("DEL a", ":0\r\n"),
        ("PERSIST a", ":0\r\n"),
        ("SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("SETNX a 2", ":1\r\n"),
        ("TTL a", ":-1\r\n"),
    ] {
        assert_eq!(ask(&server, line), reply, "{line}");
    }
}

#[test]
fn what_differs_from_redis_on_purpose_is_said() {
    check(
        "
    > SET a 1 EX 100
    +OK
    > SCAN -1
    -ERR invalid cursor
    > SET past 1 EXAT 1
    +OK
    > DBSIZE
    :1
    > PEXPIREAT a 9223372036854775807
    :1
    > PEXPIRETIME a
    :281474976710655
    > SET n 9223372036854775800
    +OK
    > INCRBYFLOAT n -1.25
    $22 9223372036854775798.75
    > INCRBYFLOAT n inf
    -ERR value is not a valid float
    > SET n 7
    +OK
    > OBJECT REFCOUNT n
    :1
    > SETRANGE n 0 abc
    :3
    > OBJECT ENCODING n
    $6 embstr
    > SWAPDB 0 1
    -ERR unknown command 'SWAPDB', with args beginning with: '0' '1'
    > CLIENT KILL LADDR 127.0.0.1:1978
    -ERR syntax error
    > CLIENT TRACKING on
    -ERR CLIENT TRACKING ON is not served
    > CONFIG SET save x
    -ERR CONFIG SET failed (possibly related to argument 'save') - can't set immutable config
    > CONFIG SET port 1978 maxmemory-policy noeviction
    +OK
    > PING
    +PONG",
    );
}

#[test]
fn the_connection_tells_of_itself() {
    check(
        "
    > CLIENT ID
    :1
    > CLIENT SETINFO LIB-NAME redis-py
    +OK
    > CLIENT SETINFO LIB-VER 8.1.0
    +OK
    > CLIENT SETINFO LIB-FOO 1
    -ERR Unrecognized option 'LIB-FOO'
    > CLIENT SETNAME me
    +OK
    > CLIENT GETNAME
    $2 me
    > SELECT 3
    +OK
    > CLIENT INFO
    $176 id=1 addr=127.0.0.1:50000 name=me age=0 idle=0 flags=N db=3 sub=0 psub=0 ssub=0 multi=-1
    cmd=client user=default redir=-1 resp=2 lib-name=redis-py lib-ver=8.1.0 protocol=redis
    > HELLO 3 SETNAME you
    %7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone
    $4 role $6 master $7 modules *0
    > CLIENT LIST
    =181 txt:id=1 addr=127.0.0.1:50000 name=you age=0 idle=0 flags=N db=3 sub=0 psub=0 ssub=0
    multi=-1 cmd=client user=default redir=-1 resp=3 lib-name=redis-py lib-ver=8.1.0 protocol=redis
    > TIME
    *2 $10 1800000000 $1 0
    > CONFIG GET save appendonly
    %2 $10 appendonly $3 yes $4 save $0
    > COMMAND INFO get nosuch
    *2 *10 $3 get :2 ~2 +readonly +fast :1 :1 :1 ~1 +@string *0 *0 *0 _
    > COMMAND DOCS get
    %1 $3 get %3 $7 summary $13 Reads a value $5 since $5 1.0.0 $5 group $6 string
    > INFO nosection
    =4 txt:",
    );
}

#[test]
fn numbered_databases_are_made_when_they_are_written() {
    let databases = [("first", Kind::Tree, true), ("second", Kind::Hash, true)];
    let server = Server::with(&databases, Durability::Process);
    let mut connection = server.connect();
    let mut ask = |line: &str| String::from_utf8(connection.send(&words(line))).unwrap();
    for (line, reply) in [
        ("SET k zero", "+OK\r\n"),
        ("SELECT 1", "+OK\r\n"),
        ("SET k one", "+OK\r\n"),
        ("SELECT 5", "+OK\r\n"),
        ("GET k", "$-1\r\n"),
        ("DEL k", ":0\r\n"),
        ("MGET k l", "*2\r\n$-1\r\n$-1\r\n"),
        ("SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("DBSIZE", ":0\r\n"),
        ("FLUSHDB", "+OK\r\n"),
    ] {
        assert_eq!(ask(line), reply, "{line}");
    }
    assert!(server.cabinet.database("redis-5").is_none());
    assert_eq!(ask("SET k five"), "+OK\r\n");
    let made = server.cabinet.database("redis-5").unwrap();
    assert_eq!(made.options().kind, Kind::Tree);
    assert_eq!(ask("GET k"), "$4\r\nfive\r\n");
    let info = ask("INFO keyspace");
    for line in ["db0:keys=1,", "db1:keys=1,", "db5:keys=1,"] {
        assert!(info.contains(line), "{info}");
    }
    assert_eq!(ask("FLUSHALL"), "+OK\r\n");
    for number in [0, 1, 5] {
        assert_eq!(ask(&format!("SELECT {number}")), "+OK\r\n");
        assert_eq!(ask("DBSIZE"), ":0\r\n");
    }
    assert_eq!(ask("HAKONE USE second"), "+OK\r\n");
    assert_eq!(ask("SET k again"), "+OK\r\n");
    assert_eq!(ask("SELECT 1"), "+OK\r\n");
    assert_eq!(ask("GET k"), "$5\r\nagain\r\n");
    assert!(ask("HAKONE USE third").starts_with("-ERR "));
}

#[test]
fn info_begins_with_a_version_of_redis_and_counts() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let mut ask = |line: &str| String::from_utf8(connection.send(&words(line))).unwrap();
    ask("SET a 1");
    ask("GET a");
    ask("GET b");
    ask("NOSUCH");
    let info = ask("INFO");
    let lines: Vec<&str> = info.split("\r\n").collect();
    assert_eq!(lines[1..3], ["# Server", "redis_version:7.0.15"]);
    for line in [
        "server_name:hakone",
        "redis_mode:standalone",
        "loading:0",
        "role:master",
        "maxmemory_policy:noeviction",
        "connected_clients:1",
        "total_commands_processed:4",
        "total_error_replies:1",
        "keyspace_hits:1",
        "keyspace_misses:1",
        "tcp_port:1978",
        "db0:keys=1,expires=0,avg_ttl=0",
    ] {
        assert!(lines.contains(&line), "{line} in {info}");
    }
    assert!(ask("INFO commandstats").contains("cmdstat_get:calls=2\r\n"));
    assert!(!ask("INFO clients").contains("redis_version"));
}

#[test]
fn the_command_line_pages_through_records() {
    let mut all: Vec<String> = (0..100).map(|n| format!("k{n:03}")).collect();
    all.push("other".to_owned());
    let server = Server::new(Kind::Tree, true);
    let mut connection = server.connect();
    let mut ask = |words: &[&[u8]]| String::from_utf8(connection.send(&request(words))).unwrap();
    for key in &all {
        ask(&[b"SET", key.as_bytes(), b"v"]);
    }
    let (mut from, mut found) = (None::<String>, Vec::new());
    loop {
        let mut words: Vec<&[u8]> = vec![b"HAKONE", b"SCAN", b"LIMIT", b"7", b"KEYS"];
        if let Some(from) = &from {
            words.extend([&b"RESUME"[..], from.as_bytes()]);
        }
        let reply = ask(&words);
        // Where it goes on, then each key and where it is, which is nothing more than the key.
        let texts: Vec<&str> = reply
            .split("\r\n")
            .filter(|text| !text.starts_with(['*', '$']) && !text.is_empty())
            .collect();
        let keys = match texts.as_slice() {
            ["+RESUME", next, keys @ ..] => {
                from = Some((*next).to_owned());
                keys
            }
            keys => {
                from = None;
                keys
            }
        };
        assert!(keys.len() <= 7, "{reply}");
        found.extend(keys.iter().map(|&key| key.to_owned()));
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, all);
    let put = ask(&[
        b"HAKONE",
        b"PUT",
        b"k000",
        b"new",
        b"EXPIRY",
        b"1900000000000",
        b"FLAGS",
        b"7",
    ]);
    assert!(put.starts_with("*1\r\n$"), "{put}");
    let reply = ask(&[b"HAKONE", b"SCAN", b"LIMIT", b"9", b"PREFIX", b"k00"]);
    let record = "*6\r\n$4\r\nk000\r\n$3\r\nnew\r\n:1900000000000\r\n:7\r\n$";
    assert!(reply.contains(record), "{reply}");
    assert_eq!(reply.matches("*6\r\n").count(), 9);
    for (words, wrong) in [
        (&["SCAN"][..], "-ERR LIMIT is missing"),
        (
            &["SCAN", "LIMIT", "5", "SIDEWAYS"],
            "-ERR unknown or misplaced option 'SIDEWAYS'",
        ),
        (
            &["REMOVE_RANGE", "LIMIT", "4097"],
            "-ERR LIMIT is at most 4096",
        ),
        (&["HOVER"], "-ERR unknown subcommand"),
    ] {
        let mut request: Vec<&[u8]> = vec![b"HAKONE"];
        request.extend(words.iter().map(|word| word.as_bytes()));
        let reply = ask(&request);
        assert!(reply.starts_with(wrong), "{words:?}: {reply}");
    }
    let stat = ask(&[b"HAKONE", b"STAT"]);
    for line in [
        "database.0.name\tdefault\n",
        "database.0.count\t101\n",
        "commands.redis.put\t102\n",
    ] {
        assert!(stat.contains(line), "{line} in {stat}");
    }
}

#[test]
fn a_transaction_is_carried_out_whole_and_answered_in_order() {
    check(
        "
    > MULTI
    +OK
    > SET a 1
    +QUEUED
    > INCR a
    +QUEUED
    > APPEND a x
    +QUEUED
    > INCR a
    +QUEUED
    > CLIENT SETNAME me
    +QUEUED
    > TIME
    +QUEUED
    > SELECT 5
    +QUEUED
    > SET b five
    +QUEUED
    > HELLO 3
    +QUEUED
    > GET nokey
    +QUEUED
    > CLIENT GETNAME
    +QUEUED
    > SELECT 0
    +QUEUED
    > MGET a nokey
    +QUEUED
    > FLUSHALL
    +QUEUED
    > DBSIZE
    +QUEUED
    > SET a 7
    +QUEUED
    > EXEC
    *16 +OK :2 :2 -ERR value is not an integer or out of range +OK *2 $10 1800000000 $1 0 +OK +OK
    %7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone
    $4 role $6 master $7 modules *0 _ $2 me +OK *2 $2 2x _ +OK :0 +OK
    > GET a
    $1 7
    > SELECT 5
    +OK
    > GET b
    _
    > EXEC
    -ERR EXEC without MULTI",
    );
}

#[test]
fn what_cannot_be_part_of_a_transaction_is_refused_when_it_is_queued() {
    let server = Server::new(Kind::Tree, true);
    let mut connection = server.connect();
    let mut ask = |line: &str| String::from_utf8(connection.send(&words(line))).unwrap();
    for line in [
        "SCAN 0",
        "KEYS *",
        "RANDOMKEY",
        "MOVE a 1",
        "COPY a b DB 1",
        "SAVE",
        "CLIENT LIST",
        "CLIENT REPLY ON",
        "HAKONE STAT",
    ] {
        assert_eq!(ask("MULTI"), "+OK\r\n");
        let error = "-ERR Command not allowed inside a transaction\r\n";
        assert_eq!(ask(line), error, "{line}");
        assert_eq!(ask("SET a 1"), "+QUEUED\r\n");
        assert!(ask("EXEC").starts_with("-EXECABORT "), "{line}");
    }
    assert_eq!(ask("GET a"), "$-1\r\n");
}

#[test]
fn a_step_that_the_store_refuses_leaves_the_others() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let long = vec![b'k'; 70_000];
    connection.send(&words("MULTI"));
    connection.send(&words("SET a 1"));
    connection.send(&request(&[b"SET", &long, b"1"]));
    connection.send(&words("SETRANGE a 33554432 x"));
    connection.send(&words("INCR a"));
    assert_eq!(
        String::from_utf8(connection.send(&words("EXEC"))).unwrap(),
        "*4\r\n+OK\r\n-ERR key of 70000 bytes is larger than the limit of 65536\r\n\
         -ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n:2\r\n"
    );
}

#[test]
fn a_watched_key_that_is_absent_before_and_after_has_not_changed() {
    check(
        "
    > WATCH a
    +OK
    > SET a 1
    +OK
    > DEL a
    :1
    > MULTI
    +OK
    > EXEC
    *0
    > WATCH a
    +OK
    > SET a 1
    +OK
    > MULTI
    +OK
    > SET b 1
    +QUEUED
    > EXEC
    *-1
    > GET b
    $-1",
    );
}

#[test]
fn a_transaction_ends_with_its_connection_and_sees_records_expire() {
    let mut server = Server::new(Kind::Tree, true);
    let mut connection = server.connect();
    connection.send(&[words("MULTI"), words("SET a 1")].concat());
    drop(connection);
    assert_eq!(server.connect().send(b"GET a\r\n"), b"$-1\r\n");

    server.connect().send(&words("SET e 1 PX 1000"));
    let mut watcher = server.service.connect(peer(), NOW);
    let send = |watcher: &mut Session, now: u64, line: &str| {
        let (bytes, mut out) = (words(line), Vec::new());
        let mut ready = [Ready::new(watcher, &bytes, &mut out)];
        server.service.turn(now, &mut ready);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(send(&mut watcher, NOW, "WATCH e"), "+OK\r\n");
    assert_eq!(send(&mut watcher, NOW, "MULTI"), "+OK\r\n");
    assert_eq!(send(&mut watcher, NOW + 1000, "EXEC"), "*-1\r\n");
    assert_eq!(send(&mut watcher, NOW + 1000, "WATCH e"), "+OK\r\n");
    assert_eq!(send(&mut watcher, NOW + 1000, "MULTI"), "+OK\r\n");
    assert_eq!(send(&mut watcher, NOW + 2000, "EXEC"), "*0\r\n");
    server.service.disconnect(watcher);
    server.now += 5000;
}

#[test]
fn transactions_are_counted_by_the_commands_in_them() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let mut ask = |line: &str| String::from_utf8(connection.send(&words(line))).unwrap();
    for line in ["MULTI", "SET a 1", "GET a", "GET b", "INCR c", "EXEC"] {
        ask(line);
    }
    let stat = ask("HAKONE STAT");
    for line in [
        "commands.redis.put\t1\n",
        "commands.redis.get\t2\n",
        "commands.redis.add\t1\n",
    ] {
        assert!(stat.contains(line), "{line} in {stat}");
    }
    let stats = ask("INFO stats");
    assert!(
        stats.contains("keyspace_hits:1\r\nkeyspace_misses:1\r\n"),
        "{stats}"
    );
    let calls = "cmdstat_get:calls=2\r\n";
    assert!(ask("INFO commandstats").contains(calls));
    assert_eq!(ask("CONFIG RESETSTAT"), "+OK\r\n");
    assert!(!ask("INFO commandstats").contains(calls));
    assert!(ask("INFO stats").contains("keyspace_hits:0\r\n"));
    assert!(ask("HAKONE STAT").contains("commands.redis.put\t1\n"));
}

#[test]
fn a_long_list_of_keys_comes_in_turns() {
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, true);
        let mut connection = server.connect();
        for number in 0..10_000 {
            connection.send(&words(&format!("SET key:{number} v")));
        }
        let before = connection.turns;
        let reply = connection.send(&words("KEYS *5"));
        assert!(connection.turns - before >= 3, "{kind:?}");
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.starts_with("*1000\r\n"), "{reply:.20}");
        assert_eq!(reply.matches("5\r\n$").count(), 999);
        let one = connection.send(&words("KEYS key:77"));
        assert_eq!(one, b"*1\r\n$6\r\nkey:77\r\n");
    }
}

#[test]
fn any_key_is_one_that_is_there() {
    for kind in [Kind::Hash, Kind::Tree] {
        let mut server = Server::new(kind, true);
        let ask = |server: &Server, line: &str| {
            String::from_utf8(server.connect().send(&words(line))).unwrap()
        };
        assert_eq!(ask(&server, "RANDOMKEY"), "$-1\r\n");
        for number in 0..50 {
            ask(&server, &format!("SET k{number:02} v"));
            ask(&server, &format!("SET gone{number} v PX 10"));
        }
        server.now += 10;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..5000 {
            let key = ask(&server, "RANDOMKEY");
            assert!(key.starts_with("$3\r\nk"), "{key}");
            seen.insert(key);
        }
        assert!(seen.len() >= 40, "{}", seen.len());
    }
}

#[test]
fn the_idle_time_counts_from_the_last_write() {
    let mut server = Server::new(Kind::Hash, true);
    let ask = |server: &Server, line: &str| {
        String::from_utf8(server.connect().send(&words(line))).unwrap()
    };
    ask(&server, "SET key 12345");
    server.now += 7500;
    assert_eq!(ask(&server, "OBJECT IDLETIME key"), ":7\r\n");
    ask(&server, "GET key");
    assert_eq!(ask(&server, "OBJECT IDLETIME key"), ":7\r\n");
    assert_eq!(ask(&server, "MEMORY USAGE key"), ":34\r\n");
    ask(&server, "APPEND key 6");
    assert_eq!(ask(&server, "OBJECT IDLETIME key"), ":0\r\n");
}

#[test]
fn save_is_answered_when_all_is_durable() {
    let databases = [("default", Kind::Tree, false)];
    let server = Server::with(&databases, Durability::Process);
    let mut session = server.service.connect(peer(), NOW);
    let bytes = [words("SET a 1"), words("SAVE"), words("LASTSAVE")].concat();
    let mut out = Vec::new();
    let mut ready = [Ready::new(&mut session, &bytes, &mut out)];
    server.service.turn(NOW, &mut ready);
    let wait = ready[0].wait;
    // A cabinet whose disk was quicker than this line has nothing left to wait for.
    assert!(wait.is_some() || server.cabinet.written() <= server.cabinet.durable());
    assert_eq!(out, b"+OK\r\n+OK\r\n:1800000000\r\n");
    server.service.disconnect(session);
}

#[test]
fn help_lists_what_is_served() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let mut ask = |line: &str| String::from_utf8(connection.send(&words(line))).unwrap();
    for row in ROWS {
        let subcommands = subcommands(row.verb);
        if subcommands.is_empty() {
            continue;
        }
        let reply = ask(&format!("{} HELP", row.name));
        let head = format!(
            "*{}\r\n+{} <subcommand>",
            1 + 2 * subcommands.len(),
            row.name
        );
        let begins = reply.to_lowercase().starts_with(&head);
        assert!(begins, "{head} {reply}");
        for sub in subcommands {
            let line = format!("\r\n+{}", sub.name.to_uppercase());
            assert!(reply.contains(&line), "{line} {reply}");
            // None is unknown to the code that carries it out.
            let mut line = format!("{} {}", row.name, sub.name);
            while line.split(' ').count() < sub.arity.unsigned_abs() as usize {
                line.push_str(" 1");
            }
            if !matches!(sub.name, "kill" | "reply") {
                assert!(!ask(&line).contains("unknown subcommand"), "{line}");
            }
        }
    }
}

#[test]
fn lines_of_a_browser_end_the_connection() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "PUT /key HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "post x\r\n",
        "Host: localhost\r\n",
    ] {
        let server = Server::new(Kind::Hash, true);
        let body = format!("{line}Host: a\r\n\r\nSET a 1\r\n");
        let mut bound = server.connect_to(Some(Protocol::Resp));
        assert_eq!(bound.send(body.as_bytes()), b"", "{line}");
        assert!(bound.closed, "{line}");
        // Where HTTP is spoken, too, it answers that the host is not this machine.
        let mut common = server.connect();
        let reply = common.send(body.as_bytes());
        let forbidden = line.contains("HTTP/1.");
        assert_eq!(reply.starts_with(b"HTTP/1.1 403"), forbidden, "{line}");
        assert_eq!(reply.is_empty(), !forbidden, "{line}");
        assert!(common.closed, "{line}");
        assert_eq!(server.connect().send(b"GET a\r\n"), b"$-1\r\n");
    }
}

#[test]
fn each_request_speaks_its_own_protocol_until_one_is_agreed_on() {
    let server = Server::new(Kind::Hash, true);
    let put = b"\xc8\x10\0\0\0\x01\0\0\0\x01kv";
    let mut connection = server.connect();
    let mixed = [&put[..], b"GET k\r\n", &request(&[b"GET", b"k"]), &put[..]].concat();
    assert_eq!(connection.send(&mixed), b"\0$1\r\nv\r\n$1\r\nv\r\n\0");
    assert!(!connection.closed);

    let mut agreed = server.connect();
    let mixed = [&words("HELLO 2")[..], put].concat();
    let reply = agreed.send(&mixed);
    assert!(reply.starts_with(b"*14\r\n") && !reply.ends_with(b"\0"));
    // What was bytes of Tyrant's is a line without end now.
    assert!(!agreed.closed && agreed.unconsumed() == put.len());

    let mut bound = server.connect_to(Some(Protocol::Tyrant));
    assert_eq!(bound.send(put), b"\0");
    assert_eq!(bound.send(b"PING\r\n"), b"");
    assert!(bound.closed);

    let mut unknown = server.connect();
    assert_eq!(unknown.send(b"\x80\x00\x00\x00"), b"");
    assert!(unknown.closed);
}
