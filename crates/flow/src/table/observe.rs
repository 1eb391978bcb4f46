//! What each packet does to its flow.

use skydive_packet::file::Packet;
use skydive_packet::wire::icmp4::Icmp4;
use skydive_packet::wire::icmp6::Echo;
use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::wire::ipv6::Ipv6;
use skydive_packet::wire::tcp::{Options, Tcp};
use skydive_packet::{LayerKind, Layers, LinkType};

use super::fragment::Fragments;
use super::{ExtraLayers, FlowTable};
use crate::asked::Asked;
use crate::budget::Budget;
use crate::key::{ECHO_REQUEST, Part, TransportKind, unsaid_len};
use crate::record::{FIN_FROM_A, FIN_FROM_B, Hot, Record, millis, timestamp};
use crate::tcp::{Side, TcpState};
use crate::{Finish, RawPacket};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// How long after an echo request its reply is given up for that of a later one, in nanoseconds.
const ECHO_LOST: i64 = 10_000_000_000;
const BOTH: u8 = FIN_FROM_A | FIN_FROM_B;

impl FlowTable {
    #[inline]
    pub(super) fn observe(&mut self, place: u32, part: &Part, packet: &Packet<'_>, layers: &Layers) {
        let Some(record) = self.records.at_mut(place) else { return };
        let from_a = part.swapped == record.hot.swapped;
        record.hot.count(from_a, u64::from(part.bytes), packet.at);
        match part.kind {
            TransportKind::Tcp => record.hot.tcp(from_a, part.flags, packet.at),
            TransportKind::Icmp4 | TransportKind::Icmp6 if part.flags != 0 => {
                record.echo(from_a, part, packet, layers);
            }
            _ => {}
        }
        let (detail, streams) = (self.config.tcp_metric, self.config.reassemble);
        if (detail || streams) && part.kind == TransportKind::Tcp {
            let detail = if detail { self.tcp.of_or_new(&mut record.cold.tcp) } else { None };
            let streams = streams.then_some(&mut self.budget);
            record.watch_tcp(from_a, part, packet, layers, detail, streams);
        }
        if self.config.extra_layers != ExtraLayers::NONE {
            let (from, to) = part.layers;
            let layers = layers.as_slice().get(usize::from(from)..usize::from(to)).unwrap_or_default();
            let wanted = self.config.extra_layers;
            record.read_extra(wanted, layers, packet.bytes, part.kind, packet.at, &mut self.budget);
        }
        if self.config.raw_packets > 0 {
            self.keep_raw(place, part, packet, layers);
        }
    }

    /// Every IPv4 flow tells of its fragments when they are put together; one that carries others, if there were any.
    #[cold]
    pub(super) fn count_fragments(
        &mut self,
        place: u32,
        part: &Part,
        layers: &Layers,
        fragments: Option<Fragments>,
    ) {
        let swallowed = fragments.map_or(0, |fragments| fragments.swallowed(part.layers));
        let network = layers.as_slice().get(usize::from(part.network));
        let is_v4 = network.is_some_and(|network| network.kind == LayerKind::IPv4);
        if swallowed == 0 && (part.carries || !is_v4) {
            return;
        }
        let Some(record) = self.records.at_mut(place) else { return };
        let ip = record.more().ip.get_or_insert_default();
        // Fragments that can be used do not get here with the part that they are of.
        let own = layers.as_slice().get(..usize::from(part.layers.1)).unwrap_or_default();
        let bad = matches!(own, [.., before, cut]
            if before.kind == LayerKind::IPv4 && cut.kind == LayerKind::Fragment);
        ip.fragment_errors += u64::from(bad);
        ip.fragments += swallowed;
    }

    fn keep_raw(&mut self, place: u32, part: &Part, packet: &Packet<'_>, layers: &Layers) {
        let limit = self.config.raw_packets;
        let Some(record) = self.records.at_mut(place) else { return };
        let more = record.more();
        if more.raw_count >= limit {
            return;
        }
        let (from, to) = part.layers;
        let layers = layers.as_slice().get(usize::from(from)..usize::from(to)).unwrap_or_default();
        // What comes before the addresses, as in cooked captures or with PPP, has a link type of its own.
        let Some(first) = layers.iter().find(|layer| layer.kind.has_addresses()) else { return };
        let bytes = packet.bytes.get(first.start as usize..).unwrap_or_default();
        let bytes = bytes.get(..self.config.raw_packet_bytes).unwrap_or(bytes);
        let link = match first.kind {
            LayerKind::IPv4 => LinkType::IPV4,
            LayerKind::IPv6 => LinkType::IPV6,
            _ => LinkType::ETHERNET,
        };
        let at = timestamp(packet.at);
        more.keep_raw(
            |index| RawPacket { at, index, bytes: bytes.into(), link },
            bytes.len(),
            &mut self.budget,
        );
    }
}

impl Record {
    /// The round trip of an echo. The key has its identifier; the sequence number tells which request is answered.
    #[cold]
    fn echo(&mut self, from_a: bool, part: &Part, packet: &Packet<'_>, layers: &Layers) {
        let Some(layer) = layers.as_slice().get(usize::from(part.transport)) else { return };
        let sequence = match part.kind {
            TransportKind::Icmp4 => Icmp4::parse(layer.bytes_of(packet.bytes)).map(Icmp4::sequence),
            _ => Echo::parse(layer.payload_of(packet.bytes)).map(Echo::sequence),
        };
        let Some(sequence) = sequence else { return };
        if part.flags == ECHO_REQUEST {
            self.hot.echo_request(from_a, sequence, packet.at);
        } else {
            // Who asks itself answers from the same side.
            let to_a = !from_a || !self.key.has_two_sides();
            self.hot.echo_reply(to_a, sequence, packet.at);
        }
    }

    #[inline]
    fn watch_tcp(
        &mut self,
        from_a: bool,
        part: &Part,
        packet: &Packet<'_>,
        layers: &Layers,
        detail: Option<&mut TcpState>,
        streams: Option<&mut Budget>,
    ) {
        let layer = |place: u8| layers.as_slice().get(usize::from(place));
        let (Some(network), Some(transport)) = (layer(part.network), layer(part.transport)) else { return };
        let Some(header) = Tcp::parse(transport.bytes_of(packet.bytes)) else { return };
        let bytes = network.bytes_of(packet.bytes);
        // On the wire, where the header says how long the packet is: the snap length may have cut it.
        let (ttl, len) = match Ipv4::parse(bytes) {
            Some(ip) if network.kind == LayerKind::IPv4 => (ip.ttl(), u32::from(ip.total_len())),
            _ => match Ipv6::parse(bytes) {
                Some(ip) if ip.payload_len() == 0 => (ip.hop_limit(), 0),
                Some(ip) => (ip.hop_limit(), u32::from(ip.payload_len()) + Ipv6::LEN as u32),
                None => return,
            },
        };
        let len = match len {
            0 => unsaid_len(layers.as_slice(), part.network, packet.bytes, packet.wire_len),
            len => len,
        };
        let headers = (transport.start - network.start) + header.header_len() as u32;
        let payload_len = len.saturating_sub(headers);
        if let Some(tcp) = detail {
            let options = Options::of(transport.header_of(packet.bytes));
            let side = if from_a { Side::A } else { Side::B };
            tcp.packet(side, header, options, payload_len, ttl, millis(packet.at));
        }
        if let Some(budget) = streams {
            let [ab, ba] = &mut **self.more().streams.get_or_insert_default();
            let stream = if from_a { ab } else { ba };
            let (sequence, flags) = (header.sequence(), header.flags());
            let ended = stream.order.segment_within(sequence, payload_len, flags, packet.at, budget);
            stream.told = ended.unwrap_or(stream.told);
        }
    }
}

impl Hot {
    #[inline]
    fn count(&mut self, from_a: bool, bytes: u64, at: i64) {
        let [ab_packets, ab_bytes, ba_packets, ba_bytes] = &mut self.counts;
        if from_a {
            *ab_packets += 1;
            *ab_bytes += bytes;
        } else {
            *ba_packets += 1;
            *ba_bytes += bytes;
        }
        self.last = at;
        self.touched = true;
    }

    /// The handshake's round trip, and how the connection ends: by a reset, or closed by both sides; a flow that
    /// begins with the end has missed the other one.
    #[inline]
    fn tcp(&mut self, from_a: bool, flags: u8, at: i64) {
        if flags & (FIN | SYN | RST) == 0 {
            return;
        }
        if flags & (SYN | ACK) == SYN {
            // After an end it is another connection.
            if self.asked == Asked::default() || self.finish != Finish::Not {
                self.asked = Asked::new(from_a, 0, at);
            }
            self.finish = Finish::Not;
            self.state &= !BOTH;
        } else if flags & (SYN | RST) != 0 && self.asked.is_by(!from_a) {
            self.answered(at);
        }
        if flags & RST != 0 {
            self.finish = Finish::Rst;
        } else if flags & FIN != 0 {
            self.state |= if from_a { FIN_FROM_A } else { FIN_FROM_B };
            let first = self.counts[0] + self.counts[2] == 1;
            if self.finish == Finish::Not && (self.state & BOTH == BOTH || first) {
                self.finish = Finish::Fin;
            }
        }
    }

    /// Of several requests on their way the first is timed, until a reply to a later one tells that its own was lost,
    /// or nothing came for long.
    fn echo_request(&mut self, from_a: bool, sequence: u16, at: i64) {
        if self.asked == Asked::default() || self.asked.elapsed(at) > ECHO_LOST {
            self.asked = Asked::new(from_a, sequence, at);
        }
    }

    fn echo_reply(&mut self, to_a: bool, sequence: u16, at: i64) {
        if !self.asked.is_by(to_a) {
            return;
        }
        if self.asked.number() == sequence {
            self.answered(at);
        } else if sequence.wrapping_sub(self.asked.number()) < 1 << 15 {
            self.asked = Asked::default();
        }
    }

    fn answered(&mut self, at: i64) {
        self.rtt = self.asked.elapsed(at).max(0) as u64;
        self.asked = Asked::default();
    }
}
