//! One process for everything: what happens on the host is what the command line and subscribers see.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value as Json;
use skydive_testnet::{eventually, require_root};

use crate::stage::{ANALYZER, Desk, Host, SOON, stderr, text};

/// Far above the bar, which the perf program watches: the machine may be busy.
const READY: Duration = Duration::from_secs(3);

/// The veths of the host itself, as the command line shows them.
fn veths(host: &Host) -> BTreeSet<String> {
    let output = host.run(&["client", "query", "G.V().Has('Type', 'host').Out().Has('Type', 'veth')"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let nodes: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap();
    nodes.iter().map(|node| text(node, "/Metadata/Name").to_owned()).collect()
}

fn become_veths(host: &Host, expected: &[&str]) {
    let mut seen = BTreeSet::new();
    let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
    let same = eventually("the veths", SOON, || {
        seen = veths(host);
        (seen == expected).then_some(())
    });
    assert!(same.is_ok(), "{seen:?} instead of {expected:?}");
}

#[test]
fn an_interface_is_seen_from_its_making_to_its_end() {
    if !require_root() {
        return;
    }
    let host = Host::new("allinone");
    host.ip("link add before type veth peer name before-p");
    let _service = host.start(&["allinone"], &[("SKYDIVE_HOST_ID", "h1")]);
    host.enter(|| {
        let desk = Desk::new(ANALYZER);
        eventually("the API to answer", READY, || desk.is_up().then_some(())).unwrap();
        become_veths(&host, &["before", "before-p"]);

        let mut subscriber = desk.subscribe();
        assert!(subscriber.graph.named("before").is_some());
        host.ip("link add after type veth peer name after-p");
        subscriber
            .until("the new interfaces", |_, graph| {
                graph.named("after").is_some() && graph.named("after-p").is_some()
            })
            .unwrap();
        let id = subscriber.graph.named("after").unwrap().to_owned();
        become_veths(&host, &["before", "before-p", "after", "after-p"]);

        host.ip("link set after name later");
        subscriber.until("the new name", |_, graph| graph.named("later") == Some(&id)).unwrap();
        assert_eq!(subscriber.graph.named("after"), None);
        become_veths(&host, &["before", "before-p", "later", "after-p"]);

        host.ip("link set later up");
        host.ip("link set after-p up");
        let state = |graph: &crate::stage::Graph| {
            graph.nodes.get(&id).map(|node| text(node, "/Metadata/State").to_owned())
        };
        subscriber.until("the state", |_, graph| state(graph).as_deref() == Some("UP")).unwrap();

        host.ip("link del later");
        subscriber
            .until("the deletion", |_, graph| {
                !graph.nodes.contains_key(&id) && graph.named("after-p").is_none()
            })
            .unwrap();
        let dangling = |end: &str| {
            let known = |edge: &&Json| !subscriber.graph.nodes.contains_key(text(edge, end));
            subscriber.graph.edges.values().filter(known).count()
        };
        assert_eq!((dangling("/Parent"), dangling("/Child")), (0, 0), "edges end with their nodes");
        become_veths(&host, &["before", "before-p"]);

        // What a subscriber was told is what the server has.
        let same = eventually("the subscriber's copy to be the graph", SOON, || {
            let graph = desk.graph()?;
            subscriber.until("nothing", |_, _| true).unwrap();
            subscriber.graph.differences(&graph).is_empty().then_some(())
        });
        assert!(same.is_ok(), "{:#?}", subscriber.graph.differences(&desk.graph().unwrap()));
    });
}

#[test]
fn the_page_and_the_metrics_are_served() {
    if !require_root() {
        return;
    }
    let host = Host::new("page");
    let _service = host.start(&["allinone"], &[]);
    host.ask(ANALYZER, |desk| {
        let page = desk.get("/");
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(page.message().contains("Skydive"));
        let metrics = desk.get("/metrics");
        assert_eq!(metrics.status.as_u16(), 200);
        assert!(metrics.message().ends_with("# EOF"), "{}", metrics.message());
        assert_eq!(desk.get("/api/").status.as_u16(), 200);
        let unknown = desk.get("/nowhere");
        assert_eq!((unknown.status.as_u16(), unknown.message().as_str()), (404, "404 page not found"));
    });
}
