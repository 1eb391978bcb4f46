//! What the server counts: refused and lost messages, requests, connections.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use skydive_proto::Losses;
use tokio::time::Instant;

/// Counters of the server. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ApiTelemetry {
    slow_subscribers: Counter,
    lost_messages: Counter,
    oversized_messages: Counter,
    malformed_messages: Counter,
    dropped_messages: Family<ReasonLabels, Counter>,
    oversized_bodies: Counter,
    malformed_bodies: Counter,
    requests: Family<RequestLabels, Counter>,
    connections: Family<EndpointLabels, Gauge>,
    refused_connections: Counter,
    oversized_log: OncePerSecond,
    malformed_log: OncePerSecond,
    dropped_log: OncePerSecond,
    oversized_body_log: OncePerSecond,
    malformed_body_log: OncePerSecond,
    slow_log: OncePerSecond,
    refused_log: OncePerSecond,
}

/// Lets one log line through per second; what is held back is in the counters. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct OncePerSecond(Arc<Mutex<Option<Instant>>>);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    path: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Why a message of a publisher is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It cannot be read.
    Malformed,
    /// It is of a namespace in which publishers say nothing.
    Namespace,
    /// It is of a type that means nothing here.
    Type,
    /// The element has not the shape of one.
    Schema,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

/// Counts a connection as long as it lives.
pub(crate) struct Connected(Gauge);

impl ApiTelemetry {
    /// Makes the counters known to `registry`, which `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "skydive_ws_slow_subscribers",
            "Subscribers closed because they did not keep up",
            self.slow_subscribers.clone(),
        );
        registry.register(
            "skydive_ws_lost_messages",
            "Messages not sent to WebSocket subscribers that were closed as too slow, those being written included",
            self.lost_messages.clone(),
        );
        registry.register(
            "skydive_ws_oversized_messages",
            "WebSocket messages refused for their size",
            self.oversized_messages.clone(),
        );
        registry.register(
            "skydive_ws_malformed_messages",
            "WebSocket messages refused for their form",
            self.malformed_messages.clone(),
        );
        registry.register(
            "skydive_ws_dropped_messages",
            "WebSocket messages of publishers that were dropped, by reason; their connections stayed",
            self.dropped_messages.clone(),
        );
        registry.register(
            "skydive_http_oversized_bodies",
            "REST bodies refused for their size",
            self.oversized_bodies.clone(),
        );
        registry.register(
            "skydive_http_malformed_bodies",
            "REST bodies refused for their form",
            self.malformed_bodies.clone(),
        );
        registry.register("skydive_http_requests", "Requests answered", self.requests.clone());
        registry.register("skydive_ws_connections", "Open WebSockets", self.connections.clone());
        registry.register(
            "skydive_http_refused_connections",
            "Connections refused because too many are open",
            self.refused_connections.clone(),
        );
    }

    /// What was refused or lost so far, as statuses tell it. What the graph counts itself is added by who owns it.
    pub fn losses(&self) -> Losses {
        Losses {
            slow_subscribers: self.slow_subscribers.get(),
            messages: self.lost_messages.get(),
            oversized_messages: self.oversized_messages.get(),
            malformed_messages: self.malformed_messages.get(),
            dropped_messages: Dropped::ALL.map(|why| self.dropped(why).get()).iter().sum(),
            oversized_bodies: self.oversized_bodies.get(),
            malformed_bodies: self.malformed_bodies.get(),
            ..Losses::default()
        }
    }

    pub(crate) fn slow_subscriber(&self, host_id: &str, messages: u64) {
        self.slow_subscribers.inc();
        self.lost_messages.inc_by(messages);
        if self.slow_log.is_due(Instant::now()) {
            tracing::warn!(host_id, messages, "slow subscriber closed");
        }
    }

    pub(crate) fn oversized_message(&self, host_id: &str, size: usize, max: usize) {
        self.oversized_messages.inc();
        if self.oversized_log.is_due(Instant::now()) {
            tracing::warn!(host_id, size, max, "oversized message refused");
        }
    }

    pub(crate) fn malformed_message(&self, host_id: &str, reason: &str) {
        self.malformed_messages.inc();
        if self.malformed_log.is_due(Instant::now()) {
            tracing::warn!(host_id, reason, "malformed message refused");
        }
    }

    pub(crate) fn dropped_message(&self, host_id: &str, why: Dropped, reason: &str) {
        self.dropped(why).inc();
        if self.dropped_log.is_due(Instant::now()) {
            tracing::warn!(host_id, ?why, reason, "message of a publisher dropped");
        }
    }

    fn dropped(&self, why: Dropped) -> Counter {
        self.dropped_messages.get_or_create_owned(&ReasonLabels { reason: why.name() })
    }

    pub(crate) fn oversized_body(&self, max: usize) {
        self.oversized_bodies.inc();
        if self.oversized_body_log.is_due(Instant::now()) {
            tracing::warn!(max, "oversized body refused");
        }
    }

    pub(crate) fn malformed_body(&self, reason: &str) {
        self.malformed_bodies.inc();
        if self.malformed_body_log.is_due(Instant::now()) {
            tracing::warn!(reason, "malformed body refused");
        }
    }

    pub(crate) fn refused_connection(&self, max: usize) {
        self.refused_connections.inc();
        if self.refused_log.is_due(Instant::now()) {
            tracing::warn!(max, "connection refused: too many are open");
        }
    }

    pub(crate) fn request(&self, path: &'static str, status: u16) {
        self.requests.get_or_create(&RequestLabels { path, status }).inc();
    }

    pub(crate) fn connected(&self, endpoint: &'static str) -> Connected {
        let gauge = self.connections.get_or_create_owned(&EndpointLabels { endpoint });
        gauge.inc();
        Connected(gauge)
    }
}

impl Dropped {
    const ALL: [Self; 4] = [Self::Malformed, Self::Namespace, Self::Type, Self::Schema];

    fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Namespace => "namespace",
            Self::Type => "type",
            Self::Schema => "schema",
        }
    }
}

impl OncePerSecond {
    /// Whether a line may be written now; the next one may in a second.
    pub fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now - last >= Duration::from_secs(1));
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_logged_once_a_second_and_counted_always() {
        let (telemetry, begin) = (ApiTelemetry::default(), Instant::now());
        let mut lines = 0;
        for n in 0..2000 {
            telemetry.malformed_message("h", "nonsense");
            lines += usize::from(telemetry.oversized_log.is_due(begin + Duration::from_millis(n)));
        }
        assert_eq!((lines, telemetry.losses().malformed_messages), (2, 2000));
    }
}
