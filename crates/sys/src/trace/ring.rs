//! The ring of one processor that the kernel writes events into.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::at;

/// A ring, and the events that write into it.
#[derive(Debug)]
pub(crate) struct TraceRing {
    /// Unmapped before the events are closed.
    memory: Memory,
    events: Vec<OwnedFd>,
}

/// What is to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceEvent<'a> {
    /// The number of a trace point.
    pub(crate) trace_point: u64,
    /// What passes, in the language of trace points; all does if it is empty.
    pub(crate) filter: &'a str,
    /// Each how manieth of what passes is told.
    pub(crate) every: u64,
    /// Whether what is told wakes at once, else when the ring is half full.
    pub(crate) is_urgent: bool,
    /// Whether the record has the bytes of the trace point.
    pub(crate) has_bytes: bool,
    /// Whether processes that begin, run something else or end are told as well.
    pub(crate) has_tasks: bool,
    /// How many are told until the event is refreshed; as many as come if there is no number.
    pub(crate) most: Option<u32>,
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

/// Pages of a ring: about 600 events of 104 bytes. A power of two.
const PAGES: usize = 16;
/// Where a page of `struct perf_event_mmap_page` has the writer's place, and the reader's behind it.
const DATA_HEAD: usize = 1024;
/// `PERF_RECORD_LOST`.
const LOST: u32 = 2;
/// Longest record: what its header can say.
const MOST: usize = u16::MAX as usize;

impl TraceRing {
    /// Opens events of a processor, at least one, and lets them begin.
    pub(super) fn open(cpu: u32, wanted: &[TraceEvent<'_>]) -> io::Result<Self> {
        /// `PERF_EVENT_IOC_SET_OUTPUT`.
        const SET_OUTPUT: libc::c_ulong = 0x2405;
        /// `PERF_EVENT_IOC_SET_FILTER`.
        const SET_FILTER: libc::c_ulong = 0x4008_2406;
        let page = rustix::param::page_size();
        let events =
            wanted.iter().map(|event| open(cpu, event, page * PAGES / 2)).collect::<io::Result<Vec<_>>>()?;
        let first = events.first().ok_or(io::ErrorKind::InvalidInput)?;
        let memory = Memory::map(first, page)?;
        for event in &events[1..] {
            control(event, SET_OUTPUT, first.as_raw_fd() as libc::c_ulong)?;
        }
        for (event, wanted) in events.iter().zip(wanted).filter(|(_, wanted)| !wanted.filter.is_empty()) {
            let filter = CString::new(wanted.filter)?;
            control(event, SET_FILTER, filter.as_ptr() as libc::c_ulong)?;
        }
        let ring = Self { memory, events };
        for (number, wanted) in wanted.iter().enumerate() {
            match wanted.most {
                Some(most) => ring.refresh(number, most)?,
                None => ring.enable(number)?,
            }
        }
        Ok(ring)
    }

    /// Switches an event on, one that is limited with what it had left.
    pub(crate) fn enable(&self, event: usize) -> io::Result<()> {
        const ENABLE: libc::c_ulong = 0x2400;
        control(&self.events[event], ENABLE, 0)
    }

    /// Switches an event off, which costs nothing from then on.
    pub(crate) fn disable(&self, event: usize) -> io::Result<()> {
        const DISABLE: libc::c_ulong = 0x2401;
        control(&self.events[event], DISABLE, 0)
    }

    /// Lets so many more be told by a limited event that tells each, and switches it on. It switches itself off after them.
    pub(crate) fn refresh(&self, event: usize, more: u32) -> io::Result<()> {
        const REFRESH: libc::c_ulong = 0x2402;
        /// `PERF_EVENT_IOC_PERIOD`.
        const PERIOD: libc::c_ulong = 0x4008_2404;
        static EACH: u64 = 1;
        control(&self.events[event], REFRESH, more.into())?;
        // Kernels that stop an event of a trace point at its limit start it only when they are told its period.
        control(&self.events[event], PERIOD, (&raw const EACH) as libc::c_ulong)
    }

    /// What becomes readable.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.events[0].as_fd()
    }

    /// Hands over the records that are there, each in `record`. Says how many events were lost.
    pub(crate) fn read(&mut self, record: &mut Vec<u8>, each: &mut impl FnMut(&[u8])) -> u64 {
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

/// Opens an event on a processor, switched off. What is not urgent wakes when `watermark` bytes wait.
fn open(cpu: u32, wanted: &TraceEvent<'_>, watermark: usize) -> io::Result<OwnedFd> {
    const TRACEPOINT: u32 = 2;
    const TID: u64 = 1 << 1;
    const TIME: u64 = 1 << 2;
    const RAW: u64 = 1 << 10;
    const DISABLED: u64 = 1;
    const COMM: u64 = 1 << 9;
    const TASK: u64 = 1 << 13;
    const WATERMARK: u64 = 1 << 14;
    const SAMPLE_ID_ALL: u64 = 1 << 18;
    const CLOEXEC: libc::c_ulong = 8;
    let mut flags = DISABLED;
    if wanted.has_tasks {
        flags |= COMM | TASK | SAMPLE_ID_ALL;
    }
    if !wanted.is_urgent {
        flags |= WATERMARK;
    }
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: wanted.trace_point,
        sample_period: wanted.every,
        sample_type: TID | TIME | if wanted.has_bytes { RAW } else { 0 },
        read_format: 0,
        flags,
        wakeup: if wanted.is_urgent { 1 } else { watermark as u32 },
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
    // SAFETY: the commands that are given take a number, nothing, or the address of a text that ends with zero or of a
    // number of 64 bits, which outlive the call.
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
