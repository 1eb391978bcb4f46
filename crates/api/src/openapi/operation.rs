//! What one method of a path says of itself: an operation of OpenAPI, built part by part.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use skydive_proto::{Example, Shape, media};

use super::Tag;
use crate::permission::Guard;

/// An operation of OpenAPI.
pub(crate) struct Operation {
    json: Json,
    /// Schemas that it refers to.
    pub(super) named: BTreeMap<String, Json>,
}

/// What is answered to bodies that do not come or are too large, wherever there is a body.
const BODY_REFUSALS: [(u16, &str); 2] = [(408, "The body does not come"), (413, "The body is too large")];

impl Operation {
    /// One with a name for programs and one for people.
    pub(crate) fn new(tag: Tag, id: impl Into<String>, summary: impl Into<String>) -> Self {
        let (id, summary) = (id.into(), summary.into());
        let json = json!({ "tags": [tag.name], "operationId": id, "summary": summary, "responses": {} });
        Self { json, named: BTreeMap::new() }
    }

    pub(crate) fn about(mut self, text: impl Into<String>) -> Self {
        self.json["description"] = text.into().into();
        self
    }

    /// A part of the path.
    pub(crate) fn path(self, name: &str, about: &str, example: &str) -> Self {
        let schema = json!({ "type": "string", "minLength": 1 });
        self.parameter(json!({
            "name": name, "in": "path", "required": true, "description": about, "schema": schema,
            "example": example,
        }))
    }

    /// A header that may be sent.
    pub(crate) fn header(self, name: &str, about: &str, example: &str) -> Self {
        self.header_of(name, about, "", example)
    }

    /// One whose value has a pattern.
    pub(crate) fn header_of(self, name: &str, about: &str, pattern: &str, example: &str) -> Self {
        let mut schema = json!({ "type": "string" });
        if !pattern.is_empty() {
            schema["pattern"] = pattern.into();
        }
        self.parameter(json!({
            "name": name, "in": "header", "description": about, "schema": schema, "example": example,
        }))
    }

    /// A body, in one of its forms.
    pub(crate) fn body(mut self, media: &str, shape: Shape) -> Self {
        self.json["requestBody"]["required"] = true.into();
        self.json["requestBody"]["content"][bare(media)] = json!({ "schema": shape.schema });
        self.named.extend(shape.named);
        let refusals = BODY_REFUSALS.into_iter();
        refusals.fold(self, |operation, (status, about)| operation.refusal(status, about))
    }

    /// The body may be left out.
    pub(crate) fn or_nothing(mut self) -> Self {
        self.json["requestBody"]["required"] = false.into();
        self
    }

    /// Examples of a body in JSON.
    pub(crate) fn examples(self, media: &str, examples: Vec<Example>) -> Self {
        self.with_examples(media, examples.into_iter().map(|Example { about, json }| (about, json)))
    }

    /// The same in YAML.
    pub(crate) fn yaml_examples(self, media: &str, examples: &[Example]) -> Self {
        self.with_examples(media, examples.iter().map(|example| (example.about, example.yaml().into())))
    }

    /// An answer with a body, in one of its forms.
    pub(crate) fn answer(mut self, status: u16, about: impl Into<String>, media: &str, shape: Shape) -> Self {
        let answer = self.answer_at(status, about.into());
        answer["content"][bare(media)] = json!({ "schema": shape.schema });
        self.named.extend(shape.named);
        self
    }

    /// A header of an answer, which need not be there.
    pub(crate) fn answer_header(mut self, status: u16, name: &str, about: &str) -> Self {
        let header = json!({ "description": about, "schema": { "type": "string" } });
        self.json["responses"][status.to_string()]["headers"][name] = header;
        self
    }

    /// An answer without a body.
    pub(crate) fn empty(mut self, status: u16, about: &str) -> Self {
        self.answer_at(status, about.to_owned());
        self
    }

    /// A refusal with its reason as text.
    pub(crate) fn refusal(self, status: u16, about: &str) -> Self {
        self.answer(status, about, media::TEXT, Shape::text())
    }

    /// It as it stands in the document, behind a guard.
    pub(super) fn described(&self, guard: Guard) -> Json {
        let mut json = self.json.clone();
        if guard == Guard::Open {
            json["security"] = json!([]);
        } else {
            json["responses"]["405"] = json!({ "description": "The caller may not do this" });
        }
        if let Some(Json::Object(responses)) = json.get_mut("responses") {
            responses.sort_keys();
        }
        json
    }

    fn parameter(mut self, parameter: Json) -> Self {
        match &mut self.json["parameters"] {
            Json::Array(all) => all.push(parameter),
            none => *none = json!([parameter]),
        }
        self
    }

    fn with_examples(mut self, media: &str, examples: impl Iterator<Item = (&'static str, Json)>) -> Self {
        let example = |(about, value): (&str, Json)| {
            (about.replace(' ', "-"), json!({ "summary": about, "value": value }))
        };
        let examples: Map<_, _> = examples.map(example).collect();
        if !examples.is_empty() {
            self.json["requestBody"]["content"][bare(media)]["examples"] = examples.into();
        }
        self
    }

    fn answer_at(&mut self, status: u16, about: String) -> &mut Json {
        let answer = &mut self.json["responses"][status.to_string()];
        answer["description"] = about.into();
        answer
    }
}

/// A media type without its parameters: documents name none.
fn bare(media: &str) -> &str {
    media.split(';').next().unwrap_or(media)
}
