//! Free stretches of space: the smallest that fits is taken, neighbours melt together.

use std::collections::{BTreeMap, BTreeSet};

/// Free stretches as start and size. Taking and giving cost the logarithm of their number.
#[derive(Debug, Default)]
pub(super) struct Extents {
    by_start: BTreeMap<u64, u64>,
    by_size: BTreeSet<(u64, u64)>,
}

impl Extents {
    /// Takes `size` from the smallest stretch that has as much, the first of them.
    pub(super) fn take(&mut self, size: u64) -> Option<u64> {
        let &(found, start) = self.by_size.range((size, 0)..).next()?;
        self.forget(start, found);
        if found > size {
            self.note(start + size, found - size);
        }
        Some(start)
    }

    /// Gives a stretch back; returns the free one that it is now part of, as start and size.
    pub(super) fn give(&mut self, start: u64, size: u64) -> (u64, u64) {
        let (mut first, mut all) = (start, size);
        if let Some((&before, &bytes)) = self.by_start.range(..start).next_back()
            && before + bytes == start
        {
            self.forget(before, bytes);
            first = before;
            all += bytes;
        }
        if let Some(&bytes) = self.by_start.get(&(start + size)) {
            self.forget(start + size, bytes);
            all += bytes;
        }
        self.note(first, all);
        (first, all)
    }

    fn note(&mut self, start: u64, size: u64) {
        self.by_start.insert(start, size);
        self.by_size.insert((size, start));
    }

    fn forget(&mut self, start: u64, size: u64) {
        self.by_start.remove(&start);
        self.by_size.remove(&(size, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_smallest_that_fits_and_the_first_of_them() {
        let mut extents = Extents::default();
        for (start, size) in [(0, 10), (20, 5), (40, 5), (60, 7)] {
            extents.give(start, size);
        }
        assert_eq!(extents.take(4), Some(20));
        assert_eq!(extents.take(1), Some(24), "the rest");
        assert_eq!(extents.take(6), Some(60));
        assert_eq!(extents.take(11), None);
        assert_eq!(extents.take(10), Some(0));
    }

    #[test]
    fn neighbours_melt_together() {
        let mut extents = Extents::default();
        assert_eq!(extents.give(0, 10), (0, 10));
        assert_eq!(extents.give(20, 10), (20, 10));
        assert_eq!(extents.give(10, 10), (0, 30));
        assert_eq!(extents.give(31, 1), (31, 1));
        assert_eq!(extents.give(30, 1), (0, 32));
        assert_eq!(extents.take(32), Some(0));
        assert_eq!(extents.take(1), None);
    }
}
