//! How many insertions, deletions and replacements make one byte string of another.

/// Bytes of what keys are compared with: 1 KiB, longer than most keys.
pub const ORIGIN_BYTES_MAX: usize = 1 << 10;

/// The largest range; what is asked beyond it counts as this: 1024, so that with the longest origin
/// a comparison takes two million steps, some milliseconds.
const RANGE_MAX: usize = 1 << 10;

/// What keys are compared with.
#[derive(Debug)]
pub struct Similar {
    origin: Vec<u32>,
    range: usize,
    utf: bool,
    key: Vec<u32>,
    row: Vec<usize>,
}

impl Similar {
    /// `utf`: steps are of the characters of UTF-8, and bytes that are none do not count.
    pub fn new(origin: &[u8], range: u64, utf: bool) -> Similar {
        let mut symbols_of_origin = Vec::new();
        symbols(origin, utf, &mut symbols_of_origin);
        Similar {
            origin: symbols_of_origin,
            range: usize::try_from(range).map_or(RANGE_MAX, |range| range.min(RANGE_MAX)),
            utf,
            key: Vec::new(),
            row: Vec::new(),
        }
    }

    /// How many steps a comparison takes at most.
    pub fn cost(&self) -> usize {
        let longest = self.origin.len() + self.range;
        let band = (2 * self.range + 1).min(self.origin.len() + 1);
        band * (longest + 1)
    }

    /// How far `key` is from the origin; `None` where that is farther than the range. Only what can
    /// lie within the range is looked at.
    pub fn distance(&mut self, key: &[u8]) -> Option<usize> {
        self.key.clear();
        symbols(key, self.utf, &mut self.key);
        let (origin, range) = (&self.origin, self.range);
        if origin.len().abs_diff(self.key.len()) > range {
            return None;
        }
        // `row[i]` is the distance of the key so far from the first `i` symbols of the origin.
        let far = usize::MAX - 1;
        self.row.clear();
        self.row.extend(0..=origin.len());
        for (index, symbol) in self.key.iter().enumerate() {
            let first = (index + 1).saturating_sub(range).max(1);
            let last = (index + 1).saturating_add(range).min(origin.len());
            let mut diagonal = self.row[first - 1];
            if first > 1 {
                self.row[first - 1] = far;
            } else {
                self.row[0] = index + 1;
            }
            let mut least = self.row[first - 1];
            for at in first..=last {
                let replaced = diagonal + usize::from(origin[at - 1] != *symbol);
                diagonal = self.row[at];
                // Right of the band of the row before there is nothing within the range.
                let inserted = if at > index.saturating_add(range) {
                    far
                } else {
                    diagonal + 1
                };
                let deleted = self.row[at - 1] + 1;
                self.row[at] = replaced.min(inserted).min(deleted);
                least = least.min(self.row[at]);
            }
            if least > range {
                return None;
            }
        }
        self.row
            .last()
            .copied()
            .filter(|&distance| distance <= range)
    }
}

fn symbols(text: &[u8], utf: bool, out: &mut Vec<u32>) {
    if utf {
        let chunks = text.utf8_chunks();
        out.extend(chunks.flat_map(|chunk| chunk.valid().chars().map(u32::from)));
    } else {
        out.extend(text.iter().map(|&byte| u32::from(byte)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance as the textbook has it.
    fn plain(a: &[u8], b: &[u8]) -> usize {
        let mut row: Vec<usize> = (0..=a.len()).collect();
        for (j, y) in b.iter().enumerate() {
            let mut next = vec![j + 1];
            for (i, x) in a.iter().enumerate() {
                let replaced = row[i] + usize::from(x != y);
                next.push(replaced.min(row[i + 1] + 1).min(next[i] + 1));
            }
            row = next;
        }
        row[a.len()]
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        let words: Vec<Vec<u8>> = (0..400_u32)
            .map(|seed| {
                let mut bits = seed.wrapping_mul(2_654_435_761);
                (0..seed % 9)
                    .map(|_| {
                        bits = bits.rotate_left(7).wrapping_mul(31);
                        b'a' + (bits >> 13 & 1) as u8
                    })
                    .collect()
            })
            .collect();
        for a in &words[..40] {
            for range in [0, 1, 2, 3, 100, u64::MAX] {
                let mut similar = Similar::new(a, range, false);
                for b in &words {
                    let distance = Some(plain(a, b)).filter(|&d| d as u64 <= range);
                    assert_eq!(similar.distance(b), distance, "{a:?} {b:?} {range}");
                }
            }
        }
    }

    #[test]
    fn characters_count_once() {
        let check = |utf, expected| {
            let mut similar = Similar::new("t\u{f6}ky\u{14d}".as_bytes(), 9, utf);
            assert_eq!(similar.distance(b"tokyo"), Some(expected));
        };
        check(true, 2);
        check(false, 4);
        let mut similar = Similar::new(b"a\xffb", 1, true);
        assert_eq!(similar.distance(b"ab\xfe"), Some(0));
    }
}
