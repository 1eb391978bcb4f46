//! A flow as everybody outside the table sees it: one conversation at one point of capture.

use std::net::IpAddr;

use skydive_packet::application::dns;
use skydive_packet::{LayerKind, LinkType};
use skydive_value::{SmolStr, Timestamp};

use crate::metric::Metric;
use crate::process::Processes;

/// An identifier of 64 bits, written in lower-case hexadecimal without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u64);

/// A conversation of two sides. Side A sent the first packet that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// This flow on this point of capture.
    pub uuid: FlowId,
    /// The flow that carries it, when it is inside a tunnel.
    pub parent: Option<FlowId>,
    /// The same wherever the same link addresses are seen.
    pub tracking_id: FlowId,
    /// The same wherever the same network addresses are seen.
    pub l3_tracking_id: FlowId,
    /// The layers of its first packet, outermost first, joined by `/`.
    pub layers_path: SmolStr,
    /// The innermost layer, or the name configured for its port.
    pub application: SmolStr,
    /// Time of the first packet.
    pub start: Timestamp,
    /// Time of the last packet.
    pub last: Timestamp,
    /// Link layer.
    pub link: Option<Link>,
    /// Network layer.
    pub network: Option<Network>,
    /// Transport layer.
    pub transport: Option<Transport>,
    /// ICMP, of both versions.
    pub icmp: Option<Icmp>,
    /// What was counted since the start.
    pub metric: Metric,
    /// What was counted in the last update period; absent before the first one.
    pub last_update: Option<Metric>,
    /// TCP, when asked for.
    pub tcp: Option<Box<TcpMetric>>,
    /// Fragments, when datagrams are put together.
    pub ip: Option<IpMetric>,
    /// How it ended.
    pub finish: Finish,
    /// The node it was captured at.
    pub node_tid: SmolStr,
    /// The capture that saw it.
    pub capture_id: SmolStr,
    /// Packets kept since the last update.
    pub raw_packets: Vec<RawPacket>,
    /// Packets kept since the start.
    pub raw_packets_captured: u64,
    /// What its application said, when asked for.
    pub extra: Option<Box<Extra>>,
    /// Who speaks. A table leaves it empty; whoever knows the host's sockets fills it in.
    pub process: Processes,
}

/// Two link addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Of side A.
    pub a: [u8; 6],
    /// Of side B.
    pub b: [u8; 6],
    /// VLAN ids of 12 bits each, the outermost lowest.
    pub id: u64,
}

/// Two network addresses of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Of side A.
    pub a: IpAddr,
    /// Of side B.
    pub b: IpAddr,
    /// VNI or key of the tunnel that this flow carries; 0 when it carries none.
    pub id: u32,
}

/// Two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// TCP, UDP or SCTP.
    pub protocol: TransportProtocol,
    /// Of side A.
    pub a: u16,
    /// Of side B.
    pub b: u16,
}

/// The transports that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportProtocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

/// What an ICMP flow is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Version 6, or version 4.
    pub v6: bool,
    /// Class of the message type.
    pub kind: IcmpKind,
    /// Code.
    pub code: u8,
    /// Identifier.
    pub id: u16,
}

/// Classes of ICMP messages; request and answer are of one class. The discriminants are those of the protocol buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names of the messages")]
pub enum IcmpKind {
    #[default]
    Unknown = 0,
    DestinationUnreachable = 1,
    Echo = 2,
    Neighbor = 3,
    AddressMask = 4,
    Info = 5,
    ParameterProblem = 6,
    Redirect = 7,
    Router = 8,
    SourceQuench = 9,
    TimeExceeded = 10,
    Timestamp = 11,
    PacketTooBig = 12,
}

/// How a flow ended. The discriminants are those of the protocol buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Finish {
    /// It has not.
    #[default]
    Not = 0,
    /// Nothing was seen of it for a while.
    Timeout = 1,
    /// Both sides closed it.
    Fin = 2,
    /// One side reset it.
    Rst = 3,
}

/// TCP in detail. Times in milliseconds since the epoch; 0 means not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpMetric {
    /// What side A sent.
    pub ab: TcpSide,
    /// What side B sent.
    pub ba: TcpSide,
}

/// TCP as one side sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpSide {
    /// Time of its first SYN.
    pub syn_start: i64,
    /// TTL or hop limit of that.
    pub syn_ttl: u8,
    /// Time of its latest FIN.
    pub fin_start: i64,
    /// Time of its latest RST.
    pub rst_start: i64,
    /// Segments sent again: payload of which every byte was seen before.
    pub retransmissions: u64,
    /// Bytes of those.
    pub retransmitted_bytes: u64,
    /// Segments that came after a later one, and were not seen before.
    pub out_of_order: u64,
    /// Times a window of zero was announced.
    pub zero_windows: u64,
    /// Smallest window announced after the handshake, scaled; bytes.
    pub window_min: u32,
    /// Largest one.
    pub window_max: u32,
    /// The stream as put together, when asked for.
    pub stream: StreamMetric,
}

/// One direction of a TCP stream after its segments were put in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMetric {
    /// Pieces in order.
    pub packets: i64,
    /// Payload bytes.
    pub bytes: i64,
    /// Pieces whose time precedes that of the one before.
    pub segment_out_of_order: i64,
    /// Gaps; a start that was missed is one.
    pub segment_skipped: i64,
    /// Bytes in gaps; -1 for a start that was missed.
    pub segment_skipped_bytes: i64,
    /// 1 when the start was seen.
    pub saw_start: i64,
    /// 1 when the end was seen.
    pub saw_end: i64,
}

/// Fragments of IPv4 datagrams that were put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpMetric {
    /// Fragments before the one that completed a datagram.
    pub fragments: u64,
    /// Fragments that could not be used; their packets are counted as they came.
    pub fragment_errors: u64,
}

/// A packet as captured, or the part of it that belongs to the flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPacket {
    /// When.
    pub at: Timestamp,
    /// Which of its flow, from 1.
    pub index: u64,
    /// The captured bytes.
    pub bytes: Box<[u8]>,
    /// How they begin.
    pub link: LinkType,
}

/// What an application said in the clear.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    /// The latest DNS message.
    pub dns: Option<dns::Message>,
    /// When that was; nanoseconds since the epoch.
    pub dns_at: i64,
    /// Time from the latest question to its answer; nanoseconds.
    pub dns_latency: Option<u64>,
    /// The first DHCPv4 message.
    pub dhcp4: Option<Dhcp4>,
    /// The first VRRP advertisement.
    pub vrrp: Option<Vrrp>,
    /// The first TLS ClientHello.
    pub tls: Option<Tls>,
    /// The first HTTP/1 request.
    pub http: Option<Http>,
}

/// Fields of a DHCPv4 message, RFC 2131.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dhcp4 {
    /// Boot file name.
    pub file: Box<[u8]>,
    /// Flags.
    pub flags: u16,
    /// Length of a hardware address.
    pub hardware_len: u8,
    /// Hops.
    pub hardware_opts: u8,
    /// Server name.
    pub server_name: Box<[u8]>,
    /// Seconds since the client began.
    pub secs: u16,
    /// Transaction.
    pub xid: u32,
}

/// Fields of a VRRP advertisement, RFC 3768 and RFC 5798.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vrrp {
    /// Interval between advertisements, in the unit of the version.
    pub adver_int: u16,
    /// Priority.
    pub priority: u8,
    /// Version.
    pub version: u8,
    /// Virtual router.
    pub virtual_router: u8,
}

/// Fields of a TLS ClientHello, RFC 8446.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Name of the server asked for; empty when none.
    pub server_name: SmolStr,
    /// Protocols offered, most wanted first.
    pub alpn: Vec<SmolStr>,
    /// Highest version offered, as on the wire.
    pub version: u16,
}

/// The first line of an HTTP/1 request, RFC 9112.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Method.
    pub method: SmolStr,
    /// Target, at most 1 KiB of it.
    pub target: SmolStr,
    /// The `Host` header; empty when it was not in the first segment.
    pub host: SmolStr,
}

impl IcmpKind {
    /// Every class, in the order of its number.
    pub const ALL: [Self; 13] = [
        Self::Unknown,
        Self::DestinationUnreachable,
        Self::Echo,
        Self::Neighbor,
        Self::AddressMask,
        Self::Info,
        Self::ParameterProblem,
        Self::Redirect,
        Self::Router,
        Self::SourceQuench,
        Self::TimeExceeded,
        Self::Timestamp,
        Self::PacketTooBig,
    ];
}

impl std::fmt::Display for FlowId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Text that is no identifier of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 1 to 16 hexadecimal digits")]
pub struct FlowIdError;

impl std::str::FromStr for FlowId {
    type Err = FlowIdError;

    fn from_str(text: &str) -> Result<Self, FlowIdError> {
        // The standard parser would take a sign.
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| is_hex).map(Self).ok_or(FlowIdError)
    }
}

impl Flow {
    /// Whether the flow is a tunnel's or a plain one's innermost layer of this kind.
    pub fn has_layer(&self, kind: LayerKind) -> bool {
        self.layers_path.split('/').any(|name| name == kind.name())
    }
}
