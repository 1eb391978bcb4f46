//! What each kind of link tells about itself: one table, one row per attribute.
//!
//! Numbers as in the kernel's `if_link.h`, `if_tunnel.h` and `if_bridge.h`. Attributes that change all the time
//! (timers, sequence numbers) are left out: they would make every notification a change.

use std::net::IpAddr;

use smol_str::{SmolStr, format_smolstr};

use super::attr::{Attr, Attrs};
use super::link::HwAddr;

/// One fact about a link that only its kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// What it is about.
    pub name: &'static str,
    /// What it says.
    pub value: DetailValue,
}

/// The value of a [`Detail`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetailValue {
    /// On or off.
    Bool(bool),
    /// A number, an interface index among them.
    Int(i64),
    /// A name, or a hardware address.
    Text(SmolStr),
    /// An address.
    Ip(IpAddr),
}

/// The detail called `name`.
pub fn detail<'a>(details: &'a [Detail], name: &str) -> Option<&'a DetailValue> {
    details.iter().find(|d| d.name == name).map(|d| &d.value)
}

/// How a value lies in its attribute.
#[derive(Clone, Copy)]
enum Form {
    U8,
    U16,
    U32,
    Be16,
    Be32,
    /// A byte, on unless zero.
    Bool,
    /// Four bytes, on unless zero.
    Bool32,
    /// On when present.
    Flag,
    /// An address of any family; the unspecified one is no value.
    Ip,
    Mac,
    Text,
    /// A number with names, by the width it has.
    Named(&'static [(u32, &'static str)]),
    /// An ethertype in network order.
    VlanProtocol,
    /// Priority and hardware address of a spanning tree bridge.
    BridgeId,
}

type Row = (u16, &'static str, Form);

use Form::{Be16, Be32, Bool, Bool32, BridgeId, Flag, Ip, Mac, Named, Text, U8, U16, U32, VlanProtocol};

const VLAN: &[Row] = &[(1, "ID", U16), (5, "Protocol", VlanProtocol)];
const VXLAN: &[Row] = &[
    (1, "ID", U32),
    (2, "Group", Ip),
    (3, "LinkIndex", U32),
    (4, "Local", Ip),
    (5, "TTL", U8),
    (6, "TOS", U8),
    (7, "Learning", Bool),
    (8, "Ageing", U32),
    (11, "Proxy", Bool),
    (13, "L2Miss", Bool),
    (14, "L3Miss", Bool),
    (15, "Port", Be16),
    (16, "Group", Ip),
    (17, "Local", Ip),
    (23, "GBP", Flag),
    (25, "External", Bool),
    (27, "GPE", Flag),
    (30, "VNIFilter", Bool),
];
const BOND: &[Row] = &[
    (1, "Mode", Named(BOND_MODES)),
    (2, "ActiveSlaveIndex", U32),
    (3, "Miimon", U32),
    (4, "UpDelay", U32),
    (5, "DownDelay", U32),
    (7, "ArpInterval", U32),
    (11, "PrimaryIndex", U32),
    (14, "XmitHashPolicy", Named(BOND_HASHES)),
    (18, "MinLinks", U32),
    (21, "LacpRate", Named(&[(0, "slow"), (1, "fast")])),
    (22, "AdSelect", Named(&[(0, "stable"), (1, "bandwidth"), (2, "count")])),
];
const BOND_MODES: &[(u32, &str)] = &[
    (0, "balance-rr"),
    (1, "active-backup"),
    (2, "balance-xor"),
    (3, "broadcast"),
    (4, "802.3ad"),
    (5, "balance-tlb"),
    (6, "balance-alb"),
];
const BOND_HASHES: &[(u32, &str)] =
    &[(0, "layer2"), (1, "layer3+4"), (2, "layer2+3"), (3, "encap2+3"), (4, "encap3+4"), (5, "vlan+srcmac")];
const BOND_SLAVE: &[Row] = &[
    (1, "State", Named(&[(0, "ACTIVE"), (1, "BACKUP")])),
    (2, "MiiStatus", Named(&[(0, "UP"), (1, "GOING_DOWN"), (2, "DOWN"), (3, "GOING_BACK")])),
    (3, "LinkFailureCount", U32),
    (4, "PermMAC", Mac),
    (5, "QueueId", U16),
    (6, "AggregatorId", U16),
    (7, "AdActorOperPortState", U8),
    (8, "AdPartnerOperPortState", U16),
];
const MACVLAN: &[Row] =
    &[(1, "Mode", Named(&[(1, "private"), (2, "vepa"), (4, "bridge"), (8, "passthru"), (16, "source")]))];
const IPVLAN: &[Row] = &[
    (1, "Mode", Named(&[(0, "l2"), (1, "l3"), (2, "l3s")])),
    (2, "Isolation", Named(&[(0, "bridge"), (1, "private"), (2, "vepa")])),
];
const VRF: &[Row] = &[(1, "Table", U32)];
const GRE: &[Row] = &[
    (1, "LinkIndex", U32),
    (4, "IKey", Be32),
    (5, "OKey", Be32),
    (6, "Local", Ip),
    (7, "Remote", Ip),
    (8, "TTL", U8),
    (9, "TOS", U8),
    (16, "EncapSrcPort", Be16),
    (17, "EncapDstPort", Be16),
    (18, "External", Flag),
    (20, "FwMark", U32),
    (21, "ErspanIndex", U32),
    (22, "ErspanVersion", U8),
];
const IPTUN: &[Row] = &[
    (1, "LinkIndex", U32),
    (2, "Local", Ip),
    (3, "Remote", Ip),
    (4, "TTL", U8),
    (5, "TOS", U8),
    (9, "Protocol", U8),
    (17, "EncapSrcPort", Be16),
    (18, "EncapDstPort", Be16),
    (19, "External", Flag),
    (20, "FwMark", U32),
];
const VTI: &[Row] = &[
    (1, "LinkIndex", U32),
    (2, "IKey", Be32),
    (3, "OKey", Be32),
    (4, "Local", Ip),
    (5, "Remote", Ip),
    (6, "FwMark", U32),
];
const GENEVE: &[Row] = &[
    (1, "ID", U32),
    (2, "Remote", Ip),
    (3, "TTL", U8),
    (4, "TOS", U8),
    (5, "Port", Be16),
    (6, "External", Flag),
    (7, "Remote", Ip),
];
const BAREUDP: &[Row] = &[(1, "Port", Be16), (2, "Ethertype", Be16)];
const XFRM: &[Row] = &[(1, "LinkIndex", U32), (2, "IfID", U32), (3, "External", Flag)];
const BRIDGE: &[Row] = &[
    (1, "ForwardDelay", U32),
    (2, "HelloTime", U32),
    (3, "MaxAge", U32),
    (4, "AgeingTime", U32),
    (5, "STP", Bool32),
    (6, "Priority", U16),
    (7, "VlanFiltering", Bool),
    (8, "VlanProtocol", VlanProtocol),
    (10, "RootID", BridgeId),
    (11, "BridgeID", BridgeId),
    (12, "RootPort", U16),
    (23, "McastSnooping", Bool),
    (39, "DefaultPVID", U16),
];
const BRIDGE_PORT: &[Row] = &[
    (
        1,
        "State",
        Named(&[(0, "disabled"), (1, "listening"), (2, "learning"), (3, "forwarding"), (4, "blocking")]),
    ),
    (2, "Priority", U16),
    (3, "Cost", U32),
    (4, "Hairpin", Bool),
    (5, "Guard", Bool),
    (8, "Learning", Bool),
    (9, "UnicastFlood", Bool),
    (33, "Isolated", Bool),
];
const TUN: &[Row] = &[
    (1, "Owner", U32),
    (2, "Group", U32),
    (3, "Mode", Named(&[(1, "tun"), (2, "tap")])),
    (4, "PacketInformation", Bool),
    (5, "VnetHdr", Bool),
    (6, "Persist", Bool),
    (7, "MultiQueue", Bool),
];
const HSR: &[Row] = &[(1, "Slave1Index", U32), (2, "Slave2Index", U32), (4, "SupervisionAddr", Mac)];
const MACSEC: &[Row] =
    &[(2, "Port", Be16), (6, "EncodingSA", U8), (7, "Encrypt", Bool), (8, "Protect", Bool)];
const NETKIT: &[Row] = &[(2, "Primary", Bool), (5, "Mode", Named(&[(0, "l2"), (1, "l3")]))];
const BATADV: &[Row] = &[(1, "Algorithm", Text)];

fn rows(kind: &str) -> &'static [Row] {
    match kind {
        "vlan" => VLAN,
        "vxlan" => VXLAN,
        "bond" => BOND,
        "macvlan" | "macvtap" => MACVLAN,
        "ipvlan" | "ipvtap" => IPVLAN,
        "vrf" => VRF,
        "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan" => GRE,
        "ipip" | "sit" | "ip6tnl" => IPTUN,
        "vti" | "vti6" => VTI,
        "geneve" => GENEVE,
        "bareudp" => BAREUDP,
        "xfrm" => XFRM,
        "bridge" => BRIDGE,
        "tun" => TUN,
        "hsr" => HSR,
        "macsec" => MACSEC,
        "netkit" => NETKIT,
        "batadv" => BATADV,
        _ => &[],
    }
}

fn slave_rows(kind: &str) -> &'static [Row] {
    match kind {
        "bond" => BOND_SLAVE,
        "bridge" => BRIDGE_PORT,
        "vrf" => VRF,
        _ => &[],
    }
}

/// Reads `IFLA_INFO_DATA` of a link of this kind.
pub(super) fn details(kind: &str, attrs: Attrs<'_>) -> Vec<Detail> {
    read(rows(kind), attrs)
}

/// Reads `IFLA_INFO_SLAVE_DATA` of a member of a link of this kind.
pub(super) fn slave_details(kind: &str, attrs: Attrs<'_>) -> Vec<Detail> {
    read(slave_rows(kind), attrs)
}

fn read(rows: &[Row], attrs: Attrs<'_>) -> Vec<Detail> {
    if rows.is_empty() {
        return Vec::new();
    }
    attrs
        .filter_map(|attr| {
            let (_, name, form) = rows.iter().find(|(number, ..)| *number == attr.kind)?;
            Some(Detail { name, value: value(&attr, *form)? })
        })
        .collect()
}

fn value(attr: &Attr<'_>, form: Form) -> Option<DetailValue> {
    use DetailValue::Int;
    Some(match form {
        U8 => Int(attr.u8()?.into()),
        U16 => Int(attr.u16()?.into()),
        U32 => Int(attr.u32()?.into()),
        Be16 => Int(attr.be16()?.into()),
        Be32 => Int(attr.be32()?.into()),
        Bool => DetailValue::Bool(attr.u8()? != 0),
        Bool32 => DetailValue::Bool(attr.u32()? != 0),
        Flag => DetailValue::Bool(true),
        Ip => DetailValue::Ip(attr.ip().filter(|ip| !ip.is_unspecified())?),
        Mac => DetailValue::Text(HwAddr::new(attr.value)?.to_text()),
        Text => DetailValue::Text(attr.text()),
        Named(names) => {
            let number = match attr.value.len() {
                1 => attr.u8()?.into(),
                2 | 3 => attr.u16()?.into(),
                _ => attr.u32()?,
            };
            let name = names.iter().find(|(n, _)| *n == number);
            DetailValue::Text(
                name.map_or_else(|| format_smolstr!("{number}"), |(_, name)| SmolStr::new_static(name)),
            )
        }
        VlanProtocol => DetailValue::Text(match attr.be16()? {
            0x8100 => SmolStr::new_static("802.1Q"),
            0x88a8 => SmolStr::new_static("802.1ad"),
            other => format_smolstr!("{other:#06x}"),
        }),
        BridgeId => {
            let [p0, p1, mac @ ..] = attr.array::<8>()?;
            let mac = HwAddr::new(&mac)?.to_text();
            DetailValue::Text(format_smolstr!("{:04x}.{}", u16::from_be_bytes([p0, p1]), mac))
        }
    })
}
