//! Flows of real traffic, and who speaks.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use skydive_capture::{Capture, CaptureConfig, Captures, FlowSearch};
use skydive_testnet::{Netns, Running, eventually, require_root, veth_pair};
use skydive_value::{Filter, Timestamp};

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// Two namespaces with a cable, the processes in them known, and a capture on one end.
struct Rig {
    capture: Option<Capture>,
    captures: Option<Captures>,
    told: Arc<Mutex<Vec<Flow>>>,
    hearing: Option<JoinHandle<()>>,
    processes: Arc<Processes>,
    a: Netns,
    b: Netns,
}

impl Rig {
    fn new() -> Self {
        let (a, b) = (Netns::with_loopback("pa").unwrap(), Netns::with_loopback("pb").unwrap());
        veth_pair(&a, "va", &b, "vb").unwrap();
        for (netns, link, own) in [(&a, "va", "10.98.0.1/24"), (&b, "vb", "10.98.0.2/24")] {
            netns.ip(&["addr", "add", own, "dev", link]).unwrap();
            netns.ip(&["link", "set", link, "up"]).unwrap();
        }
        let clock =
            Clock::new(
                || Timestamp::from_millis(UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as i64),
            );
        let places: BTreeMap<NsKey, NsNode> = [&a, &b]
            .map(|netns| {
                let ino = netns.inode().unwrap();
                ((0, ino), NsNode { node: skydive_value::Id::from("node"), path: netns.path() })
            })
            .into();
        let (_, places) = watch::channel(Arc::new(places));
        let namespaces = Namespaces::start().unwrap();
        let processes = Arc::new(Processes::start(namespaces.clone(), places, clock.clone()).unwrap());
        let enrich: Arc<dyn Enrich> = processes.clone();
        let (captures, mut flows) = Captures::start(1, namespaces, clock, Some(enrich)).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let hearing = Some(std::thread::spawn(move || {
            while let Some(batch) = flows.blocking_recv() {
                heard.lock().unwrap().extend(batch);
            }
        }));
        let index = a.ip(&["-o", "link", "show", "dev", "va"]).unwrap();
        let index = index.split(':').next().unwrap().parse().unwrap();
        let config = CaptureConfig::new("afpacket", NsRef::Path(a.path()), index);
        let capture = Some(captures.begin(&config).unwrap());
        Self { capture, captures: Some(captures), told, hearing, processes, a, b }
    }

    /// A flow to a port of the second namespace that is as wanted.
    fn flow(&self, port: i64, what: &str, wanted: impl Fn(&Flow) -> bool) -> Flow {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let search = FlowSearch { filter: Filter::int("Transport.B", port), ..FlowSearch::all() };
        eventually(what, SOON, || {
            let found = runtime.block_on(self.captures.as_ref()?.search(search.clone())).ok()?;
            let flow = found.set.flows.into_iter().next()?;
            wanted(&flow).then_some(flow)
        })
        .unwrap()
    }

    /// Ends the capture, and gives the flows that were told of.
    fn end(mut self) -> Vec<Flow> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut capture = self.capture.take().unwrap();
        capture.stop();
        runtime.block_on(capture.ended());
        drop(capture);
        self.captures = None;
        // Who hears of them ends with the last.
        self.hearing.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn both(flow: &Flow) -> bool {
    flow.process.a.is_some() && flow.process.b.is_some()
}

fn python(netns: &Netns, program: &str) -> Command {
    let mut command = netns.command(&["python3", "-c", program]).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A process that serves, and listens already.
fn serve(rig: &Rig, program: &str, listens: &str) -> Running {
    let server = Running::start(&mut python(&rig.b, program)).unwrap();
    eventually("a server", SOON, || {
        let sockets = rig.b.exec(&["cat", "/proc/net/tcp", "/proc/net/udp"]).ok()?;
        sockets.contains(listens).then_some(())
    })
    .unwrap();
    server
}

/// Milliseconds long, over before its packets are looked at; both sides are known, and stay so when they have gone.
#[test]
fn a_curl_and_its_server_are_named() {
    if !require_root() {
        return;
    }
    let rig = Rig::new();
    let server = serve(
        &rig,
        "import http.server as h; h.HTTPServer(('0.0.0.0', 8080), h.SimpleHTTPRequestHandler).serve_forever()",
        ":1F90",
    );
    let mut curl = Running::start(
        rig.a.command(&["curl", "-s", "http://10.98.0.2:8080/"]).unwrap().stdout(Stdio::null()),
    )
    .unwrap();
    assert!(curl.child().wait().unwrap().success());
    let flow = rig.flow(8080, "a named curl", both);
    let process = flow.process.a.as_ref().unwrap();
    assert_eq!((process.name.as_str(), process.pid), ("curl", curl.pid()));
    // A host with much to do may look when it is ending, and has no path any more.
    assert!(process.path.is_empty() || process.path.ends_with("/curl"), "{process:?}");
    assert!(process.cgroup.starts_with('/'), "{process:?}");
    assert_eq!(flow.process.b.as_ref().map(|server| server.pid), Some(server.pid()));
    drop(server);

    let named = FlowSearch { filter: Filter::text("Process.A.Name", "curl"), ..FlowSearch::all() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(rig.captures.as_ref().unwrap().search(named)).unwrap();
    assert_eq!(found.matched, 1);

    let told = rig.end();
    let last = told.iter().rfind(|flow| flow.transport.is_some_and(|ports| ports.b == 8080)).unwrap();
    assert_eq!(last.process, flow.process);
}

/// Without the trace the sockets are listed; so they are for UDP.
#[test]
fn datagrams_have_a_process() {
    if !require_root() {
        return;
    }
    let rig = Rig::new();
    let server = serve(
        &rig,
        "import socket as s; u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.bind(('0.0.0.0', 5300)); u.recv(9); u.recv(9)",
        ":14B4",
    );
    let client = Running::start(&mut python(
        &rig.a,
        "import socket as s, time; u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.connect(('10.98.0.2', 5300)); u.send(b'x'); time.sleep(60)",
    ))
    .unwrap();
    let flow = rig.flow(5300, "named datagrams", both);
    let pids = [&flow.process.a, &flow.process.b].map(|side| side.as_ref().unwrap().pid);
    assert_eq!(pids, [client.pid(), server.pid()]);
    assert!(rig.processes.shared.index.lock().unwrap().len() > 0);
}

/// A process that does nothing but send, and one of which only a copy does: both have ended before a packet is looked at.
#[test]
fn a_datagram_of_a_process_that_ends_at_once_is_named() {
    if !require_root() {
        return;
    }
    let rig = Rig::new();
    let mut sender = Running::start(&mut python(
        &rig.a,
        "import os, socket as s; s.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b'x', ('10.98.0.2', 5301)); os._exit(0)",
    ))
    .unwrap();
    assert!(sender.child().wait().unwrap().success());
    let flow = rig.flow(5301, "a named datagram", |flow| flow.process.a.is_some());
    let process = flow.process.a.as_ref().unwrap();
    assert_eq!((process.name.as_str(), process.pid), ("python3", sender.pid()));

    let forks = "import os, socket as s
for n in range(20):
    if os.fork() == 0:
        u = s.socket(s.AF_INET, s.SOCK_DGRAM); u.bind(('0.0.0.0', 45000 + n))
        u.sendto(b'x', ('10.98.0.2', 5302)); os._exit(0)
    os.wait()
print(flush=True); input()";
    let mut original = python(&rig.a, forks);
    let original = Running::start(original.stdin(Stdio::piped())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let search = FlowSearch { filter: Filter::int("Transport.B", 5302), ..FlowSearch::all() };
    let flows = eventually("named datagrams", SOON, || {
        let found = runtime.block_on(rig.captures.as_ref()?.search(search.clone())).ok()?;
        let named = found.set.flows.iter().filter(|flow| flow.process.a.is_some()).count();
        (named == 20).then_some(found.set.flows)
    })
    .unwrap();
    let pids: std::collections::HashSet<u32> =
        flows.iter().map(|flow| flow.process.a.as_ref().unwrap().pid).collect();
    assert!(pids.len() == 20 && !pids.contains(&original.pid()), "{pids:?}");
    for process in flows.iter().filter_map(|flow| flow.process.a.as_ref()) {
        assert_eq!(process.name, "python3");
        assert!(process.path.contains("python") && process.cgroup.starts_with('/'), "{process:?}");
    }
}

/// A socket that was there all the time is known, among thousands.
#[test]
fn many_sockets_are_known() {
    if !require_root() {
        return;
    }
    let rig = Rig::new();
    let sockets: Vec<_> = (0..2000).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for socket in &sockets {
        socket.connect("127.0.0.1:9").unwrap();
    }
    rig.processes.flows_began();
    let to = sockets[0].peer_addr().unwrap();
    let ends = |socket: &std::net::UdpSocket| {
        index::Ends::new(skydive_sys::netlink::SocketProtocol::Udp, socket.local_addr().unwrap(), to)
    };
    let are_open = || sockets.iter().all(|socket| rig.processes.shared.index().is_open(&ends(socket)));
    eventually("all sockets", SOON, || are_open().then_some(())).unwrap();
    let gone = ends(&sockets[0]);
    drop(sockets);
    eventually("their end", SOON, || (!rig.processes.shared.index().is_open(&gone)).then_some(())).unwrap();
}
