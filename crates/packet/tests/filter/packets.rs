//! Packets of every kind that a filter can tell apart, for each link type, whole, cut and damaged.

use std::path::Path;

/// A packet's captured bytes and its length on the wire.
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
}

/// What a link layer carries: Ethernet's type, or a length for LLC, and the bytes.
type Payload = (u16, Vec<u8>);

/// All packets of a link type.
pub(crate) fn of(link: u16) -> Vec<Packet> {
    let mut whole: Vec<Vec<u8>> = payloads().into_iter().flat_map(|payload| framed(link, payload)).collect();
    if link == 1 {
        whole.extend(captured());
    }
    let mut packets = Vec::new();
    let mut random = Random(u64::from(link) + 1);
    for (number, bytes) in whole.iter().enumerate() {
        let wire_len = bytes.len() as u32;
        packets.push(Packet { bytes: bytes.clone(), wire_len });
        // Every length of some packets, some lengths of all.
        let step = if number % 9 == 0 { 1 } else { 11 };
        for len in (number % step..bytes.len().min(150)).step_by(step) {
            packets.push(Packet { bytes: bytes[..len].to_vec(), wire_len });
        }
        for _ in 0..2 {
            let mut damaged = bytes.clone();
            let at = random.below(damaged.len().min(80));
            damaged[at] = random.below(256) as u8;
            packets.push(Packet { bytes: damaged, wire_len });
        }
    }
    packets
}

/// A small generator of numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// The frames of the captures beside the tests, which are all of Ethernet or say so.
fn captured() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pcaps");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "pcap"));
    paths.sort();
    assert!(paths.len() > 10, "captures are missing");
    let mut frames = Vec::new();
    for path in paths {
        let file = std::fs::read(&path).unwrap();
        let little = file[0] == 0xd4 || file[0] == 0x4d;
        let mut rest = &file[24..];
        // Few of each kind are enough.
        for _ in 0..40 {
            let Some(header) = rest.first_chunk::<16>() else { break };
            let len = [header[8], header[9], header[10], header[11]];
            let len = if little { u32::from_le_bytes(len) } else { u32::from_be_bytes(len) } as usize;
            let Some(frame) = rest.get(16..16 + len) else { break };
            frames.push(frame.to_vec());
            rest = &rest[16 + len..];
        }
    }
    frames
}

/// A payload behind the header of a link type; several when the header has variants.
fn framed(link: u16, (kind, payload): Payload) -> Vec<Vec<u8>> {
    let behind = |header: &[u8]| [header, &payload].concat();
    let [high, low] = kind.to_be_bytes();
    let is_length = kind <= 1500;
    let family = match kind {
        0x0800 => Some(vec![2_u32]),
        0x86dd => Some(vec![24, 28, 30, 10]),
        0x0806 => Some(vec![7]),
        _ => None,
    };
    match link {
        1 => {
            let mut frames = Vec::new();
            for (number, (destination, source)) in MACS.iter().enumerate() {
                // Every payload with the first pair of addresses, some with the others.
                if number == 0 || payload.len() % MACS.len() == number {
                    frames.push(behind(&[&destination[..], &source[..], &[high, low]].concat()));
                }
            }
            frames
        }
        12 | 101 | 228 | 229 => vec![payload],
        0 => family.unwrap_or_default().iter().map(|family| behind(&family.to_le_bytes())).collect(),
        108 => family.unwrap_or_default().iter().map(|family| behind(&family.to_be_bytes())).collect(),
        113 => {
            let kind = if is_length { [0, if payload[0] == 0xff { 1 } else { 4 }] } else { [high, low] };
            let header = |sent: u8| [&[0, sent, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &kind[..]].concat();
            vec![behind(&header(0)), behind(&header(4))]
        }
        276 => {
            let header = |interface: u8, sent: u8| {
                [&[high, low, 0, 0, 0, 0, 0, interface, 0, 1, sent, 6, 2, 0, 0, 0, 0, 1, 0, 0][..]].concat()
            };
            vec![behind(&header(2, 0)), behind(&header(3, 4))]
        }
        9 | 50 => {
            ppp(kind).map(|kind| vec![behind(&[&[0xff, 0x03], &kind[..]].concat())]).unwrap_or_default()
        }
        51 => ppp(kind)
            .map(|kind| vec![behind(&[&[0x11, 0, 0, 7, 0, 9], &kind[..]].concat())])
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

const MACS: &[([u8; 6], [u8; 6])] = &[
    ([0x02, 0, 0, 0, 0, 0x01], [0x02, 0, 0, 0, 0, 0x02]),
    ([0x02, 0, 0, 0, 0, 0x02], [0x02, 0, 0, 0, 0, 0x01]),
    ([0xff; 6], [0x02, 0, 0, 0, 0, 0x01]),
    ([0x01, 0x00, 0x5e, 0, 0, 0x05], [0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8]),
    ([0x02, 0, 0, 0, 0, 0x01], [0x02, 0, 0, 0, 0, 0x01]),
];

fn ppp(kind: u16) -> Option<[u8; 2]> {
    let kind: u16 = match kind {
        0x0800 => 0x0021,
        0x86dd => 0x0057,
        0x8847 => 0x0281,
        0x6003 => 0x0027,
        0x809b => 0x0029,
        0x0026 => 0x0023,
        0x0027 => 0x0031,
        0x0028 => 0x002b,
        _ => return None,
    };
    Some(kind.to_be_bytes())
}

/// Payloads of link layers, with tags and tunnels.
fn payloads() -> Vec<Payload> {
    let network = network();
    let mut all = network.clone();
    for (number, (kind, payload)) in network.iter().enumerate() {
        let inner = (*kind, payload.clone());
        let id = [5, 100, 200, 4095][number % 4];
        if number % 2 == 0 || *kind != 0x0800 {
            all.push(tagged(0x8100, id, inner.clone()));
        }
        if number % 5 == 0 {
            all.push(tagged(0x88a8, 7, tagged(0x8100, id, inner.clone())));
            all.push(tagged(0x9100, 100, inner.clone()));
            all.push(tagged(0x8100, 100, tagged(0x8100, 200, inner.clone())));
        }
        if *kind == 0x0800 || *kind == 0x86dd {
            if number % 3 == 0 {
                let label = [16, 1024, 100000][number % 3];
                all.push(labelled(&[label], payload));
                all.push(labelled(&[1024, label], payload));
                all.push(labelled(&[100000, 1024, 3], payload));
                all.push(tagged(0x8100, id, labelled(&[1024], payload)));
            }
            if number % 3 == 1 {
                all.push(pppoe_session(0x27, *kind, payload));
                all.push(tagged(0x8100, 5, pppoe_session(9, *kind, payload)));
            }
        }
        if number % 4 == 0 {
            all.extend(geneve(0xb, 0, &[], inner.clone(), true));
            all.extend(geneve(0xabcdef, 0, &[1, 2, 3, 4, 5, 6, 7, 8], inner.clone(), number % 8 == 0));
        }
    }
    let inner = network[0].clone();
    all.extend(geneve(0xb, 1, &[], inner.clone(), true));
    all.extend(geneve(0xb, 0, &[], tagged(0x8100, 5, inner.clone()), true));
    all.extend(geneve(0xb, 0, &[], labelled(&[16], &inner.1), false));
    for outer in geneve(0xc, 0, &[0; 4], inner.clone(), true) {
        all.extend(geneve(0xb, 0, &[], outer.clone(), true));
        all.push(tagged(0x8100, 5, outer));
    }
    all.push((0x8863, vec![0x11, 0x09, 0, 0, 0, 4, 1, 1, 0, 0]));
    for kind in
        [0x809b, 0x80f3, 0x8137, 0x6001, 0x6002, 0x6003, 0x6004, 0x6007, 0x9000, 0x88cc, 0x0600, 0x8848]
    {
        all.push((kind, (0..40).collect()));
    }
    all.extend(llc());
    all
}

fn tagged(tag: u16, id: u16, (kind, payload): Payload) -> Payload {
    (tag, [&(id | 0x2000).to_be_bytes()[..], &kind.to_be_bytes(), &payload].concat())
}

fn labelled(labels: &[u32], payload: &[u8]) -> Payload {
    let mut bytes = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        let last = u32::from(number + 1 == labels.len());
        bytes.extend((label << 12 | last << 8 | 64).to_be_bytes());
    }
    bytes.extend(payload);
    (0x8847, bytes)
}

fn pppoe_session(session: u16, kind: u16, payload: &[u8]) -> Payload {
    let [high, low] = session.to_be_bytes();
    let [len_high, len_low] = (payload.len() as u16 + 2).to_be_bytes();
    let header = [0x11, 0, high, low, len_high, len_low];
    (0x8864, [&header[..], &ppp(kind).unwrap(), payload].concat())
}

/// Geneve over IPv4 and IPv6, with an Ethernet frame in it or the payload alone.
fn geneve(id: u32, version: u8, options: &[u8], (kind, payload): Payload, ethernet: bool) -> Vec<Payload> {
    let carried: u16 = if ethernet { 0x6558 } else { kind };
    let mut bytes = vec![version << 6 | (options.len() / 4) as u8, 0];
    bytes.extend(carried.to_be_bytes());
    bytes.extend((id << 8).to_be_bytes());
    bytes.extend(options);
    if ethernet {
        bytes.extend([&MACS[0].0[..], &MACS[3].1[..], &kind.to_be_bytes()].concat());
    }
    bytes.extend(payload);
    let datagram = udp(40000, 6081, &bytes);
    vec![
        ip4(17, [192, 168, 9, 1], [192, 168, 9, 2], 0, &[], &datagram),
        ip6(17, "2001:db8:9::1", "2001:db8:9::2", &datagram),
    ]
}

/// Frames of 802.3: the type is a length.
fn llc() -> Vec<Payload> {
    let mut all = Vec::new();
    let mut add = |bytes: &[u8]| all.push((38 + all.len() as u16 % 3, [bytes, &[0; 30]].concat()));
    add(&[0x42, 0x42, 0x03, 0, 0, 0, 0]);
    for kind in [15, 16, 17, 18, 20, 24, 25, 26, 27, 3] {
        add(&[0xfe, 0xfe, 0x03, 0x83, 27, 1, 0, kind]);
    }
    for network in [0x81, 0x82, 0x83, 0x45] {
        add(&[0xfe, 0xfe, 0x03, network]);
    }
    add(&[0xe0, 0xe0, 0x03, 0xff, 0xff]);
    add(&[0xff, 0xff, 0x00, 0x22]);
    add(&[0xf0, 0xf0, 0x03]);
    add(&[0x06, 0x06, 0x03, 0x45]);
    add(&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x81, 0x37]);
    add(&[0xaa, 0xaa, 0x03, 0x08, 0, 0x07, 0x80, 0x9b]);
    add(&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x80, 0xf3]);
    add(&[0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, 0x45]);
    for control in [0x00, 0x02, 0x01, 0x05, 0x09, 0x03, 0x13, 0x63, 0x43, 0x0f, 0x6f, 0x7f, 0xe3, 0xaf, 0x87]
    {
        add(&[0x04, 0x05, control, 0]);
    }
    all
}

/// Payloads of network protocols without tags and tunnels.
fn network() -> Vec<Payload> {
    let hosts =
        [[10, 1, 2, 3], [10, 1, 2, 4], [192, 168, 1, 1], [172, 16, 5, 9], [8, 8, 8, 8], [10, 0, 0, 10]];
    let mut all = Vec::new();
    let mut number = 0;
    let mut pair = || {
        number += 1;
        (hosts[number % hosts.len()], hosts[(number * 3 + 1) % hosts.len()])
    };
    let ports = [
        (40000, 80),
        (80, 40000),
        (443, 50000),
        (53, 53),
        (22, 33333),
        (6000, 6005),
        (65535, 1),
        (8080, 5999),
    ];
    for (number, (source, destination)) in ports.into_iter().enumerate() {
        let (from, to) = pair();
        let flags = [0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x29, 0xc2][number];
        all.push(ip4(6, from, to, 0x4000, &[], &tcp(source, destination, flags, &[0x47; 12])));
        all.push(ip4(17, to, from, 0, &[], &udp(source, destination, &[number as u8; 20])));
        let (from, to) = pair();
        all.push(ip4(132, from, to, 0, &[], &sctp(source, destination)));
        all.push(ip4(6, from, to, 0, &[1, 1, 1, 0], &tcp(source, destination, flags, &[])));
        all.push(ip6(6, "2001:db8::1", "2001:db8:1::2", &tcp(source, destination, flags, &[1; 9])));
        all.push(ip6(17, "fe80::1", "ff02::fb", &udp(source, destination, &[2; 30])));
        all.push(ip6(132, "2001:db8::2", "::1", &sctp(source, destination)));
    }
    for kind in [0, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 17, 18] {
        let (from, to) = pair();
        all.push(ip4(1, from, to, 0, &[], &[&[kind, 1][..], &[0xab; 20]].concat()));
    }
    for kind in [1, 2, 3, 4, 128, 129, 133, 134, 135, 136, 143] {
        all.push(ip6(58, "fe80::2", "ff02::1:ff00:1", &[&[kind, 0][..], &[0xcd; 22]].concat()));
    }
    for protocol in [2, 9, 47, 50, 51, 89, 103, 112, 4, 41, 255] {
        let (from, _) = pair();
        all.push(ip4(protocol, from, [224, 0, 0, 5], 0, &[], &[0x21; 24]));
        all.push(ip6(protocol, "2001:db8::5", "ff02::5", &[0x21; 24]));
    }
    // First and later fragments; those that look like a port and like no port.
    for fragment in [0x2000, 0x2001, 0x00b9, 0x1fff] {
        let (from, to) = pair();
        all.push(ip4(6, from, to, fragment, &[], &tcp(40000, 80, 0x10, &[])));
        all.push(ip4(17, from, to, fragment, &[], &udp(53, 53, &[])));
        all.push(ip4(1, from, to, fragment, &[], &[8, 0, 0, 0, 0, 0, 0, 0]));
    }
    for (next, rest) in
        [(6, tcp(40000, 80, 2, &[])), (17, udp(53, 53, &[])), (58, vec![128, 0, 0, 0, 0, 0, 0, 0])]
    {
        for offset in [0, 1, 0x0009] {
            let header = [next, 0, 0, offset, 0, 0, 0, 7];
            all.push(ip6(44, "2001:db8::1", "2001:db8::2", &[&header[..], &rest].concat()));
        }
        all.push(ip6(0, "2001:db8::1", "2001:db8::2", &[&[next, 0, 1, 4, 0, 0, 0, 0][..], &rest].concat()));
        all.push(ip6(60, "2001:db8::1", "2001:db8::2", &[&[next, 0, 1, 4, 0, 0, 0, 0][..], &rest].concat()));
    }
    for to in [[255, 255, 255, 255], [0, 0, 0, 0], [239, 1, 2, 3], [10, 1, 255, 255]] {
        all.push(ip4(17, [10, 1, 2, 3], to, 0, &[], &udp(67, 68, &[1; 60])));
    }
    for (kind, operation) in [(0x0806, 1), (0x0806, 2), (0x8035, 3), (0x8035, 4)] {
        let (from, to) = pair();
        let header = [0, 1, 8, 0, 6, 4, 0, operation];
        let body = [&header[..], &MACS[0].0[..], &from[..], &MACS[1].0[..], &to[..]].concat();
        all.push((kind, body));
    }
    all.push((0x0800, vec![0x65; 40]));
    all.push((0x86dd, vec![0x45; 60]));
    all
}

fn ip4(protocol: u8, from: [u8; 4], to: [u8; 4], fragment: u16, options: &[u8], payload: &[u8]) -> Payload {
    let header = 20 + options.len();
    let [len_high, len_low] = ((header + payload.len()) as u16).to_be_bytes();
    let [fragment_high, fragment_low] = fragment.to_be_bytes();
    let first = 0x40 | (header / 4) as u8;
    let fixed = [first, 0x10, len_high, len_low, 0x12, 0x34, fragment_high, fragment_low, 64, protocol, 0, 0];
    (0x0800, [&fixed[..], &from, &to, options, payload].concat())
}

fn ip6(next: u8, from: &str, to: &str, payload: &[u8]) -> Payload {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let fixed = [0x60, 0, 0, 0, high, low, next, 64];
    (0x86dd, [&fixed[..], &address(from), &address(to), payload].concat())
}

fn tcp(source: u16, destination: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let rest = [0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0x20, 0, 0, 0, 0, 0];
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &rest, payload].concat()
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16 + 8).to_be_bytes();
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &len, &[0, 0], payload].concat()
}

fn sctp(source: u16, destination: u16) -> Vec<u8> {
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0; 8], &[1, 0, 0, 20], &[0; 16]].concat()
}
