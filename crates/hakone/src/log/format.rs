//! The bytes of segments and frames, as `docs/format/log.md` tells. Nothing else knows them.

use hakone_command::{Lsn, Millis, Value, Version};

/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: usize = 64;

/// Frames begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// Bytes of the largest frame beside its key and value: crc 4, kind 1, database 5, lengths 3 and 4,
/// version 8, lsn 8, expiry 6, flags 4, padding 7.
pub(crate) const FRAME_BYTES_MAX: usize = 50;

const MAGIC: [u8; 4] = [b'H', b'K', b'N', 1];

const MORE: u8 = 0x10;
const EXPIRY: u8 = 0x20;
const FLAGS: u8 = 0x40;
const WIDE: u8 = 0x80;

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Changes = 1,
    Survivors = 2,
    Checkpoint = 3,
}

impl Class {
    pub(crate) fn from_byte(byte: u8) -> Option<Class> {
        Some(match byte {
            1 => Class::Changes,
            2 => Class::Survivors,
            3 => Class::Checkpoint,
            _ => return None,
        })
    }
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Put = 1,
    Remove = 2,
    Expire = 3,
    Clear = 4,
    Create = 5,
    Drop = 6,
    Stamp = 7,
    CheckpointBegin = 8,
    Slots = 9,
    Deadlines = 10,
    CheckpointEnd = 11,
    PutPacked = 12,
    Alter = 13,
    Dictionary = 14,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<FrameKind> {
        Some(match byte & 0x0f {
            1 => FrameKind::Put,
            2 => FrameKind::Remove,
            3 => FrameKind::Expire,
            4 => FrameKind::Clear,
            5 => FrameKind::Create,
            6 => FrameKind::Drop,
            7 => FrameKind::Stamp,
            8 => FrameKind::CheckpointBegin,
            9 => FrameKind::Slots,
            10 => FrameKind::Deadlines,
            11 => FrameKind::CheckpointEnd,
            12 => FrameKind::PutPacked,
            13 => FrameKind::Alter,
            14 => FrameKind::Dictionary,
            _ => return None,
        })
    }

    /// Whether it is a change, which takes an lsn.
    pub(crate) fn is_change(self) -> bool {
        !(FrameKind::Stamp as u8..=FrameKind::CheckpointEnd as u8).contains(&(self as u8))
    }

    /// Whether it says that a key has a record.
    #[inline]
    pub(crate) fn is_put(self) -> bool {
        matches!(self, FrameKind::Put | FrameKind::PutPacked)
    }

    /// Whether it says which databases there are, and how.
    pub(crate) fn is_of_catalogue(self) -> bool {
        matches!(
            self,
            FrameKind::Create | FrameKind::Drop | FrameKind::Alter | FrameKind::Dictionary
        )
    }
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) class: Class,
    pub(crate) base_lsn: Lsn,
    pub(crate) base_version: Version,
    pub(crate) previous: u64,
    pub(crate) previous_bytes: u64,
    pub(crate) durable: Lsn,
}

/// A frame as it is written: its value may be in two parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) more: bool,
    pub(crate) database: u32,
    pub(crate) version: Version,
    /// Written only if there is one: the frame is wide then.
    pub(crate) lsn: Option<Lsn>,
    pub(crate) expiry: Millis,
    pub(crate) flags: u32,
    pub(crate) key: &'a [u8],
    pub(crate) value: Value<'a>,
}

/// A frame as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) more: bool,
    pub(crate) database: u32,
    pub(crate) version: Version,
    pub(crate) lsn: Option<Lsn>,
    pub(crate) expiry: Millis,
    pub(crate) flags: u32,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Its size in the segment, padding included.
    pub(crate) bytes: usize,
}

impl Frame<'_> {
    /// Bytes of a put's value, unpacked.
    #[inline]
    pub(crate) fn raw_bytes(&self) -> usize {
        match self.kind {
            FrameKind::PutPacked => {
                PackedHead::read(self.value).map_or(0, |(head, _)| head.raw_bytes as usize)
            }
            _ => self.value.len(),
        }
    }
}

/// How a value is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Lz4 = 1,
    Zstd = 2,
    Dictionary = 3,
}

/// What the value of a packed put begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedHead {
    pub(crate) codec: Codec,
    /// Bytes of the value when it is unpacked.
    pub(crate) raw_bytes: u32,
    /// The dictionary that it was packed with, 0 if with none.
    pub(crate) dictionary: u32,
}

impl PackedHead {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let mut head = [0; 11];
        head[0] = self.codec as u8;
        let mut at = put_varint(&mut head, 1, self.raw_bytes as usize);
        if self.codec == Codec::Dictionary {
            at = put_varint(&mut head, at, self.dictionary as usize);
        }
        out.extend_from_slice(&head[..at]);
    }

    /// The head of a packed put's value, and what follows it.
    pub(crate) fn read(value: &[u8]) -> Option<(PackedHead, &[u8])> {
        let codec = match value.first()? {
            1 => Codec::Lz4,
            2 => Codec::Zstd,
            3 => Codec::Dictionary,
            _ => return None,
        };
        let (raw_bytes, mut at) = varint(value, 1)?;
        let mut dictionary = 0;
        if codec == Codec::Dictionary {
            (dictionary, at) = varint(value, at)?;
        }
        let head = PackedHead {
            codec,
            raw_bytes,
            dictionary,
        };
        Some((head, value.get(at..)?))
    }
}

/// The value of a dictionary's frame.
pub(crate) fn encode_dictionary(id: u32, dictionary: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes(), dictionary].concat()
}

/// The id and the bytes of a dictionary.
pub(crate) fn decode_dictionary(value: &[u8]) -> Option<(u32, &[u8])> {
    Some((u32_at(value, 0)?, value.get(4..)?))
}

/// Where the checksums of a segment begin.
pub(crate) fn seed(number: u64) -> u32 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// Rounds up to where the next frame begins.
pub(crate) fn align(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[4..8].copy_from_slice(&MAGIC);
        out[8..16].copy_from_slice(&self.number.to_le_bytes());
        out[16] = self.class as u8;
        out[24..32].copy_from_slice(&self.base_lsn.to_le_bytes());
        out[32..40].copy_from_slice(&self.base_version.to_le_bytes());
        out[40..48].copy_from_slice(&self.previous.to_le_bytes());
        out[48..56].copy_from_slice(&self.previous_bytes.to_le_bytes());
        out[56..64].copy_from_slice(&self.durable.to_le_bytes());
        let crc = crc32c::crc32c_append(seed(self.number), &out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header of the segment of this number, if it is whole.
    pub(crate) fn decode(bytes: &[u8], number: u64) -> Option<Header> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let crc = crc32c::crc32c_append(seed(number), &bytes[4..]);
        if bytes[..4] != crc.to_le_bytes() || bytes[4..8] != MAGIC {
            return None;
        }
        let header = Header {
            number: u64_at(bytes, 8)?,
            class: Class::from_byte(bytes[16])?,
            base_lsn: u64_at(bytes, 24)?,
            base_version: u64_at(bytes, 32)?,
            previous: u64_at(bytes, 40)?,
            previous_bytes: u64_at(bytes, 48)?,
            durable: u64_at(bytes, 56)?,
        };
        (header.number == number).then_some(header)
    }
}

/// A little-endian u64 in `bytes`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}

/// A little-endian u32 in `bytes`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

/// Bytes of a put's frame that is not wide, padding not included.
pub(crate) fn plain_bytes(
    database: u32,
    key_bytes: usize,
    value_bytes: usize,
    expiry: Millis,
    flags: u32,
) -> usize {
    let lengths = varint_bytes(key_bytes) + varint_bytes(value_bytes);
    let extra = if expiry != 0 { 6 } else { 0 } + if flags != 0 { 4 } else { 0 };
    5 + varint_bytes(database as usize) + lengths + 6 + extra + key_bytes + value_bytes
}

/// What a wide frame has more.
pub(crate) const WIDE_BYTES: usize = 10;

impl Draft<'_> {
    /// Its size in a segment of this base version, padding included.
    pub(crate) fn bytes(&self, base_version: Version) -> usize {
        let (key, value) = (self.key.len(), self.value.len());
        let plain = plain_bytes(self.database, key, value, self.expiry, self.flags);
        align(
            plain
                + if self.is_wide(base_version) {
                    WIDE_BYTES
                } else {
                    0
                },
        )
    }

    fn is_wide(&self, base_version: Version) -> bool {
        self.lsn.is_some() || self.version.wrapping_sub(base_version) >= 1 << 48
    }

    /// Writes the frame at the start of `out` and returns its size, padding included. `lsn` is what
    /// a wide frame says where the draft has none.
    ///
    /// # Panics
    /// If `out` is shorter than [`Draft::bytes`].
    pub(crate) fn encode(
        &self,
        out: &mut [u8],
        seed: u32,
        base_version: Version,
        lsn: Lsn,
    ) -> usize {
        let wide = self.is_wide(base_version);
        let mut kind = self.kind as u8;
        kind |= if self.more { MORE } else { 0 };
        kind |= if self.expiry != 0 { EXPIRY } else { 0 };
        kind |= if self.flags != 0 { FLAGS } else { 0 };
        kind |= if wide { WIDE } else { 0 };
        out[4] = kind;
        let mut at = 5;
        at = put_varint(out, at, self.database as usize);
        at = put_varint(out, at, self.key.len());
        at = put_varint(out, at, self.value.len());
        if wide {
            at = put(out, at, &self.version.to_le_bytes());
            at = put(out, at, &self.lsn.unwrap_or(lsn).to_le_bytes());
        } else {
            at = put(out, at, &(self.version - base_version).to_le_bytes()[..6]);
        }
        if self.expiry != 0 {
            at = put(out, at, &self.expiry.min((1 << 48) - 1).to_le_bytes()[..6]);
        }
        if self.flags != 0 {
            at = put(out, at, &self.flags.to_le_bytes());
        }
        at = put(out, at, self.key);
        at = put(out, at, self.value.head);
        at = put(out, at, self.value.tail);
        let crc = crc32c::crc32c_append(seed, &out[4..at]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        align(at)
    }
}

#[inline]
fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    out[at..at + bytes.len()].copy_from_slice(bytes);
    at + bytes.len()
}

fn varint_bytes(number: usize) -> usize {
    ((usize::BITS - (number | 1).leading_zeros()) as usize).div_ceil(7)
}

#[inline]
fn put_varint(out: &mut [u8], mut at: usize, mut number: usize) -> usize {
    while number >= 0x80 {
        out[at] = (number & 0x7f) as u8 | 0x80;
        number >>= 7;
        at += 1;
    }
    out[at] = number as u8;
    at + 1
}

/// A varint of at most five bytes that fits a u32.
#[inline]
fn varint(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((u32::from(first), at + 1));
    }
    let mut number = u64::from(first & 0x7f);
    for i in 1..5 {
        let byte = *bytes.get(at + i)?;
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((u32::try_from(number).ok()?, at + i + 1));
        }
    }
    None
}

/// Where the frame at the start of `bytes` has its parts, and its fixed fields. Does not look at
/// the checksum.
#[inline]
pub(crate) fn decode_unverified(bytes: &[u8], base_version: Version) -> Option<Frame<'_>> {
    let byte = *bytes.get(4)?;
    let kind = FrameKind::from_byte(byte)?;
    let (database, at) = varint(bytes, 5)?;
    let (key_bytes, at) = varint(bytes, at)?;
    let (value_bytes, mut at) = varint(bytes, at)?;
    let (version, lsn) = if byte & WIDE != 0 {
        let version = u64_at(bytes, at)?;
        let lsn = u64_at(bytes, at + 8)?;
        at += 16;
        (version, Some(lsn))
    } else {
        let delta = u48_at(bytes, at)?;
        at += 6;
        (base_version.wrapping_add(delta), None)
    };
    let mut expiry = 0;
    if byte & EXPIRY != 0 {
        expiry = u48_at(bytes, at)?;
        at += 6;
    }
    let mut flags = 0;
    if byte & FLAGS != 0 {
        flags = u32_at(bytes, at)?;
        at += 4;
    }
    let rest = bytes.get(
        at..at
            .checked_add(key_bytes as usize)?
            .checked_add(value_bytes as usize)?,
    )?;
    let (key, value) = rest.split_at(key_bytes as usize);
    let bytes = align(at + rest.len());
    let more = byte & MORE != 0;
    Some(Frame {
        kind,
        more,
        database,
        version,
        lsn,
        expiry,
        flags,
        key,
        value,
        bytes,
    })
}

/// How many bytes the frame at the start of `bytes` claims, padding included; `bytes` need hold
/// only its head.
pub(crate) fn extent(bytes: &[u8]) -> Option<usize> {
    let byte = *bytes.get(4)?;
    let (_, at) = varint(bytes, 5)?;
    let (key_bytes, at) = varint(bytes, at)?;
    let (value_bytes, at) = varint(bytes, at)?;
    let fixed = if byte & WIDE != 0 { 16 } else { 6 }
        + if byte & EXPIRY != 0 { 6 } else { 0 }
        + if byte & FLAGS != 0 { 4 } else { 0 };
    Some(align(
        at + fixed + key_bytes as usize + value_bytes as usize,
    ))
}

/// The frame at the start of `bytes`, if it is whole.
pub(crate) fn decode(bytes: &[u8], seed: u32, base_version: Version) -> Option<Frame<'_>> {
    let frame = decode_unverified(bytes, base_version)?;
    let at = frame.value.as_ptr_range().end as usize - bytes.as_ptr() as usize;
    let crc = crc32c::crc32c_append(seed, &bytes[4..at]);
    (bytes[..4] == crc.to_le_bytes()).then_some(frame)
}

#[inline]
fn u48_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(6)?)?;
    let low = u32::from_le_bytes(bytes[..4].try_into().ok()?);
    let high = u16::from_le_bytes(bytes[4..].try_into().ok()?);
    Some(u64::from(low) | u64::from(high) << 32)
}

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The lsn of the next change.
    pub(crate) next: Lsn,
    /// What was durable when it was written.
    pub(crate) durable: Lsn,
    /// When it was written, in microseconds since the epoch.
    pub(crate) micros: u64,
}

impl Stamp {
    pub(crate) fn encode(&self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..8].copy_from_slice(&self.next.to_le_bytes());
        out[8..16].copy_from_slice(&self.durable.to_le_bytes());
        out[16..].copy_from_slice(&self.micros.to_le_bytes());
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Option<Stamp> {
        let micros = u64_at(value, 16)?;
        Some(Stamp {
            next: u64_at(value, 0)?,
            durable: u64_at(value, 8)?,
            micros,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'a>(key: &'a [u8], value: &'a [u8]) -> Draft<'a> {
        Draft {
            kind: FrameKind::Put,
            more: false,
            database: 1,
            version: 0x5000,
            lsn: None,
            expiry: 0,
            flags: 0,
            key,
            value: Value::whole(value),
        }
    }

    #[test]
    fn a_plain_record_costs_fourteen_bytes() {
        // 2 bytes of key and value make 16 with no padding
        assert_eq!(draft(b"k", b"v").bytes(0x4000), 16);
        assert_eq!(draft(b"k", &[0; 128]).bytes(0x4000), align(15 + 129));
    }

    #[test]
    fn every_form_of_a_frame_comes_back() {
        for bits in 0..32_u32 {
            let large = vec![7; 70_000];
            let draft = Draft {
                more: bits & 1 != 0,
                expiry: if bits & 2 != 0 { 0xffff_1234_5678 } else { 0 },
                flags: if bits & 4 != 0 { u32::MAX } else { 0 },
                lsn: (bits & 8 != 0).then_some(99),
                database: if bits & 16 != 0 { u32::MAX } else { 0 },
                ..draft(b"key", &large)
            };
            let mut out = vec![0xff; draft.bytes(0x4000)];
            assert_eq!(draft.encode(&mut out, seed(9), 0x4000, 42), out.len());
            let frame = decode(&out, seed(9), 0x4000).unwrap();
            assert_eq!((frame.key, frame.value), (draft.key, &large[..]));
            assert_eq!((frame.expiry, frame.flags), (draft.expiry, draft.flags));
            assert_eq!((frame.more, frame.lsn), (draft.more, draft.lsn));
            assert_eq!(
                (frame.database, frame.version),
                (draft.database, draft.version)
            );
            assert_eq!(frame.bytes, out.len());
            assert!(frame.bytes <= large.len() + 3 + FRAME_BYTES_MAX);
            assert_eq!(
                decode(&out, seed(8), 0x4000),
                None,
                "another segment's number"
            );
        }
    }

    #[test]
    fn a_version_far_from_the_base_makes_a_frame_wide() {
        let draft = Draft {
            version: 5,
            ..draft(b"k", b"v")
        };
        let mut out = vec![0; draft.bytes(6)];
        draft.encode(&mut out, 0, 6, 77);
        let frame = decode(&out, 0, 6).unwrap();
        assert_eq!((frame.version, frame.lsn), (5, Some(77)));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unseen() {
        let draft = Draft {
            expiry: 5,
            flags: 6,
            lsn: Some(7),
            ..draft(b"key", b"value")
        };
        let mut out = vec![0; draft.bytes(0)];
        draft.encode(&mut out, seed(3), 0, 0);
        let whole = decode(&out, seed(3), 0).unwrap();
        let used = whole.value.as_ptr_range().end as usize - out.as_ptr() as usize;
        for bit in 0..used * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad, seed(3), 0), None, "bit {bit}");
        }
        for cut in 0..used {
            assert_eq!(decode(&out[..cut], seed(3), 0), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_header_comes_back_only_for_its_number() {
        let header = Header {
            number: 5,
            class: Class::Survivors,
            base_lsn: 6,
            base_version: 7,
            previous: 4,
            previous_bytes: 4096,
            durable: 3,
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes, 5), Some(header));
        assert_eq!(Header::decode(&bytes, 6), None);
        assert_eq!(Header::decode(&bytes[..63], 5), None);
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bad, 5), None, "bit {bit}");
        }
    }

    #[test]
    fn the_head_of_a_packed_value_comes_back_and_no_cut_of_it_does() {
        for (codec, dictionary) in [(Codec::Lz4, 0), (Codec::Zstd, 0), (Codec::Dictionary, 300)] {
            let head = PackedHead {
                codec,
                raw_bytes: 70_000,
                dictionary,
            };
            let mut bytes = Vec::new();
            head.put(&mut bytes);
            for cut in 0..bytes.len() {
                assert_eq!(PackedHead::read(&bytes[..cut]), None);
            }
            bytes.push(7);
            assert_eq!(PackedHead::read(&bytes), Some((head, &[7][..])));
        }
        assert_eq!(PackedHead::read(&[4, 1, 1]), None, "an unknown codec");
    }

    /// An example in docs/format/log.md is what is written.
    fn check_example(name: &str, draft: &Draft<'_>) {
        let mut out = vec![0; draft.bytes(0x4000)];
        let bytes = draft.encode(&mut out, seed(2), 0x4000, 0);
        assert_eq!(bytes, out.len());
        let hex: Vec<_> = out.iter().map(|byte| format!("{byte:02x}")).collect();
        let page = include_str!("../../../../docs/format/log.md");
        let example = page.split(&format!("<!-- example:{name} -->")).nth(1);
        let example = example.and_then(|behind| behind.split("```").nth(1));
        let example: Vec<_> = example.unwrap().split_whitespace().collect();
        assert_eq!(example.join(" "), hex.join(" "), "{name}");
    }

    #[test]
    fn the_examples_in_the_format_page_are_true() {
        let plain = Draft {
            version: 0x5000,
            ..draft(b"k", b"v")
        };
        check_example("put", &plain);
        // 64 times `v` by LZ4: a literal and a run, then the literals that end a block.
        let mut value = Vec::new();
        PackedHead {
            codec: Codec::Lz4,
            raw_bytes: 64,
            dictionary: 0,
        }
        .put(&mut value);
        let mut block = [0; 100];
        let len = lz4_flex::block::compress_into(&[b'v'; 64], &mut block).unwrap();
        value.extend_from_slice(&block[..len]);
        let packed = Draft {
            kind: FrameKind::PutPacked,
            value: Value::whole(&value),
            ..plain
        };
        check_example("put-packed", &packed);
    }
}
