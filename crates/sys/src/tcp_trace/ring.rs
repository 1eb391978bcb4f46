//! The ring of one processor that the kernel writes events into.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{LOST, at};

/// A ring, and the two events that write into it.
#[derive(Debug)]
pub(super) struct TraceRing {
    /// Unmapped before the events are closed.
    memory: Memory,
    events: [OwnedFd; 2],
}

/// A page that tells where reader and writer are, and the pages of the ring behind it.
#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    page: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and nobody else has the pointer.
#[allow(unsafe_code)]
unsafe impl Send for Memory {}

/// `struct perf_event_attr` of the first version, which all kernels take.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    config1: u64,
}

/// Pages of a ring: about 300 events of 104 bytes. A power of two.
const PAGES: usize = 8;
/// Where a page of `struct perf_event_mmap_page` has the writer's place, and the reader's behind it.
const DATA_HEAD: usize = 1024;
/// Longest record: what its header can say.
const MOST: usize = u16::MAX as usize;

impl TraceRing {
    /// Opens the events of a processor that pass the filters. The first wakes at each event, the second when the ring
    /// is half full.
    pub(super) fn open(cpu: u32, trace_point: u64, filters: [&str; 2]) -> io::Result<Self> {
        /// `PERF_EVENT_IOC_SET_OUTPUT`.
        const SET_OUTPUT: libc::c_ulong = 0x2405;
        /// `PERF_EVENT_IOC_SET_FILTER`.
        const SET_FILTER: libc::c_ulong = 0x4008_2406;
        /// `PERF_EVENT_IOC_ENABLE`.
        const ENABLE: libc::c_ulong = 0x2400;
        let page = rustix::param::page_size();
        let events = [open(cpu, trace_point, None)?, open(cpu, trace_point, Some(page * PAGES / 2))?];
        let memory = Memory::map(&events[0], page)?;
        control(&events[1], SET_OUTPUT, events[0].as_raw_fd() as libc::c_ulong)?;
        for (event, filter) in events.iter().zip(filters) {
            let filter = CString::new(filter)?;
            control(event, SET_FILTER, filter.as_ptr() as libc::c_ulong)?;
        }
        for event in &events {
            control(event, ENABLE, 0)?;
        }
        Ok(Self { memory, events })
    }

    /// What becomes readable.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.events[0].as_fd()
    }

    /// Hands over the records that are there, each in `record`. Says how many events were lost.
    pub(super) fn read(&mut self, record: &mut Vec<u8>, each: &mut impl FnMut(&[u8])) -> u64 {
        let (head, tail) = self.memory.places();
        let (end, mut place, mut lost) = (head.load(Ordering::Acquire), tail.load(Ordering::Relaxed), 0);
        while place != end {
            self.memory.copy(place, 8, record);
            let len = at(record, 6).map_or(0, u16::from_ne_bytes);
            if len < 8 || u64::from(len) > end.wrapping_sub(place) {
                // The kernel does not write such; what is left of the ring is passed over.
                place = end;
                lost += 1;
                break;
            }
            self.memory.copy(place, usize::from(len), record);
            if at(record, 0).map(u32::from_ne_bytes) == Some(LOST) {
                lost += at(record, 16).map_or(1, u64::from_ne_bytes);
            } else {
                each(record);
            }
            place = place.wrapping_add(u64::from(len));
        }
        tail.store(place, Ordering::Release);
        lost
    }
}

/// Opens the event of a trace point on a processor, switched off. With `watermark` it wakes when so many bytes wait,
/// else at once.
fn open(cpu: u32, trace_point: u64, watermark: Option<usize>) -> io::Result<OwnedFd> {
    const TRACEPOINT: u32 = 2;
    const TID: u64 = 1 << 1;
    const TIME: u64 = 1 << 2;
    const RAW: u64 = 1 << 10;
    const DISABLED: u64 = 1;
    const WATERMARK: u64 = 1 << 14;
    const CLOEXEC: libc::c_ulong = 8;
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: trace_point,
        sample_period: 1,
        sample_type: TID | TIME | RAW,
        read_format: 0,
        flags: DISABLED | if watermark.is_some() { WATERMARK } else { 0 },
        wakeup: watermark.map_or(1, |bytes| bytes as u32),
        breakpoint: 0,
        config1: 0,
    };
    // SAFETY: the attributes are of the size that they say, and outlive the call, which keeps nothing of them.
    #[allow(unsafe_code)]
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attributes, -1, cpu as libc::c_int, -1, CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

fn control(event: &OwnedFd, command: libc::c_ulong, argument: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the commands that are given take a descriptor, nothing, or the address of a text that ends with zero and
    // outlives the call.
    #[allow(unsafe_code)]
    let result = unsafe { libc::ioctl(event.as_raw_fd(), command as _, argument) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Memory {
    fn map(event: &OwnedFd, page: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that is in use.
        #[allow(unsafe_code)]
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                (PAGES + 1) * page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, page })
    }

    /// How far the writer and the reader have come; they only grow.
    fn places(&self) -> (&AtomicU64, &AtomicU64) {
        // SAFETY: both are aligned numbers in the first page of the mapping, which lives as long as `self`; the kernel
        // writes the first and reads the second as atomics do.
        #[allow(unsafe_code)]
        unsafe {
            let head = self.start.add(DATA_HEAD).cast::<AtomicU64>();
            (head.as_ref(), head.add(1).as_ref())
        }
    }

    /// Copies `len` bytes of the ring, at most [`MOST`], into `out`.
    fn copy(&self, from: u64, len: usize, out: &mut Vec<u8>) {
        let size = PAGES * self.page;
        let len = len.min(MOST).min(size);
        let begin = (from % size as u64) as usize;
        let first = len.min(size - begin);
        out.clear();
        out.reserve(len);
        // SAFETY: both pieces are inside the ring, which is `size` bytes behind the first page; the kernel writes there
        // again only when the reader's place was moved. `out` has room for both.
        #[allow(unsafe_code)]
        unsafe {
            let ring = self.start.add(self.page).as_ptr();
            ptr::copy_nonoverlapping(ring.add(begin), out.as_mut_ptr(), first);
            ptr::copy_nonoverlapping(ring, out.as_mut_ptr().add(first), len - first);
            out.set_len(len);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, and what borrowed from it is gone.
        #[allow(unsafe_code)]
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), (PAGES + 1) * self.page);
        }
    }
}
