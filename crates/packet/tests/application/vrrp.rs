//! VRRP of keepalived.

use skydive_packet::application::vrrp::Advertisement;

use crate::payloads;
use crate::tshark::{self, list};

#[test]
fn wireshark_reads_the_same_advertisements() {
    let theirs = tshark::fields(
        "vrrp.pcap",
        &[
            "vrrp.version",
            "vrrp.type",
            "vrrp.virt_rtr_id",
            "vrrp.prio",
            "vrrp.addr_count",
            "vrrp.adver_int",
            "vrrp.short_adver_int",
            "vrrp.auth_type",
            "vrrp.checksum",
            "vrrp.ip_addr",
            "vrrp.ipv6_addr",
        ],
    );
    let payloads = payloads::of("vrrp.pcap");
    assert_eq!(payloads.len(), theirs.len());
    for (payload, theirs) in payloads.iter().zip(theirs) {
        let one = Advertisement::parse(&payload.bytes).unwrap();
        let interval = one.interval().to_string();
        let (seconds, hundredths) =
            if one.version() == 2 { (interval, String::new()) } else { (String::new(), interval) };
        let ours = [
            one.version().to_string(),
            one.kind().to_string(),
            one.virtual_router().to_string(),
            one.priority().to_string(),
            one.count().to_string(),
            seconds,
            hundredths,
            list(one.authentication()),
            format!("0x{:04x}", one.checksum()),
            list(one.addresses().filter(|address| address.is_ipv4())),
            list(one.addresses().filter(|address| address.is_ipv6())),
        ];
        assert_eq!(ours[..], theirs, "{}", payload.from);
    }
}

#[test]
fn an_advertisement_of_each_version() {
    // Version 2: router 7, priority 150, two addresses, password, every second.
    let two = b"\x21\x07\x96\x02\x01\x01\xab\xcd\x0a\x09\0\x64\x0a\x09\0\x65secret12";
    let one = Advertisement::parse(two).unwrap();
    assert_eq!((one.version(), one.virtual_router(), one.priority(), one.interval()), (2, 7, 150, 1));
    assert_eq!((one.authentication(), one.checksum()), (Some(1), 0xabcd));
    assert_eq!(list(one.addresses()), "10.9.0.100|10.9.0.101");
    // Version 3, every half second; the upper bits of the interval are reserved.
    let one = Advertisement::parse(b"\x31\x09\x65\x01\xf0\x32\0\0\x0a\x09\0\x6e").unwrap();
    assert_eq!((one.version(), one.interval(), one.authentication()), (3, 50, None));
    assert_eq!(list(one.addresses()), "10.9.0.110");
}

#[test]
fn addresses_that_are_not_there_are_not_told() {
    let one = Advertisement::parse(b"\x21\x07\x96\xff\0\x01\0\0\x0a\x09\0\x64\x0a").unwrap();
    assert_eq!((one.count(), list(one.addresses())), (255, "10.9.0.100".to_owned()));
    let none = Advertisement::parse(b"\x31\x07\x96\0\0\x01\0\0\0\0\0\0").unwrap();
    assert_eq!(none.addresses().count(), 0);
}

#[test]
fn other_versions_and_messages_are_none() {
    for bytes in [
        &b""[..],
        b"\x21\x07\x96\x02\x01\x01\xab",
        b"\x11\0\0\0\0\0\0\0",
        b"\x41\0\0\0\0\0\0\0",
        b"\x22\0\0\0\0\0\0\0",
    ] {
        assert!(Advertisement::parse(bytes).is_none(), "{bytes:?}");
    }
}
