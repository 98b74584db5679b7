//! Connections that see, name and close each other, and say which replies they want.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod running;
mod support;

use hakone::Kind;
use running::{PATIENCE, Running, expect, expect_last};
use std::io::{BufRead, BufReader, Read, Write};
use support::{Connection, Server, request};

fn ask(connection: &mut Connection<'_>, line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    String::from_utf8(connection.send(&request(&words))).unwrap()
}

/// The lines of a list, which is as long as its head says.
fn lines(reply: &str) -> Vec<&str> {
    let (head, text) = reply.split_once("\r\n").unwrap();
    assert_eq!(head[1..].parse(), Ok(text.len() - 2));
    text.strip_suffix("\r\n").unwrap().lines().collect()
}

#[test]
fn a_connection_sees_all_others_as_they_are_after_their_last_turn() {
    let mut server = Server::new(Kind::Hash, true);
    server.now += 10_000;
    let mut others: Vec<_> = (0..3).map(|_| server.connect()).collect();
    ask(&mut others[0], "CLIENT SETNAME first");
    ask(&mut others[0], "SELECT 7");
    ask(&mut others[1], "MULTI");
    ask(&mut others[1], "SET a 1");
    others[2].send(b"\xc8\x80");
    let mut me = server.connect();
    let reply = ask(&mut me, "CLIENT LIST");
    let expected = [
        "id=1 addr=127.0.0.1:50000 name=first age=0 idle=0 flags=N db=7 sub=0 psub=0 ssub=0 \
         multi=-1 cmd=select user=default redir=-1 resp=2 lib-name= lib-ver= protocol=redis",
        "id=2 addr=127.0.0.1:50000 name= age=0 idle=0 flags=x db=0 sub=0 psub=0 ssub=0 multi=1 \
         cmd=set user=default redir=-1 resp=2 lib-name= lib-ver= protocol=redis",
        "id=3 addr=127.0.0.1:50000 name= age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 \
         cmd=NULL user=default redir=-1 resp=2 lib-name= lib-ver= protocol=tyrant",
        "id=4 addr=127.0.0.1:50000 name= age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 \
         cmd=client user=default redir=-1 resp=2 lib-name= lib-ver= protocol=redis",
    ];
    assert_eq!(lines(&reply), expected);
    let reply = ask(&mut me, "CLIENT LIST ID 3 100 2 0 -1");
    assert_eq!(lines(&reply), expected[1..3]);
    assert_eq!(ask(&mut me, "CLIENT LIST TYPE replica"), "$0\r\n\r\n");
    drop(others.remove(0));
    assert_eq!(lines(&ask(&mut me, "CLIENT LIST TYPE normal")).len(), 3);
}

#[test]
fn a_long_list_of_connections_comes_in_turns() {
    let server = Server::new(Kind::Hash, true);
    let others: Vec<_> = (0..3000).map(|_| server.connect()).collect();
    let mut me = server.connect();
    let reply = ask(&mut me, "CLIENT LIST");
    assert_eq!(lines(&reply).len(), others.len() + 1);
    assert!(me.turns >= 3, "{} turns", me.turns);
    let mut killer = server.connect();
    assert_eq!(ask(&mut killer, "CLIENT KILL TYPE normal"), ":3001\r\n");
    assert!(!killer.closed);
    assert_eq!(me.send(b"PING\r\n"), b"");
    assert!(me.closed);
}

#[test]
fn a_killed_connection_carries_nothing_out_any_more() {
    let server = Server::new(Kind::Hash, true);
    let (mut one, mut two) = (server.connect(), server.connect());
    assert_eq!(ask(&mut one, "SET a 1"), "+OK\r\n");
    assert_eq!(ask(&mut two, "CLIENT KILL ID 1"), ":1\r\n");
    // It is as good as gone, though it had no turn yet.
    assert_eq!(lines(&ask(&mut two, "CLIENT LIST")).len(), 1);
    assert_eq!(ask(&mut two, "CLIENT KILL ID 1"), ":0\r\n");
    assert_eq!(ask(&mut one, "SET a 2"), "");
    assert!(one.closed);
    assert_eq!(ask(&mut two, "GET a"), "$1\r\n1\r\n");
    // Itself: only if it says so, and after the answer.
    assert_eq!(ask(&mut two, "CLIENT KILL ID 2"), ":0\r\n");
    assert_eq!(ask(&mut two, "CLIENT KILL ID 2 SKIPME no"), ":1\r\n");
    assert!(two.closed);
    let mut three = server.connect();
    assert_eq!(ask(&mut three, "CLIENT KILL 127.0.0.1:50000"), "+OK\r\n");
    assert!(three.closed);
}

#[test]
fn an_idle_connection_is_closed_when_another_wants_it() {
    let running = Running::with(|config, _| config.threads = Some(2));
    let idle: Vec<_> = (0..4).map(|_| running.connect()).collect();
    for mut stream in &idle {
        stream.write_all(b"CLIENT SETNAME idle\r\n").unwrap();
        expect(stream, b"+OK\r\n");
    }
    let mut silent = running.connect();
    let killer = running.connect();
    let mut reader = BufReader::new(&killer);
    for stream in &idle {
        let address = stream.local_addr().unwrap();
        (&killer)
            .write_all(format!("CLIENT KILL ADDR {address}\r\n").as_bytes())
            .unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, ":1\r\n");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        expect_last(stream, b"");
    }
    // One that has never said anything may still be on its way to its worker; and those that were
    // killed may still be counted.
    let moment = std::time::Duration::from_millis(10);
    silent.set_read_timeout(Some(moment)).unwrap();
    running::wait_until("the silent connection is closed", || {
        (&killer).write_all(b"CLIENT KILL SKIPME yes\r\n").unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with(':'));
        matches!(silent.read(&mut [0]), Ok(0))
    });
    (&killer).write_all(b"PING\r\n").unwrap();
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "+PONG\r\n");
}

#[test]
fn replies_are_held_back_as_the_connection_asks() {
    for piece in [usize::MAX, 1] {
        let server = Server::new(Kind::Tree, true);
        let mut connection = server.connect();
        let lines = "PING\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO a\r\nCLIENT REPLY OFF\r\nPING\r\n\
                     SET k v\r\nKEYS *\r\nCLIENT LIST\r\nNOSUCH\r\nCLIENT REPLY SKIP\r\nECHO b\r\n\
                     MULTI\r\nINCR n\r\nEXEC\r\nCLIENT REPLY ON\r\nGET k\r\nCLIENT REPLY SKIP\r\n\
                     CLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nKEYS *\r\nGET n\r\n\
                     CLIENT REPLY OFF\r\nRESET\r\nPING\r\n";
        let replies = connection.send_pieces(lines.as_bytes(), piece.min(lines.len()));
        assert_eq!(
            String::from_utf8(replies).unwrap(),
            "+PONG\r\n$1\r\na\r\n+OK\r\n$1\r\nv\r\n+OK\r\n$1\r\n1\r\n+RESET\r\n+PONG\r\n"
        );
    }
}
