//! How many records to ask for at once: many small ones, few large ones.

/// Bytes of values asked for at once, as far as the last ones tell: what one side has to keep.
const BYTES: usize = 4 << 20;

/// Records asked for at once: enough that a round trip costs little a record.
const RECORDS_MAX: usize = 1000;

/// Records asked for at first, when nothing is known of them.
const RECORDS_FIRST: usize = 16;

/// Bytes of one batch of requests. A server may stop to read while it has replies to send, and the
/// requests wait in the sockets' buffers; this fits.
pub(super) const REQUEST_BYTES: usize = 32 << 10;

/// Learns from each batch how large the next one may be.
#[derive(Debug)]
pub(super) struct Pace {
    count: usize,
    bytes: usize,
    records: usize,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace {
            count: RECORDS_FIRST,
            bytes: 0,
            records: 0,
        }
    }

    /// A record of the batch, with so many bytes, has come.
    pub(super) fn record(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }

    /// Begins a batch: how many records it may have.
    pub(super) fn begin(&mut self) -> usize {
        if let Some(each) = self.bytes.checked_div(self.records) {
            // It grows step by step: the next records may be larger.
            let most = RECORDS_MAX.min(self.count.saturating_mul(4));
            self.count = (BYTES / each.max(1)).clamp(1, most);
        }
        self.bytes = 0;
        self.records = 0;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_records_are_asked_for_and_few_large_ones() {
        let mut pace = Pace::new();
        let mut batch = |bytes: usize| {
            let count = pace.begin();
            for _ in 0..count {
                pace.record(bytes);
            }
            count
        };
        assert_eq!([(); 5].map(|()| batch(100)), [16, 64, 256, 1000, 1000]);
        assert_eq!([(); 3].map(|()| batch(1 << 20)), [1000, 4, 4]);
        assert_eq!([(); 3].map(|()| batch(32 << 20)), [4, 1, 1]);
        assert_eq!([(); 3].map(|()| batch(0)), [1, 4, 16]);
    }
}
