//! What is asked: keys, values that can be checked, and the mix of reads and writes.

/// Bytes of a key: 16 hexadecimal digits.
pub(super) const KEY_BYTES: usize = 16;

/// Bytes that values are cut from, so that neighbouring keys have other values.
const POOL_BYTES: usize = 64 << 10;

/// Keys and their values. The same key always has the same value, so that every answer can be
/// checked, whoever wrote it.
#[derive(Debug)]
pub(super) struct Workload {
    value_bytes: usize,
    pool: Vec<u8>,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Read the record of this number.
    Get(u64),
    /// Write the record of this number.
    Set(u64),
}

/// Where requests come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Any of so many keys, chosen uniformly; of 100 requests so many are reads.
    Mixed {
        keys_count: u64,
        gets_percent: u64,
        random: Random,
    },
    /// Writes of the records from `next` to before `end`.
    Sets { next: u64, end: u64 },
    /// Reads of the records from `next` to before `end`.
    Gets { next: u64, end: u64 },
}

/// Random numbers from a seed (xorshift64*): fast, and good enough to choose keys.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(mix(seed) | 1)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let wide = u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * u128::from(end);
        (wide >> 64) as u64
    }
}

/// A bijection of 64 bits that scatters neighbours (the finalizer of splitmix64).
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Workload {
    pub(super) fn new(value_bytes: usize) -> Workload {
        let pool = (0..=(POOL_BYTES + value_bytes) as u64 / 8)
            .flat_map(|i| mix(!i).to_le_bytes())
            .collect();
        Workload { value_bytes, pool }
    }

    pub(super) fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// The key of a record: unlike the numbers, keys are in no order.
    pub(super) fn key(number: u64) -> [u8; KEY_BYTES] {
        let mixed = mix(number);
        std::array::from_fn(|i| b"0123456789abcdef"[(mixed >> (60 - 4 * i)) as usize & 15])
    }

    /// The value of a record, in two parts.
    fn value(&self, number: u64) -> ([u8; 8], &[u8]) {
        let head = mix(!number).to_le_bytes();
        let offset = u64::from_le_bytes(head) as usize % POOL_BYTES;
        (
            head,
            &self.pool[offset..][..self.value_bytes.saturating_sub(8)],
        )
    }

    /// Appends the value of a record.
    pub(super) fn write_value(&self, number: u64, out: &mut Vec<u8>) {
        let (head, tail) = self.value(number);
        out.extend_from_slice(&head[..self.value_bytes.min(8)]);
        out.extend_from_slice(tail);
    }

    /// Whether this is the value of the record.
    pub(super) fn is_value(&self, number: u64, value: &[u8]) -> bool {
        let (head, tail) = self.value(number);
        match value.split_first_chunk::<8>() {
            Some((first, rest)) => *first == head && rest == tail,
            None => value == &head[..self.value_bytes.min(8)],
        }
    }
}

impl Source {
    /// The next request, or `None` after the last.
    pub(super) fn next(&mut self) -> Option<Ask> {
        match self {
            Source::Mixed {
                keys_count,
                gets_percent,
                random,
            } => {
                let number = random.below(*keys_count);
                Some(if random.below(100) < *gets_percent {
                    Ask::Get(number)
                } else {
                    Ask::Set(number)
                })
            }
            Source::Sets { next, end } => step(next, *end).map(Ask::Set),
            Source::Gets { next, end } => step(next, *end).map(Ask::Get),
        }
    }
}

fn step(next: &mut u64, end: u64) -> Option<u64> {
    let number = *next;
    (number < end).then(|| {
        *next += 1;
        number
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_from_its_key_alone() {
        for value_bytes in [0, 1, 7, 8, 9, 100, 100_000] {
            let workload = Workload::new(value_bytes);
            let mut value = Vec::new();
            workload.write_value(5, &mut value);
            assert_eq!(value.len(), value_bytes);
            assert!(workload.is_value(5, &value));
            if value_bytes > 0 {
                assert!(!workload.is_value(6, &value));
                assert!(!workload.is_value(5, &value[1..]));
                let last = value.len() - 1;
                value[last] ^= 1;
                assert!(!workload.is_value(5, &value));
            }
        }
    }

    #[test]
    fn keys_differ_and_the_mix_is_kept() {
        let mut keys: Vec<_> = (0..10_000).map(Workload::key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 10_000);
        let mut source = Source::Mixed {
            keys_count: 10,
            gets_percent: 90,
            random: Random::new(1),
        };
        let mut gets_count = 0;
        for _ in 0..10_000 {
            match source.next().unwrap() {
                Ask::Get(number) => {
                    gets_count += 1;
                    assert!(number < 10);
                }
                Ask::Set(number) => assert!(number < 10),
            }
        }
        assert!((8_800..9_200).contains(&gets_count), "{gets_count}");
        let mut source = Source::Sets { next: 3, end: 5 };
        let all: Vec<_> = std::iter::from_fn(|| source.next()).collect();
        assert_eq!(all, [Ask::Set(3), Ask::Set(4)]);
    }
}
