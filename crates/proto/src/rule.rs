//! Rules: what users want to be in the graph beside what is found, as resources.

use serde::Serialize;
use skydive_graph::key;
use skydive_value::Map;
use utoipa::ToSchema;

use crate::json::object;
use crate::resource_body::read;
use crate::schema::{SchemaErrors, check_edge_metadata, check_node_metadata};

/// Makes a node, or sets metadata of nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NodeRule {
    /// Identifier.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Of the node that is made, or what is set.
    #[schema(value_type = Object)]
    pub metadata: Map,
    /// `create` or `update`; see [`NodeRule::action`].
    pub action: String,
    /// The nodes to update.
    pub query: String,
}

/// What a [`NodeRule`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAction {
    /// Makes a node.
    Create,
    /// Sets metadata of the nodes that its query finds.
    Update,
}

/// Links two nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EdgeRule {
    /// Identifier.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its first node is the parent.
    pub src: String,
    /// Its first node is the child.
    pub dst: String,
    /// Of the edge.
    #[schema(value_type = Object)]
    pub metadata: Map,
}

object! {
    struct NodeRuleMembers "a node rule" {
        uuid: String = "UUID",
        name: String = "Name",
        description: String = "Description",
        metadata: Map = "Metadata",
        action: String = "Action",
        query: String = "Query",
    }
}

object! {
    struct EdgeRuleMembers "an edge rule" {
        uuid: String = "UUID",
        name: String = "Name",
        description: String = "Description",
        src: String = "Src",
        dst: String = "Dst",
        metadata: Map = "Metadata",
    }
}

impl NodeRule {
    /// Reads one.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: NodeRuleMembers = read(json)?;
        Ok(Self {
            uuid: raw.uuid.unwrap_or_default(),
            name: raw.name.unwrap_or_default(),
            description: raw.description.unwrap_or_default(),
            metadata: raw.metadata.unwrap_or_default(),
            action: raw.action.unwrap_or_default(),
            query: raw.query.unwrap_or_default(),
        })
    }

    /// What it does; `None` when it says something else.
    pub fn action(&self) -> Option<NodeAction> {
        match self.action.as_str() {
            "create" => Some(NodeAction::Create),
            "update" => Some(NodeAction::Update),
            _ => None,
        }
    }

    /// Whether a node with its metadata has the shape of one.
    pub fn check_shape(&self) -> Result<(), SchemaErrors> {
        match self.action() {
            Some(NodeAction::Create) => check_node_metadata(&self.metadata),
            _ => Ok(()),
        }
    }

    /// Whether it would change what no rule may change.
    pub fn changes_identity(&self) -> bool {
        self.action() == Some(NodeAction::Update)
            && [key::NAME, key::TYPE].iter().any(|key| self.metadata.get(key).is_some())
    }
}

impl EdgeRule {
    /// Reads one.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: EdgeRuleMembers = read(json)?;
        Ok(Self {
            uuid: raw.uuid.unwrap_or_default(),
            name: raw.name.unwrap_or_default(),
            description: raw.description.unwrap_or_default(),
            src: raw.src.unwrap_or_default(),
            dst: raw.dst.unwrap_or_default(),
            metadata: raw.metadata.unwrap_or_default(),
        })
    }

    /// Whether an edge with its metadata has the shape of one.
    pub fn check_shape(&self) -> Result<(), SchemaErrors> {
        check_edge_metadata(&self.metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_with_all_their_fields() {
        let rule = NodeRule::decode(br#"{"name":"n","ACTION":"create","Other":1,"Query":null}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&rule).unwrap(),
            r#"{"UUID":"","Name":"n","Description":"","Metadata":{},"Action":"create","Query":""}"#
        );
        let rule = EdgeRule::decode(br#"{"Src":"G.V()","Metadata":{"RelationType":"x"}}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&rule).unwrap(),
            r#"{"UUID":"","Name":"","Description":"","Src":"G.V()","Dst":"","Metadata":{"RelationType":"x"}}"#
        );
        assert!(EdgeRule::decode(br#"{"Src":1}"#).is_err());
        assert!(NodeRule::decode(b"[]").is_err());
    }
}
