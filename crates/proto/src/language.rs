//! The query language as `/api/query/steps` describes it: what completion needs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Steps, predicates and words of the language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Language {
    /// What may stand behind a dot.
    pub steps: Vec<StepShape>,
    /// What may stand where a value may.
    pub predicates: Vec<PredicateShape>,
    /// Arguments without quotes.
    pub words: Vec<String>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StepShape {
    /// As it is written; case does not matter.
    pub name: String,
    /// What it does, in one line.
    pub about: String,
    /// Whether it has parentheses.
    pub called: bool,
    /// What it may follow, and what it gives there.
    pub on: Vec<Place>,
    /// Its arguments in order: `id`, `key`, `keys`, `conditions` (pairs of a key and a value or predicate), `number`,
    /// `depth`, `order`, `name`, `names`, `time`, `duration`, `address`, `metadata`, `metric`.
    pub arguments: Vec<String>,
}

/// A kind of result that a step may follow: `graph`, `nodes`, `edges`, `paths`, `number`, `values`, `next hops`,
/// `metrics`, `sockets`, `value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Place {
    /// The kind before the step.
    pub after: String,
    /// The kind that the step gives.
    pub gives: String,
}

/// A predicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PredicateShape {
    /// As it is written; case does not matter.
    pub name: String,
    /// What holds for the field, in one line.
    pub about: String,
    /// Its arguments: `value`, `text`, `two values`, `values` or `conditions`.
    pub takes: String,
}

impl Language {
    /// The JSON of it.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and lists are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_written() {
        let text = r#"{"Steps":[{"Name":"V","About":"the nodes","Called":true,"On":[{"After":"graph","Gives":"nodes"}],"Arguments":["id"]}],"Predicates":[{"Name":"Lt","About":"is less","Takes":"value"}],"Words":["NOW"]}"#;
        let language: Language = serde_json::from_str(text).unwrap();
        assert_eq!(String::from_utf8(language.to_json()).unwrap(), text);
    }
}
