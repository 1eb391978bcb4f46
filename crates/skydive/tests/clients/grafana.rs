//! The Grafana data source (skydive-grafana-datasource 1.2.0): how it asks, and what it reads from the answers.

use std::time::SystemTime;

use serde_json::{Value as Json, json};
use skydive_testnet::{eventually, require_root};

use crate::http::{Answer, send};
use crate::stage::{ANALYZER, Host, SOON, text};

/// As it goes through Grafana's proxy.
const HEADERS: [(&str, &str); 4] = [
    ("Accept", "application/json, text/plain, */*"),
    ("Accept-Encoding", "gzip"),
    ("Content-Type", "application/json;charset=UTF-8"),
    ("X-Grafana-Org-Id", "1"),
];

fn query(gremlin: &str) -> Answer {
    let body = json!({"GremlinQuery": gremlin}).to_string();
    send(ANALYZER, "POST", "/api/topology", &HEADERS, Some(&body)).unzipped()
}

/// Its query for a panel of the last five minutes, to the second.
#[allow(clippy::disallowed_methods, reason = "a client asks with its own clock")]
fn panel(rest: &str) -> Json {
    let live = || {
        let to = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let answer = query(&format!("G.At({to},300).{rest}"));
        // A machine that is too slow for this answers for the past.
        (answer.text() != "Backend does not support history\n").then_some(answer)
    };
    eventually("an answer at once", SOON, live).unwrap().json(200)
}

#[test]
fn a_panel_of_an_interface() {
    if !require_root() {
        return;
    }
    let host = Host::new("grafana");
    host.ip("link add g0 type veth peer name g1");
    host.ip("link set g1 up");
    let environment = [("SKYDIVE_HOST_ID", "h1"), ("SKYDIVE_AGENT_TOPOLOGY_NETLINK_METRICS_UPDATE", "1")];
    let _service = host.start(&["allinone"], &environment);
    host.ask(ANALYZER, |_| {
        // The test of the data source.
        let identity = send(ANALYZER, "GET", "/api", &HEADERS, None);
        assert_eq!(identity.status, 200);
        query("G.At('-1s').V().Limit(1)").json(200);

        // An interface that comes up says something: neighbour discovery.
        host.ip("link set g0 up");
        let interface = "V().Has('Name', 'g0')";
        let whole = format!("{interface}.HasKey('Metric').Metrics().Aggregates()");
        let metrics =
            || Some(panel(&whole)).filter(|found| found.pointer("/0/Aggregated/0/TxBytes").is_some());
        let found = eventually("metrics", SOON, metrics)
            .unwrap_or_else(|_| panic!("{whole}: {}\n{}", panel(&whole), panel(interface)));

        // Which kind of element it is: names decide.
        let keys = panel(&format!("{interface}.Limit(10).Keys()"));
        let keys: Vec<&str> = keys.as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        assert!(keys.contains(&"Name") && keys.contains(&"Metric.RxBytes"), "{keys:?}");
        assert!(!keys.contains(&"TrackingID") && !keys.contains(&"Filters"), "no flow, no rule of OpenFlow");

        // A map with lists of metrics is what it draws.
        assert_eq!(found.as_array().unwrap().len(), 1);
        for metric in found[0]["Aggregated"].as_array().unwrap() {
            let (start, last) = (metric["Start"].as_i64().unwrap(), metric["Last"].as_i64().unwrap());
            assert!(start <= last && start > 1_000_000_000_000, "milliseconds: {metric}");
            let fields = metric.as_object().unwrap();
            assert!(fields.values().all(Json::is_i64) && fields.contains_key("TxBytes"), "{metric}");
        }

        // Suffixes of other kinds of nodes find nothing here, and say so with a list.
        for suffix in [
            "HasKey('Ovs.Metric').Metrics('Ovs').Aggregates()",
            "Has('Type', 'ofrule').Metrics().Aggregates()",
            "HasKey('SFlow').Metrics('SFlow').Aggregates()",
        ] {
            assert_eq!(panel(&format!("{interface}.{suffix}")), json!([{"Aggregated": []}]), "{suffix}");
        }
        let id = text(&panel(interface), "/0/ID").to_owned();
        assert!(panel(&format!("{interface}.Metrics()"))[0][id].is_array());
    });
}
