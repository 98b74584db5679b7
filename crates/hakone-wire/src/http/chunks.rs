//! A body that comes in chunks: walked over as it comes, taken together when it is whole.

use super::head::{Search, check_trailers};
use super::reply::Refusal;
use super::{CHUNK_LINE_BYTES_MAX, HEADER_BYTES_MAX};
use crate::REQUEST_BYTES_MAX;
use std::borrow::Cow;

/// Bytes of a request up to the end of a chunk, what is around the chunks counted: the largest
/// request, less room for the last line and trailers.
const WALK_BYTES_MAX: usize = REQUEST_BYTES_MAX - 2 * HEADER_BYTES_MAX;

/// How far a body in chunks has been walked.
#[derive(Debug)]
pub(super) struct Chunks {
    start: usize,
    /// Where the next chunk, or the line before it, begins.
    at: usize,
    /// Bytes of the chunks so far.
    bytes: usize,
    bytes_max: usize,
    trailers: Option<(usize, Search)>,
}

/// What looking at a body gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look<'a> {
    /// Its bytes, and where it ends in the input.
    Whole(Cow<'a, [u8]>, usize),
    /// Looking again is in vain before there are so many bytes.
    Needs(usize),
}

impl Chunks {
    pub(super) fn new(start: usize, bytes_max: usize) -> Chunks {
        Chunks {
            start,
            at: start,
            bytes: 0,
            bytes_max,
            trailers: None,
        }
    }

    pub(super) fn look<'a>(&mut self, input: &'a [u8]) -> Result<Look<'a>, Refusal> {
        while self.trailers.is_none() {
            let Some((size, data)) = size(input, self.at)? else {
                return Ok(Look::Needs(input.len().max(self.at) + 1));
            };
            self.bytes = match self.bytes.checked_add(size) {
                Some(bytes) if bytes <= self.bytes_max => bytes,
                _ => return Err(Refusal::BODY_TOO_LARGE),
            };
            if size == 0 {
                self.trailers = Some((data, Search::trailers(data)));
                break;
            }
            let end = data + size + 2;
            if end > WALK_BYTES_MAX {
                return Err(Refusal::BODY_TOO_LARGE);
            }
            let Some(line_end) = input.get(end - 2..end) else {
                // This chunk's line will be read once more.
                self.bytes -= size;
                return Ok(Look::Needs(end));
            };
            if line_end != b"\r\n" {
                return Err(Refusal::bad("a chunk is longer than it says"));
            }
            self.at = end;
        }
        let Some((begins, search)) = &mut self.trailers else {
            return Ok(Look::Needs(input.len() + 1));
        };
        let Some(end) = search.end(input)? else {
            return Ok(Look::Needs(input.len() + 1));
        };
        check_trailers(input.get(*begins..end).unwrap_or_default())?;
        Ok(Look::Whole(self.body(input), end))
    }

    /// The bytes of a body that is whole.
    fn body<'a>(&self, input: &'a [u8]) -> Cow<'a, [u8]> {
        let mut body = Cow::Borrowed(&[][..]);
        let mut at = self.start;
        while let Ok(Some((bytes @ 1.., data))) = size(input, at) {
            let chunk = input.get(data..data + bytes).unwrap_or_default();
            if body.is_empty() {
                body = Cow::Borrowed(chunk);
            } else {
                let all = body.to_mut();
                if all.capacity() < self.bytes {
                    all.reserve_exact(self.bytes - all.len());
                }
                all.extend_from_slice(chunk);
            }
            at = data + bytes + 2;
        }
        body
    }
}

/// The size in the line at `at`, and where what it is about begins. `None`: the line is not whole.
fn size(input: &[u8], at: usize) -> Result<Option<(usize, usize)>, Refusal> {
    let rest = input.get(at..).unwrap_or_default();
    let line = rest.get(..CHUNK_LINE_BYTES_MAX).unwrap_or(rest);
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        let too_long = line.len() == CHUNK_LINE_BYTES_MAX;
        return if too_long { Err(BAD_SIZE) } else { Ok(None) };
    };
    let Some(line) = line.get(..end).and_then(|line| line.strip_suffix(b"\r")) else {
        return Err(BAD_SIZE);
    };
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = digits.count();
    let (number, extension) = line.split_at(digits);
    let extension_begins = matches!(extension.trim_ascii_start(), [] | [b';', ..]);
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if digits == 0 || !extension_begins || !extension.iter().all(is_text) {
        return Err(BAD_SIZE);
    }
    let number = std::str::from_utf8(number).unwrap_or_default();
    match usize::from_str_radix(number, 16) {
        Ok(bytes) if bytes <= REQUEST_BYTES_MAX => Ok(Some((bytes, at + end + 1))),
        _ => Err(Refusal::BODY_TOO_LARGE),
    }
}

const BAD_SIZE: Refusal = Refusal::bad("the size of a chunk is none");
