//! Capture files: any bytes are read alike in any pieces, and what was read can be written and read again.

use skydive_packet::file::{
    ByteOrder, FileError, Interface, MAX_PACKET, Packet, PcapHeader, PcapWriter, PcapngWriter, Precision,
    Problem, Reader, Step,
};

pub(crate) fn run(bytes: &[u8]) {
    let (packets, interfaces, end) = read(bytes);
    in_pieces(bytes, bytes.len() % 61 + 1, &packets, &interfaces, end);
    if let Err(error) = end {
        assert!(error.offset <= bytes.len() as u64, "{error}");
    }
    // The least that a packet takes is its header.
    assert!(packets.len() <= bytes.len() / 16);

    let order = if bytes.len() % 2 == 0 { ByteOrder::Little } else { ByteOrder::Big };
    blocks(&packets, &interfaces, order);
    classic(&packets, order);
}

/// Reads what is all there, step by step.
fn read(bytes: &[u8]) -> (Vec<Packet<'_>>, Vec<Interface>, Result<(), FileError>) {
    let mut reader = Reader::new();
    let (mut at, mut packets) = (0, Vec::new());
    let end = loop {
        match reader.next(&bytes[at..]) {
            Ok(Step::Packet { packet, consumed }) => {
                assert!(packet.wire_len as usize >= packet.bytes.len());
                assert_eq!(interfaces_link(&reader, packet.interface), Some(packet.link));
                packets.push(packet);
                at += consumed;
            }
            Ok(Step::Passed { consumed }) => at += consumed,
            Ok(Step::More { at_least }) => {
                assert!(at_least > bytes.len() - at);
                break reader.end(bytes.len() - at);
            }
            Err(error) => break Err(error),
        }
    };
    (packets, reader.interfaces().to_vec(), end)
}

fn interfaces_link(reader: &Reader, interface: u32) -> Option<skydive_packet::LinkType> {
    reader.interfaces().get(interface as usize).map(|interface| interface.link)
}

/// Reads the same in batches, with a buffer that holds no more than is asked for and a piece.
fn in_pieces(
    bytes: &[u8],
    piece: usize,
    packets: &[Packet<'_>],
    interfaces: &[Interface],
    end: Result<(), FileError>,
) {
    let mut reader = Reader::new();
    let (mut start, mut held, mut seen) = (0, 0, 0);
    let found = 'file: loop {
        let at_least = loop {
            let mut batch = [Packet::default(); 5];
            match reader.fill(&bytes[start..held], &mut batch) {
                Err(error) => break 'file Err(error),
                Ok(filled) => {
                    assert_eq!(batch[..filled.packets], packets[seen..seen + filled.packets]);
                    seen += filled.packets;
                    start += filled.consumed;
                    if filled.at_least > 0 {
                        break filled.at_least;
                    }
                }
            }
        };
        assert!(at_least > held - start && at_least <= MAX_PACKET as usize + (256 << 10));
        if held == bytes.len() {
            break reader.end(held - start);
        }
        held = bytes.len().min(held + piece);
    };
    assert_eq!(seen, packets.len());
    assert_eq!(reader.interfaces(), interfaces);
    let missing = |end: Result<(), FileError>| match end {
        Err(FileError { offset, problem: Problem::Missing { has, .. } }) => Some((offset, has)),
        _ => None,
    };
    // How much is missing depends on how much was seen.
    assert!(
        found == end || (missing(found).is_some() && missing(found) == missing(end)),
        "{found:?} {end:?}"
    );
}

/// Writes all packets as blocks.
fn blocks(packets: &[Packet<'_>], interfaces: &[Interface], order: ByteOrder) {
    let mut file = Vec::new();
    let mut writer = PcapngWriter::new(order, &mut file);
    for (number, interface) in interfaces.iter().enumerate() {
        assert_eq!(writer.interface(interface, &mut file), Ok(number as u32));
        writer.statistics(number as u32, interface, 0, &mut file).expect("it was just described");
    }
    let mut expected = Vec::new();
    for packet in packets {
        let snap_len = interfaces[packet.interface as usize].snap_len;
        if writer.packet(packet, &mut file).is_ok() {
            expected.push(cut(packet, snap_len));
        } else {
            assert!(packet.at < 0);
        }
    }
    let (found, described, end) = read(&file);
    assert_eq!(end, Ok(()));
    assert_eq!(found, expected);
    let counts = |of: &[Interface]| -> Vec<_> {
        of.iter().map(|i| (i.link, i.snap_len, i.received, i.dropped)).collect()
    };
    assert_eq!(counts(&described), counts(interfaces));
}

/// Writes the packets that are like the first in the classic format.
fn classic(packets: &[Packet<'_>], order: ByteOrder) {
    let Some(first) = packets.first() else { return };
    let header = PcapHeader { link: first.link, snap_len: 77, precision: Precision::Nano, order };
    let mut file = Vec::new();
    let writer = PcapWriter::new(header, &mut file);
    let mut expected = Vec::new();
    for packet in packets {
        if writer.packet(packet, &mut file).is_ok() {
            expected.push(Packet { interface: 0, ..cut(packet, 77) });
        }
    }
    let (found, _, end) = read(&file);
    assert_eq!(end, Ok(()));
    assert_eq!(found, expected);
}

fn cut<'a>(packet: &Packet<'a>, snap_len: u32) -> Packet<'a> {
    let most = if snap_len == 0 { usize::MAX } else { snap_len as usize };
    Packet { bytes: &packet.bytes[..packet.bytes.len().min(most)], ..*packet }
}
