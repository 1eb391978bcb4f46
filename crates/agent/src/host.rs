//! The node of the host itself.

use std::sync::Arc;

use skydive_graph::{Mutation, Node, Source, key};
use skydive_value::{Id, Map};

use crate::AgentConfig;

/// Adds the host's node: name, host name, and what the user says of it.
pub(crate) fn add_host(config: &AgentConfig, source: &Arc<Source>) -> (Id, Mutation) {
    let mut metadata = users_fields(&config.metadata, !config.metadata_files.is_empty());
    metadata.insert(key::TYPE, key::node_type::HOST);
    metadata.insert(key::NAME, config.host_id.clone());
    metadata.insert(key::HOSTNAME, config.hostname.clone());
    let id = Id::random();
    let node = Node::new(id.clone(), source.clone(), metadata, config.clock.now());
    (id, Mutation::AddNode(node))
}

/// What the user says of the host, without what would stand in the way of what we say: a field set later replaces the
/// user's, but a stable id is computed only where there is none, and nothing can be set inside a text.
fn users_fields(metadata: &Map, has_files: bool) -> Map {
    let mut fields = metadata.normalized();
    let mut reserved = vec![key::TYPE, key::NAME, key::HOSTNAME, key::TID, key::DEGRADED];
    if has_files {
        reserved.push(key::CONFIG);
    }
    for name in reserved {
        if fields.remove(name).is_some() {
            tracing::warn!(key = name, "`agent.metadata`: the agent sets this itself");
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use skydive_api::ApiSettings;
    use skydive_value::{Clock, Timestamp};

    use super::*;
    use crate::{CaptureSettings, FlowProtocol, MetadataFile, ProbeChoice};

    fn config(metadata: serde_json::Value, metadata_files: Vec<MetadataFile>) -> AgentConfig {
        AgentConfig {
            host_id: "h1".into(),
            hostname: "h1.example".into(),
            version: "0".into(),
            metadata: serde_json::from_value(metadata).unwrap(),
            metadata_files,
            probes: ProbeChoice::Automatic,
            metrics_update: Duration::from_secs(30),
            sockets_update: Duration::from_secs(30),
            netns_run_path: "/nonexistent".into(),
            captures: CaptureSettings::default(),
            flow_protocol: FlowProtocol::default(),
            api: ApiSettings::default(),
            clock: Clock::new(|| Timestamp::EPOCH),
        }
    }

    fn shown(config: &AgentConfig) -> serde_json::Value {
        let (id, mutation) = add_host(config, &Source::of("agent", "h1"));
        let Mutation::AddNode(node) = mutation else { panic!("{mutation:?}") };
        assert_eq!((&node.id, node.revision), (&id, 1));
        serde_json::to_value(&node.metadata).unwrap()
    }

    #[test]
    fn the_users_fields_nest_at_dots() {
        let users = serde_json::json!({
            "rack": "r12", "site.city": "Graz", "site": {"floor": 2}, "empty": null, "map": {}, "list": [],
            "Config": {"own": 1},
        });
        assert_eq!(
            shown(&config(users, Vec::new())),
            serde_json::json!({
                "Type": "host", "Name": "h1", "Hostname": "h1.example", "rack": "r12",
                "site": {"city": "Graz", "floor": 2}, "empty": "", "map": {}, "list": [], "Config": {"own": 1},
            })
        );
    }

    #[test]
    fn the_users_fields_do_not_replace_ours() {
        let users = serde_json::json!({
            "Type": "x", "Name.x": "x", "Metadata.Hostname": "x", "TID": "x", "Degraded": "x", "Config": "x", "y": "z",
        });
        let file = MetadataFile {
            path: "/f".into(),
            format: "json".to_owned(),
            name: "n".to_owned(),
            selector: "s".to_owned(),
        };
        assert_eq!(
            shown(&config(users, vec![file])),
            serde_json::json!({"Type": "host", "Name": "h1", "Hostname": "h1.example", "y": "z"})
        );
    }
}
