//! Makes an input out of others: requests one behind the other, most of them changed.

use crate::random::Random;

/// Bytes of an input, but for those that are made long on purpose.
const INPUT_BYTES_MAX: usize = 4096;
/// Bytes of an input that is made long: beyond what any protocol takes as a line.
const LONG_BYTES_MAX: usize = 300_000;

/// Binary numbers at which something begins or ends.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xffff,
    0x1_0000,
    1 << 20,
    (1 << 20) + 1,
    32 << 20,
    (32 << 20) + 1,
    256 << 20,
    (256 << 20) + 1,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Numbers as text, likewise.
const DECIMALS: &[&str] = &[
    "0",
    "1",
    "-1",
    "250",
    "251",
    "4096",
    "65535",
    "65536",
    "1048576",
    "33554432",
    "33554433",
    "134217729",
    "536870913",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "00000000000000000000000001",
    "1.5",
    "1e400",
    "nan",
    "",
];

/// An input made of these requests and words.
pub fn input(pool: &[Vec<u8>], words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    if random.once_in(30) {
        return noise(random);
    }
    for _ in 0..=random.below(5) {
        let mut request = random.of_these(pool).clone();
        // Some stay as they are: what follows a bad request matters as much.
        if !random.once_in(3) {
            for _ in 0..=random.below(4) {
                mutate(&mut request, pool, words, random);
            }
        }
        input.extend(request);
        if input.len() > LONG_BYTES_MAX {
            input.truncate(LONG_BYTES_MAX);
            break;
        }
    }
    input
}

/// Bytes that nobody meant, with some that protocols begin and end with.
fn noise(random: &mut Random) -> Vec<u8> {
    let signs =
        b"*$:+-\r\n0123456789 \"'\\xSETGETPUT/HTTP1.\xc8\x10\x30\xb8\xba\0\0\0\0\x01\x02\xff";
    let length = 1 + random.below(300);
    let byte = |_| match random.below(4) {
        0 => random.byte(),
        _ => *random.of_these(signs),
    };
    (0..length).map(byte).collect()
}

/// A piece of these bytes, not empty if they are not.
fn range(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    if bytes.is_empty() {
        return 0..0;
    }
    let start = random.below(bytes.len());
    let most = if random.once_in(4) { bytes.len() } else { 8 };
    let end = (start + 1 + random.below(most)).min(bytes.len());
    start..end
}

fn mutate(bytes: &mut Vec<u8>, pool: &[Vec<u8>], words: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(14) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.byte(),
        2 => drop(bytes.drain(range(bytes, random))),
        3 => bytes.insert(
            at,
            *random.of_these(b"\r\n \0\t:\"*$-+%,;=\x80\xff\xc8\xb1"),
        ),
        4 if random.once_in(3) => bytes.truncate(at),
        5 => {
            let piece = bytes[range(bytes, random)].to_vec();
            bytes.splice(at..at, piece);
        }
        6 => drop(bytes.splice(at..at, random.of_these(words).clone())),
        7 => {
            let word = random.of_these(words).clone();
            let end = (at + word.len()).min(bytes.len());
            bytes.splice(at..end, word);
        }
        8 => number(bytes, at, random),
        9 => decimal(bytes, random),
        10 => lines(bytes, random),
        11 => {
            let other = random.of_these(pool);
            let from = random.below(other.len() + 1);
            bytes.splice(at.., other[from..].iter().copied());
        }
        12 => {
            let range = range(bytes, random);
            for byte in &mut bytes[range] {
                *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
            }
        }
        13 if random.once_in(20) => {
            // A line, a name or a list without end.
            let piece = bytes[range(bytes, random)].to_vec();
            let most = if random.once_in(10) {
                LONG_BYTES_MAX
            } else {
                INPUT_BYTES_MAX
            };
            let times = random.below(most) / piece.len().max(1);
            bytes.splice(at..at, piece.repeat(times));
        }
        _ => {}
    }
}

/// Puts a number in place of what is there.
fn number(bytes: &mut [u8], at: usize, random: &mut Random) {
    let width = *random.of_these(&[1, 2, 4, 4, 8]);
    let Some(place) = bytes.get_mut(at..at + width) else {
        return;
    };
    let number = *random.of_these(NUMBERS);
    let near = number.wrapping_add(random.of_these(&[0, 0, 1, u64::MAX]).to_owned());
    if random.once_in(4) {
        place.copy_from_slice(&near.to_le_bytes()[..width]);
    } else {
        place.copy_from_slice(&near.to_be_bytes()[8 - width..]);
    }
}

/// Puts a decimal number in place of one that is there.
fn decimal(bytes: &mut Vec<u8>, random: &mut Random) {
    let digits = |byte: &u8| byte.is_ascii_digit();
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|&at| digits(&bytes[at]) && (at == 0 || !digits(&bytes[at - 1])))
        .collect();
    if starts.is_empty() {
        return;
    }
    let start = *random.of_these(&starts);
    let count = bytes[start..]
        .iter()
        .take_while(|byte| digits(byte))
        .count();
    let text = random.of_these(DECIMALS).bytes();
    bytes.splice(start..start + count, text);
}

/// Leaves a line out, doubles it or changes its place.
fn lines(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if lines.is_empty() {
        return;
    }
    let at = random.below(lines.len());
    match random.below(3) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        _ => {
            let other = random.below(lines.len());
            lines.swap(at, other);
        }
    }
    *bytes = lines.concat();
}

/// Where an input is cut: everywhere, in even or odd pieces, or around what ends a line.
pub fn cuts(input: &[u8], random: &mut Random) -> Vec<usize> {
    let every = |step: usize| (step..input.len()).step_by(step).collect();
    match random.below(5) {
        // Every byte of a long one alone would take long.
        0 if input.len() <= INPUT_BYTES_MAX => every(1),
        0 | 1 => every(1 + random.below(64)),
        2 => {
            let near = (1..input.len()).filter(|&at| {
                let ends = |byte| matches!(byte, b'\r' | b'\n');
                (ends(input[at - 1]) || ends(input[at])) && !random.once_in(3)
            });
            near.collect()
        }
        3 => vec![random.below(input.len() + 1)],
        _ => {
            let most = 1 + random.below(200);
            let (mut cuts, mut at) = (Vec::new(), 0);
            while at < input.len() {
                at += 1 + random.below(most);
                cuts.push(at.min(input.len()));
            }
            cuts
        }
    }
}

/// The pieces between the cuts.
pub fn pieces<'i>(input: &'i [u8], cuts: &[usize]) -> Vec<&'i [u8]> {
    let ends = cuts.iter().copied().chain([input.len()]);
    let mut from = 0;
    ends.map(|end| &input[std::mem::replace(&mut from, end)..end])
        .collect()
}
