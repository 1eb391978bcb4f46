//! The examples that users were given: those of the original's unit tests with their results, and the ones of its
//! documentation with what they find in a graph of a few hosts' kind.

use serde_json::{Value as Json, json};
use skydive_query::{Rows, View};
use skydive_testnet::skip;

use super::fixture::{fixture, graph_of};
use super::{NOW, body, outcome};

/// What is found: the number of results, or the results.
enum Finds {
    Many(usize),
    Just(Json),
}

use Finds::{Just, Many};

/// Of the graph of the unit tests.
fn unit() -> Vec<(&'static str, Finds)> {
    vec![
        ("G.V().Has('Value', 1)", Just(json!(["n1"]))),
        ("G.V().Has('Type', 'intf')", Just(json!(["n1", "n2"]))),
        ("G.V().Has('Type')", Just(json!(["n1", "n2"]))),
        ("G.V().HasEither('Type','intf','Name','Node4')", Just(json!(["n1", "n2", "n4"]))),
        ("G.V().Has('List','111')", Just(json!(["n1"]))),
        ("G.V().Has('Indexes',6)", Just(json!(["n4"]))),
        (
            "G.V().Has('Value',1).Out().Has('Value',2).OutE().Has('Direction','Left').OutV().Out()",
            Just(json!(["n4"])),
        ),
        ("G.V().Has('Value',3).BothE()", Many(3)),
        ("G.V().Has('Value',1).OutE().Has('Mode','Direct').OutV()", Just(json!(["n3"]))),
        ("G.V().Keys()", Many(17)),
        ("G.V().Values('Type')", Many(2)),
        ("G.V().Values('Map')", Just(json!([{"a": 1}]))),
        ("G.V().Sum('Bytes')", Just(json!(7072))),
        ("G.V().Has('Value', Within(1,2,4))", Many(3)),
        ("G.V().Has('Value', Without(1,3))", Many(2)),
        ("G.V().Has('Value', Lt(3))", Many(2)),
        ("G.V().Has('Value', Gt(3))", Many(1)),
        ("G.V().Has('Value', Lte(3))", Many(3)),
        ("G.V().Has('Value', Gte(3))", Many(2)),
        ("G.V().Has('Value', Inside(1,4))", Many(2)),
        ("G.V().Has('Value', Between(1,4))", Many(3)),
        ("G.V().Has('Value', Outside(2,3))", Just(json!(["n1", "n4"]))),
        ("G.V().Has('MTU',Ne(1200))", Many(1)),
        ("G.V().Has('MTU',Nee(1200))", Many(4)),
        ("G.V().Has('unknown',Ne(''))", Many(0)),
        ("G.V().Has('unknown',Nee(''))", Many(4)),
        ("G.V().HasNot('Name')", Just(json!(["n1", "n2", "n3"]))),
        ("G.V().Has('Name', Regex('.*ode.*'))", Just(json!(["n4"]))),
        ("G.V().Has('IPV4', Ipv4Range('192.168.0.0/24'))", Just(json!(["n3"]))),
        (
            "G.V().Has('Value',1).ShortestPathTo(Metadata('Value',3), Metadata('Direction','Left'))",
            Just(json!([["n1", "n2", "n3"]])),
        ),
        ("G.V().Has('Value',2).ShortestPathTo(Metadata('Value',4)).SubGraph().V()", Many(3)),
        ("G.E().Has('Name','e3').BothV()", Just(json!(["n3", "n4"]))),
        ("G.V().Dedup('Type')", Many(3)),
    ]
}

/// Of the graph of [`hosts`].
fn operational() -> Vec<(&'static str, Finds)> {
    vec![
        ("G.V().Has('Name','br-int','Type','ovsbridge').Out()", Just(json!(["port", "rule"]))),
        (
            "G.V().Has('Type','host').Out().Has('Type','netns','Name','vm1').Out().Has('Name','eth0')",
            Just(json!(["eth0"])),
        ),
        ("G.V().Has('Name','br-test').Out('Name','intf1')", Just(json!(["intf1"]))),
        ("G.V().Has('Type','patch','Name','p1').Both('Type','patch','Name','p2')", Just(json!(["p2"]))),
        (
            "G.V().Has('Name','a').ShortestPathTo(Metadata('Name','b'), Metadata('RelationType','layer2'))",
            Just(json!([["a", "eth0", "b"]])),
        ),
        ("G.V().Has('Captures.State','active')", Just(json!(["port"]))),
        ("G.V().Has('Features.highdma', true)", Just(json!(["eth0"]))),
        ("G.V().Has('Type','pod','K8s.Labels.app','echo')", Just(json!(["pod"]))),
        (
            "G.V().Metrics('SFlow').Aggregates().Sum()",
            Just(json!({"IfInOctets": 7, "Start": 1000, "Last": 2000})),
        ),
        ("G.E().Has('RelationType','layer2').SubGraph().V().Has('Name','eth0')", Just(json!(["eth0"]))),
        ("G.V('host').Descendants(3)", Just(json!(["eth0", "host", "vm1"]))),
        (
            "g.v().NextHop('8.8.8.8')",
            Just(json!([{"eth0": {"Priority": 0, "IP": "10.0.0.1", "IfIndex": 2}}])),
        ),
        (
            "G.V().Has('Type','netns').As('a').G.V().Has('Type','device').As('b').Select('a','b')",
            Just(json!(["a", "b", "vm1"])),
        ),
        // A whole metric, the fields of it and of what is around it.
        (
            "G.V('eth0').Metrics()",
            Just(json!([{"eth0": [{"RxBytes": 10, "RxPackets": 1, "Start": 0, "Last": 60_000}]}])),
        ),
        (
            "G.V().Metrics('LastUpdateMetric').Aggregates(30)",
            Just(json!([{"Aggregated": [
                {"RxBytes": 25, "RxPackets": 0, "Start": 0, "Last": 30_000},
                {"RxBytes": 5, "RxPackets": 0, "Start": 30_000, "Last": 60_000},
            ]}])),
        ),
        ("G.V().Metrics().Sum('RxBytes')", Just(json!(30))),
        ("G.V().Metrics().Sum('TxBytes')", Just(json!(0))),
        ("G.V().Metrics().Count()", Just(json!(2))),
        ("G.V('eth0').Metrics().Keys()", Many(25)),
        ("G.V().Metrics('BlockdevMetric').Sum('Utilization')", Just(json!(1.5))),
        ("G.V().Both().Metrics('Metric')", Just(json!([{"eth0": [{"RxBytes": 100, "Last": 60_000}]}]))),
        ("G.V().Sockets().Count()", Just(json!(1))),
        (
            "G.V().Sockets().Has('Protocol','TCP','LocalPort',Gt(79)).Values('LocalAddress')",
            Just(json!(["10.0.0.1"])),
        ),
        ("G.V().Sockets().HasEither('Pid',1,'Name','nc').Values('Pid')", Just(json!([12]))),
        ("G.V().Sockets().Has('Protocol','UDP')", Just(json!([]))),
        // What ends now is the present.
        ("G.At('-1s', 300).V('eth0')", Just(json!(["eth0"]))),
        ("G.At(1700000001).V('eth0')", Just(json!(["eth0"]))),
        ("G.At(1699999998000, '5m').V('eth0')", Just(json!(["eth0"]))),
        ("G.Context('Tue, 14 Nov 2023 22:13:20 GMT').V('eth0')", Just(json!(["eth0"]))),
    ]
}

/// That need history.
const PAST: &[&str] =
    &["G.At('-5m').V().Has('Name','eth0')", "G.At(1539692226,300).V().Has('Name','eth0').Metrics()"];

/// One node for each that the examples look for.
fn hosts() -> View {
    let node = |id: &str, kind: &str, more: Json| {
        let mut metadata = json!({"Name": id, "Type": kind});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"ID": id, "Metadata": metadata, "CreatedAt": NOW.as_millis(), "UpdatedAt": NOW.as_millis()})
    };
    let edge = |parent: &str, child: &str, relation: &str| {
        json!({
            "ID": format!("{parent}-{child}"), "Parent": parent, "Child": child,
            "Metadata": {"RelationType": relation},
        })
    };
    let route = json!([{"ID": 254, "Routes": [
        {"Prefix": "0.0.0.0/0", "NextHops": [{"IP": "10.0.0.1", "IfIndex": 2}]},
    ]}]);
    let eth0 = json!({
        "Features": {"highdma": true},
        "RoutingTables": route,
        "LastUpdateMetric": {"RxBytes": 10, "RxPackets": 1, "Start": 0, "Last": 60_000},
        "Metric": {"RxBytes": 100, "Last": 60_000},
    });
    let sockets = json!([
        {"Process": "/usr/bin/nc", "Pid": 12, "Name": "nc", "LocalAddress": "10.0.0.1", "LocalPort": 80, "Protocol": "TCP"},
        {"Process": "/usr/bin/nc", "Pid": 13, "Name": "ssh", "LocalAddress": "10.0.0.2", "LocalPort": 22, "Protocol": "TCP"},
    ]);
    let last = json!({"LastUpdateMetric": {"RxBytes": 20, "Start": 0, "Last": 15_000}});
    let sflow = json!({"SFlow": {"LastUpdateMetric": {"IfInOctets": 7, "Start": 1000, "Last": 2000}}});
    graph_of(&json!({
        "nodes": [
            node("host", "host", json!({"Sockets": sockets})),
            node("vm1", "netns", json!({})),
            node("eth0", "veth", eth0),
            node("br-int", "ovsbridge", sflow),
            node("port", "ovsport", json!({"Captures": [{"ID": "c1", "State": "active"}]})),
            node("rule", "ofrule", json!({})),
            node("br-test", "ovsbridge", json!({"BlockdevMetric": {"Utilization": 1.5, "Last": 5}})),
            node("intf1", "internal", last),
            node("p1", "patch", json!({})),
            node("p2", "patch", json!({})),
            node("a", "device", json!({})),
            node("b", "device", json!({})),
            node("pod", "pod", json!({"K8s": {"Labels": {"app": "echo"}}})),
        ],
        "edges": [
            edge("host", "vm1", "ownership"),
            edge("vm1", "eth0", "ownership"),
            edge("br-int", "port", "layer2"),
            edge("br-int", "rule", "ownership"),
            edge("br-test", "intf1", "ownership"),
            edge("p1", "p2", "layer2"),
            edge("a", "eth0", "layer2"),
            edge("eth0", "b", "layer2"),
        ],
    }))
}

fn check(graph: &View, query: &str, finds: &Finds) -> Result<(), String> {
    let rows: Rows = outcome(graph, query).map_err(|(_, text)| text)?;
    let is_as_said = match finds {
        Many(n) => rows.len() == *n,
        Just(expected) => body(&rows) == *expected,
    };
    if is_as_said { Ok(()) } else { Err(body(&rows).to_string()) }
}

#[test]
fn examples_find_what_they_did() {
    let (basic, hosts) = (fixture("basic"), hosts());
    let unit = unit().into_iter().map(|(query, finds)| (&basic, query, finds));
    let operational = operational().into_iter().map(|(query, finds)| (&hosts, query, finds));
    let wrong: Vec<String> = unit
        .chain(operational)
        .filter_map(|(graph, query, finds)| Some(format!("{query}: {}", check(graph, query, &finds).err()?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_for_later() {
    for query in PAST {
        let refused = outcome(&hosts(), query).unwrap_err();
        assert_eq!(refused, ("exec", "Backend does not support history".to_owned()), "{query}");
        skip(&format!("example {query}"), "a past time");
    }
}
