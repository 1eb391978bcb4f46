//! `client node|edge|node-rule|edge-rule|topology` against a real analyzer: what is printed, what is sent, and what is in the
//! graph then.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::fs;
use std::process::Output;

use serde_json::{Value as Json, json};
use skydive_testnet::{eventually, require_root, workspace_root};

use crate::stage::{ANALYZER, Host, SOON, Service, stderr, text};

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/stage.rs"]
mod stage;

/// A host with an analyzer that answers.
fn analyzer(hint: &str) -> (Host, Service) {
    let host = Host::new(hint);
    let service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {});
    (host, service)
}

fn client(host: &Host, arguments: &[&str]) -> Output {
    host.run(&[&["client"], arguments].concat())
}

/// What a command printed, which must have succeeded.
fn printed(host: &Host, arguments: &[&str]) -> String {
    let output = client(host, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(host: &Host, arguments: &[&str]) -> Json {
    let text = printed(host, arguments);
    let json = serde_json::from_str(&text).unwrap();
    // Two blanks, and a line feed at the end.
    assert_eq!(text, serde_json::to_string_pretty(&json).unwrap() + "\n", "{arguments:?}");
    json
}

/// Why a command failed.
fn failure(host: &Host, arguments: &[&str]) -> String {
    let output = client(host, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    stderr(&output)
}

#[test]
fn nodes_and_edges_are_made_changed_listed_and_deleted() {
    if !require_root() {
        return;
    }
    let (host, _service) = analyzer("elements");
    assert_eq!(json_of(&host, &["node", "list"]), json!({}));
    let tor = json_of(
        &host,
        &[
            "node",
            "create",
            "--node-name",
            "tor",
            "--node-type",
            "switch",
            "--metadata",
            "Rack.Row=7, Site=a",
            "--host",
            "h9",
        ],
    );
    let id = text(&tor, "/ID");
    assert_eq!(tor["Metadata"], json!({"Rack": {"Row": "7"}, "Site": "a", "Name": "tor", "Type": "switch"}));
    assert_eq!((text(&tor, "/Host"), text(&tor, "/Origin")), ("h9", "cli.h9"));
    assert!(tor["CreatedAt"].as_i64() > Some(1_600_000_000_000));
    assert_eq!(json_of(&host, &["node", "get", id]), tor);

    let leaf = json_of(&host, &["node", "create", "--node-name", "leaf", "--node-type", "switch"]);
    assert!(text(&leaf, "/Origin").starts_with("cli."));
    let leaf = text(&leaf, "/ID");
    let link = json_of(
        &host,
        &[
            "edge",
            "create",
            "--parent",
            id,
            "--child",
            leaf,
            "--edge-type",
            "layer2",
            "--metadata",
            "Speed=10",
        ],
    );
    assert_eq!(link["Metadata"], json!({"Speed": "10", "RelationType": "layer2"}));
    assert_eq!((text(&link, "/Parent"), text(&link, "/Child")), (id, leaf));
    let edge = text(&link, "/ID");
    assert_eq!(json_of(&host, &["edge", "list"])[edge], link);
    let table = printed(&host, &["node", "list", "--format", "table"]);
    assert!(table.contains("Name") && table.contains("leaf") && table.lines().count() == 4, "{table}");
    let table = printed(&host, &["node", "get", id, "--format=table"]);
    assert!(table.contains(" Metadata.Rack.Row  7"), "{table}");

    // Values are JSON or text, dots and slashes nest, several elements are changed one after the other.
    let changed = printed(
        &host,
        &[
            "node",
            "update",
            id,
            leaf,
            "-a",
            "Rack.Row=8",
            "-a",
            "Rack/Unit=\"12\"",
            "--add",
            "Tags=[1, 2]",
            "-a",
            "Note=x=y",
        ],
    );
    let documents: Vec<Json> =
        serde_json::Deserializer::from_str(&changed).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(documents[0]["Metadata"]["Rack"], json!({"Row": 8, "Unit": "12"}));
    assert_eq!(documents[1]["Metadata"]["Rack"], json!({"Row": 8, "Unit": "12"}));
    assert_eq!(
        (&documents[0]["Metadata"]["Tags"], &documents[0]["Metadata"]["Note"]),
        (&json!([1, 2]), &json!("x=y"))
    );
    assert_eq!(printed(&host, &["node", "update", id, "-a", "Rack.Row=8"]), "Not modified\n");
    let changed = json_of(&host, &["node", "update", id, "--remove", "Rack.Unit", "-r", "Note"]);
    assert_eq!(changed["Metadata"]["Rack"], json!({"Row": 8}));
    assert!(changed["Metadata"].get("Note").is_none());
    let changed = json_of(&host, &["edge", "update", edge, "-a", "Speed=25"]);
    assert_eq!(changed["Metadata"]["Speed"], json!(25));

    // Refusals say what is wrong.
    assert_eq!(failure(&host, &["node", "get", "nobody"]), "error: Node 'nobody' not found\n");
    assert_eq!(failure(&host, &["edge", "get", "nobody"]), "error: Edge 'nobody' not found\n");
    assert_eq!(
        failure(&host, &["node", "update", "nobody", "-a", "k=v"]),
        "error: Node 'nobody' not found\n"
    );
    assert_eq!(
        failure(&host, &["edge", "create", "--parent", id, "--child", "nobody", "--edge-type", "x"]),
        "error: Node 'nobody' not found\n"
    );
    assert!(failure(&host, &["node", "create", "--node-type", "t"]).contains("Metadata: Name is required"));
    assert!(
        failure(&host, &["edge", "create", "--parent", id, "--child", leaf])
            .contains("RelationType is required")
    );
    let said = failure(&host, &["node", "update", id, "-r", "Name"]);
    assert!(said.contains("Metadata: Name is required"), "{said}");
    assert!(failure(&host, &["node", "get"]).contains("Usage:"));
    assert!(failure(&host, &["edge", "delete"]).contains("Usage:"));

    // What cannot be deleted is told and the rest is.
    let output = client(&host, &["edge", "delete", "nobody", edge]);
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "error: Edge 'nobody' not found\n")
    );
    assert!(output.stdout.is_empty());
    assert_eq!(json_of(&host, &["edge", "list"]), json!({}));
    assert!(failure(&host, &["node", "delete", "--gremlin", "G.V().Nonsense()"]).contains('^'));
    assert!(failure(&host, &["edge", "delete", "--gremlin", "G.V()"]).contains("does not give edges"));
    assert!(
        failure(&host, &["node", "delete", "--gremlin", "G.V().Count()"]).contains("does not give nodes")
    );
    let queries = ["G.V().Has('Name', 'tor')", "G.V().Has('Type', 'switch')"];
    assert_eq!(printed(&host, &["node", "delete", "--gremlin", queries[0], queries[1]]), "");
    assert_eq!(json_of(&host, &["node", "list"]), json!({}));
}

#[test]
fn rules_are_made_listed_and_deleted() {
    if !require_root() {
        return;
    }
    let (host, _service) = analyzer("rules");
    let rule = |name: &str| {
        json_of(
            &host,
            &[
                "node-rule",
                "create",
                "--name",
                "r",
                "--description",
                "d",
                "--node-name",
                name,
                "--node-type",
                "t",
                "--action",
                "create",
                "--metadata",
                "k=v",
            ],
        )
    };
    let (first, second) = (rule("a"), rule("b"));
    let expected = json!({"UUID": first["UUID"], "Name": "r", "Description": "d",
        "Metadata": {"k": "v", "Name": "a", "Type": "t"}, "Action": "create", "Query": ""});
    assert_eq!(first, expected);
    let update =
        ["noderule", "create", "--action", "update", "--query", "G.V().Has('Name','a')", "--metadata", "x=1"];
    let update = json_of(&host, &update);
    let link = json_of(
        &host,
        &[
            "edge-rule",
            "create",
            "--name",
            "e",
            "--src",
            "G.V().Has('Name','a')",
            "--dst",
            "G.V().Has('Name','b')",
            "--relationtype",
            "layer2",
            "--metadata",
            "Speed=10",
        ],
    );
    assert_eq!(link["Metadata"], json!({"Speed": "10", "RelationType": "layer2"}));
    let id = text(&link, "/UUID");
    assert_eq!(json_of(&host, &["edgerule", "get", id]), link);
    let listed = json_of(&host, &["node-rule", "list"]);
    assert_eq!(listed.as_object().unwrap().len(), 3);
    assert_eq!(listed[text(&second, "/UUID")], second);
    let table = printed(&host, &["edgerule", "list", "--format", "table"]);
    assert!(table.contains("Src") && table.contains("layer2"), "{table}");
    host.ask(ANALYZER, |desk| {
        let is_done = || {
            let graph = desk.graph()?;
            let a = graph.nodes.get(graph.named("a")?)?;
            (graph.edges.len() == 1 && a["Metadata"]["x"] == "1").then_some(())
        };
        eventually("the rules to be applied", SOON, is_done).unwrap();
    });

    assert!(
        failure(&host, &["node-rule", "create", "--action", "create", "--node-name", "x"])
            .contains("--node-type")
    );
    assert!(
        failure(&host, &["node-rule", "create", "--action", "update", "--query", "nonsense"])
            .contains("Gremlin")
    );
    assert!(
        failure(&host, &["edge-rule", "create", "--src", "G.V()", "--dst", "G.V()"])
            .contains("--relationtype")
    );
    assert!(
        failure(&host, &["edge-rule", "create", "--relationtype", "x"])
            .contains("Not a valid Gremlin expression")
    );
    assert_eq!(failure(&host, &["noderule", "get", "x"]), "error: Noderule 'x' not found\n");

    let ids = [&first, &update, &second].map(|rule| text(rule, "/UUID"));
    let output = client(&host, &[&["noderule", "delete", "x"], &ids[..]].concat());
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "error: Noderule 'x' not found\n")
    );
    printed(&host, &["edge-rule", "delete", id]);
    assert_eq!(json_of(&host, &["noderule", "list"]), json!({}));
    assert_eq!(json_of(&host, &["edgerule", "list"]), json!({}));
}

#[test]
fn a_graph_is_exported_and_imported_and_nothing_is_lost() {
    if !require_root() {
        return;
    }
    const MANY: usize = 3000;
    let (host, service) = analyzer("import");
    let node = |n: usize| json!({"ID": format!("n{n}"), "Host": "h", "Revision": 4, "Metadata": {"Name": n.to_string(), "Type": "t"}});
    let edge = |n: usize| json!({"ID": format!("e{n}"), "Parent": "n0", "Child": format!("n{n}"), "Metadata": {"RelationType": "x"}});
    let write = |name: &str, nodes: Vec<Json>, edges: Vec<Json>| {
        let path = host.directory().join(name);
        fs::write(&path, json!([{"Nodes": nodes, "Edges": edges}]).to_string()).unwrap();
        path.display().to_string()
    };
    let file = write("all.json", (0..MANY).map(node).collect(), (1..MANY).map(edge).collect());
    let import = |file: &str| client(&host, &["topology", "import", "--file", file]);
    let output = import(&file);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(stderr(&output), format!("{MANY} nodes and {} edges of {file} are in the graph\n", MANY - 1));
    // At once: what is told to be there is there.
    let exported = printed(&host, &["topology", "export"]);
    let graph: Json = serde_json::from_str(&exported).unwrap();
    assert_eq!(graph[0]["Nodes"].as_array().unwrap().len(), MANY);
    assert_eq!(graph[0]["Edges"].as_array().unwrap().len(), MANY - 1);
    assert!(exported.starts_with("[\n\t{\n\t\t\"Nodes\": ["), "tabs, as ever");
    assert!(text(&graph, "/0/Nodes/7/Origin").starts_with("CLI."));
    assert!(import(&file).status.success(), "once more changes nothing");

    // What is exported comes back on another analyzer.
    let exported_file = host.directory().join("exported.json");
    fs::write(&exported_file, &exported).unwrap();
    service.kill();
    let _again = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {});
    let output = import(exported_file.to_str().unwrap());
    assert!(output.status.success(), "{output:?}");
    let count = printed(&host, &["query", "G.E().Count()"]);
    assert_eq!(count, format!("{}\n", MANY - 1));

    // What cannot get there is named.
    let mut orphan = edge(1);
    (orphan["ID"], orphan["Child"]) = (json!("orphan"), json!("nobody"));
    let file =
        write("bad.json", vec![node(1), json!({"ID": "bad", "Metadata": {"Type": "t"}})], vec![orphan]);
    let output = import(&file);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for part in [
        "cannot be imported: node bad: ",
        "Metadata: Name is required",
        "did not get into the graph: edge orphan\n",
        &format!("1 nodes and 0 edges of {file} are in the graph\n"),
        &format!("error: 2 elements of {file} are not in the graph\n"),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(failure(&host, &["topology", "import"]).contains("graph.json"));
    fs::write(host.directory().join("no.json"), "[]").unwrap();
    let no = host.directory().join("no.json");
    assert!(
        failure(&host, &["topology", "import", "--file", no.to_str().unwrap()])
            .contains("not an exported graph")
    );

    let output = client(&host, &["topology", "query", "--gremlin", "G.V().Has('Name','7').Values('Name')"]);
    assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), "[\n\t\"7\"\n]\n");
    assert!(stderr(&output).starts_with("warning: "), "{output:?}");
}

#[test]
fn the_page_of_the_command_line_is_true() {
    if !require_root() {
        return;
    }
    let (host, _service) = analyzer("page");
    let page = fs::read_to_string(workspace_root().join("docs/command-line.md")).unwrap();
    let commands: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("skydive client ") && !line.contains(" ID"))
        .filter(|line| !line.contains(" | ") && *line != "skydive client shell")
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let program = stage::binary();
        let line = command.replacen("skydive", program.to_str().unwrap(), 1);
        let output =
            host.command_of(&["sh", "-ec", &line], &[]).current_dir(host.directory()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
}
