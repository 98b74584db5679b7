//! How a database's values are packed in the log: each alone, by the codec that the database has
//! when it is written, and stored as it is where that saves nothing.

mod codec;
mod dictionary;
#[cfg(test)]
mod tests;
mod training;

pub(crate) use codec::Buffer;
pub(crate) use dictionary::{Dictionary, Sample};

use crate::log::Held;
use crate::log::format::{Codec, Frame, FrameKind, PackedHead};
use arc_swap::ArcSwap;
use hakone_command::{Compression, Error, Record, Result, Value, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Smaller values are not packed: they are rarely worth their head.
const RAW_BYTES_MIN: usize = 64;

/// As much, where a dictionary knows what is in them.
const RAW_BYTES_MIN_WITH_DICTIONARY: usize = 16;

/// What packing must save, in bytes: less would vanish in the padding.
const SAVED_BYTES_MIN: usize = 8;

/// A database's codec and dictionaries.
#[derive(Debug)]
pub(crate) struct Packing {
    /// The place of the codec in [`Compression::ALL`].
    compression: AtomicU8,
    /// The version of the change that has set it.
    altered: AtomicU64,
    /// By id.
    dictionaries: ArcSwap<Vec<Arc<Dictionary>>>,
    /// Whether there may be a packed value.
    is_used: AtomicBool,
}

/// A put's frame that stays readable, with its value unpacked.
pub(crate) struct Opened {
    held: Held,
    unpacked: Option<Buffer>,
}

impl Opened {
    pub(crate) fn record(&self) -> Result<Record<'_>> {
        Ok(record(&self.held.frame()?, self.unpacked.as_deref()))
    }
}

/// The record in a put's frame; the value is left empty where it is packed and not unpacked.
#[inline]
pub(crate) fn record<'a>(frame: &Frame<'a>, unpacked: Option<&'a [u8]>) -> Record<'a> {
    let (value, value_bytes) = match (frame.kind, unpacked) {
        (FrameKind::PutPacked, None) => (&[][..], frame.raw_bytes()),
        (_, None) => (frame.value, frame.value.len()),
        (_, Some(value)) => (value, value.len()),
    };
    Record {
        value,
        value_bytes: value_bytes as u64,
        expiry: frame.expiry,
        flags: frame.flags,
        version: frame.version,
    }
}

/// A value as it goes to the log.
#[derive(Debug)]
pub(crate) enum Packed<'a> {
    /// As it is.
    Plain(Value<'a>),
    /// As it is, too: it was packed before.
    Unpacked(Buffer),
    /// Packed, its head included, and smaller for it.
    Shrunk(Buffer),
}

impl Packed<'_> {
    pub(crate) fn kind(&self) -> FrameKind {
        match self {
            Packed::Plain(_) | Packed::Unpacked(_) => FrameKind::Put,
            Packed::Shrunk(_) => FrameKind::PutPacked,
        }
    }

    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Packed::Plain(value) => *value,
            Packed::Unpacked(bytes) | Packed::Shrunk(bytes) => Value::whole(bytes),
        }
    }
}

impl Packing {
    pub(crate) fn new(compression: Compression) -> Packing {
        let packing = Packing {
            compression: AtomicU8::new(0),
            altered: AtomicU64::new(0),
            dictionaries: ArcSwap::default(),
            is_used: AtomicBool::new(false),
        };
        packing.set(compression, 0);
        packing
    }

    /// How values are packed that are written from now on.
    #[inline]
    pub(crate) fn compression(&self) -> Compression {
        let place = self.compression.load(Ordering::Relaxed);
        let at = Compression::ALL.get(usize::from(place));
        at.map_or(Compression::None, |(_, compression)| *compression)
    }

    /// Lets values be packed so, unless a newer version has said otherwise.
    pub(crate) fn set(&self, compression: Compression, version: Version) {
        if self.altered.fetch_max(version, Ordering::Relaxed) > version {
            return;
        }
        let is_it = |(_, other): &(&str, Compression)| *other == compression;
        let place = Compression::ALL.iter().position(is_it).unwrap_or(0);
        self.compression.store(place as u8, Ordering::Relaxed);
        if compression != Compression::None {
            self.note_used();
        }
    }

    /// Whether there may be packed values, so that what a record takes is not known from its sizes.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Notes that there is a packed value.
    pub(crate) fn note_used(&self) {
        if !self.is_used() {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// All dictionaries, by id.
    pub(crate) fn dictionaries(&self) -> Arc<Vec<Arc<Dictionary>>> {
        self.dictionaries.load_full()
    }

    /// The dictionary that new values are packed with.
    fn newest(&self) -> Option<Arc<Dictionary>> {
        self.dictionaries.load().last().cloned()
    }

    /// The id of the next dictionary.
    pub(crate) fn next_dictionary(&self) -> u32 {
        self.newest()
            .map_or(1, |newest| newest.id.saturating_add(1))
    }

    /// Whether there ought to be a dictionary, and is none.
    pub(crate) fn wants_dictionary(&self) -> bool {
        self.compression() == Compression::ZstdDictionary && self.dictionaries.load().is_empty()
    }

    /// Takes a dictionary in. One that is none is left out: the values packed with it tell.
    pub(crate) fn add_dictionary(&self, id: u32, bytes: &[u8]) {
        let all = self.dictionaries();
        let place = all.partition_point(|there| there.id < id);
        if all.get(place).is_some_and(|there| there.id == id) {
            return;
        }
        if let Some(dictionary) = Dictionary::new(id, bytes) {
            let mut all = all.to_vec();
            all.insert(place, Arc::new(dictionary));
            self.dictionaries.store(Arc::new(all));
        }
    }

    /// Packs a value that is about to be written.
    #[inline]
    pub(crate) fn pack<'a>(&self, value: Value<'a>) -> Packed<'a> {
        match self.compression() {
            Compression::None => Packed::Plain(value),
            compression => self.pack_by(compression, value),
        }
    }

    fn pack_by<'a>(&self, compression: Compression, value: Value<'a>) -> Packed<'a> {
        let with = match compression {
            Compression::ZstdDictionary => self.newest(),
            _ => None,
        };
        let (codec, bytes_min) = match compression {
            Compression::Lz4 => (Codec::Lz4, RAW_BYTES_MIN),
            _ if with.is_some() => (Codec::Dictionary, RAW_BYTES_MIN_WITH_DICTIONARY),
            _ => (Codec::Zstd, RAW_BYTES_MIN),
        };
        if value.len() < bytes_min {
            return Packed::Plain(value);
        }
        let mut joined = None;
        let raw = if value.tail.is_empty() {
            value.head
        } else {
            let joined = &mut joined.insert(Buffer::take()).0;
            joined.extend_from_slice(value.head);
            joined.extend_from_slice(value.tail);
            &joined[..]
        };
        let mut out = Buffer::take();
        let is_packed = codec::pack(raw, codec, with.as_deref(), &mut out.0);
        if is_packed && out.len() + SAVED_BYTES_MIN <= value.len() {
            Packed::Shrunk(out)
        } else {
            Packed::Plain(value)
        }
    }

    /// The value of a packed put; `None` for one that is not packed.
    ///
    /// # Errors
    /// `Corrupt` if it is not what was packed, or if its dictionary is missing.
    #[inline]
    pub(crate) fn unpack(&self, frame: &Frame<'_>) -> Result<Option<Buffer>> {
        if frame.kind != FrameKind::PutPacked {
            return Ok(None);
        }
        self.unpack_value(frame).map(Some)
    }

    fn unpack_value(&self, frame: &Frame<'_>) -> Result<Buffer> {
        let corrupt = |why: &str| {
            Error::Corrupt(format!(
                "the packed value of a record of version {:x} in database number {} is damaged: \
                 {why}; restore it from a backup",
                frame.version, frame.database
            ))
        };
        let (head, payload) =
            PackedHead::read(frame.value).ok_or_else(|| corrupt("it has no head"))?;
        let dictionaries = self.dictionaries.load();
        let with = match head.codec {
            Codec::Dictionary => {
                let place = dictionaries.binary_search_by_key(&head.dictionary, |there| there.id);
                let found = place.ok().and_then(|place| dictionaries.get(place));
                let missing = || {
                    let id = head.dictionary;
                    corrupt(&format!("its dictionary, number {id}, is missing"))
                };
                Some(found.ok_or_else(missing)?)
            }
            _ => None,
        };
        let mut out = Buffer::take();
        codec::unpack(&head, payload, with.map(|with| &**with), &mut out.0).map_err(corrupt)?;
        Ok(out)
    }

    /// Unpacks the value of a put that stays held.
    #[inline]
    pub(crate) fn open(&self, held: Held) -> Result<Opened> {
        let unpacked = self.unpack(&held.frame()?)?;
        Ok(Opened { held, unpacked })
    }

    /// Whether a put is packed otherwise than it would be now, as far as that is known without
    /// packing it.
    pub(crate) fn wants_repacking(&self, frame: &Frame<'_>) -> bool {
        let there = match frame.kind {
            FrameKind::PutPacked => PackedHead::read(frame.value).map(|(head, _)| head),
            _ => None,
        };
        match (self.compression(), there) {
            (Compression::None, there) => there.is_some(),
            (Compression::ZstdDictionary, None) => {
                frame.value.len() >= RAW_BYTES_MIN_WITH_DICTIONARY
            }
            (_, None) => frame.value.len() >= RAW_BYTES_MIN,
            (Compression::Lz4, Some(head)) => head.codec != Codec::Lz4,
            (Compression::ZstdDictionary, Some(head)) => match self.newest() {
                Some(newest) => head.codec != Codec::Dictionary || head.dictionary != newest.id,
                None => head.codec != Codec::Zstd,
            },
            (_, Some(head)) => head.codec != Codec::Zstd,
        }
    }

    /// Packs a put anew as it would be now.
    pub(crate) fn repack<'a>(&self, frame: &Frame<'a>) -> Result<Packed<'a>> {
        let Some(raw) = self.unpack(frame)? else {
            return Ok(self.pack(Value::whole(frame.value)));
        };
        if let Packed::Shrunk(bytes) = self.pack(Value::whole(&raw)) {
            return Ok(Packed::Shrunk(bytes));
        }
        Ok(Packed::Unpacked(raw))
    }
}
