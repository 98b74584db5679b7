//! Bytes to the arguments of a request, borrowed where they are. What is larger than the store takes
//! is skipped without being kept, and the connection lives on.

use crate::{REQUEST_BYTES_MAX, Step};
use hakone_command::limits;
use hakone_command::parse_integer;

/// Bytes of a line: the protocol's own limit.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a number that may still be one, so that one without end is known as such soon.
const NUMBER_BYTES_MAX: usize = 32;
/// Bytes of an argument: the protocol's own limit.
const BULK_BYTES_MAX: i64 = 512 << 20;
/// Arguments of a request: 4 million, so that what is kept of them is no more than what they take
/// on the wire at most.
const ARGUMENTS_MAX: i64 = 4 << 20;

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The arguments that were pushed from this position on; none means that there is nothing to
    /// answer.
    Arguments(usize),
    /// A line without its end.
    Line(&'a [u8]),
    /// A request with an argument, or as a whole, larger than the store takes: it was skipped.
    TooLarge,
    /// Bytes that are no request: answer the error, and close.
    Invalid(ProtocolError),
}

/// What is wrong with bytes that are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number of arguments is none, or too large.
    MultibulkLength,
    /// The size of an argument is none, or too large.
    BulkLength,
    /// An argument begins with this byte.
    NotABulk(u8),
    /// A line without end.
    InlineTooBig,
    /// A quote in a line that is not closed.
    UnbalancedQuotes,
}

impl ProtocolError {
    /// Its text, as the error reply has it.
    pub fn text(self) -> Vec<u8> {
        let what = match self {
            ProtocolError::MultibulkLength => "invalid multibulk length",
            ProtocolError::BulkLength => "invalid bulk length",
            ProtocolError::NotABulk(byte) => {
                let mut text = b"ERR Protocol error: expected '$', got '".to_vec();
                text.extend_from_slice(&[byte, b'\'']);
                return text;
            }
            ProtocolError::InlineTooBig => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
        };
        format!("ERR Protocol error: {what}").into_bytes()
    }
}

/// Where a connection stands in a request that is not whole.
#[derive(Debug, Default)]
pub struct Decoder {
    /// How far the request has been looked at, from its beginning.
    walked: usize,
    /// Arguments that are still to come.
    left: u32,
    /// Set while the rest of a request is skipped: bytes of the present argument still to come.
    skip: Option<u64>,
}

/// A header line's number.
enum Header {
    /// The number, and where the line ends.
    Number(i64, usize),
    NotANumber,
    Short,
}

impl Decoder {
    /// Whether bytes of a request have been consumed that is not whole.
    pub fn is_inside(&self) -> bool {
        self.skip.is_some()
    }

    /// Looks at all bytes of the connection that are not consumed, and pushes the arguments of a
    /// whole request onto `arguments`.
    pub fn decode<'a>(
        &mut self,
        input: &'a [u8],
        arguments: &mut Vec<&'a [u8]>,
    ) -> Step<Frame<'a>> {
        if self.skip.is_some() {
            return self.pass(input, 0);
        }
        match input.first() {
            None => partial(0, 1),
            Some(b'*') if self.walked == 0 => self.begin(input, arguments),
            Some(b'*') => self.resume(input, arguments),
            Some(_) => self.line(input),
        }
    }

    fn line<'a>(&mut self, input: &'a [u8]) -> Step<Frame<'a>> {
        let rest = input.get(self.walked..).unwrap_or_default();
        let Some(found) = rest.iter().position(|&byte| byte == b'\n') else {
            if input.len() > LINE_BYTES_MAX {
                return invalid(ProtocolError::InlineTooBig, input);
            }
            self.walked = input.len();
            return partial(0, input.len() + 1);
        };
        let end = self.walked + found;
        self.walked = 0;
        if end > LINE_BYTES_MAX {
            return invalid(ProtocolError::InlineTooBig, input);
        }
        let line = &input[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Step::Request(Frame::Line(line), end + 1)
    }

    /// The first look at a request.
    fn begin<'a>(&mut self, input: &'a [u8], arguments: &mut Vec<&'a [u8]>) -> Step<Frame<'a>> {
        let (count, at) = match header(input, 0) {
            Header::Number(count, end) if count <= ARGUMENTS_MAX => (count, end),
            Header::Number(..) | Header::NotANumber => {
                return invalid(ProtocolError::MultibulkLength, input);
            }
            Header::Short => return partial(0, input.len() + 1),
        };
        self.walked = at;
        self.left = u32::try_from(count).unwrap_or(0);
        let first = arguments.len();
        let step = self.walk(input, |argument| arguments.push(argument));
        match step {
            None => {
                let end = self.walked;
                self.walked = 0;
                Step::Request(Frame::Arguments(first), end)
            }
            Some(step) => {
                arguments.truncate(first);
                step
            }
        }
    }

    /// A later look: goes on where the last one ended, and takes the arguments when all are there,
    /// so that no argument is looked at more than three times.
    fn resume<'a>(&mut self, input: &'a [u8], arguments: &mut Vec<&'a [u8]>) -> Step<Frame<'a>> {
        match self.walk(input, |_| ()) {
            Some(step) => step,
            None => self.begin(input, arguments),
        }
    }

    /// Walks over the arguments that are there. `None` if these were all.
    fn walk<'a>(
        &mut self,
        input: &'a [u8],
        mut push: impl FnMut(&'a [u8]),
    ) -> Option<Step<Frame<'a>>> {
        while self.left > 0 {
            let at = self.walked;
            let (bytes, start) = match bulk(input, at) {
                Ok(found) => found,
                Err(step) => return Some(self.give_up(step)),
            };
            let end = start + bytes + 2;
            if bytes > limits::VALUE_BYTES_MAX || end > REQUEST_BYTES_MAX {
                self.left -= 1;
                self.walked = 0;
                self.skip = Some(bytes as u64 + 2);
                return Some(self.pass(input, start));
            }
            if input.len() < end {
                return Some(partial(0, end));
            }
            push(&input[start..start + bytes]);
            self.walked = end;
            self.left -= 1;
        }
        None
    }

    /// Passes over what belongs to a request that is skipped, from `at` on.
    fn pass<'a>(&mut self, input: &'a [u8], mut at: usize) -> Step<Frame<'a>> {
        let mut bytes = self.skip.unwrap_or(0);
        loop {
            let there = input.len() - at;
            let step = usize::try_from(bytes).map_or(there, |bytes| bytes.min(there));
            at += step;
            bytes -= step as u64;
            self.skip = Some(bytes);
            if bytes > 0 {
                return partial(at, 0);
            }
            if self.left == 0 {
                self.skip = None;
                return Step::Request(Frame::TooLarge, at);
            }
            match bulk(input, at) {
                Ok((size, start)) => {
                    bytes = size as u64 + 2;
                    at = start;
                    self.left -= 1;
                }
                Err(Step::Partial { need, .. }) => return partial(at, need - at),
                Err(step) => return self.give_up(step),
            }
        }
    }

    fn give_up<'a>(&mut self, step: Step<Frame<'a>>) -> Step<Frame<'a>> {
        if let Step::Request(..) = step {
            *self = Decoder::default();
        }
        step
    }
}

fn partial<'a>(consumed: usize, need: usize) -> Step<Frame<'a>> {
    Step::Partial { consumed, need }
}

fn invalid<'a>(error: ProtocolError, input: &[u8]) -> Step<Frame<'a>> {
    Step::Request(Frame::Invalid(error), input.len())
}

/// The size of the argument whose header is at `at`, and where its bytes begin.
#[inline]
fn bulk<'a>(input: &[u8], at: usize) -> Result<(usize, usize), Step<Frame<'a>>> {
    match input.get(at) {
        None => return Err(partial(0, at + 1)),
        Some(b'$') => {}
        Some(&other) => return Err(invalid(ProtocolError::NotABulk(other), input)),
    }
    match header(input, at) {
        Header::Number(bytes @ 0..=BULK_BYTES_MAX, end) => {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            Ok((bytes, end))
        }
        Header::Number(..) | Header::NotANumber => Err(invalid(ProtocolError::BulkLength, input)),
        Header::Short => Err(partial(0, input.len() + 1)),
    }
}

/// The number between the sign at `at` and the end of its line.
#[inline]
fn header(input: &[u8], at: usize) -> Header {
    let rest = input.get(at + 1..).unwrap_or_default();
    // Sizes of one or two digits are what most headers hold.
    match rest {
        [a @ b'0'..=b'9', b'\r', _, ..] => return Header::Number(i64::from(a - b'0'), at + 4),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => {
            let number = i64::from(a - b'0') * 10 + i64::from(b - b'0');
            return Header::Number(number, at + 5);
        }
        _ => {}
    }
    let digits = rest.iter().take(NUMBER_BYTES_MAX);
    let Some(end) = digits.clone().position(|&byte| byte == b'\r') else {
        return if digits.len() < NUMBER_BYTES_MAX {
            Header::Short
        } else {
            Header::NotANumber
        };
    };
    if rest.len() < end + 2 {
        return Header::Short;
    }
    match parse_integer(&rest[..end]) {
        Some(number) => Header::Number(number, at + 1 + end + 2),
        None => Header::NotANumber,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows a decoder `first`, then `second`, in which bytes that it has passed are changed: it
    /// must not look at them again before the request is whole.
    fn check(first: &[u8], second: &[u8]) {
        let mut decoder = Decoder::default();
        let mut arguments = Vec::new();
        for input in [first, second] {
            let step = decoder.decode(input, &mut arguments);
            assert!(
                matches!(step, Step::Partial { consumed: 0, .. }),
                "{}: {step:?}",
                input.escape_ascii()
            );
            assert!(arguments.is_empty());
        }
    }

    #[test]
    fn what_was_passed_is_not_looked_at_again() {
        check(b"*3\r\n$1\r\na\r\n$1\r", b"*3\r\n#1\r\na\r\n$1\r\nb\r\n");
        check(b"*2\r\n$3\r\nGET\r\n", b"*x\r\n$3\r\nGET\r\n$1\r\n");
        check(b"PING PING", b"PING\nPING PING");
    }

    #[test]
    fn a_partial_request_says_how_much_it_needs() {
        let check = |input: &[u8], expected| {
            let step = Decoder::default().decode(input, &mut Vec::new());
            let (consumed, need) = (0, expected);
            assert_eq!(step, Step::Partial { consumed, need });
        };
        check(b"*", 2);
        check(b"*1\r\n", 5);
        check(b"*1\r\n$100\r\n", 4 + 6 + 100 + 2);
        check(
            b"*2\r\n$1\r\na\r\n$33554432\r\nabc",
            11 + 11 + 33_554_432 + 2,
        );
    }
}
