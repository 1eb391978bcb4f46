//! Sockets and connections of namespaces, as the kernel has them.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use skydive_sys::netlink::{SocketProtocol, SocketState};
use skydive_sys::{Namespaces, NsRef, SocketTable, TaskEvent, TcpTrace, Traced, UdpTrace};
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

    // Closed by one side and the other: it waits, and is nobody's.
    let (own, port) = (client.local_addr().unwrap(), at.port());
    drop(client);
    drop(server);
    let waiting = |table: &SocketTable| {
        table.sockets.iter().any(|socket| socket.local == own && socket.remote.port() == port)
    };
    let protocols = &[SocketProtocol::Tcp];
    assert!(waiting(&SocketTable::read(&namespaces, &place, protocols, MOST).unwrap()));
    let owned = SocketTable::read_owned(&namespaces, &place, protocols, MOST).unwrap();
    assert!(!waiting(&owned) && owned.sockets.iter().any(|socket| socket.local == at));

    let few = SocketTable::read(&namespaces, &place, &[SocketProtocol::Tcp], 1).unwrap();
    assert_eq!((few.sockets.len(), few.cut), (1, 2));
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
        trace.read(&mut |told| match told {
            Traced::Tcp(change) => changes.push(*change),
            Traced::Task(_) => {}
        });
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

#[test]
fn processes_that_begin_and_end_are_told() {
    if !require_root() {
        return;
    }
    let mut trace = TcpTrace::start().unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let mut events = Vec::new();
    eventually("the end of a process", Duration::from_secs(10), || {
        trace.read(&mut |told| match told {
            Traced::Task(change) if change.pid == child.id() => events.push(change.event.clone()),
            _ => {}
        });
        events.contains(&TaskEvent::Ended).then_some(())
    })
    .unwrap();
    assert_eq!(
        events,
        [TaskEvent::Began(std::process::id()), TaskEvent::Executed("true".into()), TaskEvent::Ended]
    );
}

#[test]
fn who_sends_is_told_at_once_and_a_flood_is_not() {
    if !require_root() {
        return;
    }
    let netns = Netns::with_loopback("sends").unwrap();
    let mut trace = UdpTrace::start().unwrap();
    let (four, six) =
        inside(&netns, || (UdpSocket::bind("0.0.0.0:0").unwrap(), UdpSocket::bind("[::]:0").unwrap()));
    let ports = [&four, &six].map(|socket| socket.local_addr().unwrap().port());
    let remotes = ["127.0.0.1:9", "[::1]:9"].map(|text| text.parse::<SocketAddr>().unwrap());
    four.send_to(b"x", remotes[0]).unwrap();
    six.send_to(b"x", remotes[1]).unwrap();
    let mut told = Vec::new();
    let own = std::process::id();
    eventually("what was sent", Duration::from_secs(10), || {
        let wait = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        poll(&mut [PollFd::new(&trace, PollFlags::IN)], Some(&wait)).unwrap();
        trace.read(1, &mut |sent| told.push(*sent));
        let is_told = |port: &u16| told.iter().any(|sent| sent.local.port() == *port && sent.pid == own);
        ports.iter().all(is_told).then_some(())
    })
    .unwrap();
    for (port, remote) in ports.iter().zip(remotes) {
        assert!(told.iter().any(|sent| sent.local.port() == *port && sent.remote == remote), "{told:?}");
    }

    // As many as are too many: they are not looked at until it is over.
    let flood = |trace: &mut UdpTrace, now: u64| {
        for _ in 0..100_000 {
            four.send_to(b"x", remotes[0]).unwrap();
        }
        let mut count = 0;
        trace.read(now, &mut |_| count += 1);
        count
    };
    let count = flood(&mut trace, 2);
    assert!((1..5000).contains(&count) && trace.pauses() == 1, "{count} {}", trace.pauses());
    let mut sent_and_told = |now: u64| {
        four.send_to(b"x", remotes[0]).unwrap();
        let mut is_told = false;
        trace.read(now, &mut |sent| is_told |= sent.local.port() == ports[0]);
        is_told
    };
    assert!(!sent_and_told(3));
    assert!(!sent_and_told(20_000));
    assert!(sent_and_told(20_001));
    flood(&mut trace, 20_002);
    assert_eq!(trace.pauses(), 2);
}
