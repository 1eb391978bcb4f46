//! Capture files as Wireshark's tools see them: what we read, and what we write.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

use std::path::{Path, PathBuf};
use std::process::Command;

use skydive_packet::LinkType;
use skydive_packet::file::{
    ByteOrder, Interface, Packet, PcapHeader, PcapWriter, PcapngWriter, Precision, Reader, Step,
};

/// What tshark says of a packet: time, length on the wire, length captured.
type Seen = (String, u32, usize);

fn tshark(file: &Path) -> Vec<Vec<String>> {
    let output = Command::new("tshark")
        .args(["-n", "-r"])
        .arg(file)
        .args(["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len"])
        .args(["-e", "frame.interface_name"])
        .output()
        .expect("tshark is installed by scripts/setup-tests.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').map(ToOwned::to_owned).collect()).collect()
}

fn theirs(file: &Path) -> Vec<Seen> {
    let packets = tshark(file).into_iter();
    packets.map(|row| (row[0].clone(), row[1].parse().unwrap(), row[2].parse().unwrap())).collect()
}

fn ours(file: &[u8], mut seen: impl FnMut(&Packet<'_>)) -> Vec<Seen> {
    let mut reader = Reader::new();
    let (mut at, mut found) = (0, Vec::new());
    loop {
        match reader.next(&file[at..]).unwrap() {
            Step::Packet { packet, consumed } => {
                let (seconds, nanos) = (packet.at / 1_000_000_000, packet.at % 1_000_000_000);
                found.push((format!("{seconds}.{nanos:09}"), packet.wire_len, packet.bytes.len()));
                seen(&packet);
                at += consumed;
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => break,
        }
    }
    reader.end(file.len() - at).unwrap();
    found
}

fn samples() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    ["files", "pcaps"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn tshark_reads_the_same_packets() {
    for path in samples() {
        let file = std::fs::read(&path).unwrap();
        assert_eq!(ours(&file, |_| ()), theirs(&path), "{}", path.display());
    }
}

#[test]
fn tshark_reads_what_we_write() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let ping = std::fs::read(data.join("files/live.pcapng")).unwrap();
    let cooked = std::fs::read(data.join("files/cooked.pcap")).unwrap();

    for order in [ByteOrder::Little, ByteOrder::Big] {
        for precision in [Precision::Micro, Precision::Nano] {
            let mut file = Vec::new();
            let header = PcapHeader { link: LinkType(1), snap_len: 64, precision, order };
            let writer = PcapWriter::new(header, &mut file);
            let expected = ours(&ping, |packet| writer.packet(packet, &mut file).unwrap());
            let path = folder.join(format!("written-{order:?}-{precision:?}.pcap"));
            std::fs::write(&path, &file).unwrap();
            let found = theirs(&path);
            assert_eq!(found, ours(&file, |_| ()), "{order:?} {precision:?}");
            assert!(found.iter().all(|(_, wire_len, captured)| (*wire_len, *captured) == (98, 64)));
            if precision == Precision::Nano {
                assert!(found.iter().map(|seen| &seen.0).eq(expected.iter().map(|seen| &seen.0)));
            }
        }

        let mut file = Vec::new();
        let mut writer = PcapngWriter::new(order, &mut file);
        let interface = |name: &str, link, received| Interface {
            name: Some(name.into()),
            link: LinkType(link),
            snap_len: 0,
            received: Some(received),
            dropped: Some(3),
        };
        let interfaces = [interface("eth0", 1, 4), interface("any é", 276, 4)];
        for interface in &interfaces {
            writer.interface(interface, &mut file).unwrap();
        }
        let mut expected = ours(&ping, |packet| writer.packet(packet, &mut file).unwrap());
        expected.extend(ours(&cooked, |packet| {
            writer.packet(&Packet { interface: 1, ..*packet }, &mut file).unwrap();
        }));
        for (number, interface) in (0..).zip(&interfaces) {
            writer.statistics(number, interface, 1_795_381_958_000_000_000, &mut file).unwrap();
        }
        let path = folder.join(format!("written-{order:?}.pcapng"));
        std::fs::write(&path, &file).unwrap();
        assert_eq!(theirs(&path), expected, "{order:?}");
        let names: Vec<String> = tshark(&path).into_iter().map(|row| row[3].clone()).collect();
        assert_eq!(names[..5], ["eth0", "eth0", "eth0", "eth0", "any é"]);

        // capinfos reads every block and complains about wrong ones.
        let output = Command::new("capinfos").args(["-c", "-I"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches("Number of stat entries = 1").count(), 2, "{text}");
        assert!(text.contains("Number of packets:   8"), "{text}");
    }
}
