//! Random stacks of headers whose layers are known, built from the inside out.

use proptest::prelude::*;
use skydive_packet::LayerKind as K;

/// Something that carries something else, or ends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Frame,
    Tag,
    ServiceTag,
    Label,
    Pseudowire,
    Pppoe,
    V4,
    V4Options,
    V6,
    HopByHop,
    Routing,
    Destination,
    Atomic,
    Auth,
    Gre,
    GreFull,
    GrePptp,
    Erspan1,
    Erspan2,
    Erspan3,
    Erspan3Platform,
    Vxlan,
    Gpe,
    Geneve,
    GeneveOptions,
    Gtp,
    GtpExtended,
    L2tp,
    L2tpLong,
    L2tp3,
    L2tp3Udp,
    EtherIp,
    MplsUdp,
    Nsh,
    // What ends a packet.
    Arp,
    Tcp,
    TcpOptions,
    Udp,
    Icmp4,
    Echo6,
    Neighbor6,
    Sctp,
    Esp,
    Dns,
    Part4,
    Part6,
}

/// A packet and what it is made of: kinds and bytes of headers, outermost first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) layers: Vec<(K, usize)>,
}

use Piece::*;

const UNDER_LINK: &[Piece] = &[Tag, ServiceTag, Label, Pseudowire, Pppoe, V4, V4Options, V6, Nsh, Arp];
const UNDER_LABEL: &[Piece] = &[Label, Pseudowire, V4, V4Options, V6, Frame];
const UNDER_PPP: &[Piece] = &[V4, V6, Label];
const UNDER_GRE: &[Piece] = &[V4, V6, Frame, Label, Nsh, Tag, Arp];
const UNDER_NEXT: &[Piece] = &[V4, V6, Frame, Nsh, Label];
const UNDER_V4: &[Piece] = &[
    V4,
    V6,
    Auth,
    Gre,
    GreFull,
    GrePptp,
    Erspan1,
    Erspan2,
    Erspan3,
    Erspan3Platform,
    Vxlan,
    Gpe,
    Geneve,
    GeneveOptions,
    Gtp,
    GtpExtended,
    L2tp,
    L2tpLong,
    L2tp3,
    L2tp3Udp,
    EtherIp,
    MplsUdp,
    Label,
    Tcp,
    TcpOptions,
    Udp,
    Icmp4,
    Sctp,
    Esp,
    Dns,
    Part4,
];
const UNDER_V6: &[Piece] = &[
    V4,
    V6,
    HopByHop,
    Routing,
    Destination,
    Atomic,
    Auth,
    Gre,
    GreFull,
    GrePptp,
    Erspan1,
    Erspan2,
    Erspan3,
    Vxlan,
    Gpe,
    Geneve,
    GeneveOptions,
    Gtp,
    GtpExtended,
    L2tp,
    L2tpLong,
    L2tp3,
    L2tp3Udp,
    EtherIp,
    MplsUdp,
    Label,
    Tcp,
    TcpOptions,
    Udp,
    Echo6,
    Neighbor6,
    Sctp,
    Esp,
    Dns,
    Part6,
];
const UNDER_AUTH: &[Piece] = &[V4, V6, Gre, Vxlan, Tcp, Udp, Sctp];

impl Piece {
    /// What it may carry; nothing for what ends a packet.
    fn carries(self) -> &'static [Piece] {
        match self {
            Frame | Tag | ServiceTag => UNDER_LINK,
            Label => UNDER_LABEL,
            MplsUdp => &[Label, Pseudowire],
            Pseudowire | Erspan1 | Erspan2 | Erspan3 | Erspan3Platform | Vxlan | L2tp3 | L2tp3Udp
            | EtherIp => &[Frame],
            Pppoe | GrePptp | L2tp | L2tpLong => UNDER_PPP,
            V4 | V4Options => UNDER_V4,
            V6 | HopByHop | Routing | Destination | Atomic => UNDER_V6,
            Auth => UNDER_AUTH,
            Gre | GreFull => UNDER_GRE,
            Gpe | Nsh => UNDER_NEXT,
            Geneve | GeneveOptions => &[V4, V6, Frame, Label, Arp],
            Gtp | GtpExtended => &[V4, V6],
            _ => &[],
        }
    }

    fn ethertype(self) -> u16 {
        match self {
            Frame => 0x6558,
            Tag => 0x8100,
            ServiceTag => 0x88a8,
            Label | Pseudowire => 0x8847,
            Pppoe => 0x8864,
            V4 | V4Options => 0x0800,
            V6 => 0x86dd,
            Nsh => 0x894f,
            Arp => 0x0806,
            other => panic!("{other:?} has no EtherType"),
        }
    }

    fn protocol(self) -> u8 {
        match self {
            V4 | V4Options => 4,
            V6 => 41,
            HopByHop => 0,
            Routing => 43,
            Destination => 60,
            Atomic | Part6 => 44,
            Auth => 51,
            Gre | GreFull | GrePptp | Erspan1 | Erspan2 | Erspan3 | Erspan3Platform => 47,
            Tcp | TcpOptions => 6,
            Icmp4 => 1,
            Echo6 | Neighbor6 => 58,
            Sctp => 132,
            Esp => 50,
            L2tp3 => 115,
            EtherIp => 97,
            Label | Pseudowire => 137,
            _ => 17,
        }
    }

    fn next(self) -> u8 {
        match self {
            V4 => 1,
            V6 => 2,
            Frame => 3,
            Nsh => 4,
            _ => 5,
        }
    }

    fn ppp(self) -> [u8; 2] {
        match self {
            V4 => [0, 0x21],
            V6 => [0, 0x57],
            _ => [2, 0x81],
        }
    }
}

/// A stack of at most `depth` pieces below a frame, and what is needed to end it.
pub(crate) fn stacks(depth: usize) -> impl Strategy<Value = (Vec<Piece>, u64)> {
    (proptest::collection::vec(any::<prop::sample::Index>(), 1..=depth), any::<u64>()).prop_map(
        |(choices, seed)| {
            let mut pieces = vec![Frame];
            for choice in choices {
                match pieces.last().unwrap().carries() {
                    [] => break,
                    carried => pieces.push(*choice.get(carried)),
                }
            }
            loop {
                let carried = pieces.last().unwrap().carries();
                match [Tcp, V4, Frame, Label].into_iter().find(|piece| carried.contains(piece)) {
                    Some(piece) => pieces.push(piece),
                    None => return (pieces, seed),
                }
            }
        },
    )
}

/// The packet of a stack; `seed` chooses addresses and ports.
pub(crate) fn build(pieces: &[Piece], seed: u64) -> Packet {
    let mut random = Random(seed | 1);
    let mut packet = Packet::default();
    let mut inner = Tcp;
    for &piece in pieces.iter().rev() {
        packet = wrap(piece, inner, packet, &mut random);
        inner = piece;
    }
    packet
}

/// `piece` around what it carries, of which the outermost is `inner`.
fn wrap(piece: Piece, inner: Piece, carried: Packet, random: &mut Random) -> Packet {
    let len = carried.bytes.len();
    match piece {
        Frame => carried.under(K::Ethernet, &random.frame(inner.ethertype())),
        Tag | ServiceTag => {
            let [high, low] = inner.ethertype().to_be_bytes();
            carried.under(K::Dot1Q, &[0x20, random.byte(), high, low])
        }
        Label => {
            let bottom = u8::from(!matches!(inner, Label | Pseudowire));
            carried.under(K::MPLS, &[random.byte(), 0, 0x10 | bottom, 64])
        }
        Pseudowire => carried.under(K::MPLS, &[random.byte(), 0, 0x11, 64, 0, 0, 0, 1]),
        Pppoe => {
            let [high, low] = (len as u16 + 2).to_be_bytes();
            carried.under(K::PPP, &inner.ppp()).under(K::PPPoE, &[0x11, 0, 0, 7, high, low])
        }
        V4 => carried.under(K::IPv4, &random.ipv4(inner, len, &[])),
        V4Options => carried.under(K::IPv4, &random.ipv4(inner, len, &[7, 3, 4, 0])),
        V6 => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((len as u16).to_be_bytes());
            header.extend([inner.protocol(), 64]);
            for _ in 0..2 {
                header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                header.extend([random.byte(), random.byte()]);
            }
            carried.under(K::IPv6, &header)
        }
        HopByHop => carried.under(K::IPv6HopByHop, &[inner.protocol(), 0, 1, 4, 0, 0, 0, 0]),
        Routing => carried.under(K::IPv6Routing, &[inner.protocol(), 0, 4, 0, 0, 0, 0, 0]),
        Destination => carried
            .under(K::IPv6Destination, &[inner.protocol(), 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Atomic => carried.under(K::IPv6Fragment, &[inner.protocol(), 0, 0, 0, 0, 0, 0, 7]),
        Auth => carried.under(K::IPSecAH, &[&[inner.protocol(), 4, 0, 0][..], &[9; 20]].concat()),
        Gre => carried.under(K::GRE, &gre(0, inner.ethertype(), 0)),
        GreFull => carried.under(K::GRE, &gre(0xb000, inner.ethertype(), 12)),
        GrePptp => {
            let ppp = carried.under(K::PPP, &[&[0xff, 0x03], &inner.ppp()[..]].concat());
            let [high, low] = (ppp.bytes.len() as u16).to_be_bytes();
            let mut header = gre(0x3081, 0x880b, 12);
            header.splice(4..6, [high, low]);
            ppp.under(K::GRE, &header)
        }
        Erspan1 => carried.under(K::ERSPAN, &[]).under(K::GRE, &gre(0, 0x88be, 0)),
        Erspan2 => {
            carried.under(K::ERSPAN, &[0x10, 5, 0, 9, 0, 0, 0, 1]).under(K::GRE, &gre(0x1000, 0x88be, 4))
        }
        Erspan3 => carried
            .under(K::ERSPAN, &[0x20, 5, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0])
            .under(K::GRE, &gre(0x1000, 0x22eb, 4)),
        Erspan3Platform => carried
            .under(K::ERSPAN, &[&[0x20, 5, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1][..], &[3; 8]].concat())
            .under(K::GRE, &gre(0x1000, 0x22eb, 4)),
        Vxlan => random.udp(4789, carried.under(K::VXLAN, &[8, 0, 0, 0, 0, 0, 7, 0])),
        Gpe => random.udp(4790, carried.under(K::VXLANGPE, &[0x0c, 0, 0, inner.next(), 0, 0, 7, 0])),
        Geneve => {
            let [high, low] = inner.ethertype().to_be_bytes();
            random.udp(6081, carried.under(K::Geneve, &[0, 0, high, low, 0, 0, 7, 0]))
        }
        GeneveOptions => {
            let [high, low] = inner.ethertype().to_be_bytes();
            let header = [2, 0, high, low, 0, 0, 7, 0, 1, 2, 3, 1, 5, 5, 5, 5];
            random.udp(6081, carried.under(K::Geneve, &header))
        }
        Gtp => {
            let [high, low] = (len as u16).to_be_bytes();
            random.udp(2152, carried.under(K::GTPv1U, &[0x30, 255, high, low, 0, 0, 0, 9]))
        }
        GtpExtended => {
            let [high, low] = (len as u16 + 8).to_be_bytes();
            let header = [0x36, 255, high, low, 0, 0, 0, 9, 0, 1, 0, 0x85, 1, 0, 0, 0];
            random.udp(2152, carried.under(K::GTPv1U, &header))
        }
        L2tp => random.udp(1701, carried.under(K::PPP, &inner.ppp()).under(K::L2TP, &[0, 2, 0, 1, 0, 2])),
        L2tpLong => {
            let ppp = carried.under(K::PPP, &[&[0xff, 0x03], &inner.ppp()[..]].concat());
            let [high, low] = (ppp.bytes.len() as u16 + 16).to_be_bytes();
            random.udp(1701, ppp.under(K::L2TP, &[0x4a, 2, high, low, 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 0, 0]))
        }
        L2tp3 => carried.under(K::L2TP, &[0, 0, 0, 5]),
        L2tp3Udp => random.udp(1701, carried.under(K::L2TP, &[0, 3, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0])),
        EtherIp => carried.under(K::EtherIP, &[0x30, 0]),
        MplsUdp => random.udp(6635, carried),
        Nsh => carried.under(K::NSH, &[&[0x0f, 0xc6, 1, inner.next(), 0, 0, 1, 255][..], &[0; 16]].concat()),
        Arp => {
            let mut message = vec![0, 1, 8, 0, 6, 4, 0, 1];
            message.extend((0..20).map(|_| random.byte()));
            Packet::default().under(K::ARP, &message)
        }
        Tcp => Packet::of(b"payload").under(K::TCP, &random.tcp(&[])),
        TcpOptions => {
            Packet::of(b"").under(K::TCP, &random.tcp(&[2, 4, 5, 0xb4, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]))
        }
        Udp => random.udp(40000, Packet::of(b"payload")),
        Icmp4 => Packet::of(b"payload").under(K::ICMPv4, &[8, 0, 0, 0, 0, 7, 0, 1]),
        Echo6 => Packet::of(b"payload").under(K::ICMPv6Echo, &[0, 7, 0, 1]).under(K::ICMPv6, &[128, 0, 0, 0]),
        Neighbor6 => Packet::of(&[1, 1, 2, 2, 2, 2, 2, 2])
            .under(K::ICMPv6NeighborSolicitation, &[0; 20])
            .under(K::ICMPv6, &[135, 0, 0, 0]),
        Sctp => Packet::of(b"data")
            .under(K::SCTPData, &[0, 3, 0, 20, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])
            .under(K::SCTPSack, &[3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])
            .under(K::SCTP, &[0x80, 1, 0x80, 2, 0, 0, 0, 9, 0, 0, 0, 0]),
        Esp => Packet::of(b"encrypted").under(K::IPSecESP, &[0, 0, 0, 1, 0, 0, 0, 2]),
        Dns => {
            let query =
                b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x04test\x00\x00\x01\x00\x01";
            random.udp(53, Packet::default().under(K::DNS, query))
        }
        Part4 => Packet::of(b"part of it").under(K::Fragment, &[]),
        Part6 => Packet::of(b"part of it")
            .under(K::Fragment, &[])
            .under(K::IPv6Fragment, &[17, 0, 0, 1, 0, 0, 0, 7]),
    }
}

fn gre(flags: u16, protocol: u16, optional: usize) -> Vec<u8> {
    let mut header = flags.to_be_bytes().to_vec();
    header.extend(protocol.to_be_bytes());
    header.resize(4 + optional, 0);
    header
}

impl Packet {
    fn of(payload: &[u8]) -> Self {
        Self { bytes: payload.to_vec(), layers: Vec::new() }
    }

    fn under(mut self, kind: K, header: &[u8]) -> Self {
        self.bytes.splice(0..0, header.iter().copied());
        self.layers.insert(0, (kind, header.len()));
        self
    }
}

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    /// A port that means nothing.
    fn port(&mut self) -> [u8; 2] {
        [0x80 | self.byte(), 1]
    }

    /// The first byte of the destination is like that of IP, of a control word, or of neither; its fifth and sixth
    /// are no length that IPv6 could have here.
    fn frame(&mut self, ethertype: u16) -> Vec<u8> {
        let first = [0x02, 0x46, 0x62, 0x00][usize::from(self.byte() % 4)];
        let mut header = vec![first, 0xee, self.byte(), self.byte(), self.byte() | 0x80, self.byte()];
        header.extend([0x02, self.byte(), 0xee, self.byte(), self.byte(), self.byte()]);
        header.extend(ethertype.to_be_bytes());
        header
    }

    fn ipv4(&mut self, inner: Piece, payload: usize, options: &[u8]) -> Vec<u8> {
        let len = 20 + options.len();
        let mut header = vec![0x40 | (len / 4) as u8, 0];
        header.extend(((len + payload) as u16).to_be_bytes());
        header.extend([0, 7, if inner == Part4 { 0x20 } else { 0x40 }, 0, 64, inner.protocol(), 0, 0]);
        header.extend([10, self.byte(), self.byte(), self.byte(), 10, self.byte(), self.byte(), self.byte()]);
        header.extend(options);
        let sum: u32 = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        header.splice(10..12, (!(sum as u16)).to_be_bytes());
        header
    }

    fn tcp(&mut self, options: &[u8]) -> Vec<u8> {
        let mut header = [self.port(), self.port()].concat();
        header.extend([0, 0, 0, 1, 0, 0, 0, 1, (5 + options.len() / 4) as u8 * 16, 0x18, 1, 0, 0, 0, 0, 0]);
        header.extend(options);
        header
    }

    fn udp(&mut self, port: u16, payload: Packet) -> Packet {
        let mut header = self.port().to_vec();
        header.extend(port.to_be_bytes());
        header.extend((payload.bytes.len() as u16 + 8).to_be_bytes());
        header.extend([0, 0]);
        payload.under(K::UDP, &header)
    }
}
