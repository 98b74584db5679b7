//! A simulated file: what the program sees, what the disk holds, and which sectors differ.

use super::image::{Image, SECTOR};
use super::{Call, Shared, Step};
use crate::io::chance::Chance;
use crate::io::region::Observer;
use crate::io::{File, Region, check_inside, mapped_already};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// A file as the disk knows it, under whatever names.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) bytes: u64,
    pub(super) contents: Mutex<Contents>,
    /// So that two opens agree on whether it is mapped.
    opened: Mutex<Weak<Opened>>,
}

#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) current: Image,
    pub(super) durable: Image,
    /// Sectors written since they were last synced.
    pub(super) dirty: BTreeSet<usize>,
    /// Sectors that a failed sync took for clean: no later sync writes them, unless they are
    /// written again.
    pub(super) lost: BTreeSet<usize>,
}

impl Inode {
    pub(super) fn new(bytes: u64, contents: Contents) -> Arc<Inode> {
        Arc::new(Inode {
            bytes,
            contents: Mutex::new(contents),
            opened: Mutex::default(),
        })
    }

    pub(super) fn zeroed(bytes: u64) -> Result<Arc<Inode>> {
        let size = usize::try_from(bytes).map_err(|_| ErrorKind::StorageFull)?;
        Ok(Inode::new(bytes, Contents::durable(Image::zeroed(size))))
    }

    pub(super) fn open(self: &Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn File> {
        let mut open = super::hold(&self.opened);
        let opened = open.upgrade().unwrap_or_else(|| {
            Arc::new(Opened {
                inode: Arc::clone(self),
                shared: Arc::clone(shared),
                mapped: AtomicBool::new(false),
            })
        });
        *open = Arc::downgrade(&opened);
        Arc::new(SimFile(opened))
    }
}

impl Contents {
    /// Contents of which all is durable.
    pub(super) fn durable(image: Image) -> Contents {
        Contents {
            current: image.clone(),
            durable: image,
            dirty: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    pub(super) fn write(&mut self, start: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.current.write(start, bytes);
        for sector in start / SECTOR..(start + bytes.len()).div_ceil(SECTOR) {
            self.lost.remove(&sector);
            self.dirty.insert(sector);
        }
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.durable.take_sector(&self.current, sector);
        }
    }

    fn fail_sync(&mut self) {
        self.lost.append(&mut self.dirty);
    }

    /// What a disk holds after a power cut: each sector that differs is old, new or torn.
    pub(super) fn cut(&self, chance: &mut Chance) -> Image {
        let mut image = self.durable.clone();
        // A mood for each file, so that "nothing was lost" and "all was" come up too.
        let (keep, of) = match chance.below(6) {
            0 => (0, 1),
            1 => (1, 1),
            2 => (1, 10),
            3 => (9, 10),
            _ => (1, 2),
        };
        for &sector in self.dirty.union(&self.lost) {
            if chance.one_in(5) {
                let mut new = [0; SECTOR];
                let mut old = [0; SECTOR];
                self.current.read(sector * SECTOR, &mut new);
                self.durable.read(sector * SECTOR, &mut old);
                let at = chance.index(SECTOR);
                if chance.one_in(2) {
                    std::mem::swap(&mut new, &mut old);
                }
                new[at..].copy_from_slice(&old[at..]);
                image.write(sector * SECTOR, &new);
            } else if chance.below(of) < keep {
                image.take_sector(&self.current, sector);
            }
        }
        image
    }

    /// The memory that held lost sectors was needed for something else: some are read from the disk
    /// again.
    pub(super) fn evict(&mut self, chance: &mut Chance) {
        for sector in self.lost.clone() {
            if chance.one_in(2) {
                self.lost.remove(&sector);
                self.current.take_sector(&self.durable, sector);
            }
        }
    }
}

#[derive(Debug)]
struct SimFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    inode: Arc<Inode>,
    shared: Arc<Shared>,
    mapped: AtomicBool,
}

impl Opened {
    fn write(&self, start: usize, bytes: &[u8]) {
        let _step = self.shared.begin();
        super::hold(&self.inode.contents).write(start, bytes);
    }
}

impl File for SimFile {
    fn bytes(&self) -> u64 {
        self.0.inode.bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let end = ErrorKind::UnexpectedEof;
        check_inside(self.bytes(), offset, into.len(), end)?;
        self.0.shared.enter(Call::Read)?;
        let start = usize::try_from(offset).map_err(|_| end)?;
        super::hold(&self.0.inode.contents)
            .current
            .read(start, into);
        Ok(())
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> Result<()> {
        let end = ErrorKind::InvalidInput;
        check_inside(self.bytes(), offset, from.len(), end)?;
        if self.0.mapped.load(Ordering::Acquire) {
            return Err(mapped_already());
        }
        let start = usize::try_from(offset).map_err(|_| end)?;
        if let Err(e) = self.0.shared.enter(Call::Write) {
            // What fails in the middle has written its beginning.
            let part = self.0.shared.chance().index(from.len() + 1);
            self.0.write(start, &from[..part]);
            return Err(e);
        }
        self.0.write(start, from);
        self.0.shared.after(Step::Write);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        if let Err(e) = self.0.shared.enter(Call::Sync) {
            let _step = self.0.shared.begin();
            super::hold(&self.0.inode.contents).fail_sync();
            return Err(e);
        }
        let step = self.0.shared.begin();
        super::hold(&self.0.inode.contents).sync();
        drop(step);
        self.0.shared.after(Step::Sync);
        Ok(())
    }

    fn map(&self) -> Result<Arc<Region>> {
        if self.0.mapped.swap(true, Ordering::AcqRel) {
            return Err(mapped_already());
        }
        if let Err(e) = self.0.shared.enter(Call::Map) {
            self.0.mapped.store(false, Ordering::Release);
            return Err(e);
        }
        let size = usize::try_from(self.bytes()).map_err(|_| ErrorKind::OutOfMemory)?;
        let mut content = vec![0; size];
        super::hold(&self.0.inode.contents)
            .current
            .read(0, &mut content);
        let opened = Arc::clone(&self.0);
        let observer: Observer = Box::new(move |region, start, end| {
            if let Some(bytes) = region.get(start, end - start) {
                opened.write(start, bytes);
            }
            opened.shared.after(Step::Append);
        });
        Region::observed(&content, observer)
    }
}

/// The error of a failed call, as the kernel would give it.
pub(super) fn os_error(number: i32) -> Error {
    Error::from_raw_os_error(number)
}
