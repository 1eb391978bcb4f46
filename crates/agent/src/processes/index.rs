//! What is known of sockets: those that are there, and those that were until some minutes ago.
//!
//! A side of a flow is looked up by both ends of its conversation, in all namespaces at once: a capture on a cable between
//! two of them sees the sockets of both. The same ends in two namespaces at the same time are two processes; then only
//! that of the capture's own namespace counts. Without such a socket it is whoever listens at the side's address, in the
//! namespace that has this address.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use skydive_flow::{Flow, Process, Processes, TransportProtocol};
use skydive_sys::netlink::SocketProtocol;
use skydive_sys::{NsId, NsRef};

/// Both ends of a connected socket, its own first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    local: ([u8; 16], u16),
    remote: ([u8; 16], u16),
    protocol: SocketProtocol,
}

/// A socket: whose it is, and when it was there. Times in milliseconds since the epoch.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) namespace: Option<NsId>,
    pub(super) process: Arc<Process>,
    pub(super) since: i64,
    /// [`OPEN`] as long as it is there.
    pub(super) until: i64,
}

/// A socket that takes what comes, from anybody.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) at: SocketAddr,
    /// Whether it takes IPv4 as well, being bound to no address of IPv6.
    pub(super) is_dual: bool,
    pub(super) seen: Seen,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    connected: HashMap<Ends, Vec<Seen>>,
    /// Those that have gone, the first to go first.
    gone: VecDeque<(i64, Ends)>,
    listeners: HashMap<(NsId, SocketProtocol, u16), Vec<Listener>>,
    /// Whose an address is.
    addresses: HashMap<IpAddr, Vec<NsId>>,
    places: HashMap<NsRef, NsId>,
    /// Sockets there was no room for.
    pub(super) cut: u64,
}

/// The end of a socket that is there.
pub(super) const OPEN: i64 = i64::MAX;
/// Connected sockets that are known at most, with those that have gone.
pub(super) const MOST: usize = 200_000;
/// How long a socket is known that has gone: longer than a flow stays in a table and is told of; milliseconds.
const KEEP: i64 = 15 * 60 * 1000;
/// How much later than its first packet, or earlier than its last one, a socket may be seen; milliseconds.
const SLACK: i64 = 2000;
/// Namespaces with sockets of the same ends that are known.
const MOST_ALIKE: usize = 8;

impl Ends {
    pub(super) fn new(protocol: SocketProtocol, local: SocketAddr, remote: SocketAddr) -> Self {
        let end = |at: SocketAddr| {
            let octets = match at.ip() {
                IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
                IpAddr::V6(six) => six.octets(),
            };
            (octets, at.port())
        };
        Self { local: end(local), remote: end(remote), protocol }
    }

    /// Those of a socket whose own address is not chosen yet.
    fn unbound(protocol: SocketProtocol, local: SocketAddr, remote: SocketAddr) -> Self {
        let any: IpAddr = match local.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::new(protocol, SocketAddr::new(any, local.port()), remote)
    }

    pub(super) fn is_tcp(&self) -> bool {
        self.protocol == SocketProtocol::Tcp
    }
}

impl Seen {
    fn was_there(&self, from: i64, to: i64) -> bool {
        self.since <= to.saturating_add(SLACK) && self.until >= from.saturating_sub(SLACK)
    }
}

impl Listener {
    fn takes(&self, ip: IpAddr) -> bool {
        match self.at.ip() {
            IpAddr::V4(own) if own.is_unspecified() => ip.is_ipv4(),
            IpAddr::V6(own) if own.is_unspecified() => ip.is_ipv6() || self.is_dual,
            own => own == ip,
        }
    }
}

impl Index {
    /// The processes of both sides of a flow that was captured in `place`.
    pub(super) fn processes(&self, place: &NsRef, flow: &Flow) -> Processes {
        let (Some(network), Some(transport)) = (&flow.network, &flow.transport) else {
            return Processes::default();
        };
        let protocol = match transport.protocol {
            TransportProtocol::Tcp => SocketProtocol::Tcp,
            TransportProtocol::Udp => SocketProtocol::Udp,
            TransportProtocol::Sctp => return Processes::default(),
        };
        let a = SocketAddr::new(network.a, transport.a);
        let b = SocketAddr::new(network.b, transport.b);
        let span = (flow.start.as_millis(), flow.last.as_millis());
        let of = |local, remote| {
            let connected = self.connected(place, Ends::new(protocol, local, remote), span);
            let sent = || self.unbound(place, Ends::unbound(protocol, local, remote), local.ip(), span);
            connected.or_else(sent).or_else(|| self.listening(place, protocol, local, span))
        };
        Processes { a: of(a, b), b: of(b, a) }
    }

    fn connected(&self, place: &NsRef, ends: Ends, (from, to): (i64, i64)) -> Option<Arc<Process>> {
        let known = self.connected.get(&ends)?;
        let mut there = known.iter().filter(|seen| seen.was_there(from, to));
        let first = there.next()?;
        if there.all(|other| other.process == first.process) {
            return Some(Arc::clone(&first.process));
        }
        let here = *self.places.get(place)?;
        let mut there = known.iter().filter(|seen| seen.was_there(from, to));
        Some(Arc::clone(&there.find(|seen| seen.namespace == Some(here))?.process))
    }

    /// Who sent from a port when the address was not chosen yet: only somebody who has the address.
    fn unbound(
        &self,
        place: &NsRef,
        ends: Ends,
        local: IpAddr,
        (from, to): (i64, i64),
    ) -> Option<Arc<Process>> {
        let known = self.connected.get(&ends)?;
        let here = self.places.get(place).copied();
        // Where one was that ended at once may not be known.
        let is_own = |seen: &&Seen| match (self.addresses.get(&local), seen.namespace) {
            (_, namespace) if local.is_loopback() => namespace.is_some() && namespace == here,
            (Some(owners), Some(namespace)) => owners.contains(&namespace),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let mut there = known.iter().filter(|seen| seen.was_there(from, to)).filter(is_own);
        let first = there.next()?;
        let is_here = |seen: &&Seen| seen.namespace == here;
        match there.next() {
            None => Some(Arc::clone(&first.process)),
            Some(second) => {
                let one = [first, second].into_iter().chain(there).find(is_here)?;
                Some(Arc::clone(&one.process))
            }
        }
    }

    fn listening(
        &self,
        place: &NsRef,
        protocol: SocketProtocol,
        local: SocketAddr,
        (from, to): (i64, i64),
    ) -> Option<Arc<Process>> {
        let here = self.places.get(place).copied();
        let listens = |namespace: NsId| {
            let known = self.listeners.get(&(namespace, protocol, local.port()))?;
            let mut there = known.iter().filter(|one| one.seen.was_there(from, to) && one.takes(local.ip()));
            let first = there.next()?;
            // Who is bound to the address itself is asked before who takes all.
            let exact = std::iter::once(first).chain(there).find(|one| one.at.ip() == local.ip());
            Some(Arc::clone(&exact.unwrap_or(first).seen.process))
        };
        if local.ip().is_loopback() {
            return listens(here?);
        }
        let owners = self.addresses.get(&local.ip())?;
        match here {
            Some(here) if owners.contains(&here) => listens(here),
            _ => match owners.as_slice() {
                [one] => listens(*one),
                _ => None,
            },
        }
    }

    /// Notes a connected socket.
    pub(super) fn see(&mut self, ends: Ends, seen: Seen) {
        if self.connected.len() >= MOST && !self.connected.contains_key(&ends) && !self.forget_oldest() {
            self.cut += 1;
            return;
        }
        let until = seen.until;
        let known = self.connected.entry(ends).or_default();
        let is_same = |old: &Seen| {
            old.namespace == seen.namespace || old.namespace.is_none() || seen.namespace.is_none()
        };
        let has_room = known.len() < MOST_ALIKE;
        match known.iter_mut().find(|old| is_same(old)) {
            Some(old) => {
                let since = if old.until == OPEN { old.since.min(seen.since) } else { seen.since };
                let namespace = seen.namespace.or(old.namespace);
                *old = Seen { namespace, since, ..seen };
            }
            None if has_room => known.push(seen),
            None => self.cut += 1,
        }
        if until != OPEN {
            self.note_gone(ends, until);
        }
    }

    fn note_gone(&mut self, ends: Ends, until: i64) {
        if self.gone.len() >= MOST {
            self.forget_oldest();
        }
        self.gone.push_back((until, ends));
    }

    /// Whether a socket is known that is there now.
    pub(super) fn is_open(&self, ends: &Ends) -> bool {
        self.connected.get(ends).is_some_and(|known| known.iter().any(|seen| seen.until == OPEN))
    }

    /// Whether a socket of this process is known that is there now or was a moment ago.
    pub(super) fn was_just_there(&self, ends: &Ends, pid: u32, now: i64) -> bool {
        let is_it = |seen: &Seen| seen.process.pid == pid && seen.until >= now.saturating_sub(SLACK / 2);
        self.connected.get(ends).is_some_and(|known| known.iter().any(is_it))
    }

    /// Notes that a socket has gone: that of the namespace if one is told.
    pub(super) fn close(&mut self, ends: Ends, namespace: Option<NsId>, now: i64) {
        let Some(known) = self.connected.get_mut(&ends) else { return };
        let mut open = known.iter_mut().filter(|seen| seen.until == OPEN);
        let found = match namespace {
            Some(_) => open.find(|seen| seen.namespace == namespace || seen.namespace.is_none()),
            None => open.next(),
        };
        if let Some(seen) = found {
            seen.until = now;
            self.note_gone(ends, now);
        }
    }

    /// Notes what a namespace has: those who listen there by one of the transports `listed`, and its addresses.
    pub(super) fn settle(
        &mut self,
        place: &NsRef,
        namespace: NsId,
        listed: &[SocketProtocol],
        listeners: Vec<(SocketProtocol, Listener)>,
        addresses: &[IpAddr],
        now: i64,
    ) {
        self.places.insert(place.clone(), namespace);
        for known in self
            .listeners
            .iter_mut()
            .filter(|((of, protocol, _), _)| *of == namespace && listed.contains(protocol))
        {
            for one in known.1.iter_mut().filter(|one| one.seen.until == OPEN) {
                one.seen.until = now;
            }
        }
        for (protocol, listener) in listeners {
            let known = self.listeners.entry((namespace, protocol, listener.at.port())).or_default();
            let is_it = |old: &&mut Listener| {
                old.at == listener.at && old.seen.process == listener.seen.process && old.seen.until == now
            };
            match known.iter_mut().find(is_it) {
                Some(old) => old.seen.until = OPEN,
                None => known.push(listener),
            }
        }
        self.forget_addresses(|owner| *owner == namespace);
        for address in addresses {
            self.addresses.entry(*address).or_default().push(namespace);
        }
    }

    /// Forgets what has gone long ago, and the namespaces that are none of `alive`.
    pub(super) fn forget(&mut self, alive: &[NsId], now: i64) {
        while self.gone.front().is_some_and(|(until, _)| *until < now.saturating_sub(KEEP)) {
            self.forget_oldest();
        }
        self.listeners.retain(|(namespace, ..), known| {
            let is_alive = alive.contains(namespace);
            known.retain_mut(|one| {
                if !is_alive && one.seen.until == OPEN {
                    one.seen.until = now;
                }
                one.seen.until >= now.saturating_sub(KEEP)
            });
            !known.is_empty()
        });
        self.forget_addresses(|owner| !alive.contains(owner));
        self.places.retain(|_, namespace| alive.contains(namespace));
    }

    fn forget_addresses(&mut self, which: impl Fn(&NsId) -> bool) {
        self.addresses.retain(|_, owners| {
            owners.retain(|owner| !which(owner));
            !owners.is_empty()
        });
    }

    /// Forgets the socket that went first. Says whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some((until, ends)) = self.gone.pop_front() else { return false };
        if let Some(known) = self.connected.get_mut(&ends) {
            known.retain(|seen| seen.until != until);
            if known.is_empty() {
                self.connected.remove(&ends);
            }
        }
        true
    }

    /// Connected sockets that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.connected.len()
    }
}

#[cfg(test)]
mod tests {
    use skydive_flow::{FlowId, Network, Transport};
    use skydive_value::Timestamp;

    use super::*;

    const ONE: NsId = NsId { dev: 4, ino: 1 };
    const TWO: NsId = NsId { dev: 4, ino: 2 };

    fn process(name: &str) -> Arc<Process> {
        Arc::new(Process { name: name.into(), ..Process::default() })
    }

    fn seen(namespace: NsId, name: &str, since: i64, until: i64) -> Seen {
        Seen { namespace: Some(namespace), process: process(name), since, until }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ends(local: &str, remote: &str) -> Ends {
        Ends::new(SocketProtocol::Tcp, at(local), at(remote))
    }

    fn names(index: &Index, place: &NsRef, a: &str, b: &str, span: (i64, i64)) -> [String; 2] {
        let (a, b) = (at(a), at(b));
        let flow = Flow {
            network: Some(Network { a: a.ip(), b: b.ip(), id: 0 }),
            transport: Some(Transport { protocol: TransportProtocol::Tcp, a: a.port(), b: b.port() }),
            start: Timestamp::from_millis(span.0),
            last: Timestamp::from_millis(span.1),
            ..flow()
        };
        let Processes { a, b } = index.processes(place, &flow);
        [a, b].map(|side| side.map(|process| process.name.to_string()).unwrap_or_default())
    }

    fn flow() -> Flow {
        skydive_proto::flow_of_json(br#"{"UUID": "1"}"#, &skydive_proto::FlowLimits::default())
            .map(|flow| Flow { uuid: FlowId(1), ..flow })
            .unwrap()
    }

    const TCP: &[SocketProtocol] = &[SocketProtocol::Tcp];
    const SPAN: (i64, i64) = (10_000, 10_005);

    #[test]
    fn both_sides_in_time() {
        let mut index = Index::default();
        index.see(ends("10.0.0.1:1000", "10.0.0.2:80"), seen(ONE, "curl", 9000, OPEN));
        index.see(ends("10.0.0.2:80", "10.0.0.1:1000"), seen(TWO, "nginx", i64::MIN, OPEN));
        let of = |index: &Index, span| names(index, &NsRef::Here, "10.0.0.1:1000", "10.0.0.2:80", span);
        assert_eq!(of(&index, SPAN), ["curl", "nginx"]);
        index.close(ends("10.0.0.1:1000", "10.0.0.2:80"), None, 10_001);
        assert_eq!(of(&index, SPAN), ["curl", "nginx"]);
        // Long before, and after it had gone.
        assert_eq!(of(&index, (1000, 2000)), ["", "nginx"]);
        assert_eq!(of(&index, (20_000, 20_000)), ["", "nginx"]);
        // The next with the same ends is another.
        index.see(ends("10.0.0.1:1000", "10.0.0.2:80"), seen(ONE, "wget", 19_000, OPEN));
        assert_eq!(of(&index, (20_000, 20_000)), ["wget", "nginx"]);
        assert_eq!(of(&index, SPAN), ["", "nginx"]);
    }

    #[test]
    fn the_same_ends_in_two_namespaces_are_told_apart_by_the_place() {
        let mut index = Index::default();
        let place = NsRef::Path("/two".into());
        index.settle(&place, TWO, TCP, Vec::new(), &[], 0);
        index.see(ends("10.0.0.1:1000", "10.0.0.2:80"), seen(ONE, "curl", 0, OPEN));
        index.see(ends("10.0.0.1:1000", "10.0.0.2:80"), seen(TWO, "wget", 0, OPEN));
        assert_eq!(names(&index, &place, "10.0.0.1:1000", "10.0.0.2:80", SPAN), ["wget", ""]);
        assert_eq!(names(&index, &NsRef::Here, "10.0.0.1:1000", "10.0.0.2:80", SPAN), ["", ""]);
    }

    #[test]
    fn who_sent_before_it_chose_an_address_has_the_address() {
        let mut index = Index::default();
        let (here, there) = (NsRef::Path("/one".into()), NsRef::Path("/two".into()));
        let own = |ip: &str| [ip.parse().unwrap()];
        index.settle(&here, ONE, TCP, Vec::new(), &own("10.0.0.1"), 0);
        index.settle(&there, TWO, TCP, Vec::new(), &own("10.0.0.2"), 0);
        index.see(ends("0.0.0.0:4000", "10.0.0.9:53"), seen(ONE, "dig", 10_000, 10_000));
        let of = |index: &Index, place, a: &str| names(index, place, a, "10.0.0.9:53", SPAN)[0].clone();
        assert_eq!(of(&index, &there, "10.0.0.1:4000"), "dig");
        assert_eq!(of(&index, &there, "10.0.0.2:4000"), "", "an address of another namespace");
        assert_eq!(of(&index, &there, "10.0.0.3:4000"), "", "an address of another host");
        assert_eq!(names(&index, &here, "10.0.0.1:4000", "10.0.0.9:53", (90_000, 90_000))[0], "", "too late");
        index.see(ends("0.0.0.0:4000", "127.0.0.1:53"), seen(TWO, "host", 10_000, 10_000));
        assert_eq!(names(&index, &there, "127.0.0.1:4000", "127.0.0.1:53", SPAN)[0], "host");
        assert_eq!(names(&index, &here, "127.0.0.1:4000", "127.0.0.1:53", SPAN)[0], "");
        // Two that have the same address: that of the capture's namespace.
        index.settle(&there, TWO, TCP, Vec::new(), &own("10.0.0.1"), 0);
        index.see(ends("0.0.0.0:4000", "10.0.0.9:53"), seen(TWO, "drill", 10_000, 10_000));
        assert_eq!(of(&index, &there, "10.0.0.1:4000"), "drill");
        assert_eq!(of(&index, &here, "10.0.0.1:4000"), "dig");
        assert_eq!(of(&index, &NsRef::Here, "10.0.0.1:4000"), "");
        assert!(index.was_just_there(&ends("0.0.0.0:4000", "10.0.0.9:53"), 0, 10_100));
        assert!(!index.was_just_there(&ends("0.0.0.0:4000", "10.0.0.9:53"), 7, 10_100));
        assert!(!index.was_just_there(&ends("0.0.0.0:4000", "10.0.0.9:53"), 0, 12_000));
    }

    #[test]
    fn who_listens_speaks_for_its_own_address() {
        let mut index = Index::default();
        let listens = |text: &str, name: &str, is_dual| {
            (SocketProtocol::Tcp, Listener { at: at(text), is_dual, seen: seen(ONE, name, i64::MIN, OPEN) })
        };
        let listeners = vec![
            listens("0.0.0.0:80", "all", false),
            listens("10.0.0.9:80", "nine", false),
            listens("[::]:81", "dual", true),
            listens("[::]:82", "six", false),
        ];
        let own = ["10.0.0.2", "10.0.0.9", "127.0.0.1"].map(|ip| ip.parse().unwrap());
        index.settle(&NsRef::Here, ONE, TCP, listeners.clone(), &own, 5000);
        let of = |index: &Index, b: &str| names(index, &NsRef::Here, "10.0.0.1:1000", b, SPAN)[1].clone();
        assert_eq!(of(&index, "10.0.0.2:80"), "all");
        assert_eq!(of(&index, "10.0.0.9:80"), "nine");
        assert_eq!(of(&index, "10.0.0.2:81"), "dual");
        assert_eq!(of(&index, "10.0.0.2:82"), "");
        assert_eq!(of(&index, "10.0.0.3:80"), "", "no address of the namespace");
        assert_eq!(of(&index, "127.0.0.1:80"), "all");
        // Still the same one later; then it has gone, and is remembered for its flows.
        index.settle(&NsRef::Here, ONE, TCP, listeners, &own, 6000);
        assert_eq!(index.listeners[&(ONE, SocketProtocol::Tcp, 80)].len(), 2);
        index.settle(&NsRef::Here, ONE, TCP, Vec::new(), &own, 11_000);
        assert_eq!(of(&index, "10.0.0.2:80"), "all");
        index.settle(&NsRef::Here, ONE, TCP, Vec::new(), &own, 11_000 + KEEP + 1);
        index.forget(&[ONE], 11_000 + KEEP + 1);
        assert_eq!(of(&index, "10.0.0.2:80"), "");
    }

    #[test]
    fn what_has_gone_makes_room() {
        let mut index = Index::default();
        let nth = |n: u32| {
            let port = 1 + (n % 60_000) as u16;
            ends(&format!("10.0.0.{}:{port}", n / 60_000), "10.1.0.1:80")
        };
        for n in 0..MOST as u32 {
            index.see(nth(n), seen(ONE, "x", 0, OPEN));
        }
        index.see(nth(MOST as u32), seen(ONE, "x", 0, OPEN));
        assert_eq!((index.len(), index.cut), (MOST, 1));
        index.close(nth(0), Some(ONE), 7);
        index.see(nth(MOST as u32), seen(ONE, "x", 0, OPEN));
        assert_eq!((index.len(), index.cut), (MOST, 1));
        assert!(!index.is_open(&nth(0)));
        index.close(nth(1), Some(ONE), 8);
        index.forget(&[ONE], 9 + KEEP);
        assert_eq!(index.len(), MOST - 1);
    }
}
