//! What is counted is what was sent.

use skydive_capture::CaptureState;
use skydive_capture::FlowSearch;
use skydive_testnet::{eventually, require_root};

use crate::rig::{Rig, SOON, counted, stop};

#[test]
fn flows_count_what_ping_counts() {
    if !require_root() {
        return;
    }
    for kind in ["afpacket", "pcap"] {
        let rig = Rig::new(1);
        let mut config = rig.config("icmp");
        config.kind = kind.into();
        let capture = rig.begin(&config);
        rig.a.exec(&["ping", "-f", "-c200", "-s500", "10.99.0.2"]).unwrap();
        counted(&capture, 400);
        // All is there before anybody is told.
        let found = rig.search(&FlowSearch::all());
        assert_eq!((found.tables, found.looked_at, found.matched), (1, 1, 1));
        let metric = found.set.flows[0].metric;
        let bytes = 200 * (14 + 20 + 8 + 500);
        assert_eq!((metric.ab_packets, metric.ba_packets), (200, 200), "{kind}");
        assert_eq!((metric.ab_bytes, metric.ba_bytes), (bytes, bytes));
        assert!(metric.rtt > 0 && found.set.flows[0].last_update.is_none());

        let status = stop(capture);
        assert!(matches!(status.state, CaptureState::Stopped));
        assert_eq!((status.counters.received, status.counters.dropped_by_kernel), (400, 0));
        let told = rig.told.until("a flow", |flows| flows.len() == 1);
        assert_eq!(told[0].metric, metric);
        assert_eq!((told[0].node_tid.as_str(), told[0].capture_id.as_str()), ("tid", "capture"));
    }
}

#[test]
fn flows_count_what_iperf3_counts() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    let server = rig.b.spawn(&["iperf3", "-s"]).unwrap();
    let ask = ["iperf3", "-c", "10.99.0.2", "-u", "-b20M", "-l1000", "-n", "2000000", "-J"];
    // A host that is busy may lose the first word; what was sent until then is not counted.
    let (capture, packets) = eventually("iperf3", SOON, || {
        let capture = rig.begin(&rig.config("udp port 5201"));
        let report = rig.a.exec(&ask).ok()?;
        let (_, packets) = report.split_once("\"end\"")?.1.split_once("\"packets\":")?;
        let packets =
            packets.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()?;
        Some((capture, packets))
    })
    .unwrap();
    drop(server);
    assert_eq!(packets, 2000);
    let status = stop(capture);
    assert_eq!(status.counters.dropped_by_kernel, 0);
    let told = rig.told.until("a flow", |flows| flows.iter().any(|flow| flow.metric.ab_packets > 100));
    let flow = told.iter().find(|flow| flow.metric.ab_packets > 100).unwrap();
    // Before the data, both say a word of four bytes.
    let headers = 14 + 20 + 8;
    assert_eq!((flow.metric.ab_packets, flow.metric.ba_packets), (packets + 1, 1));
    assert_eq!(flow.metric.ab_bytes - (packets + 1) * headers, packets * 1000 + 4);
    assert_eq!(flow.metric.ba_bytes - headers, 4);
}

#[test]
fn filters_see_the_tags_that_the_kernel_takes_out() {
    if !require_root() {
        return;
    }
    let script = "import socket
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW)
s.bind(('va',0))
ip='45000020000100004011000002020202030303030400050000 0c0000'.replace(' ','')+'00'*4
for t,n in (('',5),('81000064',3),('88a8006581000066',2)):
    for i in range(n): s.send(bytes.fromhex('020000000002020000000001'+t+'0800'+ip)+bytes(14))";
    for (filter, packets, link_id) in [
        ("src host 2.2.2.2", 5, 0),
        ("vlan 100 and src host 2.2.2.2", 3, 100),
        ("vlan 101 and vlan 102 and src host 2.2.2.2", 2, 102 * 4096 + 101),
        ("vlan and src host 9.9.9.9", 0, 0),
    ] {
        let rig = Rig::new(1);
        let capture = rig.begin(&rig.config(filter));
        rig.a.exec(&["python3", "-c", script]).unwrap();
        let status = stop(capture);
        assert_eq!((status.counters.received, status.counters.accounted), (packets, packets), "{filter}");
        if packets > 0 {
            let told = rig.told.until("a flow", |flows| flows.len() == 1);
            assert_eq!(told[0].link.unwrap().id, link_id, "{filter}");
            let tags = (link_id > 0) as u64 * 4 + (link_id > 4095) as u64 * 4;
            assert_eq!(told[0].metric.ab_bytes, packets * (14 + tags + 32 + 14), "{filter}");
        }
    }
}

#[test]
fn no_more_than_the_snap_length_is_kept_and_all_is_counted() {
    if !require_root() {
        return;
    }
    for filter in ["", "udp", "udp and greater 900"] {
        let rig = Rig::new(1);
        let mut config = rig.config(filter);
        (config.snap_len, config.table.raw_packets) = (60, 2);
        let capture = rig.begin(&config);
        let socket = rig.socket("10.99.0.1:0");
        for _ in 0..5 {
            socket.send_to(&[7; 1000], "10.99.0.2:999").unwrap();
        }
        stop(capture);
        let told = rig.told.until("the flow", |flows| flows.iter().any(|flow| flow.metric.ab_packets == 5));
        let flow = told.iter().find(|flow| flow.metric.ab_packets == 5).unwrap();
        assert_eq!(flow.metric.ab_bytes, 5 * 1042, "{filter}");
        assert_eq!(flow.raw_packets_captured, 2);
        assert!(
            flow.raw_packets.len() == 2 && flow.raw_packets.iter().all(|packet| packet.bytes.len() == 60)
        );
    }
}

#[test]
fn threads_share_packets_and_count_each_once() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(2);
    let mut config = rig.config("udp and dst host 10.99.0.2");
    config.threads = 2;
    let capture = rig.begin(&config);
    rig.flood(64 * 200, 200, 100);
    counted(&capture, 64 * 200);
    let found = rig.search(&FlowSearch::all());
    assert_eq!((found.tables, found.matched), (2, 200));
    assert!(found.set.flows.iter().all(|flow| flow.metric.ab_packets == 64 && flow.metric.ba_packets == 0));
    let status = stop(capture);
    assert_eq!((status.counters.accounted, status.table.flows), (64 * 200, 200));
    rig.told.until("each flow once", |flows| flows.len() == 200);
}

#[test]
fn updates_come_while_packets_do() {
    if !require_root() {
        return;
    }
    let rig = Rig::new(1);
    let mut config = rig.config("icmp");
    config.table.update = std::time::Duration::from_secs(1);
    config.table.expire = std::time::Duration::from_secs(2);
    let capture = rig.begin(&config);
    rig.a.exec(&["ping", "-i0.1", "-c25", "10.99.0.2"]).unwrap();
    let told = rig.told.until("updates, and the end", |flows| {
        flows.last().is_some_and(|flow| flow.finish == skydive_flow::Finish::Timeout)
    });
    assert!(told.len() >= 3, "{told:?}");
    let sum: u64 = told.iter().map(|flow| flow.last_update.map_or(0, |update| update.ab_packets)).sum();
    assert_eq!((sum, told.last().unwrap().metric.ab_packets), (25, 25));
    stop(capture);
}
