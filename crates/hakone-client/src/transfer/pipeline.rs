//! Writes on their way: a batch is sent, then the replies to the one before it are read.

use super::{Losses, Record, Sink, now_ms};
use crate::Result;

/// Bytes of requests that are sent at once.
const BATCH_BYTES: usize = 256 << 10;

/// A protocol's way to write records.
pub(super) trait Write: std::fmt::Debug {
    /// Records of one batch. Its replies, and those to the batch before it, must fit into the
    /// sockets' buffers, since nobody reads them while a batch is sent.
    const BATCH_RECORDS: u64;

    /// Appends the request for a record to the batch, or counts why it cannot be carried and
    /// returns false.
    fn add(&mut self, record: &Record, losses: &mut Losses) -> Result<bool>;

    /// Bytes of the batch so far.
    fn batch_bytes(&self) -> usize;

    /// Sends the batch.
    fn send(&mut self) -> Result<()>;

    /// Reads the replies to a batch of `count` records, and counts those that are written.
    fn receive(&mut self, count: u64, written: &mut u64, losses: &mut Losses) -> Result<()>;
}

/// Writes in batches, two of them on their way.
#[derive(Debug)]
pub(super) struct Pipeline<W> {
    writer: W,
    unsent: u64,
    unanswered: u64,
    acknowledged: u64,
    losses: Losses,
}

impl<W: Write> Pipeline<W> {
    pub(super) fn new(writer: W) -> Pipeline<W> {
        Pipeline {
            writer,
            unsent: 0,
            unanswered: 0,
            acknowledged: 0,
            losses: Losses::default(),
        }
    }

    fn turn(&mut self) -> Result<()> {
        if self.unsent > 0 {
            self.writer.send()?;
        }
        self.receive()?;
        self.unanswered = std::mem::take(&mut self.unsent);
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let count = std::mem::take(&mut self.unanswered);
        if count == 0 {
            return Ok(());
        }
        self.writer
            .receive(count, &mut self.acknowledged, &mut self.losses)
    }
}

impl<W: Write> Sink for Pipeline<W> {
    fn put(&mut self, record: &Record) -> Result<()> {
        if record.expiry_ms != 0 && record.expiry_ms <= now_ms() {
            return Ok(());
        }
        if self.writer.add(record, &mut self.losses)? {
            self.unsent += 1;
        }
        if self.unsent >= W::BATCH_RECORDS || self.writer.batch_bytes() >= BATCH_BYTES {
            self.turn()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.turn()?;
        self.receive()
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}
