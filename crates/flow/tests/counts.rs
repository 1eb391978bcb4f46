//! Every flow of every layer, packet by packet, beside a plain dictionary.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

#[path = "conversations/capture.rs"]
mod capture;
#[path = "counts/dictionary.rs"]
mod dictionary;

use std::collections::BTreeMap;

use dictionary::Dictionary;
use skydive_flow::{KeyMode, TableConfig};
use skydive_testnet::{Traffic, Written};

/// The counts of all flows by kind, in order.
type ByKind = BTreeMap<String, Vec<[u64; 4]>>;

/// Headers that are a kind of flow; what applications say within is none.
const HEADERS: [&str; 10] =
    ["Ethernet", "Dot1Q", "MPLS", "IPv4", "IPv6", "GRE", "TCP", "UDP", "VXLAN", "Geneve"];

fn by_kind(flows: impl Iterator<Item = (String, [u64; 4])>) -> ByKind {
    let mut all = ByKind::new();
    for (kind, counts) in flows {
        all.entry(kind).or_default().push(counts);
    }
    for counts in all.values_mut() {
        counts.sort_unstable();
    }
    all
}

/// Flows, packets and bytes of each kind: what a difference is told with.
fn totals(all: &ByKind) -> BTreeMap<&str, [u64; 3]> {
    let sum = |counts: &Vec<[u64; 4]>, of: usize| counts.iter().map(|c| c[of] + c[of + 2]).sum();
    all.iter().map(|(kind, c)| (kind.as_str(), [c.len() as u64, sum(c, 0), sum(c, 1)])).collect()
}

fn of_the_table(file: &[u8], mode: KeyMode) -> ByKind {
    let (flows, counters) = capture::flows(file, TableConfig { key_mode: mode, ..TableConfig::default() });
    assert_eq!(counters.unaccounted, 0);
    by_kind(flows.iter().map(|flow| {
        let headers: Vec<&str> = flow.layers_path.split('/').filter(|name| HEADERS.contains(name)).collect();
        let metric = &flow.metric;
        (headers.join("/"), [metric.ab_packets, metric.ab_bytes, metric.ba_packets, metric.ba_bytes])
    }))
}

/// Counts a capture both ways, and checks that they are the same and what was written.
fn counted(file: &[u8], mode: KeyMode, made: &Written) -> ByKind {
    let plain = Dictionary::of(file, mode);
    let (outer, inner): (Vec<_>, Vec<_>) = plain.flows.iter().partition(|flow| flow.carries);
    assert_eq!((inner.len() as u64, outer.len() as u64), (made.conversations, made.carriers));
    let packets = |flows: &[&dictionary::Counted]| -> u64 {
        flows.iter().map(|flow| flow.counts[0] + flow.counts[2]).sum()
    };
    assert_eq!((packets(&inner), packets(&outer)), (made.packets, made.carried_packets));

    let theirs = by_kind(plain.flows.iter().map(|flow| (flow.kind.clone(), flow.counts)));
    let ours = of_the_table(file, mode);
    assert_eq!(totals(&ours), totals(&theirs), "{mode:?}");
    for (kind, flows) in &theirs {
        assert!(ours[kind] == *flows, "{mode:?}: the sums of {kind} are right, single flows are not");
    }
    ours
}

#[test]
fn every_layer_of_tunnels_is_counted_as_by_a_dictionary() {
    let wish = Traffic { packets: 20_000, conversations: 1_500, ..Traffic::tunnels() };
    for wish in [Traffic { seed: 7, ..wish.clone() }, Traffic { snap_len: 160, ..wish.clone() }, wish] {
        let mut file = Vec::new();
        let made = wish.write(&mut file).unwrap();
        for mode in [KeyMode::L2, KeyMode::L3] {
            let kinds = counted(&file, mode, &made);
            for outer in
                ["IPv4/UDP/VXLAN", "IPv4/UDP/Geneve", "IPv4/GRE", "MPLS", "MPLS/MPLS", "MPLS/MPLS/MPLS"]
            {
                assert!(kinds.contains_key(&format!("Ethernet/{outer}")), "{outer}");
            }
            for inner in ["IPv4/TCP", "IPv6/UDP", "Ethernet/IPv6/TCP", "Ethernet/Dot1Q/Dot1Q/IPv4/UDP"] {
                assert!(kinds.contains_key(inner), "{inner}");
            }
        }
    }
}

#[test]
fn flows_without_tunnels_are_counted_as_by_a_dictionary() {
    for wish in [
        Traffic { packets: 20_000, conversations: 1_000, ..Traffic::mix() },
        Traffic { packets: 10_000, conversations: 5_000, ..Traffic::small() },
    ] {
        let mut file = Vec::new();
        let made = wish.write(&mut file).unwrap();
        for mode in [KeyMode::L2, KeyMode::L3] {
            counted(&file, mode, &made);
        }
    }
}
