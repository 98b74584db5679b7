//! Replies to bytes.

use super::Refusal;
use hakone_command::{Error, Record, Reply, format_unsigned};
use std::fmt::{self, Write};

/// The form of a command's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Whether it was stored.
    Stored,
    /// Whether it was stored, and why not.
    Swapped,
    /// The sum.
    Counted,
    /// Whether there was a record to touch.
    Touched,
    /// Whether there was a record to delete.
    Deleted,
}

/// Appends the answer to a command about one key.
pub fn encode(answer: Answer, reply: &Reply<'_>, out: &mut Vec<u8>) {
    let text: &[u8] = match (answer, reply) {
        (_, Reply::Value(sum)) => {
            out.extend_from_slice(sum);
            b"\r\n"
        }
        (_, Reply::NotANumber) => {
            b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
        }
        (Answer::Swapped, Reply::Missing) => b"NOT_FOUND\r\n",
        (Answer::Swapped, Reply::Refused) => b"EXISTS\r\n",
        (Answer::Stored, Reply::Missing | Reply::Refused) => b"NOT_STORED\r\n",
        (Answer::Stored | Answer::Swapped, _) => b"STORED\r\n",
        (_, Reply::Missing) => b"NOT_FOUND\r\n",
        (Answer::Touched, _) => b"TOUCHED\r\n",
        (Answer::Deleted, _) => b"DELETED\r\n",
        (Answer::Counted, _) => b"SERVER_ERROR no sum\r\n",
    };
    out.extend_from_slice(text);
}

/// Appends a record that was found, with its version if asked for.
pub fn value(key: &[u8], record: &Record<'_>, version: bool, out: &mut Vec<u8>) {
    out.reserve(key.len() + record.value.len() + 64);
    out.extend_from_slice(b"VALUE ");
    out.extend_from_slice(key);
    out.push(b' ');
    number(u64::from(record.flags), out);
    out.push(b' ');
    number(record.value.len() as u64, out);
    if version {
        out.push(b' ');
        number(record.version, out);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(record.value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a list.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"END\r\n");
}

/// Appends a line of a report.
pub fn stat(name: &str, value: impl fmt::Display, out: &mut String) {
    // Writing to a string can't fail.
    let _ = write!(out, "STAT {name} {value}\r\n");
}

/// Appends a line of `stats cachedump`. Nothing for a key that no line of the protocol can hold.
pub fn item(key: &[u8], record: &Record<'_>, out: &mut Vec<u8>) {
    let nameable = key.iter().all(|&byte| byte > b' ' && byte != 0x7f);
    if key.is_empty() || key.len() > super::KEY_BYTES_MAX || !nameable {
        return;
    }
    out.extend_from_slice(b"ITEM ");
    out.extend_from_slice(key);
    let (bytes, expiry) = (record.value_bytes, record.expiry / 1000);
    out.extend_from_slice(format!(" [{bytes} b; {expiry} s]\r\n").as_bytes());
}

/// Appends a line of `lru_crawler metadump`. The time of the last access is that of the last write,
/// and nobody knows whether a record was read.
pub fn meta(key: &[u8], record: &Record<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"key=");
    for &byte in key {
        // What a URI takes as it is.
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    let expiry = match record.expiry {
        0 => -1,
        expiry => (expiry / 1000).cast_signed(),
    };
    // The upper 52 bits of a version are microseconds.
    let written = (record.version >> 12) / 1_000_000;
    let version = record.version;
    let bytes = key.len() as u64 + record.value_bytes;
    out.extend_from_slice(
        format!(" exp={expiry} la={written} cas={version} fetch=no cls=1 size={bytes}\n")
            .as_bytes(),
    );
}

impl Refusal {
    fn text(&self) -> &'static str {
        match self {
            Refusal::Error => "ERROR",
            Refusal::Format => "CLIENT_ERROR bad command line format",
            Refusal::Chunk => "CLIENT_ERROR bad data chunk",
            Refusal::TooLarge(_) => TOO_LARGE,
            Refusal::Line => "CLIENT_ERROR line too long",
            Refusal::Keys => "CLIENT_ERROR too many keys in one line",
            Refusal::Delta => "CLIENT_ERROR invalid numeric delta argument",
            Refusal::Exptime => "CLIENT_ERROR invalid exptime argument",
            Refusal::Delete => {
                "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"
            }
            Refusal::Detail => "CLIENT_ERROR usage: stats detail on|off|dump",
            Refusal::CacheDump => "CLIENT_ERROR bad command line",
            Refusal::Class => "CLIENT_ERROR Illegal slab id",
            Refusal::CrawlClass => "BADCLASS invalid class id",
            Refusal::MemoryLimit => "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust",
            Refusal::Shutdown => "ERROR: shutdown not enabled",
            Refusal::Slabs => "CLIENT_ERROR slab reassignment disabled",
            Refusal::Watch => "WATCHER_FAILED failed to add log watcher",
            Refusal::Unsupported => "CLIENT_ERROR not supported",
        }
    }
}

const TOO_LARGE: &str = "SERVER_ERROR object too large for cache";

/// Appends a refusal. Whether the connection ends with it.
pub fn refuse(refusal: &Refusal, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(refusal.text().as_bytes());
    out.extend_from_slice(b"\r\n");
    *refusal == Refusal::Line
}

/// Appends an error of the store.
pub fn store_error(error: &Error, out: &mut Vec<u8>) {
    let text = match error {
        Error::ValueTooLarge { .. } => TOO_LARGE.to_owned(),
        error => format!("SERVER_ERROR {error}"),
    };
    // One line, whatever a path in it holds.
    let line = text
        .bytes()
        .map(|byte| if byte < b' ' { b' ' } else { byte });
    out.extend(line);
    out.extend_from_slice(b"\r\n");
}

fn number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format_unsigned(number, &mut [0; 20]));
}
