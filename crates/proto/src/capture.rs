//! Captures as resources: what is to be captured, on which nodes, and how flows are made of it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::json::object;
use crate::resource_body::read;

/// A capture that users make. What they leave out has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Capture {
    /// Identifier.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// Gives the nodes to capture on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gremlin_query: String,
    /// Packets that are counted, in tcpdump's language; empty for all.
    #[serde(rename = "BPFFilter", skip_serializing_if = "String::is_empty")]
    pub bpf_filter: String,
    /// For people, and for queries by `Captures.Name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Kind of capture; empty for the default of the node's type.
    #[serde(rename = "Type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Nodes on which it runs now; said by the analyzer.
    pub count: i64,
    /// Why it does not run where it is wanted, node by node; said by the analyzer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Port of a collector; 0 for the default.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: i64,
    /// Sampling of sFlow.
    pub sampling_rate: u32,
    /// Seconds between two counter samples of sFlow.
    pub polling_interval: u32,
    /// Packets kept of each flow, 0 to 10.
    #[serde(skip_serializing_if = "is_zero")]
    pub raw_packet_limit: i64,
    /// Bytes that are looked at of a packet, 14 to 4096; 0 for the default.
    #[serde(skip_serializing_if = "is_zero")]
    pub header_size: i64,
    /// TCP in detail.
    #[serde(rename = "ExtraTCPMetric")]
    pub extra_tcp_metric: bool,
    /// Puts fragments together.
    #[serde(rename = "IPDefrag")]
    pub ip_defrag: bool,
    /// Puts TCP streams together.
    #[serde(rename = "ReassembleTCP")]
    pub reassemble_tcp: bool,
    /// `L2`, `L3`, or empty for the default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub layer_key_mode: String,
    /// What applications say: a sum of VRRP 1, DNS 2, `DHCPv4` 4 and what `docs/flow-fields.md` adds.
    #[serde(skip_serializing_if = "is_zero")]
    pub extra_layers: i64,
    /// Where packets or flows are sent instead of the table, `address:port`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// How they are sent there; empty or `local` for the table of the agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_type: String,
}

object! {
    struct CaptureMembers "a capture" {
        uuid: String = "UUID",
        gremlin_query: String = "GremlinQuery",
        bpf_filter: String = "BPFFilter",
        name: String = "Name",
        description: String = "Description",
        kind: String = "Type",
        port: i64 = "Port",
        sampling_rate: u32 = "SamplingRate",
        polling_interval: u32 = "PollingInterval",
        raw_packet_limit: i64 = "RawPacketLimit",
        header_size: i64 = "HeaderSize",
        extra_tcp_metric: bool = "ExtraTCPMetric",
        ip_defrag: bool = "IPDefrag",
        reassemble_tcp: bool = "ReassembleTCP",
        layer_key_mode: String = "LayerKeyMode",
        extra_layers: i64 = "ExtraLayers",
        target: String = "Target",
        target_type: String = "TargetType",
    }
}

/// Kinds of which several captures run on one node side by side; the default of most nodes is one of them.
const SEVERAL: [&str; 3] = ["", "afpacket", "pcap"];

impl Capture {
    /// Whether another one beside it would capture the same once more.
    pub fn is_like(&self, other: &Self) -> bool {
        let is_same = (&self.kind, &self.gremlin_query) == (&other.kind, &other.gremlin_query);
        is_same && (self.bpf_filter == other.bpf_filter || !SEVERAL.contains(&self.kind.as_str()))
    }

    /// Its JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a capture is JSON")
    }

    /// Reads one from JSON.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let members: CaptureMembers = read(json)?;
        Ok(Self {
            uuid: members.uuid.unwrap_or_default(),
            gremlin_query: members.gremlin_query.unwrap_or_default(),
            bpf_filter: members.bpf_filter.unwrap_or_default(),
            name: members.name.unwrap_or_default(),
            description: members.description.unwrap_or_default(),
            kind: members.kind.unwrap_or_default(),
            count: 0,
            error: String::new(),
            port: members.port.unwrap_or_default(),
            sampling_rate: members.sampling_rate.unwrap_or_default(),
            polling_interval: members.polling_interval.unwrap_or_default(),
            raw_packet_limit: members.raw_packet_limit.unwrap_or_default(),
            header_size: members.header_size.unwrap_or_default(),
            extra_tcp_metric: members.extra_tcp_metric.unwrap_or_default(),
            ip_defrag: members.ip_defrag.unwrap_or_default(),
            reassemble_tcp: members.reassemble_tcp.unwrap_or_default(),
            layer_key_mode: members.layer_key_mode.unwrap_or_default(),
            extra_layers: members.extra_layers.unwrap_or_default(),
            target: members.target.unwrap_or_default(),
            target_type: members.target_type.unwrap_or_default(),
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_clients_know_it() {
        let capture =
            Capture::decode(br#"{"gremlinquery":"G.V()","BPFFilter":"tcp","Type":"pcap"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&capture).unwrap(),
            r#"{"UUID":"","GremlinQuery":"G.V()","BPFFilter":"tcp","Type":"pcap","Count":0,"SamplingRate":0,"PollingInterval":0,"ExtraTCPMetric":false,"IPDefrag":false,"ReassembleTCP":false}"#
        );
        let all = br#"{"UUID":"u","GremlinQuery":"G","BPFFilter":"b","Name":"n","Description":"d","Type":"t","Count":0,"Port":1,"SamplingRate":2,"PollingInterval":3,"RawPacketLimit":4,"HeaderSize":5,"ExtraTCPMetric":true,"IPDefrag":true,"ReassembleTCP":true,"LayerKeyMode":"L3","ExtraLayers":7,"Target":"h:1","TargetType":"local"}"#;
        let capture = Capture::decode(all).unwrap();
        assert_eq!(serde_json::to_vec(&capture).unwrap(), all);
        assert!(Capture::decode(b"[]").is_err());
        assert!(Capture::decode(br#"{"SamplingRate":-1}"#).is_err());
    }
}
