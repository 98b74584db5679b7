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
    (format!("{scheme}://{address}/1").parse().unwrap(), server)
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

const STATUS: (&[u8], &[u8]) = (
    b"POST /rpc/status HTTP/1.1\r\nHost: HOST\r\nContent-Type: text/tab-separated-values; \
      colenc=U\r\nContent-Length: 5\r\n\r\nDB\t1\n",
    b"HTTP/1.1 200 OK\r\nServer: KyotoTycoon/0.9.56b\r\nContent-Length: 8\r\n\
      Content-Type: text/tab-separated-values\r\n\r\ncount\t4\n",
);

const MATCH_PREFIX: &[u8] = b"POST /rpc/match_prefix HTTP/1.1\r\nHost: HOST\r\nContent-Type: \
    text/tab-separated-values; colenc=U\r\nContent-Length: 13\r\n\r\nDB\t1\nprefix\t\n";

#[test]
fn a_tycoon_lists_its_keys_in_any_encoding_and_gives_records_in_bulk() {
    let (url, server) = script(
        "tycoon",
        &[
            &[(
                b"\xba\0\0\0\0\0\0\0\x03\0\x01\0\0\0\x02b1\0\x01\0\0\0\0\0\x01\0\0\0\x02\x00\xff",
                b"\xba\0\0\0\x02\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\xff\xff\xff\xff\xffb1one\
                  \0\x01\0\0\0\x02\0\0\0\x05\0\0\0\0\xf4\x86\x57\0\x00\xffthree",
            )],
            &[STATUS],
            &[(
                MATCH_PREFIX,
                // _b1, _ (the empty key), _\x00\xff and num.
                b"HTTP/1.1 200 OK\r\nServer: KyotoTycoon/0.9.56b\r\nContent-Length: 40\r\n\
                  Content-Type: text/tab-separated-values; colenc=B\r\n\r\n\
                  X2Ix\tMA==\nXw==\tMQ==\nXwD/\tMg==\nbnVt\tMw==\n",
            )],
        ],
    );
    assert_eq!(
        read(&url),
        [
            record(b"b1", b"one", 0),
            record(b"\x00\xff", b"three", 4_102_444_800_000)
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
    sink.put(&record(b"b3", b"three", 4_102_444_800_000))
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
            &[
                STATUS,
                (
                    b"GET /1/a%2Fb HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\n\r\n\
                      GET /1/gone HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\n\r\n\
                      GET /1/x%09 HTTP/1.1\r\nHost: HOST\r\nX-Kt-Mode: set\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nparis\
                      HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\
                      X-Kt-Error: DB: 7: no record: no record\r\n\r\n\
                      HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\
                      X-Kt-Xt: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\nv",
                ),
            ],
        ],
    );
    assert_eq!(
        read(&url),
        [
            record(b"a/b", b"paris", 0),
            record(b"x\t", b"v", 4_102_444_800_000)
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
    sink.put(&record(b"a", b"v", 4_102_444_800_000)).unwrap();
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
