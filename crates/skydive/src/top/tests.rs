//! Keys, rates and what a terminal shows of them.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use skydive_flow::{Flow, FlowTable, Process, Processes, TableConfig};
use skydive_packet::LinkType;
use skydive_packet::file::Packet;
use skydive_value::Coverage;

use super::model::{InterfaceRow, Nodes, Order, Rate};
use super::*;

/// A UDP packet over IPv4 from 10.0.0.1, with a payload of so many bytes.
fn packet(port: u16, payload: usize) -> Vec<u8> {
    let udp = 8 + payload as u16;
    let mut bytes = [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]].concat();
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend((20 + udp).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([4000u16.to_be_bytes(), port.to_be_bytes(), udp.to_be_bytes(), [0, 0]].concat());
    bytes.resize(bytes.len() + payload, 0);
    bytes
}

/// Flows of packets to ports; each of them has as many packets of 100 bytes as is said.
fn flows(counts: &[(u16, u64)], node: &str) -> Vec<Flow> {
    let mut table = FlowTable::new(TableConfig { node_tid: node.into(), ..TableConfig::default() });
    for (port, packets) in counts {
        for at in 0..*packets {
            let bytes = packet(*port, 58);
            let packet = Packet {
                bytes: &bytes,
                at: (1_000 + at as i64) * 1_000_000,
                wire_len: 100,
                interface: 0,
                link: LinkType::ETHERNET,
            };
            table.packets(&[packet], |_, _| ());
        }
    }
    table.flows_from(0).map(|(_, flow)| flow.to_flow()).collect()
}

fn model(second: &[(u16, u64)]) -> Model {
    let mut model = Model::default();
    let captured = [("tid".into(), "h:eth0".to_owned())].into_iter().collect();
    let interfaces = vec![InterfaceRow {
        name: "eth0".to_owned(),
        place: "h".to_owned(),
        received: Rate { bytes: 1_500_000.0, packets: 9.0 },
        ..InterfaceRow::default()
    }];
    let nodes = Some(Nodes { interfaces, captured });
    let first = Sample { at: 1.0, flows: flows(&[(53, 10), (80, 10)], "tid"), nodes, ..Sample::default() };
    model.take(first, Order::Bytes);
    let coverage = Coverage { asked: 2, answered: 1, silent: vec!["h2".into()], ..Coverage::default() };
    model.take(Sample { at: 3.0, flows: flows(second, "tid"), nodes: None, coverage }, Order::Bytes);
    model
}

fn key(code: KeyCode) -> Event {
    Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn drawn(model: &Model, look: &mut Look) -> String {
    let mut terminal = Terminal::new(TestBackend::new(160, 12)).unwrap();
    let saying = Saying { server: "analyzer:8082".to_owned(), ..Saying::default() };
    terminal.draw(|frame| screen::draw(frame, model, look, &saying)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn rates_are_the_difference_of_two_samples() {
    let model = model(&[(53, 10), (80, 30)]);
    let rates: Vec<_> = model.flows.iter().map(|row| (row.flow.transport.unwrap().b, row.rate)).collect();
    let busy = Rate { bytes: 1000.0, packets: 10.0 };
    assert_eq!(rates, [(80, busy), (53, Rate::default())]);
    assert_eq!(model.rate, busy);
}

#[test]
fn a_conversation_seen_twice_is_there_once() {
    let mut model = Model::default();
    let mut both = flows(&[(53, 5)], "one");
    both.extend(flows(&[(53, 7)], "two").into_iter().map(|mut flow| {
        flow.uuid.0 += 1;
        flow
    }));
    model.take(Sample { at: 1.0, flows: both, ..Sample::default() }, Order::Bytes);
    let shown: Vec<_> = model.flows.iter().map(|row| row.flow.node_tid.as_str()).collect();
    assert_eq!(shown, ["two"]);
}

#[test]
fn keys_change_what_is_shown() {
    let mut model = model(&[(53, 10), (80, 30)]);
    let mut look = Look::default();
    let text = drawn(&model, &mut look);
    assert!(text.contains("1.0 kB") && text.contains("10.0.0.2:80"), "{text}");
    assert!(text.contains("h:eth0") && text.contains("1 of 2 sources answered (silent: h2)"), "{text}");
    for (code, expected) in [
        (KeyCode::Char('2'), "1.5 MB"),
        (KeyCode::Tab, "process"),
        (KeyCode::Char('?'), "pause"),
        (KeyCode::Esc, "process"),
        (KeyCode::Char('1'), "10.0.0.2:53"),
        (KeyCode::Down, "10.0.0.2:53"),
        (KeyCode::Enter, "\"LayersPath\""),
        (KeyCode::Enter, "10.0.0.2:53"),
        (KeyCode::Char('/'), "/_"),
        (KeyCode::Char(':'), "/:_"),
        (KeyCode::Char('8'), "/:8_"),
        (KeyCode::Enter, "/ to change"),
    ] {
        assert!(obey(&key(code), &mut look, &mut model) == Go::On);
        let text = drawn(&model, &mut look);
        assert!(text.contains(expected), "{code:?}: {text}");
    }
    let text = drawn(&model, &mut look);
    assert!(!text.contains("10.0.0.2:53"), "only what was searched for is shown: {text}");
    assert!(obey(&key(KeyCode::Esc), &mut look, &mut model) == Go::On);
    assert!(obey(&key(KeyCode::Char('s')), &mut look, &mut model) == Go::On);
    assert_eq!(look.order, Order::Packets);
    assert!(obey(&key(KeyCode::Char('q')), &mut look, &mut model) == Go::Away);
}

#[test]
fn who_has_no_capture_is_told_how_to_begin_one() {
    let text = drawn(&Model::default(), &mut Look::default());
    assert!(text.contains("skydive client capture create"), "{text}");
}

/// A server and its client on one host, both of one name.
#[test]
fn what_speaks_with_itself_is_counted_once() {
    let mut all = flows(&[(5201, 10)], "tid");
    let process = Process { name: "iperf3".into(), ..Process::default() };
    all[0].process = Processes { a: Some(process.clone().into()), b: Some(process.into()) };
    let mut model = Model::default();
    model.take(Sample { at: 1.0, flows: all, ..Sample::default() }, Order::Bytes);
    let [row] = &model.processes[..] else { panic!("{:?}", model.processes) };
    assert_eq!((row.name.as_str(), row.flows, row.total), ("iperf3", 1, 1000));
    assert_eq!((row.sent, row.received), (row.received, row.sent));
}
