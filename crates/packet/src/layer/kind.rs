//! What a header is.
//!
//! The variants are spelled as the layers path of a flow spells them, because that text is what users filter by and
//! what stores hold. Those that the hot path asks about stand first: their sets are then tests of one small mask.

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// What a header is; its name is the one in a flow's layers path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum LayerKind { $($(#[$doc])* $kind,)* }

        impl LayerKind {
            /// Every kind, in the order of its number.
            pub const ALL: &[LayerKind] = &[$(LayerKind::$kind,)*];

            /// The name, the same as the variant's.
            pub const fn name(self) -> &'static str {
                match self { $(LayerKind::$kind => stringify!($kind),)* }
            }
        }
    };
}

kinds! {
    /// Ethernet II or 802.3.
    Ethernet,
    /// RFC 791.
    IPv4,
    /// RFC 8200, the fixed header; each extension header is a layer of its own.
    IPv6,
    /// GRE of RFC 2784 and 2890, NVGRE, and the version 1 that PPTP uses (RFC 2637).
    GRE,
    /// One label of a stack, RFC 3032; the last one includes a pseudowire control word (RFC 4385) behind it.
    MPLS,
    /// RFC 7348.
    VXLAN,
    /// VXLAN with a next protocol, draft-ietf-nvo3-vxlan-gpe.
    VXLANGPE,
    /// RFC 8926, with its options.
    Geneve,
    /// ERSPAN of type I (no header of its own: GRE is all there is), II (8 bytes) or III (12 or 20 bytes).
    ERSPAN,
    /// L2TP version 2 (RFC 2661) and 3 (RFC 3931), over UDP or IP.
    L2TP,
    /// RFC 9293, with its options.
    TCP,
    /// RFC 768.
    UDP,
    /// A tag of 802.1Q or 802.1ad.
    Dot1Q,
    /// RFC 792.
    ICMPv4,
    /// RFC 4443: type, code and checksum; what follows is a layer of its own where a name exists.
    ICMPv6,
    /// RFC 9260, the common header; each chunk up to the first data is a layer of its own.
    SCTP,
    /// RFC 826.
    ARP,
    /// The payload of an IP fragment, first or later. Has no header.
    Fragment,
    /// Hop-by-hop options.
    IPv6HopByHop,
    /// Routing header.
    IPv6Routing,
    /// Fragment header.
    IPv6Fragment,
    /// Destination options.
    IPv6Destination,
    /// Identifier and sequence number of an echo.
    ICMPv6Echo,
    /// RFC 4861.
    ICMPv6RouterSolicitation,
    /// RFC 4861.
    ICMPv6RouterAdvertisement,
    /// RFC 4861.
    ICMPv6NeighborSolicitation,
    /// RFC 4861.
    ICMPv6NeighborAdvertisement,
    /// RFC 4861.
    ICMPv6Redirect,
    /// RFC 2710.
    MLDv1MulticastListenerReport,
    /// RFC 2710.
    MLDv1MulticastListenerDone,
    /// RFC 2710.
    MLDv1MulticastListenerQuery,
    /// RFC 3810.
    MLDv2MulticastListenerReport,
    /// RFC 3810.
    MLDv2MulticastListenerQuery,
    /// 802.2.
    LLC,
    /// 802.2 with an organisation and an EtherType.
    SNAP,
    /// A bridge protocol unit of 802.1D, RSTP or MSTP.
    STP,
    /// RFC 3828.
    UDPLite,
    /// RFC 908.
    RUDP,
    /// Payload data: the last chunk that is looked at.
    SCTPData,
    /// Chunk.
    SCTPInit,
    /// Chunk.
    SCTPInitAck,
    /// Chunk.
    SCTPSack,
    /// Chunk.
    SCTPHeartbeat,
    /// Chunk.
    SCTPHeartbeatAck,
    /// Chunk.
    SCTPAbort,
    /// Chunk.
    SCTPShutdown,
    /// Chunk.
    SCTPShutdownAck,
    /// Chunk.
    SCTPError,
    /// Chunk.
    SCTPCookieEcho,
    /// Chunk.
    SCTPCookieAck,
    /// Chunk.
    SCTPShutdownComplete,
    /// RFC 1112, 2236, 3376.
    IGMP,
    /// RFC 2328 and 5340.
    OSPF,
    /// RFC 3768 and 5798.
    VRRP,
    /// The user plane of GTP version 1, 3GPP TS 29.281, with its extension headers.
    GTPv1U,
    /// RFC 3378.
    EtherIP,
    /// RFC 4302.
    IPSecAH,
    /// RFC 4303: the parameters index and the sequence number; the rest is encrypted.
    IPSecESP,
    /// RFC 1661, the protocol field, with HDLC address and control when they are there.
    PPP,
    /// RFC 2516.
    PPPoE,
    /// RFC 8300.
    NSH,
    /// 802.1X.
    EAPOL,
    /// RFC 3748.
    EAP,
    /// LLDP: the three mandatory fields.
    LinkLayerDiscovery,
    /// LLDP: the other fields.
    LinkLayerDiscoveryInfo,
    /// CDP: version, time to live and checksum.
    CiscoDiscovery,
    /// CDP: the fields.
    CiscoDiscoveryInfo,
    /// SynOptics Network Management Protocol, once Nortel's.
    NortelDiscovery,
    /// Ethernet configuration testing protocol.
    EthernetCTP,
    /// The header of BSD's loopback interfaces, link types NULL and LOOP.
    Loopback,
    /// Linux cooked capture, version 1.
    LinuxSLL,
    /// Linux cooked capture, version 2.
    LinuxSLL2,
    /// A message, all of it; only over UDP, as every application here.
    DNS,
    /// A message, all of it.
    NTP,
    /// A message, all of it.
    DHCPv4,
    /// A message, all of it.
    DHCPv6,
    /// A message, all of it.
    SIP,
    /// A datagram, all of it.
    SFlow,
    /// A control packet, all of it.
    BFD,
    /// IPv4, IPv6 or ARP, as the first half byte says: where captures without a link layer start. It is a place to
    /// decode from and never among the layers of a packet.
    RawIp,
}

impl LayerKind {
    /// Its part of a flow's layers path.
    ///
    /// ERSPAN has none: its flows are `Ethernet/IPv4/GRE` in everything recorded so far. A Linux cooked header is the
    /// empty text, so that the path starts with a slash, for the same reason.
    pub const fn path_name(self) -> Option<&'static str> {
        match self {
            LayerKind::ERSPAN => None,
            LayerKind::LinuxSLL | LayerKind::LinuxSLL2 => Some(""),
            kind => Some(kind.name()),
        }
    }

    /// Whether what follows is another flow's, if it holds a link or network layer: see
    /// [`Layers::parts`](crate::Layers::parts).
    #[inline]
    pub const fn is_tunnel(self) -> bool {
        matches!(
            self,
            LayerKind::GRE
                | LayerKind::MPLS
                | LayerKind::VXLAN
                | LayerKind::VXLANGPE
                | LayerKind::Geneve
                | LayerKind::ERSPAN
                | LayerKind::L2TP
        )
    }

    /// Whether a flow can be keyed by its addresses: Ethernet, IPv4 or IPv6.
    #[inline]
    pub const fn has_addresses(self) -> bool {
        matches!(self, LayerKind::Ethernet | LayerKind::IPv4 | LayerKind::IPv6)
    }

    /// IPv4 or IPv6.
    #[inline]
    pub const fn is_network(self) -> bool {
        matches!(self, LayerKind::IPv4 | LayerKind::IPv6)
    }

    /// TCP, UDP or SCTP: the transports a flow has ports of.
    #[inline]
    pub const fn is_transport(self) -> bool {
        matches!(self, LayerKind::TCP | LayerKind::UDP | LayerKind::SCTP)
    }
}

#[cfg(test)]
mod tests {
    use super::LayerKind;

    #[test]
    fn a_kind_is_its_place_among_all() {
        for (i, kind) in LayerKind::ALL.iter().enumerate() {
            assert_eq!(i, *kind as usize);
        }
    }

    #[test]
    fn names_are_those_of_paths() {
        assert_eq!(LayerKind::ICMPv6NeighborSolicitation.name(), "ICMPv6NeighborSolicitation");
        assert_eq!(LayerKind::GTPv1U.path_name(), Some("GTPv1U"));
        assert_eq!(LayerKind::ERSPAN.path_name(), None);
    }
}
