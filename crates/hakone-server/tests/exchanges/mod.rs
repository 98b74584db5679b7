//! Exchanges captured from memcached 1.6.18: a request and its answer a line, in order.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    dead_code,
    reason = "each test file uses a part of it, so an expectation would fail in some; a test may \
              panic"
)]
#![expect(unreachable_pub, reason = "a test's own room")]

/// Requests, in which `{cas}` stands for the cas unique that was answered last, and answers, in
/// which 0 stands for each.
pub fn exchanges() -> Vec<(Vec<u8>, Vec<u8>)> {
    include_str!("../data/memcached.txt")
        .lines()
        .map(|line| {
            let (request, answer) = line.split_once(" => ").unwrap();
            (unescape(request), unescape(answer))
        })
        .collect()
}

/// The bytes of a line in which `\r`, `\n`, `\t` and `\xHH` stand for what they do in Rust.
fn unescape(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(u8::try_from(char).unwrap());
            continue;
        }
        out.push(match chars.next().unwrap() {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => panic!("no escape: {other}"),
        });
    }
    out
}

/// The request with a cas unique in place of `{cas}`.
pub fn fill(request: &[u8], cas: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = request;
    while let Some(at) = rest.windows(5).position(|window| window == b"{cas}") {
        out.extend(&rest[..at]);
        out.extend(cas);
        rest = &rest[at + 5..];
    }
    out.extend(rest);
    out
}

/// Puts 0 in place of every cas unique of an answer. Returns the last one.
pub fn mask(answer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (mut last, mut masked) = (None, Vec::new());
    for line in answer.split_inclusive(|&byte| byte == b'\n') {
        let words: Vec<&[u8]> = line.trim_ascii_end().split(|&byte| byte == b' ').collect();
        if words.len() == 5 && words[0] == b"VALUE" {
            last = Some(words[4].to_vec());
            masked.extend(words[..4].join(&b' '));
            masked.extend(b" 0\r\n");
        } else {
            masked.extend(line);
        }
    }
    *answer = masked;
    last
}

/// Bytes as text, not too many.
pub fn show(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(2000)];
    head.escape_ascii().to_string()
}
