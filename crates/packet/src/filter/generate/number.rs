//! Arithmetic and relations.

use super::super::FilterError;
use super::super::condition::{Compare, ConditionId};
use super::super::name;
use super::super::syntax::{Arithmetic, Operator, Protocol, Relation};
use super::super::value::{Value, ValueId};
use super::{Anchor, Generator, Size, ethertype};

/// A value, and what must hold of the packet for it to be there.
struct Number {
    value: ValueId,
    needs: Option<ConditionId>,
}

impl Generator {
    /// What the operands need comes first, then the comparison.
    pub(super) fn relation(
        &mut self,
        at: usize,
        left: &Arithmetic,
        relation: Relation,
        right: &Arithmetic,
    ) -> Result<ConditionId, FilterError> {
        let left = self.number(left)?;
        let right = self.number(right)?;
        let (compare, holds) = match relation {
            Relation::Equal => (Compare::Equal, true),
            Relation::NotEqual => (Compare::Equal, false),
            Relation::Greater => (Compare::Greater, true),
            Relation::LessOrEqual => (Compare::Greater, false),
            Relation::GreaterOrEqual => (Compare::GreaterOrEqual, true),
            Relation::Less => (Compare::GreaterOrEqual, false),
        };
        let mut result = self.conditions.test(&self.values, left.value, compare, right.value);
        if !holds {
            result = self.conditions.not(result);
        }
        // The right operand may wait in a slot while the left is computed.
        let spills = self.values.spills(right.value).max(self.values.spills(left.value) + 1);
        self.spills = self.spills.max(spills);
        self.check_slots(at)?;
        let needs = self.both(left.needs, right.needs);
        let result = needs.map_or(result, |needs| self.conditions.and(needs, result));
        self.bounded(at, result)
    }

    fn both(&mut self, left: Option<ConditionId>, right: Option<ConditionId>) -> Option<ConditionId> {
        match (left, right) {
            (Some(left), Some(right)) => Some(self.conditions.and(left, right)),
            (one, other) => one.or(other),
        }
    }

    fn number(&mut self, of: &Arithmetic) -> Result<Number, FilterError> {
        match of {
            Arithmetic::Number(value) => Ok(Number { value: self.values.number(*value), needs: None }),
            Arithmetic::Length => Ok(Number { value: self.values.keep(Value::Length), needs: None }),
            Arithmetic::Field { at, protocol, index, size } => {
                let index = self.number(index)?;
                self.packet_field(*at, *protocol, index, *size)
            }
            Arithmetic::Negate(of) => {
                let of = self.number(of)?;
                Ok(Number { value: self.values.negate(of.value), ..of })
            }
            Arithmetic::Binary { at, operator, left, right } => {
                if let (Operator::Shl | Operator::Shr, Arithmetic::Number(32..)) = (operator, &**right) {
                    return Err(FilterError::new(*at, "a shift by more than 31 bits"));
                }
                let left = self.number(left)?;
                let right = self.number(right)?;
                let value = self.values.binary(*operator, left.value, right.value);
                let value = value.ok_or_else(|| FilterError::new(*at, "a division by zero"))?;
                // libpcap forgets what the right operand needs: `5 + ip[0] > 9` is not about IP only.
                Ok(Number { value, needs: left.needs })
            }
        }
    }

    /// `protocol[index:size]`
    fn packet_field(
        &mut self,
        at: usize,
        protocol: Protocol,
        index: Number,
        size: Size,
    ) -> Result<Number, FilterError> {
        let headers = self.headers;
        let network = headers.payload.constant.wrapping_add(headers.network);
        let (from, offset, needs) = match protocol {
            Protocol::Link => (headers.start.variable, headers.start.constant, index.needs),
            Protocol::Ip
            | Protocol::Ip6
            | Protocol::Arp
            | Protocol::Rarp
            | Protocol::Atalk
            | Protocol::Decnet
            | Protocol::Sca
            | Protocol::Lat
            | Protocol::Moprc
            | Protocol::Mopdl => {
                let present = self.protocol(at, protocol)?;
                (headers.payload.variable, network, self.both(index.needs, Some(present)))
            }
            Protocol::Tcp
            | Protocol::Udp
            | Protocol::Sctp
            | Protocol::Icmp
            | Protocol::Igmp
            | Protocol::Igrp
            | Protocol::Pim
            | Protocol::Vrrp
            | Protocol::Carp => {
                let ip = self.link_type(at, ethertype::IP)?;
                let present = self.protocol(at, protocol)?;
                let first = self.first_fragment();
                let present = self.conditions.and(present, first);
                let needs = self.both(index.needs, Some(present));
                (Some(self.ip4_header()), network, self.both(Some(ip), needs))
            }
            Protocol::Icmp6 => {
                let ip6 = self.link_type(at, ethertype::IP6)?;
                let needs = self.both(index.needs, Some(ip6));
                let next = self.equal(Anchor::Network, 6, Size::Byte, 58);
                (headers.payload.variable, network.wrapping_add(40), self.both(needs, Some(next)))
            }
            other => {
                let why = format!("`{}` has no fields that can be read", name::keyword(other));
                return Err(FilterError::new(at, why));
            }
        };
        let index = match from {
            None => index.value,
            Some(from) => self.values.binary(Operator::Add, index.value, from).unwrap_or(from),
        };
        Ok(Number { value: self.values.load(Some(index), offset, size), needs })
    }
}
