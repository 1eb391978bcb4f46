//! Files made here, and what is found of them.

use std::net::Ipv4Addr;

use bytes::Bytes;
use skydive_flow::{Direction, Sort};
use skydive_packet::LinkType;
use skydive_packet::file::{ByteOrder, PcapHeader, PcapWriter, Precision};
use skydive_value::Filter;

use super::*;

const SECOND: i64 = 1_000_000_000;

/// A frame of a UDP datagram between two ports.
fn frame(from: u16, to: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(Ipv4Addr::new(10, 0, 0, 1).octets());
    frame.extend(Ipv4Addr::new(10, 0, 0, 2).octets());
    frame.extend(from.to_be_bytes());
    frame.extend(to.to_be_bytes());
    frame.extend([0, 12, 0, 0, 1, 2, 3, 4]);
    frame
}

/// A capture file with a packet for each of these ports, a second apart.
fn file(ports: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let mut file = Vec::new();
    let (link, order) = (LinkType::ETHERNET, ByteOrder::Little);
    let header = PcapHeader { link, snap_len: 65_535, precision: Precision::Micro, order };
    let writer = PcapWriter::new(header, &mut file);
    for (at, port) in (1..).zip(ports) {
        let bytes = frame(port, 53);
        let wire_len = bytes.len() as u32;
        let packet =
            Packet { bytes: &bytes, at: at * SECOND, wire_len, interface: 0, link: LinkType::ETHERNET };
        writer.packet(&packet, &mut file).unwrap();
    }
    file
}

struct Setup {
    imported: Imported,
    telemetry: FlowTelemetry,
    now: Arc<Mutex<Timestamp>>,
}

fn setup(max_entries: usize) -> Setup {
    let now = Arc::new(Mutex::new(Timestamp::from_millis(1_700_000_000_000)));
    let told = now.clone();
    let clock = Clock::new(move || *told.lock().unwrap());
    let table = TableConfig { max_entries: Some(max_entries), ..TableConfig::default() };
    let telemetry = FlowTelemetry::default();
    Setup { imported: Imported::new(table, FlowNews::new(), clock, telemetry.clone()), telemetry, now }
}

async fn import(imported: &Imported, pieces: impl IntoIterator<Item = Piece>) -> Result<(), ImportFault> {
    let (send, incoming) = mpsc::channel(1);
    let feeding = async move {
        for piece in pieces {
            if send.send(piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(imported.import(incoming), feeding).0
}

fn pieces(file: &[u8], size: usize) -> Vec<Piece> {
    let pieces = file.chunks(size).map(|bytes| Piece::Bytes(Bytes::copy_from_slice(bytes)));
    pieces.chain([Piece::End]).collect()
}

async fn ports(imported: &Imported, search: FlowSearch) -> Vec<u16> {
    let found = imported.search(&search).await.unwrap();
    assert!(found.coverage.is_complete());
    found.set.flows.iter().map(|flow| flow.transport.unwrap().a).collect()
}

#[tokio::test]
async fn a_file_gives_its_flows_whatever_pieces_it_comes_in() {
    for size in [1, 7, 100, 100_000] {
        let Setup { imported, telemetry, .. } = setup(1000);
        import(&imported, pieces(&file(1..=20), size)).await.unwrap();
        let mut all = ports(&imported, FlowSearch::default()).await;
        all.sort_unstable();
        assert_eq!(all, (1..=20).collect::<Vec<_>>(), "{size}");
        assert_eq!(telemetry.status().imported, 20);
    }
}

#[tokio::test]
async fn they_are_searched_as_any() {
    let Setup { imported, .. } = setup(1000);
    import(&imported, pieces(&file(1..=20), 1000)).await.unwrap();
    let sort = Some(Sort { by: "Transport.A".into(), direction: Direction::Descending });
    let search = FlowSearch { sort, range: Some(2..4), ..FlowSearch::default() };
    assert_eq!(ports(&imported, search.clone()).await, [18, 17]);
    let filter = Filter::int("Transport.A", 7);
    assert_eq!(ports(&imported, FlowSearch { filter, ..FlowSearch::default() }).await, [7]);
    let count = FlowSearch { want: Want::Count, ..search.clone() };
    assert_eq!(imported.search(&count).await.unwrap().count, 2);
    let dedup = Some("Network.A".into());
    assert_eq!(ports(&imported, FlowSearch { dedup, range: None, ..search.clone() }).await, [20]);
    let hosts = Some(vec!["h".into()]);
    assert!(ports(&imported, FlowSearch { hosts, ..search }).await.is_empty(), "they are of no host");
}

#[tokio::test]
async fn they_go_when_they_expire() {
    let Setup { imported, now, .. } = setup(1000);
    import(&imported, pieces(&file([1]), 1000)).await.unwrap();
    let expire = TableConfig::default().expire;
    let later = now.lock().unwrap().plus(expire.saturating_sub(Duration::from_secs(1)));
    *now.lock().unwrap() = later;
    assert_eq!(ports(&imported, FlowSearch::default()).await, [1]);
    *now.lock().unwrap() = later.plus(Duration::from_secs(1));
    assert!(ports(&imported, FlowSearch::default()).await.is_empty());
}

#[tokio::test]
async fn there_are_never_more_than_a_table_has() {
    let Setup { imported, telemetry, .. } = setup(15);
    import(&imported, pieces(&file(1..=20), 1000)).await.unwrap();
    assert_eq!(ports(&imported, FlowSearch::default()).await.len(), 15);
    let status = telemetry.status();
    assert_eq!((status.imported, status.imported_dropped), (20, 5));
    import(&imported, pieces(&file([99]), 1000)).await.unwrap();
    assert_eq!(ports(&imported, FlowSearch::default()).await, [99], "the first file has made room");
    assert_eq!(telemetry.status().imported_dropped, 20);
}

#[tokio::test]
async fn packets_of_no_flow_are_counted() {
    let Setup { imported, telemetry, .. } = setup(15);
    let mut file = file(1..=3);
    // The kind of link: one that nobody knows.
    file[20..24].copy_from_slice(&999u32.to_le_bytes());
    import(&imported, pieces(&file, 1000)).await.unwrap();
    let status = telemetry.status();
    assert_eq!((status.imported, status.imported_unaccounted), (0, 3));
}

#[tokio::test]
async fn what_is_no_capture_file_leaves_nothing() {
    let Setup { imported, telemetry, .. } = setup(1000);
    let whole = file(1..=20);
    let cut = &whole[..whole.len() - 1];
    for bytes in [b"".as_slice(), b"nonsense that is no capture file at all", &whole[..10], cut] {
        let refused = import(&imported, pieces(bytes, 100)).await.unwrap_err();
        assert!(matches!(&refused, ImportFault::Damaged(why) if !why.is_empty()), "{refused:?}");
    }
    let mut unended = pieces(&whole, 100);
    unended.pop();
    assert_eq!(import(&imported, unended).await, Err(ImportFault::Stopped));
    assert!(ports(&imported, FlowSearch::default()).await.is_empty());
    assert_eq!(telemetry.status().imported, 0);
}
