//! The command as its users meet it: the real binary, on a server and on a cabinet at rest.
#![expect(clippy::unwrap_used, reason = "tests stop at what they do not expect")]

mod bench;
mod help;
mod moving;
mod ranges;
mod records;
mod support;
mod together;
mod transfer;
mod writes;
