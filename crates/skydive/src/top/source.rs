//! Where `top` gets its samples: queries, as everybody could ask them.

use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::Value as Json;
use skydive_client::{Explained, Rest};
use skydive_graph::key;
use skydive_proto::{FlowLimits, coverage_of_text, flows_of_json, header};
use skydive_value::{Coverage, SmolStr};

use super::model::{InterfaceRow, Nodes, Rate};
use crate::client::{heard, require_ok};

/// Interfaces that count, and nodes that are captured on.
const NODES: &str = "G.V().HasKey('LastUpdateMetric')";
const CAPTURED: &str = "G.V().HasKey('Captures')";

/// The flows that a query finds, and how much of the truth that is.
pub(super) async fn flows(rest: &Rest, query: &str) -> anyhow::Result<(Vec<skydive_flow::Flow>, Coverage)> {
    let answer =
        require_ok(heard(rest, rest.topology(query, "application/json", Explained::No)).await?, rest)?;
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
    let name = |node: &Json| {
        let tid = text(node, &["Metadata", key::TID])?;
        let host = text(node, &["Host"]).unwrap_or_default();
        Some((SmolStr::from(tid), format!("{host}:{}", text(node, &["Metadata", key::NAME])?)))
    };
    Ok(Nodes {
        interfaces: counting.iter().filter_map(interface).collect(),
        captured: captured.iter().filter_map(name).collect::<HashMap<_, _>>(),
    })
}

async fn list(rest: &Rest, query: &str) -> anyhow::Result<Vec<Json>> {
    let answer = rest.topology(query, "application/json", Explained::No).await?;
    serde_json::from_slice(&require_ok(answer, rest)?.body).context("the answer holds no nodes")
}

/// An interface and how fast it counted in its last interval.
fn interface(node: &Json) -> Option<InterfaceRow> {
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
        host: text(node, &["Host"]).unwrap_or_default().to_owned(),
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
        let node = serde_json::json!({ "Host": "h", "Metadata": {
            "Name": "eth0", "Type": "device",
            "LastUpdateMetric": { "RxBytes": 3000, "TxPackets": 30, "RxDropped": 3, "Start": 1000, "Last": 31000 },
        } });
        let expected = InterfaceRow {
            name: "eth0".to_owned(),
            host: "h".to_owned(),
            kind: "device".to_owned(),
            received: Rate { bytes: 100.0, packets: 0.0 },
            sent: Rate { bytes: 0.0, packets: 1.0 },
            lost: 0.1,
        };
        assert_eq!(interface(&node), Some(expected));
        assert_eq!(interface(&serde_json::json!({ "Metadata": { "Name": "lo" } })), None);
    }
}
