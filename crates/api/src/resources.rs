//! Resources by id: `/api/<kind>` and `/api/<kind>/<id>`.
//!
//! One set of routes serves all of them. What is behind a kind is a [`Collection`]: rows of the store ([`stored`]),
//! whose kinds stand in [`RESOURCES`], or elements of the live graph ([`crate::elements`]).

mod capture;
mod edge_rule;
mod kind;
mod node_rule;
mod stored;
mod subject;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value as Json;
use skydive_graph::BoxFuture;
use skydive_proto::{
    JsonPatch, Pieces, ResourceStore, TtlError, YAML, first_json, header, json_of_yaml, media, parse_ttl,
    reason,
};
use skydive_value::Timestamp;
use tokio::sync::Mutex;

use crate::permission::Guard;
use crate::respond;
use crate::route::Route;
use crate::router::Serving;
use crate::{CaptureFaults, Topology};
use kind::{RESOURCES, ResourceKind};
use stored::Stored;
pub(crate) use subject::{Life, Subject};

/// What can be made, read, patched and deleted under one name.
pub(crate) trait Collection: Send + Sync {
    /// All of them: an object of id to resource.
    fn list(&self) -> BoxFuture<'_, Result<Listed, Refusal>>;

    /// The JSON of one.
    fn find<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, Refusal>>;

    /// Makes one; its JSON as it is kept.
    fn create(&self, submission: Submission) -> BoxFuture<'_, Result<Bytes, Refusal>>;

    /// Changes one.
    fn patch<'a>(&'a self, id: &'a str, body: Bytes) -> BoxFuture<'a, Result<Patched, Refusal>>;

    /// Deletes one.
    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Refusal>>;
}

/// Where a collection is mounted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    /// The name in paths, which is the object of permissions.
    pub(crate) name: &'static str,
    /// The name in messages.
    pub(crate) title: &'static str,
    pub(crate) list: &'static str,
    pub(crate) item: &'static str,
}

/// Declares where a collection is mounted, by its name and the name in messages.
macro_rules! endpoint {
    ($name:literal, $title:literal) => {
        $crate::resources::Endpoint {
            name: $name,
            title: $title,
            list: concat!("/api/", $name),
            item: concat!("/api/", $name, "/{*id}"),
        }
    };
}
pub(crate) use endpoint;

/// All of a collection as it is answered.
pub(crate) enum Listed {
    Whole(Bytes),
    Pieces(Pieces),
}

/// What a client wants to make.
pub(crate) struct Submission {
    pub(crate) json: Bytes,
    /// Whether it makes sense is told after everything else was checked.
    pub(crate) ttl: Result<Option<Duration>, TtlError>,
}

/// What became of a patch.
pub(crate) enum Patched {
    /// The resource after it.
    Changed(Bytes),
    Same,
}

/// Why something is not done.
pub(crate) enum Refusal {
    /// What was sent cannot be read.
    Malformed(String),
    /// What was sent was read and makes no sense here.
    Wrong(String),
    /// There is one like it already.
    Duplicate,
    /// There is no such resource.
    Absent,
    /// What keeps the resources does not serve.
    Unavailable(String),
}

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const JSON: HeaderValue = HeaderValue::from_static(media::JSON);

/// The routes of all kinds in a store.
pub(crate) fn routes_of_store(
    store: &Arc<dyn ResourceStore>,
    graph: Option<&Arc<dyn Topology>>,
    faults: &CaptureFaults,
    serving: &Arc<Serving>,
) -> Vec<Route> {
    let route = |kind: &'static ResourceKind| {
        let (limits, clock) = (serving.settings.limits, serving.clock.clone());
        let (store, graph, faults) = (store.clone(), graph.cloned(), faults.clone());
        let stored = Arc::new(Stored { kind, store, graph, faults, limits, clock, making: Mutex::default() });
        routes(kind.endpoint, &(kind.subject)(), stored, serving)
    };
    RESOURCES.iter().flat_map(route).collect()
}

/// The routes of one collection.
pub(crate) fn routes(
    endpoint: Endpoint,
    subject: &Subject,
    collection: Arc<dyn Collection>,
    serving: &Arc<Serving>,
) -> [Route; 2] {
    let guard = Guard::Resource(endpoint.name);
    let (all_of, one_of) = (Route::new(endpoint.list, guard), Route::new(endpoint.item, guard));
    let name = endpoint.name;
    [
        all(all_of, subject, name, collection.clone(), serving),
        one(one_of, subject, endpoint, collection, serving),
    ]
}

fn all(
    route: Route,
    subject: &Subject,
    name: &str,
    collection: Arc<dyn Collection>,
    serving: &Arc<Serving>,
) -> Route {
    let (listed, kept, serving) = (collection.clone(), serving.clone(), serving.clone());
    let list = move || async move {
        match listed.list().await {
            Ok(Listed::Whole(json)) => respond::typed(JSON, json),
            Ok(Listed::Pieces(pieces)) => respond::pieces(JSON, pieces),
            Err(refusal) => refuse(refusal, None, &kept),
        }
    };
    let make = move |request: Request| async move {
        match create(&*collection, &serving, request).await {
            Ok(json) => (StatusCode::CREATED, respond::typed(JSON, json)).into_response(),
            Err(response) => response,
        }
    };
    route.get(subject.listed(name), list).post(subject.made(name), make)
}

fn one(
    route: Route,
    subject: &Subject,
    Endpoint { name, title, .. }: Endpoint,
    collection: Arc<dyn Collection>,
    serving: &Arc<Serving>,
) -> Route {
    let absent = move |id: &str| Some(format!("{title} '{id}' not found"));
    let (found, patched) = (collection.clone(), collection.clone());
    let (for_get, for_patch, for_delete) = (serving.clone(), serving.clone(), serving.clone());
    let find = move |Path(id): Path<String>| async move {
        match found.find(&id).await {
            Ok(Some(json)) => respond::typed(JSON, json),
            Ok(None) => refuse(Refusal::Absent, absent(&id), &for_get),
            Err(refusal) => refuse(refusal, absent(&id), &for_get),
        }
    };
    let patch = move |Path(id): Path<String>, request: Request| async move {
        let max = for_patch.settings.limits.rest_body;
        let body = match respond::read_body(request, max, &for_patch).await {
            Ok(body) => body,
            Err(response) => return response,
        };
        match patched.patch(&id, body).await {
            Ok(Patched::Changed(json)) => respond::typed(JSON, json),
            Ok(Patched::Same) => StatusCode::NOT_MODIFIED.into_response(),
            Err(refusal) => refuse(refusal, None, &for_patch),
        }
    };
    let remove = move |Path(id): Path<String>| async move {
        match collection.remove(&id).await {
            Ok(()) => respond::typed(PLAIN, Bytes::new()),
            Err(refusal) => refuse(refusal, absent(&id), &for_delete),
        }
    };
    route
        .get(subject.found(name), find)
        .patch(subject.patched(name), patch)
        .delete(subject.removed(name), remove)
}

async fn create(
    collection: &dyn Collection,
    serving: &Arc<Serving>,
    request: Request,
) -> Result<Bytes, Response> {
    let ttl = ttl_of(request.headers());
    let is_yaml = request.headers().get(CONTENT_TYPE).is_some_and(|value| value == YAML);
    let body = respond::read_body(request, serving.settings.limits.rest_body, serving).await?;
    let json = if is_yaml { json_of_yaml(&body) } else { first_json(&body) };
    let json = json.map_err(|fault| respond::malformed(serving, &reason(&fault)))?;
    let made = collection.create(Submission { json, ttl }).await;
    made.map_err(|refusal| refuse(refusal, None, serving))
}

fn ttl_of(headers: &HeaderMap) -> Result<Option<Duration>, TtlError> {
    // The sign of a millionth is more than a byte.
    let text = headers.get(header::RESOURCE_TTL).map(|value| String::from_utf8_lossy(value.as_bytes()));
    text.filter(|text| !text.is_empty()).map_or(Ok(None), |text| parse_ttl(&text))
}

/// `absent` is what is said of a resource that is not there; nothing is said of one that cannot be patched.
fn refuse(refusal: Refusal, absent: Option<String>, serving: &Serving) -> Response {
    match refusal {
        Refusal::Malformed(text) => respond::malformed(serving, &text),
        Refusal::Wrong(text) => respond::error(StatusCode::BAD_REQUEST, text),
        Refusal::Duplicate => respond::error(StatusCode::CONFLICT, "duplicated resource"),
        Refusal::Unavailable(text) => respond::error(StatusCode::SERVICE_UNAVAILABLE, text),
        Refusal::Absent => match absent {
            Some(text) => respond::error(StatusCode::NOT_FOUND, text),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    }
}

/// A document after a patch of it was decoded and applied.
pub(crate) fn apply_patch(mut document: Json, body: &[u8]) -> Result<Json, Refusal> {
    let patch = JsonPatch::decode(body).map_err(|fault| {
        let body = String::from_utf8_lossy(body);
        Refusal::Malformed(format!("incorrect JSON patch: {fault}. Patch: {body}"))
    })?;
    let applied = patch.apply(&mut document);
    applied.map_err(|fault| Refusal::Wrong(format!("applying JSON patch to resource: {fault}")))?;
    Ok(document)
}

/// What is said of the later stages of a patch.
pub(crate) fn cannot_read(fault: impl Display) -> Refusal {
    Refusal::Wrong(format!("creating a new resource from the patched JSON body: {fault}"))
}

pub(crate) fn not_valid(fault: impl Display) -> Refusal {
    Refusal::Wrong(format!("validating patched resource: {fault}"))
}

pub(crate) fn cannot_update(fault: impl Display) -> Refusal {
    Refusal::Wrong(format!("updating resource with patched version: {fault}"))
}

impl Submission {
    /// When what is made now goes by itself.
    pub(crate) fn expiry(&self, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
        match &self.ttl {
            Ok(ttl) => Ok(ttl.map(|ttl| now.plus(ttl))),
            Err(fault) => Err(Refusal::Wrong(format!("invalid ttl: {fault}"))),
        }
    }
}
