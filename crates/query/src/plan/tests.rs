//! Random queries over random graphs: pushing work down changes no answer.

use std::sync::LazyLock;

use proptest::prelude::*;
use skydive_flow::{ExtraLayers, FlowSet, Replay, TableConfig};
use skydive_graph::{Edge, Graph, Mutation, Node, Source};
use skydive_packet::file::{Packet, Reader};
use skydive_value::{Map, Value};

use super::*;
use crate::run::run_with;
use crate::{Cx, Limits, Rows, STEPS, Slot, StepDef, View, parse};

#[path = "../../tests/flows/tables.rs"]
mod tables;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Decisions, taken one by one; the first of each kind when there are none left.
struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn graph(dice: &mut Dice) -> View {
    let source = Source::of("agent", "h");
    let mut graph = Graph::new();
    let mut add = |mutation| drop(graph.apply(mutation, NOW, &mut Vec::new()));
    let nodes = 2 + dice.below(9);
    for n in 0..nodes {
        let mut metadata = Map::new();
        metadata.insert("Name", dice.pick(&["eth0", "eth1", "br0", "7"]));
        metadata.insert("Type", dice.pick(&["host", "veth", "bridge"]));
        metadata.insert("TID", dice.pick(&["t1", "t2", "t3"]));
        metadata.insert("MAC", dice.pick(&["fa:16:3e:29:e0:82", "fa:16:3e:96:06:e8"]));
        metadata.insert(
            "PeerIntfMAC",
            dice.pick(&["fa:16:3e:29:e0:82", "fa:16:3e:96:06:e8", "00:00:00:00:00:00"]),
        );
        for key in ["MTU", "Up", "List", "LastUpdateMetric", "Sockets"] {
            let number = dice.below(9) as i64;
            let counted = || -> Map {
                [("Start", 0), ("Last", number * 10_000), ("RxBytes", number)].into_iter().collect()
            };
            let value = match (key, dice.below(2)) {
                (_, 0) => continue,
                ("MTU", _) => Value::Int(number),
                ("Up", _) => Value::Bool(number > 4),
                ("List", _) => Value::list([number, 3]),
                ("LastUpdateMetric", _) => Value::from(counted()),
                _ => Value::from(vec![Value::from(counted())]),
            };
            metadata.insert(key, value);
        }
        let created = Timestamp::from_millis(dice.below(5) as i64);
        add(Mutation::AddNode(Node::new(format!("n{n}").into(), source.clone(), metadata, created)));
    }
    for e in 0..dice.below(2 * nodes) {
        let [parent, child] = [(); 2].map(|()| format!("n{}", dice.below(nodes)).into());
        let metadata: Map = [("RelationType", dice.pick(&["ownership", "layer2"]))].into_iter().collect();
        add(Mutation::AddEdge(Edge::new(
            format!("e{e}").into(),
            parent,
            child,
            source.clone(),
            metadata,
            NOW,
        )));
    }
    View::whole(graph.snapshot())
}

/// What captures on three nodes made of files: the first two saw the same traffic. Of each flow two packets are kept.
static TABLES: LazyLock<[FlowSet; 3]> = LazyLock::new(|| {
    let web: &[u8] = include_bytes!("../../../packet/tests/data/pcaps/eth-ip4-arp-dns-req-http-google.pcap");
    let tls: &[u8] = include_bytes!("../../../packet/tests/data/application/tls.pcap");
    [("t1", web), ("t2", web), ("t3", tls)].map(|(tid, file)| captured(tid, file))
});

fn captured(tid: &str, file: &[u8]) -> FlowSet {
    let mut replay = Replay::new(TableConfig {
        node_tid: tid.into(),
        raw_packets: 2,
        extra_layers: ExtraLayers::ALL,
        ..TableConfig::default()
    });
    let (mut reader, mut packets) = (Reader::new(), [Packet::default(); 64]);
    let filled = reader.fill(file, &mut packets).unwrap();
    replay.packets(&packets[..filled.packets], |_, _| ());
    FlowSet::new(replay.table().flows().map(|flow| flow.to_flow()).collect())
}

const KEYS: [&str; 16] = [
    "'Transport'",
    "'Network'",
    "'Application'",
    "'TLS.Version'",
    "'Transport.B'",
    "'Metric.ABPackets'",
    "'NodeTID'",
    "'Name'",
    "'Type'",
    "'MTU'",
    "'Up'",
    "'List'",
    "'RelationType'",
    "'@CreatedAt'",
    "'Parent'",
    "'No.Such'",
];
const VALUES: [&str; 22] = [
    "80",
    "'HTTP'",
    "Ne('HTTPS')",
    "Within('HTTPS','DNS','80')",
    "'192.168.0.5'",
    "'t1'",
    "'eth0'",
    "'veth'",
    "3",
    "true",
    "'layer2'",
    "Ne('eth0')",
    "Nee(3)",
    "Lt(4)",
    "Gte(4)",
    "Inside(2,7)",
    "Between(2,7)",
    "Outside(2,7)",
    "Within('eth0','br0',3)",
    "Without('host')",
    "Regex('e.*')",
    "Ipv4Range('10.0.0.0/8')",
];

fn conditions(dice: &mut Dice) -> Option<String> {
    Some(match dice.below(4) {
        0 => return None,
        1 => dice.pick(&KEYS).to_owned(),
        n => {
            let pairs = (1..n).map(|_| format!("{},{}", dice.pick(&KEYS), dice.pick(&VALUES)));
            pairs.collect::<Vec<_>>().join(",")
        }
    })
}

fn argument(slot: Slot, dice: &mut Dice) -> Option<String> {
    let fixed: &[&str] = match slot {
        Slot::Conditions => return conditions(dice),
        Slot::Id => &["", "", "'n1'", "'e1'"],
        Slot::Key => &KEYS,
        Slot::Keys => &["'Name'", "'Type','MTU'", "'List'"],
        Slot::Number => &["2", "0", "1", "5"],
        Slot::Depth => &["", "0", "1", "2"],
        Slot::Order => &["", "ASC", "DESC"],
        Slot::Name => &["'a'", "'b'"],
        Slot::Names => &["'a'", "'a','b'"],
        Slot::Time => &["NOW", "'-1s'"],
        Slot::Duration => &["", "60", "FOREVER"],
        Slot::Address => &["'10.0.0.1'"],
        Slot::Metadata => &["Metadata('Type','host')", "Metadata('Name',Regex('e.*'),'MTU',Lt(5))"],
        Slot::Metric => &["", "'Metric'"],
        Slot::PacketFilter => &["'tcp'", "'udp port 53'"],
    };
    Some(dice.pick(fixed).to_owned()).filter(|text| !text.is_empty())
}

/// A query whose steps can follow each other. No `Has` stands right behind a limit, but of flows: what it means there is
/// a rule of the language, see [`Early`].
fn query(dice: &mut Dice) -> String {
    let mut text = "G".to_owned();
    let mut kind = Kind::Graph;
    let mut limited = false;
    for _ in 0..=dice.below(7) {
        let may_follow = |step: &&StepDef| {
            let is_early = limited && kind != Kind::Flows && step.name.starts_with("Has");
            step.on.iter().any(|(on, _)| *on == kind) && !is_early
        };
        let fitting: Vec<&StepDef> = STEPS.iter().filter(may_follow).collect();
        if fitting.is_empty() {
            break;
        }
        let step = dice.pick(&fitting);
        text.push('.');
        text.push_str(step.name);
        if step.is_called() {
            let arguments: Vec<String> = step.args.iter().filter_map(|slot| argument(*slot, dice)).collect();
            text.push_str(&format!("({})", arguments.join(",")));
        }
        limited = ["Limit", "Range"].contains(&step.name);
        kind = step.on.iter().find(|(on, _)| *on == kind).map_or(kind, |(_, gives)| *gives);
    }
    text
}

/// What was found, or why nothing.
fn shown(plan: Result<Plan, QueryError>, view: &View) -> Result<String, String> {
    let found = plan.and_then(|plan| {
        run_with(&plan, view, &Cx::new(NOW), |search| Ok(tables::find(TABLES.iter(), search)))
    });
    Ok(match found.map_err(|error| error.to_string())?.rows {
        Rows::Graph(view) => {
            let nodes: Vec<String> = view.nodes().map(|node| node.id.to_string()).collect();
            let edges: Vec<String> = view.edges().map(|edge| edge.id().to_string()).collect();
            format!("{nodes:?} {edges:?}")
        }
        Rows::Nodes(nodes) => {
            format!("{:?}", nodes.iter().map(|node| node.id.to_string()).collect::<Vec<_>>())
        }
        Rows::Edges(edges) => {
            format!("{:?}", edges.iter().map(|edge| edge.id.to_string()).collect::<Vec<_>>())
        }
        rows => format!("{rows:?}"),
    })
}

#[test]
fn most_random_queries_have_an_answer() {
    let mut seed = 1u32;
    let mut bytes = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let (mut answered, mut kinds) = (0, std::collections::HashSet::new());
    for _ in 0..2000 {
        let mut dice = Dice((0..200).map(|_| bytes()).collect::<Vec<_>>().into_iter());
        let text = query(&mut dice);
        let Ok(query) = parse(&text, &Limits::default()) else { continue };
        kinds.extend(query.kind());
        answered += usize::from(shown(Plan::new(&query, NOW), &graph(&mut dice)).is_ok());
    }
    assert!(answered > 1000, "{answered}");
    assert_eq!(kinds.len(), 13, "{kinds:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pushing_down_changes_no_answer(bytes in prop::collection::vec(any::<u8>(), 60..260)) {
        let mut dice = Dice(bytes.into_iter());
        let text = query(&mut dice);
        let view = graph(&mut dice);
        // What only its step finds wrong.
        let Ok(query) = parse(&text, &Limits::default()) else { return Ok(()) };
        let pushed = shown(Plan::of(&query, NOW, true), &view);
        let naive = shown(Plan::of(&query, NOW, false), &view);
        prop_assert_eq!(pushed, naive, "{}", text);
    }
}
