//! HTTP: which dialect is meant, who may ask, what is refused, and that neither a client that waits
//! nor one that sends in pieces costs more than it should.

mod running;
mod support;

use hakone::{Kind, limits};
use hakone_server::config::HttpDialect;
use hakone_server::{Peer, Protocol, Ready};
use running::{Running, expect, expect_last};
use std::io::{Read, Write};
use support::{NOW, Server};

/// The status line of a reply, and its last line.
fn ends(reply: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(reply).into_owned();
    let first = text.lines().next().unwrap_or_default().to_owned();
    (first, text.lines().last().unwrap_or_default().to_owned())
}

fn status(reply: &[u8]) -> String {
    let (first, _) = ends(reply);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn headers_and_the_setting_tell_the_dialect() {
    let mut server = Server::new(Kind::Hash, true);
    let tycoon = |reply: &[u8]| reply.windows(8).any(|w| w == b"Server: ");
    for setting in [HttpDialect::Tyrant, HttpDialect::Tycoon] {
        server.set_http(setting);
        let check = |line: &str, headers: &str, expected: Option<HttpDialect>| {
            let request = format!("{line} HTTP/1.1\r\n{headers}\r\n");
            let reply = server.connect().send(request.as_bytes());
            let dialect = if tycoon(&reply) {
                HttpDialect::Tycoon
            } else {
                HttpDialect::Tyrant
            };
            assert_eq!(
                dialect,
                expected.unwrap_or(setting),
                "{setting:?}: {request}"
            );
        };
        check("GET /a", "", None);
        check("GET /a", "X-Other: 1\r\n", None);
        check("GET /a", "x-tt-pdmode: 0\r\n", Some(HttpDialect::Tyrant));
        check("GET /a", "X-KT-Mode: set\r\n", Some(HttpDialect::Tycoon));
        let both = "X-Kt-Mode: set\r\nX-TT-PDMODE: 0\r\n";
        check("GET /a", both, Some(HttpDialect::Tyrant));
        check("OPTIONS /a", "", Some(HttpDialect::Tyrant));
        check("OPTIONS /rpc/void", "", Some(HttpDialect::Tyrant));
        check("GET /rpc/void", "", Some(HttpDialect::Tycoon));
        check(
            "GET http://localhost/rpc/void",
            "",
            Some(HttpDialect::Tycoon),
        );
        check(
            "GET /rpc/void",
            "X-TT-PDMODE: 0\r\n",
            Some(HttpDialect::Tyrant),
        );
        check("GET /%72pc/void", "", None);
    }
}

#[test]
fn a_browser_is_not_a_client() {
    let server = Server::new(Kind::Hash, true);
    let peer = |loopback| Peer {
        address: "127.0.0.1:50000".to_owned(),
        protocol: None,
        loopback,
    };
    let check = |headers: &str, loopback: bool, forbidden: bool| {
        let request = format!("PUT /a HTTP/1.1\r\n{headers}Content-Length: 1\r\n\r\nx");
        let mut connection = server.connect_as(peer(loopback));
        let reply = connection.send(request.as_bytes());
        let expected = if forbidden { "403" } else { "201" };
        assert_eq!(status(&reply), expected, "{loopback} {request}");
        assert_eq!(connection.closed, forbidden, "{request}");
        let exists = server.connect().send(b"DEL a\r\n") == b":1\r\n";
        assert_eq!(exists, !forbidden, "{request}");
    };
    for loopback in [true, false] {
        check("", loopback, false);
        check("Host: localhost:1978\r\n", loopback, false);
        check("Host: example.com\r\n", loopback, loopback);
        check(
            "Host: localhost\r\nOrigin: http://example.com\r\n",
            loopback,
            true,
        );
        check("Host: localhost\r\nOrigin: null\r\n", loopback, true);
        check(
            "Host: localhost\r\nOrigin: http://localhost\r\n",
            loopback,
            false,
        );
        check("Sec-Fetch-Site: cross-site\r\n", loopback, true);
        check("Sec-Fetch-Site: same-site\r\n", loopback, true);
        check("Sec-Fetch-Site: none\r\n", loopback, false);
    }
    let call = b"POST /rpc/clear HTTP/1.1\r\nOrigin: http://example.com\r\n\r\n";
    assert_eq!(status(&server.connect().send(call)), "403");
    let asks = b"OPTIONS /a HTTP/1.1\r\nOrigin: http://example.com\r\n\r\n";
    assert_eq!(status(&server.connect().send(asks)), "403");
}

#[test]
fn a_listener_knows_whether_it_is_of_this_machine_only() {
    let there = Running::with(|config, _| {
        let unix = format!("unix:{}", config.data.with_file_name("socket").display());
        config.listen.push(unix.parse().unwrap());
    });
    let request = b"GET /a HTTP/1.0\r\nHost: example.com\r\n\r\n";
    let ask = |mut stream: Box<dyn Socket>| {
        stream.write_all(request).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        status(&reply)
    };
    assert_eq!(ask(Box::new(there.connect())), "403");
    let path = there.directory.join("socket");
    let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(running::PATIENCE)).unwrap();
    assert_eq!(ask(Box::new(stream)), "404");
}

trait Socket: Read + Write {}
impl<T: Read + Write> Socket for T {}

#[test]
fn a_client_that_waits_to_be_told_is_told_before_it_sends() {
    let there = Running::new();
    let body = vec![b'v'; 2 << 20];
    let mut stream = there.connect();
    for _ in 0..2 {
        let head = format!(
            "PUT /a HTTP/1.1\r\nX-TT-PDMODE: 0\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Nothing of the body is sent before this has come.
        expect(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(&body).unwrap();
        expect(
            &mut stream,
            b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nCreated\n",
        );
    }
    let chunks = "PUT /b HTTP/1.1\r\nX-TT-PDMODE: 0\r\nExpect: 100-continue\r\n\
                  Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all(chunks.as_bytes()).unwrap();
    expect(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"3\r\nabc\r\n0\r\n\r\n").unwrap();
    expect(&mut stream, b"HTTP/1.1 201 Created\r\n");
    // Who announces too much is not told to send it.
    let mut stream = there.connect();
    let head = b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 33554433\r\n\r\n";
    stream.write_all(head).unwrap();
    expect_last(
        &mut stream,
        b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: text/plain\r\n\
          Content-Length: 22\r\nConnection: close\r\n\r\nthe body is too large\n",
    );
}

#[test]
fn a_client_that_waits_is_told_after_the_replies_before() {
    let server = Server::new(Kind::Hash, true);
    let value = vec![b'v'; 600_000];
    let put = format!(
        "PUT /big HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        value.len()
    );
    let mut connection = server.connect();
    assert_eq!(
        status(&connection.send(&[put.as_bytes(), &value].concat())),
        "201"
    );
    // The replies are more than a turn's share, so that what was decoded ahead is decoded again.
    let mut requests = b"GET /big HTTP/1.1\r\n\r\n".repeat(5);
    requests.extend(b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    let replies = connection.send(&requests);
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    assert!(replies.ends_with(go_on));
    let count = replies.windows(go_on.len()).filter(|w| w == go_on).count();
    assert_eq!(count, 1);
    assert_eq!(status(&connection.send(b"x")), "201");
    assert_eq!(connection.unconsumed(), 0);
}

#[test]
fn the_largest_body_comes_in_pieces() {
    let server = Server::new(Kind::Hash, true);
    let value: Vec<u8> = (0..limits::VALUE_BYTES_MAX)
        .map(|i| ((i * 31) >> 8).to_le_bytes()[0])
        .collect();
    let head = format!("PUT /a HTTP/1.1\r\nContent-Length: {}\r\n\r\n", value.len());
    let mut connection = server.connect();
    let reply = connection.send_pieces(&[head.as_bytes(), &value].concat(), 16 << 10);
    assert_eq!(status(&reply), "201");
    // The decoder says how much it needs, so that the pieces are not looked at one by one.
    assert!(connection.turns <= 4, "{} turns", connection.turns);

    let mut chunked = b"PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut small = chunked.clone();
    for chunk in value.chunks(1 << 20) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(status(&connection.send_pieces(&chunked, 16 << 10)), "201");
    assert!(connection.turns <= 4 + 4 * 32, "{} turns", connection.turns);
    for byte in &value[..200_000] {
        small.extend_from_slice(b"1\r\n");
        small.extend_from_slice(&[*byte, b'\r', b'\n']);
    }
    small.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(status(&connection.send_pieces(&small, 7)), "201");

    let reply = connection.send(b"GET /a HTTP/1.1\r\n\r\n");
    assert!(reply.ends_with(&value));
    let head = connection.send(b"HEAD /a HTTP/1.1\r\n\r\n");
    let length = format!("Content-Length: {}\r\n", value.len());
    assert!(String::from_utf8(head).unwrap().contains(&length));
    let reply = connection.send(b"GET /b HTTP/1.1\r\n\r\n");
    assert!(reply.ends_with(&[b"\r\n\r\n", &value[..200_000]].concat()));
}

#[test]
fn what_is_no_request_is_refused_and_ends_the_connection() {
    let server = Server::new(Kind::Hash, true);
    let check = |bytes: &str, expected: &str| {
        for piece in [usize::MAX, 1] {
            let bytes = format!("{bytes}\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n");
            let mut connection = server.connect_to(Some(Protocol::Http));
            let reply = connection.send_pieces(bytes.as_bytes(), piece.min(bytes.len()));
            let text = String::from_utf8_lossy(&reply);
            assert_eq!(status(&reply), expected, "{bytes}");
            assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
            assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
            assert!(connection.closed);
        }
    };
    check("GET /", "400");
    check("gibberish", "400");
    check("GET / HTTP/2.0", "505");
    check(
        "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        "400",
    );
    check("PUT / HTTP/1.1\r\nTransfer-Encoding: gzip", "501");
    let mut connection = server.connect_to(Some(Protocol::Http));
    assert_eq!(
        status(&connection.send(b"\r\nGET /a HTTP/1.1\r\n\r\n")),
        "404"
    );
    assert!(!connection.closed);
}

#[test]
fn keys_and_values_over_the_stores_limits_are_refused_and_the_connection_lives_on() {
    let server = Server::new(Kind::Tree, true);
    let mut connection = server.connect();
    let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
    let escaped = "%41".repeat(limits::KEY_BYTES_MAX);
    let half = vec![b'v'; limits::VALUE_BYTES_MAX];
    let head = |target: &str, headers: &str, bytes: usize| {
        let length = format!("Content-Length: {bytes}\r\n");
        format!("PUT /{target} HTTP/1.1\r\n{headers}{length}\r\n").into_bytes()
    };
    for (headers, error) in [
        ("X-TT-PDMODE: 0\r\n", ""),
        ("X-Kt-Mode: set\r\n", "\r\nX-Kt-Error: DB: 2: "),
    ] {
        let reply = connection.send(&[&head(&long, headers, 1)[..], b"v"].concat());
        assert_eq!(status(&reply), "414");
        assert!(String::from_utf8(reply).unwrap().contains(error));
        let get = format!("GET /{long} HTTP/1.1\r\n{headers}\r\n");
        assert_eq!(status(&connection.send(get.as_bytes())), "404");
        let reply = connection.send(&[&head(&escaped, headers, 1)[..], b"v"].concat());
        assert_eq!(status(&reply), "201");
    }
    let append = "X-TT-PDMODE: 2\r\n";
    let reply = connection.send(&[&head("a", append, half.len())[..], &half].concat());
    assert_eq!(status(&reply), "201");
    let reply = connection.send(&[&head("a", append, 1)[..], b"v"].concat());
    assert_eq!(status(&reply), "413");
    assert!(!connection.closed);
}

#[test]
fn a_record_expires_at_the_end_of_its_second() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    let second = NOW / 1000 + 10;
    let put = format!("PUT /a HTTP/1.1\r\nX-Kt-Xt: {second}\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(status(&connection.send(put.as_bytes())), "201");
    let get = b"GET /a HTTP/1.1\r\nX-Kt-Mode: set\r\n\r\n";
    let reply = connection.send_at(second * 1000 + 999, get);
    let text = String::from_utf8(reply).unwrap();
    assert!(
        text.contains("\r\nX-Kt-Xt: Fri, 15 Jan 2027 08:00:10 GMT\r\n"),
        "{text}"
    );
    assert_eq!(status(&connection.send_at((second + 1) * 1000, get)), "404");
    // A moment that has passed leaves nothing.
    assert_eq!(
        status(&connection.send(put.replace(&second.to_string(), "1h").as_bytes())),
        "201"
    );
    assert_eq!(status(&connection.send(get)), "404");
}

#[test]
fn what_goes_over_http_is_the_same_record_and_is_counted() {
    let server = Server::new(Kind::Hash, true);
    let mut connection = server.connect();
    connection.send(b"SET a 1 EX 100\r\n");
    let append = b"PUT /a HTTP/1.1\r\nX-TT-PDMODE: 2\r\nContent-Length: 1\r\n\r\n2";
    assert_eq!(status(&connection.send(append)), "201");
    assert_eq!(
        connection.send(b"GET a\r\nTTL a\r\n"),
        b"$2\r\n12\r\n:100\r\n"
    );
    let put = b"PUT /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n3";
    assert_eq!(status(&connection.send(put)), "201");
    assert_eq!(
        connection.send(b"GET a\r\nTTL a\r\n"),
        b"$1\r\n3\r\n:-1\r\n"
    );
    let miss = b"GET /none HTTP/1.1\r\nX-TT-PDMODE: 0\r\n\r\n";
    assert_eq!(status(&connection.send(miss)), "404");
    let delete = b"DELETE /a HTTP/1.1\r\nX-TT-PDMODE: 0\r\n\r\n";
    assert_eq!(
        ends(&connection.send(delete)),
        ("HTTP/1.1 200 OK".into(), "OK".into())
    );
    let stat = String::from_utf8(connection.send(b"\xc8\x88")[5..].to_vec()).unwrap();
    for line in [
        "cnt_put\t1\n",
        "cnt_get\t1\n",
        "cnt_out\t1\n",
        "cnt_get_miss\t1\n",
    ] {
        assert!(stat.contains(line), "{line} in {stat}");
    }
    let stat = String::from_utf8(connection.send(b"HAKONE STAT\r\n")).unwrap();
    for line in [
        "commands.http.put\t1\n",
        "commands.http.append\t1\n",
        "commands.http.get\t1\n",
    ] {
        assert!(stat.contains(line), "{line} in {stat}");
    }
}

#[test]
fn a_connection_that_is_to_close_takes_nothing_more() {
    let server = Server::new(Kind::Hash, true);
    for head in [
        "GET /a HTTP/1.0\r\n",
        "GET /a HTTP/1.1\r\nConnection: close\r\n",
    ] {
        let mut connection = server.connect();
        let put = "PUT /b HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";
        let reply = connection.send(format!("{head}\r\n{put}").as_bytes());
        let text = String::from_utf8(reply).unwrap();
        assert!(connection.closed);
        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1);
        assert_eq!(server.connect().send(b"EXISTS b\r\n"), b":0\r\n");
    }
}

#[test]
fn a_turn_that_stops_in_the_middle_loses_no_part_of_a_body() {
    let server = Server::new(Kind::Hash, true);
    let value = vec![b'v'; 600_000];
    let mut writer = server.connect();
    let put = format!(
        "PUT /big HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        value.len()
    );
    writer.send(&[put.as_bytes(), &value].concat());
    let peer = Peer {
        address: "a".to_owned(),
        protocol: None,
        loopback: true,
    };
    let mut session = server.service.connect(peer, NOW);
    let mut input = b"GET /big HTTP/1.1\r\n\r\n".repeat(4);
    input.extend(b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nd");
    let mut rest = b"ef\r\n0\r\n\r\n".to_vec();
    let mut replies = Vec::new();
    for _ in 0..10 {
        let mut out = Vec::new();
        let mut ready = [Ready::new(&mut session, &input, &mut out)];
        server.service.turn(NOW, &mut ready);
        let (consumed, more) = (ready[0].consumed, ready[0].more);
        replies.push(out.len());
        input.drain(..consumed);
        if !more {
            input.append(&mut rest);
        }
    }
    server.service.disconnect(session);
    assert!(replies[0] > 1 << 20 && replies[1] > 1 << 20, "{replies:?}");
    assert_eq!(writer.send(b"GET c\r\n"), b"$6\r\nabcdef\r\n");
}
