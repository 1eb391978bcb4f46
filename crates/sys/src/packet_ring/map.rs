//! The memory of a ring, mapped.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};

/// Memory that is shared with the kernel: blocks of one size, one behind the other.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    block: usize,
    count: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and nobody else has the pointer.
#[allow(unsafe_code)]
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the ring of a socket, which has `count` blocks of `block` bytes.
    pub(super) fn new(fd: &impl AsFd, block: usize, count: usize) -> io::Result<Self> {
        let bytes = block * count;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that is in use.
        #[allow(unsafe_code)]
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, block, count })
    }

    /// Bytes of all blocks.
    pub(super) fn bytes(&self) -> usize {
        self.block * self.count
    }

    /// Bytes of a block.
    #[inline]
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// How many blocks there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Where a block begins; `None` when there is none of that number.
    #[inline]
    pub(super) fn at(&self, number: usize) -> Option<NonNull<u8>> {
        if number >= self.count {
            return None;
        }
        // SAFETY: the offset is smaller than the mapping.
        #[allow(unsafe_code)]
        Some(unsafe { self.start.add(number * self.block) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, and what borrowed from it is gone.
        #[allow(unsafe_code)]
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.bytes());
        }
    }
}
