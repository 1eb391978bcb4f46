//! The virtual machine boots, has the link kinds that the tests count on, and gives back what it is asked for.

use std::path::Path;
use std::time::Duration;

use skydive_testnet::vm::{Vm, program};

/// An idle machine needs about ten seconds; a busy one gets time.
const DEADLINE: Duration = Duration::from_mins(3);

/// Every kind the tests may count on; one device each, as `ip link add` arguments.
const KINDS: &str = "
dummy0 type dummy
vlan10 link dummy0 type vlan id 10
bond0 type bond mode active-backup
team0 type team
vrf0 type vrf table 100
ipvl0 link dummy0 type ipvlan mode l2
macvl0 link vlan10 type macvlan mode bridge
macvt0 link vlan10 type macvtap
gen0 type geneve id 7 remote 192.0.2.1
vx0 type vxlan id 8 dstport 4789 remote 192.0.2.1
gre1 type gre local 192.0.2.1 remote 192.0.2.2
gretap1 type gretap local 192.0.2.1 remote 192.0.2.3
gre61 type ip6gre local 2001:db8::1 remote 2001:db8::2
ipip1 type ipip local 192.0.2.1 remote 192.0.2.4
sit1 type sit local 192.0.2.1 remote 192.0.2.5
tnl61 type ip6tnl local 2001:db8::1 remote 2001:db8::3
wg0 type wireguard
veth0 type veth peer name veth1
br0 type bridge vlan_filtering 1
ifb7 type ifb
";

#[test]
fn guest_has_every_link_kind_and_returns_files() {
    let script = format!(
        r#"set -e
while read -r name rest; do
  [ -n "$name" ] || continue
  ip link add "$name" $rest
  echo "made $name"
done <<'KINDS'
{KINDS}
KINDS
modprobe mpls_router
modprobe mpls_iptunnel
echo 100 >/proc/sys/net/mpls/platform_labels
modprobe openvswitch
ovs-dpctl add-dp dp0
ip link add port0 type dummy
ovs-dpctl add-if dp0 port0
ip tuntap add tap0 mode tap
ip netns add inner
ip link set veth1 netns inner
mkdir -p /out/sub
ip -d -o link >/out/links
ip -V >/out/sub/version
"#
    );
    let output = Vm::run(&[], &script, DEADLINE).and_then(|output| output.success()).unwrap();
    let links = output.text("links").unwrap();
    println!("{}\n{links}", output.console);
    for line in KINDS.lines().filter(|line| !line.is_empty()) {
        let name = line.split(' ').next().unwrap();
        assert!(links.lines().any(|shown| shown.contains(&format!(" {name}"))), "{name}:\n{links}");
    }
    let port = links.lines().find(|line| line.contains(" port0:")).unwrap();
    assert!(port.contains("master dp0") && port.contains("openvswitch_slave"), "{port}");
    assert!(output.text("sub/version").unwrap().contains("iproute2"));
}

#[test]
fn guest_runs_a_program_of_the_host_and_reports_its_status() {
    let host = std::env::current_exe().unwrap();
    let mut files = program(&host, "/bin/the-test").unwrap();
    assert!(files.len() > 1, "a test binary links the C library: {files:?}");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    files.push((data, "/data/deep/manifest".to_owned()));
    let script = "grep -q skydive-testnet /data/deep/manifest || exit 1\n/bin/the-test --list\nexit 7";
    let output = Vm::run(&files, script, DEADLINE).unwrap();
    assert_eq!(output.exit, 7, "{}", output.console);
    assert!(output.console.contains("guest_runs_a_program_of_the_host"), "{}", output.console);
    assert!(output.success().unwrap_err().to_string().contains("ended with 7"));
}
