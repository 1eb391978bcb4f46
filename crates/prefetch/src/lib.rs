//! Asking the processor for memory before it is needed.
//!
//! Tables larger than the caches make every lookup wait for main memory. Whoever works in batches asks for the memory
//! of the whole batch first, and the waits overlap. Reading a word of it early does so too, but a read that has not
//! arrived fills the processor's window after a few; this instruction is done with at once
//! (`docs/decisions/009-prefetch.md` has the measurement). Nothing is read or changed by it.

/// Bytes of a line of memory.
const LINE: usize = 64;

/// Asks for the line of memory where `at` begins. Without effect on processors other than x86-64.
#[inline]
pub fn prefetch<T>(at: &T) {
    line(at, 0);
}

/// As [`prefetch`], for every line of memory that `at` lies in.
#[inline]
pub fn prefetch_all<T>(at: &T) {
    for offset in (0..size_of::<T>()).step_by(LINE) {
        line(at, offset);
    }
    line(at, size_of::<T>().saturating_sub(1));
}

#[inline(always)]
fn line<T>(at: &T, offset: usize) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: the instruction is a hint that accepts any address and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).wrapping_byte_add(offset).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, offset);
}
