//! Which protocols there are, and which one the first bytes of a request speak.

/// A protocol that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Tokyo Tyrant's binary protocol.
    Tyrant,
    /// Redis' protocol, RESP2 and RESP3, as arrays and inline.
    Resp,
}

impl Protocol {
    /// All of them.
    pub const ALL: &[Protocol] = &[Protocol::Tyrant, Protocol::Resp];

    /// The word for it before `://` in a listener's address and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tyrant => "tyrant",
            Protocol::Resp => "redis",
        }
    }

    /// The protocol that `name` says.
    pub fn from_name(name: &str) -> Option<Protocol> {
        Protocol::ALL
            .iter()
            .copied()
            .find(|protocol| protocol.name() == name)
    }
}
