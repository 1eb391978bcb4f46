//! Flows as they are written: one declaration for JSON and for protobuf.
//!
//! Names are those of JSON, tags those of the protocol buffers of packages `flow` and `layers`. The order of members is
//! that of the original's JSON. Tags from 100 on in messages, and from 1100 on in a flow, are ours: see
//! `docs/flow-fields.md`. What is ours is left out when it is zero or empty.

use serde::{Deserialize, Serialize};

use super::dns::Dns;
use super::spell;

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Flow {
    #[prost(string, tag = "1")]
    #[serde(rename = "UUID", skip_serializing_if = "spell::is_zero")]
    pub(super) uuid: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "LayersPath", skip_serializing_if = "spell::is_zero")]
    pub(super) layers_path: String,
    #[prost(string, tag = "3")]
    #[serde(rename = "Application", skip_serializing_if = "spell::is_zero")]
    pub(super) application: String,
    #[prost(message, tag = "20")]
    #[serde(rename = "Link", skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<FlowLayer>,
    #[prost(message, tag = "21")]
    #[serde(rename = "Network", skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<FlowLayer>,
    #[prost(message, tag = "22")]
    #[serde(rename = "Transport", skip_serializing_if = "Option::is_none")]
    pub(super) transport: Option<TransportLayer>,
    #[prost(message, tag = "23")]
    #[serde(rename = "ICMP", skip_serializing_if = "Option::is_none")]
    pub(super) icmp: Option<IcmpLayer>,
    #[prost(message, tag = "1000")]
    #[serde(rename = "DHCPv4", skip_serializing_if = "Option::is_none")]
    pub(super) dhcp4: Option<Dhcp4>,
    #[prost(message, tag = "1001")]
    #[serde(rename = "DNS", skip_serializing_if = "Option::is_none")]
    pub(super) dns: Option<Dns>,
    #[prost(message, tag = "1002")]
    #[serde(rename = "VRRPv2", skip_serializing_if = "Option::is_none")]
    pub(super) vrrp: Option<Vrrp>,
    #[prost(message, tag = "1100")]
    #[serde(rename = "TLS", skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Tls>,
    #[prost(message, tag = "1101")]
    #[serde(rename = "HTTP", skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<Http>,
    #[prost(message, boxed, tag = "1110")]
    #[serde(rename = "Process", skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<Box<Processes>>,
    #[prost(message, tag = "31")]
    #[serde(rename = "LastUpdateMetric", skip_serializing_if = "Option::is_none")]
    pub(super) last_update: Option<FlowMetric>,
    #[prost(message, tag = "32")]
    #[serde(rename = "Metric", skip_serializing_if = "Option::is_none")]
    pub(super) metric: Option<FlowMetric>,
    #[prost(message, boxed, tag = "38")]
    #[serde(rename = "TCPMetric", skip_serializing_if = "Option::is_none")]
    pub(super) tcp: Option<Box<TcpMetric>>,
    #[prost(message, tag = "39")]
    #[serde(rename = "IPMetric", skip_serializing_if = "Option::is_none")]
    pub(super) ip: Option<IpMetric>,
    #[prost(int64, tag = "10")]
    #[serde(rename = "Start")]
    pub(super) start: i64,
    #[prost(int64, tag = "11")]
    #[serde(rename = "Last")]
    pub(super) last: i64,
    #[prost(string, tag = "50")]
    #[serde(rename = "TrackingID", skip_serializing_if = "spell::is_zero")]
    pub(super) tracking_id: String,
    #[prost(string, tag = "51")]
    #[serde(rename = "L3TrackingID", skip_serializing_if = "spell::is_zero")]
    pub(super) l3_tracking_id: String,
    #[prost(string, tag = "6")]
    #[serde(rename = "ParentUUID")]
    pub(super) parent: String,
    #[prost(string, tag = "33")]
    #[serde(rename = "NodeTID", skip_serializing_if = "spell::is_zero")]
    pub(super) node_tid: String,
    #[prost(string, tag = "34")]
    #[serde(rename = "CaptureID", skip_serializing_if = "spell::is_zero")]
    pub(super) capture_id: String,
    #[prost(message, repeated, tag = "36")]
    #[serde(skip)]
    pub(super) raw_packets: Vec<RawPacket>,
    #[prost(int64, tag = "37")]
    #[serde(rename = "RawPacketsCaptured")]
    pub(super) raw_packets_captured: i64,
    #[prost(int32, tag = "60")]
    #[serde(rename = "FinishType", skip_serializing_if = "spell::is_zero")]
    pub(super) finish: i32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FlowLayer {
    #[prost(int32, tag = "1")]
    #[serde(rename = "Protocol", with = "spell::protocol")]
    pub(super) protocol: i32,
    #[prost(string, tag = "3")]
    #[serde(rename = "A", skip_serializing_if = "spell::is_zero")]
    pub(super) a: String,
    #[prost(string, tag = "4")]
    #[serde(rename = "B", skip_serializing_if = "spell::is_zero")]
    pub(super) b: String,
    #[prost(int64, tag = "5")]
    #[serde(rename = "ID")]
    pub(super) id: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TransportLayer {
    #[prost(int32, tag = "1")]
    #[serde(rename = "Protocol", with = "spell::protocol")]
    pub(super) protocol: i32,
    #[prost(int64, tag = "2")]
    #[serde(rename = "A")]
    pub(super) a: i64,
    #[prost(int64, tag = "3")]
    #[serde(rename = "B")]
    pub(super) b: i64,
    #[prost(int64, tag = "4")]
    #[serde(rename = "ID")]
    pub(super) id: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct IcmpLayer {
    #[prost(int32, tag = "1")]
    #[serde(rename = "Type", with = "spell::icmp_kind")]
    pub(super) kind: i32,
    #[prost(uint32, tag = "2")]
    #[serde(rename = "Code", skip_serializing_if = "spell::is_zero")]
    pub(super) code: u32,
    #[prost(uint32, tag = "3")]
    #[serde(rename = "ID", skip_serializing_if = "spell::is_zero")]
    pub(super) id: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FlowMetric {
    #[prost(int64, tag = "2")]
    #[serde(rename = "ABPackets")]
    pub(super) ab_packets: i64,
    #[prost(int64, tag = "3")]
    #[serde(rename = "ABBytes")]
    pub(super) ab_bytes: i64,
    #[prost(int64, tag = "4")]
    #[serde(rename = "BAPackets")]
    pub(super) ba_packets: i64,
    #[prost(int64, tag = "5")]
    #[serde(rename = "BABytes")]
    pub(super) ba_bytes: i64,
    #[prost(int64, tag = "6")]
    #[serde(rename = "Start")]
    pub(super) start: i64,
    #[prost(int64, tag = "7")]
    #[serde(rename = "Last")]
    pub(super) last: i64,
    #[prost(int64, tag = "8")]
    #[serde(rename = "RTT", skip_serializing_if = "spell::is_zero")]
    pub(super) rtt: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RawPacket {
    #[prost(int64, tag = "1")]
    pub(super) timestamp: i64,
    #[prost(int64, tag = "2")]
    pub(super) index: i64,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) data: Vec<u8>,
    #[prost(uint32, tag = "4")]
    pub(super) link_type: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct IpMetric {
    #[prost(int64, tag = "1")]
    #[serde(rename = "Fragments")]
    pub(super) fragments: i64,
    #[prost(int64, tag = "2")]
    #[serde(rename = "FragmentErrors")]
    pub(super) fragment_errors: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TcpMetric {
    #[prost(int64, tag = "1")]
    #[serde(rename = "ABSynStart")]
    pub(super) ab_syn_start: i64,
    #[prost(int64, tag = "2")]
    #[serde(rename = "BASynStart")]
    pub(super) ba_syn_start: i64,
    #[prost(uint32, tag = "3")]
    #[serde(rename = "ABSynTTL", skip_serializing_if = "spell::is_zero")]
    pub(super) ab_syn_ttl: u32,
    #[prost(uint32, tag = "4")]
    #[serde(rename = "BASynTTL", skip_serializing_if = "spell::is_zero")]
    pub(super) ba_syn_ttl: u32,
    #[prost(int64, tag = "5")]
    #[serde(rename = "ABFinStart")]
    pub(super) ab_fin_start: i64,
    #[prost(int64, tag = "6")]
    #[serde(rename = "BAFinStart")]
    pub(super) ba_fin_start: i64,
    #[prost(int64, tag = "7")]
    #[serde(rename = "ABRstStart")]
    pub(super) ab_rst_start: i64,
    #[prost(int64, tag = "8")]
    #[serde(rename = "BARstStart")]
    pub(super) ba_rst_start: i64,
    #[prost(int64, tag = "9")]
    #[serde(rename = "ABSegmentOutOfOrder")]
    pub(super) ab_segment_out_of_order: i64,
    #[prost(int64, tag = "10")]
    #[serde(rename = "ABSegmentSkipped")]
    pub(super) ab_segment_skipped: i64,
    #[prost(int64, tag = "11")]
    #[serde(rename = "ABSegmentSkippedBytes")]
    pub(super) ab_segment_skipped_bytes: i64,
    #[prost(int64, tag = "12")]
    #[serde(rename = "ABPackets")]
    pub(super) ab_packets: i64,
    #[prost(int64, tag = "13")]
    #[serde(rename = "ABBytes")]
    pub(super) ab_bytes: i64,
    #[prost(int64, tag = "14")]
    #[serde(rename = "ABSawStart")]
    pub(super) ab_saw_start: i64,
    #[prost(int64, tag = "15")]
    #[serde(rename = "ABSawEnd")]
    pub(super) ab_saw_end: i64,
    #[prost(int64, tag = "16")]
    #[serde(rename = "BASegmentOutOfOrder")]
    pub(super) ba_segment_out_of_order: i64,
    #[prost(int64, tag = "17")]
    #[serde(rename = "BASegmentSkipped")]
    pub(super) ba_segment_skipped: i64,
    #[prost(int64, tag = "18")]
    #[serde(rename = "BASegmentSkippedBytes")]
    pub(super) ba_segment_skipped_bytes: i64,
    #[prost(int64, tag = "19")]
    #[serde(rename = "BAPackets")]
    pub(super) ba_packets: i64,
    #[prost(int64, tag = "20")]
    #[serde(rename = "BABytes")]
    pub(super) ba_bytes: i64,
    #[prost(int64, tag = "21")]
    #[serde(rename = "BASawStart")]
    pub(super) ba_saw_start: i64,
    #[prost(int64, tag = "22")]
    #[serde(rename = "BASawEnd")]
    pub(super) ba_saw_end: i64,
    #[prost(int64, tag = "100")]
    #[serde(rename = "ABRetransmissions", skip_serializing_if = "spell::is_zero")]
    pub(super) ab_retransmissions: i64,
    #[prost(int64, tag = "101")]
    #[serde(rename = "ABRetransmittedBytes", skip_serializing_if = "spell::is_zero")]
    pub(super) ab_retransmitted_bytes: i64,
    #[prost(int64, tag = "102")]
    #[serde(rename = "ABOutOfOrder", skip_serializing_if = "spell::is_zero")]
    pub(super) ab_out_of_order: i64,
    #[prost(int64, tag = "103")]
    #[serde(rename = "ABZeroWindows", skip_serializing_if = "spell::is_zero")]
    pub(super) ab_zero_windows: i64,
    #[prost(uint32, tag = "104")]
    #[serde(rename = "ABWindowMin", skip_serializing_if = "spell::is_zero")]
    pub(super) ab_window_min: u32,
    #[prost(uint32, tag = "105")]
    #[serde(rename = "ABWindowMax", skip_serializing_if = "spell::is_zero")]
    pub(super) ab_window_max: u32,
    #[prost(int64, tag = "120")]
    #[serde(rename = "BARetransmissions", skip_serializing_if = "spell::is_zero")]
    pub(super) ba_retransmissions: i64,
    #[prost(int64, tag = "121")]
    #[serde(rename = "BARetransmittedBytes", skip_serializing_if = "spell::is_zero")]
    pub(super) ba_retransmitted_bytes: i64,
    #[prost(int64, tag = "122")]
    #[serde(rename = "BAOutOfOrder", skip_serializing_if = "spell::is_zero")]
    pub(super) ba_out_of_order: i64,
    #[prost(int64, tag = "123")]
    #[serde(rename = "BAZeroWindows", skip_serializing_if = "spell::is_zero")]
    pub(super) ba_zero_windows: i64,
    #[prost(uint32, tag = "124")]
    #[serde(rename = "BAWindowMin", skip_serializing_if = "spell::is_zero")]
    pub(super) ba_window_min: u32,
    #[prost(uint32, tag = "125")]
    #[serde(rename = "BAWindowMax", skip_serializing_if = "spell::is_zero")]
    pub(super) ba_window_max: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Dhcp4 {
    #[prost(uint32, tag = "3")]
    #[serde(rename = "hardware_len", skip_serializing_if = "spell::is_zero")]
    pub(super) hardware_len: u32,
    #[prost(uint32, tag = "4")]
    #[serde(rename = "hardware_opts", skip_serializing_if = "spell::is_zero")]
    pub(super) hardware_opts: u32,
    #[prost(uint32, tag = "5")]
    #[serde(rename = "xid", skip_serializing_if = "spell::is_zero")]
    pub(super) xid: u32,
    #[prost(uint32, tag = "6")]
    #[serde(rename = "secs", skip_serializing_if = "spell::is_zero")]
    pub(super) secs: u32,
    #[prost(uint32, tag = "7")]
    #[serde(rename = "flags", skip_serializing_if = "spell::is_zero")]
    pub(super) flags: u32,
    #[prost(bytes = "vec", tag = "8")]
    #[serde(rename = "server_name", with = "spell::base64", skip_serializing_if = "Vec::is_empty")]
    pub(super) server_name: Vec<u8>,
    #[prost(bytes = "vec", tag = "9")]
    #[serde(rename = "file", with = "spell::base64", skip_serializing_if = "Vec::is_empty")]
    pub(super) file: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Vrrp {
    #[prost(uint32, tag = "3")]
    #[serde(rename = "version", skip_serializing_if = "spell::is_zero")]
    pub(super) version: u32,
    #[prost(uint32, tag = "4")]
    #[serde(rename = "virtual_rtrID", skip_serializing_if = "spell::is_zero")]
    pub(super) virtual_router: u32,
    #[prost(uint32, tag = "5")]
    #[serde(rename = "priority", skip_serializing_if = "spell::is_zero")]
    pub(super) priority: u32,
    #[prost(uint32, tag = "7")]
    #[serde(rename = "adver_int", skip_serializing_if = "spell::is_zero")]
    pub(super) adver_int: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tls {
    #[prost(string, tag = "1")]
    #[serde(rename = "server_name", skip_serializing_if = "spell::is_zero")]
    pub(super) server_name: String,
    #[prost(string, repeated, tag = "2")]
    #[serde(rename = "alpn", deserialize_with = "spell::list", skip_serializing_if = "Vec::is_empty")]
    pub(super) alpn: Vec<String>,
    #[prost(uint32, tag = "3")]
    #[serde(rename = "version", skip_serializing_if = "spell::is_zero")]
    pub(super) version: u32,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Http {
    #[prost(string, tag = "1")]
    #[serde(rename = "method", skip_serializing_if = "spell::is_zero")]
    pub(super) method: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "target", skip_serializing_if = "spell::is_zero")]
    pub(super) target: String,
    #[prost(string, tag = "3")]
    #[serde(rename = "host", skip_serializing_if = "spell::is_zero")]
    pub(super) host: String,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Processes {
    #[prost(message, tag = "1")]
    #[serde(rename = "A", skip_serializing_if = "Option::is_none")]
    pub(super) a: Option<Process>,
    #[prost(message, tag = "2")]
    #[serde(rename = "B", skip_serializing_if = "Option::is_none")]
    pub(super) b: Option<Process>,
}

#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    #[prost(uint32, tag = "1")]
    #[serde(rename = "Pid", skip_serializing_if = "spell::is_zero")]
    pub(super) pid: u32,
    #[prost(string, tag = "2")]
    #[serde(rename = "Name", skip_serializing_if = "spell::is_zero")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    #[serde(rename = "Path", skip_serializing_if = "spell::is_zero")]
    pub(super) path: String,
    #[prost(string, tag = "4")]
    #[serde(rename = "Cgroup", skip_serializing_if = "spell::is_zero")]
    pub(super) cgroup: String,
    #[prost(string, tag = "5")]
    #[serde(rename = "ContainerID", skip_serializing_if = "spell::is_zero")]
    pub(super) container_id: String,
}
