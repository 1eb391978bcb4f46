//! DHCP of dnsmasq with udhcpc and dhclient.

use skydive_packet::application::dhcp4::{DhcpOption, Message, MessageType, looks_like, until_zero};

use crate::payloads;
use crate::tshark::{self, list};

#[test]
fn wireshark_reads_the_same_messages() {
    let theirs = tshark::fields(
        "dhcp.pcap",
        &[
            "dhcp.type",
            "dhcp.hw.type",
            "dhcp.hw.len",
            "dhcp.hops",
            "dhcp.id",
            "dhcp.secs",
            "dhcp.flags",
            "dhcp.ip.client",
            "dhcp.ip.your",
            "dhcp.ip.server",
            "dhcp.ip.relay",
            "dhcp.hw.mac_addr",
            "dhcp.server",
            "dhcp.file",
            "dhcp.option.dhcp",
            "dhcp.option.hostname",
            "dhcp.option.requested_ip_address",
            "dhcp.option.ip_address_lease_time",
            "dhcp.option.dhcp_server_id",
            "dhcp.option.type",
        ],
    );
    let payloads = payloads::of("dhcp.pcap");
    assert_eq!(payloads.len(), theirs.len());
    for (payload, mut theirs) in payloads.iter().zip(theirs) {
        assert!(looks_like(&payload.bytes));
        let one = Message::parse(&payload.bytes).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mac: Vec<String> = one.hardware_address().iter().map(|byte| format!("{byte:02x}")).collect();
        let ours = [
            one.operation().to_string(),
            format!("0x{:02x}", one.hardware_type()),
            one.hardware_len().to_string(),
            one.hops().to_string(),
            format!("0x{:08x}", one.transaction()),
            one.seconds().to_string(),
            format!("0x{:04x}", one.flags()),
            one.client_address().to_string(),
            one.your_address().to_string(),
            one.next_server().to_string(),
            one.relay_address().to_string(),
            mac.join(":"),
            text(until_zero(one.server_name())),
            text(until_zero(one.file())),
            list(one.message_type().map(|kind| kind.0)),
            list(one.host_name().map(text)),
            list(one.requested_address()),
            list(one.lease_time()),
            list(one.server()),
            list(one.options().map(|option| option.code)),
        ];
        // Theirs are also those within options, and the end, under a number that depends on the version.
        for at in [1, 11] {
            theirs[at].truncate(ours[at].len());
        }
        let end = theirs[19].rfind('|').unwrap();
        theirs[19].truncate(end);
        assert_eq!(ours[..], theirs, "{}", payload.from);
    }
}

#[test]
fn the_exchange_of_udhcpc_and_dnsmasq() {
    let payloads = payloads::of("dhcp.pcap");
    let types: Vec<&str> = payloads
        .iter()
        .map(|payload| Message::parse(&payload.bytes).unwrap().message_type().unwrap().name())
        .collect();
    assert_eq!(
        types,
        ["DISCOVER", "OFFER", "DISCOVER", "OFFER", "REQUEST", "ACK", "DISCOVER", "OFFER", "REQUEST", "ACK"]
    );
    let acknowledged = Message::parse(&payloads[5].bytes).unwrap();
    assert_eq!(acknowledged.your_address().to_string(), "10.9.0.58");
    assert_eq!(until_zero(acknowledged.file()), b"pxelinux.0");
    assert_eq!((acknowledged.file().len(), acknowledged.server_name().len()), (128, 64));
    assert_eq!((acknowledged.lease_time(), acknowledged.seconds()), (Some(3600), 3));
    assert_eq!(Message::parse(&payloads[0].bytes).unwrap().host_name(), Some(&b"lab-host"[..]));
}

/// A message with these options, `file` and `sname`.
fn message(options: &[u8], file: &[u8], server_name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 236];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[44..44 + server_name.len()].copy_from_slice(server_name);
    bytes[108..108 + file.len()].copy_from_slice(file);
    bytes.extend([0x63, 0x82, 0x53, 0x63]);
    bytes.extend(options);
    bytes
}

fn codes(bytes: &[u8]) -> Vec<u8> {
    Message::parse(bytes).unwrap().options().map(|option| option.code).collect()
}

#[test]
fn options_may_go_on_in_file_and_then_in_sname() {
    let server_name = b"\x0c\x01n\xff";
    let file = b"\0\x35\x01\x05\xff";
    assert_eq!(codes(&message(b"\x34\x01\x03\x33\x00\xff\x01\x00", file, server_name)), [52, 51, 53, 12]);
    assert_eq!(codes(&message(b"\x34\x01\x01\xff", file, server_name)), [52, 53]);
    assert_eq!(codes(&message(b"\x34\x01\x02\xff", file, server_name)), [52, 12]);
    assert_eq!(codes(&message(b"\xff", file, server_name)), []);
    // Even if the end is missing, or the fields ask to be read again.
    assert_eq!(codes(&message(b"\x34\x01\x03", b"\x34\x01\x03", b"\x34\x01\x03")), [52, 52, 52]);
}

#[test]
fn an_option_that_is_not_whole_is_the_last() {
    let bytes = message(b"\x0c\x03abc\x34\x01\x01\x35\x02\x01", b"\x0c\x01n", b"");
    assert_eq!(codes(&bytes), [12, 52]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.options().next(), Some(DhcpOption { code: 12, value: b"abc" }));
    assert_eq!((message.message_type(), message.lease_time()), (None, None));
}

#[test]
fn values_of_other_lengths_are_none() {
    let bytes = message(b"\x35\x00\x32\x03\x0a\x09\x00\x33\x05\0\0\0\0\x01\x36\x00", b"", b"");
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.message_type(), message.requested_address()), (None, None));
    assert_eq!((message.lease_time(), message.server()), (None, None));
    assert_eq!(MessageType(18).name(), "Unknown");
}

#[test]
fn a_hardware_address_has_at_most_its_field() {
    let mut bytes = message(b"", b"", b"");
    assert_eq!(Message::parse(&bytes).unwrap().hardware_address().len(), 6);
    bytes[2] = 255;
    assert_eq!(Message::parse(&bytes).unwrap().hardware_address().len(), 16);
}

#[test]
fn bootp_and_nonsense_are_none() {
    let bytes = message(b"", b"", b"");
    assert!(looks_like(&bytes));
    assert!(!looks_like(&bytes[..239]));
    for (at, byte) in [(0, 0), (0, 3), (236, 0), (239, 0)] {
        let mut other = bytes.clone();
        other[at] = byte;
        assert!(!looks_like(&other), "{byte} at {at}");
    }
}
