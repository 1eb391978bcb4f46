//! Neighbours and entries of forwarding databases (`struct ndmsg`).

use std::net::IpAddr;

use super::attr::{Attrs, Tally, fixed};
use super::link::HwAddr;

/// One neighbour (ARP, NDP) or one entry of a forwarding database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighFacts {
    /// Whether it is an entry of a forwarding database (`AF_BRIDGE`).
    pub is_fdb: bool,
    /// The interface.
    pub index: u32,
    /// Link-layer address, absent while unresolved.
    pub mac: Option<HwAddr>,
    /// Network address; for a VXLAN entry the remote end.
    pub ip: Option<IpAddr>,
    /// `NUD_*` bits.
    pub state: u16,
    /// `NTF_*` bits.
    pub flags: u8,
    /// VLAN of a bridge entry.
    pub vlan: Option<u16>,
    /// Network identifier of a VXLAN entry.
    pub vni: Option<u32>,
    /// The bridge that holds the entry.
    pub master: Option<u32>,
    /// Outgoing interface of a VXLAN entry.
    pub via: Option<u32>,
}

impl NeighFacts {
    /// Names of the bits of `flags`.
    pub const FLAG_NAMES: [(u8, &'static str); 7] = [
        (0x01, "NTF_USE"),
        (0x02, "NTF_SELF"),
        (0x04, "NTF_MASTER"),
        (0x08, "NTF_PROXY"),
        (0x10, "NTF_EXT_LEARNED"),
        (0x20, "NTF_OFFLOADED"),
        (0x80, "NTF_ROUTER"),
    ];

    /// Names of the bits of `state`.
    pub const STATE_NAMES: [(u16, &'static str); 8] = [
        (0x01, "NUD_INCOMPLETE"),
        (0x02, "NUD_REACHABLE"),
        (0x04, "NUD_STALE"),
        (0x08, "NUD_DELAY"),
        (0x10, "NUD_PROBE"),
        (0x20, "NUD_FAILED"),
        (0x40, "NUD_NOARP"),
        (0x80, "NUD_PERMANENT"),
    ];

    /// Whether both speak of the same entry, however its state differs.
    pub fn is_same_entry(&self, other: &Self) -> bool {
        const NTF_PROXY: u8 = 0x08;
        if self.is_fdb != other.is_fdb || self.index != other.index || self.ip != other.ip {
            return false;
        }
        if self.is_fdb {
            self.mac == other.mac
                && self.vlan == other.vlan
                && self.vni == other.vni
                && self.master == other.master
        } else {
            (self.flags ^ other.flags) & NTF_PROXY == 0
        }
    }
}

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_VLAN: u16 = 5;
const NDA_VNI: u16 = 7;
const NDA_IFINDEX: u16 = 8;
const NDA_MASTER: u16 = 9;
const NDA_SRC_VNI: u16 = 11;

pub(super) fn parse(body: &[u8], tally: &Tally) -> Option<NeighFacts> {
    let [family, ..]: [u8; 12] = fixed(body)?;
    let is_fdb = family == libc::AF_BRIDGE as u8;
    if !is_fdb && family != libc::AF_INET as u8 && family != libc::AF_INET6 as u8 {
        return None;
    }
    let mut facts = NeighFacts {
        is_fdb,
        index: u32::from_ne_bytes(fixed(body.get(4..)?)?),
        mac: None,
        ip: None,
        state: u16::from_ne_bytes(fixed(body.get(8..)?)?),
        flags: *body.get(10)?,
        vlan: None,
        vni: None,
        master: None,
        via: None,
    };
    for attr in Attrs::new(body.get(12..)?, tally) {
        match attr.kind {
            NDA_DST => facts.ip = attr.ip(),
            NDA_LLADDR => facts.mac = HwAddr::with_zero(attr.value),
            NDA_VLAN => facts.vlan = attr.u16(),
            NDA_VNI => facts.vni = attr.u32(),
            NDA_SRC_VNI => facts.vni = facts.vni.or(attr.u32()),
            NDA_IFINDEX => facts.via = attr.u32(),
            NDA_MASTER => facts.master = attr.u32(),
            _ => {}
        }
    }
    Some(facts)
}
