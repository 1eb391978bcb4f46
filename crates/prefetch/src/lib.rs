//! Asking the processor for memory before it is needed.
//!
//! Tables larger than the caches make every lookup wait for main memory. Whoever works in batches asks for the memory
//! of the whole batch first, and the waits overlap. Reading a word of it early does so too, but a read that has not
//! arrived fills the processor's window after a few; this instruction is done with at once
//! (`docs/decisions/009-prefetch.md` has the measurement). Nothing is read or changed by it.

/// Asks for the line of memory where `at` begins. Without effect on processors other than x86-64.
#[inline(always)]
pub fn prefetch<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "see SAFETY")]
    // SAFETY: the instruction is a hint that accepts any address and never faults; this one comes from a reference.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
