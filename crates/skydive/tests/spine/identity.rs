//! Two agents with one host id: the live one keeps it, a dead one loses it.

use rustix::process::Signal;
use skydive_testnet::{eventually, require_root};

use crate::stage::{AGENT, ANALYZER, Desk, Graph, Host, SOON, text};

const SECOND: &str = "127.0.0.1:8091";
const ORIGIN: &str = "agent.twin";

/// Long enough that no time-out has a part in what is tested.
const PATIENT: [(&str, &str); 2] =
    [("SKYDIVE_HTTP_WS_PING_DELAY", "60"), ("SKYDIVE_HTTP_WS_PONG_TIMEOUT", "60")];

fn host_node(graph: &Graph) -> Option<String> {
    let hosts = graph.nodes.iter().filter(|(_, node)| text(node, "/Metadata/Type") == "host");
    let mut ids: Vec<&String> = hosts.map(|(id, _)| id).collect();
    assert!(ids.len() <= 1, "both agents are in the graph");
    ids.pop().cloned()
}

fn is_linked(desk: &Desk) -> bool {
    let status = desk.status();
    let link = &status["Analyzers"]["127.0.0.1:8082"];
    let is_linked = link["IsConnected"] == true;
    // Who answered is known exactly while it is connected.
    assert_eq!(link["RemoteServiceType"] == "analyzer", is_linked, "{status:#}");
    assert_eq!(link["RemoteHost"].is_string(), is_linked, "{status:#}");
    is_linked
}

#[test]
fn a_live_holder_keeps_the_id_and_a_frozen_one_loses_it() {
    if !require_root() {
        return;
    }
    let host = Host::new("twin");
    let agent = |listen| {
        let environment =
            [("SKYDIVE_HOST_ID", "twin"), ("SKYDIVE_ANALYZERS", ANALYZER), ("SKYDIVE_AGENT_LISTEN", listen)];
        host.start(&["agent"], &[&environment[..], &PATIENT].concat())
    };
    let _analyzer = host.start(&["analyzer"], &PATIENT);
    host.ask(ANALYZER, |hub| {
        let merged = || host_node(&hub.graph()?.part(ORIGIN));
        let first = agent(AGENT);
        let holder = eventually("the first agent", SOON, merged).unwrap();

        let second = agent(SECOND);
        host.ask(SECOND, |desk| {
            eventually("the refusal in the log", SOON, || second.log().contains("host_id").then_some(()))
                .unwrap();
            assert!(second.log().contains("already has an agent with this host id"), "{}", second.log());
            assert!(!is_linked(desk));
            assert_eq!(merged().as_deref(), Some(holder.as_str()));
            let newcomer =
                eventually("the second agent's own graph", SOON, || host_node(&desk.graph()?)).unwrap();
            assert_ne!(newcomer, holder);

            first.signal(Signal::STOP);
            eventually("the second agent to be linked", SOON, || is_linked(desk).then_some(())).unwrap();
            eventually("the second agent in the graph", SOON, || {
                (merged().as_deref() == Some(newcomer.as_str())).then_some(())
            })
            .unwrap();
            let agreed = eventually("the graphs to agree", SOON, || {
                desk.graph()?.differences(&hub.graph()?.part(ORIGIN)).is_empty().then_some(())
            });
            assert!(
                agreed.is_ok(),
                "{:#?}",
                desk.graph().unwrap().differences(&hub.graph().unwrap().part(ORIGIN))
            );

            // The first wakes up and is the newcomer now.
            first.signal(Signal::CONT);
            eventually("the refusal in the first's log", SOON, || {
                first.log().contains("already has an agent with this host id").then_some(())
            })
            .unwrap();
            assert!(is_linked(desk));
            assert_eq!(merged(), Some(newcomer));
        });
    });
}
