//! Pages: a mapping of anonymous memory or of a file, given back when dropped.
#![expect(
    unsafe_code,
    reason = "asks the kernel for memory; the callers make it safe"
)]

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::ptr::{NonNull, null_mut};

/// What a transparent huge page holds, in bytes.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// Smallest unit in which memory is mapped and populated, in bytes.
const PAGE: usize = 4096;

/// Readable and writable memory at an address that stays. Who may touch which byte of it is the
/// business of the type that holds it.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is memory that belongs to no thread; it hands out no reference.
unsafe impl Send for Pages {}
// SAFETY: as above; `start` is all that a shared reference gives.
unsafe impl Sync for Pages {}

impl Pages {
    /// Zeroed memory, on huge pages and aligned to them from 2 MiB on. Costs nothing until touched.
    pub(super) fn anonymous(bytes: usize) -> Result<Pages> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        if bytes < HUGE_PAGE {
            return map(bytes, flags, -1);
        }
        let more = bytes.checked_add(HUGE_PAGE).ok_or_else(too_large)?;
        let wide = map(more, flags, -1)?;
        let pages = wide.aligned(bytes);
        // SAFETY: the range is a mapping of our own. Advice: where the kernel refuses, pages are small.
        unsafe {
            libc::madvise(
                pages.start.as_ptr().cast(),
                pages.bytes,
                libc::MADV_HUGEPAGE,
            )
        };
        Ok(pages)
    }

    /// The first `bytes` of a file, shared with it. Every page is resident and writable.
    pub(super) fn of_file(file: &File, bytes: usize) -> Result<Pages> {
        if file.metadata()?.len() < bytes as u64 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let pages = map(bytes, libc::MAP_SHARED, file.as_raw_fd())?;
        // SAFETY: the range is a mapping of our own; populating changes no byte of it.
        let populated = unsafe {
            libc::madvise(
                pages.start.as_ptr().cast(),
                bytes,
                libc::MADV_POPULATE_WRITE,
            )
        };
        if populated != 0 {
            match Error::last_os_error() {
                // Kernels before 5.14 don't know the advice.
                e if e.raw_os_error() == Some(libc::EINVAL) => pages.touch(),
                e => return Err(e),
            }
        }
        Ok(pages)
    }

    /// The first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes each page's first byte back to itself. Only before anybody else has the memory.
    fn touch(&self) {
        for page in (0..self.bytes).step_by(PAGE) {
            // SAFETY: inside the mapping, which nobody else has yet; volatile, so that it happens.
            unsafe {
                let byte = self.start.as_ptr().add(page);
                byte.write_volatile(byte.read_volatile());
            }
        }
    }

    /// Cuts a mapping of `bytes + HUGE_PAGE` to `bytes` from a huge page's start on.
    fn aligned(self, bytes: usize) -> Pages {
        let bytes = bytes.next_multiple_of(PAGE);
        let head = self.start.align_offset(HUGE_PAGE);
        let tail = self.bytes.next_multiple_of(PAGE) - head - bytes;
        let whole = std::mem::ManuallyDrop::new(self);
        // SAFETY: head, kept part and tail are page-aligned and tile the mapping.
        let start = unsafe { whole.start.add(head) };
        if head > 0 {
            // SAFETY: only the head, which nobody has seen.
            unsafe { libc::munmap(whole.start.as_ptr().cast(), head) };
        }
        if tail > 0 {
            // SAFETY: only the tail, which nobody has seen.
            unsafe { libc::munmap(start.as_ptr().add(bytes).cast(), tail) };
        }
        Pages { start, bytes }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this size, and unmapped once.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

fn map(bytes: usize, flags: libc::c_int, fd: libc::c_int) -> Result<Pages> {
    if bytes == 0 {
        return Err(ErrorKind::InvalidInput.into());
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping where the kernel likes; no memory in use changes.
    let start = unsafe { libc::mmap(null_mut(), bytes, access, flags, fd, 0) };
    if start == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    let start = NonNull::new(start.cast()).ok_or_else(Error::last_os_error)?;
    Ok(Pages { start, bytes })
}

fn too_large() -> Error {
    Error::from(ErrorKind::OutOfMemory)
}
