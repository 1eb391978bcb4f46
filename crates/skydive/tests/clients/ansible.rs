//! The Ansible modules of the original: the messages that they send, through the package they send them with.

use skydive_testnet::{eventually, require_root};

use crate::packages::{script, with_analyzer};
use crate::stage::{ANALYZER, SOON, text};

/// UUIDv5 of a seed in the namespace of object identifiers, as `uuid.uuid5` makes it.
const TOR: (&str, &str) = ("TOR1", "894cb478-cd3f-5336-af15-eef12c2ec871");
const PORT: (&str, &str) = ("", "c6e5a0c2-639e-5ba9-95e0-7c8f6456ce2f");

#[test]
fn a_playbook_may_run_twice() {
    if !require_root() {
        return;
    }
    with_analyzer("ansible", |host, desk| {
        let mut first = None;
        for run in 0..2 {
            for (name, (seed, id)) in [("TOR", TOR), ("PORT1", PORT)] {
                let made = script(host, "ansible.py", &[ANALYZER, "node", name, "fabric", seed]);
                assert_eq!(made.trim(), id);
                let there = || desk.graph()?.nodes.contains_key(id).then_some(());
                eventually("the node", SOON, there).unwrap();
            }
            let (tor, port) = ("g.V().Has('Name', 'TOR')", "G.V().Has('Name', 'PORT1')");
            let made = script(host, "ansible.py", &[ANALYZER, "edge", tor, port, "ownership"]);
            let id = made.trim();
            let edge = eventually("the edge", SOON, || desk.graph()?.edges.remove(id)).unwrap();
            assert_eq!((text(&edge, "/Parent"), text(&edge, "/Child")), (TOR.1, PORT.1));

            let graph = desk.graph().unwrap();
            assert_eq!((graph.nodes.len(), graph.edges.len()), (2, 1), "run {run}");
            assert_eq!(text(&graph.nodes[TOR.1], "/Metadata/Model"), "Cisco xxxx");
            assert_eq!(*first.get_or_insert_with(|| graph.clone()), graph, "nothing changes");
        }
    });
}
