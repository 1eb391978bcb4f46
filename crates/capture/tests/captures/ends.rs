//! How captures end, and what does not begin.

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use skydive_capture::{CaptureConfig, CaptureError, CaptureState, StartError};
use skydive_sys::{Namespaces, NsRef, RingError};
use skydive_testnet::require_root;

use crate::rig::{Rig, SOON, captures, counted, status, stop, wait};

#[test]
fn an_interface_that_is_deleted_ends_its_capture_and_no_other() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    rig.b.ip(&["link", "add", "keep", "type", "veth", "peer", "name", "peek"]).unwrap();
    let mut other = rig.config("");
    other.interface = crate::rig::index(&rig.b, "keep");
    let other = rig.begin(&other);
    let mut capture = rig.begin(&rig.config("icmp"));
    rig.a.exec(&["ping", "-f", "-c50", "10.99.0.2"]).unwrap();
    rig.b.ip(&["link", "del", "vb"]).unwrap();
    let status = wait(async { tokio::time::timeout(SOON, capture.ended()).await }).unwrap();
    assert!(matches!(status.state, CaptureState::Failed(CaptureError::InterfaceGone)), "{status:?}");
    assert_eq!((status.counters.received, status.counters.accounted), (100, 100));
    let told = rig.told.until("the flow", |flows| flows.len() == 1);
    assert_eq!(told[0].metric.ab_packets, 50);
    assert!(!other.status().state.has_ended());
    stop(other);
}

#[test]
fn a_namespace_that_goes_ends_its_captures() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    let mut capture = rig.begin(&rig.config(""));
    let path = rig.b.path();
    let Rig { captures, told, namespaces, a, b } = rig;
    b.delete().unwrap();
    let status = wait(async { tokio::time::timeout(SOON, capture.ended()).await }).unwrap();
    let CaptureState::Failed(error @ CaptureError::NamespaceGone(_)) = status.state else {
        panic!("{status:?}")
    };
    assert_eq!(error.to_string(), format!("the namespace {} is gone", path.display()));
    drop((capture, captures, told, namespaces, a));
}

#[test]
fn an_interface_that_is_down_is_captured_when_it_is_up() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    rig.b.ip(&["link", "set", "vb", "down"]).unwrap();
    let capture = rig.begin(&rig.config("icmp"));
    status(&capture, "down", |status| matches!(status.state, CaptureState::Down));
    rig.b.ip(&["link", "set", "vb", "up"]).unwrap();
    status(&capture, "up", |status| matches!(status.state, CaptureState::Active));
    rig.a.exec(&["ping", "-c5", "-i0.01", "-W5", "10.99.0.2"]).unwrap();
    counted(&capture, 2);
    stop(capture);
}

#[test]
fn what_cannot_begin_says_why() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    let fails = |config: CaptureConfig| rig.captures.begin(&config).unwrap_err().to_string();
    let config = rig.config("");
    assert_eq!(
        fails(CaptureConfig { kind: "sonar".into(), ..config.clone() }),
        "no kind of capture is called \"sonar\""
    );
    assert_eq!(
        fails(CaptureConfig { filter: "tcp port".into(), ..config.clone() }),
        fails(CaptureConfig { filter: "tcp port".into(), kind: "pcapsocket".into(), ..config.clone() }),
    );
    assert!(fails(CaptureConfig { filter: "tcp port".into(), ..config.clone() }).starts_with("filter: "));
    assert_eq!(
        fails(CaptureConfig { filter: "ether[-1] = 1".into(), ..config.clone() }),
        "the kernel refuses the filter"
    );
    assert_eq!(fails(CaptureConfig { interface: 4711, ..config.clone() }), "no interface 4711");
    let gone = NsRef::Path("/run/netns/there-is-none".into());
    assert_eq!(
        fails(CaptureConfig { place: gone, ..config.clone() }),
        "namespace file /run/netns/there-is-none"
    );
    // Nothing of it is left, and what is right begins.
    stop(rig.begin(&config));
}

#[test]
fn without_rights_it_says_which_are_missing() {
    if !require_root() {
        return;
    }
    let namespaces = Namespaces::start().unwrap();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    namespaces.enter(&NsRef::Here, move || set_capabilities(None, none).unwrap()).unwrap();
    let (captures, _told) = captures(1, &namespaces);
    let error = captures.begin(&CaptureConfig::new("afpacket", NsRef::Here, 1)).unwrap_err();
    assert!(matches!(error, StartError::Ring(RingError::NotPermitted(_))), "{error}");
    assert_eq!(error.to_string(), "opening a packet socket takes CAP_NET_RAW");
}

#[test]
fn captures_that_are_dropped_tell_of_their_flows() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(2);
    let captures: Vec<_> = (0..6).map(|_| rig.begin(&rig.config("icmp"))).collect();
    rig.a.exec(&["ping", "-f", "-c10", "10.99.0.2"]).unwrap();
    for capture in &captures {
        counted(capture, 20);
    }
    drop(captures);
    let told = rig.told.until("a flow of each", |flows| flows.len() == 6);
    assert!(told.iter().all(|flow| flow.metric.ab_packets == 10));
}
