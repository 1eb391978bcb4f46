//! Conversations as two programs can agree on them.

use std::net::IpAddr;

use skydive_flow::{Flow, FlowId, Icmp, IcmpKind, TransportProtocol};

/// What one side sent: packets and bytes.
pub(crate) type Sent = (u64, u64);

/// A flow without what only we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    /// Place of the one that carries it.
    pub(crate) parent: Option<usize>,
    pub(crate) link: Option<(String, String)>,
    pub(crate) network: Option<(IpAddr, IpAddr)>,
    /// VNI or key.
    pub(crate) network_id: u32,
    pub(crate) transport: Option<(&'static str, u16, u16)>,
    pub(crate) icmp: Option<Message>,
    pub(crate) ab: Sent,
    pub(crate) ba: Sent,
}

/// Class, code and identifier of ICMP.
pub(crate) type Message = (IcmpKind, u8, u16);

/// As much of our flows as others know.
pub(crate) fn conversations(flows: &[Flow]) -> Vec<Conversation> {
    let place = |id: FlowId| flows.iter().position(|flow| flow.uuid == id).unwrap();
    let of_flow = |flow: &Flow| Conversation {
        parent: flow.parent.map(place),
        link: flow.link.map(|link| (mac(link.a), mac(link.b))),
        network: flow.network.map(|network| (network.a, network.b)),
        network_id: flow.network.map_or(0, |network| network.id),
        transport: flow.transport.map(|ports| (name(ports.protocol), ports.a, ports.b)),
        icmp: flow.icmp.map(|Icmp { kind, code, id, .. }| (kind, code, id)),
        ab: (flow.metric.ab_packets, flow.metric.ab_bytes),
        ba: (flow.metric.ba_packets, flow.metric.ba_bytes),
    };
    flows.iter().map(of_flow).collect()
}

/// The first conversation about which two lists do not agree.
pub(crate) fn difference(ours: &[Conversation], theirs: &[Conversation]) -> Option<String> {
    let most = ours.len().max(theirs.len());
    let at = (0..most).find(|&at| ours.get(at) != theirs.get(at))?;
    Some(format!("number {at} is\n  {:?}, not\n  {:?}", ours.get(at), theirs.get(at)))
}

pub(crate) fn name(protocol: TransportProtocol) -> &'static str {
    match protocol {
        TransportProtocol::Tcp => "TCP",
        TransportProtocol::Udp => "UDP",
        TransportProtocol::Sctp => "SCTP",
    }
}

fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
