//! Every option of a capture on packets of real programs: what it changes, against what is so without it.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use skydive_client::Explained;
use skydive_testnet::{Running, eventually, require_root, workspace_root};

use crate::site::{FAR, NEAR, PORT, SOON, Street, json as ask, number, until};
use crate::stage::{Desk, text};

const VETH0: &str = "G.V().Has('Name','veth0')";
const PCAP: &str = "application/vnd.tcpdump.pcap";

/// Runs `f` on a street where an agent and an analyzer run.
fn on_street(hint: &str, f: impl FnOnce(&Street, &Desk) + Send) {
    if require_root() {
        let street = Street::new(hint);
        let _service = street.host.start(&["allinone"], &[]);
        street.ask(|desk| f(&street, desk));
    }
}

/// The flows of a capture, once they are enough.
fn flows_of(desk: &Desk, capture: &str, mut enough: impl FnMut(&[Json]) -> bool) -> Vec<Json> {
    until(desk, &format!("G.Flows().Has('CaptureID', '{capture}')"), |flows| {
        let flows = flows.as_array()?;
        enough(flows).then(|| flows.clone())
    })
}

/// The only flow of a capture, once it has as many packets from A to B and back.
fn flow_of(desk: &Desk, capture: &str, packets: [i64; 2]) -> Json {
    let flows = flows_of(desk, capture, |flows| {
        !flows.is_empty() && ["AB", "BA"].map(|way| total(flows, way)) == packets
    });
    assert_eq!(flows.len(), 1, "{flows:#?}");
    flows[0].clone()
}

/// The only flow of a capture, once both sides have closed the connection.
fn ended_flow_of(desk: &Desk, capture: &str) -> Json {
    let flows = flows_of(desk, capture, |flows| flows.iter().any(|flow| flow["FinishType"] == 2));
    assert_eq!(flows.len(), 1, "{flows:#?}");
    flows[0].clone()
}

/// Packets of flows one way.
fn total(flows: &[Json], way: &str) -> i64 {
    flows.iter().map(|flow| number(flow, &format!("/Metric/{way}Packets"))).sum()
}

/// What the node says of a capture; nothing when it has none.
fn entry_of(desk: &Desk, capture: &str) -> Option<Json> {
    let all = ask(desk, &format!("G.V().Has('Captures.ID', '{capture}').Values('Captures')"));
    let mut all = all.as_array()?.iter().flat_map(|of_node| of_node.as_array().into_iter().flatten());
    all.find(|entry| entry["ID"] == *capture).cloned()
}

/// Lines that tcpdump prints for the capture file that a query gives.
fn dump(street: &Street, desk: &Desk, query: &str) -> Vec<String> {
    let answer = desk.block(desk.rest().topology(query, PCAP, Explained::No)).unwrap();
    assert_eq!(answer.status.as_u16(), 200, "{query}: {}", answer.message());
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with(PCAP)), "{query}");
    let file = street.host.directory().join("answer.pcap");
    std::fs::write(&file, &answer.body).unwrap();
    let printed = street.host.netns.exec(&["tcpdump", "-Z", "root", "-nr", file.to_str().unwrap()]).unwrap();
    printed.lines().map(str::to_owned).collect()
}

/// Packets kept with flows, as JSON.
fn kept(desk: &Desk, query: &str) -> Vec<Json> {
    let of_flows = ask(desk, query);
    let of_flows = of_flows.pointer("/0").and_then(Json::as_object).cloned().unwrap_or_default();
    of_flows.values().flat_map(|packets| packets.as_array().unwrap().clone()).collect()
}

/// Bytes of a kept packet.
fn length(packet: &Json) -> usize {
    let data = text(packet, "/Data");
    data.len() / 4 * 3 - data.bytes().rev().take_while(|byte| *byte == b'=').count()
}

fn run(street: &Street, line: &str) -> String {
    street.host.netns.exec(&line.split_whitespace().collect::<Vec<_>>()).unwrap()
}

/// Something that is served at the far end, once a client on this side gets it.
fn served(street: &Street, server: &[&str], client: &str) -> Running {
    let server = street.far.spawn(server).unwrap();
    let line: Vec<&str> = client.split_whitespace().collect();
    eventually(client, SOON, || street.host.netns.exec(&line).ok()).unwrap();
    server
}

#[test]
fn captures_of_one_node_count_what_their_filters_pass() {
    on_street("filters", |street, desk| {
        let tcp = street.capture(desk, VETH0, &["--bpf", "tcp"], 1);
        let echo = street.capture(desk, VETH0, &["--bpf", "icmp"], 1);
        let again = street.host.run(&["client", "capture", "create", "--gremlin", VETH0, "--bpf", "tcp"]);
        assert!(String::from_utf8_lossy(&again.stderr).contains("409"), "{again:?}");
        let entries = [&tcp, &echo].map(|id| text(&entry_of(desk, id).unwrap(), "/BPFFilter").to_owned());
        assert_eq!(entries, ["tcp", "icmp"]);
        street.ping(3);
        assert!(street.curl().status.success());
        let download = ended_flow_of(desk, &tcp);
        assert_eq!(text(&download, "/Transport/Protocol"), "TCP");
        let ping = flow_of(desk, &echo, [3, 3]);
        assert_eq!(text(&ping, "/Application"), "ICMPv4");
        // The capture counts the packets of its flows and no others.
        let received = until(desk, &format!("G.V().Has('Captures.ID', '{echo}').Count()"), |_| {
            let received = number(&entry_of(desk, &echo)?, "/PacketsReceived");
            (received > 0).then_some(received)
        });
        assert_eq!(received, 6);
    });
}

/// Sends four echo requests with the tag of VLAN 5 and two with that of VLAN 6.
const TAGGED: &str = "
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('veth0', 0))
def checksum(b):
    n = sum(struct.unpack('!%dH' % (len(b) // 2), b))
    n = (n & 0xffff) + (n >> 16)
    return struct.pack('!H', ~((n & 0xffff) + (n >> 16)) & 0xffff)
def echo(sequence):
    b = struct.pack('!BBHHH', 8, 0, 0, 77, sequence) + bytes(32)
    return b[:2] + checksum(b) + b[4:]
ip = struct.pack('!BBHHHBBH', 0x45, 0, 60, 1, 0, 64, 1, 0) + bytes([198, 51, 100, 1, 198, 51, 100, 2])
ip = ip[:10] + checksum(ip) + ip[12:]
for vlan, count in ((5, 4), (6, 2)):
    for sequence in range(count):
        link = bytes.fromhex('020000000002' '020000000001' '8100') + struct.pack('!HH', vlan, 0x0800)
        s.send(link + ip + echo(sequence))
";

#[test]
fn a_filter_knows_vlans() {
    on_street("vlan", |street, desk| {
        let tagged = street.capture(desk, VETH0, &["--bpf", "vlan 5 and icmp"], 1);
        let others = street.capture(desk, VETH0, &["--bpf", "icmp"], 1);
        street.host.netns.exec(&["python3", "-c", TAGGED]).unwrap();
        street.ping(2);
        let flow = flow_of(desk, &tagged, [4, 0]);
        assert_eq!((text(&flow, "/Network/B"), number(&flow, "/Link/ID")), ("198.51.100.2", 5));
        assert_eq!(text(&flow_of(desk, &others, [2, 2]), "/Network/B"), FAR);
    });
}

#[test]
fn as_many_packets_are_kept_as_asked_for() {
    on_street("raw", |street, desk| {
        let capture =
            street.capture(desk, VETH0, &["--rawpacket-limit", "3", "--bpf", "icmp or tcp port 80"], 1);
        let without = street.capture(desk, VETH0, &["--bpf", "icmp"], 1);
        street.ping(5);
        assert!(street.curl().status.success());
        let flows =
            flows_of(desk, &capture, |flows| flows.len() == 2 && flows.iter().any(|f| f["FinishType"] == 2));
        let found = flows.iter().map(|flow| number(flow, "/RawPacketsCaptured"));
        assert_eq!(found.collect::<Vec<_>>(), [3, 3]);

        let of_echo =
            format!("G.Flows().Has('CaptureID', '{capture}', 'Application', 'ICMPv4').RawPackets()");
        let packets = kept(desk, &of_echo);
        let indexes: Vec<i64> = packets.iter().map(|packet| number(packet, "/Index")).collect();
        assert_eq!(indexes, [1, 2, 3], "{packets:#?}");
        assert!(packets.iter().all(|packet| packet["LinkType"] == 1 && length(packet) == 98), "{packets:#?}");
        let lines = dump(street, desk, &of_echo);
        let first = format!("IP {NEAR} > {FAR}: ICMP echo request");
        assert!(lines.len() == 3 && lines[0].contains(&first), "{lines:#?}");

        // A filter chooses among the packets of all flows.
        let of_all = format!("G.Flows().Has('CaptureID', '{capture}').RawPackets()");
        assert_eq!((kept(desk, &of_all).len(), dump(street, desk, &of_all).len()), (6, 6));
        let chosen = format!("{of_all}.BPF('icmp[icmptype] == icmp-echoreply')");
        let lines = dump(street, desk, &chosen);
        assert_eq!((kept(desk, &chosen).len(), lines.len()), (1, 1));
        assert!(lines[0].contains("ICMP echo reply"), "{lines:#?}");
        assert_eq!(kept(desk, &format!("{of_all}.BPF('tcp')")).len(), 3);

        flow_of(desk, &without, [5, 5]);
        let none = format!("G.Flows().Has('CaptureID', '{without}').RawPackets()");
        assert_eq!(ask(desk, &none), json!([]));
        let asked = desk.block(desk.rest().topology(&none, PCAP, Explained::No)).unwrap();
        assert_eq!((asked.status.as_u16(), asked.body.len()), (200, 0));
    });
}

#[test]
fn packets_are_looked_at_as_far_as_asked_for() {
    on_street("header", |street, desk| {
        let common = ["--rawpacket-limit", "2", "--header-size"];
        let short = street.capture(desk, VETH0, &[&common[..], &["60", "--bpf", "icmp"]].concat(), 1);
        let long = street.capture(desk, VETH0, &[&common[..], &["4096", "--bpf", "ip proto 1"]].concat(), 1);
        run(street, &format!("ping -q -c 1 -W 5 -s 1000 {FAR}"));
        for (capture, kept_bytes) in [(&short, 60), (&long, 1042)] {
            let flow = flow_of(desk, capture, [1, 1]);
            assert_eq!(number(&flow, "/Metric/ABBytes"), 1042, "what is counted is not cut");
            let query = format!("G.Flows().Has('CaptureID', '{capture}').RawPackets()");
            let lengths: Vec<usize> = kept(desk, &query).iter().map(length).collect();
            assert_eq!(lengths, [kept_bytes; 2]);
            assert_eq!(dump(street, desk, &query).len(), 2);
        }
    });
}

#[test]
fn tcp_is_watched_in_detail_when_asked_for() {
    on_street("tcp", |street, desk| {
        let detailed = street.capture(desk, VETH0, &["--extra-tcp-metric", "--bpf", "tcp"], 1);
        let plain = street.capture(desk, VETH0, &["--bpf", "tcp port 80"], 1);
        assert!(street.curl().status.success());
        let flow = ended_flow_of(desk, &detailed);
        let metric = |field: &str| number(&flow, &format!("/TCPMetric/{field}"));
        let (start, last) = (number(&flow, "/Start"), number(&flow, "/Last"));
        for field in ["ABSynStart", "BASynStart", "ABFinStart", "BAFinStart"] {
            assert!((start..=last).contains(&metric(field)), "{field}: {flow:#}");
        }
        assert_eq!([metric("ABSynTTL"), metric("BASynTTL"), metric("ABRstStart")], [64, 64, 0]);
        assert!(metric("ABWindowMax") >= metric("ABWindowMin") && metric("ABWindowMin") > 0, "{flow:#}");
        let asked = format!("G.Flows().Has('CaptureID', '{detailed}', 'TCPMetric.ABSynTTL', 64).Count()");
        assert_eq!(ask(desk, &asked), 1);
        assert_eq!(ended_flow_of(desk, &plain).get("TCPMetric"), None);
    });
}

#[test]
fn streams_are_put_together_when_asked_for() {
    on_street("streams", |street, desk| {
        let capture = street.capture(desk, VETH0, &["--reassemble-tcp", "--bpf", "tcp"], 1);
        // What the program says that it sent and took.
        let told = run(
            street,
            &format!(
                "curl -s -o /dev/null -w %{{size_request}},%{{size_header}},%{{size_download}} http://{FAR}:{PORT}/"
            ),
        );
        let [sent, head, body] =
            told.split(',').map(|number| number.parse::<i64>().unwrap()).collect::<Vec<_>>()[..]
        else {
            panic!("{told}")
        };
        let flow = ended_flow_of(desk, &capture);
        let both = |field: &str| ["AB", "BA"].map(|way| number(&flow, &format!("/TCPMetric/{way}{field}")));
        assert_eq!(both("Bytes"), [sent, head + body], "{flow:#}");
        assert_eq!((both("SawStart"), both("SawEnd"), both("SegmentSkipped")), ([1, 1], [1, 1], [0, 0]));
    });
}

#[test]
fn fragments_are_one_datagram_when_asked_for() {
    on_street("fragments", |street, desk| {
        let whole = street.capture(desk, VETH0, &["--ip-defrag", "--bpf", "icmp"], 1);
        let parts = street.capture(desk, VETH0, &["--bpf", "ip proto 1"], 1);
        run(street, &format!("ping -q -c 2 -i 0.01 -W 5 -s 4000 {FAR}"));
        let flow = flow_of(desk, &whole, [2, 2]);
        assert_eq!(text(&flow, "/Application"), "ICMPv4");
        // It counts as long as the fragment that made it whole, the last one.
        assert_eq!(number(&flow, "/Metric/ABBytes"), 2 * (14 + 20 + (8 + 4000) % 1480), "{flow:#}");
        // Three of each of four datagrams, the last of which makes it whole.
        assert_eq!(number(&flow, "/IPMetric/Fragments"), 4 * 2, "{flow:#}");
        let flows = flows_of(desk, &parts, |flows| total(flows, "AB") + total(flows, "BA") == 4 * 3);
        let is_part =
            |flow: &Json| text(flow, "/Application") == "Fragment" && flow.get("IPMetric").is_none();
        assert!(flows.iter().all(is_part), "{flows:#?}");
    });
}

#[test]
fn addresses_of_the_link_tell_flows_apart_or_not() {
    on_street("key", |street, desk| {
        let by_link = street.capture(desk, VETH0, &["--layer-key-mode", "L2", "--bpf", "icmp"], 1);
        let by_network = street.capture(desk, VETH0, &["--layer-key-mode", "L3", "--bpf", "ip proto 1"], 1);
        let addresses = ["02:00:00:00:00:02", "02:00:00:00:00:03"];
        for address in addresses {
            street.far.ip(&["link", "set", "veth1", "address", address]).unwrap();
            street.host.ip("neigh flush dev veth0");
            run(street, &format!("ping -q -e 77 -c 2 -i 0.01 -W 5 {FAR}"));
        }
        let one = flow_of(desk, &by_network, [4, 4]);
        assert_eq!(text(&one, "/Link/B"), addresses[0], "that of the first packet");
        let mut two = flows_of(desk, &by_link, |flows| total(flows, "BA") == 4);
        two.sort_by_key(|flow| text(flow, "/Link/B").to_owned());
        let seen: Vec<_> =
            two.iter().map(|flow| (text(flow, "/Link/B"), number(flow, "/Metric/ABPackets"))).collect();
        assert_eq!(seen, addresses.map(|address| (address, 2)));
        assert_ne!(two[0]["UUID"], two[1]["UUID"]);
        assert_ne!(two[0]["TrackingID"], two[1]["TrackingID"]);
        assert_eq!(two[0]["L3TrackingID"], two[1]["L3TrackingID"]);
    });
}

/// Answers every question with an address.
const NAME_SERVER: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('192.0.2.2', 53))
while True:
    q, who = s.recvfrom(512)
    head = q[:2] + bytes.fromhex('8580' '0001' '0001' '0000' '0000')
    s.sendto(head + q[12:] + bytes.fromhex('c00c' '0001' '0001' '0000003c' '0004' 'c6336407'), who)
";

/// A DHCP discovery and a VRRP advertisement.
const OTHERS: &str = "
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('192.0.2.1', 68))
head = struct.pack('!BBBBIHH', 1, 1, 6, 0, 0x12345678, 7, 0x8000)
s.sendto(head + bytes(16) + bytes(16) + bytes(64) + b'boot.img'.ljust(128, bytes(1))
    + bytes.fromhex('63825363' '350101' 'ff'), ('192.0.2.2', 67))
v = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
v.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('192.0.2.1'))
v.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
v.sendto(bytes.fromhex('2105640100010000' 'c0000209' + '00' * 8), ('224.0.0.18', 0))
";

#[test]
fn what_applications_say_is_read_when_asked_for() {
    on_street("layers", |street, desk| {
        let ask_name = format!("dig +noedns +short +tries=1 +time=1 @{FAR} shop.example");
        let _names = served(street, &["python3", "-c", NAME_SERVER], &ask_name);
        let directory = street.host.directory();
        let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| directory.join(name));
        let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
        run(
            street,
            &format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shop.example \
                 -keyout {key} -out {certificate}"
            ),
        );
        let secured = ["openssl", "s_server", "-quiet", "-www", "-key", key, "-cert", certificate];
        let buy = format!("curl -sk -o /dev/null --resolve shop.example:443:{FAR} https://shop.example/");
        let _secured = served(street, &[&secured[..], &["-accept", "443"]].concat(), &buy);

        let layers = ["--extra-layer", "DNS,DHCPv4,VRRP,TLS,HTTP"];
        let read = street.capture(desk, VETH0, &layers, 1);
        let plain = street.capture(desk, VETH0, &["--bpf", "ip"], 1);
        assert_eq!(run(street, &ask_name), "198.51.100.7\n");
        assert!(street.curl().status.success());
        run(street, &buy);
        street.host.netns.exec(&["python3", "-c", OTHERS]).unwrap();

        let one = |filter: &str, field: &str| {
            let query = format!("G.Flows().Has('CaptureID', '{read}', {filter})");
            until(desk, &query, |flows| {
                flows.as_array()?.iter().find(|flow| flow.get(field).is_some()).cloned()
            })
        };
        let name = one("'DNS.QuestionName', 'shop.example', 'Metric.BAPackets', 1", "DNS");
        assert_eq!((&name["DNS"]["QR"], text(&name, "/DNS/response_code")), (&json!(true), "No Error"));
        assert!(number(&name, "/DNS/latency") > 0, "{name:#}");
        let page = one("'HTTP.Method', 'GET'", "HTTP");
        assert_eq!((text(&page, "/HTTP/host"), number(&page, "/Transport/B")), (FAR, 80), "{page:#}");
        assert_eq!(number(&one("'TLS.ServerName', 'shop.example'", "TLS"), "/Transport/B"), 443);
        let lease = one("'Transport.B', 67", "DHCPv4");
        assert_eq!(number(&lease, "/DHCPv4/xid"), 0x1234_5678, "{lease:#}");
        let router = one("'Network.B', '224.0.0.18'", "VRRPv2");
        assert_eq!(number(&router, "/VRRPv2/virtual_rtrID"), 5, "{router:#}");

        // Who did not ask is not told.
        let flows = flows_of(desk, &plain, |flows| {
            flows.iter().any(|flow| text(flow, "/Network/B") == text(&router, "/Network/B"))
        });
        let said = ["DNS", "HTTP", "TLS", "DHCPv4", "VRRPv2"];
        assert!(flows.len() >= 5, "{flows:#?}");
        assert!(flows.iter().all(|flow| said.iter().all(|field| flow.get(field).is_none())), "{flows:#?}");
    });
}

#[test]
fn kinds_that_take_packets_of_interfaces_count_the_same() {
    on_street("kinds", |street, desk| {
        let is_promiscuous = || run(street, "ip -d link show dev veth0").contains("promiscuity 1");
        let ring = street.capture(desk, VETH0, &["--type", "afpacket", "--bpf", "icmp"], 1);
        assert!(!is_promiscuous());
        let all = street.capture(desk, VETH0, &["--type", "pcap", "--bpf", "icmp"], 1);
        assert!(is_promiscuous());
        for (id, kind) in [(&ring, "afpacket"), (&all, "pcap")] {
            assert_eq!(text(&entry_of(desk, id).unwrap(), "/Type"), kind);
        }
        street.ping(4);
        let [ring_flow, all_flow] = [&ring, &all].map(|id| flow_of(desk, id, [4, 4]));
        assert_eq!(number(&ring_flow, "/Metric/ABBytes"), 4 * 98);
        assert_eq!(ring_flow["TrackingID"], all_flow["TrackingID"]);
        street.host.run(&["client", "capture", "delete", &all]);
        eventually("the interface to be as before", SOON, || (!is_promiscuous()).then_some(())).unwrap();
    });
}

/// How flows end with the file that they are read from.
const TIMEOUT: i64 = 1;

/// What a flow says, but for when and where it was seen.
fn essence(flow: &Json) -> Json {
    let Json::Object(members) = flow else { return flow.clone() };
    let by_occasion = |name: &str| {
        ["UUID", "NodeTID", "CaptureID", "Last", "RTT", "LastUpdateMetric"].contains(&name)
            || name.ends_with("Start") && !name.ends_with("SawStart")
            || name == "FinishType" && flow["FinishType"] == TIMEOUT
    };
    let kept = members.iter().filter(|(name, _)| !by_occasion(name));
    kept.map(|(name, value)| match name.as_str() {
        "ParentUUID" => (name.clone(), json!(value != "")),
        _ => (name.clone(), essence(value)),
    })
    .collect()
}

fn essences(flows: &[Json]) -> Vec<String> {
    let mut all: Vec<String> = flows.iter().map(|flow| essence(flow).to_string()).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_file_given_to_a_pcapsocket_has_the_flows_that_are_read_from_it() {
    on_street("socket", |street, desk| {
        let options = ["--extra-tcp-metric"];
        let kind = ["--type", "pcapsocket", "--bpf", "udp or tcp"];
        let capture = street.capture(desk, VETH0, &[&options[..], &kind].concat(), 1);
        let address = text(&entry_of(desk, &capture).unwrap(), "/PCAPSocket").to_owned();
        let files: Vec<PathBuf> = ["tcp/reordered.pcap", "tunnels/vxlan.pcap"]
            .map(|name| workspace_root().join("crates/flow/tests/data").join(name))
            .to_vec();
        let mut expected = Vec::new();
        for file in &files {
            let line =
                ["flows", "read", "--format", "json", "--filter", "udp or tcp", file.to_str().unwrap()];
            let read = street.host.run(&[&line, &options[..]].concat());
            assert!(read.status.success(), "{read:?}");
            let flows = String::from_utf8(read.stdout).unwrap();
            expected.extend(flows.lines().map(|flow| serde_json::from_str::<Json>(flow).unwrap()));
            TcpStream::connect(&address).unwrap().write_all(&std::fs::read(file).unwrap()).unwrap();
        }
        let packets = |flows: &[Json]| ["AB", "BA"].map(|way| total(flows, way));
        let flows = flows_of(desk, &capture, |flows| {
            flows.len() == expected.len() && packets(flows) == packets(&expected)
        });
        assert_eq!(essences(&flows), essences(&expected));
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is about time that passes")]
fn a_capture_goes_when_its_time_is_up() {
    on_street("ttl", |street, desk| {
        let begin = Instant::now();
        let capture = street.capture(desk, VETH0, &["--ttl", "3000"], 1);
        street.ping(1);
        flows_of(desk, &capture, |flows| !flows.is_empty());
        let path = format!("/api/capture/{capture}");
        eventually("its end", SOON, || (desk.get(&path).status.as_u16() == 404).then_some(())).unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(3), "{:?}", begin.elapsed());
        until(desk, "G.V().HasKey('Captures').Count()", |nodes| (*nodes == 0).then_some(()));
    });
}

#[test]
fn one_query_captures_on_several_nodes_by_one_name() {
    on_street("several", |street, desk| {
        let titles = ["--name", "two", "--description", "both ends of nothing", "--bpf", "icmp"];
        let query = "G.V().Has('Name', Within('veth0', 'lo'))";
        let capture = street.capture(desk, query, &titles, 2);
        let resource: Json =
            serde_json::from_slice(&desk.get(&format!("/api/capture/{capture}")).body).unwrap();
        assert_eq!(number(&resource, "/Count"), 2);
        let listed: Json = serde_json::from_slice(&desk.get("/api/capture").body).unwrap();
        assert_eq!(listed[&capture], resource);
        let entry = entry_of(desk, &capture).unwrap();
        assert_eq!([text(&entry, "/Name"), text(&entry, "/Description")], [titles[1], titles[3]]);
        street.ping(2);
        run(street, "ping -q -c 3 -i 0.01 -W 5 127.0.0.1");
        // Who speaks to itself has one side only.
        for (name, packets) in [("veth0", [2, 2]), ("lo", [6, 0])] {
            let query = format!("G.V().Has('Name', '{name}', 'Capture.Name', 'two').Flows()");
            until(desk, &query, |flows| {
                let flows = flows.as_array()?;
                let found = ["AB", "BA"].map(|way| total(flows, way));
                (found == packets && flows[0]["CaptureID"] == *capture).then_some(())
            });
        }
    });
}

#[test]
fn options_of_other_kinds_change_nothing() {
    on_street("others", |street, desk| {
        let others = ["--port", "6343", "--samplingrate", "100", "--pollinginterval", "7", "--bpf", "icmp"];
        let capture = street.capture(desk, VETH0, &others, 1);
        let resource: Json =
            serde_json::from_slice(&desk.get(&format!("/api/capture/{capture}")).body).unwrap();
        let kept =
            ["Port", "SamplingRate", "PollingInterval"].map(|name| number(&resource, &format!("/{name}")));
        assert_eq!(kept, [6343, 100, 7]);
        street.ping(10);
        flow_of(desk, &capture, [10, 10]);
    });
}
