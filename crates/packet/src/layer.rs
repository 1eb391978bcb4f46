//! The layers of one packet: which header lies where.

/// The link types of capture files that are decoded, by their number in the registry of tcpdump.org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

/// What a header is; its name is the one in a flow's layers path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LayerKind {
    /// Ethernet II or 802.3.
    Ethernet,
}

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Where the header begins, in bytes from the start of the packet.
    pub start: u32,
    /// Where its payload ends: the end of the captured bytes, or sooner when a length field says so.
    pub end: u32,
    /// Bytes of the header itself.
    pub header: u16,
    /// What it is.
    pub kind: LayerKind,
}

/// Why the layers end where they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The rest is payload.
    Payload,
}

/// The layers of a packet, outermost first.
#[derive(Clone, Debug)]
pub struct Layers {
    items: [Layer; Layers::MAX],
    len: u8,
    end: End,
}

impl Layers {
    /// The depth to which packets are decoded.
    pub const MAX: usize = 32;

    /// The layers.
    pub fn as_slice(&self) -> &[Layer] {
        self.items.get(..self.len.into()).unwrap_or_default()
    }

    /// Why they end.
    pub fn end(&self) -> End {
        self.end
    }
}
