//! Flows on their way out, in batches.

use std::mem;

use skydive_flow::{Flow, FlowView, Told};
use tokio::sync::mpsc;

use crate::enrich::Enriching;
use crate::status::CaptureCounters;

/// Flows that leave together at most.
pub const FLOWS_PER_BATCH: usize = 256;
/// Batches that wait for who takes them: a second of 16,000 flows.
pub const FLOW_BATCHES: usize = 64;

/// Bytes of packets kept with flows that leave together at most; with [`FLOW_BATCHES`] it bounds what waits.
const RAW_BYTES: usize = 512 << 10;
/// Batches there must be room for before flows are told of that could be told of later: those of a slice of them.
const ROOM: usize = 10;

/// Flows on their way out.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: mpsc::Sender<Vec<Flow>>,
    pending: Vec<Flow>,
    raw_bytes: usize,
}

impl Outbox {
    pub(crate) fn new(sender: mpsc::Sender<Vec<Flow>>) -> Self {
        Self { sender, pending: Vec::new(), raw_bytes: 0 }
    }

    /// Whether a slice of flows can be told of without losing one.
    pub(crate) fn has_room(&self) -> bool {
        self.sender.is_closed() || self.sender.capacity() >= ROOM
    }

    /// Takes a flow. When there is no room for it, it is lost; its packets are left out before that.
    pub(crate) fn push(
        &mut self,
        flow: FlowView<'_>,
        told: Told,
        counters: &mut CaptureCounters,
        enriching: &Enriching,
    ) {
        if !told.news {
            return;
        }
        if self.is_full() {
            self.flush();
            if self.is_full() {
                counters.flows_lost += 1;
                return;
            }
        }
        let mut flow = flow.to_flow();
        if !flow.raw_packets.is_empty() && self.sender.capacity() < self.sender.max_capacity() / 2 {
            counters.raw_packets_lost += flow.raw_packets.len() as u64;
            flow.raw_packets = Vec::new();
        }
        enriching.apply(&mut flow);
        self.add(flow);
    }

    /// Takes a flow, and waits until there is room for it. Says how many are lost, as nobody is there.
    pub(crate) fn push_waiting(&mut self, flow: Flow) -> u64 {
        let lost = if self.is_full() { self.flush_waiting() } else { 0 };
        self.add(flow);
        lost
    }

    fn add(&mut self, flow: Flow) {
        self.raw_bytes += flow.raw_packets.iter().map(|packet| packet.bytes.len()).sum::<usize>();
        self.pending.push(flow);
    }

    fn is_full(&self) -> bool {
        self.pending.len() >= FLOWS_PER_BATCH || self.raw_bytes >= RAW_BYTES
    }

    /// Sends what there is, if there is room.
    pub(crate) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Ok(permit) = self.sender.try_reserve() {
            permit.send(mem::take(&mut self.pending));
            self.raw_bytes = 0;
        }
    }

    /// Sends what there is, and waits until there is room for it. Says how many are lost, as nobody is there.
    pub(crate) fn flush_waiting(&mut self) -> u64 {
        self.raw_bytes = 0;
        let batch = mem::take(&mut self.pending);
        let flows = batch.len() as u64;
        if flows == 0 || self.sender.blocking_send(batch).is_ok() { 0 } else { flows }
    }

    /// Flows that were taken and not sent.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Another one to the same receiver.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.sender.clone())
    }
}
