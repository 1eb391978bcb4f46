//! Conversations as tshark sees them: its dissection of every packet, counted in a plain list.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use skydive_flow::IcmpKind;

use crate::conversation::{Conversation, Message};

/// The protocols that are looked at, all others are left out of the dissection.
const PROTOCOLS: &str = "eth vlan ip ipv6 tcp udp sctp icmp icmpv6 gre mpls vxlan geneve erspan l2tp";

/// Behind these a link or network layer begins a conversation of its own.
const TUNNELS: [&str; 6] = ["gre", "mpls", "vxlan", "geneve", "erspan", "l2tp"];

/// The protocols of a packet, outermost first.
pub(crate) struct Packet(Vec<Layer>);

/// One protocol of a packet.
struct Layer {
    name: String,
    at: u64,
    fields: Vec<(String, String)>,
}

/// What tells conversations apart: the carrier, the two ends in order, and what has no direction.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    parent: Option<usize>,
    ends: [End; 2],
    message: Option<Message>,
    /// Network and port of a tunnel that spreads flows over its source port.
    tunnel: Option<(u32, u16)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    mac: String,
    address: Option<IpAddr>,
    port: u16,
}

impl Layer {
    fn text(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, show)| show.as_str())
    }

    fn number(&self, field: &str) -> u32 {
        let text = self.text(field).unwrap_or("0");
        text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16)).unwrap()
    }

    fn is_fragment(&self) -> bool {
        self.name == "ip" && (self.number("ip.flags") & 1 != 0 || self.number("ip.frag_offset") != 0)
    }

    fn pair<T: std::str::FromStr>(&self, source: &str, destination: &str) -> Option<(T, T)> {
        Some((self.text(source)?.parse().ok()?, self.text(destination)?.parse().ok()?))
    }
}

/// The packets of a file as tshark dissects them; `options` are its own.
pub(crate) fn packets(file: &Path, options: &[&str]) -> Vec<Packet> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "pdml", "-j", PROTOCOLS, "-o", "ip.defragment:FALSE"]);
    command.args(["-o", "tcp.desegment_tcp_streams:FALSE", "-o", "tcp.analyze_sequence_numbers:FALSE"]);
    let output = command.args(options).arg("-r").arg(file).output();
    let output = output.expect("tshark is installed by scripts/setup-tests.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.split("<packet>").skip(1).map(|packet| Packet(layers(packet))).collect()
}

/// The conversations of some packets in order of the first packet of each.
pub(crate) fn conversations(packets: &[Packet]) -> Vec<Conversation> {
    let mut found: Vec<(Key, Conversation)> = Vec::new();
    for Packet(layers) in packets {
        count(layers, &mut found);
    }
    found.into_iter().map(|(_, conversation)| conversation).collect()
}

/// The protocols of a packet in tshark's XML, whose lines are indented by depth.
fn layers(packet: &str) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    // Whether a protocol that stands inside of another goes on, such as the packet that ICMP returns.
    let mut quoted = false;
    for line in packet.lines() {
        if line.starts_with("  <proto ") {
            let name = attribute(line, "name").unwrap().to_owned();
            let at = attribute(line, "pos").map_or(0, |at| at.parse().unwrap());
            layers.push(Layer { name, at, fields: Vec::new() });
            quoted = false;
        } else if line.trim_start().starts_with("<proto ") {
            quoted = true;
        } else if let (Some(layer), false) = (layers.last_mut(), quoted)
            && let (Some(name), Some(show)) = (attribute(line, "name"), attribute(line, "show"))
        {
            layer.fields.push((name.to_owned(), show.to_owned()));
        }
    }
    layers
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}=\""))? + name.len() + 3;
    line[start..].split('"').next()
}

/// Adds a packet to its conversations, from the outermost part to the innermost.
fn count(layers: &[Layer], found: &mut Vec<(Key, Conversation)>) {
    let wire_len = u64::from(layers[0].number("len"));
    // tshark reads on in the first of several fragments.
    let fragment = layers.iter().position(Layer::is_fragment);
    let layers = &layers[..fragment.map_or(layers.len(), |at| at + 1)];
    let mut parent = None;
    let mut start = 0;
    while start < layers.len() {
        let (mut addressed, mut cut) = (false, None);
        let mut end = layers.len();
        for (i, layer) in layers.iter().enumerate().skip(start) {
            if ["eth", "ip", "ipv6"].contains(&layer.name.as_str()) {
                if let Some(cut) = cut {
                    end = cut;
                    break;
                }
                addressed = true;
            } else if addressed && TUNNELS.contains(&layer.name.as_str()) {
                cut = Some(i + 1);
            }
        }
        parent = Some(count_part(&layers[start..end], layers[..start].last(), parent, wire_len, found));
        start = end;
    }
}

/// Adds a part, and says where. `before` is the protocol that carries it.
fn count_part(
    part: &[Layer],
    before: Option<&Layer>,
    parent: Option<usize>,
    wire_len: u64,
    found: &mut Vec<(Key, Conversation)>,
) -> usize {
    let (mut source, mut destination) = (End::default(), End::default());
    let (mut link, mut network, mut ports, mut icmp) = (None, None, None, None);
    let mut shown: Option<(&str, u16, u16)> = None;
    let (mut len, mut network_len, mut network_id, mut tunnel) = (None, 0, 0, None);
    for layer in part {
        match layer.name.as_str() {
            "eth" if link.is_none() => {
                link = layer.pair::<String>("eth.src", "eth.dst");
                (source.mac, destination.mac) = link.clone().unwrap();
                // What ERSPAN adds has no name in a path and counts to what it carries.
                let outside =
                    before.filter(|layer| layer.name == "erspan").map_or(layer.at, |erspan| erspan.at);
                len = Some(wire_len - outside);
            }
            "ip" if network.is_none() => {
                network = layer.pair::<IpAddr>("ip.src", "ip.dst");
                network_len = layer.number("ip.len").into();
            }
            "ipv6" if network.is_none() => {
                network = layer.pair::<IpAddr>("ipv6.src", "ipv6.dst");
                network_len = layer.number("ipv6.plen").into();
            }
            "tcp" => {
                let pair = layer.pair("tcp.srcport", "tcp.dstport");
                ports = ports.or(pair);
                shown = shown.filter(|(name, ..)| *name == "TCP").or(pair.map(|(a, b)| ("TCP", a, b)));
            }
            "udp" => {
                let pair = layer.pair("udp.srcport", "udp.dstport");
                ports = ports.or(pair);
                shown = shown.or(pair.map(|(a, b)| ("UDP", a, b)));
            }
            "icmp" => icmp = Some(message4(layer)),
            "icmpv6" => icmp = Some(message6(layer)),
            "vxlan" | "geneve" => {
                network_id = layer.number(&format!("{}.vni", layer.name));
                tunnel = ports.take().map(|(_, port)| (network_id, port));
            }
            // PPTP has a length and a call in place of a key.
            "gre" => network_id = layer.number("gre.key").max(layer.number("gre.key.call_id")),
            _ => {}
        }
    }
    (source.address, destination.address) = network.unzip();
    (source.port, destination.port) = ports.unwrap_or_default();
    let bytes = len.unwrap_or(network_len);
    let mut ends = [source.clone(), destination];
    ends.sort();
    let key = Key { parent, ends, message: icmp, tunnel };
    let place = found.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        let new = Conversation {
            parent,
            link,
            network,
            network_id,
            transport: shown,
            icmp,
            ab: (0, 0),
            ba: (0, 0),
        };
        found.push((key, new));
        found.len() - 1
    });
    let conversation = &mut found[place].1;
    let from_a = match (&conversation.link, conversation.network) {
        (Some((a, _)), _) => *a == source.mac,
        (None, Some((a, _))) => Some(a) == source.address,
        (None, None) => true,
    };
    let sent = if from_a { &mut conversation.ab } else { &mut conversation.ba };
    *sent = (sent.0 + 1, sent.1 + bytes);
    place
}

/// Requests and answers are of one class.
fn message4(layer: &Layer) -> Message {
    let (kind, code) = (layer.number("icmp.type"), layer.number("icmp.code") as u8);
    match kind {
        0 | 8 => (IcmpKind::Echo, code, layer.number("icmp.ident") as u16),
        3 => (IcmpKind::DestinationUnreachable, code, 0),
        _ => (IcmpKind::Unknown, code, 0),
    }
}

fn message6(layer: &Layer) -> Message {
    let code = layer.number("icmpv6.code") as u8;
    match layer.number("icmpv6.type") {
        128 | 129 => (IcmpKind::Echo, 0, layer.number("icmpv6.echo.identifier") as u16),
        133 | 134 => (IcmpKind::Router, code, 0),
        135 | 136 => (IcmpKind::Neighbor, code, 0),
        _ => (IcmpKind::Unknown, code, 0),
    }
}
