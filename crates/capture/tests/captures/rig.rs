//! Two hosts and what captures tell of them.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use skydive_capture::{Capture, CaptureConfig, CaptureStatus, Captures, FlowSearch, Found};
use skydive_flow::Flow;
use skydive_sys::{Namespaces, NsRef};
use skydive_testnet::{Netns, eventually, veth_pair};
use skydive_value::{Clock, Timestamp};

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Two namespaces, 10.99.0.1 with `va` and 10.99.0.2 with `vb`, and threads that capture. Fields end in order.
pub(crate) struct Rig {
    pub(crate) captures: Captures,
    pub(crate) told: Told,
    pub(crate) namespaces: Namespaces,
    pub(crate) a: Netns,
    pub(crate) b: Netns,
}

/// Flows as they are told of.
pub(crate) struct Told {
    flows: Arc<Mutex<Vec<Flow>>>,
    _thread: JoinHandle<()>,
}

impl Rig {
    pub(crate) fn new(threads: usize) -> Self {
        let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
        veth_pair(&a, "va", &b, "vb").unwrap();
        a.ip(&["addr", "add", "10.99.0.1/24", "dev", "va"]).unwrap();
        b.ip(&["addr", "add", "10.99.0.2/24", "dev", "vb"]).unwrap();
        for (netns, link) in [(&a, "va"), (&b, "vb")] {
            netns
                .exec(&["ethtool", "-K", link, "tso", "off", "gso", "off", "gro", "off", "tx", "off"])
                .unwrap();
        }
        let namespaces = Namespaces::start().unwrap();
        let (captures, told) = captures(threads, &namespaces);
        let rig = Self { captures, told, namespaces, a, b };
        // Neighbours are known before anything is counted.
        eventually("a first answer", SOON, || rig.a.exec(&["ping", "-c1", "-W1", "10.99.0.2"]).ok()).unwrap();
        rig
    }

    /// A capture of the interface of the second host.
    pub(crate) fn config(&self, filter: &str) -> CaptureConfig {
        let mut config = CaptureConfig::new("afpacket", NsRef::Path(self.b.path()), index(&self.b, "vb"));
        config.filter = filter.into();
        config.table.node_tid = "tid".into();
        config.table.capture_id = "capture".into();
        config
    }

    pub(crate) fn begin(&self, config: &CaptureConfig) -> Capture {
        self.captures.begin(config).unwrap()
    }

    pub(crate) fn search(&self, search: &FlowSearch) -> Found {
        wait(self.captures.search(search.clone())).unwrap()
    }

    /// A socket of the first host.
    pub(crate) fn socket(&self, address: &'static str) -> UdpSocket {
        let place = NsRef::Path(self.a.path());
        let (_, socket) = self.namespaces.enter(&place, move || UdpSocket::bind(address).unwrap()).unwrap();
        socket
    }

    /// Lets the second host answer nothing that the first one sends without asking for its address again.
    pub(crate) fn throw_away(&self) {
        let mac = "02:00:00:00:00:99";
        self.a
            .ip(&["neigh", "replace", "10.99.0.2", "lladdr", mac, "nud", "permanent", "dev", "va"])
            .unwrap();
    }

    /// Sends datagrams of `payload` zeros to the second host, of `flows` conversations, as fast as it goes. What
    /// arrives is thrown away.
    pub(crate) fn flood(&self, count: usize, flows: u16, payload: usize) {
        self.flood_from("10.99.0.1:0", count, flows, payload);
    }

    /// As [`Rig::flood`], from another address.
    pub(crate) fn flood_from(&self, source: &'static str, count: usize, flows: u16, payload: usize) {
        const TOGETHER: usize = 64;
        self.throw_away();
        let socket = self.socket(source);
        let bytes = vec![0; payload];
        let data = [std::io::IoSlice::new(&bytes)];
        let mut sent = 0;
        while sent < count {
            let port = 10_000 + ((sent / TOGETHER) % usize::from(flows)) as u16;
            let to = SocketAddrAny::from(SocketAddr::from(([10, 99, 0, 2], port)));
            let mut controls: Vec<_> = (0..TOGETHER).map(|_| SendAncillaryBuffer::default()).collect();
            let mut messages: Vec<_> = controls
                .iter_mut()
                .take(count - sent)
                .map(|control| MMsgHdr::new_with_addr(&to, &data, control))
                .collect();
            sent += sendmmsg(&socket, &mut messages, SendFlags::empty()).unwrap();
        }
    }
}

impl Told {
    /// Waits until the flows that were told of are as wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&[Flow]) -> bool) -> Vec<Flow> {
        eventually(what, SOON, || {
            let flows = self.flows.lock().unwrap();
            wanted(&flows).then(|| flows.clone())
        })
        .unwrap()
    }
}

/// Threads that capture, by the system's clock, and what they tell.
pub(crate) fn captures(threads: usize, namespaces: &Namespaces) -> (Captures, Told) {
    let (captures, mut receiver) = Captures::start(threads, namespaces.clone(), clock(), None).unwrap();
    let flows = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&flows);
    let thread = std::thread::spawn(move || {
        while let Some(batch) = receiver.blocking_recv() {
            heard.lock().unwrap().extend(batch);
        }
    });
    (captures, Told { flows, _thread: thread })
}

pub(crate) fn clock() -> Clock {
    Clock::new(|| {
        Timestamp::from_millis(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as i64)
    })
}

pub(crate) fn index(netns: &Netns, link: &str) -> u32 {
    netns.ip(&["-o", "link", "show", "dev", link]).unwrap().split(':').next().unwrap().parse().unwrap()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits for a status.
pub(crate) fn status(
    capture: &Capture,
    what: &str,
    wanted: impl Fn(&CaptureStatus) -> bool,
) -> CaptureStatus {
    eventually(what, SOON, || Some(capture.status()).filter(|status| wanted(status))).unwrap()
}

/// Ends a capture and gives its last status, in which every packet is somewhere.
pub(crate) fn stop(mut capture: Capture) -> CaptureStatus {
    capture.stop();
    let status = wait(async { tokio::time::timeout(SOON, capture.ended()).await }).unwrap();
    let counters = status.counters;
    assert_eq!(
        counters.received,
        counters.accounted + counters.dropped_by_kernel + counters.dropped,
        "{status:?}"
    );
    assert_eq!(status.table.packets, counters.accounted, "{status:?}");
    status
}

/// Waits until a capture has counted so many packets.
pub(crate) fn counted(capture: &Capture, packets: u64) -> CaptureStatus {
    status(capture, "packets", |status| status.counters.accounted >= packets)
}
