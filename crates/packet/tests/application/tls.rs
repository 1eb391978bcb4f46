//! TLS of openssl, curl and Python.

use skydive_packet::application::tls::{
    ClientHello, Extension, ServerHello, TlsError, Version, is_client_hello, is_grease, is_server_hello,
};

use crate::payloads;
use crate::tshark::{self, list};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn wireshark_reads_the_same_messages() {
    let theirs = tshark::fields(
        "tls.pcap",
        &[
            "tls.handshake.extensions_server_name",
            "tls.handshake.extensions_alpn_str",
            "tls.handshake.ciphersuite",
            "tls.handshake.extensions.supported_version",
            "tls.handshake.extension.type",
        ],
    );
    let payloads = payloads::of("tls.pcap");
    assert_eq!(payloads.len(), theirs.len());
    let (mut clients, mut servers) = (0, 0);
    for (payload, theirs) in payloads.iter().zip(theirs) {
        if let Ok(hello) = ClientHello::parse(&payload.bytes) {
            assert!(is_client_hello(&payload.bytes));
            clients += 1;
            let listed = hello.extensions().any(|extension| extension.kind == 43);
            let ours = [
                list(hello.server_name().map(text)),
                list(hello.protocols().map(text)),
                list(hello.ciphers().map(|cipher| format!("0x{cipher:04x}"))),
                list(hello.versions().filter(|_| listed).map(|version| format!("0x{:04x}", version.0))),
                list(hello.extensions().map(|extension| extension.kind)),
            ];
            assert_eq!(ours[..], theirs, "{}", payload.from);
        } else if let Ok(hello) = ServerHello::parse(&payload.bytes) {
            assert!(is_server_hello(&payload.bytes));
            servers += 1;
            let chosen = (hello.version.0 > 0x0303).then(|| format!("0x{:04x}", hello.version.0));
            let ours = [list(hello.protocol.map(text)), format!("0x{:04x}", hello.cipher), list(chosen)];
            assert_eq!(ours[..], theirs[1..4], "{}", payload.from);
        }
    }
    // One offer more lies behind a record of another kind.
    assert_eq!((clients, servers), (7, 8));
}

#[test]
fn what_openssl_offers_and_chooses() {
    let payloads = payloads::of("tls.pcap");
    let hello = ClientHello::parse(&payloads[0].bytes).unwrap();
    assert_eq!(hello.server_name(), Some(&b"www.example"[..]));
    assert_eq!(hello.protocols().map(text).collect::<Vec<_>>(), ["h2", "http/1.1"]);
    assert_eq!(hello.latest_version().name(), "TLS 1.3");
    assert_eq!((hello.cipher_count(), hello.is_cut()), (4, false));
    let chosen = ServerHello::parse(&payloads[1].bytes).unwrap();
    let expected = ServerHello { version: Version(0x0304), cipher: 0x1302, protocol: None, is_retry: false };
    assert_eq!(chosen, expected);
    // Version 1.2, where the protocol is clear.
    let hello = ClientHello::parse(&payloads[2].bytes).unwrap();
    assert_eq!((hello.latest_version().name(), hello.cipher_count()), ("TLS 1.2", 28));
    let chosen = ServerHello::parse(&payloads[3].bytes).unwrap();
    assert_eq!((chosen.version.name(), chosen.protocol), ("TLS 1.2", Some(&b"h2"[..])));
    // -noservername
    let hello = ClientHello::parse(&payloads[4].bytes).unwrap();
    assert_eq!((hello.server_name(), hello.protocols().count()), (None, 0));
}

#[test]
fn a_server_may_ask_to_offer_again() {
    let payloads = payloads::of("tls.pcap");
    let hellos = payloads.iter().filter_map(|payload| ServerHello::parse(&payload.bytes).ok());
    let retries: Vec<bool> = hellos.map(|hello| hello.is_retry).collect();
    assert_eq!(retries, [false, false, false, false, false, false, true, false]);
}

/// A record with a message of that kind.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u16;
    let mut bytes = vec![22, 3, 1];
    bytes.extend((len + 4).to_be_bytes());
    bytes.extend([kind, 0]);
    bytes.extend(len.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// An offer with these cipher suites and extensions.
fn offer(ciphers: &[u16], extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2 * ciphers.len() as u8]);
    body.extend(ciphers.iter().flat_map(|cipher| cipher.to_be_bytes()));
    body.extend([1, 0]);
    let extensions: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, value)| {
            [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
        })
        .collect();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(1, &body)
}

const NAME: (u16, &[u8]) = (0, b"\0\x0c\0\0\x09a.example");

#[test]
fn numbers_without_meaning_do_not_count() {
    // As Chrome offers.
    let bytes =
        offer(&[0x8a8a, 0x1301, 0x1302], &[(0x2a2a, b""), NAME, (43, b"\x06\xfa\xfa\x03\x04\x03\x03")]);
    let hello = ClientHello::parse(&bytes).unwrap();
    assert_eq!((hello.cipher_count(), hello.ciphers().count()), (2, 3));
    assert_eq!(hello.latest_version(), Version(0x0304));
    assert_eq!(hello.extensions().next(), Some(Extension { kind: 0x2a2a, value: b"" }));
    assert!(is_grease(0x0a0a) && is_grease(0xfafa) && !is_grease(0x0a1a) && !is_grease(0x1301));
}

#[test]
fn an_offer_that_goes_on_in_the_next_segment() {
    let padding = [0; 2000];
    let bytes = offer(&[0x1301], &[NAME, (21, &padding), (16, b"\0\x03\x02h2")]);
    let hello = ClientHello::parse(&bytes).unwrap();
    assert_eq!((hello.is_cut(), hello.protocols().count()), (false, 1));
    let segment = ClientHello::parse(&bytes[..1400]).unwrap();
    assert_eq!((segment.is_cut(), segment.server_name()), (true, Some(&b"a.example"[..])));
    assert_eq!((segment.cipher_count(), segment.protocols().count()), (1, 0));
    // At each byte: first nothing is worth telling, then the cipher suites, then the name; never a part of it.
    let name_ends = 5 + 4 + 2 + 32 + 1 + 4 + 2 + 2 + 4 + NAME.1.len();
    for cut in 0..bytes.len() {
        match ClientHello::parse(&bytes[..cut]) {
            Ok(hello) => {
                assert!(hello.is_cut() && cut >= 48, "{cut}");
                assert_eq!(hello.server_name().is_some(), cut >= name_ends, "{cut}");
                assert_eq!(hello.cipher_count(), 1);
            }
            Err(error) => assert!(error == TlsError::Incomplete && cut < 48, "{cut}: {error}"),
        }
    }
}

#[test]
fn an_offer_that_goes_on_in_the_next_record() {
    let mut bytes = offer(&[0x1301], &[NAME]);
    // The record ends before the name, and another one begins.
    bytes[3..5].copy_from_slice(&50_u16.to_be_bytes());
    let hello = ClientHello::parse(&bytes).unwrap();
    assert_eq!((hello.is_cut(), hello.server_name(), hello.cipher_count()), (true, None, 1));
}

#[test]
fn lengths_that_contradict_each_other() {
    let whole = offer(&[0x1301], &[NAME]);
    // Lengths of the session, the cipher suites, the compression, the extensions and one of them.
    for (at, byte) in [(43, 33), (45, 3), (48, 200), (50, 1), (51, 200), (55, 200)] {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        assert_eq!(ClientHello::parse(&bytes).unwrap_err(), TlsError::Malformed, "{byte} at {at}");
    }
    // A list of names that is none is the matter of that extension.
    for value in [&b""[..], b"\0\xff\0\0\x01a", b"\0\x04\0\0\xffa", b"\0\x03\0\0\0", b"\0\x04\x01\0\x01a"] {
        let bytes = offer(&[0x1301], &[(0, value)]);
        assert_eq!(ClientHello::parse(&bytes).unwrap().server_name(), None, "{value:?}");
    }
    let short_record = b"\x16\x03\x01\0\x03\x01\0\0\0";
    assert_eq!(ClientHello::parse(short_record).unwrap_err(), TlsError::Malformed);
}

#[test]
fn old_offers_have_no_extensions() {
    let mut body = vec![3, 1];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0, 5, 1, 0]);
    let bytes = record(1, &body);
    let hello = ClientHello::parse(&bytes).unwrap();
    assert_eq!((hello.latest_version().name(), hello.extensions().count()), ("TLS 1.0", 0));
    assert_eq!(hello.versions().collect::<Vec<_>>(), [Version(0x0301)]);
}

#[test]
fn other_payloads_are_no_message() {
    let hello = offer(&[0x1301], &[NAME]);
    assert_eq!(ServerHello::parse(&hello).unwrap_err(), TlsError::Other);
    for other in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x17\x03\x03\0\x10abcdefghijklmnop", b"\x16\x04\x01\0\x10\x01\0\0\x0c"]
    {
        assert!(!is_client_hello(other) && !is_server_hello(other));
        assert_eq!(ClientHello::parse(other).unwrap_err(), TlsError::Other, "{other:?}");
    }
    assert_eq!(ClientHello::parse(b"").unwrap_err(), TlsError::Incomplete);
    assert_eq!(ClientHello::parse(b"\x16\x03\x01\x02").unwrap_err(), TlsError::Incomplete);
}
