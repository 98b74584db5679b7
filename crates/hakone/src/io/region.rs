//! Memory that is written once, from its start on, and read up to where it has been written.
#![expect(
    unsafe_code,
    reason = "the safe face over raw memory that log segments live in"
)]

use super::pages::Pages;
use super::watermark::Watermark;
use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io::Result;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A run of memory. Any number of threads read what is written; the one [`Appender`] writes what is
/// not. A byte that has been published never changes again.
pub(crate) struct Region {
    pages: Pages,
    bytes: usize,
    /// Bytes before this belong to the readers, the others to the appender.
    written: Watermark,
    has_appender: AtomicBool,
    observer: Option<Observer>,
    /// What must not be dropped before the memory is.
    _keeps: Option<Arc<dyn Any + Send + Sync>>,
}

/// Called with start and end of what was published, after each publish.
pub(super) type Observer = Box<dyn Fn(&Region, usize, usize) + Send + Sync>;

/// The right to append to a [`Region`]. There is one.
pub(crate) struct Appender {
    region: Arc<Region>,
}

impl Region {
    /// Zeroed memory, on huge pages from 2 MiB on. Costs nothing until it is touched.
    ///
    /// # Errors
    /// `InvalidInput` for 0 bytes, else what the kernel says.
    pub(crate) fn anonymous(bytes: usize) -> Result<Arc<Region>> {
        Ok(Arc::new(Region::new(Pages::anonymous(bytes)?, bytes)))
    }

    /// A file's first `bytes`, shared with it; all pages are there when this returns, so that
    /// appending neither faults nor meets a full disk. `keeps` lives as long as the region.
    ///
    /// The caller sees to it that nothing else writes to the file, and that it is not cut.
    pub(super) fn of_file(
        file: &File,
        bytes: usize,
        keeps: Arc<dyn Any + Send + Sync>,
    ) -> Result<Arc<Region>> {
        let pages = Pages::of_file(file, bytes)?;
        Ok(Arc::new(Region {
            _keeps: Some(keeps),
            ..Region::new(pages, bytes)
        }))
    }

    /// Memory that holds `content`, none of it published yet, and tells `observer` of each publish.
    pub(super) fn observed(content: &[u8], observer: Observer) -> Result<Arc<Region>> {
        let pages = Pages::anonymous(content.len())?;
        let region = Arc::new(Region {
            observer: Some(observer),
            ..Region::new(pages, content.len())
        });
        // SAFETY: nothing is published and nobody else has the region.
        unsafe { region.unwritten(0, content.len()) }.copy_from_slice(content);
        Ok(region)
    }

    fn new(pages: Pages, bytes: usize) -> Region {
        Region {
            pages,
            bytes,
            written: Watermark::default(),
            has_appender: AtomicBool::new(false),
            observer: None,
            _keeps: None,
        }
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// How many bytes have been published.
    pub(crate) fn written(&self) -> usize {
        self.written.get() as usize
    }

    /// The right to append; `None` if it has been given away before.
    pub(crate) fn appender(self: &Arc<Self>) -> Option<Appender> {
        let taken = self.has_appender.swap(true, Ordering::Relaxed);
        (!taken).then(|| Appender {
            region: Arc::clone(self),
        })
    }

    /// The published bytes from `start` on; `None` if fewer than `len` are there.
    #[inline]
    pub(crate) fn get(&self, start: usize, len: usize) -> Option<&[u8]> {
        let end = start.checked_add(len)?;
        if end > self.written() {
            return None;
        }
        // SAFETY: `start..end` is inside the mapping and published. Published bytes never change:
        // the appender, the only one to write, writes behind `written` alone. The acquire load of
        // `written` makes what was written before visible.
        Some(unsafe { slice::from_raw_parts(self.pages.start().as_ptr().add(start), len) })
    }

    /// Where it begins in memory: a hint for prefetching, no way to its bytes.
    pub(crate) fn address(&self) -> usize {
        self.pages.start().as_ptr().addr()
    }

    /// # Safety
    /// `start..start + len` must be inside the region and not published, and no other reference to
    /// it may live.
    #[expect(
        clippy::mut_from_ref,
        reason = "the appender's exclusive borrow stands for it"
    )]
    unsafe fn unwritten(&self, start: usize, len: usize) -> &mut [u8] {
        // SAFETY: as the caller promises.
        unsafe { slice::from_raw_parts_mut(self.pages.start().as_ptr().add(start), len) }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("bytes", &self.bytes)
            .field("written", &self.written())
            .finish_non_exhaustive()
    }
}

impl Appender {
    /// The region that it appends to.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// The next `bytes` that are not published, to write to or to look at: they hold what the
    /// memory or the file held before. `None` if fewer are left.
    #[inline]
    pub(crate) fn room(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let written = self.region.written.own() as usize;
        if bytes > self.region.bytes - written {
            return None;
        }
        // SAFETY: inside the region, and behind `written`, which only this appender moves; the
        // borrow of `self` keeps it from moving and from giving out the room twice.
        Some(unsafe { self.region.unwritten(written, bytes) })
    }

    /// Gives the next `bytes` of the room to the readers.
    ///
    /// # Panics
    /// If the region ends before.
    #[inline]
    pub(crate) fn publish(&mut self, bytes: usize) {
        let start = self.region.written.own() as usize;
        assert!(
            bytes <= self.region.bytes - start,
            "publish {bytes} bytes at {start} of {}",
            self.region.bytes
        );
        let end = start + bytes;
        self.region.written.set(end as u64);
        if let Some(observer) = &self.region.observer {
            observer(&self.region, start, end);
        }
    }
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Appender").field(&self.region).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn only_published_bytes_are_read() {
        let region = Region::anonymous(100).unwrap();
        let mut appender = region.appender().unwrap();
        appender.room(5).unwrap().copy_from_slice(b"hello");
        assert_eq!(region.get(0, 1), None);
        assert_eq!(region.get(0, 0), Some(&b""[..]));
        appender.publish(4);
        assert_eq!(region.get(0, 4), Some(&b"hell"[..]));
        assert_eq!(region.get(1, 4), None);
        assert_eq!(region.get(4, 0), Some(&b""[..]));
        assert_eq!(region.get(5, 0), None);
        assert_eq!(region.get(usize::MAX, 2), None);
        assert_eq!(appender.room(1).unwrap(), b"o", "room keeps what it held");
        assert_eq!(region.written(), 4);
    }

    #[test]
    fn room_ends_with_the_region() {
        let region = Region::anonymous(10).unwrap();
        let mut appender = region.appender().unwrap();
        assert!(appender.room(11).is_none());
        assert_eq!(appender.room(10).unwrap().len(), 10);
        appender.publish(10);
        assert!(appender.room(1).is_none());
        assert!(appender.room(0).unwrap().is_empty());
        assert_eq!(region.get(0, 10), Some(&[0; 10][..]));
    }

    #[test]
    #[should_panic(expected = "publish 11 bytes at 0 of 10")]
    fn no_publish_beyond_the_end() {
        let region = Region::anonymous(10).unwrap();
        region.appender().unwrap().publish(11);
    }

    #[test]
    fn there_is_one_appender() {
        let region = Region::anonymous(10).unwrap();
        let appender = region.appender();
        assert!(appender.is_some());
        assert!(region.appender().is_none());
        drop(appender);
        assert!(region.appender().is_none());
    }

    #[test]
    fn no_region_without_bytes() {
        assert!(Region::anonymous(0).is_err());
        assert!(Region::anonymous(usize::MAX).is_err());
        assert!(Region::anonymous(usize::MAX - 4096).is_err());
    }

    #[test]
    fn large_regions_stand_on_huge_pages() {
        for bytes in [2 << 20, (2 << 20) + 1, 64 << 20] {
            let region = Region::anonymous(bytes).unwrap();
            assert_eq!(region.pages.start().addr().get() % (2 << 20), 0);
            assert_eq!(region.len(), bytes);
            let mut appender = region.appender().unwrap();
            appender.room(bytes).unwrap()[bytes - 1] = 7;
            appender.publish(bytes);
            assert_eq!(region.get(bytes - 1, 1), Some(&[7][..]));
        }
    }

    #[test]
    fn observer_hears_of_each_publish() {
        static HEARD: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());
        let observer: Observer = Box::new(|region, start, end| {
            assert_eq!(region.written(), end);
            HEARD.lock().unwrap().push((start, end));
        });
        let region = Region::observed(b"0123456789", observer).unwrap();
        assert_eq!(region.written(), 0);
        let mut appender = region.appender().unwrap();
        assert_eq!(appender.room(3).unwrap(), b"012");
        appender.publish(3);
        appender.publish(2);
        assert_eq!(*HEARD.lock().unwrap(), [(0, 3), (3, 5)]);
        assert_eq!(appender.region().get(2, 3), Some(&b"234"[..]));
    }

    #[test]
    fn readers_on_other_threads_see_whole_records() {
        let region = Region::anonymous(64 << 10).unwrap();
        let mut appender = region.appender().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut seen = 0;
                    while seen < region.len() {
                        let written = region.written();
                        assert_eq!(written % 8, 0);
                        for start in (seen..written).step_by(8) {
                            let number = (start as u64 + 1).to_le_bytes();
                            assert_eq!(region.get(start, 8), Some(&number[..]));
                        }
                        seen = written;
                    }
                });
            }
            for start in (0..region.len() as u64).step_by(8) {
                let room = appender.room(8).unwrap();
                room.copy_from_slice(&(start + 1).to_le_bytes());
                appender.publish(8);
            }
        });
    }
}
