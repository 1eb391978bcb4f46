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
use skydive_prefetch::prefetch;
use skydive_value::SmolStr;

pub use extra::ExtraLayers;

use self::fragment::{Rebuilt, Taken};
use crate::defragment::Defragmenter;
use crate::index::Index;
use crate::key::{Key, KeyMode, Part, Seeds, part};
use crate::names::Names;
use crate::record::{Cold, FlowView, Hot, Record};
use crate::{FlowId, TransportProtocol};

mod create;
mod extra;
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
    /// Flows that had to go for others ([`TableConfig::max_entries`]).
    pub evicted: u64,
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
    records: Records,
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

/// Places of flows. Chunks never move, so growing copies nothing.
#[derive(Debug, Default)]
struct Records {
    chunks: Vec<Vec<Record>>,
    free: Vec<u32>,
    len: usize,
}

/// Packets that go through the stages together: their memory is more than a processor waits for at once, and their
/// layers fit its first cache.
const BATCH: usize = 64;
const CHUNK_BITS: u32 = 14;
/// Flows looked at to find one to evict.
const LOOKED_AT: usize = 16;
const NOWHERE: u32 = u32::MAX;

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            update: Duration::from_mins(1),
            expire: Duration::from_mins(10),
            max_entries: Some(500_000),
            key_mode: KeyMode::default(),
            tcp_metric: false,
            reassemble: false,
            defragment: false,
            extra_layers: ExtraLayers::NONE,
            raw_packets: 0,
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
            records: Records::default(),
            names: Names::new(),
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
        self.records.len
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counters(&self) -> TableCounters {
        self.counters
    }

    /// The flows, those not yet told of included.
    pub fn flows(&self) -> impl Iterator<Item = FlowView<'_>> {
        self.records.iter().map(|(_, record)| self.view(record))
    }

    /// Gives up what waits for missing TCP segments, so that the flows tell of all that came.
    pub fn flush_streams(&mut self) {
        for record in self.records.chunks.iter_mut().flatten() {
            if let Some(more) = &mut record.cold.more {
                more.flush_streams(i64::MAX);
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
                Some(place) => place,
                None => self.create(part, packet, layers, fragments, tell),
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
            let likely = self.index.find(hash32(part.hash), |_| true);
            if let Some(record) = likely.and_then(|place| self.records.at(place)) {
                prefetch(&record.key);
                prefetch(&record.hot);
                if part.nested || part.carries {
                    prefetch(&record.cold);
                }
            }
            batch.likely.push(likely.unwrap_or(NOWHERE));
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
        FlowView { record, names: &self.names, node_tid, capture_id }
    }

    /// Makes room for one more flow.
    fn evict(&mut self, tell: &mut impl FnMut(FlowView<'_>, Told)) {
        let mut oldest: Option<(u32, i64)> = None;
        let mut seen = 0;
        for _ in 0..self.records.places() {
            self.hand = (self.hand + 1) % self.records.places();
            let Some(record) = self.records.at(self.hand).filter(|record| record.is_used()) else { continue };
            if oldest.is_none_or(|(_, last)| record.hot.last < last) {
                oldest = Some((self.hand, record.hot.last));
            }
            seen += 1;
            if seen == LOOKED_AT {
                break;
            }
        }
        if let Some((place, _)) = oldest {
            self.counters.evicted += 1;
            let news = self.records.at_mut(place).is_some_and(Record::end);
            self.tell_of(place, Told { ended: true, news }, tell);
        }
    }

    fn remove(&mut self, place: u32) {
        if let Some(record) = self.records.at(place) {
            self.index.remove(record.hot.hash, place);
            self.records.remove(place);
        }
    }
}

impl Records {
    /// Number of places, used or not.
    fn places(&self) -> u32 {
        let full = self.chunks.len().saturating_sub(1) << CHUNK_BITS;
        (full + self.chunks.last().map_or(0, Vec::len)) as u32
    }

    #[inline]
    fn at(&self, place: u32) -> Option<&Record> {
        self.chunks.get((place >> CHUNK_BITS) as usize)?.get(place as usize & ((1 << CHUNK_BITS) - 1))
    }

    #[inline]
    fn at_mut(&mut self, place: u32) -> Option<&mut Record> {
        self.chunks.get_mut((place >> CHUNK_BITS) as usize)?.get_mut(place as usize & ((1 << CHUNK_BITS) - 1))
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &Record)> {
        (0..).zip(self.chunks.iter().flatten()).filter(|(_, record)| record.is_used())
    }

    fn add(&mut self, record: Record) -> u32 {
        self.len += 1;
        if let Some(place) = self.free.pop() {
            if let Some(free) = self.at_mut(place) {
                *free = record;
            }
            return place;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == 1 << CHUNK_BITS) {
            self.chunks.push(Vec::with_capacity(1 << CHUNK_BITS));
        }
        let place = self.places();
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(record);
        }
        place
    }

    fn remove(&mut self, place: u32) {
        if let Some(record) = self.at_mut(place) {
            *record = Record { key: Key::default(), hot: Hot::default(), cold: Cold::default() };
            self.free.push(place);
            self.len -= 1;
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
