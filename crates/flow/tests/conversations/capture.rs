//! The flows of a capture.

use skydive_flow::{Flow, FlowTable, TableConfig, TableCounters};
use skydive_packet::LinkType;
use skydive_packet::file::{Packet, Reader, Step};

/// Calls `each` with the packets of a file.
pub(crate) fn for_each_packet(file: &[u8], mut each: impl FnMut(&Packet<'_>)) {
    let (mut reader, mut at) = (Reader::new(), 0);
    loop {
        match reader.next(&file[at..]).unwrap() {
            Step::Packet { packet, consumed } => {
                at += consumed;
                each(&packet);
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => return reader.end(file.len() - at).unwrap(),
        }
    }
}

/// The flows of a file in order of their first packets, as a table counts that is not full.
pub(crate) fn flows(file: &[u8], config: TableConfig) -> (Vec<Flow>, TableCounters) {
    let mut table = FlowTable::new(TableConfig { max_entries: None, ..config });
    for_each_packet(file, |packet| table.packets(&[*packet], |_, _| panic!("no limit was given")));
    table.flush_streams();
    (table.flows().map(|flow| flow.to_flow()).collect(), table.counters())
}

/// The flows of packets given as bytes.
#[allow(dead_code, reason = "not every test makes its packets")]
pub(crate) fn flows_of(
    packets: &[Vec<u8>],
    link: LinkType,
    config: TableConfig,
) -> (Vec<Flow>, TableCounters) {
    let mut table = FlowTable::new(TableConfig { max_entries: None, ..config });
    for (at, bytes) in (1..).zip(packets) {
        let packet = Packet { at: at * 1_000_000, wire_len: bytes.len() as u32, bytes, link, interface: 0 };
        table.packets(&[packet], |_, _| panic!("no limit was given"));
    }
    table.flush_streams();
    (table.flows().map(|flow| flow.to_flow()).collect(), table.counters())
}
