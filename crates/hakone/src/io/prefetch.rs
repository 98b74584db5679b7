//! A hint to the processor.
#![expect(
    unsafe_code,
    reason = "an intrinsic that reads nothing that the program could see"
)]

/// Tells the processor that what `at` refers to will be read, so that cache misses overlap.
#[inline(always)]
pub(crate) fn prefetch<T>(at: &T) {
    prefetch_address(std::ptr::from_ref(at).addr());
}

/// As [`prefetch`], for any address, also one that leads nowhere.
#[inline(always)]
pub(crate) fn prefetch_address(address: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint; it reads nothing that the program could see and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
