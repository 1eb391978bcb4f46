//! `client capture`.

use std::time::Duration;

use skydive_client::{Collection, Rest};
use skydive_graph::key;
use skydive_proto::Capture;

use super::show::{Look, show};
use super::{deletion, heard, read, require_ok};
use crate::cli::{CaptureCommand, CaptureDraft};

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
    show(&require_ok(heard(rest, made).await?, rest)?.body, format, Look::Resource)
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
