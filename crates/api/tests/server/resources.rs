//! Resources: every answer of the common pattern, patches, times to live, permissions.

use std::collections::BTreeMap;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value as Json, json};
use skydive_api::{ApiSettings, Permission};
use skydive_graph::{Change, Mutation, Op, Stamp};
use skydive_proto::ResourceStore;
use skydive_value::{Map, Timestamp, Value};

use crate::{Running, start, start_with};

/// Status, content type and body.
type Answer = (u16, String, String);

const JSON: &str = "application/json; charset=UTF-8";
const TEXT: &str = "text/plain; charset=utf-8";

fn ask(server: &Running, method: Method, path: &str) -> RequestBuilder {
    let redirect = reqwest::redirect::Policy::none();
    Client::builder().no_proxy().redirect(redirect).build().unwrap().request(method, server.url(path))
}

async fn answer(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let media = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), media.unwrap_or_default(), answer.text().await.unwrap())
}

async fn get(server: &Running, path: &str) -> Answer {
    answer(ask(server, Method::GET, path)).await
}

async fn post(server: &Running, path: &str, body: impl ToString) -> Answer {
    answer(ask(server, Method::POST, path).body(body.to_string())).await
}

async fn patch(server: &Running, path: &str, body: impl ToString) -> Answer {
    answer(ask(server, Method::PATCH, path).body(body.to_string())).await
}

async fn delete(server: &Running, path: &str) -> Answer {
    answer(ask(server, Method::DELETE, path)).await
}

fn json(answer: &Answer) -> Json {
    serde_json::from_str(&answer.2).unwrap_or_else(|fault| panic!("{answer:?}: {fault}"))
}

fn refused(status: u16, text: &str) -> Answer {
    (status, TEXT.to_owned(), format!("{text}\n"))
}

fn rule() -> Json {
    json!({"Name": "r", "Action": "create", "Metadata": {"Name": "n", "Type": "t"}})
}

fn node(id: &str) -> Json {
    json!({"ID": id, "Metadata": {"Name": id, "Type": "t"}})
}

fn edge(id: &str, parent: &str, child: &str, relation: &str) -> Json {
    json!({"ID": id, "Parent": parent, "Child": child, "Metadata": {"RelationType": relation}})
}

#[tokio::test]
async fn stored_resources_are_made_listed_found_and_deleted() {
    let server = start(ApiSettings::default()).await;
    assert_eq!(get(&server, "/api/noderule").await, (200, JSON.to_owned(), "{}".to_owned()));
    let mut claimed = rule();
    claimed["UUID"] = "mine".into();
    let made = post(&server, "/api/noderule", &claimed).await;
    assert_eq!((made.0, made.1.as_str()), (201, JSON));
    let resource = json(&made);
    let id = resource["UUID"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 36, "the server names it");
    let full = json!({"UUID": id, "Name": "r", "Description": "", "Metadata": {"Name": "n", "Type": "t"},
        "Action": "create", "Query": ""});
    assert_eq!(resource, full);
    assert_eq!(json(&get(&server, "/api/noderule").await), json!({ id.as_str(): full }));
    let path = format!("/api/noderule/{id}");
    assert_eq!(json(&get(&server, &path).await), full);
    assert_eq!(json(&get(&server, "/api/edgerule").await), json!({}));
    assert_eq!(delete(&server, &path).await, (200, "text/plain".to_owned(), String::new()));
    for again in [get(&server, &path).await, delete(&server, &path).await] {
        assert_eq!(again, refused(404, &format!("Noderule '{id}' not found")));
    }
    assert_eq!(get(&server, "/api/edgerule/a/b").await, refused(404, "Edgerule 'a/b' not found"));
    assert_eq!(get(&server, "/api/node/a%2Fb").await, refused(404, "Node 'a/b' not found"));
    for (method, path) in
        [(Method::PUT, "/api/noderule"), (Method::DELETE, "/api/node"), (Method::POST, "/api/edge/x")]
    {
        let (status, _, body) = answer(ask(&server, method, path)).await;
        assert_eq!((status, body.as_str()), (405, ""), "{path}");
    }
    assert_eq!(get(&server, "/api/noderule/").await.0, 301);
}

#[tokio::test]
async fn bodies_are_read_leniently_and_checked_in_order() {
    let server = start(ApiSettings::default()).await;
    let body =
        format!("{} {{\"Action\":", json!({"name": "n", "ACTION": "update", "Else": 1, "query": null}));
    assert_eq!(post(&server, "/api/noderule", body).await.0, 201, "the first value counts");
    let yaml = "Src: G.V()\nDst: G.V()\nMetadata:\n  RelationType: layer2\n";
    let typed =
        |media: &str| ask(&server, Method::POST, "/api/edgerule").header("content-type", media).body(yaml);
    let made = answer(typed("application/yaml")).await;
    assert_eq!((made.0, &json(&made)["Metadata"]), (201, &json!({"RelationType": "layer2"})));
    assert_eq!(answer(typed("text/yaml")).await.0, 400);
    // What cannot be read is counted as such; what was read and is wrong is not.
    let mut malformed = 1;
    for (path, body, text, is_malformed) in [
        ("/api/noderule", "", "EOF", true),
        ("/api/noderule", r#"{"Action":1}"#, "invalid type: integer", true),
        ("/api/noderule", "{}", "Action: regular expression mismatch", false),
        ("/api/edgerule", "{}", "Src: Not a valid Gremlin expression: ", false),
        (
            "/api/noderule",
            r#"{"Action":"update","Query":"G.Flows().Nodes()","Metadata":{"A":1}}"#,
            "Query: Not a valid Gremlin expression: it asks for flows, ",
            false,
        ),
        (
            "/api/edgerule",
            r#"{"Src":"G.V()","Dst":"G.Flows().CaptureNode()","Metadata":{"RelationType":"layer2"}}"#,
            "Dst: Not a valid Gremlin expression: it asks for flows, ",
            false,
        ),
        ("/api/node", r#"{"Metadata":{}}"#, "No ID found for graph element", true),
        ("/api/node", r#"{"ID":"a"}"#, "invalid schema: ", false),
        ("/api/edge", r#"{"ID":"a","Child":"c"}"#, "parent ID wrong format", true),
        ("/api/edge", r#"{"ID":"a","Parent":"c"}"#, "child ID wrong format", true),
        (
            "/api/edge",
            r#"{"ID":"a","Parent":"p","Child":"c","Metadata":{"RelationType":"t"}}"#,
            "Parent node",
            false,
        ),
        ("/api/node", r#"{"ID":"a","CreatedAt":1.5}"#, "invalid type: floating point", true),
    ] {
        let (status, media, found) = post(&server, path, body).await;
        assert_eq!((status, media.as_str()), (400, TEXT), "{path} {body}");
        assert!(found.starts_with(text) && found.ends_with('\n'), "{path} {body}: {found}");
        malformed += u64::from(is_malformed);
        assert_eq!(server.telemetry.losses().malformed_bodies, malformed, "{path} {body}");
    }
}

#[tokio::test]
async fn times_to_live() {
    let server = start(ApiSettings::default()).await;
    let timed = |path: &str, ttl: &str, body: Json| {
        answer(ask(&server, Method::POST, path).header("X-Resource-TTL", ttl).body(body.to_string()))
    };
    assert_eq!(timed("/api/noderule", "1m0s", rule()).await.0, 201);
    assert_eq!(timed("/api/noderule", "0s", rule()).await.0, 201);
    assert_eq!(timed("/api/noderule", "60000000µs", rule()).await.0, 201);
    let wrong = timed("/api/noderule", "soon", rule()).await;
    assert_eq!(wrong, refused(400, "invalid ttl: invalid duration \"soon\""));
    // Everything else is checked before.
    assert!(timed("/api/noderule", "soon", json!({})).await.2.starts_with("Action: "));
    assert_eq!(timed("/api/node", "soon", node("a")).await.0, 400);
    assert_eq!(timed("/api/node", "5s", node("a")).await.0, 201);
    let mut expiries: Vec<_> = server.resources.list("noderule").await.unwrap().resources;
    expiries.sort_by_key(|resource| resource.expires_at);
    let expiries: Vec<_> = expiries.iter().map(|resource| resource.expires_at).collect();
    let minute = Some(Timestamp::from_millis(1_700_000_060_000));
    assert_eq!(expiries, [None, minute, minute]);
}

#[tokio::test]
async fn elements_are_made_as_they_are_given() {
    let server = start(ApiSettings::default()).await;
    let made = post(&server, "/api/node", node("a")).await;
    assert_eq!((made.0, made.1.as_str()), (201, JSON));
    let full = json!({"ID": "a", "Metadata": {"Name": "a", "Type": "t"}, "Host": "", "Origin": "api.hub1",
        "CreatedAt": 1_700_000_000_000_i64, "UpdatedAt": 1_700_000_000_000_i64, "DeletedAt": null, "Revision": 0});
    assert_eq!(json(&made), full);
    assert_eq!(json(&get(&server, "/api/node/a").await), full);
    let mut given = node("b/c");
    for (key, value) in [("Host", "h"), ("Origin", "o.h")] {
        given[key] = value.into();
    }
    given["CreatedAt"] = 0.into();
    given["Revision"] = 7.into();
    given["Metadata"]["N"] = json!(1.0);
    let made = json(&post(&server, "/api/node", given).await);
    assert_eq!(made["Origin"], "o.h");
    assert_eq!((&made["CreatedAt"], &made["UpdatedAt"]), (&json!(0), &json!(1_700_000_000_000_i64)));
    assert_eq!((&made["Revision"], &made["Metadata"]["N"]), (&json!(7), &json!(1)));
    assert_eq!(json(&get(&server, "/api/node/b/c").await), made);

    for (path, body, text) in [
        ("/api/node", node("a"), "Node ID conflict"),
        ("/api/edge", edge("e", "nobody", "a", "x"), "Parent node not found"),
        ("/api/edge", edge("e", "a", "nobody", "x"), "Child node not found"),
    ] {
        assert_eq!(post(&server, path, body).await, refused(400, text));
    }
    let made = post(&server, "/api/edge", edge("e", "a", "b/c", "ownership")).await;
    assert_eq!((made.0, &json(&made)["Parent"]), (201, &json!("a")));
    let again = post(&server, "/api/edge", edge("e", "a", "b/c", "x")).await;
    assert_eq!(again, refused(400, "Edge ID conflict"));
    let circle = post(&server, "/api/edge", edge("f", "b/c", "a", "ownership")).await;
    assert_eq!(circle, refused(400, "Ownership must not form a circle"));
    assert_eq!(post(&server, "/api/edge", edge("f", "b/c", "a", "x")).await.0, 201);
    let turned = json!([{"op": "replace", "path": "/Metadata/RelationType", "value": "ownership"}]);
    let circle = patch(&server, "/api/edge/f", turned).await;
    let text = "updating resource with patched version: Ownership must not form a circle";
    assert_eq!(circle, refused(400, text));
    let nodes: BTreeMap<String, Json> = serde_json::from_str(&get(&server, "/api/node").await.2).unwrap();
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["a", "b/c"]);
    assert_eq!(json(&get(&server, "/api/edge").await).as_object().unwrap().len(), 2);

    // The edges of a node go with it.
    assert_eq!(delete(&server, "/api/node/a").await.0, 200);
    assert_eq!(delete(&server, "/api/node/a").await, refused(404, "Node 'a' not found"));
    assert_eq!(json(&get(&server, "/api/edge").await), json!({}));
}

#[tokio::test]
async fn patches_of_the_original() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("../data/patches.json")).unwrap();
    assert_eq!(cases.len(), 16);
    for case in cases {
        let server = start(ApiSettings::default()).await;
        for id in ["nodeA", "nodeB"] {
            post(&server, "/api/node", node(id)).await;
        }
        let list = format!("/api/{}", case["kind"].as_str().unwrap());
        let given = &case["resource"];
        let id = given["ID"].as_str().or(case["target_id"].as_str()).unwrap();
        let path = format!("{list}/{id}");
        if !given.is_null() {
            assert_eq!(post(&server, &list, given).await.0, 201, "{case}");
        }
        let (status, media, body) = patch(&server, &path, &case["patch"]).await;
        assert_eq!(u64::from(status), case["status"].as_u64().unwrap(), "{case}: {body}");
        if let Some(expected) = case["body"].as_str() {
            assert_eq!(body, expected, "{case}");
        }
        if let Some(prefix) = case["body_prefix"].as_str() {
            assert!(body.starts_with(prefix), "{case}: {body}");
        }
        let Some(after) = case["after"].as_object() else { continue };
        let found = json(&get(&server, &path).await);
        for (key, value) in after {
            assert_eq!(&found[key], value, "{case}");
        }
        let changed = case["updated_at_changes"].as_bool().unwrap();
        assert_eq!(found["UpdatedAt"] != given["UpdatedAt"], changed, "{case}");
        if status == 200 {
            assert_eq!((media.as_str(), serde_json::from_str::<Json>(&body).unwrap()), (JSON, found));
        } else {
            assert_eq!(body, "", "{case}");
        }
    }
}

#[tokio::test]
async fn each_stage_of_a_patch_has_its_words() {
    let server = start(ApiSettings::default()).await;
    post(&server, "/api/node", node("a")).await;
    let rule = json(&post(&server, "/api/noderule", rule()).await)["UUID"].as_str().unwrap().to_owned();
    let rule = format!("/api/noderule/{rule}");
    for (path, body, text) in [
        ("/api/node/a", "{}", "incorrect JSON patch: "),
        ("/api/node/a", "nonsense", "incorrect JSON patch: "),
        ("/api/node/a", r#"[{"op":"add","path":"/x"}]"#, "applying JSON patch to resource: "),
        (
            "/api/node/a",
            r#"[{"op":"remove","path":"/ID"}]"#,
            "creating a new resource from the patched JSON body: No ID found",
        ),
        (
            "/api/node/a",
            r#"[{"op":"remove","path":"/Metadata"}]"#,
            "validating patched resource: invalid schema: ",
        ),
        (
            rule.as_str(),
            r#"[{"op":"replace","path":"/Metadata","value":1}]"#,
            "creating a new resource from the patched JSON body: ",
        ),
        (
            rule.as_str(),
            r#"[{"op":"replace","path":"/Action","value":"x"}]"#,
            "validating patched resource: Action: regular expression mismatch",
        ),
        (
            rule.as_str(),
            r#"[{"op":"replace","path":"/Name","value":"x"}]"#,
            "updating resource with patched version: resource not updatable",
        ),
    ] {
        let (status, media, found) = patch(&server, path, body).await;
        assert_eq!((status, media.as_str()), (400, TEXT), "{path} {body}");
        assert!(found.starts_with(text), "{path} {body}: {found}");
    }
    assert!(patch(&server, "/api/node/a", "nonsense").await.2.ends_with(". Patch: nonsense\n"));
    assert_eq!(patch(&server, "/api/noderule/nobody", "nonsense").await, (404, String::new(), String::new()));
}

/// Neither the change of an agent nor that of a client is lost when they meet.
#[tokio::test]
async fn a_patch_and_the_owner_of_an_element_go_together() {
    let server = start(ApiSettings::default()).await;
    server.fill().await;
    let add = |path: &str, value: i64| json!([{"op": "add", "path": path, "value": value}]);
    let patched = json(&patch(&server, "/api/node/a", add("/Metadata/Mine", 1)).await);
    assert_eq!(patched["Revision"], 2);
    // The agent does not know of it and goes on counting.
    let update = |revision: i64| Mutation::UpdateNode {
        id: "a".into(),
        change: Change::Ops([Op::set("Theirs", revision)].into()),
        stamp: Some(Stamp { revision, updated_at: Timestamp::from_millis(9) }),
    };
    for revision in [2, 3] {
        server.live.apply_by("agent.h".into(), vec![update(revision)]).await.unwrap();
        let found = json(&get(&server, "/api/node/a").await);
        let metadata = json!({"Mine": 1, "Name": "eth0", "Theirs": revision, "Type": "veth"});
        assert_eq!((&found["Metadata"], &found["Revision"]), (&metadata, &json!(revision + 1)));
    }
    // Nor are those of clients that come at the same time.
    let requests: Vec<_> = (0..40)
        .map(|i| {
            let body = add(&format!("/Metadata/K{i}"), i).to_string();
            tokio::spawn(answer(ask(&server, Method::PATCH, "/api/node/b").body(body)))
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap().0, 200);
    }
    let found = json(&get(&server, "/api/node/b").await);
    assert_eq!((found["Metadata"].as_object().unwrap().len(), &found["Revision"]), (42, &json!(41)));
}

#[tokio::test]
async fn preflights_allow_what_resources_need() {
    let server = start(ApiSettings::default()).await;
    for (path, method) in [("/api/node/a", "PATCH"), ("/api/noderule", "POST"), ("/api/edge/a", "DELETE")] {
        let asked = ask(&server, Method::OPTIONS, path)
            .header("origin", "http://ui")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "X-Resource-TTL,Content-Type");
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["access-control-allow-headers"], "X-Resource-TTL,Content-Type");
    }
}

struct Reader;

impl Permission for Reader {
    fn allows(&self, _: &str, object: &str, action: &str) -> bool {
        action == "read" && object == "node"
    }
}

#[tokio::test]
async fn refusals_of_permission_have_their_words() {
    let server = start_with(ApiSettings::default(), Box::new(Reader)).await;
    assert_eq!(get(&server, "/api/node").await.0, 200);
    assert_eq!(get(&server, "/api/node/x").await.0, 404);
    let cannot = |action: &str, object: &str| {
        refused(405, &format!("'anonymous' has no '{action}' permission on '{object}'"))
    };
    assert_eq!(post(&server, "/api/node", node("a")).await, cannot("write", "node"));
    assert_eq!(delete(&server, "/api/node/a/b").await, cannot("write", "node"));
    assert_eq!(get(&server, "/api/noderule/x").await, cannot("read", "noderule"));
    for bare in [patch(&server, "/api/node/x", "[]").await, get(&server, "/api/noderule").await] {
        assert_eq!(bare, (405, String::new(), String::new()));
    }
}

#[tokio::test]
async fn configuration_and_language_are_served() {
    let server = start(ApiSettings::default()).await;
    assert_eq!(get(&server, "/api/config/a.b").await, (200, JSON.to_owned(), "1".to_owned()));
    assert_eq!(get(&server, "/api/config/nothing").await.2, "\"\"");
    assert_eq!(get(&server, "/api/config/a/b").await.0, 404);
    let language = json(&get(&server, "/api/query/steps").await);
    assert!(language["Steps"].as_array().unwrap().iter().any(|step| step["Name"] == "Has"));
}

#[tokio::test]
async fn captures_are_checked_counted_and_there_once() {
    let server = start(ApiSettings::default()).await;
    let types = "available types: [ovssflow pcapsocket ovsmirror dpdk afpacket pcap ebpf sflow ovsnetflow]";
    let header_size = "HeaderSize: A valid header size is >= 14 && <= 4096";
    let raw_packets = "RawPacketLimit: A valid raw packet limit size is > 0 && <= 10";
    for (members, text) in [
        (json!({"Type": "tap"}), format!("Type: Not a valid capture type: tap, {types}")),
        (json!({"HeaderSize": 13}), header_size.to_owned()),
        (json!({"HeaderSize": 4097}), header_size.to_owned()),
        (json!({"RawPacketLimit": 11}), raw_packets.to_owned()),
        (json!({"RawPacketLimit": -1}), raw_packets.to_owned()),
        (json!({"LayerKeyMode": "l2"}), "LayerKeyMode: Not a valid layer key mode".to_owned()),
        (
            json!({"TargetType": "ipfix"}),
            "TargetType: Not a valid target type: ipfix, available types: [local netflowv5 erspanv1]"
                .to_owned(),
        ),
        (json!({"Port": 65_536}), "Port: A valid port is >= 0 && <= 65535".to_owned()),
        (json!({"ExtraLayers": 256}), "ExtraLayers: A valid sum of layers is >= 0 && <= 255".to_owned()),
        (json!({"Target": "collector"}), "Target: Not a valid address".to_owned()),
        (
            json!({"Type": "ebpf", "BPFFilter": "tcp"}),
            "ebpf capture doesn't support BPF filtering".to_owned(),
        ),
        (
            json!({"Type": "ebpf", "RawPacketLimit": 1}),
            "ebpf capture doesn't support raw packet capture".to_owned(),
        ),
    ] {
        let mut capture = members.clone();
        capture["GremlinQuery"] = "G.V()".into();
        assert_eq!(post(&server, "/api/capture", capture).await, refused(400, &text), "{members}");
    }
    for (body, beginning) in [
        (json!({}), "GremlinQuery: Not a valid Gremlin expression: "),
        (json!({"GremlinQuery": "G.V("}), "GremlinQuery: Not a valid Gremlin expression: "),
        (
            json!({"GremlinQuery": "G.V().Flows().Hops()"}),
            "GremlinQuery: Not a valid Gremlin expression: it asks for flows, which change without a change of the \
             topology and cannot be followed: choose the nodes by what they are, as G.V().Has('Name','eth0') does",
        ),
        (
            json!({"GremlinQuery": "G.At('-1h').V()"}),
            "GremlinQuery: Not a valid Gremlin expression: it asks for the past, which cannot be followed",
        ),
        (
            json!({"GremlinQuery": "G.V().Count()"}),
            "GremlinQuery: Not a valid Gremlin expression: its answer (number) has no nodes: choose nodes",
        ),
        (
            json!({"GremlinQuery": "G.V()", "BPFFilter": "tcp port"}),
            "BPFFilter: Not a valid BPF expression: ",
        ),
    ] {
        let (status, _, text) = post(&server, "/api/capture", &body).await;
        assert!(status == 400 && text.starts_with(beginning), "{body}: {status} {text}");
    }

    let yaml = "GremlinQuery: G.V()\nBPFFilter: tcp port 80\nExtraTCPMetric: true\n";
    let yaml =
        ask(&server, Method::POST, "/api/capture").header("content-type", "application/yaml").body(yaml);
    let made = json(&answer(yaml).await);
    let id = made["UUID"].as_str().unwrap().to_owned();
    let full = json!({"UUID": id, "GremlinQuery": "G.V()", "BPFFilter": "tcp port 80", "Count": 0,
        "SamplingRate": 0, "PollingInterval": 0, "ExtraTCPMetric": true, "IPDefrag": false, "ReassembleTCP": false});
    assert_eq!(made, full);
    // The same again, and what is told apart by nothing that allows both.
    let same = |members: Json| {
        let mut capture = json!({"GremlinQuery": "G.V()"});
        for (name, value) in members.as_object().unwrap() {
            capture[name] = value.clone();
        }
        capture
    };
    let duplicate = refused(409, "duplicated resource");
    for (members, expected) in [
        (json!({"BPFFilter": "tcp port 80", "Name": "another"}), 409),
        (json!({"BPFFilter": "tcp port 81"}), 201),
        (json!({"BPFFilter": "tcp port 80", "Type": "afpacket"}), 201),
        (json!({"Type": "pcapsocket"}), 201),
        (json!({"Type": "pcapsocket", "BPFFilter": "udp"}), 409),
        (json!({"Type": "ebpf"}), 201),
        (json!({"Type": "ebpf", "ExtraTCPMetric": true}), 409),
    ] {
        let found = post(&server, "/api/capture", same(members.clone())).await;
        assert_eq!(found.0, expected, "{members}: {found:?}");
        assert!(expected == 201 || found == duplicate, "{members}: {found:?}");
    }

    // Nodes say on how many it runs.
    server.fill().await;
    let entry =
        |id: &str, state: &str| -> Map { [("ID", id), ("State", state), ("Type", "")].into_iter().collect() };
    let captures = |entries: Vec<Map>| [Op::set("Captures", Value::list(entries))];
    let on = |node: &str, entries: Vec<Map>| Mutation::update_node(node.into(), captures(entries));
    let changes = vec![
        on("a", vec![entry("another", "active"), entry(&id, "active")]),
        on("b", vec![entry(&id, "error")]),
    ];
    server.live.apply(changes).await.unwrap();
    let path = format!("/api/capture/{id}");
    assert_eq!(json(&get(&server, &path).await)["Count"], 1);
    let listed = json(&get(&server, "/api/capture").await);
    assert_eq!((listed.as_object().unwrap().len(), &listed[&id]["Count"]), (5, &json!(1)));
    server.live.apply(vec![on("b", vec![entry(&id, "active")])]).await.unwrap();
    assert_eq!(json(&get(&server, &path).await)["Count"], 2);

    let renamed = patch(&server, &path, r#"[{"op":"add","path":"/Name","value":"n"}]"#).await;
    assert_eq!(renamed, refused(400, "updating resource with patched version: resource not updatable"));
    let wrong = patch(&server, &path, r#"[{"op":"add","path":"/HeaderSize","value":1}]"#).await;
    assert_eq!(wrong, refused(400, &format!("validating patched resource: {header_size}")));
    assert_eq!(delete(&server, &path).await.0, 200);
    assert_eq!(get(&server, &path).await, refused(404, &format!("Capture '{id}' not found")));
}
