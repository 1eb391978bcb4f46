//! The decoder and the flow table: any packets, with everything asked for.

use skydive_flow::{ExtraLayers, FlowTable, KeyMode, TableConfig};
use skydive_packet::file::Packet;
use skydive_packet::{Decoder, LinkType};

/// Link types that are decoded, and one that is not.
const LINKS: [u16; 8] = [1, 1, 101, 0, 113, 276, 51, 105];

/// The first byte chooses the options; then packets: a byte for the link type and the time that passes, two for the
/// length.
pub(crate) fn run(bytes: &[u8]) {
    let Some((options, mut rest)) = bytes.split_first() else { return };
    let mut table = FlowTable::new(TableConfig {
        max_entries: (options & 1 != 0).then_some(3),
        key_mode: if options & 2 != 0 { KeyMode::L3 } else { KeyMode::L2 },
        tcp_metric: options & 4 != 0,
        defragment: options & 8 != 0,
        reassemble: options & 4 != 0,
        extra_layers: if options & 16 != 0 { ExtraLayers::ALL } else { ExtraLayers::NONE },
        raw_packets: u64::from(options >> 6),
        decoder: Decoder::default().with_mpls_port(if options & 32 != 0 { 51234 } else { 0 }),
        ..TableConfig::default()
    });
    let (mut at, mut ended, mut counted) = (1_700_000_000_000_000_000, 0, 0);
    while let Some(([how, high, low], after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (bytes, after) = after.split_at(len);
        rest = after;
        at += i64::from(*how >> 3) * 3_000_000_000;
        let link = LinkType(LINKS[usize::from(how & 7)]);
        let packet = Packet { bytes, at, wire_len: len as u32 + 4, interface: 0, link };
        let mut end = |packets: u64| {
            ended += 1;
            counted += packets;
        };
        table.advance(at, |flow, told| {
            if told.ended {
                let metric = flow.to_flow().metric;
                end(metric.ab_packets + metric.ba_packets);
            }
        });
        table.packets(&[packet], |flow, _| {
            let metric = flow.metric();
            end(metric.ab_packets + metric.ba_packets);
        });
        assert!(table.len() <= 3 || options & 1 == 0);
    }
    table.finish(|flow, _| {
        let flow = flow.to_flow();
        ended += 1;
        counted += flow.metric.ab_packets + flow.metric.ba_packets;
    });
    let counters = table.counters();
    assert_eq!(counters.flows, ended, "every flow ends once");
    assert!(counted + counters.unaccounted >= counters.packets, "every packet is counted or said not to be");
    assert!(table.is_empty());
}
