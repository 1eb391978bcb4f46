//! Capture files written to the end of a vector, from which the caller takes the bytes away as it likes.

use super::pcap::NANOS_PER_SECOND;
use super::{ByteOrder, Interface, MAX_INTERFACES, MAX_PACKET, Packet, PcapHeader, WriteError, pcapng};
use crate::LinkType;

/// Writes the classic format.
#[derive(Clone, Copy, Debug)]
pub struct PcapWriter {
    header: PcapHeader,
}

impl PcapWriter {
    /// Begins a file: appends its header to `out`.
    pub fn new(header: PcapHeader, out: &mut Vec<u8>) -> Self {
        header.write(out);
        Self { header }
    }

    /// Appends a packet, cut to the snap length and [`MAX_PACKET`].
    pub fn packet(&self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let PcapHeader { link, snap_len, precision, order } = self.header;
        if packet.link != link {
            return Err(WriteError::Link { packet: packet.link, file: link });
        }
        let seconds = packet.at.div_euclid(NANOS_PER_SECOND);
        let seconds = u32::try_from(seconds).map_err(|_| WriteError::Time(packet.at))?;
        let nanos = packet.at.rem_euclid(NANOS_PER_SECOND) as u32;
        let (bytes, wire_len) = cut(packet, snap_len);
        for field in [seconds, nanos / precision.nanos(), bytes.len() as u32, wire_len] {
            order.put_u32(field, out);
        }
        out.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes the block format: one section, times in nanoseconds.
#[derive(Clone, Debug)]
pub struct PcapngWriter {
    order: ByteOrder,
    /// Link type and snap length of each.
    interfaces: Vec<(LinkType, u32)>,
}

impl PcapngWriter {
    /// Begins a file: appends the header of its section to `out`.
    pub fn new(order: ByteOrder, out: &mut Vec<u8>) -> Self {
        let writer = Self { order, interfaces: Vec::new() };
        writer.block(pcapng::SECTION_HEADER, out, |out| {
            order.put_u32(pcapng::BYTE_ORDER_MAGIC, out);
            order.put_u16(1, out);
            order.put_u16(0, out);
            order.put_u64(u64::MAX, out); // the length of the section is not known
        });
        writer
    }

    /// Appends the description of an interface and gives the number by which packets name it: 0, 1 and so on, so
    /// that describing all that a reader saw keeps their numbers.
    pub fn interface(&mut self, interface: &Interface, out: &mut Vec<u8>) -> Result<u32, WriteError> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(WriteError::Interfaces);
        }
        self.block(pcapng::INTERFACE_DESCRIPTION, out, |out| {
            self.order.put_u16(interface.link.0, out);
            self.order.put_u16(0, out);
            self.order.put_u32(interface.snap_len, out);
            if let Some(name) = &interface.name {
                let kept = name.get(..name.floor_char_boundary(pcapng::MAX_NAME)).unwrap_or_default();
                self.option(pcapng::OPTION_IF_NAME, kept.as_bytes(), out);
            }
            self.option(pcapng::OPTION_IF_TSRESOL, &[9], out);
            self.option(0, &[], out);
        });
        self.interfaces.push((interface.link, interface.snap_len));
        Ok(self.interfaces.len() as u32 - 1)
    }

    /// Appends a packet of an interface that was described, cut to its snap length and [`MAX_PACKET`].
    pub fn packet(&self, packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let &(link, snap_len) = self.described(packet.interface)?;
        if packet.link != link {
            return Err(WriteError::Link { packet: packet.link, file: link });
        }
        let at = u64::try_from(packet.at).map_err(|_| WriteError::Time(packet.at))?;
        let (bytes, wire_len) = cut(packet, snap_len);
        self.block(pcapng::ENHANCED_PACKET, out, |out| {
            self.order.put_u32(packet.interface, out);
            self.time(at, out);
            self.order.put_u32(bytes.len() as u32, out);
            self.order.put_u32(wire_len, out);
            out.extend_from_slice(bytes);
            pad(bytes.len(), out);
        });
        Ok(())
    }

    /// Appends what `interface`, described under that `number`, received and dropped until `at`, in nanoseconds since
    /// 1970.
    pub fn statistics(
        &self,
        number: u32,
        interface: &Interface,
        at: i64,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        self.described(number)?;
        let at = u64::try_from(at).map_err(|_| WriteError::Time(at))?;
        self.block(pcapng::INTERFACE_STATISTICS, out, |out| {
            self.order.put_u32(number, out);
            self.time(at, out);
            let counts = [
                (pcapng::OPTION_ISB_IFRECV, interface.received),
                (pcapng::OPTION_ISB_IFDROP, interface.dropped),
            ];
            for (code, count) in counts {
                if let Some(count) = count {
                    self.order.put_u16(code, out);
                    self.order.put_u16(8, out);
                    self.order.put_u64(count, out);
                }
            }
            self.option(0, &[], out);
        });
        Ok(())
    }

    fn described(&self, number: u32) -> Result<&(LinkType, u32), WriteError> {
        self.interfaces.get(number as usize).ok_or(WriteError::Interface(number))
    }

    /// A block around what `body` appends, a multiple of four bytes.
    fn block(&self, kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        self.order.put_u32(kind, out);
        let length_at = out.len();
        self.order.put_u32(0, out);
        body(out);
        let end = out.len();
        self.order.put_u32((end + 4 - start) as u32, out);
        out.copy_within(end.., length_at);
    }

    fn option(&self, code: u16, value: &[u8], out: &mut Vec<u8>) {
        self.order.put_u16(code, out);
        self.order.put_u16(value.len() as u16, out);
        out.extend_from_slice(value);
        pad(value.len(), out);
    }

    /// A time: its upper half comes first in either order.
    fn time(&self, at: u64, out: &mut Vec<u8>) {
        self.order.put_u32((at >> 32) as u32, out);
        self.order.put_u32(at as u32, out);
    }
}

/// The bytes to write and the length on the wire.
fn cut<'a>(packet: &Packet<'a>, snap_len: u32) -> (&'a [u8], u32) {
    let most = if snap_len == 0 { MAX_PACKET } else { snap_len.min(MAX_PACKET) };
    let had = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
    let bytes = packet.bytes.get(..most as usize).unwrap_or(packet.bytes);
    (bytes, packet.wire_len.max(had))
}

/// Zeros after `len` bytes up to a multiple of four.
fn pad(len: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + len.wrapping_neg() % 4, 0);
}
