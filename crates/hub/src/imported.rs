//! Flows of imported capture files: told to subscribers, and kept for queries until they expire.
//!
//! A file is read on a thread of its own, one file at a time. Its flows are kept as they ended, and only when the whole
//! file was read; beyond `flow.max_entries` the files imported first make room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skydive_api::{FlowNews, ImportFault, PcapImport, Piece};
use skydive_flow::{
    Flow, FlowRead, FlowReadError, FlowSearch, FlowSet, FlowView, FlowsFound, Replay, TableConfig, Told, Want,
};
use skydive_graph::BoxFuture;
use skydive_packet::file::{FileError, Packet, Reader};
use skydive_proto::reason;
use skydive_value::{Clock, Coverage, Matcher, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::flow_intake::FlowTelemetry;

/// The flows of imported files. Clones share them.
#[derive(Clone)]
pub(crate) struct Imported(Arc<Inner>);

struct Inner {
    files: Mutex<VecDeque<File>>,
    table: TableConfig,
    news: FlowNews,
    clock: Clock,
    telemetry: FlowTelemetry,
    /// Tables are large: one file is read at a time.
    turn: Semaphore,
}

/// What is kept of a file.
#[derive(Clone)]
struct File {
    flows: Arc<Vec<Flow>>,
    until: Timestamp,
}

/// What was read of a file.
#[derive(Debug, Default)]
struct Read {
    flows: Vec<Flow>,
    /// Flows beyond those that may be kept.
    dropped: u64,
    /// Packets that are in no flow.
    unaccounted: u64,
}

/// Packets looked at together.
const BATCH: usize = 64;
/// Flows told together.
const TOLD: usize = 100;
/// How long an import waits, in all, for subscribers that are behind.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);
/// Time between two looks for what has expired.
const LOOK: Duration = Duration::from_secs(10);
/// Flows above those asked for that are kept before they are brought into order.
const SLACK: usize = 2048;

impl Imported {
    /// None yet. Files are counted in tables as `table` says; what was imported expires as flows do.
    pub(crate) fn new(table: TableConfig, news: FlowNews, clock: Clock, telemetry: FlowTelemetry) -> Self {
        let (files, turn) = (Mutex::default(), Semaphore::new(1));
        Self(Arc::new(Inner { files, table, news, clock, telemetry, turn }))
    }

    /// Forgets what has expired, until `stop`.
    pub(crate) async fn expire(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = sleep(LOOK) => drop(self.files()),
                () = stop.cancelled() => return,
            }
        }
    }

    /// What has not expired.
    fn files(&self) -> Vec<File> {
        let now = self.0.clock.now();
        let mut files = self.locked();
        files.retain(|file| now < file.until);
        files.iter().cloned().collect()
    }

    fn keep(&self, flows: Arc<Vec<Flow>>) {
        let Inner { table, clock, telemetry, .. } = &*self.0;
        let until = clock.now().plus(table.expire);
        let most = table.max_entries.unwrap_or(usize::MAX);
        let mut files = self.locked();
        files.push_back(File { flows, until });
        let mut kept: usize = files.iter().map(|file| file.flows.len()).sum();
        while kept > most
            && let Some(first) = files.pop_front()
        {
            kept -= first.flows.len();
            telemetry.dropped_imported(first.flows.len() as u64);
        }
    }

    /// Tells subscribers. Those that are behind are waited for, but not forever.
    async fn tell(&self, flows: &[Flow]) {
        let begin = Instant::now();
        for batch in flows.chunks(TOLD) {
            if !self.0.news.is_wanted() {
                return;
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let room = async {
                while self.0.news.is_crowded() {
                    sleep(PAUSE).await;
                }
            };
            // Who is too slow is told what it missed.
            let _ = timeout(left, room).await;
            self.0.news.tell(batch.to_vec());
        }
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<File>> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PcapImport for Imported {
    fn import(&self, pieces: mpsc::Receiver<Piece>) -> BoxFuture<'_, Result<(), ImportFault>> {
        Box::pin(async move {
            let Ok(_turn) = self.0.turn.acquire().await else { return Err(ImportFault::Stopped) };
            let config = self.0.table.clone();
            let reading = spawn_blocking(move || read(pieces, config)).await;
            let Read { flows, dropped, unaccounted } = reading.map_err(|_| ImportFault::Stopped)??;
            let flows = Arc::new(flows);
            self.0.telemetry.imported.inc_by(flows.len() as u64 + dropped);
            self.0.telemetry.dropped_imported(dropped);
            self.0.telemetry.unaccounted_imported(unaccounted);
            self.keep(flows.clone());
            self.tell(&flows).await;
            Ok(())
        })
    }
}

impl FlowRead for Imported {
    fn search<'a>(&'a self, search: &'a FlowSearch) -> BoxFuture<'a, Result<FlowsFound, FlowReadError>> {
        Box::pin(async move {
            let files = self.files();
            // They are of no host.
            if files.is_empty() || search.hosts.is_some() {
                return Ok(FlowsFound::default());
            }
            let search = search.clone();
            let found = spawn_blocking(move || find(&files, &search)).await;
            found.map_err(|_| FlowReadError::Stopped)
        })
    }
}

/// Reads a file as it comes.
fn read(mut pieces: mpsc::Receiver<Piece>, config: TableConfig) -> Result<Read, ImportFault> {
    let most = config.max_entries.unwrap_or(usize::MAX);
    let (mut reader, mut replay) = (Reader::new(), Replay::new(config));
    let mut read = Read::default();
    let mut hear = |flow: FlowView<'_>, told: Told| {
        if told.ended && read.flows.len() < most {
            read.flows.push(flow.to_flow());
        } else if told.ended {
            read.dropped += 1;
        }
    };
    let damaged = |fault: FileError| ImportFault::Damaged(reason(&fault));
    let mut held = Vec::new();
    loop {
        let mut packets = [Packet::default(); BATCH];
        let mut used = 0;
        let needed = loop {
            let bytes = held.get(used..).unwrap_or_default();
            let filled = reader.fill(bytes, &mut packets).map_err(damaged)?;
            used += filled.consumed;
            replay.packets(packets.get(..filled.packets).unwrap_or_default(), &mut hear);
            if filled.at_least > 0 {
                break filled.at_least;
            }
        };
        held.drain(..used);
        while held.len() < needed {
            match pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => held.extend_from_slice(&bytes),
                Some(Piece::End) => {
                    reader.end(held.len()).map_err(damaged)?;
                    let mut table = replay.into_table();
                    let unaccounted = table.counters().unaccounted;
                    table.finish(hear);
                    return Ok(Read { unaccounted, ..read });
                }
                None => return Err(ImportFault::Stopped),
            }
        }
    }
}

fn find(files: &[File], search: &FlowSearch) -> FlowsFound {
    let FlowSearch { filter, range, sort, dedup, want, .. } = search;
    let matcher = Matcher::new(filter);
    if *want == Want::Count {
        let flows = files.iter().flat_map(|file| file.flows.iter());
        let passing = flows.filter(|flow| matcher.matches(*flow)).count();
        let count = search.count_of(passing as u64);
        return FlowsFound { count, coverage: Coverage::complete(), ..FlowsFound::default() };
    }
    let most = range.as_ref().filter(|_| dedup.is_none()).map(|range| range.end as usize);
    let (mut set, mut is_first) = (FlowSet::default(), true);
    for flow in files.iter().flat_map(|file| file.flows.iter()) {
        set.start = if is_first { flow.start } else { set.start.min(flow.start) };
        set.end = set.end.max(flow.last);
        is_first = false;
        if !matcher.matches(flow) {
            continue;
        }
        match (most, sort) {
            (Some(most), None) if set.flows.len() >= most => break,
            (Some(most), Some(sort)) if set.flows.len() >= most.saturating_mul(2).saturating_add(SLACK) => {
                set.sort(sort);
                set.slice(0..most);
            }
            _ => {}
        }
        let mut flow = flow.clone();
        if *want != Want::WithPackets {
            flow.raw_packets = Vec::new();
        }
        set.flows.push(flow);
    }
    if let Some(sort) = sort {
        set.sort(sort);
    }
    if let Some(dedup) = dedup {
        set.dedup(dedup);
    }
    if let Some(range) = range {
        set.slice(range.start as usize..range.end as usize);
    }
    FlowsFound { set, coverage: Coverage::complete(), ..FlowsFound::default() }
}

#[cfg(test)]
mod tests;
