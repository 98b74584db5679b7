//! Packing and unpacking bytes, and the buffers for it: what is reused lies with the thread.

use super::Dictionary;
use crate::log::format::{Codec, PackedHead};
use hakone_command::limits::VALUE_BYTES_MAX;
use lz4_flex::block::get_maximum_output_size;
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into};
use std::cell::RefCell;
use zstd_safe::{CCtx, CompressionLevel, DCtx, compress_bound};

/// The level of Zstandard: its default, four times as quick as those that save a tenth more.
pub(super) const LEVEL: CompressionLevel = 3;

/// What every frame of Zstandard begins with: it is not stored.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Bytes of a buffer that is kept for the next value; larger ones are given back.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Buffers that a thread keeps: as many as a batch of keys has at a time.
const KEPT_MAX: usize = 64;

/// What a thread uses again.
struct Context {
    table: CompressTable,
    packer: Option<CCtx<'static>>,
    unpacker: Option<DCtx<'static>>,
    scratch: Vec<u8>,
}

thread_local! {
    static CONTEXT: RefCell<Context> = RefCell::new(Context {
        table: CompressTable::small(),
        packer: None,
        unpacker: None,
        scratch: Vec::new(),
    });
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes in a buffer that the thread uses again.
#[derive(Debug)]
pub(crate) struct Buffer(pub(super) Vec<u8>);

impl Buffer {
    pub(super) fn take() -> Buffer {
        Buffer(KEPT.with_borrow_mut(Vec::pop).unwrap_or_default())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if bytes.capacity() == 0 || bytes.capacity() > KEPT_BYTES_MAX {
            return;
        }
        bytes.clear();
        // A thread that ends keeps nothing more.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push(bytes);
            }
        });
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Appends the packed form of `raw` to `out`, its head included. Returns whether it could be made.
pub(super) fn pack(raw: &[u8], codec: Codec, with: Option<&Dictionary>, out: &mut Vec<u8>) -> bool {
    PackedHead {
        codec,
        raw_bytes: raw.len() as u32,
        dictionary: with.map_or(0, |dictionary| dictionary.id),
    }
    .put(out);
    CONTEXT.with_borrow_mut(|context| {
        let scratch = &mut context.scratch;
        let packed = match codec {
            Codec::Lz4 => {
                scratch.resize(get_maximum_output_size(raw.len()), 0);
                compress_into_with_table(raw, scratch, &mut context.table).ok()
            }
            Codec::Zstd | Codec::Dictionary => {
                scratch.clear();
                scratch.reserve(compress_bound(raw.len()));
                let packer = context.packer.get_or_insert_with(CCtx::create);
                let packed = match with {
                    Some(with) => packer.compress_using_cdict(scratch, raw, &with.packer),
                    None => packer.compress(scratch, raw, LEVEL),
                };
                packed.ok()
            }
        };
        let skip = if codec == Codec::Lz4 { 0 } else { MAGIC.len() };
        let payload = packed.and_then(|len| scratch.get(skip..len));
        let is_packed = payload.is_some();
        out.extend_from_slice(payload.unwrap_or_default());
        context.shrink();
        is_packed
    })
}

/// Unpacks `payload` into `out`, which is as long then as the head says.
pub(super) fn unpack(
    head: &PackedHead,
    payload: &[u8],
    with: Option<&Dictionary>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let raw_bytes = head.raw_bytes as usize;
    if raw_bytes > VALUE_BYTES_MAX {
        return Err("it claims to be larger than a value can be");
    }
    out.clear();
    let unpacked = CONTEXT.with_borrow_mut(|context| {
        let unpacked = match head.codec {
            Codec::Lz4 => {
                out.resize(raw_bytes, 0);
                decompress_into(payload, out).ok()
            }
            Codec::Zstd | Codec::Dictionary => {
                out.reserve_exact(raw_bytes);
                let scratch = &mut context.scratch;
                scratch.clear();
                scratch.extend_from_slice(&MAGIC);
                scratch.extend_from_slice(payload);
                let unpacker = context.unpacker.get_or_insert_with(DCtx::create);
                let unpacked = match with {
                    Some(with) => unpacker.decompress_using_ddict(out, scratch, &with.unpacker),
                    None => unpacker.decompress(out, scratch),
                };
                unpacked.ok()
            }
        };
        context.shrink();
        unpacked
    });
    match unpacked {
        Some(len) if len == raw_bytes && out.len() == raw_bytes => Ok(()),
        Some(_) => Err("it is not as long as it claims"),
        None => Err("it cannot be unpacked"),
    }
}

impl Context {
    /// Gives back what a large value has needed.
    fn shrink(&mut self) {
        if self.scratch.capacity() > KEPT_BYTES_MAX {
            self.scratch = Vec::new();
            self.packer = None;
            self.unpacker = None;
        }
    }
}
