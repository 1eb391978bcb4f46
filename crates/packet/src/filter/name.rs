//! The words of the language: keywords, constants, and the names of ports and protocols.
//!
//! Ports and protocols are those of the usual `/etc/services` and `/etc/protocols`, in the program instead of looked up,
//! so that a filter means the same everywhere.

use super::syntax::Protocol;

pub(super) const TCP: u32 = 6;
pub(super) const UDP: u32 = 17;
pub(super) const SCTP: u32 = 132;

/// Keywords that name a protocol.
const PROTOCOLS: &[(&str, Protocol)] = &[
    ("link", Protocol::Link),
    ("ether", Protocol::Link),
    ("ppp", Protocol::Link),
    ("slip", Protocol::Link),
    ("fddi", Protocol::Link),
    ("tr", Protocol::Link),
    ("wlan", Protocol::Link),
    ("ip", Protocol::Ip),
    ("ip6", Protocol::Ip6),
    ("arp", Protocol::Arp),
    ("rarp", Protocol::Rarp),
    ("sctp", Protocol::Sctp),
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("icmp", Protocol::Icmp),
    ("icmp6", Protocol::Icmp6),
    ("igmp", Protocol::Igmp),
    ("igrp", Protocol::Igrp),
    ("pim", Protocol::Pim),
    ("vrrp", Protocol::Vrrp),
    ("carp", Protocol::Carp),
    ("ah", Protocol::Ah),
    ("esp", Protocol::Esp),
    ("atalk", Protocol::Atalk),
    ("aarp", Protocol::Aarp),
    ("decnet", Protocol::Decnet),
    ("lat", Protocol::Lat),
    ("sca", Protocol::Sca),
    ("mopdl", Protocol::Mopdl),
    ("moprc", Protocol::Moprc),
    ("iso", Protocol::Iso),
    ("esis", Protocol::Esis),
    ("es-is", Protocol::Esis),
    ("isis", Protocol::Isis),
    ("is-is", Protocol::Isis),
    ("clnp", Protocol::Clnp),
    ("l1", Protocol::IsisL1),
    ("l2", Protocol::IsisL2),
    ("iih", Protocol::IsisIih),
    ("lsp", Protocol::IsisLsp),
    ("snp", Protocol::IsisSnp),
    ("csnp", Protocol::IsisCsnp),
    ("psnp", Protocol::IsisPsnp),
    ("stp", Protocol::Stp),
    ("ipx", Protocol::Ipx),
    ("netbeui", Protocol::Netbeui),
];

/// Keywords that are understood, other than protocols.
const KEYWORDS: &[&str] = &[
    "src",
    "dst",
    "host",
    "net",
    "mask",
    "port",
    "portrange",
    "proto",
    "less",
    "greater",
    "broadcast",
    "multicast",
    "and",
    "or",
    "not",
    "len",
    "length",
    "inbound",
    "outbound",
    "ifindex",
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "geneve",
    "llc",
];

/// Keywords of tcpdump's language that are not, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (&["gateway"], "needs names to be resolved; write `ether host MAC and not host ADDRESS`"),
    (&["protochain"], "needs a loop, which no kernel accepts; write `ip6[6] = N or ip6[40] = N` or deeper"),
    (&["byte"], "is not supported; write `link[OFFSET] = VALUE`"),
    (
        &[
            "type",
            "subtype",
            "dir",
            "direction",
            "addr1",
            "addr2",
            "addr3",
            "addr4",
            "address1",
            "address2",
            "address3",
            "address4",
            "ra",
            "ta",
            "radio",
        ],
        "is of 802.11 captures, which are not supported",
    ),
    (
        &["on", "ifname", "rset", "ruleset", "rnr", "rulenum", "srnr", "subrulenum", "reason", "action"],
        "is of pf's log, which is not supported",
    ),
    (
        &[
            "lane",
            "metac",
            "bcc",
            "oam",
            "oamf4",
            "oamf4ec",
            "oamf4sc",
            "sc",
            "ilmic",
            "vpi",
            "vci",
            "connectmsg",
            "metaconnect",
        ],
        "is of ATM captures, which are not supported",
    ),
    (
        &[
            "fisu", "lssu", "lsu", "msu", "hfisu", "hlssu", "hmsu", "sio", "opc", "dpc", "sls", "hsio",
            "hopc", "hdpc", "hsls",
        ],
        "is of SS7 captures, which are not supported",
    ),
];

/// Names of numbers: offsets of fields and values of them.
const CONSTANTS: &[(&str, u32)] = &[
    ("icmptype", 0),
    ("icmpcode", 1),
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp-ireq", 15),
    ("icmp-ireqreply", 16),
    ("icmp-maskreq", 17),
    ("icmp-maskreply", 18),
    ("icmp6type", 0),
    ("icmp6code", 1),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-multicastlistenerquery", 130),
    ("icmp6-multicastlistenerreportv1", 131),
    ("icmp6-multicastlistenerdone", 132),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
    ("icmp6-neighboradvert", 136),
    ("icmp6-redirect", 137),
    ("icmp6-routerrenum", 138),
    ("icmp6-nodeinformationquery", 139),
    ("icmp6-nodeinformationresponse", 140),
    ("icmp6-ineighbordiscoverysolicit", 141),
    ("icmp6-ineighbordiscoveryadvert", 142),
    ("icmp6-multicastlistenerreportv2", 143),
    ("icmp6-homeagentdiscoveryrequest", 144),
    ("icmp6-homeagentdiscoveryreply", 145),
    ("icmp6-mobileprefixsolicit", 146),
    ("icmp6-mobileprefixadvert", 147),
    ("icmp6-certpathsolicit", 148),
    ("icmp6-certpathadvert", 149),
    ("icmp6-multicastrouteradvert", 151),
    ("icmp6-multicastroutersolicit", 152),
    ("icmp6-multicastrouterterm", 153),
    ("tcpflags", 13),
    ("tcp-fin", 0x01),
    ("tcp-syn", 0x02),
    ("tcp-rst", 0x04),
    ("tcp-push", 0x08),
    ("tcp-ack", 0x10),
    ("tcp-urg", 0x20),
    ("tcp-ece", 0x40),
    ("tcp-cwr", 0x80),
];

/// Ports by name; a name of one transport only asks for that transport.
const PORTS: &[(&str, u32, Option<u32>)] = &[
    ("amqp", 5672, None),
    ("amqps", 5671, Some(TCP)),
    ("bgp", 179, Some(TCP)),
    ("bootpc", 68, Some(UDP)),
    ("bootps", 67, Some(UDP)),
    ("daytime", 13, None),
    ("dhcpv6-client", 546, Some(UDP)),
    ("dhcpv6-server", 547, Some(UDP)),
    ("discard", 9, None),
    ("domain", 53, None),
    ("domain-s", 853, None),
    ("echo", 7, None),
    ("epmap", 135, Some(TCP)),
    ("finger", 79, Some(TCP)),
    ("ftp", 21, Some(TCP)),
    ("ftp-data", 20, Some(TCP)),
    ("ftps", 990, Some(TCP)),
    ("git", 9418, Some(TCP)),
    ("gopher", 70, Some(TCP)),
    ("http", 80, Some(TCP)),
    ("http-alt", 8080, Some(TCP)),
    ("https", 443, None),
    ("imap", 143, Some(TCP)),
    ("imap2", 143, Some(TCP)),
    ("imaps", 993, Some(TCP)),
    ("ipsec-nat-t", 4500, Some(UDP)),
    ("isakmp", 500, Some(UDP)),
    ("iscsi-target", 3260, Some(TCP)),
    ("kerberos", 88, None),
    ("ldap", 389, None),
    ("ldaps", 636, None),
    ("login", 513, Some(TCP)),
    ("mdns", 5353, Some(UDP)),
    ("microsoft-ds", 445, Some(TCP)),
    ("ms-sql-m", 1434, Some(UDP)),
    ("ms-sql-s", 1433, Some(TCP)),
    ("ms-wbt-server", 3389, Some(TCP)),
    ("mysql", 3306, Some(TCP)),
    ("netbios-dgm", 138, Some(UDP)),
    ("netbios-ns", 137, Some(UDP)),
    ("netbios-ssn", 139, Some(TCP)),
    ("nfs", 2049, None),
    ("nntp", 119, Some(TCP)),
    ("ntp", 123, Some(UDP)),
    ("openvpn", 1194, None),
    ("pop3", 110, Some(TCP)),
    ("pop3s", 995, Some(TCP)),
    ("postgresql", 5432, Some(TCP)),
    ("printer", 515, Some(TCP)),
    ("ptp-event", 319, Some(UDP)),
    ("ptp-general", 320, Some(UDP)),
    ("radius", 1812, None),
    ("radius-acct", 1813, None),
    ("redis", 6379, Some(TCP)),
    ("rsync", 873, Some(TCP)),
    ("rtsp", 554, None),
    ("shell", 514, Some(TCP)),
    ("sip", 5060, None),
    ("sip-tls", 5061, None),
    ("smtp", 25, Some(TCP)),
    ("snmp", 161, None),
    ("snmp-trap", 162, None),
    ("socks", 1080, Some(TCP)),
    ("ssh", 22, Some(TCP)),
    ("submission", 587, Some(TCP)),
    ("submissions", 465, Some(TCP)),
    ("sunrpc", 111, None),
    ("svn", 3690, Some(TCP)),
    ("syslog", 514, Some(UDP)),
    ("syslog-tls", 6514, Some(TCP)),
    ("tacacs", 49, None),
    ("telnet", 23, Some(TCP)),
    ("tftp", 69, Some(UDP)),
    ("time", 37, None),
    ("who", 513, Some(UDP)),
    ("whois", 43, Some(TCP)),
    ("x11", 6000, Some(TCP)),
    ("xmpp-client", 5222, Some(TCP)),
    ("xmpp-server", 5269, Some(TCP)),
];

/// Numbers of IP's protocol field.
const IP_PROTOCOLS: &[(&str, u32)] = &[
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", TCP),
    ("egp", 8),
    ("igp", 9),
    ("pup", 12),
    ("udp", UDP),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("rspf", 73),
    ("vmtp", 81),
    ("eigrp", 88),
    ("ospf", 89),
    ("ospfigp", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", SCTP),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("manet", 138),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
];

/// Ethernet types, and LLC service access points where the number is below 1536.
const LINK_PROTOCOLS: &[(&str, u32)] = &[
    ("aarp", 0x80f3),
    ("arp", 0x0806),
    ("atalk", 0x809b),
    ("decnet", 0x6003),
    ("ip", 0x0800),
    ("ip6", 0x86dd),
    ("lat", 0x6004),
    ("loopback", 0x9000),
    ("mopdl", 0x6001),
    ("moprc", 0x6002),
    ("rarp", 0x8035),
    ("sca", 0x6007),
    ("iso", 0xfe),
    ("stp", 0x42),
    ("ipx", 0xe0),
    ("netbeui", 0xf0),
];

/// Network layer protocol ids of OSI.
const OSI_PROTOCOLS: &[(&str, u32)] = &[("clnp", 0x81), ("esis", 0x82), ("isis", 0x83)];

/// A port's name: its number, and the transport if the name is of one only.
#[derive(Clone, Copy)]
pub(super) struct Port {
    pub(super) number: u32,
    pub(super) transport: Option<u32>,
}

pub(super) fn protocol(word: &str) -> Option<Protocol> {
    find(PROTOCOLS, word)
}

/// The first keyword of a protocol.
pub(super) fn keyword(protocol: Protocol) -> &'static str {
    PROTOCOLS.iter().find(|(_, of)| *of == protocol).map_or("", |(word, _)| word)
}

/// The word as the language has it, when it is one of its own.
pub(super) fn reserved(word: &str) -> Option<&'static str> {
    let plain = KEYWORDS.iter().find(|known| **known == word).copied();
    plain
        .or_else(|| PROTOCOLS.iter().map(|(known, _)| *known).find(|known| *known == word))
        .or_else(|| REFUSED.iter().flat_map(|(words, _)| words.iter().copied()).find(|known| *known == word))
}

/// Why a keyword is not understood.
pub(super) fn refusal(word: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(words, _)| words.contains(&word)).map(|(_, why)| *why)
}

pub(super) fn constant(word: &str) -> Option<u32> {
    find(CONSTANTS, word)
}

pub(super) fn port(word: &str) -> Option<Port> {
    let (_, number, transport) = PORTS.iter().find(|(name, ..)| *name == word)?;
    Some(Port { number: *number, transport: *transport })
}

pub(super) fn ip_protocol(word: &str) -> Option<u32> {
    IP_PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number)
}

pub(super) fn link_protocol(word: &str) -> Option<u32> {
    find(LINK_PROTOCOLS, word)
}

pub(super) fn osi_protocol(word: &str) -> Option<u32> {
    find(OSI_PROTOCOLS, word)
}

fn find<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table.iter().find(|(name, _)| *name == word).map(|(_, of)| *of)
}
