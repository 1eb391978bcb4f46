//! The layers and flow parts that the original Skydive found in its own captures, `data/layers.txt`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

use std::path::Path;

use skydive_packet::wire::ipv4::Ipv4;
use skydive_packet::{Decoder, Layer, LayerKind, Layers, LinkType};

/// The packets of a classic capture file in little endian, with their length on the wire.
fn packets(name: &str) -> Vec<(Vec<u8>, usize)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let bytes = std::fs::read(data.join("pcaps").join(name)).unwrap();
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{name}");
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut packets = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let (captured, wire) = (number(at + 8), number(at + 12));
        packets.push((bytes[at + 16..at + 16 + captured].to_vec(), wire));
        at += 16 + captured;
    }
    packets
}

struct Expected {
    file: String,
    link: LinkType,
    layers: String,
    /// Path and length on the wire.
    parts: Vec<(String, usize)>,
}

fn expected() -> Vec<Expected> {
    include_str!("data/layers.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split(' ');
            Expected {
                file: words.next().unwrap().to_owned(),
                link: LinkType(words.next().unwrap().parse().unwrap()),
                layers: words.next().unwrap().trim_end_matches("/Payload").to_owned(),
                parts: words
                    .map(|part| part.split_once(':').unwrap())
                    .map(|(path, len)| (path.to_owned(), len.parse().unwrap()))
                    .collect(),
            }
        })
        .collect()
}

fn path(layers: &[Layer]) -> String {
    layers.iter().filter_map(|layer| layer.kind.path_name()).collect::<Vec<_>>().join("/")
}

/// Calls `check` with every packet, its length on the wire and what is expected of it.
fn for_each_packet(mut check: impl FnMut(&[u8], usize, &Expected)) {
    let expected = expected();
    for of_file in expected.chunk_by(|a, b| a.file == b.file) {
        let packets = packets(&of_file[0].file);
        assert_eq!(packets.len(), of_file.len(), "{}", of_file[0].file);
        for ((bytes, wire), expected) in packets.iter().zip(of_file) {
            check(bytes, *wire, expected);
        }
    }
}

#[test]
fn layers_and_parts_are_those_of_the_original() {
    let decoder = Decoder::default();
    let mut layers = Layers::new();
    let mut seen = 0;
    for_each_packet(|bytes, wire, expected| {
        decoder.decode(bytes, expected.link, &mut layers);
        let found = layers.as_slice();
        assert_eq!(path(found), expected.layers, "{} {:?}", expected.file, layers.end());
        // A packet that starts with IP is as long as that says.
        let wire = match found.first() {
            Some(first) if first.kind == LayerKind::IPv4 => Ipv4::parse(bytes).unwrap().total_len().into(),
            _ => wire,
        };
        let parts: Vec<_> = layers
            .parts()
            .map(|range| {
                // The original never saw ERSPAN's header, and counted it to what it carries.
                let before = found[..range.start].iter().filter(|layer| layer.kind.path_name().is_some());
                (path(&found[range]), wire - before.map(|layer| usize::from(layer.header)).sum::<usize>())
            })
            .collect();
        assert_eq!(parts, expected.parts, "{}", expected.file);
        seen += 1;
    });
    assert_eq!(seen, 147);
}

#[test]
fn a_cut_packet_has_the_first_of_its_layers() {
    let decoder = Decoder::default();
    let (mut whole, mut cut) = (Layers::new(), Layers::new());
    for_each_packet(|bytes, _, expected| {
        decoder.decode(bytes, expected.link, &mut whole);
        for len in 0..bytes.len() {
            decoder.decode(&bytes[..len], expected.link, &mut cut);
            assert!(cut.as_slice().len() <= whole.as_slice().len());
            for (of_cut, of_whole) in cut.as_slice().iter().zip(whole.as_slice()) {
                assert_eq!(
                    (of_cut.kind, of_cut.start),
                    (of_whole.kind, of_whole.start),
                    "{} at {len}",
                    expected.file
                );
                assert!(of_cut.end as usize <= len);
            }
        }
    });
}
