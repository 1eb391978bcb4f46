//! Capture files sent to the agent.

use std::io::Write;

use skydive_agent::{CaptureSettings, Listen};
use skydive_flow::{Flow, FlowSearch, FlowTable, TableConfig};
use skydive_packet::LinkType;
use skydive_packet::file::{ByteOrder, Packet, PcapHeader, PcapWriter, Precision, Reader, Step};
use skydive_proto::Capture;
use skydive_testnet::{Traffic, require_root};

use crate::stage::{Stage, capture};

fn each(file: &[u8], mut see: impl FnMut(Packet<'_>)) {
    let (mut reader, mut at) = (Reader::new(), 0);
    loop {
        match reader.next(&file[at..]).unwrap() {
            Step::Packet { packet, consumed } => {
                at += consumed;
                see(packet);
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => return,
        }
    }
}

/// Tunnels and what they carry, a packet each 20 microseconds.
fn capture_file() -> Vec<u8> {
    let mut original = Vec::new();
    Traffic { packets: 6000, conversations: 500, ..Traffic::tunnels() }.write(&mut original).unwrap();
    let (link, order) = (LinkType::ETHERNET, ByteOrder::Little);
    let header = PcapHeader { link, snap_len: 0, precision: Precision::Nano, order };
    let mut file = Vec::new();
    let writer = PcapWriter::new(header, &mut file);
    let mut at = 1_700_000_000_000_000_000;
    each(&original, |packet| {
        at += 20_000;
        writer.packet(&Packet { at, ..packet }, &mut file).unwrap();
    });
    file
}

/// What tells flows apart and what is counted of them.
fn figures<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Vec<String> {
    let text = |f: &Flow| format!("{:?} {} {} {:?}", f.tracking_id, f.layers_path, f.application, counts(f));
    let mut all: Vec<_> = flows.into_iter().map(text).collect();
    all.sort_unstable();
    all
}

fn counts(flow: &Flow) -> [u64; 4] {
    let metric = &flow.metric;
    [metric.ab_packets, metric.ab_bytes, metric.ba_packets, metric.ba_bytes]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_sent_gives_its_flows() {
    if !require_root() {
        return;
    }
    let file = capture_file();
    let mut offline = Vec::new();
    let mut table = FlowTable::new(TableConfig::default());
    each(&file, |packet| table.packets(&[packet], |_, _| panic!("nothing has to go")));
    offline.extend(table.flows().map(|flow| flow.to_flow()));

    let listen = Listen { ports: 0..=0, ..Listen::default() };
    let mut stage = Stage::with(CaptureSettings { listen, ..CaptureSettings::default() }).await;
    let far = stage.far();
    let node = stage.node(&far).await;
    let wanted = Capture { kind: "pcapsocket".to_owned(), ..capture("u") };
    assert_eq!(stage.analyzer.start(&node, &wanted).await, (200, String::new()));
    let entries =
        stage.analyzer.entries(&node, |all| all.len() == 1 && all[0]["PCAPSocket"].is_string()).await;
    let address = entries[0]["PCAPSocket"].as_str().unwrap().to_owned();
    let sent = tokio::task::spawn_blocking(move || {
        std::net::TcpStream::connect(address).unwrap().write_all(&file).unwrap();
    });
    sent.await.unwrap();
    let expected = figures(&offline);
    let found = stage.analyzer.flows(&FlowSearch::default(), |all| figures(all) == expected).await;
    assert!(found.iter().all(|flow| flow.capture_id == "u" && !flow.node_tid.is_empty()));

    // Another one on the node waits until the first has gone.
    let other = Capture { kind: "pcapsocket".to_owned(), ..capture("v") };
    let (status, error) = stage.analyzer.start(&node, &other).await;
    assert!(status == 400 && error.contains("another capture of type \"pcapsocket\""), "{status} {error}");
    assert_eq!(stage.analyzer.stop(&node, &wanted).await.0, 200);
    let entries = stage.analyzer.entries(&node, |all| all.len() == 1 && all[0]["State"] == "active").await;
    assert_eq!(entries[0]["ID"], "v");
    stage.end().await;
}
