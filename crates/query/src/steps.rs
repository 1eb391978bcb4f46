//! The steps of the language. Adding one is one definition in a file of this folder and one line here.

use crate::StepDef;

mod at;
mod count;
mod dedup;
mod elements;
mod flow_nodes;
pub(crate) mod flows;
mod groups;
mod has;
mod keys;
mod limit;
mod marks;
mod metrics;
mod next_hop;
mod raw_packets;
pub(crate) mod restart;
mod shortest_path;
mod sockets;
mod sort;
mod spread;
mod sub_graph;
mod sum;
mod values;
mod walk;

/// Every step that queries may use.
pub const STEPS: &[StepDef] = &[
    restart::DEF,
    at::CONTEXT,
    at::AT,
    elements::V,
    elements::E,
    has::HAS,
    has::HAS_KEY,
    has::HAS_NOT,
    has::HAS_EITHER,
    walk::OUT,
    walk::IN,
    walk::BOTH,
    walk::OUT_E,
    walk::IN_E,
    walk::BOTH_E,
    walk::OUT_V,
    walk::IN_V,
    walk::BOTH_V,
    dedup::DEF,
    limit::LIMIT,
    limit::RANGE,
    sort::DEF,
    count::DEF,
    values::VALUES,
    values::VALUE_MAP,
    keys::DEF,
    sum::DEF,
    shortest_path::DEF,
    sub_graph::DEF,
    marks::AS,
    marks::SELECT,
    spread::DESCENDANTS,
    spread::ASCENDANTS,
    spread::NEIGHBORS,
    next_hop::DEF,
    metrics::METRICS,
    metrics::AGGREGATES,
    sockets::DEF,
    flows::DEF,
    flow_nodes::NODES,
    flow_nodes::CAPTURE_NODE,
    flow_nodes::NODE,
    flow_nodes::HOPS,
    groups::GROUP,
    groups::MORE_THAN,
    raw_packets::RAW_PACKETS,
    raw_packets::BPF,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PREDICATES;

    #[test]
    fn definitions_are_complete() {
        let steps = STEPS.iter().map(|s| (s.name, s.about));
        let all: Vec<(&str, &str)> = steps.chain(PREDICATES.iter().map(|p| (p.name, p.about))).collect();
        for (name, about) in &all {
            let same = all.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count();
            assert_eq!(same, 1, "{name}");
            assert!(about.len() < 72 && !about.is_empty() && !about.ends_with('.'), "{name}: {about}");
        }
        for step in STEPS {
            assert!(!step.on.is_empty(), "{}", step.name);
            for (i, (kind, _)) in step.on.iter().enumerate() {
                assert!(step.on[i + 1..].iter().all(|(other, _)| other != kind), "{}: {kind}", step.name);
            }
        }
    }
}
