//! A file that is sent gives the flows of the same file read offline.

use std::io::Write;
use std::net::TcpStream;

use skydive_capture::{CaptureConfig, CaptureState, Captures};
use skydive_flow::{Flow, FlowId, FlowTable, Metric};
use skydive_packet::LinkType;
use skydive_packet::file::{ByteOrder, Packet, PcapHeader, PcapWriter, Precision, Reader, Step};
use skydive_packet::filter::compile;
use skydive_sys::{Namespaces, NsRef};
use skydive_testnet::Traffic;
use skydive_value::Timestamp;

use crate::rig::{captures, status, stop};

/// Times of tunnels, DNS, TCP and so on, told so that files can be short: a packet each 20 microseconds.
fn capture_file() -> Vec<u8> {
    let mut original = Vec::new();
    Traffic { packets: 12_000, conversations: 1000, ..Traffic::tunnels() }.write(&mut original).unwrap();
    let header = PcapHeader {
        link: LinkType::ETHERNET,
        snap_len: 0,
        precision: Precision::Nano,
        order: ByteOrder::Little,
    };
    let mut file = Vec::new();
    let writer = PcapWriter::new(header, &mut file);
    let mut at = 1_700_000_000_000_000_000;
    each(&original, |packet| {
        at += 20_000;
        writer.packet(&Packet { at, ..packet }, &mut file).unwrap();
    });
    file
}

fn each(file: &[u8], mut see: impl FnMut(Packet<'_>)) {
    let (mut reader, mut at) = (Reader::new(), 0);
    loop {
        match reader.next(&file[at..]).unwrap() {
            Step::Packet { packet, consumed } => {
                at += consumed;
                see(packet);
            }
            Step::Passed { consumed } => at += consumed,
            Step::More { .. } => return,
        }
    }
}

/// Flows without what depends on the time of day, in an order of their own.
fn timeless(flows: impl IntoIterator<Item = Flow>) -> Vec<String> {
    let mut all: Vec<_> = flows
        .into_iter()
        .map(|mut flow| {
            let Flow { uuid, parent, start, last, metric, last_update, .. } = &mut flow;
            *uuid = FlowId(0);
            *parent = parent.map(|_| FlowId(0));
            (*start, *last, *last_update) = (Timestamp::EPOCH, Timestamp::EPOCH, None);
            *metric = Metric { start: Timestamp::EPOCH, last: Timestamp::EPOCH, ..*metric };
            format!("{flow:?}")
        })
        .collect();
    all.sort_unstable();
    all
}

fn config(filter: &str) -> CaptureConfig {
    let mut config = CaptureConfig::new("pcapsocket", NsRef::Here, 0);
    config.filter = filter.into();
    config.listen.ports = 0..=0;
    config
}

fn threads() -> (Captures, crate::rig::Told) {
    captures(1, &Namespaces::start().unwrap())
}

#[test]
fn flows_are_those_of_the_file() {
    let file = capture_file();
    for filter in ["", "udp port 4789 or ip proto 47"] {
        let mut table = FlowTable::new(config(filter).table);
        let program = compile(filter, LinkType::ETHERNET, 0).unwrap();
        each(&file, |packet| {
            if program.run(packet.bytes, packet.wire_len) > 0 {
                table.packets(&[packet], |_, _| panic!("nothing has to go"));
            }
        });
        let packets = table.counters().packets;
        let mut offline = Vec::new();
        table.finish(|flow, _| offline.push(flow.to_flow()));
        let offline = timeless(offline);

        let (captures, told) = threads();
        let capture = captures.begin(&config(filter)).unwrap();
        let mut stream = TcpStream::connect(capture.listens_at().unwrap()).unwrap();
        stream.write_all(&file).unwrap();
        drop(stream);
        status(&capture, "all packets", |status| status.counters.accounted == packets);
        let counters = stop(capture).counters;
        assert_eq!((counters.received, counters.damaged), (packets, 0));
        let flows = told.until("all flows", |flows| flows.len() >= offline.len());
        let first = flows.iter().map(|flow| flow.start).min().unwrap();
        assert!(first.as_millis() > 1_700_000_100_000, "times are those of now");
        let live = timeless(flows);
        assert_eq!(live.len(), offline.len(), "{filter}");
        assert!(
            live == offline,
            "{filter}: {:?}",
            live.iter().zip(&offline).find(|(live, offline)| live != offline)
        );
    }
}

#[test]
fn what_is_no_file_is_counted_and_others_go_on() {
    let (captures, _told) = threads();
    let capture = captures.begin(&config("")).unwrap();
    let at = capture.listens_at().unwrap();
    let file = capture_file();
    let mut silent: Vec<_> = (0..3).map(|_| TcpStream::connect(at).unwrap()).collect();
    TcpStream::connect(at).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    TcpStream::connect(at).unwrap().write_all(&file[..file.len() - 1]).unwrap();
    silent[1].write_all(&file).unwrap();
    let status = status(&capture, "damage", |status| {
        status.counters.damaged == 2 && status.counters.accounted == 2 * 12_000 - 1
    });
    assert!(matches!(status.state, CaptureState::Active));
    // More than are taken at a time wait, and have their turn.
    let more: Vec<_> = (0..12).map(|_| TcpStream::connect(at).unwrap()).collect();
    drop((silent, more));
    TcpStream::connect(at).unwrap().write_all(&file).unwrap();
    crate::rig::counted(&capture, 3 * 12_000 - 1);
    stop(capture);
}

#[test]
fn a_port_that_is_taken_is_not_taken_again() {
    let (captures, _told) = threads();
    let first = captures.begin(&config("")).unwrap();
    let port = first.listens_at().unwrap().port();
    let mut same = config("");
    same.listen.ports = port..=port;
    let error = captures.begin(&same).unwrap_err();
    assert_eq!(error.to_string(), format!("no port of 127.0.0.1 from {port} to {port} can be listened at"));
    stop(first);
    stop(captures.begin(&same).unwrap());
}
