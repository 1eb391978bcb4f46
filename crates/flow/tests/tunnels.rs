//! Every encapsulation as scapy builds it, beside what the specifications say of it and beside tshark.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

#[path = "conversations/capture.rs"]
mod capture;
#[path = "conversations/conversation.rs"]
mod conversation;
#[path = "conversations/tshark.rs"]
mod tshark;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use skydive_flow::{Flow, FlowId, TableConfig};
use skydive_testnet::ScratchDir;

/// What tshark has to be told: a port that is not its own, and what the ends of a tunnel agree on elsewhere.
const TOLD: &[&str] =
    &["-d", "udp.port==8472,vxlan", "-d", "mpls.label==100,pwethcw", "-d", "l2tp.pw_type==0,eth"];

const PACKETS: u64 = 5;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tunnels")
}

fn flows(name: &str) -> Vec<Flow> {
    let file = fs::read(folder().join(format!("{name}.pcap"))).unwrap();
    let (flows, counters) = capture::flows(&file, TableConfig::default());
    assert_eq!((counters.packets, counters.unaccounted), (PACKETS, 0), "{name}");
    flows
}

/// The lines of expected.txt by capture.
fn expected() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(folder().join("expected.txt")).unwrap();
    let paragraphs =
        text.split("\n\n").map(|paragraph| paragraph.lines().filter(|line| !line.starts_with('#')));
    let captures = paragraphs.filter_map(|mut lines| {
        let name = lines.next()?.split(' ').next()?.to_owned();
        Some((name, lines.map(ToOwned::to_owned).collect()))
    });
    captures.collect()
}

/// A flow as a line of expected.txt.
fn line(flow: &Flow, flows: &[Flow]) -> String {
    let place = |id: FlowId| flows.iter().position(|flow| flow.uuid == id).unwrap().to_string();
    let last = |mac: [u8; 6]| {
        let [2, 0, 0, 0, 0, last] = mac else { panic!("{mac:?}") };
        format!("{last:02x}")
    };
    let none = || "-".to_owned();
    let parent = flow.parent.map_or_else(none, place);
    let link = flow.link.map_or_else(none, |link| format!("{}>{}/{}", last(link.a), last(link.b), link.id));
    let network = flow.network.map_or_else(none, |ip| format!("{}>{}/{}", ip.a, ip.b, ip.id));
    let ports = flow
        .transport
        .map_or_else(none, |ports| format!("{}:{}>{}", conversation::name(ports.protocol), ports.a, ports.b));
    let metric = &flow.metric;
    let (ab, ba) = ((metric.ab_packets, metric.ab_bytes), (metric.ba_packets, metric.ba_bytes));
    let path = &flow.layers_path;
    format!("{path} {parent} {link} {network} {ports} {}/{} {}/{}", ab.0, ab.1, ba.0, ba.1)
}

#[test]
fn flows_are_those_of_the_specifications() {
    let expected = expected();
    let mut captures: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".pcap").map(ToOwned::to_owned))
        .collect();
    captures.sort();
    assert!(captures.iter().eq(expected.keys()), "{captures:?}");
    assert_eq!(captures.len(), 42);
    let mut wrong = Vec::new();
    for (name, lines) in expected {
        let flows = flows(&name);
        let found: Vec<String> = flows.iter().map(|flow| line(flow, &flows)).collect();
        if found != lines {
            wrong.push(format!("{name}\n  {}\nnot\n  {}", found.join("\n  "), lines.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tshark_agrees() {
    let captures: Vec<String> = expected().into_keys().collect();
    // One after the other in one file, because tshark takes half a second to start.
    let all = ScratchDir::new("tunnels").unwrap();
    let file = all.path().join("all.pcapng");
    let mut merge = Command::new("mergecap");
    merge.arg("-a").arg("-w").arg(&file);
    skydive_testnet::run(merge.args(captures.iter().map(|name| folder().join(format!("{name}.pcap")))))
        .unwrap();
    let theirs = tshark::packets(&file, TOLD);
    let theirs: Vec<_> = theirs.chunks(PACKETS as usize).map(tshark::conversations).collect();
    assert_eq!(theirs.len(), captures.len());
    let mut wrong = Vec::new();
    for (name, theirs) in captures.iter().zip(theirs) {
        let ours = conversation::conversations(&flows(name));
        wrong.extend(conversation::difference(&ours, &theirs).map(|text| format!("{name}: {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
