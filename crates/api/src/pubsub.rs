//! `/ws/pubsub`: a subscriber that publishes too.
//!
//! It is told of what others do and not of what it does itself. With a filter it is also told of elements that it did not
//! touch and that come into the filter, or leave it, by what it did. An element that it and others changed between two
//! evaluations of a filter is told.

use std::sync::Arc;

use crate::filtered::Filters;
use crate::route::Route;
use crate::router::Serving;
use crate::subscriber::{Area, route_of};
use crate::{LiveGraph, Notices, Roster};

/// Those who publish to a live graph and subscribe to it on one connection.
#[derive(Clone, Debug)]
pub struct PubSub {
    /// The graph.
    pub live: LiveGraph,
    /// Who is connected.
    pub roster: Roster,
}

const PATH: &str = "/ws/pubsub";

pub(crate) fn route(pubsub: PubSub, filters: &Arc<Filters>, serving: &Arc<Serving>) -> Route {
    let PubSub { live, roster } = pubsub;
    route_of(Area {
        path: PATH,
        live,
        roster,
        filters: filters.clone(),
        serving: serving.clone(),
        encoded: Arc::default(),
        // Those who publish hear of the graph alone, as ever.
        notices: Notices::new(),
        publishes: true,
    })
}
