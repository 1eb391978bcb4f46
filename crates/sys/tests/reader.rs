//! The reader against real namespaces.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use skydive_sys::netlink::{Destination, DetailValue, Event, OperState, detail};
use skydive_sys::{
    Command, DirectoryEvent, DirectoryWatch, Facts, Namespaces, NsId, NsKey, NsRef, Parts, Reader, Report,
};
use skydive_testnet::{Netns, bridge, require_root, veth_pair};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);

struct Session {
    reader: Reader,
    inbox: mpsc::Receiver<Report>,
}

impl Session {
    fn start() -> Result<Self> {
        let (reports, inbox) = mpsc::channel(16);
        Ok(Self { reader: Reader::start(Namespaces::start()?, reports)?, inbox })
    }

    fn send(&self, command: Command) {
        self.reader.send(command).expect("room for a command");
    }

    async fn next(&mut self) -> Result<Report> {
        tokio::time::timeout(DEADLINE, self.inbox.recv()).await?.context("the reader ended")
    }

    async fn watch(&mut self, key: u32, netns: &Netns) -> Result<(NsId, Box<Facts>)> {
        self.send(Command::Watch(NsKey(key), NsRef::Path(netns.path())));
        let Report::Opened(_, id) = self.next().await? else { bail!("not opened") };
        Ok((id, self.facts().await?))
    }

    async fn facts(&mut self) -> Result<Box<Facts>> {
        loop {
            if let Report::Facts(_, facts) = self.next().await? {
                return Ok(facts);
            }
        }
    }

    async fn event<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> Result<T> {
        loop {
            if let Report::Events(_, events) = self.next().await?
                && let Some(found) = events.into_iter().find_map(&mut pick)
            {
                return Ok(found);
            }
        }
    }
}

#[tokio::test]
async fn a_namespace_is_read_whole() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let (a, b) = (Netns::with_loopback("a")?, Netns::new("b")?);
    veth_pair(&a, "va", &b, "vb")?;
    a.ip(&["addr", "add", "10.1.0.1/24", "dev", "va"])?;
    a.ip(&["route", "add", "10.9.0.0/16", "via", "10.1.0.2", "table", "77"])?;
    a.ip(&["neigh", "add", "10.1.0.7", "lladdr", "02:00:00:00:00:07", "dev", "va", "nud", "permanent"])?;
    a.ip(&["link", "add", "vx", "type", "vxlan", "id", "42", "local", "10.1.0.1", "dstport", "4789"])?;
    bridge(&a, "br0", &["vx"])?;

    let mut session = Session::start()?;
    let (id, facts) = session.watch(0, &a).await?;
    assert_eq!(id.ino, a.inode()?);
    assert!(facts.refused.is_empty(), "{:?}", facts.refused);
    let links = facts.links.context("links")?;
    let link = |name: &str| links.iter().find(|l| l.name == name).with_context(|| name.to_owned());
    let (va, vx, br) = (link("va")?, link("vx")?, link("br0")?);
    assert_eq!(va.kind.as_deref(), Some("veth"));
    assert_eq!(va.oper_state, OperState::Up);
    assert!(va.link_netnsid.is_some() && va.link.is_some());
    assert_eq!(vx.master, Some(br.index));
    assert_eq!(vx.slave_kind.as_deref(), Some("bridge"));
    assert_eq!(detail(&vx.details, "ID"), Some(&DetailValue::Int(42)));
    assert_eq!(detail(&vx.details, "Port"), Some(&DetailValue::Int(4789)));
    assert_eq!(detail(&vx.details, "Local"), Some(&DetailValue::Ip("10.1.0.1".parse()?)));
    assert_eq!(detail(&br.details, "STP"), Some(&DetailValue::Bool(false)));

    let devices = facts.devices.context("devices")?;
    let device = devices.iter().find(|d| d.index == va.index).context("device")?;
    assert_eq!((device.driver.as_str(), device.bus.as_str(), device.speed), ("veth", "", Some(10000)));
    let names = &facts.feature_names;
    let highdma = names.iter().position(|n| n == "highdma").context("feature name")?;
    assert!(device.has_feature(highdma));

    let addrs = facts.addrs.context("addrs")?;
    assert!(addrs.iter().any(|a| a.index == va.index && a.ip.to_string() == "10.1.0.1" && a.prefix == 24));
    let routes = facts.routes.context("routes")?;
    let wanted = Destination::Ip("10.9.0.0".parse()?, 16);
    let route = routes.iter().find(|r| r.destination == wanted).context("route")?;
    assert_eq!((route.table, route.hops.len()), (77, 1));
    assert_eq!(route.hops[0].index, Some(va.index));
    assert!(routes.iter().any(|r| matches!(r.destination, Destination::Ip(ip, _) if ip.is_ipv6())));
    let neigh = facts.neighs.context("neighs")?.into_iter().find(|n| n.ip == "10.1.0.7".parse().ok());
    assert_eq!(neigh.context("neighbour")?.state, 0x80);
    assert!(facts.fdb.context("fdb")?.iter().any(|f| f.index == vx.index && f.is_fdb));
    Ok(())
}

#[tokio::test]
async fn changes_are_told_as_they_happen() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let a = Netns::with_loopback("ev")?;
    let mut session = Session::start()?;
    session.watch(0, &a).await?;
    a.ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"])?;
    let index = session
        .event(|e| match e {
            Event::Link(l) if l.name == "one" => Some(l.index),
            _ => None,
        })
        .await?;
    a.ip(&["addr", "add", "10.2.0.1/24", "dev", "one"])?;
    session.event(|e| matches!(e, Event::Addr(a) if a.index == index).then_some(())).await?;
    a.ip(&["link", "set", "one", "up"])?;
    a.ip(&["link", "set", "two", "up"])?;
    session
        .event(|e| {
            matches!(e, Event::Link(l) if l.index == index && l.oper_state == OperState::Up).then_some(())
        })
        .await?;
    a.ip(&["route", "add", "10.3.0.0/24", "via", "10.2.0.2"])?;
    session.event(|e| matches!(e, Event::Route(r) if r.hops[0].gateway.is_some()).then_some(())).await?;
    a.ip(&["neigh", "add", "10.2.0.9", "lladdr", "02:00:00:00:00:09", "dev", "one"])?;
    session.event(|e| matches!(e, Event::Neigh(n) if !n.is_fdb && n.mac.is_some()).then_some(())).await?;
    session.send(Command::ReadLink(NsKey(0), index));
    loop {
        if let Report::Link(_, _, found) = session.next().await? {
            let (link, device) = *found.context("the link")?;
            assert_eq!((link.name.as_str(), device.driver.as_str()), ("one", "veth"));
            assert!(!device.features.is_empty());
            break;
        }
    }
    session.send(Command::ReadStats(vec![NsKey(0), NsKey(1)]));
    loop {
        if let Report::Stats(stats) = session.next().await? {
            assert_eq!(stats.len(), 1, "the other is not watched");
            assert_eq!((stats[0].0, stats[0].1.len()), (NsKey(0), 3));
            break;
        }
    }
    session.send(Command::Read(NsKey(0), Parts::ROUTES));
    assert!(session.facts().await?.links.is_none());
    a.ip(&["link", "del", "one"])?;
    session.event(|e| matches!(e, Event::LinkGone(l) if l.index == index && !l.moved).then_some(())).await?;
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_stops_taking_is_told_of_the_gap() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let a = Netns::new("gap")?;
    let mut session = Session::start()?;
    session.watch(0, &a).await?;
    a.ip(&["link", "add", "one", "type", "veth", "peer", "name", "two"])?;
    // About 1.5 kB each: ten times what the socket and the channel hold together.
    let lines: Vec<_> = (0..10_000).map(|i| format!("link set one mtu {}", 1000 + i % 400)).collect();
    a.batch(&(lines.join("\n") + "\n"))?;
    loop {
        if let Report::Gap(key) = session.next().await? {
            assert_eq!(key, NsKey(0));
            return Ok(());
        }
    }
}

#[tokio::test]
async fn namespaces_know_each_other_by_id() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let (a, b, c) = (Netns::new("a")?, Netns::new("b")?, Netns::new("c")?);
    veth_pair(&a, "va", &b, "vb")?;
    let mut session = Session::start()?;
    let (_, in_a) = session.watch(0, &a).await?;
    session.watch(1, &b).await?;
    session.watch(2, &c).await?;
    let links = in_a.links.context("links")?;
    let va = links.iter().find(|l| l.name == "va").context("va")?;
    for (of, expected) in [(1, va.link_netnsid), (2, None)] {
        session.send(Command::NetnsId(NsKey(0), NsKey(of)));
        loop {
            if let Report::NetnsId(_, _, id) = session.next().await? {
                assert_eq!(id, expected);
                break;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_no_namespace_is_refused_and_unwatching_lets_go() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut session = Session::start()?;
    session.send(Command::Watch(NsKey(0), NsRef::Path("/etc/hostname".into())));
    assert!(matches!(session.next().await?, Report::Failed(NsKey(0), _)));

    let (a, b) = (Netns::new("a")?, Netns::new("b")?);
    veth_pair(&a, "va", &b, "vb")?;
    session.watch(1, &a).await?;
    session.watch(2, &b).await?;
    b.delete()?;
    session.send(Command::Unwatch(NsKey(2)));
    // The last thing that kept it alive is gone, and with it the other end.
    session.event(|e| matches!(e, Event::LinkGone(_)).then_some(())).await
}

#[tokio::test]
async fn a_directory_may_come_and_go() -> Result<()> {
    let base = std::env::temp_dir().join(format!("skydive-watch-{}", std::process::id()));
    std::fs::create_dir_all(&base)?;
    let path = base.join("deep/er");
    let mut watch = DirectoryWatch::new(&path)?;
    std::fs::create_dir_all(&path)?;
    let mut next = async || anyhow::Ok(tokio::time::timeout(DEADLINE, watch.next()).await??);
    assert_eq!(next().await?, DirectoryEvent::Changed);
    std::fs::write(path.join("x"), "")?;
    assert_eq!(next().await?, DirectoryEvent::Appeared("x".into()));
    std::fs::remove_file(path.join("x"))?;
    assert_eq!(next().await?, DirectoryEvent::Vanished("x".into()));
    std::fs::remove_dir(&path)?;
    assert_eq!(next().await?, DirectoryEvent::Changed);
    std::fs::create_dir(&path)?;
    assert_eq!(next().await?, DirectoryEvent::Changed);
    std::fs::remove_dir_all(&base)?;
    Ok(())
}

/// The kernel takes any byte but a few in a name.
#[tokio::test]
async fn an_interface_whose_name_is_no_text_has_a_driver() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let a = Netns::new("bytes")?;
    a.exec(&["sh", "-c", "ip link add \"$(printf 'x\\377')\" type veth peer name y"])?;
    let mut session = Session::start()?;
    let (_, facts) = session.watch(1, &a).await?;
    let links = facts.links.context("links")?;
    let link = links.iter().find(|l| l.name == "x\u{fffd}").context("the interface")?;
    let devices = facts.devices.context("devices")?;
    assert_eq!(devices.iter().find(|d| d.index == link.index).context("device")?.driver, "veth");
    Ok(())
}

#[tokio::test]
async fn processes_hold_namespaces_and_end() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let a = Netns::new("held")?;
    let sleep = a.spawn(&["sleep", "600"])?;
    let id = NsId::of_path(&a.path())?;
    let holders = skydive_testnet::eventually("the process to be in its namespace", DEADLINE, || {
        skydive_sys::process_namespaces().ok()?.held.remove(&id)
    })?;
    assert_eq!(holders.iter().map(|h| h.pid).collect::<Vec<_>>(), [sleep.pid()]);
    skydive_testnet::eventually("the command", DEADLINE, || {
        skydive_sys::command(sleep.pid()).filter(|command| command == "sleep")
    })?;
    let pid = sleep.pid();
    let ended = tokio::spawn(skydive_sys::ended(pid));
    drop(sleep);
    tokio::time::timeout(DEADLINE, ended).await???;
    assert_eq!(skydive_sys::start_time(pid)?, None);
    Ok(())
}
