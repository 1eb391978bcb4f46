//! `/api/config/{key}`: the configuration in force, key by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Path;
use serde_json::{Map, Value as Json};
use skydive_proto::{Shape, media};

use crate::openapi::{Operation, SERVER};
use crate::permission::Guard;
use crate::respond;
use crate::route::Route;

/// The configuration as it is shown: secrets are masked already.
#[derive(Clone, Debug, Default)]
pub struct ConfigKeys {
    tree: Map<String, Json>,
    /// New names by old ones.
    renamed: BTreeMap<String, String>,
}

/// Levels of nesting in a key: those of the configuration are few.
const MAX_SEGMENTS: usize = 64;

impl ConfigKeys {
    /// The configuration of dotted keys with their values, and deprecated keys with what replaces them. A key that
    /// stands under another replaces its value.
    pub fn new(
        values: impl IntoIterator<Item = (String, Json)>,
        renamed: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut tree = Map::new();
        for (key, value) in values {
            insert(&mut tree, &key.to_lowercase(), value);
        }
        Self { tree, renamed: renamed.into_iter().collect() }
    }

    /// The value of a key, or of a section; empty text when there is none.
    pub fn value(&self, key: &str) -> Json {
        let key = key.to_lowercase();
        let key = self.renamed.get(&key).unwrap_or(&key);
        let mut names = key.split('.');
        let first = names.next().and_then(|name| self.tree.get(name));
        let found = names.try_fold(first, |at, name| at.map(|at| at.get(name)));
        found.flatten().cloned().unwrap_or_else(|| Json::from(""))
    }
}

pub(crate) fn route(keys: Arc<ConfigKeys>) -> Route {
    let operation = Operation::new(SERVER, "config", "A value of the configuration")
        .about("Secrets are masked. Old names of keys work.")
        .path("key", "A dotted key, or the name of a section.", "analyzer.listen")
        .answer(200, "The value in force; empty text when there is none", media::JSON, Shape::any("A value."))
        .refusal(400, "The key is no UTF-8");
    let action = move |Path(key): Path<String>| async move { respond::json(&keys.value(&key)) };
    Route::new("/api/config/{key}", Guard::Read("config")).get(operation, action)
}

fn insert(tree: &mut Map<String, Json>, key: &str, value: Json) {
    let mut at = tree;
    let mut names: Vec<&str> = key.splitn(MAX_SEGMENTS, '.').collect();
    let Some(last) = names.pop() else { return };
    for name in names {
        let slot = at.entry(name).or_insert_with(|| Json::Object(Map::new()));
        if !slot.is_object() {
            *slot = Json::Object(Map::new());
        }
        let Json::Object(nested) = slot else { return };
        at = nested;
    }
    at.insert(last.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_sections_old_names_and_nothing() {
        let values = [
            ("analyzer.listen", json!("127.0.0.1:8082")),
            ("ui.theme.Colors.a.b", json!(["x"])),
            ("http.ws.ping_delay", json!(2)),
            ("lone", json!(1)),
            ("lone.under", json!(true)),
        ];
        let values = values.map(|(key, value)| (key.to_owned(), value));
        let keys = ConfigKeys::new(values, [("old.name".to_owned(), "analyzer.listen".to_owned())]);
        for (key, expected) in [
            ("analyzer.listen", json!("127.0.0.1:8082")),
            ("Analyzer.Listen", json!("127.0.0.1:8082")),
            ("old.name", json!("127.0.0.1:8082")),
            ("http.ws", json!({"ping_delay": 2})),
            ("ui.theme", json!({"colors": {"a": {"b": ["x"]}}})),
            ("lone", json!({"under": true})),
            ("nothing", json!("")),
            ("analyzer.listen.deeper", json!("")),
            ("", json!("")),
        ] {
            assert_eq!(keys.value(key), expected, "{key}");
        }
    }
}
