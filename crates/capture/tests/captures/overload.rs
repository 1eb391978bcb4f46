//! More than can be taken: what is lost is counted.

use skydive_capture::{Captures, FLOW_BATCHES, FLOWS_PER_BATCH};
use skydive_testnet::require_root;

use crate::rig::{Rig, clock, counted, stop};

#[test]
fn each_packet_of_a_flood_is_accounted_or_dropped() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    let mut config = rig.config("udp and dst host 10.99.0.2");
    config.ring_bytes = 32 << 10;
    let capture = rig.begin(&config);
    rig.flood(300_000, 16, 18);
    let status = stop(capture);
    let counters = status.counters;
    assert_eq!(counters.received, 300_000);
    assert_eq!(counters.accounted + counters.dropped_by_kernel, 300_000, "{counters:?}");
    assert!(counters.dropped_by_kernel > 0, "{counters:?}");
    let told = rig.told.until("its flows", |flows| flows.len() as u64 == status.table.flows);
    assert_eq!(told.iter().map(|flow| flow.metric.ab_packets).sum::<u64>(), counters.accounted);
}

#[test]
fn nobody_who_takes_flows_makes_packets_wait() {
    if !require_root() {
        return;
    }
    let mut rig = Rig::new(1);
    let (captures, mut receiver) = Captures::start(1, rig.namespaces.clone(), clock(), None).unwrap();
    rig.captures = captures;
    let mut config = rig.config("udp and dst host 10.99.0.2");
    config.ring_bytes = 64 << 20;
    config.table.max_entries = Some(100);
    config.table.raw_packets = 1;
    let capture = rig.begin(&config);
    // Each batch of packets is another flow, for which one has to go.
    rig.flood(64 * 30_000, 30_000, 18);
    let status = counted(&capture, 64 * 30_000);
    let most = (FLOW_BATCHES * FLOWS_PER_BATCH + FLOWS_PER_BATCH) as u64;
    assert_eq!((status.table.flows, status.table.evicted), (30_000, 29_900));
    assert_eq!(status.counters.dropped_by_kernel, 0);
    assert!((1..=29_900 - FLOWS_PER_BATCH as u64).contains(&status.counters.flows_lost), "{status:?}");
    assert!(29_900 - status.counters.flows_lost <= most);
    // Packets that were kept with flows are left out before flows are.
    assert!(status.counters.raw_packets_lost > 0);
    let reader = std::thread::spawn(move || {
        let mut flows = 0;
        while let Some(batch) = receiver.blocking_recv() {
            flows += batch.len() as u64;
        }
        flows
    });
    let lost = stop(capture).counters.flows_lost;
    drop(rig);
    assert_eq!(reader.join().unwrap() + lost, 30_000);
}
