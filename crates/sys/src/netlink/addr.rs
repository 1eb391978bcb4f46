//! Addresses of interfaces (`struct ifaddrmsg`).

use std::net::IpAddr;

use super::attr::{Attrs, Tally, fixed};

/// One address on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddrFacts {
    /// The interface.
    pub index: u32,
    /// The address of this end.
    pub ip: IpAddr,
    /// The other end of a point-to-point address; `prefix` is then of that end.
    pub peer: Option<IpAddr>,
    /// Length of the prefix in bits.
    pub prefix: u8,
    /// `RT_SCOPE_*`.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: u32,
}

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;

pub(super) fn parse(body: &[u8], tally: &Tally) -> Option<AddrFacts> {
    let [family, prefix, flags, scope] = fixed(body)?;
    if family != libc::AF_INET as u8 && family != libc::AF_INET6 as u8 {
        return None;
    }
    let index = u32::from_ne_bytes(fixed(body.get(4..)?)?);
    let (mut address, mut local, mut flags) = (None, None, u32::from(flags));
    for attr in Attrs::new(body.get(8..)?, tally) {
        match attr.kind {
            IFA_ADDRESS => address = attr.ip(),
            IFA_LOCAL => local = attr.ip(),
            IFA_FLAGS => flags = attr.u32().unwrap_or(flags),
            _ => {}
        }
    }
    let ip = local.or(address)?;
    Some(AddrFacts { index, ip, peer: address.filter(|a| *a != ip), prefix, scope, flags })
}
