//! Searches in tables while packets come.

use skydive_capture::FlowSearch;
use skydive_flow::{Direction, Sort, Want, field};
use skydive_sys::NsRef;
use skydive_testnet::require_root;
use skydive_value::Filter;

use crate::rig::{Rig, counted, index, stop};

#[test]
fn filters_orders_and_limits_are_kept() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(2);
    let mut config = rig.config("udp and dst host 10.99.0.2");
    (config.threads, config.table.raw_packets) = (2, 1);
    let capture = rig.begin(&config);
    // The ports of the first 500 flows have twice the packets of the others.
    rig.flood(64 * 5500, 5000, 30);
    counted(&capture, 64 * 5500);
    let packets = Sort { by: field::METRIC_AB_PACKETS.into(), direction: Direction::Descending };
    let busiest = FlowSearch { sort: Some(packets), limit: 600, ..FlowSearch::all() };
    let found = rig.search(&busiest);
    assert_eq!((found.tables, found.looked_at, found.matched), (2, 5000, 5000));
    assert_eq!((found.set.flows.len(), found.is_truncated), (600, false));
    let counts: Vec<_> = found.set.flows.iter().map(|flow| flow.metric.ab_packets).collect();
    assert!(
        counts[..500].iter().all(|count| *count == 128) && counts[500..].iter().all(|count| *count == 64)
    );
    assert!(found.set.flows.iter().all(|flow| flow.raw_packets.is_empty()));

    let one = FlowSearch {
        filter: Filter::int(field::TRANSPORT_B, 10_007),
        want: Want::WithPackets,
        ..FlowSearch::all()
    };
    let found = rig.search(&one);
    assert_eq!((found.matched, found.set.flows.len(), found.looked_at), (1, 1, 5000));
    assert_eq!(found.set.flows[0].raw_packets.len(), 1);

    // Without an order it ends when there are enough.
    let some = rig.search(&FlowSearch { limit: 10, ..FlowSearch::all() });
    assert_eq!((some.set.flows.len(), some.looked_at), (10, 20));
    // To count, no flow is looked at but to see whether it passes.
    let count = FlowSearch { want: Want::Count, limit: usize::MAX, ..busiest.clone() };
    let all = rig.search(&count);
    assert_eq!((all.matched, all.set.flows.len(), all.is_truncated), (5000, 0, false));
    let few = rig.search(&FlowSearch { filter: one.filter.clone(), ..count.clone() });
    assert_eq!((few.matched, few.set.flows.len()), (1, 0));
    let enough =
        rig.search(&FlowSearch { filter: Filter::int(field::METRIC_AB_PACKETS, 64), limit: 7, ..count });
    assert_eq!((enough.matched, enough.set.flows.len()), (14, 0), "each thread finds as many");
    let none = rig.search(&FlowSearch { captures: Some(Vec::new()), ..FlowSearch::all() });
    assert_eq!((none.tables, none.looked_at), (0, 0));
    let this = rig.search(&FlowSearch { captures: Some(vec![capture.key()]), limit: 1, ..FlowSearch::all() });
    assert_eq!((this.tables, this.set.flows.len()), (2, 1));
    stop(capture);
    assert_eq!(rig.search(&busiest).looked_at, 0);
}

#[test]
fn what_was_sent_before_a_search_is_found_by_it() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(2);
    let mut config = rig.config("udp and dst host 10.99.0.2");
    // Where packets are sent they pass the capture before the call that sends them returns.
    (config.place, config.interface) = (NsRef::Path(rig.a.path()), index(&rig.a, "va"));
    config.threads = 2;
    let capture = rig.begin(&config);
    for round in 1..=20 {
        rig.flood(7, 1, 30);
        let found = rig.search(&FlowSearch::all());
        let packets: u64 = found.set.flows.iter().map(|flow| flow.metric.ab_packets).sum();
        assert_eq!(packets, 7 * round);
    }
    stop(capture);
}
