//! From what users ask for to what the engine is given.

use skydive_capture::{CaptureConfig, CaptureDef, check_filter, definition};
use skydive_flow::{ExtraLayers, KeyMode};
use skydive_graph::key;
use skydive_proto::Capture;
use skydive_query::capture_kinds;
use skydive_sys::NsRef;

use super::fault::Fault;
use super::place::Place;
use crate::CaptureSettings;

/// The kind that is wanted on a node of that type.
pub(super) fn kind(capture: &Capture, node_type: &str) -> Result<&'static CaptureDef, Fault> {
    let kinds = capture_kinds(node_type);
    let [first, ..] = kinds else { return Err(Fault::NodeType(node_type.into())) };
    let wanted = if capture.kind.is_empty() { *first } else { capture.kind.as_str() };
    if !kinds.contains(&wanted) {
        let (kind, node, possible) = (wanted.to_owned(), node_type.into(), kinds.join(", "));
        return Err(Fault::Kind { kind, node, possible });
    }
    definition(wanted).ok_or_else(|| Fault::Later { what: key::TYPE, which: wanted.to_owned() })
}

/// Whether captures of a kind take their packets from an interface.
pub(super) fn needs_interface(kind: &CaptureDef) -> bool {
    kind.name != "pcapsocket"
}

/// What the engine is given. `memory` is the share of the capture of what packets choose the size of, in bytes. The
/// filter is that of the user.
pub(super) fn plan(
    capture: &Capture,
    kind: &CaptureDef,
    place: Place,
    settings: &CaptureSettings,
    memory: usize,
) -> Result<CaptureConfig, Fault> {
    if !matches!(capture.target_type.as_str(), "" | "local") {
        return Err(Fault::Later { what: "TargetType", which: capture.target_type.clone() });
    }
    if !capture.target.is_empty() {
        return Err(Fault::Later { what: "Target", which: capture.target.clone() });
    }
    check_filter(&capture.bpf_filter)?;
    let range = |what, value, possible| Fault::Range { what, value, possible };
    let raw_packets = capture.raw_packet_limit;
    if !(0..=10).contains(&raw_packets) {
        return Err(range("RawPacketLimit", raw_packets, "0 to 10"));
    }
    let snap_len = u32::try_from(capture.header_size)
        .ok()
        .filter(|length| *length == 0 || CaptureConfig::SNAP_LENS.contains(length))
        .ok_or_else(|| range("HeaderSize", capture.header_size, "0, or 14 to 4096"))?;
    let extra_layers = u8::try_from(capture.extra_layers)
        .map_err(|_| range("ExtraLayers", capture.extra_layers, "0 to 255"))?;
    let key_mode = match capture.layer_key_mode.as_str() {
        "" => settings.table.key_mode,
        "L2" => KeyMode::L2,
        "L3" => KeyMode::L3,
        other => return Err(Fault::LayerKeyMode(other.to_owned())),
    };
    let (namespace, interface) = place.interface.unwrap_or((NsRef::Here, 0));
    let mut config = CaptureConfig::new(kind.name, namespace, interface);
    config.filter.clone_from(&capture.bpf_filter);
    config.snap_len = snap_len;
    config.ring_bytes = settings.ring_bytes;
    config.threads = settings.fanout.clamp(1, settings.threads.max(1));
    config.listen = settings.listen.clone();
    config.table = skydive_flow::TableConfig {
        key_mode,
        tcp_metric: capture.extra_tcp_metric,
        reassemble: capture.reassemble_tcp,
        defragment: capture.ip_defrag,
        extra_layers: ExtraLayers(extra_layers),
        raw_packets: raw_packets.unsigned_abs(),
        max_extra_bytes: memory / config.threads,
        node_tid: place.tid,
        capture_id: capture.uuid.as_str().into(),
        ..settings.table.clone()
    };
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { tid: "tid".into(), interface: Some((NsRef::Here, 7)) }
    }

    fn made(capture: &Capture) -> Result<CaptureConfig, Fault> {
        let kind = kind(capture, "veth")?;
        plan(capture, kind, place(), &CaptureSettings::default(), 1000)
    }

    #[test]
    fn everything_that_is_asked_for_is_given() {
        let capture = Capture {
            uuid: "c".to_owned(),
            bpf_filter: "tcp".to_owned(),
            raw_packet_limit: 5,
            header_size: 100,
            extra_tcp_metric: true,
            ip_defrag: true,
            reassemble_tcp: true,
            layer_key_mode: "L3".to_owned(),
            extra_layers: 31,
            target_type: "local".to_owned(),
            ..Capture::default()
        };
        let config = made(&capture).unwrap();
        assert_eq!((config.kind.as_str(), config.interface, config.snap_len), ("afpacket", 7, 100));
        let table = config.table;
        assert_eq!(
            (table.raw_packets, table.key_mode, table.extra_layers),
            (5, KeyMode::L3, ExtraLayers(31))
        );
        assert!(table.tcp_metric && table.defragment && table.reassemble);
        assert_eq!(
            (table.node_tid.as_str(), table.capture_id.as_str(), table.max_extra_bytes),
            ("tid", "c", 1000)
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let why = |change: fn(&mut Capture)| {
            let mut capture = Capture::default();
            change(&mut capture);
            let fault = made(&capture).unwrap_err();
            assert!(!fault.may_pass(), "{fault:?}");
            super::super::fault::Refusal::from(&fault)
        };
        for (refusal, text) in [
            (why(|c| c.raw_packet_limit = 11), "RawPacketLimit is 11, possible is 0 to 10"),
            (why(|c| c.raw_packet_limit = -1), "RawPacketLimit is -1"),
            (why(|c| c.header_size = 13), "HeaderSize is 13, possible is 0, or 14 to 4096"),
            (why(|c| c.header_size = i64::MAX), "HeaderSize is"),
            (why(|c| c.extra_layers = 256), "ExtraLayers is 256"),
            (why(|c| c.layer_key_mode = "L4".into()), "LayerKeyMode is \"L4\""),
            (why(|c| c.target_type = "netflowv5".into()), "TargetType \"netflowv5\" is not supported yet"),
            (why(|c| c.kind = "ebpf".into()), "Type \"ebpf\" is not supported yet"),
            (
                why(|c| c.kind = "ovsmirror".into()),
                "has no captures of type \"ovsmirror\", possible are afpacket, pcap",
            ),
            (why(|c| c.bpf_filter = "tcp or (".into()), "filter: "),
        ] {
            assert_eq!(refusal.status, 400);
            assert!(refusal.why.contains(text), "{refusal:?} {text}");
        }
    }

    #[test]
    fn kinds_follow_the_type_of_the_node() {
        let named = |name: &str| Capture { kind: name.to_owned(), ..Capture::default() };
        for (node, wanted, found) in [
            ("tuntap", "", "afpacket"),
            ("device", "pcap", "pcap"),
            ("ovsbridge", "pcapsocket", "pcapsocket"),
        ] {
            assert_eq!(kind(&named(wanted), node).unwrap().name, found);
        }
        assert!(matches!(kind(&named(""), "host"), Err(Fault::NodeType(_))));
        assert!(matches!(kind(&named(""), "ovsport"), Err(Fault::Later { .. })));
    }
}
