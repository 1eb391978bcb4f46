//! `client capture`.

use std::io;
use std::time::Duration;

use serde_json::Value as Json;
use skydive_client::{Collection, Rest};
use skydive_graph::key;
use skydive_proto::Capture;

use super::show::{Look, show};
use super::{deletion, heard, read, require_ok};
use crate::cli::{CaptureCommand, CaptureDraft};
use crate::terminal::{Color, Paint, harmless};

pub(super) async fn run(rest: &Rest, command: CaptureCommand) -> anyhow::Result<()> {
    match command {
        CaptureCommand::Create(draft) => create(rest, *draft).await,
        CaptureCommand::Read(command) => read(rest, Collection::Captures, command).await,
        CaptureCommand::Delete { ids } => deletion::delete(rest, Collection::Captures, &ids).await,
    }
}

async fn create(rest: &Rest, draft: CaptureDraft) -> anyhow::Result<()> {
    let (ttl, format) = (draft.ttl.map(Duration::from_millis), draft.shape.format);
    let made = rest.create_for(Collection::Captures, capture(draft).to_json(), ttl);
    let made = require_ok(heard(rest, made).await?, rest)?;
    let running = once_it_runs(rest, &made.body).await;
    show(running.as_deref().unwrap_or(&made.body), format, Look::Resource)
}

/// How long a capture may take to begin before its maker is told that it has not.
const SOON: Duration = Duration::from_millis(500);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);

/// The capture once it runs on as many nodes as it will soon, so that what is sent next is captured. `None` when it does
/// not run, and says so.
async fn once_it_runs(rest: &Rest, made: &[u8]) -> Option<Vec<u8>> {
    let id = Capture::decode(made).ok()?.uuid;
    let mut before = None;
    let mut fault = None;
    let running = async {
        loop {
            let answer = rest.find(Collection::Captures, &id).await.ok()?;
            // It may be gone again.
            let count = field(&answer.body, "Count")?.as_i64();
            if count > Some(0) && count == before {
                return Some(answer.body.to_vec());
            }
            before = count;
            fault = field(&answer.body, "Error");
            tokio::time::sleep(PAUSE).await;
        }
    };
    let running = tokio::time::timeout(SOON, running).await;
    if running.is_err() {
        let why = fault.as_ref().and_then(Json::as_str).map_or_else(
            || "no node that the query gives is captured; it begins when there is one".to_owned(),
            harmless,
        );
        eprintln!("{}: {why}", Paint::of(&io::stderr()).color(Color::Yellow, "does not run yet"));
    }
    running.ok().flatten()
}

fn field(resource: &[u8], name: &str) -> Option<Json> {
    serde_json::from_slice::<Json>(resource).ok()?.get_mut(name).map(Json::take)
}

fn capture(draft: CaptureDraft) -> Capture {
    let of_node = |tid: &String| {
        let tid = tid.replace('\\', "\\\\").replace('\'', "\\'");
        format!("G.V().Has('{}', '{tid}')", key::TID)
    };
    let node = draft.node.as_ref().map(of_node);
    Capture {
        gremlin_query: node.or(draft.gremlin).unwrap_or_default(),
        bpf_filter: draft.bpf,
        name: draft.titles.name,
        description: draft.titles.description,
        kind: draft.kind,
        port: draft.port.into(),
        sampling_rate: draft.samplingrate,
        polling_interval: draft.pollinginterval,
        raw_packet_limit: draft.rawpacket_limit,
        header_size: draft.header_size,
        extra_tcp_metric: draft.extra_tcp_metric,
        ip_defrag: draft.ip_defrag,
        reassemble_tcp: draft.reassemble_tcp,
        layer_key_mode: draft.layer_key_mode.map(|mode| mode.name().to_owned()).unwrap_or_default(),
        extra_layers: draft.extra_layer.iter().fold(0, |all, layer| all | i64::from(layer.bits().0)),
        target: draft.target,
        target_type: draft.target_type,
        ..Capture::default()
    }
}
