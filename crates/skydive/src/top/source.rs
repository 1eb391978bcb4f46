//! Where `top` gets its samples: queries, as everybody could ask them.

use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::Value as Json;
use skydive_client::{Explained, Rest};
use skydive_graph::key::{self, attribute};
use skydive_proto::{FlowLimits, coverage_of_text, flows_of_json, header};
use skydive_value::{Coverage, SmolStr};

use super::model::{InterfaceRow, Nodes, Rate};
use crate::client::{advise, require_ok};

/// Interfaces that count, nodes that are captured on, namespaces and what is in them.
const NODES: &str = "G.V().HasKey('LastUpdateMetric')";
const CAPTURED: &str = "G.V().HasKey('Captures')";
const NAMESPACES: &str = "G.V().Has('Type','netns')";
const INSIDE: &str = "G.V().Has('Type','netns').OutE('RelationType','ownership')";

/// The flows that a query finds, and how much of the truth that is.
pub(super) async fn flows(rest: &Rest, query: &str) -> anyhow::Result<(Vec<skydive_flow::Flow>, Coverage)> {
    let answer = rest.topology(query, "application/json", Explained::No).await.map_err(advise)?;
    let answer = require_ok(answer, rest)?;
    let mut coverage = answer.header(header::COVERAGE).and_then(coverage_of_text).unwrap_or_default();
    let limits = FlowLimits { message: usize::MAX, ..FlowLimits::default() };
    let mut refused = 0u64;
    let flows =
        flows_of_json(&answer.body, &limits, |_| refused += 1).context("the answer holds no flows")?;
    coverage.lost += refused;
    Ok((flows, coverage))
}

/// What the graph says of interfaces.
pub(super) async fn nodes(rest: &Rest) -> anyhow::Result<Nodes> {
    let counting = list(rest, NODES).await?;
    let captured = list(rest, CAPTURED).await?;
    let (namespaces, inside) = (list(rest, NAMESPACES).await?, list(rest, INSIDE).await?);
    let places = Places::of(&namespaces, &inside);
    let name = |node: &Json| {
        let tid = text(node, &["Metadata", key::TID])?;
        Some((
            SmolStr::from(tid),
            format!("{}:{}", places.of_node(node), text(node, &["Metadata", key::NAME])?),
        ))
    };
    Ok(Nodes {
        interfaces: counting.iter().filter_map(|node| interface(node, &places)).collect(),
        captured: captured.iter().filter_map(name).collect::<HashMap<_, _>>(),
    })
}

/// Where nodes are: every namespace has a `lo`.
#[derive(Debug, Default)]
struct Places<'n> {
    /// Names of namespaces by the ids of what is in them.
    namespaces: HashMap<&'n str, &'n str>,
}

impl<'n> Places<'n> {
    fn of(namespaces: &'n [Json], inside: &'n [Json]) -> Self {
        let names: HashMap<_, _> = namespaces
            .iter()
            .filter_map(|node| Some((text(node, &["ID"])?, text(node, &["Metadata", key::NAME])?)))
            .collect();
        let name = |edge: &'n Json| {
            Some((text(edge, &[attribute::CHILD])?, *names.get(text(edge, &[attribute::PARENT])?)?))
        };
        Self { namespaces: inside.iter().filter_map(name).collect() }
    }

    /// The host, and the namespace if it is not the host's own.
    fn of_node(&self, node: &Json) -> String {
        let host = text(node, &["Host"]).unwrap_or_default();
        match text(node, &["ID"]).and_then(|id| self.namespaces.get(id)) {
            Some(namespace) => format!("{host}/{namespace}"),
            None => host.to_owned(),
        }
    }
}

async fn list(rest: &Rest, query: &str) -> anyhow::Result<Vec<Json>> {
    let answer = rest.topology(query, "application/json", Explained::No).await.map_err(advise)?;
    serde_json::from_slice(&require_ok(answer, rest)?.body).context("the answer holds no nodes")
}

/// An interface and how fast it counted in its last interval.
fn interface(node: &Json, places: &Places<'_>) -> Option<InterfaceRow> {
    let metric = node.get("Metadata")?.get(key::LAST_UPDATE_METRIC)?;
    let number = |field: &str| metric.get(field).and_then(Json::as_i64).unwrap_or(0) as f64;
    let seconds = (number(key::METRIC_LAST) - number(key::METRIC_START)) / 1000.0;
    if seconds <= 0.0 {
        return None;
    }
    let per_second = |field: &str| number(field) / seconds;
    let lost = ["RxDropped", "TxDropped", "RxErrors", "TxErrors"].map(per_second).iter().sum();
    Some(InterfaceRow {
        name: text(node, &["Metadata", key::NAME])?.to_owned(),
        place: places.of_node(node),
        kind: text(node, &["Metadata", key::TYPE]).unwrap_or_default().to_owned(),
        received: Rate { bytes: per_second("RxBytes"), packets: per_second("RxPackets") },
        sent: Rate { bytes: per_second("TxBytes"), packets: per_second("TxPackets") },
        lost,
    })
}

fn text<'n>(node: &'n Json, path: &[&str]) -> Option<&'n str> {
    path.iter().try_fold(node, |json, member| json.get(member))?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_counts_per_second() {
        let namespaces = [serde_json::json!({ "ID": "n", "Metadata": { "Name": "blue" } })];
        let inside = [serde_json::json!({ "Parent": "n", "Child": "i" })];
        let places = Places::of(&namespaces, &inside);
        let node = serde_json::json!({ "ID": "i", "Host": "h", "Metadata": {
            "Name": "eth0", "Type": "device",
            "LastUpdateMetric": { "RxBytes": 3000, "TxPackets": 30, "RxDropped": 3, "Start": 1000, "Last": 31000 },
        } });
        let expected = InterfaceRow {
            name: "eth0".to_owned(),
            place: "h/blue".to_owned(),
            kind: "device".to_owned(),
            received: Rate { bytes: 100.0, packets: 0.0 },
            sent: Rate { bytes: 0.0, packets: 1.0 },
            lost: 0.1,
        };
        assert_eq!(interface(&node, &places), Some(expected));
        assert_eq!(interface(&serde_json::json!({ "Metadata": { "Name": "lo" } }), &places), None);
    }
}
