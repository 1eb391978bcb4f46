//! What a capture is to be, and why it cannot begin.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use skydive_flow::{ExtraLayers, TableConfig};
use skydive_packet::filter::FilterError;
use skydive_sys::{NsRef, RingConfig, RingError};
use skydive_value::SmolStr;
use thiserror::Error;

/// What a capture is to be.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// Name of a definition in [`crate::CAPTURES`].
    pub kind: SmolStr,
    /// The namespace of the interface.
    pub place: NsRef,
    /// Number of the interface in its namespace.
    pub interface: u32,
    /// Packets that are counted, in tcpdump's language; all of them when it is empty.
    pub filter: String,
    /// Bytes that are looked at of a packet; 0 for [`CaptureConfig::SNAP_LEN`], or
    /// [`CaptureConfig::SNAP_LEN_OF_MESSAGES`] with extra layers.
    pub snap_len: u32,
    /// Bytes of each ring that the kernel puts packets into.
    pub ring_bytes: usize,
    /// Threads that the packets are spread over, by conversation; no more than there are. Each has a ring and a table.
    pub threads: usize,
    /// Where packets are taken from others.
    pub listen: Listen,
    /// How flows are counted. [`TableConfig::raw_packet_bytes`] is the snap length, whatever it says.
    pub table: TableConfig,
}

/// Addresses to listen at: the first that is free is taken.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Of this host.
    pub address: IpAddr,
    /// Ports to choose from.
    pub ports: RangeInclusive<u16>,
}

/// Why a capture cannot begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no such kind.
    #[error("no kind of capture is called {0:?}")]
    Kind(SmolStr),
    /// The snap length is out of range.
    #[error("a snap length of {0} bytes, possible are {min} to {max}", min = CaptureConfig::SNAP_LENS.start(), max = CaptureConfig::SNAP_LENS.end())]
    SnapLen(u32),
    /// The size of the ring is out of range.
    #[error("a ring of {0} bytes, possible are {min} to {max}", min = CaptureConfig::RINGS.start(), max = CaptureConfig::RINGS.end())]
    RingBytes(usize),
    /// The filter is none.
    #[error("filter: {0}")]
    Filter(#[from] FilterError),
    /// The filter has more instructions than the kernel takes.
    #[error("the filter is too long: {0} instructions, the kernel takes {max}", max = crate::filters::MOST_INSTRUCTIONS)]
    FilterLength(usize),
    /// The ring cannot be opened.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// None of the ports is free, or the address is none of this host.
    #[error("no port of {address} from {first} to {last} can be listened at")]
    Listen {
        /// The address.
        address: IpAddr,
        /// Least port.
        first: u16,
        /// Greatest port.
        last: u16,
        /// Why the last of them cannot.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to watch the source.
    #[error("watching the source of packets")]
    Watch(#[source] io::Error),
    /// The threads have ended.
    #[error("the threads of captures have ended")]
    Ended,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), ports: 8100..=8132 }
    }
}

impl CaptureConfig {
    /// Bytes that are looked at of a packet unless something else is asked for: the headers, and the beginning of what
    /// applications say.
    pub const SNAP_LEN: u32 = 256;
    /// The same where messages of applications are read: a usual packet in a tunnel.
    pub const SNAP_LEN_OF_MESSAGES: u32 = 2048;
    /// Snap lengths that can be asked for.
    pub const SNAP_LENS: RangeInclusive<u32> = 14..=4096;
    /// Bytes of a ring unless something else is asked for.
    pub const RING: usize = 4 << 20;
    /// Sizes of rings that can be asked for.
    pub const RINGS: RangeInclusive<usize> = RingConfig::MIN_BYTES..=1 << 30;

    /// A capture of everything on an interface.
    pub fn new(kind: &str, place: NsRef, interface: u32) -> Self {
        Self {
            kind: kind.into(),
            place,
            interface,
            filter: String::new(),
            snap_len: 0,
            ring_bytes: Self::RING,
            threads: 1,
            listen: Listen::default(),
            table: TableConfig::default(),
        }
    }

    /// With what stands for a default filled in, if all is in range.
    pub(crate) fn checked(&self) -> Result<Self, StartError> {
        let mut config = self.clone();
        if config.snap_len == 0 {
            let reads_messages = config.table.extra_layers != ExtraLayers::NONE;
            config.snap_len = if reads_messages { Self::SNAP_LEN_OF_MESSAGES } else { Self::SNAP_LEN };
        }
        if !Self::SNAP_LENS.contains(&config.snap_len) {
            return Err(StartError::SnapLen(config.snap_len));
        }
        if !Self::RINGS.contains(&config.ring_bytes) {
            return Err(StartError::RingBytes(config.ring_bytes));
        }
        config.threads = config.threads.max(1);
        config.table.raw_packet_bytes = config.snap_len as usize;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused() {
        let config = CaptureConfig::new("afpacket", NsRef::Here, 1);
        assert_eq!(config.checked().unwrap().snap_len, 256);
        let table = TableConfig { extra_layers: ExtraLayers::DNS, ..config.table.clone() };
        assert_eq!(CaptureConfig { table, ..config.clone() }.checked().unwrap().snap_len, 2048);
        let error = CaptureConfig { snap_len: 13, ..config.clone() }.checked().unwrap_err();
        assert_eq!(error.to_string(), "a snap length of 13 bytes, possible are 14 to 4096");
        let error = CaptureConfig { ring_bytes: 1, ..config }.checked().unwrap_err();
        assert_eq!(error.to_string(), "a ring of 1 bytes, possible are 32768 to 1073741824");
    }
}
