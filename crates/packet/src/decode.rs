//! From bytes to layers.
//!
//! One loop: the kind of the next header chooses who reads it, which gives its length, how many bytes it says belong
//! to it, and the kind of the header after it. Lengths are checked here, once for every layer, and each header
//! narrows the bytes that the next one sees. Nothing is allocated, nothing is written but the layers found.
//!
//! | folder | reads |
//! |---|---|
//! | `link` | Ethernet and all that lies between it and IP |
//! | `network` | IP and its extension headers |
//! | `transport` | what IP carries to a host |
//! | `tunnel` | what carries packets |
//! | `application` | what UDP carries to a well-known port |
//! | `dispatch` | which number means which kind |

mod application;
mod dispatch;
mod link;
mod network;
mod transport;
mod tunnel;

use self::dispatch::by_protocol;
use crate::layer::{End, Layer, LayerKind, Layers, LinkType};
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::Ipv4;

/// Decodes packets.
///
/// Knows the layers of [`LayerKind`] to a depth of [`Layers::MAX`]. What UDP carries is told by its ports, first that
/// of the destination, and believed only if its header makes sense.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// 0 for none.
    mpls_port: u16,
}

/// A header that was read.
struct Header {
    /// Its bytes. May be more than there are.
    len: usize,
    /// Bytes of it and its payload as it says itself, all there are if it does not say. May be more than there are.
    total: usize,
    /// What follows, or that nothing does.
    next: Next,
}

/// The header that follows, or why none does.
type Next = Result<LayerKind, End>;

/// Why a header could not be read.
#[derive(Clone, Copy)]
enum Fault {
    /// There are fewer bytes than it has.
    Short,
    /// It contradicts itself.
    Bad,
}

impl Header {
    /// A header of `len` bytes whose payload is all that follows.
    #[inline]
    fn open(len: usize, rest: &[u8], next: Next) -> Self {
        Self { len, total: rest.len(), next }
    }

    /// All the bytes are one message.
    #[inline]
    fn whole(rest: &[u8]) -> Self {
        Self { len: rest.len().min(usize::from(u16::MAX)), total: rest.len(), next: Err(End::Payload) }
    }
}

impl Decoder {
    /// Takes what UDP carries to or from `port` for MPLS, beside the port 6635 that is registered for it. Contrail
    /// uses 51234. 0 takes it back.
    pub fn with_mpls_port(mut self, port: u16) -> Self {
        self.mpls_port = port;
        self
    }

    /// Finds the layers of a packet that begins as `link` says.
    #[inline]
    pub fn decode(&self, bytes: &[u8], link: LinkType, layers: &mut Layers) {
        match link.first_layer() {
            Some(first) => self.decode_from(bytes, first, layers),
            None => layers.finish(0, End::Unsupported),
        }
    }

    /// Finds the layers of bytes that begin with a header of kind `first`.
    pub fn decode_from(&self, bytes: &[u8], first: LayerKind, layers: &mut Layers) {
        // Places in a packet are kept in 32 bits.
        let bytes = bytes.get(..u32::MAX as usize).unwrap_or(bytes);
        if bytes.is_empty() {
            return layers.finish(0, End::Nothing);
        }
        let first = if first == LayerKind::RawIp { network::first_of_raw(bytes) } else { first };
        self.walk(bytes, first, layers);
    }

    /// Finds the layers behind the first `kept` of `layers` again, in a packet that begins with the same headers and
    /// goes on with one of kind `next` and more than they say: the datagram that some fragment was part of. The
    /// layers kept reach to the end of the packet.
    #[cold]
    pub fn decode_behind(&self, bytes: &[u8], kept: usize, next: LayerKind, layers: &mut Layers) {
        let start = layers.extend_to(bytes.len() as u32, kept);
        let mut behind = Layers::new();
        self.decode_from(bytes.get(start as usize..).unwrap_or_default(), next, &mut behind);
        let mut found = kept;
        for &layer in behind.as_slice() {
            if !layers.put(found, Layer { start: start + layer.start, end: start + layer.end, ..layer }) {
                return layers.finish(found, End::TooDeep);
            }
            found += 1;
        }
        layers.finish(found, behind.end());
    }

    fn walk(&self, packet: &[u8], first: LayerKind, layers: &mut Layers) {
        let mut kind = first;
        let mut start = 0;
        // The bytes behind the last header, without what a length field cut off.
        let mut rest = packet;
        // Whether some header says that there were more bytes than were captured.
        let mut cut = false;
        let mut found = 0;
        let end = loop {
            // Most packets are read here: what goes on as expected needs no choice by kind, which is often foretold wrong.
            if kind == LayerKind::Ethernet
                && found + 2 <= Layers::MAX
                && let Some((payload, protocol, more)) = link::framed_ipv4(rest)
            {
                let (ip, behind) = (start + Ethernet::LEN, start + Ethernet::LEN + Ipv4::LEN);
                let ends = ((start + rest.len()) as u32, (behind + payload.len()) as u32);
                let (frame, header) = (Ethernet::LEN as u16, Ipv4::LEN as u16);
                layers.put(found, Layer { start: start as u32, end: ends.0, header: frame, kind });
                let kind_of_ip = LayerKind::IPv4;
                layers.put(found + 1, Layer { start: ip as u32, end: ends.1, header, kind: kind_of_ip });
                found += 2;
                (start, rest) = (behind, payload);
                cut |= more;
                match by_protocol(protocol) {
                    Ok(next) => kind = next,
                    Err(end) => break end,
                }
            }
            if kind == LayerKind::TCP
                && let Some(len) = transport::tcp_len(rest)
            {
                let end = (start + rest.len()) as u32;
                if !layers.put(found, Layer { start: start as u32, end, header: len as u16, kind }) {
                    break End::TooDeep;
                }
                found += 1;
                break if len == rest.len() && !cut { End::Nothing } else { End::Payload };
            }
            let read = match kind {
                LayerKind::Ethernet => link::ethernet(rest),
                LayerKind::Dot1Q => link::dot1q(rest),
                LayerKind::IPv4 => network::ipv4(rest),
                LayerKind::IPv6 => network::ipv6(rest),
                LayerKind::TCP => transport::tcp(rest),
                LayerKind::UDP => transport::udp(rest, self.mpls_port),
                LayerKind::GRE => tunnel::gre(rest),
                LayerKind::MPLS => tunnel::mpls(rest),
                LayerKind::VXLAN => tunnel::vxlan(rest),
                LayerKind::Geneve => tunnel::geneve(rest),
                // Taken apart and put together: what a call returns lies in memory, and would keep there what the
                // functions above return in registers, at a fifth of the time.
                _ => match read_seldom(kind, rest, layers.before(found), packet) {
                    Ok(Header { len, total, next }) => Ok(Header { len, total, next }),
                    Err(fault) => Err(fault),
                },
            };
            let header = match read {
                Ok(header) => header,
                Err(fault) => break failure(kind, fault, start + rest.len() == packet.len()),
            };
            cut |= header.total > rest.len();
            let total = header.total.min(rest.len());
            let end = (start + total) as u32;
            let Some(payload) = rest.get(header.len..total) else {
                let (end_of_layers, keep) = clipped(kind, &header, rest, start + rest.len() == packet.len());
                if keep {
                    let layer = Layer { start: start as u32, end, header: rest.len() as u16, kind };
                    found += usize::from(layers.put(found, layer));
                }
                break end_of_layers;
            };
            if !layers.put(found, Layer { start: start as u32, end, header: header.len as u16, kind }) {
                break End::TooDeep;
            }
            found += 1;
            start += header.len;
            rest = payload;
            match header.next {
                Ok(next) if !rest.is_empty() || next == LayerKind::Fragment => kind = next,
                Ok(next) if cut => break failure(next, Fault::Short, start == packet.len()),
                Ok(_) => break End::Nothing,
                Err(End::Payload | End::Unsupported) if rest.is_empty() && !cut => break End::Nothing,
                Err(end) => break end,
            }
        };
        layers.finish(found, end);
    }
}

/// Reads the kinds of header that are not frequent enough to be read where they are found. `before` is the layer
/// before.
fn read_seldom(kind: LayerKind, rest: &[u8], before: Option<&Layer>, packet: &[u8]) -> Result<Header, Fault> {
    match kind {
        LayerKind::VXLANGPE => tunnel::vxlan_gpe(rest),
        LayerKind::ERSPAN => tunnel::erspan(rest, before, packet),
        LayerKind::L2TP => tunnel::l2tp(rest, before),
        LayerKind::GTPv1U => tunnel::gtp(rest),
        LayerKind::NSH => tunnel::nsh(rest),
        LayerKind::EtherIP => tunnel::etherip(rest),
        LayerKind::ICMPv6 => transport::icmp6(rest),
        LayerKind::ICMPv4
        | LayerKind::UDPLite
        | LayerKind::IPSecESP
        | LayerKind::ICMPv6Echo
        | LayerKind::ICMPv6RouterSolicitation
        | LayerKind::ICMPv6RouterAdvertisement
        | LayerKind::ICMPv6NeighborSolicitation
        | LayerKind::ICMPv6NeighborAdvertisement
        | LayerKind::ICMPv6Redirect
        | LayerKind::MLDv1MulticastListenerReport
        | LayerKind::MLDv1MulticastListenerDone
        | LayerKind::MLDv1MulticastListenerQuery
        | LayerKind::MLDv2MulticastListenerReport
        | LayerKind::MLDv2MulticastListenerQuery => {
            Ok(Header::open(transport::fixed_len(kind), rest, Err(End::Payload)))
        }
        LayerKind::SCTP => Ok(transport::sctp(rest)),
        LayerKind::SCTPData
        | LayerKind::SCTPInit
        | LayerKind::SCTPInitAck
        | LayerKind::SCTPSack
        | LayerKind::SCTPHeartbeat
        | LayerKind::SCTPHeartbeatAck
        | LayerKind::SCTPAbort
        | LayerKind::SCTPShutdown
        | LayerKind::SCTPShutdownAck
        | LayerKind::SCTPError
        | LayerKind::SCTPCookieEcho
        | LayerKind::SCTPCookieAck
        | LayerKind::SCTPShutdownComplete => transport::sctp_chunk(rest),
        LayerKind::RUDP => transport::rudp(rest),
        LayerKind::IGMP => transport::igmp(rest),
        LayerKind::OSPF => transport::ospf(rest),
        LayerKind::VRRP => transport::vrrp(rest),
        LayerKind::Fragment => Ok(Header::open(0, rest, Err(End::Fragment))),
        LayerKind::IPv6HopByHop | LayerKind::IPv6Routing | LayerKind::IPv6Destination => {
            network::ipv6_extension(rest)
        }
        LayerKind::IPv6Fragment => network::ipv6_fragment(rest),
        LayerKind::IPSecAH => network::ipsec_ah(rest),
        LayerKind::ARP => link::arp(rest),
        LayerKind::LLC => link::llc(rest),
        LayerKind::SNAP => link::snap(rest),
        LayerKind::STP => link::stp(rest),
        LayerKind::PPP => link::ppp(rest),
        LayerKind::PPPoE => link::pppoe(rest),
        LayerKind::EAPOL => link::eapol(rest),
        LayerKind::EAP => link::eap(rest),
        LayerKind::LinkLayerDiscovery => link::lldp(rest),
        LayerKind::LinkLayerDiscoveryInfo => link::lldp_fields(rest),
        LayerKind::CiscoDiscovery => link::cdp(rest),
        LayerKind::CiscoDiscoveryInfo => link::cdp_fields(rest),
        LayerKind::NortelDiscovery => Ok(Header::open(link::NORTEL_LEN, rest, Err(End::Payload))),
        LayerKind::EthernetCTP => Ok(Header::open(link::CTP_LEN, rest, Err(End::Payload))),
        LayerKind::Loopback => link::loopback(rest),
        LayerKind::LinuxSLL => link::sll(rest),
        LayerKind::LinuxSLL2 => link::sll2(rest),
        LayerKind::DNS => application::dns(rest, before, packet),
        LayerKind::NTP => application::ntp(rest),
        LayerKind::DHCPv4 => application::dhcp4(rest),
        LayerKind::DHCPv6 => application::dhcp6(rest),
        LayerKind::SIP => application::sip(rest),
        LayerKind::SFlow => application::sflow(rest),
        LayerKind::BFD => application::bfd(rest),
        // Read by the caller.
        LayerKind::Ethernet
        | LayerKind::Dot1Q
        | LayerKind::IPv4
        | LayerKind::IPv6
        | LayerKind::TCP
        | LayerKind::UDP
        | LayerKind::GRE
        | LayerKind::MPLS
        | LayerKind::VXLAN
        | LayerKind::Geneve
        | LayerKind::RawIp => Err(Fault::Bad),
    }
}

/// The end of layers at a header that could not be read. It is a matter of the capture when the bytes that are missing
/// would be behind its end, else some length is wrong.
#[cold]
fn failure(kind: LayerKind, fault: Fault, at_end_of_packet: bool) -> End {
    match fault {
        Fault::Short if at_end_of_packet => End::Truncated(kind),
        _ => End::Malformed(kind),
    }
}

/// The end of layers at a header that is longer than the bytes there are, and whether it is a layer all the same. Of
/// IPv4 and TCP the part that flows need is there, only options are missing: this is what small snap lengths do.
#[cold]
fn clipped(kind: LayerKind, header: &Header, rest: &[u8], at_end_of_packet: bool) -> (End, bool) {
    if header.len > rest.len() && header.total >= rest.len() && at_end_of_packet {
        (End::Truncated(kind), matches!(kind, LayerKind::IPv4 | LayerKind::TCP))
    } else {
        (End::Malformed(kind), false)
    }
}
