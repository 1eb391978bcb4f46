//! `/api/noderule`: nodes to be made, and metadata to be set.

use skydive_proto::{Example, Limits, NodeRule, Shape};
use skydive_value::Timestamp;

use super::kind::{Read, ResourceKind, Submitted, check_query};
use super::{Life, Subject, endpoint};

pub(super) const KIND: ResourceKind = ResourceKind::new(endpoint!("noderule", "Noderule"), subject, read);

fn subject() -> Subject {
    Subject {
        one: "node rule",
        many: "node rules",
        about: "Makes a node, or sets metadata of the nodes of a query, whenever they are there.",
        told: Shape::of::<NodeRule>(),
        wanted: Shape::new_node_rule(),
        examples: Example::node_rules(),
        life: Life::Stored,
    }
}

fn read(json: &[u8]) -> Read {
    let rule = NodeRule::decode(json).map_err(|fault| fault.to_string())?;
    Ok(Box::new(rule))
}

impl Submitted for NodeRule {
    fn check(&self, limits: &Limits, now: Timestamp) -> Result<(), String> {
        if self.action().is_none() {
            return Err("Action: regular expression mismatch".to_owned());
        }
        if !self.query.trim().is_empty() {
            check_query("Query", &self.query, limits, now)?;
        }
        self.check_shape().map_err(|fault| fault.to_string())?;
        if self.changes_identity() {
            return Err("Name and Type fields can not be changed".to_owned());
        }
        Ok(())
    }

    fn named(&mut self, id: &str) -> Result<String, serde_json::Error> {
        id.clone_into(&mut self.uuid);
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_the_known_words() {
        for (json, expected) in [
            (r#"{"Action":"create","Metadata":{"Name":"n","Type":"t"}}"#, Ok(())),
            (r#"{"Action":"update","Query":"G.V()","Metadata":{"A":1}}"#, Ok(())),
            (r#"{"Action":"update","Query":" ","Metadata":{}}"#, Ok(())),
            (r#"{"Action":"delete"}"#, Err("Action: regular expression mismatch")),
            (
                r#"{"Action":"update","Query":"G("}"#,
                Err(r#"Query: Not a valid Gremlin expression: found "(", expected `.`"#),
            ),
            (
                r#"{"Action":"update","Metadata":{"Type":"t"}}"#,
                Err("Name and Type fields can not be changed"),
            ),
            (
                r#"{"Action":"create","Metadata":{"Type":"t"}}"#,
                Err("invalid schema: (root): Must validate all the schemas (allOf)\n\
                     Metadata: Must validate all the schemas (allOf)\nMetadata: Name is required\n\
                     (root): Must validate at least one schema (anyOf)"),
            ),
        ] {
            let found = read(json.as_bytes()).unwrap().check(&Limits::default(), Timestamp::EPOCH);
            assert_eq!(
                found.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|text| *text),
                "{json}"
            );
        }
    }
}
