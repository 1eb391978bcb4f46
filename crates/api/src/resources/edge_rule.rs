//! `/api/edgerule`: nodes to be linked.

use skydive_proto::{EdgeRule, Example, Limits, Shape};
use skydive_value::Timestamp;

use super::kind::{Read, ResourceKind, Submitted, check_query};
use super::{Life, Subject, endpoint};

pub(super) const KIND: ResourceKind = ResourceKind::new(endpoint!("edgerule", "Edgerule"), subject, read);

fn subject() -> Subject {
    Subject {
        one: "edge rule",
        many: "edge rules",
        about: "Links the first node of each of two queries, whenever both are there.",
        told: Shape::of::<EdgeRule>(),
        wanted: Shape::new_edge_rule(),
        examples: vec![Example::edge_rule()],
        life: Life::Stored,
    }
}

fn read(json: &[u8]) -> Read {
    let rule = EdgeRule::decode(json).map_err(|fault| fault.to_string())?;
    Ok(Box::new(rule))
}

impl Submitted for EdgeRule {
    fn check(&self, limits: &Limits, now: Timestamp) -> Result<(), String> {
        check_query("Src", &self.src, limits, now)?;
        check_query("Dst", &self.dst, limits, now)?;
        self.check_shape().map_err(|fault| fault.to_string())
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
    fn both_ends_are_queries_and_the_relation_is_required() {
        let check = |json: &str| read(json.as_bytes()).unwrap().check(&Limits::default(), Timestamp::EPOCH);
        let good = r#"{"Src":"G.V()","Dst":"G.V()","Metadata":{"RelationType":"layer2"}}"#;
        assert_eq!(check(good), Ok(()));
        assert!(
            check(r#"{"Dst":"G.V()"}"#).unwrap_err().starts_with("Src: Not a valid Gremlin expression: ")
        );
        assert!(check(r#"{"Src":"G.V()","Dst":"x"}"#).unwrap_err().starts_with("Dst: Not a valid Gremlin"));
        let without = check(r#"{"Src":"G.V()","Dst":"G.V()"}"#).unwrap_err();
        assert!(without.contains("\nMetadata: RelationType is required"), "{without}");
    }
}
