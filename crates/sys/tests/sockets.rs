//! Sockets and connections of namespaces, as the kernel has them.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use skydive_sys::netlink::{SocketProtocol, SocketState};
use skydive_sys::{Namespaces, NsRef, SocketTable, TcpTrace};
use skydive_testnet::{Netns, eventually, require_root};

const MOST: usize = 1000;

/// Opens sockets in a namespace.
fn inside<T: Send + 'static>(netns: &Netns, open: impl FnOnce() -> T + Send + 'static) -> T {
    Namespaces::start().unwrap().enter(&NsRef::Path(netns.path()), open).unwrap().1
}

#[test]
fn sockets_of_a_namespace_are_listed() {
    if !require_root() {
        return;
    }
    let netns = Netns::with_loopback("diag").unwrap();
    let (listener, client, server, six, datagrams) = inside(&netns, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        (
            listener,
            client,
            server,
            TcpListener::bind("[::]:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        )
    });
    let namespaces = Namespaces::start().unwrap();
    let place = NsRef::Path(netns.path());
    let table = SocketTable::read(&namespaces, &place, &SocketProtocol::ALL, MOST).unwrap();
    assert!(table.addresses.contains(&"127.0.0.1".parse().unwrap()), "{:?}", table.addresses);
    let find = |local: SocketAddr, protocol| {
        table.sockets.iter().filter(move |socket| socket.local == local && socket.protocol == protocol)
    };
    let at = listener.local_addr().unwrap();
    let mut states: Vec<_> = find(at, SocketProtocol::Tcp).map(|socket| socket.state.name()).collect();
    states.sort_unstable();
    assert_eq!(states, ["ESTABLISHED", "LISTEN"]);
    let connected = find(client.local_addr().unwrap(), SocketProtocol::Tcp).next().unwrap();
    assert_eq!((connected.state, connected.remote), (SocketState::Established, at));
    assert!(connected.inode != 0 && !connected.is_dual);
    assert!(find(six.local_addr().unwrap(), SocketProtocol::Tcp).next().unwrap().is_dual);
    if !table.refused.iter().any(|(what, _)| *what == "UDP") {
        assert!(find(datagrams.local_addr().unwrap(), SocketProtocol::Udp).next().is_some());
    }
    drop(server);

    let few = SocketTable::read(&namespaces, &place, &[SocketProtocol::Tcp], 1).unwrap();
    assert_eq!((few.sockets.len(), few.cut), (1, 3));
}

#[test]
fn who_connects_is_told_at_once() {
    if !require_root() {
        return;
    }
    let netns = Netns::with_loopback("trace").unwrap();
    let mut trace = TcpTrace::start().unwrap();
    let (at, from) = inside(&netns, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.local_addr().unwrap(), client.local_addr().unwrap())
    });
    let mut changes = Vec::new();
    let closed = |change: &skydive_sys::TcpChange| {
        change.new == SocketState::FinWait1 && change.local == from && change.remote == at
    };
    eventually("the end of the connection", Duration::from_secs(10), || {
        let wait = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        poll(&mut [PollFd::new(&trace, PollFlags::IN)], Some(&wait)).unwrap();
        trace.read(&mut |change| changes.push(*change));
        changes.iter().any(closed).then_some(())
    })
    .unwrap();
    let own = std::process::id();
    let began = changes.iter().find(|c| c.new == SocketState::SynSent && c.remote == at).unwrap();
    assert_eq!(began.pid, own);
    let established =
        changes.iter().find(|c| c.new == SocketState::Established && c.socket == began.socket).unwrap();
    assert_eq!((established.local, established.remote), (from, at));
    assert_eq!(changes.iter().find(|c| closed(c)).unwrap().pid, own);
}
