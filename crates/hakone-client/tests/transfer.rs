//! Sources and sinks against a server that plays a script: replies are those that the original
//! servers were seen to send.

#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

use hakone_client::ServerUrl;
use hakone_client::transfer::{self, Record};
use std::io::{Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// What is asked on a connection, and answered.
type Steps = &'static [(&'static [u8], &'static [u8])];

/// A server for so many connections, in the order in which they are made: on each it reads exactly
/// the first bytes of a step, then answers with the second. `HOST` in a request is its address.
fn script(scheme: &str, connections: &'static [Steps]) -> (ServerUrl, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        // They are open at once, and take turns.
        let mut threads = Vec::new();
        for steps in connections {
            let (stream, _) = listener.accept().unwrap();
            let host = address.to_string();
            threads.push(std::thread::spawn(move || play(stream, steps, &host)));
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let database = match scheme {
        "memcached" | "tyrant" => "",
        _ => "/1",
    };
    let url = format!("{scheme}://{address}{database}");
    (url.parse().unwrap(), server)
}

fn play(mut stream: TcpStream, steps: Steps, host: &str) {
    for (asked, answered) in steps {
        let asked = match std::str::from_utf8(asked) {
            Ok(text) => text.replace("HOST", host).into_bytes(),
            Err(_) => asked.to_vec(),
        };
        let mut request = vec![0; asked.len()];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(
            request.escape_ascii().to_string(),
            asked.escape_ascii().to_string()
        );
        stream.write_all(answered).unwrap();
    }
    // Nothing else comes before the client closes.
    let mut more = Vec::new();
    stream.read_to_end(&mut more).unwrap();
    assert_eq!(more.escape_ascii().to_string(), "");
}

fn record(key: &[u8], value: &[u8], expiry_ms: u64) -> Record {
    Record {
        key: key.to_vec(),
        value: value.to_vec(),
        expiry_ms,
        flags: 0,
    }
}

/// Reads all that there is.
fn read(url: &ServerUrl) -> Vec<Record> {
    let mut source = transfer::source(url, b"", Box::new(Cursor::new(Vec::new()))).unwrap();
    let mut records = Vec::new();
    while let Some(record) = source.next().unwrap() {
        records.push(record);
    }
    assert_eq!(source.losses().lines(), [""; 0]);
    records
}

const MATCH_PREFIX: &[u8] = b"POST /rpc/match_prefix HTTP/1.1\r\nHost: HOST\r\nContent-Type: \
    text/tab-separated-values; colenc=U\r\nContent-Length: 13\r\n\r\nDB\t1\nprefix\t\n";

#[test]
fn a_tycoon_lists_its_keys_in_any_encoding_and_gives_records_in_bulk() {
    let (url, server) = script(
        "tycoon",
        &[
            &[(
                MATCH_PREFIX,
                // _b1, _ (the empty key), _\x00\xff and num.
                b"HTTP/1.1 200 OK\r\nServer: KyotoTycoon/0.9.56b\r\nContent-Length: 40\r\n\
                  Content-Type: text/tab-separated-values; colenc=B\r\n\r\n\
                  X2Ix\tMA==\nXw==\tMQ==\nXwD/\tMg==\nbnVt\tMw==\n",
            )],
            &[(
                b"\xba\0\0\0\0\0\0\0\x03\0\x01\0\0\0\x02b1\0\x01\0\0\0\0\0\x01\0\0\0\x02\x00\xff",
                b"\xba\0\0\0\x02\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\xff\xff\xff\xff\xffb1one\
                  \0\x01\0\0\0\x02\0\0\0\x05\0\0\0\0\xf4\x86\x57\0\x00\xffthree",
            )],
        ],
    );
    assert_eq!(
        read(&url),
        [
            record(b"b1", b"one", 0),
            record(b"\x00\xff", b"three", 4_102_444_801_000)
        ]
    );
    server.join().unwrap();
}

#[test]
fn a_tycoon_takes_records_in_bulk() {
    let (url, server) = script(
        "tycoon",
        &[&[(
            b"\xb8\0\0\0\0\0\0\0\x02\0\x01\0\0\0\x02\0\0\0\x03\x7f\xff\xff\xff\xff\xff\xff\xffb1one\
              \0\x01\0\0\0\x02\0\0\0\x05\xff\xff\xff\xff\x0b\x79\xa9\0b3three",
            b"\xb8\0\0\0\x02",
        )]],
    );
    let mut sink = transfer::sink(&url).unwrap();
    sink.put(&record(b"b1", b"one", 0)).unwrap();
    sink.put(&record(b"gone", b"x", 1)).unwrap();
    sink.put(&record(b"b3", b"three", 4_102_444_801_000))
        .unwrap();
    sink.finish().unwrap();
    assert_eq!(sink.acknowledged(), 2);
    drop(sink);
    server.join().unwrap();
}

#[test]
fn a_tycoon_that_stores_less_is_told() {
    let (url, server) = script(
        "tycoon",
        &[&[(
            b"\xb8\0\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\xb8\0\0\0\0",
        )]],
    );
    let mut sink = transfer::sink(&url).unwrap();
    sink.put(&record(b"", b"", 0)).unwrap();
    assert_eq!(
        sink.finish().unwrap_err().to_string(),
        "the server refused: it stored 0 of 1 records of a set_bulk; is there a database 1?"
    );
    drop(sink);
    server.join().unwrap();
}

#[test]
fn http_lists_by_the_rpc_and_reads_by_rest() {
    let (url, server) = script(
        "http",
        &[
            &[(
                MATCH_PREFIX,
                b"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\
                  Content-Type: text/tab-separated-values; colenc=U\r\n\r\n\
                  _a%2fb\t0\n_gone\t1\n_x%09\t2\nnum\t3\n",
            )],
            &[(
                b"GET /1/a%2Fb HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\n\r\n\
                      GET /1/gone HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\n\r\n\
                      GET /1/x%09 HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nparis\
                      HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\
                      X-Kt-Error: DB: 7: no record: no record\r\n\r\n\
                      HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\
                      X-Kt-Xt: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\nv",
            )],
        ],
    );
    assert_eq!(
        read(&url),
        [
            record(b"a/b", b"paris", 0),
            record(b"x\t", b"v", 4_102_444_801_000)
        ]
    );
    server.join().unwrap();
}

#[test]
fn http_writes_by_rest() {
    let (url, server) = script(
        "http",
        &[&[
            (
                b"GET /rpc/void HTTP/1.1\r\nHost: HOST\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                b"PUT /1/a HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\nX-Kt-Xt: 4102444800\r\nContent-Length: 1\r\n\r\nv\
                  PUT /1/b%20c HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\
                  Location: http://localhost:21978/1/a\r\n\r\n\
                  HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
            ),
        ]],
    );
    let mut sink = transfer::sink(&url).unwrap();
    sink.put(&record(b"a", b"v", 4_102_444_801_000)).unwrap();
    sink.put(&record(b"b c", b"", 0)).unwrap();
    sink.finish().unwrap();
    assert_eq!(sink.acknowledged(), 2);
    drop(sink);
    server.join().unwrap();
}

#[test]
fn a_server_without_lists_or_databases_is_told() {
    let (url, server) = script(
        "http",
        &[&[(
            MATCH_PREFIX,
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nNot Found\n",
        )]],
    );
    let refused = transfer::source(&url, b"", Box::new(Cursor::new(Vec::new()))).unwrap_err();
    let said = refused.to_string();
    assert!(
        said.ends_with(
            " does not list its keys over HTTP (match_prefix: the server refused: status 404, Not \
             Found); a Tokyo Tyrant lists them over tyrant://"
        ),
        "{said}"
    );
    server.join().unwrap();

    let (url, server) = script(
        "http",
        &[&[(
            b"GET /rpc/void HTTP/1.1\r\nHost: HOST\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nNot Found\n",
        )]],
    );
    let said = transfer::sink(&url).unwrap_err().to_string();
    assert!(said.contains("has only one database over HTTP"), "{said}");
    server.join().unwrap();
}

const UNKNOWN: &[u8] = b"-ERR unknown command `PEXPIRETIME`, with args beginning with: ``\r\n";

const SELECT: (&[u8], &[u8]) = (b"*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n", b"+OK\r\n");

#[test]
fn a_redis_before_7_tells_and_takes_times_from_now_on() {
    let (url, server) = script(
        "redis",
        &[&[
            SELECT,
            (b"*2\r\n$11\r\nPEXPIRETIME\r\n$0\r\n\r\n", UNKNOWN),
            (b"*1\r\n$6\r\nDBSIZE\r\n", b":2\r\n"),
            (
                b"*4\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n",
                b"*2\r\n$2\r\n17\r\n*1\r\n$1\r\na\r\n",
            ),
            (
                b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$4\r\nPTTL\r\n$1\r\na\r\n",
                b"$1\r\n1\r\n:1000000\r\n",
            ),
            (
                b"*4\r\n$4\r\nSCAN\r\n$2\r\n17\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n",
                b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n",
            ),
            (
                b"*2\r\n$3\r\nGET\r\n$1\r\nb\r\n*2\r\n$4\r\nPTTL\r\n$1\r\nb\r\n\
                  *2\r\n$3\r\nGET\r\n$1\r\nc\r\n*2\r\n$4\r\nPTTL\r\n$1\r\nc\r\n",
                // One has gone since it was listed.
                b"$-1\r\n:-2\r\n$1\r\n3\r\n:-1\r\n",
            ),
        ]],
    );
    let before = now_ms();
    let records = read(&url);
    let expected = before + 1_000_000..=now_ms() + 1_000_000;
    assert!(expected.contains(&records[0].expiry_ms), "{records:?}");
    assert_eq!(records[1..], [record(b"c", b"3", 0)]);
    server.join().unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(UNKNOWN).unwrap();
        stream.write_all(b"+OK\r\n").unwrap();
        let mut asked = String::new();
        stream.read_to_string(&mut asked).unwrap();
        asked
    });
    let mut sink = transfer::sink(&url.parse().unwrap()).unwrap();
    sink.put(&record(b"a", b"1", now_ms() + 9_999_999)).unwrap();
    sink.finish().unwrap();
    drop(sink);
    let asked = server.join().unwrap();
    let set = "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n$2\r\nPX\r\n$7\r\n99";
    assert!(asked.contains(set), "{asked}");
}

fn now_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[test]
fn a_memcached_without_meta_commands_is_listed_by_its_lists() {
    let (url, server) = script(
        "memcached",
        &[
            &[
                (b"mn\r\n", b"ERROR\r\n"),
                (b"get a b\r\n", b"VALUE b 7 2\r\n\r\n\r\nEND\r\n"),
            ],
            &[
                (
                    b"lru_crawler metadump hash\r\n",
                    b"BADCLASS invalid class id\r\n",
                ),
                (
                    b"lru_crawler metadump all\r\n",
                    b"key=a exp=-1 la=1 cas=1 fetch=no cls=1 size=60\n\
                      key=a%20b exp=-1 la=1 cas=1 fetch=no cls=1 size=60\n\
                      key=b exp=2114380800 la=1 cas=1 fetch=no cls=1 size=60\nEND\r\n",
                ),
            ],
        ],
    );
    let mut source = transfer::source(&url, b"", Box::new(Cursor::new(Vec::new()))).unwrap();
    assert_eq!(source.count(), Some(3));
    let expected = Record {
        flags: 7,
        ..record(b"b", b"\r\n", 2_114_380_800_000)
    };
    assert_eq!(source.next().unwrap(), Some(expected));
    assert_eq!(source.next().unwrap(), None);
    assert_eq!(source.losses().left_out_count(), 1);
    drop(source);
    server.join().unwrap();
}

#[test]
fn a_tyrant_whose_iterator_another_client_took_is_told() {
    let (url, server) = script(
        "tyrant",
        &[&[
            (b"\xc8\x80", b"\0\0\0\0\0\0\0\0\x03"),
            (b"\xc8\x50", b"\0"),
            (&STEPS, &ONE_KEY),
            (
                b"\xc8\x31\0\0\0\x01\0\0\0\x01a",
                b"\0\0\0\0\x01\0\0\0\x01\0\0\0\x02a12",
            ),
        ]],
    );
    let mut source = transfer::source(&url, b"", Box::new(Cursor::new(Vec::new()))).unwrap();
    assert_eq!(source.next().unwrap(), Some(record(b"a", b"12", 0)));
    assert_eq!(source.next().unwrap(), None);
    let said = source.losses().lines();
    assert!(
        said[0].starts_with("the server counted 3 records and its iterator gave 1: "),
        "{said:?}"
    );
    drop(source);
    server.join().unwrap();
}

/// A thousand steps of the iterator.
const STEPS: [u8; 2000] = {
    let mut steps = [0xc8; 2000];
    let mut at = 1;
    while at < steps.len() {
        steps[at] = 0x51;
        at += 2;
    }
    steps
};

/// What comes of them if there is one key: `a`, then the end again and again.
const ONE_KEY: [u8; 6 + 999] = {
    let mut replies = [1; 6 + 999];
    replies[0] = 0;
    replies[1] = 0;
    replies[2] = 0;
    replies[3] = 0;
    replies[4] = 1;
    replies[5] = b'a';
    replies
};
