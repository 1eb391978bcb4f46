//! Traffic of real programs over a veth pair and over VXLAN on top of it, beside tshark.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up must fail")]

#[path = "conversations/capture.rs"]
mod capture;
#[path = "conversations/conversation.rs"]
mod conversation;
#[path = "conversations/tshark.rs"]
mod tshark;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use conversation::Conversation;
use skydive_flow::{Flow, TableConfig, TransportProtocol};
use skydive_testnet::{Netns, Running, ScratchDir, eventually, require_root, run, veth_pair, vxlan};

/// How long a program may take to begin, or packets to be written.
const PATIENCE: Duration = Duration::from_secs(20);

const VNI: u32 = 42;

/// Bytes sent by each connection of iperf3 that is about bytes.
const SENT: u64 = 300 << 10;

/// Bytes that it writes at once, many more than it says about the test.
const BLOCK: u64 = 20 << 10;

/// What is left for packets inside of VXLAN over IPv4.
const INNER_MTU: &str = "1450";

/// Part of what the last packet of a capture carries.
const LAST: [u8; 8] = [0x5e, 0xed, 0xf0, 0x0d, 0x5e, 0xed, 0xf0, 0x0d];

/// Two namespaces with a wire between them, and a second network inside of VXLAN.
struct Lab {
    // Servers go before their namespace does.
    _servers: Vec<Running>,
    client: Netns,
    _server: Netns,
    folder: ScratchDir,
}

impl Lab {
    fn new() -> Self {
        let folder = ScratchDir::new("talk").unwrap();
        let client = Netns::with_loopback("client").unwrap();
        let server = Netns::with_loopback("server").unwrap();
        veth_pair(&client, "wire", &server, "wire").unwrap();
        for (netns, own, other) in [(&client, 1, 2), (&server, 2, 1)] {
            let (own_address, other_address) = (format!("10.99.0.{own}"), format!("10.99.0.{other}"));
            netns.ip(&["addr", "add", &format!("{own_address}/24"), "dev", "wire"]).unwrap();
            netns.ip(&["addr", "add", &format!("fd00:99::{own}/64"), "dev", "wire", "nodad"]).unwrap();
            vxlan(netns, "inner", VNI, &own_address, &other_address).unwrap();
            netns.ip(&["link", "set", "inner", "mtu", INNER_MTU]).unwrap();
            netns.ip(&["addr", "add", &format!("10.98.0.{own}/24"), "dev", "inner"]).unwrap();
            netns.ip(&["addr", "add", &format!("fd00:98::{own}/64"), "dev", "inner", "nodad"]).unwrap();
        }
        let servers = servers(&server, folder.path());
        Self { _servers: servers, client, _server: server, folder }
    }

    /// Captures on the wire while `talk` talks.
    fn capture(&self, name: &str, talk: impl FnOnce(&Netns)) -> PathBuf {
        let file = self.folder.path().join(format!("{name}.pcap"));
        let mut tcpdump = self.client.command(&["tcpdump", "-Z", "root", "-U", "--immediate-mode"]).unwrap();
        // Room for a thousand packets of any size: at once delivered, each takes as much as the largest.
        tcpdump.args(["-s", "66000", "-B", "65536", "-i", "wire"]);
        // It says so when its ring is in place; packets before that are lost.
        let said = file.with_extension("log");
        let tcpdump = tcpdump.arg("-w").arg(&file).stderr(fs::File::create(&said).unwrap());
        let mut tcpdump = Running::start(tcpdump).unwrap();
        let listens = || fs::read_to_string(&said).unwrap().contains("listening on").then_some(());
        eventually("tcpdump", PATIENCE, listens).unwrap();
        talk(&self.client);
        // When this is in the file, so is all before.
        self.client.exec(&["ping", "-q", "-c", "1", "-W", "5", "-p", "5eedf00d", "10.99.0.2"]).unwrap();
        let is_last = |bytes: &[u8]| bytes.windows(LAST.len()).any(|window| window == LAST);
        eventually("the last packet", PATIENCE, || is_last(&fs::read(&file).ok()?).then_some(())).unwrap();
        run(Command::new("kill").args(["-INT", &tcpdump.pid().to_string()])).unwrap();
        let ended =
            eventually("the end of tcpdump", PATIENCE, || tcpdump.child().try_wait().unwrap()).unwrap();
        assert!(ended.success(), "{ended}");
        let said = fs::read_to_string(&said).unwrap();
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        file
    }
}

/// Programs that answer on every address of their namespace.
fn servers(netns: &Netns, folder: &Path) -> Vec<Running> {
    let page = folder.join("page");
    fs::write(&page, vec![b'x'; 100_000]).unwrap();
    let folder = folder.to_str().unwrap();
    let servers = [
        (&["iperf3", "-s"][..], ":5201 "),
        (&["busybox", "httpd", "-f", "-p", "80", "-h", folder], ":80 "),
        (
            &[
                "dnsmasq",
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--user=root",
                "--pid-file",
                "--no-resolv",
                "--no-hosts",
                "--address=/www.test/192.0.2.7",
                "--address=/www.test/2001:db8::7",
            ],
            ":53 ",
        ),
    ];
    let start = |(command, port): (&[&str], &str)| {
        let running = netns.spawn(command).unwrap();
        eventually(command[0], PATIENCE, || {
            netns.exec(&["ss", "-Hlnut"]).unwrap().contains(port).then_some(())
        })
        .unwrap();
        running
    };
    servers.map(start).into()
}

/// What people do with a network, with a server at two addresses.
fn talk(client: &Netns, v4: &str, v6: &str) {
    let exec = |command: &[&str]| client.exec(command).unwrap();
    exec(&["ping", "-q", "-c", "5", "-i", "0.002", "-W", "5", v4]);
    exec(&["ping", "-q", "-c", "5", "-i", "0.002", "-W", "5", v6]);
    // In fragments.
    exec(&["ping", "-q", "-c", "2", "-i", "0.002", "-W", "5", "-s", "4000", v4]);
    // Nobody listens there: ICMP says so.
    client.exec(&["dig", "+tries=1", "+time=1", "-p", "5353", &format!("@{v4}"), "www.test"]).unwrap_err();
    for server in [v4, v6] {
        exec(&["iperf3", "-c", server, "-n", &SENT.to_string(), "-l", &BLOCK.to_string()]);
        exec(&["dig", "+tries=1", "+time=5", &format!("@{server}"), "www.test", "A"]);
        exec(&["dig", "+tries=1", "+time=5", &format!("@{server}"), "www.test", "AAAA"]);
    }
    exec(&["iperf3", "-R", "-c", v4, "-n", &SENT.to_string(), "-l", &BLOCK.to_string()]);
    exec(&["iperf3", "-u", "-c", v4, "-n", "40K", "-l", "1000", "-b", "100M"]);
    exec(&["curl", "-sSf", "-o", "/dev/null", &format!("http://{v4}/page")]);
    exec(&["curl", "-sSf", "-o", "/dev/null", &format!("http://[{v6}]/page")]);
    exec(&["dig", "+tcp", "+tries=1", "+time=5", &format!("@{v4}"), "www.test", "A"]);
}

fn flows(file: &[u8]) -> Vec<Flow> {
    let (flows, counters) = capture::flows(file, TableConfig::default());
    assert_eq!(counters.unaccounted, 0);
    flows
}

/// Our flows of a capture, about which tshark says the same.
fn agreed(file: &Path) -> Vec<Flow> {
    let flows = flows(&fs::read(file).unwrap());
    let packets = tshark::packets(file, &[]);
    let difference =
        conversation::difference(&conversation::conversations(&flows), &tshark::conversations(&packets));
    assert!(difference.is_none(), "{}", difference.unwrap());
    // The flows that are not carried by others have all packets.
    let outer = flows.iter().filter(|flow| flow.parent.is_none());
    let sum: u64 = outer.map(|flow| flow.metric.ab_packets + flow.metric.ba_packets).sum();
    assert_eq!(sum, packets.len() as u64);
    flows
}

/// Flows of an address by path, with what they are about: ports of the server, or what is said.
fn about(flows: &[Flow], server: &str) -> Vec<String> {
    let server: IpAddr = server.parse().unwrap();
    let of_server = flows.iter().filter(|flow| flow.network.is_some_and(|ip| ip.b == server));
    let about = |flow: &Flow| {
        let port = flow.transport.map_or(0, |ports| ports.b);
        format!("{} {port}", flow.layers_path.rsplit_once("/IPv").unwrap().1)
    };
    let mut about: Vec<String> = of_server.map(about).collect();
    about.sort();
    about
}

/// What [`talk`] must leave behind at least, if the programs did what they were told.
fn is_all_there(flows: &[Flow], v4: &str, v6: &str) {
    let expected4 =
        ["4/Fragment 0", "4/ICMPv4 0", "4/TCP 5201", "4/TCP 53", "4/TCP 80", "4/UDP 5201", "4/UDP/DNS 53"];
    let expected6 = ["6/ICMPv6/ICMPv6Echo 0", "6/TCP 5201", "6/TCP 80", "6/UDP/DNS 53"];
    for (server, expected) in [(v4, &expected4[..]), (v6, &expected6[..])] {
        let found = about(flows, server);
        for expected in expected {
            assert!(found.iter().any(|found| found == expected), "no {expected} to {server}: {found:?}");
        }
    }
    // The server resets what was not read when its client says that the test is over; a client that receives has it all.
    let is_data = |flow: &&Flow| {
        flow.network.is_some_and(|ip| [v4, v6].contains(&ip.b.to_string().as_str()))
            && flow.transport.is_some_and(|ports| (ports.protocol, ports.b) == (TransportProtocol::Tcp, 5201))
            && flow.metric.ab_bytes.max(flow.metric.ba_bytes) > BLOCK
    };
    let sent = flows.iter().filter(is_data).map(|flow| flow.metric.ab_bytes.max(flow.metric.ba_bytes));
    let sent: Vec<u64> = sent.collect();
    assert!(sent.len() == 3 && sent[2] > SENT, "{sent:?}");
}

#[test]
fn tshark_agrees_about_real_programs() {
    if !require_root() {
        return;
    }
    let lab = Lab::new();

    let plain = lab.capture("plain", |client| talk(client, "10.99.0.2", "fd00:99::2"));
    let flows_of_plain = agreed(&plain);
    is_all_there(&flows_of_plain, "10.99.0.2", "fd00:99::2");

    let tunnel = lab.capture("tunnel", |client| talk(client, "10.98.0.2", "fd00:98::2"));
    let flows_of_tunnel = agreed(&tunnel);
    is_all_there(&flows_of_tunnel, "10.98.0.2", "fd00:98::2");
    let carriers: Vec<_> =
        flows_of_tunnel.iter().filter(|flow| flow.layers_path.ends_with("/VXLAN")).collect();
    assert_eq!(carriers.len(), 1, "one flow carries all, whatever its source ports");
    assert_eq!(carriers[0].network.unwrap().id, VNI);
    let inner = flows_of_tunnel.iter().filter(|flow| flow.parent == Some(carriers[0].uuid));
    let sum: u64 = inner.map(|flow| flow.metric.ab_packets + flow.metric.ba_packets).sum();
    assert_eq!(sum, carriers[0].metric.ab_packets + carriers[0].metric.ba_packets);

    // Packets that fill the wire come in fragments when the tunnel's header is added.
    let fragments = lab.capture("fragments", |client| {
        client.ip(&["link", "set", "inner", "mtu", "1500"]).unwrap();
        client.exec(&["ping", "-q", "-c", "2", "-i", "0.002", "-W", "5", "-s", "1472", "10.98.0.2"]).unwrap();
    });
    let flows_of_fragments = agreed(&fragments);
    assert!(flows_of_fragments.iter().any(|flow| flow.layers_path == "Ethernet/IPv4/Fragment"));

    // What the snap length cuts away still counts.
    for (file, whole) in [(plain, flows_of_plain), (tunnel, flows_of_tunnel), (fragments, flows_of_fragments)]
    {
        let cut = file.with_extension("cut");
        run(Command::new("editcap").args(["-F", "pcap", "-s", "128"]).arg(&file).arg(&cut)).unwrap();
        let cut: Vec<Conversation> = conversation::conversations(&flows(&fs::read(&cut).unwrap()));
        let difference = conversation::difference(&cut, &conversation::conversations(&whole));
        assert!(difference.is_none(), "{}", difference.unwrap());
    }
}
