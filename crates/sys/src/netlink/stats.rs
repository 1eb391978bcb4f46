//! Counters of an interface (`struct rtnl_link_stats64`).

use super::attr::{Attrs, Tally, fixed};

/// The counters in the kernel's order; [`LinkStats::NAMES`] says which is which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats(pub [u64; LinkStats::NAMES.len()]);

impl LinkStats {
    /// What each counter counts.
    pub const NAMES: [&'static str; 23] = [
        "RxPackets",
        "TxPackets",
        "RxBytes",
        "TxBytes",
        "RxErrors",
        "TxErrors",
        "RxDropped",
        "TxDropped",
        "Multicast",
        "Collisions",
        "RxLengthErrors",
        "RxOverErrors",
        "RxCrcErrors",
        "RxFrameErrors",
        "RxFifoErrors",
        "RxMissedErrors",
        "TxAbortedErrors",
        "TxCarrierErrors",
        "TxFifoErrors",
        "TxHeartbeatErrors",
        "TxWindowErrors",
        "RxCompressed",
        "TxCompressed",
    ];

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|n| *n == 0)
    }

    /// What was counted since `earlier`; a counter that went back was reset and counts from zero.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut out = *self;
        for (now, before) in out.0.iter_mut().zip(&earlier.0) {
            *now = now.checked_sub(*before).unwrap_or(*now);
        }
        out
    }

    /// Reads the kernel's structure; a shorter one of an older kernel leaves the rest at zero.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut out = Self::default();
        for (counter, chunk) in out.0.iter_mut().zip(bytes.chunks_exact(8)) {
            *counter = fixed(chunk).map_or(0, u64::from_ne_bytes);
        }
        out
    }
}

/// Reads an answer to `RTM_GETSTATS` (`struct if_stats_msg`): the interface and its counters.
pub(super) fn parse(body: &[u8], tally: &Tally) -> Option<(u32, LinkStats)> {
    const IFLA_STATS_LINK_64: u16 = 1;
    let index = u32::from_ne_bytes(fixed(body.get(4..)?)?);
    let attr = Attrs::new(body.get(12..)?, tally).find(|a| a.kind == IFLA_STATS_LINK_64)?;
    Some((index, LinkStats::parse(attr.value)))
}
