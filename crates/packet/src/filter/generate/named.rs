//! Addresses, ports and protocol numbers with their qualifiers.

use std::net::Ipv6Addr;

use super::super::FilterError;
use super::super::condition::{Compare, ConditionId};
use super::super::name::{self, Port, SCTP, TCP, UDP};
use super::super::syntax::{Direction, Kind, Name, Named, Protocol, Qualifiers};
use super::{Anchor, Generator, Size, ethertype};

impl Generator {
    pub(super) fn named(&mut self, named: &Named) -> Result<ConditionId, FilterError> {
        let Named { at, qualifiers, name } = named;
        let (at, qualifiers) = (*at, *qualifiers);
        match name {
            Name::Number(number) => self.of_number(at, qualifiers, *number),
            Name::Word(word) => self.of_word(at, qualifiers, word),
            Name::Dotted { address, bits } => match qualifiers.kind {
                Kind::Host | Kind::Net => self.host(at, qualifiers, *address, u32::MAX << (32 - bits)),
                kind => Err(FilterError::new(at, format!("`{}` takes no IPv4 address", keyword(kind)))),
            },
            Name::Masked { address, mask } => match qualifiers.kind {
                Kind::Net => self.host(at, qualifiers, *address, *mask),
                _ => Err(FilterError::new(at, "only `net` takes an address with a mask")),
            },
            Name::Ip6 { address, bits, prefix } => match qualifiers.kind {
                Kind::Host if *prefix && *bits != 128 => {
                    Err(FilterError::new(at, "only `net` takes an address with a prefix"))
                }
                Kind::Host | Kind::Net => self.host6(at, qualifiers, *address, *bits),
                kind => Err(FilterError::new(at, format!("`{}` takes no IPv6 address", keyword(kind)))),
            },
            Name::Mac(mac) => match qualifiers {
                Qualifiers { protocol: Some(Protocol::Link), direction, kind: Kind::Host } => {
                    self.mac(at, direction, *mac)
                }
                _ => Err(FilterError::new(
                    at,
                    "an Ethernet address needs `ether host`, `ether src` or `ether dst`",
                )),
            },
        }
    }

    fn of_number(
        &mut self,
        at: usize,
        qualifiers: Qualifiers,
        number: u32,
    ) -> Result<ConditionId, FilterError> {
        match qualifiers.kind {
            Kind::Host => self.host(at, qualifiers, number, u32::MAX),
            Kind::Net => {
                // 10 is 10.0.0.0/8, and 0x0a01 is 10.1.0.0/16.
                let bytes = number.leading_zeros() / 8;
                let shift = if number == 0 { 0 } else { bytes * 8 };
                self.host(at, qualifiers, number << shift, u32::MAX << shift)
            }
            Kind::Port | Kind::PortRange => {
                self.ports(at, qualifiers, Port { number, transport: None }, number)
            }
            Kind::Proto => self.proto(at, qualifiers, number),
        }
    }

    fn of_word(&mut self, at: usize, qualifiers: Qualifiers, word: &str) -> Result<ConditionId, FilterError> {
        let unresolved = |what| {
            Err(FilterError::new(at, format!("`{word}` would have to be looked up, {what} must be numbers")))
        };
        match qualifiers.kind {
            Kind::Host if qualifiers.protocol == Some(Protocol::Link) => unresolved("Ethernet addresses"),
            Kind::Host => unresolved("hosts"),
            Kind::Net => unresolved("networks"),
            Kind::Port => {
                let Some(port) = name::port(word) else {
                    return Err(FilterError::new(at, format!("`{word}` is not a known port")));
                };
                self.ports(at, qualifiers, port, port.number)
            }
            Kind::PortRange => {
                let Some((first, last)) = port_range(word) else {
                    return Err(FilterError::new(
                        at,
                        format!("`{word}` is not a range of ports such as 6000-6010"),
                    ));
                };
                let transport = if first.transport == last.transport { first.transport } else { None };
                self.ports(at, qualifiers, Port { transport, ..first }, last.number)
            }
            Kind::Proto => {
                let number = match qualifiers.protocol {
                    None | Some(Protocol::Ip | Protocol::Ip6) => name::ip_protocol(word),
                    Some(Protocol::Link) => name::link_protocol(word),
                    Some(Protocol::Iso) => name::osi_protocol(word),
                    Some(_) => None,
                };
                match number {
                    Some(number) => self.proto(at, qualifiers, number),
                    None => Err(FilterError::new(at, format!("`{word}` is not a known protocol here"))),
                }
            }
        }
    }

    fn proto(&mut self, at: usize, qualifiers: Qualifiers, number: u32) -> Result<ConditionId, FilterError> {
        match qualifiers.protocol {
            None => self.ip_protocol(at, number),
            Some(Protocol::Link) => self.link_type(at, number),
            Some(Protocol::Ip) => self.ip4_protocol(at, number),
            Some(Protocol::Ip6) => self.ip6_protocol(at, number),
            Some(Protocol::Iso) => self.osi_protocol(at, number),
            Some(Protocol::Isis) => self.isis_kind(at, number),
            Some(other) => Err(FilterError::new(
                at,
                format!("`{}` does not say the protocol it carries", name::keyword(other)),
            )),
        }
    }

    /// An IPv4 address under a mask, in the header of IPv4 or the places of ARP's.
    fn host(
        &mut self,
        at: usize,
        qualifiers: Qualifiers,
        address: u32,
        mask: u32,
    ) -> Result<ConditionId, FilterError> {
        let ip = (ethertype::IP, 12, 16);
        let arp = (ethertype::ARP, 14, 24);
        let rarp = (ethertype::RARP, 14, 24);
        let places: &[(u32, u32, u32)] = match qualifiers.protocol {
            // No other protocol can be told behind a label.
            None if self.headers.labels > 0 => &[ip],
            None => &[ip, arp, rarp],
            Some(Protocol::Ip) => &[ip],
            Some(Protocol::Arp) => &[arp],
            Some(Protocol::Rarp) => &[rarp],
            Some(other) => {
                return Err(FilterError::new(
                    at,
                    format!("`{}` has no IPv4 addresses", name::keyword(other)),
                ));
            }
        };
        let mut any = self.conditions.always(false);
        for (link_type, source, destination) in places {
            let link_type = self.link_type(at, *link_type)?;
            let found = self.both_ways(qualifiers.direction, |generator, is_source| {
                let offset = if is_source { *source } else { *destination };
                let same = generator.masked(Anchor::Network, offset, Size::Word, address, mask);
                generator.conditions.and(link_type, same)
            });
            any = self.conditions.or(any, found);
        }
        Ok(any)
    }

    /// An IPv6 address under a prefix.
    fn host6(
        &mut self,
        at: usize,
        qualifiers: Qualifiers,
        address: Ipv6Addr,
        bits: u32,
    ) -> Result<ConditionId, FilterError> {
        if !matches!(qualifiers.protocol, None | Some(Protocol::Ip6)) {
            let other = qualifiers.protocol.map_or("", name::keyword);
            return Err(FilterError::new(at, format!("`{other}` has no IPv6 addresses")));
        }
        let ip6 = self.link_type(at, ethertype::IP6)?;
        let mask = !u128::MAX.checked_shr(bits).unwrap_or(0);
        Ok(self.both_ways(qualifiers.direction, |generator, source| {
            let mut all = ip6;
            for word in 0..4 {
                let shift = 96 - word * 32;
                let (value, mask) = ((address.to_bits() >> shift) as u32, (mask >> shift) as u32);
                let offset = if source { 8 } else { 24 } + word * 4;
                let same = generator.masked(Anchor::Network, offset, Size::Word, value, mask);
                all = generator.conditions.and(all, same);
            }
            all
        }))
    }

    /// A port or a range of them, over IPv6 and IPv4.
    fn ports(
        &mut self,
        at: usize,
        qualifiers: Qualifiers,
        first: Port,
        last: u32,
    ) -> Result<ConditionId, FilterError> {
        let asked = match qualifiers.protocol {
            None => None,
            Some(Protocol::Tcp) => Some(TCP),
            Some(Protocol::Udp) => Some(UDP),
            Some(Protocol::Sctp) => Some(SCTP),
            Some(other) => {
                return Err(FilterError::new(at, format!("`{}` has no ports", name::keyword(other))));
            }
        };
        if let (Some(asked), Some(named)) = (asked, first.transport)
            && asked != named
        {
            return Err(FilterError::new(at, "the port of this name is of another transport"));
        }
        for number in [first.number, last] {
            if number > 0xffff {
                return Err(FilterError::new(at, format!("port {number} is greater than 65535")));
            }
        }
        let transport = asked.or(first.transport);
        let range = (first.number.min(last), first.number.max(last));
        let over6 = self.port_of(at, false, qualifiers.direction, transport, range)?;
        let over4 = self.port_of(at, true, qualifiers.direction, transport, range)?;
        Ok(self.conditions.or(over6, over4))
    }

    /// A range of ports over IPv4 or IPv6, of one transport or of any that has ports. Fragments of IPv4 but the first have
    /// none; IPv6 with extension headers is not looked into.
    pub(super) fn port_of(
        &mut self,
        at: usize,
        four: bool,
        direction: Direction,
        transport: Option<u32>,
        (first, last): (u32, u32),
    ) -> Result<ConditionId, FilterError> {
        let (link_type, protocol, base) = if four {
            (ethertype::IP, 9, Anchor::Transport4)
        } else {
            (ethertype::IP6, 6, Anchor::Transport6)
        };
        let link_type = self.link_type(at, link_type)?;
        let transports = transport.map_or(vec![SCTP, TCP, UDP], |one| vec![one]);
        let mut any = self.conditions.always(false);
        for transport in transports {
            let mut found = self.equal(Anchor::Network, protocol, Size::Byte, transport);
            if four {
                let first_fragment = self.first_fragment();
                found = self.conditions.and(found, first_fragment);
            }
            let port = self.both_ways(direction, |generator, source| {
                let offset = if source { 0 } else { 2 };
                if first == last {
                    return generator.equal(base, offset, Size::Half, first);
                }
                let least = generator.field(base, offset, Size::Half, Compare::GreaterOrEqual, first);
                let more = generator.field(base, offset, Size::Half, Compare::Greater, last);
                let most = generator.conditions.not(more);
                generator.conditions.and(least, most)
            });
            let found = self.conditions.and(found, port);
            any = self.conditions.or(any, found);
        }
        Ok(self.conditions.and(link_type, any))
    }
}

fn keyword(kind: Kind) -> &'static str {
    match kind {
        Kind::Host => "host",
        Kind::Net => "net",
        Kind::Port => "port",
        Kind::PortRange => "portrange",
        Kind::Proto => "proto",
    }
}

/// `6000-6010`, or with names; a name may have a hyphen itself.
fn port_range(word: &str) -> Option<(Port, Port)> {
    let port = |word: &str| match word.parse() {
        Ok(number) => Some(Port { number, transport: None }),
        Err(_) => name::port(word),
    };
    word.match_indices('-').find_map(|(at, _)| Some((port(word.get(..at)?)?, port(word.get(at + 1..)?)?)))
}
