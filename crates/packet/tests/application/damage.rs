//! Captured payloads cut and damaged at every byte, and any bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use skydive_packet::application::dns::{self, Limits, Message, Rdata};
use skydive_packet::application::http1::{MAX_HEAD, Request, Response};
use skydive_packet::application::tls::{ClientHello, ServerHello};
use skydive_packet::application::vrrp::Advertisement;
use skydive_packet::application::{Text, dhcp4};

use crate::payloads;

/// Reads bytes as everything; what must hold of any result is asserted.
fn read(bytes: &[u8]) {
    read_dns(bytes);
    if let Some(message) = dns::in_segment(bytes) {
        assert!(message.len() >= 12 || message.len() + 2 == bytes.len());
        read_dns(message);
    }
    if let Some(message) = dhcp4::Message::parse(bytes) {
        assert!(message.options().count() <= (bytes.len() - 240 + 128 + 64) / 2);
        let _ = (message.message_type(), message.host_name(), message.requested_address());
        let _ = (message.lease_time(), message.server(), message.hardware_address());
    }
    if let Some(one) = Advertisement::parse(bytes) {
        assert!(4 * one.addresses().count() <= bytes.len() - 8);
    }
    if let Ok(hello) = ClientHello::parse(bytes) {
        let listed: usize = hello.extensions().map(|extension| 4 + extension.value.len()).sum();
        let protocols: usize = hello.protocols().map(<[u8]>::len).sum();
        assert!(listed + 2 * hello.ciphers().count() + 43 <= bytes.len());
        assert!(protocols + hello.server_name().map_or(0, <[u8]>::len) <= listed);
        assert!(hello.cipher_count() <= hello.ciphers().count() && hello.versions().count() > 0);
        let _ = hello.latest_version().name();
    }
    let _ = ServerHello::parse(bytes);
    if let Some(request) = Request::parse(bytes) {
        let host = request.host.map_or(0, <[u8]>::len);
        assert!(request.method.len() + request.target.len() + host < bytes.len().min(MAX_HEAD));
    }
    let _ = Response::parse(bytes);
    assert!(Text(bytes).to_string().len() >= bytes.len());
}

fn read_dns(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    let records = || message.answers.iter().chain(&message.authorities).chain(&message.additionals);
    let limits = Limits::default();
    assert!(message.questions.len() + records().count() <= limits.records);
    assert!(5 * message.questions.len() + 11 * records().count() + 12 <= bytes.len());
    let mut text: usize = message.questions.iter().map(|question| question.name.len()).sum();
    for record in records() {
        text += record.name.len();
        text += match &record.data {
            Rdata::Name(name) | Rdata::Mx { name, .. } => name.len(),
            Rdata::Srv(srv) => srv.name.len(),
            Rdata::Soa(soa) => soa.primary.len() + soa.mailbox.len(),
            Rdata::Texts(texts) => texts.iter().map(|text| 16 + text.len()).sum(),
            Rdata::Options(options) => options.iter().map(|option| 16 + option.data.len()).sum(),
            Rdata::Empty | Rdata::Ipv4(_) | Rdata::Ipv6(_) => 0,
        };
    }
    assert!(text <= limits.text);
    let whole = message.extent == dns::Extent::Whole;
    assert!(!whole || message.left_out() <= bytes.len() / 11);
    let _ = message.response_code();
}

#[test]
fn payloads_cut_and_damaged_at_every_byte() {
    let mut read_so_far = 0;
    for payload in payloads::all() {
        // Of long payloads the rest is body.
        let bytes = &payload.bytes[..payload.bytes.len().min(700)];
        for cut in 0..=bytes.len() {
            read(&bytes[..cut]);
        }
        let mut damaged = bytes.to_vec();
        for at in 0..bytes.len() {
            for byte in [0, 0xff, 0xc0, b'\n', bytes[at] ^ 1, bytes[at] ^ 0x80, bytes[at].wrapping_add(7)] {
                damaged[at] = byte;
                read(&damaged);
                read_so_far += 1;
            }
            damaged[at] = bytes[at];
        }
    }
    assert!(read_so_far > 50_000, "{read_so_far}");
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..600)) {
        read(&bytes);
    }

    /// Bytes of which DNS messages are made, so that most of them get far.
    #[test]
    fn any_names_and_records(
        counts in proptest::array::uniform4(0..300_u16),
        parts in vec(
            prop_oneof![
                (1..64_u8, any::<u8>()).prop_map(|(len, byte)| [vec![len], vec![byte; len.into()]].concat()),
                (0..600_u16).prop_map(|to| (0xc000 | to).to_be_bytes().to_vec()),
                (any::<u8>(), 0..60_u16).prop_map(|(kind, len)| {
                    [&[0, kind, 0, 1, 0, 0, 0, 60][..], &len.to_be_bytes()].concat()
                }),
                Just(vec![0]),
                vec(any::<u8>(), 1..20),
            ],
            0..60,
        ),
    ) {
        let mut message = vec![0, 1, 0x80, 0];
        message.extend(counts.into_iter().flat_map(u16::to_be_bytes));
        message.extend(parts.concat());
        read(&message);
    }

    /// Payloads of which several bytes are damaged.
    #[test]
    fn damaged_payloads(which in any::<prop::sample::Index>(), wounds in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        thread_local!(static ALL: Vec<payloads::Payload> = payloads::all());
        let mut bytes = ALL.with(|all| which.get(all).bytes.clone());
        for (at, byte) in wounds {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read(&bytes);
    }
}
