//! An agent that does not follow what the kernel tells: it says so, and its graph is right again.

use rustix::process::Signal;
use skydive_testnet::{eventually, require_root};

use crate::stage::{AGENT, Host, SOON};

/// Changes between two looks at the socket.
const CHANGES: usize = 2_000;

#[test]
fn what_the_kernel_could_not_tell_is_counted() {
    if !require_root() {
        return;
    }
    let host = Host::new("lost");
    host.ip("link add one type veth peer name two");
    let service = host.start(&["agent"], &[]);
    host.ask(AGENT, |desk| {
        let shown = |name: &str| desk.graph()?.named(name).map(drop);
        eventually("the interfaces", SOON, || shown("two")).unwrap();
        let gaps = || desk.loss("NetlinkGaps", "skydive_netlink_gaps");
        assert_eq!((gaps(), desk.loss("NetlinkMalformed", "skydive_netlink_malformed")), (0, 0));

        service.signal(Signal::STOP);
        let lines: Vec<_> = (0..CHANGES).map(|i| format!("link set one mtu {}\n", 1000 + i % 400)).collect();
        let changes = lines.concat();
        let overflowed = (0..100).any(|_| {
            host.netns.batch(&changes).unwrap();
            has_dropped(&host)
        });
        host.ip("link set one name uno");
        service.signal(Signal::CONT);
        assert!(overflowed, "the socket is never full");

        eventually("the gap to be counted", SOON, || (gaps() > 0).then_some(())).unwrap();
        eventually("the new name", SOON, || shown("uno")).unwrap();
        let logged = || service.log().contains("the kernel dropped notifications").then_some(());
        eventually("the warning", SOON, logged).unwrap();
    });
}

/// Whether a socket of the host had no room for a message.
fn has_dropped(host: &Host) -> bool {
    let sockets = host.netns.exec(&["cat", "/proc/net/netlink"]).unwrap();
    let mut drops = sockets.lines().skip(1).filter_map(|socket| socket.split_whitespace().nth(8));
    drops.any(|drops| drops != "0")
}
