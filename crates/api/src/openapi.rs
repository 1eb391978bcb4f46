//! `GET /api/openapi.json`: what the REST API says of itself, as OpenAPI 3.1.
//!
//! It is made once, of the routes as they are mounted: each method stands in the code with its [`Operation`] (see
//! [`Route`]), each schema with what reads or writes it ([`skydive_proto::Shape`]).

mod operation;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Map, Value as Json, json};
use skydive_proto::{Identity, Shape, media};

use crate::permission::Guard;
use crate::respond;
use crate::route::Route;
pub(crate) use operation::Operation;

/// Operations that belong together.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    name: &'static str,
    about: &'static str,
}

pub(crate) const SERVER: Tag = Tag { name: "server", about: "The program itself." };
pub(crate) const GRAPH: Tag = Tag { name: "graph", about: "The graph, and queries of it." };
pub(crate) const RESOURCES: Tag =
    Tag { name: "resources", about: "What clients make: nodes, edges and rules, all in the same way." };
pub(crate) const FLOWS: Tag = Tag { name: "flows", about: "Flows." };
const TAGS: [Tag; 4] = [SERVER, GRAPH, RESOURCES, FLOWS];

const ABOUT: &str = "Topology of networks, live. Errors are plain text with a newline at the end, but where nothing \
                     is said of a body. Answers are compressed for those who accept `gzip` or `deflate`, and any \
                     origin may read them.";
const BASIC: &str = "basicAuth";
const TOKEN: &str = "X-Auth-Token";
const PATH: &str = "/api/openapi.json";

/// The route of the document of `routes` and of itself.
pub(crate) fn route(routes: &[Route], identity: &Identity) -> Route {
    let written = Arc::new(OnceLock::new());
    let operation = Operation::new(SERVER, "openapi", "This document").answer(
        200,
        "The document",
        media::JSON,
        Shape::inline(json!({ "type": "object" })),
    );
    let served = written.clone();
    let serve = move || async move {
        let document: Bytes = served.get().cloned().unwrap_or_default();
        respond::typed(HeaderValue::from_static(media::JSON), document)
    };
    let own = Route::new(PATH, Guard::Open).get(operation, serve);
    let document = document(routes.iter().chain([&own]), identity).to_string();
    written.get_or_init(|| Bytes::from(document));
    own
}

fn document<'a>(routes: impl Iterator<Item = &'a Route>, identity: &Identity) -> Json {
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    for route in routes.filter(|route| !route.operations().is_empty()) {
        let methods = route.operations().iter().map(|(method, operation)| {
            schemas.extend(operation.named.clone());
            (method.as_str().to_ascii_lowercase(), operation.described(route.guard))
        });
        let methods: Map<_, _> = methods.collect();
        // What takes the rest of a path cannot be told from what takes one name.
        paths.insert(route.path.replace("{*", "{"), methods.into());
    }
    paths.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Skydive API",
            "version": identity.version,
            "description": ABOUT,
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": format!("This {}", identity.service) }],
        "tags": TAGS.map(|tag| json!({ "name": tag.name, "description": tag.about })),
        "security": [{}, { BASIC: [] }, { TOKEN: [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                BASIC: { "type": "http", "scheme": "basic" },
                TOKEN: {
                    "type": "apiKey", "in": "header", "name": TOKEN,
                    "description": "The token that `/login` gives.",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use skydive_proto::header;

    use super::*;

    #[test]
    fn the_token_is_the_header_that_is_read() {
        assert!(TOKEN.eq_ignore_ascii_case(header::AUTH_TOKEN));
    }
}
