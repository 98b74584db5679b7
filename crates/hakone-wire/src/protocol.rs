//! Which protocols there are, and which one the first byte of a request speaks.

use crate::{resp, tyrant};

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
    /// All of them; the first whose `begins` holds is the one that is spoken.
    pub const ALL: &[Protocol] = &[Protocol::Tyrant, Protocol::Resp];

    /// The protocol of a request that begins with these bytes. `None` where none does: the
    /// connection is closed.
    pub fn detect(input: &[u8]) -> Option<Protocol> {
        let first = *input.first()?;
        Protocol::ALL
            .iter()
            .copied()
            .find(|protocol| protocol.begins(first))
    }

    fn begins(self, first: u8) -> bool {
        match self {
            Protocol::Tyrant => first == tyrant::MAGIC,
            Protocol::Resp => resp::begins(first),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_the_protocol() {
        let check = |input: &[u8], expected| assert_eq!(Protocol::detect(input), expected);
        check(b"\xc8\x10", Some(Protocol::Tyrant));
        check(b"*1\r\n", Some(Protocol::Resp));
        check(b"PING\r\n", Some(Protocol::Resp));
        check(b"\r\n", Some(Protocol::Resp));
        check(b"\x80\x00", None);
        check(b"\xb1", None);
        check(b"", None);
    }

    #[test]
    fn every_protocol_has_a_name_of_its_own() {
        for &protocol in Protocol::ALL {
            assert_eq!(Protocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(Protocol::from_name("gopher"), None);
    }
}
