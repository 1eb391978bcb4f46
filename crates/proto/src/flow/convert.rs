//! Flows to what is written, and back.
//!
//! Reading believes nothing: numbers must fit, texts must be what they stand for, and counts below zero, which the
//! original can write, count nothing.

use std::net::IpAddr;
use std::sync::Arc;

use skydive_flow::{
    Dhcp4, Extra, Finish, Flow, FlowId, Http, Icmp, IcmpKind, IpMetric, Link, LinkType, Mac, Metric, Network,
    Process, Processes, Protocol, RawPacket, StreamMetric, TcpMetric, TcpSide, Tls, Transport, Vrrp,
};
use skydive_value::{SmolStr, Timestamp};

use super::dns::{Dns, six};
use super::{FlowError, spell, wire};

/// What the original has for addresses that the captured bytes end before.
const NO_ADDRESS: &str = "<nil>";

/// A count as the signed number it is written as.
pub(super) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn to_count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number that must fit into a smaller one.
pub(super) fn narrow<T: TryFrom<N>, N: Copy + ToString>(
    field: &'static str,
    number: N,
) -> Result<T, FlowError> {
    T::try_from(number).map_err(|_| FlowError::field(field, &number.to_string()))
}

fn id_text(id: FlowId) -> String {
    if id.0 == 0 { String::new() } else { id.to_string() }
}

fn to_id(field: &'static str, text: &str) -> Result<FlowId, FlowError> {
    if text.is_empty() { Ok(FlowId(0)) } else { text.parse().map_err(|_| FlowError::field(field, text)) }
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

impl From<&Flow> for wire::Flow {
    fn from(flow: &Flow) -> Self {
        let extra = flow.extra.as_deref();
        Self {
            uuid: id_text(flow.uuid),
            layers_path: flow.layers_path.to_string(),
            application: flow.application.to_string(),
            link: flow.link.as_ref().map(Into::into),
            network: flow.network.as_ref().map(Into::into),
            transport: flow.transport.as_ref().map(Into::into),
            icmp: flow.icmp.as_ref().map(Into::into),
            dhcp4: extra.and_then(|extra| extra.dhcp4.as_ref()).map(Into::into),
            dns: extra.and_then(Dns::of),
            vrrp: extra.and_then(|extra| extra.vrrp.as_ref()).map(Into::into),
            tls: extra.and_then(|extra| extra.tls.as_ref()).map(Into::into),
            http: extra.and_then(|extra| extra.http.as_ref()).map(Into::into),
            process: (!flow.process.is_empty()).then(|| Box::new((&flow.process).into())),
            last_update: flow.last_update.as_ref().map(Into::into),
            metric: Some((&flow.metric).into()),
            tcp: flow.tcp.as_deref().map(|tcp| Box::new(tcp.into())),
            ip: flow.ip.as_ref().map(Into::into),
            start: flow.start.as_millis(),
            last: flow.last.as_millis(),
            tracking_id: id_text(flow.tracking_id),
            l3_tracking_id: id_text(flow.l3_tracking_id),
            parent: flow.parent.map(id_text).unwrap_or_default(),
            node_tid: flow.node_tid.to_string(),
            capture_id: flow.capture_id.to_string(),
            raw_packets: flow.raw_packets.iter().map(Into::into).collect(),
            raw_packets_captured: count(flow.raw_packets_captured),
            finish: flow.finish.number(),
        }
    }
}

impl TryFrom<wire::Flow> for Flow {
    type Error = FlowError;

    fn try_from(flow: wire::Flow) -> Result<Self, FlowError> {
        let extra = extra(flow.dhcp4, flow.dns, flow.vrrp, flow.tls, flow.http)?;
        let network = flow.network.map(network).transpose()?.flatten();
        let is_icmp6 = match &network {
            _ if flow.layers_path.contains("ICMPv6") => true,
            _ if flow.layers_path.contains("ICMPv4") => false,
            network => network.is_some_and(|network| network.a.is_ipv6()),
        };
        Ok(Self {
            uuid: to_id("UUID", &flow.uuid)?,
            parent: Some(to_id("ParentUUID", &flow.parent)?).filter(|id| id.0 != 0),
            tracking_id: to_id("TrackingID", &flow.tracking_id)?,
            l3_tracking_id: to_id("L3TrackingID", &flow.l3_tracking_id)?,
            layers_path: flow.layers_path.into(),
            application: flow.application.into(),
            start: time(flow.start),
            last: time(flow.last),
            link: flow.link.map(TryInto::try_into).transpose()?,
            network,
            transport: flow.transport.map(transport).transpose()?.flatten(),
            icmp: flow.icmp.map(|icmp| icmp_of(icmp, is_icmp6)).transpose()?,
            metric: flow.metric.map(Into::into).unwrap_or_default(),
            last_update: flow.last_update.map(Into::into),
            tcp: flow.tcp.map(|tcp| tcp_metric(&tcp).map(Box::new)).transpose()?,
            ip: flow.ip.map(Into::into),
            finish: Finish::from_number(flow.finish)
                .ok_or_else(|| FlowError::field("FinishType", &flow.finish.to_string()))?,
            node_tid: flow.node_tid.into(),
            capture_id: flow.capture_id.into(),
            raw_packets: flow.raw_packets.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            raw_packets_captured: to_count(flow.raw_packets_captured),
            extra,
            process: flow.process.map(|both| (*both).into()).unwrap_or_default(),
        })
    }
}

impl From<&Processes> for wire::Processes {
    fn from(Processes { a, b }: &Processes) -> Self {
        Self { a: a.as_deref().map(Into::into), b: b.as_deref().map(Into::into) }
    }
}

impl From<wire::Processes> for Processes {
    fn from(wire::Processes { a, b }: wire::Processes) -> Self {
        let process = |side: wire::Process| Arc::new(side.into());
        Self { a: a.map(process), b: b.map(process) }
    }
}

impl From<&Process> for wire::Process {
    fn from(process: &Process) -> Self {
        Self {
            pid: process.pid,
            name: process.name.to_string(),
            path: process.path.to_string(),
            cgroup: process.cgroup.to_string(),
            container_id: process.container_id.to_string(),
        }
    }
}

impl From<wire::Process> for Process {
    fn from(process: wire::Process) -> Self {
        Self {
            pid: process.pid,
            name: process.name.into(),
            path: process.path.into(),
            cgroup: process.cgroup.into(),
            container_id: process.container_id.into(),
        }
    }
}

fn extra(
    dhcp4: Option<wire::Dhcp4>,
    dns: Option<Dns>,
    vrrp: Option<wire::Vrrp>,
    tls: Option<wire::Tls>,
    http: Option<wire::Http>,
) -> Result<Option<Box<Extra>>, FlowError> {
    if dhcp4.is_none() && dns.is_none() && vrrp.is_none() && tls.is_none() && http.is_none() {
        return Ok(None);
    }
    let mut extra = Extra {
        dhcp4: dhcp4.map(TryInto::try_into).transpose()?,
        vrrp: vrrp.map(TryInto::try_into).transpose()?,
        tls: tls.map(TryInto::try_into).transpose()?,
        http: http.map(Into::into),
        ..Extra::default()
    };
    if let Some(dns) = dns {
        dns.into_extra(&mut extra)?;
    }
    Ok(Some(Box::new(extra)))
}

impl From<&Link> for wire::FlowLayer {
    fn from(link: &Link) -> Self {
        let (a, b) = (Mac(link.a).to_string(), Mac(link.b).to_string());
        Self { protocol: Protocol::Ethernet.number(), a, b, id: count(link.id) }
    }
}

impl TryFrom<wire::FlowLayer> for Link {
    type Error = FlowError;

    fn try_from(link: wire::FlowLayer) -> Result<Self, FlowError> {
        if link.protocol != Protocol::Ethernet.number() {
            return Err(FlowError::field("Link.Protocol", &link.protocol.to_string()));
        }
        let mac = |field, text: &str| text.parse().map_err(|_| FlowError::field(field, text));
        let (Mac(a), Mac(b)) = (mac("Link.A", &link.a)?, mac("Link.B", &link.b)?);
        Ok(Self { a, b, id: narrow("Link.ID", link.id)? })
    }
}

impl From<&Network> for wire::FlowLayer {
    fn from(network: &Network) -> Self {
        let Network { a, b, id } = network;
        Self { protocol: network.protocol().number(), a: a.to_string(), b: b.to_string(), id: i64::from(*id) }
    }
}

/// The layer, unless it has no addresses.
fn network(network: wire::FlowLayer) -> Result<Option<Network>, FlowError> {
    if network.a == NO_ADDRESS && network.b == NO_ADDRESS {
        return Ok(None);
    }
    let is_six = match Protocol::from_number(network.protocol) {
        Some(Protocol::Ipv4) => false,
        Some(Protocol::Ipv6) => true,
        _ => return Err(FlowError::field("Network.Protocol", &network.protocol.to_string())),
    };
    let address = |field, text: &str| match text.parse::<IpAddr>() {
        Ok(address) if is_six => Ok(six(address).into()),
        Ok(address) if address.is_ipv4() => Ok(address),
        _ => Err(FlowError::field(field, text)),
    };
    Ok(Some(Network {
        a: address("Network.A", &network.a)?,
        b: address("Network.B", &network.b)?,
        id: narrow("Network.ID", network.id)?,
    }))
}

impl From<&Transport> for wire::TransportLayer {
    fn from(transport: &Transport) -> Self {
        let Transport { protocol, a, b } = *transport;
        Self { protocol: Protocol::from(protocol).number(), a: a.into(), b: b.into(), id: 0 }
    }
}

/// The layer, unless its protocol has no ports: collected NetFlow records are written with numbers that mean nothing.
fn transport(transport: wire::TransportLayer) -> Result<Option<Transport>, FlowError> {
    let protocol = Protocol::from_number(transport.protocol)
        .ok_or_else(|| FlowError::field("Transport.Protocol", &transport.protocol.to_string()))?;
    let Some(protocol) = protocol.transport() else { return Ok(None) };
    Ok(Some(Transport {
        protocol,
        a: narrow("Transport.A", transport.a)?,
        b: narrow("Transport.B", transport.b)?,
    }))
}

impl From<&Icmp> for wire::IcmpLayer {
    fn from(icmp: &Icmp) -> Self {
        Self { kind: icmp.kind.number(), code: icmp.code.into(), id: icmp.id.into() }
    }
}

fn icmp_of(icmp: wire::IcmpLayer, v6: bool) -> Result<Icmp, FlowError> {
    Ok(Icmp {
        v6,
        kind: IcmpKind::from_number(icmp.kind)
            .ok_or_else(|| FlowError::field("ICMP.Type", &icmp.kind.to_string()))?,
        code: narrow("ICMP.Code", icmp.code)?,
        id: narrow("ICMP.ID", icmp.id)?,
    })
}

impl From<&Metric> for wire::FlowMetric {
    fn from(metric: &Metric) -> Self {
        Self {
            ab_packets: count(metric.ab_packets),
            ab_bytes: count(metric.ab_bytes),
            ba_packets: count(metric.ba_packets),
            ba_bytes: count(metric.ba_bytes),
            start: metric.start.as_millis(),
            last: metric.last.as_millis(),
            rtt: count(metric.rtt),
        }
    }
}

impl From<wire::FlowMetric> for Metric {
    fn from(metric: wire::FlowMetric) -> Self {
        Self {
            ab_packets: to_count(metric.ab_packets),
            ab_bytes: to_count(metric.ab_bytes),
            ba_packets: to_count(metric.ba_packets),
            ba_bytes: to_count(metric.ba_bytes),
            start: time(metric.start),
            last: time(metric.last),
            rtt: to_count(metric.rtt),
        }
    }
}

impl From<&IpMetric> for wire::IpMetric {
    fn from(ip: &IpMetric) -> Self {
        Self { fragments: count(ip.fragments), fragment_errors: count(ip.fragment_errors) }
    }
}

impl From<wire::IpMetric> for IpMetric {
    fn from(ip: wire::IpMetric) -> Self {
        Self { fragments: to_count(ip.fragments), fragment_errors: to_count(ip.fragment_errors) }
    }
}

impl From<&TcpMetric> for wire::TcpMetric {
    fn from(TcpMetric { ab, ba }: &TcpMetric) -> Self {
        Self {
            ab_syn_start: ab.syn_start,
            ba_syn_start: ba.syn_start,
            ab_syn_ttl: ab.syn_ttl.into(),
            ba_syn_ttl: ba.syn_ttl.into(),
            ab_fin_start: ab.fin_start,
            ba_fin_start: ba.fin_start,
            ab_rst_start: ab.rst_start,
            ba_rst_start: ba.rst_start,
            ab_segment_out_of_order: ab.stream.segment_out_of_order,
            ab_segment_skipped: ab.stream.segment_skipped,
            ab_segment_skipped_bytes: ab.stream.segment_skipped_bytes,
            ab_packets: ab.stream.packets,
            ab_bytes: ab.stream.bytes,
            ab_saw_start: ab.stream.saw_start,
            ab_saw_end: ab.stream.saw_end,
            ba_segment_out_of_order: ba.stream.segment_out_of_order,
            ba_segment_skipped: ba.stream.segment_skipped,
            ba_segment_skipped_bytes: ba.stream.segment_skipped_bytes,
            ba_packets: ba.stream.packets,
            ba_bytes: ba.stream.bytes,
            ba_saw_start: ba.stream.saw_start,
            ba_saw_end: ba.stream.saw_end,
            ab_retransmissions: count(ab.retransmissions),
            ab_retransmitted_bytes: count(ab.retransmitted_bytes),
            ab_out_of_order: count(ab.out_of_order),
            ab_zero_windows: count(ab.zero_windows),
            ab_window_min: ab.window_min,
            ab_window_max: ab.window_max,
            ba_retransmissions: count(ba.retransmissions),
            ba_retransmitted_bytes: count(ba.retransmitted_bytes),
            ba_out_of_order: count(ba.out_of_order),
            ba_zero_windows: count(ba.zero_windows),
            ba_window_min: ba.window_min,
            ba_window_max: ba.window_max,
        }
    }
}

fn tcp_metric(tcp: &wire::TcpMetric) -> Result<TcpMetric, FlowError> {
    let ab = TcpSide {
        syn_start: tcp.ab_syn_start,
        syn_ttl: narrow("TCPMetric.ABSynTTL", tcp.ab_syn_ttl)?,
        fin_start: tcp.ab_fin_start,
        rst_start: tcp.ab_rst_start,
        retransmissions: to_count(tcp.ab_retransmissions),
        retransmitted_bytes: to_count(tcp.ab_retransmitted_bytes),
        out_of_order: to_count(tcp.ab_out_of_order),
        zero_windows: to_count(tcp.ab_zero_windows),
        window_min: tcp.ab_window_min,
        window_max: tcp.ab_window_max,
        stream: StreamMetric {
            packets: tcp.ab_packets,
            bytes: tcp.ab_bytes,
            segment_out_of_order: tcp.ab_segment_out_of_order,
            segment_skipped: tcp.ab_segment_skipped,
            segment_skipped_bytes: tcp.ab_segment_skipped_bytes,
            saw_start: tcp.ab_saw_start,
            saw_end: tcp.ab_saw_end,
        },
    };
    let ba = TcpSide {
        syn_start: tcp.ba_syn_start,
        syn_ttl: narrow("TCPMetric.BASynTTL", tcp.ba_syn_ttl)?,
        fin_start: tcp.ba_fin_start,
        rst_start: tcp.ba_rst_start,
        retransmissions: to_count(tcp.ba_retransmissions),
        retransmitted_bytes: to_count(tcp.ba_retransmitted_bytes),
        out_of_order: to_count(tcp.ba_out_of_order),
        zero_windows: to_count(tcp.ba_zero_windows),
        window_min: tcp.ba_window_min,
        window_max: tcp.ba_window_max,
        stream: StreamMetric {
            packets: tcp.ba_packets,
            bytes: tcp.ba_bytes,
            segment_out_of_order: tcp.ba_segment_out_of_order,
            segment_skipped: tcp.ba_segment_skipped,
            segment_skipped_bytes: tcp.ba_segment_skipped_bytes,
            saw_start: tcp.ba_saw_start,
            saw_end: tcp.ba_saw_end,
        },
    };
    Ok(TcpMetric { ab, ba })
}

impl From<&RawPacket> for wire::RawPacket {
    fn from(packet: &RawPacket) -> Self {
        Self {
            timestamp: packet.at.as_millis(),
            index: count(packet.index),
            data: packet.bytes.to_vec(),
            link_type: packet.link.0.into(),
        }
    }
}

impl TryFrom<wire::RawPacket> for RawPacket {
    type Error = FlowError;

    fn try_from(packet: wire::RawPacket) -> Result<Self, FlowError> {
        Ok(Self {
            at: time(packet.timestamp),
            index: to_count(packet.index),
            bytes: packet.data.into(),
            link: LinkType(narrow("LastRawPackets.LinkType", packet.link_type)?),
        })
    }
}

impl From<&Dhcp4> for wire::Dhcp4 {
    fn from(dhcp: &Dhcp4) -> Self {
        Self {
            hardware_len: dhcp.hardware_len.into(),
            hardware_opts: dhcp.hardware_opts.into(),
            xid: dhcp.xid,
            secs: dhcp.secs.into(),
            flags: dhcp.flags.into(),
            server_name: dhcp.server_name.to_vec(),
            file: dhcp.file.to_vec(),
        }
    }
}

impl TryFrom<wire::Dhcp4> for Dhcp4 {
    type Error = FlowError;

    fn try_from(dhcp: wire::Dhcp4) -> Result<Self, FlowError> {
        Ok(Self {
            file: dhcp.file.into(),
            flags: narrow("DHCPv4.flags", dhcp.flags)?,
            hardware_len: narrow("DHCPv4.hardware_len", dhcp.hardware_len)?,
            hardware_opts: narrow("DHCPv4.hardware_opts", dhcp.hardware_opts)?,
            server_name: dhcp.server_name.into(),
            secs: narrow("DHCPv4.secs", dhcp.secs)?,
            xid: dhcp.xid,
        })
    }
}

impl From<&Vrrp> for wire::Vrrp {
    fn from(vrrp: &Vrrp) -> Self {
        Self {
            version: vrrp.version.into(),
            virtual_router: vrrp.virtual_router.into(),
            priority: vrrp.priority.into(),
            adver_int: vrrp.adver_int.into(),
        }
    }
}

impl TryFrom<wire::Vrrp> for Vrrp {
    type Error = FlowError;

    fn try_from(vrrp: wire::Vrrp) -> Result<Self, FlowError> {
        Ok(Self {
            adver_int: narrow("VRRPv2.adver_int", vrrp.adver_int)?,
            priority: narrow("VRRPv2.priority", vrrp.priority)?,
            version: narrow("VRRPv2.version", vrrp.version)?,
            virtual_router: narrow("VRRPv2.virtual_rtrID", vrrp.virtual_router)?,
        })
    }
}

impl From<&Tls> for wire::Tls {
    fn from(tls: &Tls) -> Self {
        Self {
            server_name: tls.server_name.to_string(),
            alpn: tls.alpn.iter().map(ToString::to_string).collect(),
            version: tls.version.into(),
        }
    }
}

impl TryFrom<wire::Tls> for Tls {
    type Error = FlowError;

    fn try_from(tls: wire::Tls) -> Result<Self, FlowError> {
        if tls.alpn.len() > spell::LIST_MAX {
            return Err(FlowError::TooMany { what: "protocols", max: spell::LIST_MAX });
        }
        Ok(Self {
            server_name: tls.server_name.into(),
            alpn: tls.alpn.into_iter().map(SmolStr::from).collect(),
            version: narrow("TLS.version", tls.version)?,
        })
    }
}

impl From<&Http> for wire::Http {
    fn from(http: &Http) -> Self {
        Self { method: http.method.to_string(), target: http.target.to_string(), host: http.host.to_string() }
    }
}

impl From<wire::Http> for Http {
    fn from(http: wire::Http) -> Self {
        Self { method: http.method.into(), target: http.target.into(), host: http.host.into() }
    }
}
