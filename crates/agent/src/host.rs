//! The node of the host itself.

use std::sync::Arc;

use skydive_graph::{Mutation, Node, Source, key};
use skydive_value::{Id, Map};

use crate::AgentConfig;

/// Adds the host's node: name, host name, and what the user says of it. The user's fields do not replace ours.
pub(crate) fn add_host(config: &AgentConfig, source: &Arc<Source>) -> (Id, Mutation) {
    let mut metadata: Map = config.metadata.normalized();
    metadata.insert(key::TYPE, key::node_type::HOST);
    metadata.insert(key::NAME, config.host_id.clone());
    metadata.insert(key::HOSTNAME, config.hostname.clone());
    let id = Id::random();
    let node = Node::new(id.clone(), source.clone(), metadata, config.clock.now());
    (id, Mutation::AddNode(node))
}
