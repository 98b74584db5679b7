//! The ways to a record, one for each protocol, with the few verbs that nearly all of them have.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    dead_code,
    reason = "each test file uses a part of it, so an expectation would fail in some; a test may \
              panic"
)]
#![expect(unreachable_pub, reason = "each test file is a crate of its own")]

use crate::support::{Connection, request};
use std::fmt::Write;

/// A way to a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Tyrant,
    TycoonBinary,
    TycoonRpc,
    Memcached,
    TycoonRest,
    TyrantRest,
    Resp,
}

/// All of them.
pub const WAYS: [Way; 7] = [
    Way::Tyrant,
    Way::TycoonBinary,
    Way::TycoonRpc,
    Way::Memcached,
    Way::TycoonRest,
    Way::TyrantRest,
    Way::Resp,
];

/// What a way tells of an expiry.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The millisecond in which the record is gone.
    Gone(u64),
    /// The last second in which it is there.
    LastSecond(u64),
    /// That there is none.
    Never,
    /// Nothing: the protocol has no word for it.
    Nothing,
}

impl Told {
    /// What is told of a record that is gone at this millisecond, 0 being never.
    pub fn of(way: Way, gone: u64) -> Told {
        match (way, gone) {
            (Way::Tyrant | Way::TyrantRest | Way::Memcached, _) => Told::Nothing,
            (_, 0) => Told::Never,
            (Way::Resp, _) => Told::Gone(gone),
            _ => Told::LastSecond((gone - 1) / 1000),
        }
    }
}

fn u32_of(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_be_bytes()
}

/// `text` with every byte escaped.
fn escaped(text: &[u8]) -> String {
    let mut out = String::new();
    for byte in text {
        write!(out, "%{byte:02x}").unwrap();
    }
    out
}

fn tyrant(verb: u8, key: &[u8], value: Option<&[u8]>) -> Vec<u8> {
    let mut out = vec![0xc8, verb];
    out.extend(u32_of(key.len()));
    out.extend(value.map(|value| u32_of(value.len())).iter().flatten());
    out.extend_from_slice(key);
    out.extend_from_slice(value.unwrap_or_default());
    out
}

/// A binary request of Tycoon's about one record.
fn bulk(magic: u8, key: &[u8], written: Option<(&[u8], i64)>) -> Vec<u8> {
    let mut out = vec![magic, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    out.extend(u32_of(key.len()));
    if let Some((value, xt)) = written {
        out.extend(u32_of(value.len()));
        out.extend(xt.to_be_bytes());
    }
    out.extend_from_slice(key);
    out.extend_from_slice(written.map_or(&[][..], |(value, _)| value));
    out
}

/// A reply of HTTP: its status, head and body.
pub struct Http {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Http {
    fn of(reply: &[u8]) -> Http {
        let end = reply.windows(4).position(|there| there == b"\r\n\r\n");
        let (head, body) = reply.split_at(end.unwrap() + 4);
        let head = String::from_utf8(head.to_vec()).unwrap();
        Http {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: body.to_vec(),
            head,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Calls a procedure: its status, and the value of this name in the answer.
pub fn call(
    connection: &mut Connection<'_>,
    now: u64,
    procedure: &str,
    parameters: &[(&str, &[u8])],
    name: &str,
) -> (u16, Option<Vec<u8>>) {
    let mut body = String::new();
    for (name, value) in parameters {
        writeln!(body, "{name}\t{}", escaped(value)).unwrap();
    }
    let request = format!(
        "POST /rpc/{procedure} HTTP/1.1\r\nContent-Type: text/tab-separated-values; colenc=U\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let reply = Http::of(&connection.send_at(now, request.as_bytes()));
    let kind = reply.header("Content-Type").unwrap();
    let decode: fn(&[u8]) -> Vec<u8> = match kind.split_once("colenc=") {
        None => <[u8]>::to_vec,
        Some((_, "U")) => from_url,
        Some((_, "B")) => |text| hakone_wire::base64::decode(text).unwrap(),
        other => panic!("{other:?}"),
    };
    let found = reply.body.split(|&byte| byte == b'\n').find_map(|line| {
        let tab = line.iter().position(|&byte| byte == b'\t')?;
        let (there, value) = (decode(&line[..tab]), decode(&line[tab + 1..]));
        (there == name.as_bytes()).then_some(value)
    });
    (reply.status, found)
}

fn from_url(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(*bytes.next().unwrap()).to_digit(16).unwrap();
            out.push(u8::try_from(digit() * 16 + digit()).unwrap());
        } else {
            out.push(byte);
        }
    }
    out
}

/// PUT in Tyrant's dialect; mode 2 adds at the end.
fn put_tyrant(connection: &mut Connection<'_>, now: u64, key: &[u8], value: &[u8], mode: u8) {
    let head = format!(
        "PUT /{} HTTP/1.1\r\nX-TT-PDMODE: {mode}\r\nContent-Length: {}\r\n\r\n",
        escaped(key),
        value.len()
    );
    let reply = connection.send_at(now, &[head.as_bytes(), value].concat());
    assert_eq!(Http::of(&reply).status, 201);
}

impl Way {
    /// Whether a record can be written, or named at all, with this key.
    pub fn takes(self, key: &[u8]) -> bool {
        let line = |byte: &u8| *byte > b' ' && *byte != 0x7f;
        self != Way::Memcached || (!key.is_empty() && key.len() <= 250 && key.iter().all(line))
    }

    /// Writes a record.
    pub fn put(self, connection: &mut Connection<'_>, now: u64, key: &[u8], value: &[u8]) {
        assert_eq!(
            self.put_until(connection, now, key, value, 0),
            0,
            "{self:?}"
        );
    }

    /// Writes a record that is gone at this millisecond, which begins a second; 0 is never. Returns
    /// when it is gone as far as the protocol can say.
    pub fn put_until(
        self,
        connection: &mut Connection<'_>,
        now: u64,
        key: &[u8],
        value: &[u8],
        gone: u64,
    ) -> u64 {
        assert_eq!(gone % 1000, 0, "seconds are what most of them know");
        let second = gone / 1000;
        let last = i64::try_from(second).unwrap() - 1;
        match self {
            Way::Tyrant => {
                let reply = connection.send_at(now, &tyrant(0x10, key, Some(value)));
                assert_eq!(reply, [0]);
                return 0;
            }
            Way::TycoonBinary => {
                let xt = if gone == 0 { i64::MAX } else { -last };
                let reply = connection.send_at(now, &bulk(0xb8, key, Some((value, xt))));
                assert_eq!(reply, b"\xb8\0\0\0\x01");
            }
            Way::TycoonRpc => {
                let xt = (-last).to_string();
                let all = [("key", key), ("value", value), ("xt", xt.as_bytes())];
                let parameters = if gone == 0 { &all[..2] } else { &all };
                assert_eq!(call(connection, now, "set", parameters, ""), (200, None));
            }
            Way::Memcached => {
                let mut request = b"set ".to_vec();
                request.extend_from_slice(key);
                request.extend(format!(" 0 {second} {}\r\n", value.len()).into_bytes());
                request.extend_from_slice(value);
                request.extend_from_slice(b"\r\n");
                assert_eq!(connection.send_at(now, &request), b"STORED\r\n");
            }
            Way::TyrantRest => {
                put_tyrant(connection, now, key, value, 0);
                return 0;
            }
            Way::TycoonRest => {
                let mut request = format!("PUT /{} HTTP/1.1\r\n", escaped(key)).into_bytes();
                if gone != 0 {
                    request.extend(format!("X-Kt-Xt: {last}\r\n").into_bytes());
                }
                let length = format!("Content-Length: {}\r\n\r\n", value.len());
                request.extend(length.into_bytes());
                request.extend_from_slice(value);
                let reply = Http::of(&connection.send_at(now, &request));
                assert_eq!(reply.status, 201);
            }
            Way::Resp => {
                let gone = gone.to_string();
                let all = [b"SET", key, value, b"PXAT", gone.as_bytes()];
                let words = if second == 0 { &all[..3] } else { &all };
                assert_eq!(connection.send_at(now, &request(words)), b"+OK\r\n");
            }
        }
        gone
    }

    /// The value of a record.
    pub fn get(self, connection: &mut Connection<'_>, now: u64, key: &[u8]) -> Option<Vec<u8>> {
        self.read(connection, now, key).map(|(value, _)| value)
    }

    /// The value of a record, and what is told of its expiry.
    pub fn read(
        self,
        connection: &mut Connection<'_>,
        now: u64,
        key: &[u8],
    ) -> Option<(Vec<u8>, Told)> {
        match self {
            Way::Tyrant => {
                let reply = connection.send_at(now, &tyrant(0x30, key, None));
                let (&status, reply) = reply.split_first().unwrap();
                (status == 0).then(|| (reply[4..].to_vec(), Told::Nothing))
            }
            Way::TycoonBinary => {
                let reply = connection.send_at(now, &bulk(0xba, key, None));
                if reply == b"\xba\0\0\0\0" {
                    return None;
                }
                assert_eq!(reply[..5], *b"\xba\0\0\0\x01");
                let xt = u64::from_be_bytes(reply[15..23].try_into().unwrap());
                let told = match xt {
                    0xff_ffff_ffff => Told::Never,
                    xt => Told::LastSecond(xt),
                };
                Some((reply[23 + key.len()..].to_vec(), told))
            }
            Way::TycoonRpc => {
                let key = [("key", key)];
                let (status, value) = call(connection, now, "get", &key, "value");
                assert_eq!(status, if value.is_some() { 200 } else { 450 });
                let (_, xt) = call(connection, now, "check", &key, "xt");
                let told = match xt {
                    None => Told::Never,
                    Some(xt) => Told::LastSecond(String::from_utf8(xt).unwrap().parse().unwrap()),
                };
                Some((value?, told))
            }
            Way::Memcached => {
                let request = [b"get ", key, b"\r\n"].concat();
                let reply = connection.send_at(now, &request);
                if reply == b"END\r\n" {
                    return None;
                }
                let line = reply.iter().position(|&byte| byte == b'\n').unwrap() + 1;
                assert!(reply.starts_with(&[b"VALUE ", key, b" "].concat()));
                let value = reply[line..].strip_suffix(b"\r\nEND\r\n").unwrap();
                Some((value.to_vec(), Told::Nothing))
            }
            Way::TyrantRest => {
                let request = format!("GET /{} HTTP/1.1\r\nX-TT-X: \r\n\r\n", escaped(key));
                let reply = Http::of(&connection.send_at(now, request.as_bytes()));
                assert_eq!(reply.status == 200, reply.status != 404);
                (reply.status == 200).then_some((reply.body, Told::Nothing))
            }
            Way::TycoonRest => {
                let request = format!("GET /{} HTTP/1.1\r\n\r\n", escaped(key));
                let reply = Http::of(&connection.send_at(now, request.as_bytes()));
                if reply.status == 404 {
                    return None;
                }
                assert_eq!(reply.status, 200);
                let told = reply.header("X-Kt-Xt").map_or(Told::Never, |date| {
                    let second = hakone_wire::http::date::parse(date).unwrap();
                    Told::LastSecond(u64::try_from(second).unwrap())
                });
                Some((reply.body, told))
            }
            Way::Resp => {
                let reply = connection.send_at(now, &request(&[b"GET", key]));
                if reply == b"$-1\r\n" {
                    return None;
                }
                let line = reply.iter().position(|&byte| byte == b'\n').unwrap() + 1;
                let value = reply[line..].strip_suffix(b"\r\n").unwrap();
                let time = connection.send_at(now, &request(&[b"PEXPIRETIME", key]));
                let time = String::from_utf8(time).unwrap();
                let told = match time.trim_matches(|c: char| c == ':' || c.is_ascii_whitespace()) {
                    "-1" => Told::Never,
                    time => Told::Gone(time.parse().unwrap()),
                };
                Some((value.to_vec(), told))
            }
        }
    }

    /// Removes a record: whether there was one.
    pub fn remove(self, connection: &mut Connection<'_>, now: u64, key: &[u8]) -> bool {
        match self {
            Way::Tyrant => connection.send_at(now, &tyrant(0x20, key, None)) == [0],
            Way::TycoonBinary => {
                let reply = connection.send_at(now, &bulk(0xb9, key, None));
                reply == b"\xb9\0\0\0\x01"
            }
            Way::TycoonRpc => call(connection, now, "remove", &[("key", key)], "").0 == 200,
            Way::Memcached => {
                let request = [b"delete ", key, b"\r\n"].concat();
                connection.send_at(now, &request) == b"DELETED\r\n"
            }
            Way::TyrantRest => {
                let request = format!("DELETE /{} HTTP/1.1\r\nX-TT-X: \r\n\r\n", escaped(key));
                Http::of(&connection.send_at(now, request.as_bytes())).status == 200
            }
            Way::TycoonRest => {
                let request = format!("DELETE /{} HTTP/1.1\r\n\r\n", escaped(key));
                Http::of(&connection.send_at(now, request.as_bytes())).status == 204
            }
            Way::Resp => connection.send_at(now, &request(&[b"DEL", key])) == b":1\r\n",
        }
    }

    /// Adds bytes at the end of a value; `false` where the protocol has no word for it.
    pub fn append(
        self,
        connection: &mut Connection<'_>,
        now: u64,
        key: &[u8],
        value: &[u8],
    ) -> bool {
        match self {
            Way::Tyrant => {
                let reply = connection.send_at(now, &tyrant(0x12, key, Some(value)));
                assert_eq!(reply, [0]);
            }
            Way::TycoonRpc => {
                let parameters = [("key", key), ("value", value)];
                assert_eq!(
                    call(connection, now, "append", &parameters, ""),
                    (200, None)
                );
            }
            Way::Memcached => {
                let line = format!(" 0 0 {}\r\n", value.len());
                let request = [b"append ", key, line.as_bytes(), value, b"\r\n"].concat();
                assert_eq!(connection.send_at(now, &request), b"STORED\r\n");
            }
            Way::Resp => {
                let reply = connection.send_at(now, &request(&[b"APPEND", key, value]));
                assert!(reply.starts_with(b":"));
            }
            Way::TyrantRest => put_tyrant(connection, now, key, value, 2),
            Way::TycoonBinary | Way::TycoonRest => return false,
        }
        true
    }
}
