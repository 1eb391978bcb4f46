//! Capture files written and read back, whole and in pieces, cut and damaged at every byte.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use skydive_packet::LinkType;
use skydive_packet::file::{
    ByteOrder, FileError, Format, Interface, MAX_PACKET, Packet, Part, PcapHeader, PcapWriter, PcapngWriter,
    Precision, Problem, Reader, Step, WriteError,
};

/// A packet that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    bytes: Vec<u8>,
    at: i64,
    wire_len: u32,
    interface: u32,
    link: LinkType,
}

impl Owned {
    fn packet(&self) -> Packet<'_> {
        let Self { bytes, at, wire_len, interface, link } = self;
        Packet { bytes, at: *at, wire_len: *wire_len, interface: *interface, link: *link }
    }
}

impl From<&Packet<'_>> for Owned {
    fn from(packet: &Packet<'_>) -> Self {
        let Packet { bytes, at, wire_len, interface, link } = *packet;
        Self { bytes: bytes.to_vec(), at, wire_len, interface, link }
    }
}

/// What came of reading a file.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    packets: Vec<Owned>,
    interfaces: Vec<Interface>,
    end: Result<(), FileError>,
}

impl Outcome {
    fn error(&self) -> FileError {
        self.end.unwrap_err()
    }
}

/// Reads `file` as a program does, `piece` bytes at a time, in batches of `batch`.
fn read(file: &[u8], piece: usize, batch: usize) -> Outcome {
    let mut reader = Reader::new();
    let mut packets = Vec::new();
    let (mut held, mut rest, mut consumed) = (Vec::new(), file, 0);
    let end = 'file: loop {
        let at_least = loop {
            let mut found = vec![Packet::default(); batch];
            let filled = match reader.fill(&held, &mut found) {
                Ok(filled) => filled,
                Err(error) => break 'file Err(error),
            };
            packets.extend(found[..filled.packets].iter().map(Owned::from));
            consumed += filled.consumed;
            assert_eq!(reader.offset(), consumed as u64);
            held.drain(..filled.consumed);
            if filled.at_least > 0 {
                break filled.at_least;
            }
        };
        assert!(at_least > held.len(), "asked for what was there");
        assert!(at_least <= MAX_PACKET as usize + (256 << 10), "asked for {at_least} bytes");
        if rest.is_empty() {
            break reader.end(held.len());
        }
        let (now, later) = rest.split_at(piece.min(rest.len()));
        held.extend(now);
        rest = later;
    };
    Outcome { packets, interfaces: reader.interfaces().to_vec(), end }
}

fn read_whole(file: &[u8]) -> Outcome {
    read(file, usize::MAX, 7)
}

/// Where each record or block of a sound file ends, found without the reader.
fn ends(file: &[u8]) -> Vec<usize> {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let mut ends = Vec::new();
    let mut at = 0;
    if number(0) == 0x0a0d_0d0a {
        while at < file.len() {
            at += number(at + 4);
            ends.push(at);
        }
    } else {
        let header = if number(0) == 0xa1b2_cd34 { 24 } else { 16 };
        at = 24;
        ends.push(at);
        while at < file.len() {
            at += header + number(at + 8);
            ends.push(at);
        }
    }
    assert_eq!(at, file.len());
    ends
}

/// How many packets lie wholly in the first `len` bytes.
fn packets_within(file: &[u8], len: usize) -> usize {
    let mut reader = Reader::new();
    let (mut at, mut packets) = (0, 0);
    loop {
        match reader.next(&file[at..]).unwrap() {
            Step::Packet { consumed, .. } => {
                at += consumed;
                packets += usize::from(at <= len);
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => return packets,
        }
    }
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut found: Vec<_> = ["files", "pcaps"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 23);
    found
}

fn sample(name: &str) -> Vec<u8> {
    samples().into_iter().find(|(found, _)| found == name).unwrap().1
}

fn header(order: ByteOrder) -> PcapHeader {
    PcapHeader { link: LinkType(1), snap_len: 0, precision: Precision::Nano, order }
}

fn interface(link: u16) -> Interface {
    Interface { name: None, link: LinkType(link), snap_len: 0, received: None, dropped: None }
}

fn orders() -> impl Strategy<Value = ByteOrder> {
    prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)]
}

/// Packets of interfaces below `interfaces`, whose link type is their number.
fn packets(interfaces: u32) -> impl Strategy<Value = Vec<Owned>> {
    let packet = (vec(any::<u8>(), 0..200), any::<u32>(), any::<u32>(), 0..1_000_000_000_i64, 0..interfaces)
        .prop_map(|(bytes, more, seconds, nanos, interface)| Owned {
            wire_len: (bytes.len() as u32).saturating_add(more >> (more % 32)),
            at: i64::from(seconds) * 1_000_000_000 + nanos,
            link: LinkType(interface as u16),
            interface,
            bytes,
        });
    vec(packet, 0..20)
}

proptest! {
    #[test]
    fn pcap_is_read_as_it_was_written(
        written in packets(1),
        (order, micro, snap_len) in (orders(), any::<bool>(), 0..250_u32),
        (piece, batch) in (1..400_usize, 1..5_usize),
    ) {
        let precision = if micro { Precision::Micro } else { Precision::Nano };
        let mut file = Vec::new();
        let writer = PcapWriter::new(PcapHeader { link: LinkType(0), snap_len, precision, order }, &mut file);
        for packet in &written {
            writer.packet(&packet.packet(), &mut file).unwrap();
        }
        let mut expected = written;
        for packet in &mut expected {
            packet.at -= if micro { packet.at % 1000 } else { 0 };
            packet.bytes.truncate(if snap_len == 0 { usize::MAX } else { snap_len as usize });
        }
        let found = read(&file, piece, batch);
        prop_assert_eq!(found.end, Ok(()));
        prop_assert_eq!(found.packets, expected);
        prop_assert_eq!(found.interfaces, [Interface { snap_len, ..interface(0) }]);
    }

    #[test]
    fn pcapng_is_read_as_it_was_written(
        written in packets(3),
        order in orders(),
        snap_len in 0..250_u32,
        names in vec(proptest::option::of("[a-z0-9é]{1,140}"), 3),
        counts in vec(any::<(Option<u64>, Option<u64>)>(), 3),
        (piece, batch) in (1..400_usize, 1..5_usize),
    ) {
        let mut file = Vec::new();
        let mut writer = PcapngWriter::new(order, &mut file);
        let mut interfaces: Vec<Interface> = (0..3)
            .map(|i| Interface { name: names[i].clone().map(Into::into), snap_len, ..interface(i as u16) })
            .collect();
        for (i, interface) in interfaces.iter().enumerate() {
            prop_assert_eq!(writer.interface(interface, &mut file), Ok(i as u32));
        }
        for packet in &written {
            writer.packet(&packet.packet(), &mut file).unwrap();
        }
        for (i, interface) in interfaces.iter_mut().enumerate() {
            (interface.received, interface.dropped) = counts[i];
            writer.statistics(i as u32, interface, 5, &mut file).unwrap();
            // Longer names are cut between characters.
            let name = interface.name.take();
            interface.name = name.map(|name| name[..name.floor_char_boundary(255)].into());
        }
        let mut expected = written;
        for packet in &mut expected {
            packet.bytes.truncate(if snap_len == 0 { usize::MAX } else { snap_len as usize });
        }
        let found = read(&file, piece, batch);
        prop_assert_eq!(found.end, Ok(()));
        prop_assert_eq!(found.packets, expected);
        prop_assert_eq!(found.interfaces, interfaces);
    }

    #[test]
    fn any_bytes_are_read_alike_in_any_pieces(
        format in 0..5_usize,
        bytes in vec(prop_oneof![Just(0_u8), Just(1), Just(6), Just(32), any::<u8>()], 0..300),
        piece in 1..50_usize,
    ) {
        let mut file = match format {
            0 => vec![],
            1 => vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0],
            2 => vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4],
            _ => {
                let order = if format == 3 { ByteOrder::Little } else { ByteOrder::Big };
                let mut file = vec![];
                PcapngWriter::new(order, &mut file).interface(&interface(1), &mut file).unwrap();
                file
            }
        };
        file.extend(bytes);
        let whole = read_whole(&file);
        let pieces = read(&file, piece, 1);
        prop_assert_eq!(&whole.packets, &pieces.packets);
        prop_assert_eq!(&whole.interfaces, &pieces.interfaces);
        match (whole.end, pieces.end) {
            // Of what is missing, more is known when more was seen.
            (Err(FileError { offset: a, problem: Problem::Missing { has: x, .. } }),
             Err(FileError { offset: b, problem: Problem::Missing { has: y, .. } })) => {
                prop_assert_eq!((a, x), (b, y));
            }
            (whole, pieces) => prop_assert_eq!(whole, pieces),
        }
    }
}

#[test]
fn files_of_tools_are_read() {
    for (name, file) in samples() {
        let found = read_whole(&file);
        assert_eq!(found.end, Ok(()), "{name}");
        assert!(!found.packets.is_empty(), "{name}");
        assert_eq!(read(&file, 11, 1), found, "{name}");
    }

    let live = read_whole(&sample("live.pcapng"));
    let loopback = Interface {
        name: Some("lo".into()),
        snap_len: 80,
        received: Some(4),
        dropped: Some(0),
        ..interface(1)
    };
    assert_eq!(live.interfaces, [loopback]);
    let first = &live.packets[0];
    assert_eq!((first.at, first.bytes.len(), first.wire_len), (1_795_381_957_722_117_172, 80, 98));

    // Three sections: their interfaces are numbered on.
    let sections = read_whole(&sample("sections.pcapng"));
    let links: Vec<u16> = sections.interfaces.iter().map(|interface| interface.link.0).collect();
    assert_eq!(links, [1, 1, 1, 276, 1]);
    let counts = (0..5).map(|i| sections.packets.iter().filter(|packet| packet.interface == i).count());
    assert_eq!(counts.collect::<Vec<_>>(), [4, 8, 4, 4, 2]);
    assert!(sections.packets.iter().all(|packet| packet.link.0 == links[packet.interface as usize]));

    // The same packets in other variants of the format.
    let plain = read_whole(&sample("icmp-vlan.pcap")).packets;
    assert_eq!(read_whole(&sample("nano.pcap")).packets, plain);
    assert_eq!(read_whole(&sample("modified.pcap")).packets, plain);
}

#[test]
fn a_file_may_end_after_any_record_and_nowhere_else() {
    for (name, file) in samples() {
        let whole = read_whole(&file).packets;
        let ends = ends(&file);
        for len in 0..file.len() {
            let found = read(&file[..len], 300, 5);
            assert_eq!(found.packets, whole[..found.packets.len()], "{name} cut to {len}");
            let start = ends.iter().copied().take_while(|&end| end <= len).last().unwrap_or(0);
            if len == 0 {
                assert_eq!(found.error(), FileError { offset: 0, problem: Problem::Empty });
            } else if start == len {
                assert_eq!(found.end, Ok(()), "{name} cut to {len}");
            } else {
                let FileError { offset, problem } = found.error();
                assert_eq!(offset, start as u64, "{name} cut to {len}");
                let Problem::Missing { needs, has, part } = problem else { panic!("{problem}") };
                assert_eq!(has, (len - start) as u64, "{name} cut to {len}");
                let end = ends.iter().find(|&&end| end > len).unwrap();
                assert!(has < needs && needs <= (end - start) as u64, "{name} cut to {len}: {needs}");
                assert!(start > 0 || len < 4 || part != Part::Packet);
            }
            if file.len() < 4096 {
                assert_eq!(found.packets.len(), packets_within(&file, len), "{name} cut to {len}");
            }
        }
    }
}

#[test]
fn damage_leaves_what_was_before_it() {
    for (name, file) in samples().into_iter().filter(|(_, file)| file.len() < 4096) {
        let whole = read_whole(&file).packets;
        let ends = ends(&file);
        let mut errors = 0;
        for at in 0..file.len() {
            let start = ends.iter().copied().take_while(|&end| end <= at).last().unwrap_or(0);
            let before = packets_within(&file, start);
            for change in [1, 4, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= change;
                let found = read_whole(&damaged);
                assert!(found.packets.len() >= before, "{name} with byte {at} changed");
                if start > 0 {
                    assert_eq!(found.packets[..before], whole[..before], "{name} with byte {at} changed");
                }
                if let Err(error) = found.end {
                    errors += 1;
                    assert!(error.offset >= start as u64, "{name} with byte {at} changed: {error}");
                    assert!(error.offset <= file.len() as u64);
                }
                let pieces = read(&damaged, 60, 3);
                assert_eq!(pieces.packets, found.packets, "{name} with byte {at} changed");
                assert_eq!(
                    pieces.end.map_err(|error| error.offset),
                    found.end.map_err(|error| error.offset),
                    "{name} with byte {at} changed"
                );
            }
        }
        assert!(errors > 0, "{name}");
    }
}

/// A little-endian pcap file of one packet, and where its record begins.
fn pcap_of_one() -> (Vec<u8>, usize) {
    let mut file = Vec::new();
    let writer = PcapWriter::new(header(ByteOrder::Little), &mut file);
    let packet = Packet { bytes: &[7; 60], wire_len: 1500, at: 1, link: LinkType(1), interface: 0 };
    writer.packet(&packet, &mut file).unwrap();
    (file, 24)
}

#[test]
fn a_pcap_file_says_what_is_wrong_with_it() {
    let (sound, record) = pcap_of_one();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = sound.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read_whole(&file).error().to_string()
    };
    let huge = (2_u32 << 30).to_le_bytes();
    assert_eq!(
        with(record + 8, &huge),
        "byte 24: a packet of 2147483648 bytes is longer than the 262144 allowed"
    );
    assert_eq!(with(record + 8, &[61]), "byte 24: the packet needs 77 bytes or more, the file ends after 76");
    assert_eq!(with(4, &[1]), "byte 0: version 1.4 of the format is not known");
    assert_eq!(with(0, &[0]), "byte 0: neither pcap nor pcapng begins with 00 3c b2 a1");
    assert_eq!(
        read_whole(&sound[..10]).error().to_string(),
        "byte 0: the file header needs 24 bytes or more, the file ends after 10"
    );
    // The wire length is never less than what was captured.
    let mut file = sound.clone();
    file[record + 12..record + 16].fill(0);
    assert_eq!(read_whole(&file).packets[0].wire_len, 60);
    // A reader told to allow more does.
    let step = Reader::with_limit(10).next(&sound).unwrap();
    assert_eq!(step, Step::Passed { consumed: 24 });
    let mut reader = Reader::with_limit(u32::MAX);
    reader.next(&sound).unwrap();
    let mut file = sound[24..].to_vec();
    file[8..12].copy_from_slice(&huge);
    assert_eq!(reader.next(&file), Ok(Step::More { at_least: 16 + (2 << 30) }));
    assert_eq!(reader.format(), Some(Format::Pcap));
}

/// Blocks put together by hand.
struct Blocks {
    order: ByteOrder,
    file: Vec<u8>,
}

impl Blocks {
    fn new(order: ByteOrder) -> Self {
        let mut file = Vec::new();
        PcapngWriter::new(order, &mut file);
        Self { order, file }
    }

    fn u32(&self, number: u32) -> [u8; 4] {
        match self.order {
            ByteOrder::Little => number.to_le_bytes(),
            ByteOrder::Big => number.to_be_bytes(),
        }
    }

    fn u16(&self, number: u16) -> [u8; 2] {
        match self.order {
            ByteOrder::Little => number.to_le_bytes(),
            ByteOrder::Big => number.to_be_bytes(),
        }
    }

    fn words(&self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.u32(*word)).collect()
    }

    /// Appends a block and returns where it begins.
    fn add(&mut self, kind: u32, body: &[u8]) -> usize {
        let start = self.file.len();
        let length = body.len() as u32 + 12;
        let block = [&self.words(&[kind, length]), body, &self.u32(length)].concat();
        self.file.extend(block);
        start
    }

    fn interface(&mut self, link: u16, snap_len: u32, options: &[u8]) -> usize {
        let body = [&self.u16(link)[..], &[0, 0], &self.u32(snap_len), options].concat();
        self.add(1, &body)
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [&self.u16(code)[..], &self.u16(value.len() as u16), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn error(&self) -> String {
        let found = read_whole(&self.file);
        assert_eq!(read(&self.file, 13, 1), found);
        found.error().to_string()
    }
}

#[test]
fn packets_of_all_kinds_of_blocks_are_read() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let mut blocks = Blocks::new(order);
        blocks.interface(1, 6, &[]);
        let seconds = match order {
            ByteOrder::Little => 100_i64.to_le_bytes(),
            ByteOrder::Big => 100_i64.to_be_bytes(),
        };
        let options = [blocks.option(9, &[3]), blocks.option(14, &seconds), blocks.option(0, &[])].concat();
        blocks.interface(101, 0, &options);
        // A simple packet before any time, names, something of our own, then packets with and without a time.
        let simple = [&blocks.u32(9)[..], &[1, 2, 3, 4, 5, 6, 0, 0]].concat();
        blocks.add(3, &simple);
        blocks.add(4, &[0; 40]);
        blocks.add(0x8000_0bad, &[1; 16]);
        let fixed = blocks.words(&[1, 0, 2500, 3, 77]);
        let comment = blocks.option(1, b"comment");
        blocks.add(6, &[&fixed[..], &[9, 9, 9, 0], &comment].concat());
        let fixed = [&blocks.u16(0)[..], &blocks.u16(12345), &blocks.words(&[0, 1_000_001, 1, 1])].concat();
        blocks.add(2, &[&fixed[..], &[8, 0, 0, 0]].concat());
        blocks.add(3, &[&blocks.u32(2)[..], &[1, 2, 0, 0]].concat());
        // A section in the other order, with one interface.
        let other = if order == ByteOrder::Little { ByteOrder::Big } else { ByteOrder::Little };
        let mut second = Blocks::new(other);
        second.interface(113, 0, &[]);
        second.add(6, &second.words(&[0, 0, 7, 0, 0]));
        blocks.file.extend(second.file);

        let found = read_whole(&blocks.file);
        assert_eq!(found.end, Ok(()));
        let packets: Vec<(&[u8], i64, u32, u32, u16)> = found
            .packets
            .iter()
            .map(|packet| (&packet.bytes[..], packet.at, packet.wire_len, packet.interface, packet.link.0))
            .collect();
        let expected: [(&[u8], i64, u32, u32, u16); 5] = [
            (&[1, 2, 3, 4, 5, 6], 0, 9, 0, 1),
            (&[9, 9, 9], 102_500_000_000, 77, 1, 101),
            (&[8], 1_000_001_000, 1, 0, 1),
            (&[1, 2], 1_000_001_000, 2, 0, 1),
            (&[], 7000, 0, 2, 113),
        ];
        assert_eq!(packets, expected);
        assert_eq!(read(&blocks.file, 1, 1), found);
    }
}

#[test]
fn a_pcapng_file_says_what_is_wrong_with_it() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let sound = || {
            let mut blocks = Blocks::new(order);
            let at = blocks.interface(1, 0, &[]);
            assert_eq!(at, 28);
            blocks
        };
        let enhanced = |blocks: &mut Blocks, interface, captured| {
            let body = [blocks.words(&[interface, 0, 0, captured, 9]), vec![0; 12]].concat();
            assert_eq!(blocks.add(6, &body), 48);
        };

        let mut blocks = sound();
        enhanced(&mut blocks, 0, 13);
        assert_eq!(blocks.error(), "byte 48: a packet of 13 bytes in a block with room for 12");
        let mut blocks = sound();
        enhanced(&mut blocks, 0, 2 << 30);
        assert_eq!(blocks.error(), "byte 48: a packet of 2147483648 bytes is longer than the 262144 allowed");
        let mut blocks = sound();
        enhanced(&mut blocks, 1, 0);
        assert_eq!(blocks.error(), "byte 48: interface 1 of a section that described 1");

        let mut blocks = sound();
        enhanced(&mut blocks, 0, 12);
        let end = blocks.file.len();
        let wrong = blocks.u32(45);
        blocks.file[end - 4..].copy_from_slice(&wrong);
        assert_eq!(blocks.error(), "byte 48: a block of 44 bytes ends with the length 45");
        blocks.file[52..56].copy_from_slice(&wrong);
        assert_eq!(blocks.error(), "byte 48: 45 bytes are no possible length of a block of type 0x6");
        let wrong = blocks.u32(1 << 31);
        blocks.file[52..56].copy_from_slice(&wrong);
        assert_eq!(blocks.error(), "byte 48: 2147483648 bytes are no possible length of a block of type 0x6");

        // Something unknown is passed over, but has to end well.
        let mut blocks = sound();
        assert_eq!(blocks.add(77, &[0; 100]), 48);
        let end = blocks.file.len();
        blocks.file[end - 2] ^= 1;
        let trailer = if order == ByteOrder::Little { 112 + (1 << 16) } else { 112 + (1 << 8) };
        assert_eq!(blocks.error(), format!("byte 48: a block of 112 bytes ends with the length {trailer}"));
        blocks.file.truncate(end - 2);
        assert_eq!(blocks.error(), "byte 48: the block needs 112 bytes or more, the file ends after 110");
        let mut blocks = sound();
        let short = blocks.words(&[77, 8, 8]);
        blocks.file.extend(short);
        assert_eq!(blocks.error(), "byte 48: 8 bytes are no possible length of a block of type 0x4d");

        // A section of another version, and one without an order.
        let mut blocks = sound();
        let next = Blocks::new(order);
        blocks.file.extend(&next.file);
        blocks.file[48 + 12..48 + 14].copy_from_slice(&next.u16(9));
        assert_eq!(blocks.error(), "byte 48: version 9.0 of the format is not known");
        blocks.file[48 + 8..48 + 12].fill(0xab);
        assert_eq!(blocks.error(), "byte 48: ab ab ab ab is no byte-order magic");

        // Options that would change what times mean.
        let mut blocks = sound();
        let option = blocks.option(9, &[6, 6]);
        blocks.interface(1, 0, &option);
        assert_eq!(blocks.error(), "byte 48: option 9 of an interface has an impossible length of 2");
        let mut blocks = sound();
        let option = [blocks.u16(2), blocks.u16(500)].concat();
        blocks.interface(1, 0, &option);
        assert_eq!(blocks.error(), "byte 48: option 2 of an interface has an impossible length of 500");
    }
}

#[test]
fn long_blocks_need_no_long_buffer() {
    let mut blocks = Blocks::new(ByteOrder::Little);
    blocks.interface(1, 0, &[]);
    blocks.add(10, &vec![0; 10 << 20]);
    blocks.add(5, &vec![0; 1 << 20]); // statistics with more options than anybody has
    blocks.add(6, &blocks.words(&[0, 0, 0, 0, 0]));
    let found = read(&blocks.file, 100_000, 8); // checks how much is asked for
    assert_eq!((found.end, found.packets.len()), (Ok(()), 1));
}

#[test]
fn interfaces_are_bounded() {
    let mut blocks = Blocks::new(ByteOrder::Little);
    for _ in 0..65_537 {
        blocks.interface(1, 0, &[]);
    }
    let found = read_whole(&blocks.file);
    assert_eq!(found.interfaces.len(), 65_536);
    assert_eq!(found.error(), FileError { offset: 28 + 65_536 * 20, problem: Problem::Interfaces });
}

#[test]
fn an_error_comes_after_the_packets_and_stays() {
    let (mut file, _) = pcap_of_one();
    let record = file[24..].to_vec();
    file.extend(&record);
    file.extend([0xff; 16]);
    let mut reader = Reader::new();
    let mut packets = [Packet::default(); 4];
    let filled = reader.fill(&file, &mut packets).unwrap();
    assert_eq!((filled.packets, filled.consumed, filled.at_least), (2, 176, 0));
    let error = reader.fill(&file[176..], &mut packets).unwrap_err();
    assert_eq!(error.offset, 176);
    assert_eq!(reader.fill(&file[176..], &mut packets), Err(error));
    assert_eq!(reader.next(&file[176..]), Err(error));
}

#[test]
fn what_a_format_cannot_say_is_not_written() {
    let packet = Packet { bytes: &[1], wire_len: 1, at: 0, interface: 0, link: LinkType(1) };
    let mut out = Vec::new();
    let pcap = PcapWriter::new(header(ByteOrder::Little), &mut out);
    let mut pcapng = PcapngWriter::new(ByteOrder::Little, &mut out);
    assert_eq!(pcapng.packet(&packet, &mut out), Err(WriteError::Interface(0)));
    pcapng.interface(&interface(1), &mut out).unwrap();
    let len = out.len();

    let other = Packet { link: LinkType(2), ..packet };
    let link = WriteError::Link { packet: LinkType(2), file: LinkType(1) };
    assert_eq!(pcap.packet(&other, &mut out), Err(link));
    assert_eq!(pcapng.packet(&other, &mut out), Err(link));
    let early = Packet { at: -1, ..packet };
    assert_eq!(pcap.packet(&early, &mut out), Err(WriteError::Time(-1)));
    assert_eq!(pcapng.packet(&early, &mut out), Err(WriteError::Time(-1)));
    let late = Packet { at: (1 << 32) * 1_000_000_000, ..packet };
    assert_eq!(pcap.packet(&late, &mut out), Err(WriteError::Time(late.at)));
    assert_eq!(pcapng.statistics(1, &interface(1), 0, &mut out), Err(WriteError::Interface(1)));
    assert_eq!(out.len(), len);
    assert_eq!(pcapng.packet(&late, &mut out), Ok(()));

    // No file is written that others refuse to read.
    let long = vec![0; MAX_PACKET as usize + 1];
    let mut file = Vec::new();
    let pcap = PcapWriter::new(header(ByteOrder::Little), &mut file);
    pcap.packet(&Packet { bytes: &long, ..packet }, &mut file).unwrap();
    let found = read_whole(&file);
    assert_eq!(found.packets[0].bytes.len(), MAX_PACKET as usize);
    assert_eq!(found.packets[0].wire_len, MAX_PACKET + 1);
}
