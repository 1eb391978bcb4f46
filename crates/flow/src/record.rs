//! A flow in the table: three lines of memory.
//!
//! The first is the key, the second what every packet writes, the third what is set once. What many flows have beside
//! that is in a slab of its own ([`Update`], [`TcpState`]), what few have behind a pointer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use skydive_value::{SmolStr, Timestamp};

use crate::asked::Asked;
use crate::budget::Budget;
use crate::key::{Key, KeyTransport, Octets, TransportKind};
use crate::names::Names;
use crate::reassemble::Stream;
use crate::slab::Handle;
use crate::table::first_words::FirstWords;
use crate::tcp::TcpState;
use crate::tracking::Tracking;
use crate::{
    Extra, Finish, Flow, FlowId, Icmp, IcmpKind, IpMetric, Link, Metric, Network, Processes, RawPacket,
    StreamMetric, TcpMetric, Transport, TransportProtocol,
};

#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Record {
    pub(crate) key: Key,
    pub(crate) hot: Hot,
    pub(crate) cold: Cold,
}

/// What every packet writes. Times in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Hot {
    pub(crate) last: i64,
    /// Packets and bytes from A, then from B.
    pub(crate) counts: [u64; 4],
    /// The packet whose answer gives the round-trip time.
    pub(crate) asked: Asked,
    pub(crate) rtt: u64,
    /// Low half of the key's hash, to find its entry in the index.
    pub(crate) hash: u32,
    /// Whether side A is the high one of the key.
    pub(crate) swapped: bool,
    /// Whether there were packets since the last update.
    pub(crate) touched: bool,
    pub(crate) finish: Finish,
    /// [`FIN_FROM_A`] and the like; the top four bits are the [`TransportKind`] that is shown.
    pub(crate) state: u8,
}

/// What is set once.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Cold {
    pub(crate) start: i64,
    /// 0 as long as nobody asked for it.
    pub(crate) uuid: u64,
    pub(crate) vlans: u64,
    pub(crate) more: Option<Box<More>>,
    /// What was told at the last update; none before the first.
    pub(crate) update: Handle,
    /// TCP in detail, when asked for.
    pub(crate) tcp: Handle,
    pub(crate) network_id: u32,
    /// Ports of A and B.
    pub(crate) ports: (u16, u16),
    pub(crate) path: u16,
    pub(crate) application: u16,
    pub(crate) link: ([u8; 6], [u8; 6]),
}

/// What was told at the last update.
#[derive(Debug, Default)]
pub(crate) struct Update {
    /// Counts at that time.
    pub(crate) counts: [u64; 4],
    pub(crate) at: i64,
    /// The difference that was told.
    pub(crate) told: Metric,
}

/// What few flows have.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// From A, from B.
    pub(crate) streams: Option<Box<[StreamOrder; 2]>>,
    pub(crate) ip: Option<IpMetric>,
    pub(crate) raw: Vec<RawPacket>,
    pub(crate) raw_count: u64,
    /// Bytes of the budget that `raw` takes.
    pub(crate) raw_held: usize,
    pub(crate) extra: Option<Box<Extra>>,
    /// Bytes of the budget that `extra` takes.
    pub(crate) extra_held: usize,
    /// What was said in part.
    pub(crate) begun: Option<Box<FirstWords>>,
    /// Ids and times of the latest DNS questions that wait for their answers: resolvers ask for both families at once.
    pub(crate) dns_asked: [Option<(u16, i64)>; DNS_ASKED],
}

/// Questions of a DNS flow whose answers are waited for.
const DNS_ASKED: usize = 4;

/// A direction of a TCP connection being put in order.
#[derive(Debug, Default)]
pub(crate) struct StreamOrder {
    pub(crate) order: Stream,
    /// What was counted when it ended, or was given up.
    pub(crate) told: StreamMetric,
}

/// A flow of the table, to be read without copying it.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    pub(crate) record: &'a Record,
    pub(crate) update: Option<&'a Update>,
    pub(crate) tcp: Option<&'a TcpState>,
    pub(crate) names: &'a Names,
    pub(crate) node_tid: &'a SmolStr,
    pub(crate) capture_id: &'a SmolStr,
}

/// In [`Hot::state`].
pub(crate) const FIN_FROM_A: u8 = 1;
/// In [`Hot::state`].
pub(crate) const FIN_FROM_B: u8 = 2;
/// In [`Hot::state`]: the flow leaves the table, so that what was never told of is all of it.
pub(crate) const ENDED: u8 = 4;
/// In [`Hot::state`].
pub(crate) const HAS_LINK: u8 = 8;
/// In [`Hot::state`].
pub(crate) const TRANSPORT_SHIFT: u32 = 4;

pub(crate) fn millis(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000)
}

pub(crate) fn timestamp(nanos: i64) -> Timestamp {
    Timestamp::from_millis(millis(nanos))
}

impl Record {
    /// What was counted since the start.
    pub(crate) fn metric(&self) -> Metric {
        let [ab_packets, ab_bytes, ba_packets, ba_bytes] = self.hot.counts;
        let (start, last) = (timestamp(self.cold.start), timestamp(self.hot.last));
        Metric { ab_packets, ab_bytes, ba_packets, ba_bytes, start, last, rtt: self.hot.rtt }
    }

    pub(crate) fn more(&mut self) -> &mut More {
        self.cold.more.get_or_insert_default()
    }

    pub(crate) fn uuid(&self, node_tid: &str) -> FlowId {
        match self.cold.uuid {
            0 => Tracking::of(&self.key).uuid(millis(self.cold.start), node_tid),
            known => FlowId(known),
        }
    }

    pub(crate) fn has_link(&self) -> bool {
        self.hot.state & HAS_LINK != 0
    }

    fn network(&self) -> Option<Network> {
        let (low, high, _) = self.key.network_bytes()?;
        let (a, b) = if self.hot.swapped { (high, low) } else { (low, high) };
        Some(Network { a: address(a), b: address(b), id: self.cold.network_id })
    }

    fn transport(&self) -> Option<Transport> {
        let kind = self.hot.state >> TRANSPORT_SHIFT;
        let protocol = match kind {
            _ if kind == TransportKind::Tcp as u8 => TransportProtocol::Tcp,
            _ if kind == TransportKind::Udp as u8 => TransportProtocol::Udp,
            _ if kind == TransportKind::Sctp as u8 => TransportProtocol::Sctp,
            _ => return None,
        };
        Some(Transport { protocol, a: self.cold.ports.0, b: self.cold.ports.1 })
    }

    fn icmp(&self) -> Option<Icmp> {
        let KeyTransport::Icmp(value) = self.key.transport() else { return None };
        let kind = IcmpKind::ALL.get((value >> 24) as usize).copied().unwrap_or_default();
        Some(Icmp { v6: self.key.is_icmp6(), kind, code: (value >> 16) as u8, id: value as u16 })
    }
}

impl FlowView<'_> {
    /// How it ended, if it has.
    pub fn finish(&self) -> Finish {
        self.record.hot.finish
    }

    /// What was counted since the start.
    pub fn metric(&self) -> Metric {
        self.record.metric()
    }

    /// The layers of its first packet.
    pub fn layers_path(&self) -> &SmolStr {
        self.names.text(self.record.cold.path)
    }

    /// A copy that outlives the table. Packets kept since the last update are in it.
    pub fn to_flow(&self) -> Flow {
        let Self { record, update, tcp, names, node_tid, capture_id } = *self;
        let tracking = Tracking::of(&record.key);
        let (hot, cold) = (&record.hot, &record.cold);
        let more = cold.more.as_deref();
        Flow {
            uuid: record.uuid(node_tid),
            parent: (record.key.parent != 0).then_some(FlowId(record.key.parent)),
            tracking_id: tracking.l2,
            l3_tracking_id: tracking.l3,
            layers_path: names.text(cold.path).clone(),
            application: names.text(cold.application).clone(),
            start: timestamp(cold.start),
            last: timestamp(hot.last),
            link: record.has_link().then_some(Link { a: cold.link.0, b: cold.link.1, id: cold.vlans }),
            network: record.network(),
            transport: record.transport(),
            icmp: record.icmp(),
            metric: record.metric(),
            last_update: match update {
                Some(update) => Some(update.told),
                None => (hot.state & ENDED != 0).then(|| record.metric()),
            },
            tcp: tcp_metric(tcp, more.and_then(|more| more.streams.as_deref())),
            ip: more.and_then(|more| more.ip),
            finish: hot.finish,
            node_tid: node_tid.clone(),
            capture_id: capture_id.clone(),
            raw_packets: more.map_or_else(Vec::new, |more| more.raw.clone()),
            raw_packets_captured: more.map_or(0, |more| more.raw_count),
            extra: more.and_then(|more| more.extra.clone()),
            process: Processes::default(),
        }
    }
}

impl More {
    /// Puts streams in order that wait for what came before `since`, nanoseconds since the epoch; all of them at the
    /// end of time. Says whether anything came of it.
    pub(crate) fn flush_streams(&mut self, since: i64, budget: &mut Budget) -> bool {
        let mut news = false;
        for stream in self.streams.iter_mut().flat_map(|streams| streams.iter_mut()) {
            let told = if since == i64::MAX { stream.order.flush() } else { stream.order.skip(since) };
            news |= told.is_some();
            stream.told = told.unwrap_or(stream.told);
            budget.give(stream.order.shrink());
        }
        news
    }

    /// Keeps a packet if there is room for it.
    pub(crate) fn keep_raw(
        &mut self,
        packet: impl FnOnce(u64) -> RawPacket,
        len: usize,
        budget: &mut Budget,
    ) {
        let bytes = size_of::<RawPacket>() + len;
        if budget.take(bytes) {
            self.raw_held += bytes;
            self.raw_count += 1;
            self.raw.push(packet(self.raw_count));
        }
    }

    /// Packets are told of once.
    pub(crate) fn drop_raw(&mut self, budget: &mut Budget) {
        budget.give(std::mem::take(&mut self.raw_held));
        self.raw = Vec::new();
    }

    /// Keeps what its application said if there is room for it: `new` bytes instead of `old` ones.
    pub(crate) fn keep_extra(
        &mut self,
        old: usize,
        new: usize,
        budget: &mut Budget,
        keep: impl FnOnce(&mut Extra),
    ) {
        let first = if self.extra.is_none() { size_of::<Extra>() } else { 0 };
        if budget.exchange(old, new + first) {
            self.extra_held = self.extra_held.saturating_sub(old) + new + first;
            keep(self.extra.get_or_insert_default());
        }
    }

    /// Bytes of the budget that it takes.
    pub(crate) fn held(&self) -> usize {
        let streams = self.streams.iter().flat_map(|streams| streams.iter());
        let begun = self.begun.as_ref().map_or(0, |begun| begun.held());
        self.raw_held + self.extra_held + begun + streams.map(|stream| stream.order.held()).sum::<usize>()
    }
}

fn tcp_metric(tcp: Option<&TcpState>, streams: Option<&[StreamOrder; 2]>) -> Option<Box<TcpMetric>> {
    if tcp.is_none() && streams.is_none() {
        return None;
    }
    let mut metric = tcp.map(TcpState::metric).unwrap_or_default();
    if let Some([ab, ba]) = streams {
        (metric.ab.stream, metric.ba.stream) = (ab.told, ba.told);
    }
    Some(Box::new(metric))
}

fn address(octets: Octets) -> IpAddr {
    match octets {
        Octets::V4(octets) => Ipv4Addr::from(octets).into(),
        Octets::V6(octets) => Ipv6Addr::from(octets).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_three_lines() {
        assert_eq!((size_of::<Key>(), size_of::<Hot>(), size_of::<Cold>()), (64, 64, 64));
        assert_eq!(size_of::<Record>(), 192);
    }
}
