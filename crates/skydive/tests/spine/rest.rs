//! Resources of the running program: rules that act, times to live, what a kill leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use skydive_testnet::{eventually, require_root};

use crate::stage::{ANALYZER, Desk, Graph, Host, SOON, Service, text};

/// Kills in a row.
const KILLS: u64 = 10;
/// Clients that write at once until the kill.
const WRITERS: usize = 4;

/// Status and body; `None` when the server breaks off.
fn try_call(method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(ANALYZER).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let promised =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    // A body that was cut off is no answer.
    if promised.is_some_and(|promised: usize| promised != body.len()) {
        return None;
    }
    Some((head.get(9..12)?.parse().ok()?, body.to_owned()))
}

fn call(method: &str, path: &str, body: &Json) -> (u16, String) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    try_call(method, path, "", &body).unwrap()
}

fn make(path: &str, body: &Json) -> Json {
    let (status, body) = call("POST", path, body);
    assert_eq!(status, 201, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn remove(path: &str, resource: &Json) {
    let (status, body) = call("DELETE", &format!("{path}/{}", text(resource, "/UUID")), &Json::Null);
    assert_eq!((status, body.as_str()), (200, ""));
}

fn list(path: &str) -> BTreeMap<String, Json> {
    let (status, body) = call("GET", path, &Json::Null);
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

fn node(id: &str) -> Json {
    json!({"ID": id, "Metadata": {"Name": id, "Type": "device"}})
}

fn until(desk: &Desk, what: &str, is_so: impl Fn(&Graph) -> bool) {
    eventually(what, SOON, || desk.graph().filter(|graph| is_so(graph)).map(drop)).unwrap();
}

fn analyzer(host: &Host) -> Service {
    host.start(&["analyzer"], &[("SKYDIVE_HOST_ID", "hub1")])
}

#[test]
fn rules_act_on_the_graph_and_are_undone() {
    if !require_root() {
        return;
    }
    let host = Host::new("rules");
    let service = analyzer(&host);
    host.ask(ANALYZER, |desk| {
        for id in ["a", "b"] {
            make("/api/node", &node(id));
        }
        let update =
            json!({"Action": "update", "Query": "G.V().Has('Type', 'device')", "Metadata": {"Zone": "z"}});
        let create = json!({"Action": "create", "Metadata": {"Name": "tor", "Type": "fabric"}});
        let link = json!({"Src": "G.V().Has('Name', 'tor')", "Dst": "G.V('a')",
            "Metadata": {"RelationType": "layer2"}});
        let update = make("/api/noderule", &update);
        let link = make("/api/edgerule", &link);
        let create = make("/api/noderule", &create);
        let zone = |graph: &Graph, id: &str| text(&graph.nodes[id], "/Metadata/Zone").to_owned();
        until(desk, "both nodes updated", |graph| zone(graph, "a") == "z" && zone(graph, "b") == "z");
        until(desk, "the link, whose parent came last", |graph| graph.edges.len() == 1);
        // What comes later is updated too.
        make("/api/node", &node("c"));
        until(desk, "the new node", |graph| zone(graph, "c") == "z");

        let graph = desk.graph().unwrap();
        let tor = graph.nodes.values().find(|node| text(node, "/Metadata/Name") == "tor").unwrap();
        assert_eq!(tor["ID"], tor["Metadata"]["TID"]);
        assert_eq!((text(tor, "/Metadata/Probe"), text(tor, "/Host")), ("fabric", ""));

        remove("/api/noderule", &update);
        until(desk, "the fields gone", |graph| ["a", "b", "c"].iter().all(|id| zone(graph, id).is_empty()));
        remove("/api/edgerule", &link);
        until(desk, "the link gone", |graph| graph.edges.is_empty());
        remove("/api/noderule", &create);
        until(desk, "the node gone", |graph| graph.nodes.len() == 3);

        let timed = json!({"Action": "create", "Metadata": {"Name": "soon gone", "Type": "t"}}).to_string();
        let made = try_call("POST", "/api/noderule", "X-Resource-TTL: 2s\r\n", &timed).unwrap();
        assert_eq!(made.0, 201, "{}", made.1);
        until(desk, "the node of the rule", |graph| graph.nodes.len() == 4);
        until(desk, "its end with the rule", |graph| graph.nodes.len() == 3);
        assert!(list("/api/noderule").is_empty());

        // The configuration says where they are kept.
        let kept = host.directory().join("data/etcd");
        let (_, told) = call("GET", "/api/config/etcd.data_dir", &Json::Null);
        assert_eq!(serde_json::from_str::<Json>(&told).unwrap(), json!(kept));
        assert!(kept.join("resources.redb").exists());
    });
    drop(service);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how often something happens is what is tested")]
fn rules_that_fight_or_match_thousands_take_no_core() {
    if !require_root() {
        return;
    }
    let host = Host::new("fight");
    let service = analyzer(&host);
    host.ask(ANALYZER, |desk| {
        for i in 0..2000 {
            make("/api/node", &node(&format!("n{i}")));
        }
        for value in [1, 2] {
            make("/api/noderule", &json!({"Action": "update", "Query": "G.V()", "Metadata": {"A": value}}));
            let flip = format!("G.V().Has('B', {value})");
            make("/api/noderule", &json!({"Action": "update", "Query": flip, "Metadata": {"B": 3 - value}}));
        }
        until(desk, "the last rule", |graph| graph.nodes.values().all(|node| node["Metadata"]["A"] == 2));
        let (status, _) =
            call("PATCH", "/api/node/n7", &json!([{"op": "add", "path": "/Metadata/B", "value": 1}]));
        assert_eq!(status, 200);
        let before = (Instant::now(), processor_time(&service));
        let revision = || desk.graph().unwrap().nodes["n7"]["Revision"].as_i64().unwrap();
        let first = revision();
        while before.0.elapsed() < Duration::from_secs(3) {
            assert!(revision() - first < 20, "the rules spin");
        }
        // Most of it is the answers to this test.
        let taken = processor_time(&service).saturating_sub(before.1);
        eprintln!("processor time in 3 s: {taken:?}");
    });
}

fn processor_time(service: &Service) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// What was acknowledged before a kill is there after it: what was made exists, what was deleted does not.
#[test]
fn a_kill_loses_no_acknowledged_resource() {
    if !require_root() {
        return;
    }
    let host = Host::new("killed");
    let (mut made, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..KILLS {
        let service = analyzer(&host);
        host.ask(ANALYZER, |_| {
            let found = list("/api/noderule");
            let lost: Vec<_> = made.iter().filter(|id| !found.contains_key(*id)).collect();
            let back: Vec<_> = gone.iter().filter(|id| found.contains_key(*id)).collect();
            assert!(lost.is_empty() && back.is_empty(), "round {round}: lost {lost:?}, back {back:?}");
        });
        let (stop, heard) = (AtomicBool::new(false), Mutex::new((Vec::new(), Vec::new())));
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (host, stop, heard) = (&host, &stop, &heard);
                scope.spawn(move || host.enter(|| write(writer, stop, heard)));
            }
            // Another moment each time, not before something was written.
            let enough = usize::try_from(5 + round * 7).unwrap();
            eventually("writes", SOON, || (heard.lock().unwrap().0.len() >= enough).then_some(())).unwrap();
            service.kill();
            stop.store(true, Ordering::Relaxed);
        });
        let (written, deleted) = heard.into_inner().unwrap();
        made.extend(written);
        for id in deleted {
            made.remove(&id);
            gone.insert(id);
        }
    }
    assert!(made.len() as u64 > KILLS && !gone.is_empty(), "{} made, {} deleted", made.len(), gone.len());
}

/// Makes rules and deletes some, until the server is gone, and tells of what was answered.
fn write(writer: usize, stop: &AtomicBool, heard: &Mutex<(Vec<String>, Vec<String>)>) {
    for i in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let rule = json!({"Action": "update", "Metadata": {format!("K{writer}"): i}}).to_string();
        let Some((201, body)) = try_call("POST", "/api/noderule", "", &rule) else { continue };
        let id = text(&serde_json::from_str(&body).unwrap(), "/UUID").to_owned();
        if i % 3 != 0 {
            heard.lock().unwrap().0.push(id);
            continue;
        }
        // Whether it was deleted is not known when the answer does not come: nothing is said of it then.
        if let Some((200, _)) = try_call("DELETE", &format!("/api/noderule/{id}"), "", "") {
            heard.lock().unwrap().1.push(id);
        }
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "told, not judged")]
fn a_thousand_resources_are_listed_at_once() {
    if !require_root() {
        return;
    }
    let host = Host::new("thousand");
    let _service = analyzer(&host);
    host.ask(ANALYZER, |_| {
        for i in 0..1000 {
            make(
                "/api/noderule",
                &json!({"Action": "update", "Metadata": {"K": i}, "Query": "G.V('nobody')"}),
            );
        }
        let mut times = Vec::new();
        for _ in 0..20 {
            let begin = Instant::now();
            let (_, body) = call("GET", "/api/noderule", &Json::Null);
            times.push(begin.elapsed());
            assert_eq!(serde_json::from_str::<BTreeMap<String, Json>>(&body).unwrap().len(), 1000);
        }
        times.sort_unstable();
        eprintln!("1,000 resources listed: median {:?}, slowest {:?}", times[10], times[19]);
    });
}

#[test]
fn a_directory_in_use_is_named_at_start() {
    if !require_root() {
        return;
    }
    let host = Host::new("twice");
    let _service = analyzer(&host);
    host.ask(ANALYZER, |_| {
        let second = host.run(&["analyzer", "--listen", "127.0.0.1:9082"]);
        let told = crate::stage::stderr(&second);
        assert!(!second.status.success());
        assert!(told.contains("etcd.data_dir") && told.contains("in use by another program"), "{told}");
    });
}
