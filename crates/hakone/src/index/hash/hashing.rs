//! The hash of a key: a folded multiplication over 16 bytes at a time, as wyhash does it, with a
//! seed so that nobody can choose keys that collide.

/// The hash of a key.
pub(crate) type Hash = u64;

const A: u64 = 0xa076_1d64_78bd_642f;
const B: u64 = 0xe703_7ed1_a0b4_28db;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

/// The hash of `key` under `seed`.
#[inline]
pub(crate) fn hash(key: &[u8], seed: u64) -> Hash {
    let len = key.len();
    let mut state = A ^ seed;
    let (x, y) = if len >= 8 {
        let mut rest = key;
        while rest.len() > 16 {
            state = fold(word(rest) ^ B, word(&rest[8..]) ^ state);
            rest = &rest[16..];
        }
        let first = if len >= 16 {
            word(&key[len - 16..])
        } else {
            word(key)
        };
        (first, word(&key[len - 8..]))
    } else {
        let mut short = [0; 8];
        short[..len].copy_from_slice(key);
        (u64::from_le_bytes(short), 0)
    };
    state = fold(x ^ B, y ^ state);
    fold(state ^ B, A ^ len as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_of_all_lengths_differ() {
        let key = [7_u8; 200];
        let hashes: HashSet<_> = (0..200).map(|len| hash(&key[..len], 1)).collect();
        assert_eq!(hashes.len(), 200);
        let zeros: HashSet<_> = (0..64).map(|len| hash(&vec![0; len], 1)).collect();
        assert_eq!(zeros.len(), 64);
    }

    #[test]
    fn every_byte_and_the_seed_count() {
        for len in 1..70 {
            let mut key = vec![0x55; len];
            let before = hash(&key, 1);
            assert_ne!(before, hash(&key, 2));
            for i in 0..len {
                key[i] ^= 1;
                assert_ne!(before, hash(&key, 1), "byte {i} of {len}");
                key[i] ^= 1;
            }
        }
    }

    #[test]
    fn the_top_bits_are_even() {
        let mut counts = [0_u32; 1024];
        for i in 0..1_024_000_u64 {
            counts[(hash(&i.to_le_bytes(), 3) >> 54) as usize] += 1;
        }
        // 1000 expected, standard deviation 32: six of them either way
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
