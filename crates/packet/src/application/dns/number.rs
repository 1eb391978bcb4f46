//! Numbers of DNS and their names.
//!
//! Names are those that the original Skydive puts into flows, down to the blank behind `Server Failure `, because
//! stored flows and filters hold them. It says `Unknown` of whatever else; kinds of record that have become frequent
//! since then have the names that IANA registered.
//! <https://www.iana.org/assignments/dns-parameters/dns-parameters.xhtml>

use std::fmt;

macro_rules! numbers {
    ($(#[$doc:meta])* $type:ident($int:ty) { $($number:literal => $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $type(pub $int);

        impl $type {
            /// The name, `Unknown` if it has none.
            pub const fn name(self) -> &'static str {
                match self.0 { $($number => $name,)* _ => "Unknown" }
            }

            /// The one of that name, if it has one.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self($number)),)* _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

numbers! {
    /// What a record tells or a question asks.
    Kind(u16) {
        1 => "A",
        2 => "NS",
        3 => "MD",
        4 => "MF",
        5 => "CNAME",
        6 => "SOA",
        7 => "MB",
        8 => "MG",
        9 => "MR",
        10 => "NULL",
        11 => "WKS",
        12 => "PTR",
        13 => "HINFO",
        14 => "MINFO",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        39 => "DNAME",
        41 => "OPT",
        43 => "DS",
        44 => "SSHFP",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        50 => "NSEC3",
        52 => "TLSA",
        64 => "SVCB",
        65 => "HTTPS",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
    }
}

impl Kind {
    /// An IPv4 address.
    pub const A: Self = Self(1);
    /// A name server.
    pub const NS: Self = Self(2);
    /// The name that this one is an alias of.
    pub const CNAME: Self = Self(5);
    /// What a zone says of itself.
    pub const SOA: Self = Self(6);
    /// A name, mostly of an address.
    pub const PTR: Self = Self(12);
    /// Processor and operating system, now mostly the answer to `ANY` ([RFC 8482](https://www.rfc-editor.org/rfc/rfc8482)).
    pub const HINFO: Self = Self(13);
    /// A mail server.
    pub const MX: Self = Self(15);
    /// Text.
    pub const TXT: Self = Self(16);
    /// An IPv6 address, [RFC 3596](https://www.rfc-editor.org/rfc/rfc3596).
    pub const AAAA: Self = Self(28);
    /// Where a service is, [RFC 2782](https://www.rfc-editor.org/rfc/rfc2782).
    pub const SRV: Self = Self(33);
    /// No record of a name, but more of the message's header, [RFC 6891](https://www.rfc-editor.org/rfc/rfc6891).
    pub const OPT: Self = Self(41);
}

numbers! {
    /// The kind of network. In an `OPT` record the bytes that the sender takes in a datagram.
    Class(u16) {
        1 => "IN",
        2 => "CS",
        3 => "CH",
        4 => "HS",
        255 => "Any",
    }
}

numbers! {
    /// What a message wants.
    OpCode(u8) {
        0 => "Query",
        1 => "Inverse Query",
        2 => "Status",
        4 => "Notify",
        5 => "Update",
    }
}

numbers! {
    /// What became of a request.
    ResponseCode(u16) {
        0 => "No Error",
        1 => "Format Error",
        2 => "Server Failure ",
        3 => "Non-Existent Domain",
        4 => "Not Implemented",
        5 => "Query Refused",
        6 => "Name Exists when it should not",
        7 => "RR Set Exists when it should not",
        8 => "RR Set that should exist does not",
        9 => "Server Not Authoritative for zone",
        10 => "Name not contained in zone",
        16 => "Bad OPT Version",
        17 => "Key not recognized",
        18 => "Signature out of time window",
        19 => "Bad TKEY Mode",
        20 => "Duplicate key name",
        21 => "Algorithm not supported",
        22 => "Bad Truncation",
        23 => "Bad Cookie",
    }
}

numbers! {
    /// What an option of an `OPT` record is about.
    OptionCode(u16) {
        3 => "NSID",
        5 => "DAU",
        6 => "DHU",
        7 => "N3U",
        8 => "EDNSClientSubnet",
        9 => "EDNSExpire",
        10 => "Cookie",
        11 => "EDNSKeepAlive",
        12 => "CodePadding",
        13 => "CodeChain",
        14 => "CodeEDNSKeyTag",
        15 => "ExtendedError",
        16 => "EDNSClientTag",
        17 => "EDNSServerTag",
        26946 => "DeviceID",
    }
}
