//! IPv4 ranges, as `Ipv4Range('10.0.0.0/8')` means them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use smol_str::SmolStr;
use thiserror::Error;

/// An IPv4 network; host bits of the text it came from are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv4Net {
    network: u32,
    prefix: u8,
}

/// Text that is no range this can test.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CidrError {
    /// Not `address/prefix`.
    #[error("invalid CIDR address: {0}")]
    Syntax(SmolStr),
    /// An IPv6 range.
    #[error("not an IPv4 range: {0}")]
    Family(SmolStr),
}

impl Ipv4Net {
    /// Reads `a.b.c.d/n`.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let syntax = || CidrError::Syntax(text.into());
        let (address, prefix) = text.split_once('/').ok_or_else(syntax)?;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(syntax());
        }
        let prefix: u8 = prefix.parse().map_err(|_| syntax())?;
        match address.parse::<IpAddr>().map_err(|_| syntax())? {
            IpAddr::V4(v4) if prefix <= 32 => {
                Ok(Self { network: u32::from(v4) & Self::mask(prefix), prefix })
            }
            IpAddr::V6(_) if prefix <= 128 => Err(CidrError::Family(text.into())),
            _ => Err(syntax()),
        }
    }

    /// Whether `address` lies inside.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & Self::mask(self.prefix) == self.network
    }

    /// Whether text is an IPv4 address inside, alone or with `/n` behind it (one or two digits, not looked at).
    pub fn contains_text(self, text: &str) -> bool {
        let address = match text.split_once('/') {
            None => text,
            Some((address, bits))
                if matches!(bits.len(), 1 | 2) && bits.bytes().all(|b| b.is_ascii_digit()) =>
            {
                address
            }
            Some(_) => return false,
        };
        address.parse().is_ok_and(|a| self.contains(a))
    }

    fn mask(prefix: u8) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
    }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}
