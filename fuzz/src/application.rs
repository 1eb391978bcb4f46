//! What applications say: DNS, DHCP, VRRP, TLS, HTTP/1. The first byte chooses the reader, for all in one run.

use skydive_packet::application::{Text, dhcp4, dns, http1, tls, vrrp};

pub(crate) fn run(bytes: &[u8]) {
    let Some((reader, bytes)) = bytes.split_first() else { return };
    match reader % 6 {
        0 => message(bytes),
        1 => dns::in_segment(bytes).into_iter().for_each(message),
        2 => dhcp(bytes),
        3 => advertisement(bytes),
        4 => hello(bytes),
        _ => http(bytes),
    }
}

fn message(bytes: &[u8]) {
    let limits = dns::Limits { records: 16, text: 512 };
    for limits in [limits, dns::Limits::default()] {
        let Ok(message) = dns::Message::parse_within(bytes, limits) else { return };
        let records = [&message.answers, &message.authorities, &message.additionals];
        let names = records.iter().flat_map(|section| section.iter()).map(|record| &record.name);
        let names: Vec<_> = names.chain(message.questions.iter().map(|question| &question.name)).collect();
        assert!(names.len() <= limits.records);
        assert!(names.iter().map(|name| name.len()).sum::<usize>() <= limits.text);
        // 253 characters, each of which may need an escape of four.
        assert!(names.iter().all(|name| name.len() <= 4 * 253));
        assert!(message.extent != dns::Extent::Whole || message.left_out() <= bytes.len() / 11);
        drop(format!("{message:?} {}", message.response_code()));
    }
    assert_eq!(dns::Header::parse(bytes).is_some(), bytes.len() >= 12);
}

fn dhcp(bytes: &[u8]) {
    let Some(message) = dhcp4::Message::parse(bytes) else { return };
    let room = bytes.len() - 240 + message.file().len() + message.server_name().len();
    assert!(message.options().map(|option| 2 + option.value.len()).sum::<usize>() <= room);
    assert!(message.hardware_address().len() <= 16);
    let _ = (message.message_type(), message.host_name(), message.requested_address());
    let _ = (message.lease_time(), message.server(), dhcp4::until_zero(message.file()));
}

fn advertisement(bytes: &[u8]) {
    let Some(one) = vrrp::Advertisement::parse(bytes) else { return };
    assert!(one.addresses().count() <= usize::from(one.count()));
    assert!(one.interval() <= 0x0fff);
}

fn hello(bytes: &[u8]) {
    let _ = tls::ServerHello::parse(bytes);
    let Ok(hello) = tls::ClientHello::parse(bytes) else { return };
    assert!(tls::is_client_hello(bytes));
    let listed: usize = hello.extensions().map(|extension| 4 + extension.value.len()).sum();
    assert!(listed + 2 * hello.ciphers().count() + 43 <= bytes.len());
    assert!(hello.protocols().map(<[u8]>::len).sum::<usize>() <= listed);
    assert!(hello.cipher_count() <= hello.ciphers().count());
    assert_ne!(hello.latest_version().name(), "");
    drop(Text(hello.server_name().unwrap_or_default()).to_string());
}

fn http(bytes: &[u8]) {
    let _ = http1::Response::parse(bytes);
    let Some(request) = http1::Request::parse(bytes) else { return };
    assert!(request.target.len() < http1::MAX_LINE && !request.method.is_empty());
    assert!(request.is_cut || request.minor.is_some() || http1::is_request(bytes));
    assert!(request.host.is_none_or(|host| host.len() < http1::MAX_HEAD));
}
