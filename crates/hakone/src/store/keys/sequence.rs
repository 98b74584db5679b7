//! The sequence behind a key that may have several values: bytes in the order of the values.
//!
//! A sequence begins with 8 bytes. Values put at an end of a key's are a stride apart, and one that
//! is put between two gets bytes half-way between theirs, more of them where there is no room. The
//! first byte is never 255, and the last one never 0 where there are more than 8: so there is room
//! between any two.
#![expect(
    clippy::big_endian_bytes,
    reason = "the order of a number's bytes, the highest first, is the number's"
)]

/// Where the values of a key begin: in the middle, with room for 2^39 on either side.
const MIDDLE: u64 = 1 << 63;

/// Room for 24 values that each go half-way between, before a sequence grows.
const STRIDE: u64 = 1 << 24;

/// Bytes of the longest one: some 32,000 values put between the same two, one after another.
const SEQUENCE_BYTES_MAX: usize = 4096;

/// Of the only value of a key.
pub(super) fn only() -> [u8; 8] {
    MIDDLE.to_be_bytes()
}

/// Of a value above all, of which the highest has this sequence.
pub(super) fn above(highest: &[u8]) -> Option<[u8; 8]> {
    let sequence = number(highest).checked_add(STRIDE)?.to_be_bytes();
    (sequence[0] != 0xff).then_some(sequence)
}

/// Of a value below all, of which the lowest has this sequence.
pub(super) fn below(lowest: &[u8]) -> Option<[u8; 8]> {
    Some(number(lowest).checked_sub(STRIDE)?.to_be_bytes())
}

/// Of a value between two; `None` where there is no room.
pub(super) fn between(low: &[u8], high: &[u8]) -> Option<Vec<u8>> {
    let middle = middle(low, high);
    // As much of the middle as tells it from the lower one.
    let alike = middle.iter().zip(low).take_while(|(a, b)| a == b).count();
    let ends = |bytes: &usize| *bytes == 8 || middle[bytes - 1] != 0;
    let bytes = (8.max(alike + 1)..=middle.len().min(SEQUENCE_BYTES_MAX)).find(ends)?;
    let sequence = &middle[..bytes];
    (low < sequence && sequence < high).then(|| sequence.to_vec())
}

/// The first 8 bytes, as a number.
fn number(sequence: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let count = sequence.len().min(8);
    bytes[..count].copy_from_slice(&sequence[..count]);
    u64::from_be_bytes(bytes)
}

/// Half the sum of two sequences, taken as fractions of the same base, with one more byte than the
/// longer one.
fn middle(low: &[u8], high: &[u8]) -> Vec<u8> {
    let at = |sequence: &[u8], i: usize| u16::from(sequence.get(i).copied().unwrap_or(0));
    let bytes = low.len().max(high.len()).max(8) + 1;
    let mut sum = vec![0; bytes];
    let mut carry = 0;
    for i in (0..bytes).rev() {
        let digit = at(low, i) + at(high, i) + carry;
        sum[i] = digit & 0xff;
        carry = digit >> 8;
    }
    let half = sum.into_iter().map(|digit| {
        let digit = carry << 8 | digit;
        carry = digit & 1;
        (digit >> 1) as u8
    });
    half.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::chance::Chance;

    #[test]
    fn there_is_room_between_any_two() {
        for seed in 0..20 {
            let mut chance = Chance::new(seed);
            let mut all = vec![only().to_vec()];
            for step in 0..400 {
                let at = match seed % 4 {
                    0 => 0,
                    1 => all.len(),
                    2 => all.len() / 2 + usize::from(all.len() > 1),
                    _ => chance.index(all.len() + 1),
                };
                let made = match (at.checked_sub(1), all.get(at)) {
                    (None, Some(first)) => below(first).unwrap().to_vec(),
                    (Some(last), None) => above(&all[last]).unwrap().to_vec(),
                    (Some(low), Some(high)) => between(&all[low], high).unwrap(),
                    (None, None) => unreachable!("there is one"),
                };
                assert!(made.len() <= 8 + step / 8, "{} bytes", made.len());
                assert_ne!(made[0], 0xff);
                all.insert(at, made);
            }
            assert!(all.is_sorted_by(|a, b| a < b), "seed {seed}");
        }
    }

    #[test]
    fn no_room_is_told() {
        assert_eq!(above(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]), None);
        assert_eq!(below(&[0, 0, 0, 0, 0, 0xff, 0xff, 0xff]), None);
        let mut low = [&only()[..], &[1; SEQUENCE_BYTES_MAX - 18]].concat();
        let high = [&low[..low.len() - 1], &[2]].concat();
        let mut count = 0;
        while let Some(next) = between(&low, &high) {
            assert!(low < next && next[..] < high[..]);
            (low, count) = (next, count + 1);
        }
        assert_eq!(count, 80);
        // What no sequence of ours is, as a damaged disk may hold.
        assert_eq!(between(b"", b""), None);
        assert_eq!(between(&[1; 8], &[1, 1, 1, 1, 1, 1, 1, 1, 0]), None);
        assert_eq!(between(&[9; 8], &[1; 8]), None);
        assert_eq!(above(&[0xff]), None);
    }
}
