//! The areas a server is given, and the routes that follow from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use prometheus_client::registry::Registry;
use skydive_proto::{Identity, ResourceStore};
use skydive_value::Clock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::compression::CompressionLayer;

use crate::filtered::Filters;
use crate::permission::{self, Guard};
use crate::route::Route;
use crate::{
    AgentEndpoint, ApiSettings, ApiTelemetry, CaptureFaults, ConfigKeys, Elements, FlowEndpoint,
    FlowSubscriptions, Page, PcapImport, Permission, PubSub, Publications, StatusReport, Subscriptions,
    Topology, agent_link, compression, config_key, cors, docs, elements, flow_link, flow_subscriber,
    identity, login, metrics, openapi, page, pcap, publisher, pubsub, resources, respond, status, steps,
    subscriber, topology,
};

/// What a server serves. Routes of absent areas do not exist.
pub struct Areas {
    /// `/api`; `/login` exists beside it.
    pub identity: Identity,
    /// `/api/topology`.
    pub topology: Option<Arc<dyn Topology>>,
    /// `/api/node` and `/api/edge`.
    pub elements: Option<Elements>,
    /// `/api/<kind>` of all kinds that a store keeps.
    pub resources: Option<Arc<dyn ResourceStore>>,
    /// What is told of captures among them.
    pub capture_faults: CaptureFaults,
    /// `/api/config/{key}`.
    pub config: Option<Arc<ConfigKeys>>,
    /// `/api/status`.
    pub status: Option<Arc<dyn StatusReport>>,
    /// `/ws/subscriber`.
    pub subscriptions: Option<Subscriptions>,
    /// `/ws/publisher`.
    pub publications: Option<Publications>,
    /// `/ws/pubsub`; exists beside `subscriptions`, of the same graph.
    pub pubsub: Option<PubSub>,
    /// `/ws/agent/topology`.
    pub agents: Option<AgentEndpoint>,
    /// `/ws/agent/flow`.
    pub flows: Option<FlowEndpoint>,
    /// `/ws/subscriber/flow`.
    pub flow_subscriptions: Option<FlowSubscriptions>,
    /// `/api/pcap`.
    pub pcap: Option<Arc<dyn PcapImport>>,
    /// `/metrics`.
    pub metrics: Option<Arc<Registry>>,
    /// `/` and its files.
    pub page: Option<Page>,
}

/// What all routes need.
pub(crate) struct Serving {
    pub(crate) identity: Identity,
    pub(crate) settings: ApiSettings,
    pub(crate) telemetry: ApiTelemetry,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Whole graphs that may be written at once: each takes a thread, and many bytes.
    pub(crate) whole_graphs: Arc<Semaphore>,
}

/// What each mounted path demands.
pub(crate) struct Rules {
    guards: BTreeMap<&'static str, Guard>,
    pub(crate) permission: Box<dyn Permission>,
    telemetry: ApiTelemetry,
}

/// Path under which requests for unknown ones are counted.
const OTHER: &str = "other";

impl Areas {
    /// Only `/api` and `/login`.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            topology: None,
            elements: None,
            resources: None,
            capture_faults: CaptureFaults::default(),
            config: None,
            status: None,
            subscriptions: None,
            publications: None,
            pubsub: None,
            agents: None,
            flows: None,
            flow_subscriptions: None,
            pcap: None,
            metrics: None,
            page: None,
        }
    }
}

impl Rules {
    pub(crate) fn guard(&self, path: &str) -> Option<Guard> {
        self.guards.get(path).copied()
    }

    fn known(&self, path: &str) -> Option<&'static str> {
        self.guards.get_key_value(path).map(|(known, _)| *known)
    }
}

pub(crate) fn router(areas: Areas, serving: Serving, permission: Box<dyn Permission>) -> Router {
    let serving = Arc::new(serving);
    let mut guards = BTreeMap::new();
    let mut router: Router = Router::new();
    for route in routes(areas, &serving, &*permission) {
        guards.insert(route.path, route.guard);
        router = router.route(route.path, route.action);
    }
    let rules = Arc::new(Rules { guards, permission, telemetry: serving.telemetry.clone() });
    let known = rules.clone();
    router
        .fallback(move |request: Request| async move { not_found(&known, &request) })
        .layer(from_fn_with_state(rules.clone(), permission::check))
        .layer(CompressionLayer::new())
        .layer(from_fn(compression::choose))
        .layer(from_fn(cors::allow_any_origin))
        .layer(from_fn_with_state(rules, count))
}

/// All routes, the document that describes them last.
fn routes(areas: Areas, serving: &Arc<Serving>, permission: &dyn Permission) -> Vec<Route> {
    let mut routes = vec![identity::route(serving), login::route(permission, serving)];
    let graph = areas.topology.clone();
    if let Some(area) = areas.topology {
        routes.extend([topology::route(area, serving), steps::route()]);
    }
    routes.extend(areas.elements.iter().flat_map(|area| elements::routes_of_graph(area, serving)));
    routes.extend(
        areas.resources.iter().flat_map(|store| {
            resources::routes_of_store(store, graph.as_ref(), &areas.capture_faults, serving)
        }),
    );
    routes.extend(areas.config.map(config_key::route));
    routes.extend(areas.status.map(status::route));
    routes.extend(areas.publications.map(|area| publisher::route(area, serving)));
    if let Some(area) = areas.subscriptions {
        let filters = Arc::new(Filters::new(area.live.clone(), serving));
        routes.extend(areas.pubsub.map(|area| pubsub::route(area, &filters, serving)));
        routes.push(subscriber::route(area, &filters, serving));
    }
    routes.extend(areas.agents.map(|area| agent_link::route(area, serving)));
    routes.extend(areas.flows.map(|area| flow_link::route(area, serving)));
    routes.extend(areas.flow_subscriptions.map(|area| flow_subscriber::route(area, serving)));
    routes.extend(areas.pcap.map(|area| pcap::route(area, serving)));
    routes.extend(areas.metrics.map(metrics::route));
    routes.extend(areas.page.map(page::routes).into_iter().flatten());
    routes.extend(docs::routes());
    let document = openapi::route(&routes, &serving.identity);
    routes.push(document);
    routes
}

/// Unknown paths; those that are known without the slash at their end are named so.
fn not_found(rules: &Rules, request: &Request) -> Response {
    let path = request.uri().path();
    if let Some(known) = path.strip_suffix('/').and_then(|path| rules.known(path)) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(location) = HeaderValue::from_str(&format!("{known}{query}")) {
            return (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response();
        }
    }
    respond::error(StatusCode::NOT_FOUND, "404 page not found")
}

async fn count(State(rules): State<Arc<Rules>>, request: Request, next: Next) -> Response {
    let path = rules.known(permission::place(&request)).unwrap_or(OTHER);
    let response = next.run(request).await;
    rules.telemetry.request(path, response.status().as_u16());
    response
}
