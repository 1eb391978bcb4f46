//! The flows that are alive, and the one loop that packets go through.
//!
//! A batch of packets passes three stages: every packet is decoded, cut into parts and each part's key hashed, while
//! the index's memory is asked for; then the flows' memory is asked for; then the parts are counted, in order. So a
//! table of a million flows waits for main memory once per batch instead of twice per packet.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use hashbrown::HashMap;
use skydive_packet::file::Packet;
use skydive_packet::{Decoder, End, Layers};
use skydive_prefetch::{prefetch, prefetch_all};
use skydive_value::SmolStr;

pub use extra::ExtraLayers;

use self::fragment::{Rebuilt, Taken};
use crate::budget::Budget;
use crate::defragment::Defragmenter;
use crate::index::Index;
use crate::key::{Key, KeyMode, Part, Seeds, TransportKind, Usual, part};
use crate::names::Names;
use crate::quota::{Quota, Share};
use crate::record::{FlowView, Record, Update};
use crate::slab::Slab;
use crate::tcp::TcpState;
use crate::{FlowId, TransportProtocol};

mod create;
mod extra;
pub(crate) mod first_words;
mod fragment;
mod observe;
mod timer;

/// How a table counts.
#[derive(Clone, Debug)]
pub struct TableConfig {
    /// How often flows that got packets are told of.
    pub update: Duration,
    /// How long a flow may be idle. It goes after that, at most [`TableConfig::update`] or the same time again later.
    pub expire: Duration,
    /// Most flows at a time; beyond it the flow idle for longest, of a few looked at, goes. `None` for no limit.
    pub max_entries: Option<usize>,
    /// Most flows of all tables that share it; beyond it a flow of the table that wants one more goes. `None` for no
    /// limit.
    pub quota: Option<Quota>,
    /// Which addresses tell flows apart.
    pub key_mode: KeyMode,
    /// Whether TCP is watched in detail ([`crate::TcpMetric`]).
    pub tcp_metric: bool,
    /// Whether TCP streams are put in order ([`crate::StreamMetric`]).
    pub reassemble: bool,
    /// Whether IPv4 datagrams are put together from their fragments.
    pub defragment: bool,
    /// Which applications' messages are read.
    pub extra_layers: ExtraLayers,
    /// Packets kept per flow over its life.
    pub raw_packets: u64,
    /// Most bytes kept of each.
    pub raw_packet_bytes: usize,
    /// Most bytes that all flows together take for what packets choose the size of: packets kept, messages read, and
    /// TCP segments that wait for others. What does not fit is counted ([`TableCounters::unkept`]).
    pub max_extra_bytes: usize,
    /// Names of applications by port.
    pub application_ports: HashMap<(TransportProtocol, u16), SmolStr>,
    /// How long flows of an application may be idle, looked at with every update.
    pub application_timeout: HashMap<SmolStr, Duration>,
    /// TID of the node where the packets are seen.
    pub node_tid: SmolStr,
    /// Id of the capture.
    pub capture_id: SmolStr,
    /// What turns bytes into layers.
    pub decoder: Decoder,
}

/// What happened to packets and flows since the table was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounters {
    /// Packets given.
    pub packets: u64,
    /// Packets of which no part belongs to a flow: without addresses, or fragments kept for their datagram.
    pub unaccounted: u64,
    /// Packets by the reason why decoding ended, in the order of [`End::NAMES`].
    pub ends: [u64; End::NAMES.len()],
    /// Flows begun.
    pub flows: u64,
    /// Flows that had to go for others ([`TableConfig::max_entries`], [`TableConfig::quota`]).
    pub evicted: u64,
    /// Packets, messages and waiting segments that did not fit ([`TableConfig::max_extra_bytes`]).
    pub unkept: u64,
    /// Flows whose layers path is shortened (`Ethernet/IPv6/Other/UDP`), as there are too many different ones.
    pub folded_paths: u64,
}

/// Why a flow is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it leaves the table.
    pub ended: bool,
    /// Whether anything happened since it was told of last.
    pub news: bool,
}

/// The flows seen at one place.
///
/// Owned by one thread. Time is what the packets carry and what [`FlowTable::advance`] is given.
#[derive(Debug)]
pub struct FlowTable {
    config: TableConfig,
    seeds: Seeds,
    index: Index,
    records: Slab<Record>,
    share: Share,
    /// What was told of the records at their last update.
    updates: Slab<Update>,
    /// TCP of the records in detail.
    tcp: Slab<TcpState>,
    budget: Budget,
    names: Names,
    counters: TableCounters,
    timer: timer::Timer,
    defragmenter: Option<Defragmenter>,
    /// Where to look next for a flow to evict.
    hand: u32,
    batch: Batch,
}

/// Working memory of [`FlowTable::packets`], kept to be used again.
#[derive(Debug, Default)]
struct Batch {
    layers: Vec<Layers>,
    parts: Vec<Part>,
    /// Where each part's flow seems to be; only a guess, by the hash.
    likely: Vec<u32>,
    /// The datagram that a fragment has just completed, if one did.
    rebuilt: Vec<Rebuilt>,
    /// Memory for the next one.
    spare: Vec<u8>,
}

/// Packets that go through the stages together: their memory is more than a processor waits for at once, and their
/// layers fit its first cache.
const BATCH: usize = 64;
/// Flows looked at to find one to evict.
const LOOKED_AT: usize = 16;
const NOWHERE: u32 = u32::MAX;

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            update: Duration::from_mins(1),
            expire: Duration::from_mins(10),
            max_entries: Some(500_000),
            quota: None,
            key_mode: KeyMode::default(),
            tcp_metric: false,
            reassemble: false,
            defragment: false,
            extra_layers: ExtraLayers::NONE,
            raw_packets: 0,
            raw_packet_bytes: usize::MAX,
            max_extra_bytes: 256 << 20,
            application_ports: HashMap::new(),
            application_timeout: HashMap::new(),
            node_tid: SmolStr::default(),
            capture_id: SmolStr::default(),
            decoder: Decoder::default(),
        }
    }
}

impl FlowTable {
    /// An empty table.
    pub fn new(config: TableConfig) -> Self {
        let random = RandomState::new();
        Self {
            seeds: Seeds([0, 1, 2, 3].map(|n: u8| random.hash_one(n))),
            index: Index::new(),
            records: Slab::default(),
            share: Share::of(config.quota.clone()),
            updates: Slab::default(),
            tcp: Slab::default(),
            budget: Budget::new(config.max_extra_bytes),
            names: Names::new(&config.application_timeout),
            counters: TableCounters::default(),
            timer: timer::Timer::new(config.update, config.expire),
            defragmenter: config.defragment.then(Defragmenter::default),
            hand: 0,
            batch: Batch {
                layers: vec![Layers::new(); BATCH],
                parts: Vec::with_capacity(4 * BATCH),
                likely: Vec::with_capacity(4 * BATCH),
                rebuilt: Vec::new(),
                spare: Vec::new(),
            },
            config,
        }
    }

    /// Number of flows.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counters(&self) -> TableCounters {
        let (unkept, folded_paths) = (self.budget.refused(), self.names.folded());
        TableCounters { unkept, folded_paths, ..self.counters }
    }

    /// The flows, those not yet told of included.
    pub fn flows(&self) -> impl Iterator<Item = FlowView<'_>> {
        self.records.iter().filter(|record| record.is_used()).map(|record| self.view(record))
    }

    /// The flows from a place on, 0 for all of them, each with the place to go on at: to look at many in pieces. As long
    /// as time does not pass in between ([`FlowTable::advance`]), a flow that stays in the table is met once.
    pub fn flows_from(&self, mut place: u32) -> impl Iterator<Item = (u32, FlowView<'_>)> {
        std::iter::from_fn(move || {
            loop {
                let at = self.records.from(place)?;
                place = at + 1;
                if let Some(record) = self.records.at(at).filter(|record| record.is_used()) {
                    return Some((place, self.view(record)));
                }
            }
        })
    }

    /// Gives up what waits for missing TCP segments, so that the flows tell of all that came.
    pub fn flush_streams(&mut self) {
        for record in self.records.iter_mut() {
            if let Some(more) = &mut record.cold.more {
                more.flush_streams(i64::MAX, &mut self.budget);
            }
        }
    }

    /// Counts packets. `tell` hears of flows that have to go for others.
    pub fn packets(&mut self, packets: &[Packet<'_>], mut tell: impl FnMut(FlowView<'_>, Told)) {
        let mut batch = std::mem::take(&mut self.batch);
        for mut packets in packets.chunks(BATCH) {
            while !packets.is_empty() {
                let counted = self.stages(packets, None, &mut batch, &mut tell);
                packets = packets.get(counted..).unwrap_or_default();
                if !batch.rebuilt.is_empty() {
                    self.count_rebuilt(&mut batch, &mut tell);
                }
            }
        }
        self.batch = batch;
    }

    /// Counts a datagram that was put together, and the one in it that it may complete.
    #[cold]
    fn count_rebuilt(&mut self, batch: &mut Batch, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        while let Some(rebuilt) = batch.rebuilt.pop() {
            self.stages(&[rebuilt.packet()], Some(&rebuilt), batch, tell);
            batch.spare = rebuilt.into_bytes();
        }
    }

    /// Counts packets up to the first that completes a datagram, and says how many these are: others that follow come
    /// after the datagram.
    #[inline]
    fn stages(
        &mut self,
        packets: &[Packet<'_>],
        rebuilt: Option<&Rebuilt>,
        batch: &mut Batch,
        tell: &mut impl FnMut(FlowView<'_>, Told),
    ) -> usize {
        let counted = self.decode(packets, rebuilt, batch);
        let fragments = rebuilt.map(|rebuilt| rebuilt.from);
        self.look_ahead(batch);
        let mut carrier = FlowId(0);
        for (part, likely) in batch.parts.iter_mut().zip(&batch.likely) {
            part.key.parent = if part.nested { carrier.0 } else { 0 };
            let (Some(packet), Some(layers)) =
                (packets.get(usize::from(part.packet)), batch.layers.get(usize::from(part.packet)))
            else {
                continue;
            };
            let place = match self.place_of(part, *likely) {
                Some(place) if !self.is_overdue(place, tell) => place,
                _ => self.create(part, packet, layers, fragments, tell),
            };
            self.observe(place, part, packet, layers);
            if self.defragmenter.is_some() {
                self.count_fragments(place, part, layers, fragments);
            }
            if part.carries {
                carrier = self.uuid(place);
            }
        }
        counted
    }

    #[inline]
    fn decode(&mut self, packets: &[Packet<'_>], rebuilt: Option<&Rebuilt>, batch: &mut Batch) -> usize {
        batch.parts.clear();
        for (i, (packet, layers)) in packets.iter().zip(&mut batch.layers).enumerate() {
            if let Some(rebuilt) = rebuilt {
                rebuilt.decode(&self.config.decoder, layers);
            } else {
                self.config.decoder.decode(packet.bytes, packet.link, layers);
                self.counters.packets += 1;
                self.counters.ends[layers.end().index()] += 1;
            }
            let before = batch.parts.len();
            let mut whole = Layers::MAX;
            if let Some(defragmenter) = &mut self.defragmenter {
                let from = rebuilt.map(|rebuilt| rebuilt.from);
                match fragment::take(defragmenter, packet, layers, from, &mut batch.rebuilt, &mut batch.spare)
                {
                    Taken::Nothing => {}
                    // The tunnel around it carried a packet all the same.
                    Taken::From(place) => whole = place,
                    Taken::All => return i + 1,
                }
            }
            if self.config.key_mode == KeyMode::L2 && whole == Layers::MAX {
                let usual = Usual {
                    layers: layers.as_slice(),
                    bytes: packet.bytes,
                    wire_len: packet.wire_len,
                    packet: i as u16,
                    seeds: &self.seeds,
                };
                let index = &self.index;
                if usual.read(&mut batch.parts, |hash| index.prefetch(hash32(hash))).is_some() {
                    continue;
                }
                batch.parts.truncate(before);
            }
            for range in layers.parts() {
                if range.end > whole {
                    if let Some(carrier) = batch.parts.get_mut(before..).and_then(<[Part]>::last_mut) {
                        carrier.carries = true;
                    }
                    break;
                }
                let parent =
                    if batch.parts.len() > before { batch.parts.last().map_or(0, |p| p.hash) } else { 0 };
                let read = part(
                    layers.as_slice(),
                    range,
                    packet.bytes,
                    packet.wire_len,
                    self.config.key_mode,
                    parent,
                    self.seeds,
                );
                let Some(mut read) = read else { break };
                read.packet = i as u16;
                if batch.parts.len() > before {
                    read.nested = true;
                    if let Some(carrier) = batch.parts.last_mut() {
                        carrier.carries = true;
                    }
                }
                self.index.prefetch(hash32(read.hash));
                batch.parts.push(read);
            }
            self.counters.unaccounted += u64::from(batch.parts.len() == before);
        }
        packets.len()
    }

    #[inline]
    fn look_ahead(&self, batch: &mut Batch) {
        batch.likely.clear();
        for part in &batch.parts {
            let likely = self.index.guess(hash32(part.hash));
            if let Some(record) = self.records.at(likely) {
                prefetch(&record.key);
                prefetch(&record.hot);
                if part.carries || self.config.tcp_metric {
                    prefetch(&record.cold);
                }
            }
            batch.likely.push(likely);
        }
        if self.config.tcp_metric {
            self.look_ahead_tcp(batch);
        }
    }

    #[inline]
    fn look_ahead_tcp(&self, batch: &Batch) {
        for (part, likely) in batch.parts.iter().zip(&batch.likely) {
            if part.kind != TransportKind::Tcp {
                continue;
            }
            if let Some(tcp) = self.records.at(*likely).and_then(|record| self.tcp.of(record.cold.tcp)) {
                prefetch_all(tcp);
            }
        }
    }

    #[inline]
    fn place_of(&self, part: &Part, likely: u32) -> Option<u32> {
        let is_it = |place| self.records.at(place).is_some_and(|record| record.key == part.key);
        if is_it(likely) {
            return Some(likely);
        }
        self.index.find(hash32(part.hash), is_it)
    }

    /// The id of the flow at a place, kept there for the next packet that it carries.
    fn uuid(&mut self, place: u32) -> FlowId {
        let Some(record) = self.records.at_mut(place) else { return FlowId(0) };
        if record.cold.uuid == 0 {
            record.cold.uuid = record.uuid(&self.config.node_tid).0;
        }
        FlowId(record.cold.uuid)
    }

    fn view<'a>(&'a self, record: &'a Record) -> FlowView<'a> {
        let TableConfig { node_tid, capture_id, .. } = &self.config;
        let (update, tcp) = (self.updates.of(record.cold.update), self.tcp.of(record.cold.tcp));
        FlowView { record, update, tcp, names: &self.names, node_tid, capture_id }
    }

    /// Makes room for one more flow.
    fn evict(&mut self, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        let mut oldest: Option<(u32, i64)> = None;
        let (mut seen, mut turns) = (0, 0);
        while seen < LOOKED_AT && turns < 2 {
            let Some(place) = self.records.from(self.hand) else {
                self.hand = 0;
                turns += 1;
                continue;
            };
            self.hand = place + 1;
            let Some(record) = self.records.at(place).filter(|record| record.is_used()) else { continue };
            if oldest.is_none_or(|(_, last)| record.hot.last < last) {
                oldest = Some((place, record.hot.last));
            }
            seen += 1;
        }
        if let Some((place, _)) = oldest {
            self.counters.evicted += 1;
            let news = self.end(place);
            self.tell_of(place, Told { ended: true, news }, tell);
        }
    }

    fn remove(&mut self, place: u32) {
        let Some(mut record) = self.records.remove(place) else { return };
        self.index.remove(record.hot.hash, place);
        self.names.give(record.cold.path);
        self.updates.remove_handle(record.cold.update);
        self.tcp.remove_handle(record.cold.tcp);
        record.forget_first_words(&mut self.budget);
        if let Some(more) = &record.cold.more {
            self.budget.give(more.held());
        }
    }
}

impl Record {
    fn is_used(&self) -> bool {
        self.key != Key::default()
    }
}

#[inline]
fn hash32(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests;
