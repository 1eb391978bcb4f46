//! Every query that the readme and the book show, asked on hosts as they describe them: each has a right answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use skydive_testnet::{Netns, eventually, require_root};

use crate::stage::{ANALYZER, Host, SOON, Service, stderr, text};

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/stage.rs"]
mod stage;

/// What a query must answer where it is shown.
struct Example {
    query: &'static str,
    /// Pages that show it, from the root of the repository.
    pages: &'static [&'static str],
    is_right: fn(&Json) -> bool,
}

const README: &str = "README.md";
const FIRST: &str = "docs/first-five-minutes.md";
const LIFE: &str = "docs/life-of-a-query.md";

/// Whether the capture of the pages runs.
const ACTIVE: &str = "G.V().Has('Captures.State','active').Count()";

/// Shown as a mistake.
const WRONG: &str = "G.V().Foo()";

/// Pages without examples: what was decided and measured stays as it was. Those of `queries.md` are checked where the
/// language is, those of `command-line.md` where its commands are, those of `clients.md` where the clients are,
/// those of `rest.md` where the document of the API is.
const LEFT_OUT: &[&str] = &[
    "docs/decisions",
    "docs/performance.md",
    "docs/configuration.md",
    "docs/queries.md",
    "docs/command-line.md",
    "docs/clients.md",
    "docs/rest.md",
];

const EXAMPLES: &[Example] = &[
    Example {
        query: "G",
        pages: &[README, FIRST],
        is_right: |answer| {
            let count =
                |part: &str| answer.pointer(&format!("/0/{part}")).and_then(Json::as_array).map(Vec::len);
            count("Nodes") > Some(2) && count("Edges") > Some(2)
        },
    },
    Example { query: "G.V().Has('Type','host')", pages: &[FIRST], is_right: |answer| are(answer, &["h1"]) },
    Example {
        query: "G.V().Has('Type','veth')",
        pages: &[README, FIRST, LIFE],
        is_right: |answer| are(answer, &["demo0", "demo1"]),
    },
    Example {
        query: "G.V().Has('Name','demo0').BothE('RelationType','layer2').BothV().Values('Name')",
        pages: &[README],
        is_right: |answer| strings(answer) == ["demo0", "demo1"],
    },
    Example {
        query: "G.V().Has('Type','host').Out().Count()",
        pages: &[README],
        is_right: |answer| answer.as_i64() >= Some(3),
    },
    Example {
        query: "G.V().Has('Name','demo0')",
        pages: &[README, FIRST],
        is_right: |answer| are(answer, &["demo0"]),
    },
    Example {
        query: "G.Flows().Has('Application','ICMPv4').Metrics()",
        pages: &[README, FIRST],
        is_right: |answer| {
            let flows = answer.pointer("/0").and_then(Json::as_object);
            flows.is_some_and(|flows| flows.values().all(|metrics| metrics[0]["ABPackets"] == 3))
        },
    },
    Example {
        query: "G.V().Has('IPV4','10.99.0.2/24')",
        pages: &[FIRST],
        is_right: |answer| are(answer, &["demo1"]),
    },
    Example {
        query: "G.V().Has('Name','demo').OutE('RelationType','ownership').OutV()",
        pages: &[FIRST],
        is_right: |answer| are(answer, &["demo1", "lo"]),
    },
    Example {
        query: "G.V().Has('Name','demo0').BothE('RelationType','layer2').BothV().Has('Name',Ne('demo0'))",
        pages: &[FIRST],
        is_right: |answer| are(answer, &["demo1"]),
    },
    Example {
        query: "G.V().Has('Type','veth').Values('Name')",
        pages: &[FIRST],
        is_right: |answer| strings(answer) == ["demo0", "demo1"],
    },
    Example {
        query: "G.V().Has('State','DOWN').Values('Name')",
        pages: &[FIRST],
        is_right: |answer| strings(answer) == ["eth0"],
    },
    Example {
        query: "G.V().Has('MTU',Gt(1500))",
        pages: &[FIRST],
        is_right: |answer| are(answer, &["lo", "lo"]),
    },
    Example {
        query: "G.V().Dedup('Type').Values('Type')",
        pages: &[FIRST],
        is_right: |answer| {
            let types = strings(answer);
            ["device", "host", "netns", "veth"].iter().all(|name| types.contains(name))
        },
    },
    Example {
        query: "G.V().Has('Type','veth').Count()",
        pages: &[FIRST],
        is_right: |answer| answer.as_i64() == Some(2),
    },
    Example {
        query: "G.V().Has('Name','demo0').ShortestPathTo(Metadata('Name','demo1'))",
        pages: &[FIRST],
        is_right: |answer| {
            let path = answer.pointer("/0").map(names);
            path.is_some_and(|path| path == ["demo0", "demo1"])
        },
    },
    Example {
        query: "G.V().Has('Name','eth0').Values('MTU')",
        pages: &[LIFE],
        is_right: |answer| *answer == serde_json::json!([1500]),
    },
];

fn names(nodes: &Json) -> Vec<&str> {
    nodes.as_array().into_iter().flatten().map(|node| text(node, "/Metadata/Name")).collect()
}

/// Whether the answer is the nodes of these names, in any order.
fn are(answer: &Json, expected: &[&str]) -> bool {
    let mut names = names(answer);
    names.sort_unstable();
    names == expected
}

/// The texts of an answer, sorted.
fn strings(answer: &Json) -> Vec<&str> {
    let mut texts: Vec<&str> = answer.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    texts.sort_unstable();
    texts
}

fn ask_all(host: &Host, pages: &[&str]) {
    for example in EXAMPLES.iter().filter(|example| example.pages.iter().any(|page| pages.contains(page))) {
        let mut said = String::new();
        let right = eventually(example.query, SOON, || {
            let output = host.run(&["client", "query", example.query]);
            said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
            let answer: Json = serde_json::from_slice(&output.stdout).ok()?;
            (example.is_right)(&answer).then_some(())
        });
        assert!(right.is_ok(), "{}:\n{said}", example.query);
    }
}

/// A host as the pages make it: a namespace at the other end of a veth pair, three pings to it captured.
struct Demo {
    host: Host,
    _service: Service,
    _demo: Netns,
}

impl Demo {
    fn new(name: &str) -> Self {
        let host = Host::new(name);
        // Made before the program starts, which has mounts of its own; named, as the pages have it, when it runs.
        let demo = Netns::with_loopback("demo").unwrap();
        let service = host.start(&["allinone"], &[("SKYDIVE_HOST_ID", "h1")]);
        host.ask(ANALYZER, |_| ());
        std::os::unix::fs::symlink(demo.path(), host.directory().join("netns/demo")).unwrap();
        host.ip(&format!("link add demo0 type veth peer name demo1 netns {}", demo.name()));
        demo.ip(&["addr", "add", "10.99.0.2/24", "dev", "demo1"]).unwrap();
        demo.ip(&["link", "set", "demo1", "up"]).unwrap();
        host.ip("link add eth0 type bridge");
        host.ip("addr add 10.99.0.1/24 dev demo0");
        host.ip("link set demo0 up");
        let capture = ["client", "capture", "create", "--gremlin", "G.V().Has('Name','demo0')"];
        assert!(host.run(&capture).status.success());
        host.ask(ANALYZER, |desk| {
            let runs = || (desk.query(ACTIVE).message() == "1").then_some(());
            eventually("the capture", SOON, runs).unwrap();
        });
        host.netns.exec(&["ping", "-q", "-c", "3", "-i", "0.1", "10.99.0.2"]).unwrap();
        Self { host, _service: service, _demo: demo }
    }
}

#[test]
fn the_readme_is_true() {
    if !require_root() {
        return;
    }
    let Demo { host, .. } = &Demo::new("readme");
    ask_all(host, &[README]);
    let dot = host.run(&["client", "query", "G", "--format", "dot"]);
    let dot = String::from_utf8_lossy(&dot.stdout).into_owned();
    assert!(dot.starts_with("digraph g {\n") && dot.contains("\"demo0-") && dot.contains("layer2"), "{dot}");
    let status = host.run(&["client", "status"]);
    let status: Json = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status.pointer("/Agents/h1/IsConnected"), Some(&true.into()), "{status:#}");
}

#[test]
fn the_book_is_true() {
    if !require_root() {
        return;
    }
    let Demo { host, .. } = &Demo::new("book");
    ask_all(host, &[FIRST, LIFE]);

    let wrong = host.run(&["client", "query", WRONG]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).ends_with(&format!("\n  {WRONG}\n        ^\n")), "{}", stderr(&wrong));
    let explained = host.run(&["client", "query", "--explain", "G.V().Has('Type','veth')"]);
    assert!(stderr(&explained).contains("nodes="), "{}", stderr(&explained));

    // What operations.md says about the two statuses.
    let probes = host.run(&["client", "status", "--analyzer", "127.0.0.1:8081"]);
    let probes: Json = serde_json::from_slice(&probes.stdout).unwrap();
    for probe in ["hardware", "netlink", "netns"] {
        let status = text(&probes, &format!("/TopologyProbes/{probe}/Status")).to_owned();
        assert_eq!(status, "running", "{probes:#}");
    }
}

#[test]
fn no_example_is_left_out() {
    let mut found = BTreeSet::new();
    let mut pages = vec![root().join(README)];
    pages_below(&root().join("docs"), &mut pages);
    for page in pages {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        if LEFT_OUT.iter().any(|left_out| name.starts_with(left_out)) {
            continue;
        }
        let page = fs::read_to_string(&page).unwrap();
        found.extend(page.lines().flat_map(queries_in).map(|query| (name.clone(), query.to_owned())));
    }
    let shown = EXAMPLES.iter().flat_map(|example| example.pages.iter().map(|page| (*page, example.query)));
    let known: BTreeSet<(String, String)> =
        shown.chain([(FIRST, WRONG)]).map(|(page, query)| (page.to_owned(), query.to_owned())).collect();
    assert_eq!(found, known, "the examples of the pages and those of this test");
}

#[test]
fn every_hop_is_where_the_pages_say() {
    let mut checked = 0;
    for page in ["docs/life-of-a-packet.md", "docs/life-of-an-interface.md", LIFE] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for row in text.lines().filter(|line| line.starts_with("| ") && line.contains("`crates/")) {
            let place = row.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap();
            let mut source = String::new();
            for name in place.split('`').skip(1).step_by(2) {
                if name.starts_with("crates/") {
                    source = source_of(&root().join(name));
                    assert!(!source.is_empty(), "{page}: {name} is not there");
                    continue;
                }
                let own = name.rsplit("::").next().unwrap();
                let is_declared = ["fn", "struct", "enum", "trait", "const"].iter().any(|word| {
                    source.match_indices(&format!("{word} {own}")).any(|(at, found)| {
                        let next = source[at + found.len()..].chars().next();
                        next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
                    })
                });
                assert!(is_declared, "{page}: {name} is not declared where it says:\n{row}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked} names");
}

/// A file, or all files below a folder.
fn source_of(path: &Path) -> String {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries.map(|entry| source_of(&entry.unwrap().path())).collect();
    }
    fs::read_to_string(path).unwrap_or_default()
}

/// Quoted parts of a line that are queries.
fn queries_in(line: &str) -> impl Iterator<Item = &str> {
    let quoted = |quote: char| line.split(quote).skip(1).step_by(2);
    quoted('`').chain(quoted('"')).filter(|part| *part == "G" || part.starts_with("G."))
}

fn pages_below(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages_below(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

fn root() -> PathBuf {
    skydive_testnet::workspace_root()
}
