//! The OpenAPI document against a running analyzer: its examples, what schemathesis makes of it, its page, and the
//! commands of the page that is for people.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;
use skydive_testnet::{require_root, run, workspace_root};

use crate::stage::{ANALYZER, Desk, Host};

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "spine/stage.rs"]
mod stage;

/// What schemathesis may take; it takes a third of it on two idle cores.
const BOUND: Duration = Duration::from_mins(1);
/// What differs from run to run, in the answers of the page.
const ANYTHING: char = '…';

/// Runs `f` with a client beside an analyzer that has no agents.
fn with_analyzer(hint: &str, f: impl FnOnce(&Host, &Desk) + Send) {
    if !require_root() {
        return;
    }
    let host = Host::new(hint);
    let _service = host.start(&["analyzer"], &[("SKYDIVE_HOST_ID", "hub1")]);
    host.ask(ANALYZER, |desk| f(&host, desk));
}

/// What a command prints.
fn output(host: &Host, line: &[&str]) -> String {
    let output = host.command_of(line, &[]).output().unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn curl(host: &Host, arguments: &[&str]) -> String {
    output(host, &[&["curl", "-s"], arguments].concat())
}

#[test]
fn schemathesis_finds_nothing() {
    with_analyzer("schema", |host, desk| {
        let programs = run(Command::new(workspace_root().join("scripts/python-clients.sh")).arg("openapi"));
        let program = format!("{}/schemathesis", programs.unwrap().trim());
        let config = workspace_root().join("tests/openapi/schemathesis.toml");
        // From its URL it would be left out itself.
        let document = document(desk);
        fs::write(host.directory().join("openapi.json"), document.to_string()).unwrap();
        let (url, bound) = (format!("http://{ANALYZER}/"), BOUND.as_secs().to_string());
        let (config, program) = (config.to_str().unwrap(), program.as_str());
        let tries = [program, "--config-file", config, "run", "openapi.json", "--url", &url, "--no-color"];
        let line = [&["timeout", &bound], &tries[..]].concat();
        let tried = host.command_of(&line, &[]).current_dir(host.directory()).output().unwrap();
        let said = String::from_utf8_lossy(&tried.stdout);
        assert!(tried.status.success(), "{}\n{said}{}", tried.status, String::from_utf8_lossy(&tried.stderr));
        // Each operation but the one that its configuration leaves out.
        let described = document["paths"].as_object().unwrap().values();
        let count: usize = described.map(|operations| operations.as_object().unwrap().len()).sum();
        assert!(said.contains(&format!("{} selected / {count} total", count - 1)), "{said}");
    });
}

#[test]
fn the_examples_of_the_document_are_accepted() {
    with_analyzer("examples", |host, desk| {
        let document = document(desk);
        // Edges need their nodes.
        let posts =
            ["node", "edge", "noderule", "edgerule", "topology"].map(|name| (format!("/api/{name}"), "post"));
        let patches = [("/api/node/tor1".to_owned(), "patch"), ("/api/edge/cable1".to_owned(), "patch")];
        let mut sent = 0;
        for (path, method) in posts.into_iter().chain(patches) {
            let place = path.replace("/tor1", "/{id}").replace("/cable1", "/{id}");
            let content = &document["paths"][&place][method]["requestBody"]["content"];
            for (media, body) in content.as_object().unwrap() {
                for example in body["examples"].as_object().unwrap().values() {
                    let body = match &example["value"] {
                        Json::String(yaml) => yaml.clone(),
                        json => json.to_string(),
                    };
                    let url = format!("http://{ANALYZER}{path}");
                    let (form, method) = (format!("content-type: {media}"), method.to_uppercase());
                    let line =
                        ["-X", &method, "-H", &form, "--data-binary", &body, "-w", "\n%{http_code}", &url];
                    let answer = curl(host, &line);
                    let (said, status) = answer.rsplit_once('\n').unwrap();
                    // The same element was made of the example in the other form.
                    let is_known = said.contains("ID conflict") && media == "application/yaml";
                    assert!(["200", "201"].contains(&status) || is_known, "{path} {media} {body}: {answer}");
                    sent += 1;
                }
            }
        }
        assert_eq!(sent, 17);
    });
}

#[test]
fn the_page_for_people_is_true() {
    with_analyzer("rest", |host, _| {
        let page = fs::read_to_string(workspace_root().join("docs/rest.md")).unwrap();
        let mut commands = 0;
        for block in page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            for shown in block.split("$ ").filter(|shown| !shown.is_empty()) {
                let (command, expected) = shown.split_once('\n').unwrap();
                let said = output(host, &["sh", "-c", command]).replace("\r\n", "\n");
                assert!(is_like(said.trim_end(), expected.trim_end()), "{command}\n{said}\nnot\n{expected}");
                commands += 1;
            }
        }
        assert!(commands >= 15, "{commands}");
    });
}

fn document(desk: &Desk) -> Json {
    serde_json::from_slice(&desk.get("/api/openapi.json").body).unwrap()
}

/// Whether a text is another one in which some parts may be anything.
fn is_like(text: &str, expected: &str) -> bool {
    let mut parts = expected.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut ends = rest.is_empty();
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        ends = part.is_empty() || rest.is_empty() || text.ends_with(part);
    }
    ends
}

#[test]
fn what_differs_is_passed_over() {
    for (text, expected, same) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abcd", "a…d", true),
        ("abcd", "a…c", false),
        ("ab", "a…", true),
    ] {
        assert_eq!(is_like(text, expected), same, "{text} {expected}");
    }
}
