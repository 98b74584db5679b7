//! Conversations in Redis' protocol whose answers are ours to choose, or that depend on nothing but
//! the protocol: request, then what must come back.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use hakone::{Durability, Kind};
use hakone_server::Protocol;
use support::{NOW, Server, request};

fn words(line: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    request(&words)
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
    > CONFIG SET save x
    -ERR Unknown option or number of arguments for CONFIG SET - 'save'
    > AUTH default secret
    -ERR AUTH <password> called without any password configured for the default user.
    Are you sure your configuration is correct?
    > HELLO 3 AUTH default secret
    -ERR AUTH <password> called without any password configured for the default user.
    Are you sure your configuration is correct?
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
    $78 id=1 addr=127.0.0.1:50000 name=me db=3 resp=2 lib-name=redis-py lib-ver=8.1.0
    > HELLO 3 SETNAME you
    %7 $6 server $5 redis $7 version $6 7.0.15 $5 proto :3 $2 id :1 $4 mode $10 standalone
    $4 role $6 master $7 modules *0
    > CLIENT LIST
    =83 txt:id=1 addr=127.0.0.1:50000 name=you db=3 resp=3 lib-name=redis-py lib-ver=8.1.0
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
    let (mut from, mut found) = (String::new(), Vec::new());
    loop {
        let reply = ask(&[b"HAKONE", b"SCAN", from.as_bytes(), b"7", b"KEYS"]);
        let texts: Vec<&str> = reply
            .split("\r\n")
            .filter(|text| !text.starts_with('*') && !text.is_empty())
            .collect();
        let keys = if texts[0] == "$-1" {
            &texts[1..]
        } else {
            &texts[2..]
        };
        found.extend(keys.chunks(2).map(|pair| pair[1].to_owned()));
        if texts[0] == "$-1" {
            break;
        }
        from = texts[1].to_owned();
    }
    assert_eq!(found, all);
    let put = ask(&[b"HAKONE", b"PUT", b"k000", b"new", b"1900000000000", b"7"]);
    assert_eq!(put, "+OK\r\n");
    let reply = ask(&[b"HAKONE", b"SCAN", b"", b"9", b"PREFIX", b"k00"]);
    let record = "*4\r\n$4\r\nk000\r\n$3\r\nnew\r\n:1900000000000\r\n:7\r\n";
    assert!(reply.contains(record), "{reply}");
    assert_eq!(reply.matches("*4\r\n").count(), 9);
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
