//! Why a server does not start, or does not end well.

use std::fmt;

/// What stopped the server: a sentence for its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServeError {
    /// It was told something that means nothing.
    Usage(String),
    /// A database, a port or a file could not be opened.
    Start(String),
    /// It ran, and failed.
    Failed(String),
}

impl ServeError {
    /// The exit status of the process that it stops: 2 for wrong usage, else 1.
    pub fn exit_status(&self) -> u8 {
        match self {
            ServeError::Usage(_) => 2,
            ServeError::Start(_) | ServeError::Failed(_) => 1,
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ServeError::Usage(text) | ServeError::Start(text) | ServeError::Failed(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for ServeError {}
