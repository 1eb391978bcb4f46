//! The flows that the original computes from its own captures.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use skydive_flow::{ExtraLayers, Flow, FlowTable, KeyMode, Metric, TableConfig, TransportProtocol};
use skydive_packet::file::{Packet, Reader, Step};
use skydive_packet::filter::compile;
use skydive_packet::{Decoder, LinkType};
use skydive_value::SmolStr;

/// What differs on purpose, by case and field; see the comments.
const DIFFERS: &[(&str, &str, &str)] = &[
    // Streams inside of a tunnel are put in order too; the original looks at the outer transport alone.
    ("geneve.pcap", "*", "TCPMetric"),
    // Bytes on the wire, not those that the snap length left.
    ("link-type-12.pcap", "*", "TCPMetric"),
    // Flows without a network layer are counted in mode L3 too; the original leaves them at zero.
    ("eth-ip4-arp-dns-req-http-google.pcap", "full-L3", "Metric"),
];

fn config(options: &Value) -> TableConfig {
    let text = |key: &str| SmolStr::from(options[key].as_str().unwrap_or_default());
    let mut config = TableConfig {
        key_mode: if options["LayerKeyMode"] == "L3" { KeyMode::L3 } else { KeyMode::L2 },
        tcp_metric: options["ExtraTCPMetric"] == true,
        reassemble: options["ReassembleTCP"] == true,
        defragment: options["IPDefrag"] == true,
        extra_layers: ExtraLayers(options["ExtraLayers"].as_u64().unwrap_or(0) as u8),
        raw_packets: options["RawPacketLimit"].as_u64().unwrap_or(0),
        node_tid: text("NodeTID"),
        capture_id: text("CaptureID"),
        decoder: Decoder::default().with_mpls_port(options["MPLSUDPPort"].as_u64().unwrap_or(0) as u16),
        ..TableConfig::default()
    };
    for (name, protocol) in [("tcp", TransportProtocol::Tcp), ("udp", TransportProtocol::Udp)] {
        for (port, name) in options["ApplicationPorts"][name].as_object().into_iter().flatten() {
            let name = name.as_str().unwrap().to_uppercase();
            config.application_ports.insert((protocol, port.parse().unwrap()), name.into());
        }
    }
    config
}

/// The flows of a capture, in order of creation.
fn flows(bytes: &[u8], options: &Value) -> (Vec<Flow>, u64) {
    let mut table = FlowTable::new(config(options));
    let mut reader = Reader::new();
    let mut at = 0;
    let mut filtered = 0;
    while let Ok(step) = reader.next(&bytes[at..]) {
        match step {
            Step::Packet { mut packet, consumed } => {
                at += consumed;
                if let Some(link) = options["LinkType"].as_u64() {
                    packet.link = LinkType(link as u16);
                }
                if let Some(filter) = options["BPFFilter"].as_str() {
                    let program = compile(filter, packet.link, 65535).unwrap();
                    if program.run(packet.bytes, packet.wire_len) == 0 {
                        filtered += 1;
                        continue;
                    }
                }
                table.packets(&[packet], |_, _| panic!("the table is not full"));
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => break,
        }
    }
    table.flush_streams();
    let unaccounted = filtered + table.counters().unaccounted;
    (table.flows().map(|flow| flow.to_flow()).collect(), unaccounted)
}

fn metric(metric: &Metric) -> Value {
    let mut fields = json!({
        "ABPackets": metric.ab_packets, "ABBytes": metric.ab_bytes, "BAPackets": metric.ba_packets,
        "BABytes": metric.ba_bytes, "Start": metric.start.as_millis(), "Last": metric.last.as_millis(),
    });
    if metric.rtt > 0 {
        fields["RTT"] = json!(metric.rtt);
    }
    fields
}

fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The fields that a table fills by itself, as the reference writes them.
fn fields(flow: &Flow) -> Value {
    let mut fields = json!({
        "UUID": flow.uuid.to_string(), "LayersPath": flow.layers_path.as_str(),
        "Application": flow.application.as_str(), "Metric": metric(&flow.metric),
        "Start": flow.start.as_millis(), "Last": flow.last.as_millis(),
        "TrackingID": flow.tracking_id.to_string(), "L3TrackingID": flow.l3_tracking_id.to_string(),
        "ParentUUID": flow.parent.map(|id| id.to_string()).unwrap_or_default(),
        "RawPacketsCaptured": flow.raw_packets_captured,
    });
    if let Some(link) = flow.link {
        fields["Link"] = json!({"Protocol": "ETHERNET", "A": mac(link.a), "B": mac(link.b), "ID": link.id});
    }
    if let Some(net) = flow.network {
        let protocol = if net.a.is_ipv4() { "IPV4" } else { "IPV6" };
        fields["Network"] =
            json!({"Protocol": protocol, "A": net.a.to_string(), "B": net.b.to_string(), "ID": net.id});
    }
    if let Some(ports) = flow.transport {
        let protocol = match ports.protocol {
            TransportProtocol::Tcp => "TCP",
            TransportProtocol::Udp => "UDP",
            TransportProtocol::Sctp => "SCTP",
        };
        fields["Transport"] = json!({"Protocol": protocol, "A": ports.a, "B": ports.b, "ID": 0});
    }
    if let Some(icmp) = flow.icmp {
        let kind = if icmp.kind as u8 == 2 { "ECHO".to_owned() } else { format!("{:?}", icmp.kind) };
        let mut about = json!({"Type": kind});
        for (name, value) in [("Code", u64::from(icmp.code)), ("ID", u64::from(icmp.id))] {
            if value != 0 {
                about[name] = json!(value);
            }
        }
        fields["ICMP"] = about;
    }
    if let Some(ip) = flow.ip {
        fields["IPMetric"] = json!({"Fragments": ip.fragments, "FragmentErrors": ip.fragment_errors});
    }
    if let Some(tcp) = &flow.tcp {
        let mut about = serde_json::Map::new();
        for (name, side) in [("AB", &tcp.ab), ("BA", &tcp.ba)] {
            for (field, value) in [
                ("SynStart", side.syn_start),
                ("SynTTL", side.syn_ttl.into()),
                ("FinStart", side.fin_start),
                ("RstStart", side.rst_start),
                ("SegmentOutOfOrder", side.stream.segment_out_of_order),
                ("SegmentSkipped", side.stream.segment_skipped),
                ("SegmentSkippedBytes", side.stream.segment_skipped_bytes),
                ("Packets", side.stream.packets),
                ("Bytes", side.stream.bytes),
                ("SawStart", side.stream.saw_start),
                ("SawEnd", side.stream.saw_end),
            ] {
                if field != "SynTTL" || value != 0 {
                    about.insert(format!("{name}{field}"), json!(value));
                }
            }
        }
        fields["TCPMetric"] = about.into();
    }
    if !flow.node_tid.is_empty() {
        fields["NodeTID"] = json!(flow.node_tid.as_str());
    }
    if !flow.capture_id.is_empty() {
        fields["CaptureID"] = json!(flow.capture_id.as_str());
    }
    fields
}

/// Each packet alone: the path, application and length of its parts.
fn compare_packets(bytes: &[u8], case: &Value, name: &str, failures: &mut Vec<String>) {
    let Some(wanted) = case["packets"].as_array() else { return };
    let mut reader = Reader::new();
    let (mut at, mut wanted) = (0, wanted.iter());
    while let Ok(step) = reader.next(&bytes[at..]) {
        let (packet, consumed) = match step {
            Step::Packet { packet, consumed } => (packet, consumed),
            Step::Passed { consumed } => {
                at += consumed;
                continue;
            }
            Step::More { .. } => break,
        };
        at += consumed;
        let link = case["options"]["LinkType"].as_u64().map(|link| LinkType(link as u16));
        let packet = Packet { link: link.unwrap_or(packet.link), ..packet };
        let mut table = FlowTable::new(config(&case["options"]));
        table.packets(&[packet], |_, _| panic!("the table is not full"));
        let parts = |flow: Flow| {
            let length = flow.metric.ab_bytes + flow.metric.ba_bytes;
            json!({"path": flow.layers_path.as_str(), "application": flow.application.as_str(), "length": length})
        };
        let mut ours: Vec<String> = table.flows().map(|flow| parts(flow.to_flow()).to_string()).collect();
        let Some(wanted) = wanted.next() else {
            failures.push(format!("{name}: more packets than expected"));
            return;
        };
        let theirs = wanted["parts"].as_array().into_iter().flatten().map(|part| {
            json!({"path": part["path"], "application": part["application"], "length": part["length"]})
                .to_string()
        });
        let mut theirs: Vec<String> = theirs.collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        if ours != theirs {
            failures.push(format!("{name}: packet {ours:?} is not {theirs:?}"));
        }
    }
    if wanted.next().is_some() {
        failures.push(format!("{name}: fewer packets than expected"));
    }
}

/// What is kept of packets: when, which, how long, and of which kind of link.
fn compare_raw_packets(flows: &[Flow], case: &Value, name: &str, failures: &mut Vec<String>) {
    for (flow, wanted) in case["raw_packets"].as_object().into_iter().flatten() {
        let ours = flows.iter().find(|ours| ours.uuid.to_string() == *flow);
        let ours: Vec<Value> = ours
            .into_iter()
            .flat_map(|flow| &flow.raw_packets)
            .map(|packet| {
                json!({"Timestamp": packet.at.as_millis(), "Index": packet.index, "Data": packet.bytes.len(),
                    "LinkType": packet.link.0})
            })
            .collect();
        if Value::from(ours.clone()) != *wanted {
            failures.push(format!("{name}: raw packets of {flow}: {} are not {wanted}", Value::from(ours)));
        }
    }
}

#[test]
fn flows_are_those_of_the_original() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let expected: Value = serde_json::from_slice(&fs::read(data.join("expected.json")).unwrap()).unwrap();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packet/tests/data/pcaps");
    let (mut cases, mut failures) = (0, Vec::new());
    for trace in expected["traces"].as_array().unwrap() {
        let file = trace["file"].as_str().unwrap();
        let bytes = fs::read(captures.join(file)).unwrap();
        for case in trace["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            cases += 1;
            let (flows, unaccounted) = flows(&bytes, &case["options"]);
            if unaccounted != case["packets_not_accounted"].as_u64().unwrap_or(0) {
                failures.push(format!("{file} {name}: {unaccounted} packets are not accounted for"));
            }
            compare_packets(&bytes, case, &format!("{file} {name}"), &mut failures);
            compare_raw_packets(&flows, case, &format!("{file} {name}"), &mut failures);
            let wanted = case["flows"].as_array().unwrap();
            if flows.len() != wanted.len() {
                failures.push(format!("{file} {name}: {} flows, not {}", flows.len(), wanted.len()));
            }
            for (ours, wanted) in flows.iter().zip(wanted) {
                let ours = fields(ours);
                for field in ours.as_object().unwrap().keys().filter(|field| wanted.get(field).is_none()) {
                    failures.push(format!("{file} {name}: {field}: not expected"));
                }
                for (field, value) in wanted.as_object().unwrap() {
                    let elsewhere = ["DNS", "LastUpdateMetric"].contains(&field.as_str());
                    let differs =
                        DIFFERS.iter().any(|(f, n, k)| *f == file && (*n == name || *n == "*") && k == field);
                    // Ours knows more.
                    let same = match ours[field].as_object() {
                        Some(ours) if field == "TCPMetric" => value
                            .as_object()
                            .unwrap()
                            .iter()
                            .all(|(name, value)| ours.get(name) == Some(value)),
                        _ => ours[field] == *value,
                    };
                    if !elsewhere && !differs && !same {
                        failures.push(format!("{file} {name}: {field}: {} is not {value}", ours[field]));
                    }
                }
            }
        }
    }
    assert!(cases > 45, "{cases} cases");
    assert!(failures.is_empty(), "{}\n{} failures", failures.join("\n"), failures.len());
}
