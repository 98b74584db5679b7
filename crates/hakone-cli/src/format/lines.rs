//! Lines of a file or a pipe, numbered, with a limit on their length.

use hakone::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use std::io::{self, BufRead, Read};

/// Bytes of a line: the largest key and value with each byte escaped as `\u00XX`, and room for
/// names and numbers.
const LINE_BYTES_MAX: usize = 6 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 1024;

/// Why there is no next line.
#[derive(Debug)]
pub(crate) enum LineFault {
    /// The file cannot be read.
    Io(io::Error),
    /// The line is longer than any record can be.
    TooLong,
}

/// Reads line by line. A line ends with LF or CR LF, the last one may end with the file.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    bytes_read: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Lines<R> {
        Lines {
            input,
            line: Vec::new(),
            number: 0,
            bytes_read: 0,
        }
    }

    /// The number of the line last read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next line without its end, or `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, LineFault> {
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let taken = self
            .input
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut self.line)
            .map_err(LineFault::Io)?;
        if taken == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes_read += taken as u64;
        if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            self.line.pop_if(|byte| *byte == b'\r');
        } else if self.line.len() > LINE_BYTES_MAX {
            return Err(LineFault::TooLong);
        }
        Ok(Some(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf_or_cr_lf_or_the_file() {
        let mut lines = Lines::new(&b"a\nb\r\n\n\rc\r"[..]);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(line.to_vec());
        }
        assert_eq!(seen, [&b"a"[..], b"b", b"", b"\rc\r"]);
        assert_eq!((lines.number(), lines.bytes_read()), (4, 9));
    }

    #[test]
    fn a_line_longer_than_any_record_is_refused() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(
            Lines::new(endless).next(),
            Err(LineFault::TooLong)
        ));
    }
}
