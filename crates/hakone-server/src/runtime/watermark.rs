//! What the workers must know of the store: how far it is durable, and whether it can still become
//! so. A face of its own, so that tests can hold it still or let it fail.

use hakone::{Cabinet, Error, Lsn};
use std::fmt::Debug;

/// How far everything written is durable.
pub(super) trait Watermark: Send + Sync + Debug {
    /// The last lsn that is durable.
    fn durable(&self) -> Lsn;

    /// Asks for everything up to `lsn` to become durable soon, and returns at once.
    fn want_durable(&self, lsn: Lsn);

    /// Why nothing more will become durable, if so.
    fn failure(&self) -> Option<Error>;
}

impl Watermark for Cabinet {
    fn durable(&self) -> Lsn {
        Cabinet::durable(self)
    }

    fn want_durable(&self, lsn: Lsn) {
        Cabinet::want_durable(self, lsn);
    }

    fn failure(&self) -> Option<Error> {
        // A full disk refuses writes until there is room; what is written still becomes durable.
        Cabinet::failure(self).filter(|error| !matches!(error, Error::Full(_)))
    }
}
