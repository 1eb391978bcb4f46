//! What all captures of the agent counted together, for its status and its metrics.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use skydive_capture::CaptureStatus;
use skydive_proto::CaptureTotals;
use tokio::sync::watch;

/// Shows the totals among a program's metrics.
#[derive(Debug)]
pub(crate) struct CaptureMetrics(pub(crate) watch::Receiver<CaptureTotals>);

/// What captures counted that have ended, and those that have not. Which of them run is told by who has them.
pub(super) fn of(ended: &CaptureStatus, others: &CaptureStatus) -> CaptureTotals {
    let mut all = ended.clone();
    all.add(others);
    let CaptureStatus { counters, table, .. } = all;
    CaptureTotals {
        received: counters.received,
        accounted: counters.accounted,
        dropped_by_kernel: counters.dropped_by_kernel,
        // Of a capture that was lost, nobody reads what waited, and its table is gone.
        dropped: counters.dropped + ended.counters.waiting(),
        waiting: others.counters.waiting(),
        flows: others.flows as u64,
        flows_begun: table.flows,
        flows_evicted: table.evicted,
        flows_lost: counters.flows_lost,
        raw_packets_lost: counters.raw_packets_lost,
        unkept: table.unkept,
        damaged: counters.damaged,
        missed: others.table.evicted + others.counters.dropped_by_kernel + others.counters.dropped,
        ..CaptureTotals::default()
    }
}

/// What was given up since, in the order in which it is given up.
pub(super) fn shed_since(before: &CaptureTotals, now: &CaptureTotals) -> Vec<String> {
    [
        ("raw packets", now.raw_packets_lost > before.raw_packets_lost || now.unkept > before.unkept),
        ("flows", now.flows_lost > before.flows_lost || now.flows_evicted > before.flows_evicted),
        ("packets", now.dropped_by_kernel + now.dropped > before.dropped_by_kernel + before.dropped),
    ]
    .into_iter()
    .filter(|(_, is_shed)| *is_shed)
    .map(|(what, _)| what.to_owned())
    .collect()
}

impl Collector for CaptureMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.0.borrow().clone();
        for (name, about, value) in [
            ("skydive_captures", "Captures that run", all.running),
            ("skydive_captures_failed", "Captures that were asked for and do not run", all.failed),
            ("skydive_capture_packets_waiting", "Packets that wait in the rings of captures", all.waiting),
            ("skydive_capture_flows", "Flows in the tables of captures", all.flows),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, about, None, gauge.metric_type())?)?;
        }
        for (name, about, value) in [
            ("skydive_capture_packets_received", "Packets that passed the filter of a capture", all.received),
            ("skydive_capture_packets_accounted", "Packets that were counted in a flow table", all.accounted),
            (
                "skydive_capture_packets_dropped_by_kernel",
                "Packets for which a ring had no room",
                all.dropped_by_kernel,
            ),
            ("skydive_capture_packets_dropped", "Packets not read before a capture ended", all.dropped),
            ("skydive_capture_flows_begun", "Flows begun", all.flows_begun),
            ("skydive_capture_flows_evicted", "Flows that had to go for others", all.flows_evicted),
            ("skydive_capture_flows_lost", "Flows that nobody was told of", all.flows_lost),
            (
                "skydive_capture_raw_packets_lost",
                "Packets kept with flows that nobody was told of",
                all.raw_packets_lost,
            ),
            ("skydive_capture_unkept", "Packets and messages for which flows had no room", all.unkept),
            (
                "skydive_capture_damaged",
                "Streams of packets that were damaged or no capture file",
                all.damaged,
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, about, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use skydive_capture::CaptureCounters;
    use skydive_flow::TableCounters;

    use super::*;

    #[test]
    fn packets_that_nobody_will_read_do_not_wait() {
        let counted = |received, accounted, evicted| CaptureStatus {
            counters: CaptureCounters { received, accounted, ..CaptureCounters::default() },
            table: TableCounters { evicted, ..TableCounters::default() },
            flows: 3,
            ..CaptureStatus::default()
        };
        let all = of(&counted(10, 8, 1), &counted(100, 95, 2));
        assert_eq!((all.received, all.accounted, all.dropped, all.waiting), (110, 103, 2, 5));
        assert_eq!((all.flows, all.flows_evicted), (3, 3));
        let later = of(&counted(10, 8, 1), &counted(100, 100, 4));
        assert_eq!(shed_since(&all, &later), ["flows"]);
        assert!(shed_since(&later, &later).is_empty());
    }
}
