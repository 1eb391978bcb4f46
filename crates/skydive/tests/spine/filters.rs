//! Subscribers with filters.

use serde_json::json;
use skydive_testnet::{eventually, require_root};

use crate::stage::{ANALYZER, Host, SOON};
use crate::talk::{Talk, edge, gist, node};

const HOSTS: &str = "G.V().Has('Type', 'host').Out('Type', 'device').SubGraph()";

#[test]
fn a_filter_gives_its_part_and_every_difference() {
    if !require_root() {
        return;
    }
    let host = Host::new("filter");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |desk| {
        let mut publisher = Talk::open(ANALYZER, "/ws/publisher?x-client-type=t&x-host-id=p", &[]);
        for (id, kind) in [("h", "host"), ("a", "device"), ("b", "device"), ("c", "veth")] {
            publisher.say("NodeAdded", &node(id, kind));
        }
        for (parent, child) in [("h", "a"), ("h", "c"), ("a", "b")] {
            publisher.say("EdgeAdded", &edge(parent, child, "layer2"));
        }
        eventually("the graph", SOON, || (desk.graph()?.edges.len() == 3).then_some(())).unwrap();

        let path = "/ws/subscriber?x-client-type=t&x-host-id=s";
        let mut subscriber = Talk::open(ANALYZER, path, &[("x-gremlin-filter", HOSTS)]);
        let told = |field: &str| desk.status()["Subscribers"]["s"][field].clone();
        let ids = |reply: &serde_json::Value, field: &str| {
            let list = reply["Obj"][field].as_array().cloned().unwrap_or_default();
            list.iter().map(|element| element["ID"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let reply = subscriber.sync(&json!({}));
        assert_eq!((reply["Status"].as_i64(), ids(&reply, "Nodes")), (Some(200), vec!["a".to_owned()]));
        assert_eq!((told("FilterMode"), told("GremlinFilter")), (json!("incremental"), json!(HOSTS)));

        // The difference, in the order of the original.
        publisher.say("EdgeAdded", &edge("h", "b", "layer2"));
        assert_eq!(gist(&subscriber.hear()), ("NodeAdded".to_owned(), "b".to_owned()));
        assert_eq!(gist(&subscriber.hear()), ("EdgeAdded".to_owned(), "a-b".to_owned()));
        publisher
            .say("NodePartiallyUpdated", &json!({"ID": "b", "Ops": [{"Type": 1, "Key": "MTU", "Value": 9}]}));
        let update = subscriber.hear();
        assert_eq!(
            (gist(&update).0, &update["Obj"]["Metadata"]["MTU"]),
            ("NodeUpdated".to_owned(), &json!(9))
        );
        // What is no concern of the filter is not told.
        publisher
            .say("NodePartiallyUpdated", &json!({"ID": "c", "Ops": [{"Type": 1, "Key": "MTU", "Value": 9}]}));
        publisher.say("EdgeDeleted", &edge("h", "b", "layer2"));
        assert_eq!(gist(&subscriber.hear()), ("NodeDeleted".to_owned(), "b".to_owned()));
        assert_eq!(gist(&subscriber.hear()), ("EdgeDeleted".to_owned(), "a-b".to_owned()));

        // A filter that is refused changes nothing.
        for (filter, why) in [
            ("G.V(", "Invalid Gremlin filter 'G.V(' for client s"),
            ("G.V().Count()", "Gremlin query 'G.V().Count()' did not return a graph"),
            ("G.V('x').SubGraph()", "Node 'x' does not exist"),
            ("G.V().Has('MTU', Lt('x')).SubGraph()", "LT values should be of int64 type"),
            ("G.At('-1h').V().SubGraph()", "Backend does not support history"),
        ] {
            let reply = subscriber.sync(&json!({"GremlinFilter": filter}));
            assert_eq!((&reply["Status"], &reply["Obj"]), (&json!(400), &json!(why)));
        }
        let reply = subscriber.sync(&json!({"Time": 5}));
        assert_eq!((&reply["Status"], &reply["Obj"]), (&json!(400), &json!(null)));
        assert_eq!(ids(&subscriber.sync(&json!({"GremlinFilter": null})), "Nodes"), ["a"]);

        // One that is evaluated anew from time to time.
        let first = "G.V().Has('Type', 'device').Sort('Name').Limit(1).SubGraph()";
        let reply = subscriber.sync(&json!({"GremlinFilter": first}));
        assert_eq!((ids(&reply, "Nodes"), told("FilterMode")), (vec!["a".to_owned()], json!("periodic")));
        publisher.say("NodeDeleted", &node("a", "device"));
        assert_eq!(gist(&subscriber.hear()), ("NodeAdded".to_owned(), "b".to_owned()));
        let gone = subscriber.hear();
        assert_eq!(gist(&gone), ("NodeDeleted".to_owned(), "a".to_owned()));
        assert!(gone["Obj"]["DeletedAt"].as_i64().is_some_and(|at| at > 0), "{gone}");

        // Without one it is the whole graph again, also when nothing is said of it.
        assert_eq!(ids(&subscriber.sync(&json!({"GremlinFilter": ""})), "Nodes").len(), 3);
        assert_eq!(told("FilterMode"), json!("none"));
        assert_eq!(ids(&subscriber.sync(&json!({})), "Nodes").len(), 3);
        subscriber.leave();
    });
}

#[test]
fn partial_updates_stay_partial_behind_a_filter() {
    if !require_root() {
        return;
    }
    let host = Host::new("partial");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {
        let mut publisher = Talk::open(ANALYZER, "/ws/publisher?x-client-type=t", &[]);
        publisher.say("NodeAdded", &node("a", "device"));
        let path = "/ws/subscriber?x-client-type=t&x-update-policy=Partial";
        let mut subscriber = Talk::open(ANALYZER, path, &[]);
        let filter = json!({"GremlinFilter": "G.V().Has('Type', 'device').SubGraph()"});
        while subscriber.sync(&filter)["Obj"]["Nodes"].as_array().unwrap().is_empty() {}
        let ops = json!([{"Type": 1, "Key": "Some.Where", "Value": 1}]);
        publisher.say("NodePartiallyUpdated", &json!({"ID": "a", "Ops": ops}));
        let update = subscriber.hear();
        assert_eq!(gist(&update), ("NodePartiallyUpdated".to_owned(), "a".to_owned()));
        assert_eq!(update["Obj"]["Ops"], ops);
        publisher.say(
            "NodePartiallyUpdated",
            &json!({"ID": "a", "Ops": [{"Type": 1, "Key": "Type", "Value": "x"}]}),
        );
        assert_eq!(gist(&subscriber.hear()), ("NodeDeleted".to_owned(), "a".to_owned()));
    });
}

#[test]
fn a_filter_of_the_handshake_that_fails_ends_it() {
    if !require_root() {
        return;
    }
    let host = Host::new("wrong");
    let _service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {
        for filter in ["G.V(", "G.V()", "G.V('x').SubGraph()", "G.V().Has('a', Ipv4Range('x')).SubGraph()"] {
            let talk =
                Talk::open(ANALYZER, "/ws/subscriber?x-client-type=t", &[("x-gremlin-filter", filter)]);
            assert_eq!(talk.goodbye(), (1000, String::new()), "{filter}");
        }
    });
}
