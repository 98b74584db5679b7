//! At the level `commit` a reply is held until what it tells of is on the disk, in order, and
//! nobody else waits for that.

#![expect(clippy::unwrap_used, reason = "tests may, and so may what they call")]

mod running;

use hakone_server::config::DurabilityLevel;
use running::{Running, bulk, expect, ping, request};
use std::io::Write;

fn running() -> Running {
    Running::with(|config, _| {
        config.durability = DurabilityLevel::Commit;
        config.databases = vec!["default=hash".parse().unwrap()];
        config.threads = Some(2);
    })
}

#[test]
fn a_write_is_durable_before_its_reply() {
    let running = running();
    let cabinet = running.server.cabinet();
    let mut stream = running.connect();
    for number in 0..50 {
        let value = format!("value {number}");
        let before = cabinet.written();
        let set = request(&[b"SET", b"key", value.as_bytes()]);
        stream.write_all(&set).unwrap();
        expect(&mut stream, b"+OK\r\n");
        // Nobody else writes: the next lsn is that of the write.
        assert!(cabinet.durable() > before, "{number}");
    }
}

#[test]
fn replies_behind_a_held_one_keep_their_order() {
    let running = running();
    let mut stream = running.connect();
    let mut other = running.connect();
    for number in 0..50 {
        let value = format!("value {number}");
        let mut requests = request(&[b"SET", b"key", value.as_bytes()]);
        requests.extend(request(&[b"GET", b"key"]));
        stream.write_all(&requests).unwrap();
        ping(&mut other);
        // Comes while the replies are held, or just after.
        stream.write_all(&request(&[b"DEL", b"key"])).unwrap();
        stream.write_all(&request(&[b"GET", b"key"])).unwrap();
        expect(&mut stream, b"+OK\r\n");
        expect(&mut stream, &bulk(value.as_bytes()));
        expect(&mut stream, b":1\r\n$-1\r\n");
    }
}

#[test]
fn many_writers_share_syncs() {
    let running = running();
    let mut streams: Vec<_> = (0..100).map(|_| running.connect()).collect();
    for round in 0..10 {
        for (number, stream) in streams.iter_mut().enumerate() {
            let key = format!("key {number} {round}");
            let set = request(&[b"SET", key.as_bytes(), b"value"]);
            stream.write_all(&set).unwrap();
        }
        for stream in &mut streams {
            expect(stream, b"+OK\r\n");
        }
    }
    assert_eq!(
        running.server.cabinet().durable(),
        running.server.cabinet().written()
    );
}

#[test]
fn a_stop_waits_for_held_replies() {
    let running = running();
    let mut streams: Vec<_> = (0..50).map(|_| running.connect()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let key = format!("key {number}");
        let set = request(&[b"SET", key.as_bytes(), b"value"]);
        stream.write_all(&set).unwrap();
    }
    running.server.stop().unwrap();
    for stream in streams {
        running::expect_last(stream, b"+OK\r\n");
    }
}
