//! What captures need to know of the language: which nodes can be captured on, and what a packet filter is.

use skydive_flow::LinkType;
use skydive_packet::filter::compile;

use crate::ParseError;

/// Types of nodes that are interfaces of the kernel.
const INTERFACES: &[&str] = &[
    "internal",
    "veth",
    "tun",
    "tuntap",
    "bridge",
    "dummy",
    "gre",
    "bond",
    "can",
    "hsr",
    "ifb",
    "macvlan",
    "macvtap",
    "vlan",
    "vxlan",
    "gretap",
    "ip6gretap",
    "geneve",
    "ipoib",
    "vcan",
    "ipip",
    "ipvlan",
    "lowpan",
    "ip6tnl",
    "ip6gre",
    "sit",
    "device",
];

/// Kinds of captures that nodes of a type have, the default first; none when packets cannot be captured on them.
pub fn capture_kinds(node_type: &str) -> &'static [&'static str] {
    match node_type {
        "ovsbridge" => &["ovssflow", "pcapsocket", "ovsnetflow"],
        "ovsport" => &["ovsmirror"],
        "dpdkport" => &["dpdk"],
        _ if INTERFACES.contains(&node_type) => &["afpacket", "pcap", "pcapsocket", "sflow", "ebpf"],
        _ => &[],
    }
}

/// Whether a text is a packet filter, in tcpdump's language, for Ethernet.
pub fn check_packet_filter(text: &str) -> Result<(), ParseError> {
    match compile(text, LinkType::ETHERNET, 0) {
        Ok(_) => Ok(()),
        Err(fault) => Err(ParseError { message: fault.message, offset: fault.offset }),
    }
}
