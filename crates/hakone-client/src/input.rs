//! Bytes that come from a server: lines and runs, with limits before memory is taken.

use std::io::{self, BufRead};

/// Why something could not be read.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    Malformed(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

/// The next line without its LF. A CR before it stays.
pub(crate) fn line(input: &mut impl BufRead, bytes_max: usize) -> Result<Vec<u8>, Fault> {
    let mut line = Vec::new();
    loop {
        let chunk = filled(input)?;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        line.extend_from_slice(&chunk[..taken]);
        input.consume(taken);
        if line.len() > bytes_max {
            return Err(Fault::Malformed(format!(
                "a line is longer than {bytes_max} bytes"
            )));
        }
        if end.is_some() {
            line.pop();
            return Ok(line);
        }
    }
}

/// Appends bytes to `into` until it holds `bytes`. Memory grows with what has come.
pub(crate) fn take(
    input: &mut impl BufRead,
    bytes: usize,
    into: &mut Vec<u8>,
) -> Result<(), Fault> {
    while into.len() < bytes {
        let chunk = filled(input)?;
        let taken = chunk.len().min(bytes - into.len());
        into.extend_from_slice(&chunk[..taken]);
        input.consume(taken);
    }
    Ok(())
}

/// Reads so many bytes and forgets them.
pub(crate) fn skip(input: &mut impl BufRead, mut bytes: u64) -> Result<(), Fault> {
    while bytes > 0 {
        let taken = filled(input)?
            .len()
            .min(usize::try_from(bytes).unwrap_or(usize::MAX));
        input.consume(taken);
        bytes -= taken as u64;
    }
    Ok(())
}

fn filled(input: &mut impl BufRead) -> Result<&[u8], Fault> {
    // An interrupted read is tried again; the loop is told apart from the borrow that is returned.
    loop {
        match input.fill_buf() {
            Ok([]) => return Err(Fault::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(input.fill_buf()?)
}
