//! Interfaces (`struct ifinfomsg`).

use std::fmt;

use smol_str::{SmolStr, SmolStrBuilder, format_smolstr};

use super::attr::{Attr, Attrs, Tally, fixed};
use super::kinds::{self, Detail};
use super::stats::LinkStats;

/// Everything the kernel tells about one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkFacts {
    /// Number, unique in its namespace while it lives.
    pub index: u32,
    /// Name.
    pub name: SmolStr,
    /// Further names.
    pub alt_names: Vec<SmolStr>,
    /// Description set by somebody.
    pub alias: Option<SmolStr>,
    /// Kind as the kernel spells it (`veth`, `bridge`); absent for physical ports and `lo`.
    pub kind: Option<SmolStr>,
    /// What only this kind tells.
    pub details: Vec<Detail>,
    /// Hardware type (`ARPHRD_*`), named by [`encap_name`].
    pub hardware: u16,
    /// `IFF_*`.
    pub flags: u32,
    /// Maximum transmission unit.
    pub mtu: u32,
    /// Link-layer address.
    pub mac: Option<HwAddr>,
    /// Link-layer address burnt in.
    pub perm_mac: Option<HwAddr>,
    /// Operational state.
    pub oper_state: OperState,
    /// Whether there is a carrier.
    pub carrier: Option<bool>,
    /// The interface it is a member of.
    pub master: Option<u32>,
    /// Kind of the interface it is a member of.
    pub slave_kind: Option<SmolStr>,
    /// What only members of that kind tell.
    pub slave_details: Vec<Detail>,
    /// The interface below it, or the other end of a veth.
    pub link: Option<u32>,
    /// Id of the namespace in which `link` counts, as seen in this namespace; absent when it is this one.
    pub link_netnsid: Option<i32>,
    /// Queues for sending.
    pub tx_queues: Option<u32>,
    /// Queues for receiving.
    pub rx_queues: Option<u32>,
    /// How many want it promiscuous.
    pub promiscuity: u32,
    /// Group number, 0 is the default one.
    pub group: u32,
    /// Queueing discipline at the root.
    pub qdisc: Option<SmolStr>,
    /// Device below the interface (`0000:03:00.0`).
    pub parent_dev: Option<SmolStr>,
    /// Bus of that device (`pci`).
    pub parent_bus: Option<SmolStr>,
    /// Name of the port on its switch.
    pub port_name: Option<SmolStr>,
    /// Number of virtual functions; `vfs` describes them when they were asked for.
    pub num_vf: Option<u32>,
    /// Virtual functions. Notifications never hold them.
    pub vfs: Vec<VfFacts>,
    /// Counters.
    pub stats: Option<LinkStats>,
    /// Whether the notification was sent because offload features changed.
    pub features_changed: bool,
}

/// An interface that left its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkGone {
    /// Number it had.
    pub index: u32,
    /// Whether it went to another namespace rather than away.
    pub moved: bool,
}

/// One virtual function of a physical one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VfFacts {
    /// Number.
    pub id: u32,
    /// Link-layer address.
    pub mac: Option<HwAddr>,
    /// VLAN, 0 for none.
    pub vlan: u32,
    /// Priority in that VLAN.
    pub qos: u32,
    /// Limit for sending in Mb/s, 0 for none.
    pub tx_rate: u32,
    /// Whether spoofed source addresses are dropped.
    pub spoof_check: bool,
    /// `IFLA_VF_LINK_STATE_*`: 0 as the physical function, 1 always up, 2 always down.
    pub link_state: u32,
}

/// Operational state (RFC 2863).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum OperState {
    #[default]
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
}

impl OperState {
    /// The state in capitals, as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::NotPresent => "NOT-PRESENT",
            Self::Down => "DOWN",
            Self::LowerLayerDown => "LOWER-LAYER-DOWN",
            Self::Testing => "TESTING",
            Self::Dormant => "DORMANT",
            Self::Up => "UP",
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }
}

/// A link-layer address: 6 bytes on Ethernet, an IP address on tunnels, 20 bytes on InfiniBand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HwAddr {
    bytes: [u8; HwAddr::MAX],
    len: u8,
}

impl HwAddr {
    /// Longest address the kernel has (`MAX_ADDR_LEN`).
    pub const MAX: usize = 32;

    /// The address; `None` when empty, too long, or all zero, which stands for no address.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Self::with_zero(bytes).filter(|_| bytes.iter().any(|b| *b != 0))
    }

    /// The address, all zero too: in a forwarding database that stands for every address without an entry of its own.
    pub fn with_zero(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let mut out = [0; Self::MAX];
        out.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: out, len: bytes.len() as u8 })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Lower-case hexadecimal with colons; six bytes stay off the heap.
    pub fn to_text(self) -> SmolStr {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |n: u8| char::from(HEX.get(usize::from(n)).copied().unwrap_or(b'0'));
        let mut text = SmolStrBuilder::new();
        for (i, byte) in self.as_bytes().iter().enumerate() {
            if i > 0 {
                text.push(':');
            }
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        text.finish()
    }
}

impl fmt::Debug for HwAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// Name of a hardware type, as `ip link` prints it after `link/`.
pub fn encap_name(hardware: u16) -> SmolStr {
    SmolStr::new_static(match hardware {
        0 => "netrom",
        1 => "ether",
        8 => "atm",
        19 => "atm",
        24 => "ieee1394",
        27 => "eui64",
        32 => "infiniband",
        256 => "slip",
        280 => "can",
        512 => "ppp",
        519 => "rawip",
        768 => "ipip",
        769 => "tunnel6",
        772 => "loopback",
        776 => "sit",
        778 => "gre",
        783 => "irda",
        801 => "ieee802.11",
        802 => "ieee802.11/prism",
        803 => "ieee802.11/radiotap",
        804 => "ieee802.15.4",
        820 => "phonet",
        823 => "gre6",
        824 => "netlink",
        825 => "6lowpan",
        826 => "vsockmon",
        0xfffe => "none",
        0xffff => "void",
        other => return format_smolstr!("unknown{other}"),
    })
}

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_QDISC: u16 = 6;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NUM_VF: u16 = 21;
const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_STATS64: u16 = 23;
const IFLA_GROUP: u16 = 27;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_CARRIER: u16 = 33;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PHYS_PORT_NAME: u16 = 38;
const IFLA_EVENT: u16 = 44;
const IFLA_NEW_NETNSID: u16 = 45;
const IFLA_NEW_IFINDEX: u16 = 49;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;
const IFLA_EVENT_FEATURES: u32 = 2;
const HEADER: usize = 16;

/// Reads a new or changed interface; `None` for the partial messages of bridge ports and other families.
pub(super) fn parse(body: &[u8], tally: &Tally) -> Option<LinkFacts> {
    let header: [u8; HEADER] = fixed(body)?;
    if header[0] != libc::AF_UNSPEC as u8 {
        return None;
    }
    let mut facts = LinkFacts {
        hardware: u16::from_ne_bytes(fixed(&header[2..])?),
        index: u32::from_ne_bytes(fixed(&header[4..])?),
        flags: u32::from_ne_bytes(fixed(&header[8..])?),
        ..LinkFacts::default()
    };
    for attr in Attrs::new(body.get(HEADER..)?, tally) {
        match attr.kind {
            IFLA_ADDRESS => facts.mac = HwAddr::new(attr.value),
            IFLA_IFNAME => facts.name = attr.text(),
            IFLA_MTU => facts.mtu = attr.u32().unwrap_or_default(),
            IFLA_LINK => facts.link = attr.u32().filter(|i| *i != 0),
            IFLA_QDISC => facts.qdisc = Some(attr.text()),
            IFLA_MASTER => facts.master = attr.u32().filter(|i| *i != 0),
            IFLA_OPERSTATE => facts.oper_state = attr.u8().map_or(OperState::Unknown, OperState::from_number),
            IFLA_LINKINFO => link_info(&attr, &mut facts),
            IFLA_IFALIAS => facts.alias = Some(attr.text()),
            IFLA_NUM_VF => facts.num_vf = attr.u32(),
            IFLA_VFINFO_LIST => facts.vfs = attr.nested().map(|vf| virtual_function(&vf)).collect(),
            IFLA_STATS64 => facts.stats = Some(LinkStats::parse(attr.value)),
            IFLA_GROUP => facts.group = attr.u32().unwrap_or_default(),
            IFLA_PROMISCUITY => facts.promiscuity = attr.u32().unwrap_or_default(),
            IFLA_NUM_TX_QUEUES => facts.tx_queues = attr.u32(),
            IFLA_NUM_RX_QUEUES => facts.rx_queues = attr.u32(),
            IFLA_CARRIER => facts.carrier = attr.u8().map(|c| c != 0),
            IFLA_LINK_NETNSID => facts.link_netnsid = attr.i32(),
            IFLA_PHYS_PORT_NAME => facts.port_name = Some(attr.text()),
            IFLA_EVENT => facts.features_changed = attr.u32() == Some(IFLA_EVENT_FEATURES),
            IFLA_PROP_LIST => {
                facts.alt_names =
                    attr.nested().filter(|a| a.kind == IFLA_ALT_IFNAME).map(|a| a.text()).collect();
            }
            IFLA_PERM_ADDRESS => facts.perm_mac = HwAddr::new(attr.value),
            IFLA_PARENT_DEV_NAME => facts.parent_dev = Some(attr.text()),
            IFLA_PARENT_DEV_BUS_NAME => facts.parent_bus = Some(attr.text()),
            _ => {}
        }
    }
    Some(facts)
}

/// The member of a bridge that the bridge's own message is about.
pub(super) fn bridge_port(body: &[u8]) -> Option<u32> {
    let header: [u8; HEADER] = fixed(body)?;
    if header[0] != libc::AF_BRIDGE as u8 {
        return None;
    }
    Some(u32::from_ne_bytes(fixed(&header[4..])?))
}

/// Reads an interface that left; `None` for a port that left its bridge.
pub(super) fn parse_gone(body: &[u8], tally: &Tally) -> Option<LinkGone> {
    let header: [u8; HEADER] = fixed(body)?;
    if header[0] != libc::AF_UNSPEC as u8 {
        return None;
    }
    let index = u32::from_ne_bytes(fixed(&header[4..])?);
    let moved = Attrs::new(body.get(HEADER..)?, tally)
        .any(|attr| matches!(attr.kind, IFLA_NEW_NETNSID | IFLA_NEW_IFINDEX));
    Some(LinkGone { index, moved })
}

fn link_info(attr: &Attr<'_>, facts: &mut LinkFacts) {
    const IFLA_INFO_KIND: u16 = 1;
    const IFLA_INFO_DATA: u16 = 2;
    const IFLA_INFO_SLAVE_KIND: u16 = 4;
    const IFLA_INFO_SLAVE_DATA: u16 = 5;
    for part in attr.nested() {
        // The kernel always sends a kind before its data.
        match part.kind {
            IFLA_INFO_KIND => facts.kind = Some(part.text()),
            IFLA_INFO_DATA => {
                facts.details = kinds::details(facts.kind.as_deref().unwrap_or_default(), part.nested());
            }
            IFLA_INFO_SLAVE_KIND => facts.slave_kind = Some(part.text()),
            IFLA_INFO_SLAVE_DATA => {
                let kind = facts.slave_kind.as_deref().unwrap_or_default();
                facts.slave_details = kinds::slave_details(kind, part.nested());
            }
            _ => {}
        }
    }
}

fn virtual_function(attr: &Attr<'_>) -> VfFacts {
    const IFLA_VF_MAC: u16 = 1;
    const IFLA_VF_VLAN: u16 = 2;
    const IFLA_VF_TX_RATE: u16 = 3;
    const IFLA_VF_SPOOFCHK: u16 = 4;
    const IFLA_VF_LINK_STATE: u16 = 5;
    const ETHERNET: usize = 6;
    let mut vf = VfFacts::default();
    for part in attr.nested() {
        // Every part starts with the number of the function.
        let Some(id) = part.u32() else { continue };
        let value = part.value.get(4..).unwrap_or_default();
        let number = || fixed(value).map_or(0, u32::from_ne_bytes);
        vf.id = id;
        match part.kind {
            IFLA_VF_MAC => vf.mac = value.get(..ETHERNET).and_then(HwAddr::new),
            IFLA_VF_VLAN => {
                vf.vlan = number();
                vf.qos = value.get(4..).and_then(fixed).map_or(0, u32::from_ne_bytes);
            }
            IFLA_VF_TX_RATE => vf.tx_rate = number(),
            IFLA_VF_SPOOFCHK => vf.spoof_check = number() == 1,
            IFLA_VF_LINK_STATE => vf.link_state = number(),
            _ => {}
        }
    }
    vf
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{DetailValue, detail};

    #[test]
    fn a_vlan() {
        #[rustfmt::skip]
        let body = [
            0, 0, 1, 0,  7, 0, 0, 0,  0x43, 0x10, 1, 0,  0, 0, 0, 0,
            8, 0, 3, 0, b'v', b'1', b'0', 0,
            8, 0, 5, 0, 2, 0, 0, 0,
            5, 0, 16, 0, 6, 0, 0, 0,
            10, 0, 1, 0, 2, 0, 0, 0, 0, 0xff, 0, 0,
            36, 0, 18, 0,
                9, 0, 1, 0, b'v', b'l', b'a', b'n', 0, 0, 0, 0,
                20, 0, 2, 0,  6, 0, 1, 0, 10, 0, 0, 0,  6, 0, 5, 0, 0x81, 0, 0, 0,
        ];
        let tally = Tally::default();
        let link = parse(&body, &tally).expect("a link");
        assert_eq!((link.index, link.name.as_str(), link.link), (7, "v10", Some(2)));
        assert_eq!(link.oper_state, OperState::Up);
        assert_eq!(link.mac.map(HwAddr::to_text).as_deref(), Some("02:00:00:00:00:ff"));
        assert_eq!(link.kind.as_deref(), Some("vlan"));
        assert_eq!(detail(&link.details, "ID"), Some(&DetailValue::Int(10)));
        assert_eq!(detail(&link.details, "Protocol"), Some(&DetailValue::Text("802.1Q".into())));
        assert_eq!(tally.malformed(), 0);
    }

    #[test]
    fn a_bridge_port_message_is_no_link() {
        let mut body = [0; 16];
        body[0] = libc::AF_BRIDGE as u8;
        body[4] = 9;
        assert_eq!(bridge_port(&body), Some(9));
        assert_eq!(parse(&body, &Tally::default()), None);
        assert_eq!(parse_gone(&body, &Tally::default()), None);
    }

    #[test]
    fn no_address_is_not_an_address_of_zeros() {
        assert_eq!(HwAddr::new(&[0; 6]), None);
        assert_eq!(HwAddr::new(&[]), None);
        assert_eq!(HwAddr::with_zero(&[]), None);
        assert_eq!(HwAddr::new(&[1; 33]), None);
        assert_eq!(HwAddr::new(&[10, 0, 0, 1]).map(HwAddr::to_text).as_deref(), Some("0a:00:00:01"));
    }
}
