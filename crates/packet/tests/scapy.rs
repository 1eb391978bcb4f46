//! Random stacks of headers as scapy builds, changes, cuts and reads them, for what etherparse does not know.
//!
//! Both must find the same headers with the same lengths, and the same number in those that have one: a network, a
//! label, a session, a port. Where they do not, [`reason`] says why.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use skydive_packet::wire::erspan::{ErspanII, ErspanIII};
use skydive_packet::wire::geneve::Geneve;
use skydive_packet::wire::gre::Gre;
use skydive_packet::wire::gtp::Gtp;
use skydive_packet::wire::l2tp::L2tp;
use skydive_packet::wire::mpls::Mpls;
use skydive_packet::wire::pppoe::Pppoe;
use skydive_packet::wire::tcp::Tcp;
use skydive_packet::wire::udp::Udp;
use skydive_packet::wire::vlan::Vlan;
use skydive_packet::wire::vxlan::Vxlan;
use skydive_packet::wire::{ethertype, ppp};
use skydive_packet::{Decoder, End, Layer, LayerKind as K, Layers, LinkType};

/// Debian's, which has the packages that scripts/setup-tests.sh installs.
const PYTHON: &str = "/usr/bin/python3";

/// What makes the same packets every time.
const SEED: &str = "1";
const STACKS: usize = 1500;
/// Of one stack: itself, changed, cut.
const PACKETS: usize = 12;

/// A header as scapy read it.
#[derive(Debug)]
struct Header {
    name: String,
    len: usize,
    field: Option<u32>,
}

/// Where the two stop to say the same.
struct Difference<'a> {
    /// The bytes from the first header on that is not the same.
    rest: &'a [u8],
    /// The header before.
    carrier: &'a [u8],
    before: Option<K>,
    ours: Result<Layer, End>,
    theirs: Option<&'a Header>,
}

/// Why it is right that they do not say the same.
fn reason(difference: &Difference<'_>) -> Option<&'static str> {
    let Difference { rest, carrier, before, ours, theirs } = *difference;
    let theirs_kind = theirs.map(|header| kind(&header.name));
    let (len, their_len) =
        (ours.map_or(0, |layer| usize::from(layer.header)), theirs.map_or(0, |header| header.len));
    let first = rest.first().copied().unwrap_or(0);
    let is_v1 = |gre: &[u8]| gre.get(1).is_some_and(|flags| flags & 7 == 1);
    Some(match (before, ours.map(|layer| layer.kind), theirs_kind) {
        (_, Err(End::Truncated(kind) | End::Malformed(kind)), Some(Some(theirs)))
            if one_class(kind) == theirs =>
        {
            "scapy reads as much as there is of a header that is cut, and any that contradicts itself"
        }
        (_, Err(End::Payload | End::Unsupported), Some(None)) => "no layer of ours",
        (_, Ok(kind), None | Some(None)) if !is_known(kind, before, carrier) => {
            "no layer of scapy's, or no such number"
        }
        (_, Ok(K::Fragment), _) => "scapy reads on in fragments",
        (Some(K::UDP), Err(End::Malformed(K::UDP)), _) => "scapy reads on behind an impossible length of UDP",
        (Some(K::IPv6), Ok(_), None) if carrier[4..6] == [0, 0] => {
            "IPv6 of length zero is as long as what was captured"
        }
        (_, Ok(K::ICMPv4), Some(Some(K::ICMPv4))) => {
            "scapy counts what some messages tell to the header of ICMP"
        }

        (_, Ok(K::ERSPAN), _) if len == 0 => "ERSPAN of type I has no header, scapy takes it for type II",
        (Some(K::ERSPAN), Err(End::Unsupported), Some(Some(K::Ethernet))) => {
            "ERSPAN of type III says what was mirrored, scapy takes it for a frame"
        }

        (_, Ok(K::MPLS), Some(Some(K::MPLS))) if len == Mpls::LEN && their_len > len => {
            "two bytes of zero are a control word when a frame follows that is no better without it"
        }
        (Some(K::MPLS), Ok(K::Ethernet), _) => "what cannot be IP below labels is a frame",
        (_, Ok(K::MPLS), None) if ours.is_ok_and(|layer| layer.end - layer.start == 5) => {
            "scapy fails at a single byte below a label"
        }
        (Some(K::UDP), Err(End::Payload), Some(Some(K::MPLS))) => {
            "what UDP carries is believed to be labels when there is a last one, and something below that can be told"
        }

        (Some(K::UDP), Err(End::Payload), Some(Some(K::VXLAN))) => "VXLAN has bits that must be zero",
        (_, Ok(K::VXLANGPE), Some(Some(K::VXLAN))) if their_len == 11 => {
            "scapy's header of VXLAN with a group and a next protocol is 3 bytes too long"
        }
        (Some(K::VXLANGPE), Err(End::Payload), _) => "scapy does not ask whether VXLAN-GPE carries a packet",
        (Some(K::VXLANGPE), Err(End::Unsupported), _) => "scapy takes for a frame what it does not know",

        (_, Ok(K::GTPv1U), Some(Some(K::GTPv1U))) if first & 4 != 0 => "scapy knows one extension of GTP",
        (Some(K::GTPv1U), Ok(_), None) if carrier[0] & 4 != 0 => "scapy knows one extension of GTP",
        (Some(K::GTPv1U), Err(End::Payload), _) => {
            "scapy does not ask for the type of the message when GTP is extended"
        }
        (Some(K::GTPv1U), Err(End::Malformed(K::IPv4)), Some(Some(K::PPP))) => {
            "scapy asks for a possible length of IPv4, else takes anything for PPP"
        }

        (_, Ok(K::GRE), Some(Some(K::GRE))) if theirs?.name == "GRE_PPTP" => {
            "scapy tells PPTP by what it carries, not by the version, and knows no checksum in it"
        }
        (_, Ok(K::GRE), Some(Some(K::GRE))) if is_v1(rest) => "scapy knows version 1 of GRE only with PPP",
        (_, Ok(K::GRE), Some(Some(K::GRE))) if first & 0x40 != 0 => {
            "scapy does not know the end of a list of routes"
        }
        (Some(K::GRE), Err(_), _) if is_v1(carrier) => "version 1 of GRE carries PPP, and says how much",

        (_, Ok(K::LLC), Some(Some(K::LLC))) => "LLC has a second byte of control unless it is unnumbered",
        (Some(K::LLC), Ok(K::SNAP), None) => "an address of LLC has a bit that makes it one of a group",
        (Some(K::Ethernet), Ok(K::LLC), None) if carrier[12] == 5 => {
            "1501 to 1535 is neither a length nor a type"
        }
        (_, Err(End::Unsupported), Some(Some(K::LLC))) => {
            "LLC with a type of its own is for jumbo frames only"
        }
        (_, Ok(K::PPP), Some(Some(K::PPP)) | None) if first == 0xff => {
            "scapy wants no control behind an address"
        }
        (_, Ok(K::L2TP), Some(Some(K::L2TP))) if first & 0x82 != 0 => {
            "L2TP says how long its padding is, and whether a message has a length; scapy always reads them"
        }
        _ => return None,
    })
}

/// Whether scapy has this layer where it stands, as far as the script loads it.
fn is_known(kind: K, before: Option<K>, carrier: &[u8]) -> bool {
    match kind {
        K::ICMPv4 => before == Some(K::IPv4),
        K::IPv6HopByHop | K::IPv6Routing | K::IPv6Fragment | K::IPv6Destination => before != Some(K::IPv4),
        K::L2TP | K::EtherIP => before == Some(K::UDP),
        // PPP right in a frame, old service tags, labels assigned upstream, labels in VXLAN-GPE.
        K::Dot1Q => !carrier.ends_with(&[0x91, 0]),
        K::MPLS => !carrier.ends_with(&[0x88, 0x48]) && before != Some(K::VXLANGPE),
        K::PPP => before != Some(K::Ethernet) && before != Some(K::Dot1Q),
        K::ARP => before == Some(K::Ethernet),
        K::IPv4 | K::IPv6 | K::GRE | K::UDP | K::TCP | K::Ethernet | K::PPPoE | K::LLC | K::SNAP => true,
        K::VXLAN | K::VXLANGPE | K::Geneve | K::GTPv1U | K::ERSPAN | K::Fragment => true,
        _ => false,
    }
}

fn kind(name: &str) -> Option<K> {
    Some(match name {
        "Ether" | "Dot3" => K::Ethernet,
        "LLC" => K::LLC,
        "SNAP" => K::SNAP,
        "Dot1Q" | "Dot1AD" => K::Dot1Q,
        "MPLS" => K::MPLS,
        "PPPoE" | "PPPoED" => K::PPPoE,
        "PPP" => K::PPP,
        "IP" => K::IPv4,
        "IPv6" => K::IPv6,
        "IPv6ExtHdrHopByHop" => K::IPv6HopByHop,
        "IPv6ExtHdrRouting" => K::IPv6Routing,
        "IPv6ExtHdrFragment" => K::IPv6Fragment,
        "IPv6ExtHdrDestOpt" => K::IPv6Destination,
        "GRE" | "GRE_PPTP" => K::GRE,
        "ERSPAN_II" | "ERSPAN_III" => K::ERSPAN,
        "VXLAN" => K::VXLAN,
        "GENEVE" => K::Geneve,
        "GTP_U_Header" | "GTPHeader" => K::GTPv1U,
        "L2TP" => K::L2TP,
        "EtherIP" => K::EtherIP,
        "ARP" => K::ARP,
        "AH" => K::IPSecAH,
        "VRRP" => K::VRRP,
        "TCP" => K::TCP,
        "UDP" => K::UDP,
        "ICMP" => K::ICMPv4,
        _ => return None,
    })
}

/// Scapy has one class for both forms of VXLAN.
fn one_class(kind: K) -> K {
    if kind == K::VXLANGPE { K::VXLAN } else { kind }
}

/// The number that scapy tells too.
fn field(layer: &Layer, before: Option<&Layer>, packet: &[u8]) -> Option<u32> {
    let bytes = layer.bytes_of(packet);
    match layer.kind {
        K::Dot1Q => Vlan::parse(bytes).map(|tag| tag.id().into()),
        K::MPLS => Mpls::parse(bytes).map(Mpls::label),
        K::PPPoE => Pppoe::parse(bytes).map(|pppoe| pppoe.session().into()),
        K::PPP => ppp::protocol(bytes).map(|(protocol, _)| protocol.into()),
        K::GRE => {
            let gre = Gre::parse(bytes)?;
            let of_pptp = gre.protocol() == ethertype::PPP;
            gre.key().map(|key| if of_pptp { key & 0xffff } else { key })
        }
        K::ERSPAN => match Gre::parse(before?.bytes_of(packet))?.protocol() {
            ethertype::ERSPAN_III => ErspanIII::parse(bytes).map(|header| header.session().into()),
            _ => ErspanII::parse(bytes).map(|header| header.session().into()),
        },
        K::VXLAN | K::VXLANGPE => Vxlan::parse(bytes).map(Vxlan::vni),
        K::Geneve => Geneve::parse(bytes).map(Geneve::vni),
        K::GTPv1U => Gtp::parse(bytes).map(Gtp::tunnel),
        K::L2TP => L2tp::parse(bytes)?.session().map(u32::from),
        K::TCP => Tcp::parse(bytes).map(|tcp| tcp.destination().into()),
        K::UDP => Udp::parse(bytes).map(|udp| udp.destination().into()),
        _ => None,
    }
}

/// A line of the script: how the packet was made, its bytes, and what scapy reads in it.
fn parse(line: &str) -> (&str, Vec<u8>, Vec<Header>) {
    let mut words = line.split(' ');
    let (how, hex) = (words.next().unwrap(), words.next().unwrap());
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let mut headers: Vec<Header> = Vec::new();
    let mut ahead = 0;
    for word in words {
        let mut parts = word.split(':');
        let name = parts.next().unwrap();
        let len: usize = parts.next().unwrap().parse().unwrap();
        match name {
            // Parts of a header for us.
            "HDLC" => ahead = len,
            "EoMCW" | "GTPPDUSessionContainer" | "ERSPAN_PlatformSpecific" | "GRErouting" => {
                headers.last_mut().unwrap().len += len;
            }
            _ => {
                let field = parts.next().map(|field| field.parse().unwrap());
                headers.push(Header { name: name.to_owned(), len: len + ahead, field });
                ahead = 0;
            }
        }
    }
    (how, (0..hex.len()).step_by(2).map(byte).collect(), headers)
}

fn is_same(layer: &Layer, header: &Header, before: Option<&Layer>, packet: &[u8]) -> bool {
    let field = header.field.map(|_| field(layer, before, packet));
    kind(&header.name) == Some(one_class(layer.kind))
        && header.len == usize::from(layer.header)
        && field.is_none_or(|ours| ours == header.field)
}

#[test]
fn scapy_finds_the_same_headers() {
    if !Command::new(PYTHON).args(["-c", "import scapy"]).status().is_ok_and(|status| status.success()) {
        return skydive_testnet::skip("packet::scapy", "python3-scapy is not installed");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scapy/stacks.py");
    let output = Command::new(PYTHON).arg(script).args([SEED, &STACKS.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), STACKS * PACKETS);

    let mut layers = Layers::new();
    let (mut agreed, mut wrong) = (0, Vec::new());
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let (how, bytes, theirs) = parse(line);
        Decoder::default().decode(&bytes, LinkType::ETHERNET, &mut layers);
        let ours = layers.as_slice();
        let same = ours.iter().zip(&theirs).enumerate();
        let same = same.take_while(|(i, (layer, header))| {
            is_same(layer, header, i.checked_sub(1).map(|i| &ours[i]), &bytes)
        });
        let at = same.count();
        if at == ours.len() && at == theirs.len() {
            agreed += 1;
            continue;
        }
        let before = at.checked_sub(1).map(|i| &ours[i]);
        let start = before.map_or(0, |layer| layer.start as usize + usize::from(layer.header));
        let difference = Difference {
            rest: &bytes[start..],
            carrier: before.map_or(&[], |layer| layer.header_of(&bytes)),
            before: before.map(|layer| layer.kind),
            ours: ours.get(at).copied().ok_or(layers.end()),
            theirs: theirs.get(at),
        };
        match reason(&difference).filter(|_| how != "whole" || is_type_one(&difference)) {
            Some(reason) => *reasons.entry(reason).or_default() += 1,
            None => wrong.push(format!(
                "{line}\n  {:?} {:?}, not {:?}",
                difference.before, difference.ours, difference.theirs
            )),
        }
    }
    println!("{agreed} agreed; {reasons:#?}");
    assert!(wrong.is_empty(), "{}\n{} packets", wrong[..wrong.len().min(20)].join("\n"), wrong.len());
    assert!(agreed > STACKS * PACKETS * 3 / 4, "only {agreed}");
}

fn is_type_one(difference: &Difference<'_>) -> bool {
    difference.ours.is_ok_and(|layer| layer.kind == K::ERSPAN && layer.header == 0)
}
