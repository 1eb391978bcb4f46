//! Routes of a namespace, and which interface each leaves by.

use std::collections::{BTreeSet, HashMap};

use skydive_sys::netlink::{Destination, RouteFacts};
use skydive_sys::{NsKey, Parts};
use tokio::time::Instant;

use super::model::{Dirty, Model};

/// Family, table, destination, type of service, priority: one slot for the same packets.
pub(super) type Slot = (u8, u32, Destination, u8, u32);

/// Routes by slot. A slot holds more than one where they were appended (IPv4).
#[derive(Debug, Default)]
pub(super) struct Routes {
    slots: HashMap<Slot, Vec<RouteFacts>>,
    by_index: HashMap<u32, BTreeSet<Slot>>,
}

/// What became of a notification.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It said nothing new.
    Known,
    /// Routes over these interfaces changed.
    Changed(Vec<u32>),
    /// Those changed, and only the table tells how: the kernel's words can mean several things.
    Unclear(Vec<u32>),
}

fn slot(route: &RouteFacts) -> Slot {
    (route.family, route.table, route.destination, route.tos, route.priority)
}

fn indices(route: &RouteFacts) -> impl Iterator<Item = u32> {
    route.hops.iter().filter_map(|hop| hop.index)
}

impl Routes {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Routes that leave by an interface.
    pub(super) fn over(&self, index: u32) -> impl Iterator<Item = &RouteFacts> {
        let slots = self.by_index.get(&index);
        slots
            .into_iter()
            .flatten()
            .filter_map(|slot| self.slots.get(slot))
            .flatten()
            .filter(move |route| indices(route).any(|i| i == index))
    }

    /// Takes over the whole table and names the interfaces concerned.
    pub(super) fn set(&mut self, routes: Vec<RouteFacts>) -> BTreeSet<u32> {
        let mut fresh = Self::default();
        for route in routes {
            fresh.index(&route);
            fresh.slots.entry(slot(&route)).or_default().push(route);
        }
        let mut changed = BTreeSet::new();
        for (a, b) in [(&*self, &fresh), (&fresh, &*self)] {
            for (slot, routes) in &a.slots {
                if b.slots.get(slot) != Some(routes) {
                    changed.extend(routes.iter().flat_map(indices));
                }
            }
        }
        *self = fresh;
        changed
    }

    pub(super) fn add(&mut self, mut route: RouteFacts) -> Taken {
        const AF_INET: u8 = 2;
        let replaces = std::mem::take(&mut route.replaces);
        let slot = slot(&route);
        let known = self.slots.get(&slot).map_or(&[][..], Vec::as_slice);
        if known.contains(&route) && (!replaces || known.len() == 1) {
            return Taken::Known;
        }
        let mut changed: Vec<u32> = indices(&route).collect();
        // Clear cases: a first route; an IPv4 route beside others; one that replaces the only one.
        let is_v4 = route.family == AF_INET;
        let clear = known.is_empty() || (is_v4 && !replaces) || (replaces && known.len() == 1);
        if replaces || !is_v4 {
            changed.extend(self.remove_slot(slot));
        }
        self.index(&route);
        self.slots.entry(slot).or_default().push(route);
        if clear { Taken::Changed(changed) } else { Taken::Unclear(changed) }
    }

    pub(super) fn remove(&mut self, route: &RouteFacts) -> Taken {
        let slot = slot(route);
        let Some(known) = self.slots.get_mut(&slot) else { return Taken::Known };
        let is_it =
            |r: &RouteFacts| r.hops == route.hops && r.protocol == route.protocol && r.kind == route.kind;
        let Some(at) = known.iter().position(is_it) else {
            let changed = self.remove_slot(slot);
            return Taken::Unclear(changed);
        };
        let gone = known.remove(at);
        let changed: Vec<u32> = indices(&gone).collect();
        let rest = std::mem::take(known);
        self.remove_slot(slot);
        for route in &rest {
            self.index(route);
        }
        if !rest.is_empty() {
            self.slots.insert(slot, rest);
        }
        Taken::Changed(changed)
    }

    /// Forgets which routes left by an interface that is no more. The table is read soon after.
    pub(super) fn forget(&mut self, index: u32) {
        for slot in self.by_index.remove(&index).unwrap_or_default() {
            if let Some(routes) = self.slots.get_mut(&slot) {
                routes.retain(|route| indices(route).any(|i| i != index));
                if routes.is_empty() {
                    self.slots.remove(&slot);
                }
            }
        }
    }

    fn remove_slot(&mut self, slot: Slot) -> Vec<u32> {
        let gone: Vec<u32> = self.slots.remove(&slot).iter().flatten().flat_map(indices).collect();
        for index in &gone {
            if let Some(slots) = self.by_index.get_mut(index) {
                slots.remove(&slot);
            }
        }
        gone
    }

    fn index(&mut self, route: &RouteFacts) {
        for index in indices(route) {
            self.by_index.entry(index).or_default().insert(slot(route));
        }
    }
}

impl Model {
    pub(super) fn route(&mut self, key: NsKey, route: RouteFacts, now: Instant) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        let taken = space.routes.add(route);
        self.routes_taken(key, taken, now);
    }

    pub(super) fn route_gone(&mut self, key: NsKey, route: &RouteFacts, now: Instant) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        let taken = space.routes.remove(route);
        self.routes_taken(key, taken, now);
    }

    pub(super) fn set_routes(&mut self, key: NsKey, routes: Vec<RouteFacts>) {
        let Some(space) = self.spaces.get_mut(&key) else { return };
        for index in space.routes.set(routes) {
            self.touch((key, index), Dirty::ROUTES);
        }
    }

    fn routes_taken(&mut self, key: NsKey, taken: Taken, now: Instant) {
        let changed = match taken {
            Taken::Known => return,
            Taken::Changed(changed) => changed,
            Taken::Unclear(changed) => {
                self.read_later(key, Parts::ROUTES, now);
                changed
            }
        };
        for index in changed {
            self.touch((key, index), Dirty::ROUTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use skydive_sys::netlink::RouteHop;

    use super::*;

    fn route(family: u8, gateway: &str, index: u32) -> RouteFacts {
        let any = if family == 2 { "10.0.0.0" } else { "fd00::" };
        RouteFacts {
            family,
            table: 254,
            destination: Destination::Ip(any.parse().unwrap(), 16),
            protocol: 3,
            scope: 0,
            kind: 1,
            tos: 0,
            source: None,
            priority: 0,
            nexthop_id: None,
            hops: vec![RouteHop {
                gateway: gateway.parse().ok(),
                index: Some(index),
                weight: 1,
                ..RouteHop::default()
            }],
            replaces: false,
        }
    }

    #[test]
    fn appended_routes_stand_beside_each_other() {
        let mut routes = Routes::default();
        assert_eq!(routes.add(route(2, "1.1.1.1", 3)), Taken::Changed(vec![3]));
        assert_eq!(routes.add(route(2, "1.1.1.1", 3)), Taken::Known);
        assert_eq!(routes.add(route(2, "1.1.1.2", 4)), Taken::Changed(vec![4]));
        assert_eq!((routes.over(3).count(), routes.over(4).count()), (1, 1));
        assert_eq!(routes.remove(&route(2, "1.1.1.1", 3)), Taken::Changed(vec![3]));
        assert_eq!((routes.over(3).count(), routes.over(4).count()), (0, 1));
    }

    #[test]
    fn a_replaced_route_goes_without_a_word() {
        let mut routes = Routes::default();
        routes.add(route(2, "1.1.1.1", 3));
        let other = RouteFacts { replaces: true, ..route(2, "1.1.1.2", 4) };
        assert_eq!(routes.add(other), Taken::Changed(vec![4, 3]));
        assert_eq!((routes.over(3).count(), routes.over(4).count()), (0, 1));
    }

    #[test]
    fn what_can_mean_several_things_is_read_again() {
        let mut routes = Routes::default();
        routes.add(route(10, "fe80::1", 3));
        assert!(matches!(routes.add(route(10, "fe80::2", 4)), Taken::Unclear(_)));
        routes.set(vec![route(10, "fe80::1", 3)]);
        assert!(matches!(routes.remove(&route(10, "fe80::9", 3)), Taken::Unclear(_)));
        assert_eq!(routes.remove(&route(10, "fe80::9", 3)), Taken::Known);
        assert_eq!(routes.len(), 0);
    }

    #[test]
    fn setting_names_what_changed() {
        let mut routes = Routes::default();
        let all = vec![route(2, "1.1.1.1", 3), route(10, "fe80::1", 4)];
        assert_eq!(routes.set(all.clone()), BTreeSet::from([3, 4]));
        assert!(routes.set(all).is_empty());
        assert_eq!(routes.set(vec![route(2, "1.1.1.1", 3)]), BTreeSet::from([4]));
    }
}
