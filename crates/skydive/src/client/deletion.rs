//! `delete` of nodes, edges and rules: one after the other, and what cannot be deleted is told.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use anyhow::{Context as _, bail};
use serde_json::Value as Json;
use skydive_client::{Collection, Explained, Rest};
use skydive_graph::key::attribute;

use super::query::accepted;
use super::{heard, require_ok};
use crate::terminal::{Color, Paint, harmless};

/// The name of an element's id in answers.
const ID: &str = "ID";

/// Deletes by id. A refusal is told and is no failure: scripts of the original run on. An analyzer that is not there is.
pub(super) async fn delete(rest: &Rest, collection: Collection, ids: &[String]) -> anyhow::Result<()> {
    let mut deleted = 0;
    for id in ids {
        match require_ok(heard(rest, rest.delete(collection, id)).await?, rest) {
            Ok(_) => deleted += 1,
            Err(refusal) => eprintln!("{}: {refusal}", Paint::of(&io::stderr()).color(Color::Red, "error")),
        }
    }
    if io::stderr().is_terminal() {
        eprintln!("{deleted} of {} deleted", ids.len());
    }
    Ok(())
}

/// The ids of the elements that queries find, each once.
pub(super) async fn found(
    rest: &Rest,
    collection: Collection,
    queries: &[String],
) -> anyhow::Result<Vec<String>> {
    let mut ids = BTreeSet::new();
    for query in queries {
        let asked = rest.topology(query, "application/json", Explained::No);
        let answer = accepted(heard(rest, asked).await?, query, rest)?;
        let answer: Json = serde_json::from_slice(&answer.body).context("the answer is not JSON")?;
        let elements = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        let of_kind = elements.iter().map(|element| id_of(element, collection)).collect::<Option<Vec<_>>>();
        match of_kind {
            Some(found) if answer.is_array() => ids.extend(found),
            _ => bail!("`{}` does not give {}s", harmless(query), collection.name()),
        }
    }
    Ok(ids.into_iter().collect())
}

/// The id, if it is an element of this kind.
fn id_of(element: &Json, collection: Collection) -> Option<String> {
    let is_edge = element.get(attribute::PARENT).is_some();
    let id = element.get(ID)?.as_str()?;
    (is_edge == (collection == Collection::Edges)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_elements_of_the_kind_are_deleted() {
        let (node, edge) =
            (json!({"ID": "n", "Metadata": {}}), json!({"ID": "e", "Parent": "a", "Child": "b"}));
        assert_eq!(id_of(&node, Collection::Nodes).as_deref(), Some("n"));
        assert_eq!(id_of(&edge, Collection::Edges).as_deref(), Some("e"));
        assert_eq!(id_of(&edge, Collection::Nodes), None);
        assert_eq!(id_of(&node, Collection::Edges), None);
        assert_eq!(id_of(&json!("text"), Collection::Nodes), None);
    }
}
