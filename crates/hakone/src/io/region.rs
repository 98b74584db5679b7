//! Memory that is written once, from its start on, and read up to where it has been written.
#[derive(Debug)]
pub(crate) struct Region;
