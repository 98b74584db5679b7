//! The turn loop over real sockets: pieces, slow peers, ends and limits.

#![expect(clippy::unwrap_used, reason = "tests may, and so may what they call")]

mod running;

use running::{
    Directory, PATIENCE, Running, bulk, config, connect, expect, expect_last, ping, request,
    wait_until,
};

use hakone_server::{Limits, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// Requests and their replies in the Redis protocol.
fn resp_pipeline() -> (Vec<u8>, Vec<u8>) {
    let mut requests = Vec::new();
    let mut replies = Vec::new();
    let value = b"a value\r\nwith ends of lines";
    requests.extend(request(&[b"SET", b"key", value]));
    replies.extend(b"+OK\r\n");
    requests.extend(request(&[b"GET", b"key"]));
    replies.extend(bulk(value));
    requests.extend(b"PING\r\n");
    replies.extend(b"+PONG\r\n");
    requests.extend(request(&[b"GET", b"absent"]));
    replies.extend(b"$-1\r\n");
    requests.extend(request(&[b"DEL", b"key"]));
    replies.extend(b":1\r\n");
    (requests, replies)
}

/// Requests and their replies in Tyrant's protocol.
fn tyrant_pipeline() -> (Vec<u8>, Vec<u8>) {
    let put = b"\xc8\x10\0\0\0\x03\0\0\0\x05keyvalue";
    let get = b"\xc8\x30\0\0\0\x03key";
    let out = b"\xc8\x20\0\0\0\x03key";
    let requests = [&put[..], get, out, get].concat();
    (requests, b"\0\0\0\0\0\x05value\0\x01".to_vec())
}

/// Sends `first`, sees to it that the server has read it, then sends `rest`.
fn send_in_two(stream: &mut TcpStream, pacer: &mut TcpStream, first: &[u8], rest: &[u8]) {
    stream.write_all(first).unwrap();
    // The one worker reads in order of arrival: when it answers this, it has seen the first part.
    ping(&mut *pacer);
    stream.write_all(rest).unwrap();
}

#[test]
fn a_pipeline_cut_at_any_byte_is_answered_as_if_whole() {
    let running = Running::new();
    let mut pacer = running.connect();
    for (requests, replies) in [resp_pipeline(), tyrant_pipeline()] {
        let mut stream = running.connect();
        for cut in 1..requests.len() {
            let (first, rest) = requests.split_at(cut);
            send_in_two(&mut stream, &mut pacer, first, rest);
            expect(&mut stream, &replies);
        }
        let mut stream = running.connect();
        for byte in &requests {
            send_in_two(&mut stream, &mut pacer, &[*byte], b"");
        }
        expect(&mut stream, &replies);
    }
}

#[test]
fn a_long_pipeline_in_pieces_of_any_size_is_answered_in_order() {
    let running = Running::new();
    let mut requests = Vec::new();
    let mut replies = Vec::new();
    for number in 0..20_000 {
        let key = format!("key {}", number % 700);
        let value = vec![b'v'; number % 301];
        requests.extend(request(&[b"SET", key.as_bytes(), &value]));
        requests.extend(request(&[b"GET", key.as_bytes()]));
        replies.extend(b"+OK\r\n");
        replies.extend(bulk(&value));
    }
    for piece in [1 << 10, 65_537, 1 << 20, usize::MAX] {
        let stream = running.connect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for piece in requests.chunks(piece.min(requests.len())) {
                    (&stream).write_all(piece).unwrap();
                }
            });
            expect(&stream, &replies);
        });
    }
}

#[test]
fn values_up_to_the_largest_come_back() {
    let running = Running::new();
    for bytes in [0, 1, 65_535, 1 << 20, 32 << 20] {
        let value: Vec<u8> = (0..251).cycle().take(bytes).collect();
        let stream = running.connect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let set = request(&[b"SET", b"large", &value]);
                (&stream).write_all(&set).unwrap();
                (&stream).write_all(&request(&[b"GET", b"large"])).unwrap();
            });
            expect(&stream, b"+OK\r\n");
            expect(&stream, &bulk(&value));
        });
        ping(&stream);
    }
}

#[test]
fn hundreds_of_half_sent_requests_hold_up_nobody() {
    let running = Running::new();
    let requests = request(&[b"SET", b"key", &[b'v'; 300]]);
    let halves: Vec<_> = (1..requests.len())
        .map(|cut| {
            let mut stream = running.connect();
            stream.write_all(&requests[..cut]).unwrap();
            (stream, cut)
        })
        .collect();
    assert!(halves.len() > 300);
    let mut other = running.connect();
    for _ in 0..100 {
        ping(&mut other);
    }
    for (mut stream, cut) in halves {
        stream.write_all(&requests[cut..]).unwrap();
        expect(&mut stream, b"+OK\r\n");
    }
}

#[test]
fn slow_readers_of_large_replies_hold_up_nobody_and_lose_nothing() {
    let running = Running::new();
    let value = vec![b'x'; 1 << 20];
    let mut other = running.connect();
    other
        .write_all(&request(&[b"SET", b"large", &value]))
        .unwrap();
    expect(&mut other, b"+OK\r\n");
    let mut readers: Vec<_> = (0..4).map(|_| running.connect()).collect();
    for reader in &mut readers {
        for _ in 0..24 {
            reader.write_all(&request(&[b"GET", b"large"])).unwrap();
        }
    }
    for _ in 0..100 {
        ping(&mut other);
    }
    let reply = bulk(&value);
    for reader in &mut readers {
        for _ in 0..24 {
            expect(&mut *reader, &reply);
        }
        ping(reader);
    }
}

#[test]
fn who_does_not_read_is_not_read_from() {
    let running = Running::with(|_, limits| limits.output_bytes_max = 1 << 20);
    let mut stream = running.connect();
    stream.set_nonblocking(true).unwrap();
    let echo = request(&[b"ECHO", &vec![b'e'; 64 << 10]]);
    let mut pacer = running.connect();
    let mut sent = 0;
    let mut stuck = 0;
    while stuck < 20 {
        match stream.write(&echo[sent % echo.len()..]) {
            Ok(count) => {
                sent += count;
                stuck = 0;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                ping(&mut pacer);
                stuck += 1;
            }
        }
        // The limit, and what the kernel holds in both directions.
        assert!(sent < 100 << 20, "{sent} bytes were taken");
    }
    stream.set_nonblocking(false).unwrap();
    let replies = sent / echo.len();
    let reply = bulk(&vec![b'e'; 64 << 10]);
    for _ in 0..replies {
        expect(&mut stream, &reply);
    }
    stream.write_all(&echo[sent % echo.len()..]).unwrap();
    expect(&mut stream, &reply);
}

#[test]
fn requests_before_an_end_are_answered_and_half_a_request_is_not() {
    let running = Running::new();
    let (requests, replies) = resp_pipeline();
    let mut stream = running.connect();
    stream.write_all(&requests).unwrap();
    stream.write_all(b"*2\r\n$3\r\nGE").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    expect_last(stream, &replies);

    let value = vec![b'x'; 8 << 20];
    let mut stream = running.connect();
    stream
        .write_all(&request(&[b"SET", b"large", &value]))
        .unwrap();
    for _ in 0..8 {
        stream.write_all(&request(&[b"GET", b"large"])).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    expect(&mut stream, b"+OK\r\n");
    for _ in 0..8 {
        expect(&mut stream, &bulk(&value));
    }
    expect_last(stream, b"");
}

#[test]
fn a_farewell_is_received_though_more_was_sent() {
    let running = Running::new();
    let mut stream = running.connect();
    let mut requests = request(&[b"QUIT"]);
    requests.resize(requests.len() + (1 << 20), b'x');
    stream.write_all(&requests).unwrap();
    // An end, not a reset: closing on unread bytes would reset the connection.
    expect_last(stream, b"+OK\r\n");
}

#[test]
fn a_thousand_connections_are_served_at_once() {
    for threads in [1, 3] {
        let running = Running::with(|config, _| config.threads = Some(threads));
        let mut streams: Vec<_> = (0..1000).map(|_| running.connect()).collect();
        for round in 0..3 {
            for (number, stream) in streams.iter_mut().enumerate() {
                let key = format!("key {number}");
                let value = format!("value {number} {round}");
                let mut requests = request(&[b"SET", key.as_bytes(), value.as_bytes()]);
                requests.extend(request(&[b"GET", key.as_bytes()]));
                stream.write_all(&requests).unwrap();
            }
            for (number, stream) in streams.iter_mut().enumerate() {
                let value = format!("value {number} {round}");
                expect(&mut *stream, b"+OK\r\n");
                expect(stream, &bulk(value.as_bytes()));
            }
        }
    }
}

#[test]
fn a_unix_socket_is_served_replaced_when_stale_and_removed_at_the_end() {
    let directory = Directory::new();
    let path = directory.join("socket");
    let mut config = config(&directory);
    config.listen = vec![format!("unix:{}", path.display()).parse().unwrap()];
    // A listener that is dropped without care leaves its file behind, as a killed server does.
    drop(UnixListener::bind(&path).unwrap());
    let server = Server::start(&config, Limits::default()).unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for (requests, replies) in [resp_pipeline(), tyrant_pipeline()] {
        for _ in 0..3 {
            stream.write_all(&requests).unwrap();
            expect(&mut stream, &replies);
        }
    }
    let other = Directory::new();
    let mut second = running::config(&other);
    second.listen = config.listen.clone();
    let error = Server::start(&second, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    ping(&mut stream);
    drop(stream);
    server.stop().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_not_replaced() {
    let directory = Directory::new();
    let path = directory.join("file");
    std::fs::write(&path, b"precious").unwrap();
    let mut config = config(&directory);
    config.listen = vec![format!("unix:{}", path.display()).parse().unwrap()];
    let error = Server::start(&config, Limits::default()).unwrap_err();
    assert!(
        error.to_string().contains("cannot listen on unix:"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_port_in_use_is_named() {
    let running = Running::new();
    let address = running.address().to_string();
    let directory = Directory::new();
    let mut config = config(&directory);
    config.listen = vec![address.parse().unwrap()];
    let error = Server::start(&config, Limits::default()).unwrap_err();
    assert_eq!(error.exit_status(), 1);
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
}

#[test]
fn a_listener_bound_to_one_protocol_speaks_no_other() {
    let running = Running::with(|config, _| {
        config.listen = vec![
            "tyrant://127.0.0.1:0".parse().unwrap(),
            "redis://127.0.0.1:0".parse().unwrap(),
        ];
    });
    let addresses: Vec<_> = running
        .server
        .addresses()
        .iter()
        .map(|address| address.to_string().parse().unwrap())
        .collect();
    let (requests, replies) = tyrant_pipeline();
    let mut tyrant = connect(addresses[0]);
    tyrant.write_all(&requests).unwrap();
    expect(&mut tyrant, &replies);
    let mut redis = connect(addresses[1]);
    ping(&mut redis);
    let mut wrong = connect(addresses[0]);
    wrong.write_all(&request(&[b"PING"])).unwrap();
    let mut answer = Vec::new();
    // Closed, perhaps before all of it was read.
    let _ = wrong.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"+PONG"));
}

#[test]
fn a_request_that_does_not_go_on_is_given_up() {
    let running = Running::with(|_, limits| limits.request_time_max = Duration::from_millis(50));
    let mut idle = running.connect();
    ping(&mut idle);
    let mut half = running.connect();
    half.write_all(b"*2\r\n$3\r\nGET\r\n$3\r\n").unwrap();
    expect_last(half, b"");
    // The first of two records, which was carried out.
    let mut half = running.connect();
    half.write_all(b"\xb9\0\0\0\0\0\0\0\x02\0\0\0\0\0\x01k")
        .unwrap();
    expect_last(half, b"");
    // Who owes nothing may be silent for longer.
    ping(&mut idle);
}

#[test]
fn silence_is_ended_where_a_limit_is_set() {
    let running = Running::with(|_, limits| {
        limits.idle_time_max = Some(Duration::from_millis(50));
    });
    expect_last(running.connect(), b"");
}

#[test]
fn connections_over_the_limit_are_closed_and_room_is_used_again() {
    let running = Running::with(|_, limits| limits.connections_max = 3);
    let mut streams: Vec<_> = (0..3).map(|_| running.connect()).collect();
    streams.iter_mut().for_each(ping);
    expect_last(running.connect(), b"");
    streams.pop();
    wait_until("a fourth connection is served", || {
        let mut stream = running.connect();
        let mut answer = [0; 7];
        let asked = stream.write_all(b"PING\r\n");
        asked.and_then(|()| stream.read_exact(&mut answer)).is_ok()
    });
}

#[test]
fn a_stop_answers_what_has_come_and_ends_all_connections() {
    let running = Running::with(|config, _| config.threads = Some(2));
    let mut idle = running.connect();
    ping(&mut idle);
    let mut busy: Vec<_> = (0..20).map(|_| running.connect()).collect();
    let mut requests = Vec::new();
    for number in 0..1000 {
        let key = format!("key {number}");
        requests.extend(request(&[b"SET", key.as_bytes(), b"value"]));
    }
    for stream in &mut busy {
        stream.write_all(&requests).unwrap();
    }
    running.server.stop().unwrap();
    for stream in busy {
        expect_last(stream, &b"+OK\r\n".repeat(1000));
    }
    expect_last(idle, b"");
}
