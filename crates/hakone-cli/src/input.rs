//! Values from the command line, or from standard input.

use crate::failure::{Failure, Result};
use hakone::limits::VALUE_BYTES_MAX;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

/// A value: this one, or all of standard input where it is `-`.
pub(crate) fn value(argument: OsString) -> Result<Vec<u8>> {
    if argument != "-" {
        return Ok(argument.into_vec());
    }
    let mut value = Vec::new();
    std::io::stdin()
        .lock()
        .take(VALUE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut value)
        .map_err(|error| Failure::new(format_args!("cannot read standard input: {error}")))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(Failure::new(format_args!(
            "the value on standard input is larger than the limit of {VALUE_BYTES_MAX} bytes"
        )));
    }
    Ok(value)
}
