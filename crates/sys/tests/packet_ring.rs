//! Rings on real interfaces: what comes out is what went over the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::time::Duration;

use skydive_sys::{
    Attachment, EnterError, FilterInstruction, LinkLayer, Namespaces, NsRef, PacketRing, RingConfig,
    RingError,
};
use skydive_testnet::{Netns, eventually, require_root, veth_pair};

const SOON: Duration = Duration::from_secs(10);
/// `ret #65535`.
const ALL: [FilterInstruction; 1] = [FilterInstruction { code: 6, jt: 0, jf: 0, k: 65535 }];
/// IPv4 with the protocol ICMP.
const ICMP: [FilterInstruction; 6] = [
    FilterInstruction { code: 0x28, jt: 0, jf: 0, k: 12 },
    FilterInstruction { code: 0x15, jt: 0, jf: 3, k: 0x800 },
    FilterInstruction { code: 0x30, jt: 0, jf: 0, k: 23 },
    FilterInstruction { code: 0x15, jt: 0, jf: 1, k: 1 },
    FilterInstruction { code: 6, jt: 0, jf: 0, k: 65535 },
    FilterInstruction { code: 6, jt: 0, jf: 0, k: 0 },
];

/// Two namespaces, 10.99.0.1 and 10.99.0.2, joined by `va` and `vb`.
fn pair() -> (Netns, Netns) {
    let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
    veth_pair(&a, "va", &b, "vb").unwrap();
    a.ip(&["addr", "add", "10.99.0.1/24", "dev", "va"]).unwrap();
    b.ip(&["addr", "add", "10.99.0.2/24", "dev", "vb"]).unwrap();
    (a, b)
}

fn index(netns: &Netns, link: &str) -> u32 {
    netns.ip(&["-o", "link", "show", "dev", link]).unwrap().split(':').next().unwrap().parse().unwrap()
}

fn config(interface: u32) -> RingConfig {
    RingConfig { interface, bytes: 1 << 20, retire: Duration::from_millis(20), is_promiscuous: false }
}

fn open(netns: &Netns, link: &str) -> PacketRing {
    let namespaces = Namespaces::start().unwrap();
    PacketRing::open(&namespaces, &NsRef::Path(netns.path()), &config(index(netns, link))).unwrap()
}

/// Reads frames until there are `count`: their bytes, lengths on the wire, and whether they had a tag.
fn read(ring: &mut PacketRing, count: usize) -> Vec<(Vec<u8>, u32, bool)> {
    let mut all = Vec::new();
    eventually("frames", SOON, || {
        while let Some(mut block) = ring.next_block() {
            all.extend(block.frames().map(|frame| (frame.bytes.to_vec(), frame.wire_len, frame.is_tagged)));
        }
        (all.len() >= count).then_some(())
    })
    .unwrap();
    all
}

#[test]
fn every_packet_that_passes_is_there_with_its_time() {
    if !require_root() {
        return;
    }
    let (a, b) = pair();
    let mut ring = open(&b, "vb");
    assert_eq!(ring.link(), LinkLayer::Ethernet);
    a.exec(&["ping", "-c1", "-W5", "10.99.0.2"]).unwrap();
    ring.take(&ICMP).unwrap();
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64;
    a.exec(&["ping", "-f", "-c100", "-s200", "10.99.0.2"]).unwrap();
    ring.shut().unwrap();
    a.exec(&["ping", "-c1", "-W5", "10.99.0.2"]).unwrap();

    let mut times = Vec::new();
    eventually("200 frames", SOON, || {
        while let Some(mut block) = ring.next_block() {
            assert_eq!(block.frames().count(), block.packets() as usize);
            for frame in block.frames() {
                assert_eq!((frame.bytes.len(), frame.wire_len, frame.is_tagged), (242, 242, false));
                times.push(frame.at);
            }
        }
        (times.len() >= 200).then_some(())
    })
    .unwrap();
    let after = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i64;
    assert_eq!(times.len(), 200);
    assert!(times.iter().all(|at| (before..after).contains(at)), "{before} {times:?} {after}");
    let counted = ring.statistics().unwrap();
    assert_eq!((counted.packets, counted.drops), (200, 0));
    assert_eq!(ring.statistics().unwrap().packets, 0, "asking takes them");
}

#[test]
fn a_tag_that_the_kernel_took_out_is_put_back() {
    if !require_root() {
        return;
    }
    let (a, b) = pair();
    let mut ring = open(&b, "vb");
    ring.take(&ALL).unwrap();
    // The frame's second tag stays where it is, the first is what the kernel takes out.
    let script = "import socket,sys
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW)
s.bind(('va',0))
for t in ('8100006408004500','88a80065810000660800'):
    s.send(bytes.fromhex('0200000000020200000000ee'+t)+bytes(60))";
    a.exec(&["python3", "-c", script]).unwrap();
    let frames: Vec<_> =
        read(&mut ring, 2).into_iter().filter(|(bytes, ..)| bytes.get(11) == Some(&0xee)).collect();
    let [(first, first_len, first_tagged), (second, second_len, _)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert!(first_tagged);
    assert_eq!(first[..20], *b"\x02\0\0\0\0\x02\x02\0\0\0\0\xee\x81\0\0\x64\x08\0\x45\0");
    assert_eq!((first.len(), *first_len), (80, 80));
    assert_eq!(second[12..22], *b"\x88\xa8\0\x65\x81\0\0\x66\x08\0");
    assert_eq!((second.len(), *second_len), (82, 82));
}

#[test]
fn rings_that_share_an_interface_see_each_packet_once() {
    if !require_root() {
        return;
    }
    let (a, b) = pair();
    let (mut first, mut second) = (open(&b, "vb"), open(&b, "vb"));
    let fanout = first.fan_out().unwrap();
    second.join(fanout).unwrap();
    let udp: Vec<_> =
        ICMP.iter().map(|i| FilterInstruction { k: if i.k == 1 { 17 } else { i.k }, ..*i }).collect();
    first.take(&udp).unwrap();
    second.take(&udp).unwrap();
    let script = "import socket
for port in range(4000,4400):
    s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.sendto(b'x',('10.99.0.2',port)); s.close()";
    a.exec(&["python3", "-c", script]).unwrap();
    let mut counts = [0, 0];
    eventually("400 packets", SOON, || {
        for (ring, count) in [&mut first, &mut second].into_iter().zip(&mut counts) {
            while let Some(mut block) = ring.next_block() {
                *count += block.frames().count();
            }
        }
        (counts[0] + counts[1] >= 400).then_some(())
    })
    .unwrap();
    assert_eq!(counts[0] + counts[1], 400);
    assert!(counts[0] > 50 && counts[1] > 50, "{counts:?}");
}

#[test]
fn each_packet_of_the_loopback_comes_once() {
    if !require_root() {
        return;
    }
    let here = Netns::with_loopback("lo").unwrap();
    let mut ring = open(&here, "lo");
    ring.take(&ICMP).unwrap();
    here.exec(&["ping", "-c5", "-i0.01", "127.0.0.1"]).unwrap();
    ring.shut().unwrap();
    assert_eq!(read(&mut ring, 10).len(), 10);
    assert_eq!(ring.statistics().unwrap().packets, 10);
}

#[test]
fn an_interface_without_ethernet_gives_packets_from_the_network_layer_on() {
    if !require_root() {
        return;
    }
    let here = Netns::new("tun").unwrap();
    here.batch("tuntap add t0 mode tun\naddr add 10.98.0.1/24 dev t0\nlink set t0 up\n").unwrap();
    let script = "import fcntl,os,struct,subprocess
f=os.open('/dev/net/tun',os.O_RDWR); fcntl.ioctl(f,0x400454ca,struct.pack('16sH22x',b't0',0x1001))
subprocess.run(['ping','-c3','-i0.01','-W1','10.98.0.2'])";
    let mut ring = open(&here, "t0");
    assert_eq!(ring.link(), LinkLayer::Network);
    ring.take(&ALL).unwrap();
    let _ = here.exec(&["python3", "-c", script]);
    let frames = read(&mut ring, 3);
    let pings: Vec<_> = frames.iter().filter(|(bytes, ..)| bytes[0] == 0x45).collect();
    assert!(
        pings.len() == 3 && pings.iter().all(|(bytes, wire_len, _)| (bytes.len(), *wire_len) == (84, 84))
    );
}

#[test]
fn what_cannot_be_opened_says_why() {
    if !require_root() {
        return;
    }
    let namespaces = Namespaces::start().unwrap();
    let here = Netns::with_loopback("err").unwrap();
    let place = NsRef::Path(here.path());
    let error = PacketRing::open(&namespaces, &place, &config(4711)).unwrap_err();
    assert_eq!(error.to_string(), "no interface 4711");
    let huge = RingConfig { bytes: 1 << 50, ..config(1) };
    let error = PacketRing::open(&namespaces, &place, &huge).unwrap_err();
    assert!(matches!(error, RingError::NoMemory { .. }), "{error}");
    let ring = PacketRing::open(&namespaces, &place, &config(1)).unwrap();
    let bad = [FilterInstruction { code: 0x28, jt: 0, jf: 0, k: 12 }];
    assert!(matches!(ring.take(&bad), Err(RingError::Filter(_))));
    let gone = NsRef::Path(here.path().with_extension("gone"));
    let error = PacketRing::open(&namespaces, &gone, &config(1)).unwrap_err();
    assert!(matches!(error, RingError::Enter(EnterError::Open(..))), "{error}");
}

#[test]
fn an_interface_that_goes_is_told_from_one_that_is_down() {
    if !require_root() {
        return;
    }
    let (a, b) = pair();
    let mut ring = open(&b, "vb");
    ring.take(&ICMP).unwrap();
    b.ip(&["link", "set", "vb", "down"]).unwrap();
    assert_eq!(ring.error().unwrap().raw_os_error(), Some(100), "ENETDOWN");
    assert_eq!((ring.attachment().unwrap(), ring.is_up().unwrap()), (Attachment::There, false));
    assert!(ring.error().is_none(), "told once");
    b.ip(&["link", "set", "vb", "up"]).unwrap();
    eventually("an answer", SOON, || a.exec(&["ping", "-c1", "-W1", "10.99.0.2"]).ok()).unwrap();
    read(&mut ring, 2);
    assert!(ring.is_up().unwrap());
    b.ip(&["link", "del", "vb"]).unwrap();
    assert_eq!(ring.error().unwrap().raw_os_error(), Some(100), "ENETDOWN");
    assert_eq!(ring.attachment().unwrap(), Attachment::Gone);
}
