//! Rows of comma-separated values, RFC 4180, under the names that queries know.

use std::io::Write;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use skydive_flow::field::{FIELDS, Field};
use skydive_flow::{Flow, RawPacket};
use skydive_graph::key;
use skydive_value::FieldRef;

use crate::cli::{ExtraLayer, ReadFlags};

/// Packets are in the last column, with blanks between.
const RAW: &str = "RawPackets";

/// The columns of a capture.
pub(super) struct Columns {
    fields: Vec<&'static Field>,
    has_raw: bool,
}

impl Columns {
    /// What every flow has, and what was asked for beyond.
    pub(super) fn new(flags: &ReadFlags) -> Self {
        let has = |layer| flags.extra_layer.contains(&layer);
        let is_wanted = |field: &&Field| match field.name.split_once('.') {
            // A flow is told of once, when it has ended: its last update is of no interest.
            Some((key::LAST_UPDATE_METRIC, _)) => false,
            // Always 0.
            Some(("Transport", name)) => name != "ID",
            Some(("TCPMetric", _)) => flags.extra_tcp_metric || flags.reassemble_tcp,
            Some(("IPMetric", _)) => flags.ip_defrag,
            Some(("DNS", _)) => has(ExtraLayer::Dns),
            Some(("DHCPv4", _)) => has(ExtraLayer::Dhcp4),
            Some(("VRRPv2", _)) => has(ExtraLayer::Vrrp),
            Some(("TLS", _)) => has(ExtraLayer::Tls),
            Some(("HTTP", _)) => has(ExtraLayer::Http),
            _ => true,
        };
        Self { fields: FIELDS.iter().filter(is_wanted).collect(), has_raw: flags.raw.is_some() }
    }

    /// The line of names.
    pub(super) fn head(&self, out: &mut Vec<u8>) {
        let raw = self.has_raw.then_some(RAW);
        for (at, name) in self.fields.iter().map(|field| field.name).chain(raw).enumerate() {
            separate(at, out);
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The line of a flow; what it has not is empty.
    pub(super) fn row(&self, flow: &Flow, raw: &[RawPacket], out: &mut Vec<u8>) {
        for (at, field) in self.fields.iter().enumerate() {
            separate(at, out);
            if let Some(value) = field.of(flow) {
                put(&value, out);
            }
        }
        if self.has_raw {
            out.push(b',');
            for (at, packet) in raw.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                put_packet(packet, out);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

fn put(value: &FieldRef<'_>, out: &mut Vec<u8>) {
    match value {
        FieldRef::Str(text) => put_text(text, out),
        FieldRef::Text(text) => put_text(text.as_str(), out),
        FieldRef::Texts(texts) => put_text(&texts.join(" "), out),
        // Writing to memory cannot end early.
        FieldRef::Int(number) => drop(write!(out, "{number}")),
        FieldRef::Bool(is) => drop(write!(out, "{is}")),
        // Flows have no such fields.
        FieldRef::Id(_) | FieldRef::Value(_) | FieldRef::Each(..) => {}
    }
}

/// Quotes where a comma, a quote or a line's end would be taken for something else.
fn put_text(text: &str, out: &mut Vec<u8>) {
    if !text.contains([',', '"', '\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

fn put_packet(packet: &RawPacket, out: &mut Vec<u8>) {
    drop(write!(out, "{}", Base64Display::new(&packet.bytes, &STANDARD)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mislead_is_quoted() {
        let text = |text: &str| {
            let mut out = Vec::new();
            put_text(text, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text("Ethernet/IPv4"), "Ethernet/IPv4");
        assert_eq!(text("a,b"), "\"a,b\"");
        assert_eq!(text("say \"x\"\r\n"), "\"say \"\"x\"\"\r\n\"");
    }
}
