//! Tags and tunnels: conditions after which everything to the right is about what is inside.

use super::super::FilterError;
use super::super::condition::{Compare, ConditionId};
use super::super::name::UDP;
use super::super::syntax::{Direction, Operator, Size, Tunnel};
use super::super::value::{Value, ValueId};
use super::link::{Link, ethertype};
use super::{Anchor, Generator, Headers, Offset, SLOTS};

const GENEVE_PORT: u32 = 6081;
/// MPLS in PPP.
const PPP_MPLS: u32 = 0x0281;

impl Generator {
    pub(super) fn tunnel(
        &mut self,
        at: usize,
        tunnel: Tunnel,
        number: Option<u32>,
    ) -> Result<ConditionId, FilterError> {
        let (name, most) = match tunnel {
            Tunnel::Vlan => ("VLAN id", 0xfff),
            Tunnel::Mpls => ("MPLS label", 0xf_ffff),
            Tunnel::PppoeSession => ("PPPoE session", 0xffff),
            Tunnel::Geneve => ("Geneve network id", 0xff_ffff),
        };
        if let Some(number) = number
            && number > most
        {
            return Err(FilterError::new(at, format!("{name} {number} is greater than {most}")));
        }
        match tunnel {
            Tunnel::Vlan => self.vlan(at, number),
            Tunnel::Mpls => self.mpls(at, number),
            Tunnel::PppoeSession => self.pppoe_session(at, number),
            Tunnel::Geneve => self.geneve(at, number),
        }
    }

    fn vlan(&mut self, at: usize, id: Option<u32>) -> Result<ConditionId, FilterError> {
        if self.headers.labels > 0 {
            return Err(FilterError::new(at, "behind `mpls` a `vlan` cannot be told"));
        }
        self.needs_ethernet(at, "`vlan`")?;
        let tags = [ethertype::VLAN, ethertype::VLAN_AD, ethertype::VLAN_QINQ];
        let tags = tags.map(|tag| self.equal(Anchor::Kind, 0, Size::Half, tag));
        let mut tagged = self.any(tags);
        if let Some(id) = id {
            let same = self.masked(Anchor::Network, 0, Size::Half, id, 0xfff);
            tagged = self.conditions.and(tagged, same);
        }
        self.headers.kind.constant = self.headers.kind.constant.wrapping_add(4);
        self.headers.payload.constant = self.headers.payload.constant.wrapping_add(4);
        Ok(tagged)
    }

    fn mpls(&mut self, at: usize, label: Option<u32>) -> Result<ConditionId, FilterError> {
        let mut labelled = match self.headers.link {
            // The label before is not the last one.
            _ if self.headers.labels > 0 => self.masked(Anchor::Label, 2, Size::Byte, 0, 1),
            Link::Ethernet => self.link_type(at, ethertype::MPLS)?,
            Link::Ppp => self.link_type(at, PPP_MPLS)?,
            link => {
                return Err(FilterError::new(
                    at,
                    format!("`mpls` is not known in packets of {}", link.name()),
                ));
            }
        };
        if let Some(label) = label {
            let same = self.masked(Anchor::Network, 0, Size::Word, label << 12, 0xffff_f000);
            labelled = self.conditions.and(labelled, same);
        }
        self.headers.network = self.headers.network.wrapping_add(4);
        self.headers.network_no_snap = self.headers.network_no_snap.wrapping_add(4);
        self.headers.labels += 1;
        Ok(labelled)
    }

    fn pppoe_session(&mut self, at: usize, session: Option<u32>) -> Result<ConditionId, FilterError> {
        let mut found = self.link_type(at, ethertype::PPPOE_SESSION)?;
        if let Some(session) = session {
            let same = self.masked(Anchor::Network, 0, Size::Word, session, 0xffff);
            found = self.conditions.and(found, same);
        }
        // Six bytes of PPPoE, then PPP without framing: its type is its whole header.
        let Headers { payload, network, .. } = self.headers;
        let start = Offset { constant: payload.constant.wrapping_add(network).wrapping_add(6), ..payload };
        self.headers = Headers {
            link: Link::Ppp,
            start,
            kind: start,
            payload: Offset { constant: start.constant.wrapping_add(2), ..payload },
            network: 0,
            network_no_snap: 0,
            geneve: false,
            ..self.headers
        };
        Ok(found)
    }

    /// Geneve of version 0 over IPv4 or IPv6. Where its options end is known only when a packet is there, therefore three
    /// offsets are put into slots: of the inner Ethernet header or what stands in its place, of the type of the payload,
    /// and of the payload.
    fn geneve(&mut self, at: usize, id: Option<u32>) -> Result<ConditionId, FilterError> {
        self.tunnels = self.tunnels.saturating_add(1);
        let first = self.slots;
        self.slots += 3;
        self.check_slots(at)?;
        // The slot of the type holds the offset of the Geneve header until the type's place is known.
        let begin = self.slot(first, 0);
        let kind = self.slot(first, 1);
        let start = self.slot(first + 1, 0);
        let payload = self.slot(first + 2, 0);

        let over4 = self.geneve_over(at, id, Anchor::Transport4, first)?;
        let over6 = self.geneve_over(at, id, Anchor::Transport6, first)?;
        let found = self.conditions.or(over4, over6);

        let options = self.values.load(Some(begin), 0, Size::Byte);
        let options = self.masked_value(options, 0x3f);
        let options = self.with_number(Operator::Mul, options, 4);
        let header = self.with_number(Operator::Add, options, 8);
        let end = self.values.keep(Value::Binary(Operator::Add, header, begin));
        let set_start = self.conditions.store(first + 1, end);

        let protocol = self.values.load(Some(begin), 2, Size::Half);
        let bridged = self.compare(protocol, Compare::Equal, ethertype::BRIDGED);
        let inner_kind = self.with_number(Operator::Add, start, 12);
        let inner_payload = self.with_number(Operator::Add, start, 14);
        let outer_kind = self.with_number(Operator::Add, begin, 2);
        let ethernet =
            [self.conditions.store(first, inner_kind), self.conditions.store(first + 2, inner_payload)];
        let ethernet = self.all(ethernet);
        let ethernet = self.conditions.and(bridged, ethernet);
        let other = [self.conditions.store(first, outer_kind), self.conditions.store(first + 2, start)];
        let other = self.all(other);
        let either = self.conditions.or(ethernet, other);

        let at_slot = |slot| Offset { variable: Some(slot), constant: 0 };
        self.headers = Headers {
            link: Link::Ethernet,
            start: at_slot(start),
            kind: at_slot(kind),
            payload: at_slot(payload),
            network: 0,
            geneve: true,
            ..self.headers
        };
        Ok(self.all([found, set_start, either]))
    }

    /// Geneve over one version of IP; where its header begins is put into a slot.
    fn geneve_over(
        &mut self,
        at: usize,
        id: Option<u32>,
        transport: Anchor,
        slot: u8,
    ) -> Result<ConditionId, FilterError> {
        let four = matches!(transport, Anchor::Transport4);
        let mut found = self.port_of(at, four, Direction::Dst, Some(UDP), (GENEVE_PORT, GENEVE_PORT))?;
        let version = self.masked(transport, 8, Size::Byte, 0, 0xc0);
        found = self.conditions.and(found, version);
        if let Some(id) = id {
            let same = self.masked(transport, 12, Size::Word, id << 8, 0xffff_ff00);
            found = self.conditions.and(found, same);
        }
        let Headers { payload, network, .. } = self.headers;
        let before = payload.constant.wrapping_add(network).wrapping_add(8);
        let header = match (four, payload.variable) {
            (true, _) => self.ip4_header(),
            (false, None) => self.values.number(40),
            (false, Some(variable)) => self.with_number(Operator::Add, variable, 40),
        };
        let begin = self.with_number(Operator::Add, header, before);
        let set_begin = self.conditions.store(slot, begin);
        Ok(self.conditions.and(found, set_begin))
    }

    /// In Geneve, that there is an Ethernet header at all.
    pub(super) fn inner_frame(&mut self) -> ConditionId {
        let Headers { start, payload, geneve, .. } = self.headers;
        match (geneve, start.variable, payload.variable) {
            (true, Some(start), Some(payload)) => {
                let none = self.conditions.test(&self.values, start, Compare::Equal, payload);
                self.conditions.not(none)
            }
            _ => self.conditions.always(true),
        }
    }

    fn slot(&mut self, slot: u8, step: u8) -> ValueId {
        self.values.keep(Value::Slot { slot, version: self.tunnels.wrapping_mul(2).wrapping_add(step) })
    }

    fn with_number(&mut self, operator: Operator, value: ValueId, number: u32) -> ValueId {
        let number = self.values.number(number);
        self.values.binary(operator, value, number).unwrap_or(value)
    }

    /// Whether tunnels and arithmetic have the scratch memory that they need.
    pub(super) fn check_slots(&self, at: usize) -> Result<(), FilterError> {
        if self.slots + self.spills > SLOTS {
            return Err(FilterError::new(
                at,
                format!("more than {SLOTS} intermediate results are needed from here on"),
            ));
        }
        Ok(())
    }
}
