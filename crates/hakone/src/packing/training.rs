//! Making a dictionary from the records of a database.

use super::Sample;
use crate::store::Store;
use hakone_command::{Command, Direction, Filter, Millis, Next, Position, Range, Reply, Result};

/// Records that are read at a time.
const PAGE: usize = 64;

/// Pages of a sample: enough to fill it with values of 128 bytes.
const PAGES_MAX: usize = 1024;

/// Where the next page begins.
type Ahead = (Next, Option<Vec<u8>>);

impl Store {
    /// The bytes of a dictionary for the records that are there, if there are enough of them and
    /// they have enough in common. Reads up to 8 MiB of them from random places, and takes about a
    /// second.
    ///
    /// # Errors
    /// Those of reading the records.
    pub(crate) fn train(&self, now: Millis) -> Result<Option<Vec<u8>>> {
        let mut sample = Sample::default();
        let few = self.read_all(now, &mut sample)?;
        if !few {
            sample = Sample::default();
            let mut number = now;
            for _ in 0..PAGES_MAX {
                if sample.is_full() {
                    break;
                }
                number = number.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                let place = Position::Random(number ^ number >> 33);
                self.read_page(place, now, &mut sample)?;
            }
        }
        Ok(sample.train())
    }

    /// Reads records from the first one on. Returns whether that was all of them.
    fn read_all(&self, now: Millis, sample: &mut Sample) -> Result<bool> {
        let mut ahead = self.read_page(Position::Start, now, sample)?;
        for _ in 0..PAGES_MAX {
            let from = match (ahead.0, &ahead.1) {
                (Next::Cursor(cursor), _) => Position::Cursor(cursor),
                (Next::Resume, Some(at)) => Position::Resume(at),
                _ => return Ok(true),
            };
            if sample.is_full() {
                return Ok(false);
            }
            ahead = self.read_page(from, now, sample)?;
        }
        Ok(false)
    }

    fn read_page(&self, from: Position<'_>, now: Millis, sample: &mut Sample) -> Result<Ahead> {
        let scan = Command::Scan {
            from,
            range: Range::All,
            direction: Direction::Forward,
            filter: Filter::All,
            limit: PAGE,
            values: true,
        };
        let mut next = (Next::End, None);
        self.call(&scan, now, &mut |reply| {
            if let Reply::Page(page) = reply {
                for (_, record) in page.iter() {
                    sample.add(record.value);
                }
                next = (page.next, page.resume().map(<[u8]>::to_vec));
            }
        })?;
        Ok(next)
    }
}
