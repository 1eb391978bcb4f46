//! Searches in the tables of running captures: made in slices between packets, answered with copies.

use skydive_flow::{Flow, FlowSet, FlowTable, Merge, Sort, Want};
use skydive_value::{Filter, Matcher};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::CaptureKey;
use crate::enrich::{Enriching, filter_asks, path_asks};

/// What is asked of the tables.
#[derive(Clone, Debug)]
pub struct FlowSearch {
    /// In which captures; `None` for all.
    pub captures: Option<Vec<CaptureKey>>,
    /// Which flows.
    pub filter: Filter,
    /// In which order; `None` for any.
    pub sort: Option<Sort>,
    /// How many of the first of them; [`MOST_FLOWS`] at most, but to count.
    pub limit: usize,
    /// What of them.
    pub want: Want,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The flows, and the time that all cover which were looked at.
    pub set: FlowSet,
    /// Tables that were searched.
    pub tables: usize,
    /// Flows that were looked at.
    pub looked_at: u64,
    /// Flows that matched. To count, and without an order, the search ends when there are enough.
    pub matched: u64,
    /// Whether less is here than was asked for: [`MOST_FLOWS`] or [`MOST_RAW_BYTES`] was met.
    pub is_truncated: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SearchError {
    /// Too many wait already.
    #[error("too many searches wait for the captures")]
    Busy,
    /// The threads have ended.
    #[error("the threads of captures have ended")]
    Ended,
}

/// Flows in an answer.
pub const MOST_FLOWS: usize = 100_000;
/// Bytes of packets in an answer.
pub const MOST_RAW_BYTES: usize = 16 << 20;

/// Flows looked at before packets get their turn: about a millisecond.
const SLICE: usize = 2048;

/// A search that is under way in the tables of a thread.
#[derive(Debug)]
pub(crate) struct Searching {
    search: FlowSearch,
    reply: oneshot::Sender<Found>,
    found: Found,
    raw_bytes: usize,
    /// Number of the table and place in it to go on at.
    table: usize,
    place: u32,
}

impl FlowSearch {
    /// Every flow.
    pub fn all() -> Self {
        Self { captures: None, filter: Filter::all(), sort: None, limit: MOST_FLOWS, want: Want::Flows }
    }

    fn most(&self) -> usize {
        self.limit.min(MOST_FLOWS)
    }

    /// Whether the number of flows in a table is all that is wanted of it.
    fn counts_all(&self) -> bool {
        self.want == Want::Count && self.filter.is_all()
    }

    /// Whether a capture is searched.
    pub(crate) fn searches(&self, key: CaptureKey) -> bool {
        self.captures.as_ref().is_none_or(|captures| captures.contains(&key))
    }
}

impl Found {
    /// Adds what was found in other tables by the same search.
    pub(crate) fn add(&mut self, other: Self, search: &FlowSearch) {
        self.set.merge(other.set, &Merge { sort: search.sort.clone(), dedup: None });
        self.is_truncated |= search.limit > MOST_FLOWS && self.set.flows.len() > MOST_FLOWS;
        self.set.slice(0..search.most());
        self.tables += other.tables;
        self.looked_at += other.looked_at;
        self.matched += other.matched;
        self.is_truncated |= other.is_truncated;
    }
}

impl Searching {
    pub(crate) fn new(search: FlowSearch, reply: oneshot::Sender<Found>) -> Self {
        Self { search, reply, found: Found::default(), raw_bytes: 0, table: 0, place: 0 }
    }

    /// Looks at some flows of the tables, which are in the same places each time. Answers and says so when all were
    /// looked at, or nobody waits any more. No time may pass in the tables in between.
    pub(crate) fn step<'t>(mut self, table: impl Fn(usize) -> Next<'t>) -> Option<Self> {
        let filter = self.search.filter.clone();
        let matcher = Matcher::new(&filter);
        let sort = self.search.sort.as_ref().filter(|_| self.search.want != Want::Count);
        let asks = filter_asks(&filter) || sort.is_some_and(|sort| path_asks(&sort.by));
        let mut left = SLICE;
        while !self.reply.is_closed() {
            let (flows, enriching) = match table(self.table) {
                Next::End => {
                    self.answer();
                    return None;
                }
                Next::Nothing => {
                    (self.table, self.place) = (self.table + 1, 0);
                    continue;
                }
                Next::Table(key, ..) if !self.search.searches(key) => {
                    (self.table, self.place) = (self.table + 1, 0);
                    continue;
                }
                Next::Table(_, flows, enriching) => (flows, enriching),
            };
            if self.place == 0 {
                self.found.tables += 1;
            }
            if self.search.counts_all() {
                self.found.matched += flows.len() as u64;
                (self.table, self.place) = (self.table + 1, 0);
                continue;
            }
            for (place, view) in flows.flows_from(self.place) {
                self.place = place;
                self.found.looked_at += 1;
                left -= 1;
                let mut flow = view.to_flow();
                self.cover(&flow);
                // Most searches end with few of many flows: only what needs it is looked up before.
                if asks {
                    enriching.apply(&mut flow);
                }
                if matcher.matches(&flow) && !self.take(flow, (!asks).then_some(enriching)) {
                    self.answer();
                    return None;
                }
                if left == 0 {
                    return Some(self);
                }
            }
            (self.table, self.place) = (self.table + 1, 0);
        }
        None
    }

    /// The table at that number is gone.
    pub(crate) fn skip(&mut self, table: usize) {
        if self.table == table {
            (self.table, self.place) = (self.table + 1, 0);
        }
    }

    fn cover(&mut self, flow: &Flow) {
        let FlowSet { start, end, .. } = &mut self.found.set;
        *start = if self.found.looked_at == 1 { flow.start } else { flow.start.min(*start) };
        *end = flow.last.max(*end);
    }

    /// Keeps a flow that matches. Says whether more are wanted.
    fn take(&mut self, mut flow: Flow, enriching: Option<&Enriching>) -> bool {
        self.found.matched += 1;
        if self.search.want == Want::Count {
            return self.found.matched < self.search.limit as u64;
        }
        if let Some(enriching) = enriching {
            enriching.apply(&mut flow);
        }
        match self.search.want {
            Want::Flows | Want::Count => flow.raw_packets = Vec::new(),
            Want::WithPackets => {
                let bytes: usize = flow.raw_packets.iter().map(|packet| packet.bytes.len()).sum();
                if self.raw_bytes + bytes > MOST_RAW_BYTES {
                    flow.raw_packets = Vec::new();
                    self.found.is_truncated = true;
                } else {
                    self.raw_bytes += bytes;
                }
            }
        }
        let most = self.search.most();
        let flows = &mut self.found.set.flows;
        match &self.search.sort {
            None if flows.len() < most => {
                flows.push(flow);
                flows.len() < most || self.search.limit > MOST_FLOWS
            }
            None => {
                self.found.is_truncated = true;
                false
            }
            Some(sort) => {
                flows.push(flow);
                if flows.len() >= 2 * most + SLICE {
                    self.found.set.sort(sort);
                    self.found.set.slice(0..most);
                }
                true
            }
        }
    }

    fn answer(mut self) {
        if let Some(sort) = &self.search.sort {
            self.found.set.sort(sort);
        }
        let most = self.search.most();
        let is_cut = self.search.limit > MOST_FLOWS && self.found.matched > MOST_FLOWS as u64;
        let is_cut = is_cut && self.search.want != Want::Count;
        self.found.is_truncated |= is_cut;
        self.found.set.slice(0..most);
        // Who asked may have gone.
        let _ = self.reply.send(self.found);
    }
}

/// What is at a number of a table.
pub(crate) enum Next<'t> {
    Table(CaptureKey, &'t FlowTable, &'t Enriching),
    Nothing,
    End,
}

#[cfg(test)]
mod tests {
    use skydive_flow::TableConfig;
    use skydive_packet::LinkType;
    use skydive_packet::file::Packet;

    use super::*;

    #[test]
    fn what_several_threads_found_is_cut_and_told() {
        let mut table = FlowTable::new(TableConfig::default());
        let frame = Packet { bytes: &[0; 60], wire_len: 60, link: LinkType::ETHERNET, ..Packet::default() };
        table.packets(&[frame], |_, _| {});
        let flow = table.flows().next().unwrap().to_flow();
        let found = |flows| Found { set: FlowSet::new(vec![flow.clone(); flows]), ..Found::default() };
        let mut all = found(MOST_FLOWS - 1);
        let search = FlowSearch { limit: usize::MAX, ..FlowSearch::all() };
        all.add(found(1), &search);
        assert!(!all.is_truncated);
        all.add(found(1), &search);
        assert!(all.is_truncated && all.set.flows.len() == MOST_FLOWS);
        // Whoever wants no more misses none.
        let mut some = found(7);
        some.add(found(9), &FlowSearch { limit: 10, ..search });
        assert!(!some.is_truncated && some.set.flows.len() == 10);
    }
}
