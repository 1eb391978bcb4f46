//! The fields of flows that can be asked for, each with its name in queries and how it is read.
//!
//! One table, so that a field which exists can be filtered, sorted and listed everywhere. Names of the original keep
//! their spelling; what is new follows it. The page `docs/flow-fields.md` says what each one means.

use skydive_packet::application::dns;
use skydive_value::{FieldRef, Fields, Hint, Map, Path, ShortText, Value};

use crate::{
    Dhcp4, Extra, Flow, FlowId, Http, Icmp, IpMetric, Link, Mac, Metric, Network, Process, Protocol,
    StreamMetric, TcpSide, Tls, Transport, Vrrp,
};

/// A field of flows.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in queries: its group, if it has one, and its own, with a dot between.
    pub name: &'static str,
    read: fn(&Flow) -> Option<FieldRef<'_>>,
}

/// Declares fields: a constant of the name, and how it is read from what the function before it finds in a flow.
macro_rules! fields {
    ($($of:ident { $($name:ident = $text:literal, $read:expr;)* })*) => {
        $($(
            #[doc = concat!("`", $text, "`.")]
            pub const $name: &str = $text;
        )*)*

        /// Every field.
        pub const FIELDS: &[Field] = &[
            $($(Field { name: $name, read: |flow| $of(flow).and_then($read) },)*)*
        ];
    };
}

/// What else a group is called, before the dot.
const ALIASES: [(&str, &str); 7] = [
    ("ETHERNET.", "Link."),
    ("IPV4.", "Network."),
    ("IPV6.", "Network."),
    ("TCP.", "Transport."),
    ("UDP.", "Transport."),
    ("SCTP.", "Transport."),
    ("VRRP.", "VRRPv2."),
];

fields! {
    flow {
        UUID = "UUID", |f| id(f.uuid);
        LAYERS_PATH = "LayersPath", |f| str(&f.layers_path);
        APPLICATION = "Application", |f| str(&f.application);
        TRACKING_ID = "TrackingID", |f| id(f.tracking_id);
        L3_TRACKING_ID = "L3TrackingID", |f| id(f.l3_tracking_id);
        PARENT_UUID = "ParentUUID", |f| f.parent.map_or_else(|| str(""), id);
        NODE_TID = "NodeTID", |f| str(&f.node_tid);
        CAPTURE_ID = "CaptureID", |f| str(&f.capture_id);
        START = "Start", |f| int(f.start.as_millis());
        LAST = "Last", |f| int(f.last.as_millis());
        FINISH_TYPE = "FinishType", |f| str(f.finish.name());
        RAW_PACKETS_CAPTURED = "RawPacketsCaptured", |f| count(f.raw_packets_captured);
    }
    link {
        LINK_PROTOCOL = "Link.Protocol", |_| str(Protocol::Ethernet.name());
        LINK_A = "Link.A", |l| mac(l.a);
        LINK_B = "Link.B", |l| mac(l.b);
        LINK_ID = "Link.ID", |l| count(l.id);
    }
    network {
        NETWORK_PROTOCOL = "Network.Protocol", |n| str(n.protocol().name());
        NETWORK_A = "Network.A", |n| text(n.a);
        NETWORK_B = "Network.B", |n| text(n.b);
        NETWORK_ID = "Network.ID", |n| int(n.id);
    }
    transport {
        TRANSPORT_PROTOCOL = "Transport.Protocol", |t| str(Protocol::from(t.protocol).name());
        TRANSPORT_A = "Transport.A", |t| int(t.a);
        TRANSPORT_B = "Transport.B", |t| int(t.b);
        TRANSPORT_ID = "Transport.ID", |_| int(0);
    }
    icmp {
        ICMP_TYPE = "ICMP.Type", |i| str(i.kind.name());
        ICMP_CODE = "ICMP.Code", |i| int(i.code);
        ICMP_ID = "ICMP.ID", |i| int(i.id);
    }
    metric {
        METRIC_AB_PACKETS = "Metric.ABPackets", |m| count(m.ab_packets);
        METRIC_AB_BYTES = "Metric.ABBytes", |m| count(m.ab_bytes);
        METRIC_BA_PACKETS = "Metric.BAPackets", |m| count(m.ba_packets);
        METRIC_BA_BYTES = "Metric.BABytes", |m| count(m.ba_bytes);
        METRIC_START = "Metric.Start", |m| int(m.start.as_millis());
        METRIC_LAST = "Metric.Last", |m| int(m.last.as_millis());
        METRIC_RTT = "Metric.RTT", |m| count(m.rtt);
    }
    last_update {
        LAST_UPDATE_AB_PACKETS = "LastUpdateMetric.ABPackets", |m| count(m.ab_packets);
        LAST_UPDATE_AB_BYTES = "LastUpdateMetric.ABBytes", |m| count(m.ab_bytes);
        LAST_UPDATE_BA_PACKETS = "LastUpdateMetric.BAPackets", |m| count(m.ba_packets);
        LAST_UPDATE_BA_BYTES = "LastUpdateMetric.BABytes", |m| count(m.ba_bytes);
        LAST_UPDATE_START = "LastUpdateMetric.Start", |m| int(m.start.as_millis());
        LAST_UPDATE_LAST = "LastUpdateMetric.Last", |m| int(m.last.as_millis());
        LAST_UPDATE_RTT = "LastUpdateMetric.RTT", |m| count(m.rtt);
    }
    tcp_ab {
        TCP_AB_SYN_START = "TCPMetric.ABSynStart", |s| int(s.syn_start);
        TCP_AB_SYN_TTL = "TCPMetric.ABSynTTL", |s| int(s.syn_ttl);
        TCP_AB_FIN_START = "TCPMetric.ABFinStart", |s| int(s.fin_start);
        TCP_AB_RST_START = "TCPMetric.ABRstStart", |s| int(s.rst_start);
        TCP_AB_RETRANSMISSIONS = "TCPMetric.ABRetransmissions", |s| count(s.retransmissions);
        TCP_AB_RETRANSMITTED_BYTES = "TCPMetric.ABRetransmittedBytes", |s| count(s.retransmitted_bytes);
        TCP_AB_OUT_OF_ORDER = "TCPMetric.ABOutOfOrder", |s| count(s.out_of_order);
        TCP_AB_ZERO_WINDOWS = "TCPMetric.ABZeroWindows", |s| count(s.zero_windows);
        TCP_AB_WINDOW_MIN = "TCPMetric.ABWindowMin", |s| int(s.window_min);
        TCP_AB_WINDOW_MAX = "TCPMetric.ABWindowMax", |s| int(s.window_max);
    }
    tcp_ba {
        TCP_BA_SYN_START = "TCPMetric.BASynStart", |s| int(s.syn_start);
        TCP_BA_SYN_TTL = "TCPMetric.BASynTTL", |s| int(s.syn_ttl);
        TCP_BA_FIN_START = "TCPMetric.BAFinStart", |s| int(s.fin_start);
        TCP_BA_RST_START = "TCPMetric.BARstStart", |s| int(s.rst_start);
        TCP_BA_RETRANSMISSIONS = "TCPMetric.BARetransmissions", |s| count(s.retransmissions);
        TCP_BA_RETRANSMITTED_BYTES = "TCPMetric.BARetransmittedBytes", |s| count(s.retransmitted_bytes);
        TCP_BA_OUT_OF_ORDER = "TCPMetric.BAOutOfOrder", |s| count(s.out_of_order);
        TCP_BA_ZERO_WINDOWS = "TCPMetric.BAZeroWindows", |s| count(s.zero_windows);
        TCP_BA_WINDOW_MIN = "TCPMetric.BAWindowMin", |s| int(s.window_min);
        TCP_BA_WINDOW_MAX = "TCPMetric.BAWindowMax", |s| int(s.window_max);
    }
    stream_ab {
        TCP_AB_SEGMENT_OUT_OF_ORDER = "TCPMetric.ABSegmentOutOfOrder", |s| int(s.segment_out_of_order);
        TCP_AB_SEGMENT_SKIPPED = "TCPMetric.ABSegmentSkipped", |s| int(s.segment_skipped);
        TCP_AB_SEGMENT_SKIPPED_BYTES = "TCPMetric.ABSegmentSkippedBytes", |s| int(s.segment_skipped_bytes);
        TCP_AB_PACKETS = "TCPMetric.ABPackets", |s| int(s.packets);
        TCP_AB_BYTES = "TCPMetric.ABBytes", |s| int(s.bytes);
        TCP_AB_SAW_START = "TCPMetric.ABSawStart", |s| int(s.saw_start);
        TCP_AB_SAW_END = "TCPMetric.ABSawEnd", |s| int(s.saw_end);
    }
    stream_ba {
        TCP_BA_SEGMENT_OUT_OF_ORDER = "TCPMetric.BASegmentOutOfOrder", |s| int(s.segment_out_of_order);
        TCP_BA_SEGMENT_SKIPPED = "TCPMetric.BASegmentSkipped", |s| int(s.segment_skipped);
        TCP_BA_SEGMENT_SKIPPED_BYTES = "TCPMetric.BASegmentSkippedBytes", |s| int(s.segment_skipped_bytes);
        TCP_BA_PACKETS = "TCPMetric.BAPackets", |s| int(s.packets);
        TCP_BA_BYTES = "TCPMetric.BABytes", |s| int(s.bytes);
        TCP_BA_SAW_START = "TCPMetric.BASawStart", |s| int(s.saw_start);
        TCP_BA_SAW_END = "TCPMetric.BASawEnd", |s| int(s.saw_end);
    }
    ip {
        IP_FRAGMENTS = "IPMetric.Fragments", |m| count(m.fragments);
        IP_FRAGMENT_ERRORS = "IPMetric.FragmentErrors", |m| count(m.fragment_errors);
    }
    dns {
        DNS_ID = "DNS.ID", |m| int(m.header.id());
        DNS_QR = "DNS.QR", |m| truth(m.header.is_response());
        DNS_OP_CODE = "DNS.OpCode", |m| str(m.header.op_code().name());
        DNS_AA = "DNS.AA", |m| truth(m.header.is_authoritative());
        DNS_TC = "DNS.TC", |m| truth(m.header.is_truncated());
        DNS_RD = "DNS.RD", |m| truth(m.header.wants_recursion());
        DNS_RA = "DNS.RA", |m| truth(m.header.offers_recursion());
        DNS_Z = "DNS.Z", |m| int(m.header.z());
        DNS_RESPONSE_CODE = "DNS.ResponseCode", |m| str(m.response_code().name());
        DNS_QD_COUNT = "DNS.QDCount", |m| int(m.header.questions());
        DNS_AN_COUNT = "DNS.ANCount", |m| int(m.header.answers());
        DNS_NS_COUNT = "DNS.NSCount", |m| int(m.header.authorities());
        DNS_AR_COUNT = "DNS.ARCount", |m| int(m.header.additionals());
        DNS_QUESTION_NAME = "DNS.QuestionName", |m| str(&m.questions.first()?.name);
        DNS_QUESTION_TYPE = "DNS.QuestionType", |m| str(m.questions.first()?.kind.name());
    }
    extra {
        DNS_LATENCY = "DNS.Latency", |e| count(e.dns_latency?);
    }
    dhcp4 {
        DHCP4_HARDWARE_LEN = "DHCPv4.HardwareLen", |d| int(d.hardware_len);
        DHCP4_HARDWARE_OPTS = "DHCPv4.HardwareOpts", |d| int(d.hardware_opts);
        DHCP4_XID = "DHCPv4.Xid", |d| int(d.xid);
        DHCP4_SECS = "DHCPv4.Secs", |d| int(d.secs);
        DHCP4_FLAGS = "DHCPv4.Flags", |d| int(d.flags);
        DHCP4_SERVER_NAME = "DHCPv4.ServerName", |d| zero_ended(&d.server_name);
        DHCP4_FILE = "DHCPv4.File", |d| zero_ended(&d.file);
    }
    vrrp {
        VRRP_VERSION = "VRRPv2.Version", |v| int(v.version);
        VRRP_VIRTUAL_ROUTER = "VRRPv2.VirtualRtrID", |v| int(v.virtual_router);
        VRRP_PRIORITY = "VRRPv2.Priority", |v| int(v.priority);
        VRRP_ADVER_INT = "VRRPv2.AdverInt", |v| int(v.adver_int);
    }
    tls {
        TLS_SERVER_NAME = "TLS.ServerName", |t| str(&t.server_name);
        TLS_ALPN = "TLS.ALPN", |t| Some(FieldRef::Texts(&t.alpn));
        TLS_VERSION = "TLS.Version", |t| int(t.version);
    }
    http {
        HTTP_METHOD = "HTTP.Method", |h| str(&h.method);
        HTTP_TARGET = "HTTP.Target", |h| str(&h.target);
        HTTP_HOST = "HTTP.Host", |h| str(&h.host);
    }
    process_a {
        PROCESS_A_PID = "Process.A.Pid", |p| int(p.pid);
        PROCESS_A_NAME = "Process.A.Name", |p| str(&p.name);
        PROCESS_A_PATH = "Process.A.Path", |p| str(&p.path);
        PROCESS_A_CGROUP = "Process.A.Cgroup", |p| str(&p.cgroup);
        PROCESS_A_CONTAINER_ID = "Process.A.ContainerID", |p| str(&p.container_id);
    }
    process_b {
        PROCESS_B_PID = "Process.B.Pid", |p| int(p.pid);
        PROCESS_B_NAME = "Process.B.Name", |p| str(&p.name);
        PROCESS_B_PATH = "Process.B.Path", |p| str(&p.path);
        PROCESS_B_CGROUP = "Process.B.Cgroup", |p| str(&p.cgroup);
        PROCESS_B_CONTAINER_ID = "Process.B.ContainerID", |p| str(&p.container_id);
    }
}

impl Fields for Flow {
    fn field<'a>(&'a self, path: &'a Path, hint: &Hint) -> Option<FieldRef<'a>> {
        let place = hint.place(|| place(path))?;
        FIELDS.get(place as usize)?.of(self)
    }
}

impl Field {
    /// The field of a flow; `None` when the flow has not that group.
    pub fn of<'a>(&self, flow: &'a Flow) -> Option<FieldRef<'a>> {
        (self.read)(flow)
    }
}

impl Flow {
    /// The field at `path`; of a whole group (`Metric`, `Link`) an object with all fields that the flow has of it.
    pub fn read(&self, path: &Path) -> Option<Value> {
        if let Some(field) = self.field(path, &Hint::default()) {
            return Some(field.to_value());
        }
        let asked = path.to_string();
        let mut group = Map::new();
        for field in FIELDS {
            let own = field.name.strip_prefix(&asked).and_then(|rest| rest.strip_prefix('.'));
            if let (Some(own), Some(value)) = (own, field.of(self)) {
                group.set_path(&Path::parse(own), value.to_value());
            }
        }
        (!group.is_empty()).then(|| Value::from(group))
    }
}

/// Where in [`FIELDS`] the field at `path` is.
fn place(path: &Path) -> Option<u32> {
    let asked = path.to_string();
    let alias = ALIASES.iter().find_map(|(alias, group)| Some((group, asked.strip_prefix(alias)?)));
    let name = alias.map_or_else(|| asked.clone(), |(group, own)| format!("{group}{own}"));
    FIELDS.iter().position(|field| field.name == name).map(|at| at as u32)
}

#[expect(clippy::unnecessary_wraps, reason = "as the others, of which some are missing")]
fn flow(flow: &Flow) -> Option<&Flow> {
    Some(flow)
}

fn link(flow: &Flow) -> Option<&Link> {
    flow.link.as_ref()
}

fn network(flow: &Flow) -> Option<&Network> {
    flow.network.as_ref()
}

fn transport(flow: &Flow) -> Option<&Transport> {
    flow.transport.as_ref()
}

fn icmp(flow: &Flow) -> Option<&Icmp> {
    flow.icmp.as_ref()
}

#[expect(clippy::unnecessary_wraps, reason = "as the others, of which some are missing")]
fn metric(flow: &Flow) -> Option<&Metric> {
    Some(&flow.metric)
}

fn last_update(flow: &Flow) -> Option<&Metric> {
    flow.last_update.as_ref()
}

fn tcp_ab(flow: &Flow) -> Option<&TcpSide> {
    Some(&flow.tcp.as_ref()?.ab)
}

fn tcp_ba(flow: &Flow) -> Option<&TcpSide> {
    Some(&flow.tcp.as_ref()?.ba)
}

fn stream_ab(flow: &Flow) -> Option<&StreamMetric> {
    Some(&tcp_ab(flow)?.stream)
}

fn stream_ba(flow: &Flow) -> Option<&StreamMetric> {
    Some(&tcp_ba(flow)?.stream)
}

fn ip(flow: &Flow) -> Option<&IpMetric> {
    flow.ip.as_ref()
}

fn extra(flow: &Flow) -> Option<&Extra> {
    flow.extra.as_deref()
}

fn dns(flow: &Flow) -> Option<&dns::Message> {
    extra(flow)?.dns.as_ref()
}

fn dhcp4(flow: &Flow) -> Option<&Dhcp4> {
    extra(flow)?.dhcp4.as_ref()
}

fn vrrp(flow: &Flow) -> Option<&Vrrp> {
    extra(flow)?.vrrp.as_ref()
}

fn tls(flow: &Flow) -> Option<&Tls> {
    extra(flow)?.tls.as_ref()
}

fn http(flow: &Flow) -> Option<&Http> {
    extra(flow)?.http.as_ref()
}

fn process_a(flow: &Flow) -> Option<&Process> {
    flow.process.a.as_deref()
}

fn process_b(flow: &Flow) -> Option<&Process> {
    flow.process.b.as_deref()
}

#[expect(clippy::unnecessary_wraps, reason = "what a field of a flow is read as")]
fn str(text: &str) -> Option<FieldRef<'_>> {
    Some(FieldRef::Str(text))
}

#[expect(clippy::unnecessary_wraps, reason = "what a field of a flow is read as")]
fn int(number: impl Into<i64>) -> Option<FieldRef<'static>> {
    Some(FieldRef::Int(number.into()))
}

fn count(count: u64) -> Option<FieldRef<'static>> {
    int(i64::try_from(count).unwrap_or(i64::MAX))
}

#[expect(clippy::unnecessary_wraps, reason = "what a field of a flow is read as")]
fn truth(is: bool) -> Option<FieldRef<'static>> {
    Some(FieldRef::Bool(is))
}

#[expect(clippy::unnecessary_wraps, reason = "what a field of a flow is read as")]
fn text(thing: impl std::fmt::Display) -> Option<FieldRef<'static>> {
    Some(FieldRef::Text(ShortText::of(thing)))
}

fn id(id: FlowId) -> Option<FieldRef<'static>> {
    text(id)
}

fn mac(mac: [u8; 6]) -> Option<FieldRef<'static>> {
    text(Mac(mac))
}

/// Text in a field of fixed length, up to the first zero; `None` when it is no text.
fn zero_ended(bytes: &[u8]) -> Option<FieldRef<'_>> {
    let text = bytes.split(|byte| *byte == 0).next()?;
    str(std::str::from_utf8(text).ok()?)
}

#[cfg(test)]
mod tests {
    use skydive_value::{Filter, Matcher, Test};

    use super::*;
    use crate::Processes;
    use crate::testing::{dns_answer, flow};

    fn reads(flow: &Flow, path: &str) -> Option<Value> {
        flow.read(&Path::parse(path))
    }

    #[test]
    fn every_field_has_a_name_of_its_own_and_is_found_by_it() {
        for (at, field) in FIELDS.iter().enumerate() {
            assert_eq!(place(&Path::parse(field.name)), Some(at as u32), "{}", field.name);
        }
        for path in ["", "Link", "Link.C", "Link.A.x", "link.a", "Start.A", "TCP", "TCP.x", "@ID"] {
            assert_eq!(place(&Path::parse(path)), None, "{path}");
        }
    }

    #[test]
    fn what_is_stored_as_numbers_reads_as_text() {
        let flow = flow();
        for (path, text) in [
            ("UUID", "1a2b"),
            ("ParentUUID", ""),
            ("TrackingID", "aaa"),
            ("Link.Protocol", "ETHERNET"),
            ("Link.A", "00:1b:21:3c:ab:64"),
            ("ETHERNET.B", "0a:00:00:00:00:01"),
            ("Network.Protocol", "IPV6"),
            ("Network.A", "2001:db8::1"),
            ("IPV4.B", "2001:db8::2"),
            ("Transport.Protocol", "TCP"),
            ("FinishType", "TCP_FIN"),
        ] {
            assert_eq!(reads(&flow, path), Some(Value::from(text)), "{path}");
        }
        for (path, number) in [
            ("TCP.A", 1025),
            ("Transport.B", 443),
            ("Transport.ID", 0),
            ("Metric.ABBytes", 100),
            ("RawPacketsCaptured", 3),
            ("Start", 1000),
        ] {
            assert_eq!(reads(&flow, path), Some(Value::Int(number)), "{path}");
        }
        for path in ["ICMP.Type", "LastUpdateMetric.ABBytes", "TCPMetric.ABSynStart", "DNS.ID", "TLS.ALPN"] {
            assert_eq!(reads(&flow, path), None, "{path}");
        }
    }

    #[test]
    fn a_whole_group_is_an_object() {
        let Some(Value::Map(link)) = reads(&flow(), "Link") else { panic!("no object") };
        assert_eq!(link.len(), 4);
        assert_eq!(link.get("ID"), Some(&Value::Int(5)));
        assert_eq!(reads(&flow(), "ICMP"), None);
    }

    #[test]
    fn a_side_has_a_process_or_none() {
        let curl =
            Process { pid: 7, name: "curl".into(), path: "/usr/bin/curl".into(), ..Process::default() };
        let flow = Flow { process: Processes { a: Some(curl.into()), b: None }, ..flow() };
        assert!(Filter::text("Process.A.Name", "curl").and(Filter::int("Process.A.Pid", 7)).matches(&flow));
        assert!(Filter::Field("Process.B.Name".into(), Test::Missing).matches(&flow));
        let Some(Value::Map(sides)) = reads(&flow, "Process") else { panic!("no object") };
        assert_eq!(sides.len(), 1);
        assert_eq!(sides.lookup(&Path::parse("A.Path")).unwrap(), Some(Value::from("/usr/bin/curl")));
        let Some(Value::Map(side)) = reads(&flow, "Process.A") else { panic!("no object") };
        assert_eq!(side.get("Pid"), Some(&Value::Int(7)));
        assert_eq!(reads(&flow, "Process.B"), None);
    }

    #[test]
    fn filters_ask_for_extra_layers() {
        let extra = Extra {
            dns: Some(dns_answer()),
            dns_latency: Some(1_500_000),
            dhcp4: Some(Dhcp4 { server_name: b"boot\0\0".as_slice().into(), secs: 3, ..Dhcp4::default() }),
            vrrp: Some(Vrrp { priority: 100, ..Vrrp::default() }),
            tls: Some(Tls {
                server_name: "example.org".into(),
                alpn: vec!["h2".into(), "http/1.1".into()],
                version: 0x0304,
            }),
            http: Some(Http { method: "GET".into(), target: "/".into(), host: "example.org".into() }),
            ..Extra::default()
        };
        let flow = Flow { extra: Some(Box::new(extra)), ..flow() };
        for filter in [
            Filter::int("DNS.ID", 7),
            Filter::Field("DNS.QR".into(), Test::Bool(true)),
            Filter::text("DNS.ResponseCode", "No Error"),
            Filter::text("DNS.OpCode", "Query"),
            Filter::int("DNS.QDCount", 1),
            Filter::text("DNS.QuestionName", "example.org"),
            Filter::text("DNS.QuestionType", "AAAA"),
            Filter::Field("DNS.Latency".into(), Test::Gt(1_000_000)),
            Filter::int("DHCPv4.Secs", 3),
            Filter::text("DHCPv4.ServerName", "boot"),
            Filter::int("VRRP.Priority", 100),
            Filter::int("VRRPv2.Priority", 100),
            Filter::text("TLS.ALPN", "http/1.1"),
            Filter::text("TLS.ServerName", "example.org"),
            Filter::text("HTTP.Method", "GET"),
        ] {
            assert!(filter.matches(&flow), "{filter:?}");
            assert!(!Filter::not(filter).matches(&flow));
        }
    }

    /// A matcher looks for the place of a field once: it must not take one field for another.
    #[test]
    fn a_matcher_of_many_fields_asks_each() {
        let filter = Filter::text("Network.A", "2001:db8::1")
            .and(Filter::int("Transport.A", 1025))
            .and(Filter::Field("TLS.ServerName".into(), Test::Missing));
        let matcher = Matcher::new(&filter);
        let mut other = flow();
        assert!(matcher.matches(&other) && matcher.matches(&other));
        other.transport = None;
        assert!(!matcher.matches(&other));
    }
}
