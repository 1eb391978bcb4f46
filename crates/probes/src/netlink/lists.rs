//! Addresses, neighbours and forwarding entries of interfaces.

use std::collections::BTreeMap;

use skydive_sys::netlink::{AddrFacts, NeighFacts};
use skydive_sys::{NsKey, Parts};
use tokio::time::Instant;

use super::model::{Dirty, Interface, Model};

const NUD_NOARP: u16 = 0x40;
const NTF_PROXY: u8 = 0x08;

impl Model {
    pub(super) fn addr(&mut self, key: NsKey, addr: AddrFacts, now: Instant) {
        let at = (key, addr.index);
        let Some(interface) = self.interface_mut(at) else { return };
        match interface
            .addrs
            .iter_mut()
            .find(|a| a.ip == addr.ip && a.prefix == addr.prefix && a.peer == addr.peer)
        {
            Some(known) if *known == addr => return,
            Some(known) => *known = addr,
            None => interface.addrs.push(addr),
        }
        self.touch(at, Dirty::ADDRS);
        self.addrs_changed(key, now);
    }

    pub(super) fn addr_gone(&mut self, key: NsKey, addr: &AddrFacts, now: Instant) {
        let at = (key, addr.index);
        let Some(interface) = self.interface_mut(at) else { return };
        interface.addrs.retain(|a| a.ip != addr.ip || a.prefix != addr.prefix || a.peer != addr.peer);
        self.touch(at, Dirty::ADDRS);
        self.addrs_changed(key, now);
        // Routes that prefer the address as source leave without a word.
        self.read_later(key, Parts::ROUTES, now);
    }

    /// The kernel keeps addresses in an order of its own, and joins groups for them that only the tables tell of.
    fn addrs_changed(&mut self, key: NsKey, now: Instant) {
        self.read_later(key, Parts::ADDRS, now);
        self.read_later(key, Parts::FDB, now);
    }

    pub(super) fn set_addrs(&mut self, key: NsKey, addrs: Vec<AddrFacts>) {
        self.set_lists(key, addrs, |a| a.index, |interface| &mut interface.addrs, Dirty::ADDRS);
    }

    pub(super) fn set_neighs(&mut self, key: NsKey, mut neighs: Vec<NeighFacts>) {
        neighs.retain(is_shown);
        self.set_lists(key, neighs, |n| n.index, |interface| &mut interface.neighs, Dirty::NEIGHS);
    }

    pub(super) fn set_fdb(&mut self, key: NsKey, fdb: Vec<NeighFacts>) {
        self.set_lists(key, fdb, |n| n.index, |interface| &mut interface.fdb, Dirty::FDB);
    }

    /// Gives each interface its part of a table.
    fn set_lists<T: PartialEq>(
        &mut self,
        key: NsKey,
        entries: Vec<T>,
        index: impl Fn(&T) -> u32,
        list: impl Fn(&mut Interface) -> &mut Vec<T>,
        what: Dirty,
    ) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        let mut by_index: BTreeMap<u32, Vec<T>> = BTreeMap::new();
        for entry in entries {
            by_index.entry(index(&entry)).or_default().push(entry);
        }
        let mut changed = Vec::new();
        for (index, interface) in &mut space.links {
            let fresh = by_index.remove(index).unwrap_or_default();
            let known = list(interface);
            if *known != fresh {
                *known = fresh;
                changed.push(*index);
            }
        }
        for index in changed {
            self.touch((key, index), what);
        }
    }

    pub(super) fn neigh(&mut self, key: NsKey, neigh: NeighFacts) {
        if !is_shown(&neigh) {
            self.neigh_gone(key, &neigh);
            return;
        }
        let at = (key, neigh.index);
        let Some(interface) = self.interface_mut(at) else { return };
        let what = if neigh.is_fdb { Dirty::FDB } else { Dirty::NEIGHS };
        let list = if neigh.is_fdb { &mut interface.fdb } else { &mut interface.neighs };
        match list.iter_mut().find(|n| n.is_same_entry(&neigh)) {
            Some(known) if *known == neigh => return,
            Some(known) => *known = neigh,
            None => list.push(neigh),
        }
        self.touch(at, what);
    }

    pub(super) fn neigh_gone(&mut self, key: NsKey, neigh: &NeighFacts) {
        let at = (key, neigh.index);
        let Some(interface) = self.interface_mut(at) else { return };
        let what = if neigh.is_fdb { Dirty::FDB } else { Dirty::NEIGHS };
        let list = if neigh.is_fdb { &mut interface.fdb } else { &mut interface.neighs };
        let before = list.len();
        list.retain(|n| !n.is_same_entry(neigh));
        if list.len() != before {
            self.touch(at, what);
        }
    }
}

/// Whether an entry is shown. Those that stand for multicast and broadcast come and go without a word, and `ip neigh`
/// leaves them out as well. Proxies have no state.
fn is_shown(neigh: &NeighFacts) -> bool {
    neigh.is_fdb || neigh.flags & NTF_PROXY != 0 || (neigh.state != 0 && neigh.state != NUD_NOARP)
}
