//! The PyPI package `skydive-shell` 0.3: its queries, and the completions it asks for.

use serde_json::json;
use skydive_testnet::require_root;

use crate::packages::{programs, script, with_analyzer};
use crate::stage::ANALYZER;
use crate::talk::{Talk, edge, node};

#[test]
fn queries_and_completions_of_the_shell() {
    if !require_root() {
        return;
    }
    with_analyzer("py-shell", |host, _| {
        let headers = [("X-Client-Type", "test"), ("X-Host-ID", "test")];
        let mut publisher = Talk::open(ANALYZER, "/ws/publisher", &headers);
        let mut device = node("a", "device");
        device["Metadata"]["Vendor"] = json!("x");
        for (kind, obj) in
            [("NodeAdded", device), ("NodeAdded", node("b", "host")), ("EdgeAdded", edge("a", "b", "layer2"))]
        {
            publisher.say(kind, &obj);
        }
        publisher.sync(&json!({}));
        let shell = programs().join("skydive-shell");
        script(host, "shell_calls.py", &[shell.to_str().unwrap(), ANALYZER]);
    });
}
