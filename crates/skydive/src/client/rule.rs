//! `client node-rule` and `client edge-rule`.

use anyhow::bail;
use skydive_client::{Collection, Rest};
use skydive_graph::key;
use skydive_proto::{EdgeRule, NodeRule};

use super::{create, deletion, read};
use crate::cli::{EdgeRuleDraft, NodeRuleDraft, RuleAction, RuleCommand};

/// What can be done with rules of both kinds.
pub(super) async fn run(rest: &Rest, collection: Collection, command: RuleCommand) -> anyhow::Result<()> {
    match command {
        RuleCommand::Read(command) => read(rest, collection, command).await,
        RuleCommand::Delete { ids } => deletion::delete(rest, collection, &ids).await,
    }
}

pub(super) async fn create_node_rule(rest: &Rest, draft: NodeRuleDraft) -> anyhow::Result<()> {
    if draft.action == RuleAction::Create && (draft.node_name.is_none() || draft.node_type.is_none()) {
        bail!("--action create needs --node-name and --node-type");
    }
    let mut metadata = draft.metadata.into_map();
    for (key, given) in [(key::NAME, draft.node_name), (key::TYPE, draft.node_type)] {
        if let Some(given) = given {
            metadata.insert(key, given.as_str());
        }
    }
    let action = match draft.action {
        RuleAction::Create => "create",
        RuleAction::Update => "update",
    };
    let rule = NodeRule {
        uuid: String::new(),
        name: draft.titles.name,
        description: draft.titles.description,
        metadata,
        action: action.to_owned(),
        query: draft.query,
    };
    create(rest, Collection::NodeRules, serde_json::to_vec(&rule)?, &draft.shape).await
}

pub(super) async fn create_edge_rule(rest: &Rest, draft: EdgeRuleDraft) -> anyhow::Result<()> {
    let mut metadata = draft.metadata.into_map();
    metadata.insert(key::RELATION_TYPE, draft.relationtype.as_str());
    let rule = EdgeRule {
        uuid: String::new(),
        name: draft.titles.name,
        description: draft.titles.description,
        src: draft.src,
        dst: draft.dst,
        metadata,
    };
    create(rest, Collection::EdgeRules, serde_json::to_vec(&rule)?, &draft.shape).await
}
