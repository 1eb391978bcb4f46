//! Starting and stopping.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use skydive_client::Ended;
use skydive_testnet::require_root;

use crate::stage::{AGENT, ANALYZER, Host, SOON};

/// In order, but not forever: a service manager kills what takes longer.
const STOPPED: Duration = Duration::from_secs(3);
/// A request that is being made is given some time to end.
const DRAINED: Duration = Duration::from_secs(8);

#[test]
fn sigterm_ends_every_role_in_order() {
    if !require_root() {
        return;
    }
    for (role, address) in [("agent", AGENT), ("analyzer", ANALYZER), ("allinone", ANALYZER)] {
        let host = Host::new(role);
        let mut service = host.start(&[role], &[]);
        host.ask(address, |desk| {
            // What may be there when the end comes: a subscriber, a connection kept after its request, one on which
            // nothing was asked yet.
            let mut subscriber = desk.subscribe();
            let kept = TcpStream::connect(address).unwrap();
            (&kept).write_all(b"GET /api HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            assert!((&kept).read(&mut [0; 16]).unwrap() > 0);
            let _unused = TcpStream::connect(address).unwrap();
            service.signal(Signal::TERM);
            let ended = subscriber.until("a goodbye", |_, _| false);
            assert!(matches!(ended, Err(Ended::Closed { code: 1001, .. })), "{role}: {ended:?}");
            let status = service.ended(STOPPED);
            assert_eq!(status.code(), Some(0), "{role}:\n{}", service.log());
        });
    }
}

#[test]
fn a_request_that_never_gets_whole_does_not_hold_the_end_up_forever() {
    if !require_root() {
        return;
    }
    let host = Host::new("half");
    let mut service = host.start(&["analyzer"], &[]);
    host.ask(ANALYZER, |_| {
        let mut half = TcpStream::connect(ANALYZER).unwrap();
        half.write_all(b"POST /api/topology HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{").unwrap();
        service.signal(Signal::TERM);
        assert_eq!(service.ended(DRAINED).code(), Some(0), "{}", service.log());
    });
}

#[test]
fn sigint_ends_it_too() {
    if !require_root() {
        return;
    }
    let host = Host::new("int");
    let mut service = host.start(&["allinone"], &[]);
    host.ask(AGENT, |_| service.signal(Signal::INT));
    assert_eq!(service.ended(STOPPED).code(), Some(0), "{}", service.log());
}

#[test]
fn a_port_in_use_is_told_with_its_key() {
    if !require_root() {
        return;
    }
    let host = Host::new("taken");
    for (role, address, key) in [
        ("agent", AGENT, "agent.listen"),
        ("analyzer", ANALYZER, "analyzer.listen"),
        ("allinone", AGENT, "agent.listen"),
        ("allinone", ANALYZER, "analyzer.listen"),
    ] {
        let _taken = host.enter(|| TcpListener::bind(address).unwrap());
        let mut service = host.start(&[role], &[]);
        assert_eq!(service.ended(SOON).code(), Some(1), "{role}:\n{}", service.log());
        let log = service.log();
        assert!(log.contains(key) && log.contains(address) && log.contains("in use"), "{role}:\n{log}");
    }
}

#[test]
fn a_wrong_value_is_told_with_its_key_and_origin() {
    if !require_root() {
        return;
    }
    let host = Host::new("wrong");
    let file = host.directory().join("wrong.yml");
    std::fs::write(&file, "http:\n  ws:\n    ping_delay: often\n").unwrap();
    let file = file.to_str().unwrap();
    let mut service = host.start(&["allinone", "-c", file], &[]);
    assert_eq!(service.ended(SOON).code(), Some(1));
    let log = service.log();
    assert!(log.contains("http.ws.ping_delay") && log.contains(&format!("{file}:3")), "{log}");
}

/// A page of 2 MiB, of which an agent touches a little, counts as a whole.
#[test]
fn an_agent_has_small_pages() {
    if !require_root() {
        return;
    }
    let host = Host::new("page");
    let service = host.start(&["agent"], &[]);
    host.ask(AGENT, |_| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        assert_eq!(line.map(str::trim), Some("0"), "{status}");
    });
}
