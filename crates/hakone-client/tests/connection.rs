//! The client against a server that plays a script: what it sends, and what it makes of answers.

#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

use hakone_client::{Address, Client, Error, Reply};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

const HELLO: &[u8] = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";

/// A server for one connection: for each step it reads exactly the first bytes, then answers with
/// the second, then closes.
fn script(steps: &'static [(&[u8], &[u8])]) -> (Address, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for (asked, answered) in steps {
            let mut request = vec![0; asked.len()];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(
                request.escape_ascii().to_string(),
                asked.escape_ascii().to_string()
            );
            stream.write_all(answered).unwrap();
        }
    });
    (address, server)
}

#[test]
fn requests_are_pipelined_and_answered_in_order() {
    let (address, server) = script(&[
        (HELLO, b"%1\r\n+proto\r\n:3\r\n"),
        (
            b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$3\r\nFOO\r\n",
            b"$1\r\n1\r\n_\r\n-ERR unknown command\r\n:5\r\n",
        ),
    ]);
    let mut client = Client::connect(&address).unwrap();
    client.send(&[b"GET", b"a"]);
    client.send(&[b"GET", b""]);
    client.send(&[b"FOO"]);
    assert_eq!(client.unsent_bytes(), 52);
    client.flush().unwrap();
    assert_eq!(client.receive().unwrap(), Reply::Bytes(b"1".to_vec()));
    assert_eq!(client.receive().unwrap(), Reply::Missing);
    let refused = client.receive().unwrap_err();
    assert!(matches!(&refused, Error::Refused(text) if text == "ERR unknown command"));
    assert_eq!(
        client.receive().unwrap(),
        Reply::Number(5),
        "usable after a refusal"
    );
    server.join().unwrap();
}

#[test]
fn errors_name_the_server_and_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    drop(listener);
    assert_eq!(
        Client::connect(&address).unwrap_err().to_string(),
        format!(
            "cannot reach {address}: connection refused; is the server running? start it with: \
             hakone serve"
        )
    );

    let missing = Client::connect(&"unix:/nonexistent/socket".parse().unwrap()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "cannot reach unix:/nonexistent/socket: no such socket; is the server running? start it \
         with: hakone serve --listen unix:/nonexistent/socket"
    );

    let (address, server) = script(&[(HELLO, b"ERROR\r\n")]);
    assert_eq!(
        Client::connect(&address).unwrap_err().to_string(),
        format!("{address} does not speak RESP3 as it should: it sent \"ERROR\"")
    );
    server.join().unwrap();

    let (address, server) = script(&[(HELLO, b"%1\r\n+proto\r\n")]);
    assert_eq!(
        Client::connect(&address).unwrap_err().to_string(),
        format!("{address} closed the connection before it answered")
    );
    server.join().unwrap();
}
