//! Three agents and an analyzer, each on its own host: whatever is cut or killed, their graphs agree again.

use std::time::Duration;

use serde_json::Value as Json;
use skydive_testnet::{bridge, eventually, require_root, veth_pair};

use crate::stage::{AGENT, Graph, Host, Service, text};

/// `http.ws.ping_delay` and `http.ws.pong_timeout`, in seconds.
const PING: u64 = 1;
const PONG: u64 = 2;
/// After this an end that hears nothing has noticed; the rest is for a busy machine.
const NOTICED: Duration = Duration::from_secs(PING + PONG + 3);
/// A dial that was going nowhere ends (5 s), the pause before the next one (1 s), the dial; and for a busy machine.
pub(crate) const RECONNECTED: Duration = Duration::from_secs(PING + PONG + 5 + 1 + 4);

const HUB: &str = "10.77.0.1:8082";
pub(crate) const NAMES: [&str; 3] = ["a1", "a2", "a3"];

/// The hosts, joined by a bridge on the analyzer's.
pub(crate) struct Site {
    hub: Host,
    pub(crate) hosts: Vec<Host>,
    analyzer: Option<Service>,
    agents: Vec<Option<Service>>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let hub = Host::new("hub");
        let hosts: Vec<Host> = NAMES.iter().map(|name| Host::new(name)).collect();
        for (host, name) in hosts.iter().zip(NAMES) {
            veth_pair(&hub.netns, &format!("to-{name}"), &host.netns, "eth0").unwrap();
        }
        bridge(&hub.netns, "br0", &NAMES.map(|name| format!("to-{name}")).each_ref().map(String::as_str))
            .unwrap();
        hub.ip("addr add 10.77.0.1/24 dev br0");
        for (host, number) in hosts.iter().zip(2..) {
            host.ip(&format!("addr add 10.77.0.{number}/24 dev eth0"));
        }
        let mut site = Self { hub, hosts, analyzer: None, agents: Vec::new() };
        site.start_analyzer();
        site.agents.resize_with(NAMES.len(), || None);
        (0..NAMES.len()).for_each(|n| site.start_agent(n));
        site
    }

    pub(crate) fn start_analyzer(&mut self) {
        let (ping, pong) = (PING.to_string(), PONG.to_string());
        let environment = [
            ("SKYDIVE_HOST_ID", "hub"),
            ("SKYDIVE_ANALYZER_LISTEN", HUB),
            ("SKYDIVE_HTTP_WS_PING_DELAY", ping.as_str()),
            ("SKYDIVE_HTTP_WS_PONG_TIMEOUT", pong.as_str()),
        ];
        self.analyzer = Some(self.hub.start(&["analyzer"], &environment));
    }

    pub(crate) fn start_agent(&mut self, n: usize) {
        let (ping, pong) = (PING.to_string(), PONG.to_string());
        // The second one's queue overflows at every burst: it has to start over, and must be right all the same.
        let queue = if n == 1 { "3" } else { "10000" };
        let environment = [
            ("SKYDIVE_HTTP_WS_QUEUE_SIZE", queue),
            ("SKYDIVE_HOST_ID", NAMES[n]),
            ("SKYDIVE_ANALYZERS", HUB),
            ("SKYDIVE_HTTP_WS_PING_DELAY", ping.as_str()),
            ("SKYDIVE_HTTP_WS_PONG_TIMEOUT", pong.as_str()),
        ];
        self.agents[n] = Some(self.hosts[n].start(&["agent"], &environment));
    }

    pub(crate) fn kill_analyzer(&mut self) {
        self.analyzer.take().unwrap().kill();
    }

    pub(crate) fn kill_agent(&mut self, n: usize) {
        self.agents[n].take().unwrap().kill();
    }

    pub(crate) fn agent(&self, n: usize) -> &Service {
        self.agents[n].as_ref().unwrap()
    }

    pub(crate) fn cable(&self, n: usize, state: &str) {
        self.hub.ip(&format!("link set to-{} {state}", NAMES[n]));
    }

    /// What the analyzer has; `None` while it does not answer.
    fn merged(&self) -> Option<Graph> {
        self.hub.enter(|| crate::stage::Desk::new(HUB).graph())
    }

    /// What an agent has itself.
    fn own(&self, n: usize) -> Option<Graph> {
        self.hosts[n].enter(|| crate::stage::Desk::new(AGENT).graph())
    }

    /// The interfaces that the kernel itself tells of.
    fn kernel_interfaces(&self, n: usize) -> Vec<String> {
        let links: Vec<Json> =
            serde_json::from_str(&self.hosts[n].netns.ip(&["-j", "link", "show"]).unwrap()).unwrap();
        let mut names: Vec<String> = links.iter().map(|link| text(link, "/ifname").to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Waits until what the analyzer has of every agent is what the agent has: the same elements, with the same
    /// fields down to the revision. And nothing is there that no agent has, and the host's interfaces are those that
    /// the kernel tells of.
    pub(crate) fn agree(&self, when: &str, deadline: Duration) {
        let mut differences = vec!["no answer".to_owned()];
        let agreed = eventually("the graphs to agree", deadline, || {
            let merged = self.merged()?;
            differences.clear();
            let mut rest = merged.clone();
            for (n, name) in NAMES.iter().enumerate() {
                let origin = format!("agent.{name}");
                let own = self.own(n)?;
                let told = own.differences(&merged.part(&origin));
                differences.extend(told.into_iter().map(|line| format!("{name}: {line}")));
                let (shown, there) = (own.interfaces_of_host(), self.kernel_interfaces(n));
                if shown != there {
                    differences.push(format!("{name}: shows {shown:?}, has {there:?}"));
                }
                rest.nodes.retain(|_, node| text(node, "/Origin") != origin);
                rest.edges.retain(|_, edge| text(edge, "/Origin") != origin);
            }
            differences.extend(Graph::default().differences(&rest));
            differences.is_empty().then_some(())
        });
        assert!(agreed.is_ok(), "{when}, after {deadline:?}:\n{}", differences.join("\n"));
    }

    /// Waits until the analyzer has nothing of an agent.
    pub(crate) fn forgotten(&self, n: usize, when: &str) {
        let origin = format!("agent.{}", NAMES[n]);
        let gone = eventually("nothing to be left", NOTICED, || {
            self.merged()?.part(&origin).is_empty().then_some(())
        });
        assert!(gone.is_ok(), "{when}: {:#?}", self.merged().map(|graph| graph.part(&origin)));
    }
}

#[test]
fn graphs_agree_after_every_cut_and_kill() {
    if !require_root() {
        return;
    }
    let mut site = Site::new();
    site.agree("at the start", RECONNECTED);

    for host in &site.hosts {
        host.netns
            .batch(
                "link add v0 type veth peer name v1\nlink add br0 type bridge\nlink set v0 master br0\n\
                 link set v0 up\nlink set v1 up\nlink set br0 up\naddr add 192.0.2.1/24 dev br0\n\
                 link set v1 name renamed\nlink add gone type veth peer name gone-p\nlink del gone\n",
            )
            .unwrap();
    }
    site.agree("after changes", RECONNECTED);

    // A cut so short that nobody notices: what was said meanwhile arrives late.
    site.cable(0, "down");
    site.hosts[0].ip("link add blink type veth peer name blink-p");
    site.cable(0, "up");
    site.agree("after a short cut", RECONNECTED);

    // A cut that both ends notice.
    site.cable(1, "down");
    site.hosts[1].ip("link del renamed");
    site.forgotten(1, "while cut");
    site.hosts[1].ip("link add during type veth peer name during-p");
    site.cable(1, "up");
    site.agree("after a long cut", RECONNECTED);

    // An agent that is killed is forgotten, also when it says no goodbye.
    site.kill_agent(2);
    site.forgotten(2, "killed");
    site.hosts[2].ip("link del renamed");
    site.start_agent(2);
    site.agree("after the restart of an agent", RECONNECTED);

    // One that is killed and comes back before the analyzer can know of its end.
    site.cable(0, "down");
    site.kill_agent(0);
    site.start_agent(0);
    site.cable(0, "up");
    site.agree("after a kill behind a cut", RECONNECTED);

    site.kill_analyzer();
    site.hosts[1].ip("link del during");
    site.start_analyzer();
    site.agree("after the restart of the analyzer", RECONNECTED);

    // Everything at once.
    site.cable(1, "down");
    site.kill_analyzer();
    site.kill_agent(2);
    site.start_analyzer();
    site.start_agent(2);
    site.cable(1, "up");
    site.agree("after all of it", RECONNECTED);
}
