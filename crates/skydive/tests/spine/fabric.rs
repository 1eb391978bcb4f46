//! The fabric described by hand, joined to what an agent finds.

use serde_json::{Value as Json, json};
use skydive_client::Collection;
use skydive_testnet::{Netns, eventually, require_root, veth_pair};

use crate::stage::{ANALYZER, Desk, Graph, Host, SOON, Service, stderr, text};

/// The switch `TOR`, its port, and a link from there to `eth0` of whatever host.
const FABRIC: &str = "TOR[Name=tor] -> PORT[Name=port1, MTU=1500] PORT --> [color=red] *[Type=host]/eth0";

/// `TOR --> *…` of the original has this id for `TOR`: text `fabric` and NAME.
fn id_of(name: &str) -> String {
    skydive_value::Id::from_name(&format!("fabric{name}")).to_string()
}

fn analyzer(host: &Host, environment: &[(&str, &str)]) -> Service {
    host.start(&["analyzer"], &[&[("SKYDIVE_HOST_ID", "hub1")], environment].concat())
}

fn agent(host: &Host) -> Service {
    host.start(&["agent"], &[("SKYDIVE_HOST_ID", "h1"), ("SKYDIVE_ANALYZERS", ANALYZER)])
}

/// The links of the fabric to nodes named `eth0`.
fn links(graph: &Graph) -> Vec<&Json> {
    let port = id_of("PORT");
    let leads_there = |edge: &&Json| {
        let child = graph.nodes.get(text(edge, "/Child"));
        text(edge, "/Parent") == port && child.is_some_and(|child| text(child, "/Metadata/Name") == "eth0")
    };
    graph.edges.values().filter(leads_there).collect()
}

fn linked(desk: &Desk, what: &str, count: usize) -> Graph {
    let look = || desk.graph().filter(|graph| links(graph).len() == count);
    eventually(what, SOON, look).unwrap_or_else(|_| panic!("no {what}: {:#?}", desk.graph().unwrap().edges))
}

/// An interface `eth0` of the host, whose other end stands elsewhere.
fn plug(host: &Host) -> Netns {
    let elsewhere = Netns::with_loopback("wire").unwrap();
    veth_pair(&host.netns, "eth0", &elsewhere, "far0").unwrap();
    elsewhere
}

#[test]
fn a_wildcard_link_follows_what_agents_find() {
    if !require_root() {
        return;
    }
    let host = Host::new("fabric");
    let mut hub = analyzer(&host, &[("SKYDIVE_ANALYZER_TOPOLOGY_FABRIC", FABRIC)]);
    host.ask(ANALYZER, |desk| {
        let look = || desk.graph().filter(|graph| graph.edges.len() == 2);
        let graph = eventually("what is described", SOON, look).unwrap();
        let [tor, port] = ["TOR", "PORT"].map(|name| &graph.nodes[&id_of(name)]);
        assert_eq!(tor["Metadata"], json!({"Name": "tor", "Type": "device", "Probe": "fabric"}));
        assert_eq!(text(tor, "/Origin"), "analyzer.hub1");
        assert_eq!(
            port["Metadata"],
            json!({"Name": "port1", "Type": "device", "MTU": "1500", "Probe": "fabric"})
        );
        assert_eq!(desk.status()["Probes"]["fabric"], json!({"Status": "running"}));
    });

    // The agent first, then its interface; the link comes, goes and comes.
    let first = agent(&host);
    host.ask(ANALYZER, |desk| {
        eventually("the agent", SOON, || desk.graph()?.named("h1").map(drop)).unwrap();
        assert!(links(&desk.graph().unwrap()).is_empty());
        let wire = plug(&host);
        let graph = linked(desk, "link", 1);
        let metadata = json!({"RelationType": "layer2", "Type": "fabric", "color": "red"});
        assert_eq!(links(&graph)[0]["Metadata"], metadata);
        host.ip("link set eth0 name lan0");
        linked(desk, "end of the link with the name", 0);
        host.ip("link set lan0 name eth0");
        linked(desk, "link after the name came back", 1);
        host.ip("link del eth0");
        linked(desk, "end of the link with its interface", 0);
        drop(wire);
    });
    let wire = plug(&host);
    host.ask(ANALYZER, |desk| linked(desk, "link to the new interface", 1));

    // The agent goes and comes back.
    first.kill();
    host.ask(ANALYZER, |desk| linked(desk, "end of the link with its host", 0));
    let second = agent(&host);
    let before = host.ask(ANALYZER, |desk| linked(desk, "link after the agent came back", 1));

    // The analyzer comes back, and the agent was there before.
    hub.kill();
    hub = analyzer(&host, &[("SKYDIVE_ANALYZER_TOPOLOGY_FABRIC", FABRIC)]);
    let after = host.ask(ANALYZER, |desk| linked(desk, "link after the analyzer came back", 1));
    let ids = |graph: &Graph| -> Vec<String> {
        graph
            .part("analyzer.hub1")
            .edges
            .keys()
            .chain(graph.part("analyzer.hub1").nodes.keys())
            .cloned()
            .collect()
    };
    assert_eq!(ids(&after), ids(&before));
    drop((hub, second, wire));
}

#[test]
fn wrong_entries_are_named_and_leave_the_others() {
    if !require_root() {
        return;
    }
    let host = Host::new("fabric-wrong");
    let file = host.directory().join("skydive.yml");
    let entries = "host_id: hub1\nanalyzer:\n  topology:\n    fabric:\n      - A -> B\n      - A --> [x=1 B\n      - A\n";
    std::fs::write(&file, entries).unwrap();
    let file = file.to_str().unwrap();
    let faults = [
        "entry 2, character 7: `[` is not closed",
        "entry 3, character 2: Fabric link definition should have two endpoints: A",
    ];
    let checked = host.run(&["config", "check", file]);
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    for fault in faults {
        let line = format!("{file}:4: warning: analyzer.topology.fabric: left out: {fault}\n");
        assert!(told.contains(&line), "{told}{}", stderr(&checked));
    }
    let hub = host.start(&["-c", file, "analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        let edges = || desk.graph().filter(|graph| (graph.nodes.len(), graph.edges.len()) == (2, 2));
        eventually("the entry that is right", SOON, edges).unwrap();
        let degraded = format!("2 of 3 entries refused: {}", faults.join("; "));
        assert_eq!(desk.status()["Probes"]["fabric"], json!({"Status": "running", "Degraded": degraded}));
        // What somebody deletes is described all the same.
        let gone = desk.block(desk.rest().delete(Collection::Nodes, &id_of("B")));
        assert!(gone.is_ok());
        eventually("the node to be back", SOON, edges).unwrap();
    });
    drop(hub);
}
