//! Queries about flows, over flows of real traffic.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

mod sources;
mod tables;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json, to_value};
use skydive_flow::Want;
use skydive_query::{Answer, QueryError, Rows, Sources};
use skydive_value::{Span, Timestamp};
use sources::{Always, NOW, Tables, ask_of};

/// Who answers.
struct World {
    graph: Always,
    flows: Tables,
}

/// Flows in all tables, of one capture of the first file, and of the others.
const ALL: usize = 21;
const GOOGLE: usize = 6;
const TLS: usize = 7;
const RAW: usize = 2;

impl World {
    fn new() -> Self {
        Self { graph: Always::new(), flows: Tables::new() }
    }

    fn ask(&self, text: &str) -> Result<Answer, QueryError> {
        ask_of(text, &Sources { graph: &self.graph, flows: Some(&self.flows) })
    }

    /// What is found, in short: values and numbers, what else there is by its number.
    fn found(&self, text: &str) -> Json {
        let answer = self.ask(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        match answer.rows {
            Rows::Number(number) => json!(number),
            Rows::List(values) => to_value(&values).unwrap(),
            Rows::Value(value) => to_value(&value).unwrap(),
            Rows::Groups(groups) => {
                let sizes = groups.iter().map(|(name, flows)| (name.to_string(), flows.len()));
                to_value(sizes.collect::<BTreeMap<_, _>>()).unwrap()
            }
            rows => json!(rows.len()),
        }
    }

    fn fault(&self, text: &str) -> String {
        self.ask(text).err().map(|error| error.to_string()).unwrap_or_default()
    }
}

#[track_caller]
fn check(cases: &[(&str, Json)]) {
    let world = World::new();
    let wrong: Vec<String> = cases
        .iter()
        .map(|(query, expected)| (query, expected, world.found(query)))
        .filter(|(_, expected, found)| **expected != *found)
        .map(|(query, expected, found)| format!("{query}\n    expected {expected}\n    found {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn flows_of_all_or_of_nodes_that_can_be_captured_on() {
    check(&[
        ("G.Flows()", json!(ALL)),
        ("G.Flows().Count()", json!(ALL)),
        ("G.V().Has('Name','eth0').Flows().Count()", json!(GOOGLE)),
        ("G.V().Has('Type','tuntap').Flows().Count()", json!(GOOGLE)),
        ("G.V().Flows().Count()", json!(ALL)),
        ("G.V().Has('Name','ns').Flows().Count()", json!(0)),
        (
            "G.V().Has('Name','eth0').ShortestPathTo(Metadata('Name','eth1')).Flows().Count()",
            json!(2 * GOOGLE),
        ),
        ("G.V().Has('Name','eth0').Flows('Application','DNS').Count()", json!(2)),
    ]);
    let world = World::new();
    for (query, hosts) in [
        ("G.Flows()", None),
        ("G.V().Has('Name','eth0').Flows()", Some(vec!["host-1"])),
        ("G.V().Has('Name',Within('eth0','lo','eth1','ns')).Flows()", Some(vec!["host-1", "host-2"])),
    ] {
        world.found(query);
        let asked = world.flows.asked();
        let named = asked[0].hosts.as_ref().map(|hosts| hosts.iter().map(|h| h.as_str()).collect::<Vec<_>>());
        assert_eq!((asked.len(), named), (1, hosts), "{query}");
    }
    // Nobody is asked, but what is wrong is told.
    assert_eq!(world.found("G.V().Has('Type','netns').Flows().Sort()"), json!(0));
    assert_eq!(
        world.fault("G.V().Has('Type','netns').Flows().Has('Transport.A',Lt('x'))"),
        "LT values should be of int64 type"
    );
    assert_eq!(world.flows.asked(), []);
}

#[test]
fn conditions_on_sides_groups_and_aliases() {
    check(&[
        ("G.Flows().Has('Network','192.168.0.5').Count()", json!(8)),
        ("G.Flows().Has('Network','8.8.8.8','Network.A','192.168.0.5').Count()", json!(4)),
        ("G.Flows().Has('Network.A','8.8.8.8').Count()", json!(0)),
        ("G.Flows().Has('Network',Ipv4Range('8.8.0.0/16')).Count()", json!(4)),
        ("G.Flows().HasNot('Network').Count()", json!(4)),
        ("G.Flows().HasKey('Network').Count()", json!(ALL - 4)),
        ("G.Flows().HasKey('Metric').Count()", json!(ALL)),
        ("G.Flows().HasNot('Metric').Count()", json!(0)),
        ("G.Flows().HasKey('TLS').Count()", json!(TLS)),
        ("G.Flows().HasNot('TLS').Count()", json!(ALL - TLS)),
        ("G.Flows().Has('Link','fa:16:3e:29:e0:82').Count()", json!(12)),
        ("G.Flows().Has('Transport',80).Count()", json!(5)),
        ("G.Flows().Has('Transport','80').Count()", json!(5)),
        ("G.Flows().Has('Transport',Within('80','53')).Count()", json!(9)),
        ("G.Flows().Has('Transport', NE('')).Count()", json!(ALL - 4)),
        ("G.Flows().Has('TCP.B',80).Count()", json!(5)),
        ("G.Flows().Has('IPV4.B','8.8.8.8').Count()", json!(4)),
        ("G.Flows().Has('ETHERNET.A','fa:16:3e:96:06:e8').Count()", json!(2)),
        ("G.Flows().Has('Transport.Protocol','UDP').Count()", json!(5)),
        ("G.Flows().Has('Metric.ABPackets',Gte(6)).Count()", json!(4)),
        ("G.Flows().HasEither('Application','ARP','Transport.B',443).Count()", json!(4)),
        ("G.Flows().Has('LayersPath',Regex('IPv4/.*')).Count()", json!(RAW)),
        ("G.Flows().Has('No.Such','x').Count()", json!(0)),
        ("G.Flows().Has('No.Such','x').Values('No.Such')", json!([])),
    ]);
    let world = World::new();
    assert_eq!(world.fault("G.Flows().Values('No.Such')"), "Field not found");
    assert_eq!(world.fault("G.Flows().Sum('Metric.No')"), "Field not found");
    assert_eq!(world.fault("G.Flows().Has('Transport.A')"), "At least two parameters must be provided");
}

#[test]
fn the_web_by_its_name() {
    check(&[
        (
            "G.V().Has(\"Capture.Name\", \"my-dockers-cap\").Flows(\"Application\",\"HTTPS\").Metrics()",
            json!(TLS),
        ),
        ("G.V().Has('Capture.Name','second').Values('Name')", json!(["lo"])),
        ("G.V().HasKey('Capture.State').Values('Capture.Name')", json!([["my-dockers-cap", "second"]])),
        ("G.V().HasNot('Capture.State').Count()", json!(9)),
        // By its port, in both captures and without a link layer.
        ("G.Flows('Application','HTTP').Dedup('Application').Values('Application')", json!(["TCP"])),
        ("G.Flows('Application','HTTP').Count()", json!(5)),
        // By what was said, on another port.
        ("G.Flows('Application','HTTPS').Values('Transport.B')", json!(vec![4433; TLS])),
        ("G.Flows().Has('Application',Ne('HTTP')).Count()", json!(ALL - 5)),
        ("G.Flows().Has('Application',Nee('HTTP')).Count()", json!(ALL - 5)),
        ("G.Flows().Has('Application',Within('HTTP','HTTPS')).Count()", json!(5 + TLS)),
        ("G.Flows().Has('Application',Without('HTTP','HTTPS')).Count()", json!(ALL - 5 - TLS)),
        ("G.Flows().Has('Application','TCP').Count()", json!(5 + TLS)),
    ]);
}

#[test]
fn a_condition_and_its_opposite_are_all_flows() {
    let world = World::new();
    let fields =
        ["Application", "Network", "Transport", "Link", "Transport.B", "NodeTID", "TLS.Version", "No.Such"];
    let values =
        ["'HTTP'", "'HTTPS'", "'TCP'", "'192.168.0.5'", "80", "'80'", "'t1'", "'fa:16:3e:29:e0:82'", "772"];
    for field in fields {
        for value in values {
            let number = |test: &str| {
                let found = world.found(&format!("G.Flows().Has('{field}',{test}).Count()"));
                usize::try_from(found.as_u64().unwrap()).unwrap()
            };
            assert_eq!(number(value) + number(&format!("Nee({value})")), ALL, "{field} {value}");
            assert_eq!(number(&format!("Within({value})")), number(value), "{field} {value}");
            let missing =
                world.found(&format!("G.Flows().HasNot('{field}').Count()")).as_u64().unwrap() as usize;
            assert_eq!(number(value) + number(&format!("Ne({value})")), ALL - missing, "{field} {value}");
        }
    }
}

/// Whatever order they are written in, as of old.
#[test]
fn what_chooses_behind_flows_is_done_where_they_are() {
    let most = json!([20, 20, 6]);
    check(&[
        ("G.Flows().Sort(DESC,'Metric.ABPackets').Limit(3).Values('Metric.ABPackets')", most.clone()),
        ("G.Flows().Limit(3).Sort(DESC,'Metric.ABPackets').Values('Metric.ABPackets')", most),
        ("G.Flows().Sort(DESC,'Metric.ABPackets').Range(1,3).Values('Metric.ABPackets')", json!([20, 6])),
        ("G.Flows().Sort(DESC,'Metric.ABPackets').Range(3,1).Count()", json!(0)),
        (
            "G.Flows().Dedup().Sort(DESC,'Metric.ABPackets').Range(0,2).Values('Metric.ABPackets')",
            json!([20, 6]),
        ),
        ("G.Flows().Dedup().Count()", json!(GOOGLE + TLS + RAW)),
        (
            "G.Flows().Dedup('Application').Sort('Application').Values('Application')",
            json!(["ARP", "DNS", "TCP", "UDP"]),
        ),
        ("G.Flows().Dedup('Application','NodeTID').Count()", json!(4)),
        ("G.Flows().Dedup('ICMP.Type').Count()", json!(ALL)),
        ("G.Flows().Dedup().Has('NodeTID','t2').Count()", json!(GOOGLE)),
        ("G.Flows().Limit(1).Has('Application','DNS').Limit(5).Values('Application')", json!(["DNS"])),
        ("G.Flows().Has('Application','DNS').Limit(3).Has('NodeTID','t2').Count()", json!(2)),
        // A second one is a step of its own.
        (
            "G.Flows().Sort('Metric.ABPackets').Limit(5).Sort(DESC,'Metric.ABPackets').Limit(1).Count()",
            json!(1),
        ),
        (
            "G.Flows().Sort(DESC,'Metric.ABPackets').Limit(4).Range(2,9).Values('Metric.ABPackets')",
            json!([6, 6]),
        ),
        ("G.Flows().Dedup('NodeTID').Dedup('Application').Count()", json!(2)),
        (
            "G.Flows().Sort('Start').Sort(DESC,'Metric.ABPackets').Limit(1).Values('Metric.ABPackets')",
            json!([20]),
        ),
    ]);
    let world = World::new();
    world.found(
        "G.Flows('Application','DNS').Range(1,3).Sort(DESC,'Metric.ABBytes').Has('Transport',53).Dedup()",
    );
    let asked = world.flows.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].range, Some(1..3));
    assert_eq!(asked[0].sort.as_ref().map(|sort| sort.by.to_string()).as_deref(), Some("Metric.ABBytes"));
    assert_eq!(asked[0].dedup.as_ref().map(ToString::to_string).as_deref(), Some("TrackingID"));
    assert_eq!(asked[0].want, Want::Flows);
}

#[test]
fn flows_are_counted_where_they_are() {
    let world = World::new();
    for (query, expected, want) in [
        ("G.Flows().Count()", ALL, Want::Count),
        ("G.V().Has('Name','eth0').Flows('Application','DNS').Sort().Count()", 2, Want::Count),
        ("G.Flows().Has('Transport',53).Limit(3).Count()", 3, Want::Count),
        ("G.Flows().Range(2,5).Has('Transport',53).Count()", 2, Want::Count),
        ("G.Flows().Range(30,40).Count()", 0, Want::Count),
        ("G.Flows().Range(4,2).Count()", 0, Want::Count),
        // Numbers do not say which flows of two hosts are the same.
        ("G.Flows().Dedup().Count()", GOOGLE + TLS + RAW, Want::Flows),
        ("G.Flows().Limit(3).Dedup('Application').Count()", 3, Want::Flows),
        // A step in between.
        ("G.Flows().Limit(9).Limit(4).Count()", 4, Want::Flows),
        ("G.Flows().Dedup().Dedup('Application').Count()", 4, Want::Flows),
        ("G.Flows().Metrics().Count()", ALL, Want::Flows),
        ("G.Flows('Application','DNS').Limit(2).RawPackets().Count()", 2, Want::WithPackets),
    ] {
        let answer = world.ask(query).unwrap();
        let Rows::Number(found) = answer.rows else { panic!("{query}") };
        let asked = world.flows.asked();
        assert_eq!((found, asked.len(), asked[0].want), (expected as i64, 1, want), "{query}");
        assert_eq!(answer.reads.flows == 0, want == Want::Count, "{query}");
    }
    // Nobody has any.
    assert_eq!(world.found("G.V().Has('Type','netns').Flows().Count()"), json!(0));
}

#[test]
fn from_flows_to_nodes() {
    check(&[
        ("G.V().Has('Name','eth0').Flows('Application','DNS').In().Values('Name')", json!(["vm", "vm"])),
        ("G.V().Has('Name','eth0').Flows('Application','DNS').Out().Values('Name')", json!(["gate", "gate"])),
        ("G.Flows('Application','DNS').Limit(1).Both().Values('Name')", json!(["vm", "gate"])),
        ("G.Flows('Application','DNS').Both('Name','gate').Count()", json!(4)),
        (
            "G.Flows('Application','DNS').Nodes().Dedup().Sort('Name').Values('Name')",
            json!(["eth0", "eth1", "vm"]),
        ),
        ("G.Flows().Hops().Dedup().Sort('Name').Values('Name')", json!(["eth0", "eth1", "lo", "tun0"])),
        (
            "G.Flows().Hops().Has('Name',Ne('lo')).Has('Type','device').Dedup().Values('Name')",
            json!(["eth0"]),
        ),
        ("G.Flows().CaptureNode('Type','tun').Count()", json!(RAW)),
        ("G.Flows().Node().Limit(2).Values('Name')", json!(["eth0", "eth0"])),
        // Without a link layer there are no sides.
        ("G.V().Has('Name','tun0').Flows().Both().Count()", json!(0)),
        ("G.V().Has('Name','tun0').Flows().Nodes().Values('Name')", json!(["tun0", "tun0"])),
        // And on from there.
        ("G.V().Has('Name','eth0').Flows('Application','DNS').In().Out().Count()", json!(0)),
        ("G.V().Has('Name','lo').Flows().CaptureNode().Dedup().In().Values('Name')", json!(["host-2"])),
        ("G.V().Has('Name','eth0').SubGraph().V().Flows().Nodes().Dedup().Values('Name')", json!(["eth0"])),
    ]);
    // By index: a node for each that is named.
    let world = World::new();
    for (query, read) in [("G.Flows().CaptureNode().Dedup()", 4), ("G.Flows('Application','DNS').In()", 1)] {
        let reads = world.ask(query).unwrap().reads;
        assert_eq!(reads.nodes, read, "{query}: {reads}");
        assert!(reads.index > 0, "{query}: {reads}");
    }
    assert_eq!(world.ask("G.Flows('Application','DNS')").unwrap().reads.flows, 4);
    assert_eq!(world.ask("G.Flows('Application','DNS').Limit(3)").unwrap().reads.flows, 3);
}

#[test]
fn counters() {
    check(&[
        ("G.V().Has('Name','eth0').Flows('Transport.B',80).Metrics().Count()", json!(2)),
        ("G.V().Has('Name','eth0').Flows('Transport.B',80).Metrics().Sum('ABPackets')", json!(26)),
        ("G.V().Has('Name','eth0').Flows('Transport.B',80).Sum('Metric.ABPackets')", json!(26)),
        ("G.V().Has('Name','eth0').Flows('Transport.B',80).Sum('LastUpdateMetric.ABPackets')", json!(0)),
        ("G.Flows('Transport.B',81).Metrics().Sum()", json!(null)),
        ("G.Flows('Transport.B',81).Sum('Metric.ABPackets')", json!(0)),
        ("G.Flows('Transport.B',81).Keys()", json!([])),
    ]);
    let world = World::new();
    let sum =
        world.found("G.Flows().Has('Network.A','192.168.0.5','Transport.B',80).Dedup().Metrics().Sum()");
    assert_eq!((&sum["ABPackets"], &sum["BAPackets"]), (&json!(26), &json!(22)));
    // Nothing is lost where it is cut.
    for seconds in [1, 2, 7] {
        let query = format!("G.Flows('Transport.B',80,'NodeTID',Ne('t4')).Metrics().Aggregates({seconds})");
        let Rows::Metrics(slices) = world.ask(&query).unwrap().rows else { panic!("{query}") };
        let [(name, slices)] = &slices.0[..] else { panic!("{query}") };
        let packets: i64 = slices.iter().map(|map| map.get("ABPackets").unwrap().to_int().unwrap()).sum();
        assert_eq!((name.as_str(), packets), ("Aggregated", 52), "{query}");
    }
    let keys = world.found("G.Flows().Keys()");
    for key in ["UUID", "Network.A", "Metric.ABPackets", "TCPMetric.ABSynStart", "Last"] {
        assert!(keys.as_array().unwrap().contains(&json!(key)), "{key}");
    }
    assert!(world.found("G.Flows().Metrics().Keys()").as_array().unwrap().contains(&json!("BABytes")));
    let map = world.found("G.Flows('Application','ARP').Limit(1).ValueMap('Application','Network.A','Link')");
    assert_eq!(
        map,
        json!([{"Application": "ARP", "Link": {
            "A": "fa:16:3e:29:e0:82", "B": "ff:ff:ff:ff:ff:ff", "ID": 0, "Protocol": "ETHERNET",
        }}])
    );
}

#[test]
fn groups() {
    let world = World::new();
    let sizes = |query: &str| -> Vec<u64> {
        world.found(query).as_object().unwrap().values().map(|n| n.as_u64().unwrap()).collect()
    };
    assert_eq!(sizes("G.Flows().Group()").len(), GOOGLE + TLS + RAW);
    assert_eq!(sizes("G.Flows().Group().MoreThan()"), [2; GOOGLE]);
    assert_eq!(sizes("G.Flows().Group().MoreThan(1)"), [2; GOOGLE]);
    assert_eq!(sizes("G.Flows().Group().MoreThan(2)").len(), 0);
    assert_eq!(sizes("G.Flows().Group().MoreThan(0)").len(), GOOGLE + TLS + RAW);
    check(&[
        ("G.Flows().Group('Application')", json!({"ARP": 4, "DNS": 4, "TCP": 12, "UDP": 1})),
        ("G.Flows().Group('Transport.B').MoreThan(3)", json!({"53": 4, "80": 5, "4433": TLS})),
        ("G.Flows().Group('NodeTID').Count()", json!(4)),
        ("G.Flows('Transport.B',81).Group()", json!({})),
    ]);
}

#[test]
fn packets() {
    check(&[
        // Four are kept of each flow.
        ("G.V().Has('Name','eth0').Flows('Application','DNS').RawPackets().Count()", json!(2)),
        ("G.Flows().RawPackets().BPF('udp port 53').Count()", json!(4)),
        ("G.Flows().RawPackets().BPF('host 10.0.0.1 and tcp').Count()", json!(1)),
        ("G.Flows().RawPackets().BPF('arp').BPF('tcp').Count()", json!(0)),
    ]);
    let world = World::new();
    let packets = |query: &str| {
        let Rows::RawPackets(flows) = world.ask(query).unwrap().rows else { panic!("{query}") };
        flows.into_iter().map(|(_, packets)| packets.len()).collect::<Vec<_>>()
    };
    assert_eq!(packets("G.V().Has('Name','eth0').Flows('Application','DNS').RawPackets()"), [4, 4]);
    let asked = "G.V().Has('Name','eth0').Flows('Application','DNS').RawPackets().BPF('dst port 53')";
    assert_eq!(packets(asked), [2, 2]);
    assert!(world.flows.asked().iter().all(|search| search.want == Want::WithPackets));
    let wrong = "G.Flows().RawPackets().BPF('udp prt')";
    let error = world.ask(wrong).err().unwrap();
    assert_eq!(error.offset(), wrong.find('\''));
    assert!(error.to_string().starts_with("Not a valid BPF expression: "), "{error}");
    assert_eq!(world.flows.asked().len(), 0, "before anything is read");
}

#[test]
fn sockets_at_the_ends() {
    let both = json!(["curl", "nginx", "curl", "nginx"]);
    check(&[
        ("G.Flows('Transport.A',47838).Sockets().Count()", json!(2)),
        ("G.Flows('Transport.A',47838).Sockets().Values('Name')", both),
        (
            "G.Flows().Has('Transport', NE('')).Dedup().Sockets().Has('Name','curl').Values('LocalPort')",
            json!([47838]),
        ),
        (
            "G.Flows().Dedup().Sockets().HasEither('Name','nginx','LocalPort',1).Values('RemotePort')",
            json!([47838]),
        ),
        ("G.Flows().Dedup().Sockets().Has('Name','idle').Count()", json!(0)),
        ("G.Flows('Application','ARP').Sockets().Count()", json!(0)),
        ("G.V().Sockets().Has('Protocol','TCP').Values('Name')", json!(["curl", "idle", "nginx"])),
    ]);
}

#[test]
fn who_did_not_answer_is_told() {
    let mut world = World::new();
    world.flows.silent.push("host-2");
    let answer = world.ask("G.Flows().Count()").unwrap();
    assert!(matches!(answer.rows, Rows::Number(n) if n as usize == GOOGLE + RAW));
    // The graph is asked too; host-2 has two tables.
    assert_eq!((answer.coverage.asked, answer.coverage.answered), (5, 3));
    assert!(answer.coverage.silent.iter().all(|name| name == "host-2"));
    // What is read before the graph is opened anew counts as well.
    let again = world.ask("G.Flows().CaptureNode().G.At(NOW).V().Count()").unwrap().coverage;
    assert_eq!((again.asked, again.answered, again.silent.len()), (6, 4, 2));
}

#[test]
fn flows_are_of_now() {
    let world = World::new();
    let none = Sources { graph: &world.graph, flows: None };
    let fault = |text| ask_of(text, &none).err().map(|error| error.to_string());
    assert_eq!(fault("G.Flows()").as_deref(), Some("flows are not served here"));
    assert_eq!(fault("G.V().Has('Type','netns').Flows()"), None);

    let past = NOW.as_millis() - 60_000;
    assert_eq!(world.fault(&format!("G.At({past}).Flows()")), "No storage backend has been configured");
    assert_eq!(
        world.fault(&format!("G.At({past}).V().Has('Name','eth0').Flows()")),
        "No storage backend has been configured"
    );
    assert_eq!(world.flows.asked(), [], "those of now would be another answer");
    assert_eq!(world.found(&format!("G.At({past}).V().Count()")), json!(10));

    let answer =
        world.ask("G.At('-1s',300).Flows().Has('Application','DNS').Dedup().Metrics().Aggregates(10)");
    let until = NOW.as_millis() - 1000;
    let since = Timestamp::from_millis(until - 300_000);
    let asked = Span { since, until: Timestamp::from_millis(until) };
    assert_eq!(answer.unwrap().coverage.instead_of, Some(asked));
    assert_eq!(world.found("G.At(NOW).Flows().Count()"), json!(ALL));
}
