//! Cuts, kills, freezes and changes in no particular order, over and over: the graphs agree after every round.
//!
//! `SKYDIVE_CRASH_LOOPS` is the number of rounds, `SKYDIVE_CRASH_SEED` repeats an order; both are printed.

use std::os::unix::fs::symlink;

use rustix::process::Signal;
use skydive_testnet::{Netns, require_root};

use crate::cluster::{NAMES, RECONNECTED, Site};

/// Rounds when nobody says otherwise.
const LOOPS: u64 = 3;
/// What happens before everything is put right and looked at.
const EVENTS: usize = 8;

/// A die that falls the same way again.
struct Die(u64);

/// What was made on the hosts, so that it can be changed and taken away.
struct Inventory {
    links: u32,
    namespaces: Vec<Vec<Netns>>,
    frozen: [bool; NAMES.len()],
}

fn number_of(variable: &str, otherwise: u64) -> u64 {
    #[allow(clippy::disallowed_methods, reason = "a knob of the test")]
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

impl Die {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

impl Inventory {
    /// Many links come, most of them go again; some change their name, some get a master, some move away.
    fn storm(&mut self, site: &Site, n: usize) {
        self.links += 1;
        let round = self.links;
        let mut lines = format!("link add s{round} type bridge\nlink set s{round} up\n");
        for i in 0..40 {
            lines += &format!("link add a{round}x{i} type veth peer name b{round}x{i}\n");
            lines += &format!("link set a{round}x{i} master s{round} up\nlink set b{round}x{i} up\n");
            lines += &match i % 4 {
                0 => format!("link set b{round}x{i} down\nlink set b{round}x{i} name c{round}x{i}\n"),
                1 => format!("addr add 198.51.100.{i}/24 dev b{round}x{i}\n"),
                _ => format!("link del a{round}x{i}\n"),
            };
        }
        if let Some(netns) = self.namespaces[n].last() {
            lines += &format!("link set b{round}x1 netns {}\n", netns.name());
        }
        if round > 2 {
            // Bridges of earlier storms are on other hosts for the most part.
            lines += &format!("link set s{round} down\nlink del s{round}\n");
        }
        site.hosts[n].netns.batch(&lines).unwrap();
    }

    /// A named namespace with a link from the host into it.
    fn add_namespace(&mut self, site: &Site, n: usize) {
        self.links += 1;
        let netns = Netns::with_loopback("crash").unwrap();
        symlink(netns.path(), site.hosts[n].directory().join("netns").join(netns.name())).unwrap();
        let line = format!("link add n{0} type veth peer name e{0} netns {1}", self.links, netns.name());
        site.hosts[n].ip(&line);
        self.namespaces[n].push(netns);
    }

    fn delete_namespace(&mut self, site: &Site, n: usize) {
        if let Some(netns) = self.namespaces[n].pop() {
            std::fs::remove_file(site.hosts[n].directory().join("netns").join(netns.name())).unwrap();
        }
    }
}

#[test]
fn graphs_agree_after_rounds_of_everything() {
    if !require_root() {
        return;
    }
    let loops = number_of("SKYDIVE_CRASH_LOOPS", LOOPS);
    let seed = number_of("SKYDIVE_CRASH_SEED", u64::from(std::process::id()));
    println!("SKYDIVE_CRASH_LOOPS={loops} SKYDIVE_CRASH_SEED={seed}");
    let mut die = Die(seed);
    let mut site = Site::new();
    let mut made =
        Inventory { links: 0, namespaces: NAMES.map(|_| Vec::new()).into(), frozen: [false; NAMES.len()] };
    site.agree("at the start", RECONNECTED);
    for round in 0..loops {
        let mut story = Vec::new();
        for _ in 0..EVENTS {
            let n = die.below(NAMES.len());
            let name = NAMES[n];
            story.push(match die.below(11) {
                0 | 1 => {
                    site.cable(n, "down");
                    format!("cut {name}")
                }
                2 => {
                    site.cable(n, "up");
                    format!("heal {name}")
                }
                3 | 4 => {
                    site.kill_agent(n);
                    made.frozen[n] = false;
                    site.start_agent(n);
                    format!("kill and restart {name}")
                }
                5 => {
                    site.kill_analyzer();
                    site.start_analyzer();
                    "kill and restart the analyzer".to_owned()
                }
                6 => {
                    site.agent(n).signal(Signal::STOP);
                    made.frozen[n] = true;
                    format!("freeze {name}")
                }
                7 => {
                    if made.frozen[n] {
                        site.forgotten(n, "frozen");
                    }
                    format!("wait for the end of {name} if it is frozen")
                }
                8 => {
                    made.add_namespace(&site, n);
                    format!("add a namespace to {name}")
                }
                9 => {
                    made.delete_namespace(&site, n);
                    format!("delete a namespace of {name}")
                }
                _ => {
                    made.storm(&site, n);
                    format!("storm on {name}")
                }
            });
        }
        for n in 0..NAMES.len() {
            site.cable(n, "up");
            if std::mem::take(&mut made.frozen[n]) {
                site.agent(n).signal(Signal::CONT);
            }
        }
        site.agree(&format!("in round {round}, after {story:#?}"), RECONNECTED);
    }
}
