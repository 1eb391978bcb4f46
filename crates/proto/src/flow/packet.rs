//! Packets kept with flows, as JSON and in a capture file.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use skydive_flow::{LinkType, RawPacket};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

/// A packet that serialises as its JSON: `Timestamp` in ms, `Index`, `Data` in base64, `LinkType`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawPacketJson<'a>(pub(crate) &'a RawPacket);

/// Magic number of a capture file with times in microseconds, as its writer orders bytes; and its version.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
/// Longest packet that such a file is said to have.
const SNAP_LEN: u32 = 262_144;

impl Serialize for RawPacketJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RawPacket { at, index, bytes, link } = self.0;
        let mut out = serializer.serialize_struct("RawPacket", 4)?;
        out.serialize_field("Timestamp", &at.as_millis())?;
        out.serialize_field("Index", index)?;
        out.serialize_field("Data", &format_args!("{}", Base64Display::new(bytes, &STANDARD)))?;
        out.serialize_field("LinkType", &link.0)?;
        out.end()
    }
}

/// Begins a capture file (libpcap's format) of packets with one kind of link.
pub(crate) fn pcap_head(link: LinkType, out: &mut Vec<u8>) {
    out.extend(MAGIC.to_le_bytes());
    for part in VERSION {
        out.extend(part.to_le_bytes());
    }
    // Time zone and accuracy, which nobody uses.
    out.extend([0; 8]);
    out.extend(SNAP_LEN.to_le_bytes());
    out.extend(u32::from(link.0).to_le_bytes());
}

/// Adds a packet. How long it was on the wire is not kept with it: it stands there as long as it was captured.
pub(crate) fn pcap_packet(packet: &RawPacket, out: &mut Vec<u8>) {
    let millis = packet.at.as_millis().max(0);
    let (seconds, micros) = (millis / 1000, millis % 1000 * 1000);
    let len = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
    for number in [seconds as u32, micros as u32, len, len] {
        out.extend(number.to_le_bytes());
    }
    out.extend_from_slice(&packet.bytes);
}

#[cfg(test)]
mod tests {
    use skydive_value::Timestamp;

    use super::*;

    #[test]
    fn a_packet_as_json_and_in_a_file() {
        let packet = RawPacket {
            at: Timestamp::from_millis(1_002),
            index: 3,
            bytes: b"abc".as_slice().into(),
            link: LinkType::ETHERNET,
        };
        let json = serde_json::to_string(&RawPacketJson(&packet)).unwrap();
        assert_eq!(json, r#"{"Timestamp":1002,"Index":3,"Data":"YWJj","LinkType":1}"#);
        let mut file = Vec::new();
        pcap_head(LinkType::ETHERNET, &mut file);
        pcap_packet(&packet, &mut file);
        assert_eq!(file.len(), 24 + 16 + 3);
        assert!(file.starts_with(&MAGIC.to_le_bytes()) && file.ends_with(b"abc"));
        let head: Vec<u8> = file.into_iter().skip(20).take(12).collect();
        assert_eq!(head, [1, 0, 0, 0, 1, 0, 0, 0, 208, 7, 0, 0]);
    }
}
