//! One watched namespace: its sockets, and the questions they are asked.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{Facts, Parts};
use crate::ethtool::{self, DeviceFacts, Ethtool};
use crate::netlink::{
    Event, LinkFacts, LinkStats, Message, NeighFacts, NetlinkError, RequestSocket, Scratch,
};

/// Sockets opened in one namespace.
pub(super) struct Watched {
    pub(super) events: OwnedFd,
    /// Whether events were lost and the socket was not empty since.
    pub(super) draining: bool,
    pub(super) route: RequestSocket,
    pub(super) generic: RequestSocket,
    /// File of the namespace, to ask others for its id.
    pub(super) file: OwnedFd,
}

/// How often a dump is repeated when the tables changed under it.
const REPEATS: usize = 3;

const RTM_GETNSID: u16 = 90;
const NETNSA_FD: u16 = 3;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_VF: u32 = 1;
/// Proxies are a table of their own, told only to who asks for them.
const NTF_PROXY: u8 = 0x08;

impl Watched {
    pub(super) fn read(&mut self, parts: Parts, ethtool: Option<&Ethtool>, scratch: &mut Scratch) -> Facts {
        let mut facts = Facts::default();
        let wants = |part| parts.contains(part);
        let mut refused = Vec::new();
        if wants(Parts::LINKS) || wants(Parts::DEVICES) {
            let mut header = [0; 16];
            header[0] = libc::AF_UNSPEC as u8;
            let mask = RTEXT_FILTER_VF.to_ne_bytes();
            let links = self.collect(
                scratch,
                Parts::LINKS,
                libc::RTM_GETLINK,
                &header,
                &[(IFLA_EXT_MASK, &mask)],
                &mut refused,
                |e| match e {
                    Event::Link(link) => Some(*link),
                    _ => None,
                },
            );
            facts.devices = links.as_ref().filter(|_| wants(Parts::DEVICES)).map(|links| {
                if let Some(ethtool) = ethtool {
                    facts.feature_names = Arc::clone(&ethtool.features);
                }
                self.devices(links, ethtool, scratch)
            });
            facts.links = links;
        }
        if wants(Parts::ADDRS) {
            facts.addrs = self.collect(
                scratch,
                Parts::ADDRS,
                libc::RTM_GETADDR,
                &[0; 8],
                &[],
                &mut refused,
                |e| match e {
                    Event::Addr(addr) => Some(addr),
                    _ => None,
                },
            );
        }
        if wants(Parts::ROUTES) {
            // No family: the kernel goes through all that have routes, MPLS among them.
            facts.routes =
                self.collect(scratch, Parts::ROUTES, libc::RTM_GETROUTE, &[0; 12], &[], &mut refused, |e| {
                    match e {
                        Event::Route(mut route) => {
                            route.replaces = false;
                            Some(*route)
                        }
                        _ => None,
                    }
                });
        }
        if wants(Parts::NEIGHS) {
            let family = libc::AF_UNSPEC as u8;
            facts.neighs = self.neighs(scratch, Parts::NEIGHS, family, 0, &mut refused);
            let proxies = self.neighs(scratch, Parts::NEIGHS, family, NTF_PROXY, &mut refused);
            if let Some(neighs) = &mut facts.neighs {
                neighs.extend(proxies.unwrap_or_default());
            }
        }
        if wants(Parts::FDB) {
            facts.fdb = self.neighs(scratch, Parts::FDB, libc::AF_BRIDGE as u8, 0, &mut refused);
        }
        facts.refused = refused;
        facts
    }

    pub(super) fn stats(&mut self, scratch: &mut Scratch) -> Option<Vec<(u32, LinkStats)>> {
        const IFLA_STATS_LINK_64: u32 = 1;
        let mut header = [0; 12];
        header[8..].copy_from_slice(&IFLA_STATS_LINK_64.to_ne_bytes());
        let mut refused = Vec::new();
        self.collect(scratch, Parts::LINKS, libc::RTM_GETSTATS, &header, &[], &mut refused, |e| match e {
            Event::Stats(index, stats) => Some((index, stats)),
            _ => None,
        })
    }

    /// Collects a dump, again when the tables changed under it. After the last time it is taken as it is: every
    /// change that was missed waits as an event.
    #[expect(clippy::too_many_arguments, reason = "private, and each caller is one line of a table")]
    fn collect<T>(
        &mut self,
        scratch: &mut Scratch,
        part: Parts,
        kind: u16,
        header: &[u8],
        attr: &[(u16, &[u8])],
        refused: &mut Vec<(Parts, NetlinkError)>,
        take: impl Fn(Event) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut out = Vec::new();
        let result = repeatedly(|| {
            out.clear();
            self.route.dump(scratch, kind, attr, header, &mut |message| {
                if let Message::Event(event) = message {
                    out.extend(take(event));
                }
            })
        });
        match result {
            Ok(()) | Err(NetlinkError::Interrupted) => Some(out),
            Err(error) => {
                refused.push((part, error));
                None
            }
        }
    }

    fn neighs(
        &mut self,
        scratch: &mut Scratch,
        part: Parts,
        family: u8,
        flags: u8,
        refused: &mut Vec<(Parts, NetlinkError)>,
    ) -> Option<Vec<NeighFacts>> {
        let mut header = [0; 12];
        header[0] = family;
        header[10] = flags;
        self.collect(scratch, part, libc::RTM_GETNEIGH, &header, &[], refused, |e| match e {
            Event::Neigh(neigh) => Some(*neigh),
            _ => None,
        })
    }

    fn devices(
        &mut self,
        links: &[LinkFacts],
        ethtool: Option<&Ethtool>,
        scratch: &mut Scratch,
    ) -> Vec<DeviceFacts> {
        let mut links: Vec<&LinkFacts> = links.iter().collect();
        links.sort_unstable_by_key(|l| l.index);
        let mut devices: Vec<DeviceFacts> =
            links.iter().map(|l| DeviceFacts { index: l.index, ..DeviceFacts::default() }).collect();
        if let Some(ethtool) = ethtool {
            // Some drivers tell nothing; what they tell is kept.
            let _ = repeatedly(|| ethtool.read(&mut self.generic, scratch, None, &mut devices));
        }
        for device in &mut devices {
            ethtool::read_driver(&self.generic, device);
        }
        devices
    }

    pub(super) fn link(&mut self, index: u32, scratch: &mut Scratch) -> Option<LinkFacts> {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let mask = RTEXT_FILTER_VF.to_ne_bytes();
        let mut found = None;
        let result = repeatedly(|| {
            found = None;
            self.route.one(scratch, libc::RTM_GETLINK, &[(IFLA_EXT_MASK, &mask)], &header, &mut |m| {
                if let Message::Event(Event::Link(link)) = m {
                    found = Some(*link);
                }
            })
        });
        found.filter(|_| !matches!(result, Err(NetlinkError::Interrupted)))
    }

    pub(super) fn netns_id(&mut self, fd: u32, scratch: &mut Scratch) -> Option<i32> {
        let mut id = None;
        let ask = fd.to_ne_bytes();
        let result = self.route.one(scratch, RTM_GETNSID, &[(NETNSA_FD, &ask)], &[0; 4], &mut |m| {
            if let Message::Event(Event::NetnsId(number, _)) = m {
                id = Some(number);
            }
        });
        result.ok().and(id).filter(|id| *id >= 0)
    }
}

/// Asks, again when the tables changed under the answer.
fn repeatedly(mut ask: impl FnMut() -> Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    let mut result = ask();
    for _ in 1..REPEATS {
        if !matches!(result, Err(NetlinkError::Interrupted)) {
            break;
        }
        result = ask();
    }
    result
}
