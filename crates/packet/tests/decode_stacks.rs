//! Random stacks of headers to depth 6: whole, cut, damaged, and beside etherparse.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

#[path = "decode/stack.rs"]
mod stack;

use etherparse::{IpNumber, LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use skydive_packet::{Decoder, End, Layer, LayerKind, Layers, LinkType};
use stack::{Packet, Random, build, stacks};

const DEPTH: usize = 6;

fn decode(bytes: &[u8]) -> Layers {
    let mut layers = Layers::new();
    Decoder::default().decode(bytes, LinkType::ETHERNET, &mut layers);
    layers
}

/// What holds for any bytes.
fn check(bytes: &[u8], layers: &Layers) {
    let found = layers.as_slice();
    let mut end = bytes.len() as u32;
    let mut start = 0;
    for layer in found {
        assert_eq!(layer.start, start, "{layer:?}");
        assert!(layer.start + u32::from(layer.header) <= layer.end && layer.end <= end, "{layer:?}");
        (start, end) = (layer.start + u32::from(layer.header), layer.end);
    }
    let mut last = None;
    for part in layers.parts() {
        assert!(found[part.clone()].iter().any(|layer| layer.kind.has_addresses()), "{part:?}");
        assert_eq!(part.start, last.unwrap_or(0));
        last = Some(part.end);
    }
    assert!(last.is_none_or(|end| end == found.len()));
    assert_eq!(last.is_some(), found.iter().any(|layer| layer.kind.has_addresses()));
    if let End::Truncated(_) = layers.end() {
        assert_eq!(end as usize, bytes.len(), "only the end of the capture cuts: {found:?}");
    }
}

fn kinds(layers: &[Layer]) -> Vec<LayerKind> {
    layers.iter().map(|layer| layer.kind).collect()
}

/// Where `part` lies in `whole`.
fn place(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Compares with etherparse what it decodes: tags, ARP, IP with its extension headers, and the transports. It knows
/// three tags, no more, and wants lengths that are right to the byte; where it gives up there is nothing to compare.
fn beside_etherparse(bytes: &[u8], layers: &Layers) -> bool {
    let Ok(theirs) = SlicedPacket::from_ethernet(bytes) else { return false };
    if bytes[12] < 6 {
        return false; // 802.3: it has no lengths.
    }
    let ours = layers.as_slice();
    let shown = || format!("{ours:?} {:?}\n{theirs:?}", layers.end());
    let tags = ours[1..].iter().take_while(|layer| layer.kind == LayerKind::Dot1Q).count();
    if theirs.link_exts.iter().any(|ext| matches!(ext, LinkExtSlice::Macsec(_))) {
        return false; // We stop there.
    }
    assert_eq!(tags.min(SlicedPacket::LINK_EXTS_CAP), theirs.link_exts.len(), "{}", shown());
    if tags > SlicedPacket::LINK_EXTS_CAP {
        return true;
    }
    let behind = &ours[1 + tags..];
    let payload = match &theirs.net {
        None => return true,
        Some(NetSlice::Arp(_)) => {
            assert_eq!(behind.first().unwrap().kind, LayerKind::ARP, "{}", shown());
            return true;
        }
        Some(NetSlice::Ipv4(ip)) => {
            assert_eq!(behind.first().unwrap().kind, LayerKind::IPv4, "{}", shown());
            ip.payload()
        }
        Some(NetSlice::Ipv6(ip)) => {
            assert_eq!(behind.first().unwrap().kind, LayerKind::IPv6, "{}", shown());
            ip.payload()
        }
    };
    // It reads headers in fragments that may be anything's middle; we stop there.
    if payload.fragmented {
        assert!(behind.iter().any(|layer| layer.kind == LayerKind::Fragment), "{}", shown());
        return true;
    }
    // It stops at a second header of a kind, where we go on.
    if [0, 43, 44, 51, 60].map(IpNumber).contains(&payload.ip_number) || mobility(payload.ip_number) {
        return true;
    }
    let extensions = behind[1..].iter().take_while(|layer| is_extension(layer.kind)).count();
    let last = behind[extensions];
    let place = place(bytes, payload.payload);
    assert_eq!((last.start + u32::from(last.header)) as usize..last.end as usize, place, "{}", shown());
    let Some(transport) = &theirs.transport else { return true };
    let (kind, lens) = match transport {
        TransportSlice::Tcp(tcp) => (LayerKind::TCP, Some((tcp.header_slice().len(), tcp.payload().len()))),
        TransportSlice::Udp(udp) => (LayerKind::UDP, Some((8, udp.payload().len()))),
        TransportSlice::Icmpv4(_) => (LayerKind::ICMPv4, None),
        TransportSlice::Icmpv6(_) => (LayerKind::ICMPv6, None),
        TransportSlice::Igmp(_) => (LayerKind::IGMP, None),
    };
    let layer = behind.get(1 + extensions).unwrap_or_else(|| panic!("no transport: {}", shown()));
    assert_eq!(layer.kind, kind, "{}", shown());
    if let Some((header, payload)) = lens {
        assert_eq!(usize::from(layer.header), header, "{}", shown());
        assert_eq!(layer.end as usize, layer.start as usize + header + payload, "{}", shown());
    }
    true
}

fn is_extension(kind: LayerKind) -> bool {
    use LayerKind::{IPSecAH, IPv6Destination, IPv6Fragment, IPv6HopByHop, IPv6Routing};
    matches!(kind, IPSecAH | IPv6Destination | IPv6Fragment | IPv6HopByHop | IPv6Routing)
}

/// Mobility, HIP and shim6 headers: extension headers that we do not decode.
fn mobility(number: IpNumber) -> bool {
    [135, 139, 140].contains(&number.0)
}

fn cut_is_a_prefix(packet: &Packet) {
    let whole = decode(&packet.bytes);
    for len in 0..packet.bytes.len() {
        let bytes = &packet.bytes[..len];
        let cut = decode(bytes);
        check(bytes, &cut);
        let (of_cut, of_whole) = (kinds(cut.as_slice()), kinds(whole.as_slice()));
        assert!(of_whole.starts_with(&of_cut), "at {len}: {of_cut:?} of {of_whole:?}");
        assert!(
            !matches!(cut.end(), End::Malformed(_) | End::TooDeep),
            "at {len}: {:?} {of_cut:?}",
            cut.end()
        );
        beside_etherparse(bytes, &cut);
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn a_stack_has_its_layers((pieces, seed) in stacks(DEPTH)) {
        let packet = build(&pieces, seed);
        let layers = decode(&packet.bytes);
        check(&packet.bytes, &layers);
        let found: Vec<_> = layers.as_slice().iter().map(|l| (l.kind, usize::from(l.header))).collect();
        prop_assert_eq!(found, packet.layers.clone(), "{:?}", layers.end());
        prop_assert!(!matches!(layers.end(), End::Malformed(_) | End::Truncated(_) | End::Unsupported));
        beside_etherparse(&packet.bytes, &layers);
    }

    #[test]
    fn padding_belongs_to_the_frame((pieces, seed) in stacks(DEPTH), padding in 1usize..40) {
        let packet = build(&pieces, seed);
        let padded = [&packet.bytes[..], &vec![0; padding]].concat();
        let (bare, layers) = (decode(&packet.bytes), decode(&padded));
        check(&padded, &layers);
        let trims = |l: &Layer| matches!(l.kind, LayerKind::IPv4 | LayerKind::IPv6 | LayerKind::ARP | LayerKind::PPPoE);
        if let Some(first) = bare.as_slice().iter().position(trims) {
            prop_assert_eq!(&bare.as_slice()[first..], &layers.as_slice()[first..]);
        }
    }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn a_cut_stack_has_the_first_of_its_layers((pieces, seed) in stacks(DEPTH)) {
        cut_is_a_prefix(&build(&pieces, seed));
    }

    #[test]
    fn a_damaged_stack_is_survived((pieces, seed) in stacks(DEPTH), damage in 1usize..6) {
        let packet = build(&pieces, seed);
        let mut random = Random(seed | 1);
        for _ in 0..64 {
            let mut bytes = packet.bytes.clone();
            for _ in 0..damage {
                let at = (usize::from(random.byte()) << 8 | usize::from(random.byte())) % bytes.len();
                bytes[at] = if random.byte().is_multiple_of(2) { random.byte() } else { bytes[at] ^ 1 << (random.byte() % 8) };
            }
            let len = bytes.len() - usize::from(random.byte()) % (bytes.len() / 2);
            for bytes in [&bytes[..], &bytes[..len]] {
                let layers = decode(bytes);
                check(bytes, &layers);
                beside_etherparse(bytes, &layers);
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut layers = Layers::new();
        for &first in LayerKind::ALL {
            Decoder::default().decode_from(&bytes, first, &mut layers);
            check(&bytes, &layers);
        }
    }
}
