//! A block of packets that the kernel has handed over, and the frames in it.

use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket3_hdr};

use super::TAG;
use super::map::Mapping;

/// Packets, lent out of the ring: they go back to the kernel when this is dropped.
#[derive(Debug)]
pub struct Block<'a> {
    start: NonNull<u8>,
    size: usize,
    blocks: usize,
    ring: PhantomData<&'a mut Mapping>,
}

/// The frames of a block, in the order in which they came.
#[derive(Debug)]
pub struct Frames<'b> {
    start: NonNull<u8>,
    size: usize,
    /// Where the next one's header is.
    at: usize,
    left: u32,
    block: PhantomData<&'b mut ()>,
}

/// A packet in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// The bytes that were captured.
    pub bytes: &'b [u8],
    /// Bytes the packet has on the wire, at least as many. A packet that will be cut into segments by the device, or was
    /// put together by it, has those of all segments.
    pub wire_len: u32,
    /// When, in nanoseconds since 1970.
    pub at: i64,
    /// Whether its outermost VLAN tag was put back: the socket's filter has not seen it.
    pub is_tagged: bool,
}

const STATUS: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, block_status);
const PACKETS: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, num_pkts);
const FIRST: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
/// Both addresses of Ethernet: the tag stands behind them.
const ADDRESSES: usize = 12;
/// The type of a tag when the kernel does not tell it: IEEE 802.1Q.
const DOT1Q: u16 = 0x8100;

impl Block<'_> {
    /// Block `number`, if the kernel has handed it over.
    #[inline]
    pub(super) fn lend(map: &mut Mapping, number: usize) -> Option<Self> {
        let block =
            Self { start: map.at(number)?, size: map.block(), blocks: map.count(), ring: PhantomData };
        if block.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0 {
            return Some(block);
        }
        // It was not lent: it must not go back.
        std::mem::forget(block);
        None
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// How many packets are in it.
    #[inline]
    pub fn packets(&self) -> u32 {
        word(self.start, PACKETS)
    }

    /// The packets.
    #[inline]
    pub fn frames(&mut self) -> Frames<'_> {
        let at = word(self.start, FIRST) as usize;
        Frames { start: self.start, size: self.size, at, left: self.packets(), block: PhantomData }
    }

    #[inline]
    fn status(&self) -> &AtomicU32 {
        // SAFETY: a block begins on a page and is larger than its description, so the status lies in it and is aligned;
        // it lives as long as the mapping, which is borrowed; and the kernel, too, accesses it atomically.
        #[allow(unsafe_code)]
        unsafe {
            self.start.add(STATUS).cast().as_ref()
        }
    }
}

impl Drop for Block<'_> {
    #[inline]
    fn drop(&mut self) {
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// A number of the block's description.
#[inline]
fn word(start: NonNull<u8>, offset: usize) -> u32 {
    // SAFETY: the offset is one of a member of the description, with which the block begins, aligned as it is; the
    // kernel does not write to a block that it has handed over.
    #[allow(unsafe_code)]
    unsafe {
        start.add(offset).cast().read()
    }
}

impl<'b> Iterator for Frames<'b> {
    type Item = Frame<'b>;

    /// What the kernel says of offsets and lengths is believed only as far as it stays within the block.
    #[inline]
    fn next(&mut self) -> Option<Frame<'b>> {
        self.left = self.left.checked_sub(1)?;
        if !self.at.is_multiple_of(align_of::<tpacket3_hdr>())
            || self.at + size_of::<tpacket3_hdr>() > self.size
        {
            self.left = 0;
            return None;
        }
        // SAFETY: the header lies in the block and is aligned, as was checked; nobody else writes to it as long as the
        // block is lent, of which there is one borrow that may change it: ours.
        #[allow(unsafe_code)]
        let header: &mut tpacket3_hdr = unsafe { self.start.add(self.at).cast().as_mut() };
        let taken = header.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
        let begin = self.at + usize::from(header.tp_mac);
        let end = begin + header.tp_snaplen as usize;
        if end > self.size || usize::from(header.tp_mac) < size_of::<tpacket3_hdr>() + TAG {
            self.left = 0;
            return None;
        }
        let mut frame = Frame {
            bytes: &[],
            wire_len: header.tp_len.max(header.tp_snaplen),
            at: i64::from(header.tp_sec) * 1_000_000_000 + i64::from(header.tp_nsec),
            is_tagged: false,
        };
        let mut first = begin;
        if taken && header.tp_snaplen as usize >= ADDRESSES {
            let kind = if header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0 {
                header.hv1.tp_vlan_tpid
            } else {
                DOT1Q
            };
            let [a, b] = kind.to_be_bytes();
            let [c, d] = (header.hv1.tp_vlan_tci as u16).to_be_bytes();
            first = begin - TAG;
            // SAFETY: the four bytes before the frame are the socket's reserve, behind the header as was checked, and the
            // frame has both addresses: all that is written lies in the block, before `end`. No frame that was given
            // away reaches here: frames lie one behind the other.
            #[allow(unsafe_code)]
            unsafe {
                let to = self.start.add(first).as_ptr();
                std::ptr::copy(to.add(TAG), to, ADDRESSES);
                to.add(ADDRESSES).cast::<[u8; TAG]>().write_unaligned([a, b, c, d]);
            }
            // A second walk finds the frame as it is now.
            header.tp_status &= !libc::TP_STATUS_VLAN_VALID;
            header.tp_mac -= TAG as u16;
            header.tp_snaplen += TAG as u32;
            header.tp_len += TAG as u32;
            frame.wire_len += TAG as u32;
            frame.is_tagged = true;
        }
        let next = header.tp_next_offset as usize;
        // SAFETY: the bytes lie in the block, as was checked; nobody writes to them as long as the block is lent.
        #[allow(unsafe_code)]
        let bytes = unsafe { slice::from_raw_parts(self.start.add(first).as_ptr(), end - first) };
        frame.bytes = bytes;
        // The next one is behind this one, whatever the kernel says.
        self.at = if self.at + next < end { self.size } else { self.at + next };
        Some(frame)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}
