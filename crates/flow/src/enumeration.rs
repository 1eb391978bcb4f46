//! What a field of a flow can be one of: names for people, numbers for the protocol buffer.

use crate::{Finish, IcmpKind, Network, TransportProtocol};

/// What the ends of a layer speak. The discriminants are those of the protocol buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names of the protocols")]
pub enum Protocol {
    Ethernet = 0,
    Ipv4 = 1,
    Tcp = 2,
    Udp = 3,
    Sctp = 4,
    Ipv6 = 5,
    Icmp4 = 6,
    Icmp6 = 7,
}

macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal,)* }) => {
        impl $type {
            /// The name in JSON and in queries.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The one of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// The number in the protocol buffer.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The one of that number.
            pub fn from_number(number: i32) -> Option<Self> {
                [$(Self::$variant),*].into_iter().find(|one| one.number() == number)
            }
        }
    };
}

names! {
    Protocol {
        Ethernet => "ETHERNET",
        Ipv4 => "IPV4",
        Tcp => "TCP",
        Udp => "UDP",
        Sctp => "SCTP",
        Ipv6 => "IPV6",
        Icmp4 => "ICMPV4",
        Icmp6 => "ICMPV6",
    }
}

names! {
    IcmpKind {
        Unknown => "UNKNOWN",
        DestinationUnreachable => "DESTINATION_UNREACHABLE",
        Echo => "ECHO",
        Neighbor => "NEIGHBOR",
        AddressMask => "ADDRESS_MASK",
        Info => "INFO",
        ParameterProblem => "PARAMETER_PROBLEM",
        Redirect => "REDIRECT",
        Router => "ROUTER",
        SourceQuench => "SOURCE_QUENCH",
        TimeExceeded => "TIME_EXCEEDED",
        Timestamp => "TIMESTAMP",
        PacketTooBig => "PACKET_TOO_BIG",
    }
}

names! {
    Finish {
        Not => "NOT_FINISHED",
        Timeout => "TIMEOUT",
        Fin => "TCP_FIN",
        Rst => "TCP_RST",
    }
}

impl Network {
    /// The version of its addresses.
    pub const fn protocol(&self) -> Protocol {
        if self.a.is_ipv4() { Protocol::Ipv4 } else { Protocol::Ipv6 }
    }
}

impl From<TransportProtocol> for Protocol {
    fn from(protocol: TransportProtocol) -> Self {
        match protocol {
            TransportProtocol::Tcp => Self::Tcp,
            TransportProtocol::Udp => Self::Udp,
            TransportProtocol::Sctp => Self::Sctp,
        }
    }
}

impl Protocol {
    /// As a transport, if it is one that has ports.
    pub const fn transport(self) -> Option<TransportProtocol> {
        Some(match self {
            Self::Tcp => TransportProtocol::Tcp,
            Self::Udp => TransportProtocol::Udp,
            Self::Sctp => TransportProtocol::Sctp,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for number in 0..13 {
            let kind = IcmpKind::from_number(number).unwrap();
            assert_eq!((kind.number(), IcmpKind::from_name(kind.name())), (number, Some(kind)));
            assert_eq!(IcmpKind::ALL[number as usize], kind);
        }
        for number in 0..8 {
            let protocol = Protocol::from_number(number).unwrap();
            assert_eq!((protocol.number(), Protocol::from_name(protocol.name())), (number, Some(protocol)));
        }
        for number in 0..4 {
            let finish = Finish::from_number(number).unwrap();
            assert_eq!((finish.number(), Finish::from_name(finish.name())), (number, Some(finish)));
        }
        assert_eq!(
            (IcmpKind::from_number(13), Protocol::from_number(-1), Finish::from_name("Fin")),
            (None, None, None)
        );
    }
}
