//! `/api/capture`: what is to be captured, and on which nodes.

use skydive_graph::{ReadCount, Snapshot, key};
use skydive_proto::{Capture, Example, Limits, Shape};
use skydive_query::check_packet_filter;
use skydive_value::{Filter, Path, Timestamp, Value};

use super::kind::{Read, ResourceKind, Submitted, check_query};
use super::{Life, Subject, endpoint};
use crate::CaptureFaults;

pub(super) const KIND: ResourceKind =
    ResourceKind { live: Some(live), ..ResourceKind::new(endpoint!("capture", "Capture"), subject, read) };

/// Kinds of captures, in the order of messages, with what they can be asked for.
const KINDS: [(&str, Abilities); 9] = [
    ("ovssflow", ALL),
    ("pcapsocket", ALL),
    ("ovsmirror", ALL),
    ("dpdk", ALL),
    ("afpacket", ALL),
    ("pcap", ALL),
    ("ebpf", Abilities { filter: false, raw_packets: false }),
    ("sflow", ALL),
    ("ovsnetflow", ALL),
];

/// What a kind of capture can be asked for; every one has TCP in detail.
#[derive(Clone, Copy)]
struct Abilities {
    filter: bool,
    raw_packets: bool,
}

const ALL: Abilities = Abilities { filter: true, raw_packets: true };
const MOST_RAW_PACKETS: i64 = 10;
const HEADER_SIZES: std::ops::RangeInclusive<i64> = 14..=4096;
const EXTRA_LAYERS: std::ops::RangeInclusive<i64> = 0..=255;
const TARGETS: [&str; 3] = ["local", "netflowv5", "erspanv1"];
const ACTIVE: &str = "active";

fn subject() -> Subject {
    Subject {
        one: "capture",
        many: "captures",
        about: "Captures packets on the nodes of a query, whenever they are there, and makes flows of them.",
        told: Shape::of::<Capture>(),
        wanted: Shape::new_capture(),
        examples: vec![Example::capture()],
        life: Life::StoredOnce,
    }
}

fn read(json: &[u8]) -> Read {
    let capture = Capture::decode(json).map_err(|fault| fault.to_string())?;
    Ok(Box::new(capture))
}

impl Submitted for Capture {
    fn check(&self, limits: &Limits, now: Timestamp) -> Result<(), String> {
        check_query("GremlinQuery", &self.gremlin_query, limits, now)?;
        if !self.bpf_filter.is_empty() {
            check_packet_filter(&self.bpf_filter)
                .map_err(|fault| format!("BPFFilter: Not a valid BPF expression: {fault}"))?;
        }
        let abilities = KINDS.iter().find(|(kind, _)| *kind == self.kind).map(|(_, abilities)| *abilities);
        if !self.kind.is_empty() && abilities.is_none() {
            let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            let known = known.join(" ");
            return Err(format!("Type: Not a valid capture type: {}, available types: [{known}]", self.kind));
        }
        if !(0..=MOST_RAW_PACKETS).contains(&self.raw_packet_limit) {
            return Err("RawPacketLimit: A valid raw packet limit size is > 0 && <= 10".to_owned());
        }
        if self.header_size != 0 && !HEADER_SIZES.contains(&self.header_size) {
            return Err("HeaderSize: A valid header size is >= 14 && <= 4096".to_owned());
        }
        if !["", "L2", "L3"].contains(&self.layer_key_mode.as_str()) {
            return Err("LayerKeyMode: Not a valid layer key mode".to_owned());
        }
        if !self.target.is_empty() && !is_address(&self.target) {
            return Err("Target: Not a valid address".to_owned());
        }
        if !self.target_type.is_empty() && !TARGETS.contains(&self.target_type.as_str()) {
            let (given, known) = (&self.target_type, TARGETS.join(" "));
            return Err(format!("TargetType: Not a valid target type: {given}, available types: [{known}]"));
        }
        if u16::try_from(self.port).is_err() {
            return Err("Port: A valid port is >= 0 && <= 65535".to_owned());
        }
        if !EXTRA_LAYERS.contains(&self.extra_layers) {
            return Err("ExtraLayers: A valid sum of layers is >= 0 && <= 255".to_owned());
        }
        let Some(Abilities { filter, raw_packets }) = abilities else { return Ok(()) };
        if !filter && !self.bpf_filter.is_empty() {
            return Err(format!("{} capture doesn't support BPF filtering", self.kind));
        }
        if !raw_packets && self.raw_packet_limit != 0 {
            return Err(format!("{} capture doesn't support raw packet capture", self.kind));
        }
        Ok(())
    }

    fn named(&mut self, id: &str) -> Result<String, serde_json::Error> {
        id.clone_into(&mut self.uuid);
        serde_json::to_string(self)
    }

    fn is_like(&self, kept: &[u8]) -> bool {
        Self::decode(kept).is_ok_and(|kept| self.is_like(&kept))
    }
}

/// Whether it is a host and a port.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let is_bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        is_bare && port.parse::<u16>().is_ok()
    })
}

/// A capture with the number of nodes that it runs on now, and why it does not on others.
fn live(json: &str, graph: &Snapshot, faults: &CaptureFaults) -> Option<String> {
    let mut capture = Capture::decode(json.as_bytes()).ok()?;
    let (captured, reads) = (Filter::present(Path::from(key::CAPTURES)), ReadCount::default());
    let is_active = |entry: &Value| {
        let Some(entry) = entry.as_map() else { return false };
        entry.text("ID") == Some(&capture.uuid) && entry.text(key::STATE) == Some(ACTIVE)
    };
    let entries = |value: Option<&Value>| {
        value.and_then(Value::as_list).unwrap_or_default().iter().filter(|entry| is_active(entry)).count()
    };
    let counted: usize =
        graph.find_nodes(&captured, &reads).map(|node| entries(node.metadata.get(key::CAPTURES))).sum();
    capture.count = counted as i64;
    capture.error = faults.of(&capture.uuid).unwrap_or_default();
    serde_json::to_string(&capture).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_the_known_words() {
        let types =
            "available types: [ovssflow pcapsocket ovsmirror dpdk afpacket pcap ebpf sflow ovsnetflow]";
        for (members, expected) in [
            ("", Ok(())),
            (r#","BPFFilter":"tcp port 80","Type":"pcap","HeaderSize":14,"RawPacketLimit":10"#, Ok(())),
            (r#","Target":"10.0.0.1:4739","TargetType":"netflowv5","LayerKeyMode":"L3""#, Ok(())),
            (r#","Type":"tap""#, Err(format!("Type: Not a valid capture type: tap, {types}"))),
            (r#","HeaderSize":13"#, Err("HeaderSize: A valid header size is >= 14 && <= 4096".to_owned())),
            (r#","HeaderSize":4097"#, Err("HeaderSize: A valid header size is >= 14 && <= 4096".to_owned())),
            (
                r#","RawPacketLimit":11"#,
                Err("RawPacketLimit: A valid raw packet limit size is > 0 && <= 10".to_owned()),
            ),
            (
                r#","RawPacketLimit":-1"#,
                Err("RawPacketLimit: A valid raw packet limit size is > 0 && <= 10".to_owned()),
            ),
            (r#","LayerKeyMode":"L4""#, Err("LayerKeyMode: Not a valid layer key mode".to_owned())),
            (r#","Target":"nowhere""#, Err("Target: Not a valid address".to_owned())),
            (
                r#","Type":"ebpf","BPFFilter":"tcp""#,
                Err("ebpf capture doesn't support BPF filtering".to_owned()),
            ),
            (
                r#","Type":"ebpf","RawPacketLimit":1"#,
                Err("ebpf capture doesn't support raw packet capture".to_owned()),
            ),
        ] {
            let json = format!(r#"{{"GremlinQuery":"G.V()"{members}}}"#);
            let found = read(json.as_bytes()).unwrap().check(&Limits::default(), Timestamp::EPOCH);
            assert_eq!(found, expected, "{json}");
        }
        let check = |json: &str| {
            read(json.as_bytes()).unwrap().check(&Limits::default(), Timestamp::EPOCH).unwrap_err()
        };
        let query = check("{}");
        assert!(query.starts_with("GremlinQuery: Not a valid Gremlin expression: "), "{query}");
        let filter = check(r#"{"GremlinQuery":"G","BPFFilter":"tcp port"}"#);
        assert!(filter.starts_with("BPFFilter: Not a valid BPF expression: "), "{filter}");
    }
}
