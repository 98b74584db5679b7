//! The `hakone` command.
fn main() {}
