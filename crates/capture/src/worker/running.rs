//! A capture on its thread: source, table, and what was counted.

use std::io;
use std::time::Duration;

use skydive_flow::{FlowTable, TableConfig};
use tokio::sync::watch;

use crate::enrich::Enriching;
use crate::outbox::Outbox;
use crate::ring::RingSource;
use crate::source::{Ready, Sink, Source, Watch};
use crate::status::{CaptureCounters, CaptureError, CaptureKey, CaptureState, CaptureStatus};

/// A capture, or the part of it that is on one thread.
pub(crate) struct Running {
    key: CaptureKey,
    source: Source,
    table: FlowTable,
    counters: CaptureCounters,
    enriching: Enriching,
    state: CaptureState,
    /// The state it ends in, and until when it may count what came before.
    ending: Option<(CaptureState, i64)>,
    status: watch::Sender<CaptureStatus>,
}

/// Flows that are looked at in a table before packets get their turn: about a millisecond.
const SLICE: usize = 2048;

impl Running {
    pub(crate) fn new(
        key: CaptureKey,
        source: Source,
        table: TableConfig,
        enriching: Enriching,
    ) -> (Self, watch::Receiver<CaptureStatus>) {
        let (status, receiver) = watch::channel(CaptureStatus::default());
        let running = Self {
            key,
            source,
            table: FlowTable::new(table),
            counters: CaptureCounters::default(),
            enriching,
            state: CaptureState::Active,
            ending: None,
            status,
        };
        (running, receiver)
    }

    pub(crate) fn key(&self) -> CaptureKey {
        self.key
    }

    pub(crate) fn table(&self) -> &FlowTable {
        &self.table
    }

    pub(crate) fn enriching(&self) -> &Enriching {
        &self.enriching
    }

    /// Packets that are accounted so far.
    pub(crate) fn accounted(&self) -> u64 {
        self.counters.accounted
    }

    /// Packets that will be accounted when those that have come are; `None` when they are.
    pub(crate) fn comes_to(&mut self) -> Option<u64> {
        let waiting = self.source.waiting(&mut self.counters);
        (waiting > 0).then_some(self.counters.accounted + waiting)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.ending.is_some()
    }

    pub(crate) fn due(&self) -> Option<i64> {
        self.source.due()
    }

    pub(crate) fn begin(&mut self, watch: &Watch<'_>) -> io::Result<()> {
        self.source.begin(watch)?;
        self.look();
        Ok(())
    }

    pub(crate) fn read(&mut self, ready: Ready, now: i64, watch: &Watch<'_>, outbox: &mut Outbox) {
        let Self { source, table, counters, enriching, .. } = self;
        let known = table.counters().flows;
        let fault = source.read(ready, now, watch, &mut Sink { table, outbox, counters, enriching });
        if table.counters().flows != known {
            enriching.flows_began();
        }
        if let Err(error) = fault {
            self.fail(error, now, watch);
        }
    }

    pub(crate) fn play(&mut self, now: i64, watch: &Watch<'_>, outbox: &mut Outbox) {
        let Self { source, table, counters, enriching, .. } = self;
        source.play(now, watch, &mut Sink { table, outbox, counters, enriching });
    }

    /// Lets time pass in the table. Says whether more is left to do.
    pub(crate) fn advance(&mut self, now: i64, outbox: &mut Outbox) -> bool {
        let Self { table, counters, enriching, .. } = self;
        table.advance_within(now, SLICE, |flow, told| outbox.push(flow, told, counters, enriching))
    }

    /// Looks after the source and says how it is doing.
    pub(crate) fn look(&mut self) {
        if self.ending.is_none() {
            match self.source.look(&mut self.counters) {
                // Whoever had it has dropped it, and could not say so.
                Ok(_) if self.status.is_closed() => self.ending = Some((CaptureState::Stopped, i64::MIN)),
                Ok(state) => self.state = state,
                // Ends with the next drain, which has the watch for it.
                Err(error) => self.ending = Some((CaptureState::Failed(error), i64::MIN)),
            }
        }
        self.publish();
    }

    fn fail(&mut self, error: CaptureError, now: i64, watch: &Watch<'_>) {
        self.end_in(CaptureState::Failed(error), now, watch);
    }

    pub(crate) fn stop(&mut self, now: i64, watch: &Watch<'_>) {
        self.end_in(CaptureState::Stopped, now, watch);
    }

    fn end_in(&mut self, state: CaptureState, now: i64, watch: &Watch<'_>) {
        if self.ending.is_none() {
            self.source.shut(watch);
            self.ending = Some((state, now.saturating_add(nanos(RingSource::RETIRED))));
        }
    }

    /// Counts what came before it ended. Says whether it has, and all is counted.
    pub(crate) fn drain(&mut self, now: i64, watch: &Watch<'_>, outbox: &mut Outbox) -> bool {
        let Some((_, until)) = &mut self.ending else { return false };
        if *until == i64::MIN {
            *until = now.saturating_add(nanos(RingSource::RETIRED));
            self.source.shut(watch);
        }
        let is_late = now >= *until || now < *until - 2 * nanos(RingSource::RETIRED);
        let Self { source, table, counters, enriching, .. } = self;
        let is_all = source.drain(&mut Sink { table, outbox, counters, enriching });
        if is_late && !is_all {
            self.counters.dropped += self.counters.waiting();
        }
        is_all || is_late
    }

    /// Leaves the thread.
    pub(crate) fn leave(&mut self, watch: &Watch<'_>) {
        self.source.end(watch);
    }

    /// Closes the source and tells of all flows, waiting for who takes them, and then of its end.
    pub(crate) fn end(self: Box<Self>, mut outbox: Outbox) {
        let Self { source, mut table, mut counters, enriching, ending, status, .. } = *self;
        drop(source);
        let table_counters = table.counters();
        table.finish(|flow, told| {
            if told.news {
                let mut flow = flow.to_flow();
                enriching.apply(&mut flow);
                counters.flows_lost += outbox.push_waiting(flow);
            }
        });
        counters.flows_lost += outbox.flush_waiting();
        let state = ending.map_or(CaptureState::Stopped, |(state, _)| state);
        status.send_replace(CaptureStatus { state, counters, table: table_counters, flows: 0 });
    }

    fn publish(&self) {
        self.status.send_replace(CaptureStatus {
            state: self.state.clone(),
            counters: self.counters,
            table: self.table.counters(),
            flows: self.table.len(),
        });
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
