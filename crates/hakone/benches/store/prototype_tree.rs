//! The prototype of the B+ tree, as a yardstick: in memory alone, no log, no locks, no versions. A
//! leaf keeps the common prefix of its fence keys once; a slot holds the next four key bytes.
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

const HDR: usize = 32;
struct Leaf {
    page: Box<[u8]>,
    n: u32,
    top: u32,
    dead: u32,
    prefix: Vec<u8>,
    lo: Vec<u8>,
    hi: Option<Vec<u8>>,
    next: u32,
}
struct Inner {
    /// common prefix length of all separators
    skip: usize,
    heads: Vec<u64>,
    seps: Vec<Box<[u8]>>,
    kids: Vec<u32>,
    leaf_kids: bool,
}
pub struct Tree {
    inners: Vec<Inner>,
    leaves: Vec<Leaf>,
    root: u32,
    root_leaf: bool,
    psz: usize,
    fan: usize,
    count: u64,
}
fn head8(k: &[u8]) -> u64 {
    let mut b = [0u8; 8];
    let n = k.len().min(8);
    b[..n].copy_from_slice(&k[..n]);
    u64::from_be_bytes(b)
}
#[inline]
fn head4(k: &[u8]) -> u32 {
    if k.len() >= 4 {
        return u32::from_be_bytes(k[..4].try_into().unwrap());
    }
    let mut b = [0u8; 4];
    b[..k.len()].copy_from_slice(k);
    u32::from_be_bytes(b)
}
// slot: head u32, offset u16, key suffix length u16; record at offset: vlen u16, suffix, value
impl Leaf {
    fn new(psz: usize, lo: Vec<u8>, hi: Option<Vec<u8>>) -> Leaf {
        let prefix = match &hi {
            Some(h) => lo
                .iter()
                .zip(h.iter())
                .take_while(|(a, b)| a == b)
                .map(|(a, _)| *a)
                .collect(),
            None => vec![],
        };
        Leaf {
            page: vec![0; psz].into_boxed_slice(),
            n: 0,
            top: psz as u32,
            dead: 0,
            prefix,
            lo,
            hi,
            next: u32::MAX,
        }
    }
    #[inline]
    fn slot(&self, i: usize) -> (u32, usize, usize) {
        unsafe {
            let s = (self.page.as_ptr().add(HDR + i * 8) as *const u64).read_unaligned();
            (s as u32, (s >> 32) as usize & 0xffff, (s >> 48) as usize)
        }
    }
    #[inline]
    fn suffix(&self, i: usize) -> &[u8] {
        let (_, o, l) = self.slot(i);
        unsafe { self.page.get_unchecked(o + 2..o + 2 + l) }
    }
    #[inline]
    fn value(&self, i: usize) -> &[u8] {
        let (_, o, l) = self.slot(i);
        let vl = u16::from_le_bytes([self.page[o], self.page[o + 1]]) as usize;
        unsafe { self.page.get_unchecked(o + 2 + l..o + 2 + l + vl) }
    }
    /// first index whose key is >= suffix, and equality
    #[inline]
    fn lower(&self, suf: &[u8]) -> (usize, bool) {
        let h = head4(suf);
        let (mut lo, mut n) = (0usize, self.n as usize);
        while n > 1 {
            let half = n / 2;
            if self.slot(lo + half - 1).0 < h {
                lo += half;
            }
            n -= half;
        }
        if n == 1 && self.slot(lo).0 < h {
            lo += 1;
        }
        if lo < self.n as usize && self.slot(lo).0 == h {
            // equal heads: whole suffixes decide
            let (mut a, mut b) = (lo, self.n as usize);
            while a < b {
                let m = (a + b) / 2;
                if self.slot(m).0 == h && self.suffix(m) < suf {
                    a = m + 1
                } else {
                    b = m
                }
            }
            return (
                a,
                a < self.n as usize && self.slot(a).0 == h && self.suffix(a) == suf,
            );
        }
        (lo, false)
    }
    fn free(&self) -> usize {
        self.top as usize - HDR - self.n as usize * 8
    }
    fn push_rec(&mut self, suf: &[u8], v: &[u8]) -> u64 {
        let need = 2 + suf.len() + v.len();
        self.top -= need as u32;
        let o = self.top as usize;
        self.page[o..o + 2].copy_from_slice(&(v.len() as u16).to_le_bytes());
        self.page[o + 2..o + 2 + suf.len()].copy_from_slice(suf);
        self.page[o + 2 + suf.len()..o + need].copy_from_slice(v);
        head4(suf) as u64 | (o as u64) << 32 | (suf.len() as u64) << 48
    }
    fn insert_at(&mut self, i: usize, suf: &[u8], v: &[u8]) {
        let s = self.push_rec(suf, v);
        unsafe {
            let p = self.page.as_mut_ptr().add(HDR + i * 8);
            std::ptr::copy(p, p.add(8), (self.n as usize - i) * 8);
            (p as *mut u64).write_unaligned(s);
        }
        self.n += 1;
    }
    fn compact(&mut self) {
        let old = std::mem::replace(&mut self.page, vec![0; 0].into_boxed_slice());
        let psz = old.len();
        let mut l = Leaf {
            page: vec![0; psz].into_boxed_slice(),
            n: 0,
            top: psz as u32,
            dead: 0,
            prefix: vec![],
            lo: vec![],
            hi: None,
            next: 0,
        };
        self.page = old;
        for i in 0..self.n as usize {
            l.insert_at(i, self.suffix(i), self.value(i));
        }
        self.page = l.page;
        self.top = l.top;
        self.dead = 0;
    }
}
impl Inner {
    fn fix(&mut self, at: usize) {
        let (a, b) = (&self.seps[0], &self.seps[self.seps.len() - 1]);
        let s = a.iter().zip(b.iter()).take_while(|(x, y)| x == y).count();
        if s != self.skip {
            self.skip = s;
            for i in 0..self.seps.len() {
                self.heads[i] = head8(&self.seps[i][s..]);
            }
        } else if at < self.seps.len() {
            self.heads[at] = head8(&self.seps[at][s..]);
        }
    }
    /// child whose range holds k: number of separators <= k
    #[inline]
    fn child(&self, k: &[u8]) -> usize {
        let sk = self.skip;
        if sk > 0 {
            match k[..sk.min(k.len())].cmp(&self.seps[0][..sk]) {
                std::cmp::Ordering::Less => return 0,
                std::cmp::Ordering::Greater => return self.heads.len(),
                _ => {}
            }
        }
        let h = head8(&k[sk..]);
        let (mut lo, mut n) = (0usize, self.heads.len());
        while n > 1 {
            let half = n / 2;
            if unsafe { *self.heads.get_unchecked(lo + half - 1) } < h {
                lo += half;
            }
            n -= half;
        }
        if n == 1 && self.heads[lo] < h {
            lo += 1;
        }
        while lo < self.heads.len() && self.heads[lo] == h && *self.seps[lo] <= *k {
            lo += 1;
        }
        lo
    }
}
impl Tree {
    pub fn new(psz: usize) -> Tree {
        Tree {
            inners: vec![],
            leaves: vec![Leaf::new(psz, vec![], None)],
            root: 0,
            root_leaf: true,
            psz,
            fan: 256,
            count: 0,
        }
    }
    #[inline]
    fn leaf_of(&self, k: &[u8]) -> u32 {
        if self.root_leaf {
            return self.root;
        }
        let mut n = self.root;
        loop {
            let i = &self.inners[n as usize];
            n = i.kids[i.child(k)];
            if i.leaf_kids {
                return n;
            }
        }
    }
    pub fn get(&self, k: &[u8]) -> Option<&[u8]> {
        let l = &self.leaves[self.leaf_of(k) as usize];
        let suf = k.get(l.prefix.len()..)?;
        let (i, eq) = l.lower(suf);
        if eq { Some(l.value(i)) } else { None }
    }
    pub fn put(&mut self, k: &[u8], v: &[u8]) {
        loop {
            let li = self.leaf_of(k) as usize;
            let l = &mut self.leaves[li];
            let pl = l.prefix.len();
            let suf = &k[pl..];
            let (i, eq) = l.lower(suf);
            if eq {
                let (_, o, sl) = l.slot(i);
                let vl = u16::from_le_bytes([l.page[o], l.page[o + 1]]) as usize;
                if vl == v.len() {
                    l.page[o + 2 + sl..o + 2 + sl + vl].copy_from_slice(v);
                    return;
                }
                let nd = l.n as usize;
                l.dead += (2 + sl + vl) as u32;
                unsafe {
                    let p = l.page.as_mut_ptr().add(HDR + i * 8);
                    std::ptr::copy(p.add(8), p, (nd - i - 1) * 8);
                }
                l.n -= 1;
                self.count -= 1;
                continue;
            }
            let need = 10 + suf.len() + v.len();
            if l.free() >= need {
                l.insert_at(i, suf, v);
                self.count += 1;
                return;
            }
            if l.dead as usize >= need {
                l.compact();
                continue;
            }
            self.split(li, k, i);
        }
    }
    fn split(&mut self, li: usize, k: &[u8], at: usize) {
        let rid = self.leaves.len() as u32;
        let psz = self.psz;
        let l = &self.leaves[li];
        let n = l.n as usize;
        // appending at the very end: leave the left page full
        let mid = if at == n && l.hi.is_none() { n } else { n / 2 };
        let full = |i: usize| {
            let mut f = l.prefix.clone();
            f.extend_from_slice(l.suffix(i));
            f
        };
        // shortest separator
        let a = full(mid - 1);
        let b = if mid == n { k.to_vec() } else { full(mid) };
        let c = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
        let sep = b[..(c + 1).min(b.len())].to_vec();
        let mut left = Leaf::new(psz, l.lo.clone(), Some(sep.clone()));
        let mut right = Leaf::new(psz, sep.clone(), l.hi.clone());
        for i in 0..n {
            let f = full(i);
            let d = if i < mid { &mut left } else { &mut right };
            let p = d.prefix.len();
            let e = d.n as usize;
            d.insert_at(e, &f[p..], l.value(i));
        }
        right.next = l.next;
        left.next = rid;
        self.leaves[li] = left;
        self.leaves.push(right);
        self.add_sep(sep, li as u32, rid);
    }
    fn add_sep(&mut self, sep: Vec<u8>, left: u32, right: u32) {
        if self.root_leaf {
            let mut i = Inner {
                skip: usize::MAX,
                heads: vec![0],
                seps: vec![sep.into()],
                kids: vec![left, right],
                leaf_kids: true,
            };
            i.fix(0);
            self.inners.push(i);
            self.root = 0;
            self.root_leaf = false;
            return;
        }
        let mut path = vec![];
        let mut n = self.root;
        loop {
            let i = &self.inners[n as usize];
            let c = i.child(&sep);
            path.push((n, c));
            if i.leaf_kids {
                break;
            }
            n = i.kids[c];
        }
        let (mut sep, mut right) = (sep, right);
        while let Some((n, c)) = path.pop() {
            let fan = self.fan;
            let nid = self.inners.len() as u32;
            let i = &mut self.inners[n as usize];
            i.heads.insert(c, 0);
            i.seps.insert(c, sep.into());
            i.kids.insert(c + 1, right);
            i.fix(c);
            if i.kids.len() <= fan {
                return;
            }
            let m = if c + 1 == i.heads.len() {
                i.heads.len() - 2
            } else {
                i.heads.len() / 2
            };
            let rh = i.heads.split_off(m + 1);
            let rs = i.seps.split_off(m + 1);
            let rk = i.kids.split_off(m + 1);
            i.heads.pop();
            let up = i.seps.pop().unwrap();
            let lk = i.leaf_kids;
            i.fix(usize::MAX);
            let mut r = Inner {
                skip: usize::MAX,
                heads: rh,
                seps: rs,
                kids: rk,
                leaf_kids: lk,
            };
            r.fix(usize::MAX);
            self.inners.push(r);
            sep = up.into();
            right = nid;
            if path.is_empty() {
                let r = self.inners.len() as u32;
                let mut i = Inner {
                    skip: usize::MAX,
                    heads: vec![0],
                    seps: vec![sep.clone().into()],
                    kids: vec![n, right],
                    leaf_kids: false,
                };
                i.fix(0);
                self.inners.push(i);
                self.root = r;
                return;
            }
        }
    }
    pub fn scan(&self, start: Option<&[u8]>, n: usize, f: &mut dyn FnMut(&[u8], &[u8])) -> usize {
        let k = start.unwrap_or(b"");
        let mut li = self.leaf_of(k);
        let mut kb: Vec<u8> = vec![];
        let mut done = 0;
        let mut first = true;
        while li != u32::MAX && done < n {
            let l = &self.leaves[li as usize];
            let mut i = if first && k.len() >= l.prefix.len() {
                l.lower(&k[l.prefix.len()..]).0
            } else {
                0
            };
            first = false;
            kb.clear();
            kb.extend_from_slice(&l.prefix);
            while i < l.n as usize && done < n {
                kb.truncate(l.prefix.len());
                kb.extend_from_slice(l.suffix(i));
                f(&kb, l.value(i));
                i += 1;
                done += 1;
            }
            li = l.next;
        }
        done
    }
}
pub struct MemTree(UnsafeCell<Tree>);
unsafe impl Send for MemTree {}
unsafe impl Sync for MemTree {}
impl MemTree {
    pub fn open(psz: usize) -> Result<Self, String> {
        Ok(MemTree(UnsafeCell::new(Tree::new(psz))))
    }
}
impl Engine for MemTree {
    fn put(&self, k: &[u8], v: &[u8]) {
        unsafe { (*self.0.get()).put(k, v) }
    }
    fn get(&self, k: &[u8], check: &mut dyn FnMut(&[u8])) {
        check(unsafe { (*self.0.get()).get(k) }.expect("a record is missing"));
    }
    fn scan(&self) -> u64 {
        let mut count = 0;
        unsafe { &*self.0.get() }.scan(None, usize::MAX, &mut |k, v| {
            count += (k.len() + v.len() != 0) as u64
        });
        count
    }
}
