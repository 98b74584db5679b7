//! The prototype of the log-structured hash store, as a yardstick: one writer, no locks, no deletes,
//! no durable mark. Segments of 64 MiB; an index of 8-byte slots (24-bit tag, 40-bit address) that
//! grows one partition at a time without reading the log.
#![allow(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::undocumented_unsafe_blocks,
    reason = "a prototype, kept as it was measured: a yardstick, not a part"
)]

use super::engine::Engine;
use std::cell::UnsafeCell;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::time::Instant;

pub const SEG: usize = 64 << 20;
const SHIFT: u32 = 26;
const PARTS: usize = 1024;
const CHUNK: usize = 256 << 10;

#[inline]
fn mum(a: u64, b: u64) -> u64 {
    let r = (a as u128).wrapping_mul(b as u128);
    (r as u64) ^ ((r >> 64) as u64)
}
#[inline]
pub fn hash(k: &[u8]) -> u64 {
    const A: u64 = 0xa0761d6478bd642f;
    const B: u64 = 0xe7037ed1a0b428db;
    let n = k.len();
    let rd = |i: usize| u64::from_le_bytes(k[i..i + 8].try_into().unwrap());
    let (x, y, mut s) = if n >= 8 {
        let mut s = A ^ n as u64;
        let mut i = 0;
        while i + 16 < n {
            s = mum(rd(i) ^ B, rd(i + 8) ^ s);
            i += 16;
        }
        (if n >= 16 { rd(n - 16) } else { rd(0) }, rd(n - 8), s)
    } else {
        let mut x = 0u64;
        for (i, b) in k.iter().enumerate() {
            x |= (*b as u64) << (8 * i);
        }
        (x, n as u64, A)
    };
    s = mum(x ^ B, y ^ s);
    mum(s ^ B, A ^ n as u64)
}
#[inline]
fn put_var(p: *mut u8, mut v: u32) -> usize {
    let mut i = 0;
    unsafe {
        while v >= 128 {
            *p.add(i) = v as u8 | 128;
            v >>= 7;
            i += 1;
        }
        *p.add(i) = v as u8;
    }
    i + 1
}
#[inline]
unsafe fn get_var(p: *const u8) -> (u32, usize) {
    let b = *p as u32;
    if b < 128 {
        return (b, 1);
    }
    let (mut v, mut i) = (b & 127, 1);
    loop {
        let b = *p.add(i) as u32;
        v |= (b & 127) << (7 * i);
        i += 1;
        if b < 128 || i == 5 {
            return (v, i);
        }
    }
}
struct Part {
    slots: *mut u64,
    cap: u32,
    len: u32,
    heap: bool,
}
impl Part {
    fn alloc(cap: usize) -> *mut u64 {
        Box::into_raw(vec![0u64; cap].into_boxed_slice()) as *mut u64
    }
    #[inline]
    fn home(&self, tag: u64) -> usize {
        ((tag * self.cap as u64) >> 24) as usize
    }
    fn grow(&mut self) {
        let ncap = (self.cap as usize * 13 / 10 + 8) & !7;
        let n = Part {
            slots: Part::alloc(ncap),
            cap: ncap as u32,
            len: self.len,
            heap: true,
        };
        for i in 0..self.cap as usize {
            let s = unsafe { *self.slots.add(i) };
            if s != 0 {
                let mut p = n.home(s >> 40);
                unsafe {
                    while *n.slots.add(p) != 0 {
                        p += 1;
                        if p == ncap {
                            p = 0
                        }
                    }
                    *n.slots.add(p) = s;
                }
            }
        }
        self.free();
        *self = n;
    }
    fn free(&mut self) {
        if self.heap {
            unsafe {
                drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
                    self.slots,
                    self.cap as usize,
                )))
            }
        }
    }
}
struct Seg {
    base: *const u8,
    used: u32,
    dead: u32,
    file: Option<File>,
}
struct Inner {
    dir: String,
    parts: Vec<Part>,
    segs: Vec<Option<Seg>>,
    act: usize,
    pos: usize,
    flushed: usize,
    buf: *mut u8,
    total: u64,
    dead: u64,
    count: u64,
    gc: f64,
    in_gc: bool,
    /// bytes appended on behalf of the user and by compaction
    wrote_user: u64,
    wrote_gc: u64,
    bg: Option<mpsc::Sender<File>>,
    bgj: Option<std::thread::JoinHandle<()>>,
    /// sealed segments whose fdatasync has not returned
    pend: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    mmapw: bool,
    pub note: String,
    chunk: usize,
}
pub struct LogStore(UnsafeCell<Inner>);
unsafe impl Send for LogStore {}
unsafe impl Sync for LogStore {}

fn map(len: usize, fd: i32, prot: i32, flags: i32) -> *mut u8 {
    let p = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, 0) };
    assert!(p != libc::MAP_FAILED);
    p as *mut u8
}
fn seg_path(d: &str, i: usize) -> String {
    format!("{d}/{i:08}.seg")
}
impl Inner {
    fn new_seg(&mut self) {
        let i = self.act + 1;
        let f = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(seg_path(&self.dir, i))
            .unwrap();
        unsafe {
            if libc::fallocate(f.as_raw_fd(), 0, 0, SEG as i64) != 0 {
                f.set_len(SEG as u64).unwrap();
            }
        }
        if self.mmapw {
            self.buf = map(
                SEG,
                f.as_raw_fd(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
            );
        }
        while self.segs.len() <= i {
            self.segs.push(None);
        }
        self.segs[i] = Some(Seg {
            base: self.buf,
            used: 0,
            dead: 0,
            file: Some(f),
        });
        self.act = i;
        self.pos = 0;
        self.flushed = 0;
    }
    fn flush(&mut self) {
        if self.mmapw {
            self.flushed = self.pos;
            return;
        }
        let fd = self.segs[self.act]
            .as_ref()
            .unwrap()
            .file
            .as_ref()
            .unwrap()
            .as_raw_fd();
        while self.flushed < self.pos {
            let r = unsafe {
                libc::pwrite(
                    fd,
                    self.buf.add(self.flushed) as *const _,
                    self.pos - self.flushed,
                    self.flushed as i64,
                )
            };
            assert!(r > 0);
            self.flushed += r as usize;
        }
    }
    fn seal(&mut self) {
        self.flush();
        let (pos, mm) = (self.pos, self.mmapw);
        let s = self.segs[self.act].as_mut().unwrap();
        s.used = pos as u32;
        let f = s.file.take().unwrap();
        if !mm {
            s.base = map(SEG, f.as_raw_fd(), libc::PROT_READ, libc::MAP_SHARED);
            // the anonymous buffer is used again; zero it so that a scan of the next segment ends
        }
        if let Some(b) = &self.bg {
            self.pend.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            b.send(f).unwrap();
        }
    }
    #[inline]
    fn at(&self, addr: u64) -> *const u8 {
        unsafe {
            self.segs
                .get_unchecked((addr >> SHIFT) as usize)
                .as_ref()
                .unwrap_unchecked()
                .base
                .add(addr as usize & (SEG - 1))
        }
    }
    #[inline]
    unsafe fn rec(p: *const u8) -> (*const u8, usize, usize, usize) {
        let (k, a) = get_var(p.add(5));
        let (v, b) = get_var(p.add(5 + a));
        (
            p.add(5 + a + b),
            k as usize,
            v as usize,
            5 + a + b + k as usize + v as usize,
        )
    }
    /// slot index in its partition, address or 0
    #[inline]
    fn find(&self, part: &Part, tag: u64, k: &[u8]) -> (usize, u64) {
        let mut p = part.home(tag);
        loop {
            let s = unsafe { *part.slots.add(p) };
            if s == 0 {
                return (p, 0);
            }
            if s >> 40 == tag {
                let a = s & 0xff_ffff_ffff;
                unsafe {
                    let (kp, kl, _, _) = Inner::rec(self.at(a));
                    if kl == k.len() && std::slice::from_raw_parts(kp, kl) == k {
                        return (p, a);
                    }
                }
            }
            p += 1;
            if p == part.cap as usize {
                p = 0
            }
        }
    }
    fn append(&mut self, k: &[u8], v: &[u8]) -> u64 {
        let need = 15 + k.len() + v.len();
        if self.pos + need > SEG {
            self.seal();
            self.new_seg();
        }
        let addr = ((self.act as u64) << SHIFT) | self.pos as u64;
        unsafe {
            let p = self.buf.add(self.pos);
            *p.add(4) = 1;
            let mut n = 5;
            n += put_var(p.add(n), k.len() as u32);
            n += put_var(p.add(n), v.len() as u32);
            std::ptr::copy_nonoverlapping(k.as_ptr(), p.add(n), k.len());
            n += k.len();
            std::ptr::copy_nonoverlapping(v.as_ptr(), p.add(n), v.len());
            n += v.len();
            let c = crc32c::crc32c(std::slice::from_raw_parts(p.add(4), n - 4));
            (p as *mut u32).write_unaligned(c);
            self.pos += n;
            self.total += n as u64;
        }
        if self.pos - self.flushed >= self.chunk {
            self.flush();
        }
        addr
    }
    fn put(&mut self, k: &[u8], v: &[u8]) {
        let before = self.total;
        let a = self.append(k, v);
        self.wrote_user += self.total - before;
        self.index(k, a);
        if self.gc > 0.0 && self.dead as f64 > self.total as f64 * self.gc {
            self.compact_one();
        }
    }
    #[inline]
    fn index(&mut self, k: &[u8], a: u64) {
        let h = hash(k);
        let pi = (h >> 54) as usize;
        let tag = (h >> 30) & 0xff_ffff;
        let (p, old) = self.find(&self.parts[pi], tag, k);
        let part = &mut self.parts[pi];
        unsafe { *part.slots.add(p) = tag << 40 | a };
        if old == 0 {
            part.len += 1;
            self.count += 1;
            if part.len as u64 * 100 > part.cap as u64 * 85 {
                part.grow();
            }
        } else {
            let n = unsafe { Inner::rec(self.at(old)).3 } as u32;
            self.segs[(old >> SHIFT) as usize].as_mut().unwrap().dead += n;
            self.dead += n as u64;
        }
    }
    fn compact_one(&mut self) {
        if self.in_gc {
            return;
        }
        self.in_gc = true;
        let (mut best, mut bd) = (0, 0.0);
        for (i, s) in self.segs.iter().enumerate() {
            if let (Some(s), true) = (s, i != self.act) {
                let r = s.dead as f64 / s.used.max(1) as f64;
                if r > bd {
                    best = i;
                    bd = r;
                }
            }
        }
        if best != 0 {
            let s = self.segs[best].as_ref().unwrap();
            let (base, used) = (s.base, s.used as usize);
            let mut o = 0;
            while o < used {
                unsafe {
                    let (kp, kl, vl, n) = Inner::rec(base.add(o));
                    let k = std::slice::from_raw_parts(kp, kl);
                    let h = hash(k);
                    let pi = (h >> 54) as usize;
                    let tag = (h >> 30) & 0xff_ffff;
                    let me = ((best as u64) << SHIFT) | o as u64;
                    // liveness by address alone: no key compare, no read of another record
                    let part = &self.parts[pi];
                    let mut p = part.home(tag);
                    let want = tag << 40 | me;
                    loop {
                        let s = *part.slots.add(p);
                        if s == want || s == 0 {
                            if s == want {
                                let before = self.total;
                                let a = self.append(k, std::slice::from_raw_parts(kp.add(kl), vl));
                                self.wrote_gc += self.total - before;
                                *self.parts[pi].slots.add(p) = tag << 40 | a;
                            }
                            break;
                        }
                        p += 1;
                        if p == part.cap as usize {
                            p = 0
                        }
                    }
                    o += n;
                }
            }
            let s = self.segs[best].take().unwrap();
            self.total -= s.used as u64;
            self.dead -= s.dead as u64;
            unsafe { libc::munmap(s.base as *mut _, SEG) };
            // a real store removes it only once the copies are durable
            fs::remove_file(seg_path(&self.dir, best)).unwrap();
        }
        self.in_gc = false;
    }
    /// replay a segment from `from`; returns bytes and records scanned and whether it ended cleanly
    fn replay(&mut self, i: usize, from: usize, index: bool) -> (usize, u64) {
        let base = self.segs[i].as_ref().unwrap().base;
        let (mut o, mut n) = (from, 0);
        unsafe {
            while o + 7 < SEG {
                let p = base.add(o);
                if *p.add(4) != 1 {
                    break;
                }
                let (kp, kl, _, len) = Inner::rec(p);
                if o + len > SEG
                    || crc32c::crc32c(std::slice::from_raw_parts(p.add(4), len - 4))
                        != (p as *const u32).read_unaligned()
                {
                    break;
                }
                if index {
                    self.index(
                        std::slice::from_raw_parts(kp, kl),
                        ((i as u64) << SHIFT) | o as u64,
                    );
                }
                o += len;
                n += 1;
            }
        }
        (o, n)
    }
    fn checkpoint(&mut self) {
        let t = Instant::now();
        let tmp = format!("{}/index.tmp", self.dir);
        let mut f = std::io::BufWriter::with_capacity(1 << 20, File::create(&tmp).unwrap());
        let w = |f: &mut dyn Write, v: u64| f.write_all(&v.to_le_bytes()).unwrap();
        w(&mut f, self.act as u64);
        w(&mut f, self.pos as u64);
        w(&mut f, self.count);
        for p in &self.parts {
            w(&mut f, (p.cap as u64) << 32 | p.len as u64);
        }
        w(&mut f, self.segs.iter().flatten().count() as u64);
        for (i, s) in self.segs.iter().enumerate() {
            if let Some(s) = s {
                let used = if i == self.act {
                    self.pos as u32
                } else {
                    s.used
                };
                w(&mut f, i as u64);
                w(&mut f, (used as u64) << 32 | s.dead as u64);
            }
        }
        for p in &self.parts {
            f.write_all(unsafe {
                std::slice::from_raw_parts(p.slots as *const u8, p.cap as usize * 8)
            })
            .unwrap();
        }
        let f = f.into_inner().unwrap();
        f.sync_all().unwrap();
        fs::rename(&tmp, format!("{}/index", self.dir)).unwrap();
        self.note = format!("checkpoint {:.3}s", t.elapsed().as_secs_f64());
    }
}
impl LogStore {
    pub fn open(dir: &str, gc: f64) -> Result<Self, String> {
        let mmapw = std::env::var("PROTO_MMAP").is_ok();
        let (tx, rx) = mpsc::channel::<File>();
        let pend = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let pend2 = pend.clone();
        let bgj = std::thread::spawn(move || {
            for f in rx {
                f.sync_data().unwrap();
                pend2.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }
        });
        let mut s = Inner {
            dir: dir.into(),
            parts: (0..PARTS)
                .map(|_| Part {
                    slots: Part::alloc(64),
                    cap: 64,
                    len: 0,
                    heap: true,
                })
                .collect(),
            segs: vec![],
            act: 0,
            pos: 0,
            flushed: 0,
            buf: std::ptr::null_mut(),
            total: 0,
            dead: 0,
            count: 0,
            gc,
            in_gc: false,
            wrote_user: 0,
            wrote_gc: 0,
            bg: Some(tx),
            bgj: Some(bgj),
            pend,
            mmapw,
            note: String::new(),
            chunk: std::env::var("PROTO_CHUNK")
                .ok()
                .and_then(|x| x.parse().ok())
                .unwrap_or(CHUNK),
        };
        if !mmapw {
            s.buf = map(
                SEG,
                -1,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            );
        }
        let mut ids: Vec<usize> = fs::read_dir(dir)
            .map_err(|e| e.to_string())?
            .filter_map(|e| {
                e.ok()?
                    .file_name()
                    .into_string()
                    .ok()?
                    .strip_suffix(".seg")?
                    .parse()
                    .ok()
            })
            .collect();
        ids.sort();
        if ids.is_empty() {
            s.new_seg();
            return Ok(LogStore(UnsafeCell::new(s)));
        }
        let t = Instant::now();
        for &i in &ids {
            let f = OpenOptions::new()
                .read(true)
                .write(true)
                .open(seg_path(dir, i))
                .unwrap();
            let base = if std::env::var("PROTO_ANON").is_ok() {
                // copy of the segment in huge pages instead of the mapped file
                let m = map(
                    SEG + (2 << 20),
                    -1,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                );
                let m = unsafe { m.add(m.align_offset(2 << 20)) };
                unsafe {
                    libc::madvise(m as *mut _, SEG, 14);
                    let mut f = &f;
                    let mut o = 0;
                    while o < SEG {
                        let n = f
                            .read(std::slice::from_raw_parts_mut(m.add(o), SEG - o))
                            .unwrap();
                        if n == 0 {
                            break;
                        }
                        o += n;
                    }
                }
                m
            } else {
                map(SEG, f.as_raw_fd(), libc::PROT_READ, libc::MAP_SHARED)
            };
            while s.segs.len() <= i {
                s.segs.push(None);
            }
            s.segs[i] = Some(Seg {
                base,
                used: 0,
                dead: 0,
                file: None,
            });
        }
        let (mut from_seg, mut from_pos) = (ids[0], 0);
        let use_cp = std::env::var("PROTO_NOCP").is_err();
        if let (true, Ok(mut f)) = (use_cp, File::open(format!("{dir}/index"))) {
            let r64 = |f: &mut File| {
                let mut b = [0; 8];
                f.read_exact(&mut b).unwrap();
                u64::from_le_bytes(b)
            };
            from_seg = r64(&mut f) as usize;
            from_pos = r64(&mut f) as usize;
            s.count = r64(&mut f);
            let caps: Vec<u64> = (0..PARTS).map(|_| r64(&mut f)).collect();
            let n = r64(&mut f);
            for _ in 0..n {
                let i = r64(&mut f) as usize;
                let u = r64(&mut f);
                let sg = s.segs[i].as_mut().unwrap();
                sg.used = (u >> 32) as u32;
                sg.dead = u as u32;
                s.total += u >> 32;
                s.dead += u & 0xffff_ffff;
            }
            let tot: usize = caps.iter().map(|c| (c >> 32) as usize * 8).sum();
            let m = map(
                (tot + (4 << 20)) & !((2 << 20) - 1),
                -1,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            );
            unsafe {
                libc::madvise(m as *mut _, tot, 14);
                f.read_exact(std::slice::from_raw_parts_mut(m, tot))
                    .unwrap();
            }
            let mut off = 0;
            for (i, c) in caps.iter().enumerate() {
                s.parts[i].free();
                s.parts[i] = Part {
                    slots: unsafe { m.add(off) } as *mut u64,
                    cap: (c >> 32) as u32,
                    len: *c as u32,
                    heap: false,
                };
                off += (c >> 32) as usize * 8;
            }
        }
        let (mut bytes, mut recs) = (0, 0);
        let mut last = (from_seg, from_pos);
        for &i in ids.iter().filter(|&&i| i >= from_seg) {
            let from = if i == from_seg { from_pos } else { 0 };
            let (o, n) = s.replay(i, from, true);
            bytes += o - from;
            recs += n;
            s.total += (o - from) as u64;
            s.segs[i].as_mut().unwrap().used = o as u32;
            last = (i, o);
        }
        let e = t.elapsed().as_secs_f64();
        s.note = format!(
            "replayed {recs} records, {:.1} MB in {e:.3}s ({:.2} GB/s, {:.2} Mrec/s)",
            bytes as f64 / 1e6,
            bytes as f64 / 1e9 / e,
            recs as f64 / 1e6 / e
        );
        if std::env::var("PROTO_SCANONLY").is_ok() {
            let t = Instant::now();
            let (mut b, mut r) = (0, 0);
            for &i in &ids {
                let (o, n) = s.replay(i, 0, false);
                b += o;
                r += n;
            }
            let e = t.elapsed().as_secs_f64();
            s.note += &format!(
                "; scan only {r} records {:.2} GB/s {:.2} Mrec/s",
                b as f64 / 1e9 / e,
                r as f64 / 1e6 / e
            );
        }
        // the tail stays as it is; writing goes on in a new segment
        s.act = last.0;
        s.segs[last.0].as_mut().unwrap().used = last.1 as u32;
        s.new_seg();
        Ok(LogStore(UnsafeCell::new(s)))
    }
    fn s(&self) -> &mut Inner {
        unsafe { &mut *self.0.get() }
    }
}
#[inline]
fn prefetch(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch(p as *const i8, std::arch::x86_64::_MM_HINT_T0)
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}
impl Engine for LogStore {
    fn put(&self, key: &[u8], value: &[u8]) {
        self.s().put(key, value);
    }
    fn get(&self, k: &[u8], check: &mut dyn FnMut(&[u8])) {
        let s = self.s();
        let h = hash(k);
        let (_, a) = s.find(&s.parts[(h >> 54) as usize], (h >> 30) & 0xff_ffff, k);
        assert!(a != 0, "a record is missing");
        unsafe {
            let (kp, kl, vl, _) = Inner::rec(s.at(a));
            check(std::slice::from_raw_parts(kp.add(kl), vl));
        }
    }
    fn prefetch(&self, ks: &[&[u8]]) {
        let s = self.s();
        for k in ks {
            let h = hash(k);
            let p = &s.parts[(h >> 54) as usize];
            prefetch(unsafe { p.slots.add(p.home((h >> 30) & 0xff_ffff)) } as *const u8);
        }
        for k in ks {
            let h = hash(k);
            let tag = (h >> 30) & 0xff_ffff;
            let part = &s.parts[(h >> 54) as usize];
            let mut p = part.home(tag);
            loop {
                let v = unsafe { *part.slots.add(p) };
                if v == 0 {
                    break;
                }
                if v >> 40 == tag {
                    let a = s.at(v & 0xff_ffff_ffff);
                    prefetch(a);
                    prefetch(unsafe { a.add(64) });
                    break;
                }
                p += 1;
                if p == part.cap as usize {
                    p = 0
                }
            }
        }
    }
    fn scan(&self) -> u64 {
        0
    }
}
