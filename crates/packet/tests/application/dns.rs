//! DNS: what the original Skydive makes of its own trace, what Wireshark makes of dig and dnsmasq, and messages that
//! nobody should send.

use std::collections::HashMap;
use std::fmt::Write as _;

use skydive_packet::application::dns::{
    Class, DnsError, EdnsOption, Extent, Header, Kind, Limits, Message, OpCode, OptionCode, Rdata,
    ResponseCode, in_segment, looks_like,
};

use crate::payloads::{self, Payload, capture};
use crate::tshark::{self, flag, list};

/// The message that a payload is.
fn bytes_of(payload: &Payload) -> &[u8] {
    if payload.over_tcp { in_segment(&payload.bytes).unwrap() } else { &payload.bytes }
}

fn parse(payload: &Payload) -> Message {
    Message::parse(bytes_of(payload)).unwrap_or_else(|error| panic!("{}: {error}", payload.from))
}

/// What a record tells, for comparison with text.
fn tell(data: &Rdata) -> String {
    match data {
        Rdata::Empty => String::new(),
        Rdata::Ipv4(address) => address.to_string(),
        Rdata::Ipv6(address) => address.to_string(),
        Rdata::Name(name) => name.to_string(),
        Rdata::Soa(soa) => format!(
            "{} {} {} {} {} {} {}",
            soa.primary, soa.mailbox, soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum
        ),
        Rdata::Srv(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.name),
        Rdata::Mx { preference, name } => format!("{preference} {name}"),
        Rdata::Texts(texts) => format!("{texts:?}"),
        Rdata::Options(options) => {
            let option = |EdnsOption { code, data }: &EdnsOption| format!("{code} {data:02x?}");
            options.iter().map(option).collect::<Vec<_>>().join(" ")
        }
    }
}

fn render(message: &Message) -> String {
    let header = message.header;
    let mut text = format!(
        "{} {}, {}, {},",
        header.id(),
        if header.is_response() { "response" } else { "request" },
        header.op_code(),
        message.response_code(),
    );
    for (set, name) in [
        (header.is_authoritative(), " AA"),
        (header.is_truncated(), " TC"),
        (header.wants_recursion(), " RD"),
        (header.offers_recursion(), " RA"),
    ] {
        text += if set { name } else { "" };
    }
    let counts = [header.questions(), header.answers(), header.authorities(), header.additionals()];
    let counts = counts.map(|count| count.to_string()).join(" ");
    writeln!(text, " {}, {counts}", header.z()).unwrap();
    for question in &message.questions {
        writeln!(text, "  question {} {} {}", question.name, question.kind, question.class).unwrap();
    }
    for (section, records) in [
        ("answer", &message.answers),
        ("authority", &message.authorities),
        ("additional", &message.additionals),
    ] {
        for one in records {
            let told = tell(&one.data);
            let (name, kind, class) = (&one.name, one.kind, one.class);
            writeln!(text, "  {section} {name} {kind} {class} {} {} {told}", one.ttl, one.data_length)
                .unwrap();
        }
    }
    text
}

#[test]
fn flows_have_what_the_original_puts_into_them() {
    // The port of who asks, and its last message: that is what the original keeps.
    let ports = tshark::fields("dns.pcap", &["udp.srcport", "udp.dstport"]);
    let mut flows: Vec<(String, String)> = Vec::new();
    let mut index = HashMap::new();
    for (payload, ports) in payloads::of("dns.pcap").iter().zip(ports) {
        assert!(looks_like(&payload.bytes));
        let port = ports.into_iter().find(|port| port != "53").unwrap();
        let at = *index.entry(port.clone()).or_insert_with(|| {
            flows.push((port, String::new()));
            flows.len() - 1
        });
        flows[at].1 = render(&parse(payload));
    }
    let ours = flows.iter().map(|(port, text)| format!("{port}: {text}")).collect::<Vec<_>>().concat();
    let theirs = std::fs::read_to_string(capture("dns-flows.txt")).unwrap();
    assert_eq!(ours, theirs);
}

#[test]
fn wireshark_reads_the_same_messages() {
    for name in ["dig.pcap", "dns.pcap", "eth-ip4-arp-dns-req-http-google.pcap"] {
        compare(name);
    }
}

fn compare(name: &str) {
    let theirs = tshark::fields(
        name,
        &[
            "dns.id",
            "dns.flags.response",
            "dns.flags.opcode",
            "dns.flags.truncated",
            "dns.flags.recdesired",
            "dns.flags.rcode",
            "dns.count.queries",
            "dns.count.answers",
            "dns.count.auth_rr",
            "dns.count.add_rr",
            "dns.qry.type",
            "dns.qry.class",
            "dns.qry.name",
            "dns.flags.authoritative",
            "dns.flags.recavail",
            "dns.resp.name",
            "dns.resp.type",
            "dns.resp.ttl",
            "dns.resp.len",
            "dns.a",
            "dns.aaaa",
            "dns.cname",
            "dns.ns",
            "dns.ptr.domain_name",
            "dns.mx.preference",
            "dns.mx.mail_exchange",
            "dns.srv.priority",
            "dns.srv.weight",
            "dns.srv.port",
            "dns.srv.target",
            "dns.soa.mname",
            "dns.soa.rname",
            "dns.soa.serial_number",
            "dns.soa.minimum_ttl",
            "dns.opt.code",
            "dns.rr.udp_payload_size",
        ],
    );
    let payloads = payloads::of(name);
    assert_eq!(payloads.len(), theirs.len());
    let mut compared = 0;
    for (payload, mut theirs) in payloads.iter().zip(theirs).filter(|(_, theirs)| !theirs[0].is_empty()) {
        let one = parse(payload);
        let mut ours = fields(&one);
        if !one.header.is_response() {
            // Wireshark says these of responses only.
            ours[13..15].fill(String::new());
        }
        if one.left_out() > 0 {
            // Wireshark tells of all kinds of record.
            ours[15..].fill(String::new());
            theirs[15..].fill(String::new());
        }
        if ours[12].contains('\\') {
            // And shows a name that is none as it is.
            (ours[12], theirs[12]) = Default::default();
        }
        if ours[16] == Kind::SRV.0.to_string() {
            // Of these it takes names apart.
            ours[15].clear();
        }
        assert_eq!(ours, theirs, "{}", payload.from);
        compared += 1;
    }
    assert!(compared > 3, "{name}: {compared} messages");
}

/// In the order of those asked of Wireshark.
fn fields(message: &Message) -> Vec<String> {
    let header = message.header;
    let records = || message.answers.iter().chain(&message.authorities).chain(&message.additionals);
    let no_option = || records().filter(|record| record.kind != Kind::OPT);
    let name = |name: &str| if name.is_empty() { "<Root>".to_owned() } else { name.to_owned() };
    let named = |kind| {
        list(records().filter(|record| record.kind == kind).map(|record| match &record.data {
            Rdata::Name(name) => name.to_string(),
            other => panic!("{other:?}"),
        }))
    };
    let mx: Vec<_> = records()
        .filter_map(|record| match &record.data {
            Rdata::Mx { preference, name } => Some((preference, name)),
            _ => None,
        })
        .collect();
    let srv: Vec<_> = records()
        .filter_map(|record| match &record.data {
            Rdata::Srv(srv) => Some(srv),
            _ => None,
        })
        .collect();
    let soa: Vec<_> = records()
        .filter_map(|record| match &record.data {
            Rdata::Soa(soa) => Some(soa),
            _ => None,
        })
        .collect();
    let options = records().filter_map(|record| match &record.data {
        Rdata::Options(options) => Some(options.iter().map(|option| option.code.0)),
        _ => None,
    });
    let a = records().filter(|record| record.kind == Kind::A);
    let aaaa = records().filter(|record| record.kind == Kind::AAAA);
    vec![
        format!("0x{:04x}", header.id()),
        flag(header.is_response()),
        header.op_code().0.to_string(),
        flag(header.is_truncated()),
        flag(header.wants_recursion()),
        if header.is_response() { header.response_code().0.to_string() } else { String::new() },
        header.questions().to_string(),
        header.answers().to_string(),
        header.authorities().to_string(),
        header.additionals().to_string(),
        list(message.questions.iter().map(|question| question.kind.0)),
        list(message.questions.iter().map(|question| format!("0x{:04x}", question.class.0))),
        list(message.questions.iter().map(|question| name(&question.name))),
        flag(header.is_authoritative()),
        flag(header.offers_recursion()),
        list(records().map(|record| name(&record.name))),
        list(records().map(|record| record.kind.0)),
        list(no_option().map(|record| record.ttl)),
        list(records().map(|record| record.data_length)),
        list(a.map(|record| tell(&record.data))),
        list(aaaa.map(|record| tell(&record.data))),
        named(Kind::CNAME),
        named(Kind::NS),
        named(Kind::PTR),
        list(mx.iter().map(|(preference, _)| preference)),
        list(mx.iter().map(|(_, name)| name)),
        list(srv.iter().map(|srv| srv.priority)),
        list(srv.iter().map(|srv| srv.weight)),
        list(srv.iter().map(|srv| srv.port)),
        list(srv.iter().map(|srv| &srv.name)),
        list(soa.iter().map(|soa| &soa.primary)),
        list(soa.iter().map(|soa| &soa.mailbox)),
        list(soa.iter().map(|soa| soa.serial)),
        list(soa.iter().map(|soa| soa.minimum)),
        list(options.flatten()),
        list(records().filter(|record| record.kind == Kind::OPT).map(|record| record.class.0)),
    ]
}

/// The answers to a question of dig's, as told.
fn answers(name: &str, kind: Kind) -> Vec<String> {
    let payloads = payloads::of("dig.pcap");
    let mut responses = payloads.iter().filter(|payload| !payload.bytes.is_empty()).map(parse);
    let response = responses.find(|message| {
        let question = &message.questions[0];
        let header = message.header;
        header.is_response() && header.op_code().0 == 0 && &*question.name == name && question.kind == kind
    });
    response.unwrap().answers.iter().map(|record| tell(&record.data)).collect()
}

#[test]
fn records_of_every_kind() {
    assert_eq!(answers("www.example", Kind::A), ["192.0.2.1"]);
    assert_eq!(answers("www.example", Kind::AAAA), ["2001:db8::1"]);
    assert_eq!(answers("alias.example", Kind::A), ["www.example", "192.0.2.1"]);
    assert_eq!(answers("example", Kind::MX), ["10 mail.example"]);
    assert_eq!(answers("_sip._udp.example", Kind::SRV), ["1 2 5060 sip.example"]);
    assert_eq!(answers("example", Kind::TXT), [r#"["v=spf1 -all", "second string"]"#]);
    assert_eq!(answers("1.2.0.192.in-addr.arpa", Kind::PTR), ["www.example"]);
    assert_eq!(answers("host.example", Kind::HINFO), [r#"["X86_64", "Linux"]"#]);
    assert_eq!(answers("bin.example", Kind::TXT), [r#"["\\255\\000\\195"]"#]);
    assert_eq!(answers("caa.example", Kind(257)), Vec::<String>::new());
    assert_eq!(
        answers("zone.example", Kind::SOA),
        ["ns.zone.example hostmaster.zone.example 42 1200 180 1209600 600"]
    );
}

#[test]
fn numbers_have_the_names_of_the_original() {
    let payloads = payloads::of("dig.pcap");
    let messages: Vec<Message> =
        payloads.iter().filter(|payload| !payload.bytes.is_empty()).map(parse).collect();
    let mut seen: Vec<String> = messages
        .iter()
        .map(|message| {
            let header = message.header;
            let Some(question) = message.questions.first() else { return String::new() };
            let (kind, class) = (question.kind, question.class);
            format!("{} {} {kind} {class}", header.op_code(), message.response_code())
        })
        .collect();
    seen.sort();
    seen.dedup();
    for wanted in [
        "Query No Error A IN",
        "Query No Error HINFO IN",
        "Query No Error TXT CH",
        "Query No Error HTTPS IN",
        "Query Non-Existent Domain A IN",
        "Query Query Refused NS IN",
        "Notify Query Refused SOA IN",
        "Status Query Refused A IN",
    ] {
        assert!(seen.iter().any(|seen| seen == wanted), "{wanted} is not among {seen:#?}");
    }
    let names = [ResponseCode(2).name(), OpCode(1).name(), Class(255).name(), OptionCode(10).name()];
    assert_eq!(names, ["Server Failure ", "Inverse Query", "Any", "Cookie"]);
    let unknown = [ResponseCode(11).name(), OpCode(3).name(), Class(1232).name(), Kind(9999).name()];
    assert_eq!(unknown, ["Unknown"; 4]);
}

#[test]
fn options_of_edns_are_read() {
    // The original crashes at the first of them.
    let payloads = payloads::of("dig.pcap");
    let message = payloads
        .iter()
        .filter(|payload| !payload.bytes.is_empty())
        .map(parse)
        .find(|message| message.additionals.iter().any(|record| record.data_length > 30))
        .unwrap();
    let record = &message.additionals[0];
    assert_eq!((&*record.name, record.kind, record.class, record.ttl), ("", Kind::OPT, Class(1232), 0));
    assert_eq!(
        tell(&record.data),
        "NSID [] EDNSClientSubnet [00, 01, 18, 00, c0, 00, 02] \
         Cookie [00, 11, 22, 33, 44, 55, 66, 77] Unknown [de, ad, be, ef]"
    );
}

#[test]
fn the_header_pairs_request_and_response() {
    let payloads = payloads::of("dig.pcap");
    let headers: Vec<Header> = payloads
        .iter()
        .filter(|payload| !payload.bytes.is_empty())
        .map(|payload| Header::parse(bytes_of(payload)).unwrap())
        .collect();
    for pair in headers.chunks(2) {
        assert_eq!(pair[0].id(), pair[1].id());
        assert_eq!((pair[0].is_response(), pair[1].is_response()), (false, true));
    }
}

/// A response with these counts.
fn message(counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x81, 0x80];
    bytes.extend(counts.into_iter().flat_map(u16::to_be_bytes));
    bytes.extend(body);
    bytes
}

#[test]
fn messages_without_what_they_count() {
    assert_eq!(Message::parse(&[0; 11]), Err(DnsError::Short));
    let huge = Message::parse(&message([0xffff; 4], b"")).unwrap();
    assert_eq!((huge.extent, huge.left_out()), (Extent::Cut, 4 * 0xffff));
    assert_eq!(huge.questions.capacity() + huge.answers.capacity(), 0);
    // The question is there, its answer is cut at each of its bytes.
    let body = b"\x01a\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x2a\0\x04\x0a\0\0\x01";
    for cut in 7..body.len() {
        let one = Message::parse(&message([1, 1, 0, 0], &body[..cut])).unwrap();
        assert_eq!((one.questions.len(), one.answers.len(), one.extent), (1, 0, Extent::Cut), "{cut}");
    }
    let one = Message::parse(&message([1, 1, 0, 0], body)).unwrap();
    assert_eq!((one.answers.len(), one.extent, one.left_out()), (1, Extent::Whole, 0));
    assert_eq!(
        (&*one.answers[0].name, one.answers[0].ttl, &*tell(&one.answers[0].data)),
        ("a", 42, "10.0.0.1")
    );
}

#[test]
fn names_that_are_none_say_where() {
    for (body, at) in [
        (&b"\xc0\x0c\0\x01\0\x01"[..], 12),
        (b"\xc0\xff\0\x01\0\x01", 12),
        (b"\x40a\0\0\x01\0\x01", 12),
        (b"\x01a\xc0\x0c\0\x01\0\x01", 12),
        (b"\x01a\0\0\x01\0\x01\x80\0\0\0\0\0\0\0\0\0\0", 19),
    ] {
        let bytes = message([1, 1, 0, 0], body);
        assert_eq!(Message::parse(&bytes), Err(DnsError::Name { at }), "{body:?}");
    }
}

/// A record of the name `a`, which is where the first pointer can point.
fn record(kind: Kind, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xc0\x0c".to_vec();
    bytes.extend(kind.0.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 60]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

const QUESTION: &[u8] = b"\x01a\0\0\x01\0\x01";

#[test]
fn data_of_another_form_are_passed_over() {
    let bad: &[(Kind, &[u8])] = &[
        (Kind::A, b"\x0a\0\0"),
        (Kind::AAAA, b"\x0a\0\0\x01"),
        (Kind::NS, b"\x01b"),
        (Kind::NS, b"\x01b\0more"),
        (Kind::CNAME, b"\xc0\xff"),
        (Kind::PTR, b"\xc0"),
        (Kind::MX, b"\0"),
        (Kind::MX, b"\0\x01\x05ab"),
        (Kind::SRV, b"\0\x01\0\x01\0"),
        (Kind::SOA, b"\0\0\0\0\0\x01"),
        (Kind::TXT, b"\x05ab"),
        (Kind::HINFO, b"\x02"),
        (Kind::OPT, b"\0\x0a\0"),
        (Kind::OPT, b"\0\x0a\0\x02a"),
        (Kind(257), b"anything"),
    ];
    let records: Vec<u8> = bad.iter().flat_map(|(kind, data)| record(*kind, data)).collect();
    let body = [QUESTION, &records, &record(Kind::A, &[10, 0, 0, 1])].concat();
    let one = Message::parse(&message([1, bad.len() as u16 + 1, 0, 0], &body)).unwrap();
    assert_eq!((one.extent, one.left_out(), one.answers.len()), (Extent::Whole, bad.len(), 1));
    assert_eq!(tell(&one.answers[0].data), "10.0.0.1");
}

#[test]
fn updates_have_records_without_data() {
    let body = [QUESTION, &record(Kind::A, b""), &record(Kind::OPT, b"")].concat();
    let one = Message::parse(&message([1, 0, 1, 1], &body)).unwrap();
    assert_eq!(one.authorities[0].data, Rdata::Empty);
    assert_eq!(one.additionals[0].data, Rdata::Options([].into()));
}

#[test]
fn an_opt_record_has_more_of_the_response_code() {
    // RFC 6891 section 6.1.3: BADVERS is 16, of which the header holds nothing.
    let body = [QUESTION, b"\0\0\x29\x04\xd0\x01\0\0\0\0\0"].concat();
    let one = Message::parse(&message([1, 0, 0, 1], &body)).unwrap();
    assert_eq!(
        (one.header.response_code().name(), one.response_code().name()),
        ("No Error", "Bad OPT Version")
    );
}

#[test]
fn what_a_message_costs_is_bounded() {
    let Limits { records, text } = Limits::default();
    // As many records as fit into 64 KiB.
    let one = record(Kind::A, &[10, 0, 0, 1]);
    let body = [QUESTION, &one.repeat(4000)].concat();
    let many = Message::parse(&message([1, 4000, 0, 0], &body)).unwrap();
    assert_eq!((many.extent, many.questions.len() + many.answers.len()), (Extent::Limited, records));
    assert_eq!(many.left_out(), 4001 - records);
    // A long name again and again.
    let label = [&[63][..], &[b'x'; 63]].concat();
    let long = [&label.repeat(3)[..], &[0], &QUESTION[3..]].concat();
    let body = [long, record(Kind::NS, b"\xc0\x0c").repeat(4000)].concat();
    let many = Message::parse(&message([1, 4000, 0, 0], &body)).unwrap();
    let names = many.questions[0].name.len()
        + many.answers.iter().map(|record| record.name.len() + tell(&record.data).len()).sum::<usize>();
    assert_eq!(many.extent, Extent::Limited);
    assert!((text / 2..=text).contains(&names), "{names}");
    // Texts of no length: what bounds them is the cost of each.
    let body = [QUESTION, &record(Kind::TXT, &vec![0; 60_000])].concat();
    let empty = Message::parse(&message([1, 1, 0, 0], &body)).unwrap();
    assert_eq!((empty.extent, empty.answers.len()), (Extent::Limited, 0));
    // Within limits of one's own.
    let tight =
        Message::parse_within(&message([1, 0, 0, 0], QUESTION), Limits { records: 0, text: 0 }).unwrap();
    assert_eq!((tight.extent, tight.questions.len()), (Extent::Limited, 0));
}

#[test]
fn what_is_passed_over_costs_nothing() {
    const NSEC: Kind = Kind(47);
    let body = [QUESTION, &record(NSEC, &[0; 40]).repeat(60), &record(Kind::A, &[10, 0, 0, 1])].concat();
    let message = Message::parse(&message([1, 0, 61, 0], &body)).unwrap();
    assert_eq!((message.authorities.len(), message.left_out()), (1, 60));
    assert_eq!(message.authorities.capacity(), 1);
    let (question, record) = (&message.questions[0], &message.authorities[0]);
    assert_eq!(
        message.held(),
        size_of_val(question) + size_of_val(record) + 2,
        "and a name of one letter each"
    );
}

#[test]
fn a_segment_has_a_message_behind_its_length() {
    let one = message([1, 0, 0, 0], QUESTION);
    let segment = [&[0, one.len() as u8][..], &one, b"next"].concat();
    assert_eq!(in_segment(&segment), Some(&one[..]));
    assert_eq!(in_segment(&segment[..15]), Some(&one[..13]));
    assert_eq!(in_segment(b"\0"), None);
    assert_eq!(in_segment(b"\0\x0b0123456789a"), None);
}

#[test]
fn the_first_bytes_of_other_protocols_are_no_message() {
    assert!(looks_like(&message([1, 0, 0, 0], QUESTION)));
    for other in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03abcdef",
        b"SSH-2.0-OpenSSH_9.2",
        &[0; 64],
    ] {
        assert!(!looks_like(other), "{other:?}");
    }
}
