//! A flow's first packet.

use skydive_packet::file::Packet;
use skydive_packet::wire::ethernet::Ethernet;
use skydive_packet::wire::geneve::Geneve;
use skydive_packet::wire::gre::Gre;
use skydive_packet::wire::sctp::Sctp;
use skydive_packet::wire::tcp::Tcp;
use skydive_packet::wire::udp::Udp;
use skydive_packet::wire::vlan::Vlan;
use skydive_packet::wire::vxlan::Vxlan;
use skydive_packet::{Layer, LayerKind, Layers};

use super::fragment::Fragments;
use super::{FlowTable, Told, hash32};
use crate::TransportProtocol;
use crate::key::{NONE, Part, TransportKind};
use crate::record::{Cold, FlowView, HAS_LINK, Hot, Record, TRANSPORT_SHIFT};

/// VLAN ids that fit the link's id.
const VLANS: u32 = 5;

impl FlowTable {
    /// A new flow for a part; says where.
    pub(super) fn create(
        &mut self,
        part: &Part,
        packet: &Packet<'_>,
        layers: &Layers,
        fragments: Option<Fragments>,
        tell: &mut impl FnMut(FlowView<'_>, Told),
    ) -> u32 {
        let flows = self.records.len();
        if self.config.max_entries.is_some_and(|max| flows >= max) || !self.share.has_room(flows) {
            self.evict(tell);
        }
        let (from, to) = part.layers;
        let layers = layers.as_slice().get(usize::from(from)..usize::from(to)).unwrap_or_default();
        let (path, application) = match fragments.and_then(|fragments| fragments.first(part.layers)) {
            Some(cut) => self.names.of_rebuilt(layers, usize::from(cut - from)),
            None => self.names.of_layers(layers),
        };
        let mut cold = Cold { start: packet.at, path, application, ..Cold::default() };
        let (transport, has_link) = cold.read(layers, packet.bytes, part.network != NONE);
        let protocol = match transport {
            TransportKind::Tcp => Some(TransportProtocol::Tcp),
            TransportKind::Udp => Some(TransportProtocol::Udp),
            _ => None,
        };
        if let Some(protocol) = protocol.filter(|_| !self.config.application_ports.is_empty()) {
            let ports = &self.config.application_ports;
            let (a, b) = cold.ports;
            if let Some(name) = ports.get(&(protocol, a)).or_else(|| ports.get(&(protocol, b))) {
                cold.application = self.names.application(name);
            }
        }
        let hash = hash32(part.hash);
        let state = (transport as u8) << TRANSPORT_SHIFT | if has_link { HAS_LINK } else { 0 };
        let hot = Hot { hash, swapped: part.swapped, last: packet.at, state, ..Hot::default() };
        let place = self.records.add(Record { key: part.key, hot, cold });
        self.index.insert(hash, place);
        self.counters.flows += 1;
        place
    }
}

impl Cold {
    /// Takes over what the layers of the part say; gives the transport, and whether there is a link layer. Of several
    /// transports TCP is shown before UDP and UDP before SCTP, of one kind the outermost.
    fn read(&mut self, layers: &[Layer], bytes: &[u8], has_network: bool) -> (TransportKind, bool) {
        let (mut transport, mut has_link) = (TransportKind::None, false);
        let lacks = |shown: TransportKind, kind| shown == TransportKind::None || shown as u8 > kind as u8;
        let mut vlans = 0;
        for layer in layers {
            let header = layer.bytes_of(bytes);
            match layer.kind {
                LayerKind::Ethernet if !has_link => {
                    if let Some(header) = Ethernet::parse(header) {
                        self.link = (header.source(), header.destination());
                        has_link = true;
                    }
                }
                LayerKind::Dot1Q if vlans < VLANS => {
                    let id = Vlan::parse(header).map_or(0, Vlan::id);
                    self.vlans |= u64::from(id) << (12 * vlans);
                    vlans += 1;
                }
                LayerKind::VXLAN | LayerKind::VXLANGPE => {
                    self.network_id = Vxlan::parse(header).map_or(0, Vxlan::vni);
                }
                LayerKind::Geneve => self.network_id = Geneve::parse(header).map_or(0, Geneve::vni),
                LayerKind::GRE => self.network_id = Gre::parse(header).map_or(0, tunnel_id),
                LayerKind::TCP if has_network && lacks(transport, TransportKind::Tcp) => {
                    if let Some(header) = Tcp::parse(header) {
                        self.ports = (header.source(), header.destination());
                        transport = TransportKind::Tcp;
                    }
                }
                LayerKind::UDP if has_network && lacks(transport, TransportKind::Udp) => {
                    if let Some(header) = Udp::parse(header) {
                        self.ports = (header.source(), header.destination());
                        transport = TransportKind::Udp;
                    }
                }
                LayerKind::SCTP if has_network && lacks(transport, TransportKind::Sctp) => {
                    if let Some(header) = Sctp::parse(header) {
                        self.ports = (header.source(), header.destination());
                        transport = TransportKind::Sctp;
                    }
                }
                _ => {}
            }
        }
        (transport, has_link)
    }
}

/// The key; of PPTP only the call, as the rest of its key is the length of a packet.
fn tunnel_id(gre: Gre<'_>) -> u32 {
    let key = gre.key().unwrap_or(0);
    if gre.version() == 1 { key & 0xffff } else { key }
}
